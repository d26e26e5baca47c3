//! How a proof grows with parameters, depth and batch, and what each part of proving takes of it: a JSON object a line.
//!
//! `cargo run -p assay-zkml --example growth [MOST]` measures perceptrons with random weights, up to `MOST` parameters. CPU time is
//! that of all threads.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use assay_tensor::quant::{Matrix, Node, Op, Range, Table, ValueId};
use assay_zkml::{Compiled, Error, Model, Phase, Setting, compile, execute, prove_watched};
use assay_zkml_verify::statement::Row;
use assay_zkml_verify::verify;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// Proofs are repeated for at least so long; the least time counts, because other work only adds.
const LEAST: Duration = Duration::from_secs(1);
/// Parameters of the largest model, unless somebody says otherwise.
const MOST: usize = 1 << 24;
/// Inputs and columns of the models that only grow deeper.
const NARROW: usize = 64;
const SETTING: Setting = Setting {
    network: [1; 32],
    revision: [2; 32],
    context: [3; 32],
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let most = std::env::args()
        .nth(1)
        .map_or(Ok(MOST), |text| text.parse())?;
    let widths = (6..).map(|log| 1usize << log);
    for width in widths.take_while(|width| width * width <= most) {
        measure("parameters", &[width, width, 10], 1)?;
    }
    for depth in (0..=8).map(|log| 1usize << log) {
        measure("depth", &vec![NARROW; depth + 1], 1)?;
    }
    for batch in (0..=7).map(|log| 1usize << log) {
        measure("batch", &[512, 512, 10], batch)?;
    }
    Ok(())
}

/// Prints what proofs of a perceptron take; `axis` is what grows.
fn measure(axis: &str, widths: &[usize], batch: usize) -> Result<(), Error> {
    let Compiled {
        circuit, weights, ..
    } = perceptron(widths)?;
    let parameters = weights.len();
    let model = Model::new(circuit, weights)?;
    let inputs: Vec<_> = (0..batch).map(|row| input(widths[0], row)).collect();
    let mut best = (f64::INFINITY, BTreeMap::new());
    let begin = Instant::now();
    let proven = loop {
        let (phases, proven) = phases(&model, &inputs);
        let all = phases.values().sum();
        if all < best.0 {
            best = (all, phases);
        }
        if begin.elapsed() > LEAST {
            break proven?;
        }
    };
    let commitment = model.commitment();
    let started = cpu_s();
    verify(model.prepared(), &commitment, &proven.0, &proven.1)?;
    let verify_s = cpu_s() - started;
    let object: Value = json!({
        "axis": axis,
        "parameters": parameters,
        "depth": widths.len() - 1,
        "batch": batch,
        "prove_cpu_s": best.0,
        "run_cpu_s": run_s(&model, &inputs)?,
        "phases": best.1,
        "verify_ms": verify_s * 1e3,
        "proof_bytes": proven.1.encode().len(),
        "peak_mb": peak_mb(),
    });
    println!("{object}");
    Ok(())
}

type Proven = (assay_zkml_verify::Statement, assay_zkml_verify::Proof);

/// One proof, and the CPU seconds of each of its phases.
fn phases(
    model: &Model,
    inputs: &[Vec<Vec<i16>>],
) -> (BTreeMap<String, f64>, Result<Proven, Error>) {
    let mut begun: Vec<(Phase, f64)> = Vec::new();
    let proven = prove_watched(model, SETTING, inputs, &mut |phase| {
        begun.push((phase, cpu_s()));
        ControlFlow::Continue(())
    });
    let ends: Vec<f64> = begun
        .iter()
        .skip(1)
        .map(|(_, at)| *at)
        .chain([cpu_s()])
        .collect();
    let took = begun.iter().zip(ends);
    let took = took.map(|((phase, at), end)| (format!("{phase:?}").to_lowercase(), end - at));
    (took.collect(), proven)
}

/// CPU seconds of the plain run, which proves nothing.
fn run_s(model: &Model, inputs: &[Vec<Vec<i16>>]) -> Result<f64, Error> {
    let rows: Vec<Row> = inputs
        .iter()
        .map(|inputs| Row {
            inputs: inputs.clone(),
            outputs: Vec::new(),
        })
        .collect();
    let rows: Vec<&Row> = rows.iter().collect();
    let mut least = f64::INFINITY;
    let begin = Instant::now();
    while begin.elapsed() < LEAST / 10 {
        let started = cpu_s();
        execute(model.prepared(), model.weights(), &rows)?;
        least = least.min(cpu_s() - started);
    }
    Ok(least)
}

/// CPU time of all threads of this process.
fn cpu_s() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// The most memory that this process has held so far, megabytes (proc(5), VmHWM).
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1000.0)
}

fn input(len: usize, row: usize) -> Vec<Vec<i16>> {
    vec![
        (0..len)
            .map(|i| ((i * 31 + row * 7) % 255) as i16 - 127)
            .collect(),
    ]
}

/// Dense layers of these widths with a clamp between them.
fn perceptron(widths: &[usize]) -> Result<Compiled, Error> {
    let weight = |i: usize| (i * 7919 % 251) as u8 as i8;
    let node = |op, len, bound: i64| Node {
        name: "node".into(),
        op,
        shape: vec![len],
        range: Range {
            least: -bound,
            most: bound,
        },
    };
    let mut nodes = vec![node(Op::Input(0), widths[0], 128)];
    let layers = widths.len() - 1;
    for (layer, pair) in widths.windows(2).enumerate() {
        let (rows, columns) = (pair[0], pair[1]);
        let bound = rows as i64 * 128 * 128 + 1000;
        let dense = Op::Dense {
            x: ValueId(nodes.len() - 1),
            weights: Matrix {
                rows,
                columns,
                values: (0..rows * columns).map(weight).collect(),
            },
            bias: vec![5; columns],
        };
        nodes.push(node(dense, columns, bound));
        if layer + 1 == layers {
            break;
        }
        let shift = (0..=16).find(|s| (bound >> s) + 1 < 1 << 11).unwrap_or(16);
        let reach = (bound >> shift) + 1;
        let values = (-reach..=reach).map(|q| q.clamp(-128, 127) as i16);
        let rescale = Op::Rescale {
            x: ValueId(nodes.len() - 1),
            shift,
            table: Table {
                first: -reach as i32,
                values: values.collect(),
            },
        };
        nodes.push(node(rescale, columns, 128));
    }
    compile(&nodes, &[ValueId(nodes.len() - 1)])
}
