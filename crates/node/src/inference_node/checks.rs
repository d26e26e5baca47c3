//! The part of a node that takes part in checks on chain: as a member of a committee, as the node whose answer is checked,
//! as a challenger, as a juror.
//!
//! Nothing of it is remembered: the contracts say what is due, and what was computed can be computed again. So a node that
//! was stopped in the middle goes on where it was.

mod compute;
mod lottery;
mod material;

pub use material::{Kept, Material, MaterialRequest};

use crate::{
    abi::{Checks, Disputes, words},
    api::generate::MATERIAL_PATH,
    checks::{self, Finding, Move, State, Verdict, next_move},
    clock::now_ns,
    error::Error,
    gateway::ask::Asker,
    inference_node::{Node, drill::Lie, link::Link},
    log_pages::{LogPages, RawLog},
    problem::{Kind, Problem},
    reach::Reach,
    registry,
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::{SolCall as _, SolEvent as _};
use assay_chain::{
    light,
    spec::{CHECKS, DISPUTES},
};
use assay_receipt::{NodeAddress, Receipt, ReceiptId, RevisionId, SignedReceipt};
use compute::{Own, compute};
use material::heads;
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// Between two looks at the chain.
const POLL: Duration = Duration::from_millis(200);
/// How long each leaves what anyone may do to those before: until a transaction is in a finalized block.
const TURN: Duration = Duration::from_millis(800);
/// Blocks back from the start in which a check can have begun that is not over: three rounds with all their time.
const LOOK_BACK: u64 = 10_000;
/// Duties at once; the contract excuses who has more than 32.
const MAX_DUTIES: usize = 64;
/// How long material is asked for before it counts as withheld.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a node may take to give it.
const ASK_TIME: Duration = Duration::from_secs(10);
/// Between two attempts to get it.
const RETRY: Duration = Duration::from_millis(500);

/// Takes part until the node stops, if it does so at all.
pub(super) fn start(node: &Arc<Node>, link: Arc<Link>, reach: Reach) -> Option<JoinHandle<()>> {
    node.is_checked
        .then(|| tokio::spawn(run(node.clone(), link, reach)))
}

async fn run(node: Arc<Node>, link: Arc<Link>, reach: Reach) {
    let shutdown = node.shutdown.clone();
    let asker = match Asker::new(ASK_TIME, reach) {
        Ok(asker) => asker,
        Err(error) => {
            tracing::error!(%error, "this node takes no part in checks");
            return;
        }
    };
    let part = Arc::new(Part { node, link, asker });
    let work = async {
        part.join().await;
        tokio::join!(part.follow(), lottery::watch(&part));
    };
    tokio::select! {
        () = work => {}
        () = shutdown.requested() => {}
    }
}

/// A node's part in checks.
struct Part {
    node: Arc<Node>,
    link: Arc<Link>,
    asker: Asker,
}

/// The transaction of which a check's receipt is told.
#[derive(Debug, Deserialize)]
struct Transaction {
    input: Bytes,
}

impl Part {
    fn address(&self) -> Address {
        Address::from(self.node.address)
    }

    /// The language models that it serves.
    fn speaking(&self) -> BTreeSet<RevisionId> {
        let served = self.node.models.all();
        let speaking = served.iter().filter(|served| served.speaker.is_some());
        speaking.map(|served| served.entry.revision).collect()
    }

    /// Says, for each language model, that the node can check answers of it; as soon as it is registered.
    async fn join(&self) {
        let mut left = self.speaking();
        while !left.is_empty() {
            for revision in left.clone() {
                let call = checks::join_call(revision, self.address());
                match self.link.submit(CHECKS, call, "joining the checkers").await {
                    Ok(_) => {
                        tracing::info!(%revision, "this node can be drawn to check answers");
                        left.remove(&revision);
                    }
                    Err(error) if error.to_string().contains("AlreadyJoined") => {
                        left.remove(&revision);
                    }
                    Err(error) => tracing::debug!(%error, "not joined yet"),
                }
            }
            tokio::time::sleep(POLL.saturating_mul(5)).await;
        }
    }

    /// Finds duties, and sees to each on a task of its own.
    async fn follow(self: &Arc<Self>) {
        let tip = loop {
            match self.link.rpc.height().await {
                Ok(height) => break height,
                Err(_) => tokio::time::sleep(POLL).await,
            }
        };
        let from = tip.saturating_sub(LOOK_BACK);
        let pages = |contract, topic| {
            LogPages::new(self.link.rpc.clone(), contract, vec![vec![topic]], from)
        };
        let mut committees = pages(CHECKS, Checks::CommitteeDrawn::SIGNATURE_HASH);
        let mut juries = pages(DISPUTES, Disputes::JuryDrawn::SIGNATURE_HASH);
        let mut told: BTreeMap<B256, B256> = BTreeMap::new();
        let mut duties = tokio::task::JoinSet::new();
        let mut busy: BTreeMap<B256, tokio::task::AbortHandle> = BTreeMap::new();
        loop {
            let mut found = Vec::new();
            if let Ok(page) = committees.page().await {
                for event in page.events {
                    found.extend(self.committee(&event, &mut told));
                }
            }
            if let Ok(page) = juries.page().await {
                found.extend(page.events.iter().filter_map(|event| self.jury(event)));
            }
            while duties.try_join_next().is_some() {}
            busy.retain(|_, task| !task.is_finished());
            for id in found {
                let Some(transaction) = told.get(&id).copied() else {
                    continue;
                };
                if !busy.contains_key(&id) && busy.len() < MAX_DUTIES {
                    let duty = Duty::new(self.clone(), id, transaction);
                    busy.insert(id, duties.spawn(duty.run()));
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The receipt of a drawn committee, if this node has a part in it.
    fn committee(&self, event: &RawLog, told: &mut BTreeMap<B256, B256>) -> Option<B256> {
        let drawn = Checks::CommitteeDrawn::decode_raw_log(&event.topics, &event.data).ok()?;
        told.insert(drawn.receiptId, event.transaction_hash);
        let me = self.address();
        (drawn.node == me || drawn.members.contains(&me)).then_some(drawn.receiptId)
    }

    /// The receipt of a drawn jury, if this node is of it.
    fn jury(&self, event: &RawLog) -> Option<B256> {
        let drawn = Disputes::JuryDrawn::decode_raw_log(&event.topics, &event.data).ok()?;
        let is_juror = drawn.members.contains(&self.address());
        is_juror.then_some(drawn.receiptId)
    }

    /// The receipt that a check is of: named in the transaction that began it, proven by the network's key.
    async fn receipt(&self, id: B256, transaction: B256) -> Result<SignedReceipt, Error> {
        let rpc = &self.link.rpc;
        let told: Transaction = rpc
            .request("eth_getTransactionByHash", json!([transaction]))
            .await?;
        let unknown = || Error::Unprovable("the receipt of a check is not told".into());
        let begun = Checks::beginCall::abi_decode(&told.input).map_err(|_| unknown())?;
        let named = begun.place.receipt;
        let (node, revision) = (
            NodeAddress::from(named.node),
            RevisionId::from(named.revision),
        );
        let proof = rpc.receipt_proof(node, revision, named.sequence).await?;
        let settled = proof.and_then(|proof| light::verify(&self.link.network, &proof).ok());
        let settled = settled.filter(|settled| *settled.id.as_bytes() == id.0);
        settled.map(|settled| settled.receipt).ok_or_else(unknown)
    }

    /// What was laid open on chain of a receipt since a block.
    async fn opened(&self, id: B256, since: u64) -> Result<Option<Material>, Error> {
        let topics = vec![vec![Checks::Opened::SIGNATURE_HASH], vec![id]];
        let mut pages = LogPages::new(self.link.rpc.clone(), CHECKS, topics, since);
        let mut found = None;
        loop {
            let page = pages.page().await?;
            found = page
                .events
                .last()
                .map(|event| event.transaction_hash)
                .or(found);
            if page.caught_up {
                break;
            }
        }
        let Some(transaction) = found else {
            return Ok(None);
        };
        let rpc = &self.link.rpc;
        let told: Transaction = rpc
            .request("eth_getTransactionByHash", json!([transaction]))
            .await?;
        let call = Checks::openCall::abi_decode(&told.input).ok();
        Ok(call.and_then(|call| Material::opened(&call.opening)))
    }

    /// The material of a receipt from a node that should have it.
    async fn ask(
        &self,
        of: NodeAddress,
        receipt: &Receipt,
        id: ReceiptId,
    ) -> Result<Material, String> {
        let record = registry::node(&self.link.rpc, of).await;
        let record = record.map_err(|error| error.to_string())?;
        let request = MaterialRequest::sign(id, now_ns(), &self.node.key, &self.node.domain);
        let endpoint = &record.endpoint;
        let material = self
            .asker
            .exchange::<Material>(endpoint, MATERIAL_PATH, &request)
            .await;
        let material = material.map_err(|problem| problem.to_string())?;
        material.check(receipt).map_err(str::to_owned)?;
        Ok(material)
    }
}

/// One receipt in whose check this node has a part.
struct Duty {
    part: Arc<Part>,
    word: B256,
    transaction: B256,
    receipt: Option<SignedReceipt>,
    own: Option<(Arc<Material>, Own)>,
    asked_since: Option<Instant>,
}

impl Duty {
    fn new(part: Arc<Part>, word: B256, transaction: B256) -> Self {
        Self {
            part,
            word,
            transaction,
            receipt: None,
            own: None,
            asked_since: None,
        }
    }

    fn id(&self) -> ReceiptId {
        ReceiptId::from(self.word)
    }

    async fn run(mut self) {
        loop {
            let state = checks::state(&self.part.link.rpc, self.id()).await;
            let step = match state {
                Ok(state) => match next_move(&state, self.part.address()) {
                    Move::Over => return,
                    Move::Wait => Ok(()),
                    step => self.act(step, &state).await,
                },
                Err(error) => Err(error.into()),
            };
            if let Err(error) = step {
                tracing::debug!(id = %self.id(), %error, "a move in a check was not made");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn act(&mut self, step: Move, state: &State) -> Result<(), Error> {
        if step.is_anyones() {
            // All see it at the same time; the first of them is enough.
            let turn = checks::turn_of(state, self.part.address());
            tokio::time::sleep(TURN.saturating_mul(turn)).await;
            let now = checks::state(&self.part.link.rpc, self.id()).await?;
            if next_move(&now, self.part.address()) != step {
                return Ok(());
            }
        }
        let (contract, data) = match self.call(step, state).await? {
            Some(call) => call,
            None => return Ok(()),
        };
        let height = self
            .part
            .link
            .submit(contract, data, "a move in a check")
            .await?;
        tracing::info!(id = %self.id(), ?step, height, "a move in a check was made");
        Ok(())
    }

    /// The call that makes a move.
    async fn call(&mut self, step: Move, state: &State) -> Result<Option<(Address, Bytes)>, Error> {
        let (id, me, word) = (self.id(), self.part.address(), self.word);
        let signed = self.signed().await?;
        let receipt = &signed.receipt;
        let data: Bytes = match step {
            Move::Wait | Move::Over => return Ok(None),
            Move::Commit(number) => {
                let verdict = self.verdict(receipt, state).await?;
                verdict.commit_call(id, number, me, self.salt(number))
            }
            Move::Reveal(number) => {
                let verdict = self.committed_verdict(receipt, state, number).await?;
                verdict.reveal_call(id, me, self.salt(number))
            }
            Move::Conclude => {
                let receipt = words(&signed);
                Checks::concludeCall { receipt }.abi_encode().into()
            }
            Move::Open => checks::open_call(&signed, self.kept(receipt)?.committed())?,
            Move::Post(steps) => {
                let heads = heads(receipt, &self.kept(receipt)?.steps());
                let head = usize::try_from(steps)
                    .ok()
                    .and_then(|at| heads.get(at).copied());
                let head = checks::head_word(head.ok_or_else(lost)?);
                Disputes::postCall { id: word, head }.abi_encode().into()
            }
            Move::Answer(steps, head) => {
                let own = self.own(receipt).await?;
                let same = own.head(receipt, steps) == Some(head);
                Disputes::answerCall { id: word, same }.abi_encode().into()
            }
            Move::ShowOwn(at) => {
                let steps = self.kept(receipt)?.steps();
                let step = usize::try_from(at).ok().and_then(|at| steps.get(at));
                let step = step.ok_or_else(lost)?.to_vec().into();
                Disputes::showNodeStepCall { id: word, step }
                    .abi_encode()
                    .into()
            }
            Move::ShowOther(at) => {
                let own = self.own(receipt).await?;
                let step = usize::try_from(at).ok().and_then(|at| own.step(at));
                let step = step.ok_or_else(lost)?.into();
                Disputes::showChallengerStepCall { id: word, step }
                    .abi_encode()
                    .into()
            }
            Move::Timeout => Disputes::timeoutCall { id: word }.abi_encode().into(),
            Move::Seat => Disputes::seatCall { id: word }.abi_encode().into(),
            Move::CommitFinding(number) => {
                let finding = self.finding(receipt, state).await;
                finding.commit_call(id, number, me, self.salt(number))
            }
            Move::RevealFinding(number) => {
                let finding = self.committed_finding(receipt, state, number).await;
                finding.reveal_call(id, me, self.salt(number))
            }
            Move::Resolve => Disputes::resolveCall { id: word }.abi_encode().into(),
        };
        Ok(Some((step.contract(), data)))
    }

    async fn signed(&mut self) -> Result<SignedReceipt, Error> {
        if let Some(receipt) = &self.receipt {
            return Ok(receipt.clone());
        }
        let receipt = self.part.receipt(self.word, self.transaction).await?;
        Ok(self.receipt.insert(receipt).clone())
    }

    /// What nobody can guess and this node can tell again: a signature over what it is for.
    fn salt(&self, number: u32) -> B256 {
        let mut bytes = b"assay checks salt".to_vec();
        bytes.extend_from_slice(self.word.as_slice());
        bytes.extend_from_slice(&number.to_be_bytes());
        let signature = self.part.node.key.sign_digest(&keccak256(&bytes).0);
        keccak256(signature.as_bytes())
    }

    fn kept(&self, receipt: &Receipt) -> Result<Material, Error> {
        self.part.node.kept.load(receipt.request).ok_or_else(lost)
    }

    /// What this node computes of the answer.
    async fn own(&mut self, receipt: &Receipt) -> Result<Own, Error> {
        if let Some((_, own)) = &self.own {
            return Ok(own.clone());
        }
        let material = self.material(receipt).await?;
        let served = self.part.node.models.served(receipt.revision);
        let speaker = served.and_then(|served| served.speaker.clone());
        let speaker = speaker.ok_or_else(|| Error::Unprovable("the model is not served".into()))?;
        let own = compute(&speaker, &material, receipt).await;
        let own = own.ok_or_else(|| Error::Unprovable("the engine stopped".into()))?;
        let own = match self.part.node.drill.lie() {
            Some(Lie::Verdict) => own.falsified(),
            _ => own,
        };
        self.part.node.kept.note(self.id(), material.clone());
        self.own = Some((Arc::new(material), own.clone()));
        Ok(own)
    }

    /// From the node that answered, or from who disputes its answer.
    async fn material(&mut self, receipt: &Receipt) -> Result<Material, Error> {
        let State { check, dispute, .. } = checks::state(&self.part.link.rpc, self.id()).await?;
        if check.opened {
            let opened = self.part.opened(self.word, check.cutoff).await?;
            return opened.ok_or_else(lost);
        }
        let mut holders = vec![receipt.node];
        if dispute.claim.challenger != Address::ZERO {
            holders.push(NodeAddress::from(dispute.claim.challenger));
        }
        let mut reason = String::new();
        for holder in holders
            .into_iter()
            .filter(|holder| *holder != self.part.node.address)
        {
            match self.part.ask(holder, receipt, self.id()).await {
                Ok(material) => return Ok(material),
                Err(why) => reason = why,
            }
        }
        Err(Error::Unprovable(reason))
    }

    /// What this node says of the answer. Without material it waits, and then says that it is withheld; what is laid open
    /// on chain is there.
    async fn verdict(&mut self, receipt: &Receipt, state: &State) -> Result<Verdict, Error> {
        match self.own(receipt).await {
            Ok(own) => {
                let (material, _) = self.own.as_ref().ok_or_else(lost)?;
                Ok(own.verdict(material, receipt))
            }
            Err(error) => {
                let since = *self.asked_since.get_or_insert_with(Instant::now);
                if since.elapsed() < PATIENCE || state.check.opened {
                    tokio::time::sleep(RETRY).await;
                    return Err(error);
                }
                tracing::warn!(%error, id = %self.id(), "a node withholds what it takes to check its answer");
                Ok(Verdict::Withheld)
            }
        }
    }

    /// What it committed to: that the answer is withheld, or what it computes. What was not there may be there by now.
    async fn committed_verdict(
        &mut self,
        receipt: &Receipt,
        state: &State,
        number: u32,
    ) -> Result<Verdict, Error> {
        let (me, salt) = (self.part.address(), self.salt(number));
        let withheld = Verdict::Withheld.commitment(self.id(), number, me, salt);
        match withheld == checks::committed(&state.check.ballot, me) {
            true => Ok(Verdict::Withheld),
            false => self.verdict(receipt, state).await,
        }
    }

    /// As [`Self::committed_verdict`], as a juror.
    async fn committed_finding(
        &mut self,
        receipt: &Receipt,
        state: &State,
        number: u32,
    ) -> Finding {
        let (me, salt) = (self.part.address(), self.salt(number));
        let unserved = Finding::Unserved.commitment(self.id(), number, me, salt);
        match unserved == checks::committed(&state.dispute.ballot, me) {
            true => Finding::Unserved,
            false => self.finding(receipt, state).await,
        }
    }

    async fn finding(&mut self, receipt: &Receipt, state: &State) -> Finding {
        let since = Instant::now();
        loop {
            match self.own(receipt).await {
                Ok(own) => return own.finding(&state.dispute, receipt),
                Err(error) if since.elapsed() > PATIENCE => {
                    tracing::warn!(%error, id = %self.id(), "nobody gives what it takes to judge");
                    return Finding::Unserved;
                }
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

fn lost() -> Error {
    Error::Unprovable("what this node kept of its answer is lost".into())
}

impl Node {
    /// Gives what it takes to compute an answer again to who was drawn to do it.
    ///
    /// # Errors
    /// [`Problem`] for others, and where nothing is kept.
    pub(super) async fn material(&self, request: MaterialRequest) -> Result<Material, Problem> {
        let refused = |detail: &str| Problem::new(Kind::UnknownReceipt, detail);
        request.verify(now_ns(), &self.domain).map_err(refused)?;
        let unknown = || Problem::new(Kind::UnknownReceipt, "nothing is kept of this receipt");
        let id = request.receipt_id;
        let material = match self.writer.store().find(&id).ok().flatten() {
            Some((entry, _)) => self.kept.load(entry.signed.receipt.request),
            None => self.kept.noted(id),
        };
        let material = material.ok_or_else(unknown)?;
        let state = checks::state(&self.rpc, id).await;
        let state = state.map_err(|error| Problem::new(Kind::Unavailable, error).retry_after(1))?;
        match checks::is_drawn(&state, Address::from(request.asker)) {
            true => Ok(material),
            false => Err(refused("only who was drawn to check the receipt gets this")),
        }
    }
}
