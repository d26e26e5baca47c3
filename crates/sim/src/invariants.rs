//! What must hold after every finalized block on every honest validator.

use crate::{
    error::{Error, Invariant},
    node_log::Logs,
    reference::Reference,
    validator::Seat,
};
use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolEvent as _;
use assay_chain::{
    application::Applied,
    block::Block,
    execution::Outcome,
    settlement::batch_of_transaction,
    spec::{
        BASE_FEE_WEI, CREDIT, MODEL_REGISTRY, NODE_REGISTRY, SETTLEMENT, Spec, VERIFIER,
        address_mapping_slot,
    },
    state::{StateKey, StateReader as _},
};
use assay_receipt::{Domain, NodeAddress, ReceiptId, RevisionId, SignedReceipt};
use assay_settle::verify::{MAX_CLOCK_SKEW_NS, SETTLEMENT_GRACE_NS};
use commonware_cryptography::Digestible as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::contract::{ModelPublished, NodeRegistered, NodeSlashed};

/// Storage slots of Credit (contracts/src/Credit.sol).
const BALANCES_SLOT: u64 = 0;
const SUPPLY_SLOT: u64 = 1;

/// Where a stream of one (node, revision) stands.
#[derive(Debug, Clone, Copy, Default)]
struct Stream {
    next: u64,
    head: ReceiptId,
}

/// A receipt that settled.
#[derive(Debug, Clone)]
pub(crate) struct SettledReceipt {
    /// Height of its block.
    pub(crate) height: u64,
    /// The receipt.
    pub(crate) signed: SignedReceipt,
}

/// Everything that is known of the finalized chain, and how far each validator was checked.
pub(crate) struct Checker {
    domain: Domain,
    logs: Logs,
    reference: Reference,
    blocks: Vec<B256>,
    outcomes: Vec<Outcome>,
    checked: Vec<u64>,
    accounts: Vec<Address>,
    supply_wei: U256,
    supply_credits: U256,
    burnt_wei: U256,
    burnt_credits: U256,
    bonded: BTreeSet<NodeAddress>,
    slashed: BTreeSet<NodeAddress>,
    revisions: BTreeSet<RevisionId>,
    streams: BTreeMap<(NodeAddress, RevisionId), Stream>,
    settled: BTreeMap<ReceiptId, SettledReceipt>,
    shown: BTreeMap<(NodeAddress, RevisionId, u64), ReceiptId>,
    equivocated: BTreeSet<NodeAddress>,
    refused: u64,
}

/// A broken promise, before it is known where.
type Breach = (Invariant, String);

impl Checker {
    /// Watches a network whose accounts are `accounts`, each with the same endowment.
    pub(crate) fn new(
        spec: &Spec,
        genesis: &Block,
        accounts: Vec<Address>,
        (each_wei, each_credits): (U256, U256),
        logs: Logs,
        seats: usize,
    ) -> Self {
        let count = U256::from(accounts.len());
        let contracts = [
            Address::ZERO,
            CREDIT,
            MODEL_REGISTRY,
            NODE_REGISTRY,
            SETTLEMENT,
            VERIFIER,
        ];
        Self {
            domain: spec.domain,
            logs,
            reference: Reference::new(spec.clone(), genesis),
            blocks: Vec::new(),
            outcomes: Vec::new(),
            checked: vec![0; seats],
            supply_wei: each_wei.saturating_mul(count),
            supply_credits: each_credits.saturating_mul(count),
            accounts: accounts.into_iter().chain(contracts).collect(),
            burnt_wei: U256::ZERO,
            burnt_credits: U256::ZERO,
            bonded: BTreeSet::new(),
            slashed: BTreeSet::new(),
            revisions: BTreeSet::new(),
            streams: BTreeMap::new(),
            settled: BTreeMap::new(),
            shown: BTreeMap::new(),
            equivocated: BTreeSet::new(),
            refused: 0,
        }
    }

