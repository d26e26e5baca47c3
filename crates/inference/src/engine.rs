//! The trait of engines.

use crate::{EngineId, Error, NamedTensors, RevisionId, RunLimits, Signature};

/// One loaded revision, ready to answer.
pub trait Engine: Send + Sync {
    /// The engine and its arithmetic; two engines of one id give the same bits, if they are [`Engine::replayable`].
    fn id(&self) -> EngineId;

    /// True if every machine with this engine computes the same bits from the same revision and inputs.
    fn replayable(&self) -> bool;

    /// The revision that was loaded.
    fn revision(&self) -> RevisionId;

    /// Inputs and outputs, as the revision's manifest states them.
    fn signature(&self) -> &Signature;

    /// Runs the model once and gives its outputs in the order of the signature. `cancel` is asked from time to time;
    /// once it returns true the run ends.
    ///
    /// # Errors
    /// [`Error::Input`] and [`Error::Tensor`]; the latter names the input or node and the limit. [`Error::Run`] and
    /// [`Error::Library`] of an engine that is a library.
    fn run(
        &self,
        inputs: &NamedTensors,
        limits: &RunLimits,
        cancel: &dyn Fn() -> bool,
    ) -> Result<NamedTensors, Error>;
}

/// The id of an engine: BLAKE3 in key derivation mode over name, version and numeric specification, each preceded by
/// its length as eight little-endian bytes.
pub(crate) fn engine_id(name: &str, version: &str, numeric_spec: &str) -> EngineId {
    let mut hasher = blake3::Hasher::new_derive_key("assay.network engine id v1");
    for part in [name, version, numeric_spec] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    EngineId::from_bytes(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_parts_do_not_run_together() {
        let ids = [
            engine_id("a", "1", "s"),
            engine_id("b", "1", "s"),
            engine_id("a", "2", "s"),
            engine_id("a", "1", "t"),
            engine_id("a1", "", "s"),
            engine_id("", "a1", "s"),
        ];
        for (index, id) in ids.iter().enumerate() {
            assert!(ids[..index].iter().all(|other| other != id));
        }
    }
}
