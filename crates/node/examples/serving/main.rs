//! Load for gateways, and what stands behind them: `cargo run -p assay-node --example serving -- stub|load ...`.
//!
//! - `stub --network FILE --key FILE --listen ADDRESS --openai ADDRESS --model NAME=FIRST_MS,GAP_MS,TOKENS...`: answers that
//!   are made up at fixed times, from a node's port with real signatures, and from an OpenAI-compatible one.
//! - `load --url URL --protocol node|openai --model NAME --tokens N --rate R --count N [--warm-up N] [--most N]
//!   [--patience-s S]`: questions at a constant rate; the last line is one JSON object with all figures.

mod clock;
mod load;
mod node_stub;
mod openai_stub;
mod reading;
mod script;
#[cfg(test)]
mod tests;

use assay_chain::light::Network;
use assay_node::{config::read_key, files::read_json};
use axum::{Router, serve::ListenerExt as _};
use clock::Clock;
use load::Wanted;
use reading::Protocol;
use script::Script;
use std::{path::Path, time::Duration};
use tokio::net::TcpListener;

/// Threads of either side.
const THREADS: usize = 2;

fn main() {
    assay_node::open_files::raise();
    let all: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .unwrap();
    match all.split_first() {
        Some((role, options)) if role == "stub" => runtime.block_on(stub(&Options(options))),
        Some((role, options)) if role == "load" => {
            let figures = load::run(&wanted(&Options(options)), &runtime);
            println!("{}", serde_json::to_string(&figures).unwrap());
        }
        _ => panic!("say `stub` or `load`, and how"),
    }
}

/// Pairs of `--name value`.
struct Options<'a>(&'a [String]);

impl Options<'_> {
    fn every(&self, name: &str) -> Vec<&str> {
        let is_it = |pair: &&[String]| pair[0].strip_prefix("--") == Some(name);
        let values = self.0.chunks_exact(2).filter(is_it);
        values.map(|pair| pair[1].as_str()).collect()
    }

    fn one(&self, name: &str) -> &str {
        match self.every(name)[..] {
            [value] => value,
            _ => panic!("--{name} has to be given once"),
        }
    }

    fn number<T: std::str::FromStr>(&self, name: &str, otherwise: Option<T>) -> T {
        match self.every(name).first() {
            Some(value) => value
                .parse()
                .ok()
                .unwrap_or_else(|| panic!("--{name} {value} is no number")),
            None => otherwise.unwrap_or_else(|| panic!("--{name} has to be given")),
        }
    }
}

async fn stub(options: &Options<'_>) {
    let scripts: Vec<Script> = options
        .every("model")
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    let network: Network = read_json(Path::new(options.one("network"))).unwrap();
    let key = read_key(Path::new(options.one("key"))).unwrap();
    let clock = Clock::start();
    let openai = openai_stub::Stub {
        clock: clock.clone(),
        scripts: scripts.clone(),
    };
    let node = node_stub::Stub::new(key, network, clock, scripts);
    let on = async |address: &str| TcpListener::bind(address).await.unwrap();
    let (listen, other) = (
        on(options.one("listen")).await,
        on(options.one("openai")).await,
    );
    tokio::join!(serve(listen, node.router()), serve(other, openai.router()));
}

async fn serve(listener: TcpListener, router: Router) {
    // A token is a small write, and none may wait for the acknowledgement of the one before.
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, router).await.unwrap();
}

fn wanted(options: &Options<'_>) -> Wanted {
    let protocol = match options.one("protocol") {
        "node" => Protocol::Node,
        "openai" => Protocol::OpenAi,
        other => panic!("--protocol {other} is neither node nor openai"),
    };
    Wanted {
        url: options.one("url").into(),
        protocol,
        model: options.one("model").into(),
        tokens: options.number("tokens", None),
        rate: options.number("rate", None),
        count: options.number("count", None),
        warm_up: options.number("warm-up", Some(0)),
        most: options.number("most", Some(usize::MAX)),
        patience: Duration::from_secs(options.number("patience-s", Some(20))),
    }
}
