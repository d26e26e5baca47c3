//! What `config.json` says of a model of the Llama family.

use assay_tensor::transformer::Dimensions;
use serde::Deserialize;
use serde_json::Value;

use super::Error;

/// Bytes of the file: real ones have less than two thousand.
const MAX_BYTES: usize = 1 << 20;
/// Layers: the largest open models have 126.
const MAX_LAYERS: u64 = 512;
/// Numbers of a token between layers, or behind the gate: above the largest open model's (53,248), below what products of
/// bytes can sum.
const MAX_WIDTH: u64 = assay_tensor::transformer::MAX_INNER as u64;
/// Tokens of a vocabulary: the largest has 262,144.
const MAX_VOCABULARY: u64 = 1 << 20;
/// Positions that angles are computed for: beyond, whoever asked would wait longest for the first token.
const MAX_CONTEXT: u64 = 1 << 17;

/// The sizes of a model, and how its files name its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Sizes; the context is what the model was made for, at most what the operator allows.
    pub sizes: Dimensions,
    /// Layers.
    pub layers: usize,
    /// Whether the embeddings give the scores, too.
    pub tied: bool,
    /// Tokens that end an answer.
    pub ends: Vec<u32>,
}

/// The fields that are read. Others say how to train a model, or what the architecture says.
#[derive(Deserialize)]
struct Fields {
    architectures: Vec<String>,
    hidden_size: u64,
    intermediate_size: u64,
    vocab_size: u64,
    num_hidden_layers: u64,
    num_attention_heads: u64,
    num_key_value_heads: Option<u64>,
    head_dim: Option<u64>,
    rms_norm_eps: f32,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<Value>,
    max_position_embeddings: u64,
    sliding_window: Option<u64>,
    use_sliding_window: Option<bool>,
    hidden_act: Option<String>,
    #[serde(default)]
    tie_word_embeddings: bool,
    eos_token_id: Option<Value>,
}

impl Config {
    /// Reads the file; `context` is the most tokens that a sequence may have.
    ///
    /// # Errors
    /// [`Error::Config`] for what is no configuration, or is one of a model that this engine cannot run; the text names the
    /// field.
    pub fn read(bytes: &[u8], context: usize) -> Result<Self, Error> {
        if bytes.len() > MAX_BYTES {
            return Err(wrong(format!(
                "config.json has {} bytes, at most {MAX_BYTES}",
                bytes.len()
            )));
        }
        let fields: Fields = serde_json::from_slice(bytes)
            .map_err(|error| wrong(format!("config.json: {error}")))?;
        fields.check_kind()?;
        let layers = bounded("num_hidden_layers", fields.num_hidden_layers, MAX_LAYERS)?;
        let sizes = fields.sizes(context)?;
        let ends = ends(fields.eos_token_id.as_ref(), sizes.vocabulary)?;
        Ok(Self {
            sizes,
            layers,
            tied: fields.tie_word_embeddings,
            ends,
        })
    }

    /// Takes the ends of `generation_config.json`, too, which may name more.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub(super) fn end_also(&mut self, bytes: &[u8]) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Generation {
            eos_token_id: Option<Value>,
        }
        let read: Generation = serde_json::from_slice(bytes)
            .map_err(|error| wrong(format!("generation_config.json: {error}")))?;
        if read
            .eos_token_id
            .as_ref()
            .is_some_and(|value| !value.is_null())
        {
            let more = ends(read.eos_token_id.as_ref(), self.sizes.vocabulary)?;
            self.ends.extend(more);
            self.ends.sort_unstable();
            self.ends.dedup();
        }
        Ok(())
    }
}

