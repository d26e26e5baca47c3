//! The files of `assay zk groth16`: the salt of a commitment, and a proof with what it is of.

use std::path::Path;

use alloy_primitives::{B256, Bytes};
use anyhow::Result;
use assay_inference::Revision;
use assay_inference::provable::Provable;
use assay_node::files::{Access, write_json};
use assay_receipt::RevisionId;
use assay_zkml::groth16::{CAVEAT, PROOF_BYTES, SizeClass, Statement, word};
use serde::{Deserialize, Serialize};

use crate::complaint::Complaint;
use crate::output::rows;
use crate::zk::files as shared;

/// Largest file of a salt that is read, in bytes.
const MAX_BYTES: u64 = 4096;

/// What hides the model under a commitment, and what every later proof under it needs.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Salt {
    revision: RevisionId,
    groth16_salt: B256,
}

impl Salt {
    /// Draws a fresh one; an existing file is not written over, since another commitment may need it.
    pub fn create(path: &Path, revision: &Revision) -> Result<Self> {
        if path.exists() {
            return Err(Complaint::failed(format!("{} exists", path.display()))
                .hint("a secret is for one commitment: name a new file, or move this one away")
                .into());
        }
        Ok(Self {
            revision: revision.id(),
            groth16_salt: B256::from(rand::random::<[u8; 32]>()),
        })
    }

    /// Reads the one that `assay zk groth16 commit` wrote.
    pub fn read(path: &Path, revision: &Revision) -> Result<Self> {
        let unusable = |error: String| {
            Complaint::failed(format!("{}: {error}", path.display())).hint(
                "name the file that `assay zk groth16 commit DIR --secret FILE` wrote for this revision",
            )
        };
        let bytes = shared::bounded(path, MAX_BYTES).map_err(|e| unusable(e.to_string()))?;
        // Not in the words of the parser, which may repeat what it read.
        let salt: Self = serde_json::from_slice(&bytes)
            .map_err(|_| unusable("it is no salt of a commitment".into()))?;
        match salt.revision == revision.id() {
            true => Ok(salt),
            false => Err(unusable("it is of another revision".into()).into()),
        }
    }

    /// Writes it for its owner alone.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(write_json(path, self, Access::Owner)?)
    }

    /// The secret.
    pub fn secret(&self) -> &[u8; 32] {
        &self.groth16_salt.0
    }
}

/// A 32-byte word as 0x and digits.
pub fn hexadecimal(word: &[u8; 32]) -> String {
    B256::from(*word).to_string()
}

/// NAME.groth16.json: a proof with the values that it is of.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ProofFile {
    /// The model's name, for people.
    pub name: String,
    /// The size class.
    pub class: String,
    /// The commitment to the model.
    pub commitment: B256,
    /// What else the proof is bound to, but for its last three bits; zeros for nothing.
    pub context: B256,
    /// The inputs in integers.
    pub inputs: Vec<i16>,
    /// The outputs in integers, the unused places of the class among them.
    pub outputs: Vec<i32>,
    /// The outputs as real numbers, as whoever made the file reads them; not part of what is proven.
    pub read: (String, Vec<f64>),
    /// The proof as a contract takes it.
    pub proof: Bytes,
    /// The public inputs as a contract takes them; they follow from the fields above.
    pub public_inputs: Vec<B256>,
}

impl ProofFile {
    /// The file of a proof.
    pub fn new(
        revision: &Revision,
        provable: &Provable,
        class: &SizeClass,
        statement: &Statement,
        proof: &[u8; PROOF_BYTES],
    ) -> Result<Self> {
        let graph = provable.graph();
        let (Some(result), Some(places)) = (graph.results.first(), provable.places().first())
        else {
            return Err(Complaint::failed("the model has no output").into());
        };
        let own = statement.outputs.get(..places.len()).unwrap_or_default();
        Ok(Self {
            name: revision.manifest().name.clone(),
            class: class.name.to_owned(),
            commitment: word(&statement.model).into(),
            context: statement.context.into(),
            inputs: statement.inputs.clone(),
            outputs: statement.outputs.clone(),
            read: (result.name.clone(), result.read(own)),
            proof: proof.to_vec().into(),
            public_inputs: public_inputs(statement, class)?,
        })
    }

    /// What is printed of it.
    pub fn summary(&self, prove_s: f64) -> Summary<'_> {
        Summary {
            name: &self.name,
            class: &self.class,
            commitment: self.commitment,
            answer: &self.read,
            proof_bytes: self.proof.len(),
            public_inputs: self.public_inputs.len(),
            prove_s,
            caveat: CAVEAT,
        }
    }
}

/// The public inputs of a statement as a contract takes them.
pub fn public_inputs(
    statement: &Statement,
    class: &SizeClass,
) -> Result<Vec<B256>, assay_zkml::Error> {
    let values = statement.public(class)?;
    Ok(values.iter().map(|value| word(value).into()).collect())
}

/// A proof in a few words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary<'a> {
    name: &'a str,
    class: &'a str,
    commitment: B256,
    answer: &'a (String, Vec<f64>),
    proof_bytes: usize,
    public_inputs: usize,
    prove_s: f64,
    caveat: &'static str,
}

impl Summary<'_> {
    /// The summary as text.
    pub fn text(&self, out: &Path) -> String {
        let values = self.answer.1.iter().map(|x| format!("{x:.4}"));
        let values: Vec<String> = values.collect();
        let facts = rows(
            0,
            &[
                ("model", self.name.to_owned()),
                ("answer", format!("{} {}", self.answer.0, values.join(" "))),
                (
                    "proof",
                    format!(
                        "{} bytes, {} public inputs, class {}",
                        self.proof_bytes, self.public_inputs, self.class
                    ),
                ),
                ("commitment", self.commitment.to_string()),
                ("cost", format!("{:.0} ms of proving", self.prove_s * 1e3)),
                ("written", out.display().to_string()),
            ],
        );
        format!("{facts}\n\n{CAVEAT}")
    }
}
