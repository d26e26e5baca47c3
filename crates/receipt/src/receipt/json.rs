//! The JSON form of a receipt: flat, with the field names of the EIP-712 type, so that a wallet or a browser takes it as it is.

use serde::{Deserialize, Serialize};

use super::{Receipt, Rung, Times, Usage};
use crate::Error;
use crate::ids::{
    Commitment, EngineId, Microcredits, NodeAddress, ParametersDigest, ReceiptId, RequestId,
    RevisionId,
};

/// The fields of [`super::RECEIPT_TYPE`]: ids as hex strings, integers as decimal strings, the rung as a number.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReceiptJson {
    request: RequestId,
    #[serde(with = "crate::decimal")]
    nonce: u128,
    revision: RevisionId,
    engine: EngineId,
    parameters: ParametersDigest,
    #[serde(with = "crate::decimal")]
    seed: u64,
    input: Commitment,
    output: Commitment,
    stream: Commitment,
    #[serde(with = "crate::decimal")]
    input_units: u64,
    #[serde(with = "crate::decimal")]
    output_units: u64,
    #[serde(with = "crate::decimal")]
    compute_us: u64,
    price: Microcredits,
    payer: Commitment,
    node: NodeAddress,
    #[serde(with = "crate::decimal")]
    request_ns: u64,
    #[serde(with = "crate::decimal")]
    first_output_ns: u64,
    #[serde(with = "crate::decimal")]
    end_ns: u64,
    #[serde(with = "crate::decimal")]
    uncertainty_ns: u64,
    rung: u8,
    #[serde(with = "crate::decimal")]
    deadline_ns: u64,
    #[serde(with = "crate::decimal")]
    sequence: u64,
    previous: ReceiptId,
}

impl From<Receipt> for ReceiptJson {
    fn from(receipt: Receipt) -> Self {
        Self {
            request: receipt.request,
            nonce: receipt.nonce,
            revision: receipt.revision,
            engine: receipt.engine,
            parameters: receipt.parameters,
            seed: receipt.seed,
            input: receipt.input,
            output: receipt.output,
            stream: receipt.stream,
            input_units: receipt.usage.input_units,
            output_units: receipt.usage.output_units,
            compute_us: receipt.usage.compute_us,
            price: receipt.price,
            payer: receipt.payer,
            node: receipt.node,
            request_ns: receipt.times.request_ns,
            first_output_ns: receipt.times.first_output_ns,
            end_ns: receipt.times.end_ns,
            uncertainty_ns: receipt.times.uncertainty_ns,
            rung: receipt.rung.number(),
            deadline_ns: receipt.deadline_ns,
            sequence: receipt.sequence,
            previous: receipt.previous,
        }
    }
}

impl TryFrom<ReceiptJson> for Receipt {
    type Error = Error;

    fn try_from(json: ReceiptJson) -> Result<Self, Error> {
        let receipt = Self {
            request: json.request,
            nonce: json.nonce,
            revision: json.revision,
            engine: json.engine,
            parameters: json.parameters,
            seed: json.seed,
            input: json.input,
            output: json.output,
            stream: json.stream,
            usage: Usage {
                input_units: json.input_units,
                output_units: json.output_units,
                compute_us: json.compute_us,
            },
            price: json.price,
            payer: json.payer,
            node: json.node,
            times: Times {
                request_ns: json.request_ns,
                first_output_ns: json.first_output_ns,
                end_ns: json.end_ns,
                uncertainty_ns: json.uncertainty_ns,
            },
            rung: Rung::try_from(json.rung)?,
            deadline_ns: json.deadline_ns,
            sequence: json.sequence,
            previous: json.previous,
        };
        receipt.check()?;
        Ok(receipt)
    }
}
