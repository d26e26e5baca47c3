//! Mutations of a proof: of its bytes, of its messages, of its openings, and splices of two.

use assay_zkml_verify::Proof;
use assay_zkml_verify::commitment::Opening;
use assay_zkml_verify::field::{Challenge, lift};
use p3_field::PrimeCharacteristicRing;
use p3_multilinear_util::poly::Poly;
use p3_sumcheck::OpeningBatch;
use p3_whir::pcs::proof::QueryOpenings;

use super::{Case, Class, class};
use crate::graphs::Numbers;

pub(super) fn classes(case: &Case) -> Vec<Class<'_>> {
    let mut classes = bytes(case);
    classes.extend(messages(case));
    classes.extend(openings(case));
    classes.extend(splices(case));
    classes
}

/// What is mutated here.
const KIND: &str = "proof";

/// A change of bytes, judged.
fn edit<'a>(
    case: &'a Case,
    name: &str,
    count: usize,
    change: impl Fn(usize, &mut Vec<u8>) + Sync + 'a,
) -> Class<'a> {
    class(KIND, name, count, move |index| {
        let mut bytes = case.bytes.clone();
        change(index, &mut bytes);
        case.judge_bytes(&bytes)
    })
}

/// Bytes in front of the openings: root, number of messages, messages.
fn head(case: &Case) -> usize {
    let messages = case.proof.messages.len();
    32 + if messages < 128 { 1 } else { 2 } + 20 * messages
}

fn bytes(case: &Case) -> Vec<Class<'_>> {
    let (head, len) = (head(case), case.bytes.len());
    vec![
        edit(
            case,
            "each bit of root and messages",
            head * 8,
            |i, bytes| {
                bytes[i / 8] ^= 1 << (i % 8);
            },
        ),
        edit(
            case,
            "a bit of each byte of the openings",
            len - head,
            move |i, bytes| {
                bytes[head + i] ^= 1 << (i % 8);
            },
        ),
        edit(case, "each byte to its complement", len, |i, bytes| {
            bytes[i] = !bytes[i]
        }),
        edit(case, "cut off behind each byte", len, |i, bytes| {
            bytes.truncate(i)
        }),
        edit(
            case,
            "each byte as a number that is padded",
            len,
            |i, bytes| {
                bytes[i] |= 0x80;
                bytes.insert(i + 1, 0);
            },
        ),
        edit(case, "each byte removed", len, |i, bytes| {
            bytes.remove(i);
        }),
        edit(case, "each byte doubled", len, |i, bytes| {
            bytes.insert(i, bytes[i])
        }),
        edit(case, "bytes behind its end", 256, |i, bytes| {
            bytes.extend(vec![i as u8; i / 16 + 1])
        }),
        edit(case, "a run of zeros", len / 32, |i, bytes| {
            let end = bytes.len().min(32 * i + 32);
            bytes[32 * i..end].fill(0);
        }),
        edit(
            case,
            "random bytes behind a valid beginning",
            512,
            |i, bytes| {
                let mut numbers = Numbers(i as u64);
                let keep = numbers.next() as usize % bytes.len();
                bytes[keep..].fill_with(|| numbers.next() as u8);
            },
        ),
        edit(case, "random bytes", 512, |i, bytes| {
            let mut numbers = Numbers(i as u64 ^ 0xffff);
            bytes.truncate(i * 7);
            bytes.fill_with_numbers(&mut numbers);
        }),
    ]
}

trait Fill {
    fn fill_with_numbers(&mut self, numbers: &mut Numbers);
}

impl Fill for Vec<u8> {
    fn fill_with_numbers(&mut self, numbers: &mut Numbers) {
        self.fill_with(|| numbers.next() as u8);
    }
}

/// A change of the messages, judged.
fn change<'a>(
    case: &'a Case,
    name: &str,
    count: usize,
    change: impl Fn(usize, &mut Vec<Challenge>) + Sync + 'a,
) -> Class<'a> {
    class(KIND, name, count, move |index| {
        let mut proof = case.proof.clone();
        change(index, &mut proof.messages);
        case.judge_changed(&proof)
    })
}

