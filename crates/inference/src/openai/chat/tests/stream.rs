//! Chunks in their order, and the whole answer that clients join from them.

use super::*;

fn head() -> Head {
    Head {
        id: "chatcmpl-1".into(),
        created: 7,
        model: "m".into(),
        system_fingerprint: Some("fp".into()),
    }
}

fn text(text: &str) -> Piece {
    Piece::Text {
        text: text.into(),
        logprobs: vec![],
    }
}

fn usage() -> Usage {
    Usage {
        prompt_tokens: 3,
        completion_tokens: 2,
        cached_tokens: 0,
    }
}

fn values(chunks: Vec<Chunk>) -> Vec<Value> {
    let each = chunks.into_iter();
    each.map(|chunk| serde_json::to_value(chunk).unwrap())
        .collect()
}

#[test]
fn chunks_come_in_the_order_that_clients_expect() {
    let mut stream = ChatStream::new(head(), 1, true);
    let mut chunks = values(stream.start());
    assert!(stream.start().is_empty());
    for piece in [
        text("hi"),
        Piece::ToolCall {
            id: "call_1".into(),
            name: "f".into(),
        },
        Piece::ToolArguments("{}".into()),
        Piece::Finish(FinishReason::ToolCalls),
    ] {
        chunks.extend(values(stream.push(0, piece).unwrap()));
    }
    chunks.extend(values(
        stream.finish(usage(), Some(json!({"receipt": 1}))).unwrap(),
    ));
    let chunk = |delta: Value, reason: Value| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "m",
            "system_fingerprint": "fp", "usage": null,
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}],
        })
    };
    let mut last = chunk(json!({}), json!(null));
    last["choices"] = json!([]);
    last["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 0}});
    last["assay"] = json!({"receipt": 1});
    let expected = [
        chunk(
            json!({"role": "assistant", "content": null, "refusal": null}),
            json!(null),
        ),
        chunk(json!({"content": "hi"}), json!(null)),
        chunk(
            json!({"tool_calls": [{"index": 0, "id": "call_1", "type": "function",
            "function": {"name": "f", "arguments": ""}}]}),
            json!(null),
        ),
        chunk(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
            json!(null),
        ),
        chunk(json!({}), json!("tool_calls")),
        last,
    ];
    assert_eq!(chunks, expected);
}

#[test]
fn without_usage_the_receipts_come_with_the_last_choice() {
    let mut stream = ChatStream::new(head(), 2, false);
    let first = stream.push(0, Piece::Finish(FinishReason::Stop)).unwrap();
    assert_eq!(first.len(), 2, "the role, then the end");
    let second = stream.push(1, Piece::Finish(FinishReason::Length)).unwrap();
    assert_eq!(second.len(), 1, "the end waits");
    let last = values(stream.finish(usage(), Some(json!(1))).unwrap());
    assert_eq!(last.len(), 1);
    assert_eq!(last[0]["assay"], json!(1));
    assert_eq!(last[0]["choices"][0]["finish_reason"], json!("length"));
    assert!(last[0].get("usage").is_none());
}

#[test]
fn pieces_out_of_order_are_our_fault() {
    let check = |pieces: Vec<(u32, Piece)>| {
        let whole = ChatStream::whole(head(), 1, pieces, usage(), None);
        assert_eq!(whole.unwrap_err().status(), 500);
    };
    let end = || Piece::Finish(FinishReason::Stop);
    check(vec![]);
    check(vec![(0, text("a"))]);
    check(vec![(1, text("a")), (0, end())]);
    check(vec![(0, end()), (0, text("a"))]);
    check(vec![(0, end()), (0, end())]);
    check(vec![(0, Piece::ToolArguments("{}".into())), (0, end())]);
    let mut stream = ChatStream::new(head(), 1, true);
    stream.push(0, end()).unwrap();
    stream.finish(usage(), None).unwrap();
    assert!(stream.finish(usage(), None).is_err(), "it ends once");
}

