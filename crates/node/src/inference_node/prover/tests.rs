//! The queue over its files: what survives, what is refused, what is forgotten.

use super::{
    queue::MAX_WAITING,
    record::tests::{job, promise},
    *,
};
use crate::store::tests::domain;

fn open(data: &Path) -> Arc<Prover> {
    Arc::new(Prover::open(Proving::new(), data, domain()).unwrap())
}

fn files(data: &Path) -> usize {
    std::fs::read_dir(data.join("proofs")).unwrap().count()
}

#[tokio::test]
async fn what_waits_survives_the_node_and_what_is_over_does_not() {
    let data = tempfile::tempdir().unwrap();
    let prover = open(data.path());
    for salt in 1..=4 {
        prover.push(promise(salt)).await;
    }
    // One is being looked after when the node ends, one was cancelled.
    let taken = prover.jobs().take(|_| 1);
    let cancelled = (1..=4).map(job).find(|job| job.id != taken[0].id).unwrap();
    prover.cancel(&cancelled.id, &cancelled.opening).unwrap();
    drop(prover);
    let again = open(data.path());
    let mut places: Vec<_> = (1..=4)
        .filter_map(|salt| again.report(&job(salt).id)?.position)
        .collect();
    places.sort_unstable();
    assert_eq!(places, [1, 2, 3]);
    assert_eq!(again.report(&cancelled.id), None);
    again.proven(taken[0].id, 9);
    let reason = Error::Unprovable("a test".into());
    let left = (1..=4).map(|salt| job(salt).id);
    let left: Vec<_> = left
        .filter(|id| {
            again
                .report(id)
                .is_some_and(|report| report.state == ProofState::Queued)
        })
        .collect();
    again.fail(left[0], &reason);
    assert_eq!(files(data.path()), 1);
}

#[tokio::test]
async fn the_queue_has_an_end_and_what_finds_no_room_says_so() {
    let data = tempfile::tempdir().unwrap();
    let prover = open(data.path());
    for salt in 1..=MAX_WAITING as u8 {
        assert!(prover.has_room());
        prover.push(promise(salt)).await;
    }
    assert!(!prover.has_room());
    prover.push(promise(200)).await;
    let refused = prover.report(&job(200).id).unwrap();
    assert_eq!(refused.state, ProofState::Failed);
    assert!(refused.reason.unwrap().contains("too many"));
    assert_eq!(files(data.path()), MAX_WAITING);
    assert_eq!(prover.report(&job(201).id), None);
}

#[tokio::test]
async fn an_answer_without_its_one_tensor_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let prover = open(data.path());
    let mut none = promise(1);
    none.outputs = NamedTensors::new(vec![]);
    prover.push(none).await;
    let report = prover.report(&job(1).id).unwrap();
    assert!(report.reason.unwrap().contains("one tensor"));
    assert_eq!(files(data.path()), 0);
}
