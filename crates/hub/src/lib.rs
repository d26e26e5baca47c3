//! Repositories of models and data sets: names, commits, policy, provenance, and the shapes of the Hugging Face API.
//!
//! A **repository** is a name under a publisher's account. A **revision** is a manifest, which names every file by its
//! digest. A **commit** is a signed-for step from one revision to the next. A **ref** (a branch or a tag) is what moves.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod card;
pub mod commit;
pub mod error;
pub mod fault;
pub mod ignore;
pub mod imported;
pub mod inventory;
pub mod listing;
pub mod manifest;
pub mod name;
pub mod operation;
pub mod page;
pub mod path;
pub mod placement;
pub mod policy;
pub mod provenance;
pub mod query;
pub mod refs;
pub mod safetensors;
pub mod safety;
pub mod sketch;
pub mod tensors;
pub mod time;
pub mod tree;
pub mod wire;

pub use commit::{Commit, CommitId};
pub use error::Error;
pub use fault::Fault;
pub use inventory::Inventory;
pub use manifest::Manifest;
pub use name::{Handle, Kind, Name, Namespace};
pub use path::TreePath;
pub use refs::{RefName, Rev};
pub use tree::{FileEntry, Form, Tree};
