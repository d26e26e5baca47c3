//! Asking other hubs for random places of what they should keep.
//!
//! The places follow from the hash of a finalized block, so that neither side chose them, and the answer is checked against
//! the blob's id alone: an auditor needs no copy. What came of it is remembered, shown, and recorded on chain as this hub's
//! statement, where it is new or a day old.

use super::{AFTER_FAILURE, Link, Observation, Peer, Seen, replicate};
use crate::{
    Error, clock,
    fetch::{CHALLENGE_BLOCKS, Fault, Fetcher, Source},
    hub::Hub,
    hub_registry::{self, Finding, Outcome, Question},
};
use alloy_primitives::{B256, keccak256};
use assay_blob::{BlobId, Challenge};
use assay_hub::placement::Share;
use assay_receipt::{NodeAddress, RevisionId};
use std::{sync::Arc, time::Duration};

/// An outcome that was recorded is recorded again after this, though nothing changed.
const RECORD_AGAIN_MS: u64 = 24 * 3_600 * 1_000;

/// Audits for ever.
pub async fn run(hub: Arc<Hub>, link: Arc<Link>) {
    let every = link.participation.audit_every_ms;
    if every == 0 {
        return;
    }
    let mut turn = 0usize;
    loop {
        tokio::time::sleep(Duration::from_millis(every)).await;
        if let Err(error) = audit_next(&hub, &link, turn).await {
            tracing::debug!(%error, "an audit was not made");
            tokio::time::sleep(AFTER_FAILURE).await;
        }
        turn = turn.wrapping_add(1);
    }
}

/// Audits the pair of hub and revision whose turn it is.
async fn audit_next(hub: &Arc<Hub>, link: &Arc<Link>, turn: usize) -> Result<(), Error> {
    let peers = link.peers();
    let revisions = {
        let hub = Arc::clone(hub);
        let live = tokio::task::spawn_blocking(move || replicate::live(&hub)).await;
        live.map_err(|_| Error::PartEnded("a look at the catalogue"))??
    };
    let pairs = peers.len().saturating_mul(revisions.len());
    let Some(pair) = turn.checked_rem(pairs) else {
        return Ok(());
    };
    let peer = pair
        .checked_rem(peers.len())
        .and_then(|index| peers.get(index));
    let revision = pair
        .checked_div(peers.len())
        .and_then(|index| revisions.get(index));
    let (Some(peer), Some(revision)) = (peer, revision) else {
        return Ok(());
    };
    let (seed_block, block_hash) = hub_registry::seed_block(&link.rpc).await?;
    let Some((blob, size)) = choose(hub, link, peer, *revision, block_hash).await? else {
        return Ok(());
    };
    let question = Question {
        hub: peer.hub,
        blob,
        size,
        seed_block,
    };
    let (seen, evidence) = ask(link, peer, *revision, &question, block_hash).await?;
    conclude(link, *revision, question, seen, evidence).await
}

/// A blob with its size, bytes, that the hub should keep for the revision: a file, or a piece of one. Which one, the
/// block says. Larger ones are asked for more often.
async fn choose(
    hub: &Arc<Hub>,
    link: &Arc<Link>,
    peer: &Peer,
    revision: RevisionId,
    block: B256,
) -> Result<Option<(BlobId, u64)>, Error> {
    let (hub, by, peer_hub) = (Arc::clone(hub), Arc::clone(link), peer.hub);
    let looked = tokio::task::spawn_blocking(move || kept(&hub, &by, peer_hub, revision)).await;
    let kept = looked.map_err(|_| Error::PartEnded("a look at the catalogue"))??;
    let weight = |size: u64| u128::from(size).saturating_add(1);
    let total = kept.iter().map(|(_, size)| weight(*size)).sum::<u128>();
    let drawn = keccak256([block.as_slice(), revision.as_bytes(), peer_hub.as_bytes()].concat());
    let (low, _) = drawn.0.split_at(16);
    let number = low
        .iter()
        .fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
    let mut left = number.checked_rem(total).unwrap_or(0);
    for (blob, size) in kept {
        match left.checked_sub(weight(size)) {
            Some(rest) => left = rest,
            None => return Ok(Some((blob, size))),
        }
    }
    Ok(None)
}

