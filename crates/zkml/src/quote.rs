//! What a proof will cost, from the circuit alone.
//!
//! The terms are what the prover's work consists of. Their prices were fitted to the proofs of five models in both modes that
//! the `proofs` example of `assay-inference` measures, on one machine; `make bench-zkml` writes what was predicted beside what
//! was measured. A machine's speed enters as one factor, which a caller measures with [`reference()`].

use assay_zkml_verify::circuit::Prepared;
use assay_zkml_verify::commitment;
use assay_zkml_verify::layout::Layout;
use assay_zkml_verify::layout::weights_shape;

use crate::{Error, Model, Setting, compile};

/// A place of the lookup argument: its fraction on every layer above it.
const LOOKUP_NS: f64 = 82.0;
/// A code word of the witness: encoded, hashed and opened.
const WITNESS_NS: f64 = 23.0;
/// A code word of the weights: opened.
const WEIGHTS_NS: f64 = 25.0;
/// An element among which weights are hidden: its part in the values that an opening says beside the claimed one.
const HIDDEN_NS: f64 = 40.0;
/// A position of a view, for the verifier.
const VERIFY_POSITION_NS: f64 = 14.0;
/// A byte of a proof, for the verifier.
const VERIFY_BYTE_NS: f64 = 6.0;
/// What every verification costs.
const VERIFY_NS: f64 = 500_000.0;
/// CPU seconds that the machine of the fit spends on [`reference()`].
pub const REFERENCE_S: f64 = 0.0138;

/// A prediction for one proof.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quote {
    /// CPU seconds of proving, all threads.
    pub prove_s: f64,
    /// CPU seconds of one verification.
    pub verify_s: f64,
    /// Bytes of the proof.
    pub proof_bytes: f64,
    /// Bytes of memory while proving, beside the program and the model.
    pub memory_bytes: f64,
}

/// Predicts a proof of `2^batch_log` inferences, with hidden weights or without, on a machine that needs `slowness` times as
/// long as that of the fit.
///
/// # Errors
/// [`Error::Verify`] for sizes that are not committed to.
pub fn quote(
    prepared: &Prepared,
    batch_log: u32,
    hiding: bool,
    slowness: f64,
) -> Result<Quote, Error> {
    let layout = Layout::new(prepared, batch_log, hiding);
    let witness = layout.witness.committed_log();
    let weights = weights_shape(prepared.circuit(), hiding).committed_log();
    let lookups = f64::from(layout.lookups).exp2();
    let (witness_code, weights_code) = (code(witness), code(weights));
    let hidden = if hiding {
        f64::from(weights).exp2()
    } else {
        0.0
    };
    let prove_ns = LOOKUP_NS * lookups
        + WITNESS_NS * witness_code
        + WEIGHTS_NS * weights_code
        + HIDDEN_NS * hidden;
    let openings = opening_bytes("witness", witness)? + opening_bytes("weights", weights)?;
    let proof_bytes = openings + message_bytes(prepared, &layout, weights);
    let verify_ns =
        VERIFY_NS + VERIFY_POSITION_NS * prepared.positions() as f64 + VERIFY_BYTE_NS * proof_bytes;
    Ok(Quote {
        prove_s: prove_ns * 1e-9 * slowness,
        verify_s: verify_ns * 1e-9 * slowness,
        proof_bytes,
        // Fractions on all layers and the claims' weights are elements of twenty bytes, code words and hashes follow.
        memory_bytes: 80.0 * lookups + 20.0 * (witness_code + weights_code) + 40.0 * hidden,
    })
}

/// Code words of a commitment to `2^log` elements.
fn code(log: u32) -> f64 {
    let rate = commitment::parameters(log).starting_log_inv_rate;
    (f64::from(log) + rate as f64).exp2()
}

/// Bytes of the prover's messages, elements of twenty bytes.
fn message_bytes(prepared: &Prepared, layout: &Layout, weights: u32) -> f64 {
    let layers = f64::from(layout.lookups);
    let steps = prepared.circuit().steps.len() as f64;
    let rounds = layers * (layers + 3.0) + 2.0 * f64::from(layout.witness.log + weights);
    20.0 * (rounds + 8.0 * steps + layout.tables.len() as f64)
}

