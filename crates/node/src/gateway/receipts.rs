//! Where a receipt stands: from its node, from any node, or from the chain.

use crate::{
    api::ReceiptReport,
    gateway::Gateway,
    problem::{Kind, Problem},
};
use assay_chain::light;
use assay_receipt::{ReceiptId, ReceiptState, SignedReceipt};
use futures::{StreamExt as _, stream};
use std::time::{SystemTime, UNIX_EPOCH};

/// Nodes that are asked for a receipt that did not go through this gateway.
const MAX_ASKED: usize = 64;
/// Of these, how many at a time.
const ASKED_AT_ONCE: usize = 16;

impl Gateway {
    /// Where the receipt stands, with its offline proof where that is wanted and there.
    ///
    /// # Errors
    /// [`Kind::UnknownReceipt`] if no live node knows it and it did not go through this gateway.
    pub(super) async fn receipt(
        &self,
        id: ReceiptId,
        with_proof: bool,
    ) -> Result<ReceiptReport, Problem> {
        let seen = self.recent.find(&id);
        let node = seen.as_ref().map(|signed| signed.receipt.node);
        let mut endpoints = self.directory.live_endpoints(node);
        // Its own node comes first, and if that one is known, nobody else has it.
        endpoints.truncate(if seen.is_some() { 1 } else { MAX_ASKED });
        let found = stream::iter(endpoints)
            .map(async |endpoint| self.report_of(&endpoint, id, with_proof).await)
            .buffer_unordered(ASKED_AT_ONCE)
            .filter_map(async |report| report);
        if let Some(report) = std::pin::pin!(found).next().await {
            return Ok(report);
        }
        match seen {
            Some(signed) => self.report_from_chain(id, &signed, with_proof).await,
            None => {
                let detail = format!("no node that answers now knows receipt {id}");
                Err(Problem::new(Kind::UnknownReceipt, detail))
            }
        }
    }

    /// What a node says of the receipt, if it is about this receipt and what can be checked holds.
    async fn report_of(
        &self,
        endpoint: &str,
        id: ReceiptId,
        with_proof: bool,
    ) -> Option<ReceiptReport> {
        let asked = self.asker.receipt(endpoint, &id, with_proof).await;
        let mut report = asked
            .inspect_err(|reason| tracing::debug!(endpoint, reason))
            .ok()??;
        let verified = report.receipt.verify(&self.domain).ok()?;
        if verified.id() != id || report.id != id {
            tracing::warn!(endpoint, %id, "a node answered with another receipt");
            return None;
        }
        if let Some(proof) = &report.proof {
            match light::verify(&self.network, proof) {
                Ok(settled) if settled.id == id => report.height = Some(settled.height),
                other => {
                    tracing::warn!(endpoint, %id, ?other, "a node's proof does not hold");
                    report.proof = None;
                }
            }
        }
        report.network = with_proof.then(|| self.network.clone());
        Some(report)
    }

    /// What the chain says of a receipt whose node does not answer.
    async fn report_from_chain(
        &self,
        id: ReceiptId,
        signed: &SignedReceipt,
        with_proof: bool,
    ) -> Result<ReceiptReport, Problem> {
        let receipt = &signed.receipt;
        let unavailable = |error: &dyn std::fmt::Display| {
            Problem::new(
                Kind::Unavailable,
                format!("neither node nor chain can be asked: {error}"),
            )
            .retry_after(1)
        };
        let proof = self
            .rpc
            .receipt_proof(receipt.node, receipt.revision, receipt.sequence)
            .await;
        let proof = proof.map_err(|error| unavailable(&error))?;
        let settled = proof
            .as_ref()
            .and_then(|proof| light::verify(&self.network, proof).ok());
        let settled = settled.filter(|settled| settled.id == id);
        let state = match &settled {
            Some(_) => ReceiptState::Settled,
            None if receipt.deadline_ns < now_ns() => ReceiptState::Expired,
            None => ReceiptState::Executed,
        };
        Ok(ReceiptReport {
            id,
            state,
            receipt: signed.clone(),
            height: settled.as_ref().map(|settled| settled.height),
            proof: if with_proof && settled.is_some() {
                proof
            } else {
                None
            },
            network: with_proof.then(|| self.network.clone()),
        })
    }
}

fn now_ns() -> u64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}
