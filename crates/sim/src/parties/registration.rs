//! How a node, honest or not, comes onto the chain.

use super::pause;
use crate::{client::Client, contract, error::Error, receipts::revision};
use alloy_primitives::{Bytes, U256};
use assay_chain::spec::{CREDIT, MODEL_REGISTRY, NODE_REGISTRY};
use assay_receipt::NodeKey;
use commonware_runtime::deterministic::Context;

/// Revisions that each node publishes and serves.
pub(crate) const REVISIONS: u8 = 2;

/// Registers the node of `key` with a bond and publishes the revisions, and waits until the chain
/// says so. A node that was registered before a crash finds that and goes on.
///
/// # Errors
/// [`Error::Setup`] if an index fails.
pub(crate) async fn register(
    context: &Context,
    client: &mut Client,
    key: &NodeKey,
) -> Result<(), Error> {
    let mut sent = false;
    while !registered(client, key).await {
        if sent {
            client.observe()?;
            client.retry().await;
        } else {
            let operator = client.wallet.address();
            let call = contract::register(&client.stage.site.spec, key, operator);
            client.send(CREDIT, contract::approve_bond()).await;
            client.send(NODE_REGISTRY, call).await;
            for number in 0..REVISIONS {
                client
                    .send(MODEL_REGISTRY, contract::publish(revision(number)))
                    .await;
            }
            sent = true;
        }
        pause(context, client).await;
    }
    Ok(())
}

async fn registered(client: &mut Client, key: &NodeKey) -> bool {
    let bonded = client
        .ask(NODE_REGISTRY, contract::is_bonded(key.address()))
        .await;
    if !is_true(bonded) {
        return false;
    }
    for number in 0..REVISIONS {
        let known = client
            .ask(MODEL_REGISTRY, contract::is_known(revision(number)))
            .await;
        if !is_true(known) {
            return false;
        }
    }
    true
}

fn is_true(answer: Option<Bytes>) -> bool {
    answer.is_some_and(|word| U256::try_from_be_slice(&word) == Some(U256::ONE))
}
