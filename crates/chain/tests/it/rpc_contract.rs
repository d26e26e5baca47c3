//! What every tool does first: deploy a contract, send to it, call it, meet its reverts.

use crate::local_chain::{Draft, LocalChain, Wallet};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy_sol_types::{SolCall as _, SolError as _, SolEvent as _, sol};
use serde_json::{Value, json};

sol! {
    function add(uint256 amount, uint256 tag) external;
    function total() external view returns (uint256);
    event Added(address indexed account, uint256 indexed tag, uint256 amount, uint256 total);
    error TooMuch(uint256 amount, uint256 limit);
}

/// The creation code of `clients/rpc/Counter.sol`.
pub fn counter() -> Vec<u8> {
    let artefact = include_str!("../../../../clients/rpc/Counter.json");
    let artefact: Value = serde_json::from_str(artefact).unwrap();
    hex::decode(artefact["bytecode"].as_str().unwrap()).unwrap()
}

/// Deploys a counter and returns its address and the receipt.
pub async fn deploy(chain: &LocalChain, wallet: &Wallet) -> (Address, Value) {
    let receipt = chain.transact(wallet, TxKind::Create, counter()).await;
    (
        serde_json::from_value(receipt["contractAddress"].clone()).unwrap(),
        receipt,
    )
}

/// Adds to a counter.
pub async fn add(chain: &LocalChain, wallet: &Wallet, to: Address, amount: u64, tag: u64) -> Value {
    let call = addCall {
        amount: U256::from(amount),
        tag: U256::from(tag),
    };
    chain
        .transact(wallet, TxKind::Call(to), call.abi_encode())
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_is_deployed_sent_to_and_called() {
    let chain = LocalChain::start().await;
    let [wallet, ..] = Wallet::all();
    let (address, receipt) = deploy(&chain, &wallet).await;
    assert_eq!(address, wallet.address.create(0));
    assert_eq!(receipt["to"], Value::Null);
    let code: Bytes =
        serde_json::from_value(chain.get("eth_getCode", json!([address, "latest"])).await).unwrap();
    assert!(
        counter().ends_with(&code),
        "the runtime code ends the creation code"
    );

    let receipt = add(&chain, &wallet, address, 7, 42).await;
    let log = &receipt["logs"][0];
    let topics = json!([
        Added::SIGNATURE_HASH,
        wallet.address.into_word(),
        B256::from(U256::from(42)),
    ]);
    assert_eq!((&log["topics"], &log["logIndex"]), (&topics, &json!("0x0")));
    assert_eq!(log["blockHash"], receipt["blockHash"]);
    assert_eq!(chain.view(address, totalCall {}).await, U256::from(7));
    let slot = chain
        .get("eth_getStorageAt", json!([address, "0x0", "latest"]))
        .await;
    assert_eq!(slot, json!(B256::from(U256::from(7))));
    assert_eq!(
        chain
            .number("eth_getTransactionCount", json!([wallet.address]))
            .await,
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_carries_its_data_and_a_reverted_transaction_its_receipt() {
    let chain = LocalChain::start().await;
    let [wallet, ..] = Wallet::all();
    let (address, _) = deploy(&chain, &wallet).await;
    let call = addCall {
        amount: U256::from(101),
        tag: U256::ZERO,
    }
    .abi_encode();
    let data = Bytes::from(call);
    let request = json!({ "from": wallet.address, "to": address, "input": data });
    let expect = TooMuch {
        amount: U256::from(101),
        limit: U256::from(100),
    }
    .abi_encode();
    for method in ["eth_call", "eth_estimateGas"] {
        let error = chain.ask(method, json!([request])).await.unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (3, "execution reverted"),
            "{method}"
        );
        let found: Bytes = serde_json::from_str(error.data().unwrap().get()).unwrap();
        assert_eq!(found, Bytes::from(expect.clone()), "{method}");
    }
    let to = TxKind::Call(address);
    let receipt = chain
        .send(
            &wallet,
            Draft {
                to,
                data,
                gas: 100_000,
                ..Draft::default()
            },
        )
        .await;
    assert_eq!(
        (&receipt["status"], &receipt["logs"]),
        (&json!("0x0"), &json!([]))
    );
    assert_eq!(chain.view(address, totalCall {}).await, U256::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_is_enough_and_one_less_is_not() {
    let chain = LocalChain::start().await;
    let [wallet, other, _] = Wallet::all();
    let transfer = json!({ "from": wallet.address, "to": other.address, "value": "0x1" });
    assert_eq!(
        chain.number("eth_estimateGas", json!([transfer])).await,
        21_000
    );

    let (address, _) = deploy(&chain, &wallet).await;
    let call = addCall {
        amount: U256::from(1),
        tag: U256::from(1),
    };
    let data = Bytes::from(call.abi_encode());
    let request = json!({ "from": wallet.address, "to": address, "data": data });
    let gas = chain
        .number("eth_estimateGas", json!([request, "latest"]))
        .await;
    let to = TxKind::Call(address);
    let draft = |gas| Draft {
        to,
        data: data.clone(),
        gas,
        ..Draft::default()
    };
    let receipt = chain.send(&wallet, draft(gas)).await;
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(receipt["gasUsed"], json!(alloy_primitives::U64::from(gas)));
    // The same call again, when it writes no slot for the first time any more, needs less: the
    // estimate was exact, so that as much as the first needed less one is refused at once.
    let error = chain.ask(
        "eth_call",
        json!([{ "to": address, "data": data, "gas": "0x5300" }]),
    );
    assert!(error.await.unwrap_err().message().contains("gas"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_sees_the_tip_and_a_pending_call_the_block_after_it() {
    let chain = LocalChain::start().await;
    // NUMBER, and the hash of the block before: PUSH0 MSTORE and return both words.
    let code = "435f526001430340602052604" // number; blockhash(number - 1)
        .to_owned()
        + "05ff3";
    let run = |when: &'static str| {
        let request = json!({ "data": format!("0x{code}") });
        chain.get("eth_call", json!([request, when]))
    };
    let words = |output: Value| {
        let output: Bytes = serde_json::from_value(output).unwrap();
        (
            U256::from_be_slice(&output[..32]),
            B256::from_slice(&output[32..]),
        )
    };
    let (number, before) = words(run("latest").await);
    let block = chain
        .get(
            "eth_getBlockByNumber",
            json!([format!("{number:#x}"), false]),
        )
        .await;
    assert_eq!(block["parentHash"], json!(before));
    let (number, before) = words(run("pending").await);
    let tip = format!("{:#x}", number - U256::from(1));
    let block = chain.get("eth_getBlockByNumber", json!([tip, false])).await;
    assert_eq!(block["hash"], json!(before));
}
