//! The verdict on one proof file: pure, so that it is the same with the network on and off.

use alloy_primitives::B256;
use assay_zkml::groth16::{CAVEAT, Statement as Proven, Verifier, element};

use super::files::{ProofFile, public_inputs};
use crate::verify::{Report, Statement, Status};

/// Judges the bytes of a proof file by a verifying key and, where one is expected, the commitment to a model.
pub fn judge(bytes: &[u8], verifier: &Verifier, expected: Option<[u8; 32]>) -> Report {
    check(bytes, verifier, expected).unwrap_or_else(Report::refuted)
}

fn check(bytes: &[u8], verifier: &Verifier, expected: Option<[u8; 32]>) -> Result<Report, String> {
    let file: ProofFile = serde_json::from_slice(bytes)
        .map_err(|error| format!("the file is not a well-formed proof: {error}"))?;
    let class = verifier.class();
    if file.class != class.name {
        return Err(format!(
            "the proof is of class {}, the key of class {}",
            file.class, class.name
        ));
    }
    if let Some(expected) = expected.map(B256::from).filter(|e| *e != file.commitment) {
        return Err(format!(
            "the proof is of the model under commitment {}, not under {expected}",
            file.commitment
        ));
    }
    let statement = Proven {
        model: element(&file.commitment.0).map_err(|error| error.to_string())?,
        context: file.context.0,
        inputs: file.inputs.clone(),
        outputs: file.outputs.clone(),
    };
    let public = public_inputs(&statement, class).map_err(|error| error.to_string())?;
    if public != file.public_inputs {
        return Err("the public inputs are not those of the values in the file".into());
    }
    let verified = verifier.verify(&statement, &file.proof);
    verified.map_err(|error| error.to_string())?;
    Ok(proven(&file, expected.is_some()))
}

fn proven(file: &ProofFile, expected: bool) -> Report {
    let says = |about, says: String| Statement { about, says };
    let caveat = CAVEAT.strip_prefix("caveat: ").unwrap_or(CAVEAT);
    Report {
        status: Status::Verified,
        reason: format!("a proven inference of a model of class {}", file.class),
        established: vec![
            says(
                "computation",
                format!(
                    "the model under commitment {} gives these integer outputs for these integer inputs",
                    file.commitment
                ),
            ),
            says(
                "model",
                "its weights fit eight bits and no sum wraps: the circuit has no room for others".into(),
            ),
            says(
                "bound to",
                format!("context {}, but for its last three bits", file.context),
            ),
        ],
        not_established: vec![
            says("caveat", caveat.into()),
            says(
                "the key",
                "that it is of the setup that you mean: it is as good as where the file came from".into(),
            ),
            says("the commitment", match expected {
                true => "that it is the one of the published model: it is as good as where you have it from".into(),
                false => "which model it is of: name the one that you expect with --commitment".into(),
            }),
            says(
                "the answer",
                "whether it is any good: a wrong model is proven as easily as a right one".into(),
            ),
            says(
                "real numbers",
                "that the integers were made from a client's input, what they stand for, and the model's name".into(),
            ),
            says(
                "one proof",
                "that it is the only one: from a proof anyone can make others of the same statement".into(),
            ),
        ],
    }
}
