//! `eth_getLogs`, and the scan that filters and subscriptions share.

use super::{
    Refusal,
    params::{height_of, one},
    surface::Surface,
    view::{Chain, Inclusion},
};
use crate::engine::Runtime;
use alloy_consensus::ReceiptEnvelope;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{B256, Log, keccak256};
use alloy_rpc_types_eth::{self as rpc, Filter, FilterBlockOption};
use jsonrpsee::{Extensions, RpcModule, core::RegisterMethodError, types::Params};
use std::{
    ops::{ControlFlow, RangeInclusive},
    sync::Arc,
};

/// Most blocks of one query: some hours of the chain.
const MAX_BLOCKS: u64 = 100_000;
/// Most transactions that one query looks at, about a second's work.
const MAX_TRANSACTIONS: usize = 500_000;
/// Most addresses and topics of one filter: each is compared with each receipt.
const MAX_FILTER_ITEMS: usize = 256;
/// Most bytes of logs of one answer, unless a single block has more.
const MAX_LOG_BYTES: usize = 32 << 20;
/// Most logs of one answer, unless a single block has more.
const MAX_LOGS: usize = 10_000;

pub(super) fn register<E: Runtime>(
    module: &mut RpcModule<Surface<E>>,
) -> Result<(), RegisterMethodError> {
    module.register_async_method("eth_getLogs", logs)?;
    Ok(())
}

async fn logs<E: Runtime>(
    params: Params<'static>,
    surface: Arc<Surface<E>>,
    _: Extensions,
) -> Result<Vec<rpc::Log>, Refusal> {
    let filter = bounded_filter(one::<Filter>(&params)?)?;
    surface.read(move |chain| all(chain, &filter)).await
}

/// The filter, if it is short enough.
///
/// # Errors
/// [`Refusal::Limit`] if it is not.
pub fn bounded_filter(filter: Filter) -> Result<Filter, Refusal> {
    let topics = filter.topics.iter().map(|topics| topics.iter().count());
    let items = filter.address.iter().count().saturating_add(topics.sum());
    if items > MAX_FILTER_ITEMS {
        return Err(Refusal::Limit(format!(
            "the filter names {items} addresses and topics; at most {MAX_FILTER_ITEMS} are taken"
        )));
    }
    Ok(filter)
}

/// All logs that `filter` names.
///
/// # Errors
/// [`Refusal::Limit`] if they are too many or lie too far apart; [`Refusal::Params`] for a range
/// that ends before it starts; [`Refusal::NoBlockHash`] for an unknown block.
pub fn all(chain: &Chain, filter: &Filter) -> Result<Vec<rpc::Log>, Refusal> {
    let Some(range) = range(chain, filter)? else {
        return Ok(Vec::new());
    };
    let blocks = range.end().saturating_sub(*range.start());
    if blocks >= MAX_BLOCKS {
        return Err(too_much(format!("more than {MAX_BLOCKS} blocks")));
    }
    let found = scan(chain, filter, range)?;
    match found.cut {
        None => Ok(found.logs),
        Some(_) => Err(too_much(format!(
            "more than {MAX_LOGS} logs, {MAX_LOG_BYTES} bytes of them, or {MAX_TRANSACTIONS} transactions"
        ))),
    }
}

fn too_much(what: String) -> Refusal {
    Refusal::Limit(format!("the query covers {what}; narrow its block range"))
}

/// The heights that `filter` names, up to the tip; `None` if all of them lie above it.
fn range(chain: &Chain, filter: &Filter) -> Result<Option<RangeInclusive<u64>>, Refusal> {
    let tip = chain.tip().height;
    let (from, to) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let height = chain
                .height(hash.into())?
                .ok_or(Refusal::NoBlockHash(hash))?;
            return Ok(Some(height..=height));
        }
        FilterBlockOption::Range {
            from_block,
            to_block,
        } => (from_block.unwrap_or_default(), to_block.unwrap_or_default()),
    };
    bounded(from, to, tip)
}

fn bounded(
    from: BlockNumberOrTag,
    to: BlockNumberOrTag,
    tip: u64,
) -> Result<Option<RangeInclusive<u64>>, Refusal> {
    let (first, last) = (height_of(from, tip), height_of(to, tip));
    if first > tip {
        return Ok(None);
    }
    if first > last {
        return Err(Refusal::Params(format!(
            "invalid block range: {first} to {last}"
        )));
    }
    Ok(Some(first..=last.min(tip)))
}

