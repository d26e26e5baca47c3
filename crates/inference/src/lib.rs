//! Engines behind one trait, and the revision directory they load.
//!
//! A [`Manifest`] lists the files of one immutable version of a model with their digests; its canonical bytes give the
//! [`RevisionId`]. A [`Revision`] is a directory whose every file has been checked against its manifest. An [`Engine`]
//! runs a revision; [`OnnxEngine`] is the one whose answers every machine can replay bit by bit. Tensors enter and
//! leave as JSON ([`json`]) or npy ([`npy`]); [`npy::canonical_bytes`] are the bytes that commitments are made over.
//!
//! [`language`] holds language models and the engine that runs many of their answers at once; [`openai`] is OpenAI's API in types.
//!
//! A [`Provable`] is a revision quantised and committed to, so that its runs can be proven; a [`QuantisedEngine`] runs it.
//!
//! [`OnnxRuntimeEngine`] is the fast path beside it, through a library of the operator's; its answers cannot be replayed.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod engine;
mod error;
pub mod json;
pub mod language;
mod manifest;
pub mod npy;
mod onnx;
mod onnxruntime;
pub mod openai;
pub mod provable;
mod quantised;
mod revision;

pub use assay_receipt::{EngineId, RevisionId};
pub use assay_tensor::quant;
pub use assay_tensor::{
    DType, Dim, Element, ModelLimits, NamedTensors, RunLimits, Shape, Signature, Tensor, ValueInfo,
    Values,
};
pub use engine::Engine;
pub use error::Error;
pub use manifest::{DimEntry, FileEntry, MANIFEST_FILE, Manifest, NonFinite, ValueEntry};
pub use onnx::{MODEL_FILE, OnnxEngine};
pub use onnxruntime::{OnnxRuntime, OnnxRuntimeEngine};
pub use provable::Provable;
pub use quantised::QuantisedEngine;
pub use revision::{Revision, RevisionLimits};
