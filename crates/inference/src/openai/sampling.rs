//! How the next token is chosen, and how the answer is sent: what chat, completions and responses have in common.

use super::fields::{Field, Fields, empty, wrong_type};
use super::ordered::Members;
use super::parameters::STREAM_OPTIONS;
use super::{Error, Limits};
use serde_json::Value;

/// OpenAI's bounds.
const MAX_STOPS: usize = 4;
const MAX_BIAS: f64 = 100.0;
const MAX_PENALTY: f64 = 2.0;
const MAX_TEMPERATURE: f64 = 2.0;
/// Ours: beyond them, a repetition penalty is a mistake.
const MIN_REPETITION_PENALTY: f64 = 0.01;
const MAX_REPETITION_PENALTY: f64 = 100.0;
/// Choices of one prompt, as OpenAI allows.
pub(super) const MAX_CHOICES: u32 = 128;
/// Bytes of a model's name.
const MAX_MODEL_BYTES: usize = 256;

/// The parameters of sampling; an absent one has the default that is stated.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    /// 0 to 2, 1 by default; 0 takes the token with the highest score.
    pub temperature: Option<f64>,
    /// 0 to 1, 1 by default.
    pub top_p: Option<f64>,
    /// How many of the best tokens are kept, all by default; never 0.
    pub top_k: Option<u32>,
    /// 0 to 1, 0 by default.
    pub min_p: Option<f64>,
    /// 0.01 to 100, 1 by default.
    pub repetition_penalty: Option<f64>,
    /// -2 to 2, 0 by default.
    pub frequency_penalty: Option<f64>,
    /// -2 to 2, 0 by default.
    pub presence_penalty: Option<f64>,
    /// Where the draws come from; chosen by the server by default.
    pub seed: Option<i64>,
    /// What is added to the scores of tokens, -100 to 100, ascending by token.
    pub logit_bias: Vec<(u32, f64)>,
    /// Texts before which the answer ends: at most four, none of them empty.
    pub stop: Vec<String>,
}

impl Sampling {
    /// Takes out what the endpoint's table lets through.
    pub(super) fn read(fields: &mut Fields, limits: &Limits) -> Result<Self, Error> {
        let top_k = fields.integer("top_k", -1, u32::MAX.into())?;
        Ok(Self {
            temperature: fields.number("temperature", 0.0, MAX_TEMPERATURE)?,
            top_p: fields.number("top_p", 0.0, 1.0)?,
            // Other servers write -1 or 0 for all of them.
            top_k: top_k.and_then(|k| u32::try_from(k).ok()).filter(|k| *k > 0),
            min_p: fields.number("min_p", 0.0, 1.0)?,
            repetition_penalty: fields.number(
                "repetition_penalty",
                MIN_REPETITION_PENALTY,
                MAX_REPETITION_PENALTY,
            )?,
            frequency_penalty: fields.number("frequency_penalty", -MAX_PENALTY, MAX_PENALTY)?,
            presence_penalty: fields.number("presence_penalty", -MAX_PENALTY, MAX_PENALTY)?,
            seed: fields.integer("seed", i64::MIN, i64::MAX)?,
            logit_bias: biases(fields, limits)?,
            stop: stops(fields, limits)?,
        })
    }

    /// Adds what is there to a request.
    pub(super) fn write(&self, into: &mut Members) {
        into.put_some("temperature", self.temperature.map(Value::from));
        into.put_some("top_p", self.top_p.map(Value::from));
        into.put_some("top_k", self.top_k);
        into.put_some("min_p", self.min_p.map(Value::from));
        into.put_some(
            "repetition_penalty",
            self.repetition_penalty.map(Value::from),
        );
        into.put_some("frequency_penalty", self.frequency_penalty.map(Value::from));
        into.put_some("presence_penalty", self.presence_penalty.map(Value::from));
        into.put_some("seed", self.seed);
        if !self.logit_bias.is_empty() {
            let each = self.logit_bias.iter();
            let object = each.map(|(token, bias)| (token.to_string(), Value::from(*bias)));
            into.put("logit_bias", Value::Object(object.collect()));
        }
        if !self.stop.is_empty() {
            let each = self.stop.iter().map(|stop| stop.as_str().into());
            into.put("stop", Value::Array(each.collect()));
        }
    }
}