fn messages(case: &Case) -> Vec<Class<'_>> {
    let n = case.proof.messages.len();
    let other = &case.other.1.messages;
    vec![
        change(case, "each message replaced", 8 * n, move |i, messages| {
            let at = i / 8;
            let old = messages[at];
            messages[at] = match i % 8 {
                0 => Challenge::ZERO,
                1 => Challenge::ONE,
                2 => old + Challenge::ONE,
                3 => old - Challenge::ONE,
                4 => -old,
                5 => old.double(),
                6 => other.get(at).copied().unwrap_or_default(),
                _ => lift(Numbers(i as u64).within(-1 << 30, 1 << 30)),
            };
        }),
        change(case, "two messages swapped", 4 * n, move |i, messages| {
            let distance = [1, 2, 3, n / 2][i % 4];
            messages.swap(i / 4, (i / 4 + distance) % n);
        }),
        change(
            case,
            "each message removed, doubled or preceded by zero",
            3 * n,
            |i, messages| match i % 3 {
                0 => drop(messages.drain(i / 3..=i / 3)),
                1 => messages.insert(i / 3, messages[i / 3]),
                _ => messages.insert(i / 3, Challenge::ZERO),
            },
        ),
        change(
            case,
            "messages cut off or continued",
            2 * n,
            move |i, messages| match i % 2 {
                0 => messages.truncate(i / 2),
                _ => messages.extend(vec![Challenge::ZERO; i / 2 + 1]),
            },
        ),
        change(
            case,
            "messages turned around or reversed",
            n,
            |i, messages| match i {
                0 => messages.reverse(),
                _ => messages.rotate_left(i),
            },
        ),
        change(case, "messages all alike", 3, |i, messages| {
            let all = [Challenge::ZERO, Challenge::ONE, messages[0]][i];
            messages.fill(all);
        }),
        class(KIND, "all zero", 4, |i| {
            let mut proof = case.proof.clone();
            proof.witness = [0; 32];
            proof.messages.fill(Challenge::ZERO);
            for (bit, opening) in [
                (1, &mut proof.witness_opening),
                (2, &mut proof.weights_opening),
            ] {
                if i & bit == 0 {
                    blank(opening);
                }
            }
            case.judge_changed(&proof)
        }),
    ]
}

/// Everything that an opening says, set to zero.
fn blank(opening: &mut Opening) {
    let whir = &mut opening.whir;
    whir.initial_ood_answers.fill(Challenge::ZERO);
    whir.initial_sumcheck
        .polynomial_evaluations
        .fill([Challenge::ZERO; 2]);
    for round in &mut whir.rounds {
        round.ood_answers.fill(Challenge::ZERO);
        round
            .sumcheck
            .polynomial_evaluations
            .fill([Challenge::ZERO; 2]);
        rows(&mut round.openings, |row| row.zero());
    }
    rows(&mut whir.final_openings, |row| row.zero());
    let len = whir
        .final_poly
        .as_ref()
        .map_or(1, |poly| poly.as_slice().len());
    whir.final_poly = Some(Poly::new(vec![Challenge::ZERO; len]));
    opening.evals = vec![OpeningBatch::new(vec![Challenge::ZERO], Vec::new())];
}

type Openings = QueryOpenings<assay_zkml_verify::field::Base, Challenge, Siblings>;
type Siblings = <assay_zkml_verify::commitment::Trees as p3_commit::Mmcs<
    assay_zkml_verify::field::Base,
>>::MultiProof;

/// Rows of either field.
trait Row {
    fn zero(&mut self);
    fn bend(&mut self, how: usize);
}

impl<T: Clone + PrimeCharacteristicRing> Row for Vec<T> {
    fn zero(&mut self) {
        self.fill(T::ZERO);
    }

    fn bend(&mut self, how: usize) {
        bend(self, how);
    }
}

fn rows(openings: &mut Openings, change: impl Fn(&mut dyn Row)) {
    match openings {
        QueryOpenings::Base(shared) => shared.rows.iter_mut().for_each(|row| change(row)),
        QueryOpenings::Extension(shared) => shared.rows.iter_mut().for_each(|row| change(row)),
    }
}

/// Ways to change the length or the order of a vector.
const BENDS: usize = 9;

fn bend<T: Clone>(vector: &mut Vec<T>, how: usize) {
    let len = vector.len();
    match how {
        0 => vector.truncate(len.saturating_sub(1)),
        1 => vector.clear(),
        2 => vector.extend(vector.last().cloned()),
        3 => vector.extend(vector.clone()),
        4 => vector.reverse(),
        5 if len > 1 => vector.swap(0, 1),
        6 if len > 1 => vector.rotate_left(1),
        7 if len > 1 => vector[0] = vector[len - 1].clone(),
        8 if len > 0 => drop(vector.remove(0)),
        _ => (),
    }
}

