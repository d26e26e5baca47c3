//! A model ready to be proven: its circuit, its weights and the commitment to them.

use assay_zkml_verify::circuit::{Circuit, Prepared};
use assay_zkml_verify::commitment::{self, Placement, Scheme};
use assay_zkml_verify::field::{Base, Challenge, signed};
use assay_zkml_verify::registration::weights_log;
use assay_zkml_verify::statement::ModelCommitment;
use assay_zkml_verify::transcript::{Sponge, Transcript};
use p3_commit::MultilinearPcs;
use p3_matrix::dense::RowMajorMatrix;
use p3_sumcheck::layout::{Layout as _, Table};

use crate::Error;

/// What opening a commitment needs.
pub(crate) type Opener = <Scheme as MultilinearPcs<Challenge, Sponge>>::ProverData;

/// A committed vector.
#[derive(Clone)]
pub(crate) struct Committed {
    /// The vector, of a power-of-two length.
    pub(crate) values: Vec<Base>,
    /// Its commitment.
    pub(crate) root: [u8; 32],
    opener: Opener,
}

impl Committed {
    /// Commits to a vector, filled up with zeros to `2^log`.
    pub(crate) fn new(what: &'static str, mut values: Vec<Base>, log: u32) -> Result<Self, Error> {
        values.resize(1 << log, Base::default());
        let scheme = commitment::scheme(what, log)?;
        let folding = scheme
            .folding_schedule()
            .first()
            .copied()
            .unwrap_or_default();
        let table = Table::new(RowMajorMatrix::new(values.clone(), values.len()));
        let witness = Placement::new_witness(vec![table], folding);
        // The sponge of the proof absorbs the root by itself.
        let mut transcript = Transcript::default();
        let failed = |reason: String| Error::Commitment { what, reason };
        let (cap, opener) = scheme
            .commit(witness, transcript.sponge())
            .map_err(|error| failed(error.to_string()))?;
        let root = cap.roots().first().copied();
        Ok(Self {
            values,
            root: root.ok_or_else(|| failed("it has no root".into()))?,
            opener,
        })
    }

    /// Opens the vector at a point.
    pub(crate) fn open(
        &self,
        what: &'static str,
        transcript: &mut Transcript,
        point: &[Challenge],
    ) -> Result<commitment::Opening, Error> {
        use p3_sumcheck::PrescribedPointPcs as _;
        let log = point.len() as u32;
        let scheme = commitment::scheme(what, log)?;
        let at = [p3_multilinear_util::point::Point::new(point.to_vec())];
        scheme
            .open_at(
                self.opener.clone(),
                &commitment::protocol(log),
                &at,
                transcript.sponge(),
            )
            .map_err(|error| Error::Commitment {
                what,
                reason: error.to_string(),
            })
    }
}

/// A model whose runs can be proven.
#[derive(Clone)]
pub struct Model {
    pub(crate) prepared: Prepared,
    pub(crate) weights: Vec<i8>,
    pub(crate) committed: Committed,
}

impl Model {
    /// Checks a circuit and commits to its weights, which are filled up with zeros.
    ///
    /// # Errors
    /// [`Error::Verify`] if the circuit breaks a rule, [`Error::Weights`] if there are more weights than it has places.
    pub fn new(circuit: Circuit, mut weights: Vec<i8>) -> Result<Self, Error> {
        let prepared = Prepared::new(circuit)?;
        let log = weights_log(prepared.circuit());
        let places = 1usize << prepared.circuit().weights_log;
        if weights.len() > places {
            return Err(Error::Weights {
                found: weights.len(),
                places,
            });
        }
        weights.resize(1 << log, 0);
        let values = weights.iter().map(|w| signed(i64::from(*w))).collect();
        let committed = Committed::new("weights", values, log)?;
        Ok(Self {
            prepared,
            weights,
            committed,
        })
    }

    /// The circuit, with its views expanded.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// The weights, as committed.
    pub fn weights(&self) -> &[i8] {
        &self.weights
    }

    /// The same circuit and weights under another model's commitment, which they do not open: what a swapper of weights
    /// would prove with. No verifier accepts it.
    pub fn dangerous_disguise(mut self, other: &Self) -> Self {
        self.committed.root = other.committed.root;
        self
    }

    /// The model's identity in proofs.
    pub fn commitment(&self) -> ModelCommitment {
        ModelCommitment {
            circuit: self.prepared.digest(),
            weights: self.committed.root,
        }
    }
}
