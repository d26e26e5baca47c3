//! The follower before validators that fail, lag and take turns: each event comes once, whoever answers.

use alloy_primitives::{Address, B256, Bytes, U64, hex, keccak256};
use alloy_sol_types::{SolEvent as _, SolValue as _};
use assay_chain::spec::MODEL_REGISTRY;
use assay_node::{
    registry_events::{Happened, RefMoved, RefMoves},
    rpc_client::RpcClient,
};
use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::{net::TcpListener, task::JoinHandle};

/// Finalized height at the end.
const END: u64 = 60;

/// A validator that is at some height, and answers now and then.
struct Flaky {
    url: String,
    desk: Arc<Mutex<Desk>>,
    server: JoinHandle<()>,
}

struct Desk {
    tip: u64,
    rng: StdRng,
    /// Of a hundred requests, so many get no answer.
    silent: u32,
}

impl Drop for Flaky {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Flaky {
    async fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let desk = Desk {
            tip: 0,
            rng: StdRng::seed_from_u64(seed),
            silent: 40,
        };
        let desk = Arc::new(Mutex::new(desk));
        let router = Router::new()
            .route("/", post(answer))
            .with_state(Arc::clone(&desk));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, desk, server }
    }
}

/// The moves of the chain: one or two in each block but every fifth.
fn moves_at(height: u64) -> u64 {
    match height % 5 {
        0 => 0,
        3 => 2,
        _ => 1,
    }
}

fn log(height: u64, index: u64) -> Value {
    let name = format!("m{height}-{index}");
    let revision = B256::from(keccak256(&name).0);
    let data = (
        name.clone(),
        "main".to_owned(),
        B256::ZERO,
        revision,
        Address::ZERO,
    );
    json!({
        "address": MODEL_REGISTRY,
        "topics": [RefMoved::SIGNATURE_HASH, Address::ZERO.into_word(), keccak256(&name), revision],
        "data": hex::encode_prefixed(data.abi_encode_params()),
        "blockNumber": U64::from(height),
        "logIndex": U64::from(index),
        "transactionHash": B256::ZERO,
    })
}

async fn answer(
    State(desk): State<Arc<Mutex<Desk>>>,
    Json(request): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let mut desk = desk.lock().unwrap();
    if desk.rng.random_range(0..100) < desk.silent {
        return (StatusCode::BAD_GATEWAY, Json(Value::Null));
    }
    let number = |field: &str| -> u64 {
        let number: U64 = serde_json::from_value(request["params"][0][field].clone()).unwrap();
        number.to()
    };
    let result = match request["method"].as_str().unwrap() {
        "eth_blockNumber" => json!(U64::from(desk.tip)),
        // As validators do, up to their tip.
        "eth_getLogs" => (number("fromBlock")..=number("toBlock").min(desk.tip))
            .flat_map(|height| (0..moves_at(height)).map(move |index| log(height, index)))
            .collect(),
        other => panic!("the follower asks {other}"),
    };
    (
        StatusCode::OK,
        Json(json!({"id": request["id"], "result": result})),
    )
}

#[tokio::test]
async fn validators_that_fail_and_lag_cost_no_event_and_repeat_none() {
    let expected: Vec<String> = (0..=END)
        .flat_map(|height| (0..moves_at(height)).map(move |index| format!("m{height}-{index}")))
        .collect();
    for seed in 0..8u64 {
        let validators = [Flaky::start(seed).await, Flaky::start(seed + 100).await];
        let rpc = RpcClient::new(&validators.each_ref().map(|validator| validator.url.clone()));
        let mut moves = RefMoves::new(rpc.unwrap(), 0).in_pages_of(7);
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut kept, mut next) = (Vec::new(), 0);
        for round in 0.. {
            assert!(round < 2_000, "seed {seed}: the follower does not arrive");
            for validator in &validators {
                let mut desk = validator.desk.lock().unwrap();
                desk.tip = (desk.tip + rng.random_range(0..4)).min(END);
            }
            let Ok(page) = moves.page().await else {
                continue;
            };
            kept.extend(page.events.into_iter().map(|event| match event.happened {
                Happened::RefMoved(moved) => moved.repository.name,
                other => panic!("{other:?}"),
            }));
            assert!(page.next >= next, "seed {seed}: it goes back");
            next = page.next;
            if next > END {
                break;
            }
        }
        assert_eq!(kept, expected, "seed {seed}");
    }
}

#[tokio::test]
async fn a_validator_that_stands_still_does_not_hold_the_follower() {
    let validators = [Flaky::start(1).await, Flaky::start(2).await];
    for (validator, tip) in validators.iter().zip([4, END]) {
        let mut desk = validator.desk.lock().unwrap();
        (desk.tip, desk.silent) = (tip, 0);
    }
    let rpc = RpcClient::new(&validators.each_ref().map(|validator| validator.url.clone()));
    let mut moves = RefMoves::new(rpc.unwrap(), 0).in_pages_of(7);
    let mut events = 0;
    for _ in 0..END {
        events += moves.page().await.unwrap().events.len();
    }
    let expected: u64 = (0..=END).map(moves_at).sum();
    assert_eq!(events as u64, expected);
}

/// The limit that LIMITS.md names: nothing in a page says that it is all.
#[tokio::test]
async fn a_validator_that_leaves_a_move_out_is_believed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let reply = async |Json(request): Json<Value>| {
        let result = match request["method"].as_str().unwrap() {
            "eth_blockNumber" => json!(U64::from(3)),
            // The block 3 has two moves.
            _ => json!([log(1, 0), log(3, 1)]),
        };
        Json(json!({"id": request["id"], "result": result}))
    };
    let router = Router::new().route("/", post(reply));
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let mut moves = RefMoves::new(RpcClient::new(&[url]).unwrap(), 0);
    let page = moves.page().await.unwrap();
    assert_eq!((page.events.len(), page.next, page.caught_up), (2, 4, true));
    server.abort();
}

#[tokio::test]
async fn a_page_with_an_event_that_cannot_be_read_is_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let flaws: [fn(&mut Value); 4] = [
        |log| log["data"] = json!(Bytes::from_static(&[1])),
        |log| log["topics"][2] = json!(B256::ZERO),
        |log| log["topics"][0] = json!(B256::ZERO),
        |log| log["topics"] = json!([RefMoved::SIGNATURE_HASH]),
    ];
    let flaw = Arc::new(Mutex::new(flaws[0]));
    let shared = Arc::clone(&flaw);
    let reply = move |Json(request): Json<Value>| {
        let flaw = *shared.lock().unwrap();
        async move {
            let result = match request["method"].as_str().unwrap() {
                "eth_blockNumber" => json!(U64::from(9)),
                _ => {
                    let mut log = log(5, 0);
                    flaw(&mut log);
                    json!([log])
                }
            };
            Json(json!({"id": request["id"], "result": result}))
        }
    };
    let router = Router::new().route("/", post(reply));
    let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let mut moves = RefMoves::new(RpcClient::new(&[url]).unwrap(), 0);
    for each in flaws {
        *flaw.lock().unwrap() = each;
        assert!(moves.page().await.is_err());
    }
    *flaw.lock().unwrap() = |_| ();
    let page = moves.page().await.unwrap();
    assert_eq!(
        (page.events.len(), page.next, page.caught_up),
        (1, 10, true)
    );
    server.abort();
}
