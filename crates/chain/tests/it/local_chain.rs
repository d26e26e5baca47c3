//! A network of one validator, its clients and its wallets.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U64, U256};
use alloy_sol_types::SolCall;
use assay_chain::{
    application::{Pace, Shelf},
    engine::Timing,
    genesis::{self, Account},
    light::Network,
    network::{self, Addresses, Place},
    rpc::{self, Backend, Limits},
};
use assay_receipt::NodeKey;
use commonware_runtime::{Runner as _, tokio as runtime};
use jsonrpsee::{
    client_transport::ws::{Url, WsTransportClientBuilder},
    core::client::{Client, ClientBuilder, ClientT as _, Error as ClientError},
    types::ErrorObjectOwned,
};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{sync::oneshot, time::timeout};

/// How fast the chain of the tests goes.
pub const PACE: Pace = Pace {
    block: Duration::from_millis(30),
    empty: Duration::from_millis(60),
};
/// EIP-155 id of the test network.
pub const CHAIN_ID: u64 = 31_337;
/// Longest wait for anything; only a hanging validator meets it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running network; it stops and is deleted when dropped.
pub struct LocalChain {
    pub address: SocketAddr,
    pub shelf: Arc<Shelf>,
    pub network: Network,
    pub client: Client,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _directory: TempDir,
}

struct Started {
    address: SocketAddr,
    shelf: Arc<Shelf>,
    network: Network,
}

impl LocalChain {
    /// Starts a validator with default limits and waits for its first block.
    pub async fn start() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let (ready, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let builder = std::thread::Builder::new().stack_size(16 << 20);
        let run = move || {
            let config = runtime::Config::new().with_storage_directory(path.join("storage"));
            runtime::Runner::new(config).start(|context| async move {
                let (started, server) = validator(context, &path, limits).await;
                ready.send(started).unwrap();
                let _ = stopped.await;
                drop(server);
            });
        };
        let thread = builder.spawn(run).unwrap();
        let started = tokio::task::spawn_blocking(move || started.recv())
            .await
            .unwrap()
            .unwrap();
        let Started {
            address,
            shelf,
            network,
        } = started;
        let mut tip = shelf.tip();
        let first = timeout(PATIENCE, tip.wait_for(|tip| tip.height > 0)).await;
        first.expect("no block in time").unwrap();
        let client = websocket(address).await;
        let (stop, thread) = (Some(stop), Some(thread));
        Self {
            address,
            shelf,
            network,
            client,
            stop,
            thread,
            _directory: directory,
        }
    }

    /// Asks `method`.
    pub async fn ask(&self, method: &str, params: Value) -> Result<Value, ErrorObjectOwned> {
        let Value::Array(params) = params else {
            panic!("params are positional")
        };
        match self.client.request(method, params).await {
            Ok(value) => Ok(value),
            Err(ClientError::Call(error)) => Err(error),
            Err(other) => panic!("{method}: {other}"),
        }
    }

    /// Asks `method`, which must answer.
    #[track_caller]
    pub fn get(&self, method: &str, params: Value) -> impl Future<Output = Value> {
        let asked = self.ask(method, params);
        let method = method.to_owned();
        async move {
            asked
                .await
                .unwrap_or_else(|error| panic!("{method}: {error:?}"))
        }
    }

    /// A number that `method` answers.
    pub async fn number(&self, method: &str, params: Value) -> u64 {
        let number: U64 = serde_json::from_value(self.get(method, params).await).unwrap();
        number.to()
    }

    /// Calls a view function.
    pub async fn view<C: SolCall>(&self, to: Address, call: C) -> C::Return {
        let request = json!({ "to": to, "data": Bytes::from(call.abi_encode()) });
        let output = self.get("eth_call", json!([request, "latest"])).await;
        let output: Bytes = serde_json::from_value(output).unwrap();
        C::abi_decode_returns(&output).unwrap()
    }

    /// Waits for the receipt of a transaction, block by block.
    pub async fn mined(&self, hash: B256) -> Value {
        let mut tip = self.shelf.tip();
        loop {
            let receipt = self.get("eth_getTransactionReceipt", json!([hash])).await;
            if !receipt.is_null() {
                return receipt;
            }
            timeout(PATIENCE, tip.changed())
                .await
                .expect("no block in time")
                .unwrap();
        }
    }

