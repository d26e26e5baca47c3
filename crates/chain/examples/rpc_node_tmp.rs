//! tmp
#![allow(dead_code)]
#[path = "../tests/it/local_chain.rs"]
mod local_chain;
#[tokio::main]
async fn main() {
    let chain = local_chain::LocalChain::start().await;
    println!("{}", chain.address);
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
}
