//! The one table of what becomes of every parameter of OpenAI's API, and of our own.
//!
//! A parameter is read; or it is inert, because none of its values changes an answer; or it is accepted in the values
//! that change nothing here; or it is refused. A name that is in no table is refused as unknown. `null` stands for an
//! absent parameter everywhere, as in OpenAI's API. Names and values are those of the types in OpenAI's Python client
//! 3.57.0; tests hold the tables against that client's list.

/// What becomes of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is read and acted upon.
    Read,
    /// Any value is accepted, because none changes the answer, for this reason.
    Inert(&'static str),
    /// The values, written as JSON without spaces, are accepted because they change nothing; others are refused with
    /// the reason.
    Neutral(&'static [&'static str], &'static str),
    /// Any value is refused with this reason.
    Refused(&'static str),
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// The member's name in its object.
    pub name: &'static str,
    /// What becomes of it.
    pub decision: Decision,
}

const fn read(name: &'static str) -> Parameter {
    let decision = Decision::Read;
    Parameter { name, decision }
}

const fn inert(name: &'static str, reason: &'static str) -> Parameter {
    let decision = Decision::Inert(reason);
    Parameter { name, decision }
}

const fn neutral(
    name: &'static str,
    values: &'static [&'static str],
    reason: &'static str,
) -> Parameter {
    let decision = Decision::Neutral(values, reason);
    Parameter { name, decision }
}

const fn refused(name: &'static str, reason: &'static str) -> Parameter {
    let decision = Decision::Refused(reason);
    Parameter { name, decision }
}

const NOTHING_KEPT: &str = "answers are not kept here";
const ONE_TIER: &str = "there is one tier of service";
const NO_MODERATION: &str = "nothing is moderated here";
const NO_REASONING: &str = "no model here reasons apart from its answer";
const ONE_VERBOSITY: &str = "ask for the length in the prompt, or limit the tokens";
const CACHE_IS_OURS: &str =
    "how long a prefix stays cached cannot be chosen; `prompt_cache_key` is a hint that is used";
const NO_OBFUSCATION: &str = "chunks are not padded here";
const TEXT_ONLY: &str = "models here take and make text only";
const ECHOED: &str = "clients add it to answers that they send back; it was made from the text";
const NAME_OF_ITEM: &str = "nothing refers to it";
const NO_CALLERS: &str = "functions are called by the model itself";

const SERVICE_TIER: Parameter = neutral("service_tier", &["\"auto\"", "\"default\""], ONE_TIER);
const STORE: Parameter = neutral("store", &["false"], NOTHING_KEPT);
const MODERATION: Parameter = refused("moderation", NO_MODERATION);
const CACHE_OPTIONS: Parameter = neutral(
    "prompt_cache_options",
    &["{}", "{\"mode\":\"implicit\"}"],
    CACHE_IS_OURS,
);
const CACHE_RETENTION: Parameter =
    neutral("prompt_cache_retention", &["\"in_memory\""], CACHE_IS_OURS);
const CACHE_BREAKPOINT: Parameter = refused("prompt_cache_breakpoint", CACHE_IS_OURS);
const VERBOSITY: Parameter = neutral("verbosity", &["\"medium\""], ONE_VERBOSITY);

/// Of `POST /v1/chat/completions`.
pub const CHAT: &[Parameter] = &[
    read("messages"),
    read("model"),
    refused("audio", TEXT_ONLY),
    read("frequency_penalty"),
    refused("function_call", "it is outdated: use `tool_choice`"),
    refused("functions", "it is outdated: use `tools`"),
    read("logit_bias"),
    read("logprobs"),
    read("max_completion_tokens"),
    read("max_tokens"),
    read("metadata"),
    neutral("modalities", &["[\"text\"]"], TEXT_ONLY),
    MODERATION,
    read("n"),
    read("parallel_tool_calls"),
    refused("prediction", "predicted outputs are not used here"),
    read("presence_penalty"),
    read("prompt_cache_key"),
    CACHE_OPTIONS,
    CACHE_RETENTION,
    neutral("reasoning_effort", &["\"none\""], NO_REASONING),
    read("response_format"),
    read("safety_identifier"),
    read("seed"),
    SERVICE_TIER,
    read("stop"),
    STORE,
    read("stream"),
    read("stream_options"),
    read("temperature"),
    read("tool_choice"),
    read("tools"),
    read("top_logprobs"),
    read("top_p"),
    read("user"),
    VERBOSITY,
    refused("web_search_options", "models here do not search the web"),
    // Ours, from here on.
    read("top_k"),
    read("min_p"),
    read("repetition_penalty"),
    read("assay"),
];

