//! One small model with a proof, encoded, and changes of each encoding that must be refused.

use assay_tensor::quant::{
    InputSpec, IntGraph, Matrix, Op, OutputSpec, Range, Reading, Table, ValueId,
};
use assay_zkml::{Model, Seed, Setting, compile, prove, register};
use assay_zkml_verify::registration::{self, Registration};
use assay_zkml_verify::roll::{self, Roll};
use assay_zkml_verify::statement::WeightCommitment;
use assay_zkml_verify::{Circuit, ModelCommitment, Prepared, Proof, Statement, verify};
use serde_json::{Value, json};

/// Changes tried of each encoding; those that are refused are kept, and there have to be enough of them.
const CHANGES: usize = 300;
/// Changes kept.
const KEPT: usize = 16;

/// Everything that is frozen, and how each is judged.
pub struct Suite {
    graph: IntGraph,
    model: Model,
    statement: Statement,
    proof: Proof,
    registration: Registration,
    /// The same model under two commitments that hide its weights, and that they are of the same.
    renewed: ([ModelCommitment; 2], Roll),
}

/// What a judge says: nothing, or why it refuses.
pub type Verdict = Result<(), String>;

/// A type's name, its file, its bytes, and how others are judged.
pub type Frozen = (
    &'static str,
    &'static str,
    Vec<u8>,
    fn(&Suite, &[u8]) -> Verdict,
);

impl Suite {
    /// The suite; the same every time.
    pub fn new() -> Self {
        let graph = graph();
        let compiled = compile(&graph.nodes, &graph.outputs).expect("the graph compiles");
        let renewed = renewed(compiled.circuit.clone(), compiled.weights.clone());
        let model =
            Model::new(compiled.circuit, compiled.weights).expect("the circuit is admissible");
        let setting = Setting {
            network: [1; 32],
            revision: [2; 32],
            context: [3; 32],
        };
        let input: Vec<i16> = vec![5, -7, 0, 127, -128, 1, 2, 3];
        let (statement, proof) = prove(&model, setting, &[vec![input]]).expect("a run is proven");
        Self {
            registration: register(&model).expect("the weights are in range"),
            graph,
            statement,
            proof,
            model,
            renewed,
        }
    }

    fn graph(&self, bytes: &[u8]) -> Verdict {
        IntGraph::decode(bytes)
            .map(|_| ())
            .map_err(|e| e.to_string())
    }

    fn circuit(&self, bytes: &[u8]) -> Verdict {
        let circuit = Circuit::decode(bytes).map_err(|e| e.to_string())?;
        let prepared = Prepared::new(circuit).map_err(|e| e.to_string())?;
        let verdict = verify(
            &prepared,
            &self.model.commitment(),
            &self.statement,
            &self.proof,
        );
        verdict.map_err(|e| e.to_string())
    }

    fn statement(&self, bytes: &[u8]) -> Verdict {
        let statement = Statement::decode(bytes).map_err(|e| e.to_string())?;
        let verdict = verify(
            self.model.prepared(),
            &self.model.commitment(),
            &statement,
            &self.proof,
        );
        verdict.map_err(|e| e.to_string())
    }

    fn proof(&self, bytes: &[u8]) -> Verdict {
        let proof = Proof::decode(bytes).map_err(|e| e.to_string())?;
        let verdict = verify(
            self.model.prepared(),
            &self.model.commitment(),
            &self.statement,
            &proof,
        );
        verdict.map_err(|e| e.to_string())
    }

    fn registration(&self, bytes: &[u8]) -> Verdict {
        let shown = Registration::decode(bytes).map_err(|e| e.to_string())?;
        let circuit = self.model.prepared().circuit();
        registration::verify(circuit, &self.model.commitment(), &shown).map_err(|e| e.to_string())
    }

    /// The proof is checked under the commitment; two that differ are two models.
    fn commitment(&self, bytes: &[u8]) -> Verdict {
        let weights = WeightCommitment::decode(bytes).map_err(|e| e.to_string())?;
        let commitment = ModelCommitment {
            weights,
            ..self.model.commitment()
        };
        let prepared = self.model.prepared();
        let verdict = verify(prepared, &commitment, &self.statement, &self.proof);
        verdict.map_err(|e| e.to_string())
    }

    fn roll(&self, bytes: &[u8]) -> Verdict {
        let shown = Roll::decode(bytes).map_err(|e| e.to_string())?;
        let ([before, after], _) = &self.renewed;
        let circuit = self.model.prepared().circuit();
        roll::verify(circuit, before, after, &shown).map_err(|e| e.to_string())
    }

