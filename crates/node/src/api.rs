//! The wire types of `/assay/v1/*`, used by node, gateway and command line alike.
//!
//! Requests refuse unknown fields, so that a mistyped option is an error and not an option that
//! silently does nothing. Replies may grow fields.

pub mod answer;
pub mod concentration;
pub mod generate;
pub mod request;
pub mod tensors;

pub use answer::{AnswerError, Question};
pub use concentration::{CONCENTRATION_PATH, ConcentrationReport, ServiceReport};
pub use request::{Parameters, canonical_json};

use assay_chain::light::{Network, ReceiptProof};
use assay_receipt::{
    EngineId, Microcredits, NetworkId, NodeAddress, ReceiptId, ReceiptState, Request, RevisionId,
    Rung, SignedReceipt,
};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Header that carries the receipt id of an answer.
pub const RECEIPT_HEADER: &str = "assay-receipt";
/// Path of [`InferRequest`].
pub const INFER_PATH: &str = "/assay/v1/infer";
/// Path of [`ModelList`].
pub const MODELS_PATH: &str = "/assay/v1/models";
/// Path under which receipts lie, followed by `/{id}`; see [`ReceiptReport`].
pub const RECEIPTS_PATH: &str = "/assay/v1/receipts";
/// What follows the path of a receipt where its proof is cancelled, with an [`Opening`].
pub const CANCEL_PATH: &str = "/cancel";
/// Path of [`NetworkReport`].
pub const NETWORK_PATH: &str = "/assay/v1/network";
/// Path of the OpenAPI document.
pub const OPENAPI_PATH: &str = "/assay/v1/openapi.json";
/// Path of [`Health`].
pub const HEALTH_PATH: &str = "/health";
/// Path of the metrics, in Prometheus' text form.
pub const METRICS_PATH: &str = "/metrics";

/// Largest body of a request in bytes: a batch of 1,000 images of 28x28 as nested JSON arrays.
pub const MAX_BODY_BYTES: usize = 16 << 20;
/// Settlement is due this many milliseconds after the request, unless the client says otherwise.
pub const DEFAULT_DEADLINE_MS: u64 = 30_000;
/// Earliest deadline in milliseconds: a receipt that cannot settle in time would block all later
/// ones of its node and model, so no client may ask for less than a restart takes.
pub const MIN_DEADLINE_MS: u64 = 10_000;
/// Latest deadline in milliseconds.
pub const MAX_DEADLINE_MS: u64 = 600_000;
/// Shortest and longest time within which proving may be asked to begin, milliseconds.
pub const PROVE_WITHIN_MS: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;
/// Rungs of evidence that this version of the network offers.
pub const OFFERED_RUNGS: [Rung; 3] = [Rung::Signed, Rung::Replayed, Rung::Proven];

/// A question to a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InferRequest {
    /// `publisher/name` (publisher: `0x` and 40 hex digits; its newest revision answers), or a
    /// revision id: `0x` and 64 hex digits.
    #[schema(example = "0x3ad8aa4f87544323a9d1e5dd902f40c356527a7955687113db5f9a85ad579dc1")]
    pub model: String,
    /// A value for each input of the model: nested arrays, or `{"shape", "dtype", "data"}`, or
    /// `{"npy": BASE64}`.
    #[schema(value_type = Object)]
    pub inputs: BTreeMap<String, Value>,
    /// Parameters of the engine; bound into the receipt by the digest of their canonical JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<Map<String, Value>>,
    /// Seed of every random choice, 0 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// 128-bit number that makes this question one of its own: decimal, or hex after `0x`. Drawn
    /// by the server if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Rung of evidence wanted: `signed` (the default), `replayed`, `attested` or `proven`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rung: Option<String>,
    /// Milliseconds from now until the receipt has to be settled; default 30,000, 10,000 to 600,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// With the rung `proven`: milliseconds from now within which proving has to begin, 1,000 to 86,400,000; afterwards
    /// the answer is not proven. If absent, it is proven whenever its turn comes, earlier deadlines of settlement first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prove_within_ms: Option<u64>,
    /// Form of the outputs, `json` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<OutputForm>,
}

