//! The chat model of the repository on our engine, beside what Hugging Face's library and torch make of the same files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use assay_inference::language::{
    Ask, Chat, Engine, EngineLimits, Error, Format, LanguageModel, Parameters, Prompt, Sampling,
    Sink, Step, Then, Usage,
};
use assay_inference::{Revision, RevisionLimits};
use assay_tensor::transformer::{Alone, Cache, How, Kernel, Model, Run, Scores};
use serde_json::{Value, json};

const CONTEXT: usize = 1024;
/// What ends a turn.
const END: u32 = 2;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

fn document(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(models().join(name)).unwrap()).unwrap()
}

fn model() -> LanguageModel {
    let directory = models().join("assay-chat");
    let revision = Revision::open(&directory, &RevisionLimits::default()).unwrap();
    LanguageModel::load(&revision, CONTEXT).unwrap()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn prompt(case: &Value) -> Prompt {
    Prompt::Chat(Chat {
        messages: list(&case["messages"]),
        tools: list(&case["tools"]),
        date: None,
    })
}

fn numbers(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Scores after each of the last tokens, by a pass of its own.
fn scores(model: &Model, tokens: &[u32], wanted: usize) -> Vec<f32> {
    let mut cache = Cache::default();
    let run = Run {
        cache: &mut cache,
        tokens,
        wanted,
    };
    let how = How {
        kernel: Kernel::Widest,
        workers: &Alone,
    };
    model.pass(&mut [run], how).unwrap().concat()
}

#[test]
fn tokens_are_those_of_hugging_face() {
    let model = model();
    let reference = document("assay-chat.reference.json");
    let cases = list(&reference["cases"]);
    assert!(cases.len() >= 10);
    for case in &cases {
        let tokens = model.tokens(&prompt(case)).unwrap();
        assert_eq!(tokens, numbers(&case["ids"]), "{}", case["text"]);
    }
}

#[test]
fn scores_and_greedy_answers_are_near_those_of_floats() {
    let model = model();
    let weights = model.weights();
    let cases = list(&document("assay-chat.reference.json")["cases"]);
    let mut same = 0;
    for case in &cases {
        let tokens = model.tokens(&prompt(case)).unwrap();
        let found = scores(&weights, &tokens, 1);
        for pair in list(&case["top"]) {
            let (token, score): (usize, f32) = serde_json::from_value(pair).unwrap();
            assert!(
                (found[token] - score).abs() < 1.5,
                "{token}: {} for {score}",
                found[token]
            );
        }
        let greedy = numbers(&case["greedy"]);
        same += usize::from(answer(&model, case, &greedy, 0.0, 1).0 == greedy);
    }
    // Weights of 8 bits are other weights; where they choose another token, the rest of the answer is another one.
    assert!(same * 10 >= cases.len() * 8, "{same} of {}", cases.len());
}

/// The quality that 8 bits cost: held-out loss beside that of the float weights, which torch measured.
#[test]
fn little_is_lost_by_eight_bits() {
    let model = model();
    let weights = model.weights();
    let heldout = document("assay-chat.heldout.json");
    let reference = heldout["figures"]["float32"]["nats_per_token"]
        .as_f64()
        .unwrap();
    let vocabulary = weights.dimensions().vocabulary;
    let (mut loss, mut count) = (0.0f64, 0u32);
    for conversation in list(&heldout["conversations"]) {
        let messages = list(&conversation["messages"]);
        for (at, message) in messages.iter().enumerate() {
            if message["role"] != "assistant" {
                continue;
            }
            let of = |messages: &[Value]| {
                let case = json!({"messages": messages, "tools": conversation["tools"]});
                model.tokens(&prompt(&case)).unwrap()
            };
            let (before, with) = (of(&messages[..at]), of(&messages[..=at]));
            assert!(with.starts_with(&before));
            let end = before.len()
                + with[before.len()..]
                    .iter()
                    .position(|token| *token == END)
                    .unwrap();
            let all = scores(&weights, &with[..end], end - before.len() + 1);
            for (row, token) in all.chunks_exact(vocabulary).zip(&with[before.len()..=end]) {
                loss -= f64::from(Scores::new(row).log_probability(row[*token as usize]));
                count += 1;
            }
        }
    }
    assert_eq!(
        u64::from(count),
        heldout["figures"]["float32"]["answer_tokens"]
            .as_u64()
            .unwrap()
    );
    let loss = loss / f64::from(count);
    println!("held-out loss: {loss:.4} nats per token with 8 bits, {reference:.4} with floats");
    assert!(loss < reference + 0.02, "{loss} for {reference}");
}

struct Ear(Sender<Result<Step, Result<Usage, Error>>>);

impl Sink for Ear {
    fn step(&mut self, step: Step) -> bool {
        self.0.send(Ok(step)).is_ok()
    }

    fn ended(&mut self, end: Result<Usage, Error>) {
        let _ = self.0.send(Err(end));
    }

    fn is_gone(&self) -> bool {
        false
    }
}

fn spoken(
    model: &LanguageModel,
    prompt: &Prompt,
    parameters: &Parameters,
    seed: u64,
) -> (Vec<u32>, String) {
    let limits = EngineLimits {
        threads: 1,
        ..EngineLimits::default()
    };
    let engine = Engine::start(model.weights(), limits, Box::new(|| 0)).unwrap();
    let tokens = model.tokens(prompt).unwrap();
    let (sender, receiver) = channel();
    let generation = model
        .generation(prompt, &tokens, parameters, seed, None)
        .unwrap();
    engine
        .submit(Ask {
            prompt: tokens,
            after: Vec::new(),
            checked_from: 0,
            then: Then::GoOn,
            generation,
            sink: Box::new(Ear(sender)),
        })
        .unwrap();
    let (mut tokens, mut text) = (Vec::new(), String::new());
    loop {
        match receiver.recv().unwrap() {
            Ok(step) => {
                tokens.push(step.token);
                text.push_str(&step.text);
            }
            Err(end) => {
                end.unwrap();
                return (tokens, text);
            }
        }
    }
}

fn answer(
    model: &LanguageModel,
    case: &Value,
    like: &[u32],
    temperature: f64,
    seed: u64,
) -> (Vec<u32>, String) {
    let sampling = Sampling {
        temperature,
        ..Sampling::default()
    };
    let parameters = Parameters {
        sampling,
        max_tokens: Some(like.len() as u32),
        ..Parameters::default()
    };
    spoken(model, &prompt(case), &parameters, seed)
}

fn asked(text: &str) -> Prompt {
    let messages = vec![json!({"role": "user", "content": text})];
    Prompt::Chat(Chat {
        messages,
        tools: Vec::new(),
        date: None,
    })
}

#[test]
fn it_answers_ends_and_keeps_to_a_seed() {
    let model = model();
    let cold = Sampling {
        temperature: 0.0,
        ..Sampling::default()
    };
    let parameters = Parameters {
        sampling: cold,
        ..Parameters::default()
    };
    let (tokens, text) = spoken(&model, &asked("What is a receipt?"), &parameters, 1);
    assert!(
        text.to_lowercase().contains("receipt") && text.ends_with('.'),
        "{text}"
    );
    assert!(tokens.len() < 200);
    let warm = Parameters {
        sampling: Sampling {
            temperature: 1.5,
            ..Sampling::default()
        },
        ..parameters
    };
    let drawn = |seed| spoken(&model, &asked("Tell me a story."), &warm, seed).1;
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
}

#[test]
fn json_follows_its_schema_and_a_call_is_one() {
    let model = model();
    let schema = json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150}}, "required": ["name", "age"],
        "additionalProperties": false});
    let parameters = Parameters {
        format: Some(Format::JsonSchema(schema)),
        ..Parameters::default()
    };
    for seed in 0..3 {
        let (_, text) = spoken(
            &model,
            &asked("Who are you? Answer as JSON."),
            &parameters,
            seed,
        );
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(
            value["name"].is_string() && value["age"].as_u64().unwrap() <= 150,
            "{text}"
        );
    }
    let tool = json!({"type": "function", "function": {"name": "get_weather", "parameters":
        {"type": "object", "properties": {"city": {"type": "string", "maxLength": 30}}, "required": ["city"],
         "additionalProperties": false}}});
    let messages = vec![json!({"role": "user", "content": "What is the weather in Lisbon?"})];
    let prompt = Prompt::Chat(Chat {
        messages,
        tools: vec![tool],
        date: None,
    });
    let format = Format::Call {
        tools: vec!["get_weather".into()],
        parallel: false,
    };
    let parameters = Parameters {
        format: Some(format),
        ..Parameters::default()
    };
    let (_, text) = spoken(&model, &prompt, &parameters, 1);
    assert!(
        text.contains("\"name\": \"get_weather\"") && text.contains("city"),
        "{text}"
    );
}

