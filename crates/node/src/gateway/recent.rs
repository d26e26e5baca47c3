//! Receipts that went through this gateway, so that it can prove one whose node is gone.

use assay_receipt::{ReceiptId, SignedReceipt};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

/// Receipts that are remembered: about 40 MB, some minutes of full load.
pub const MAX_RECENT: usize = 65_536;

/// The last receipts, oldest forgotten first.
#[derive(Debug)]
pub struct Recent {
    kept: Mutex<Kept>,
    most: usize,
}

#[derive(Debug, Default)]
struct Kept {
    receipts: HashMap<ReceiptId, Arc<SignedReceipt>>,
    order: VecDeque<ReceiptId>,
}

impl Recent {
    /// Remembers at most `most` receipts.
    pub fn new(most: usize) -> Self {
        Self {
            kept: Mutex::default(),
            most,
        }
    }

    /// Remembers a receipt.
    pub fn insert(&self, id: ReceiptId, receipt: SignedReceipt) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.receipts.insert(id, Arc::new(receipt)).is_none() {
            kept.order.push_back(id);
        }
        while kept.order.len() > self.most {
            if let Some(oldest) = kept.order.pop_front() {
                kept.receipts.remove(&oldest);
            }
        }
    }

    /// The receipt with this id, if it is remembered.
    pub fn find(&self, id: &ReceiptId) -> Option<Arc<SignedReceipt>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.receipts.get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_receipt::{
        Commitment, EngineId, Microcredits, NodeAddress, ParametersDigest, Receipt, RequestId,
        RevisionId, Rung, Signature, Times, Usage,
    };

    fn receipt(nonce: u128) -> SignedReceipt {
        let mut signature = [1; 65];
        signature[64] = 27;
        let receipt = Receipt {
            request: RequestId::from_bytes([1; 32]),
            nonce,
            revision: RevisionId::from_bytes([2; 32]),
            engine: EngineId::from_bytes([3; 32]),
            parameters: ParametersDigest::ZERO,
            seed: 0,
            input: Commitment::from_bytes([4; 32]),
            output: Commitment::from_bytes([5; 32]),
            stream: Commitment::ZERO,
            usage: Usage::default(),
            price: Microcredits::ZERO,
            payer: Commitment::ZERO,
            node: NodeAddress::from_bytes([6; 20]),
            times: Times::default(),
            rung: Rung::Signed,
            deadline_ns: 1,
            sequence: 0,
            previous: ReceiptId::ZERO,
        };
        SignedReceipt {
            receipt,
            signature: Signature::from_bytes(signature).unwrap(),
        }
    }

    #[test]
    fn the_oldest_go_first_and_a_repeat_counts_once() {
        let recent = Recent::new(2);
        let id = |byte| ReceiptId::from_bytes([byte; 32]);
        recent.insert(id(1), receipt(1));
        recent.insert(id(1), receipt(1));
        recent.insert(id(2), receipt(2));
        assert!(recent.find(&id(1)).is_some());
        recent.insert(id(3), receipt(3));
        assert!(recent.find(&id(1)).is_none());
        assert_eq!(recent.find(&id(2)).unwrap().receipt.nonce, 2);
        assert_eq!(recent.find(&id(3)).unwrap().receipt.nonce, 3);
    }
}