/// Bytes of an opening: for each query a row, and the part of its path that it shares with no other query.
fn opening_bytes(what: &'static str, log: u32) -> Result<f64, Error> {
    let scheme = commitment::scheme(what, log)?;
    let tree = |queries: usize, depth: usize, folding: usize, element: f64| {
        let queries = queries as f64;
        let alone = (depth as f64 - queries.log2()).max(0.0) + 0.3;
        queries * ((folding as f64).exp2() * element + 32.0 * alone)
    };
    let folding = |round: usize| {
        scheme
            .folding_schedule()
            .get(round)
            .copied()
            .unwrap_or_default()
    };
    let mut depth = log as usize + scheme.params().starting_log_inv_rate;
    let mut bytes = 0.0;
    for (index, round) in scheme.round_parameters().iter().enumerate() {
        let element = if index == 0 { 4.0 } else { 20.0 };
        bytes += tree(
            round.num_queries,
            depth - folding(index),
            folding(index),
            element,
        );
        depth -= 1;
    }
    let last = scheme.round_parameters().len();
    bytes += tree(
        scheme.terminal().num_queries,
        depth.saturating_sub(folding(last)),
        folding(last),
        20.0,
    );
    Ok(bytes + 20.0 * (scheme.final_sumcheck_rounds() as f64).exp2())
}

/// Makes one small proof, on which the machine of the fit spends [`REFERENCE_S`] of CPU time.
///
/// # Errors
/// None in a working build.
pub fn reference() -> Result<(), Error> {
    use assay_tensor::quant::{Matrix, Node, Op, Range, Table, ValueId};
    let node = |op, len: usize, reach: i64| Node {
        name: "reference".into(),
        op,
        shape: vec![len],
        range: Range {
            least: -reach,
            most: reach,
        },
    };
    let matrix = |rows, columns| Matrix {
        rows,
        columns,
        values: (0..rows * columns).map(|i| (i % 15) as i8 - 7).collect(),
    };
    let dense = |x, rows, columns| Op::Dense {
        x: ValueId(x),
        weights: matrix(rows, columns),
        bias: vec![1; columns],
    };
    let table = Table {
        first: -2048,
        values: (-2048..2048i16).map(|q| q.clamp(0, 127)).collect(),
    };
    let nodes = [
        node(Op::Input(0), 256, 100),
        node(dense(0, 256, 256), 256, 200_000),
        node(
            Op::Rescale {
                x: ValueId(1),
                shift: 7,
                table,
            },
            256,
            127,
        ),
        node(dense(2, 256, 16), 16, 300_000),
    ];
    let compiled = compile(&nodes, &[ValueId(3)])?;
    let model = Model::new(compiled.circuit, compiled.weights)?;
    let setting = Setting {
        network: [0; 32],
        revision: [0; 32],
        context: [0; 32],
    };
    let input = (0..256i16).map(|i| i % 100).collect();
    crate::prove(&model, setting, &[vec![input]]).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_proven_and_larger_batches_cost_more() {
        reference().unwrap();
        let circuit = assay_zkml_verify::Circuit {
            inputs: vec![assay_zkml_verify::circuit::Input {
                len: 4,
                least: 0,
                most: 1,
            }],
            tables: Vec::new(),
            steps: Vec::new(),
            outputs: vec![assay_zkml_verify::circuit::Accumulator {
                domain: assay_zkml_verify::circuit::Domain {
                    groups: 0,
                    rows: 0,
                    columns: 0,
                },
                terms: Vec::new(),
                bias: None,
            }],
            weights_log: 10,
        };
        let prepared = Prepared::new(circuit).unwrap();
        let one = quote(&prepared, 0, false, 1.0).unwrap();
        let many = quote(&prepared, 12, false, 1.0).unwrap();
        let hidden = quote(&prepared, 0, true, 1.0).unwrap();
        assert!(hidden.prove_s > one.prove_s && hidden.proof_bytes > one.proof_bytes);
        assert!(many.prove_s > one.prove_s && many.memory_bytes > one.memory_bytes);
        assert_eq!(
            quote(&prepared, 0, false, 2.0).unwrap().prove_s,
            2.0 * one.prove_s
        );
    }
}
