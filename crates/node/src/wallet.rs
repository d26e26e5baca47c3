//! Transactions of one key: signing, sending, waiting until they are mined.

use crate::{
    error::Error,
    rpc_client::{RpcClient, RpcError, TransactionReceipt},
};
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_sol_types::SolInterface as _;
use assay_chain::spec::BASE_FEE_WEI;
use assay_receipt::NodeKey;
use std::{sync::Arc, time::Duration};

/// Pause between two looks for a transaction's receipt: a tenth of a block's time.
pub const POLL_PAUSE: Duration = Duration::from_millis(25);
/// How long [`Wallet::execute`] waits for a block: some views of consensus with dead leaders.
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(30);
/// A transaction that is not mined is handed in again, to the next validator, after this.
const RESEND_AFTER: Duration = Duration::from_secs(1);
/// Fee offered per gas: twice what is burnt, so that a transaction outlives a rise.
const MAX_FEE_WEI: u128 = BASE_FEE_WEI as u128 * 2;
/// Tip per gas. The chain has one class of service; the smallest tip keeps clients' arithmetic alive.
const TIP_WEI: u128 = 1;

alloy_sol_types::sol! {
    /// Errors of all genesis contracts and of the receipt verifier, to put reverts into words.
    #[derive(Debug, PartialEq, Eq)]
    interface Reverts {
        error Error(string reason);
        error Panic(uint256 code);
        error BadReceipt(uint256 index, uint8 reason);
        error MalformedBatch(uint8 reason);
        error AlreadySettled(bytes32 root);
        error NotContiguous(bytes32 revision, uint64 expected, uint64 got);
        error ProofRefused(uint8 reason);
        error NotPublisher(bytes32 revision, address publisher);
        error NotRegistered(bytes32 revision);
        error RegisteredTooLate(uint256 registeredAt, uint256 settledAt);
        error RungTooLow(uint8 needed, uint8 established);
        error RandomBlockUnknown(uint256 randomBlock);
        error OtherModel(bytes32 registered, bytes32 proven);
        error OtherRule(bytes32 registered, bytes32 got);
        error BadName();
        error BadRef();
        error BadHandle();
        error ZeroRevision();
        error ZeroCommit();
        error AlreadyListed(bytes32 revision);
        error UnknownName(address publisher, string name);
        error StaleParent(bytes32 head);
        error NothingMoves();
        error OtherHub(address hub);
        error NotWritable(uint8 scope);
        error Expired(uint64 notAfter);
        error Revoked(uint64 before);
        error FromTheFuture(uint64 salt);
        error NothingRevoked(uint64 before);
        error HandleTaken(address account);
        error HasHandle(string handle);
        error NotActive(address hub);
        error NotCheckable(bytes32 receiptId);
        error Contradictory(bytes32 receiptId);
        error NotDue(bytes32 receiptId);
        error Due(bytes32 receiptId);
        error TooOld(bytes32 receiptId);
        error NoMoreRounds(bytes32 receiptId);
        error NobodyThere(bytes32 revision);
        error RandomnessUnknown(uint256 blockNumber);
        error WrongPhase(bytes32 receiptId, uint8 phase);
        error NotSettled(bytes32 root);
        error AlreadyJoined(address node);
        error AlreadyCommitted(address node);
        error BadReveal(address node);
        error SelfAudit(address hub);
        error SeedBlockUnknown(uint64 seedBlock);
        error AlreadyRecorded();
        error AlreadyRegistered(address node);
        error BondTooSmall(uint256 bond, uint256 minimum);
        error BadEndpoint();
        error BadCountry(bytes2 country);
        error BadSignature(address key);
        error NotOperator(address node);
        error InsufficientBalance(address account, uint256 balance, uint256 needed);
        error InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
    }
}

/// A revert of one of our contracts, decoded.
pub use Reverts::RevertsErrors as Revert;

/// The decoded revert in `data`, if it is one of our contracts'.
pub fn decode_revert(data: &[u8]) -> Option<Revert> {
    Revert::abi_decode(data).ok()
}

/// A revert in words: the decoded error, or its bytes.
pub fn describe_revert(data: &[u8]) -> String {
    match decode_revert(data) {
        Some(Revert::Error(error)) => error.reason,
        Some(error) => format!("{error:?}"),
        None if data.is_empty() => "without a reason".into(),
        None => format!("with data {}", alloy_primitives::hex::encode_prefixed(data)),
    }
}

