//! Where a receipt stands: from its node, from any node, or from the chain.

use crate::{
    api::{Opening, ProofReport, ProofState, ReceiptReport},
    clock::now_ns,
    gateway::Gateway,
    problem::{Kind, Problem},
    proofs,
    rpc_client::RpcError,
};
use assay_chain::light::{self, ReceiptProof, Settled};
use assay_receipt::{NodeAddress, Receipt, ReceiptId, ReceiptState, Rung, SignedReceipt};
use assay_settle::verify::SETTLEMENT_GRACE_NS;
use futures::{StreamExt as _, stream};
use std::{sync::Arc, time::Duration};

/// Nodes that are asked for a receipt that did not go through this gateway.
const MAX_ASKED: usize = 64;
/// Of these, how many at a time.
const ASKED_AT_ONCE: usize = 16;
/// Searches among all nodes that run at once, for all clients together.
pub(super) const SEARCHES: usize = 8;
/// Searches that may wait beside those.
pub(super) const SEARCHES_WAITING: usize = 64;
/// A search that does not start within this time is refused.
const SEARCH_PATIENCE: Duration = Duration::from_secs(2);

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
        match self.recent.find(&id) {
            Some(signed) => self.seen_receipt(id, &signed, with_proof).await,
            None => self.search(id, with_proof).await,
        }
    }

    /// Where a receipt stands that went through here: its node is asked, then the chain.
    async fn seen_receipt(
        &self,
        id: ReceiptId,
        signed: &Arc<SignedReceipt>,
        with_proof: bool,
    ) -> Result<ReceiptReport, Problem> {
        let node = signed.receipt.node;
        // Its own node comes first, and nobody else has it.
        let endpoints = self.directory.live_endpoints(Some(node));
        if let Some((first, endpoint)) = endpoints.first()
            && *first == node
            && let Some(report) = self.report_of(node, endpoint, id, with_proof).await
        {
            return Ok(report);
        }
        self.report_from_chain(id, signed, with_proof).await
    }

    /// Asks the nodes for a receipt that did not go through here.
    async fn search(&self, id: ReceiptId, with_proof: bool) -> Result<ReceiptReport, Problem> {
        let _turn = self.searches.enter()?.turn(SEARCH_PATIENCE).await?;
        let mut endpoints = self.directory.live_endpoints(None);
        endpoints.truncate(MAX_ASKED);
        let found = stream::iter(endpoints)
            .map(async |(node, endpoint)| self.report_of(node, &endpoint, id, with_proof).await)
            .buffer_unordered(ASKED_AT_ONCE)
            .filter_map(async |report| report);
        let found = std::pin::pin!(found).next().await;
        found.ok_or_else(|| {
            let detail = format!("no node that answers now knows receipt {id}");
            Problem::new(Kind::UnknownReceipt, detail)
        })
    }

    /// Tells the receipt's own node, and no other, to cancel its proof.
    ///
    /// # Errors
    /// What the node says; [`Kind::UnknownReceipt`] for a receipt that nobody knows, [`Kind::BadGateway`] where its node
    /// does not answer.
    pub(super) async fn cancel(
        &self,
        id: ReceiptId,
        opening: &Opening,
    ) -> Result<ProofReport, Problem> {
        let node = self.receipt(id, false).await?.receipt.receipt.node;
        let endpoints = self.directory.live_endpoints(Some(node));
        let own = endpoints.first().filter(|(first, _)| *first == node);
        let silent = |reason: String| {
            let detail = format!("the node of {id} cannot be asked: {reason}");
            Problem::new(Kind::BadGateway, detail)
        };
        let (_, endpoint) = own.ok_or_else(|| silent("it does not answer".into()))?;
        self.asker
            .cancel(endpoint, &id, opening)
            .await
            .map_err(silent)?
    }

    /// What a node says of the receipt, if it is about this receipt, with nothing in it that cannot be checked.
    async fn report_of(
        &self,
        node: NodeAddress,
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
        let receipt = &report.receipt.receipt;
        // A node that says so of itself is believed; of another it is hearsay.
        let refuted = report.state == ReceiptState::Refuted && receipt.node == node;
        let mut proven = self.proven(id, report.proof.take());
        if proven.is_none() && report.state == ReceiptState::Settled {
            let proof = self.proof_from_chain(receipt).await;
            proven = self.proven(id, proof.ok().flatten());
        }
        let state = match &proven {
            None if refuted => ReceiptState::Refuted,
            proven => state_of(receipt, proven.is_some(), now_ns()),
        };
        let evidence = self
            .evidence(id, &report.receipt, report.evidence.take())
            .await;
        let report = self.report(id, report.receipt, state, proven, with_proof);
        Some(ReceiptReport { evidence, ..report })
    }

    /// The proof with what it establishes, if it holds and is of this receipt.
    fn proven(
        &self,
        id: ReceiptId,
        proof: Option<ReceiptProof>,
    ) -> Option<(Settled, ReceiptProof)> {
        let proof = proof?;
        match light::verify(&self.network, &proof) {
            Ok(settled) if settled.id == id => Some((settled, proof)),
            other => {
                tracing::warn!(%id, ?other, "a proof does not hold");
                None
            }
        }
    }

    async fn proof_from_chain(&self, receipt: &Receipt) -> Result<Option<ReceiptProof>, RpcError> {
        self.rpc
            .receipt_proof(receipt.node, receipt.revision, receipt.sequence)
            .await
    }

    /// What the chain says of a receipt whose node does not answer.
    async fn report_from_chain(
        &self,
        id: ReceiptId,
        signed: &SignedReceipt,
        with_proof: bool,
    ) -> Result<ReceiptReport, Problem> {
        let proof = self
            .proof_from_chain(&signed.receipt)
            .await
            .map_err(|error| {
                let detail = format!("neither node nor chain can be asked: {error}");
                Problem::new(Kind::Unavailable, detail).retry_after(1)
            })?;
        let proven = self.proven(id, proof);
        let state = state_of(&signed.receipt, proven.is_some(), now_ns());
        let evidence = self.evidence(id, signed, None).await;
        let report = self.report(id, signed.clone(), state, proven, with_proof);
        Ok(ReceiptReport { evidence, ..report })
    }

    /// Where the proof stands that the receipt promises: what the node says, but that it is proven only the chain says.
    async fn evidence(
        &self,
        id: ReceiptId,
        signed: &SignedReceipt,
        said: Option<ProofReport>,
    ) -> Option<ProofReport> {
        if signed.receipt.rung != Rung::Proven {
            return None;
        }
        let found = proofs::proven_at(&self.rpc, id).await;
        let mut report = said.unwrap_or(ProofReport::of(ProofState::Queued));
        match found {
            Ok(Some(block)) => {
                report.state = ProofState::Proven;
                report.reason = None;
                report.block = Some(block);
            }
            _ if report.state == ProofState::Proven => {
                report.state = ProofState::Submitted;
                report.block = None;
            }
            _ => {}
        }
        Some(report)
    }

    /// The report of a receipt, with height and proof only where the proof holds.
    fn report(
        &self,
        id: ReceiptId,
        receipt: SignedReceipt,
        state: ReceiptState,
        proven: Option<(Settled, ReceiptProof)>,
        with_proof: bool,
    ) -> ReceiptReport {
        ReceiptReport {
            id,
            state,
            receipt,
            evidence: None,
            height: proven.as_ref().map(|(settled, _)| settled.height),
            proof: proven.map(|(_, proof)| proof).filter(|_| with_proof),
            network: with_proof.then(|| self.network.clone()),
        }
    }
}

/// Where a receipt stands as far as it is sure at `now_ns`: until the chain takes it no more, it may still settle.
fn state_of(receipt: &Receipt, is_proven: bool, now_ns: u64) -> ReceiptState {
    let last_ns = receipt.deadline_ns.saturating_add(SETTLEMENT_GRACE_NS);
    if is_proven {
        ReceiptState::Settled
    } else if now_ns > last_ns {
        ReceiptState::Expired
    } else {
        ReceiptState::Executed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::receipt;

    #[test]
    fn a_receipt_can_settle_for_a_day_after_its_deadline() {
        let mut receipt = receipt(1, Default::default(), 5);
        receipt.deadline_ns = 1_000;
        let last_ns = 1_000 + SETTLEMENT_GRACE_NS;
        for (now_ns, is_proven, expected) in [
            (999, false, ReceiptState::Executed),
            (1_001, false, ReceiptState::Executed),
            (last_ns, false, ReceiptState::Executed),
            (last_ns + 1, false, ReceiptState::Expired),
            (last_ns + 1, true, ReceiptState::Settled),
        ] {
            assert_eq!(state_of(&receipt, is_proven, now_ns), expected, "{now_ns}");
        }
    }
}
