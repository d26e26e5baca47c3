//! Methods about accounts as they are at the tip.

use super::{
    Refusal,
    params::{When, one_and_maybe, two_and_maybe, when},
    surface::Surface,
};
use crate::{engine::Runtime, state::Item};
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U64, U256};
use jsonrpsee::{Extensions, RpcModule, core::RegisterMethodError, types::Params};
use revm::{Database as _, state::AccountInfo};
use std::sync::Arc;

type Context<E> = Arc<Surface<E>>;

pub(super) fn register<E: Runtime>(
    module: &mut RpcModule<Surface<E>>,
) -> Result<(), RegisterMethodError> {
    module.register_async_method("eth_getBalance", balance)?;
    module.register_async_method("eth_getTransactionCount", transaction_count)?;
    module.register_async_method("eth_getCode", code)?;
    module.register_async_method("eth_getStorageAt", storage)?;
    Ok(())
}

/// The account at `address`; an account that does not exist is one with nothing.
///
/// # Errors
/// [`Refusal::State`] if the database fails.
pub(super) async fn account<E: Runtime>(
    surface: &Surface<E>,
    address: Address,
) -> Result<AccountInfo, Refusal> {
    let mut frame = surface.load(&[Item::Account(address)]).await?;
    Ok(frame.account(address).ok().flatten().unwrap_or_default())
}

fn checked<E: Runtime>(surface: &Surface<E>, block: Option<BlockId>) -> Result<When, Refusal> {
    when(block, &surface.chain.tip())
}

async fn balance<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<U256, Refusal> {
    let (address, block) = one_and_maybe(&params)?;
    checked(&surface, block)?;
    Ok(account(&surface, address).await?.balance)
}

async fn transaction_count<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<U64, Refusal> {
    let (address, block) = one_and_maybe(&params)?;
    let when = checked(&surface, block)?;
    let next = account(&surface, address).await?.nonce;
    Ok(U64::from(match when {
        When::Latest => next,
        When::Pending => surface.backend.shelf.pool().pending_nonce(address, next),
    }))
}

async fn code<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Bytes, Refusal> {
    let (address, block) = one_and_maybe(&params)?;
    checked(&surface, block)?;
    let hash = account(&surface, address).await?.code_hash;
    if hash == KECCAK256_EMPTY || hash.is_zero() {
        return Ok(Bytes::new());
    }
    let mut frame = surface.load(&[Item::Code(hash)]).await?;
    let code = frame
        .code_by_hash(hash)
        .map_err(|error| Refusal::Internal(error.to_string()))?;
    Ok(code.original_bytes())
}

async fn storage<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<B256, Refusal> {
    let (address, slot, block) = two_and_maybe::<Address, U256, BlockId>(&params)?;
    checked(&surface, block)?;
    let mut frame = surface.load(&[Item::Slot(address, slot)]).await?;
    let value = frame
        .storage(address, slot)
        .map_err(|error| Refusal::Internal(error.to_string()))?;
    Ok(value.into())
}
