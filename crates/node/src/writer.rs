//! The one writer of the receipt log: it gives each receipt its place, signs it, makes it durable
//! with all others that wait, and only then acknowledges it.

use crate::{
    api::Opening,
    error::Error,
    metrics::NodeMetrics,
    store::{Change, Entry, Store},
};
use assay_receipt::{Domain, NodeKey, Receipt, ReceiptId, RevisionId, SignedReceipt};
use assay_settle::{DropReason, Sequencer};
use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
    thread::JoinHandle,
    time::Instant,
};
use tokio::sync::{mpsc, oneshot, watch};

/// Changes that wait for the writer; beyond it those who bring more wait themselves.
const QUEUE: usize = 2_048;
/// Most changes in one commit: 512 signatures take a fraction of a disk's sync time.
const MAX_GROUP: usize = 512;

/// A receipt before it has its place: node, sequence and previous are filled in by the writer.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Everything that the node attests of the answer.
    pub receipt: Receipt,
    /// Salt seeds of its commitments.
    pub opening: Opening,
}

/// A receipt that is on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Durable {
    /// Its id.
    pub id: ReceiptId,
    /// The receipt with its signature.
    pub signed: SignedReceipt,
}

enum Job {
    Append(Box<Draft>, oneshot::Sender<Result<Durable, Error>>),
    Mark(Change, oneshot::Sender<Result<(), Error>>),
}

/// What the writer thread and its handles share.
#[derive(Debug)]
struct Shared {
    /// Streams that take no more receipts, because the chain will never take them.
    dead: RwLock<BTreeSet<RevisionId>>,
    /// Number of commits, so that others can wait for news.
    commits: watch::Sender<u64>,
}

/// A handle of the writer; it writes until the last handle is gone.
#[derive(Debug, Clone)]
pub struct Writer {
    // Before `jobs`, so that nobody holds the log any more when the thread sees the last one go.
    store: Arc<Store>,
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
}

/// The thread behind [`Writer`]s.
struct Thread {
    store: Arc<Store>,
    key: Arc<NodeKey>,
    domain: Domain,
    sequencer: Sequencer,
    metrics: Arc<NodeMetrics>,
    shared: Arc<Shared>,
}

impl Writer {
    /// Starts the writer of `store` for the receipts of `key` under `domain`. The thread ends when
    /// the last handle is dropped.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the log does not chain, [`Error::Store`] if it cannot be read,
    /// [`Error::System`] if there is no thread to be had.
    pub fn start(
        store: Arc<Store>,
        key: Arc<NodeKey>,
        domain: Domain,
        metrics: Arc<NodeMetrics>,
    ) -> Result<(Self, JoinHandle<()>), Error> {
        store.check(&domain)?;
        let (mut sequencer, mut dead, mut unsettled) =
            (Sequencer::default(), BTreeSet::new(), 0u64);
        for stream in store.streams()? {
            sequencer.restore(stream.revision, stream.next);
            unsettled = unsettled.saturating_add(stream.waiting().count() as u64);
            if stream.dead.is_some() {
                dead.insert(stream.revision);
            }
        }
        metrics
            .unsettled
            .set(i64::try_from(unsettled).unwrap_or(i64::MAX));
        let shared = Arc::new(Shared {
            dead: RwLock::new(dead),
            commits: watch::channel(0).0,
        });
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = Thread {
            store: store.clone(),
            key,
            domain,
            sequencer,
            metrics,
            shared: shared.clone(),
        };
        let handle = std::thread::Builder::new()
            .name("receipt-writer".into())
            .spawn(move || thread.run(queue))
            .map_err(|source| Error::System {
                what: "starting the receipt writer",
                source,
            })?;
        Ok((
            Self {
                store,
                shared,
                jobs,
            },
            handle,
        ))
    }