/// Of `POST /v1/completions`.
pub const COMPLETIONS: &[Parameter] = &[
    read("model"),
    read("prompt"),
    neutral(
        "best_of",
        &["1"],
        "answers are not ranked here: ask for `n` of them",
    ),
    neutral(
        "echo",
        &["false"],
        "the prompt is not repeated in the answer",
    ),
    read("frequency_penalty"),
    read("logit_bias"),
    read("logprobs"),
    read("max_tokens"),
    read("n"),
    read("presence_penalty"),
    read("seed"),
    read("stop"),
    read("stream"),
    read("stream_options"),
    neutral(
        "suffix",
        &["\"\""],
        "nothing is inserted before a text here",
    ),
    read("temperature"),
    read("top_p"),
    read("user"),
    read("top_k"),
    read("min_p"),
    read("repetition_penalty"),
    read("assay"),
];

/// Of `POST /v1/embeddings`.
pub const EMBEDDINGS: &[Parameter] = &[
    read("input"),
    read("model"),
    read("dimensions"),
    read("encoding_format"),
    read("user"),
    read("assay"),
];

/// Of `POST /v1/responses`.
pub const RESPONSES: &[Parameter] = &[
    refused("access_programs", "there are no such programs here"),
    neutral("background", &["false"], NOTHING_KEPT),
    neutral("background_options", &["{}"], NOTHING_KEPT),
    neutral(
        "context_management",
        &["[]"],
        "a context is not compacted here",
    ),
    refused(
        "conversation",
        "conversations are not kept here: send all of `input`",
    ),
    neutral("image", &["{}"], TEXT_ONLY),
    read("include"),
    read("input"),
    read("instructions"),
    read("max_output_tokens"),
    refused("max_tool_calls", "there are no built-in tools here"),
    read("metadata"),
    read("model"),
    MODERATION,
    read("parallel_tool_calls"),
    refused(
        "previous_response_id",
        "responses are not kept here: send all of `input`",
    ),
    refused("prompt", "prompts are not kept here: send the text"),
    read("prompt_cache_key"),
    CACHE_OPTIONS,
    CACHE_RETENTION,
    neutral("reasoning", &["{}", "{\"effort\":\"none\"}"], NO_REASONING),
    read("safety_identifier"),
    SERVICE_TIER,
    STORE,
    read("stream"),
    read("stream_options"),
    read("temperature"),
    read("text"),
    read("tool_choice"),
    read("tools"),
    read("top_logprobs"),
    read("top_p"),
    neutral(
        "truncation",
        &["\"disabled\""],
        "an input that is too long is refused, never cut",
    ),
    read("user"),
    read("top_k"),
    read("min_p"),
    read("repetition_penalty"),
    read("assay"),
];

/// Of `stream_options` in chat and completions.
pub const STREAM_OPTIONS: &[Parameter] = &[
    read("include_usage"),
    neutral("include_obfuscation", &["false"], NO_OBFUSCATION),
];

/// Of `stream_options` in responses.
pub const RESPONSES_STREAM_OPTIONS: &[Parameter] =
    &[neutral("include_obfuscation", &["false"], NO_OBFUSCATION)];

/// Of a message of the roles system, developer and user.
pub const MESSAGE: &[Parameter] = &[read("role"), read("content"), read("name")];

/// Of a message of the role assistant.
pub const ASSISTANT_MESSAGE: &[Parameter] = &[
    read("role"),
    read("content"),
    read("name"),
    read("tool_calls"),
    refused("audio", TEXT_ONLY),
    refused("function_call", "it is outdated: use `tool_calls`"),
    refused(
        "refusal",
        "models here do not refuse apart from their text: use `content`",
    ),
    neutral("annotations", &["[]"], "texts have no annotations here"),
    inert("parsed", ECHOED),
];

/// Of a message of the role tool.
pub const TOOL_MESSAGE: &[Parameter] = &[read("role"), read("content"), read("tool_call_id")];

/// Of a part of a message's content.
pub const TEXT_PART: &[Parameter] = &[read("type"), read("text"), CACHE_BREAKPOINT];

/// Of a tool call in an assistant's message; `index` comes from clients that join chunks.
pub const TOOL_CALL: &[Parameter] = &[
    read("id"),
    read("type"),
    read("function"),
    inert("index", NAME_OF_ITEM),
];

/// Of the function of a tool call.
pub const CALLED_FUNCTION: &[Parameter] = &[
    read("name"),
    read("arguments"),
    inert("parsed_arguments", ECHOED),
];

/// Of a tool in chat.
pub const TOOL: &[Parameter] = &[read("type"), read("function")];

