//! Wire types of language models: questions, the frames of an answer as it is made, and checks of one.
//!
//! An input commitment has one field, `prompt`: its JSON as [`prompt_bytes`] writes it, keys in the order of whoever asked. An
//! output commitment has `finish`, `parts` (JSON of the statements of nodes that made earlier parts), `text` and `tokens` (32
//! bits each, little-endian). The stream is the chain over all steps, from the first token of the answer on, whoever made it.

use crate::{
    api::{UsageReport, canonical_json},
    problem::{Kind, Problem},
};
use alloy_primitives::B256;
use assay_inference::language::{Finish, Likelihood, Parameters, Prompt, Step};
use assay_receipt::{
    ChunkChain, Commitment, EngineId, Field, ParametersDigest, ReceiptId, ReceiptState, Request,
    SaltSeed, SignedProgress, SignedReceipt, commit,
};
use serde::{Deserialize, Serialize};

/// Path of [`GenerateRequest`]; the reply is a line of JSON for each [`Frame`].
pub const GENERATE_PATH: &str = "/assay/v1/generate";
/// Path of [`CheckRequest`]; the reply is a line of JSON for each [`CheckFrame`].
pub const CHECK_PATH: &str = "/assay/v1/check";
/// Path of [`EmbedRequest`].
pub const EMBED_PATH: &str = "/assay/v1/embed";
/// Path of a request for what it takes to compute an answer again, by who was drawn to check it.
pub const MATERIAL_PATH: &str = "/assay/v1/material";
/// Media type of lines of JSON.
pub const LINES: &str = "application/x-ndjson";
/// A frame comes at least so often while an answer is made, milliseconds.
pub const ALIVE_MS: u64 = 250;
/// Longest JSON of parameters, bytes: a schema and some numbers.
pub const MAX_PARAMETER_BYTES: usize = 128 << 10;
/// Statements of earlier nodes that one answer may name.
pub const MAX_PARTS: usize = 64;

/// A question to a language model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerateRequest {
    /// `publisher/name` or a revision id.
    pub model: String,
    /// What the model reads.
    pub prompt: Prompt,
    /// How it answers.
    pub parameters: Parameters,
    /// Seed of every draw.
    #[serde(default)]
    pub seed: u64,
    /// 128 bits in decimal, or hex after `0x`; drawn by the node if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Rung of evidence wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<String>,
    /// Milliseconds from now until the receipt has to be settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// How many of the likeliest tokens are to be told with each token; absent for no likelihoods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likely: Option<u8>,
    /// Tokens of the answer that are there already. The node computes them again, and refuses the first that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<u32>,
    /// What nodes said of those tokens that made them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<SignedProgress>,
}

/// A line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// The question was taken.
    Began(Box<Began>),
    /// Tokens.
    Steps(Steps),
    /// Nothing new; the node is at it.
    Alive,
    /// The answer is whole, and its receipt on disk.
    Ended(Box<Ended>),
    /// Tokens that were given are wrong.
    Differs(Difference),
    /// No answer.
    Failed(Problem),
}

/// What a node binds an answer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Began {
    /// The question, with everything that the node filled in.
    pub request: Request,
    /// Salt seed of the input commitment.
    pub input: B256,
    /// The engine.
    pub engine: EngineId,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
}

/// Tokens of an answer, one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Steps {
    /// Which token of the answer is the first, from 0.
    pub from: u64,
    /// They.
    pub steps: Vec<StepEntry>,
    /// What the node signs about all that it made or computed again so far.
    pub progress: SignedProgress,
}

/// A token of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEntry {
    /// The token.
    pub token: u32,
    /// Digest of the scores that it was chosen from.
    pub digest: B256,
    /// What is certain of the text with it.
    pub text: String,
    /// How likely it was, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likelihood: Option<LikelihoodEntry>,
}

/// How likely a token was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LikelihoodEntry {
    /// The bytes of the token, in hex.
    pub bytes: String,
    /// Logarithm of its probability.
    pub log: f32,
    /// The likeliest tokens: bytes in hex, and logarithms.
    pub likeliest: Vec<(String, f32)>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Why it is over.
    pub finish: Finish,
    /// Id of the receipt.
    pub receipt_id: ReceiptId,
    /// The receipt.
    pub receipt: SignedReceipt,
    /// Where it stands.
    pub state: ReceiptState,
    /// Salt seed of the output commitment.
    pub output: B256,
    /// What it used.
    pub usage: UsageReport,
    /// Tokens of the prompt that had been computed before.
    pub cached_tokens: u64,
}

/// The first token that a node would not have made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which token of the answer, from 0.
    pub at: u64,
    /// What is right: token, digest of its scores, certain text; `None` if the answer is over before.
    pub right: Option<(u32, B256, String)>,
}

/// Whether tokens are what a model answers to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The question as the node took it that made the tokens.
    pub request: Request,
    /// Salt seed of the input commitment.
    pub input: B256,
    /// What the model read.
    pub prompt: Prompt,
    /// How it answered.
    pub parameters: Parameters,
    /// Tokens of the answer from the first on.
    pub tokens: Vec<u32>,
    /// From which of them on they are checked; earlier ones are taken as they are.
    #[serde(default)]
    pub from: u64,
    /// Whether the answer is said to be over after the last.
    #[serde(default)]
    pub ends: bool,
    /// Head of the chain before that one; may be absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Commitment>,
}

