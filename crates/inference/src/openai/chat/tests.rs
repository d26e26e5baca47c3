use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::openai::ordered::tests::any_json;
use crate::openai::{
    Check, Error, FinishReason, Head, Kind, Limits, Piece, ResponseFormat, StreamOptions,
    TokenLogprob, ToolChoice, Usage,
};

mod stream;

fn read(body: &Value) -> Result<Request, Error> {
    Request::from_json(body.to_string().as_bytes(), &Limits::default())
}

/// A request of one message with more members, later ones in place of earlier ones.
fn with(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let (Value::Object(body_members), Value::Object(more)) = (&mut body, more) else {
        panic!("objects");
    };
    body_members.extend(more);
    body
}

fn messages(messages: Value) -> Value {
    with(json!({"messages": messages}))
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

/// Status 400, the parameter and the code.
fn check_refused(body: &Value, param: &str, code: &str) {
    let error = read(body).expect_err(&body.to_string());
    let found = (error.kind, error.param.as_deref(), error.code.as_deref());
    assert_eq!(
        found,
        (Kind::InvalidRequest, Some(param), Some(code)),
        "{body}: {error}"
    );
    assert!(error.message.len() < 400, "{error}");
    let name = param.split(['[', '.']).next().unwrap();
    assert!(error.message.contains(name), "{param}: {error}");
}

/// What the Python client, the npm client and LangChain sent when they were logged.
#[test]
fn what_real_clients_send_is_read() {
    let schema = json!({
        "properties": {"x": {"title": "X", "type": "integer"}}, "required": ["x"], "title": "A",
        "type": "object", "additionalProperties": false,
    });
    let call = json!({"type": "function", "id": "c1", "function": {"name": "f", "arguments": "{\"a\": 1}"}});
    let parsed = json!({
        "type": "function", "id": "c1",
        "function": {"name": "f", "arguments": "{}", "parsed_arguments": {"x": 1}},
    });
    for body in [
        with(json!({})),
        with(json!({"stream": true, "stream_options": {"include_usage": true}})),
        with(
            json!({"stream": false, "response_format": {"type": "json_schema", "json_schema":
            {"schema": schema, "name": "A", "strict": true}}}),
        ),
        with(
            json!({"parallel_tool_calls": false, "stream": false, "tools": [tool("f")],
            "tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ),
        with(json!({"tool_choice": "required", "tools": [tool("f")]})),
        with(json!({"response_format": {"type": "json_object"}})),
        messages(json!([
            {"content": "s", "role": "system"}, {"content": "q", "role": "user"},
            {"content": null, "role": "assistant", "tool_calls": [call]},
            {"content": "3", "role": "tool", "tool_call_id": "c1"},
        ])),
        messages(json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null, "refusal": null, "tool_calls": [parsed], "parsed": null},
            {"role": "tool", "tool_call_id": "c1", "content": "1"},
            {"role": "assistant", "content": "{\"x\":1}", "refusal": null, "tool_calls": null, "parsed": {"x": 1}},
            {"role": "user", "content": [{"type": "text", "text": "go"}, {"type": "text", "text": " on"}]},
        ])),
    ] {
        let request = read(&body).unwrap_or_else(|error| panic!("{body}: {error}"));
        assert_eq!(read(&request.json()).unwrap(), request);
    }
}

#[test]
fn every_parameter_is_read() {
    let body = with(json!({
        "stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false}, "n": 2,
        "temperature": 0, "top_p": 0.5, "top_k": 40, "min_p": 0.1, "repetition_penalty": 1.1, "seed": -7,
        "stop": "end", "max_completion_tokens": 9, "frequency_penalty": -2, "presence_penalty": 2,
        "logit_bias": {"50256": -100, "3": 1.5}, "logprobs": true, "top_logprobs": 20,
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "strict": true,
            "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false,
        "response_format": {"type": "json_object"}, "user": "u", "safety_identifier": "s",
        "prompt_cache_key": "p", "metadata": {"k": "v"},
        "assay": {"rung": "replayed", "check": "streaming", "deadline_ms": 1000,
            "nonce": "340282366920938463463374607431768211455"},
    }));
    let request = read(&body).unwrap();
    assert_eq!(
        request.stream,
        Some(StreamOptions {
            include_usage: true
        })
    );
    assert_eq!(
        (request.choices, request.max_tokens, request.top_logprobs),
        (2, Some(9), Some(20))
    );
    assert_eq!(request.sampling.temperature, Some(0.0));
    assert_eq!(request.sampling.stop, ["end"]);
    assert_eq!(request.sampling.logit_bias, [(3, 1.5), (50256, -100.0)]);
    assert_eq!(request.tool_choice, Some(ToolChoice::Named("f".into())));
    assert_eq!(request.response_format, ResponseFormat::JsonObject);
    assert_eq!(request.extension.nonce, Some(u128::MAX));
    assert_eq!(request.extension.check, Some(Check::Streaming));
    assert_eq!(request.caller.metadata, [("k".into(), "v".into())]);
    assert_eq!(read(&request.json()).unwrap(), request);
}

#[test]
fn the_members_of_a_schema_stay_in_their_order() {
    let text = r#"{"type":"object","properties":{"reasons":{},"answer":{}}}"#;
    let tool = format!(r#"{{"type":"function","function":{{"name":"f","parameters":{text}}}}}"#);
    let format =
        format!(r#"{{"type":"json_schema","json_schema":{{"name":"a","schema":{text}}}}}"#);
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"tools":[{tool}],"response_format":{format}}}"#
    );
    let request = Request::from_json(body.as_bytes(), &Limits::default()).unwrap();
    let prompt = format!(r#"{{"messages":[{{"role":"user","content":"x"}}],"tools":[{tool}]}}"#);
    assert_eq!(request.prompt().to_string(), prompt);
    let ResponseFormat::JsonSchema(schema) = &request.response_format else {
        panic!("a schema");
    };
    assert_eq!(schema.schema.to_string(), text);
}

#[test]
fn wrong_values_are_refused_with_their_path() {
    for (more, param, code) in [
        (
            json!({"model": null}),
            "model",
            "missing_required_parameter",
        ),
        (json!({"model": ""}), "model", "invalid_value"),
        (json!({"model": "a\u{0}"}), "model", "invalid_value"),
        (json!({"model": 5}), "model", "invalid_type"),
        (
            json!({"model": "m".repeat(257)}),
            "model",
            "string_above_max_length",
        ),
        (
            json!({"temperature": 2.1}),
            "temperature",
            "decimal_above_max_value",
        ),
        (
            json!({"temperature": -0.1}),
            "temperature",
            "decimal_below_min_value",
        ),
        (json!({"temperature": "1"}), "temperature", "invalid_type"),
        (json!({"top_p": 1.01}), "top_p", "decimal_above_max_value"),
        (json!({"min_p": -1}), "min_p", "decimal_below_min_value"),
        (json!({"top_k": -2}), "top_k", "integer_below_min_value"),
        (
            json!({"top_k": 4294967296u64}),
            "top_k",
            "integer_above_max_value",
        ),
        (
            json!({"repetition_penalty": 0}),
            "repetition_penalty",
            "decimal_below_min_value",
        ),
        (
            json!({"frequency_penalty": 3}),
            "frequency_penalty",
            "decimal_above_max_value",
        ),
        (
            json!({"presence_penalty": -3}),
            "presence_penalty",
            "decimal_below_min_value",
        ),
        (json!({"n": 0}), "n", "integer_below_min_value"),
        (json!({"n": 129}), "n", "integer_above_max_value"),
        (json!({"n": 1.5}), "n", "invalid_type"),
        (
            json!({"seed": 9223372036854775808u64}),
            "seed",
            "integer_above_max_value",
        ),
        (json!({"seed": 1.0}), "seed", "invalid_type"),
        (
            json!({"stop": ["a", "b", "c", "d", "e"]}),
            "stop",
            "array_above_max_length",
        ),
        (json!({"stop": ["a", ""]}), "stop[1]", "invalid_value"),
        (json!({"stop": ""}), "stop", "invalid_value"),
        (json!({"stop": [1]}), "stop[0]", "invalid_type"),
        (
            json!({"stop": "x".repeat(1025)}),
            "stop",
            "string_above_max_length",
        ),
        (
            json!({"max_tokens": 0}),
            "max_tokens",
            "integer_below_min_value",
        ),
        (
            json!({"max_completion_tokens": -1}),
            "max_completion_tokens",
            "integer_below_min_value",
        ),
        (
            json!({"max_tokens": 1, "max_completion_tokens": 1}),
            "max_tokens",
            "invalid_value",
        ),
        (
            json!({"logit_bias": {"x": 1}}),
            "logit_bias",
            "invalid_value",
        ),
        (
            json!({"logit_bias": {"01": 1}}),
            "logit_bias",
            "invalid_value",
        ),
        (
            json!({"logit_bias": {"4294967296": 1}}),
            "logit_bias",
            "invalid_value",
        ),
        (
            json!({"logit_bias": {"1": 101}}),
            "logit_bias.1",
            "decimal_above_max_value",
        ),
        (json!({"logit_bias": [1]}), "logit_bias", "invalid_type"),
        (json!({"logprobs": 1}), "logprobs", "invalid_type"),
        (json!({"top_logprobs": 1}), "top_logprobs", "invalid_value"),
        (
            json!({"logprobs": true, "top_logprobs": 21}),
            "top_logprobs",
            "integer_above_max_value",
        ),
        (json!({"stream": "true"}), "stream", "invalid_type"),
        (
            json!({"stream_options": {}}),
            "stream_options",
            "invalid_value",
        ),
        (
            json!({"stream": true, "stream_options": {"x": 1}}),
            "stream_options.x",
            "unknown_parameter",
        ),
        (
            json!({"stream": true, "stream_options": {"include_obfuscation": true}}),
            "stream_options.include_obfuscation",
            "unsupported_value",
        ),
        (json!({"metadata": {"a": 1}}), "metadata", "invalid_type"),
        (
            json!({"metadata": {"a": "x".repeat(513)}}),
            "metadata",
            "string_above_max_length",
        ),
        (json!({"user": ["u"]}), "user", "invalid_type"),
        (json!({"frob": 1}), "frob", "unknown_parameter"),
        (json!({"frob": null}), "frob", "unknown_parameter"),
    ] {
        check_refused(&with(more), param, code);
    }
}

#[test]
fn wrong_tools_and_formats_are_refused_with_their_path() {
    let function = |function: Value| json!({"tools": [{"type": "function", "function": function}]});
    let schema =
        |schema: Value| json!({"response_format": {"type": "json_schema", "json_schema": schema}});
    for (more, param, code) in [
        (json!({"tools": {}}), "tools", "invalid_type"),
        (json!({"tools": [1]}), "tools[0]", "invalid_type"),
        (
            json!({"tools": [{"type": "custom", "custom": {}}]}),
            "tools[0].type",
            "invalid_value",
        ),
        (
            json!({"tools": [{"function": {"name": "f"}}]}),
            "tools[0].type",
            "missing_required_parameter",
        ),
        (
            json!({"tools": [{"type": "function"}]}),
            "tools[0].function",
            "missing_required_parameter",
        ),
        (
            json!({"tools": [tool("f"), tool("f")]}),
            "tools",
            "invalid_value",
        ),
        (
            json!({"tools": vec![tool("f"); 129]}),
            "tools",
            "array_above_max_length",
        ),
        (
            function(json!({})),
            "tools[0].function.name",
            "missing_required_parameter",
        ),
        (
            function(json!({"name": "a b"})),
            "tools[0].function.name",
            "invalid_value",
        ),
        (
            function(json!({"name": ""})),
            "tools[0].function.name",
            "invalid_value",
        ),
        (
            function(json!({"name": "a".repeat(65)})),
            "tools[0].function.name",
            "string_above_max_length",
        ),
        (
            function(json!({"name": "f", "parameters": []})),
            "tools[0].function.parameters",
            "invalid_type",
        ),
        (
            function(json!({"name": "f", "x": 1})),
            "tools[0].function.x",
            "unknown_parameter",
        ),
        (
            json!({"tool_choice": "required"}),
            "tool_choice",
            "invalid_value",
        ),
        (
            json!({"tool_choice": "any"}),
            "tool_choice",
            "invalid_value",
        ),
        (json!({"tool_choice": 1}), "tool_choice", "invalid_type"),
        (
            json!({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "g"}}}),
            "tool_choice",
            "invalid_value",
        ),
        (
            json!({"tool_choice": {"type": "allowed_tools"}}),
            "tool_choice.type",
            "invalid_value",
        ),
        (
            json!({"response_format": {"type": "xml"}}),
            "response_format.type",
            "invalid_value",
        ),
        (
            json!({"response_format": "text"}),
            "response_format",
            "invalid_type",
        ),
        (
            json!({"response_format": {"type": "json_schema"}}),
            "response_format.json_schema",
            "missing_required_parameter",
        ),
        (
            json!({"response_format": {"type": "text", "json_schema": {}}}),
            "response_format.json_schema",
            "unknown_parameter",
        ),
        (
            schema(json!({"name": "a"})),
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
        (
            schema(json!({"name": "a", "schema": true})),
            "response_format.json_schema.schema",
            "invalid_type",
        ),
        (
            schema(json!({"schema": {}})),
            "response_format.json_schema.name",
            "missing_required_parameter",
        ),
        (
            schema(json!({"name": "a", "schema": {}, "strict": 1})),
            "response_format.json_schema.strict",
            "invalid_type",
        ),
        (
            json!({"assay": {"rung": "gold"}}),
            "assay.rung",
            "invalid_value",
        ),
        (
            json!({"assay": {"check": true}}),
            "assay.check",
            "invalid_type",
        ),
        (
            json!({"assay": {"nonce": 5}}),
            "assay.nonce",
            "invalid_type",
        ),
        (
            json!({"assay": {"nonce": "05"}}),
            "assay.nonce",
            "invalid_value",
        ),
        (
            json!({"assay": {"nonce": "340282366920938463463374607431768211456"}}),
            "assay.nonce",
            "invalid_value",
        ),
        (
            json!({"assay": {"deadline_ms": 0}}),
            "assay.deadline_ms",
            "integer_below_min_value",
        ),
        (
            json!({"assay": {"price": 1}}),
            "assay.price",
            "unknown_parameter",
        ),
        (json!({"assay": []}), "assay", "invalid_type"),
    ] {
        check_refused(&with(more), param, code);
    }
}

