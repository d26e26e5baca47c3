//! An OpenAI-compatible server without a model: the same tokens at the same times as the stub of a node, for gateways that
//! speak to such servers.

use crate::{clock::Clock, script::Script};
use assay_node::clock::now_ns;
use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc, time::Instant};

/// The server.
pub struct Stub {
    /// Wakes it.
    pub clock: Clock,
    /// What it says.
    pub scripts: Vec<Script>,
}

impl Stub {
    /// What it answers over HTTP.
    pub fn router(self) -> Router {
        Router::new()
            .route("/v1/chat/completions", post(chat))
            .with_state(Arc::new(self))
    }
}

async fn chat(State(stub): State<Arc<Stub>>, Json(request): Json<Value>) -> Response {
    let started = Instant::now();
    let model = request["model"].as_str().unwrap_or_default();
    let Some(script) = stub.scripts.iter().find(|script| script.name == model) else {
        return (StatusCode::NOT_FOUND, "no such model").into_response();
    };
    if request["stream"] != true {
        return (StatusCode::BAD_REQUEST, "only streams are made here").into_response();
    }
    let with_usage = request["stream_options"]["include_usage"] == true;
    let (clock, script) = (stub.clock.clone(), script.clone());
    let id = format!("chatcmpl-{:032x}", rand::random::<u128>());
    let head = json!({
        "id": id, "object": "chat.completion.chunk", "created": now_ns() / 1_000_000_000, "model": script.name,
    });
    let events = futures::stream::unfold(0u32, move |token| {
        let (clock, script, head) = (clock.clone(), script.clone(), head.clone());
        async move {
            if token > script.tokens {
                return None;
            }
            let text = if token == script.tokens {
                end(&head, with_usage.then_some(script.tokens))
            } else {
                // The alarm is gone only with its thread, which never ends.
                let _ = clock.at(started + script.due(token)).await;
                let delta = json!({"role": "assistant", "content": Script::text(token)});
                event(&head, delta, Value::Null)
            };
            Some((Ok::<_, Infallible>(text), token + 1))
        }
    });
    let media = [(header::CONTENT_TYPE, "text/event-stream")];
    (media, Body::from_stream(events)).into_response()
}

fn event(head: &Value, delta: Value, finish: Value) -> String {
    let mut chunk = head.clone();
    chunk["choices"] = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
    format!("data: {chunk}\n\n")
}

/// What comes after the last token, with the usage of so many tokens where it was asked for.
fn end(head: &Value, usage: Option<u32>) -> String {
    let mut text = event(head, json!({}), json!("stop"));
    if let Some(tokens) = usage {
        let mut chunk = head.clone();
        chunk["choices"] = json!([]);
        chunk["usage"] =
            json!({"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1});
        text.push_str(&format!("data: {chunk}\n\n"));
    }
    text + "data: [DONE]\n\n"
}