    /// Height of the highest block that any honest validator finalized.
    pub(crate) fn height(&self) -> u64 {
        self.reference.height()
    }

    /// Digest of the block at [`Self::height`]; zero before the first.
    pub(crate) fn tip(&self) -> B256 {
        self.blocks.last().copied().unwrap_or_default()
    }

    /// Receipts that settled, by id.
    pub(crate) fn settled(&self) -> &BTreeMap<ReceiptId, SettledReceipt> {
        &self.settled
    }

    /// Transactions in blocks that failed: refused batches, repeated registrations.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether two receipts of `node` under one sequence number are in finalized blocks.
    pub(crate) fn equivocated(&self, node: NodeAddress) -> bool {
        self.equivocated.contains(&node)
    }

    /// Nodes whose bond was slashed.
    pub(crate) fn slashed(&self) -> &BTreeSet<NodeAddress> {
        &self.slashed
    }

    /// Checks every block that `seats` finalized since the last call.
    ///
    /// # Errors
    /// [`Error::Broken`] with the first promise that does not hold.
    pub(crate) async fn advance(&mut self, seats: &[Arc<Seat>], at_ms: u64) -> Result<(), Error> {
        for seat in seats.iter().filter(|seat| seat.honest) {
            let height = index_height(seat)?;
            let first = self
                .checked
                .get(seat.number)
                .copied()
                .unwrap_or_default()
                .saturating_add(1);
            for height in first..=height {
                let broken = |(invariant, detail)| Error::Broken {
                    at_ms,
                    height,
                    invariant,
                    detail,
                };
                self.check(seat, height).await.map_err(broken)?;
            }
            if let Some(checked) = self.checked.get_mut(seat.number) {
                *checked = height.max(*checked);
            }
        }
        Ok(())
    }

    async fn check(&mut self, seat: &Seat, height: u64) -> Result<(), Breach> {
        let block = seat
            .index
            .block(height)
            .map_err(|e| (Invariant::Execution, e.to_string()))?;
        let Some(block) = block else {
            return Err((
                Invariant::Execution,
                format!("validator {} lacks it", seat.number),
            ));
        };
        let digest = B256::from_slice(block.digest().as_ref());
        if height > self.height() {
            self.extend(&block, digest).await?;
        }
        let at = usize::try_from(height.saturating_sub(1)).unwrap_or(usize::MAX);
        let known = self.blocks.get(at).copied().unwrap_or_default();
        if known != digest {
            return Err((
                Invariant::Agreement,
                format!(
                    "validator {} has {digest}, another has {known}",
                    seat.number
                ),
            ));
        }
        self.check_index(seat, height, at)
    }

    /// Whether the validator's index says of the block what its execution says.
    fn check_index(&self, seat: &Seat, height: u64, at: usize) -> Result<(), Breach> {
        let Some(outcome) = self.outcomes.get(at) else {
            return Ok(());
        };
        let wrong = |what: &str| {
            (
                Invariant::Execution,
                format!("validator {}: {what}", seat.number),
            )
        };
        let settled = seat
            .index
            .settled(height)
            .map_err(|e| wrong(&e.to_string()))?;
        let receipts = seat
            .index
            .receipts(height)
            .map_err(|e| wrong(&e.to_string()))?;
        if settled != outcome.settled {
            return Err(wrong("its index lists other settled batches"));
        }
        if receipts != outcome.receipts {
            return Err(wrong("its index lists other transaction receipts"));
        }
        Ok(())
    }