/// How output tensors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputForm {
    /// Nested arrays.
    #[default]
    Json,
    /// `{"npy": BASE64}`, the very bytes that the receipt commits to.
    Npy,
}

/// An answer with its receipt, which is on the node's disk when this is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InferResponse {
    /// A value for each output of the model, in the form that was asked for.
    #[schema(value_type = Object)]
    pub outputs: BTreeMap<String, Value>,
    /// The revision that answered.
    #[schema(value_type = String)]
    pub revision: RevisionId,
    /// The node that answered.
    #[schema(value_type = String)]
    pub node: NodeAddress,
    /// Id of the receipt.
    #[schema(value_type = String)]
    pub receipt_id: ReceiptId,
    /// The receipt with the node's signature.
    #[schema(value_type = Object)]
    pub receipt: SignedReceipt,
    /// What was asked, with everything that the server filled in; its hash is the receipt's `request`.
    #[schema(value_type = Object)]
    pub request: Request,
    /// Where the receipt stands.
    #[schema(value_type = String, example = "executed")]
    pub state: ReceiptState,
    /// Salt seeds with which the client can disclose single inputs and outputs later.
    pub opening: Opening,
    /// What the answer used.
    pub usage: UsageReport,
}

/// Secrets of the two commitments of a receipt. Who has them can show what was asked and answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Opening {
    /// Salt seed of the input commitment: `0x` and 64 hex digits.
    #[schema(value_type = String)]
    pub input: alloy_primitives::B256,
    /// Salt seed of the output commitment: `0x` and 64 hex digits.
    #[schema(value_type = String)]
    pub output: alloy_primitives::B256,
}

impl Opening {
    /// Fresh secrets.
    pub fn drawn() -> Self {
        let mut rng = rand::rng();
        let mut seeds = [[0u8; 32]; 2];
        seeds.iter_mut().for_each(|seed| rng.fill_bytes(seed));
        let [input, output] = seeds.map(alloy_primitives::B256::from);
        Self { input, output }
    }
}

/// What an answer used and cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageReport {
    /// Elements of all input tensors.
    pub input_units: u64,
    /// Elements of all output tensors.
    pub output_units: u64,
    /// Time that the engine computed, microseconds.
    pub compute_us: u64,
    /// Price in millionths of a credit.
    #[schema(value_type = String)]
    pub price_microcredits: Microcredits,
}

/// The models that a node or a network serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelList {
    /// One entry a revision, in order of name and revision.
    pub models: Vec<ModelEntry>,
}

/// A revision that is served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModelEntry {
    /// The revision.
    #[schema(value_type = String)]
    pub revision: RevisionId,
    /// Name in its manifest, without publisher.
    pub name: String,
    /// Names under which it is published, `publisher/name`; empty where nobody looked.
    #[serde(default)]
    pub published_as: Vec<String>,
    /// What the model does, as its manifest says.
    pub task: String,
    /// Licence as its manifest says.
    pub licence: String,
    /// Its inputs.
    pub inputs: Vec<TensorEntry>,
    /// Its outputs.
    pub outputs: Vec<TensorEntry>,
    /// Names of the classes, in order, for a classifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// The engine and quantisation build that runs it; on a gateway, one node's. The receipt says which one ran.
    #[schema(value_type = String)]
    pub engine: EngineId,
    /// Whether running it again elsewhere gives the same bits, as the node says; on a gateway, as all of its nodes say.
    pub replayable: bool,
    /// Rungs of evidence on offer.
    #[schema(value_type = Vec<String>)]
    pub rungs: Vec<Rung>,
    /// How its answers are proven, where a model of it is registered; on a gateway, as one of its nodes says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proofs: Option<ProofOffer>,
    /// What it reads and writes at once, in tokens, where it is a language model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<u64>,
    /// How it writes calls of tools, where it is a language model that was made to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_format: Option<String>,
    /// Live nodes that serve it, on a gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u32>,
}

