//! `POST /v1/embeddings`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use super::completions::Prompt;
use super::fields::{Field, Fields, empty};
use super::format::MAX_WORD_BYTES;
use super::ordered::Members;
use super::parameters::EMBEDDINGS;
use super::sampling::model;
use super::{Caller, Error, Extension, Limits};

/// Texts of one request, as OpenAI allows.
pub(super) const MAX_INPUTS: usize = 2_048;
/// Dimensions that can be asked for: above those of any model.
const MAX_DIMENSIONS: u32 = 65_536;

/// How the numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// As a list of JSON numbers.
    #[default]
    Float,
    /// As f32, little-endian, in base64, which OpenAI's clients ask for on their own.
    Base64,
}

/// A request for vectors of texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The model's name.
    pub model: String,
    /// The texts, at least one, none of them empty.
    pub inputs: Vec<Prompt>,
    /// How the numbers are written.
    pub encoding: Encoding,
    /// How many numbers a vector has; the model's own number by default.
    pub dimensions: Option<u32>,
    /// Who asks.
    pub caller: Caller,
    /// What is asked of the receipt.
    pub extension: Extension,
}

impl Request {
    /// Reads the body of a request, strictly.
    ///
    /// # Errors
    /// As [`super::chat::Request::from_json`].
    pub fn from_json(body: &[u8], limits: &Limits) -> Result<Self, Error> {
        let mut fields = Fields::document(body, EMBEDDINGS, limits)?;
        let request = Self {
            model: model(&mut fields)?,
            inputs: inputs(fields.need("input")?, limits)?,
            encoding: encoding(&mut fields)?,
            dimensions: fields.count("dimensions", 1, MAX_DIMENSIONS)?,
            caller: Caller::read(&mut fields)?,
            extension: Extension::read(&mut fields)?,
        };
        fields.close()?;
        Ok(request)
    }

    /// The request as a body, which [`Request::from_json`] reads as the same request.
    pub fn json(&self) -> Value {
        let mut body = Members::default();
        body.put("model", self.model.as_str());
        body.put("input", Prompt::json_of_all(&self.inputs));
        if self.encoding == Encoding::Base64 {
            body.put("encoding_format", "base64");
        }
        body.put_some("dimensions", self.dimensions);
        self.caller.write(&mut body);
        self.extension.write(&mut body);
        body.object()
    }
}

fn inputs(field: Field, limits: &Limits) -> Result<Vec<Prompt>, Error> {
    let path = field.path.clone();
    let inputs = Prompt::read_all(field, limits)?;
    let blank = |input: &Prompt| matches!(input, Prompt::Text(text) if text.is_empty());
    match inputs.iter().position(blank) {
        None => Ok(inputs),
        Some(0) if inputs.len() == 1 => Err(empty(&path)),
        Some(index) => Err(empty(&format!("{path}[{index}]"))),
    }
}

fn encoding(fields: &mut Fields) -> Result<Encoding, Error> {
    let path = fields.path("encoding_format");
    let Some(word) = fields.text("encoding_format", MAX_WORD_BYTES)? else {
        return Ok(Encoding::default());
    };
    match word.as_str() {
        "float" => Ok(Encoding::Float),
        "base64" => Ok(Encoding::Base64),
        other => Err(Field::refuse(
            &path,
            other,
            "`float` and `base64` are known",
        )),
    }
}

/// The vectors of the texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Response {
    object: &'static str,
    /// One for each text, in their order.
    pub data: Vec<Embedding>,
    /// The model's name.
    pub model: String,
    /// How many tokens were used.
    pub usage: Usage,
    /// Ours: the receipts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assay: Option<Value>,
}

/// How many tokens a request took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Of all texts.
    pub prompt_tokens: u64,
    /// The same: nothing is generated.
    pub total_tokens: u64,
}

