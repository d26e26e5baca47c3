//! Events of one contract, from a block on, page by page, each exactly once.
//!
//! Everything that a validator answers is final, so that a page never has to be taken back. A page covers whole blocks
//! up to the tip of the one validator that gave it: another one may not be as far, and would leave out what it has not
//! seen yet. What it says is not proven: a validator can leave events out, and whoever follows the moves of a ref notices
//! that by the next one's parent.

use crate::rpc_client::{RpcClient, RpcError};
use alloy_primitives::{Address, B256, Bytes, U64};
use serde::Deserialize;
use serde_json::json;

/// Blocks of the first page.
const FIRST_BLOCKS: u64 = 4_096;
/// Most blocks of a page: what a validator looks through at once.
pub const MAX_BLOCKS: u64 = 100_000;
const METHOD: &str = "eth_getLogs";

/// One event as a validator gives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RawLog {
    /// The contract.
    pub address: Address,
    /// Hash of its signature, and the indexed arguments.
    pub topics: Vec<B256>,
    /// The other arguments.
    pub data: Bytes,
    /// Height of its block.
    pub block_number: U64,
    /// Its number in that block.
    pub log_index: U64,
    /// Hash of its transaction.
    pub transaction_hash: B256,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPlace {
    /// Height of its block.
    pub height: u64,
    /// Its number among the events of that block.
    pub index: u64,
    /// Hash of its transaction.
    pub transaction: B256,
}

impl RawLog {
    /// Where it stands.
    pub fn place(&self) -> EventPlace {
        EventPlace {
            height: self.block_number.to(),
            index: self.log_index.to(),
            transaction: self.transaction_hash,
        }
    }
}

/// The events of some whole blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The events, in the order of the chain.
    pub events: Vec<T>,
    /// The block after the last one of the page: from here on whoever keeps what is in the page goes on.
    pub next: u64,
    /// Whether there was no later block.
    pub caught_up: bool,
}

/// Reads events of one contract from a block on.
#[derive(Debug, Clone)]
pub struct LogPages {
    rpc: RpcClient,
    contract: Address,
    /// What each place of the topics may be; empty for anything.
    topics: Vec<Vec<B256>>,
    next: u64,
    /// Blocks of the next page.
    blocks: u64,
    /// Most blocks of a page.
    most: u64,
    /// The validator that is asked first, counted round and round.
    preferred: usize,
}

impl LogPages {
    /// Reads from the block `next` on. Each place of `topics` lists what may stand there; an empty list takes anything.
    pub fn new(rpc: RpcClient, contract: Address, topics: Vec<Vec<B256>>, next: u64) -> Self {
        Self {
            rpc,
            contract,
            topics,
            next,
            blocks: FIRST_BLOCKS,
            most: MAX_BLOCKS,
            preferred: 0,
        }
    }

    /// The same with pages of at most `blocks` blocks, 1 to [`MAX_BLOCKS`], for readers with little memory.
    pub fn in_pages_of(mut self, blocks: u64) -> Self {
        self.most = blocks.clamp(1, MAX_BLOCKS);
        self.blocks = self.blocks.min(self.most);
        self
    }

    /// The first block that no page has covered.
    pub fn next_block(&self) -> u64 {
        self.next
    }

    /// The next page. Without a new block it is empty, and where it says `caught_up` there is no sense in asking on
    /// before the next block. Nothing moves on where this fails: the same blocks come again.
    ///
    /// # Errors
    /// [`RpcError`] of the last validator, if none gives a page.
    pub async fn page(&mut self) -> Result<Page<RawLog>, RpcError> {
        self.read_page(Ok).await
    }

