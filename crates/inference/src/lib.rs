//! Engines behind one trait, and the revision directory they load.
//!
//! A [`Manifest`] lists the files of one immutable version of a model with their digests; its canonical bytes give the
//! [`RevisionId`]. A [`Revision`] is a directory whose every file has been checked against its manifest. An [`Engine`]
//! runs a revision; [`OnnxEngine`] is the one whose answers every machine can replay bit by bit. Tensors enter and
//! leave as JSON ([`json`]) or npy ([`npy`]); [`npy::canonical_bytes`] are the bytes that commitments are made over.
//!
//! The fast path through onnxruntime that the design allows (another `Engine` with `replayable() == false`) belongs
//! beside [`OnnxEngine`], behind a cargo feature; it is not built in.
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
mod manifest;
pub mod npy;
mod onnx;
mod revision;

pub use assay_receipt::{EngineId, RevisionId};
pub use assay_tensor::{
    DType, Dim, Element, ModelLimits, NamedTensors, RunLimits, RunOutput, Shape, Signature, Tensor,
    Usage, ValueInfo, Values,
};
pub use engine::Engine;
pub use error::Error;
pub use manifest::{FileEntry, MANIFEST_FILE, Manifest, NonFinite, ValueEntry};
pub use onnx::{MODEL_FILE, OnnxEngine};
pub use revision::{Revision, RevisionLimits};
