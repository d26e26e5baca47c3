//! The prover: behind the answers that were promised with a proof, one at a time, the earliest deadline first.
//!
//! A job waits until its receipt has settled and a block after that is final, proves under that block's hash, and hands the
//! proof to the chain. A job that fails says why and makes room for the next. The queue is in memory: what waits when a
//! node stops is not proven.

use crate::{
    api::{Opening, ProofReport, ProofState},
    error::Error,
    proofs,
    rpc_client::RpcClient,
    shutdown::Shutdown,
    wallet::{Action, Nonces, Wallet, confirm},
};
use alloy_primitives::{B256, Bytes};
use assay_chain::{
    light::{self, Network, ReceiptProof},
    precompile::proofs::Answer,
    spec::PROOFS,
};
use assay_inference::{NamedTensors, QuantisedEngine, npy};
use assay_receipt::{Field, ReceiptId, SaltSeed, SignedReceipt};
use assay_zkml::Setting;
use assay_zkml_verify::Row;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Most jobs that wait, each with its tensors; beyond it a node takes no question that wants a proof.
pub(super) const MAX_WAITING: usize = 64;
/// Most finished jobs whose outcome is remembered; what was proven, the chain remembers.
const MAX_REMEMBERED: usize = 4_096;
/// A receipt that has not settled within this time holds the queue up no longer.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the chain.
const POLL: Duration = Duration::from_millis(100);

/// An answer to prove.
pub(super) struct Job {
    pub(super) signed: SignedReceipt,
    pub(super) id: ReceiptId,
    pub(super) engine: Arc<QuantisedEngine>,
    pub(super) inputs: NamedTensors,
    pub(super) outputs: NamedTensors,
    pub(super) opening: Opening,
}

#[derive(Default)]
struct Jobs {
    waiting: Vec<Job>,
    reports: BTreeMap<ReceiptId, ProofReport>,
    /// Ids of `reports`, the oldest first.
    order: VecDeque<ReceiptId>,
}

/// What waits to be proven, and what became of it.
#[derive(Default)]
pub(super) struct Prover {
    jobs: Mutex<Jobs>,
    arrived: Notify,
}

impl std::fmt::Debug for Prover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prover").finish_non_exhaustive()
    }
}

/// The chain as the prover needs it.
pub(super) struct Link {
    pub(super) network: Network,
    pub(super) rpc: RpcClient,
    pub(super) wallet: Wallet,
    pub(super) nonces: Nonces,
}

impl Prover {
    /// Whether another job finds room.
    pub(super) fn has_room(&self) -> bool {
        self.jobs().waiting.len() < MAX_WAITING
    }

    /// Takes a job, or says in its report that there was no room.
    pub(super) fn push(&self, job: Job) {
        let mut jobs = self.jobs();
        let full = jobs.waiting.len() >= MAX_WAITING;
        let report = match full {
            true => ProofReport::failed("too many proofs wait at this node"),
            false => ProofReport::of(ProofState::Queued),
        };
        jobs.note(job.id, report);
        if !full {
            jobs.waiting.push(job);
            self.arrived.notify_one();
        }
    }

    /// What became of a job; `None` if there was none, or long ago.
    pub(super) fn report(&self, id: &ReceiptId) -> Option<ProofReport> {
        self.jobs().reports.get(id).cloned()
    }

    /// Proves what comes, until `shutdown`.
    pub(super) async fn run(self: Arc<Self>, link: Link, shutdown: Shutdown) {
        while !shutdown.is_requested() {
            let Some(job) = self.jobs().take() else {
                tokio::select! {
                    () = self.arrived.notified() => {}
                    () = shutdown.requested() => {}
                }
                continue;
            };
            let id = job.id;
            let done = tokio::select! {
                done = self.prove(&link, Arc::new(job)) => done,
                () = shutdown.requested() => return,
            };
            if let Err(error) = done {
                tracing::warn!(%id, %error, "an answer was not proven");
                self.update(id, |report| {
                    report.state = ProofState::Failed;
                    report.reason = Some(error.to_string());
                });
            }
        }
    }