    /// Gives the draft its place, signs it and waits until it is on disk.
    ///
    /// # Errors
    /// [`Error::Receipt`] if the draft contradicts itself; [`Error::Store`] if the disk refuses:
    /// the receipt must then not be shown to anybody. [`Error::Stopping`] after a failure.
    pub async fn append(&self, draft: Draft) -> Result<Durable, Error> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Append(Box::new(draft), reply);
        self.jobs.send(job).await.map_err(|_| Error::Stopping)?;
        answer.await.map_err(|_| Error::Stopping)?
    }

    /// Notes, durably, that receipts have settled; in a block of this height, where it is known.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Damaged`] for ids that are not in the log.
    pub async fn mark_settled(
        &self,
        ids: Vec<ReceiptId>,
        height: Option<u64>,
    ) -> Result<(), Error> {
        self.mark(Change::Settled(ids, height)).await
    }

    /// Notes, durably, that receipts can never settle. Their streams take no more.
    ///
    /// # Errors
    /// As [`Self::mark_settled`].
    pub async fn mark_dead(&self, ids: Vec<ReceiptId>, reason: DropReason) -> Result<(), Error> {
        self.mark(Change::Dead(ids, reason)).await
    }

    async fn mark(&self, change: Change) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.jobs
            .send(Job::Mark(change, reply))
            .await
            .map_err(|_| Error::Stopping)?;
        answer.await.map_err(|_| Error::Stopping)?
    }

    /// The log, for reading.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Whether receipts of this revision can still settle.
    pub fn takes(&self, revision: RevisionId) -> bool {
        !self
            .shared
            .dead
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&revision)
    }

    /// Changes whenever something was committed.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.shared.commits.subscribe()
    }

    /// Whether the writer has given up, because the disk refused.
    pub fn has_failed(&self) -> bool {
        self.jobs.is_closed()
    }
}