#[test]
fn wrong_messages_are_refused_with_their_path() {
    let user = json!({"role": "user", "content": "a"});
    let calls = json!({"role": "assistant", "tool_calls": [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    ]});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": ""});
    let part = |part: Value| json!([user, user, user, {"role": "user", "content": [part]}]);
    for (list, param, code) in [
        (json!([]), "messages", "invalid_value"),
        (json!("hi"), "messages", "invalid_type"),
        (json!([1]), "messages[0]", "invalid_type"),
        (
            json!([{}]),
            "messages[0].role",
            "missing_required_parameter",
        ),
        (
            json!([{"role": "function", "name": "f", "content": ""}]),
            "messages[0].role",
            "invalid_value",
        ),
        (
            json!([{"role": "user"}]),
            "messages[0].content",
            "missing_required_parameter",
        ),
        (
            json!([{"role": "user", "content": null}]),
            "messages[0].content",
            "missing_required_parameter",
        ),
        (
            json!([{"role": "user", "content": []}]),
            "messages[0].content",
            "invalid_value",
        ),
        (
            json!([{"role": "user", "content": 5}]),
            "messages[0].content",
            "invalid_type",
        ),
        (
            json!([{"role": "user", "content": "a", "name": "a b"}]),
            "messages[0].name",
            "invalid_value",
        ),
        (
            json!([{"role": "user", "content": "a", "name": ""}]),
            "messages[0].name",
            "invalid_value",
        ),
        (
            json!([{"role": "user", "content": "a", "tool_calls": []}]),
            "messages[0].tool_calls",
            "unknown_parameter",
        ),
        (
            part(json!({"type": "image_url", "image_url": {"url": "x"}})),
            "messages[3].content[0].type",
            "invalid_value",
        ),
        (
            part(json!({"type": "input_audio"})),
            "messages[3].content[0].type",
            "invalid_value",
        ),
        (
            part(json!({"type": "file"})),
            "messages[3].content[0].type",
            "invalid_value",
        ),
        (
            part(json!({"text": "x"})),
            "messages[3].content[0].type",
            "missing_required_parameter",
        ),
        (
            part(json!({"type": "text"})),
            "messages[3].content[0].text",
            "missing_required_parameter",
        ),
        (
            part(json!({"type": "text", "text": 1})),
            "messages[3].content[0].text",
            "invalid_type",
        ),
        (
            part(json!({"type": "text", "text": "x", "prompt_cache_breakpoint": {}})),
            "messages[3].content[0].prompt_cache_breakpoint",
            "unsupported_parameter",
        ),
        (
            json!([{"role": "assistant"}]),
            "messages[0].content",
            "missing_required_parameter",
        ),
        (
            json!([{"role": "assistant", "content": "a", "refusal": "no"}]),
            "messages[0].refusal",
            "unsupported_parameter",
        ),
        (
            json!([{"role": "assistant", "content": "a", "audio": {"id": "x"}}]),
            "messages[0].audio",
            "unsupported_parameter",
        ),
        (
            json!([{"role": "assistant", "content": "a", "reasoning_content": "b"}]),
            "messages[0].reasoning_content",
            "unknown_parameter",
        ),
        (
            json!([{"role": "assistant", "tool_calls": [{"id": "", "type": "function",
            "function": {"name": "f", "arguments": ""}}]}]),
            "messages[0].tool_calls[0].id",
            "invalid_value",
        ),
        (
            json!([{"role": "assistant", "tool_calls": [{"id": "1", "type": "function",
            "function": {"name": "f"}}]}]),
            "messages[0].tool_calls[0].function.arguments",
            "missing_required_parameter",
        ),
        (
            json!([result("1")]),
            "messages[0].tool_call_id",
            "invalid_value",
        ),
        (json!([user, calls]), "messages", "invalid_value"),
        (
            json!([user, calls, result("1")]),
            "messages",
            "invalid_value",
        ),
        (
            json!([user, calls, result("1"), user]),
            "messages[3]",
            "invalid_value",
        ),
        (
            json!([user, calls, result("1"), result("1")]),
            "messages[3].tool_call_id",
            "invalid_value",
        ),
        (
            json!([user, calls, result("1"), result("2"), result("2")]),
            "messages[4].tool_call_id",
            "invalid_value",
        ),
        (
            json!([user, calls, {"role": "tool", "content": ""}]),
            "messages[2].tool_call_id",
            "missing_required_parameter",
        ),
    ] {
        check_refused(&messages(list), param, code);
    }
    assert!(
        read(&messages(json!([
            user,
            calls,
            result("2"),
            result("1"),
            user
        ])))
        .is_ok()
    );
}

