//! What the server refuses, and in which words.

use crate::local_chain::{CHAIN_ID, Draft, LocalChain, Wallet};
use alloy_primitives::{Address, B256, TxKind, U64, U256};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_cannot_run_are_refused() {
    let chain = LocalChain::start().await;
    let [wallet, other, _] = Wallet::all();
    let to = other.address.into();
    let draft = Draft {
        to,
        value: U256::ONE,
        ..Draft::default()
    };
    chain.send(&wallet, draft.clone()).await;
    let check = async |raw: alloy_primitives::Bytes, expect: &str| {
        let error = chain
            .ask("eth_sendRawTransaction", json!([raw]))
            .await
            .unwrap_err();
        assert_eq!(error.code(), -32_000);
        assert!(error.message().contains(expect), "{}", error.message());
    };
    let poor = Wallet::new(99);
    check(poor.sign(0, draft.clone()), "insufficient funds").await;
    check(wallet.sign(0, draft.clone()), "nonce too low").await;
    let elsewhere = Draft {
        chain_id: CHAIN_ID + 1,
        ..draft.clone()
    };
    check(wallet.sign(1, elsewhere), "chain").await;
    check(
        wallet.sign(
            1,
            Draft {
                gas: 20_999,
                ..draft.clone()
            },
        ),
        "intrinsic gas too low",
    )
    .await;
    let greedy = Draft {
        gas: 120_000_001,
        ..draft.clone()
    };
    check(wallet.sign(1, greedy), "gas limit").await;
    let long = Draft {
        to: TxKind::Create,
        data: vec![0; 49_153].into(),
        gas: 9_000_000,
        ..draft.clone()
    };
    check(wallet.sign(1, long), "initcode size limit").await;
    check(vec![2, 0xc0].into(), "not a signed transaction").await;
    let mut tampered = wallet.sign(1, draft).to_vec();
    tampered.push(0);
    check(tampered.into(), "not a signed transaction").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn state_is_kept_for_the_tip_and_everything_else_for_ever() {
    let chain = LocalChain::start().await;
    let [wallet, ..] = Wallet::all();
    let mut tip = chain.shelf.tip();
    tip.wait_for(|tip| tip.height >= 3).await.unwrap();
    for (method, params) in [
        ("eth_getBalance", json!([wallet.address, "0x1"])),
        ("eth_getCode", json!([wallet.address, "0x1"])),
        ("eth_getTransactionCount", json!([wallet.address, "0x1"])),
        ("eth_getStorageAt", json!([wallet.address, "0x0", "0x1"])),
        ("eth_call", json!([{ "to": wallet.address }, "0x1"])),
        (
            "eth_estimateGas",
            json!([{ "to": wallet.address }, "earliest"]),
        ),
    ] {
        let error = chain.ask(method, params).await.unwrap_err();
        assert_eq!(error.code(), -32_001, "{method}");
        assert!(
            error.message().contains("is not kept"),
            "{method}: {}",
            error.message()
        );
    }
    for tag in ["latest", "pending", "safe", "finalized"] {
        let balance = chain
            .get("eth_getBalance", json!([wallet.address, tag]))
            .await;
        assert_eq!(balance, json!(U256::from(10).pow(U256::from(24))), "{tag}");
    }
    assert_eq!(
        chain.get("eth_getBlockByNumber", json!(["0x1"])).await["number"],
        "0x1"
    );
    let beyond = json!([wallet.address, U64::from(1_000_000)]);
    assert!(chain.ask("eth_getBalance", beyond).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_null_and_unknown_methods_are_named_so() {
    let chain = LocalChain::start().await;
    let nothing = B256::repeat_byte(0x11);
    for method in [
        "eth_getTransactionByHash",
        "eth_getTransactionReceipt",
        "eth_getBlockByHash",
    ] {
        assert_eq!(
            chain.get(method, json!([nothing])).await,
            Value::Null,
            "{method}"
        );
    }
    let nobody = Address::repeat_byte(9);
    assert_eq!(chain.get("eth_getCode", json!([nobody])).await, json!("0x"));
    assert_eq!(
        chain.get("eth_getBalance", json!([nobody])).await,
        json!("0x0")
    );
    assert_eq!(chain.get("assay_node", json!([nobody])).await, Value::Null);
    let proof = chain
        .get("assay_receiptProof", json!([nobody, nothing, 0]))
        .await;
    assert_eq!(proof, Value::Null);
    for method in [
        "eth_fillTransaction",
        "eth_getProof",
        "anvil_nodeInfo",
        "assay_nothing",
    ] {
        let error = chain.ask(method, json!([])).await.unwrap_err();
        assert_eq!(error.code(), -32_601, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_pays_needs_the_means_and_one_that_does_not_needs_none() {
    let chain = LocalChain::start().await;
    let (nobody, [wallet, ..]) = (Address::repeat_byte(9), Wallet::all());
    let free = json!({ "from": nobody, "to": wallet.address });
    assert_eq!(chain.get("eth_call", json!([free])).await, json!("0x"));
    let paying = json!({ "from": nobody, "to": wallet.address, "value": "0x1" });
    for method in ["eth_call", "eth_estimateGas"] {
        let error = chain.ask(method, json!([paying])).await.unwrap_err();
        assert!(
            error.message().contains("insufficient funds"),
            "{}",
            error.message()
        );
    }
    let overridden =
        json!([{ "to": nobody }, "latest", { nobody.to_string(): { "balance": "0x1" } }]);
    let error = chain.ask("eth_call", overridden).await.unwrap_err();
    assert!(error.message().contains("overrides are not supported"));
}