/// Of the function of a tool in chat.
pub const FUNCTION: &[Parameter] = &[
    read("name"),
    read("description"),
    read("parameters"),
    read("strict"),
];

/// Of `tool_choice` in chat, where it is an object.
pub const TOOL_CHOICE: &[Parameter] = TOOL;

/// Of the function of `tool_choice` in chat.
pub const CHOSEN_FUNCTION: &[Parameter] = &[read("name")];

/// Of `response_format`.
pub const RESPONSE_FORMAT: &[Parameter] = &[read("type"), read("json_schema")];

/// Of the schema of a response format.
pub const SCHEMA: &[Parameter] = &[
    read("name"),
    read("description"),
    read("schema"),
    read("strict"),
];

/// Of our own object `assay`.
pub const EXTENSION: &[Parameter] = &[
    read("rung"),
    read("check"),
    read("nonce"),
    read("deadline_ms"),
];

/// Of `text` in responses.
pub const TEXT: &[Parameter] = &[read("format"), VERBOSITY];

/// Of `text.format`, which has the schema's members in itself.
pub const TEXT_FORMAT: &[Parameter] = &[
    read("type"),
    read("name"),
    read("description"),
    read("schema"),
    read("strict"),
];

/// Of a tool in responses.
pub const FLAT_TOOL: &[Parameter] = &[
    read("type"),
    read("name"),
    read("description"),
    read("parameters"),
    read("strict"),
    neutral("allowed_callers", &["[\"direct\"]"], NO_CALLERS),
    neutral("async", &["false"], NO_CALLERS),
    neutral("defer_loading", &["false"], "all tools are given at once"),
    refused("output_schema", NO_CALLERS),
];

/// Of `tool_choice` in responses, where it is an object.
pub const FLAT_TOOL_CHOICE: &[Parameter] = &[read("type"), read("name")];

/// Of a message in a response's input.
pub const ITEM_MESSAGE: &[Parameter] = &[
    read("type"),
    read("role"),
    read("content"),
    inert("id", NAME_OF_ITEM),
    inert("status", NAME_OF_ITEM),
    refused("phase", "messages have no phases here"),
];

/// Of a part of such a message; a text that comes back from an answer has annotations and logprobs.
pub const ITEM_PART: &[Parameter] = &[
    read("type"),
    read("text"),
    CACHE_BREAKPOINT,
    neutral("annotations", &["[]"], "texts have no annotations here"),
    inert("logprobs", ECHOED),
    inert("parsed", ECHOED),
];

/// Of a function call in a response's input.
pub const ITEM_CALL: &[Parameter] = &[
    read("type"),
    read("call_id"),
    read("name"),
    read("arguments"),
    inert("id", NAME_OF_ITEM),
    inert("status", NAME_OF_ITEM),
    inert("parsed_arguments", ECHOED),
    neutral("async", &["false"], NO_CALLERS),
    neutral("caller", &["{\"type\":\"direct\"}"], NO_CALLERS),
    refused("namespace", "functions have no namespaces here"),
];

