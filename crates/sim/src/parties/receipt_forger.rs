//! An account that submits receipts which no node signed, or which its own node had no right to.
//!
//! Each forgery is what the chain would take next if one single check were missing.

use super::{
    Role, pause,
    registration::{REVISIONS, register},
};
use crate::{
    client::{Client, Seen, now_ns, raw},
    error::Error,
    receipts::{Pen, Place, draft, pack, revision},
    wallet,
};
use assay_chain::{
    settlement::{batch_of_transaction, settle_call},
    spec::SETTLEMENT,
};
use assay_receipt::{
    Domain, NetworkId, NodeAddress, NodeKey, ReceiptId, RevisionId, Signature, SignedReceipt,
};
use commonware_runtime::deterministic::Context;
use rand::{
    RngExt as _,
    seq::{IndexedRandom as _, IteratorRandom as _},
};
use std::{collections::BTreeMap, sync::Arc};

/// How far in the future a receipt from the future ends: beyond any clock skew, ns.
const FUTURE_NS: u64 = 60_000_000_000;

/// One way to forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Forgery {
    /// A receipt of an honest node, signed with the forger's key.
    OtherKey,
    /// A signature over something else.
    OtherContent,
    /// A node that never registered.
    UnregisteredNode,
    /// A revision that nobody published.
    UnknownRevision,
    /// An end that lies in the future.
    Future,
    /// A receipt of another network.
    OtherNetwork,
    /// A predecessor that is none.
    OtherPredecessor,
    /// One byte of somebody's waiting batch changed.
    FlippedByte,
    /// Somebody's waiting batch cut short.
    Truncated,
    /// Somebody's waiting batch with a byte more.
    Trailing,
}

impl Forgery {
    const ALL: [Self; 10] = [
        Self::OtherKey,
        Self::OtherContent,
        Self::UnregisteredNode,
        Self::UnknownRevision,
        Self::Future,
        Self::OtherNetwork,
        Self::OtherPredecessor,
        Self::FlippedByte,
        Self::Truncated,
        Self::Trailing,
    ];
}

/// Where each stream stands: its next sequence number and the id before it.
type Streams = BTreeMap<(NodeAddress, RevisionId), (u64, ReceiptId)>;

/// What the forger knows and owns.
struct Workshop {
    domain: Domain,
    bonded: Arc<NodeKey>,
    unregistered: Arc<NodeKey>,
    /// Signed with the bonded key, once each: a second one for the same place would be
    /// equivocation and cost the bond, which the other forgeries need.
    signed: BTreeMap<Forgery, SignedReceipt>,
    streams: Streams,
}

/// Forges until the run gets quiet.
///
/// # Errors
/// [`Error::Setup`] if an index fails or a draft cannot be signed.
pub(crate) async fn live(context: &Context, mut client: Client, role: Role) -> Result<(), Error> {
    let seed = client.stage.seed;
    let bonded = role.node_key(seed)?;
    register(context, &mut client, &bonded).await?;
    let mut workshop = Workshop {
        domain: client.stage.site.spec.domain,
        bonded,
        unregistered: Arc::new(wallet::key(seed, "receipt_forger/unregistered")?),
        signed: BTreeMap::new(),
        streams: victims(seed)?,
    };
    while !client.stage.is_quiet() {
        pause(context, &mut client).await;
        let (blocks, _) = client.observe()?;
        workshop.read(&blocks);
        for _ in 0..2 {
            let Some(forgery) = Forgery::ALL.choose(&mut client.rng) else {
                continue;
            };
            let forged = workshop.forge(*forgery, &mut client, now_ns(context))?;
            if let Some(batch) = forged {
                client.send(SETTLEMENT, settle_call(batch)).await;
            }
        }
        client.retry().await;
    }
    Ok(())
}

/// The streams of the first honest node before anything settled.
fn victims(seed: u64) -> Result<Streams, Error> {
    let victim = Role::HonestNode(0).node(seed)?;
    let start = (0, ReceiptId::ZERO);
    Ok((0..REVISIONS)
        .map(|number| ((victim, revision(number)), start))
        .collect())
}

