//! Methods about prices. The base fee is constant and a tip buys nothing: transactions are taken
//! in the order in which they come.

use super::{
    Refusal,
    params::{height_of, two_and_maybe},
    surface::Surface,
    view::Chain,
};
use crate::{
    engine::Runtime,
    spec::{BASE_FEE_WEI, BLOCK_GAS_LIMIT},
};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{U64, U256};
use alloy_rpc_types_eth::FeeHistory;
use jsonrpsee::{Extensions, RpcModule, core::RegisterMethodError, types::Params};
use std::sync::Arc;

/// Most blocks of one fee history: each is read whole. Clients ask for 4 to 100.
const MAX_HISTORY_BLOCKS: u64 = 256;
/// Most percentiles of one fee history.
const MAX_PERCENTILES: usize = 100;

pub(super) fn register<E: Runtime>(
    module: &mut RpcModule<Surface<E>>,
) -> Result<(), RegisterMethodError> {
    module.register_method("eth_gasPrice", |_, _, _| {
        Ok::<_, Refusal>(U256::from(BASE_FEE_WEI))
    })?;
    module.register_method("eth_maxPriorityFeePerGas", |_, _, _| {
        Ok::<_, Refusal>(U256::ZERO)
    })?;
    module.register_async_method("eth_feeHistory", fee_history)?;
    Ok(())
}

async fn fee_history<E: Runtime>(
    params: Params<'static>,
    surface: Arc<Surface<E>>,
    _: Extensions,
) -> Result<FeeHistory, Refusal> {
    let (count, newest, percentiles) = two_and_maybe::<U64, BlockNumberOrTag, Vec<f64>>(&params)?;
    if let Some(percentiles) = &percentiles {
        check_percentiles(percentiles)?;
    }
    surface
        .read(move |chain| history(chain, count.to(), newest, percentiles))
        .await
}

fn check_percentiles(percentiles: &[f64]) -> Result<(), Refusal> {
    if percentiles.len() > MAX_PERCENTILES {
        return Err(Refusal::Params(format!(
            "more than {MAX_PERCENTILES} percentiles"
        )));
    }
    let within = percentiles.iter().all(|p| (0.0..=100.0).contains(p));
    if !within || !percentiles.is_sorted() {
        return Err(Refusal::Params(
            "percentiles ascend and lie within 0 and 100".into(),
        ));
    }
    Ok(())
}

fn history(
    chain: &Chain,
    count: u64,
    newest: BlockNumberOrTag,
    percentiles: Option<Vec<f64>>,
) -> Result<FeeHistory, Refusal> {
    let tip = chain.tip().height;
    let newest = height_of(newest, tip);
    if newest > tip {
        return Err(Refusal::NoBlock);
    }
    let count = count.min(MAX_HISTORY_BLOCKS).min(newest.saturating_add(1));
    if count == 0 {
        return Ok(FeeHistory::default());
    }
    let oldest = newest.saturating_sub(count.saturating_sub(1));
    let mut history = FeeHistory {
        oldest_block: oldest,
        ..Default::default()
    };
    let mut rewards = Vec::new();
    for height in oldest..=newest {
        let block = chain.block(height)?.ok_or(Refusal::NoBlock)?;
        history.base_fee_per_gas.push(BASE_FEE_WEI.into());
        history
            .gas_used_ratio
            .push(block.header.gas_used as f64 / BLOCK_GAS_LIMIT as f64);
        if let Some(percentiles) = &percentiles {
            rewards.push(tips_at(percentiles, tips(chain, height)?));
        }
    }
    history.base_fee_per_gas.push(BASE_FEE_WEI.into());
    history.reward = percentiles.map(|_| rewards);
    Ok(history)
}

/// Gas and tip per gas of each transaction in the block at `height`.
fn tips(chain: &Chain, height: u64) -> Result<Vec<Tipped>, Refusal> {
    let receipts = chain.receipts(height)?.unwrap_or_default();
    Ok(receipts
        .into_iter()
        .map(|receipt| Tipped {
            wei: receipt
                .effective_gas_price
                .saturating_sub(BASE_FEE_WEI.into()),
            gas: receipt.gas_used,
        })
        .collect())
}

/// What one transaction paid above the base fee, in wei per gas, and for how much gas.
#[derive(Debug, Clone, Copy)]
struct Tipped {
    wei: u128,
    gas: u64,
}

/// The tips below which each percentile of the block's gas paid; zero in an empty block.
fn tips_at(percentiles: &[f64], mut tips: Vec<Tipped>) -> Vec<u128> {
    tips.sort_by_key(|tip| tip.wei);
    let total: u64 = tips.iter().fold(0, |sum, tip| sum.saturating_add(tip.gas));
    let at = |percentile: &f64| {
        let threshold = total as f64 * percentile / 100.0;
        let mut gas = 0u64;
        let reached = tips.iter().find(|tip| {
            gas = gas.saturating_add(tip.gas);
            gas as f64 >= threshold
        });
        reached.or(tips.last()).map_or(0, |tip| tip.wei)
    };
    percentiles.iter().map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_weigh_tips_by_gas() {
        let tips = || {
            vec![
                Tipped { wei: 9, gas: 10 },
                Tipped { wei: 1, gas: 80 },
                Tipped { wei: 5, gas: 10 },
            ]
        };
        assert_eq!(
            tips_at(&[0.0, 50.0, 80.0, 85.0, 91.0, 100.0], tips()),
            [1, 1, 1, 5, 9, 9]
        );
        assert_eq!(tips_at(&[10.0, 90.0], Vec::new()), [0, 0]);
        assert_eq!(tips_at(&[], tips()), [0u128; 0]);
    }

    #[test]
    fn senseless_percentiles_are_refused() {
        for wrong in [
            &[-1.0][..],
            &[100.5],
            &[50.0, 25.0],
            &[f64::NAN],
            &[1.0; 101],
        ] {
            assert!(check_percentiles(wrong).is_err(), "{wrong:?}");
        }
        assert!(check_percentiles(&[0.0, 25.0, 25.0, 100.0]).is_ok());
    }
}
