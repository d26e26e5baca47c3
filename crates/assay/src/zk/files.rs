//! The files of `assay zk`: a model's commitment, and a proof with what it is of.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use alloy_primitives::{B256, Bytes};
use anyhow::{Context as _, Result};
use assay_inference::Revision;
use assay_inference::provable::{Provable, Proven, Quality};
use assay_receipt::RevisionId;
use assay_zkml_verify::registration::{self, Registration};
use assay_zkml_verify::{Circuit, ModelCommitment, Row, WeightCommitment};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::complaint::Complaint;
use crate::output::rows;

/// Largest file that is read, in bytes: a circuit and a proof at their limits, in base64, and a batch of inputs.
pub const MAX_BYTES: u64 = 64 << 20;

/// Reads a file of at most `most` bytes.
pub fn bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

/// 32 bytes from 0x and 64 digits; zeros where none are given.
pub fn digest(option: &str, text: Option<&str>) -> Result<[u8; 32]> {
    let Some(text) = text else {
        return Ok([0; 32]);
    };
    let parsed = text.parse::<B256>().ok().filter(|_| text.starts_with("0x"));
    parsed.map(|digest| digest.0).ok_or_else(|| {
        Complaint::usage(format!("{option} is 0x and 64 hex digits, not {text}")).into()
    })
}

/// Writes a value as JSON.
pub fn save<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let text = format!("{}\n", serde_json::to_string(value)?);
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// NAME.commitment.json: what a verifier trusts of a model. On a chain the registry has it; from elsewhere it is as good as
/// its source.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CommitmentFile {
    /// The model's name, for people.
    pub name: String,
    /// The revision whose model it is.
    pub revision: RevisionId,
    /// Digest of the circuit.
    pub circuit_digest: B256,
    /// Commitment to the weights, as it is encoded.
    pub weights: Bytes,
    /// One digest for both.
    pub model: String,
    /// The circuit, base64.
    pub circuit: String,
    /// The proof that the weights are in range, base64.
    pub registration: String,
    /// Share of test rows that the quantised model classifies right, as its publisher measured it.
    pub quantised_accuracy: Option<f64>,
    /// The same of the float model.
    pub float_accuracy: Option<f64>,
}

impl CommitmentFile {
    /// The file of a model.
    pub fn new(
        revision: &Revision,
        provable: &Provable,
        registration: &Registration,
        quality: Option<Quality>,
    ) -> Result<Self> {
        let model = provable.model().commitment();
        Ok(Self {
            name: revision.manifest().name.clone(),
            revision: revision.id(),
            circuit_digest: model.circuit.into(),
            weights: model.weights.encode().into(),
            model: B256::from(model.id()).to_string(),
            circuit: BASE64_STANDARD.encode(provable.model().prepared().circuit().encode()),
            registration: BASE64_STANDARD.encode(registration.encode()),
            quantised_accuracy: quality.map(|q| q.quantised_accuracy),
            float_accuracy: quality.map(|q| q.float_accuracy),
        })
    }

    /// The mode of its proofs, in words.
    pub fn mode(&self) -> &'static str {
        match WeightCommitment::decode(&self.weights) {
            Ok(weights) if weights.hiding => {
                "zero-knowledge: made to hide weights, not inputs and outputs (docs/zkml.md)"
            }
            _ => "succinct: nothing is claimed to be hidden",
        }
    }

    /// Writes it.
    pub fn save(&self, path: &Path) -> Result<()> {
        save(path, self)
    }

    /// Reads one.
    ///
    /// # Errors
    /// A complaint that nothing can be told without it.
    pub fn read(path: &Path) -> Result<Self> {
        let unusable = |error: &dyn std::fmt::Display| {
            Complaint::cannot_tell(format!("{} is no commitment file: {error}", path.display()))
                .hint("get the commitment from someone you trust; `assay zk setup` writes that of a revision")
        };
        let bytes = bounded(path, MAX_BYTES).map_err(|e| unusable(&e))?;
        Ok(serde_json::from_slice(&bytes).map_err(|e| unusable(&e))?)
    }

    /// The commitment and its circuit, once they are found to fit each other and the weights to be in range.
    ///
    /// # Errors
    /// In words, what does not fit.
    pub fn checked(&self) -> Result<(ModelCommitment, Circuit), String> {
        let decode = |what: &str, text: &str| {
            let bytes = BASE64_STANDARD.decode(text);
            bytes.map_err(|error| format!("its {what} is not base64: {error}"))
        };
        let circuit =
            Circuit::decode(&decode("circuit", &self.circuit)?).map_err(|e| e.to_string())?;
        let model = ModelCommitment {
            circuit: self.circuit_digest.0,
            weights: WeightCommitment::decode(&self.weights).map_err(|e| e.to_string())?,
        };
        let shown = Registration::decode(&decode("registration", &self.registration)?);
        let shown = shown.map_err(|e| e.to_string())?;
        registration::verify(&circuit, &model, &shown).map_err(|e| e.to_string())?;
        Ok((model, circuit))
    }
}

