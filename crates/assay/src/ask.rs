//! One question to a model, and everything that its asker checks of the answer.

use crate::{client::Gateway, complaint::Complaint, saved::ReceiptFile};
use alloy_primitives::B256;
use anyhow::{Context as _, Result};
use assay_chain::light::{Network, ReceiptProof};
use assay_inference::{NamedTensors, json, npy};
use assay_node::{
    api::{InferRequest, InferResponse, ModelEntry, OutputForm, Question, TensorEntry, tensors},
    problem::Problem,
};
use assay_receipt::{Commitment, Disclosure, Field, SaltSeed, commit};
use serde_json::Value;
use std::collections::BTreeMap;

/// Most elements of the tensors of one question or answer that are read here.
const MAX_ELEMENTS: u64 = 64 << 20;

/// A question.
#[derive(Debug, Clone)]
pub struct Asking<'a> {
    /// What is known of the model.
    pub model: &'a ModelEntry,
    /// A value for each input.
    pub inputs: BTreeMap<String, Value>,
    /// The rung that is wanted, if another than the network's own.
    pub rung: Option<String>,
    /// Milliseconds until the receipt has to be settled, if another than the network's own.
    pub deadline_ms: Option<u64>,
}

/// An answer that was checked: its receipt is signed for this question, and its outputs are the ones signed for.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The answer as it came.
    pub answer: InferResponse,
    /// Its outputs.
    pub outputs: NamedTensors,
    input: Vec<Disclosure>,
    output: Vec<Disclosure>,
}

/// Asks and checks.
///
/// # Errors
/// A complaint if the gateway refuses, or if the answer does not hold.
pub async fn ask(gateway: &Gateway, network: &Network, asking: Asking<'_>) -> Result<Answered> {
    let model = asking.model;
    let inputs = tensors::read(&asking.inputs, &model.inputs, MAX_ELEMENTS).map_err(refused)?;
    let request = InferRequest {
        model: model.revision.to_string(),
        inputs: asking.inputs,
        parameters: None,
        seed: None,
        nonce: Some(rand::random::<u128>().to_string()),
        rung: asking.rung,
        deadline_ms: asking.deadline_ms,
        prove_within_ms: None,
        // The very bytes that the receipt commits to.
        outputs: Some(OutputForm::Npy),
    };
    let answer = gateway.infer(&request).await?;
    let question = Question {
        request: &request,
        revision: model.revision,
    };
    question
        .check(&answer, &network.domain())
        .map_err(|error| distrust(&error))?;
    let outputs = read_outputs(&answer.outputs, &model.outputs)?;
    let receipt = &answer.receipt.receipt;
    let input = open(&inputs, &answer.opening.input, &receipt.input).context("the input")?;
    let output = open(&outputs, &answer.opening.output, &receipt.output).context("the output")?;
    Ok(Answered {
        answer,
        outputs,
        input,
        output,
    })
}

fn refused(problem: Problem) -> Complaint {
    Complaint::failed(&problem).hint(&problem.hint)
}

fn distrust(error: &dyn std::fmt::Display) -> Complaint {
    Complaint::failed(format!("the answer does not hold: {error}"))
        .hint("do not use it; ask another gateway and report this one")
}

/// The outputs in the order of the model's signature, which is the order of their commitment.
fn read_outputs(
    values: &BTreeMap<String, Value>,
    entries: &[TensorEntry],
) -> Result<NamedTensors, Complaint> {
    tensors::read(values, entries, MAX_ELEMENTS).map_err(|problem| distrust(&problem))
}

/// Lays open every tensor of a commitment.
fn open(tensors: &NamedTensors, seed: &B256, signed: &Commitment) -> Result<Vec<Disclosure>> {
    let bytes = npy::canonical_fields(tensors).map_err(Complaint::failed)?;
    let fields: Vec<Field<'_>> = bytes
        .iter()
        .map(|(name, bytes)| Field { name, bytes })
        .collect();
    let (commitment, opening) = commit(&fields, &SaltSeed::from_bytes(seed.0))?;
    if commitment != *signed {
        return Err(distrust(&"it is not the one that the node signed for").into());
    }
    let disclosed = bytes
        .iter()
        .map(|(name, bytes)| opening.disclose(name, bytes));
    Ok(disclosed.collect::<Result<_, _>>()?)
}

impl Answered {
    /// The receipt file of this answer, with its proof if there is one.
    pub fn file(&self, network: &Network, proof: Option<ReceiptProof>) -> ReceiptFile {
        ReceiptFile {
            network: network.id(),
            receipt: self.answer.receipt.clone(),
            proof,
            input: self.input.clone(),
            output: self.output.clone(),
        }
    }

    /// Its outputs as JSON.
    pub fn outputs_json(&self) -> Value {
        json::write(&self.outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_inference::Tensor;
    use assay_node::api::Dimension;

    #[test]
    fn outputs_that_are_not_the_models_are_distrusted() {
        let entry = TensorEntry {
            name: "y".into(),
            dtype: "f32".into(),
            shape: Some(vec![Dimension::Any(()), Dimension::Fixed(2)]),
            non_finite: true,
        };
        let read = |name: &str, tensor: Result<Tensor, _>| {
            let tensors = NamedTensors::new(vec![(name.into(), tensor.unwrap())]);
            let values = tensors::write(&tensors, OutputForm::Npy).unwrap();
            read_outputs(&values, std::slice::from_ref(&entry))
        };
        assert!(read("y", Tensor::new(&[1, 2], vec![f32::NAN, 2.0])).is_ok());
        for lie in [
            read("z", Tensor::new(&[1, 2], vec![1f32, 2.0])),
            read("y", Tensor::new(&[1, 2], vec![1f64, 2.0])),
            read("y", Tensor::new(&[2, 1], vec![1f32, 2.0])),
            read("y", Tensor::new(&[1 << 20, 0], Vec::<f32>::new())),
        ] {
            let said = lie.unwrap_err().to_string();
            assert!(said.starts_with("the answer does not hold: "), "{said}");
        }
    }
}
