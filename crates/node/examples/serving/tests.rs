//! That load, stubs and a gateway between them work at all; how fast is for benchmarks to say.

use crate::{
    clock::Clock,
    load::{self, Wanted},
    node_stub, openai_stub,
    reading::Protocol,
    script::Script,
};
use alloy_primitives::{B256, Bytes};
use assay_chain::light::Network;
use assay_node::{
    api::MODELS_PATH,
    gateway::{self, Config},
    shutdown,
};
use assay_receipt::NodeKey;
use axum::Router;
use fake_chain::FakeChain;
use std::time::Duration;
use tokio::{net::TcpListener, runtime::Runtime};

#[path = "../../tests/it/fake_chain.rs"]
mod fake_chain;

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

fn script() -> Script {
    "quick=20,10,5".parse().unwrap()
}

fn network() -> Network {
    Network {
        name: "test".into(),
        chain_id: 5,
        genesis: B256::repeat_byte(4),
        public_key: Bytes::from_static(&[1; 96]),
    }
}

fn wanted(url: &str, protocol: Protocol) -> Wanted {
    Wanted {
        url: url.into(),
        protocol,
        model: "quick".into(),
        tokens: 5,
        rate: 100.0,
        count: 20,
        warm_up: 2,
        most: 20,
        patience: Duration::from_secs(20),
    }
}

async fn served(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

async fn node() -> (NodeKey, String) {
    let key = || NodeKey::from_bytes([7; 32]).unwrap();
    let stub = node_stub::Stub::new(key(), network(), Clock::start(), vec![script()]);
    (key(), served(stub.router()).await)
}

/// All of 20 answers came whole, none before its time.
fn check(wanted: &Wanted, runtime: &Runtime) {
    let figures = load::run(wanted, runtime);
    assert_eq!(
        (figures.asked, figures.whole),
        (20, 20),
        "{:?}",
        figures.errors
    );
    assert!(
        figures.first_us.iter().all(|us| *us >= 20_000),
        "{:?}",
        figures.first_us
    );
    assert!(
        figures.total_us.iter().all(|us| *us >= 60_000),
        "{:?}",
        figures.total_us
    );
    assert!(!figures.gap_us.is_empty());
}

#[test]
fn both_stubs_answer_in_full_and_in_time() {
    let runtime = runtime();
    let (_, url) = runtime.block_on(node());
    check(&wanted(&url, Protocol::Node), &runtime);
    let stub = openai_stub::Stub {
        clock: Clock::start(),
        scripts: vec![script()],
    };
    let url = runtime.block_on(served(stub.router()));
    check(&wanted(&url, Protocol::OpenAi), &runtime);
}

#[test]
fn a_gateway_passes_the_stubs_answers_on() {
    let runtime = runtime();
    let folder = tempfile::tempdir().unwrap();
    let (trigger, shutdown) = shutdown::channel();
    let (url, _chain) = runtime.block_on(async {
        let (key, node) = node().await;
        let chain = FakeChain::start().await;
        *chain.ledger.nodes.lock().unwrap() = vec![(key.address(), node)];
        let file = folder.path().join("network.json");
        std::fs::write(&file, serde_json::to_string(&network()).unwrap()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config {
            allow_private_nodes: true,
            ..Config::new(file, address, vec![chain.url.clone()])
        };
        tokio::spawn(gateway::run_on(listener, config, shutdown));
        let url = format!("http://{address}");
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let knows = async || {
            let listed = http.get(format!("{url}{MODELS_PATH}")).send().await;
            listed.unwrap().text().await.unwrap().contains("quick")
        };
        while !knows().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (url, chain)
    });
    check(&wanted(&url, Protocol::OpenAi), &runtime);
    let lost = Wanted {
        tokens: 6,
        ..wanted(&url, Protocol::OpenAi)
    };
    let figures = load::run(&lost, &runtime);
    assert_eq!(
        (figures.whole, figures.errors["tokens are missing"]),
        (0, 20)
    );
    trigger.stop();
}

#[test]
fn what_breaks_off_or_is_late_is_counted() {
    let runtime = runtime();
    let (_, url) = runtime.block_on(node());
    let quick = wanted(&url, Protocol::Node);
    for (wanted, error) in [
        (
            Wanted {
                most: 1,
                ..quick.clone()
            },
            "not sent: too many are without an answer",
        ),
        (
            Wanted {
                patience: Duration::from_millis(30),
                ..quick.clone()
            },
            "it took too long",
        ),
        (
            Wanted {
                model: "other".into(),
                ..quick.clone()
            },
            "status 404",
        ),
        (
            Wanted {
                url: "http://127.0.0.1:9".into(),
                ..quick
            },
            "no connection: Connection refused (os error 111)",
        ),
    ] {
        let figures = load::run(&wanted, &runtime);
        assert!(figures.errors.contains_key(error), "{:?}", figures.errors);
        assert_eq!(figures.whole + figures.errors.values().sum::<usize>(), 20);
    }
}
