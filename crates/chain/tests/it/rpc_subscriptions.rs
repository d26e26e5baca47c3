//! New heads and logs over WebSocket.

use crate::{
    local_chain::{LocalChain, PATIENCE, Wallet, websocket},
    rpc_contract::{add, deploy},
};
use jsonrpsee::core::client::{ClientT as _, Subscription, SubscriptionClientT as _};
use jsonrpsee::types::SubscriptionId;
use serde_json::{Value, json};
use tokio::time::timeout;

async fn next(subscription: &mut Subscription<Value>) -> Value {
    let next = timeout(PATIENCE, subscription.next()).await;
    next.expect("nothing in time").expect("it ended").unwrap()
}

async fn subscribe(chain: &LocalChain, params: Vec<Value>) -> Subscription<Value> {
    let client = &chain.client;
    client
        .subscribe("eth_subscribe", params, "eth_unsubscribe")
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_new_head_comes_once_and_in_order() {
    let chain = LocalChain::start().await;
    let mut heads = subscribe(&chain, vec![json!("newHeads")]).await;
    let mut last = next(&mut heads).await;
    for _ in 0..5 {
        let head = next(&mut heads).await;
        assert_eq!(head["parentHash"], last["hash"]);
        last = head;
    }
    let by_hash = chain
        .get("eth_getBlockByHash", json!([last["hash"], false]))
        .await;
    assert_eq!(by_hash["number"], last["number"]);
    assert_eq!(by_hash["logsBloom"], last["logsBloom"]);
    assert!(last["transactions"].is_null(), "a head has no transactions");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_come_as_they_become_final_and_only_those_asked_for() {
    let chain = LocalChain::start().await;
    let [wallet, ..] = Wallet::all();
    let (counter, _) = deploy(&chain, &wallet).await;
    let (other, _) = deploy(&chain, &wallet).await;
    let mut logs = subscribe(&chain, vec![json!("logs"), json!({ "address": counter })]).await;
    add(&chain, &wallet, other, 1, 1).await;
    let first = add(&chain, &wallet, counter, 1, 2).await;
    let second = add(&chain, &wallet, counter, 1, 3).await;
    assert_eq!(next(&mut logs).await, first["logs"][0]);
    assert_eq!(next(&mut logs).await, second["logs"][0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_has_an_id_of_hexadecimal_and_ends_when_told() {
    let chain = LocalChain::start().await;
    let heads = subscribe(&chain, vec![json!("newHeads")]).await;
    let jsonrpsee::core::client::SubscriptionKind::Subscription(SubscriptionId::Str(id)) =
        heads.kind()
    else {
        panic!("{:?} is not a text", heads.kind());
    };
    assert!(id.starts_with("0x") && id.len() == 34, "{id}");
    let client = websocket(chain.address).await;
    let stranger: bool = client
        .request("eth_unsubscribe", vec![json!(id)])
        .await
        .unwrap();
    assert!(
        !stranger,
        "nobody ends the subscription of another connection"
    );
    let ended: bool = chain
        .client
        .request("eth_unsubscribe", vec![json!(id)])
        .await
        .unwrap();
    assert!(ended);
    let refused = client
        .subscribe::<Value, _>("eth_subscribe", vec![json!("syncing")], "eth_unsubscribe")
        .await;
    assert!(refused.is_err());
}