/// What a scan found.
#[derive(Debug, Default)]
pub struct Found {
    /// Logs in the order of the chain.
    pub logs: Vec<rpc::Log>,
    /// The height from which to go on, if the scan stopped at a limit.
    pub cut: Option<u64>,
}

/// Scans whole blocks of `heights` for logs of `filter`'s addresses and topics. It stops before the
/// block in which it meets a limit, unless that is the first.
///
/// # Errors
/// [`Refusal::Index`] if the disk refuses.
pub fn scan(
    chain: &Chain,
    filter: &Filter,
    heights: RangeInclusive<u64>,
) -> Result<Found, Refusal> {
    let mut scan = Scan::new(filter, *heights.start());
    let index = &chain.shelf().index;
    index.each_receipt(heights, |height, receipt| scan.visit(height, receipt))?;
    let (matched, cut) = scan.finish();
    let mut found = Found {
        logs: Vec::new(),
        cut,
    };
    let mut last: Option<(u64, Inclusion, Vec<B256>)> = None;
    for Matched {
        height,
        transaction,
        index,
        log,
    } in matched
    {
        if last.as_ref().is_none_or(|(known, ..)| *known != height) {
            let Some(block) = chain.block(height)? else {
                continue;
            };
            let hashes = block.transactions.iter().map(keccak256).collect();
            last = Some((height, Inclusion::of(&block), hashes));
        }
        let Some((_, at, hashes)) = &last else {
            continue;
        };
        let hash = usize::try_from(transaction)
            .ok()
            .and_then(|nth| hashes.get(nth));
        let hash = hash.copied().unwrap_or_default();
        found.logs.push(at.log(log, (transaction, hash), index));
    }
    Ok(found)
}

/// A log that matched and its place.
#[derive(Debug)]
struct Matched {
    height: u64,
    transaction: u32,
    /// Number of the log in its block.
    index: u64,
    log: Log,
}

/// A scan in progress: receipts come in the order of the chain.
#[derive(Debug)]
struct Scan<'a> {
    filter: &'a Filter,
    first: u64,
    height: u64,
    /// Transactions seen in this block.
    transaction: u32,
    /// Logs seen in this block.
    log: u64,
    /// Matches before this block.
    before: usize,
    seen: usize,
    bytes: usize,
    matched: Vec<Matched>,
    cut: Option<u64>,
}

impl<'a> Scan<'a> {
    fn new(filter: &'a Filter, first: u64) -> Self {
        Self {
            filter,
            first,
            height: first,
            transaction: 0,
            log: 0,
            before: 0,
            seen: 0,
            bytes: 0,
            matched: Vec::new(),
            cut: None,
        }
    }