#[test]
fn what_the_model_cannot_read_is_refused() {
    let model = Arc::new(model());
    let plain = Parameters::default();
    let long = Prompt::Text("receipt ".repeat(2_000));
    let tokens = model.tokens(&long).unwrap();
    let refused = model
        .generation(&long, &tokens, &plain, 0, None)
        .unwrap_err();
    assert!(matches!(refused, Error::Context { .. }), "{refused}");
    for bad in [
        Prompt::Tokens(vec![]),
        Prompt::Tokens(vec![9_999_999]),
        Prompt::Chat(Chat {
            messages: vec![],
            tools: vec![],
            date: None,
        }),
        Prompt::Chat(Chat {
            messages: vec![json!({"role": "king"})],
            tools: vec![],
            date: None,
        }),
        Prompt::Chat(Chat {
            messages: vec![json!(3)],
            tools: vec![],
            date: None,
        }),
    ] {
        assert!(model.tokens(&bad).is_err(), "{bad:?}");
    }
    let prompt = asked("hello");
    let tokens = model.tokens(&prompt).unwrap();
    for bad in [
        Parameters {
            max_tokens: Some(0),
            ..plain.clone()
        },
        Parameters {
            max_tokens: Some(5_000),
            ..plain.clone()
        },
        Parameters {
            stop: vec![String::new()],
            ..plain.clone()
        },
        Parameters {
            format: Some(Format::JsonSchema(json!({"type": "king"}))),
            ..plain.clone()
        },
        Parameters {
            format: Some(Format::Call {
                tools: vec!["x".into()],
                parallel: true,
            }),
            ..plain
        },
    ] {
        assert!(
            model.generation(&prompt, &tokens, &bad, 0, None).is_err(),
            "{bad:?}"
        );
    }
}