/// How answers of a model are proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProofOffer {
    /// What the proofs are made to hide.
    pub mode: ProofMode,
    /// Proofs that the chain still takes before the publisher has to commit to the weights anew; absent where nothing is
    /// hidden and nothing counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proofs_left: Option<u64>,
}

/// The two modes of proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProofMode {
    /// Nothing is claimed to be hidden.
    Succinct,
    /// Made to hide the weights, for so many openings of their commitment; inputs and outputs are public.
    ZeroKnowledge,
}

/// Name, type and shape of an input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TensorEntry {
    /// Its name.
    pub name: String,
    /// Its element type: `f32`, `f64`, `i64`, `i32`, `u8`, `bool`, `string`.
    pub dtype: String,
    /// Its dimensions, outermost first; null if the model does not state even their number.
    pub shape: Option<Vec<Dimension>>,
    /// Whether NaN and infinities may be in it.
    #[serde(default)]
    pub non_finite: bool,
}

/// One dimension of an input or output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Dimension {
    /// Exactly this many.
    Fixed(u32),
    /// Any number, the same wherever the name occurs.
    Named(String),
    /// Any number; null in JSON.
    Any(()),
}

/// A receipt and where it stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ReceiptReport {
    /// Its id.
    #[schema(value_type = String)]
    pub id: ReceiptId,
    /// Where it stands now.
    #[schema(value_type = String, example = "settled")]
    pub state: ReceiptState,
    /// The receipt with the node's signature.
    #[schema(value_type = Object)]
    pub receipt: SignedReceipt,
    /// Height of the block in which it settled, where it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// Where the proof of the answer stands, where one was promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<ProofReport>,
    /// Everything that offline verification needs beside `network`; with `?proof=1` once settled
    /// and certified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub proof: Option<ReceiptProof>,
    /// The network as the server has it. Do not trust it from here: compare it with a copy from
    /// elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub network: Option<Network>,
}

/// Where the proof of an answer stands. A gateway says `proven` only where the chain says so; the rest is the node's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProofReport {
    /// How far it is.
    pub state: ProofState,
    /// Why there will be no proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Height of the block whose validators accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<u64>,
    /// Its place among those that wait for their turn; 1 is the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// Answers in the one proof; what follows of proving is for all of them together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<u32>,
    /// Time that proving took by the clock, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prove_us: Option<u64>,
    /// CPU time of proving, of all of its threads together, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prove_cpu_us: Option<u64>,
    /// CPU time of this answer's inference, microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infer_cpu_us: Option<u64>,
    /// Bytes of the proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_bytes: Option<u64>,
}

/// How far a proof is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProofState {
    /// It waits for its turn.
    Queued,
    /// Its turn has come: it waits for its receipt to settle, or for a block after that.
    Settling,
    /// It is being made.
    Proving,
    /// It was handed to the chain.
    Submitted,
    /// Every validator has checked it: the receipt has the rung `proven`.
    Proven,
    /// There will be none.
    Failed,
    /// There will be none: who asked for it does not want it any more.
    Cancelled,
}

impl ProofReport {
    /// A report of this state, with nothing else known.
    pub fn of(state: ProofState) -> Self {
        Self {
            state,
            reason: None,
            block: None,
            position: None,
            answers: None,
            prove_us: None,
            prove_cpu_us: None,
            infer_cpu_us: None,
            proof_bytes: None,
        }
    }

    /// CPU time of proving this answer, a share of its proof's, in times of its inference's.
    pub fn overhead(&self) -> Option<u64> {
        let share = self.prove_cpu_us?.checked_div(self.answers?.into())?;
        share.checked_div(self.infer_cpu_us?)
    }

    /// The report of a proof that will not be made.
    pub fn failed(reason: &str) -> Self {
        Self {
            reason: Some(reason.to_owned()),
            ..Self::of(ProofState::Failed)
        }
    }
}