/// What a hub should keep for a revision, as far as this one knows its names: of a file in pieces, only once its
/// manifest was proven here.
fn kept(
    hub: &Hub,
    link: &Link,
    of: NodeAddress,
    revision: RevisionId,
) -> Result<Vec<(BlobId, u64)>, Error> {
    let keepers = link.keepers(hub.operator);
    let mut kept = Vec::new();
    let inventory = hub.catalogue.inventory_of(&revision)?;
    let tree = inventory.map(|inventory| hub.catalogue.tree(&inventory));
    for entry in tree.transpose()?.unwrap_or_default().files().values() {
        match link.share(of, entry, &keepers) {
            Share::Nothing => {}
            Share::Whole => kept.push((entry.blob, entry.size)),
            Share::Pieces(code, places) => {
                let Some(manifest) = link.notebook.manifest(&entry.blob, code)? else {
                    continue;
                };
                let pieces = places
                    .iter()
                    .filter_map(|place| manifest.pieces.get(*place));
                kept.extend(pieces.map(|piece| (*piece, manifest.piece_bytes())));
            }
        }
    }
    Ok(kept)
}

/// Asks, and judges the answer: what was seen, and the digest of what can be shown for it.
async fn ask(
    link: &Link,
    peer: &Peer,
    revision: RevisionId,
    question: &Question,
    block_hash: B256,
) -> Result<(Seen, B256), Error> {
    let fetcher: Fetcher = link.fetcher()?;
    let source: Source = peer.source();
    if !fetcher.sources().contains(&source) {
        // It moved or left meanwhile, or says an address that is not asked from here: that is no silence of its own.
        return Err(Error::fetch("an audit", "the hub is not asked from here"));
    }
    let seen = |fault: Fault| match fault {
        Fault::Unreachable(why) | Fault::Failed(why) => Seen::Unreachable(why),
        Fault::Absent | Fault::OtherSize(_) => Seen::Absent,
        Fault::Refused(reason) => Seen::Refused(reason),
        Fault::WrongBytes(what) => Seen::WrongBytes(what),
    };
    // A hub may keep the bytes for another revision and refuse this one.
    if let Err(fault) = fetcher.has_revision(&source, revision).await {
        return Ok((seen(fault), B256::ZERO));
    }
    let seed = hub_registry::seed(block_hash, link.own, question);
    let challenge = Challenge {
        id: question.blob,
        size: question.size,
        seed: seed.0,
        blocks: CHALLENGE_BLOCKS,
    };
    let shown = fetcher.challenge(&source, &challenge).await;
    Ok(match shown {
        Ok(shown) => (Seen::Served, keccak256(shown)),
        Err((fault, shown)) => (seen(fault), keccak256(shown)),
    })
}

/// Remembers the outcome, and records it where that says something new.
async fn conclude(
    link: &Arc<Link>,
    revision: RevisionId,
    question: Question,
    seen: Seen,
    evidence: B256,
) -> Result<(), Error> {
    let before = link
        .standing
        .entry(revision, question.hub)
        .map(|entry| entry.latest);
    let now = clock::now_ms();
    let is_old = |observation: &Observation| {
        !observation.seen.is_like(&seen) || now.saturating_sub(observation.at_ms) > RECORD_AGAIN_MS
    };
    let recorded = before
        .as_ref()
        .filter(|before| !is_old(before))
        .and_then(|before| before.recorded_in);
    let outcome = match &seen {
        Seen::Served => Some(Outcome::Passed),
        Seen::WrongBytes(_) => Some(Outcome::WrongBytes),
        Seen::Refused(_) => Some(Outcome::Refused),
        Seen::Unreachable(_) => Some(Outcome::Unreachable),
        // It may still be on its way there.
        Seen::Absent => None,
    };
    let mut observation = Observation {
        revision,
        hub: question.hub,
        seen,
        at_ms: now,
        seed_block: Some(question.seed_block),
        recorded_in: recorded,
    };
    link.observe(observation.clone());
    let Some(outcome) = outcome.filter(|_| recorded.is_none() && link.participation.records_audits)
    else {
        return Ok(());
    };
    let _sending = link.sending().await;
    let finding = Finding { outcome, evidence };
    let receipt = hub_registry::record_audit(&link.rpc, &link.wallet, &question, &finding).await?;
    observation.recorded_in = Some(receipt.height());
    link.observe(observation);
    Ok(())
}
