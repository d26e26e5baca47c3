//! The light client: from a network's public key to one receipt, with nothing else trusted.
//!
//! [`verify`] is a pure function. It checks, in this order: the proof names this network; the
//! certificate is the validator set's over the last header; the headers are linked; the first
//! header binds the batch; the batch holds the receipt; the receipt is signed by its node.

use crate::{
    application::Scheme,
    block::{BlockDigest, Header},
    engine::NAMESPACE,
    spec::SETTLEMENT,
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use assay_receipt::{
    BatchRoot, Domain, InclusionPath, NetworkId, ReceiptId, SignedReceipt, merkle,
};
use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_consensus::simplex::types::Finalization;
use commonware_cryptography::bls12381::primitives::variant::{MinSig, Variant};
use commonware_parallel::Sequential;
use rand::{SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};

/// Most headers between a receipt's block and a certificate. Consensus certifies nearly every
/// block; a block without a certificate of its own is certified through its descendants.
pub const MAX_HEADERS: usize = 16;
/// Longest header, certificate or receipt in a proof, bytes.
pub const MAX_PART_BYTES: usize = 1_024;

/// A network as its clients know it: everything a light client trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Name, for people.
    pub name: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Keccak-256 of the first validators and accounts.
    pub genesis: B256,
    /// The validator set's BLS12-381 public key (96 bytes, in G2).
    pub public_key: Bytes,
}

impl Network {
    /// The network's identity: keccak-256 over its chain id, genesis and public key.
    pub fn id(&self) -> NetworkId {
        let mut content = b"assay network 1".to_vec();
        content.extend_from_slice(&self.chain_id.to_be_bytes());
        content.extend_from_slice(self.genesis.as_slice());
        content.extend_from_slice(&self.public_key);
        NetworkId::from_bytes(keccak256(content).0)
    }

    /// The EIP-712 domain of its receipts.
    pub fn domain(&self) -> Domain {
        Domain::new(self.chain_id, self.id(), SETTLEMENT)
    }
}

/// Everything that offline verification of one receipt needs, beside the [`Network`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptProof {
    /// The network it is of.
    pub network: NetworkId,
    /// The receipt, in its canonical binary form.
    pub receipt: Bytes,
    /// The batch's node and number of receipts, and the receipt's path in it.
    pub batch: BatchPath,
    /// Path of the batch among those settled in its block.
    pub block: InclusionPath,
    /// Encoded headers, from the block of the batch to the certified one.
    pub headers: Vec<Bytes>,
    /// Encoded finalization certificate of the last header.
    pub certificate: Bytes,
}

/// A receipt's place in its batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchPath {
    /// Node that signed the batch.
    pub node: Address,
    /// Root of the batch.
    pub root: BatchRoot,
    /// Place of the receipt, size of the batch, and siblings.
    pub path: InclusionPath,
}

/// What a verified proof establishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The receipt.
    pub receipt: SignedReceipt,
    /// Its id.
    pub id: ReceiptId,
    /// Height of the block in which it settled.
    pub height: u64,
    /// Time of that block, Unix milliseconds, as its proposer had it.
    pub timestamp_ms: u64,
    /// Digest of that block.
    pub block: B256,
}

/// Why a proof does not establish its receipt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nothing is refuted: the proof is of another network, ask with that network's file.
    #[error("the proof is of network {theirs}, not of {ours}")]
    OtherNetwork {
        /// The proof's network.
        theirs: NetworkId,
        /// The network asked about.
        ours: NetworkId,
    },
    /// Nothing is refuted: the network file itself is damaged.
    #[error("the network's public key does not decode")]
    BadNetworkKey,
    /// A part of the proof does not decode or is too long.
    #[error("the proof's {0} is malformed")]
    Malformed(&'static str),
    /// The certificate is not the validator set's.
    #[error("the finality certificate is not signed by the network's validators")]
    Certificate,
    /// The certificate is over another block.
    #[error("the finality certificate is over another block than the last header")]
    CertifiedOther,
    /// Two neighbouring headers are not parent and child.
    #[error("header {0} is not the parent of the header after it")]
    Unlinked(usize),
    /// The batch does not hold the receipt.
    #[error("the receipt is not in the batch that the proof names, or it was changed")]
    NotInBatch,
    /// The block does not hold the batch.
    #[error("the batch is not in the block that the header names")]
    NotInBlock,
    /// The receipt does not decode or is not well formed.
    #[error("the receipt is malformed: {0}")]
    Receipt(String),
    /// The receipt's signature is not its node's.
    #[error("the receipt's signature fails: {0}")]
    Signature(String),
    /// The batch is another node's.
    #[error("the batch is of node {batch}, the receipt of node {receipt}")]
    OtherNode {
        /// Node of the batch.
        batch: Address,
        /// Node of the receipt.
        receipt: Address,
    },
}

