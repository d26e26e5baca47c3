//! Finds settled answers that the lottery chose to be checked, and has their committees drawn.

use super::{POLL, Part, TURN};
use crate::{
    abi::{Settled, SettlementEvents},
    checks,
    log_pages::LogPages,
};
use alloy_primitives::keccak256;
use alloy_sol_types::SolEvent as _;
use assay_chain::{
    light::{self, ReceiptProof},
    spec::{CHECKS, SETTLEMENT},
};
use assay_receipt::{NodeAddress, RevisionId, Rung, SignedReceipt};
use std::collections::{BTreeMap, VecDeque};

/// Receipts that wait for the block by which the lottery decides.
const MAX_WAITING: usize = 4_096;
/// Receipts that are read at once after a batch.
const MAX_READ: u64 = 1_024;

/// A settled receipt that promises to be checked.
struct Promised {
    signed: SignedReceipt,
    place: ReceiptProof,
}

/// Watches what settles from now on.
pub(super) async fn watch(part: &Part) {
    let from = loop {
        match part.link.rpc.height().await {
            Ok(height) => break height.saturating_add(1),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    };
    let topics = vec![vec![SettlementEvents::BatchSettled::SIGNATURE_HASH]];
    let mut pages = LogPages::new(part.link.rpc.clone(), SETTLEMENT, topics, from);
    let mut read: BTreeMap<(NodeAddress, RevisionId), u64> = BTreeMap::new();
    let mut waiting = VecDeque::new();
    loop {
        if let Ok(page) = pages.page().await {
            let events = page.events.iter().filter_map(|event| {
                SettlementEvents::BatchSettled::decode_raw_log(&event.topics, &event.data).ok()
            });
            for settled in events.collect::<Vec<_>>() {
                let node = NodeAddress::from(settled.node);
                for revision in part.speaking() {
                    let count = u64::from(settled.count);
                    found(part, (node, revision), count, &mut read, &mut waiting).await;
                }
            }
        }
        for _ in 0..waiting.len() {
            let Some(promised) = waiting.pop_front() else {
                break;
            };
            if !decided(part, &promised).await && waiting.len() < MAX_WAITING {
                waiting.push_back(promised);
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Reads what settled of a stream since it was last looked at.
async fn found(
    part: &Part,
    stream: (NodeAddress, RevisionId),
    count: u64,
    read: &mut BTreeMap<(NodeAddress, RevisionId), u64>,
    waiting: &mut VecDeque<Promised>,
) {
    let (node, revision) = stream;
    let rpc = &part.link.rpc;
    let Ok(head) = rpc.stream(node, revision).await else {
        return;
    };
    let first = read
        .get(&stream)
        .copied()
        .unwrap_or(head.next.saturating_sub(count))
        .max(head.next.saturating_sub(MAX_READ));
    for sequence in first..head.next {
        let Ok(Some(place)) = rpc.receipt_proof(node, revision, sequence).await else {
            // It comes again with the stream's next batch.
            read.insert(stream, sequence);
            return;
        };
        let settled = light::verify(&part.link.network, &place).ok();
        let signed = settled.map(|settled| settled.receipt);
        if let Some(signed) = signed.filter(|signed| signed.receipt.rung == Rung::Replayed) {
            waiting.push_back(Promised { signed, place });
        }
    }
    read.insert(stream, head.next);
}

/// Whether nothing is left to do about a receipt; one that the lottery chose has its committee then.
async fn decided(part: &Part, promised: &Promised) -> bool {
    let settled = Settled {
        signed: &promised.signed,
        place: &promised.place,
    };
    match checks::due(&part.link.rpc, &settled).await {
        Ok(None) => false,
        Ok(Some(false)) => true,
        Ok(Some(true)) => {
            let id = promised.signed.receipt.id(&part.node.domain);
            // Most see it at the same time; one of them is enough.
            let ticket = keccak256([id.as_bytes(), part.address().as_slice()].concat());
            let turn = ticket.first().map_or(0, |byte| byte % 8);
            tokio::time::sleep(TURN.saturating_mul(turn.into())).await;
            let data = checks::begin_call(&settled);
            let begun = part.link.submit(CHECKS, data, "drawing a committee").await;
            match begun {
                Ok(height) => {
                    tracing::info!(%id, height, "the lottery chose an answer to be checked")
                }
                Err(error) => {
                    tracing::debug!(%error, %id, "another drew the committee, or nobody is there")
                }
            }
            true
        }
        Err(error) => {
            tracing::debug!(%error, "whether the lottery chose an answer is not known");
            true
        }
    }
}
