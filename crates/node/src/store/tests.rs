//! The log under crashes at every point of a commit, and its rules.

use super::*;
use assay_receipt::{
    Commitment, EngineId, Microcredits, NetworkId, NodeKey, ParametersDigest, Receipt, RequestId,
    Rung, Times, Usage,
};
use assay_settle::Sequencer;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::{
    io,
    sync::{Arc, Mutex},
};

pub(crate) fn domain() -> Domain {
    Domain::new(
        31_337,
        NetworkId::from_bytes([7; 32]),
        alloy_primitives::Address::repeat_byte(4),
    )
}

pub(crate) fn key() -> NodeKey {
    NodeKey::from_bytes([1; 32]).unwrap()
}

/// A receipt of [`key`] at `position`; `salt` makes it differ from others there.
pub(crate) fn receipt(revision: u8, position: Position, salt: u8) -> Receipt {
    Receipt {
        request: RequestId::from_bytes([1; 32]),
        nonce: u128::from(position.sequence),
        revision: RevisionId::from_bytes([revision; 32]),
        engine: EngineId::from_bytes([2; 32]),
        parameters: ParametersDigest::ZERO,
        seed: 0,
        input: Commitment::from_bytes([3; 32]),
        output: Commitment::from_bytes([salt.max(1); 32]),
        stream: Commitment::ZERO,
        usage: Usage {
            input_units: 4,
            output_units: 1,
            compute_us: 9,
        },
        price: Microcredits::ZERO,
        payer: Commitment::ZERO,
        node: key().address(),
        times: Times {
            request_ns: 10,
            first_output_ns: 20,
            end_ns: 20,
            uncertainty_ns: 1,
        },
        rung: Rung::Signed,
        deadline_ns: 30_000,
        sequence: position.sequence,
        previous: position.previous,
    }
}

/// Makes receipts that continue each other.
#[derive(Default)]
pub(crate) struct Maker(Sequencer);

impl Maker {
    pub(crate) fn next(&mut self, revision: u8) -> (ReceiptId, Entry) {
        let position = self.0.next(RevisionId::from_bytes([revision; 32]));
        let receipt = receipt(revision, position, 5);
        let id = receipt.id(&domain());
        self.0.record(&receipt, id).unwrap();
        let signed = key().sign(receipt, &domain()).unwrap();
        let opening = Opening {
            input: B256::repeat_byte(8),
            output: B256::repeat_byte(9),
        };
        (id, Entry { signed, opening })
    }

    pub(crate) fn append(&mut self, revision: u8) -> Change {
        let (id, entry) = self.next(revision);
        Change::Append(id, Box::new(entry))
    }
}

fn id_of(change: &Change) -> ReceiptId {
    match change {
        Change::Append(id, _) => *id,
        other => unreachable!("{other:?} appends nothing"),
    }
}

fn memory() -> Store {
    Store::with_backend(redb::backends::InMemoryBackend::new()).unwrap()
}

#[test]
fn what_is_committed_is_found_with_its_standing() {
    let store = memory();
    let mut maker = Maker::default();
    let changes: Vec<Change> = [1, 1, 2, 1]
        .into_iter()
        .map(|revision| maker.append(revision))
        .collect();
    let ids: Vec<ReceiptId> = changes.iter().map(id_of).collect();
    store.commit(&changes).unwrap();
    assert_eq!(store.find(&ReceiptId::from_bytes([9; 32])).unwrap(), None);
    let standing = |at: usize| store.find(&ids[at]).unwrap().unwrap().1;
    assert_eq!(standing(0), Standing::Waiting);
    store
        .commit(&[Change::Settled(vec![ids[0], ids[1]], Some(12))])
        .unwrap();
    store
        .commit(&[Change::Settled(vec![ids[2]], None)])
        .unwrap();
    assert_eq!(standing(0), Standing::Settled(Some(12)));
    assert_eq!(standing(1), Standing::Settled(Some(12)));
    assert_eq!(standing(2), Standing::Settled(None));
    assert_eq!(standing(3), Standing::Waiting);
    let reason = DropReason::Refused(Reason::DeadlinePassed);
    store.commit(&[Change::Dead(vec![ids[3]], reason)]).unwrap();
    assert_eq!(standing(3), Standing::Dead(reason));
    assert_eq!(standing(1), Standing::Settled(Some(12)));
    store.check(&domain()).unwrap();
    let streams = store.streams().unwrap();
    assert_eq!(streams.len(), 2);
    assert_eq!(streams[0].waiting(), 2..2, "what is dead does not wait");
    assert_eq!(streams[0].next.sequence, 3);
}