impl Failure {
    /// Whether the failure refutes the proof, or only says that it cannot be judged.
    pub fn refutes(&self) -> bool {
        !matches!(self, Self::OtherNetwork { .. } | Self::BadNetworkKey)
    }
}

/// Verifies `proof` under `network`, and nothing else.
///
/// # Errors
/// [`Failure`], whose [`Failure::refutes`] tells a refutation from "cannot tell".
pub fn verify(network: &Network, proof: &ReceiptProof) -> Result<Settled, Failure> {
    let ours = network.id();
    if proof.network != ours {
        return Err(Failure::OtherNetwork {
            theirs: proof.network,
            ours,
        });
    }
    let key = <MinSig as Variant>::Public::decode(network.public_key.0.clone())
        .map_err(|_| Failure::BadNetworkKey)?;
    let headers = decode_headers(&proof.headers)?;
    let (Some(first), Some(last)) = (headers.first(), headers.last()) else {
        return Err(Failure::Malformed("list of headers"));
    };
    check_certificate(key, &proof.certificate, last)?;
    check_links(&headers)?;
    let receipt = check_receipt(network, proof, first)?;
    Ok(Settled {
        id: receipt.receipt.id(&network.domain()),
        receipt,
        height: first.height.get(),
        timestamp_ms: first.timestamp_ms,
        block: B256::from_slice(first.digest().as_ref()),
    })
}

fn decode_headers(encoded: &[Bytes]) -> Result<Vec<Header>, Failure> {
    let malformed = Failure::Malformed("header");
    if encoded.len() > MAX_HEADERS || encoded.iter().any(|bytes| bytes.len() > MAX_PART_BYTES) {
        return Err(malformed);
    }
    encoded
        .iter()
        .map(|bytes| Header::decode(bytes.0.clone()).map_err(|_| malformed.clone()))
        .collect()
}

fn check_certificate(
    key: <MinSig as Variant>::Public,
    encoded: &Bytes,
    last: &Header,
) -> Result<(), Failure> {
    if encoded.len() > MAX_PART_BYTES {
        return Err(Failure::Malformed("certificate"));
    }
    let certificate = Finalization::<Scheme, BlockDigest>::decode(encoded.0.clone())
        .map_err(|_| Failure::Malformed("certificate"))?;
    let verifier = Scheme::certificate_verifier(NAMESPACE, key);
    // One signature is checked, not a batch: the randomness that batches need decides nothing.
    let mut rng = StdRng::from_seed(keccak256(encoded).0);
    if !certificate.verify(&mut rng, &verifier, &Sequential) {
        return Err(Failure::Certificate);
    }
    if certificate.proposal.payload != last.digest() {
        return Err(Failure::CertifiedOther);
    }
    Ok(())
}

fn check_links(headers: &[Header]) -> Result<(), Failure> {
    for (at, pair) in headers.windows(2).enumerate() {
        let [parent, child] = pair else { continue };
        if child.parent != parent.digest() {
            return Err(Failure::Unlinked(at));
        }
    }
    Ok(())
}

fn check_receipt(
    network: &Network,
    proof: &ReceiptProof,
    header: &Header,
) -> Result<SignedReceipt, Failure> {
    if proof.receipt.len() > MAX_PART_BYTES {
        return Err(Failure::Malformed("receipt"));
    }
    let signed = SignedReceipt::decode(&proof.receipt)
        .map_err(|error| Failure::Receipt(error.to_string()))?;
    let (batch, receipt) = (proof.batch.node, Address::from(signed.receipt.node));
    if batch != receipt {
        return Err(Failure::OtherNode { batch, receipt });
    }
    let domain = network.domain();
    let id = signed.receipt.id(&domain);
    merkle::verify_in_batch(
        &id,
        signed.receipt.node,
        &proof.batch.path,
        &proof.batch.root,
    )
    .map_err(|_| Failure::NotInBatch)?;
    merkle::verify_in_block(&proof.batch.root, &proof.block, &header.settled)
        .map_err(|_| Failure::NotInBlock)?;
    signed
        .verify(&domain)
        .map_err(|error| Failure::Signature(error.to_string()))?;
    Ok(signed)
}

/// Encodes a header as a proof carries it.
pub fn encode_header(header: &Header) -> Bytes {
    header.encode().to_vec().into()
}
