//! What can go wrong in a simulation: its set-up, or the network under test.

/// Why a run did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The options or the machine are to blame: the run could not be set up.
    #[error("the simulation could not be set up: {0}")]
    Setup(String),
    /// The network under test is to blame: a promise was broken. Repeat the seed and fix the cause.
    #[error("at {at_ms} ms, height {height}: {invariant}: {detail}")]
    Broken {
        /// Simulated time since the start, milliseconds.
        at_ms: u64,
        /// Height at which it showed.
        height: u64,
        /// Which promise.
        invariant: Invariant,
        /// What was seen.
        detail: String,
    },
    /// The node's side of settlement is to blame: it refused its own log or gave a receipt up.
    #[error("an honest node failed: {0}")]
    Node(String),
    /// The network under test is to blame: its code panicked.
    #[error("the network's code panicked: {0}")]
    Panicked(String),
}

/// A promise that holds after every step of every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// No two honest validators finalize different blocks at one height.
    Agreement,
    /// What a finalized header claims is what its transactions do on the state before.
    Execution,
    /// No receipt settles twice.
    SettledOnce,
    /// Receipts of one node for one revision settle in order, without a gap or a fork.
    Order,
    /// What settles is signed by a node that is registered and bonded, for a published revision.
    Authentic,
    /// An honest node's settled receipts are those of its log.
    Log,
    /// Native coins and credits are neither made nor lost except as burnt.
    Conservation,
    /// Two receipts under one sequence number cost the node its bond.
    Slashing,
    /// Every receipt that was acknowledged settles once faults stop.
    NothingLost,
    /// Every honest validator's database holds the state that its blocks say.
    SameState,
    /// An offline proof verifies for every settled receipt, and for no other.
    Provable,
}

impl std::fmt::Display for Invariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Agreement => "honest validators finalized different blocks at one height",
            Self::Execution => {
                "a finalized header claims another outcome than its transactions have"
            }
            Self::SettledOnce => "a receipt settled twice",
            Self::Order => "receipts settled out of order",
            Self::Authentic => "a receipt settled that no bonded node signed for a known revision",
            Self::Log => "a receipt of an honest node settled that is not in its log",
            Self::Conservation => "balances do not conserve",
            Self::Slashing => "an equivocator kept its bond",
            Self::NothingLost => "an acknowledged receipt did not settle",
            Self::SameState => "a validator's database differs from the state of its blocks",
            Self::Provable => "a settled receipt has no proof that verifies",
        })
    }
}