impl Fields {
    /// Whether it is a model that the forward pass computes.
    fn check_kind(&self) -> Result<(), Error> {
        let known = ["LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM"];
        match self.architectures.as_slice() {
            [one] if known.contains(&one.as_str()) => {}
            other => {
                return Err(wrong(format!(
                    "architectures is {other:?}; this engine runs one of {known:?}"
                )));
            }
        }
        match self.hidden_act.as_deref() {
            None | Some("silu") => {}
            Some(other) => {
                return Err(wrong(format!(
                    "hidden_act is {other:?}; this engine has silu only"
                )));
            }
        }
        if let Some(scaling) = self.rope_scaling.as_ref().filter(|value| !value.is_null()) {
            plain_rope("rope_scaling", scaling)?;
        }
        match &self.rope_parameters {
            Some(parameters) => plain_rope("rope_parameters", parameters),
            None => Ok(()),
        }
    }

    fn sizes(&self, most: usize) -> Result<Dimensions, Error> {
        let heads = bounded("num_attention_heads", self.num_attention_heads, MAX_WIDTH)?;
        let width = bounded("hidden_size", self.hidden_size, MAX_WIDTH)?;
        let shared = self.num_key_value_heads.unwrap_or(self.num_attention_heads);
        let shared = bounded("num_key_value_heads", shared, MAX_WIDTH)?;
        let head = match self.head_dim {
            Some(head) => bounded("head_dim", head, MAX_WIDTH)?,
            None => width.checked_div(heads).unwrap_or(0),
        };
        let context = bounded(
            "max_position_embeddings",
            self.max_position_embeddings,
            u64::MAX,
        )?;
        let ceiling = usize::try_from(MAX_CONTEXT).unwrap_or(usize::MAX);
        // Up to the window, attention to a window is attention to all.
        let window = match self.sliding_window {
            Some(window) if self.use_sliding_window != Some(false) => {
                bounded("sliding_window", window, u64::MAX)?
            }
            _ => usize::MAX,
        };
        let sizes = Dimensions {
            vocabulary: bounded("vocab_size", self.vocab_size, MAX_VOCABULARY)?,
            width,
            heads,
            shared,
            head,
            gated: bounded("intermediate_size", self.intermediate_size, MAX_WIDTH)?,
            epsilon: self.rms_norm_eps,
            context: context.min(window).min(ceiling).min(most),
            theta: self.theta(),
        };
        for (what, product) in [
            ("num_attention_heads x head_dim", heads.checked_mul(head)),
            ("num_key_value_heads x head_dim", shared.checked_mul(head)),
        ] {
            let product = product.and_then(|product| u64::try_from(product).ok());
            bounded(what, product.unwrap_or(u64::MAX), MAX_WIDTH)?;
        }
        Ok(sizes)
    }

    fn theta(&self) -> f64 {
        let newer = self.rope_parameters.as_ref();
        let newer = newer.and_then(|parameters| parameters.get("rope_theta")?.as_f64());
        newer.or(self.rope_theta).unwrap_or(10_000.0)
    }
}

/// Whether positions turn as in the paper.
fn plain_rope(name: &str, value: &Value) -> Result<(), Error> {
    let kind = value.get("rope_type").or_else(|| value.get("type"));
    match kind.and_then(Value::as_str) {
        Some("default") => Ok(()),
        kind => Err(wrong(format!(
            "{name} is of the kind {kind:?}; this engine has `default` only"
        ))),
    }
}

fn ends(value: Option<&Value>, vocabulary: usize) -> Result<Vec<u32>, Error> {
    let one = |value: &Value| {
        let token = value.as_u64().and_then(|token| u32::try_from(token).ok());
        let token = token.filter(|token| usize::try_from(*token).is_ok_and(|at| at < vocabulary));
        token.ok_or_else(|| {
            wrong(format!(
                "eos_token_id {value} is none of {vocabulary} tokens"
            ))
        })
    };
    match value {
        None | Some(Value::Null) => Err(wrong(
            "eos_token_id is missing: nothing would end an answer".into(),
        )),
        Some(Value::Array(all)) if !all.is_empty() && all.len() <= 64 => {
            all.iter().map(one).collect()
        }
        Some(value) => Ok(vec![one(value)?]),
    }
}