#[test]
fn marking_twice_changes_nothing() {
    let store = memory();
    let mut maker = Maker::default();
    let changes = [maker.append(1), maker.append(1)];
    store.commit(&changes).unwrap();
    let first = id_of(&changes[0]);
    store
        .commit(&[Change::Settled(vec![first], Some(5))])
        .unwrap();
    store
        .commit(&[Change::Settled(vec![first, id_of(&changes[1])], Some(6))])
        .unwrap();
    assert_eq!(
        store.find(&first).unwrap().unwrap().1,
        Standing::Settled(Some(5))
    );
    assert_eq!(
        store.find(&id_of(&changes[1])).unwrap().unwrap().1,
        Standing::Settled(Some(6))
    );
}

#[test]
fn what_does_not_chain_is_refused_and_leaves_nothing() {
    let mut maker = Maker::default();
    let changes: Vec<Change> = (0..3).map(|_| maker.append(1)).collect();
    let store = memory();
    for bad in [
        vec![changes[1].clone()],
        vec![changes[0].clone(), changes[0].clone()],
        vec![changes[0].clone(), changes[2].clone()],
        vec![
            changes[0].clone(),
            Change::Settled(vec![id_of(&changes[1])], None),
        ],
        vec![
            changes[0].clone(),
            Change::Dead(vec![id_of(&changes[1])], DropReason::Forked),
        ],
        vec![
            changes[0].clone(),
            changes[1].clone(),
            Change::Settled(vec![id_of(&changes[1])], None),
        ],
    ] {
        assert!(
            matches!(store.commit(&bad), Err(Error::Damaged(_))),
            "{bad:?}"
        );
        assert_eq!(store.streams().unwrap(), []);
    }
    store.commit(&changes).unwrap();
}

#[test]
fn one_process_at_a_time_has_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert!(matches!(Store::open(folder.path()), Err(Error::Store(_))));
    drop(store);
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_file_that_is_no_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE), b"not a database").unwrap();
    assert!(matches!(Store::open(folder.path()), Err(Error::Store(_))));
}

/// A disk whose power fails after a number of operations.
#[derive(Debug, Clone)]
struct Disk(Arc<Mutex<Platters>>);

#[derive(Debug, Default)]
struct Platters {
    /// What reads see.
    now: Vec<u8>,
    /// What the last sync made safe.
    safe: Vec<u8>,
    /// Writes since then.
    loose: Vec<(u64, Vec<u8>)>,
    /// Operations until the power fails.
    left: Option<u64>,
    operations: u64,
}

/// What is found on the disk after the power failed.
#[derive(Debug, Clone, Copy)]
enum Found {
    /// Only what was synced: a power cut with a large write cache.
    Synced,
    /// Everything that was written: a process that was killed.
    Written,
    /// What was synced and some of the rest, in any order.
    Torn(u64),
}

impl Disk {
    fn new(content: Vec<u8>, left: Option<u64>) -> Self {
        let platters = Platters {
            now: content.clone(),
            safe: content,
            left,
            ..Platters::default()
        };
        Self(Arc::new(Mutex::new(platters)))
    }

    fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    fn after_the_crash(&self, found: Found) -> Vec<u8> {
        let platters = self.0.lock().unwrap();
        match found {
            Found::Written => platters.now.clone(),
            Found::Synced => platters.safe.clone(),
            Found::Torn(seed) => {
                let mut rng = StdRng::seed_from_u64(seed);
                let mut content = platters.safe.clone();
                // A file that had grown keeps its length.
                content.resize(platters.now.len().max(content.len()), 0);
                for (offset, bytes) in &platters.loose {
                    let at = *offset as usize;
                    if rng.random_bool(0.5) && at + bytes.len() <= content.len() {
                        content[at..at + bytes.len()].copy_from_slice(bytes);
                    }
                }
                content
            }
        }
    }
}

impl Platters {
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        match &mut self.left {
            Some(0) => Err(io::Error::other("the power failed")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platters = self.0.lock().unwrap();
        let from = offset as usize;
        let bytes = platters.now.get(from..from + out.len());
        out.copy_from_slice(bytes.ok_or_else(|| io::Error::other("read past the end"))?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platters = self.0.lock().unwrap();
        platters.operate()?;
        platters.now.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platters = self.0.lock().unwrap();
        platters.operate()?;
        platters.safe = platters.now.clone();
        platters.loose.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platters = self.0.lock().unwrap();
        platters.operate()?;
        let at = offset as usize;
        platters.now[at..at + data.len()].copy_from_slice(data);
        platters.loose.push((offset, data.to_vec()));
        Ok(())
    }
}

/// Commits groups until the power fails; the ids that were acknowledged.
fn commit_groups(disk: &Disk, maker: &mut Maker, groups: usize) -> Vec<ReceiptId> {
    let mut acknowledged = Vec::new();
    let Ok(store) = Store::with_backend(disk.clone()) else {
        return acknowledged;
    };
    for group in 0..groups {
        let mut changes: Vec<Change> = (0..=group as u8)
            .map(|at| maker.append(at % 2 + 1))
            .collect();
        let ids: Vec<ReceiptId> = changes.iter().map(id_of).collect();
        // The oldest that waits of revision 0 settles with the next group.
        if let Some(first) = acknowledged.first().filter(|_| group == 2) {
            changes.push(Change::Settled(vec![*first], Some(1)));
        }
        match store.commit(&changes) {
            Ok(()) => acknowledged.extend(ids),
            Err(_) => break,
        }
    }
    acknowledged
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_fails() {
    const GROUPS: usize = 4;
    let whole = Disk::new(Vec::new(), None);
    let all = commit_groups(&whole, &mut Maker::default(), GROUPS);
    assert_eq!(all.len(), 10);
    for left in 0..whole.operations() {
        let disk = Disk::new(Vec::new(), Some(left));
        let acknowledged = commit_groups(&disk, &mut Maker::default(), GROUPS);
        for found in [
            Found::Synced,
            Found::Written,
            Found::Torn(left),
            Found::Torn(!left),
        ] {
            let content = disk.after_the_crash(found);
            let store = match Store::with_backend(Disk::new(content, None)) {
                Ok(store) => store,
                // A file that was never whole had nothing acknowledged in it.
                Err(error) => {
                    assert!(acknowledged.is_empty(), "after {left}, {found:?}: {error}");
                    continue;
                }
            };
            for id in &acknowledged {
                assert!(store.find(id).unwrap().is_some(), "after {left}, {found:?}");
            }
            store.check(&domain()).unwrap();
            let total: u64 = store
                .streams()
                .unwrap()
                .iter()
                .map(|s| s.next.sequence)
                .sum();
            let groups: Vec<u64> = (0..=GROUPS as u64).map(|n| n * (n + 1) / 2).collect();
            assert!(
                groups.contains(&total),
                "after {left}, {found:?}: half a group is there"
            );
        }
    }
}

#[test]
fn the_log_is_its_owners_only() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("deep/log");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    drop(Store::open(&data).unwrap());
    assert_eq!((mode(&data), mode(&data.join(FILE))), (0o700, 0o600));
    // One that an earlier version left open to all is closed.
    std::fs::set_permissions(data.join(FILE), Permissions::from_mode(0o644)).unwrap();
    drop(Store::open(&data).unwrap());
    assert_eq!(mode(&data.join(FILE)), 0o600);
}
