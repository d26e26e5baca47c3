//! What the chain says of models beside their names: whose answers can be proven.

use crate::{
    hub::{ApiError, Hub, network::AFTER_FAILURE},
    log_pages::LogPages,
    registry_events::decode,
    rpc_client::RpcClient,
};
use alloy_sol_types::{SolEvent as _, sol};
use assay_chain::spec::PROOFS;
use assay_receipt::RevisionId;
use std::{collections::HashSet, sync::Arc, time::Duration};

sol! {
    /// A revision's model is registered: its answers can be proven from here on.
    event ModelRegistered(
        bytes32 indexed revision, bytes32 indexed modelId, bytes weights, bytes32 circuitHash, bytes32 ruleHash
    );
}

/// Pause where there was no later block.
const PAUSE: Duration = Duration::from_millis(500);

/// Follows the contract `Proofs` for ever, from its beginning: what it says is kept in memory.
pub(in crate::hub) async fn follow(hub: Arc<Hub>, rpc: RpcClient) {
    let topics = vec![vec![ModelRegistered::SIGNATURE_HASH]];
    let mut pages = LogPages::new(rpc, PROOFS, topics, 0);
    loop {
        let page = match pages.read_page(|log| decode::<ModelRegistered>(&log)).await {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(%error, "the events of the proofs were not read");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        let revisions: HashSet<RevisionId> = page
            .events
            .iter()
            .map(|event| RevisionId::from_bytes(event.revision.0))
            .collect();
        if let Err(error) = take(&hub, revisions).await {
            let reason = error.0.message();
            tracing::error!(reason, "what can be proven was not entered");
        }
        if page.caught_up {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn take(hub: &Arc<Hub>, revisions: HashSet<RevisionId>) -> Result<(), ApiError> {
    if revisions.is_empty() {
        return Ok(());
    }
    let concerned = hub
        .blocking(move |hub| hub.take_provable(&revisions))
        .await?;
    for key in concerned {
        // No commit may come between reading a repository and entering what was read.
        let _turn = hub.turn(&key).await;
        hub.blocking(move |hub| hub.refresh(&key)).await?;
    }
    Ok(())
}
