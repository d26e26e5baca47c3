//! The prover: behind the answers that were promised with a proof, the earliest deadline first.
//!
//! A job waits on disk until its turn, then until its receipt has settled and a block after that is final. It is proven
//! under that block's hash, in one proof with what of its revision waited beside it, and the proof goes to the chain. A job
//! that fails says why and makes room for the next.

mod queue;
mod record;

pub(super) use queue::Uncancelled;

use crate::{
    abi::Settled,
    api::{Opening, ProofReport, ProofState},
    clock::now_ns,
    cpu::{Spent, Workers},
    error::Error,
    inference_node::link::Link,
    proofs::{self, MAX_ANSWERS, Opened, Registered},
    secret::Commitments,
    shutdown::Shutdown,
};
use alloy_primitives::{B256, Bytes};
use assay_chain::{
    light::ReceiptProof,
    precompile::proofs::WORK_GAS,
    spec::{PROOFS, TRANSACTION_GAS_LIMIT},
};
use assay_inference::{NamedTensors, npy, provable::Provable};
use assay_receipt::{Domain, Field, ReceiptId, RevisionId, SaltSeed, SignedReceipt};
use assay_zkml::{Setting, Watch};
use assay_zkml_verify::Row;
use futures::future::join_all;
use queue::{Jobs, Ticket};
use record::{Job, Named, Records};
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// Of a transaction's gas, what a circuit's work may take in one proof; the rest pays for the data.
const WORK_GAS_LIMIT: u64 = TRANSACTION_GAS_LIMIT / 2;

/// Most answers in one proof that hides: it is longer, and a call with more might not fit a transaction.
const MAX_HIDDEN: usize = 4;
/// Blocks back from the newest whose hash is surely still known while a proof is made and sent; the contract knows 256.
const KNOWN_BLOCKS: u64 = 128;
/// Times that a proof is made anew since the commitment was renewed while it was made.
const RENEWALS: usize = 2;

/// What the answers of a node's revisions are proven with.
pub(super) type Proving = BTreeMap<RevisionId, Arc<Commitments>>;

/// An answer that was promised with a proof.
pub(super) struct Promise {
    pub(super) signed: SignedReceipt,
    pub(super) id: ReceiptId,
    pub(super) inputs: NamedTensors,
    pub(super) outputs: NamedTensors,
    pub(super) opening: Opening,
    /// CPU time of the inference.
    pub(super) infer_cpu: Duration,
    /// When proving has to have begun, Unix ns.
    pub(super) prove_by_ns: Option<u64>,
}

/// What waits to be proven, and what became of it.
pub(super) struct Prover {
    proving: Proving,
    records: Records,
    workers: Workers,
    jobs: Mutex<Jobs>,
    arrived: Notify,
    /// The node stops: no phase of a proof begins any more.
    stopping: AtomicBool,
}

impl std::fmt::Debug for Prover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prover").finish_non_exhaustive()
    }
}

/// A job whose receipt has settled.
struct Ready {
    job: Job,
    place: ReceiptProof,
    height: u64,
}

/// A proof of several answers, with what it took.
struct Proof {
    answers: proofs::Proven,
    spent: Spent,
}

impl Prover {
    /// A prover with what an earlier one left in the node's data folder.
    ///
    /// # Errors
    /// [`Error::Config`] if the disk refuses, [`Error::System`] without threads.
    pub(super) fn open(proving: Proving, data: &Path, domain: Domain) -> Result<Self, Error> {
        let records = Records::open(data, domain)?;
        let mut jobs = Jobs::default();
        for job in records.restore()? {
            jobs.insert(Ticket::from(&job));
        }
        Ok(Self {
            proving,
            records,
            workers: Workers::start()?,
            jobs: Mutex::new(jobs),
            arrived: Notify::new(),
            stopping: AtomicBool::new(false),
        })
    }

    /// Whether another job finds room.
    pub(super) fn has_room(&self) -> bool {
        self.jobs().has_room()
    }

    /// Takes a job, which is on disk when this returns, or says in its report why not.
    pub(super) async fn push(self: &Arc<Self>, promise: Promise) {
        let (id, prover) = (promise.id, self.clone());
        let kept = tokio::task::spawn_blocking(move || prover.keep(promise));
        let kept = kept.await.unwrap_or(Err(Error::PartEnded("the prover")));
        if let Err(error) = kept {
            tracing::warn!(%id, %error, "an answer will not be proven");
            let report = ProofReport::failed(&error.to_string());
            self.jobs().note(id, report);
        }
    }

