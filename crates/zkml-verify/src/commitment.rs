//! The commitment scheme: WHIR (ePrint 2024/1586) over the base field, opened at points that the other arguments fix.
//!
//! Proximity is argued up to the Johnson radius. Each error term is held below 2^-103, grinding not counted, so that the
//! union of all terms of a whole proof stays below 2^-100 ([`crate::security`]).

use p3_blake3::Blake3;
use p3_commit::MultilinearPcs as _;
use p3_dft::Radix2DFTSmallBatch;
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