    /// Takes the next block of the chain and checks what it does.
    async fn extend(&mut self, block: &Block, digest: B256) -> Result<(), Breach> {
        let height = block.header.height.get();
        let executed = self.reference.apply(block).await;
        let outcome = executed.map_err(|detail| (Invariant::Execution, detail))?;
        let fees = U256::from(outcome.gas_used).saturating_mul(U256::from(BASE_FEE_WEI));
        self.burnt_wei = self.burnt_wei.saturating_add(fees);
        self.refused = self.refused.saturating_add(failures(&outcome));
        let mut settled = outcome.settled.iter().peekable();
        for (at, raw) in (0u32..).zip(&block.transactions) {
            while settled.next_if(|batch| batch.transaction == at).is_some() {
                self.check_batch(raw, height, block.header.timestamp_ms)?;
            }
            self.note_events(&outcome, at);
            self.note_shown(raw);
        }
        self.check_balances().await?;
        self.blocks.push(digest);
        self.outcomes.push(Outcome {
            diff: Default::default(),
            ..outcome
        });
        Ok(())
    }

    fn note_events(&mut self, outcome: &Outcome, at: u32) {
        let receipt = usize::try_from(at)
            .ok()
            .and_then(|at| outcome.receipts.get(at));
        for log in receipt.into_iter().flat_map(|receipt| receipt.logs()) {
            if log.address == MODEL_REGISTRY {
                let event = ModelPublished::decode_log(log);
                self.revisions
                    .extend(event.ok().map(|e| RevisionId::from(e.revision)));
            }
            if log.address == NODE_REGISTRY {
                let event = NodeRegistered::decode_log(log);
                self.bonded
                    .extend(event.ok().map(|e| NodeAddress::from(e.node)));
                if let Ok(event) = NodeSlashed::decode_log(log) {
                    self.burnt_credits = self.burnt_credits.saturating_add(event.burnt);
                    self.bonded.remove(&event.node.into());
                    self.slashed.insert(event.node.into());
                }
            }
        }
    }

    /// Takes note of every signed receipt in a block, settled or refused.
    fn note_shown(&mut self, raw: &[u8]) {
        let Some(batch) = batch_of_transaction(raw) else {
            return;
        };
        for (id, signed) in batch.unpack(&self.domain) {
            let receipt = &signed.receipt;
            let place = (receipt.node, receipt.revision, receipt.sequence);
            if signed.verify(&self.domain).is_ok() && *self.shown.entry(place).or_insert(id) != id {
                self.equivocated.insert(receipt.node);
            }
        }
    }

    fn check_batch(&mut self, raw: &[u8], height: u64, now_ms: u64) -> Result<(), Breach> {
        let Some(batch) = batch_of_transaction(raw) else {
            return Err((Invariant::Authentic, "a batch settled that is none".into()));
        };
        for (id, signed) in batch.unpack(&self.domain) {
            self.check_receipt(id, &signed, now_ms)?;
            self.settled.insert(id, SettledReceipt { height, signed });
        }
        Ok(())
    }

    fn check_receipt(
        &mut self,
        id: ReceiptId,
        signed: &SignedReceipt,
        now_ms: u64,
    ) -> Result<(), Breach> {
        let receipt = &signed.receipt;
        let name = format!(
            "receipt {id} of node {}, sequence {}",
            receipt.node, receipt.sequence
        );
        if self.settled.contains_key(&id) {
            return Err((Invariant::SettledOnce, name));
        }
        if let Err(error) = signed.verify(&self.domain) {
            return Err((Invariant::Authentic, format!("{name}: {error}")));
        }
        if !self.bonded.contains(&receipt.node) {
            return Err((
                Invariant::Authentic,
                format!("{name}: the node has no bond"),
            ));
        }
        if !self.revisions.contains(&receipt.revision) {
            return Err((Invariant::Authentic, format!("{name}: unknown revision")));
        }
        let now_ns = now_ms.saturating_mul(1_000_000);
        if receipt.deadline_ns.saturating_add(SETTLEMENT_GRACE_NS) < now_ns {
            return Err((
                Invariant::Authentic,
                format!("{name}: it is long past its deadline"),
            ));
        }
        if receipt.times.end_ns > now_ns.saturating_add(MAX_CLOCK_SKEW_NS) {
            return Err((
                Invariant::Authentic,
                format!("{name}: it is from the future"),
            ));
        }
        if self.logs.denies(receipt, id) {
            return Err((Invariant::Log, name));
        }
        let stream = self
            .streams
            .entry((receipt.node, receipt.revision))
            .or_default();
        if receipt.sequence != stream.next || receipt.previous != stream.head {
            return Err((Invariant::Order, format!("{name}: {} was due", stream.next)));
        }
        *stream = Stream {
            next: stream.next.saturating_add(1),
            head: id,
        };
        Ok(())
    }