    /// Each type with its file, its bytes and its judge.
    pub fn types(&self) -> [Frozen; 7] {
        let graph = self.graph.encode().expect("the graph has an encoding");
        [
            ("IntGraph", "zkml/int-graph.json", graph, Self::graph),
            (
                "Circuit",
                "zkml/circuit.json",
                self.model.prepared().circuit().encode(),
                Self::circuit,
            ),
            (
                "Statement",
                "zkml/statement.json",
                self.statement.encode(),
                Self::statement,
            ),
            ("Proof", "zkml/proof.json", self.proof.encode(), Self::proof),
            (
                "Registration",
                "zkml/registration.json",
                self.registration.encode(),
                Self::registration,
            ),
            (
                "WeightCommitment",
                "zkml/weight-commitment.json",
                self.model.commitment().weights.encode(),
                Self::commitment,
            ),
            (
                "Roll",
                "zkml/roll.json",
                self.renewed.1.encode(),
                Self::roll,
            ),
        ]
    }
}

/// Weights hidden twice, by seeds that are no secret.
fn renewed(circuit: Circuit, weights: Vec<i8>) -> ([ModelCommitment; 2], Roll) {
    let [first, second] = [1, 2].map(|byte| Seed::from_bytes([byte; 32]));
    let before = Model::hiding(circuit, weights, &first).expect("the weights are hidden");
    let (after, shown) = assay_zkml::roll(&before, &second).expect("an opening is left");
    ([before.commitment(), after.commitment()], shown)
}

/// A change of bytes: what a file says of a case that is refused.
pub fn changed(bytes: &[u8], change: &Value) -> Vec<u8> {
    let number = |name: &str| change[name].as_u64().unwrap_or_default() as usize;
    let mut bytes = bytes.to_vec();
    match change["kind"].as_str() {
        Some("flip") => bytes[number("at")] ^= number("mask") as u8,
        Some("truncate") => bytes.truncate(number("to")),
        Some("append") => bytes.push(number("byte") as u8),
        other => panic!("no such change: {other:?}"),
    }
    bytes
}

fn changes(len: usize) -> Vec<Value> {
    let mut all = vec![
        json!({"kind": "truncate", "to": 0}),
        json!({"kind": "truncate", "to": len / 2}),
        json!({"kind": "truncate", "to": len - 1}),
        json!({"kind": "append", "byte": 0}),
        json!({"kind": "append", "byte": 255}),
    ];
    for i in 0..CHANGES {
        // Few of those to a short encoding are kept: they have to be far apart.
        let at = match len < CHANGES {
            true => i * 11 % len,
            false => i * (len - 1) / (CHANGES - 1),
        };
        all.push(json!({"kind": "flip", "at": at, "mask": ([1, 128, 255][i % 3])}));
    }
    all
}

/// Every file of the suite, the index first.
pub fn files() -> Vec<(&'static str, Value)> {
    let suite = Suite::new();
    let types = suite.types();
    let index: Vec<Value> = types
        .iter()
        .map(|(name, file, ..)| {
            json!({
                "type": name,
                "file": file.trim_start_matches("zkml/"),
                "what": "its bytes, and changes of them that are refused",
            })
        })
        .collect();
    let mut files = vec![("zkml/index.json", json!({"format": 1, "types": index}))];
    for (name, file, bytes, judge) in types {
        let refused = changes(bytes.len()).into_iter().filter_map(|change| {
            let reason = judge(&suite, &changed(&bytes, &change)).err()?;
            Some(json!({"change": change, "reason": reason}))
        });
        let value = json!({
            "type": name,
            "accept": [{"bytes": hex(&bytes)}],
            "reject": refused.take(KEPT).collect::<Vec<_>>(),
        });
        files.push((file, value));
    }
    files
}

/// Bytes as 0x and digits.
pub fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("0x{digits}")
}

/// Eight inputs, a hidden layer of four, two scores.
fn graph() -> IntGraph {
    let matrix = |rows: usize, columns: usize| Matrix {
        rows,
        columns,
        values: (0..rows * columns).map(|i| (i * 37 % 255) as i8).collect(),
    };
    let mut graph = IntGraph::empty();
    let range = Range {
        least: -128,
        most: 127,
    };
    graph.inputs.push(InputSpec {
        name: "x".into(),
        shape: vec![8],
        scale: vec![0.5],
        offset: vec![0.0],
        range,
    });
    let mut add = |op, shape: &[usize]| {
        graph
            .add("node", op, shape)
            .expect("the node is admissible")
    };
    let x = add(Op::Input(0), &[8]);
    let sums = add(
        Op::Dense {
            x,
            weights: matrix(8, 4),
            bias: vec![9, -9, 300, 0],
        },
        &[4],
    );
    let table = Table {
        first: -512,
        values: (-512..512i16).map(|q| q.clamp(0, 127)).collect(),
    };
    let hidden = add(
        Op::Rescale {
            x: sums,
            shift: 9,
            table,
        },
        &[4],
    );
    let scores: ValueId = add(
        Op::Dense {
            x: hidden,
            weights: matrix(4, 2),
            bias: vec![1, 2],
        },
        &[2],
    );
    graph.outputs.push(scores);
    graph.results.push(OutputSpec {
        name: "scores".into(),
        shape: vec![2],
        scale: 0.25,
        offset: vec![0.0],
        reading: Reading::Value,
    });
    graph
}
