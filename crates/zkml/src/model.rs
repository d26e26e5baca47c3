//! A model ready to be proven: its circuit, its weights and the commitment to them.

use assay_zkml_verify::circuit::{Circuit, Prepared};
use assay_zkml_verify::commitment::Shape;
use assay_zkml_verify::commitment::{self, Placement, Scheme};
use assay_zkml_verify::field::{Base, Challenge, eq_table, signed};
use assay_zkml_verify::layout::weights_shape;
use assay_zkml_verify::statement::{ModelCommitment, WeightCommitment};
use assay_zkml_verify::transcript::{Sponge, Transcript};
use p3_commit::MultilinearPcs;
use p3_field::PrimeCharacteristicRing as _;
use p3_matrix::dense::RowMajorMatrix;
use p3_sumcheck::layout::{Layout as _, Table};
use rayon::prelude::*;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Error;
use crate::column::{Column, dot};
use crate::hide::Seed;

/// What opening a commitment needs.
pub(crate) type Opener = <Scheme as MultilinearPcs<Challenge, Sponge>>::ProverData;

/// A committed vector.
#[derive(Clone)]
pub(crate) struct Committed {
    /// What is committed to: the vector, or the vector among random elements.
    pub(crate) values: Vec<Base>,
    /// The vector, where it is hidden.
    own: Option<Vec<Base>>,
    /// Its size.
    pub(crate) shape: Shape,
    /// Its commitment.
    pub(crate) root: [u8; 32],
    opener: Opener,
}

impl Committed {
    /// Commits to a vector, filled up with zeros; hidden by elements from the seed, where its shape says so.
    pub(crate) fn new(
        what: &'static str,
        mut values: Vec<Base>,
        shape: Shape,
        seed: Option<&Seed>,
    ) -> Result<Self, Error> {
        values.resize(1 << shape.log, Base::default());
        let mut own = None;
        if let Some(seed) = seed.filter(|_| shape.hiding) {
            let elements = seed.elements("assay zkml hiding 1");
            let mut all: Vec<Base> = elements.take(1 << shape.committed_log()).collect();
            for (index, value) in values.iter().enumerate() {
                all[shape.place(index)] = *value;
            }
            own = Some(std::mem::replace(&mut values, all));
        }
        let log = shape.committed_log();
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
            own,
            shape,
            root: root.ok_or_else(|| failed("it has no root".into()))?,
            opener,
        })
    }

    /// The vector.
    pub(crate) fn own(&self) -> &[Base] {
        self.own.as_deref().unwrap_or(&self.values)
    }

    /// The value at a point of all that is committed to.
    pub(crate) fn whole_at(&self, point: &[Challenge]) -> Challenge {
        let (head, tail) = point.split_at(point.len() / 2);
        let tail = Column::eq(tail, Challenge::ONE);
        let rows = self.values.par_chunks(tail.len()).zip(eq_table(head));
        rows.map(|(row, weight)| weight * dot(row, &tail)).sum()
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
    pub(crate) committed: Arc<Committed>,
    /// The committed weights, with all that hides them, at the point that follows from the root.
    value: Challenge,
    /// What hides the weights, where they are hidden.
    hidden: Option<Hidden>,
}

/// What hides weights, and openings that were made and may be made.
#[derive(Clone)]
struct Hidden {
    seed: Seed,
    budget: Arc<Budget>,
}

/// How often hidden weights may be opened before they have to be committed to anew.
#[derive(Debug)]
struct Budget {
    most: usize,
    made: AtomicUsize,
}

impl Budget {
    fn of(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            made: AtomicUsize::new(0),
        })
    }
}

impl Model {
    /// Checks a circuit and commits to its weights, which are filled up with zeros. Nothing is hidden (`succinct`).
    ///
    /// # Errors
    /// [`Error::Verify`] if the circuit breaks a rule, [`Error::Weights`] if there are more weights than it has places.
    pub fn new(circuit: Circuit, weights: Vec<i8>) -> Result<Self, Error> {
        Self::commit(circuit, weights, None)
    }