    async fn prove(&self, link: &Link, job: Arc<Job>) -> Result<(), Error> {
        let id = job.id;
        let (place, settled_at) = link.settled(&job).await?;
        // Its hash is in the state of the blocks after it.
        let random = settled_at.saturating_add(1);
        link.reach(random.saturating_add(1)).await?;
        let context = proofs::context_of(&link.rpc, id, random).await?;
        self.update(id, |report| report.state = ProofState::Proving);
        let setting = Setting {
            network: *link.network.id().as_bytes(),
            revision: *job.signed.receipt.revision.as_bytes(),
            context,
        };
        let work = job.clone();
        let proven = tokio::task::spawn_blocking(move || work.prove(setting));
        let (answer, took) = proven
            .await
            .unwrap_or(Err(Error::PartEnded("the prover")))?;
        self.update(id, |report| {
            report.state = ProofState::Submitted;
            report.prove_us = u64::try_from(took.as_micros()).ok();
            report.proof_bytes = Some(answer.proof.len() as u64);
        });
        let data = proofs::prove_call(&job.signed, &place, random, answer);
        let block = link.submit(data).await?;
        self.update(id, |report| {
            report.state = ProofState::Proven;
            report.block = Some(block);
        });
        Ok(())
    }

    fn update(&self, id: ReceiptId, change: impl FnOnce(&mut ProofReport)) {
        if let Some(report) = self.jobs().reports.get_mut(&id) {
            change(report);
        }
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        // Every change is made in one step.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    fn take(&mut self) -> Option<Job> {
        let jobs = self.waiting.iter().enumerate();
        let (first, _) = jobs.min_by_key(|(_, job)| job.signed.receipt.deadline_ns)?;
        Some(self.waiting.remove(first))
    }

    fn note(&mut self, id: ReceiptId, report: ProofReport) {
        if self.order.len() >= MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.reports.remove(&oldest);
        }
        if self.reports.insert(id, report).is_none() {
            self.order.push_back(id);
        }
    }
}

impl Link {
    /// Where the receipt settled, by a proof under the network's key.
    async fn settled(&self, job: &Job) -> Result<(ReceiptProof, u64), Error> {
        let receipt = &job.signed.receipt;
        let started = Instant::now();
        while started.elapsed() < SETTLE_PATIENCE {
            let found = self
                .rpc
                .receipt_proof(receipt.node, receipt.revision, receipt.sequence)
                .await;
            if let Ok(Some(proof)) = found
                && let Ok(settled) = light::verify(&self.network, &proof)
                && settled.id == job.id
            {
                return Ok((proof, settled.height));
            }
            tokio::time::sleep(POLL).await;
        }
        Err(Error::Unprovable(
            "its receipt has not settled in time".into(),
        ))
    }

