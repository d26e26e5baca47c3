//! How well sketches tell copies from strangers: rates on made models, and the models of this repository beside each other.
//!
//! `cargo run -p assay-hub --example sketch_rates [MODELS]` prints them; `docs/provenance.md` has a run. Weights are sums of
//! outer products with falling size and of noise, as trained matrices are, with one tensor that every model has alike
//! (positions by sines), because strangers share such things.

use std::collections::BTreeMap;
use std::path::Path;

use assay_hub::sketch::{COPY_SHARE, MAX_DISTANCE, Sketch};
use assay_hub::tensors::{bf16_bits, f16_bits};

/// Independent models; each pair of them is a chance to be wrong.
const BASES: u64 = 40;

const SHAPES: [(u64, u64); 14] = [
    (512, 64),
    (64, 64),
    (64, 64),
    (64, 64),
    (64, 64),
    (256, 64),
    (64, 256),
    (64, 64),
    (64, 64),
    (64, 64),
    (64, 64),
    (256, 64),
    (64, 256),
    (32, 64),
];

struct Draws(u64);

impl Draws {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// About normal, variance one.
    fn normal(&mut self) -> f32 {
        let sum: f64 = (0..12).map(|_| self.bits() as f64 / u64::MAX as f64).sum();
        (sum - 6.0) as f32
    }
}

type Tensor = (Vec<u64>, Vec<f32>);
type Model = Vec<Tensor>;

/// A matrix with a spectrum that falls like that of trained ones.
fn matrix(rows: u64, columns: u64, draws: &mut Draws) -> Vec<f32> {
    let mut values: Vec<f32> = (0..rows * columns).map(|_| 0.02 * draws.normal()).collect();
    for rank in 1..=8u64 {
        let size = 0.05 / rank as f32;
        let left: Vec<f32> = (0..rows).map(|_| draws.normal()).collect();
        let right: Vec<f32> = (0..columns).map(|_| draws.normal()).collect();
        for (row, l) in values.chunks_mut(columns as usize).zip(&left) {
            row.iter_mut()
                .zip(&right)
                .for_each(|(value, r)| *value += size * l * r);
        }
    }
    values
}

fn base(seed: u64) -> Model {
    let mut draws = Draws(seed << 32);
    let made = SHAPES
        .iter()
        .map(|(r, c)| (vec![*r, *c], matrix(*r, *c, &mut draws)));
    let mut model: Model = made.collect();
    let sines =
        (0..128 * 64).map(|i| ((i / 64) as f32 / 10_000f32.powf((i % 64) as f32 / 64.0)).sin());
    model.push((vec![128, 64], sines.collect()));
    model
}

fn each(model: &Model, mut change: impl FnMut(f32) -> f32) -> Model {
    let changed =
        |(shape, values): &Tensor| (shape.clone(), values.iter().map(|v| change(*v)).collect());
    model.iter().map(changed).collect()
}

fn by_row(model: &Model, quantised: impl Fn(&[f32]) -> Vec<f32>) -> Model {
    let row = |values: &[f32], length: u64| {
        values
            .chunks(length as usize)
            .flat_map(&quantised)
            .collect()
    };
    model
        .iter()
        .map(|(shape, values)| (shape.clone(), row(values, shape[1])))
        .collect()
}