    /// The same with weights hidden among random elements (`zero-knowledge`), for [`Model::openings_left`] openings.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn hiding(circuit: Circuit, weights: Vec<i8>, seed: &Seed) -> Result<Self, Error> {
        Self::commit(circuit, weights, Some(seed))
    }

    fn commit(circuit: Circuit, mut weights: Vec<i8>, seed: Option<&Seed>) -> Result<Self, Error> {
        let prepared = Prepared::new(circuit)?;
        let shape = weights_shape(prepared.circuit(), seed.is_some());
        let places = 1usize << prepared.circuit().weights_log;
        if weights.len() > places {
            return Err(Error::Weights {
                found: weights.len(),
                places,
            });
        }
        weights.resize(1 << shape.log, 0);
        let values = weights.iter().map(|w| signed(i64::from(*w))).collect();
        let committed = Committed::new("weights", values, shape, seed)?;
        let point = WeightCommitment::point(committed.root, shape.committed_log());
        let hidden = match seed {
            Some(seed) => Some(Hidden {
                seed: seed.clone(),
                budget: Budget::of(shape.budget("weights")?),
            }),
            None => None,
        };
        Ok(Self {
            value: committed.whole_at(&point),
            prepared,
            weights,
            committed: Arc::new(committed),
            hidden,
        })
    }

    /// The same weights under a fresh commitment, for as many openings again.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn recommit(&self, seed: &Seed) -> Result<Self, Error> {
        let circuit = self.prepared.circuit();
        let own = &self.weights[..1 << circuit.weights_log];
        Self::hiding(circuit.clone(), own.to_vec(), seed)
    }

    /// The circuit, with its views expanded.
    pub fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    /// The weights, as committed.
    pub fn weights(&self) -> &[i8] {
        &self.weights
    }

    /// How often the weights may be opened; nothing where they are not hidden and none are counted.
    pub fn budget(&self) -> Option<usize> {
        Some(self.hidden.as_ref()?.budget.most)
    }

    /// Openings of the weights that are left; nothing where they are not hidden and none are counted.
    pub fn openings_left(&self) -> Option<usize> {
        let Hidden { budget, .. } = self.hidden.as_ref()?;
        Some(
            budget
                .most
                .saturating_sub(budget.made.load(Ordering::SeqCst)),
        )
    }

    /// Takes one opening from the budget, before anything of it is sent, and derives the seed for it from its number and from
    /// what it is of; nothing where nothing is hidden.
    ///
    /// # Errors
    /// [`Error::Budget`] if none is left.
    pub(crate) fn spend(&self, of: &[u8]) -> Result<Option<Seed>, Error> {
        let Some(Hidden { seed, budget }) = &self.hidden else {
            return Ok(None);
        };
        let one_more = |made| (made < budget.most).then_some(made + 1);
        let spent = (budget.made).fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more);
        let number = spent.map_err(|_| Error::Budget(budget.most))?;
        let number = (number as u64).to_be_bytes();
        Ok(Some(seed.derive("assay zkml opening 1", &[&number, of])))
    }

    /// The model under the same commitment, of which this many openings were made: for who keeps the count elsewhere, and never
    /// uses the same one twice.
    pub fn counted(mut self, made: usize) -> Self {
        if let Some(Hidden { budget, .. }) = &mut self.hidden {
            *budget = Arc::new(Budget {
                most: budget.most,
                made: AtomicUsize::new(made),
            });
        }
        self
    }

    /// The model with openings without end: what a build that leaks would do.
    pub fn dangerous_without_budget(mut self) -> Self {
        if let Some(hidden) = &mut self.hidden {
            hidden.budget = Budget::of(usize::MAX);
        }
        self
    }

    /// Everything that is committed to, with what hides the weights: for tests that look for leaks.
    pub fn dangerous_committed(&self) -> &[Base] {
        &self.committed.values
    }

    /// The same circuit and weights under another model's commitment, which they do not open: what a swapper of weights
    /// would prove with. No verifier accepts it.
    pub fn dangerous_disguise(mut self, other: &Self) -> Self {
        Arc::make_mut(&mut self.committed).root = other.committed.root;
        self.value = other.value;
        self
    }

    /// The same model with this added to the value of its commitment, which its weights then do not have: what a publisher
    /// would prove with who has prepared two vectors for one root. No verifier accepts it.
    pub fn dangerous_value(mut self, more: Challenge) -> Self {
        self.value += more;
        self
    }

    /// The model's identity in proofs.
    pub fn commitment(&self) -> ModelCommitment {
        ModelCommitment {
            circuit: self.prepared.digest(),
            weights: WeightCommitment {
                root: self.committed.root,
                hiding: self.committed.shape.hiding,
                value: self.value,
            },
        }
    }
}
