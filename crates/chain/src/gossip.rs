//! Spreading transactions between validators, so that whoever leads next can propose them.
//!
//! Validators are connected pairwise: what came from a client goes to every peer once, what came
//! from a peer goes no further.

use crate::{
    application::{Applied, Databases, Shelf, recover},
    block::{MAX_TRANSACTION_BYTES, ValidatorKey},
    engine::Runtime,
    mempool::{PoolError, Pooled},
    state::{Frame, Item, StateError},
};
use alloy_primitives::{Address, B256, Bytes};
use commonware_p2p::{Receiver, Recipients, Sender};
use commonware_runtime::Handle;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Transactions that wait to be sent to peers.
pub const OUTGOING: usize = 1_024;

/// Why a transaction is not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The sender is to blame: the bytes are no signed transaction.
    #[error("the bytes are not a signed transaction")]
    Undecodable,
    /// The pool refuses it.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The sender cannot pay for it.
    #[error("insufficient funds for gas * price + value: have {have} wei, want {want} wei")]
    Funds {
        /// Balance, wei.
        have: alloy_primitives::U256,
        /// Needed, wei.
        want: alloy_primitives::U256,
    },
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Takes a transaction from a client or a peer into the pool.
///
/// # Errors
/// [`SubmitError`]; the pool is then unchanged.
pub async fn submit<E: Runtime>(
    shelf: &Shelf,
    databases: &Databases<E>,
    raw: &Bytes,
) -> Result<B256, SubmitError> {
    use alloy_consensus::Transaction as _;
    if raw.len() > MAX_TRANSACTION_BYTES {
        return Err(PoolError::TooLong(raw.len()).into());
    }
    let tx: Pooled = recover(raw).ok_or(SubmitError::Undecodable)?;
    let (nonce, have) = standing(databases, tx.signer()).await?;
    let gas = alloy_primitives::U256::from(tx.gas_limit())
        .saturating_mul(alloy_primitives::U256::from(tx.max_fee_per_gas()));
    let want = gas.saturating_add(tx.value());
    if have < want {
        return Err(SubmitError::Funds { have, want });
    }
    Ok(shelf.submit(tx, nonce)?)
}

/// Next nonce and balance of an account in the applied state.
async fn standing<E: Runtime>(
    databases: &Databases<E>,
    address: Address,
) -> Result<(u64, alloy_primitives::U256), StateError> {
    let mut frame = Frame::default();
    frame
        .load(&Applied(databases.clone()), &[Item::Account(address)])
        .await?;
    let account = frame.account(address).ok().flatten().unwrap_or_default();
    Ok((account.nonce, account.balance))
}

/// Starts spreading: what arrives on `outgoing` goes to all peers, what peers send goes into the
/// pool.
pub fn start<E, S, R>(
    context: E,
    shelf: Arc<Shelf>,
    databases: Databases<E>,
    (mut sender, mut receiver): (S, R),
    mut outgoing: mpsc::Receiver<Bytes>,
) -> Handle<()>
where
    E: Runtime,
    S: Sender<PublicKey = ValidatorKey>,
    R: Receiver<PublicKey = ValidatorKey>,
{
    context.spawn(move |_| async move {
        loop {
            tokio::select! {
                // In a fixed order, so that a simulation repeats.
                biased;
                Some(raw) = outgoing.recv() => {
                    sender.send(Recipients::All, raw.to_vec(), false);
                }
                message = receiver.recv() => {
                    let Ok((peer, message)) = message else { return };
                    let raw = Bytes::from(message.as_ref().to_vec());
                    if let Err(error) = submit(&shelf, &databases, &raw).await {
                        tracing::debug!(%error, ?peer, "peer's transaction not taken");
                    }
                }
            }
        }
    })
}