/// Noise of `amount` times the size of the numbers of each tensor.
fn tuned(model: &Model, amount: f32, only: impl Fn(usize) -> bool, seed: u64) -> Model {
    let mut draws = Draws(seed);
    let mut model = model.clone();
    for (_, (_, values)) in model
        .iter_mut()
        .enumerate()
        .filter(|(index, _)| only(*index))
    {
        let size = (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt();
        values
            .iter_mut()
            .for_each(|value| *value += amount * size * draws.normal());
    }
    model
}

/// What people do with a model, each with its name.
fn copies(model: &Model, seed: u64) -> Vec<(&'static str, Model)> {
    let half = |v: f32| f32::from_bits(u32::from(bf16_bits(v)) << 16);
    let integers = |row: &[f32]| -> Vec<f32> {
        let most = row.iter().fold(0f32, |most, v| most.max(v.abs()));
        row.iter().map(|v| (v * 127.0 / most).round()).collect()
    };
    let unsigned = |row: &[f32]| -> Vec<f32> {
        let (low, high) = row
            .iter()
            .fold((0f32, 0f32), |(l, h), v| (l.min(*v), h.max(*v)));
        row.iter()
            .map(|v| ((v - low) * 255.0 / (high - low)).round())
            .collect()
    };
    let fours = |row: &[f32]| -> Vec<f32> {
        let most = row.iter().fold(0f32, |most, v| most.max(v.abs()));
        row.iter().map(|v| (v * 7.0 / most).round()).collect()
    };
    let mut draws = Draws(seed ^ 0xabcd);
    let mut head = model.clone();
    head[13].1 = matrix(32, 64, &mut draws);
    let mut ballast = tuned(model, 0.1, |_| true, seed);
    ballast.push((vec![1024, 256], matrix(1024, 256, &mut draws)));
    let mut turned = model.clone();
    turned.reverse();
    let mut low_rank = model.clone();
    for (shape, values) in &mut low_rank {
        let change = matrix(shape[0], shape[1], &mut draws);
        values
            .iter_mut()
            .zip(change)
            .for_each(|(value, c)| *value += 0.1 * c);
    }
    vec![
        ("bf16", each(model, half)),
        ("f16", each(model, |v| half_of(f16_bits(v)))),
        ("int8, a scale a row", by_row(model, integers)),
        ("uint8, scale and zero a row", by_row(model, unsigned)),
        ("4 bits unpacked", by_row(model, fours)),
        ("another head", head),
        ("3 of 14 layers trained anew", anew(model, &[4, 5, 6], seed)),
        (
            "7 of 14 layers trained anew",
            anew(model, &[0, 1, 2, 3, 4, 5, 6], seed),
        ),
        (
            "11 of 14 layers trained anew",
            anew(model, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], seed),
        ),
        ("fine-tuned by 10 %", tuned(model, 0.1, |_| true, seed)),
        ("fine-tuned by 30 %", tuned(model, 0.3, |_| true, seed)),
        ("fine-tuned by 50 %", tuned(model, 0.5, |_| true, seed)),
        ("fine-tuned by 100 %", tuned(model, 1.0, |_| true, seed)),
        ("low-rank change merged in", low_rank),
        ("renamed and reordered", turned),
        ("fine-tuned, with ballast", ballast),
        (
            "fine-tuned, then int8",
            by_row(&tuned(model, 0.2, |_| true, seed), integers),
        ),
    ]
}

fn anew(model: &Model, layers: &[usize], seed: u64) -> Model {
    let mut draws = Draws(seed ^ 0x1234);
    let mut model = model.clone();
    for index in layers {
        let (shape, values) = &mut model[*index];
        *values = matrix(shape[0], shape[1], &mut draws);
    }
    model
}

/// A half as a single, for normal numbers and zero.
fn half_of(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023) / 1024.0);
    let size = if exponent == 0 {
        mantissa * 2f32.powi(-14)
    } else {
        (1.0 + mantissa) * 2f32.powi(exponent - 15)
    };
    sign * size
}

fn sketch(model: &Model) -> Sketch {
    Sketch::of_values(
        model
            .iter()
            .map(|(shape, values)| (shape.as_slice(), values.as_slice())),
    )
}

fn percent(part: usize, whole: usize) -> String {
    format!("{:6.2} %", 100.0 * part as f64 / whole.max(1) as f64)
}

