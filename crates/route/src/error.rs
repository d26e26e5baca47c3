//! The one error type of this crate: who is to blame, and what to do.

use std::time::Duration;

use assay_receipt::NodeAddress;

use crate::heartbeat::Stamp;

/// Why a heartbeat is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Whoever sent the bytes: they are no heartbeat in its one form.
    #[error("not a heartbeat: {0}; send the bytes that the node signed, and nothing else")]
    Malformed(&'static str),
    /// The node: a value is outside what a heartbeat can say.
    #[error("{what}: {found}, at most {most}")]
    OutOfBounds {
        /// What it is.
        what: &'static str,
        /// Its value.
        found: usize,
        /// The largest allowed.
        most: usize,
    },
    /// Whoever sent it: the node that it names did not sign it for this network.
    #[error("the heartbeat is not signed by {node} for this network")]
    Signature {
        /// The node that it names.
        node: NodeAddress,
    },
    /// Nobody, or whoever replays: this one or a newer one is known.
    #[error("a heartbeat of {node} as new as this is known already")]
    Old {
        /// The node.
        node: NodeAddress,
        /// The newest known.
        known: Stamp,
    },
    /// The node's clock or ours, or whoever replays an old one: set both clocks.
    #[error(
        "the heartbeat of {node} was made {apart:?} away from our clock; set both clocks by a time server"
    )]
    Clock {
        /// The node.
        node: NodeAddress,
        /// How far its time is from ours.
        apart: Duration,
    },
    /// The node is not registered on this network.
    #[error("{node} is not registered here; register and bond it first")]
    Stranger {
        /// The node.
        node: NodeAddress,
    },
    /// This gateway knows as many nodes as it can: raise its limit.
    #[error("{most} nodes are known already; raise the limit of the view")]
    Full {
        /// The limit.
        most: usize,
    },
}
