use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::openai::chat::Message;
use crate::openai::ordered::tests::any_json;
use crate::openai::{
    Error, FinishReason, Head, Kind, Limits, Piece, ResponseFormat, TokenLogprob, ToolChoice, Usage,
};

fn read(body: &Value) -> Result<Request, Error> {
    Request::from_json(body.to_string().as_bytes(), &Limits::default())
}

fn with(more: Value) -> Value {
    let mut body = json!({"model": "m", "input": "hi"});
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    body
}

fn roles(request: Request) -> Vec<&'static str> {
    let chat = request.into_chat();
    chat.messages.iter().map(Message::role).collect()
}

/// What the Python client and LangChain sent when they were logged, and an answer of ours sent back.
#[test]
fn what_real_clients_send_is_read() {
    let call = json!({"type": "function_call", "name": "add", "arguments": "{}", "call_id": "c1"});
    let output = json!({"type": "function_call_output", "output": "3", "call_id": "c1"});
    let back = json!({"id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": "a", "annotations": [], "logprobs": []}]});
    let call_back = json!({"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "c1",
        "name": "add", "arguments": "{}"});
    for (input, expected) in [
        (json!("a"), vec!["user"]),
        (json!([{"role": "user", "content": "x"}]), vec!["user"]),
        (
            json!([{"content": "s", "role": "system", "type": "message"},
            {"content": [{"type": "input_text", "text": "q"}], "role": "user", "type": "message"}, call, output]),
            vec!["system", "user", "assistant", "tool"],
        ),
        (
            json!([{"role": "user", "content": "x"}, back, call_back, output, {"role": "user", "content": "y"}]),
            vec!["user", "assistant", "tool", "user"],
        ),
    ] {
        let request =
            read(&with(json!({"input": input}))).unwrap_or_else(|error| panic!("{input}: {error}"));
        assert_eq!(roles(request), expected);
    }
    let instructed = read(&with(json!({"instructions": "be brief"}))).unwrap();
    assert_eq!(roles(instructed), ["developer", "user"]);
}

#[test]
fn every_parameter_is_read() {
    let request = read(&with(json!({
        "max_output_tokens": 16, "temperature": 0.5, "top_p": 1, "stream": true,
        "stream_options": {"include_obfuscation": false}, "parallel_tool_calls": false,
        "tools": [{"type": "function", "name": "f", "description": "d", "strict": true,
            "parameters": {"type": "object"}}, {"type": "function", "name": "g", "parameters": null, "strict": null}],
        "tool_choice": {"type": "function", "name": "g"},
        "text": {"format": {"type": "json_schema", "name": "s", "schema": {}, "strict": true}, "verbosity": "medium"},
        "include": ["message.output_text.logprobs"], "top_logprobs": 3, "metadata": {"a": "b"}, "user": "u",
        "reasoning": {"effort": null, "summary": null}, "store": false, "truncation": "disabled",
        "background": false, "service_tier": "auto", "previous_response_id": null, "assay": {"rung": "signed"},
    })))
    .unwrap();
    let chat = &request.chat;
    assert_eq!(
        (chat.max_tokens, chat.top_logprobs, chat.tools.len()),
        (Some(16), Some(3), 2)
    );
    assert_eq!(chat.tool_choice, Some(ToolChoice::Named("g".into())));
    assert!(
        matches!(&chat.response_format, ResponseFormat::JsonSchema(schema) if schema.name == "s")
    );
    assert!(chat.stream.is_some() && chat.extension.rung.is_some());
}

