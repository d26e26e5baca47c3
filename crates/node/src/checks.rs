//! The contracts `Checks` and `Disputes`: what they know of a settled answer, and what a node that takes part does next.
//!
//! A check is begun by whoever pays for it or finds that the lottery chose the receipt. From there on everybody who takes
//! part looks at the contracts' state and makes the one move that is his; [`next_move`] says which.

use crate::{
    abi::{Ballot, Check, Checks, Dispute, Disputes, Settled, place, words},
    error::Error,
    rpc_client::{RpcClient, RpcError},
    wallet::{Revert, Wallet, decode_revert},
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::{SolCall as _, SolValue as _};
use assay_chain::spec::{CHECKS, DISPUTES};
use assay_receipt::{Commitment, Field, ReceiptId, RevisionId, SaltSeed, SignedReceipt, commit};

/// Microcredits that a check costs whoever asks for it: 1 credit for each of three members.
pub const FEE: u64 = 3_000_000;
/// Looks for the block by which the lottery decides, a fraction of a block's time apart.
const LOTTERY_LOOKS: usize = 400;
/// Blocks in which what was committed to is revealed: `Committees.REVEAL_BLOCKS`.
const REVEAL_BLOCKS: u64 = 200;
/// `SeatState` of who has committed.
const COMMITTED: u8 = 1;

/// `Checks.Phase`.
mod phase {
    pub(super) const NONE: u8 = 0;
    pub(super) const REQUESTED: u8 = 1;
    pub(super) const VOTING: u8 = 2;
    pub(super) const DISPUTED: u8 = 3;
    pub(super) const OPENING: u8 = 4;
}

/// `Disputes.Phase`.
mod dispute_phase {
    pub(super) const POSTING: u8 = 1;
    pub(super) const ANSWERING: u8 = 2;
    pub(super) const NODE_STEP: u8 = 3;
    pub(super) const CHALLENGER_STEP: u8 = 4;
    pub(super) const DRAWING: u8 = 5;
    pub(super) const VOTING: u8 = 6;
}

/// What a check came to: `Checks.Result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There was none, or it is under way.
    Open,
    /// More than half of the committee computed the same.
    Replayed,
    /// The node lost the receipt, and its bond.
    Refuted,
    /// The node did not lay open what it had to.
    Withheld,
    /// Nobody decided.
    Inconclusive,
}

impl Outcome {
    fn of(check: &Check) -> Self {
        match check.result {
            1 => Self::Replayed,
            2 => Self::Refuted,
            3 => Self::Withheld,
            4 => Self::Inconclusive,
            _ => Self::Open,
        }
    }
}

/// How a dispute ended: the contract's `Outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// There is none, or it is under way, or nobody decided.
    Undecided,
    /// Computing the step again gave the challenger's.
    NodeWrong,
    /// The node did not move in time.
    NodeSilent,
    /// Computing the step again gave the node's.
    ChallengerWrong,
    /// The challenger did not move in time.
    ChallengerSilent,
    /// Computing the step again gave neither.
    BothWrong,
}

impl Decision {
    fn of(dispute: &Dispute) -> Self {
        match dispute.outcome {
            1 => Self::NodeWrong,
            2 => Self::NodeSilent,
            3 => Self::ChallengerWrong,
            4 => Self::ChallengerSilent,
            5 => Self::BothWrong,
            _ => Self::Undecided,
        }
    }
}

/// What a member finds: `Checks.Verdict`, with what it says beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The chain of its own steps ends in the receipt's stream; with the digest of the scores on the way.
    Agree(B256),
    /// The first step that is another one, and its own head after it.
    Differs(u64, B256),
    /// The node did not give what it takes to tell.
    Withheld,
}

/// What a juror finds: `Disputes.Finding`, with the digest of the scores of the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The node's step.
    Node(B256),
    /// The challenger's step.
    Challenger(B256),
    /// Another step, or another head before it.
    Neither(B256),
    /// Nobody gave what it takes to tell.
    Unserved,
}

