//! What a node says of itself four times a second, signed by its key: where it is, what it serves, and how loaded it is.

use std::time::Duration;

use assay_receipt::{
    Domain, EngineId, Microcredits, NodeAddress, NodeKey, ReceiptId, RevisionId, Signature,
};
use serde::{Deserialize, Serialize};

use crate::Error;

mod encoding;

/// A node sends one this often.
pub const INTERVAL: Duration = Duration::from_millis(250);

/// A node of which nothing newer was heard for this long is not asked: three heartbeats lost, and time to pass one on.
pub const TTL: Duration = Duration::from_secs(1);

/// Version byte of the encoding.
pub const VERSION: u8 = 1;

/// Most revisions that one node can say it serves.
pub const SERVED_MOST: usize = 64;

/// Longest endpoint, in bytes.
pub const ENDPOINT_MOST: usize = 255;

/// Bytes of one served revision: two digests, two prices and eight numbers.
pub const SERVED_BYTES: usize = 2 * 32 + 2 * 8 + 8 * 4;

/// Longest encoded heartbeat, in bytes.
pub const HEARTBEAT_BYTES_MOST: usize =
    1 + 20 + 3 * 8 + 1 + 1 + ENDPOINT_MOST + 1 + SERVED_MOST * SERVED_BYTES + 65;

/// What is hashed before a heartbeat is signed, so that no signature of another kind is one of these.
const CONTEXT: &str = "assay.network 2026 node heartbeat v1";

/// Where a heartbeat stands among those of its node; a later one is larger, that of a restarted node too.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Stamp {
    /// When the node's process started: ns since the Unix epoch by its clock. A restart must not be earlier.
    pub boot: u64,
    /// Counts the heartbeats of this process.
    pub counter: u64,
}

/// What a node charges, in microcredits for a thousand units (tokens, where a revision has tokens).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Price {
    /// Units read.
    pub input: Microcredits,
    /// Units made.
    pub output: Microcredits,
}

impl Price {
    /// What so many units cost, rounded up; the largest amount where it does not fit.
    #[must_use]
    pub fn of(&self, input_units: u64, output_units: u64) -> Microcredits {
        let part =
            |price: Microcredits, units: u64| u128::from(price.0).saturating_mul(u128::from(units));
        let thousandth =
            part(self.input, input_units).saturating_add(part(self.output, output_units));
        Microcredits(u64::try_from(thousandth.div_ceil(1000)).unwrap_or(u64::MAX))
    }
}

/// One revision as a node serves it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Served {
    /// The revision.
    pub revision: RevisionId,
    /// The engine that runs it.
    pub engine: EngineId,
    /// What it costs.
    pub price: Price,
    /// Requests that run at once.
    pub slots: u32,
    /// Requests that run.
    pub running: u32,
    /// Requests that wait.
    pub queued: u32,
    /// Tokens a second read from prompts, measured, all requests together.
    pub prefill_rate: u32,
    /// Tokens a second made for one request, measured at the present load.
    pub decode_rate: u32,
    /// From a request to its first token, measured lately, in ms; 0 where nothing was measured.
    pub first_token_ms: u32,
    /// Tokens for which the cache has room.
    pub free_cache: u32,
    /// Rungs of evidence that it can give: bit n for rung n.
    pub rungs: u32,
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Heartbeat {
    /// The node.
    pub node: NodeAddress,
    /// Where it stands among those of the node.
    pub stamp: Stamp,
    /// The node's clock, in ns since the Unix epoch.
    pub wall_ns: u64,
    /// Whether it takes no new requests, because it is about to leave.
    pub draining: bool,
    /// Where it is asked: a URL of `http` or `https`, in visible ASCII.
    pub endpoint: String,
    /// What it serves, ascending by revision, each once.
    pub served: Vec<Served>,
}

impl Heartbeat {
    /// How it serves a revision.
    #[must_use]
    pub fn serves(&self, revision: &RevisionId) -> Option<&Served> {
        let found = self
            .served
            .binary_search_by_key(revision, |served| served.revision);
        found.ok().and_then(|at| self.served.get(at))
    }

    /// Checks what the encoding cannot rule out, and signs.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] and [`Error::Malformed`] where it says more than a heartbeat can, or in another order;
    /// [`Error::Signature`] where it names another node than the key's.
    pub fn sign(self, key: &NodeKey, domain: &Domain) -> Result<SignedHeartbeat, Error> {
        self.check()?;
        if self.node != key.address() {
            return Err(Error::Signature { node: self.node });
        }
        let signature = key.sign_digest(self.digest(domain).as_bytes());
        Ok(SignedHeartbeat {
            heartbeat: self,
            signature,
        })
    }

    /// What is signed: BLAKE3, for a context of its own, over the domain's separator and the encoding.
    fn digest(&self, domain: &Domain) -> ReceiptId {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(domain.separator().as_slice());
        hasher.update(&self.encode());
        ReceiptId::from_bytes(*hasher.finalize().as_bytes())
    }

    fn check(&self) -> Result<(), Error> {
        check_most("bytes of endpoint", self.endpoint.len(), ENDPOINT_MOST)?;
        check_most("served revisions", self.served.len(), SERVED_MOST)?;
        let scheme = ["http://", "https://"];
        let rest = scheme
            .iter()
            .find_map(|scheme| self.endpoint.strip_prefix(scheme));
        let visible = self.endpoint.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible || rest.is_none_or(str::is_empty) {
            return Err(Error::Malformed(
                "its endpoint is no http or https URL in visible ASCII",
            ));
        }
        let ascends = |pair: &[Served]| matches!(pair, [a, b] if a.revision < b.revision);
        if !self.served.windows(2).all(ascends) {
            return Err(Error::Malformed("its revisions do not ascend"));
        }
        Ok(())
    }
}

fn check_most(what: &'static str, found: usize, most: usize) -> Result<(), Error> {
    if found <= most {
        return Ok(());
    }
    Err(Error::OutOfBounds { what, found, most })
}

/// A heartbeat with the signature of its node, whether good or not; [`SignedHeartbeat::verify`] tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeartbeat {
    heartbeat: Heartbeat,
    signature: Signature,
}

impl SignedHeartbeat {
    /// What it says.
    #[must_use]
    pub fn heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }

    /// Checks that the node it names signed it for this network. Takes some 40 us.
    ///
    /// # Errors
    /// [`Error::Signature`] if it did not.
    pub fn verify(&self, domain: &Domain) -> Result<(), Error> {
        let node = self.heartbeat.node;
        match self.signature.recover(&self.heartbeat.digest(domain)) {
            Ok(signer) if signer == node => Ok(()),
            _ => Err(Error::Signature { node }),
        }
    }

    /// The canonical bytes: those of the heartbeat, then the signature.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.heartbeat.encode();
        bytes.extend_from_slice(self.signature.as_bytes());
        bytes
    }

    /// Reads the canonical bytes; the signature still has to be verified.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::OutOfBounds`] for any other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        encoding::decode(bytes)
    }
}

#[cfg(test)]
pub(crate) mod tests;
