//! What a prover hides with: random elements from a seed, and its side of the settling of padded messages.

use assay_zkml_verify::Error;
use assay_zkml_verify::claims::PAD;
use assay_zkml_verify::field::{Base, Challenge};
use assay_zkml_verify::hidden::{Debts, Value, Voice};
use assay_zkml_verify::transcript::{Prover, Transcript};
use p3_field::{BasedVectorSpace as _, PrimeCharacteristicRing as _, PrimeField32 as _};

/// 32 bytes from which random elements follow. Whoever knows them can read what they hide; one that is used for two
/// commitments or two proofs gives both away.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(hidden)")
    }
}

impl Seed {
    /// From 32 random bytes, which the caller keeps and uses for nothing else.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Another one that follows from it, for one use: what is the same is hidden alike, and nothing else is.
    pub(crate) fn derive(&self, label: &str, use_of: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(label);
        hasher.update(&self.0);
        use_of.iter().for_each(|part| {
            hasher.update(part);
        });
        Self(*hasher.finalize().as_bytes())
    }

    /// Elements of the base field, uniform and independent, as many as are taken; for each label others.
    pub(crate) fn elements(&self, label: &str) -> impl Iterator<Item = Base> + use<> {
        let mut hasher = blake3::Hasher::new_derive_key(label);
        hasher.update(&self.0);
        let mut bytes = hasher.finalize_xof();
        let mut block = [0u8; 4096];
        let mut at = block.len();
        std::iter::from_fn(move || {
            loop {
                if at == block.len() {
                    bytes.fill(&mut block);
                    at = 0;
                }
                let word = block[at..].first_chunk::<4>()?;
                at += 4;
                let value = u32::from_le_bytes(*word) >> 1;
                if value < Base::ORDER_U32 {
                    return Some(Base::from_u32(value));
                }
            }
        })
    }
}

/// Pads from the elements that are committed to for them.
pub(crate) fn pads(elements: &[Base]) -> Vec<Challenge> {
    let whole = elements.chunks_exact(PAD);
    whole
        .map(|own| Challenge::from_basis_coefficients_fn(|j| own[j]))
        .collect()
}

/// The prover where it settles what it padded.
pub(crate) struct Settling<'a> {
    pub(crate) prover: &'a mut Prover,
    /// Nothing where messages are in the clear.
    pub(crate) debts: Option<Debts>,
}

impl Voice for Settling<'_> {
    fn transcript(&mut self) -> &mut Transcript {
        &mut self.prover.transcript
    }

    fn debts(&mut self) -> Option<&mut Debts> {
        self.debts.as_mut()
    }

    fn padded(&mut self, says: impl FnOnce(&[Challenge]) -> Challenge) -> Result<Value, Error> {
        let value = says(self.prover.pads());
        let index = self.debts.as_mut().map_or(0, Debts::pad);
        let pad = self.prover.pads().get(index as usize).copied();
        let sent = value + pad.unwrap_or_default();
        self.prover.send_clear(sent);
        Ok(Value::padded(sent, index))
    }

    fn clear(&mut self, says: impl FnOnce(&[Challenge]) -> Challenge) -> Result<Challenge, Error> {
        let value = says(self.prover.pads());
        self.prover.send_clear(value);
        Ok(value)
    }
}
