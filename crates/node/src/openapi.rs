//! The OpenAPI document of the HTTP API; `openapi.json` beside `Cargo.toml` is a copy that a test compares.

use crate::{
    api::{
        ConcentrationReport, Health, HealthStatus, InferRequest, InferResponse, ModelEntry,
        ModelList, NetworkReport, NodeReport, Opening, OutputForm, ProofMode, ProofOffer,
        ProofReport, ProofState, ReceiptReport, ServiceReport, TensorEntry, UsageReport,
        ValidatorReport,
    },
    gateway::server as handlers,
    problem::Problem,
};
use std::sync::LazyLock;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Assay",
        description = "Ask models and get answers with receipts. Errors are RFC 9457 problem documents.",
        license(name = "MIT OR Apache-2.0"),
    ),
    paths(
        handlers::infer,
        handlers::models,
        handlers::receipt,
        handlers::cancel,
        handlers::network,
        handlers::concentration,
        handlers::health
    ),
    components(schemas(
        InferRequest,
        OutputForm,
        InferResponse,
        Opening,
        UsageReport,
        ModelList,
        ModelEntry,
        TensorEntry,
        ReceiptReport,
        ProofReport,
        ProofMode,
        ProofOffer,
        ProofState,
        NetworkReport,
        ValidatorReport,
        NodeReport,
        ConcentrationReport,
        ServiceReport,
        Health,
        HealthStatus,
        Problem,
    ))
)]
struct Api;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut text = Api::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
});

/// The document, as JSON with a line break at its end.
pub fn document() -> &'static str {
    &DOCUMENT
}
