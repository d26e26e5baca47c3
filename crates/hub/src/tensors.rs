//! Weights as numbers: reading safetensors under limits, and comparing the tensors of models.
//!
//! A [`Source`] is where bytes come from; what is read of it at a time is bounded, so that files of any size can be compared.
//! [`Weights`] is a safetensors file whose header was checked. [`compare`] decides from the numbers whether one model can
//! have been made of another, with the figures it found: a publisher's word about its parent becomes *verified* only so.

pub mod compare;
mod numbers;
mod safetensors;

pub use numbers::{DType, bf16_bits, f16_bits};
#[cfg(test)]
pub(crate) use safetensors::written;
pub use safetensors::{Elements, MAX_HEADER_BYTES, Tensor, Weights};

/// Why weights could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's source failed, or ends before its size.
    #[error("reading failed: {0}")]
    Source(String),
    /// Whoever wrote the file wrote no safetensors.
    #[error("it is no safetensors file: {0}")]
    Malformed(String),
}

/// Bytes that can be read at any place: memory here, files and blobs in the crates that have them.
pub trait Source {
    /// How many there are.
    fn size(&self) -> u64;

    /// Fills `into` with those from `offset`.
    ///
    /// # Errors
    /// [`Error::Source`] where they end, or cannot be read.
    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error>;
}

impl Source for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        let begin = usize::try_from(offset).ok();
        let found = begin.and_then(|begin| self.get(begin..)?.get(..into.len()));
        let found = found.ok_or_else(|| Error::Source("it ends too early".into()))?;
        into.copy_from_slice(found);
        Ok(())
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        (**self).read(offset, into)
    }
}

impl Source for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
        self.as_slice().read(offset, into)
    }
}
