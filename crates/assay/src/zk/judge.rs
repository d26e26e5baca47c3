//! The verdict on one proof file: pure, so that it is the same with the network on and off.

use assay_zkml_verify::security::{Soundness, soundness};
use assay_zkml_verify::{ModelCommitment, Prepared, Proof, Row, Statement as Proven, verify};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::files::{CommitmentFile, ProofFile};
use crate::verify::{Report, Statement, Status};

/// Judges the bytes of a proof file by a commitment.
pub fn judge(bytes: &[u8], commitment: &CommitmentFile) -> Report {
    let (model, circuit) = match commitment.checked() {
        Ok(checked) => checked,
        Err(reason) => {
            return Report::cannot_tell(format!("the commitment cannot be relied on: {reason}"));
        }
    };
    let judged = Prepared::new(circuit)
        .map_err(|error| error.to_string())
        .and_then(|prepared| check(bytes, commitment, &model, &prepared));
    judged.unwrap_or_else(Report::refuted)
}

fn check(
    bytes: &[u8],
    commitment: &CommitmentFile,
    model: &ModelCommitment,
    prepared: &Prepared,
) -> Result<Report, String> {
    let file: ProofFile = serde_json::from_slice(bytes)
        .map_err(|error| format!("the file is not a well-formed proof: {error}"))?;
    if file.revision != commitment.revision {
        return Err(format!(
            "the proof is of revision {}, not of {}",
            file.revision, commitment.revision
        ));
    }
    let proof = BASE64_STANDARD
        .decode(&file.proof)
        .map_err(|error| format!("the proof is not base64: {error}"))?;
    let proof = Proof::decode(&proof).map_err(|error| error.to_string())?;
    let rows = file.rows.iter().map(|row| Row {
        inputs: row.inputs.clone(),
        outputs: row.outputs.clone(),
    });
    let statement = Proven {
        network: file.network.0,
        revision: *file.revision.as_bytes(),
        context: file.context.0,
        rows: rows.collect(),
    };
    verify(prepared, model, &statement, &proof).map_err(|error| error.to_string())?;
    let soundness = soundness(prepared, statement.batch_log(), model.weights.hiding)
        .map_err(|error| error.to_string())?;
    Ok(proven(&file, commitment, &soundness, model.weights.hiding))
}

fn proven(
    file: &ProofFile,
    commitment: &CommitmentFile,
    soundness: &Soundness,
    hiding: bool,
) -> Report {
    let (bits, conservative) = (soundness.bits, soundness.conservative_bits);
    let says = |about, says: String| Statement { about, says };
    Report {
        status: Status::Verified,
        reason: format!("{} proven inference(s) of {}", file.rows.len(), commitment.name),
        established: vec![
            says("computation", format!(
                "the weights under commitment {} give these integer outputs for these integer inputs", commitment.model
            )),
            says("model", "the circuit is the one committed to, and the weights were shown to fit eight bits, so that no sum wraps".into()),
            says("bound to", format!("network {}, revision {}, context {}", file.network, file.revision, file.context)),
            says("soundness", format!(
                "{bits:.1} bits for each try of a prover, under the Johnson bound and with BLAKE3 as a random oracle; \
                 {conservative:.1} if only unique decoding is believed"
            )),
        ],
        not_established: vec![
            says("the answer", "whether it is any good: a wrong model is proven as easily as a right one".into()),
            says("the float model", "the quantised model is proven; how far they agree was measured by its publisher".into()),
            says("real numbers", "that the integers were made from a client's input, and what they stand for".into()),
            says("secrecy", match hiding {
                true => "that the weights stay hidden: that takes a seed that was random and an owner who counts openings, and for several \
                         openings rests on an argument that is not a proof; inputs, outputs and the circuit are public".into(),
                false => "this mode is succinct: it claims to hide neither weights nor inputs".into(),
            }),
            says("the commitment", "that it is the one of the published revision: it is as good as where the file came from".into()),
        ],
    }
}
