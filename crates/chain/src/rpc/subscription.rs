//! `eth_subscribe` over WebSocket: new heads, and logs as they become final.

use super::{
    Refusal,
    logs::{bounded_filter, scan},
    surface::Surface,
    view::Chain,
};
use crate::engine::Runtime;
use alloy_primitives::hex;
use alloy_rpc_types_eth::{Filter, pubsub::SubscriptionKind};
use jsonrpsee::{
    Extensions, PendingSubscriptionSink, RpcModule, SubscriptionSink,
    core::{RegisterMethodError, traits::IdProvider},
    types::{Params, SubscriptionId},
};
use rand::RngExt as _;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use std::{sync::Arc, time::Duration};

/// A client that takes no message for this long has its subscription ended.
const CLIENT_PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn register<E: Runtime>(
    module: &mut RpcModule<Surface<E>>,
) -> Result<(), RegisterMethodError> {
    module.register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        subscribe,
    )?;
    Ok(())
}

/// Subscription ids as Ethereum clients expect them: 16 random bytes in hexadecimal.
#[derive(Debug, Clone, Copy)]
pub struct HexIds;

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        hex_id().into()
    }
}

/// An id that nobody can guess: "0x" and 32 hexadecimal digits.
pub(super) fn hex_id() -> String {
    hex::encode_prefixed(rand::rng().random::<[u8; 16]>())
}

/// What a subscription sends.
#[derive(Debug, Clone)]
enum Topic {
    Heads,
    Logs(Arc<Filter>),
}

fn topic(params: &Params<'_>) -> Result<Topic, Refusal> {
    let mut sequence = params.sequence();
    match sequence.next()? {
        SubscriptionKind::NewHeads => Ok(Topic::Heads),
        SubscriptionKind::Logs => {
            let filter = sequence.optional_next::<Filter>()?.unwrap_or_default();
            Ok(Topic::Logs(Arc::new(bounded_filter(filter)?)))
        }
        _ => Err(Refusal::Params(
            "only newHeads and logs can be subscribed to".into(),
        )),
    }
}

async fn subscribe<E: Runtime>(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    surface: Arc<Surface<E>>,
    _: Extensions,
) {
    let topic = match topic(&params) {
        Ok(topic) => topic,
        Err(refusal) => return pending.reject(refusal).await,
    };
    // From the tip of this moment on, so that nothing is missed while the answer is on its way.
    let tip = surface.backend.shelf.tip();
    if let Ok(sink) = pending.accept().await {
        follow(&surface, topic, tip, sink).await;
    }
}

async fn follow<E: Runtime>(
    surface: &Surface<E>,
    topic: Topic,
    mut tip: tokio::sync::watch::Receiver<crate::application::Tip>,
    sink: SubscriptionSink,
) {
    let mut next = tip.borrow_and_update().height.saturating_add(1);
    loop {
        tokio::select! {
            () = sink.closed() => return,
            moved = tip.changed() => if moved.is_err() { return },
        }
        let last = tip.borrow_and_update().height;
        while next <= last {
            let (topic, height) = (topic.clone(), next);
            let messages = match surface
                .read(move |chain| messages(chain, &topic, height))
                .await
            {
                Ok(messages) => messages,
                Err(error) => return tracing::warn!(%error, "a subscription ends"),
            };
            for message in messages {
                if sink.send_timeout(message, CLIENT_PATIENCE).await.is_err() {
                    return;
                }
            }
            next = next.saturating_add(1);
        }
    }
}

/// What a subscription to `topic` sends when the block at `height` is final.
fn messages(chain: &Chain, topic: &Topic, height: u64) -> Result<Vec<Box<RawValue>>, Refusal> {
    match topic {
        Topic::Heads => chain.header(height)?.iter().map(encode).collect(),
        Topic::Logs(filter) => {
            let found = scan(chain, filter, height..=height)?;
            found.logs.iter().map(encode).collect()
        }
    }
}

fn encode(message: &impl Serialize) -> Result<Box<RawValue>, Refusal> {
    to_raw_value(message).map_err(|error| Refusal::Internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_hexadecimal_and_do_not_repeat() {
        let ids: HashSet<String> = (0..1_000)
            .map(|_| match HexIds.next_id() {
                SubscriptionId::Str(id) => id.into_owned(),
                SubscriptionId::Num(id) => panic!("{id} is a number"),
            })
            .collect();
        assert_eq!(ids.len(), 1_000);
        for id in ids {
            assert_eq!(id.len(), 34);
            assert!(
                id.strip_prefix("0x")
                    .is_some_and(|hex| u128::from_str_radix(hex, 16).is_ok())
            );
        }
    }

    #[test]
    fn heads_and_logs_can_be_subscribed_to_and_nothing_else() {
        let read = |json: &str| topic(&Params::new(Some(json)));
        assert!(matches!(read(r#"["newHeads"]"#), Ok(Topic::Heads)));
        assert!(matches!(read(r#"["newHeads", {}]"#), Ok(Topic::Heads)));
        assert!(matches!(read(r#"["logs"]"#), Ok(Topic::Logs(_))));
        assert!(matches!(
            read(r#"["logs", {"topics": []}]"#),
            Ok(Topic::Logs(_))
        ));
        for wrong in [
            "[]",
            "[1]",
            r#"["heads"]"#,
            r#"["syncing"]"#,
            r#"["logs", 1]"#,
            "{}",
        ] {
            assert!(matches!(read(wrong), Err(Refusal::Params(_))), "{wrong}");
        }
    }
}
