//! What goes into the machine, and what comes out of it.

use std::time::Duration;

use assay_receipt::NodeAddress;

use super::STALL;

/// One token of an answer, as the node that made it bound it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step {
    /// The token.
    pub token: u32,
    /// BLAKE3 of the scores from which it was drawn; zero on engines that do not repeat their bits.
    pub scores: [u8; 32],
}

/// What a node says stands at one position of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Claim {
    /// This step.
    Step(Step),
    /// Nothing: the answer ends before it.
    End,
}

/// The number of one call to a node, so that what comes late is told from what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call(pub u32);

/// Whether tokens wait for a second operator's word before they go to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Tokens go out as they come.
    Unchecked,
    /// Tokens go out when a node of another operator has made the same ones.
    Checked,
}

/// How one stream is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Whether a second node checks.
    pub mode: Mode,
    /// Most tokens that the request allows; a node that gives more is replaced.
    pub most_tokens: usize,
    /// Most nodes asked for this stream in all roles together.
    pub most_nodes: u32,
    /// Ask a second node where the first has given nothing for this long; `None` never.
    pub hedge_after: Option<Duration>,
    /// How long to go on looking where there is no node for a role: one that was away may be back.
    pub wait_for_node: Duration,
}

/// How long a node may take, as the caller reckons from its load. Silence beyond [`STALL`] is a failure in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the call to the first token, or to the answer to the first check: queue and prompt.
    pub first: Duration,
    /// From one token to the next.
    pub step: Duration,
    /// For a check after the first.
    pub check: Duration,
}

impl Default for Patience {
    /// 10 s to the first token, then [`STALL`].
    fn default() -> Self {
        Self {
            first: Duration::from_secs(10),
            step: STALL,
            check: STALL,
        }
    }
}

/// What a node is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// To make the answer, or to go on with it.
    Make,
    /// To make it beside one that is late; the retry budget may refuse.
    Hedge,
    /// To check what another makes.
    Check,
    /// To say which of two that differ lied.
    Decide,
}

/// A node that is needed.
#[derive(Debug, Clone, Copy)]
pub struct Need<'a> {
    /// What for.
    pub role: Role,
    /// Tokens that the node will have to read after the prompt.
    pub after: usize,
    /// Nodes that may not be chosen.
    pub excluded: &'a [NodeAddress],
    /// Nodes whose operators may not be those of the chosen one.
    pub apart_from: &'a [NodeAddress],
}

/// A node that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// The node.
    pub node: NodeAddress,
    /// How long it may take.
    pub patience: Patience,
}

/// Chooses nodes; [`crate::choice`] is made for it.
pub trait Choose {
    /// A node for `need`, or `None` where there is none.
    fn choose(&mut self, need: &Need<'_>) -> Option<Chosen>;
}

/// Why a call came to nothing, as the caller saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The connection could not be made, or ended before the answer did.
    Closed,
    /// The node takes no more requests now.
    Busy,
    /// The node answered what no node may answer: a receipt that does not verify, a frame that cannot be read.
    Broken,
}

/// Why the machine ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No sign of life for [`STALL`].
    Silent,
    /// Alive, but no token for as long as it may take.
    Slow,
    /// It broke the protocol: steps out of order, more than allowed, an answer that contradicts itself.
    Broken,
    /// It was convicted of a lie.
    Convicted,
    /// It was one of three that said three different things.
    Undecided,
    /// Another node was faster; no fault of this one.
    Outrun,
    /// What it was asked for is no longer needed; no fault of this one.
    Moot,
    /// The stream is over.
    Over,
}

