//! The durable logs of honest nodes: what they have acknowledged, whatever happens to them.

use assay_receipt::{Domain, NodeAddress, Receipt, ReceiptId, SignedReceipt};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug, Default)]
struct Log {
    receipts: Vec<SignedReceipt>,
    ids: BTreeSet<ReceiptId>,
}

/// The logs of all honest nodes of a run; a disk, so it outlives every crash.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    domain: Domain,
    logs: Arc<Mutex<BTreeMap<NodeAddress, Log>>>,
}

impl Logs {
    /// Empty logs of `nodes`.
    pub(crate) fn new(domain: Domain, nodes: impl IntoIterator<Item = NodeAddress>) -> Self {
        let logs = nodes
            .into_iter()
            .map(|node| (node, Log::default()))
            .collect();
        Self {
            domain,
            logs: Arc::new(Mutex::new(logs)),
        }
    }

    fn logs(&self) -> MutexGuard<'_, BTreeMap<NodeAddress, Log>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a receipt durable: from here on it is acknowledged.
    pub(crate) fn append(&self, signed: SignedReceipt) {
        let id = signed.receipt.id(&self.domain);
        if let Some(log) = self.logs().get_mut(&signed.receipt.node) {
            log.receipts.push(signed);
            log.ids.insert(id);
        }
    }

    /// What the log of `node` holds, in order.
    pub(crate) fn read(&self, node: NodeAddress) -> Vec<SignedReceipt> {
        self.logs()
            .get(&node)
            .map(|log| log.receipts.clone())
            .unwrap_or_default()
    }

    /// Whether `receipt` is of an honest node that never acknowledged it.
    pub(crate) fn denies(&self, receipt: &Receipt, id: ReceiptId) -> bool {
        self.logs()
            .get(&receipt.node)
            .is_some_and(|log| !log.ids.contains(&id))
    }

    /// Every acknowledged receipt.
    pub(crate) fn acknowledged(&self) -> Vec<ReceiptId> {
        self.logs()
            .values()
            .flat_map(|log| log.ids.iter().copied())
            .collect()
    }
}