/// What a transaction does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// Contract that is called.
    pub to: Address,
    /// Call data.
    pub data: Bytes,
    /// Most gas that it may use.
    pub gas: u64,
}

/// A signed transaction, ready to be handed in as often as needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// EIP-2718 bytes.
    pub raw: Bytes,
    /// Its hash.
    pub hash: B256,
    /// Its nonce.
    pub nonce: u64,
}

/// The next nonce of an account whose transactions several tasks send; `None` where the chain has to be asked.
pub type Nonces = Arc<tokio::sync::Mutex<Option<u64>>>;

/// A key that pays for transactions on one chain.
#[derive(Debug, Clone)]
pub struct Wallet {
    key: Arc<NodeKey>,
    chain_id: u64,
}

impl Wallet {
    /// The wallet of `key` on the chain with `chain_id` (EIP-155).
    pub fn new(key: Arc<NodeKey>, chain_id: u64) -> Self {
        Self { key, chain_id }
    }

    /// The account that signs and pays.
    pub fn address(&self) -> Address {
        self.key.address().to_address()
    }

    /// Signs `action` as an EIP-1559 transaction under `nonce`. The same arguments give the same bytes.
    pub fn sign(&self, action: &Action, nonce: u64) -> Signed {
        self.sign_to(TxKind::Call(action.to), &action.data, action.gas, nonce)
    }

    fn sign_to(&self, to: TxKind, data: &Bytes, gas: u64, nonce: u64) -> Signed {
        let tx = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: gas,
            max_fee_per_gas: MAX_FEE_WEI,
            max_priority_fee_per_gas: TIP_WEI,
            to,
            value: U256::ZERO,
            access_list: Default::default(),
            input: data.clone(),
        };
        let signature = self.key.sign_digest(&tx.signature_hash().0);
        let (scalars, recovery) = signature.as_bytes().split_at(64);
        // Our signatures end in 27 or 28; alloy wants the parity.
        let odd = recovery == [28];
        let signature = alloy_primitives::Signature::from_bytes_and_parity(scalars, odd);
        let envelope = TxEnvelope::Eip1559(tx.into_signed(signature));
        Signed {
            raw: envelope.encoded_2718().into(),
            hash: *envelope.tx_hash(),
            nonce,
        }
    }

    /// Estimates the gas of a call by this account, with a quarter on top.
    ///
    /// # Errors
    /// [`Error::Rpc`]; a call that would revert is refused with its reason.
    pub async fn estimate(&self, rpc: &RpcClient, to: Address, data: &Bytes) -> Result<u64, Error> {
        let call = serde_json::json!([{"from": self.address(), "to": to, "data": data}]);
        let gas: U256 = rpc
            .request("eth_estimateGas", call)
            .await
            .map_err(readable)?;
        let gas = gas.saturating_to::<u64>();
        Ok(gas.saturating_add(gas / 4))
    }

    /// Deploys a contract by its creation code and gives its address, once that is in a finalized block.
    ///
    /// # Errors
    /// [`Error::Reverted`], [`Error::Unconfirmed`], [`Error::Rpc`].
    pub async fn deploy(&self, rpc: &RpcClient, code: Bytes) -> Result<Address, Error> {
        let call = serde_json::json!([{"from": self.address(), "data": code}]);
        let gas: U256 = rpc
            .request("eth_estimateGas", call)
            .await
            .map_err(readable)?;
        let gas = gas.saturating_to::<u64>();
        let nonce = rpc.pending_nonce(self.address()).await?;
        let signed = self.sign_to(TxKind::Create, &code, gas.saturating_add(gas / 4), nonce);
        rpc.send_raw(&signed.raw).await?;
        if confirm(rpc, &signed).await?.succeeded() {
            return Ok(self.address().create(nonce));
        }
        let reason = "deploying a contract".into();
        Err(Error::Reverted {
            hash: signed.hash,
            reason,
        })
    }

    /// Sends a call with the account's next nonce and waits until it is in a finalized block.
    ///
    /// # Errors
    /// [`Error::Reverted`] with the reason, [`Error::Unconfirmed`] if it is in no block after
    /// [`CONFIRM_TIMEOUT`], [`Error::Rpc`] if the chain cannot be asked.
    pub async fn execute(
        &self,
        rpc: &RpcClient,
        to: Address,
        data: Bytes,
    ) -> Result<TransactionReceipt, Error> {
        let gas = self.estimate(rpc, to, &data).await?;
        let nonce = rpc.pending_nonce(self.address()).await?;
        let signed = self.sign(
            &Action {
                to,
                data: data.clone(),
                gas,
            },
            nonce,
        );
        rpc.send_raw(&signed.raw).await?;
        let receipt = confirm(rpc, &signed).await?;
        if receipt.succeeded() {
            return Ok(receipt);
        }
        let replay = rpc.call(Some(self.address()), to, data).await;
        let reason = match replay.as_ref().err().and_then(RpcError::revert_data) {
            Some(data) => describe_revert(data),
            None => "for a reason that no longer holds".into(),
        };
        Err(Error::Reverted {
            hash: signed.hash,
            reason,
        })
    }
}