/// The contracts' state of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Of `Checks`.
    pub check: Check,
    /// Of `Disputes`; only looked at while the check is disputed.
    pub dispute: Dispute,
    /// The finalized height.
    pub height: u64,
}

/// What somebody who takes part does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// It is another's turn, or a block has to come.
    Wait,
    /// Nothing will follow.
    Over,
    /// As a member: commit to a verdict in the ballot with this number.
    Commit(u32),
    /// As a member: reveal it.
    Reveal(u32),
    /// Anyone: count.
    Conclude,
    /// As the node: lay everything open.
    Open,
    /// As the node: its head after so many steps.
    Post(u64),
    /// As the challenger: whether it has this head after so many steps.
    Answer(u64, B256),
    /// As the node: this step.
    ShowOwn(u64),
    /// As the challenger: this step.
    ShowOther(u64),
    /// Anyone: the other party is too late.
    Timeout,
    /// Anyone: draw the jury.
    Seat,
    /// As a juror: commit to a finding in the ballot with this number.
    CommitFinding(u32),
    /// As a juror: reveal it.
    RevealFinding(u32),
    /// Anyone: count the jury.
    Resolve,
}

/// The move that is `me`'s now.
pub fn next_move(state: &State, me: Address) -> Move {
    let check = &state.check;
    match check.phase {
        phase::NONE | phase::REQUESTED => Move::Wait,
        phase::VOTING => match in_ballot(&check.ballot, me, state.height) {
            Vote::Commit => Move::Commit(check.ballot.number),
            Vote::Reveal => Move::Reveal(check.ballot.number),
            Vote::Count => Move::Conclude,
            Vote::Wait => Move::Wait,
        },
        phase::DISPUTED => in_dispute(&state.dispute, me, state.height),
        phase::OPENING if state.height > check.deadline => Move::Conclude,
        phase::OPENING if check.node == me => Move::Open,
        phase::OPENING => Move::Wait,
        _ => Move::Over,
    }
}

fn in_dispute(dispute: &Dispute, me: Address, height: u64) -> Move {
    let is_late = height > dispute.deadline;
    let (is_node, is_challenger) = (dispute.claim.node == me, dispute.claim.challenger == me);
    let middle = dispute.low.midpoint(dispute.high);
    match dispute.phase {
        dispute_phase::POSTING
        | dispute_phase::ANSWERING
        | dispute_phase::NODE_STEP
        | dispute_phase::CHALLENGER_STEP
            if is_late =>
        {
            Move::Timeout
        }
        dispute_phase::POSTING if is_node => Move::Post(middle),
        dispute_phase::ANSWERING if is_challenger => Move::Answer(middle, dispute.middleHead),
        dispute_phase::NODE_STEP if is_node => Move::ShowOwn(dispute.low),
        dispute_phase::CHALLENGER_STEP if is_challenger => Move::ShowOther(dispute.low),
        dispute_phase::DRAWING if height > dispute.drawnBy => Move::Seat,
        dispute_phase::VOTING => match in_ballot(&dispute.ballot, me, height) {
            Vote::Commit => Move::CommitFinding(dispute.ballot.number),
            Vote::Reveal => Move::RevealFinding(dispute.ballot.number),
            Vote::Count => Move::Resolve,
            Vote::Wait => Move::Wait,
        },
        _ => Move::Wait,
    }
}

enum Vote {
    Commit,
    Reveal,
    Count,
    Wait,
}

/// What `me` has to do in a ballot, by the rules of the library `Committees`.
fn in_ballot(ballot: &Ballot, me: Address, height: u64) -> Vote {
    let seat = ballot.seats.iter().find(|seat| seat.node == me);
    let commitments_over = ballot.revealing || height > ballot.deadline;
    // Where nobody's commitment ended the first phase early, the second has its time after the first.
    let end = match ballot.revealing {
        true => ballot.deadline,
        false => ballot.deadline.saturating_add(REVEAL_BLOCKS),
    };
    let is_over = match ballot.revealing {
        true => ballot.revealed == ballot.committed || height > end,
        false => height > end || (height > ballot.deadline && ballot.committed == 0),
    };
    match seat.map(|seat| seat.state) {
        _ if is_over => Vote::Count,
        Some(0) if !commitments_over => Vote::Commit,
        Some(COMMITTED) if commitments_over => Vote::Reveal,
        _ => Vote::Wait,
    }
}