#[test]
fn wrong_requests_are_refused_by_name() {
    let item = |item: Value| json!({"input": [item]});
    let user = |part: Value| json!({"input": [{"role": "user", "content": [part]}]});
    for (more, param, code) in [
        (
            json!({"input": null}),
            "input",
            "missing_required_parameter",
        ),
        (json!({"input": []}), "input", "invalid_value"),
        (json!({"input": 5}), "input", "invalid_type"),
        (item(json!("x")), "input[0]", "invalid_type"),
        (
            item(json!({})),
            "input[0].role",
            "missing_required_parameter",
        ),
        (
            item(json!({"type": "reasoning", "summary": []})),
            "input[0].type",
            "invalid_value",
        ),
        (
            item(json!({"type": "item_reference", "id": "x"})),
            "input[0].type",
            "invalid_value",
        ),
        (
            item(json!({"type": null, "role": "user"})),
            "input[0].type",
            "missing_required_parameter",
        ),
        (
            item(json!({"role": "tool", "content": "x"})),
            "input[0].role",
            "invalid_value",
        ),
        (
            item(json!({"role": "user"})),
            "input[0].content",
            "missing_required_parameter",
        ),
        (
            item(json!({"role": "user", "content": "x", "name": "n"})),
            "input[0].name",
            "unknown_parameter",
        ),
        (
            item(json!({"role": "user", "content": "x", "phase": "commentary"})),
            "input[0].phase",
            "unsupported_parameter",
        ),
        (
            user(json!({"type": "input_image", "image_url": "x"})),
            "input[0].content[0].type",
            "invalid_value",
        ),
        (
            user(json!({"type": "output_text", "text": "x"})),
            "input[0].content[0].type",
            "invalid_value",
        ),
        (
            user(json!({"type": "input_text"})),
            "input[0].content[0].text",
            "missing_required_parameter",
        ),
        (
            item(json!({"type": "function_call", "name": "f", "arguments": "", "call_id": "c"})),
            "input",
            "invalid_value",
        ),
        (
            item(json!({"type": "function_call_output", "output": "", "call_id": "c"})),
            "input[0].call_id",
            "invalid_value",
        ),
        (
            item(json!({"type": "function_call_output", "output": ""})),
            "input[0].call_id",
            "missing_required_parameter",
        ),
        (
            json!({"max_output_tokens": 15}),
            "max_output_tokens",
            "integer_below_min_value",
        ),
        (json!({"max_tokens": 20}), "max_tokens", "unknown_parameter"),
        (
            json!({"previous_response_id": "resp_1"}),
            "previous_response_id",
            "unsupported_parameter",
        ),
        (
            json!({"conversation": "conv_1"}),
            "conversation",
            "unsupported_parameter",
        ),
        (
            json!({"background": true}),
            "background",
            "unsupported_value",
        ),
        (json!({"store": true}), "store", "unsupported_value"),
        (
            json!({"reasoning": {"effort": "high"}}),
            "reasoning",
            "unsupported_value",
        ),
        (
            json!({"truncation": "auto"}),
            "truncation",
            "unsupported_value",
        ),
        (
            json!({"include": ["reasoning.encrypted_content"]}),
            "include[0]",
            "invalid_value",
        ),
        (json!({"top_logprobs": 2}), "top_logprobs", "invalid_value"),
        (
            json!({"tools": [{"type": "web_search"}]}),
            "tools[0].type",
            "invalid_value",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "f"}}]}),
            "tools[0].function",
            "unknown_parameter",
        ),
        (
            json!({"tools": [{"type": "function", "name": "f", "defer_loading": true}]}),
            "tools[0].defer_loading",
            "unsupported_value",
        ),
        (
            json!({"tool_choice": {"type": "web_search"}}),
            "tool_choice.type",
            "invalid_value",
        ),
        (
            json!({"text": {"verbosity": "high"}}),
            "text.verbosity",
            "unsupported_value",
        ),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "s"}}}),
            "text.format.schema",
            "missing_required_parameter",
        ),
        (
            json!({"text": {"format": {"type": "text", "name": "s"}}}),
            "text.format.name",
            "unknown_parameter",
        ),
        (
            json!({"stream_options": {}}),
            "stream_options",
            "invalid_value",
        ),
        (json!({"stop": "x"}), "stop", "unknown_parameter"),
        (json!({"messages": []}), "messages", "unknown_parameter"),
    ] {
        let body = with(more);
        let error = read(&body).expect_err(&body.to_string());
        let found = (error.kind, error.param.as_deref(), error.code.as_deref());
        assert_eq!(
            found,
            (Kind::InvalidRequest, Some(param), Some(code)),
            "{body}: {error}"
        );
    }
}

fn stream() -> ResponseStream {
    let head = Head {
        id: "resp_1".into(),
        created: 5,
        model: "m".into(),
        system_fingerprint: None,
    };
    ResponseStream::new(head, &read(&with(json!({"user": "u"}))).unwrap())
}

fn said(text: &str) -> Piece {
    Piece::Text {
        text: text.into(),
        logprobs: vec![],
    }
}

fn call(id: &str) -> Piece {
    Piece::ToolCall {
        id: id.into(),
        name: "f".into(),
    }
}

fn run(pieces: Vec<Piece>) -> (Vec<Value>, Response) {
    let mut stream = stream();
    let mut events = stream.start();
    for piece in pieces {
        events.extend(stream.push(piece).unwrap());
    }
    events.extend(stream.finish(Usage::default(), Some(json!("r"))).unwrap());
    let each = events.into_iter();
    let values = each.map(|event| serde_json::to_value(event).unwrap());
    (values.collect(), stream.response().clone())
}

#[test]
fn events_come_in_the_order_that_clients_expect() {
    let (events, response) = run(vec![
        said("a"),
        said("b"),
        call("c1"),
        Piece::ToolArguments("{}".into()),
        Piece::Finish(FinishReason::ToolCalls),
    ]);
    let types: Vec<&str> = events.iter().map(|e| e["type"].as_str().unwrap()).collect();
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(types, expected);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], json!(number));
    }
    let last = &events.last().unwrap()["response"];
    assert_eq!(*last, serde_json::to_value(&response).unwrap());
    let output = json!([
        {"id": "msg_1_0", "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "ab", "annotations": [], "logprobs": []}]},
        {"id": "fc_1_1", "type": "function_call", "status": "completed", "call_id": "c1", "name": "f",
            "arguments": "{}"},
    ]);
    assert_eq!(last["output"], output);
    let rest = (
        &last["status"],
        &last["user"],
        &last["assay"],
        &last["temperature"],
    );
    assert_eq!(
        rest,
        (&json!("completed"), &json!("u"), &json!("r"), &json!(1.0))
    );
    assert_eq!(events[0]["response"]["output"], json!([]));
    assert_eq!(events[0]["response"]["status"], json!("in_progress"));
}