#[test]
fn streams_that_cannot_be_joined_are_refused() {
    let chunk =
        |choices: Value| -> Chunk { serde_json::from_value(json!({"choices": choices})).unwrap() };
    let end = json!({"index": 0, "delta": {}, "finish_reason": "stop"});
    for chunks in [
        vec![],
        vec![chunk(json!([]))],
        vec![chunk(json!([{"index": 0, "delta": {"content": "a"}}]))],
        vec![chunk(
            json!([{"index": 1, "delta": {}, "finish_reason": "stop"}]),
        )],
        vec![
            chunk(json!([{"index": 128, "delta": {}}])),
            chunk(json!([end])),
        ],
        vec![chunk(json!([{"index": 4294967295u32, "delta": {}}]))],
        vec![
            chunk(json!([{"delta": {"tool_calls": [{"index": 1}]}}])),
            chunk(json!([end])),
        ],
        vec![chunk(
            json!([{"delta": {"tool_calls": [{"index": 4294967295u32}]}}]),
        )],
    ] {
        let mut join = Join::default();
        let joined = join.push_all(chunks.clone()).and_then(|()| join.finish());
        assert_eq!(joined.unwrap_err().status(), 502, "{chunks:?}");
    }
}

/// Joins a delta to what is known as OpenAI's Python client does it: texts are appended, lists with indices joined by
/// them, other lists appended, `index` and `type` replaced.
fn accumulate(known: &mut Value, delta: &Value) {
    for (name, new) in delta.as_object().unwrap() {
        let indexed = new
            .as_array()
            .is_some_and(|items| items.iter().any(|i| i.get("index").is_some()));
        let old = known
            .as_object_mut()
            .unwrap()
            .entry(name)
            .or_insert(Value::Null);
        if old.is_null() {
            *old = if indexed { json!([]) } else { new.clone() };
            if !indexed {
                continue;
            }
        }
        match (old, new) {
            (old, new) if name == "index" || name == "type" => *old = new.clone(),
            (Value::String(old), Value::String(new)) => old.push_str(new),
            (old @ Value::Object(_), Value::Object(_)) => accumulate(old, new),
            (Value::Array(old), Value::Array(new)) if indexed => {
                for item in new {
                    let index = item["index"].as_u64().unwrap() as usize;
                    if index < old.len() {
                        accumulate(&mut old[index], item);
                    } else {
                        old.insert(index, item.clone());
                    }
                }
            }
            (Value::Array(old), Value::Array(new)) => old.extend(new.iter().cloned()),
            _ => {}
        }
    }
}

/// The choices that the Python client has after all chunks.
fn as_python_joins(chunks: &[Value]) -> Value {
    let mut choices: Vec<Value> = Vec::new();
    for new in chunks
        .iter()
        .flat_map(|chunk| chunk["choices"].as_array().unwrap())
    {
        let index = new["index"].as_u64().unwrap();
        let at = choices.iter().position(|c| c["index"] == json!(index));
        let at = at.unwrap_or_else(|| {
            choices.push(json!({"index": index, "message": {}, "logprobs": null}));
            choices.len() - 1
        });
        accumulate(&mut choices[at]["message"], &new["delta"]);
        if !new["finish_reason"].is_null() {
            choices[at]["finish_reason"] = new["finish_reason"].clone();
        }
        if let Value::Object(logprobs) = &new["logprobs"] {
            if choices[at]["logprobs"].is_null() {
                choices[at]["logprobs"] = json!({"content": [], "refusal": null});
            }
            let content = logprobs["content"].as_array().unwrap().clone();
            choices[at]["logprobs"]["content"]
                .as_array_mut()
                .unwrap()
                .extend(content);
        }
    }
    for choice in &mut choices {
        for call in choice["message"]
            .get_mut("tool_calls")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            call.as_object_mut().unwrap().remove("index");
        }
    }
    choices.sort_by_key(|choice| choice["index"].as_u64());
    Value::Array(choices)
}

