//! From a request in OpenAI's words to a question for nodes.

use crate::{
    api::{MAX_DEADLINE_MS, ModelEntry, generate::GenerateRequest},
    problem::Problem,
};
use assay_inference::language::{Chat, Format, Parameters, Prompt, Sampling};
use assay_inference::openai::{
    Error, Extension, ResponseFormat, Sampling as Wanted, ToolChoice, chat, completions,
};
use serde_json::{Value, json};

/// The derivation of the seeds of further choices from the first one's.
const CHOICE: &str = "assay.network choice seed v1";

/// What is asked of a model, for each choice.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// One for each choice.
    pub(super) questions: Vec<GenerateRequest>,
    /// Whether calls of tools are to be looked for.
    pub(super) has_tools: bool,
    /// Whether more than one call may be made.
    pub(super) parallel: bool,
}

/// A question of a conversation.
///
/// # Errors
/// For what this model cannot do, by the parameter.
pub(super) fn of_chat(request: &chat::Request, model: &ModelEntry) -> Result<Task, Error> {
    let is_off = request.tool_choice == Some(ToolChoice::None);
    let shown = request.prompt();
    let list = |name: &str| {
        shown
            .get(name)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let tools = if is_off { Vec::new() } else { list("tools") };
    let has_tools = !tools.is_empty();
    if has_tools && model.tool_format.is_none() {
        let message = format!("`{}` was not made to call tools", request.model);
        return Err(Error::invalid("tools", "unsupported_value", message));
    }
    let names = || request.tools.iter().map(|tool| tool.name.clone()).collect();
    let parallel = request.parallel_tool_calls.unwrap_or(true);
    let call = match &request.tool_choice {
        Some(ToolChoice::Required) => Some(names()),
        Some(ToolChoice::Named(name)) => Some(vec![name.clone()]),
        Some(ToolChoice::Auto | ToolChoice::None) | None => None,
    };
    let format = match (&request.response_format, call) {
        (_, Some(tools)) => Some(Format::Call { tools, parallel }),
        (ResponseFormat::Text, None) => None,
        (ResponseFormat::JsonObject, None) => Some(Format::JsonObject),
        (ResponseFormat::JsonSchema(named), None) => Some(Format::JsonSchema(named.schema.clone())),
    };
    let prompt = Prompt::Chat(Chat {
        messages: list("messages"),
        tools,
        date: None,
    });
    let parameters = Parameters {
        sampling: sampling(&request.sampling),
        max_tokens: request.max_tokens,
        stop: request.sampling.stop.clone(),
        format,
    };
    let seed = seed(request.sampling.seed);
    let likely = request.top_logprobs;
    let questions = (0..request.choices)
        .map(|choice| {
            question(
                &prompt,
                &parameters,
                (seed, choice),
                likely,
                &request.extension,
            )
        })
        .collect();
    Ok(Task {
        questions,
        has_tools,
        parallel,
    })
}

/// Questions of texts to be continued.
pub(super) fn of_completion(request: &completions::Request) -> Task {
    let parameters = Parameters {
        sampling: sampling(&request.sampling),
        max_tokens: Some(request.max_tokens),
        stop: request.sampling.stop.clone(),
        format: None,
    };
    let seed = seed(request.sampling.seed);
    let questions = request.prompts.iter().flat_map(|prompt| {
        let prompt = match prompt {
            completions::Prompt::Text(text) => Prompt::Text(text.clone()),
            completions::Prompt::Tokens(tokens) => Prompt::Tokens(tokens.clone()),
        };
        (0..request.choices)
            .map(|choice| {
                question(
                    &prompt,
                    &parameters,
                    (seed, choice),
                    request.logprobs,
                    &request.extension,
                )
            })
            .collect::<Vec<_>>()
    });
    Task {
        questions: questions.collect(),
        has_tools: false,
        parallel: false,
    }
}

fn question(
    prompt: &Prompt,
    parameters: &Parameters,
    (seed, choice): (u64, u32),
    likely: Option<u32>,
    extension: &Extension,
) -> GenerateRequest {
    let rung = extension
        .rung
        .and_then(|rung| serde_json::to_value(rung).ok());
    GenerateRequest {
        model: String::new(),
        prompt: prompt.clone(),
        parameters: parameters.clone(),
        seed: of_choice(seed, choice),
        // Further choices are other questions.
        nonce: extension
            .nonce
            .map(|nonce| nonce.wrapping_add(choice.into()).to_string()),
        rung: rung.and_then(|rung| rung.as_str().map(str::to_owned)),
        // Token by token an answer may take minutes, and a receipt after its deadline is none; what is over sooner settles sooner.
        deadline_ms: extension.deadline_ms.or(Some(MAX_DEADLINE_MS)),
        likely: likely.map(|count| u8::try_from(count).unwrap_or(u8::MAX)),
        after: Vec::new(),
        parts: Vec::new(),
    }
}

/// The seed of a choice: the request's for the first, for others one that follows from it.
fn of_choice(seed: u64, choice: u32) -> u64 {
    if choice == 0 {
        return seed;
    }
    let mut hasher = blake3::Hasher::new_derive_key(CHOICE);
    hasher
        .update(&seed.to_le_bytes())
        .update(&choice.to_le_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

/// The seed that was asked for, or one that is drawn.
fn seed(wanted: Option<i64>) -> u64 {
    wanted.map_or_else(rand::random, i64::cast_unsigned)
}

fn sampling(wanted: &Wanted) -> Sampling {
    let plain = Sampling::default();
    Sampling {
        temperature: wanted.temperature.unwrap_or(plain.temperature),
        top_p: wanted.top_p.unwrap_or(plain.top_p),
        top_k: wanted.top_k.unwrap_or(plain.top_k),
        min_p: wanted.min_p.unwrap_or(plain.min_p),
        repetition_penalty: wanted
            .repetition_penalty
            .unwrap_or(plain.repetition_penalty),
        frequency_penalty: wanted.frequency_penalty.unwrap_or(plain.frequency_penalty),
        presence_penalty: wanted.presence_penalty.unwrap_or(plain.presence_penalty),
        logit_bias: wanted.logit_bias.clone(),
    }
}

/// A problem of the network in OpenAI's words.
pub(super) fn error_of(problem: &Problem, model: &str) -> Error {
    use crate::problem::Kind as K;
    let text = problem.to_string();
    let retry_ms = problem.retry_after_s.unwrap_or(1).saturating_mul(1_000);
    match problem.kind() {
        Some(K::UnknownModel) => Error::model_not_found(model),
        Some(
            K::BadRequest | K::BadInput | K::BadParameters | K::UnsupportedRung | K::BadDeadline,
        ) => Error::invalid(parameter(&text), "invalid_value", text.clone()),
        Some(K::OverBudget) => Error::invalid("messages", "context_length_exceeded", text),
        Some(K::RateLimited) => Error::too_many_requests(text, retry_ms),
        Some(K::Unavailable | K::BadGateway | K::Timeout) => Error::unavailable(text, retry_ms),
        _ => Error::internal(text),
    }
}

/// The parameter that a problem names, in backticks.
fn parameter(text: &str) -> &str {
    let named = text.split('`').nth(1);
    named
        .filter(|name| !name.is_empty() && name.len() < 64)
        .unwrap_or("body")
}

/// What of an answer's evidence goes to a client.
pub(super) fn evidence(
    whole: &crate::gateway::speak::Whole,
    steps: &[crate::api::generate::StepEntry],
) -> Value {
    let ended = &whole.ended;
    let shares: Vec<Value> = whole
        .shares
        .iter()
        .map(|share| json!({"node": share.node, "checker": share.checker, "from": share.from, "upto": share.upto}))
        .collect();
    let parts: Vec<Value> = whole
        .parts
        .iter()
        .map(|(statement, request, input)| json!({"statement": statement, "request": request, "input": input}))
        .collect();
    let checks = whole.checks.as_ref().map(|(request, input, statements)| {
        json!({"request": request, "input": input, "statements": statements})
    });
    let convictions: Vec<Value> = whole
        .convictions
        .iter()
        .map(
            |conviction| json!({"node": conviction.node, "at": conviction.at, "by": conviction.by}),
        )
        .collect();
    json!({
        "receipt_id": ended.receipt_id, "receipt": ended.receipt, "request": whole.request, "state": ended.state,
        "node": ended.receipt.receipt.node, "revision": ended.receipt.receipt.revision,
        "opening": {"input": whole.input, "output": ended.output},
        "finish": ended.finish, "text": steps.iter().map(|step| step.text.as_str()).collect::<String>(),
        "steps": steps.iter().map(|step| json!([step.token, step.digest])).collect::<Vec<_>>(),
        "shares": shares, "parts": parts, "checks": checks, "convictions": convictions,
        "usage": ended.usage, "longest_gap_ms": u64::try_from(whole.gap.as_millis()).unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_inference::openai::Limits;

    #[test]
    fn an_answer_has_time_unless_its_client_says_otherwise() {
        for (more, expected) in [
            ("", MAX_DEADLINE_MS),
            (r#","assay":{"deadline_ms":20000}"#, 20_000),
        ] {
            let body = format!(r#"{{"model":"m","prompt":"x"{more}}}"#);
            let request = completions::Request::from_json(body.as_bytes(), &Limits::default());
            let task = of_completion(&request.unwrap());
            assert_eq!(task.questions[0].deadline_ms, Some(expected));
        }
    }
}