/// A network, and who of it answers now.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NetworkReport {
    /// The network as a light client has to know it.
    #[schema(value_type = Object)]
    pub network: Network,
    /// Its id.
    #[schema(value_type = String)]
    pub id: NetworkId,
    /// Height of the last finalized block seen.
    pub height: u64,
    /// Time of that block, Unix milliseconds.
    pub timestamp_ms: u64,
    /// The validators that this server knows.
    pub validators: Vec<ValidatorReport>,
    /// The registered nodes.
    pub nodes: Vec<NodeReport>,
    /// Rungs of evidence on offer.
    #[schema(value_type = Vec<String>)]
    pub rungs: Vec<Rung>,
}

/// A validator as a server sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ValidatorReport {
    /// Its JSON-RPC address.
    pub rpc: String,
    /// Whether it answered the last question.
    pub live: bool,
    /// Its finalized height, where it answered.
    pub height: Option<u64>,
}

/// A registered node as a server sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeReport {
    /// Its key's address.
    #[schema(value_type = String)]
    pub node: NodeAddress,
    /// Its operator's account.
    #[schema(value_type = String)]
    pub operator: alloy_primitives::Address,
    /// Where it answers.
    pub endpoint: String,
    /// Its bond in millionths of a credit.
    #[schema(value_type = String)]
    pub bond_microcredits: Microcredits,
    /// `active`, `exiting`, `slashed` or `withdrawn`.
    pub status: String,
    /// Whether it answered the last question.
    pub live: bool,
    /// Revisions that it serves, where it answered.
    #[schema(value_type = Vec<String>)]
    pub revisions: Vec<RevisionId>,
}

/// Whether a role is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `node`, `gateway` or `validator`.
    pub role: String,
    /// `ok`, `behind` or `stopping`.
    pub status: HealthStatus,
    /// Version of the program.
    pub version: String,
    /// What is wrong, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Receipts on disk that are not settled yet, on a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<u64>,
    /// What it says of where it runs and what on, by dimension: `asn`, `country`, `data_centre`, `firmware_level`,
    /// `operator`, `software_build`, `tee_vendor`. Its own word.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub place: BTreeMap<String, String>,
}

/// How a role is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// It takes requests.
    Ok,
    /// It works, but what stands behind it does not keep up.
    Behind,
    /// It drains.
    Stopping,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_needs_a_model_and_inputs_and_takes_nothing_unknown() {
        let good = r#"{"model":"0xab/m","inputs":{"x":[[1,2]]}}"#;
        let request: InferRequest = serde_json::from_str(good).unwrap();
        assert_eq!(request.outputs, None);
        assert_eq!(serde_json::to_string(&request).unwrap(), good);
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"model":"m"}"#,
            r#"{"inputs":{}}"#,
            r#"{"model":7,"inputs":{}}"#,
            r#"{"model":"m","inputs":[]}"#,
            r#"{"model":"m","inputs":{},"sead":1}"#,
            r#"{"model":"m","inputs":{},"seed":-1}"#,
            r#"{"model":"m","inputs":{},"seed":1.5}"#,
            r#"{"model":"m","inputs":{},"nonce":5}"#,
            r#"{"model":"m","inputs":{},"parameters":[]}"#,
            r#"{"model":"m","inputs":{},"deadline_ms":"1"}"#,
            r#"{"model":"m","inputs":{},"outputs":"xml"}"#,
            r#"{"model":"m","inputs":{}} trailing"#,
        ] {
            assert!(serde_json::from_str::<InferRequest>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_overhead_is_of_cpu_time_and_shared_by_the_answers_of_a_proof() {
        let mut report = ProofReport::of(ProofState::Proven);
        assert_eq!(report.overhead(), None);
        (report.prove_us, report.prove_cpu_us) = (Some(1), Some(8_000));
        (report.answers, report.infer_cpu_us) = (Some(4), Some(20));
        assert_eq!(report.overhead(), Some(100));
        report.infer_cpu_us = Some(0);
        assert_eq!(report.overhead(), None);
    }
}
