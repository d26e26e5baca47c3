//! The commitment scheme: WHIR (ePrint 2024/1586) over the base field, opened at points that the other arguments fix.
//!
//! Proximity is argued up to the Johnson radius. Each error term is held below 2^-103, grinding not counted, so that the
//! union of all terms of a whole proof stays below 2^-100 ([`crate::security`]).

use p3_blake3::Blake3;
use p3_commit::MultilinearPcs as _;
use p3_dft::Radix2DFTSmallBatch;
use p3_field::PrimeCharacteristicRing as _;
use p3_merkle_tree::MerkleTreeMmcs;
use p3_multilinear_util::point::Point;
use p3_sumcheck::layout::PrefixProver;
use p3_sumcheck::{OpeningBatch, OpeningProtocol, PrescribedPointPcs as _, TableShape, TableSpec};
use p3_symmetric::{CompressionFunctionFromHasher, MerkleCap, SerializingHasher};
use p3_whir::parameters::{FoldingFactor, ProtocolParameters, SecurityAssumption, WhirConfig};
use p3_whir::pcs::proof::PcsProof;
use p3_whir::pcs::prover::WhirProver;

use crate::Error;
use crate::field::{Base, Challenge};
use crate::transcript::{Sponge, Transcript, Verifier};

type Compression = CompressionFunctionFromHasher<Blake3, 2, 32>;
/// Merkle trees over rows of base field elements.
pub type Trees = MerkleTreeMmcs<Base, u8, SerializingHasher<Blake3>, Compression, 2, 32>;
/// How a vector becomes a polynomial.
pub type Placement = PrefixProver<Base, Challenge>;
/// The scheme for vectors of one size.
pub type Scheme = WhirProver<Challenge, Base, Radix2DFTSmallBatch<Base>, Trees, Sponge, Placement>;
/// The proof that a committed vector has a value at a point.
pub type Opening = PcsProof<Base, Challenge, Trees>;

/// Bits of security that each error term has by itself.
pub const LEVEL: usize = 103;
/// Least and greatest size of a committed vector, base-two logarithms.
pub const SIZES: std::ops::RangeInclusive<u32> = 10..=26;
/// The scheme's parameters for vectors of `2^log` elements: short proofs for small vectors, fast ones for large.
pub fn parameters(log: u32) -> ProtocolParameters {
    let (rate, folding) = match log {
        ..=14 => (3, 4),
        15..=18 => (2, 4),
        19.. => (1, 5),
    };
    ProtocolParameters {
        security_level: LEVEL,
        pow_bits: 0,
        round_log_inv_rates: Vec::new(),
        folding_factor: FoldingFactor::Constant(folding),
        soundness_type: SecurityAssumption::JohnsonBound,
        starting_log_inv_rate: rate,
    }
}

/// The scheme for vectors of `2^log` elements.
///
/// # Errors
/// [`Error::Opening`] for a size outside of [`SIZES`].
pub fn scheme(what: &'static str, log: u32) -> Result<Scheme, Error> {
    let refuse = |reason: String| Error::Opening { what, reason };
    if !SIZES.contains(&log) {
        return Err(refuse(format!(
            "no vector of 2^{log} elements is committed to"
        )));
    }
    // The opened point, and what the scheme draws by itself.
    let config = WhirConfig::new_with_initial_claims(log as usize, parameters(log), 1)
        .map_err(|error| refuse(error.to_string()))?;
    let hash = || SerializingHasher::new(Blake3 {});
    let trees = Trees::new(hash(), Compression::new(Blake3 {}), 0);
    Ok(Scheme::new(config, Radix2DFTSmallBatch::default(), trees))
}

/// What a vector is committed to as: by itself, or hidden among random elements.
///
/// A hidden vector of `2^log` elements is a quarter of the committed one. Its elements lie where two variables are zero: the
/// first, so that half of the parts into which a codeword's rows are split are random throughout; and the first that an
/// opening does not fold, so that in every other part the coefficients of the higher degrees are random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Size of the vector, base-two logarithm.
    pub log: u32,
    /// Whether it is hidden.
    pub hiding: bool,
}

impl Shape {
    /// Size of what is committed to, base-two logarithm.
    pub const fn committed_log(&self) -> u32 {
        if self.hiding { self.log + 2 } else { self.log }
    }