#[test]
fn cut_empty_and_failed_responses_say_so() {
    let (events, _) = run(vec![said("a"), Piece::Finish(FinishReason::Length)]);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(
        last["response"]["incomplete_details"],
        json!({"reason": "max_output_tokens"})
    );
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");
    let (events, _) = run(vec![Piece::Finish(FinishReason::Stop)]);
    assert_eq!(
        events.last().unwrap()["response"]["output"][0]["content"][0]["text"],
        ""
    );
    let mut failing = stream();
    failing.push(said("a")).unwrap();
    let events = failing.fail(Error::unavailable("no node", 1));
    let last = serde_json::to_value(events.last().unwrap()).unwrap();
    let error = json!({"code": "server_error", "message": "no node"});
    assert_eq!(
        (&last["type"], &last["response"]["error"]),
        (&json!("response.failed"), &error)
    );
    assert!(failing.push(said("b")).is_err());
    assert!(failing.finish(Usage::default(), None).is_err());
    let wire = events.last().unwrap().sse().unwrap();
    assert!(
        wire.starts_with("event: response.failed\ndata: {\"type\":\"response.failed\""),
        "{wire}"
    );
}

#[test]
fn pieces_out_of_order_are_our_fault() {
    let end = || Piece::Finish(FinishReason::Stop);
    for pieces in [
        vec![Piece::ToolArguments("{}".into())],
        vec![said("a"), Piece::ToolArguments("{}".into())],
        vec![end(), said("a")],
        vec![end(), end()],
    ] {
        let mut stream = stream();
        let pushed: Result<Vec<_>, _> =
            pieces.into_iter().map(|piece| stream.push(piece)).collect();
        assert_eq!(pushed.unwrap_err().status(), 500);
    }
    assert!(stream().finish(Usage::default(), None).is_err());
}

/// The output that a client has which only adds up what is new.
fn as_clients_join(events: &[Value]) -> Value {
    let mut output: Vec<Value> = Vec::new();
    for event in events {
        let at = event["output_index"].as_u64().unwrap_or(0) as usize;
        let append = |to: &mut Value| {
            let joined = format!(
                "{}{}",
                to.as_str().unwrap(),
                event["delta"].as_str().unwrap()
            );
            *to = json!(joined);
        };
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => output.insert(at, event["item"].clone()),
            "response.content_part.added" => output[at]["content"]
                .as_array_mut()
                .unwrap()
                .push(event["part"].clone()),
            "response.output_text.delta" => {
                let part = &mut output[at]["content"][0];
                append(&mut part["text"]);
                let tokens = event["logprobs"].as_array().unwrap().clone();
                part["logprobs"].as_array_mut().unwrap().extend(tokens);
            }
            "response.function_call_arguments.delta" => append(&mut output[at]["arguments"]),
            "response.output_text.done" => {
                assert_eq!(output[at]["content"][0]["text"], event["text"])
            }
            "response.content_part.done" => assert_eq!(output[at]["content"][0], event["part"]),
            "response.function_call_arguments.done" => {
                assert_eq!(output[at]["arguments"], event["arguments"])
            }
            "response.output_item.done" => {
                output[at]["status"] = event["item"]["status"].clone();
                assert_eq!(output[at], event["item"]);
            }
            _ => {}
        }
    }
    Value::Array(output)
}

proptest! {
    #[test]
    fn the_events_add_up_to_the_response(
        parts in proptest::collection::vec(prop_oneof![
            (".{0,4}", any::<bool>()).prop_map(|(text, token)| {
                let logprobs = token.then(|| TokenLogprob::new(text.as_bytes(), -0.5, vec![]));
                vec![Piece::Text { text, logprobs: logprobs.into_iter().collect() }]
            }),
            (".{1,4}", ".{0,4}").prop_map(|(id, more)| vec![call(&id), Piece::ToolArguments(more)]),
        ], 0..8),
        reason in prop_oneof![Just(FinishReason::Stop), Just(FinishReason::Length)],
    ) {
        let pieces = parts.into_iter().flatten().chain([Piece::Finish(reason)]).collect();
        let (events, response) = run(pieces);
        let output = serde_json::to_value(&response.output).unwrap();
        prop_assert_eq!(as_clients_join(&events), output.clone());
        // And it can be sent back as input, but for calls that still have no result.
        let texts: Vec<Value> = output.as_array().unwrap().iter().filter(|i| i["type"] == "message").cloned().collect();
        if !texts.is_empty() {
            let back = read(&with(json!({ "input": texts })));
            prop_assert!(back.is_ok());
        }
    }

    #[test]
    fn no_json_panics(
        members in proptest::collection::btree_map(
            proptest::sample::select(crate::openai::parameters::RESPONSES.iter().map(|p| p.name).collect::<Vec<_>>()),
            any_json(),
            0..6,
        ),
    ) {
        let more = members.into_iter().map(|(k, v)| (k.to_string(), v)).collect();
        let _ = read(&with(Value::Object(more)));
    }
}
