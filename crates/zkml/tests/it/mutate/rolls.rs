//! Mutations of the proof that a commitment was renewed for the same weights, and of what it is held against.

use assay_zkml_verify::field::{Challenge, lift};
use assay_zkml_verify::roll::{self, Roll};
use assay_zkml_verify::{Error, ModelCommitment};
use p3_field::PrimeCharacteristicRing as _;

use super::{COMMITMENT_BITS, Case, Class, class, flipped};
use crate::graphs::Numbers;

/// A renewal, and the commitments that it is held against.
#[derive(Clone, Copy)]
struct Renewal<'a> {
    case: &'a Case,
    next: &'a ModelCommitment,
    roll: &'a Roll,
}

impl<'a> Renewal<'a> {
    fn judge(&self, roll: &Roll) -> Result<(), Error> {
        self.between(&self.case.model.commitment(), self.next, roll)
    }

    fn between(
        &self,
        before: &ModelCommitment,
        after: &ModelCommitment,
        roll: &Roll,
    ) -> Result<(), Error> {
        roll::verify(self.case.model.prepared().circuit(), before, after, roll)
    }

    /// A change of its bytes, judged.
    fn edit(
        self,
        name: &str,
        count: usize,
        change: impl Fn(usize, &mut Vec<u8>) + Sync + 'a,
    ) -> Class<'a> {
        let valid = self.roll.encode();
        class(KIND, name, count, move |i| {
            let mut bytes = valid.clone();
            change(i, &mut bytes);
            (bytes != valid).then(|| Roll::decode(&bytes).and_then(|roll| self.judge(&roll)))
        })
    }

    /// A change of its structure, judged.
    fn change(
        self,
        name: &str,
        count: usize,
        change: impl Fn(usize, &mut Roll) + Sync + 'a,
    ) -> Class<'a> {
        class(KIND, name, count, move |i| {
            let mut roll = self.roll.clone();
            change(i, &mut roll);
            (roll.encode() != self.roll.encode()).then(|| self.judge(&roll))
        })
    }
}

pub(super) fn classes<'a>(
    case: &'a Case,
    next: &'a ModelCommitment,
    roll: &'a Roll,
) -> Vec<Class<'a>> {
    let renewal = Renewal { case, next, roll };
    assert_eq!(renewal.judge(roll), Ok(()));
    let mut classes = encodings(renewal);
    classes.extend(messages(renewal));
    classes.extend(commitments(renewal));
    classes
}

/// What is mutated here.
const KIND: &str = "renewal";

fn encodings(renewal: Renewal<'_>) -> Vec<Class<'_>> {
    let len = renewal.roll.encode().len();
    let messages = 2 + 20 * renewal.roll.messages.len();
    vec![
        renewal.edit("each bit of the messages", 8 * messages, |i, bytes| {
            bytes[i / 8] ^= 1 << (i % 8);
        }),
        renewal.edit("a bit of each byte", len, |i, bytes| {
            bytes[i] ^= 1 << (i % 8)
        }),
        renewal.edit("cut off behind each byte", len, |i, bytes| {
            bytes.truncate(i)
        }),
        renewal.edit("each byte as a number that is padded", len, |i, bytes| {
            bytes[i] |= 0x80;
            bytes.insert(i + 1, 0);
        }),
        renewal.edit("bytes behind its end", 64, |i, bytes| {
            bytes.extend(vec![0; i + 1])
        }),
        renewal.edit("random bytes", 512, |i, bytes| {
            let mut numbers = Numbers(i as u64);
            let keep = numbers.next() as usize % bytes.len();
            bytes[keep..].fill_with(|| numbers.next() as u8);
        }),
    ]
}

fn messages(renewal: Renewal<'_>) -> Vec<Class<'_>> {
    let n = renewal.roll.messages.len();
    vec![
        renewal.change("each message replaced", 6 * n, |i, roll| {
            let place = &mut roll.messages[i / 6];
            *place = match i % 6 {
                0 => Challenge::ZERO,
                1 => Challenge::ONE,
                2 => *place + Challenge::ONE,
                3 => -*place,
                4 => place.double(),
                _ => lift(Numbers(i as u64).within(-1 << 30, 1 << 30)),
            };
        }),
        renewal.change("messages swapped, removed, doubled", 3 * n, |i, roll| {
            let (at, len) = (i / 3, roll.messages.len());
            match i % 3 {
                0 => roll.messages.swap(at, (at + 1) % len),
                1 => drop(roll.messages.remove(at)),
                _ => roll.messages.insert(at, roll.messages[at]),
            }
        }),
        renewal.change("openings exchanged, of one commitment", 3, |i, roll| {
            let [before, after] = roll.openings.clone();
            roll.openings = [
                [after.clone(), before.clone()],
                [before.clone(), before],
                [after.clone(), after],
            ][i]
                .clone();
        }),
    ]
}

fn commitments(renewal: Renewal<'_>) -> Vec<Class<'_>> {
    let own = renewal.case.model.commitment();
    let next = *renewal.next;
    let foreign = renewal.case.foreign.0.commitment();
    vec![
        class(
            KIND,
            "each bit of both commitments",
            2 * COMMITMENT_BITS,
            move |i| {
                let pair = match i % 2 {
                    0 => flipped(&own, i / 2).map(|changed| (changed, next)),
                    _ => flipped(&next, i / 2).map(|changed| (own, changed)),
                };
                Some(
                    pair.and_then(|(before, after)| renewal.between(&before, &after, renewal.roll)),
                )
            },
        ),
        class(KIND, "between other commitments", 6, move |i| {
            let (before, after) = [
                (next, own),
                (own, own),
                (next, next),
                (own, foreign),
                (foreign, next),
                (foreign, own),
            ][i];
            Some(renewal.between(&before, &after, renewal.roll))
        }),
    ]
}