fn bounded(name: &str, value: u64, most: u64) -> Result<usize, Error> {
    let size = usize::try_from(value).ok();
    size.filter(|_| (1..=most).contains(&value))
        .ok_or_else(|| wrong(format!("{name} is {value}; 1 to {most} are possible")))
}

fn wrong(reason: String) -> Error {
    Error::Config(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn plain() -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "intermediate_size": 128, "vocab_size": 100,
            "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
            "max_position_embeddings": 2048, "eos_token_id": 1, "hidden_act": "silu", "torch_dtype": "bfloat16",
        })
    }

    fn read(change: Value) -> Result<Config, Error> {
        let mut config = plain();
        for (name, value) in change.as_object().unwrap() {
            config[name] = value.clone();
        }
        Config::read(config.to_string().as_bytes(), 1024)
    }

    #[test]
    fn what_the_file_says_is_read() {
        let config = read(json!({})).unwrap();
        assert_eq!(
            (config.layers, config.tied, config.ends),
            (2, false, vec![1])
        );
        let sizes = config.sizes;
        assert_eq!((sizes.head, sizes.heads, sizes.shared), (16, 4, 2));
        assert_eq!((sizes.context, sizes.theta), (1024, 10_000.0));
        let other = read(json!({
            "architectures": ["Qwen2ForCausalLM"], "head_dim": 32, "rope_theta": 1e6, "eos_token_id": [3, 4],
            "rope_scaling": null, "max_position_embeddings": 512, "tie_word_embeddings": true,
        }))
        .unwrap();
        assert_eq!((other.sizes.head, other.sizes.theta), (32, 1e6));
        assert_eq!(
            (other.ends, other.sizes.context, other.tied),
            (vec![3, 4], 512, true)
        );
        let newer = read(json!({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}));
        assert_eq!(newer.unwrap().sizes.theta, 5e5);
        let windowed = read(json!({"sliding_window": 100})).unwrap();
        assert_eq!(windowed.sizes.context, 100);
        let whole = read(json!({"sliding_window": 100, "use_sliding_window": false})).unwrap();
        assert_eq!(whole.sizes.context, 1024);
    }

    #[test]
    fn other_models_are_refused_by_the_field() {
        for (field, value) in [
            ("architectures", json!(["MambaForCausalLM"])),
            ("architectures", json!([])),
            (
                "architectures",
                json!(["LlamaForCausalLM", "LlamaForCausalLM"]),
            ),
            ("hidden_act", json!("gelu")),
            ("rope_scaling", json!({"rope_type": "yarn", "factor": 4.0})),
            ("rope_scaling", json!({"factor": 4.0})),
            ("rope_parameters", json!({"rope_type": "llama3"})),
            ("num_hidden_layers", json!(0)),
            ("num_hidden_layers", json!(100_000)),
            ("hidden_size", json!(1u64 << 40)),
            ("hidden_size", json!(-3)),
            ("vocab_size", json!(0)),
            ("vocab_size", json!(1u64 << 30)),
            ("num_attention_heads", json!(1u64 << 60)),
            ("head_dim", json!(40_000)),
            ("eos_token_id", json!(100)),
            ("eos_token_id", json!(null)),
            ("eos_token_id", json!([])),
            ("eos_token_id", json!("</s>")),
            ("rms_norm_eps", json!("small")),
            ("sliding_window", json!(0)),
        ] {
            let error = read(json!({ field: value.clone() }))
                .unwrap_err()
                .to_string();
            let said = field.split('_').next().unwrap();
            assert!(
                error.contains(said) || error.contains("expected"),
                "{field} {value}: {error}"
            );
        }
        assert!(Config::read(b"{}", 10).is_err());
        assert!(Config::read(&vec![b' '; MAX_BYTES + 1], 10).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), field in 0usize..16, number: i64) {
            let _ = Config::read(&bytes, 100);
            let mut config = plain();
            let name = config.as_object().unwrap().keys().nth(field).cloned();
            if let Some(name) = name {
                config[&name] = json!(number);
                let _ = Config::read(config.to_string().as_bytes(), 100);
            }
        }
    }
}
