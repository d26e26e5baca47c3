//! Accounts of the simulated parties: keys from the seed, and signed Ethereum transactions.

use crate::error::Error;
use alloy_consensus::{SignableTransaction as _, TxEip1559, transaction::Recovered};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use assay_chain::{execution::Transaction, mempool::Pooled, spec::BASE_FEE_WEI};
use assay_receipt::NodeKey;
use std::sync::Arc;

/// Wei that genesis gives to each account: enough for every transaction of a run.
pub(crate) const ENDOWMENT_WEI: U256 = U256::from_limbs([0, 1 << 32, 0, 0]);
/// Microcredits that genesis gives to each account: five of the smallest bonds.
pub(crate) const ENDOWMENT_CREDITS: U256 = U256::from_limbs([5_000_000_000, 0, 0, 0]);
/// Gas that a transaction may use: more than the largest batch of a run needs.
const GAS_LIMIT: u64 = 4_000_000;

/// A secret key that depends on the seed and on who asks, so that a new party moves no other.
pub(crate) fn key(seed: u64, owner: &str) -> Result<NodeKey, Error> {
    let mut content = seed.to_be_bytes().to_vec();
    content.extend_from_slice(owner.as_bytes());
    NodeKey::from_bytes(keccak256(content).0).map_err(|error| Error::Setup(error.to_string()))
}

/// An account that signs transactions of one chain.
#[derive(Debug, Clone)]
pub(crate) struct Wallet {
    key: Arc<NodeKey>,
    chain_id: u64,
}

impl Wallet {
    /// The account of `owner` under `seed`.
    ///
    /// # Errors
    /// [`Error::Setup`] if the derived key is none, which no seed is known to cause.
    pub(crate) fn new(seed: u64, owner: &str, chain_id: u64) -> Result<Self, Error> {
        Ok(Self {
            key: Arc::new(key(seed, owner)?),
            chain_id,
        })
    }

    /// Its address.
    pub(crate) fn address(&self) -> Address {
        self.key.address().to_address()
    }

    /// A signed transaction that calls `to` with `input`, with a fee of `tip_wei` per gas on top of
    /// the base fee.
    pub(crate) fn call(&self, nonce: u64, to: Address, input: Bytes, tip_wei: u64) -> Pooled {
        let tip = u128::from(tip_wei);
        let tx = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: GAS_LIMIT,
            max_fee_per_gas: u128::from(BASE_FEE_WEI).saturating_add(tip),
            max_priority_fee_per_gas: tip,
            to: TxKind::Call(to),
            value: U256::ZERO,
            access_list: Default::default(),
            input,
        };
        let hash: B256 = tx.signature_hash();
        let [bytes @ .., v] = *self.key.sign_digest(&hash.0).as_bytes();
        let signature = Signature::from_bytes_and_parity(&bytes, v == 28);
        let envelope: Transaction = tx.into_signed(signature).into();
        Recovered::new_unchecked(envelope, self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::transaction::SignerRecoverable as _;

    #[test]
    fn a_signed_call_recovers_to_its_account_and_owners_differ() {
        let wallet = Wallet::new(7, "operator", 31_337).unwrap();
        let tx = wallet.call(3, Address::repeat_byte(9), Bytes::from_static(b"x"), 5);
        assert_eq!(tx.inner().recover_signer().unwrap(), wallet.address());
        let other = Wallet::new(7, "publisher", 31_337).unwrap();
        assert_ne!(other.address(), wallet.address());
        assert_ne!(
            Wallet::new(8, "operator", 31_337).unwrap().address(),
            wallet.address()
        );
    }
}