impl Workshop {
    /// Learns where streams stand.
    fn read(&mut self, blocks: &[Seen]) {
        let transactions = blocks.iter().flat_map(|block| &block.transactions);
        let settled = transactions.filter(|(_, success)| *success);
        for batch in settled.filter_map(|(tx, _)| batch_of_transaction(&raw(tx))) {
            for (id, signed) in batch.unpack(&self.domain) {
                let place = (signed.receipt.node, signed.receipt.revision);
                let next = signed.receipt.sequence.saturating_add(1);
                self.streams.insert(place, (next, id));
            }
        }
    }

    fn forge(
        &mut self,
        forgery: Forgery,
        client: &mut Client,
        now_ns: u64,
    ) -> Result<Option<Vec<u8>>, Error> {
        let signed = match forgery {
            Forgery::OtherKey => return Ok(self.other_key(client, now_ns)),
            Forgery::FlippedByte | Forgery::Truncated | Forgery::Trailing => {
                return Ok(damaged(forgery, client));
            }
            Forgery::UnregisteredNode => {
                Pen::new(self.unregistered.clone(), self.domain, revision(0))
                    .sign(now_ns, &mut client.rng)?
            }
            _ => match self.signed.get(&forgery) {
                Some(signed) => signed.clone(),
                None => {
                    let signed = self.sign(forgery, client, now_ns)?;
                    self.signed.insert(forgery, signed.clone());
                    signed
                }
            },
        };
        Ok(pack(vec![signed], &self.domain))
    }

    /// A receipt of the forger's own node that has no right to settle.
    fn sign(
        &self,
        forgery: Forgery,
        client: &mut Client,
        now_ns: u64,
    ) -> Result<SignedReceipt, Error> {
        let own = Pen::new(self.bonded.clone(), self.domain, revision(0));
        let mut receipt = draft(own.place, now_ns, &mut client.rng);
        match forgery {
            Forgery::OtherContent => {
                let signature = self.bonded.sign_digest(&[0x5a; 32]);
                return Ok(SignedReceipt { receipt, signature });
            }
            Forgery::OtherNetwork => {
                let network = NetworkId::from_bytes([0xee; 32]);
                let domain = Domain::new(self.domain.chain_id(), network, SETTLEMENT);
                return Pen { domain, ..own }.sign_draft(receipt);
            }
            Forgery::UnknownRevision => receipt.revision = revision(REVISIONS),
            Forgery::OtherPredecessor => {
                receipt.sequence = 1;
                receipt.previous = ReceiptId::from_bytes([0xaa; 32]);
            }
            _ => receipt.times.end_ns = now_ns.saturating_add(FUTURE_NS),
        }
        own.sign_draft(receipt)
    }

    /// The next receipt of somebody's stream, in the right place, with the wrong key.
    fn other_key(&self, client: &mut Client, now_ns: u64) -> Option<Vec<u8>> {
        let (victim, stand) = self.streams.iter().choose(&mut client.rng)?;
        let ((node, revision), (sequence, previous)) = (*victim, *stand);
        let place = Place {
            node,
            revision,
            sequence,
            previous,
        };
        let receipt = draft(place, now_ns, &mut client.rng);
        let id = receipt.id(&self.domain);
        let signature: Signature = self.bonded.sign_digest(id.as_bytes());
        pack(vec![SignedReceipt { receipt, signature }], &self.domain)
    }
}

/// A waiting batch of somebody, damaged.
fn damaged(forgery: Forgery, client: &mut Client) -> Option<Vec<u8>> {
    let pending = client.pending_batches();
    let mut bytes = pending.choose(&mut client.rng)?.encode();
    match forgery {
        Forgery::Truncated => bytes.truncate(bytes.len().saturating_sub(1)),
        Forgery::Trailing => bytes.push(0),
        _ => {
            let at = client.rng.random_range(0..bytes.len());
            let bit = client.rng.random_range(0..8u32);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << bit;
            }
        }
    }
    Some(bytes)
}