fn biases(fields: &mut Fields, limits: &Limits) -> Result<Vec<(u32, f64)>, Error> {
    let Some(field) = fields.take("logit_bias") else {
        return Ok(Vec::new());
    };
    let path = field.path;
    let Value::Object(members) = field.value else {
        return Err(wrong_type(&path, "an object", &field.value));
    };
    if members.len() > limits.biases {
        let message = format!("`{path}` has more than {} tokens", limits.biases);
        return Err(Error::invalid(
            &path,
            "object_above_max_properties",
            message,
        ));
    }
    let mut biases = Vec::with_capacity(members.len());
    for (name, value) in members {
        let token = name.parse::<u32>().ok();
        let token = token.filter(|token| token.to_string() == name);
        let token = token
            .ok_or_else(|| Field::refuse(&path, &name, "its names must be token ids in decimal"))?;
        let field = Field {
            path: format!("{path}.{token}"),
            value,
        };
        biases.push((token, field.number(-MAX_BIAS, MAX_BIAS)?));
    }
    biases.sort_unstable_by_key(|(token, _)| *token);
    Ok(biases)
}

fn stops(fields: &mut Fields, limits: &Limits) -> Result<Vec<String>, Error> {
    let Some(field) = fields.take("stop") else {
        return Ok(Vec::new());
    };
    let one = |field: Field| {
        let path = field.path.clone();
        let text = field.text(limits.stop_bytes)?;
        if text.is_empty() {
            return Err(empty(&path));
        }
        Ok(text)
    };
    match field.value {
        Value::String(_) => Ok(vec![one(field)?]),
        Value::Array(_) => field.list(MAX_STOPS)?.map(one).collect(),
        other => Err(wrong_type(
            &field.path,
            "a string or a list of strings",
            &other,
        )),
    }
}

/// How a stream is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct StreamOptions {
    /// Whether the last chunk, without choices, says how many tokens were used.
    pub include_usage: bool,
}

impl StreamOptions {
    /// Takes `stream` and `stream_options` out; `None` for an answer in one piece.
    pub(super) fn read(fields: &mut Fields) -> Result<Option<Self>, Error> {
        let stream = fields.boolean("stream")?.unwrap_or(false);
        let Some(field) = fields.take("stream_options") else {
            return Ok(stream.then(Self::default));
        };
        let path = field.path.clone();
        let mut inner = Fields::open(field, STREAM_OPTIONS)?;
        let include_usage = inner.boolean("include_usage")?.unwrap_or(false);
        inner.close()?;
        if !stream {
            let message = format!("`{path}` needs `stream` to be true");
            return Err(Error::invalid(&path, "invalid_value", message));
        }
        Ok(Some(Self { include_usage }))
    }

    /// Adds `stream` and `stream_options` to a request.
    pub(super) fn write(options: Option<Self>, into: &mut Members) {
        if let Some(options) = options {
            into.put("stream", true);
            if options.include_usage {
                let mut inner = Members::default();
                inner.put("include_usage", true);
                into.put("stream_options", inner.object());
            }
        }
    }
}

/// The model's name: 1 to 256 bytes without control characters.
pub(super) fn model(fields: &mut Fields) -> Result<String, Error> {
    let field = fields.need("model")?;
    let path = field.path.clone();
    let name = field.text(MAX_MODEL_BYTES)?;
    if name.is_empty() {
        return Err(empty(&path));
    }
    if name.chars().any(char::is_control) {
        let allowed = "control characters are not allowed";
        return Err(Field::refuse(&path, "?", allowed));
    }
    Ok(name)
}