/// Puts the revert data of a refusal into its message.
fn readable(error: RpcError) -> Error {
    match error {
        RpcError::Refused {
            method,
            code,
            ref data,
            ..
        } if !data.is_empty() => {
            let message = format!("reverts: {}", describe_revert(data));
            RpcError::Refused {
                method,
                code,
                message,
                data: data.clone(),
            }
            .into()
        }
        other => other.into(),
    }
}

/// Waits until `signed` is in a finalized block, handing it in again where it seems to be lost.
///
/// # Errors
/// [`Error::Unconfirmed`] after [`CONFIRM_TIMEOUT`].
pub async fn confirm(rpc: &RpcClient, signed: &Signed) -> Result<TransactionReceipt, Error> {
    let started = tokio::time::Instant::now();
    let mut sent = started;
    while started.elapsed() < CONFIRM_TIMEOUT {
        match rpc.receipt(signed.hash).await {
            Ok(Some(receipt)) => return Ok(receipt),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "receipt not read"),
        }
        if sent.elapsed() >= RESEND_AFTER {
            rpc.prefer_next();
            // A refusal means that it waits there or is mined already; the next look tells.
            let _ = rpc.send_raw(&signed.raw).await;
            sent = tokio::time::Instant::now();
        }
        tokio::time::sleep(POLL_PAUSE).await;
    }
    Err(Error::Unconfirmed {
        hash: signed.hash,
        seconds: CONFIRM_TIMEOUT.as_secs(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{Transaction as _, transaction::SignerRecoverable as _};
    use alloy_eips::eip2718::Decodable2718 as _;
    use alloy_sol_types::SolError as _;

    #[test]
    fn a_signed_transaction_is_the_accounts_own() {
        for secret in 1..=8u8 {
            let key = Arc::new(NodeKey::from_bytes([secret; 32]).unwrap());
            let wallet = Wallet::new(key, 31_337);
            let action = Action {
                to: Address::repeat_byte(9),
                data: Bytes::from_static(b"abc"),
                gas: 50_000,
            };
            let signed = wallet.sign(&action, 7);
            let read = TxEnvelope::decode_2718_exact(&signed.raw).unwrap();
            assert_eq!(read.recover_signer().unwrap(), wallet.address());
            assert_eq!(read.chain_id(), Some(31_337));
            assert_eq!(
                (read.nonce(), read.gas_limit(), *read.tx_hash()),
                (7, 50_000, signed.hash)
            );
            assert_eq!(read.input(), &action.data);
            assert_eq!(signed, wallet.sign(&action, 7));
            assert_ne!(signed.hash, wallet.sign(&action, 8).hash);
        }
    }

    #[test]
    fn reverts_are_put_into_words() {
        let contiguous = Reverts::NotContiguous {
            revision: B256::ZERO,
            expected: 3,
            got: 5,
        };
        let data = contiguous.abi_encode();
        assert!(
            matches!(decode_revert(&data), Some(Revert::NotContiguous(error)) if error.expected == 3)
        );
        assert!(describe_revert(&data).contains("NotContiguous"));
        let text = Reverts::Error {
            reason: "nope".into(),
        }
        .abi_encode();
        assert_eq!(describe_revert(&text), "nope");
        assert_eq!(describe_revert(&[]), "without a reason");
        assert_eq!(describe_revert(&[1, 2]), "with data 0x0102");
    }
}
