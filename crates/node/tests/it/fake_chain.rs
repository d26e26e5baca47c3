//! A validator's JSON-RPC with the two registries in memory: what a gateway reads of a chain.

use alloy_primitives::{Address, Bytes, U256, hex};
use alloy_sol_types::{SolCall, SolError as _, sol};
use assay_node::{
    registry::{Models, Nodes},
    rpc_client::ChainHealth,
};
use assay_receipt::{NodeAddress, RevisionId};
use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
use tokio::{net::TcpListener, task::JoinHandle};

sol! {
    error UnknownName(address publisher, string name);
    function hubs(uint256 offset, uint256 limit) external view returns (address[] page);
}

/// What is on the chain.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Nodes with their endpoints.
    pub nodes: Mutex<Vec<(NodeAddress, String)>>,
    /// Published names with their newest revision.
    pub models: Mutex<Vec<(Address, String, RevisionId)>>,
    height: AtomicU64,
}

/// A running validator.
pub struct FakeChain {
    /// Its URL.
    pub url: String,
    /// What it holds.
    pub ledger: Arc<Ledger>,
    server: JoinHandle<()>,
}

impl Drop for FakeChain {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeChain {
    /// Starts on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ledger = Arc::new(Ledger::default());
        let router = Router::new()
            .route("/", post(answer))
            .with_state(Arc::clone(&ledger));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            ledger,
            server,
        }
    }
}

async fn answer(State(ledger): State<Arc<Ledger>>, Json(request): Json<Value>) -> Json<Value> {
    let id = request["id"].clone();
    let result = match request["method"].as_str().unwrap() {
        "assay_health" => Ok(json!(ChainHealth {
            height: ledger.height.fetch_add(1, Ordering::Relaxed),
            timestamp_ms: 1,
            pooled: 0,
            validators: 4,
            place: Default::default(),
        })),
        "assay_receiptProof" => Ok(Value::Null),
        "eth_call" => {
            let data: Bytes = serde_json::from_value(request["params"][0]["data"].clone()).unwrap();
            call(&ledger, &data)
        }
        other => panic!("the gateway asks {other}"),
    };
    Json(match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(data) => {
            let error = json!({"code": 3, "message": "execution reverted", "data": data});
            json!({"jsonrpc": "2.0", "id": id, "error": error})
        }
    })
}

/// What a call returns, or its revert data.
fn call(ledger: &Ledger, data: &[u8]) -> Result<Value, String> {
    let nodes = ledger.nodes.lock().unwrap();
    let models = ledger.models.lock().unwrap();
    let returned = |bytes: Vec<u8>| Ok(json!(hex::encode_prefixed(bytes)));
    let selector: [u8; 4] = data[..4].try_into().unwrap();
    match selector {
        hubsCall::SELECTOR => returned(hubsCall::abi_encode_returns(&Vec::new())),
        Nodes::nodesCall::SELECTOR => {
            let page: Vec<Address> = nodes.iter().map(|(node, _)| node.to_address()).collect();
            returned(Nodes::nodesCall::abi_encode_returns(&page))
        }
        Nodes::nodeOfCall::SELECTOR => {
            let node = Nodes::nodeOfCall::abi_decode(data).unwrap().node;
            let (_, endpoint) = nodes
                .iter()
                .find(|(known, _)| known.to_address() == node)
                .unwrap();
            returned(Nodes::nodeOfCall::abi_encode_returns(&record(endpoint)))
        }
        Models::modelCountCall::SELECTOR => returned(Models::modelCountCall::abi_encode_returns(
            &U256::from(models.len()),
        )),
        Models::modelAtCall::SELECTOR => {
            let index = Models::modelAtCall::abi_decode(data)
                .unwrap()
                .index
                .to::<usize>();
            let (publisher, name, revision) = models[index].clone();
            returned(Models::modelAtCall::abi_encode_returns(
                &Models::modelAtReturn {
                    publisher,
                    name,
                    newest: revision.into(),
                },
            ))
        }
        Models::latestCall::SELECTOR => {
            let asked = Models::latestCall::abi_decode(data).unwrap();
            let found = models
                .iter()
                .find(|(by, name, _)| *by == asked.publisher && *name == asked.name);
            match found {
                Some((_, _, revision)) => {
                    returned(Models::latestCall::abi_encode_returns(&(*revision).into()))
                }
                None => {
                    let error = UnknownName {
                        publisher: asked.publisher,
                        name: asked.name,
                    };
                    Err(hex::encode_prefixed(error.abi_encode()))
                }
            }
        }
        other => panic!("the gateway calls {}", hex::encode(other)),
    }
}

fn record(endpoint: &str) -> Nodes::Record {
    Nodes::Record {
        bond: 1_000_000_000,
        status: 1,
        exitsAt: 0,
        index: 0,
        operator: Address::repeat_byte(9),
        domains: Nodes::FailureDomains {
            asn: 0,
            country: Default::default(),
            teeVendor: 0,
            dataCentre: Default::default(),
            build: Default::default(),
        },
        endpoint: endpoint.into(),
    }
}
