//! Methods about the network, its blocks, transactions and their receipts.

use super::{
    Refusal,
    params::{one, one_and_maybe, two_and_maybe},
    surface::Surface,
    view::{Detail, RpcBlock, RpcReceipt, RpcTransaction, show_transaction},
};
use crate::{engine::Runtime, gossip, index::Place};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U64, keccak256};
use jsonrpsee::{Extensions, RpcModule, core::RegisterMethodError, types::Params};
use std::{sync::Arc, time::Duration};

/// How long a client waits for room in the queue to the peers; after it, its transaction still
/// waits in this validator's own pool.
const GOSSIP_PATIENCE: Duration = Duration::from_secs(1);

type Context<E> = Arc<Surface<E>>;

pub(super) fn register<E: Runtime>(
    module: &mut RpcModule<Surface<E>>,
) -> Result<(), RegisterMethodError> {
    constants(module)?;
    module.register_method("eth_blockNumber", |_, surface, _| {
        Ok::<_, Refusal>(U64::from(surface.chain.tip().height))
    })?;
    module.register_async_method("eth_getBlockByNumber", block_by_number)?;
    module.register_async_method("eth_getBlockByHash", block_by_hash)?;
    module.register_async_method("eth_getBlockTransactionCountByNumber", count_by_number)?;
    module.register_async_method("eth_getBlockTransactionCountByHash", count_by_hash)?;
    module.register_async_method("eth_getBlockReceipts", block_receipts)?;
    module.register_async_method("eth_getTransactionByHash", transaction)?;
    module.register_async_method("eth_getTransactionByBlockNumberAndIndex", nth_by_number)?;
    module.register_async_method("eth_getTransactionByBlockHashAndIndex", nth_by_hash)?;
    module.register_async_method("eth_getTransactionReceipt", receipt)?;
    module.register_async_method("eth_sendRawTransaction", send)?;
    Ok(())
}

/// Methods whose answer never changes while the server runs.
fn constants<E: Runtime>(module: &mut RpcModule<Surface<E>>) -> Result<(), RegisterMethodError> {
    module.register_method("eth_chainId", |_, surface, _| {
        Ok::<_, Refusal>(U64::from(chain_id(surface)))
    })?;
    module.register_method("net_version", |_, surface, _| chain_id(surface).to_string())?;
    module.register_method("net_listening", |_, _, _| true)?;
    module.register_method("eth_syncing", |_, _, _| false)?;
    module.register_method("eth_accounts", |_, _, _| Vec::<Address>::new())?;
    module.register_method("web3_clientVersion", |_, _, _| {
        concat!("assay/", env!("CARGO_PKG_VERSION"))
    })?;
    module.register_method("web3_sha3", |params, _, _| {
        Ok::<_, Refusal>(keccak256(one::<Bytes>(&params)?))
    })?;
    Ok(())
}

fn chain_id<E: Runtime>(surface: &Surface<E>) -> u64 {
    surface.backend.shelf.spec.chain_id
}

async fn block<E: Runtime>(
    surface: Context<E>,
    block: BlockId,
    full: Option<bool>,
) -> Result<Option<RpcBlock>, Refusal> {
    let detail = if full.unwrap_or_default() {
        Detail::Full
    } else {
        Detail::Hashes
    };
    surface.read(move |chain| chain.show(block, detail)).await
}

async fn block_by_number<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Option<RpcBlock>, Refusal> {
    let (number, full) = one_and_maybe::<BlockNumberOrTag, bool>(&params)?;
    block(surface, number.into(), full).await
}

async fn block_by_hash<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Option<RpcBlock>, Refusal> {
    let (hash, full) = one_and_maybe::<B256, bool>(&params)?;
    block(surface, hash.into(), full).await
}

async fn count<E: Runtime>(surface: Context<E>, block: BlockId) -> Result<Option<U64>, Refusal> {
    let count = move |chain: &super::view::Chain| {
        let Some(height) = chain.height(block)? else {
            return Ok(None);
        };
        Ok(chain
            .block(height)?
            .map(|block| U64::from(block.transactions.len())))
    };
    surface.read(count).await
}

async fn count_by_number<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Option<U64>, Refusal> {
    count(surface, one::<BlockNumberOrTag>(&params)?.into()).await
}

async fn count_by_hash<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Option<U64>, Refusal> {
    count(surface, one::<B256>(&params)?.into()).await
}

async fn block_receipts<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Option<Vec<RpcReceipt>>, Refusal> {
    let block = one::<BlockId>(&params)?;
    let receipts = move |chain: &super::view::Chain| match chain.height(block)? {
        Some(height) => chain.receipts(height),
        None => Ok(None),
    };
    surface.read(receipts).await
}

async fn transaction<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Option<RpcTransaction>, Refusal> {
    let hash = one::<B256>(&params)?;
    // The pool first: a transaction that leaves it meanwhile is in a block that can be seen.
    let waiting = surface.backend.shelf.pool().by_hash(&hash).cloned();
    let mined = surface.read(move |chain| chain.transaction(&hash)).await?;
    Ok(mined.or_else(|| waiting.map(|tx| show_transaction(tx, None))))
}

async fn nth<E: Runtime>(
    surface: Context<E>,
    block: BlockId,
    index: U64,
) -> Result<Option<RpcTransaction>, Refusal> {
    let Ok(transaction) = u32::try_from(index.to::<u64>()) else {
        return Ok(None);
    };
    let nth = move |chain: &super::view::Chain| match chain.height(block)? {
        Some(height) => chain.transaction_at(Place {
            height,
            transaction,
        }),
        None => Ok(None),
    };
    surface.read(nth).await
}

async fn nth_by_number<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Option<RpcTransaction>, Refusal> {
    let (number, index, _) = two_and_maybe::<BlockNumberOrTag, U64, ()>(&params)?;
    nth(surface, number.into(), index).await
}

async fn nth_by_hash<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Option<RpcTransaction>, Refusal> {
    let (hash, index, _) = two_and_maybe::<B256, U64, ()>(&params)?;
    nth(surface, hash.into(), index).await
}

async fn receipt<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Option<RpcReceipt>, Refusal> {
    let hash = one::<B256>(&params)?;
    surface.read(move |chain| chain.receipt(&hash)).await
}

async fn send<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<B256, Refusal> {
    let raw = one::<Bytes>(&params)?;
    let backend = &surface.backend;
    let hash = gossip::submit(&backend.shelf, &backend.databases, &raw).await?;
    if backend
        .gossip
        .send_timeout(raw, GOSSIP_PATIENCE)
        .await
        .is_err()
    {
        tracing::warn!(%hash, "a transaction waits in this validator's pool only");
    }
    Ok(hash)
}
