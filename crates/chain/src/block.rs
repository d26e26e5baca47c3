//! Blocks and headers: what consensus orders and what a light client is shown.
//!
//! A block's digest is the SHA-256 of its header alone; the header binds the body by digest and
//! decoding checks it, so a peer cannot put another body under a known header.

use alloy_primitives::{B256, Bytes};
use commonware_codec::{
    Buf, Encode as _, EncodeSize, Error as CodecError, FixedSize as _, MaxEncodeSize as _,
    RangeCfg, Read, ReadExt as _, Write,
};
use commonware_consensus::{
    Block as ConsensusBlock, BoundedBlock, CertifiableBlock, Heightable,
    simplex::types::Context,
    types::{Epoch, Height, Round, View},
};
use commonware_cryptography::{
    Digest as _, Digestible, Hasher as _, Sha256, Signer as _, ed25519, sha256,
};
use commonware_runtime::BufMut;
use commonware_storage::mmr::Location;
use commonware_utils::range::NonEmptyRange;

/// A validator's identity key (ed25519), by which peers and leaders are named.
pub type ValidatorKey = ed25519::PublicKey;
/// A block digest: SHA-256 of the encoded header.
pub type BlockDigest = sha256::Digest;
/// The consensus context that a block was proposed in.
pub type BlockContext = Context<BlockDigest, ValidatorKey>;

/// Largest body of a block in bytes, all its transactions together: what four validators on one
/// small machine can spread within a leader's turn.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// Most transactions in a block; at least 100 bytes each make up a full body.
pub const MAX_TRANSACTIONS: usize = 8_192;
/// Longest single transaction in bytes: a full batch of receipts with its envelope.
pub const MAX_TRANSACTION_BYTES: usize = 640 * 1024;

/// Everything about a block but its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Round, leader and parent as consensus knows them.
    pub context: BlockContext,
    /// Digest of the parent block.
    pub parent: BlockDigest,
    /// Number of blocks before this one; genesis has 0.
    pub height: Height,
    /// Proposer's clock in Unix milliseconds, never before the parent's.
    pub timestamp_ms: u64,
    /// SHA-256 of the transactions, each with its length before it.
    pub body: BlockDigest,
    /// SHA-256 of the EIP-2718 transaction receipts, each with its length before it.
    pub outcomes: BlockDigest,
    /// Root over the batch roots settled in this block; zero if there is none.
    pub settled: B256,
    /// Root of the state database after this block.
    pub state: BlockDigest,
    /// Operations that a peer needs to rebuild the state database at `state`.
    pub state_range: NonEmptyRange<Location>,
    /// Gas used by all transactions.
    pub gas_used: u64,
}

impl Header {
    /// The block's digest.
    pub fn digest(&self) -> BlockDigest {
        Sha256::hash(&[&self.encode()])
    }
}

impl Write for Header {
    fn write(&self, buf: &mut impl BufMut) {
        self.context.write(buf);
        self.parent.write(buf);
        self.height.write(buf);
        self.timestamp_ms.write(buf);
        self.body.write(buf);
        self.outcomes.write(buf);
        self.settled.0.write(buf);
        self.state.write(buf);
        self.state_range.write(buf);
        self.gas_used.write(buf);
    }
}

impl EncodeSize for Header {
    fn encode_size(&self) -> usize {
        self.context.encode_size()
            + self.height.encode_size()
            + self.state_range.encode_size()
            + FIXED_HEADER_BYTES
    }
}

/// Bytes of a header whose length never varies: five digests and two u64.
const FIXED_HEADER_BYTES: usize = 5 * 32 + 2 * 8;

impl Read for Header {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        Ok(Self {
            context: Context::read(buf)?,
            parent: BlockDigest::read(buf)?,
            height: Height::read(buf)?,
            timestamp_ms: u64::read(buf)?,
            body: BlockDigest::read(buf)?,
            outcomes: BlockDigest::read(buf)?,
            settled: B256::from(<[u8; 32]>::read(buf)?),
            state: BlockDigest::read(buf)?,
            state_range: NonEmptyRange::read(buf)?,
            gas_used: u64::read(buf)?,
        })
    }
}