/// A line of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckFrame {
    /// Nothing new; the node is at it.
    Alive,
    /// What it found.
    Report(Box<CheckReport>),
    /// It cannot say.
    Failed(Problem),
}

/// What a node found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Digest of the scores and certain text, for each token that was found right.
    pub steps: Vec<(B256, String)>,
    /// What the node signs about those; `None` if there are none.
    pub progress: Option<SignedProgress>,
    /// The first token that is not right.
    pub differs: Option<Difference>,
    /// Time that the engine computed, microseconds.
    pub compute_us: u64,
}

/// Texts to be turned into vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedRequest {
    /// The model.
    pub model: String,
    /// The texts.
    pub texts: Vec<String>,
}

/// Texts as vectors. No receipt is given for them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbedReply {
    /// One for each text.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all texts.
    pub tokens: u64,
}

/// The bytes of a prompt that receipts commit to: its JSON, keys as they were written, since templates see their order.
pub fn prompt_bytes(prompt: &Prompt) -> Vec<u8> {
    serde_json::to_vec(prompt).unwrap_or_default()
}

/// The commitment to a prompt.
///
/// # Errors
/// [`Kind::TooLarge`].
pub fn commit_prompt(prompt: &Prompt, seed: &B256) -> Result<Commitment, Problem> {
    committed(&[("prompt", prompt_bytes(prompt))], seed)
}

/// What a receipt commits to as an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer<'a> {
    /// Why it is over.
    pub finish: Finish,
    /// What nodes said that made earlier parts.
    pub parts: &'a [SignedProgress],
    /// Its text.
    pub text: &'a str,
    /// Its tokens.
    pub tokens: &'a [u32],
}

impl Answer<'_> {
    /// The commitment to it.
    ///
    /// # Errors
    /// [`Kind::TooLarge`].
    pub fn commit(&self, seed: &B256) -> Result<Commitment, Problem> {
        committed(&self.fields(), seed)
    }

    /// The fields of its commitment, in their order.
    pub fn fields(&self) -> Vec<(&'static str, Vec<u8>)> {
        let finish = serde_json::to_value(self.finish).unwrap_or_default();
        let parts = serde_json::to_value(self.parts).unwrap_or_default();
        let tokens = self.tokens.iter().flat_map(|token| token.to_le_bytes());
        vec![
            (
                "finish",
                finish.as_str().unwrap_or_default().as_bytes().to_vec(),
            ),
            ("parts", canonical_json(&parts).into_bytes()),
            ("text", self.text.as_bytes().to_vec()),
            ("tokens", tokens.collect()),
        ]
    }
}

fn committed(fields: &[(&str, Vec<u8>)], seed: &B256) -> Result<Commitment, Problem> {
    let fields: Vec<Field<'_>> = fields
        .iter()
        .map(|(name, bytes)| Field { name, bytes })
        .collect();
    let committed = commit(&fields, &SaltSeed::from_bytes(seed.0));
    let (commitment, _) = committed.map_err(|error| Problem::new(Kind::TooLarge, error))?;
    Ok(commitment)
}

/// The bytes of parameters that requests name: their JSON, keys as they were written, since a schema's order is the order in
/// which an answer has its members.
pub fn parameters_bytes(parameters: &Parameters) -> Vec<u8> {
    serde_json::to_vec(parameters).unwrap_or_default()
}

/// The digest of parameters that a request names: a commitment with the one field `parameters`, [`parameters_bytes`], whose
/// salt seed is zero.
///
/// # Errors
/// [`Kind::BadParameters`] for more than [`MAX_PARAMETER_BYTES`].
pub fn parameters_digest(parameters: &Parameters) -> Result<ParametersDigest, Problem> {
    let bytes = parameters_bytes(parameters);
    if bytes.len() > MAX_PARAMETER_BYTES {
        let detail = format!(
            "parameters take {} bytes, at most {MAX_PARAMETER_BYTES}",
            bytes.len()
        );
        return Err(Problem::new(Kind::BadParameters, detail));
    }
    let commitment = committed(&[("parameters", bytes)], &B256::ZERO)?;
    Ok(ParametersDigest::from_bytes(*commitment.as_bytes()))
}

/// Adds steps to the chain of their stream.
///
/// # Errors
/// [`Kind::OverBudget`] for more than a stream may have.
pub fn append<'a>(
    chain: &mut ChunkChain,
    steps: impl IntoIterator<Item = (&'a u32, &'a B256)>,
) -> Result<(), Problem> {
    for (token, digest) in steps {
        let pushed = chain.push(&Step::bytes_of(*token, &digest.0));
        pushed.map_err(|error| Problem::new(Kind::OverBudget, error))?;
    }
    Ok(())
}

impl LikelihoodEntry {
    /// With the bytes of tokens in hex, since some are no text.
    pub fn of(token: u32, likelihood: &Likelihood, bytes_of: impl Fn(u32) -> Vec<u8>) -> Self {
        let hex = |token| alloy_primitives::hex::encode(bytes_of(token));
        Self {
            bytes: hex(token),
            log: likelihood.chosen,
            likeliest: likelihood
                .likeliest
                .iter()
                .map(|(token, log)| (hex(*token), *log))
                .collect(),
        }
    }
}