impl Move {
    /// Whether it is nobody's in particular.
    pub fn is_anyones(self) -> bool {
        matches!(
            self,
            Self::Conclude | Self::Timeout | Self::Seat | Self::Resolve
        )
    }

    /// The contract that it is made in.
    pub fn contract(self) -> Address {
        match self {
            Self::Wait
            | Self::Over
            | Self::Commit(_)
            | Self::Reveal(_)
            | Self::Conclude
            | Self::Open => CHECKS,
            _ => DISPUTES,
        }
    }
}

impl Verdict {
    fn said(self, salt: B256) -> Checks::Said {
        let (verdict, index, head, work) = match self {
            Self::Agree(work) => (1, 0, B256::ZERO, work),
            Self::Differs(index, head) => (2, index, head, B256::ZERO),
            Self::Withheld => (3, 0, B256::ZERO, B256::ZERO),
        };
        Checks::Said {
            verdict,
            index,
            head,
            work,
            salt,
        }
    }

    /// What commits a member to it.
    pub fn commitment(self, id: ReceiptId, number: u32, member: Address, salt: B256) -> B256 {
        let said = self.said(salt);
        let verdict = u16::from(said.verdict);
        let (index, head, work) = (said.index, said.head, said.work);
        let bound = (member, word(id), number, verdict, index, head, work, salt);
        keccak256(bound.abi_encode_params())
    }

    /// The call that commits a member to it.
    pub fn commit_call(self, id: ReceiptId, number: u32, member: Address, salt: B256) -> Bytes {
        let call = Checks::commitCall {
            id: word(id),
            member,
            commitment: self.commitment(id, number, member, salt),
        };
        call.abi_encode().into()
    }

    /// The call that reveals it.
    pub fn reveal_call(self, id: ReceiptId, member: Address, salt: B256) -> Bytes {
        let said = self.said(salt);
        let call = Checks::revealCall {
            id: word(id),
            member,
            said,
        };
        call.abi_encode().into()
    }
}

impl Finding {
    fn said(self, salt: B256) -> Disputes::Said {
        let (finding, work) = match self {
            Self::Node(work) => (1, work),
            Self::Challenger(work) => (2, work),
            Self::Neither(work) => (3, work),
            Self::Unserved => (4, B256::ZERO),
        };
        Disputes::Said {
            finding,
            work,
            salt,
        }
    }

    /// What commits a juror to it.
    pub fn commitment(self, id: ReceiptId, number: u32, juror: Address, salt: B256) -> B256 {
        let said = self.said(salt);
        let finding = u16::from(said.finding);
        let bound = (juror, word(id), number, finding, said.work, salt);
        keccak256(bound.abi_encode_params())
    }

    /// The call that commits a juror to it.
    pub fn commit_call(self, id: ReceiptId, number: u32, juror: Address, salt: B256) -> Bytes {
        let call = Disputes::commitCall {
            id: word(id),
            juror,
            commitment: self.commitment(id, number, juror, salt),
        };
        call.abi_encode().into()
    }

    /// The call that reveals it.
    pub fn reveal_call(self, id: ReceiptId, juror: Address, salt: B256) -> Bytes {
        let said = self.said(salt);
        let call = Disputes::revealCall {
            id: word(id),
            juror,
            said,
        };
        call.abi_encode().into()
    }
}

fn word(id: ReceiptId) -> B256 {
    B256::from(*id.as_bytes())
}

/// What the contracts know of a receipt.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn state(rpc: &RpcClient, id: ReceiptId) -> Result<State, RpcError> {
    let id = word(id);
    let height = rpc.height().await?;
    let check = rpc.view(CHECKS, &Checks::checkOfCall { id }).await?;
    let dispute = rpc.view(DISPUTES, &Disputes::disputeOfCall { id }).await?;
    Ok(State {
        check,
        dispute,
        height,
    })
}