    async fn reach(&self, height: u64) -> Result<(), Error> {
        let started = Instant::now();
        while started.elapsed() < SETTLE_PATIENCE {
            if self.rpc.height().await.is_ok_and(|now| now >= height) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        Err(Error::Unprovable("no later block came in time".into()))
    }

    /// Hands the proof in; gives the block in which it was accepted.
    async fn submit(&self, data: Bytes) -> Result<u64, Error> {
        let gas = self.wallet.estimate(&self.rpc, PROOFS, &data).await?;
        let gas = gas.min(assay_chain::spec::TRANSACTION_GAS_LIMIT);
        let signed = {
            let mut next = self.nonces.lock().await;
            let nonce = match *next {
                Some(nonce) => nonce,
                None => self.rpc.pending_nonce(self.wallet.address()).await?,
            };
            let to = PROOFS;
            let signed = self.wallet.sign(&Action { to, data, gas }, nonce);
            self.rpc.send_raw(&signed.raw).await?;
            *next = Some(nonce.saturating_add(1));
            signed
        };
        let receipt = confirm(&self.rpc, &signed).await?;
        if receipt.succeeded() {
            return Ok(receipt.height());
        }
        let reason = "recording the proof".into();
        Err(Error::Reverted {
            hash: signed.hash,
            reason,
        })
    }
}

impl Job {
    /// The proof with what binds it to the receipt, and how long it took.
    fn prove(&self, setting: Setting) -> Result<(Answer, Duration), Error> {
        let unprovable = |error: &dyn std::fmt::Display| Error::Unprovable(error.to_string());
        let provable = self.engine.provable();
        let started = Instant::now();
        let proven = provable
            .prove(setting, std::slice::from_ref(&self.inputs))
            .map_err(|error| unprovable(&error))?;
        let took = started.elapsed();
        let (input_salt, input) = opened(&self.inputs, &self.opening.input)?;
        let (output_salt, output) = opened(&self.outputs, &self.opening.output)?;
        let answer = Answer {
            circuit: provable.model().prepared().circuit().encode().into(),
            rows: Row::encode_all(&proven.statement.rows).into(),
            proof: proven.proof.encode().into(),
            rule: proofs::rule_of(&self.engine)?,
            inputSalt: input_salt,
            input,
            outputSalt: output_salt,
            output,
        };
        Ok((answer, took))
    }
}

/// Salt and bytes of the one tensor under a commitment.
fn opened(tensors: &NamedTensors, seed: &B256) -> Result<(B256, Bytes), Error> {
    let unprovable = |error: &dyn std::fmt::Display| Error::Unprovable(error.to_string());
    let fields = npy::canonical_fields(tensors).map_err(|error| unprovable(&error))?;
    let [(name, bytes)] = fields.as_slice() else {
        return Err(Error::Unprovable("it is not of one tensor".into()));
    };
    let field = Field { name, bytes };
    let opened = assay_receipt::commit(&[field], &SaltSeed::from_bytes(seed.0))
        .and_then(|(_, opening)| opening.disclose(name, bytes))
        .map_err(|error| unprovable(&error))?;
    Ok((opened.salt, opened.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{key, receipt};
    use assay_inference::{Revision, RevisionLimits};
    use std::path::Path;

    fn engine() -> Arc<QuantisedEngine> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/risk-logreg");
        let revision = Revision::open(&folder, &RevisionLimits::default()).unwrap();
        Arc::new(QuantisedEngine::load(&revision).unwrap())
    }

    fn job(engine: &Arc<QuantisedEngine>, number: u8, deadline_ns: u64) -> Job {
        let mut receipt = receipt(1, Default::default(), 5);
        receipt.deadline_ns = deadline_ns;
        Job {
            signed: SignedReceipt {
                receipt,
                signature: key().sign_digest(&[1; 32]),
            },
            id: ReceiptId::from_bytes([number; 32]),
            engine: engine.clone(),
            inputs: NamedTensors::new(vec![]),
            outputs: NamedTensors::new(vec![]),
            opening: Opening {
                input: B256::ZERO,
                output: B256::ZERO,
            },
        }
    }

    #[test]
    fn the_earliest_deadline_comes_first_and_the_queue_has_an_end() {
        let (prover, engine) = (Prover::default(), engine());
        for number in 0..MAX_WAITING as u8 {
            assert!(prover.has_room());
            prover.push(job(&engine, number, 1_000 - u64::from(number)));
        }
        assert!(!prover.has_room());
        prover.push(job(&engine, 255, 0));
        let report = |number| prover.report(&ReceiptId::from_bytes([number; 32]));
        assert_eq!(report(255).unwrap().state, ProofState::Failed);
        assert_eq!(report(3).unwrap().state, ProofState::Queued);
        assert_eq!(report(200), None);
        let first = prover.jobs().take().unwrap();
        assert_eq!(first.id, ReceiptId::from_bytes([MAX_WAITING as u8 - 1; 32]));
        assert!(prover.has_room());
    }

    #[test]
    fn only_so_many_outcomes_are_remembered() {
        let mut jobs = Jobs::default();
        let id = |number: usize| {
            ReceiptId::from_bytes(B256::from(alloy_primitives::U256::from(number)).0)
        };
        for number in 0..=MAX_REMEMBERED {
            jobs.note(id(number), ProofReport::of(ProofState::Queued));
        }
        assert_eq!(jobs.reports.len(), MAX_REMEMBERED);
        assert!(!jobs.reports.contains_key(&id(0)) && jobs.reports.contains_key(&id(1)));
    }

    #[test]
    fn a_job_without_its_one_tensor_is_refused() {
        let job = job(&engine(), 1, 5);
        let setting = Setting {
            network: [0; 32],
            revision: [0; 32],
            context: [0; 32],
        };
        assert!(matches!(job.prove(setting), Err(Error::Unprovable(_))));
    }
}
