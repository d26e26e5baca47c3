//! The rules of this repository as a test.
//!
//! Each module holds one family of rules and a function `check(&Repository) -> Vec<Finding>`. A finding names the file,
//! the line and what to do. The rules come from the stack in ARCHITECTURE.md and from CONTRIBUTING.md; where a place has a
//! good reason to differ, it stands in `exemptions.toml` with that reason, and leaves the list when it no longer needs it.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`layers`] | does every dependency between our crates point down the stack? |
//! | [`purity`] | are the cores free of sockets, files, clocks and ambient randomness? |
//! | [`length`] | are functions and files short enough to be read at once? |
//! | [`panics`] | how often can production code panic, and is each place explained? |
//! | [`docs`] | does each crate say what it is, and is its public surface documented? |
//! | [`vectors`] | is every wire type frozen, with enough rejecting cases? |
//! | [`words`] | are the files free of leftovers and of paths of one machine? |
//! | [`names`] | do names say what a thing is? |
//! | [`manifests`] | is there one place for every dependency, and is `unsafe` where it is allowed? |
//! | [`links`] | does every relative link in the documents lead somewhere? |

pub mod docs;
mod error;
mod exemptions;
mod finding;
pub mod layers;
pub mod length;
pub mod links;
pub mod manifests;
pub mod names;
pub mod panics;
pub mod purity;
mod repository;
mod source;
mod tokens;
pub mod vectors;
pub mod words;

pub use error::Error;
pub use exemptions::{Exemption, Exemptions};
pub use finding::{Finding, Rule};
pub use repository::Repository;
pub use source::{Place, Source};

/// One family of rules: a function from a repository to what it found.
pub type Check = fn(&Repository) -> Vec<Finding>;

/// Every family of rules, in the order of the table above.
pub const CHECKS: [Check; 10] = [
    layers::check,
    purity::check,
    length::check,
    panics::check,
    docs::check,
    vectors::check,
    words::check,
    names::check,
    manifests::check,
    links::check,
];

/// Runs every family of rules, applies the repository's own exemptions and reports exemptions that nothing needs.
///
/// # Errors
/// [`Error::Exemptions`] when `crates/tidy/exemptions.toml` cannot be read as what it must be.
pub fn check(repository: &Repository) -> Result<Vec<Finding>, Error> {
    let exemptions = Exemptions::of(repository)?;
    let findings = CHECKS.iter().flat_map(|check| check(repository)).collect();
    Ok(exemptions.apply(findings))
}