/// What a receipt's check has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What the newest round came to.
    pub outcome: Outcome,
    /// Whether a round is under way.
    pub is_open: bool,
    /// The members of the newest round.
    pub members: Vec<Address>,
    /// Of those that were drawn when it was replayed, how many agreed: drawn, agreed.
    pub replayed: Option<(u8, u8)>,
    /// The block in which the node lost it.
    pub refuted_at: Option<u64>,
    /// How its newest dispute ended, and who the challenger was.
    pub dispute: Option<(Decision, Address)>,
}

/// What a receipt's check has come to.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn report(rpc: &RpcClient, id: ReceiptId) -> Result<Report, RpcError> {
    let State { check, dispute, .. } = state(rpc, id).await?;
    let id = word(id);
    let replays = rpc.view(CHECKS, &Checks::replaysCall { id }).await?;
    let refuted = rpc.view(CHECKS, &Checks::refutedAtCall { id }).await?;
    let refuted = refuted.saturating_to::<u64>();
    Ok(Report {
        outcome: Outcome::of(&check),
        is_open: (phase::REQUESTED..=phase::OPENING).contains(&check.phase),
        members: check.ballot.seats.iter().map(|seat| seat.node).collect(),
        replayed: (replays.blockNumber != 0).then_some((replays.drawn, replays.agreed)),
        refuted_at: (refuted != 0).then_some(refuted),
        dispute: (dispute.phase != 0).then(|| (Decision::of(&dispute), dispute.claim.challenger)),
    })
}

/// Has a committee drawn for a settled receipt: by the lottery, if that chose it, or else for [`FEE`] out of the account's
/// credits. Nothing is done where a check is under way, or the node has lost the receipt.
///
/// # Errors
/// As [`Wallet::execute`].
pub async fn begin(
    rpc: &RpcClient,
    account: &Wallet,
    (id, settled): (ReceiptId, &Settled<'_>),
) -> Result<(), Error> {
    let is_settled = async || {
        let known = report(rpc, id).await?;
        let is_lost = matches!(known.outcome, Outcome::Refuted | Outcome::Withheld);
        Ok::<_, Error>(is_lost || !known.members.is_empty() && known.is_open)
    };
    let mut chosen = due(rpc, settled).await;
    for _ in 0..LOTTERY_LOOKS {
        if !matches!(chosen, Ok(None)) {
            break;
        }
        tokio::time::sleep(crate::wallet::POLL_PAUSE).await;
        chosen = due(rpc, settled).await;
    }
    if is_settled().await? {
        return Ok(());
    }
    if chosen? != Some(true) || report(rpc, id).await?.outcome != Outcome::Open {
        let place = place(settled);
        let call = Checks::requestCall { place };
        crate::registry::approve(rpc, account, CHECKS, assay_receipt::Microcredits(FEE)).await?;
        let receipt = account
            .execute(rpc, CHECKS, call.abi_encode().into())
            .await?;
        // The hash of the block after it draws.
        wait_for(rpc, receipt.height().saturating_add(2)).await?;
    }
    match account.execute(rpc, CHECKS, begin_call(settled)).await {
        // Nodes that watch the lottery may have been faster.
        Err(_) if is_settled().await? || report(rpc, id).await?.outcome != Outcome::Open => Ok(()),
        begun => begun.map(drop),
    }
}

/// Whether the lottery chose a settled receipt; `None` while the block that decides is to come. One that settled long ago was
/// not chosen any more.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked, or the receipt is none that can be checked.
pub async fn due(rpc: &RpcClient, settled: &Settled<'_>) -> Result<Option<bool>, RpcError> {
    let call = Checks::dueCall {
        place: place(settled),
    };
    match rpc.view(CHECKS, &call).await {
        Ok(due) => Ok(Some(due)),
        Err(error) => match error.revert_data().and_then(|data| decode_revert(data)) {
            Some(Revert::RandomnessUnknown(unknown)) => {
                let block = unknown.blockNumber.saturating_to::<u64>();
                let is_early = rpc.height().await? <= block.saturating_add(1);
                Ok((!is_early).then_some(false))
            }
            _ => Err(error),
        },
    }
}

/// The call that draws a committee.
pub fn begin_call(settled: &Settled<'_>) -> Bytes {
    let place = place(settled);
    Checks::beginCall { place }.abi_encode().into()
}

async fn wait_for(rpc: &RpcClient, height: u64) -> Result<(), Error> {
    while rpc.height().await? < height {
        tokio::time::sleep(crate::wallet::POLL_PAUSE).await;
    }
    Ok(())
}

/// Whether `who` was drawn to check a receipt, or to judge over it, or disputes it.
pub fn is_drawn(state: &State, who: Address) -> bool {
    let ballots = [&state.check.ballot, &state.dispute.ballot];
    let mut seats = ballots.into_iter().flat_map(|ballot| &ballot.seats);
    seats.any(|seat| seat.node == who)
}

/// What `who` has committed to in a ballot; zero where it has not.
pub fn committed(ballot: &Ballot, who: Address) -> B256 {
    let seat = ballot.seats.iter().find(|seat| seat.node == who);
    seat.map_or(B256::ZERO, |seat| seat.word)
}

/// How many that take part come before `who` where all could do the same.
pub fn turn_of(state: &State, who: Address) -> u32 {
    let ballots = [&state.check.ballot, &state.dispute.ballot];
    let seats = ballots.into_iter().flat_map(|ballot| &ballot.seats);
    let mut all = std::iter::once(state.check.node).chain(seats.map(|seat| seat.node));
    let before = all.position(|node| node == who).unwrap_or_default();
    u32::try_from(before).unwrap_or(u32::MAX)
}

/// A commitment's fields, with the seed of its salts.
pub type Committed<'a> = (Vec<(&'a str, Vec<u8>)>, B256);

