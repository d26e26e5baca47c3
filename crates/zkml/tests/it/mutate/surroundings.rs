//! A valid proof, held against another statement, another circuit or another commitment.

use assay_zkml_verify::circuit::{Accumulator, Circuit, Operand, Source, Term};
use assay_zkml_verify::field::Challenge;
use assay_zkml_verify::view::{NONE, View};
use assay_zkml_verify::{Error, ModelCommitment, Prepared, Statement, verify};

use p3_field::PrimeCharacteristicRing as _;

use super::{COMMITMENT_BITS, Case, Class, flipped};
use crate::graphs::Numbers;

/// The size of the base field.
const P: i32 = 0x7f00_0001;

pub(super) fn classes(case: &Case) -> Vec<Class<'_>> {
    let mut classes = statements(case);
    classes.extend(circuits(case));
    classes.extend(commitments(case));
    classes
}

/// The valid proof of another statement.
fn claim<'a>(
    case: &'a Case,
    name: &str,
    count: usize,
    change: impl Fn(usize, &mut Statement) + Sync + 'a,
) -> Class<'a> {
    let attempt = move |index| {
        let mut statement = case.statement.clone();
        change(index, &mut statement);
        (statement != case.statement).then(|| {
            let (model, proof) = (&case.model, &case.proof);
            verify(model.prepared(), &model.commitment(), &statement, proof)
        })
    };
    Class {
        name: format!("statement: {name}"),
        count,
        attempt: Box::new(attempt),
    }
}

fn statements(case: &Case) -> Vec<Class<'_>> {
    let row = &case.statement.rows[0];
    let inputs: usize = row.inputs.iter().map(Vec::len).sum();
    let outputs: usize = row.outputs.iter().map(Vec::len).sum();
    let rows = case.statement.rows.len();
    vec![
        claim(
            case,
            "each input changed",
            rows * inputs * 8,
            move |i, statement| {
                let row = &mut statement.rows[i / 8 % rows];
                let place = row.inputs.iter_mut().flatten().nth(i / 8 / rows).unwrap();
                *place = change_number(i64::from(*place), i % 8, -128, 127) as i16;
            },
        ),
        claim(
            case,
            "each output changed",
            rows * outputs * 10,
            move |i, statement| {
                let row = &mut statement.rows[i / 10 % rows];
                let place = row.outputs.iter_mut().flatten().nth(i / 10 / rows).unwrap();
                *place = match i % 10 {
                    8 => place.wrapping_add(P),
                    9 => place.wrapping_sub(P),
                    how => change_number(i64::from(*place), how, -(1 << 30), 1 << 30) as i32,
                };
            },
        ),
        claim(
            case,
            "each bit of network, revision and context",
            3 * 256,
            |i, statement| {
                let fields = [
                    &mut statement.network,
                    &mut statement.revision,
                    &mut statement.context,
                ];
                let field = fields.into_iter().nth(i / 256).unwrap();
                field[i % 256 / 8] ^= 1 << (i % 8);
            },
        ),
        claim(
            case,
            "network, revision and context moved",
            3,
            |i, statement| {
                let (a, b, c) = (statement.network, statement.revision, statement.context);
                (statement.network, statement.revision, statement.context) =
                    [(b, a, c), (c, b, a), (a, c, b)][i];
            },
        ),
        claim(case, "other batches", 16, |i, statement| {
            let first = statement.rows[0].clone();
            match i {
                0 => statement.rows.clear(),
                1 => drop(statement.rows.pop()),
                2 => statement.rows.reverse(),
                n => statement.rows.extend(vec![first; 1 << (n - 3)]),
            }
        }),
        claim(case, "tensors of other lengths", 64, |i, statement| {
            let row = &mut statement.rows[0];
            match i % 8 {
                0 => row.outputs[0].truncate(i / 8),
                1 => row.outputs[0].extend(vec![0; i / 8 + 1]),
                2 => row.inputs[0].truncate(i / 8),
                3 => row.inputs[0].extend(vec![0; i / 8 + 1]),
                4 => row.outputs.push(vec![0; i / 8]),
                5 => row.inputs.push(vec![0; i / 8]),
                6 => row.outputs.truncate(i / 8),
                _ => {
                    let by = i / 8 % row.outputs[0].len();
                    row.outputs[0].rotate_left(by);
                }
            }
        }),
        claim(case, "that of another valid proof", 1, |_, statement| {
            *statement = case.other.0.clone();
        }),
        statement_bytes(case),
    ]
}

/// Each byte of an encoded statement, as bits and as a padded number.
fn statement_bytes(case: &Case) -> Class<'_> {
    let valid = case.statement.encode();
    let attempt = move |i: usize| {
        let mut bytes = valid.clone();
        match i % 10 {
            8 => {
                bytes[i / 10] |= 0x80;
                bytes.insert(i / 10 + 1, 0);
            }
            9 => bytes.truncate(i / 10),
            bit => bytes[i / 10] ^= 1 << bit,
        }
        Some(Statement::decode(&bytes).and_then(|statement| {
            let model = &case.model;
            verify(
                model.prepared(),
                &model.commitment(),
                &statement,
                &case.proof,
            )
        }))
    };
    Class {
        name: "statement: each byte of its encoding".into(),
        count: 10 * case.statement.encode().len(),
        attempt: Box::new(attempt),
    }
}