/// Vectors of an opening that [`bend_part`] knows, rounds apart.
const PARTS: usize = 11;
/// Vectors of each of its rounds.
const ROUND_PARTS: usize = 7;
/// Rounds of which each is tried.
const ROUNDS: usize = 4;

fn bend_openings(openings: &mut Openings, part: usize, how: usize) {
    match (part, openings) {
        (0, QueryOpenings::Base(shared)) => bend(&mut shared.rows, how),
        (0, QueryOpenings::Extension(shared)) => bend(&mut shared.rows, how),
        (1, QueryOpenings::Base(shared)) => bend(&mut shared.proof.sibling_hashes, how),
        (1, QueryOpenings::Extension(shared)) => bend(&mut shared.proof.sibling_hashes, how),
        (_, openings) => rows(openings, |row| row.bend(how)),
    }
}

/// Changes one vector of an opening.
fn bend_part(opening: &mut Opening, part: usize, how: usize) {
    let whir = &mut opening.whir;
    match part {
        0 => bend(&mut whir.initial_ood_answers, how),
        1 => bend(&mut whir.initial_sumcheck.polynomial_evaluations, how),
        2 => bend(&mut whir.initial_sumcheck.pow_witnesses, how),
        3 => bend(&mut whir.rounds, how),
        4 => bend(&mut opening.evals, how),
        5 => {
            let len = [1, 2, 4, 8, 16, 32, 64, 128, 256][how];
            whir.final_poly = (len > 1).then(|| Poly::new(vec![Challenge::ONE; len]));
        }
        6..=8 => bend_openings(&mut whir.final_openings, part - 6, how),
        9 => match &mut whir.final_sumcheck {
            Some(sumcheck) => bend(&mut sumcheck.polynomial_evaluations, how),
            None => whir.final_sumcheck = Some(Default::default()),
        },
        10 => {
            // A batch of nothing cannot be built; [`rewritten`] has it as bytes.
            let evals = [how % 3 + usize::from(how == 0), how / 3].map(|n| vec![Challenge::ONE; n]);
            let [current, next] = evals;
            opening.evals = vec![OpeningBatch::new(current, next)];
        }
        _ => {
            let (round, part) = ((part - PARTS) / ROUND_PARTS, (part - PARTS) % ROUND_PARTS);
            let Some(round) = whir.rounds.get_mut(round) else {
                return;
            };
            match part {
                0 => bend(&mut round.ood_answers, how),
                1 => bend(&mut round.sumcheck.polynomial_evaluations, how),
                2 => bend(&mut round.sumcheck.pow_witnesses, how),
                3 => round.commitment = None,
                _ => bend_openings(&mut round.openings, part - 4, how),
            }
        }
    }
}

/// Places of single elements that are replaced, and with what.
fn disturb(opening: &mut Opening, i: usize) {
    let whir = &mut opening.whir;
    match i {
        0 => whir.final_pow_witness += assay_zkml_verify::field::Base::ONE,
        1 => whir.final_sumcheck = None,
        2 => whir.final_sumcheck = Some(Default::default()),
        3 => whir.initial_sumcheck.pow_witnesses.push(Default::default()),
        4 => whir
            .rounds
            .iter_mut()
            .for_each(|r| r.pow_witness += assay_zkml_verify::field::Base::ONE),
        5 => whir
            .rounds
            .iter_mut()
            .for_each(|r| r.sumcheck.pow_witnesses.push(Default::default())),
        6 => {
            let rounds = whir.rounds.iter_mut().map(|round| &mut round.openings);
            rounds.for_each(|openings| std::mem::swap(&mut whir.final_openings, openings));
        }
        _ => whir.rounds.iter_mut().for_each(|r| r.commitment = None),
    }
}

/// The bytes of a proof with another length of an opening's final polynomial; nothing where that cannot be found.
fn resized(case: &Case, opening: &Opening, len: usize) -> Option<Vec<u8>> {
    let values = opening.whir.final_poly.as_ref()?.as_slice();
    if values.len() >= 128 {
        return None;
    }
    // Elements are written alike everywhere: behind the root and their number.
    let messages = Proof {
        messages: values.to_vec(),
        ..case.proof.clone()
    };
    let old = messages.encode()[32..33 + 20 * values.len()].to_vec();
    let at = case
        .bytes
        .windows(old.len())
        .position(|window| window == old)?;
    let mut new = old.clone();
    new.resize(1 + 20 * len, 1);
    new[0] = len as u8;
    let mut bytes = case.bytes.clone();
    bytes.splice(at..at + old.len(), new);
    Some(bytes)
}