/// Of a function's result in a response's input.
pub const ITEM_OUTPUT: &[Parameter] = &[
    read("type"),
    read("call_id"),
    read("output"),
    inert("id", NAME_OF_ITEM),
    inert("status", NAME_OF_ITEM),
    inert("name", "the call names the function"),
    neutral("caller", &["{\"type\":\"direct\"}"], NO_CALLERS),
    refused("namespace", "functions have no namespaces here"),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::openai::{Limits, ordered};

    const TABLES: &[&[Parameter]] = &[
        CHAT,
        COMPLETIONS,
        EMBEDDINGS,
        RESPONSES,
        STREAM_OPTIONS,
        RESPONSES_STREAM_OPTIONS,
        MESSAGE,
        ASSISTANT_MESSAGE,
        TOOL_MESSAGE,
        TEXT_PART,
        TOOL_CALL,
        CALLED_FUNCTION,
        TOOL,
        FUNCTION,
        CHOSEN_FUNCTION,
        RESPONSE_FORMAT,
        SCHEMA,
        EXTENSION,
        TEXT,
        TEXT_FORMAT,
        FLAT_TOOL,
        FLAT_TOOL_CHOICE,
        ITEM_MESSAGE,
        ITEM_PART,
        ITEM_CALL,
        ITEM_OUTPUT,
    ];

    // The parameters of the `create` methods of OpenAI's Python client 3.57.0.
    const CHAT_OF_CLIENT: &str = "
        messages model audio frequency_penalty function_call functions logit_bias logprobs
        max_completion_tokens max_tokens metadata modalities moderation n parallel_tool_calls prediction
        presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort
        response_format safety_identifier seed service_tier stop store stream_options temperature tool_choice
        tools top_logprobs top_p user verbosity web_search_options stream
    ";
    const COMPLETIONS_OF_CLIENT: &str = "
        model prompt best_of echo frequency_penalty logit_bias logprobs max_tokens n presence_penalty seed
        stop stream_options suffix temperature top_p user stream
    ";
    const EMBEDDINGS_OF_CLIENT: &str = "
        input model dimensions encoding_format user
    ";
    const RESPONSES_OF_CLIENT: &str = "
        access_programs background background_options context_management conversation image include input
        instructions max_output_tokens max_tool_calls metadata model moderation parallel_tool_calls
        previous_response_id prompt prompt_cache_key prompt_cache_options prompt_cache_retention reasoning
        safety_identifier service_tier store stream_options temperature text tool_choice tools top_logprobs
        top_p truncation user stream
    ";
    /// Those that are ours, or other servers'.
    const OURS: [&str; 4] = ["top_k", "min_p", "repetition_penalty", "assay"];

    type Refusal = Option<crate::openai::Error>;
    type Endpoint = (
        &'static str,
        &'static [Parameter],
        fn(&serde_json::Value) -> Refusal,
        serde_json::Value,
    );

    /// What the client can send, what we decide, how we read it, and a body that is accepted.
    fn endpoints() -> [Endpoint; 4] {
        use crate::openai::{chat, completions, embeddings, responses};
        macro_rules! reader {
            ($module:ident) => {
                |body| {
                    let body = body.to_string();
                    $module::Request::from_json(body.as_bytes(), &Limits::default()).err()
                }
            };
        }
        let messages = json!({"model": "m", "messages": [{"role": "user", "content": "a"}]});
        let prompt = json!({"model": "m", "prompt": "a"});
        let input = json!({"model": "m", "input": "a"});
        [
            (CHAT_OF_CLIENT, CHAT, reader!(chat), messages),
            (
                COMPLETIONS_OF_CLIENT,
                COMPLETIONS,
                reader!(completions),
                prompt,
            ),
            (
                EMBEDDINGS_OF_CLIENT,
                EMBEDDINGS,
                reader!(embeddings),
                input.clone(),
            ),
            (RESPONSES_OF_CLIENT, RESPONSES, reader!(responses), input),
        ]
    }

    #[test]
    fn every_parameter_of_the_client_is_decided() {
        for (client, table, ..) in endpoints() {
            let mut known: Vec<&str> = client.split_whitespace().collect();
            assert!(known.len() > 4);
            known.extend(
                OURS.iter()
                    .filter(|name| table.iter().any(|row| row.name == **name)),
            );
            known.sort_unstable();
            let mut decided: Vec<&str> = table.iter().map(|row| row.name).collect();
            decided.sort_unstable();
            assert_eq!(decided, known);
        }
    }

    /// By what the readers do, not by what the table says.
    #[test]
    fn every_parameter_is_read_accepted_when_neutral_or_refused_by_name() {
        for (client, table, read, body) in endpoints() {
            assert!(read(&body).is_none(), "{body}");
            for name in client.split_whitespace() {
                let with = |value: serde_json::Value| {
                    let mut body = body.clone();
                    body[name] = value;
                    read(&body)
                };
                let required = body.get(name).is_some();
                assert_eq!(with(json!(null)).is_some(), required, "{name}: null");
                // No parameter takes this object: it is refused, and the refusal is about this parameter.
                let refusal = with(json!({"never": ["a", "value"]})).expect(name);
                let param = refusal.param.unwrap_or_default();
                assert_eq!(
                    (refusal.kind.status(), param.split(['.', '[']).next()),
                    (400, Some(name))
                );
                let row = table.iter().find(|row| row.name == name).unwrap();
                if let Decision::Neutral(values, _) = row.decision {
                    for value in values {
                        assert_eq!(with(serde_json::from_str(value).unwrap()), None, "{name}");
                    }
                }
            }
            let mut unknown = body.clone();
            unknown["assay_unknown"] = json!(null);
            let refusal = read(&unknown).unwrap();
            assert_eq!(refusal.param.as_deref(), Some("assay_unknown"));
        }
    }

    #[test]
    fn every_name_stands_once_and_every_neutral_value_is_compact_json() {
        for table in TABLES {
            let mut names: Vec<&str> = table.iter().map(|row| row.name).collect();
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all, "{names:?}");
            for row in *table {
                if let Decision::Neutral(values, _) = row.decision {
                    assert!(!values.is_empty());
                    for value in values {
                        let json = ordered::read(value.as_bytes(), &Limits::default()).unwrap();
                        assert_eq!(json.to_string(), *value);
                    }
                }
            }
        }
    }
}