fn change_number(value: i64, how: usize, least: i64, most: i64) -> i64 {
    match how {
        0 => value + 1,
        1 => value - 1,
        2 => 0,
        3 => -value,
        4 => least,
        5 => most,
        6 => value ^ 4,
        _ => Numbers(value as u64).within(least, most),
    }
}

/// How the verifier comes by the commitment of another circuit.
#[derive(Clone, Copy)]
enum Named {
    /// It keeps the one that it has.
    AsBefore,
    /// It takes one that names the other circuit, with the same weights.
    AsChanged,
}

/// The valid proof held against another circuit with the same weights.
fn judge_circuit(case: &Case, circuit: Circuit, named: Named) -> Option<Result<(), Error>> {
    if &circuit == case.model.prepared().circuit() {
        return None;
    }
    let weights = case.model.commitment().weights;
    Some(Prepared::new(circuit).and_then(|prepared| {
        let commitment = match named {
            Named::AsBefore => case.model.commitment(),
            Named::AsChanged => ModelCommitment {
                circuit: prepared.digest(),
                weights,
            },
        };
        verify(&prepared, &commitment, &case.statement, &case.proof)
    }))
}

fn circuits(case: &Case) -> Vec<Class<'_>> {
    let circuit = case.model.prepared().circuit();
    let steps = circuit.steps.len();
    let bytes = circuit.encode();
    let named = |i: usize| [Named::AsBefore, Named::AsChanged][i % 2];
    let changed = move |name: &str, count: usize, change: fn(usize, &mut Circuit)| Class {
        name: format!("circuit: {name}"),
        count: 2 * count,
        attempt: Box::new(move |i| {
            let mut circuit = circuit.clone();
            change(i / 2, &mut circuit);
            judge_circuit(case, circuit, named(i))
        }),
    };
    vec![
        Class {
            name: "circuit: each byte of its encoding".into(),
            count: 2 * 5 * bytes.len(),
            attempt: Box::new(move |i| {
                let (mut bytes, at) = (bytes.clone(), i / 10);
                match i / 2 % 5 {
                    0 => bytes[at] ^= 1,
                    1 => bytes[at] ^= 0x40,
                    2 => bytes[at] = 0xff,
                    3 => bytes.truncate(at),
                    _ => {
                        bytes[at] |= 0x80;
                        bytes.insert(at + 1, 0);
                    }
                }
                match Circuit::decode(&bytes) {
                    Ok(circuit) => judge_circuit(case, circuit, named(i)),
                    Err(error) => Some(Err(error)),
                }
            }),
        },
        changed("steps in another order", steps * steps, |i, circuit| {
            let n = circuit.steps.len();
            circuit.steps.swap(i / n, i % n);
        }),
        changed(
            "a step removed, doubled or rescaled otherwise",
            8 * steps,
            |i, circuit| {
                let at = i / 8;
                let step = &mut circuit.steps[at];
                match i % 8 {
                    0 => drop(circuit.steps.remove(at)),
                    1 => circuit.steps.push(circuit.steps[at].clone()),
                    2 => step.shift += 1,
                    3 => step.shift = step.shift.wrapping_sub(1),
                    4 => step.shift = u32::MAX,
                    5 => step.table = step.table.wrapping_add(1),
                    6 => step.accumulator.bias = None,
                    _ => step.table = u16::MAX,
                }
            },
        ),
        changed(
            "an accumulator of another kind",
            40 * (steps + 1),
            |i, circuit| {
                let n = circuit.steps.len();
                let own = match i / 40 {
                    at if at < n => &mut circuit.steps[at].accumulator,
                    _ => &mut circuit.outputs[0],
                };
                change_accumulator(own, i % 40);
            },
        ),
        changed("tables and dimensions", 64, |i, circuit| {
            let table = circuit
                .tables
                .len()
                .checked_sub(1)
                .map(|last| &mut circuit.tables[i % 4 % (last + 1)]);
            match (i / 4, table) {
                (0, Some(table)) => table.first += 1,
                (1, Some(table)) => table.first = i32::MAX - i as i32,
                (2, Some(table)) => table.first = i32::MIN + i as i32,
                (3, Some(table)) => table.values.clear(),
                (4, Some(table)) => table.values.extend(vec![0; 1 << 17]),
                (5, Some(table)) => table.values[i % 4] ^= 1,
                (6, Some(table)) => table.values.reverse(),
                (7, _) => circuit.weights_log += i as u32 % 4,
                (8, _) => circuit.weights_log = [0, 31, 64, u32::MAX][i % 4],
                (9, _) => circuit.inputs[0].len = [0, 1, u32::MAX, 1 << 31][i % 4],
                (10, _) => circuit.inputs[0].least += 1 + i as i16 % 4,
                (11, _) => circuit.inputs[0].most = i16::MIN + i as i16 % 4,
                (12, _) => circuit.inputs.clear(),
                (13, _) => circuit.outputs.clear(),
                (14, _) => circuit.tables.clear(),
                _ => circuit.outputs.push(circuit.outputs[0].clone()),
            }
        }),
    ]
}

