//! Mutations of a registration, and of what it is held against.

use assay_zkml_verify::field::{Challenge, lift};
use assay_zkml_verify::registration::{self, Registration};
use assay_zkml_verify::{Error, ModelCommitment};
use p3_field::PrimeCharacteristicRing as _;

use super::{COMMITMENT_BITS, Case, Class, class, flipped};
use crate::graphs::Numbers;

fn judge(case: &Case, registration: &Registration) -> Result<(), Error> {
    registration::verify(
        case.model.prepared().circuit(),
        &case.model.commitment(),
        registration,
    )
}

pub(super) fn classes(case: &Case) -> Vec<Class<'_>> {
    assert_eq!(judge(case, &case.registration), Ok(()));
    let mut classes = encodings(case);
    classes.extend(contents(case));
    classes
}

/// What is mutated here.
const KIND: &str = "registration";

fn encodings(case: &Case) -> Vec<Class<'_>> {
    let valid = case.registration.encode();
    let (len, head) = (valid.len(), 34 + 20 * case.registration.messages.len());
    let edit = |name: &str, count: usize, change: fn(usize, &mut Vec<u8>)| {
        let valid = valid.clone();
        class(KIND, name, count, move |i| {
            let mut bytes = valid.clone();
            change(i, &mut bytes);
            if bytes == valid {
                return None;
            }
            Some(Registration::decode(&bytes).and_then(|registration| judge(case, &registration)))
        })
    };
    vec![
        edit("each bit of root and messages", 8 * head, |i, bytes| {
            bytes[i / 8] ^= 1 << (i % 8)
        }),
        edit("a bit of each byte", len, |i, bytes| {
            bytes[i] ^= 1 << (i % 8)
        }),
        edit("cut off behind each byte", len, |i, bytes| {
            bytes.truncate(i)
        }),
        edit("each byte as a number that is padded", len, |i, bytes| {
            bytes[i] |= 0x80;
            bytes.insert(i + 1, 0);
        }),
        edit("bytes behind its end", 64, |i, bytes| {
            bytes.extend(vec![0; i + 1])
        }),
        edit("random bytes", 512, |i, bytes| {
            let mut numbers = Numbers(i as u64);
            let keep = numbers.next() as usize % bytes.len();
            bytes[keep..].fill_with(|| numbers.next() as u8);
        }),
    ]
}

fn contents(case: &Case) -> Vec<Class<'_>> {
    let n = case.registration.messages.len();
    let foreign = &case.foreign.1;
    let change = move |name: &str, count: usize, change: fn(usize, &mut Vec<Challenge>)| {
        class(KIND, name, count, move |i| {
            let mut registration = case.registration.clone();
            change(i, &mut registration.messages);
            (registration.messages != case.registration.messages)
                .then(|| judge(case, &registration))
        })
    };
    vec![
        change("each message replaced", 6 * n, |i, messages| {
            let place = &mut messages[i / 6];
            *place = match i % 6 {
                0 => Challenge::ZERO,
                1 => Challenge::ONE,
                2 => *place + Challenge::ONE,
                3 => -*place,
                4 => place.double(),
                _ => lift(Numbers(i as u64).within(-1 << 30, 1 << 30)),
            };
        }),
        change(
            "messages swapped, removed, doubled",
            3 * n,
            |i, messages| {
                let (at, len) = (i / 3, messages.len());
                match i % 3 {
                    0 => messages.swap(at, (at + 1) % len),
                    1 => drop(messages.remove(at)),
                    _ => messages.insert(at, messages[at]),
                }
            },
        ),
        change(
            "messages cut off, continued, turned around",
            3 * n,
            |i, messages| match i % 3 {
                0 => messages.truncate(i / 3),
                1 => messages.extend(vec![Challenge::ZERO; i / 3 + 1]),
                _ => messages.rotate_left(i / 3),
            },
        ),
        class(KIND, "fields of another model's", 15, move |i| {
            let mut registration = case.registration.clone();
            let fields = i + 1;
            if fields & 1 != 0 {
                registration.multiplicities = foreign.multiplicities;
            }
            if fields & 2 != 0 {
                registration.messages = foreign.messages.clone();
            }
            if fields & 4 != 0 {
                registration.weights_opening = foreign.weights_opening.clone();
            }
            if fields & 8 != 0 {
                registration.multiplicities_opening = foreign.multiplicities_opening.clone();
            }
            Some(judge(case, &registration))
        }),
        class(
            KIND,
            "each bit of the commitment",
            COMMITMENT_BITS,
            move |i| {
                let circuit = case.model.prepared().circuit();
                let judge =
                    |commitment| registration::verify(circuit, &commitment, &case.registration);
                Some(flipped(&case.model.commitment(), i).and_then(judge))
            },
        ),
        class(KIND, "another circuit or other weights", 34, move |i| {
            let mut circuit = case.model.prepared().circuit().clone();
            match i {
                0 => circuit.steps.clear(),
                33 => (),
                n => circuit.weights_log = circuit.weights_log.wrapping_add(n as u32 * n as u32),
            }
            let weights = match i {
                33 => case.foreign.0.commitment().weights,
                _ => case.model.commitment().weights,
            };
            let commitment = ModelCommitment {
                circuit: circuit.digest(),
                weights,
            };
            Some(registration::verify(
                &circuit,
                &commitment,
                &case.registration,
            ))
        }),
    ]
}