    /// As [`Self::page`], with the events read by `read`. A page that it cannot read is none.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub async fn read_page<T>(
        &mut self,
        read: impl Fn(RawLog) -> Result<T, RpcError>,
    ) -> Result<Page<T>, RpcError> {
        let validators = self.rpc.urls().len();
        let mut last = RpcError::Urls("there are none".into());
        for turn in 0..validators {
            let index = self.preferred.saturating_add(turn) % validators.max(1);
            let Some(one) = self.rpc.only(index) else {
                continue;
            };
            match self.page_of(&one, &read).await {
                Ok(page) => {
                    // One that has nothing new may be stuck: another one is asked next.
                    let stays = page.next > self.next;
                    self.preferred = index.saturating_add(usize::from(!stays));
                    self.next = page.next;
                    self.blocks = self.blocks.saturating_mul(2).min(self.most);
                    return Ok(page);
                }
                Err(error) => {
                    tracing::debug!(%error, index, "no page of events");
                    last = error;
                }
            }
        }
        // It may have been too much at once.
        self.blocks = (self.blocks / 2).max(1);
        Err(last)
    }

    async fn page_of<T>(
        &self,
        validator: &RpcClient,
        read: impl Fn(RawLog) -> Result<T, RpcError>,
    ) -> Result<Page<T>, RpcError> {
        let tip = validator.height().await?;
        if tip < self.next {
            // It is behind: what it lacks, it does not know to be absent.
            return Ok(Page {
                events: Vec::new(),
                next: self.next,
                caught_up: true,
            });
        }
        let end = self
            .next
            .saturating_add(self.blocks.saturating_sub(1))
            .min(tip);
        let topics: Vec<Option<&[B256]>> = self
            .topics
            .iter()
            .map(|topics| (!topics.is_empty()).then_some(topics.as_slice()))
            .collect();
        let filter = json!([{
            "address": self.contract,
            "topics": topics,
            "fromBlock": U64::from(self.next),
            "toBlock": U64::from(end),
        }]);
        let events: Vec<RawLog> = validator.request(METHOD, filter).await?;
        self.check(&events, end)?;
        Ok(Page {
            events: events.into_iter().map(read).collect::<Result<_, _>>()?,
            next: end.saturating_add(1),
            caught_up: end == tip,
        })
    }

    /// Holds an answer to be one to the question: of this contract and these blocks, in order, each event once.
    fn check(&self, events: &[RawLog], end: u64) -> Result<(), RpcError> {
        let mut before = None;
        for event in events {
            let at = event.place();
            let of_question = event.address == self.contract
                && (self.next..=end).contains(&at.height)
                && self.topics.iter().enumerate().all(|(nth, topics)| {
                    let topic = event.topics.get(nth);
                    topics.is_empty() || topic.is_some_and(|topic| topics.contains(topic))
                });
            if !of_question {
                return Err(malformed("an event that was not asked for"));
            }
            if before.is_some_and(|before| (at.height, at.index) <= before) {
                return Err(malformed("events out of order"));
            }
            before = Some((at.height, at.index));
        }
        Ok(())
    }
}

/// An answer that cannot be read.
pub(crate) fn malformed(reason: &str) -> RpcError {
    RpcError::Malformed {
        method: METHOD,
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: Address = Address::repeat_byte(1);
    const TOPIC: B256 = B256::repeat_byte(2);

    fn event(height: u64, index: u64) -> RawLog {
        RawLog {
            address: CONTRACT,
            topics: vec![TOPIC, B256::repeat_byte(3)],
            data: Bytes::new(),
            block_number: U64::from(height),
            log_index: U64::from(index),
            transaction_hash: B256::ZERO,
        }
    }

    #[test]
    fn an_answer_is_of_the_question_and_in_order() {
        let rpc = RpcClient::new(&["http://127.0.0.1:1".into()]).unwrap();
        let pages = LogPages::new(rpc, CONTRACT, vec![vec![TOPIC], vec![]], 5);
        let check = |events: &[RawLog]| pages.check(events, 9).is_ok();
        assert!(check(&[]));
        assert!(check(&[event(5, 0), event(5, 7), event(6, 0), event(9, 1)]));
        assert!(!check(&[event(4, 0)]), "before the question");
        assert!(!check(&[event(10, 0)]), "after the question");
        assert!(!check(&[event(6, 1), event(6, 1)]), "twice");
        assert!(!check(&[event(6, 1), event(6, 0)]), "backwards");
        assert!(!check(&[event(7, 0), event(6, 0)]), "backwards");
        let other = Address::repeat_byte(9);
        assert!(!check(&[RawLog {
            address: other,
            ..event(6, 0)
        }]));
        assert!(!check(&[RawLog {
            topics: vec![],
            ..event(6, 0)
        }]));
        assert!(!check(&[RawLog {
            topics: vec![B256::ZERO],
            ..event(6, 0)
        }]));
    }

    #[tokio::test]
    async fn a_page_that_nobody_gives_is_asked_for_again_and_smaller() {
        let rpc = RpcClient::new(&["http://127.0.0.1:1".into()]).unwrap();
        let mut pages = LogPages::new(rpc, CONTRACT, vec![], 5);
        for expected in [FIRST_BLOCKS / 2, FIRST_BLOCKS / 4] {
            assert!(pages.page().await.unwrap_err().is_passing());
            assert_eq!((pages.next_block(), pages.blocks), (5, expected));
        }
    }
}