fn operand(term: &mut Term) -> &mut Operand {
    match term {
        Term::Linear { operand, .. } | Term::Weights { operand, .. } => operand,
        Term::Product { left, .. } => left,
    }
}

fn change_accumulator(own: &mut Accumulator, how: usize) {
    let Some(term) = own.terms.last_mut() else {
        return;
    };
    match how {
        0 => own.terms.clear(),
        1 => own.terms.push(own.terms[0].clone()),
        2 => own.domain.groups += 1,
        3 => own.domain.rows += 1,
        4 => own.domain.columns += 1,
        5 => own.domain.columns = own.domain.columns.wrapping_sub(1),
        6 => own.domain.groups = u32::MAX,
        7 => (own.domain.groups, own.domain.rows) = (1 << 31, 1 << 31),
        8 => own.bias = Some(0),
        9 => own.bias = Some(u32::MAX),
        10 => own.bias = own.bias.map(|offset| offset + 1),
        11 => operand(term).clear(),
        12 => {
            let part = operand(term)[0].clone();
            operand(term).push(part);
        }
        13 => operand(term)[0].coefficient += 1,
        14 => operand(term)[0].coefficient = i32::MIN,
        15 => operand(term)[0].coefficient = 0,
        16 => operand(term)[0].source = Source::Step(u16::MAX),
        17 => operand(term)[0].source = Source::Input(7),
        18 => operand(term)[0].source = Source::Input(0),
        19..=23 => change_size(term, how - 19),
        _ => change_view(&mut operand(term)[0].view, how - 24),
    }
}

fn change_size(term: &mut Term, how: usize) {
    let (inner, offset) = match term {
        Term::Linear { summed, .. } => (summed, None),
        Term::Weights { inner, offset, .. } => (inner, Some(offset)),
        Term::Product { inner, .. } => (inner, None),
    };
    match (how, offset) {
        (0, _) => *inner += 1,
        (1, _) => *inner = inner.wrapping_sub(1),
        (2, _) => *inner = u32::MAX,
        (3, Some(offset)) => *offset = offset.wrapping_add(1),
        (_, Some(offset)) => *offset = u32::MAX - 1,
        _ => *inner = 23,
    }
}

fn change_view(view: &mut View, how: usize) {
    match view {
        View::Listed(sources) => match how {
            0 => drop(sources.pop()),
            1 => sources.push(0),
            2 => sources.reverse(),
            3 => sources[0] = NONE - 1,
            4 => sources.fill(NONE),
            5 => sources.fill(0),
            n => {
                let at = n % sources.len();
                sources[at] ^= 1;
            }
        },
        View::Strided(strided) => match how {
            0 => drop(strided.axes.pop()),
            1 => strided.axes.push(vec![1]),
            2 => strided.axes[0].push(0),
            3 => strided.coordinates.clear(),
            4 => strided.coordinates.push(strided.coordinates[0].clone()),
            5 => strided.coordinates[0].offset = i32::MIN,
            6 => strided.coordinates[0].offset += 1,
            7 => strided.coordinates[0].steps.fill(i32::MAX),
            8 => strided.coordinates[0].extent = u32::MAX,
            9 => strided.coordinates[0].stride = u32::MAX,
            10 => {
                let far = &mut strided.coordinates[0];
                (far.offset, far.extent, far.stride) = (i32::MAX, u32::MAX, u32::MAX);
                far.steps.fill(i32::MAX);
            }
            11 => strided.coordinates[0].extent = 0,
            12 => strided.axes[0].fill(u32::MAX),
            13 => drop(strided.coordinates[0].steps.pop()),
            14 => strided.coordinates[0].steps.reverse(),
            _ => strided.axes.reverse(),
        },
    }
}

fn commitments(case: &Case) -> Vec<Class<'_>> {
    let judge = |commitment: &ModelCommitment| {
        verify(
            case.model.prepared(),
            commitment,
            &case.statement,
            &case.proof,
        )
    };
    vec![
        Class {
            name: "commitment: each bit".into(),
            count: COMMITMENT_BITS,
            attempt: Box::new(move |i| {
                let changed = flipped(&case.model.commitment(), i);
                Some(changed.and_then(|commitment| judge(&commitment)))
            }),
        },
        Class {
            name: "commitment: of other weights, of zeros, swapped".into(),
            count: 7,
            attempt: Box::new(move |i| {
                let (own, foreign) = (case.model.commitment(), case.foreign.0.commitment());
                let mut other = own;
                match i {
                    0 => other = foreign,
                    1 => other.weights.root = [0; 32],
                    2 => {
                        other.weights.root = own.circuit;
                        other.circuit = own.weights.root;
                    }
                    3 => other.weights.root = case.proof.witness,
                    4 => other.weights.value = foreign.weights.value,
                    5 => other.weights.value = Challenge::ZERO,
                    _ => other.weights.root = foreign.weights.root,
                }
                Some(judge(&other))
            }),
        },
    ]
}
