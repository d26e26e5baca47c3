//! Requests that no honest client sends: each gets an error, none stops the server.

use crate::local_chain::LocalChain;
use alloy_primitives::{Bytes, U64};
use alloy_sol_types::SolCall as _;
use assay_chain::{
    precompile::{verifyBatchCall, verifyReceiptCall},
    rpc::Limits,
    spec::VERIFIER,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

/// Methods that need at least one parameter.
const NEEDY: [&str; 29] = [
    "eth_getBlockByNumber",
    "eth_getBlockByHash",
    "eth_getBlockTransactionCountByNumber",
    "eth_getBlockTransactionCountByHash",
    "eth_getBlockReceipts",
    "eth_getTransactionByHash",
    "eth_getTransactionByBlockNumberAndIndex",
    "eth_getTransactionByBlockHashAndIndex",
    "eth_getTransactionReceipt",
    "eth_sendRawTransaction",
    "eth_getBalance",
    "eth_getTransactionCount",
    "eth_getCode",
    "eth_getStorageAt",
    "eth_call",
    "eth_estimateGas",
    "eth_feeHistory",
    "eth_getLogs",
    "eth_newFilter",
    "eth_getFilterChanges",
    "eth_getFilterLogs",
    "eth_uninstallFilter",
    "eth_subscribe",
    "eth_unsubscribe",
    "web3_sha3",
    "assay_receiptProof",
    "assay_stream",
    "assay_node",
    "assay_nothing",
];

#[tokio::test(flavor = "multi_thread")]
async fn malformed_parameters_get_an_error_from_every_method() {
    let chain = LocalChain::start().await;
    for method in NEEDY {
        for params in [
            json!([]),
            json!([[[]]]),
            json!([true]),
            json!([1.5]),
            json!([{ "to": 5 }]),
        ] {
            let answer = chain.ask(method, params.clone()).await;
            // Ending a subscription that is none is no error in this protocol.
            if !(method == "eth_unsubscribe" && answer == Ok(json!(false))) {
                assert!(answer.is_err(), "{method} {params}: {answer:?}");
            }
        }
    }
    assert!(chain.number("eth_blockNumber", json!([])).await > 0);
}

/// Some JSON, mostly of shapes that parameters have.
fn any_value(rng: &mut StdRng, depth: u32) -> Value {
    let hex = |rng: &mut StdRng, digits: usize| {
        let digits = (0..digits).map(|_| char::from_digit(rng.random_range(0..16), 16).unwrap());
        Value::String(format!("0x{}", digits.collect::<String>()))
    };
    match rng.random_range(0..if depth == 0 { 9 } else { 12 }) {
        0 => Value::Null,
        1 => json!(rng.random::<bool>()),
        2 => json!(rng.random::<u64>()),
        3 => json!(rng.random::<f64>() * 1e9),
        4 => hex(rng, 40),
        5 => hex(rng, 64),
        6 => {
            let digits = rng.random_range(0..70);
            hex(rng, digits)
        }
        7 => json!(
            [
                "latest", "pending", "earliest", "logs", "newHeads", "", "\u{0}é"
            ][rng.random_range(0..7)]
        ),
        8 => json!(-1),
        9 => (0..rng.random_range(0..4))
            .map(|_| any_value(rng, depth - 1))
            .collect(),
        _ => {
            let names = [
                "from",
                "to",
                "data",
                "gas",
                "value",
                "topics",
                "address",
                "fromBlock",
                "toBlock",
                "blockHash",
                "nonce",
                "type",
                "accessList",
                "maxFeePerGas",
            ];
            let mut object = serde_json::Map::new();
            for _ in 0..rng.random_range(0..4) {
                let name = names[rng.random_range(0..names.len())];
                object.insert(name.into(), any_value(rng, depth - 1));
            }
            Value::Object(object)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_parameters_are_answered_and_the_server_stays() {
    let chain = LocalChain::start().await;
    let seed = 0x5eed;
    let mut rng = StdRng::seed_from_u64(seed);
    let methods = NEEDY.iter().filter(|method| **method != "eth_subscribe");
    let methods: Vec<&str> = methods.copied().collect();
    for round in 0..3_000 {
        let method = methods[rng.random_range(0..methods.len())];
        let count = rng.random_range(0..5);
        let params: Vec<Value> = (0..count).map(|_| any_value(&mut rng, 2)).collect();
        // Panics if the connection ends or the answer is no JSON-RPC.
        if let Err(error) = chain.ask(method, json!(params)).await {
            let internal = error.code() == -32_603;
            assert!(
                !internal,
                "seed {seed} round {round}: {method} {params:?}: {error:?}"
            );
        }
    }
    assert!(chain.number("eth_blockNumber", json!([])).await > 0);
}

/// Posts `body` over HTTP/1.1 and returns the status line and the body of the answer.
fn post(address: SocketAddr, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    // A server that refuses a long body may close before it has read all of it.
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body.as_bytes()));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (
        head.lines().next().unwrap_or_default().to_owned(),
        body.to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_and_oversized_http_requests_are_refused() {
    let limits = Limits {
        batch: 3,
        request_bytes: 4_096,
        ..Limits::default()
    };
    let chain = LocalChain::with_limits(limits).await;
    let ask = |body: String| {
        let address = chain.address;
        async move {
            tokio::task::spawn_blocking(move || post(address, &body))
                .await
                .unwrap()
        }
    };
    let code = |body: &str| {
        let answer: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{body}"));
        answer["error"]["code"].as_i64()
    };
    assert_eq!(code(&ask("{".into()).await.1), Some(-32_700));
    assert_eq!(
        code(&ask(r#"{"jsonrpc":"2.0","id":1}"#.into()).await.1),
        Some(-32_600)
    );
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
    let unknown = call.replace("eth_chainId", "eth_none");
    let (_, body) = ask(format!("[{call},{unknown},{call}]")).await;
    let batch: Vec<Value> = serde_json::from_str(&body).unwrap();
    let codes: Vec<_> = batch
        .iter()
        .map(|part| part["error"]["code"].as_i64())
        .collect();
    assert_eq!(codes, [None, Some(-32_601), None]);
    let (_, body) = ask(format!("[{}]", [call; 4].join(","))).await;
    assert!(code(&body).is_some(), "a batch over the limit: {body}");
    let (status, _) = ask(call.replace("[]", &format!("[\"{}\"]", "x".repeat(8_192)))).await;
    assert!(status.contains("413"), "{status}");
    assert_eq!(code(&ask(call.into()).await.1), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verifier_is_paid_before_it_copies() {
    let chain = LocalChain::start().await;
    let call = |selector: [u8; 4], gas: u64| {
        let mut data = selector.to_vec();
        data.resize(4 + 100_000, 0);
        json!([{ "to": VERIFIER, "data": Bytes::from(data), "gas": U64::from(gas) }, "latest"])
    };
    let batch = |gas| chain.ask("eth_call", call(verifyBatchCall::SELECTOR, gas));
    let unpaid = batch(2_000_000).await.unwrap_err();
    assert!(unpaid.message().contains("out of gas"), "{unpaid:?}");
    let paid = batch(8_000_000).await.unwrap_err();
    assert!(paid.message().contains("revert"), "{paid:?}");
    let long = call(verifyReceiptCall::SELECTOR, 2_000_000);
    let long = chain.ask("eth_call", long).await.unwrap_err();
    assert!(long.message().contains("revert"), "{long:?}");
}