    fn keep(&self, promise: Promise) -> Result<(), Error> {
        let unprovable = |reason: &str| Err(Error::Unprovable(reason.into()));
        let job = Job {
            input: Named::one(&promise.inputs)?,
            output: Named::one(&promise.outputs)?,
            signed: promise.signed,
            id: promise.id,
            opening: promise.opening,
            infer_cpu_us: micros(promise.infer_cpu),
            prove_by_ns: promise.prove_by_ns,
        };
        if !job.fits() {
            return unprovable("its tensors are longer than a transaction");
        }
        if !self.has_room() {
            return unprovable("too many proofs wait at this node");
        }
        let kept = self.records.keep(&job);
        kept.map_err(|source| Error::System {
            what: "keeping what is to be proven",
            source,
        })?;
        let mut jobs = self.jobs();
        // Others may have come while it was written.
        if !jobs.has_room() {
            drop(jobs);
            self.records.remove(&job.id);
            return unprovable("too many proofs wait at this node");
        }
        jobs.insert(Ticket::from(&job));
        drop(jobs);
        self.arrived.notify_one();
        Ok(())
    }

    /// Jobs of a revision that wait for their turn.
    pub(super) fn waiting(&self, revision: &RevisionId) -> usize {
        self.jobs().waiting(revision)
    }

    /// What became of a job; `None` if there was none, or long ago.
    pub(super) fn report(&self, id: &ReceiptId) -> Option<ProofReport> {
        self.jobs().report(id)
    }

    /// Takes a job out that has not begun, for whoever has its opening.
    pub(super) fn cancel(
        &self,
        id: &ReceiptId,
        opening: &Opening,
    ) -> Result<ProofReport, Uncancelled> {
        let report = self.jobs().cancel(id, opening)?;
        self.records.remove(id);
        Ok(report)
    }