/// Pieces of one choice, in an order that is right.
fn any_pieces() -> impl Strategy<Value = Vec<Piece>> {
    let token = (proptest::collection::vec(any::<u8>(), 0..4), -20.0f64..0.0)
        .prop_map(|(bytes, logprob)| TokenLogprob::new(&bytes, logprob, vec![]));
    let said = (".{0,5}", proptest::collection::vec(token, 0..3))
        .prop_map(|(text, logprobs)| vec![Piece::Text { text, logprobs }]);
    let call =
        ("[a-z]{1,4}", proptest::collection::vec(".{0,5}", 0..3)).prop_map(|(name, arguments)| {
            let id = format!("call_{name}");
            let arguments = arguments.into_iter().map(Piece::ToolArguments);
            std::iter::once(Piece::ToolCall { id, name })
                .chain(arguments)
                .collect()
        });
    let reason = prop_oneof![
        Just(FinishReason::Stop),
        Just(FinishReason::Length),
        Just(FinishReason::ToolCalls)
    ];
    let said = prop_oneof![2 => said, 1 => call];
    (proptest::collection::vec(said, 0..5), reason).prop_map(|(parts, reason)| {
        parts
            .into_iter()
            .flatten()
            .chain([Piece::Finish(reason)])
            .collect()
    })
}

/// A choice and its pieces, interleaved with those of others.
fn any_answer() -> impl Strategy<Value = (u32, Vec<(u32, Piece)>)> {
    let choices = proptest::collection::vec(any_pieces(), 1..4);
    (
        choices,
        proptest::collection::vec(any::<prop::sample::Index>(), 40),
    )
        .prop_map(|(choices, order)| {
            let count = choices.len() as u32;
            let mut left: Vec<(u32, std::vec::IntoIter<Piece>)> = choices
                .into_iter()
                .map(Vec::into_iter)
                .zip(0..)
                .map(|(p, i)| (i, p))
                .collect();
            let mut pieces = Vec::new();
            let mut order = order.into_iter().cycle();
            while !left.is_empty() {
                let at = order.next().unwrap().index(left.len());
                match left[at].1.next() {
                    Some(piece) => pieces.push((left[at].0, piece)),
                    None => drop(left.remove(at)),
                }
            }
            (count, pieces)
        })
}

proptest! {
    #[test]
    fn the_whole_answer_is_what_clients_join(
        (count, pieces) in any_answer(), include_usage in any::<bool>(), early in any::<bool>(),
    ) {
        let mut stream = ChatStream::new(head(), count, include_usage);
        let mut chunks = if early { stream.start() } else { vec![] };
        for (choice, piece) in pieces.clone() {
            chunks.extend(stream.push(choice, piece).unwrap());
        }
        chunks.extend(stream.finish(usage(), Some(json!(["r"]))).unwrap());
        let written: Vec<Value> = values(chunks.clone());
        // Every chunk but that of the usage has exactly one choice; the last one has the receipts.
        let lone = written.iter().filter(|c| c["choices"].as_array().unwrap().len() == 1).count();
        prop_assert_eq!(lone, written.len() - usize::from(include_usage));
        prop_assert!(written.iter().rev().skip(1).all(|c| c.get("assay").is_none()));

        let whole = ChatStream::whole(head(), count, pieces, usage(), Some(json!(["r"]))).unwrap();
        let value = serde_json::to_value(&whole).unwrap();
        prop_assert_eq!(&value["choices"], &as_python_joins(&written));
        prop_assert_eq!(&value["object"], "chat.completion");
        prop_assert_eq!(&value["assay"], &json!(["r"]));

        // And what we write, we read.
        prop_assert_eq!(&serde_json::from_value::<Completion>(value).unwrap(), &whole);
        let mut join = Join::default();
        for chunk in written {
            join.push(serde_json::from_value(chunk).unwrap()).unwrap();
        }
        let usage = include_usage.then(usage);
        prop_assert_eq!(join.finish().unwrap(), Completion { usage, ..whole });
    }
}
