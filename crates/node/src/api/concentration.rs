//! How concentrated a network is: what `GET /assay/v1/network/concentration` answers.

use assay_economy::failure::{Addition, Concentration, Member, Service};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Path of [`ConcentrationReport`].
pub const CONCENTRATION_PATH: &str = "/assay/v1/network/concentration";

/// For each service of the network, the smallest sets of failure domains whose loss stops it, over all dimensions at
/// once, with what supports that a member is in a domain. Of those who answer now, as this server sees it.
///
/// Everything follows from `members` and each entry's `service`; whoever doubts a set computes it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConcentrationReport {
    /// Height of the last finalized block seen.
    pub height: u64,
    /// Time of that block, Unix milliseconds.
    pub timestamp_ms: u64,
    /// Who answers now, and where it is: `unknown`, `inapplicable`, or `known` by a name and its `evidence`, which is
    /// `declared` (its own word or its operator's), `registered` (an account on chain bonded for it), `measured` or
    /// `attested`. A dimension that is missing is unknown.
    #[schema(value_type = Vec<Object>)]
    pub members: Vec<Member>,
    /// Consensus, each model that is served, the hubs.
    pub services: Vec<ServiceReport>,
    /// Models beyond those that one report looks at.
    pub models_left_out: usize,
    /// What of the network is in no service here, and why.
    pub not_covered: Vec<String>,
}

/// How concentrated one service is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceReport {
    /// Who provides it, by place in `members`, and when it goes on.
    #[schema(value_type = Object)]
    pub service: Service,
    /// The smallest sets in both readings of what is unknown, and how even each dimension is: `effective` is 1/HHI.
    #[schema(value_type = Object)]
    pub now: Concentration,
    /// What one more node would change that shares no domain with any; absent where that cannot be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub addition: Option<Addition>,
}