    /// The second variable that is zero where the vector lies: its index.
    pub fn second(&self) -> usize {
        folding(self.committed_log())
    }

    /// A point of the committed cube as one of the vector's own, and the weight of the place where that lies.
    pub fn within(&self, point: &[Challenge]) -> (Challenge, Vec<Challenge>) {
        if !self.hiding {
            return (Challenge::ONE, point.to_vec());
        }
        let mut own = point.to_vec();
        let mut weight = Challenge::ONE;
        for index in [self.second(), 0] {
            if index < own.len() {
                weight *= Challenge::ONE - own.remove(index);
            }
        }
        (weight, own)
    }

    /// The place of an element in what is committed to.
    pub fn place(&self, index: usize) -> usize {
        if !self.hiding {
            return index;
        }
        let low = self.committed_log() as usize - 1 - self.second();
        (index >> low << (low + 1)) | (index & ((1 << low) - 1))
    }

    /// Openings after which no more may be made: as many as there are random elements for what each shows.
    ///
    /// # Errors
    /// [`Error::Opening`] for a size that is not committed to.
    pub fn budget(&self, what: &'static str) -> Result<usize, Error> {
        let log = self.committed_log();
        let shown = shown(&*scheme(what, log)?);
        let part = 1usize << (log as usize - folding(log) - 1);
        Ok((part / shown.rows).min((1 << (log - 1)) / shown.elements))
    }
}

/// What an opening shows of a committed vector.
struct Shown {
    /// Positions of the first codeword.
    rows: usize,
    /// Elements of the base field, all messages and rows together.
    elements: usize,
}

/// Counts what one opening shows: rows, values out of the domain, the last polynomial, and the rounds of the sumchecks here
/// and in [`crate::claims`].
fn shown(config: &WhirConfig<Challenge, Base, Sponge>) -> Shown {
    const DIMENSION: usize = <Challenge as p3_field::BasedVectorSpace<Base>>::DIMENSION;
    let log = config.num_variables();
    let width = 1 << folding(log as u32);
    let rounds = config.round_parameters();
    let queries = rounds.iter().map(|round| round.num_queries);
    let mut queries = queries.chain([config.terminal().num_queries]);
    let rows = queries.next().unwrap_or_default();
    let later: usize = queries.map(|q| q * width * DIMENSION).sum();
    let outside: usize = rounds.iter().map(|round| round.ood_samples).sum();
    let single = config.commitment_ood_samples() + outside + 4 * log + 2 * width + 8;
    Shown {
        rows,
        elements: rows * width + later + single * DIMENSION,
    }
}

/// Variables that an opening of `2^log` elements folds at a time.
pub fn folding(log: u32) -> usize {
    match parameters(log).folding_factor {
        FoldingFactor::Constant(folding) => folding,
        _ => 1,
    }
}

/// One vector, opened at one point.
pub fn protocol(log: u32) -> OpeningProtocol {
    let shape = TableShape::new(log as usize, 1);
    let batch = OpeningBatch::new(vec![0], Vec::new());
    OpeningProtocol::new(vec![TableSpec::new(shape, vec![batch])])
}

/// Absorbs a commitment.
pub fn absorb(transcript: &mut Transcript, scheme: &Scheme, root: [u8; 32]) {
    scheme.observe_commitment(&MerkleCap::new(vec![root]), transcript.sponge());
}

/// Checks that the vector under `root` has the value `opened` at `point`.
///
/// # Errors
/// [`Error::Opening`].
pub fn verify(
    verifier: &mut Verifier<'_>,
    what: &'static str,
    root: [u8; 32],
    point: &[Challenge],
    opened: Challenge,
    opening: &Opening,
) -> Result<(), Error> {
    let log = point.len() as u32;
    let refuse = |reason: String| Error::Opening { what, reason };
    let scheme = scheme(what, log)?;
    let root = MerkleCap::new(vec![root]);
    let point = [Point::new(point.to_vec())];
    let sponge = verifier.transcript.sponge();
    let values = scheme
        .verify_at(&root, opening, &protocol(log), &point, sponge)
        .map_err(|error| refuse(error.to_string()))?;
    match values.as_slice() {
        [one] if one.current() == [opened] => Ok(()),
        _ => Err(refuse("it opens to another value than is claimed".into())),
    }
}
