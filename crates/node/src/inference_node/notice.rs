//! What a node learns of the chain beside settling: whether it is the right chain, whether the node
//! is registered as configured, under which names its models are published, and how their answers are proven.

use crate::{
    inference_node::{Node, Served},
    proofs,
    registry::{self, NodeRecord},
    rpc_client::{RpcClient, RpcError},
    shutdown::Shutdown,
};
use alloy_primitives::Address;
use assay_receipt::{NetworkId, RevisionId};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

/// Pause between two looks at the registries.
const LOOK_PAUSE: Duration = Duration::from_secs(3);
/// Pause between two attempts to find out whose the validators are.
const NETWORK_PAUSE: Duration = Duration::from_millis(250);

/// What is known to be wrong with the node's place in the network.
#[derive(Debug)]
pub(super) struct Notice {
    endpoint: String,
    operator: Address,
    complaint: RwLock<Option<String>>,
}

impl Notice {
    /// For a node that should be registered like this.
    pub(super) fn new(endpoint: String, operator: Address) -> Self {
        let complaint = Some("the chain was not asked yet".to_owned());
        Self {
            endpoint,
            operator,
            complaint: RwLock::new(complaint),
        }
    }

    /// What is wrong now, if anything is.
    pub(super) fn complaint(&self) -> Option<String> {
        self.complaint
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, complaint: Option<String>) {
        let mut noted = self
            .complaint
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if *noted != complaint {
            tracing::info!(complaint, "the node's place in the network changed");
        }
        *noted = complaint;
    }

    /// What of a record does not fit the configuration.
    fn judge(&self, record: &NodeRecord) -> Option<String> {
        if !record.standing.is_bonded() {
            return Some(format!(
                "the node is {}: its receipts do not settle",
                record.standing.name()
            ));
        }
        if record.operator != self.operator {
            return Some(format!(
                "the node is registered by {}, not by {}",
                record.operator, self.operator
            ));
        }
        if record.endpoint != self.endpoint {
            return Some(format!(
                "the node is registered at {}, not at {}",
                record.endpoint, self.endpoint
            ));
        }
        None
    }
}

/// Looks at the registries until the node stops.
pub(super) async fn watch(node: Arc<Node>) {
    while !node.shutdown.is_requested() {
        let complaint = match registry::node(&node.rpc, node.address).await {
            Ok(record) => node.notice.judge(&record),
            Err(error) => Some(format!("the chain cannot be asked: {error}")),
        };
        node.notice.note(complaint);
        for served in node.models.all() {
            match published_as(&node.rpc, served.entry.revision, &served.entry.name).await {
                Ok(names) => served.note(|noted| noted.published = names),
                Err(error) => tracing::debug!(%error, "names not looked up"),
            }
            if served.provable.is_some() {
                look_at_proofs(&node.rpc, &served).await;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_PAUSE) => {}
            () = node.shutdown.requested() => {}
        }
    }
}

/// Notes whether answers of a revision can be proven under what is registered for it.
async fn look_at_proofs(rpc: &RpcClient, served: &Served) {
    match proofs::registered(rpc, served.entry.revision).await {
        Ok(registered) => {
            let judged = registered.map(|registered| served.judge(&registered));
            served.note(|noted| noted.proofs = judged);
        }
        Err(error) => tracing::debug!(%error, "what is proven how not looked up"),
    }
}

/// The name under which the revision's first publisher has it as the newest, if under the name of
/// its manifest.
async fn published_as(
    rpc: &RpcClient,
    revision: RevisionId,
    name: &str,
) -> Result<Vec<String>, crate::Error> {
    let Some(publisher) = registry::publisher_of(rpc, revision).await? else {
        return Ok(Vec::new());
    };
    let newest = registry::latest_revision(rpc, publisher, name).await?;
    let full = crate::api::request::ModelName::Published {
        publisher,
        name: name.into(),
    };
    Ok((newest == Some(revision))
        .then(|| full.to_string())
        .into_iter()
        .collect())
}

/// Waits until a validator says which network it is of; false if it is another one, or if the
/// node stops first. Receipts that another network refuses must not count as refused.
pub(super) async fn same_network(rpc: &RpcClient, ours: NetworkId, stop: &Shutdown) -> bool {
    while !stop.is_requested() {
        match rpc.network().await.map(|network| network.id()) {
            Ok(theirs) if theirs == ours => return true,
            Ok(theirs) => {
                tracing::error!(%ours, %theirs, "the validators are of another network; nothing settles");
                rpc.prefer_next();
            }
            Err(error @ (RpcError::Unreachable { .. } | RpcError::Malformed { .. })) => {
                tracing::debug!(%error, "no validator answers yet");
            }
            Err(error) => tracing::warn!(%error, "a validator does not say which network it is of"),
        }
        tokio::select! {
            () = tokio::time::sleep(NETWORK_PAUSE) => {}
            () = stop.requested() => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::{FailureDomains, NodeStanding};
    use assay_receipt::{Microcredits, NodeAddress};

    #[test]
    fn a_registration_that_does_not_fit_is_named() {
        let operator = Address::repeat_byte(1);
        let notice = Notice::new("http://a".into(), operator);
        assert!(notice.complaint().is_some(), "nothing is known at first");
        let good = NodeRecord {
            node: NodeAddress::ZERO,
            operator,
            endpoint: "http://a".into(),
            bond: Microcredits(1),
            standing: NodeStanding::Active,
            domains: FailureDomains::default(),
        };
        assert_eq!(notice.judge(&good), None);
        let leaving = NodeRecord {
            standing: NodeStanding::Exiting,
            ..good.clone()
        };
        assert_eq!(notice.judge(&leaving), None);
        for (bad, named) in [
            (
                NodeRecord {
                    standing: NodeStanding::Unregistered,
                    ..good.clone()
                },
                "unregistered",
            ),
            (
                NodeRecord {
                    standing: NodeStanding::Slashed,
                    ..good.clone()
                },
                "slashed",
            ),
            (
                NodeRecord {
                    operator: Address::ZERO,
                    ..good.clone()
                },
                "registered by",
            ),
            (
                NodeRecord {
                    endpoint: "http://b".into(),
                    ..good
                },
                "http://b",
            ),
        ] {
            let complaint = notice.judge(&bad).unwrap();
            assert!(complaint.contains(named), "{complaint}");
        }
    }
}