    async fn check_balances(&self) -> Result<(), Breach> {
        let mut wei = self.burnt_wei;
        let mut credits = U256::ZERO;
        for account in &self.accounts {
            let slot = address_mapping_slot(*account, BALANCES_SLOT);
            wei = wei.saturating_add(self.reference.balance(*account).await);
            credits = credits.saturating_add(self.reference.slot(CREDIT, slot).await);
        }
        let supply = self.reference.slot(CREDIT, U256::from(SUPPLY_SLOT)).await;
        let lost = |what: &str, is: U256, due: U256| {
            (
                Invariant::Conservation,
                format!("{what} {is}, {due} were due"),
            )
        };
        if wei != self.supply_wei {
            return Err(lost("wei with those burnt:", wei, self.supply_wei));
        }
        if credits != supply {
            return Err(lost("the sum of credit balances is", credits, supply));
        }
        let made = supply.saturating_add(self.burnt_credits);
        if made != self.supply_credits {
            return Err(lost("credits with those burnt:", made, self.supply_credits));
        }
        Ok(())
    }

    /// Acknowledged receipts of honest nodes that have not settled.
    pub(crate) fn missing(&self) -> Vec<ReceiptId> {
        let all = self.logs.acknowledged();
        all.into_iter()
            .filter(|id| !self.settled.contains_key(id))
            .collect()
    }

    /// Whether every honest validator was checked up to `height`.
    pub(crate) fn all_reached(&self, seats: &[Arc<Seat>], height: u64) -> bool {
        let honest = seats.iter().filter(|seat| seat.honest);
        honest
            .map(|seat| self.checked.get(seat.number).copied().unwrap_or_default())
            .all(|checked| checked >= height)
    }

    /// Compares the database of `seat` with the state that its blocks say, if it stands at the
    /// height of the reference; returns whether it did.
    ///
    /// # Errors
    /// The keys that differ.
    pub(crate) async fn compare_state(&self, seat: &Seat) -> Result<bool, String> {
        let Some(live) = seat.live() else {
            return Ok(false);
        };
        let tip = live.shelf.tip();
        let height =
            |tip: &tokio::sync::watch::Receiver<assay_chain::application::Tip>| tip.borrow().height;
        if height(&tip) != self.height() {
            return Ok(false);
        }
        let words = self.reference.words();
        let keys: Vec<StateKey> = words.0.keys().copied().collect();
        let read = Applied(live.databases.clone()).read_many(&keys).await;
        if height(&tip) != self.height() {
            return Ok(false);
        }
        let read = read.map_err(|error| error.to_string())?;
        let differ = words
            .0
            .values()
            .zip(&read)
            .filter(|(due, is)| Some(**due) != **is)
            .count();
        if differ > 0 {
            return Err(format!(
                "validator {}: {differ} of {} words differ",
                seat.number,
                keys.len()
            ));
        }
        Ok(true)
    }
}

fn failures(outcome: &Outcome) -> u64 {
    let failed = outcome
        .receipts
        .iter()
        .filter(|receipt| !receipt.status())
        .count();
    u64::try_from(failed).unwrap_or(u64::MAX)
}

/// Height of a validator's index; zero for none.
///
/// # Errors
/// [`Error::Setup`] if memory fails.
pub(crate) fn index_height(seat: &Seat) -> Result<u64, Error> {
    let height = seat
        .index
        .height()
        .map_err(|error| Error::Setup(error.to_string()))?;
    Ok(height.unwrap_or_default())
}

#[cfg(test)]
mod tests;
