//! Blocks, transactions and receipts in the shapes that clients parse.

use crate::{
    local_chain::{CHAIN_ID, Draft, LocalChain, PACE, PATIENCE, Wallet},
    rpc_contract::{add, deploy},
};
use alloy_primitives::{B256, TxKind, U64, U256};
use alloy_rpc_types_eth as rpc;
use serde_json::{Value, json};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn a_block_has_every_field_and_leads_to_its_transactions_and_back() {
    let chain = LocalChain::start().await;
    let [wallet, ..] = Wallet::all();
    let (_, receipt) = deploy(&chain, &wallet).await;
    let (number, hash) = (&receipt["blockNumber"], &receipt["blockHash"]);
    let block = chain
        .get("eth_getBlockByNumber", json!([number, true]))
        .await;
    assert_eq!(
        block,
        chain.get("eth_getBlockByHash", json!([hash, true])).await
    );
    let parsed: rpc::Block = serde_json::from_value(block.clone()).unwrap();
    assert_eq!(parsed.header.difficulty, U256::ZERO);
    assert_eq!(parsed.header.base_fee_per_gas, Some(1_000_000_000));
    for field in [
        "mixHash",
        "nonce",
        "sha3Uncles",
        "uncles",
        "logsBloom",
        "extraData",
        "size",
        "miner",
        "withdrawals",
        "withdrawalsRoot",
        "parentBeaconBlockRoot",
        "blobGasUsed",
        "excessBlobGas",
        "requestsHash",
        "stateRoot",
        "receiptsRoot",
        "transactionsRoot",
    ] {
        assert!(!block[field].is_null(), "{field}");
    }
    let hashes = chain
        .get("eth_getBlockByNumber", json!([number, false]))
        .await;
    assert_eq!(hashes["transactions"], json!([receipt["transactionHash"]]));
    let transaction = &block["transactions"][0];
    let by_hash = json!([receipt["transactionHash"]]);
    assert_eq!(
        *transaction,
        chain.get("eth_getTransactionByHash", by_hash).await
    );
    for (method, block) in [
        ("eth_getTransactionByBlockNumberAndIndex", number),
        ("eth_getTransactionByBlockHashAndIndex", hash),
    ] {
        assert_eq!(*transaction, chain.get(method, json!([block, "0x0"])).await);
        assert_eq!(Value::Null, chain.get(method, json!([block, "0x1"])).await);
    }
    assert_eq!(
        json!([receipt]),
        chain.get("eth_getBlockReceipts", json!([number])).await
    );
    assert_eq!(
        chain
            .number("eth_getBlockTransactionCountByNumber", json!([number]))
            .await,
        1
    );
    assert_eq!(
        chain
            .number("eth_getBlockTransactionCountByHash", json!([hash]))
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_follow_each_other_from_the_first_to_the_tip() {
    let chain = LocalChain::start().await;
    let mut tip = chain.shelf.tip();
    tip.wait_for(|tip| tip.height >= 5).await.unwrap();
    let mut parent = chain
        .get("eth_getBlockByNumber", json!(["earliest", false]))
        .await;
    assert_eq!(parent["number"], "0x0");
    for height in 1..=5 {
        let number = U64::from(height);
        let block = chain
            .get("eth_getBlockByNumber", json!([number, false]))
            .await;
        assert_eq!(block["parentHash"], parent["hash"], "{height}");
        let parsed: rpc::Block = serde_json::from_value(block.clone()).unwrap();
        assert_eq!(parsed.header.number, height);
        parent = block;
    }
    let above = chain
        .get("eth_getBlockByNumber", json!(["0xffffffff", false]))
        .await;
    assert_eq!(above, Value::Null);
    let unknown = chain
        .get("eth_getBlockByHash", json!([B256::repeat_byte(9), false]))
        .await;
    assert_eq!(unknown, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_count_gas_and_logs_within_their_block() {
    let chain = LocalChain::start().await;
    let [first, second, _] = Wallet::all();
    let (counter, _) = deploy(&chain, &first).await;
    let (one, two) = tokio::join!(
        add(&chain, &first, counter, 1, 1),
        add(&chain, &second, counter, 2, 2)
    );
    for receipt in [&one, &two] {
        let parsed: rpc::TransactionReceipt =
            serde_json::from_value(receipt.clone()).expect("a receipt that alloy parses");
        assert!(parsed.gas_used <= parsed.inner.cumulative_gas_used());
        let block = json!([receipt["blockNumber"]]);
        let all = chain.get("eth_getBlockReceipts", block).await;
        let logs: Vec<&Value> = all
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|r| r["logs"].as_array().unwrap())
            .collect();
        for (index, log) in logs.iter().enumerate() {
            assert_eq!(log["logIndex"], json!(U64::from(index)));
        }
        let gas = all.as_array().unwrap().iter().map(gas_used).sum::<u64>();
        let block = json!([receipt["blockNumber"], false]);
        let block = chain.get("eth_getBlockByNumber", block).await;
        assert_eq!(gas, gas_used(&block));
    }
}

fn gas_used(value: &Value) -> u64 {
    serde_json::from_value::<U64>(value["gasUsed"].clone())
        .unwrap()
        .to()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_and_its_prices_are_told() {
    let chain = LocalChain::start().await;
    let [wallet, other, _] = Wallet::all();
    chain
        .send(
            &wallet,
            Draft {
                to: other.address.into(),
                ..Draft::default()
            },
        )
        .await;
    assert_eq!(chain.number("eth_chainId", json!([])).await, CHAIN_ID);
    assert_eq!(
        chain.get("net_version", json!([])).await,
        json!(CHAIN_ID.to_string())
    );
    assert_eq!(chain.get("eth_syncing", json!([])).await, json!(false));
    assert_eq!(chain.get("eth_accounts", json!([])).await, json!([]));
    assert_eq!(chain.number("eth_gasPrice", json!([])).await, 1_000_000_000);
    assert_eq!(chain.number("eth_maxPriorityFeePerGas", json!([])).await, 0);
    let history = chain
        .get("eth_feeHistory", json!(["0x2", "latest", [10, 90]]))
        .await;
    let history: rpc::FeeHistory = serde_json::from_value(history).unwrap();
    assert_eq!(
        history.base_fee_per_gas.len(),
        history.gas_used_ratio.len() + 1
    );
    assert!(history.reward.unwrap().iter().all(|tips| tips.len() == 2));
    // The pool forgets a transaction a moment after its block is told.
    let mut health = chain.get("assay_health", json!([])).await;
    for _ in 0..200 {
        if health["pooled"] == json!(0) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        health = chain.get("assay_health", json!([])).await;
    }
    assert_eq!(
        (&health["validators"], &health["pooled"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        chain.get("assay_network", json!([])).await,
        json!(chain.network)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_keeps_its_pace() {
    let chain = LocalChain::start().await;
    let [wallet, other, ..] = Wallet::all();
    let pay = Draft {
        to: TxKind::Call(other.address),
        ..Draft::default()
    };
    for _ in 0..5 {
        chain.send(&wallet, pay.clone()).await;
    }
    let full = chain.number("eth_blockNumber", json!([])).await;
    let mut tip = chain.shelf.tip();
    let grown = tip.wait_for(|tip| tip.height >= full + 3);
    timeout(PATIENCE, grown).await.expect("no block").unwrap();
    let blocks: Vec<_> = (1..=full + 3)
        .map(|height| chain.shelf.index.block(height).unwrap().unwrap())
        .collect();
    for pair in blocks.windows(2) {
        let empty = pair[1].transactions.is_empty();
        let least = if empty { PACE.empty } else { PACE.block };
        let gap = pair[1].header.timestamp_ms - pair[0].header.timestamp_ms;
        assert!(u128::from(gap) >= least.as_millis(), "{gap} ms, {empty}");
    }
    let filled = blocks.iter().filter(|block| !block.transactions.is_empty());
    assert_eq!(filled.count(), 5);
}