/// What happened. Every event but the last two is about one call that an [`Action`] began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The node took the call.
    Began {
        /// The call.
        call: Call,
    },
    /// The node is alive: a keep-alive, four a second.
    Alive {
        /// The call.
        call: Call,
    },
    /// Tokens came.
    Steps {
        /// The call.
        call: Call,
        /// Position of the first, counted from the start of the answer.
        from: usize,
        /// The tokens.
        steps: Vec<Step>,
    },
    /// The node ended the answer, and its receipt verifies and binds the steps up to here.
    Ended {
        /// The call.
        call: Call,
    },
    /// The call came to nothing.
    Failed {
        /// The call.
        call: Call,
        /// Why.
        why: Failure,
    },
    /// A node that was to go on says that it would not have made the token at `at`.
    Refused {
        /// The call.
        call: Call,
        /// Position of the first such token.
        at: usize,
        /// What it would have made.
        claim: Claim,
    },
    /// A checking node made the same steps, and the same end where that was asked for.
    Checked {
        /// The call.
        call: Call,
    },
    /// A checking node made something else at `at`, and the same before it.
    CheckDiffers {
        /// The call.
        call: Call,
        /// Position of the first difference.
        at: usize,
        /// What it made there.
        claim: Claim,
    },
    /// Time passed.
    Tick,
    /// The client went away.
    ClientGone,
}

/// A node that was shown to have said something else than two others who agree.
///
/// It is a finding of this gateway: whether it convinces anyone else depends on what the three signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conviction {
    /// The node that lied.
    pub node: NodeAddress,
    /// The position at which it did.
    pub at: usize,
    /// The two that agree.
    pub by: [NodeAddress; 2],
}

/// A range of an answer, who made it and who checked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The node that made it.
    pub node: NodeAddress,
    /// The node of another operator that made the same, in checked mode.
    pub checker: Option<NodeAddress>,
    /// First position.
    pub from: usize,
    /// Position after the last.
    pub upto: usize,
}

/// Why a stream ends without its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GiveUp {
    /// There is no node left for a role; the client may try again later.
    #[error("no node is left to {role:?}; ask again later")]
    NoNode {
        /// The role.
        role: Role,
    },
    /// Too many nodes were tried; the client may try again later.
    #[error("{asked} nodes were asked, and none finished; ask again later")]
    TooMany {
        /// How many were asked.
        asked: u32,
    },
    /// Two nodes agree that a token which the client has is wrong. Only in unchecked mode.
    #[error("two nodes agree that the token at {at}, which was sent already, is wrong; ask anew")]
    Wrong {
        /// Its position.
        at: usize,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask a node to make the answer after the first `after` tokens, which are [`super::Stream::tokens`].
    Ask {
        /// The number of the call.
        call: Call,
        /// The node.
        node: NodeAddress,
        /// How many tokens there are already.
        after: usize,
    },
    /// Ask a node to make the steps of a range itself, and compare; an empty range has it read the prompt ahead of time.
    ///
    /// The steps are [`super::Stream::tokens`] and then `steps`. The node is told the tokens and never the digests.
    Check {
        /// The number of the call.
        call: Call,
        /// The node.
        node: NodeAddress,
        /// First position.
        from: usize,
        /// The steps from there on.
        steps: Vec<Step>,
        /// Whether the answer is said to end after them, which is to be checked too.
        ends: bool,
    },
    /// Send these tokens to the client.
    Release {
        /// Position of the first.
        from: usize,
        /// The tokens.
        steps: Vec<Step>,
    },
    /// Read no more from a node that is far ahead of its checker.
    Pause {
        /// The call.
        call: Call,
    },
    /// Read on.
    Resume {
        /// The call.
        call: Call,
    },
    /// End a call, and free what it holds at the node.
    Cancel {
        /// The call.
        call: Call,
        /// The node.
        node: NodeAddress,
        /// Why.
        cause: Cause,
    },
    /// A node lied.
    Convict(Conviction),
    /// The answer is complete; the receipt is the one with which `call` ended.
    Finish {
        /// The call whose node signed for the whole answer.
        call: Call,
        /// That node.
        node: NodeAddress,
        /// Who made what, in order, without gaps.
        parts: Vec<Part>,
        /// Who agrees that the answer ends here, in checked mode.
        end_checker: Option<NodeAddress>,
    },
    /// The stream ends without its answer.
    GiveUp(GiveUp),
}
