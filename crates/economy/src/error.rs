//! What can be wrong with a description of a network.

use crate::failure::{Domain, MEMBERS_MAX, NAME_BYTES_MAX, WEIGHT_MAX};

/// What can be wrong with a description of a network or of a service; whoever made the description has to correct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More members than are computed with.
    #[error("{members} members; at most {MEMBERS_MAX} can be looked at together")]
    TooManyMembers {
        /// How many there are.
        members: usize,
    },
    /// Two members of one name: nothing could tell them apart in an answer.
    #[error("two members are named `{name}`; names must differ")]
    MemberTwice {
        /// Their name.
        name: String,
    },
    /// A name that cannot be printed in a line.
    #[error(
        "{name:?} is no name of a member or domain; it must have 1 to {NAME_BYTES_MAX} bytes and no control characters"
    )]
    Name {
        /// The name, cut to what a message holds.
        name: String,
    },
    /// A service counts on a member that the network does not have.
    #[error(
        "`{service}` counts on member {member}, but the network has {members}; members count from 0"
    )]
    NoSuchMember {
        /// The service.
        service: String,
        /// The member's place.
        member: u32,
        /// Members of the network.
        members: usize,
    },
    /// A service names one member twice.
    #[error("`{service}` names member `{member}` twice; give it once, with all its weight")]
    ShareTwice {
        /// The service.
        service: String,
        /// The member.
        member: String,
    },
    /// A weight that is zero, or weights whose sum is more than is computed with.
    #[error(
        "`{service}`: a weight must be at least 1, and all of them together at most {WEIGHT_MAX}"
    )]
    Weight {
        /// The service.
        service: String,
    },
    /// A service that needs nothing never stops.
    #[error("`{service}` needs a weight of 0, so nothing stops it; say what it needs")]
    NeedsNothing {
        /// The service.
        service: String,
    },
    /// A domain in which no member of the service is: most likely a name mistyped.
    #[error(
        "no member of `{service}` is in the domain {domain}; see its domains for how they are written"
    )]
    NoSuchDomain {
        /// The service.
        service: String,
        /// The domain as given.
        domain: Domain,
    },
}