impl Thread {
    fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            let mut group = vec![first];
            while group.len() < MAX_GROUP
                && let Ok(next) = queue.try_recv()
            {
                group.push(next);
            }
            if !self.commit(group) {
                // What is on disk now is known only after a restart: nothing more may be signed.
                return;
            }
        }
    }

    /// Commits a group and answers those who wait; false if the disk refused.
    fn commit(&mut self, group: Vec<Job>) -> bool {
        let started = Instant::now();
        let mut changes = Vec::with_capacity(group.len());
        let mut appended = Vec::new();
        let mut marked = Vec::new();
        for job in group {
            match job {
                Job::Append(draft, reply) => match self.place(*draft) {
                    Ok((durable, change)) => {
                        changes.push(change);
                        appended.push((reply, durable));
                    }
                    // Who asked is gone or learns why; nobody else is concerned.
                    Err(error) => drop(reply.send(Err(error))),
                },
                Job::Mark(change, reply) => {
                    changes.push(change);
                    marked.push(reply);
                }
            }
        }
        if let Err(error) = self.store.commit(&changes) {
            tracing::error!(%error, "the receipt log cannot be written; this node stops");
            let again = || Error::Store(error.to_string());
            appended
                .into_iter()
                .for_each(|(reply, _)| drop(reply.send(Err(again()))));
            marked
                .into_iter()
                .for_each(|reply| drop(reply.send(Err(again()))));
            return false;
        }
        self.metrics.commit_s.observe(started.elapsed());
        self.metrics.group.observe(changes.len());
        self.note(&changes);
        appended
            .into_iter()
            .for_each(|(reply, durable)| drop(reply.send(Ok(durable))));
        marked
            .into_iter()
            .for_each(|reply| drop(reply.send(Ok(()))));
        self.shared
            .commits
            .send_modify(|commits| *commits = commits.wrapping_add(1));
        true
    }

    /// Gives a draft the next place of its stream and signs it.
    fn place(&mut self, draft: Draft) -> Result<(Durable, Change), Error> {
        let position = self.sequencer.next(draft.receipt.revision);
        let receipt = Receipt {
            node: self.key.address(),
            sequence: position.sequence,
            previous: position.previous,
            ..draft.receipt
        };
        let signed = self.key.sign(receipt, &self.domain)?;
        let id = signed.receipt.id(&self.domain);
        let recorded = self.sequencer.record(&signed.receipt, id);
        recorded.map_err(|error| Error::Damaged(error.to_string()))?;
        let entry = Entry {
            signed: signed.clone(),
            opening: draft.opening,
        };
        Ok((Durable { id, signed }, Change::Append(id, Box::new(entry))))
    }

    fn note(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Append(..) => {
                    self.metrics.receipts.inc();
                    self.metrics.unsettled.inc();
                }
                Change::Settled(ids, _) => {
                    self.metrics.settled.inc_by(ids.len() as u64);
                    self.metrics
                        .unsettled
                        .dec_by(i64::try_from(ids.len()).unwrap_or(i64::MAX));
                }
                Change::Dead(ids, _) => self.note_dead(ids),
            }
        }
    }

    fn note_dead(&self, ids: &[ReceiptId]) {
        self.metrics.dropped.inc_by(ids.len() as u64);
        self.metrics
            .unsettled
            .dec_by(i64::try_from(ids.len()).unwrap_or(i64::MAX));
        let mut dead = self
            .shared
            .dead
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            if let Ok(Some((entry, _))) = self.store.find(id) {
                dead.insert(entry.signed.receipt.revision);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{domain, key, receipt};
    use alloy_primitives::B256;
    use assay_settle::{Position, verify::Reason};

    fn start(store: &Arc<Store>) -> (Writer, JoinHandle<()>) {
        let metrics = Arc::new(NodeMetrics::default());
        Writer::start(store.clone(), Arc::new(key()), domain(), metrics).unwrap()
    }

    fn memory() -> Arc<Store> {
        Arc::new(Store::with_backend(redb::backends::InMemoryBackend::new()).unwrap())
    }

    fn draft(revision: u8, salt: u8) -> Draft {
        let opening = Opening {
            input: B256::repeat_byte(1),
            output: B256::repeat_byte(2),
        };
        Draft {
            receipt: receipt(revision, Position::default(), salt),
            opening,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn receipts_of_many_askers_chain_and_are_on_disk_when_acknowledged() {
        let store = memory();
        let (writer, thread) = start(&store);
        let askers = (0..64u8).map(|salt| {
            let (writer, store) = (writer.clone(), store.clone());
            tokio::spawn(async move {
                let durable = writer.append(draft(salt % 3 + 1, salt)).await.unwrap();
                assert_eq!(
                    store.find(&durable.id).unwrap().unwrap().0.signed,
                    durable.signed
                );
                durable.signed.verify(&domain()).unwrap();
            })
        });
        futures::future::try_join_all(askers).await.unwrap();
        store.check(&domain()).unwrap();
        let counts: Vec<u64> = store
            .streams()
            .unwrap()
            .iter()
            .map(|s| s.next.sequence)
            .collect();
        assert_eq!(counts, [22, 21, 21]);
        drop(writer);
        thread.join().unwrap();
    }

    #[tokio::test]
    async fn a_restarted_writer_goes_on_where_the_log_ends() {
        let store = memory();
        let mut last = ReceiptId::ZERO;
        for sequence in 0..3 {
            let (writer, thread) = start(&store);
            let durable = writer.append(draft(1, 1)).await.unwrap();
            assert_eq!(durable.signed.receipt.sequence, sequence);
            assert_eq!(durable.signed.receipt.previous, last);
            last = durable.id;
            drop(writer);
            thread.join().unwrap();
        }
    }

    #[tokio::test]
    async fn a_draft_that_contradicts_itself_takes_no_place() {
        let (writer, _thread) = start(&memory());
        let mut bad = draft(1, 1);
        bad.receipt.times.end_ns = bad.receipt.deadline_ns + 1;
        assert!(matches!(writer.append(bad).await, Err(Error::Receipt(_))));
        let good = writer.append(draft(1, 1)).await.unwrap();
        assert_eq!(good.signed.receipt.sequence, 0);
    }

    #[tokio::test]
    async fn a_dead_stream_is_known_now_and_after_a_restart() {
        let store = memory();
        let (writer, _thread) = start(&store);
        let durable = writer.append(draft(1, 1)).await.unwrap();
        let revision = durable.signed.receipt.revision;
        assert!(writer.takes(revision));
        let reason = DropReason::Refused(Reason::NodeSlashed);
        writer.mark_dead(vec![durable.id], reason).await.unwrap();
        assert!(!writer.takes(revision));
        assert!(!start(&store).0.takes(revision));
    }

    #[tokio::test]
    async fn a_writer_whose_disk_refused_signs_nothing_more() {
        let (writer, thread) = start(&memory());
        let unknown = writer
            .mark_settled(vec![ReceiptId::from_bytes([9; 32])], None)
            .await;
        assert!(matches!(unknown, Err(Error::Store(_))));
        thread.join().unwrap();
        assert!(writer.has_failed());
        assert!(matches!(
            writer.append(draft(1, 1)).await,
            Err(Error::Stopping)
        ));
    }
}
