//! `eth_call` and `eth_estimateGas`.

use super::{
    Refusal,
    account::account,
    params::{When, one_and_maybe, two_and_maybe, when},
    surface::Surface,
};
use crate::{engine::Runtime, execution::CallOutcome, spec::TRANSACTION_GAS_LIMIT};
use alloy_eips::BlockId;
use alloy_primitives::{Bytes, TxKind, U64, U256};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::{Extensions, RpcModule, core::RegisterMethodError, types::Params};
use revm::context::TxEnv;
use serde_json::Value;
use std::sync::Arc;

/// Gas that a call with value must be able to pass on (EVM specification, `G_callstipend`).
const CALL_STIPEND: u64 = 2_300;
/// An estimate may lie above what suffices by one part in so many; each halving costs a run.
const TOLERANCE: u64 = 64;

type Context<E> = Arc<Surface<E>>;

pub(super) fn register<E: Runtime>(
    module: &mut RpcModule<Surface<E>>,
) -> Result<(), RegisterMethodError> {
    module.register_async_method("eth_call", call)?;
    module.register_async_method("eth_estimateGas", estimate)?;
    Ok(())
}

async fn call<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<Bytes, Refusal> {
    let (request, block) = one_and_maybe::<TransactionRequest, BlockId>(&params)?;
    refuse_overrides(&params)?;
    let when = when(block, &surface.chain.tip())?;
    let tx = environment(&surface, request).await?;
    returned(surface.run(when, tx).await?).map(|(output, _)| output)
}

async fn estimate<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<U64, Refusal> {
    let (request, block) = one_and_maybe::<TransactionRequest, BlockId>(&params)?;
    refuse_overrides(&params)?;
    when(block, &surface.chain.tip())?;
    let limited = request.gas.is_none();
    let tx = environment(&surface, request).await?;
    let cap = tx.gas_limit;
    // The transaction will run in a block after the tip, whichever state was named.
    let used = match surface.run(When::Pending, tx.clone()).await? {
        CallOutcome::Halted { .. } if limited && cap < TRANSACTION_GAS_LIMIT => {
            return Err(Refusal::Allowance(cap));
        }
        outcome => returned(outcome)?.1,
    };
    let mut search = Search::new(used, cap);
    while let Some(gas_limit) = search.next() {
        let tried = surface
            .run(
                When::Pending,
                TxEnv {
                    gas_limit,
                    ..tx.clone()
                },
            )
            .await;
        search.learn(gas_limit, suffices(tried)?);
    }
    Ok(U64::from(search.enough))
}

/// The third parameter of clients that want other state than there is.
fn refuse_overrides(params: &Params<'_>) -> Result<(), Refusal> {
    let (_, _, overrides) = two_or_less(params)?;
    match overrides {
        Some(Value::Object(overrides)) if !overrides.is_empty() => {
            Err(Refusal::Params("state overrides are not supported".into()))
        }
        _ => Ok(()),
    }
}

fn two_or_less(params: &Params<'_>) -> Result<(Value, Option<Value>, Option<Value>), Refusal> {
    match two_and_maybe::<Value, Option<Value>, Value>(params) {
        Ok(three) => Ok(three),
        Err(_) => one_and_maybe(params).map(|(first, second)| (first, second, None)),
    }
}

/// The call that `request` describes, with as much gas as it may and can pay for.
async fn environment<E: Runtime>(
    surface: &Surface<E>,
    request: TransactionRequest,
) -> Result<TxEnv, Refusal> {
    if request.has_eip4844_fields() {
        return Err(Refusal::Params(
            "blob transactions (type 3) are not supported".into(),
        ));
    }
    let data = request.input.clone().try_into_unique_input();
    let data = data.map_err(|error| Refusal::Params(error.to_string()))?;
    let price = request
        .max_fee_per_gas
        .or(request.gas_price)
        .unwrap_or_default();
    let value = request.value.unwrap_or_default();
    let caller = request.from.unwrap_or_default();
    let most = request.gas.unwrap_or(u64::MAX).min(TRANSACTION_GAS_LIMIT);
    let gas = match price {
        0 => most,
        _ => affordable(account(surface, caller).await?.balance, value, price)?.min(most),
    };
    TxEnv::builder()
        .caller(caller)
        .kind(request.to.unwrap_or(TxKind::Create))
        .value(value)
        .data(data.unwrap_or_default())
        .gas_limit(gas)
        .gas_price(price)
        .gas_priority_fee(request.max_priority_fee_per_gas)
        .chain_id(Some(
            request
                .chain_id
                .unwrap_or(surface.backend.shelf.spec.chain_id),
        ))
        .access_list(request.access_list.unwrap_or_default())
        .authorization_list_signed(request.authorization_list.unwrap_or_default())
        .build()
        .map_err(|error| Refusal::Params(format!("{error:?}")))
}