    /// Signs, sends and waits for a transaction that must succeed; its gas is estimated.
    pub async fn transact(&self, wallet: &Wallet, to: TxKind, data: Vec<u8>) -> Value {
        let data = Bytes::from(data);
        let mut request = json!({ "from": wallet.address, "data": data });
        if let TxKind::Call(to) = to {
            request["to"] = json!(to);
        }
        let gas = self.number("eth_estimateGas", json!([request])).await;
        let receipt = self
            .send(
                wallet,
                Draft {
                    to,
                    data,
                    gas,
                    ..Draft::default()
                },
            )
            .await;
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt
    }

    /// Signs, sends and waits for a transaction.
    pub async fn send(&self, wallet: &Wallet, draft: Draft) -> Value {
        let params = json!([wallet.address, "pending"]);
        let nonce = self.number("eth_getTransactionCount", params).await;
        let raw = wallet.sign(nonce, draft);
        let hash = self.get("eth_sendRawTransaction", json!([raw])).await;
        self.mined(serde_json::from_value(hash).unwrap()).await
    }
}

impl Drop for LocalChain {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(
                ended.is_ok() || std::thread::panicking(),
                "the validator panicked"
            );
        }
    }
}

async fn validator(
    context: runtime::Context,
    path: &std::path::Path,
    limits: Limits,
) -> (Started, jsonrpsee::server::ServerHandle) {
    let rich = |wallet: Wallet| Account {
        address: wallet.address,
        wei: U256::from(10).pow(U256::from(24)),
        credits: U256::from(10).pow(U256::from(12)),
    };
    let accounts = Wallet::all().map(rich).to_vec();
    let rng = StdRng::seed_from_u64(1);
    let (genesis, secrets) = genesis::deal(rng, "test", CHAIN_ID, 1, accounts).unwrap();
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let addresses = Addresses {
        listen: anywhere,
        validators: vec![anywhere],
    };
    let place = Place {
        directory: path,
        partition: "validator".into(),
    };
    let timing = Timing {
        pace: PACE,
        ..Timing::default()
    };
    let running = network::run(context, &genesis, &secrets[0], &addresses, &place, timing);
    let running = running.await.unwrap();
    let backend = Backend {
        shelf: running.shelf.clone(),
        databases: running.databases,
        marshal: running.marshal,
        network: running.network.clone(),
        validators: 1,
        gossip: running.gossip,
        place: Default::default(),
    };
    let (address, server) = rpc::serve(anywhere, backend, limits).await.unwrap();
    (
        Started {
            address,
            shelf: running.shelf,
            network: running.network,
        },
        server,
    )
}

/// Connects over WebSocket.
pub async fn websocket(address: SocketAddr) -> Client {
    let url = Url::parse(&format!("ws://{address}")).unwrap();
    let (sender, receiver) = WsTransportClientBuilder::default()
        .build(url)
        .await
        .unwrap();
    ClientBuilder::default()
        .request_timeout(PATIENCE)
        .build_with_tokio(sender, receiver)
}

/// What a transaction does, beside nonce and chain.
#[derive(Debug, Clone)]
pub struct Draft {
    pub to: TxKind,
    pub value: U256,
    pub data: Bytes,
    pub gas: u64,
    /// Most wei per gas.
    pub fee: u128,
    pub chain_id: u64,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            to: TxKind::Create,
            value: U256::ZERO,
            data: Bytes::new(),
            gas: 21_000,
            fee: 2_000_000_000,
            chain_id: CHAIN_ID,
        }
    }
}

/// A secp256k1 key and its account.
pub struct Wallet {
    pub key: NodeKey,
    pub address: Address,
}

impl Wallet {
    /// The wallet of secret number `number`, from 1.
    pub fn new(number: u8) -> Self {
        let mut secret = [0; 32];
        secret[31] = number;
        Self::of(NodeKey::from_bytes(secret).unwrap())
    }

    /// The wallet of a key.
    pub fn of(key: NodeKey) -> Self {
        Self {
            address: Address::from(key.address()),
            key,
        }
    }

    /// The wallets that genesis endows.
    pub fn all() -> [Self; 3] {
        [1, 2, 3].map(Self::new)
    }

    /// A signed transaction of type 2 in EIP-2718 form.
    pub fn sign(&self, nonce: u64, draft: Draft) -> Bytes {
        let tx = TxEip1559 {
            chain_id: draft.chain_id,
            nonce,
            gas_limit: draft.gas,
            max_fee_per_gas: draft.fee,
            max_priority_fee_per_gas: 0,
            to: draft.to,
            value: draft.value,
            access_list: Default::default(),
            input: draft.data,
        };
        let signature = self.key.sign_digest(&tx.signature_hash().0);
        let signature = Signature::from_raw(signature.as_bytes()).unwrap();
        TxEnvelope::from(tx.into_signed(signature))
            .encoded_2718()
            .into()
    }
}
