//! The hash chain over the chunks of a streamed answer, so that a client that saw some of them can hold the node to them.
//!
//! Head before the first chunk: `keccak256(0x20 || request id)`; after each: `keccak256(0x21 || head || keccak256(chunk))`.

use alloy_primitives::{B256, keccak256};

use crate::Error;
use crate::ids::{Commitment, RequestId};
use crate::merkle::tagged;

/// Most chunks in one stream: a token a millisecond for a quarter of an hour.
pub const MAX_CHUNKS: u64 = 1 << 20;

/// The chain as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkChain {
    head: B256,
    count: u64,
}

impl ChunkChain {
    /// The chain of the stream that answers `request`, before its first chunk.
    pub fn new(request: RequestId) -> Self {
        Self {
            head: tagged(0x20, &[request.as_bytes()]),
            count: 0,
        }
    }

    /// The chain after `count` chunks, which somebody else has seen: what follows is as good as this head.
    pub fn after(head: Commitment, count: u64) -> Self {
        Self {
            head: B256::from(*head.as_bytes()),
            count,
        }
    }

    /// Appends the next chunk exactly as it goes to the client.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] after [`MAX_CHUNKS`] chunks; the chain stays as it was.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let count = self.count.saturating_add(1);
        if count > MAX_CHUNKS {
            return Err(Error::OutOfBounds {
                what: "chunks of a stream",
                found: count,
                min: 0,
                max: MAX_CHUNKS,
            });
        }
        self.head = tagged(0x21, &[self.head.as_slice(), keccak256(chunk).as_slice()]);
        self.count = count;
        Ok(())
    }

    /// Number of chunks so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What a receipt commits to as its `stream`; never zero, which stands for "not streamed".
    pub fn head(&self) -> Commitment {
        self.head.into()
    }
}

/// Checks that these chunks, in this order and no others, make up the stream with this head.
///
/// # Errors
/// [`Error::Path`] where they do not; [`Error::OutOfBounds`] for too many.
pub fn verify<'a>(
    request: RequestId,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    head: &Commitment,
) -> Result<(), Error> {
    let mut chain = ChunkChain::new(request);
    for chunk in chunks {
        chain.push(chunk)?;
    }
    if chain.head() == *head {
        Ok(())
    } else {
        Err(Error::Path {
            what: "chunk chain",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: RequestId = RequestId::from_bytes([3; 32]);

    fn head(chunks: &[&[u8]]) -> Commitment {
        let mut chain = ChunkChain::new(REQUEST);
        chunks.iter().for_each(|chunk| chain.push(chunk).unwrap());
        chain.head()
    }

    #[test]
    fn the_whole_stream_verifies() {
        let chunks: [&[u8]; 3] = [b"the ", b"answer", b""];
        assert_eq!(verify(REQUEST, chunks, &head(&chunks)), Ok(()));
        assert!(!head(&[]).is_zero());
    }

    #[test]
    fn a_chain_goes_on_from_its_head() {
        let mut chain = ChunkChain::new(REQUEST);
        chain.push(b"the ").unwrap();
        let mut later = ChunkChain::after(chain.head(), chain.count());
        assert_eq!(later, chain);
        later.push(b"answer").unwrap();
        assert_eq!(later.head(), head(&[b"the ", b"answer"]));
        assert_eq!(later.count(), 2);
    }

    #[test]
    fn any_other_stream_does_not() {
        let good = head(&[b"the ", b"answer"]);
        let others: [&[&[u8]]; 6] = [
            &[b"the "],
            &[b"answer", b"the "],
            &[b"the answer"],
            &[b"the ", b"answer", b""],
            &[b"the ", b"Answer"],
            &[],
        ];
        for chunks in others {
            assert!(verify(REQUEST, chunks.iter().copied(), &good).is_err());
        }
        let elsewhere = RequestId::from_bytes([4; 32]);
        assert!(verify(elsewhere, [&b"the "[..], b"answer"], &good).is_err());
    }

    #[test]
    fn the_chain_is_bounded() {
        let mut chain = ChunkChain {
            head: B256::ZERO,
            count: MAX_CHUNKS,
        };
        let before = chain.clone();
        assert!(chain.push(b"one more").is_err());
        assert_eq!(chain, before);
    }
}