/// The vector of one text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Embedding {
    object: &'static str,
    /// The text's number, from 0.
    pub index: usize,
    /// The vector.
    pub embedding: Vector,
}

/// A vector as it is written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Vector {
    /// See [`Encoding::Float`].
    Float(Vec<f32>),
    /// See [`Encoding::Base64`].
    Base64(String),
}

impl Response {
    /// The answer of so many tokens of all texts together.
    pub fn new(
        model: String,
        vectors: Vec<Vec<f32>>,
        encoding: Encoding,
        prompt_tokens: u64,
        assay: Option<Value>,
    ) -> Self {
        let each = vectors.into_iter().enumerate();
        let data = each.map(|(index, vector)| Embedding {
            object: "embedding",
            index,
            embedding: Vector::new(vector, encoding),
        });
        Self {
            object: "list",
            data: data.collect(),
            model,
            usage: Usage {
                prompt_tokens,
                total_tokens: prompt_tokens,
            },
            assay,
        }
    }
}

impl Vector {
    fn new(vector: Vec<f32>, encoding: Encoding) -> Self {
        match encoding {
            Encoding::Float => Self::Float(vector),
            Encoding::Base64 => {
                let bytes: Vec<u8> = vector.into_iter().flat_map(f32::to_le_bytes).collect();
                Self::Base64(STANDARD.encode(bytes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<Request, Error> {
        Request::from_json(body.to_string().as_bytes(), &Limits::default())
    }

    #[test]
    fn what_clients_send_is_read() {
        for (body, inputs, encoding) in [
            (
                json!({"model": "m", "input": "a", "encoding_format": "float"}),
                1,
                Encoding::Float,
            ),
            (
                json!({"model": "m", "input": ["a", "b"], "encoding_format": "base64"}),
                2,
                Encoding::Base64,
            ),
            (
                json!({"model": "m", "input": [[1, 2], [3]], "dimensions": 8, "user": "u"}),
                2,
                Encoding::Float,
            ),
        ] {
            let request = read(&body).unwrap();
            assert_eq!((request.inputs.len(), request.encoding), (inputs, encoding));
            assert_eq!(read(&request.json()).unwrap(), request);
        }
    }

    #[test]
    fn wrong_requests_are_refused_by_name() {
        for (body, param) in [
            (json!({"model": "m"}), "input"),
            (json!({"input": "a"}), "model"),
            (json!({"model": "m", "input": ""}), "input"),
            (json!({"model": "m", "input": ["a", ""]}), "input[1]"),
            (json!({"model": "m", "input": []}), "input"),
            (json!({"model": "m", "input": [{}]}), "input[0]"),
            (json!({"model": "m", "input": vec!["a"; 2049]}), "input"),
            (
                json!({"model": "m", "input": "a", "dimensions": 0}),
                "dimensions",
            ),
            (
                json!({"model": "m", "input": "a", "encoding_format": "hex"}),
                "encoding_format",
            ),
            (
                json!({"model": "m", "input": "a", "stream": true}),
                "stream",
            ),
        ] {
            let error = read(&body).expect_err(&body.to_string());
            assert_eq!((error.status(), error.param.as_deref()), (400, Some(param)));
        }
    }

    #[test]
    fn both_encodings_say_the_same() {
        let vector = vec![1.0f32, -0.5, f32::MIN_POSITIVE];
        let vectors = vec![vector.clone()];
        let floats = Response::new("m".into(), vectors.clone(), Encoding::Float, 2, None);
        let expected = json!({
            "object": "list", "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2},
            "data": [{"object": "embedding", "index": 0, "embedding": vector}],
        });
        assert_eq!(serde_json::to_value(&floats).unwrap(), expected);
        let packed = Response::new("m".into(), vectors, Encoding::Base64, 2, None);
        let Vector::Base64(text) = &packed.data[0].embedding else {
            panic!("base64");
        };
        assert_eq!(text, "AACAPwAAAL8AAIAA");
    }
}
