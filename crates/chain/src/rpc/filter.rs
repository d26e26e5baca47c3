//! Filters that clients poll: `eth_newFilter` and its kin.

use super::{
    Refusal,
    logs::{self, bounded_filter, scan},
    params::{height_of, one},
    subscription::hex_id,
    surface::Surface,
};
use crate::{engine::Runtime, index::digest_bytes};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, FilterChanges};
use commonware_cryptography::Digestible as _;
use jsonrpsee::{Extensions, RpcModule, core::RegisterMethodError, types::Params};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Most filters of all clients together.
const MAX_FILTERS: usize = 1_024;
/// A filter that nobody polls for this long is forgotten.
const MAX_IDLE: Duration = Duration::from_secs(300);
/// Most block hashes of one answer; the rest comes with the next.
const MAX_HASHES: u64 = 10_000;

type Context<E> = Arc<Surface<E>>;

pub(super) fn register<E: Runtime>(
    module: &mut RpcModule<Surface<E>>,
) -> Result<(), RegisterMethodError> {
    module.register_async_method("eth_newFilter", new_filter)?;
    module.register_method("eth_newBlockFilter", |_, surface, _| {
        let next = surface.chain.tip().height.saturating_add(1);
        surface.filters().insert(Kind::Blocks, next, Instant::now())
    })?;
    module.register_async_method("eth_getFilterChanges", changes)?;
    module.register_async_method("eth_getFilterLogs", filter_logs)?;
    module.register_method("eth_uninstallFilter", |params, surface, _| {
        Ok::<_, Refusal>(surface.filters().remove(&one::<String>(&params)?))
    })?;
    Ok(())
}

/// What a filter waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// New blocks.
    Blocks,
    /// Logs; tags in the filter are resolved.
    Logs(Arc<Filter>),
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    /// First height that was not reported yet.
    next: u64,
    expires: Instant,
}

/// The filters of all clients. Pure: whoever holds them says what time it is.
#[derive(Debug, Default)]
pub struct Filters {
    entries: HashMap<String, Entry>,
}

impl Filters {
    /// Makes a filter that reports from the height `next` on, and returns its id.
    ///
    /// # Errors
    /// [`Refusal::Limit`] if there are [`MAX_FILTERS`] in use.
    pub fn insert(&mut self, kind: Kind, next: u64, now: Instant) -> Result<String, Refusal> {
        if self.entries.len() >= MAX_FILTERS {
            self.entries.retain(|_, entry| entry.expires > now);
        }
        if self.entries.len() >= MAX_FILTERS {
            return Err(Refusal::Limit(format!(
                "{MAX_FILTERS} filters are in use; try later"
            )));
        }
        let id = hex_id();
        self.entries.insert(
            id.clone(),
            Entry {
                kind,
                next,
                expires: after(now),
            },
        );
        Ok(id)
    }

    /// What the filter waits for and the first height that it did not report; the filter lives on.
    ///
    /// # Errors
    /// [`Refusal::NoFilter`] if it never was or has expired.
    pub fn poll(&mut self, id: &str, now: Instant) -> Result<(Kind, u64), Refusal> {
        let entry = self.entries.get_mut(id).filter(|entry| entry.expires > now);
        let entry = entry.ok_or(Refusal::NoFilter)?;
        entry.expires = after(now);
        Ok((entry.kind.clone(), entry.next))
    }

    /// Marks the heights below `next` as reported.
    pub fn advance(&mut self, id: &str, next: u64) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.next = entry.next.max(next);
        }
    }

    /// Forgets the filter; whether there was one.
    pub fn remove(&mut self, id: &str) -> bool {
        self.entries.remove(id).is_some()
    }
}

fn after(now: Instant) -> Instant {
    now.checked_add(MAX_IDLE).unwrap_or(now)
}

async fn new_filter<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<String, Refusal> {
    let tip = surface.chain.tip().height;
    let filter = anchored(bounded_filter(one::<Filter>(&params)?)?, tip)?;
    let kind = Kind::Logs(Arc::new(filter));
    surface
        .filters()
        .insert(kind, tip.saturating_add(1), Instant::now())
}

/// The filter with the tip of this moment in place of "latest" at its start, so that what comes
/// after stays within it.
fn anchored(filter: Filter, tip: u64) -> Result<Filter, Refusal> {
    match filter.block_option {
        FilterBlockOption::AtBlockHash(_) => Err(Refusal::Params(
            "a filter takes a range of blocks, not a block's hash".into(),
        )),
        FilterBlockOption::Range { from_block, .. } => {
            let from = height_of(from_block.unwrap_or_default(), tip);
            let block_option = filter.block_option.with_from_block(from.into());
            Ok(Filter {
                block_option,
                ..filter
            })
        }
    }
}

/// The last height that `filter` names when the tip is at `tip`.
fn last_height(filter: &Filter, tip: u64) -> u64 {
    match filter.block_option.get_to_block() {
        Some(BlockNumberOrTag::Number(height)) => tip.min(*height),
        Some(BlockNumberOrTag::Earliest) => 0,
        _ => tip,
    }
}