    fn visit(&mut self, height: u64, receipt: ReceiptEnvelope) -> ControlFlow<()> {
        if height != self.height {
            (self.height, self.transaction, self.log) = (height, 0, 0);
            self.before = self.matched.len();
        }
        self.seen = self.seen.saturating_add(1);
        let matches = self.filter.matches_bloom(*receipt.logs_bloom());
        for log in receipt.into_logs() {
            if matches && self.filter.matches(&log) {
                let (transaction, index) = (self.transaction, self.log);
                self.bytes = self.bytes.saturating_add(log.data.data.len());
                self.matched.push(Matched {
                    height,
                    transaction,
                    index,
                    log,
                });
            }
            self.log = self.log.saturating_add(1);
        }
        self.transaction = self.transaction.saturating_add(1);
        let full = self.matched.len() > MAX_LOGS
            || self.bytes > MAX_LOG_BYTES
            || self.seen > MAX_TRANSACTIONS;
        if full && height != self.first {
            self.matched.truncate(self.before);
            self.cut = Some(height);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn finish(self) -> (Vec<Matched>, Option<u64>) {
        (self.matched, self.cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{Receipt, ReceiptWithBloom};
    use alloy_primitives::{Address, LogData};

    const CONTRACT: Address = Address::repeat_byte(1);
    const OTHER: Address = Address::repeat_byte(2);

    fn log(address: Address, topics: &[u8]) -> Log {
        let topics = topics
            .iter()
            .map(|topic| B256::repeat_byte(*topic))
            .collect();
        Log {
            address,
            data: LogData::new_unchecked(topics, Default::default()),
        }
    }

    fn receipt(logs: Vec<Log>) -> ReceiptEnvelope {
        let receipt = Receipt {
            status: true.into(),
            cumulative_gas_used: 1,
            logs,
        };
        ReceiptEnvelope::Eip1559(ReceiptWithBloom::from(receipt))
    }

    /// (height, transaction, index) of what `filter` matches in a small chain.
    fn places(filter: &str) -> Vec<(u64, u32, u64)> {
        let filter: Filter = serde_json::from_str(filter).unwrap();
        let mut scan = Scan::new(&filter, 5);
        let chain = [
            (5, vec![log(OTHER, &[7]), log(CONTRACT, &[7, 8])]),
            (5, vec![]),
            (5, vec![log(CONTRACT, &[9])]),
            (8, vec![log(CONTRACT, &[7]), log(CONTRACT, &[])]),
        ];
        for (height, logs) in chain {
            assert!(scan.visit(height, receipt(logs)).is_continue());
        }
        let (matched, cut) = scan.finish();
        assert_eq!(cut, None);
        matched
            .iter()
            .map(|m| (m.height, m.transaction, m.index))
            .collect()
    }

    #[test]
    fn logs_are_found_by_address_and_topics_and_numbered_within_their_block() {
        let word = |byte: u8| B256::repeat_byte(byte).to_string();
        let check = |filter: String, expect: &[(u64, u32, u64)]| {
            assert_eq!(places(&filter), expect, "{filter}");
        };
        let all = [(5, 0, 0), (5, 0, 1), (5, 2, 2), (8, 0, 0), (8, 0, 1)];
        check("{}".into(), &all);
        check(format!(r#"{{"address": "{OTHER}"}}"#), &all[..1]);
        check(format!(r#"{{"address": ["{OTHER}", "{CONTRACT}"]}}"#), &all);
        check(
            format!(r#"{{"topics": ["{}"]}}"#, word(7)),
            &[all[0], all[1], all[3]],
        );
        check(
            format!(r#"{{"topics": [null, "{}"]}}"#, word(8)),
            &all[1..2],
        );
        check(
            format!(r#"{{"topics": [["{}", "{}"]]}}"#, word(8), word(9)),
            &all[2..3],
        );
        check(
            format!(r#"{{"address": "{CONTRACT}", "topics": ["{}"]}}"#, word(7)),
            &[all[1], all[3]],
        );
        check(
            format!(r#"{{"topics": ["{}", "{}"]}}"#, word(9), word(9)),
            &[],
        );
    }

    #[test]
    fn a_scan_stops_between_blocks_when_it_is_full() {
        let filter = Filter::new();
        let mut scan = Scan::new(&filter, 1);
        let many = || receipt(vec![log(CONTRACT, &[]); MAX_LOGS]);
        assert!(
            scan.visit(1, many()).is_continue(),
            "the first block is never cut"
        );
        assert!(
            scan.visit(1, many()).is_continue(),
            "the first block is never cut"
        );
        assert!(scan.visit(2, receipt(vec![log(CONTRACT, &[])])).is_break());
        let (matched, cut) = scan.finish();
        assert_eq!((matched.len(), cut), (2 * MAX_LOGS, Some(2)));
    }

    #[test]
    fn a_filter_of_too_many_addresses_is_refused() {
        let many = |count: u64| {
            let addresses = (0..count).map(|n| Address::left_padding_from(&n.to_be_bytes()));
            Filter::new().address(addresses.collect::<Vec<_>>())
        };
        assert!(bounded_filter(many(256)).is_ok());
        assert!(bounded_filter(many(257)).is_err());
        let topics: Vec<B256> = (0..2).map(B256::repeat_byte).collect();
        assert!(bounded_filter(many(255).event_signature(topics)).is_err());
    }

    #[test]
    fn ranges_end_at_the_tip() {
        let number = BlockNumberOrTag::Number;
        let latest = BlockNumberOrTag::Latest;
        let check = |from, to, expect| assert_eq!(bounded(from, to, 10).unwrap(), expect);
        check(number(3), latest, Some(3..=10));
        check(number(3), number(99), Some(3..=10));
        check(BlockNumberOrTag::Earliest, number(0), Some(0..=0));
        check(latest, latest, Some(10..=10));
        check(number(11), latest, None);
        check(number(11), number(20), None);
        assert!(bounded(number(5), number(4), 10).is_err());
        assert!(bounded(latest, number(4), 10).is_err());
    }
}
