//! How many independent failures until a service stops, which ones, and what would help?
//!
//! A *service* (consensus, a model, the hub, a relay) is provided by members of a [`Network`]: each has a weight, and
//! in each of seven [`Dimension`]s it lies in at most one *failure domain*. A failure takes every member of a domain
//! with it. The service stops when the weight that is lost reaches a limit, which its [`Rule`] sets. The *minimal
//! failure set* is a smallest set of domains, over all dimensions at once, whose loss stops the service.
//!
//! To find it is partial set cover and NP-hard. [`Exposure::concentration`] does it exactly, by branch and bound
//! (`minimal`), as long as a [`Budget`] of counted steps lasts; after that it says `at least L, at most U` with a set
//! of size U, and never more than that.
//!
//! # What is not known
//! A member whose operator is unknown must not make a network look as good as one whose operator is its own. Every
//! answer is given in two [`Reading`]s. *Pessimistic*: in each dimension all members whose domain is unknown share one
//! domain. *Optimistic*: each fails by itself; a member of which nothing at all is known is a domain of its own
//! ([`Domain::Alone`]), any other is in its known ones only, each of which takes more than it alone.
//!
//! As long as what is known is true, of which each domain's [`Evidence`] tells, the true number is at most the
//! optimistic one. It may be less than the pessimistic one: who is unknown may be in one of the known domains, together
//! with those who say so, and then one failure takes what two do here.
//!
//! To say that a dimension does not apply to a member (a node without a TEE depends on no vendor of one) is something
//! else than not to know.
//!
//! | module | answers |
//! | --- | --- |
//! | `network` | who is where, and what does a service need? |
//! | `exposure` | what do these failures take from it? |
//! | `minimal` | the smallest set: reduction, bounds, search |
//! | `concentration` | the answer for one service |
//! | `spread` | how even is one dimension? |
//! | `addition` | which single added node would help most? |
//! | [`report`] | the answers as text |

mod addition;
mod concentration;
mod exposure;
mod minimal;
mod network;
pub mod report;
mod spread;

pub use addition::{Addition, CANDIDATES_MAX};
pub use concentration::{Bounds, Concentration, Count, Failure, Finding};
pub use exposure::{Domain, Exposure, Reading};
pub use minimal::{Budget, SETS_MAX};
pub use network::{
    Dimension, Evidence, MEMBERS_MAX, Member, NAME_BYTES_MAX, Network, Place, Rule, Service, Share,
    WEIGHT_MAX,
};
pub use spread::{Effective, Largest, Spread};