/// NAME.proof.json: a proof with the values that it is of.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ProofFile {
    /// The model's name, for people.
    pub name: String,
    /// The revision whose model it is.
    pub revision: RevisionId,
    /// The network on which the proof is to count; zeros for none.
    pub network: B256,
    /// What else the proof is bound to; zeros for nothing.
    pub context: B256,
    /// The inferences in integers.
    pub rows: Vec<RowEntry>,
    /// The proof, base64.
    pub proof: String,
    /// What the proof cost where it was made.
    pub cost: Cost,
}

/// One inference.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RowEntry {
    /// For each input its elements.
    pub inputs: Vec<Vec<i16>>,
    /// For each output its elements.
    pub outputs: Vec<Vec<i32>>,
    /// The outputs as real numbers, as whoever made the file reads them; not part of what is proven.
    pub read: Vec<(String, Vec<f64>)>,
}

/// What a proof cost.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Cost {
    /// Seconds of proving.
    pub prove_s: f64,
    /// Seconds of plain runs of the same inferences.
    pub run_s: f64,
}

impl ProofFile {
    /// The file of a proof.
    pub fn new(
        revision: &Revision,
        provable: &Provable,
        proven: &Proven,
        prove_s: f64,
        run_s: f64,
    ) -> Self {
        let statement = &proven.statement;
        let entry = |row: &Row| RowEntry {
            inputs: row.inputs.clone(),
            outputs: row.outputs.clone(),
            read: provable
                .read(row)
                .map(|(name, values)| (name.to_owned(), values))
                .collect(),
        };
        Self {
            name: revision.manifest().name.clone(),
            revision: revision.id(),
            network: statement.network.into(),
            context: statement.context.into(),
            rows: statement.rows.iter().map(entry).collect(),
            proof: BASE64_STANDARD.encode(proven.proof.encode()),
            cost: Cost { prove_s, run_s },
        }
    }

    /// Writes it.
    pub fn save(&self, path: &Path) -> Result<()> {
        save(path, self)
    }

    /// What is printed of it.
    pub fn summary(&self, hides: bool) -> Summary<'_> {
        Summary {
            mode: if hides { "zero-knowledge" } else { "succinct" },
            name: &self.name,
            answers: self.rows.iter().map(|row| row.read.as_slice()).collect(),
            proof_bytes: self.proof.len() / 4 * 3,
            prove_s: self.cost.prove_s,
            times_the_run: self.cost.prove_s / self.cost.run_s,
        }
    }
}

/// A proof in a few words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary<'a> {
    name: &'a str,
    mode: &'static str,
    answers: Vec<&'a [(String, Vec<f64>)]>,
    proof_bytes: usize,
    prove_s: f64,
    times_the_run: f64,
}

impl Summary<'_> {
    /// The summary as text.
    pub fn text(&self, out: &Path) -> String {
        let number = |x: &f64| format!("{x:.4}");
        let answers = self.answers.iter().map(|outputs| {
            let each = outputs.iter().map(|(name, values)| {
                format!(
                    "{name} {}",
                    values.iter().map(number).collect::<Vec<_>>().join(" ")
                )
            });
            each.collect::<Vec<_>>().join("; ")
        });
        let mut lines: Vec<(&str, String)> = vec![("model", self.name.to_owned())];
        lines.extend(answers.map(|answer| ("answer", answer)));
        lines.push((
            "proof",
            format!(
                "{} bytes, mode {}: it hides {}",
                self.proof_bytes,
                self.mode,
                if self.mode == "succinct" {
                    "nothing"
                } else {
                    "weights, if openings are counted; not inputs and outputs"
                }
            ),
        ));
        lines.push((
            "cost",
            format!(
                "{:.1} ms of proving, {:.0} times the run itself",
                self.prove_s * 1e3,
                self.times_the_run
            ),
        ));
        lines.push(("written", out.display().to_string()));
        rows(0, &lines)
    }
}