/// Gas that `balance` pays for at `price` wei after `value` is sent.
fn affordable(balance: U256, value: U256, price: u128) -> Result<u64, Refusal> {
    let left = balance.checked_sub(value).ok_or_else(|| {
        Refusal::Invalid(format!(
            "insufficient funds for gas * price + value: have {balance} wei, want {value} wei"
        ))
    })?;
    Ok(left
        .checked_div(U256::from(price))
        .unwrap_or(U256::MAX)
        .saturating_to())
}

fn returned(outcome: CallOutcome) -> Result<(Bytes, u64), Refusal> {
    match outcome {
        CallOutcome::Returned { output, gas_used } => Ok((output, gas_used)),
        CallOutcome::Reverted { output, .. } => Err(Refusal::Reverted(output)),
        CallOutcome::Halted { reason, .. } => Err(Refusal::Halted(reason)),
    }
}

/// Whether a trial with less gas went as the one with all of it.
fn suffices(tried: Result<CallOutcome, Refusal>) -> Result<bool, Refusal> {
    match tried {
        Ok(CallOutcome::Returned { .. }) => Ok(true),
        // A contract may answer too little gas by a revert; below the intrinsic gas nothing runs.
        Ok(_) | Err(Refusal::Invalid(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The search for the least gas limit that suffices. A call keeps a 64th of its gas back (EIP-150)
/// and refunds come after the end, so that what was used is often too little.
#[derive(Debug)]
struct Search {
    /// Largest limit known to be too little.
    little: u64,
    /// Least limit known to be enough.
    enough: u64,
    used: u64,
    optimistic: bool,
}

impl Search {
    fn new(used: u64, cap: u64) -> Self {
        Self {
            little: used.saturating_sub(1),
            enough: cap.max(used),
            used,
            optimistic: true,
        }
    }

    /// The limit to try next, or `None` when `enough` is close enough.
    fn next(&mut self) -> Option<u64> {
        let gap = self.enough.saturating_sub(self.little);
        if gap <= 1 || (self.little >= self.used && gap <= self.enough / TOLERANCE) {
            return None;
        }
        if self.little < self.used {
            return Some(self.used);
        }
        let spare = self.used.saturating_add(CALL_STIPEND);
        let likely = spare.saturating_add(spare / 63).saturating_add(1);
        if std::mem::take(&mut self.optimistic) && likely < self.enough {
            return Some(likely);
        }
        let middle = self.little.saturating_add(gap / 2);
        // Most calls need little more than they use: do not start at half the block's gas.
        Some(middle.min(self.little.saturating_mul(2)))
    }

    fn learn(&mut self, limit: u64, sufficed: bool) {
        if sufficed {
            self.enough = self.enough.min(limit);
        } else {
            self.little = self.little.max(limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches for `needed` and returns the estimate and the number of trials.
    fn search(used: u64, cap: u64, needed: u64) -> (u64, u32) {
        let (mut search, mut trials) = (Search::new(used, cap), 0);
        while let Some(limit) = search.next() {
            trials += 1;
            search.learn(limit, limit >= needed);
            assert!(trials < 80, "the search does not end");
        }
        (search.enough, trials)
    }

    #[test]
    fn an_estimate_always_suffices_and_is_close() {
        for used in [21_000u64, 45_123, 800_000, 5_000_000] {
            assert_eq!(search(used, TRANSACTION_GAS_LIMIT, used), (used, 1));
            for extra in [1, 700, 2_300, used / 63, used / 4, used * 2] {
                let needed = used + extra;
                let (found, trials) = search(used, TRANSACTION_GAS_LIMIT, needed);
                assert!(found >= needed, "{used} + {extra}: {found}");
                assert!(
                    found - needed <= found / TOLERANCE + 1,
                    "{used} + {extra}: {found}"
                );
                assert!(trials <= 16, "{used} + {extra}: {trials} trials");
            }
        }
    }

    #[test]
    fn a_cap_that_is_just_enough_is_the_estimate() {
        assert_eq!(search(50_000, 50_000, 50_000), (50_000, 0));
        let (found, _) = search(50_000, 60_000, 60_000);
        assert_eq!(found, 60_000);
    }

    #[test]
    fn gas_is_what_the_balance_pays_for() {
        let wei = |n: u64| U256::from(n);
        assert_eq!(affordable(wei(1_000), wei(100), 9).unwrap(), 100);
        assert_eq!(affordable(U256::MAX, U256::ZERO, 1).unwrap(), u64::MAX);
        let refused = affordable(wei(1), wei(2), 1).unwrap_err();
        assert!(refused.to_string().starts_with("insufficient funds"));
    }

    #[test]
    fn overrides_are_refused_and_their_absence_is_not() {
        let check = |json: &str| refuse_overrides(&Params::new(Some(json)));
        for fine in [
            "[{}]",
            "[{}, \"latest\"]",
            "[{}, \"latest\", {}]",
            "[{}, null, null]",
        ] {
            assert!(check(fine).is_ok(), "{fine}");
        }
        let overrides = r#"[{}, "latest", {"0x00": {"balance": "0x1"}}]"#;
        assert!(matches!(check(overrides), Err(Refusal::Params(_))));
    }
}