/// The call that lays open everything that a receipt commits to: input, parameters, output.
///
/// # Errors
/// [`Error::Receipt`] for fields that are too long.
pub fn open_call(signed: &SignedReceipt, groups: [Committed<'_>; 3]) -> Result<Bytes, Error> {
    let mut opened = Vec::with_capacity(groups.len());
    for (fields, seed) in groups {
        opened.push(opened_fields(&fields, seed)?);
    }
    let mut opened = opened.into_iter();
    let mut next = || opened.next().unwrap_or_default();
    let call = Checks::openCall {
        receipt: words(signed),
        opening: Checks::Opening {
            input: next(),
            parameters: next(),
            output: next(),
        },
    };
    Ok(call.abi_encode().into())
}

fn opened_fields(fields: &[(&str, Vec<u8>)], seed: B256) -> Result<Vec<Checks::Field>, Error> {
    let of = |(name, bytes)| Field { name, bytes };
    let committed: Vec<Field<'_>> = fields
        .iter()
        .map(|(name, bytes)| of((*name, bytes.as_slice())))
        .collect();
    let (_, opening) = commit(&committed, &SaltSeed::from_bytes(seed.0))?;
    fields
        .iter()
        .map(|(name, bytes)| {
            let disclosure = opening.disclose(name, bytes)?;
            Ok(Checks::Field {
                disclosure: Checks::Disclosure {
                    name: disclosure.name,
                    salt: disclosure.salt,
                    index: disclosure.path.index,
                    size: disclosure.path.size,
                    path: disclosure.path.siblings,
                },
                value: bytes.clone().into(),
            })
        })
        .collect()
}

/// The call by which a node says that it can check answers of a revision.
pub fn join_call(revision: RevisionId, node: Address) -> Bytes {
    let revision = B256::from(*revision.as_bytes());
    Checks::joinCall { revision, node }.abi_encode().into()
}

/// How many nodes can be drawn to check answers of a revision.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn checkers(rpc: &RpcClient, revision: RevisionId) -> Result<u64, RpcError> {
    let revision = B256::from(*revision.as_bytes());
    let call = Checks::serverCountCall { revision };
    Ok(rpc.view(CHECKS, &call).await?.saturating_to())
}

/// The head as a word.
pub fn head_word(head: Commitment) -> B256 {
    B256::from(*head.as_bytes())
}

#[cfg(test)]
mod tests;