#[test]
fn bodies_that_are_no_objects_or_too_large_are_refused() {
    for body in [
        "",
        "[]",
        "null",
        "\"x\"",
        "{\"model\":\"m\",\"model\":\"n\"}",
        "{} x",
    ] {
        let error = Request::from_json(body.as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!(error.status(), 400, "{body}");
    }
    let limits = Limits {
        body_bytes: 10,
        ..Limits::default()
    };
    let error = Request::from_json(b"{\"model\":1}", &limits).unwrap_err();
    assert_eq!((error.kind, error.status()), (Kind::TooLarge, 413));
}

proptest! {
    #[test]
    fn no_json_panics_and_what_is_accepted_reads_back(
        members in proptest::collection::btree_map(
            prop_oneof![
                proptest::sample::select(crate::openai::parameters::CHAT.iter().map(|p| p.name).collect::<Vec<_>>())
                    .prop_map(String::from),
                "[a-z]{1,3}",
            ],
            any_json(),
            0..6,
        ),
    ) {
        let body = with(Value::Object(members.into_iter().collect()));
        if let Ok(request) = read(&body) {
            prop_assert_eq!(read(&request.json()).unwrap(), request);
        }
    }

    /// A request made of valid members is accepted, and written again as it was meant.
    #[test]
    fn what_is_accepted_is_written_as_it_was_meant(
        members in proptest::sample::subsequence(meant(), 0..=meant().len()),
    ) {
        let body = with(Value::Object(members.iter().map(|(k, v, _)| (k.to_string(), v.clone())).collect()));
        let request = read(&body).unwrap();
        let mut expected = with(json!({}));
        for (name, _, written) in members {
            match written {
                Written::Same(value) => expected[name] = value,
                Written::As(name, value) => expected[name] = value,
                Written::Not => {}
            }
        }
        prop_assert_eq!(request.json(), expected);
    }
}

/// How a member is written again.
#[derive(Debug, Clone)]
enum Written {
    Same(Value),
    As(&'static str, Value),
    Not,
}

/// Members that are valid together in any combination.
fn meant() -> Vec<(&'static str, Value, Written)> {
    let same = |name, value: Value| (name, value.clone(), Written::Same(value));
    let not = |name, value: Value| (name, value, Written::Not);
    vec![
        same("temperature", json!(0.25)),
        ("top_p", json!(1), Written::Same(json!(1.0))),
        not("top_k", json!(-1)),
        same("min_p", json!(0.5)),
        same("seed", json!(12)),
        ("stop", json!("x"), Written::Same(json!(["x"]))),
        (
            "logit_bias",
            json!({"7": 1}),
            Written::Same(json!({"7": 1.0})),
        ),
        (
            "max_completion_tokens",
            json!(5),
            Written::As("max_tokens", json!(5)),
        ),
        not("n", json!(1)),
        same("logprobs", json!(true)),
        same("tools", json!([tool("f")])),
        same("tool_choice", json!("auto")),
        same("parallel_tool_calls", json!(true)),
        not("response_format", json!({"type": "text"})),
        same("stream", json!(true)),
        same("user", json!("u")),
        same("metadata", json!({"a": "b"})),
        not("store", json!(false)),
        not("service_tier", json!("default")),
        not("modalities", json!(["text"])),
        not("frequency_penalty", json!(null)),
        not("verbosity", json!("medium")),
        same(
            "assay",
            json!({"rung": "signed", "check": "none", "nonce": "5", "deadline_ms": 9}),
        ),
    ]
}

#[test]
fn parts_join_without_anything_between_them() {
    let list = json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]);
    let request = read(&messages(list.clone())).unwrap();
    let Message::User { content, .. } = &request.messages[0] else {
        panic!("a user");
    };
    assert_eq!(content.text(), "ab");
    assert_eq!(request.json().get("messages").cloned(), Some(list));
}