/// A header and its transactions in EIP-2718 form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What the block's digest covers.
    pub header: Header,
    /// Signed transactions, each as EIP-2718 bytes, in execution order.
    pub transactions: Vec<Bytes>,
}

impl Block {
    /// The block before all blocks: no transactions, an empty state database. The network's first
    /// state is written by block 1 (see [`crate::genesis`]).
    pub fn genesis(network: B256, state: BlockDigest, range: NonEmptyRange<Location>) -> Self {
        let header = Header {
            context: Context {
                round: Round::new(Epoch::zero(), View::zero()),
                leader: ed25519::PrivateKey::from_seed(0).public_key(),
                parent: (View::zero(), BlockDigest::EMPTY),
            },
            parent: sha256::Digest::from(network.0),
            height: Height::zero(),
            timestamp_ms: 0,
            body: body_digest(&[]),
            outcomes: BlockDigest::EMPTY,
            settled: B256::ZERO,
            state,
            state_range: range,
            gas_used: 0,
        };
        Self {
            header,
            transactions: Vec::new(),
        }
    }
}

/// SHA-256 over byte strings, each preceded by its length as a big-endian u32.
pub fn list_digest<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> BlockDigest {
    let mut hasher = Sha256::default();
    for item in items {
        let length = u32::try_from(item.len()).unwrap_or(u32::MAX);
        hasher.update(&length.to_be_bytes());
        hasher.update(item);
    }
    hasher.finalize().1
}

/// The digest by which a header binds its transactions.
pub fn body_digest(transactions: &[Bytes]) -> BlockDigest {
    list_digest(transactions.iter().map(|t| t.as_ref()))
}

impl Write for Block {
    fn write(&self, buf: &mut impl BufMut) {
        self.header.write(buf);
        self.transactions.len().write(buf);
        for transaction in &self.transactions {
            transaction.0.write(buf);
        }
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        let body: usize = self.transactions.iter().map(|t| t.0.encode_size()).sum();
        self.header.encode_size() + self.transactions.len().encode_size() + body
    }
}

impl Read for Block {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, CodecError> {
        let header = Header::read(buf)?;
        let count = usize::read_cfg(buf, &RangeCfg::from(..=MAX_TRANSACTIONS))?;
        let mut left = MAX_BODY_BYTES;
        let mut transactions = Vec::new();
        for _ in 0..count {
            let limit = left.min(MAX_TRANSACTION_BYTES);
            let bytes = bytes::Bytes::read_cfg(buf, &RangeCfg::from(..=limit))?;
            left = left.saturating_sub(bytes.len());
            transactions.push(Bytes(bytes));
        }
        if body_digest(&transactions) != header.body {
            return Err(CodecError::Invalid(
                "Block",
                "the header binds other transactions",
            ));
        }
        Ok(Self {
            header,
            transactions,
        })
    }
}

impl Digestible for Block {
    type Digest = BlockDigest;

    fn digest(&self) -> BlockDigest {
        self.header.digest()
    }
}

impl Heightable for Block {
    fn height(&self) -> Height {
        self.header.height
    }
}

impl ConsensusBlock for Block {
    fn parent(&self) -> BlockDigest {
        self.header.parent
    }
}

impl CertifiableBlock for Block {
    type Context = BlockContext;

    fn context(&self) -> BlockContext {
        self.header.context.clone()
    }
}

impl BoundedBlock for Block {
    fn max_encode_size((): &()) -> usize {
        BlockContext::MAX_ENCODE_SIZE
            + Height::MAX_ENCODE_SIZE
            + NonEmptyRange::<Location>::MAX_ENCODE_SIZE
            + FIXED_HEADER_BYTES
            + 5 * (MAX_TRANSACTIONS + 1)
            + MAX_BODY_BYTES
            + BlockDigest::SIZE
    }
}