fn openings(case: &Case) -> Vec<Class<'_>> {
    let parts = PARTS + ROUNDS * ROUND_PARTS;
    let pick = |proof: &mut Proof, i: usize, change: &dyn Fn(&mut Opening)| match i % 2 {
        0 => change(&mut proof.witness_opening),
        _ => change(&mut proof.weights_opening),
    };
    vec![
        class(
            KIND,
            "each vector of the openings bent",
            2 * parts * BENDS,
            move |i| {
                let mut proof = case.proof.clone();
                pick(&mut proof, i, &|opening| {
                    bend_part(opening, i / 2 % parts, i / 2 / parts)
                });
                case.judge_changed(&proof)
            },
        ),
        class(
            KIND,
            "two vectors of an opening bent",
            2 * parts * parts,
            move |i| {
                let mut proof = case.proof.clone();
                pick(&mut proof, i, &|opening| {
                    bend_part(opening, i / 2 % parts, i / 3 % BENDS);
                    bend_part(opening, i / 2 / parts, i / 5 % BENDS);
                });
                case.judge_changed(&proof)
            },
        ),
        edit(
            case,
            "evaluations of the last opening rewritten",
            4 * 16,
            |i, bytes| {
                // One batch of one value and no other: 1, 1, the value, 0.
                bytes.truncate(bytes.len() - 23);
                let (batches, current, next) = (i / 16, i / 4 % 4, i % 4);
                bytes.push(batches as u8);
                for _ in 0..batches {
                    for n in [current, next] {
                        bytes.push(n as u8);
                        bytes.extend(vec![1; 20 * n]);
                    }
                }
            },
        ),
        class(
            KIND,
            "final polynomials of every length",
            2 * 128,
            move |i| {
                let opening = [&case.proof.witness_opening, &case.proof.weights_opening][i % 2];
                case.judge_bytes(&resized(case, opening, i / 2)?)
            },
        ),
        class(KIND, "single fields of the openings", 16, move |i| {
            let mut proof = case.proof.clone();
            pick(&mut proof, i, &|opening| disturb(opening, i / 2));
            case.judge_changed(&proof)
        }),
    ]
}

/// Takes over some of the fields of a proof.
fn take(proof: &mut Proof, from: &Proof, fields: usize) {
    if fields & 1 != 0 {
        proof.witness = from.witness;
    }
    if fields & 2 != 0 {
        proof.messages = from.messages.clone();
    }
    if fields & 4 != 0 {
        proof.witness_opening = from.witness_opening.clone();
    }
    if fields & 8 != 0 {
        proof.weights_opening = from.weights_opening.clone();
    }
}

fn splices(case: &Case) -> Vec<Class<'_>> {
    let n = case.proof.messages.len();
    let other = &case.other.1;
    vec![
        class(KIND, "fields of another valid proof", 15, move |i| {
            let mut proof = case.proof.clone();
            take(&mut proof, other, i + 1);
            case.judge_changed(&proof)
        }),
        class(
            KIND,
            "messages of another valid proof, up to each or from each",
            8 * n,
            move |i| {
                let mut proof = case.proof.clone();
                take(&mut proof, other, i % 4 * 4);
                let (from, to) = (i / 8, n.min(other.messages.len()));
                let range = if i % 8 < 4 {
                    0..from.min(to)
                } else {
                    from.min(to)..to
                };
                proof.messages[range.clone()].copy_from_slice(&other.messages[range]);
                case.judge_changed(&proof)
            },
        ),
        class(KIND, "openings swapped", 1, |_| {
            let mut proof = case.proof.clone();
            std::mem::swap(&mut proof.witness_opening, &mut proof.weights_opening);
            case.judge_changed(&proof)
        }),
        class(
            KIND,
            "bytes of another valid proof, from each word on",
            case.bytes.len() / 16,
            move |i| {
                let (mut bytes, from) = (case.bytes.clone(), other.encode());
                let begin = (16 * i).min(from.len());
                bytes.truncate(begin);
                bytes.extend(&from[begin..]);
                // The other proof as a whole is valid for its own statement alone.
                case.judge_bytes(&bytes)
            },
        ),
    ]
}