    /// Proves what comes, until `shutdown`; what is not proven by then stays on disk.
    pub(super) async fn run(self: Arc<Self>, link: Arc<Link>, shutdown: Shutdown) {
        while !shutdown.is_requested() {
            let batch = self.jobs().take(|revision| self.most_of(revision));
            let proving = async {
                match batch.is_empty() {
                    true => self.arrived.notified().await,
                    false => self.serve(&link, batch).await,
                }
            };
            tokio::select! {
                () = proving => {}
                () = shutdown.requested() => break,
            }
        }
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Most answers of a revision in one proof: what the contract takes and a transaction's gas pays for.
    fn most_of(&self, revision: &RevisionId) -> usize {
        let Some(commitments) = self.proving.get(revision) else {
            return 1;
        };
        let circuit = commitments.engine().provable().model().prepared().circuit();
        let pays = |log: &u32| WORK_GAS.saturating_mul(circuit.work(*log)) <= WORK_GAS_LIMIT;
        let most = if commitments.hides() {
            MAX_HIDDEN
        } else {
            MAX_ANSWERS
        };
        let logs = (0..=most.ilog2()).rev();
        logs.into_iter().find(pays).map_or(1, |log| 1 << log)
    }

    /// Sees a batch through; each of it is proven or has its reason when this returns.
    async fn serve(self: &Arc<Self>, link: &Link, batch: Vec<Ticket>) {
        let settled = batch.iter().map(|ticket| self.settled(link, ticket));
        let settled = join_all(settled).await;
        let now_ns = now_ns();
        let begun = self.jobs().begin();
        let mut ready = Vec::new();
        for (ticket, settled) in batch.iter().zip(settled) {
            match settled {
                _ if !begun.contains(&ticket.id) => {}
                Ok(Some(_)) if ticket.is_late(now_ns) => {
                    let reason = "the time by which proving had to begin is over";
                    self.fail(ticket.id, &Error::Unprovable(reason.into()));
                }
                Ok(Some(one)) => ready.push(one),
                Ok(None) => {}
                Err(error) => self.fail(ticket.id, &error),
            }
        }
        let ready = Arc::new(ready);
        if ready.is_empty() {
            return;
        }
        let Err(error) = self.prove(link, &ready).await else {
            return;
        };
        if ready.len() == 1 || waits(&error) {
            return ready.iter().for_each(|one| self.fail(one.job.id, &error));
        }
        // What is wrong with one of them keeps no other from its proof.
        tracing::warn!(%error, answers = ready.len(), "a batch was not proven: each is proven alone");
        for one in Arc::into_inner(ready).unwrap_or_default() {
            let (id, one) = (one.job.id, Arc::new(vec![one]));
            if let Err(error) = self.prove(link, &one).await {
                self.fail(id, &error);
            }
        }
    }

    /// A job with the place of its receipt, once that has settled; `None` for one that is proven already.
    async fn settled(&self, link: &Link, ticket: &Ticket) -> Result<Option<Ready>, Error> {
        let job = self.records.load(&ticket.id);
        // Of a node that was stopped after it had sent a proof: what the chain has by now is not proven again.
        if let Ok(Some(block)) = proofs::proven_at(&link.rpc, ticket.id).await {
            self.proven(ticket.id, block);
            return Ok(None);
        }
        let job = job?;
        let (place, height) = link.settled(&job.signed, job.id).await?;
        Ok(Some(Ready { job, place, height }))
    }

    /// Proves answers of one revision under what is registered for it, and again if that is renewed meanwhile.
    async fn prove(self: &Arc<Self>, link: &Link, ready: &Arc<Vec<Ready>>) -> Result<(), Error> {
        let revision = ready.first().map(|one| one.job.signed.receipt.revision);
        let revision = revision.unwrap_or(RevisionId::ZERO);
        let registered = async || {
            let none = || Error::Unprovable("no model is registered for its revision".into());
            proofs::registered(&link.rpc, revision)
                .await?
                .ok_or_else(none)
        };
        let mut under = registered().await?;
        for _ in 0..RENEWALS {
            let Err(error) = self.prove_under(link, &under, ready).await else {
                return Ok(());
            };
            let now = registered().await?;
            if now.weights == under.weights {
                return Err(error);
            }
            under = now;
        }
        self.prove_under(link, &under, ready).await
    }

    async fn prove_under(
        self: &Arc<Self>,
        link: &Link,
        registered: &Registered,
        ready: &Arc<Vec<Ready>>,
    ) -> Result<(), Error> {
        let ids: Vec<ReceiptId> = ready.iter().map(|one| one.job.id).collect();
        let after = ready.iter().map(|one| one.height).max().unwrap_or_default();
        let after = after.max(registered.renewed_at);
        let known = link.rpc.height().await?.saturating_sub(KNOWN_BLOCKS);
        // Its hash is in the state of the blocks after it.
        let random = after.saturating_add(1).max(known);
        link.reach(random.saturating_add(1)).await?;
        let context = proofs::context_of(&link.rpc, &ids, random).await?;
        if self.were_proven(link, &ids).await? {
            return Ok(());
        }
        let count = u32::try_from(ids.len()).ok();
        self.update(&ids, |report| {
            report.state = ProofState::Proving;
            report.answers = count;
        });
        let network = *link.network.id().as_bytes();
        let (prover, work, under) = (self.clone(), ready.clone(), registered.clone());
        let proven =
            tokio::task::spawn_blocking(move || prover.compute(&work, &under, network, context));
        let proof = proven
            .await
            .unwrap_or(Err(Error::PartEnded("the prover")))?;
        let proof_bytes = proof.answers.proof.len() as u64;
        self.update(&ids, |report| {
            report.state = ProofState::Submitted;
            report.prove_us = Some(micros(proof.spent.elapsed));
            report.prove_cpu_us = Some(micros(proof.spent.cpu));
            report.proof_bytes = Some(proof_bytes);
        });
        for one in ready.iter() {
            let infer = one.job.infer_cpu_us;
            self.update(&[one.job.id], |report| report.infer_cpu_us = Some(infer));
        }
        let places = ready.iter().map(|one| Settled {
            signed: &one.job.signed,
            place: &one.place,
        });
        let data = proofs::prove_call(&places.collect::<Vec<_>>(), random, proof.answers);
        let block = link.submit(PROOFS, data, "recording the proof").await?;
        ids.into_iter().for_each(|id| self.proven(id, block));
        Ok(())
    }

    /// Whether all were proven meanwhile: by a transaction that the node sent before it was stopped.
    async fn were_proven(&self, link: &Link, ids: &[ReceiptId]) -> Result<bool, Error> {
        let mut blocks = Vec::new();
        for id in ids {
            blocks.extend(proofs::proven_at(&link.rpc, *id).await?);
        }
        let all = blocks.len() == ids.len();
        if all {
            let proven = ids.iter().zip(blocks);
            proven.for_each(|(id, block)| self.proven(*id, block));
        }
        Ok(all)
    }

    /// Proves the answers, all of one revision, at once, under its registered commitment.
    fn compute(
        &self,
        ready: &[Ready],
        registered: &Registered,
        network: [u8; 32],
        context: [u8; 32],
    ) -> Result<Proof, Error> {
        let revision = ready.first().map(|one| one.job.signed.receipt.revision);
        let revision = revision.unwrap_or(RevisionId::ZERO);
        let gone = || Error::Unprovable("its node serves the revision no more".into());
        let commitments = self.proving.get(&revision).ok_or_else(gone)?;
        if self.stopping.load(Ordering::Relaxed) {
            return Err(Error::Stopping);
        }
        let provable = commitments.spend(registered)?;
        let rule = proofs::rule_of(commitments.engine())?;
        let setting = Setting {
            network,
            revision: *revision.as_bytes(),
            context,
        };
        let jobs: Vec<&Job> = ready.iter().map(|one| &one.job).collect();
        let mut watch = |_| match self.stopping.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let prove = || prove_all(&provable, rule, setting, &jobs, &mut watch);
        let (answers, spent) = self.workers.measure(prove);
        Ok(Proof {
            answers: answers?,
            spent,
        })
    }

    fn proven(&self, id: ReceiptId, block: u64) {
        self.update(&[id], |report| {
            report.state = ProofState::Proven;
            report.block = Some(block);
        });
        self.records.remove(&id);
    }

    /// Gives a job up, or puts it aside until the node starts again where another secret may help then.
    fn fail(&self, id: ReceiptId, error: &Error) {
        tracing::warn!(%id, %error, "an answer was not proven");
        let waits = waits(error);
        self.update(&[id], |report| {
            let (state, reason) = match error {
                _ if waits => (ProofState::Queued, WAITS.to_owned()),
                Error::Config { .. } => (ProofState::Failed, UNUSABLE.to_owned()),
                other => (ProofState::Failed, other.to_string()),
            };
            report.state = state;
            report.reason = Some(reason);
        });
        if !waits {
            self.records.remove(&id);
        }
    }

    fn update(&self, ids: &[ReceiptId], change: impl Fn(&mut ProofReport)) {
        let mut jobs = self.jobs();
        ids.iter().for_each(|id| jobs.update(id, &change));
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        // Every change is made in one step.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client is told of a job that waits for a secret; which file that is, is the operator's alone.
const WAITS: &str = "it waits until its model's weights are committed to anew and its node has started with the secret of that";
/// What a client is told of an operator's file.
const UNUSABLE: &str = "a file of its node is not usable";

/// Whether another secret, or a renewal, may help.
fn waits(error: &Error) -> bool {
    matches!(error, Error::OpeningsUsed { .. } | Error::OtherCommitment)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn unprovable(error: impl std::fmt::Display) -> Error {
    Error::Unprovable(error.to_string())
}

/// One proof of the answers with what binds it to their receipts.
fn prove_all(
    provable: &Provable,
    rule: Bytes,
    setting: Setting,
    jobs: &[&Job],
    watch: Watch<'_>,
) -> Result<proofs::Proven, Error> {
    let tensors = |job: &&Job| {
        let read = npy::read(&job.input.bytes, job.input.bytes.len() as u64);
        let tensor = read.map_err(unprovable)?;
        Ok(NamedTensors::new(vec![(job.input.name.clone(), tensor)]))
    };
    let inputs = jobs
        .iter()
        .map(tensors)
        .collect::<Result<Vec<_>, Error>>()?;
    let proven = provable.prove_watched(setting, &inputs, watch);
    let proven = proven.map_err(unprovable)?;
    let opened = jobs.iter().map(|job| {
        Ok(Opened {
            input: opened(&job.input, &job.opening.input)?,
            output: opened(&job.output, &job.opening.output)?,
        })
    });
    Ok(proofs::Proven {
        circuit: provable.model().prepared().circuit().encode().into(),
        rows: Row::encode_all(&proven.statement.rows).into(),
        proof: proven.proof.encode().into(),
        rule,
        opened: opened.collect::<Result<_, Error>>()?,
    })
}

/// Salt and bytes of the one tensor under a commitment.
fn opened(tensor: &Named, seed: &B256) -> Result<(B256, Bytes), Error> {
    let field = Field {
        name: &tensor.name,
        bytes: &tensor.bytes,
    };
    let opened = assay_receipt::commit(&[field], &SaltSeed::from_bytes(seed.0))
        .and_then(|(_, opening)| opening.disclose(&tensor.name, &tensor.bytes))
        .map_err(unprovable)?;
    Ok((opened.salt, opened.bytes))
}

#[cfg(test)]
mod tests;
