//! Logs by query and by polled filters.

use crate::{
    local_chain::{LocalChain, Wallet},
    rpc_contract::{Added, add, deploy},
};
use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolEvent as _;
use serde_json::{Value, json};

/// The tags of Added events, in order.
fn tags(logs: &Value) -> Vec<u64> {
    let tag = |log: &Value| {
        let topic: B256 = serde_json::from_value(log["topics"][2].clone()).unwrap();
        U256::from_be_bytes(topic.0).to()
    };
    logs.as_array().unwrap().iter().map(tag).collect()
}

fn word(number: u64) -> B256 {
    U256::from(number).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_queried_by_address_topics_range_and_block() {
    let chain = LocalChain::start().await;
    let [wallet, ..] = Wallet::all();
    let (counter, deployed) = deploy(&chain, &wallet).await;
    let first = add(&chain, &wallet, counter, 1, 10).await;
    let second = add(&chain, &wallet, counter, 1, 11).await;
    let check = async |filter: Value, expect: &[u64]| {
        let found = chain.get("eth_getLogs", json!([filter])).await;
        assert_eq!(tags(&found), expect, "{filter}");
    };
    let from = &deployed["blockNumber"];
    let topic = Added::SIGNATURE_HASH;
    check(json!({ "address": counter, "fromBlock": from }), &[10, 11]).await;
    check(
        json!({ "address": [counter], "fromBlock": "earliest", "toBlock": "latest" }),
        &[10, 11],
    )
    .await;
    check(
        json!({ "fromBlock": from, "topics": [topic, null, word(11)] }),
        &[11],
    )
    .await;
    check(
        json!({ "fromBlock": from, "topics": [topic, null, [word(11), word(10)]] }),
        &[10, 11],
    )
    .await;
    check(json!({ "fromBlock": from, "topics": [word(1)] }), &[]).await;
    check(json!({ "address": Address::ZERO, "fromBlock": from }), &[]).await;
    check(json!({ "fromBlock": "0x0", "toBlock": from }), &[]).await;
    check(json!({ "blockHash": second["blockHash"] }), &[11]).await;
    check(
        json!({ "fromBlock": first["blockNumber"], "toBlock": first["blockNumber"] }),
        &[10],
    )
    .await;
    check(json!({ "fromBlock": "0xffffff" }), &[]).await;
    let log = chain
        .get("eth_getLogs", json!([{ "blockHash": first["blockHash"] }]))
        .await;
    assert_eq!(log, first["logs"], "a queried log is the receipt's");
    let unknown = json!([{ "blockHash": B256::ZERO }]);
    assert!(chain.ask("eth_getLogs", unknown).await.is_err());
    let wide = json!([{ "fromBlock": "0x5", "toBlock": "0x4" }]);
    assert_eq!(
        chain.ask("eth_getLogs", wide).await.unwrap_err().code(),
        -32602
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_reports_each_change_once() {
    let chain = LocalChain::start().await;
    let [wallet, ..] = Wallet::all();
    let (counter, _) = deploy(&chain, &wallet).await;
    let filter = json!([{ "address": counter, "fromBlock": "latest" }]);
    let logs = chain.get("eth_newFilter", filter).await;
    let blocks = chain.get("eth_newBlockFilter", json!([])).await;
    let mined = add(&chain, &wallet, counter, 1, 2).await;
    let changes = chain.get("eth_getFilterChanges", json!([logs])).await;
    assert_eq!(tags(&changes), [2]);
    assert_eq!(
        chain.get("eth_getFilterChanges", json!([logs])).await,
        json!([])
    );
    assert_eq!(
        tags(&chain.get("eth_getFilterLogs", json!([logs])).await),
        [2]
    );
    let hashes = chain.get("eth_getFilterChanges", json!([blocks])).await;
    assert!(hashes.as_array().unwrap().contains(&mined["blockHash"]));
    add(&chain, &wallet, counter, 1, 3).await;
    assert_eq!(
        tags(&chain.get("eth_getFilterChanges", json!([logs])).await),
        [3]
    );
    for id in [&logs, &blocks] {
        assert_eq!(
            chain.get("eth_uninstallFilter", json!([id])).await,
            json!(true)
        );
        assert_eq!(
            chain.get("eth_uninstallFilter", json!([id])).await,
            json!(false)
        );
        let gone = chain
            .ask("eth_getFilterChanges", json!([id]))
            .await
            .unwrap_err();
        assert_eq!(gone.message(), "filter not found");
    }
}