async fn changes<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<FilterChanges, Refusal> {
    let id = one::<String>(&params)?;
    let (kind, next) = surface.filters().poll(&id, Instant::now())?;
    let (changes, next) = match kind {
        Kind::Blocks => new_blocks(&surface, next).await?,
        Kind::Logs(filter) => new_logs(&surface, filter, next).await?,
    };
    surface.filters().advance(&id, next);
    Ok(changes)
}

async fn new_blocks<E: Runtime>(
    surface: &Surface<E>,
    next: u64,
) -> Result<(FilterChanges, u64), Refusal> {
    let read = move |chain: &super::view::Chain| {
        let end = chain
            .tip()
            .height
            .saturating_add(1)
            .min(next.saturating_add(MAX_HASHES));
        let mut hashes = Vec::new();
        for height in next..end {
            let block = chain.block(height)?;
            hashes.extend(block.map(|block| B256::from(digest_bytes(&block.digest()))));
        }
        Ok((FilterChanges::Hashes(hashes), end))
    };
    surface.read(read).await
}

async fn new_logs<E: Runtime>(
    surface: &Surface<E>,
    filter: Arc<Filter>,
    next: u64,
) -> Result<(FilterChanges, u64), Refusal> {
    let read = move |chain: &super::view::Chain| {
        let tip = chain.tip().height;
        let start = next.max(filter.get_from_block().unwrap_or(next));
        let last = last_height(&filter, tip);
        if start > last {
            return Ok((FilterChanges::Logs(Vec::new()), next));
        }
        let found = scan(chain, &filter, start..=last)?;
        let end = found.cut.unwrap_or(last.saturating_add(1));
        Ok((FilterChanges::Logs(found.logs), end))
    };
    surface.read(read).await
}

async fn filter_logs<E: Runtime>(
    params: Params<'static>,
    surface: Context<E>,
    _: Extensions,
) -> Result<FilterChanges, Refusal> {
    let (kind, _) = surface
        .filters()
        .poll(&one::<String>(&params)?, Instant::now())?;
    let Kind::Logs(filter) = kind else {
        return Err(Refusal::NoFilter);
    };
    let found = surface.read(move |chain| logs::all(chain, &filter)).await?;
    Ok(FilterChanges::Logs(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_reports_from_where_it_stopped() {
        let (mut filters, now) = (Filters::default(), Instant::now());
        let id = filters.insert(Kind::Blocks, 5, now).unwrap();
        assert_eq!(filters.poll(&id, now).unwrap(), (Kind::Blocks, 5));
        filters.advance(&id, 9);
        filters.advance(&id, 7);
        assert_eq!(filters.poll(&id, now).unwrap().1, 9, "never backwards");
        assert!(filters.remove(&id));
        assert!(!filters.remove(&id));
        assert!(matches!(filters.poll(&id, now), Err(Refusal::NoFilter)));
    }

    #[test]
    fn a_filter_lives_as_long_as_it_is_polled() {
        let (mut filters, start) = (Filters::default(), Instant::now());
        let id = filters.insert(Kind::Blocks, 0, start).unwrap();
        let mut now = start;
        for _ in 0..5 {
            now += MAX_IDLE / 2;
            assert!(filters.poll(&id, now).is_ok());
        }
        assert!(filters.poll(&id, now + MAX_IDLE).is_err());
    }

    #[test]
    fn the_number_of_filters_is_bounded_and_dead_ones_make_room() {
        let (mut filters, now) = (Filters::default(), Instant::now());
        for _ in 0..MAX_FILTERS {
            filters.insert(Kind::Blocks, 0, now).unwrap();
        }
        assert!(matches!(
            filters.insert(Kind::Blocks, 0, now),
            Err(Refusal::Limit(_))
        ));
        let later = now + MAX_IDLE * 2;
        assert!(filters.insert(Kind::Blocks, 0, later).is_ok());
        assert_eq!(filters.entries.len(), 1);
    }

    #[test]
    fn latest_is_the_tip_at_the_filters_birth() {
        let read = |json: &str| serde_json::from_str::<Filter>(json).unwrap();
        for json in [
            "{}",
            r#"{"fromBlock": "latest"}"#,
            r#"{"toBlock": "latest"}"#,
        ] {
            let filter = anchored(read(json), 40).unwrap();
            assert_eq!(filter.get_from_block(), Some(40), "{json}");
            assert_eq!(last_height(&filter, 90), 90, "{json}");
        }
        let bounded = anchored(read(r#"{"fromBlock": "0x2", "toBlock": "0x32"}"#), 40).unwrap();
        assert_eq!(
            (bounded.get_from_block(), last_height(&bounded, 90)),
            (Some(2), 50)
        );
        let hash = read(&format!(r#"{{"blockHash": "{}"}}"#, B256::ZERO));
        assert!(anchored(hash, 40).is_err());
    }
}
