use proptest::prelude::*;
use serde_json::json;

use super::super::TopLogprob;
use super::*;
use crate::openai::{Kind, TokenLogprob};

fn read(body: &Value) -> Result<Request, Error> {
    Request::from_json(body.to_string().as_bytes(), &Limits::default())
}

#[test]
fn prompts_are_read_in_their_four_forms() {
    for (prompt, expected) in [
        (json!("a"), vec![Prompt::Text("a".into())]),
        (
            json!(["a", ""]),
            vec![Prompt::Text("a".into()), Prompt::Text(String::new())],
        ),
        (json!([1, 2]), vec![Prompt::Tokens(vec![1, 2])]),
        (
            json!([[1], [2, 3]]),
            vec![Prompt::Tokens(vec![1]), Prompt::Tokens(vec![2, 3])],
        ),
    ] {
        let request = read(&json!({"model": "m", "prompt": prompt})).unwrap();
        assert_eq!(request.prompts, expected);
        assert_eq!(request.max_tokens, DEFAULT_MAX_TOKENS);
        assert_eq!(read(&request.json()).unwrap(), request);
    }
    // What LangChain sent when it was logged.
    let sent = json!({"model": "m", "prompt": ["hi"], "frequency_penalty": 0, "logprobs": null, "max_tokens": 256,
        "n": 1, "presence_penalty": 0, "seed": null, "temperature": 0.7, "top_p": 1});
    assert_eq!(read(&sent).unwrap().max_tokens, 256);
}

#[test]
fn wrong_requests_are_refused_by_name() {
    for (more, param, code) in [
        (
            json!({"prompt": null}),
            "prompt",
            "missing_required_parameter",
        ),
        (json!({"prompt": []}), "prompt", "invalid_value"),
        (json!({"prompt": {}}), "prompt", "invalid_type"),
        (json!({"prompt": [[]]}), "prompt[0]", "invalid_value"),
        (json!({"prompt": [1, "a"]}), "prompt[1]", "invalid_type"),
        (json!({"prompt": [-1]}), "prompt[0]", "invalid_type"),
        (json!({"prompt": [1.5]}), "prompt[0]", "invalid_type"),
        (
            json!({"prompt": [4294967296u64]}),
            "prompt[0]",
            "invalid_type",
        ),
        (
            json!({"prompt": ["a", [1, true]]}),
            "prompt[1][1]",
            "invalid_type",
        ),
        (json!({"prompt": [null]}), "prompt[0]", "invalid_type"),
        (
            json!({"prompt": vec!["a"; 2049]}),
            "prompt",
            "array_above_max_length",
        ),
        (
            json!({"prompt": vec!["a"; 100], "n": 128}),
            "n",
            "invalid_value",
        ),
        (json!({"echo": true}), "echo", "unsupported_value"),
        (json!({"suffix": "x"}), "suffix", "unsupported_value"),
        (json!({"best_of": 2}), "best_of", "unsupported_value"),
        (
            json!({"logprobs": 6}),
            "logprobs",
            "integer_above_max_value",
        ),
        (json!({"logprobs": true}), "logprobs", "invalid_type"),
        (
            json!({"max_tokens": 0}),
            "max_tokens",
            "integer_below_min_value",
        ),
        (
            json!({"max_completion_tokens": 5}),
            "max_completion_tokens",
            "unknown_parameter",
        ),
        (json!({"messages": []}), "messages", "unknown_parameter"),
        (json!({"tools": []}), "tools", "unknown_parameter"),
    ] {
        let mut body = json!({"model": "m", "prompt": "a"});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let error = read(&body).expect_err(&body.to_string());
        let found = (error.kind, error.param.as_deref(), error.code.as_deref());
        assert_eq!(
            found,
            (Kind::InvalidRequest, Some(param), Some(code)),
            "{body}"
        );
    }
}

fn head() -> Head {
    Head {
        id: "cmpl-1".into(),
        created: 1,
        model: "m".into(),
        system_fingerprint: None,
    }
}

fn said(text: &str) -> Piece {
    let top = vec![TopLogprob::new(b"x", -0.5), TopLogprob::new(b"x", -0.9)];
    Piece::Text {
        text: text.into(),
        logprobs: vec![TokenLogprob::new(text.as_bytes(), -1.0, top)],
    }
}

#[test]
fn the_whole_has_the_older_shape() {
    let pieces = vec![
        (0, said("aö")),
        (1, Piece::Finish(FinishReason::Stop)),
        (0, said("b")),
        (0, Piece::Finish(FinishReason::Length)),
    ];
    let usage = Usage::default();
    let whole = CompletionStream::whole(head(), 2, pieces, usage, Some(json!(1))).unwrap();
    let expected = json!({
        "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "assay": 1,
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0,
            "prompt_tokens_details": {"cached_tokens": 0}},
        "choices": [
            {"index": 0, "text": "aöb", "finish_reason": "length", "logprobs": {
                "tokens": ["aö", "b"], "token_logprobs": [-1.0, -1.0], "text_offset": [0, 2],
                "top_logprobs": [{"aö": -1.0, "x": -0.5}, {"b": -1.0, "x": -0.5}]}},
            {"index": 1, "text": "", "finish_reason": "stop", "logprobs": null},
        ],
    });
    assert_eq!(serde_json::to_value(whole).unwrap(), expected);
    let mut stream = CompletionStream::new(head(), 1, false);
    let call = Piece::ToolCall {
        id: "c".into(),
        name: "f".into(),
    };
    assert_eq!(stream.push(0, call).unwrap_err().status(), 500);
}

proptest! {
    #[test]
    fn chunks_join_to_the_whole(texts in proptest::collection::vec((0u32..3, ".{0,4}"), 0..12)) {
        let mut pieces: Vec<(u32, Piece)> = texts.iter().map(|(i, text)| (*i, said(text))).collect();
        pieces.extend((0..3).map(|i| (i, Piece::Finish(FinishReason::Stop))));
        let mut stream = CompletionStream::new(head(), 3, false);
        let mut joined = vec![String::new(); 3];
        let mut chunks = Vec::new();
        for (choice, piece) in pieces.clone() {
            chunks.extend(stream.push(choice, piece).unwrap());
        }
        chunks.extend(stream.finish(Usage::default(), None).unwrap());
        for choice in chunks.iter().flat_map(|chunk| &chunk.choices) {
            joined[choice.index as usize].push_str(&choice.text);
        }
        let whole = CompletionStream::whole(head(), 3, pieces, Usage::default(), None).unwrap();
        let texts: Vec<String> = whole.choices.iter().map(|choice| choice.text.clone()).collect();
        prop_assert_eq!(joined, texts);
        prop_assert!(whole.choices.iter().all(|choice| choice.finish_reason.is_some()));
    }
}
