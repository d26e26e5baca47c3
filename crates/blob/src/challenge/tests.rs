//! Answers that are right, and answers of those who do not have the bytes.

use proptest::prelude::*;

use super::*;
use crate::tree::TreeHasher;

fn blob(size: usize) -> (BlobId, Vec<u8>, Vec<u8>) {
    let mut bytes = vec![0; size];
    blake3::Hasher::new()
        .update(b"blob")
        .finalize_xof()
        .fill(&mut bytes);
    let (mut hasher, mut outboard) = (TreeHasher::default(), Vec::new());
    hasher.update(&bytes, &mut outboard);
    let id = hasher.finish(&mut outboard);
    (id, bytes, outboard)
}

fn challenge(id: BlobId, size: usize, seed: u8, blocks: u16) -> Challenge {
    Challenge {
        id,
        size: u64::try_from(size).unwrap(),
        seed: [seed; 32],
        blocks,
    }
}

#[test]
fn who_has_the_bytes_answers() {
    for size in [0, 1, 1_024, 1_025, 16_384, 16_385, 33_000, 500_000, 1 << 20] {
        let (id, bytes, outboard) = blob(size);
        for (seed, blocks) in (0..).zip([1, 2, 5, 44, 600]) {
            let challenge = challenge(id, size, seed, blocks);
            let answer = challenge
                .answer(outboard.as_slice(), bytes.as_slice())
                .unwrap();
            challenge.verify(&answer).unwrap();
            let indices = challenge.indices().unwrap();
            let all = size.div_ceil(1024).max(1);
            assert_eq!(indices.len(), usize::from(blocks).min(all), "{size}");
            assert!(
                indices.is_sorted()
                    && indices
                        .iter()
                        .all(|index| usize::try_from(*index).unwrap() < all)
            );
        }
    }
}

#[test]
fn the_same_seed_asks_for_the_same_blocks() {
    let (id, ..) = blob(1 << 20);
    let indices = |seed, id| challenge(id, 1 << 20, seed, 8).indices().unwrap();
    // Seven computed with BLAKE3 for Python as well, and the last one.
    assert_eq!(indices(1, id), [210, 225, 264, 322, 525, 599, 777, 1023]);
    assert_ne!(indices(1, id), indices(2, id));
    assert_ne!(indices(1, id), indices(1, BlobId::of(b"other")));
}

#[test]
fn every_block_is_asked_for_about_as_often() {
    let (id, ..) = blob(100 * 1024);
    let mut counts = [0u32; 100];
    for seed in 0..=255 {
        for index in challenge(id, 100 * 1024, seed, 20).indices().unwrap() {
            counts[usize::try_from(index).unwrap()] += 1;
        }
    }
    // 49.1 expected, with a standard deviation of 6.3; the last one each time.
    let [counts @ .., last] = counts;
    assert_eq!(last, 256);
    assert!(
        counts.iter().all(|count| (20..85).contains(count)),
        "{counts:?}"
    );
}

#[test]
fn an_answer_proves_the_size() {
    // Sizes whose trees are alike but for their ends, and of which most blocks would do for both.
    for size in [2_000, 40_000, 500_000, 1 << 20] {
        let (id, bytes, outboard) = blob(size);
        for other in [size - 1, size + 1, size + 700, size - 900, size * 2] {
            let asked = challenge(id, other, 5, 44);
            let own = challenge(id, size, 5, 44);
            let answer = own.answer(outboard.as_slice(), bytes.as_slice()).unwrap();
            own.verify(&answer).unwrap();
            assert!(asked.verify(&answer).is_err(), "{size} as {other}");
        }
    }
}

#[test]
fn who_does_not_have_the_bytes_does_not_answer() {
    let (id, bytes, outboard) = blob(500_000);
    let asked = challenge(id, 500_000, 3, 20);
    let answer = asked.answer(outboard.as_slice(), bytes.as_slice()).unwrap();
    let other = challenge(id, 500_000, 4, 20)
        .answer(outboard.as_slice(), bytes.as_slice())
        .unwrap();
    let fewer = challenge(id, 500_000, 3, 19)
        .answer(outboard.as_slice(), bytes.as_slice())
        .unwrap();
    let wrong = [
        Vec::new(),
        outboard.clone(),
        other,
        fewer,
        answer[1..].to_vec(),
        answer[..answer.len() - 1].to_vec(),
        [answer.as_slice(), &[0]].concat(),
        vec![0; answer.len()],
        vec![0; 1 << 20],
    ];
    for (index, wrong) in wrong.iter().enumerate() {
        let error = asked.verify(wrong).unwrap_err();
        assert!(
            matches!(error, Error::Malformed { what: "answer", .. }),
            "{index}: {error}"
        );
    }
    // Another blob's answer, and sizes that the blob does not have.
    assert!(
        challenge(BlobId::of(b"other"), 500_000, 3, 20)
            .verify(&answer)
            .is_err()
    );
    for size in [499_999, 500_001, 1, u64::MAX] {
        assert!(
            Challenge { size, ..asked }.verify(&answer).is_err(),
            "{size}"
        );
    }
    for blocks in [0, BLOCKS_MAX + 1, u16::MAX] {
        assert!(matches!(
            Challenge { blocks, ..asked }.verify(&answer),
            Err(Error::Limit { .. })
        ));
    }
}

#[test]
fn nothing_is_answered_from_bytes_that_rotted() {
    let (id, bytes, outboard) = blob(500_000);
    let asked = challenge(id, 500_000, 5, 20);
    let index = usize::try_from(asked.indices().unwrap()[7]).unwrap();
    let mut rotted = bytes.clone();
    rotted[index * 1024 + 5] ^= 1;
    let answer = asked.answer(outboard.as_slice(), rotted.as_slice());
    assert!(matches!(answer, Err(Error::Rotted { .. })));
    let mut lost = outboard.clone();
    let root = lost.len() - 1;
    lost[root] ^= 1;
    assert!(asked.answer(lost.as_slice(), bytes.as_slice()).is_err());
    assert!(
        asked
            .answer(outboard.as_slice(), &bytes[..index * 1024])
            .is_err()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_changed_answer_is_right(at in 0usize..1_000_000, change in 1u8.., seed: u8, cut: bool) {
        let (id, bytes, outboard) = blob(70_000);
        let asked = challenge(id, 70_000, seed, 7);
        let mut answer = asked.answer(outboard.as_slice(), bytes.as_slice()).unwrap();
        let at = at % answer.len();
        match cut {
            true => answer.truncate(at),
            false => answer[at] ^= change,
        }
        prop_assert!(asked.verify(&answer).is_err());
    }

    #[test]
    fn noise_is_no_answer(bytes in proptest::collection::vec(any::<u8>(), 0..3000), size: u64, blocks: u16) {
        let asked = Challenge { id: BlobId::of(b"some"), size, seed: [0; 32], blocks };
        prop_assert!(asked.verify(&bytes).is_err());
    }
}