fn main() {
    let bases: Vec<Model> = (1..=BASES).map(base).collect();
    let sketches: Vec<Sketch> = bases.iter().map(sketch).collect();
    let mut strangers = Vec::new();
    for (index, one) in sketches.iter().enumerate() {
        strangers.extend(
            sketches
                .iter()
                .skip(index + 1)
                .map(|other| one.likeness(other).share),
        );
    }
    let mut rows: BTreeMap<usize, (&str, Vec<f64>)> = BTreeMap::new();
    for (seed, (model, base)) in bases.iter().zip(&sketches).enumerate() {
        for (place, (name, copy)) in copies(model, seed as u64 + 77).iter().enumerate() {
            rows.entry(place)
                .or_insert((*name, Vec::new()))
                .1
                .push(base.likeness(&sketch(copy)).share);
        }
    }
    println!(
        "bits that may differ: {MAX_DISTANCE} of 64; share that makes a copy: {COPY_SHARE}; {} bytes a sketch",
        sketches[0].encode().len()
    );
    println!(
        "\n{:32} {:>9} {:>9} {:>9}",
        "true positives", "found", "least", "mean"
    );
    for (name, shares) in rows.values() {
        let found = shares.iter().filter(|share| **share >= COPY_SHARE).count();
        let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        println!(
            "{name:32} {:>9} {least:9.3} {mean:9.3}",
            percent(found, shares.len())
        );
    }
    println!(
        "\n{:32} {:>9}   ({} pairs of strangers)",
        "false positives",
        "",
        strangers.len()
    );
    for threshold in [0.05, 0.1, 0.2, COPY_SHARE, 0.5] {
        let found = strangers
            .iter()
            .filter(|share| **share >= threshold)
            .count();
        println!(
            "share of at least {threshold:<14} {:>9}",
            percent(found, strangers.len())
        );
    }
    let most = strangers.iter().copied().fold(0.0, f64::max);
    println!("{:32} {most:9.3}", "largest share");
    if let Some(models) = std::env::args().nth(1) {
        repository(Path::new(&models));
    }
}

/// Every pair of models of a folder that shares a tensor.
fn repository(models: &Path) {
    let mut sketches = Vec::new();
    let entries = std::fs::read_dir(models).expect("the folder of models");
    for entry in entries.flatten() {
        let Ok(bytes) = std::fs::read(entry.path().join("model.onnx")) else {
            continue;
        };
        let sketch = sketch(&initialisers(&bytes));
        if !sketch.is_empty() {
            sketches.push((entry.file_name().to_string_lossy().into_owned(), sketch));
        }
    }
    sketches.sort_by(|a, b| a.0.cmp(&b.0));
    println!(
        "\n{} models of {} with a tensor that is large enough; pairs that share one:",
        sketches.len(),
        models.display()
    );
    for (index, (name, one)) in sketches.iter().enumerate() {
        for (other_name, other) in sketches.iter().skip(index + 1) {
            let likeness = one.likeness(other);
            if likeness.tensors > 0 {
                println!(
                    "{name:24} {other_name:24} {} tensors, share {:.3}",
                    likeness.tensors, likeness.share
                );
            }
        }
    }
}

/// The f32 initialisers of an ONNX file: `ModelProto.graph (7).initializer (5)`, with `dims` (1), `data_type` (2), `raw_data` (9).
fn initialisers(model: &[u8]) -> Model {
    let mut tensors = Vec::new();
    for graph in fields(model).into_iter().filter(|(number, _)| *number == 7) {
        for (_, tensor) in fields(graph.1)
            .into_iter()
            .filter(|(number, _)| *number == 5)
        {
            let (mut shape, mut values) = (Vec::new(), Vec::new());
            for (number, bytes) in fields(tensor) {
                match number {
                    1 => shape.extend(varints(bytes)),
                    9 => {
                        values = bytes
                            .chunks_exact(4)
                            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                            .collect()
                    }
                    _ => {}
                }
            }
            if shape.iter().product::<u64>() == values.len() as u64 {
                tensors.push((shape, values));
            }
        }
    }
    tensors
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 127) << shift;
        if byte & 128 == 0 {
            return Some(value);
        }
    }
    None
}

fn varints(mut bytes: &[u8]) -> Vec<u64> {
    std::iter::from_fn(|| varint(&mut bytes)).collect()
}

/// Fields of a message; a number stands as the bytes of its varint.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = Vec::new();
    while let Some(key) = varint(&mut bytes) {
        let before = bytes;
        let length = match key & 7 {
            0 => match varint(&mut bytes) {
                Some(_) => before.len() - bytes.len(),
                None => break,
            },
            1 => 8,
            2 => varint(&mut bytes).unwrap_or(u64::MAX) as usize,
            _ => 4,
        };
        let start = if key & 7 == 2 { bytes } else { before };
        let Some((value, rest)) = start.split_at_checked(length) else {
            break;
        };
        found.push((key >> 3, value));
        bytes = rest;
    }
    found
}
