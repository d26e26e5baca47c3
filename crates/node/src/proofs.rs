//! The proofs on chain: registering a revision's model, and what was proven.

use crate::{
    error::Error,
    rpc_client::{RpcClient, RpcError},
    wallet::Wallet,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall as _, sol};
use assay_chain::{
    light::ReceiptProof,
    precompile::{answer_rule::Rule, proofs::Answer as Proven},
    spec::PROOFS,
};
use assay_inference::{QuantisedEngine, Revision, provable::CALIBRATION_FILE};
use assay_receipt::{ReceiptId, RevisionId, SignedReceipt};

sol! {
    /// A receipt in words.
    struct Receipt {
        bytes32 request; uint128 nonce; bytes32 revision; bytes32 engine; bytes32 parameters; uint64 seed;
        bytes32 input; bytes32 output; bytes32 stream; uint64 inputUnits; uint64 outputUnits; uint64 computeUs;
        uint64 price; bytes32 payer; address node; uint64 requestNs; uint64 firstOutputNs; uint64 endNs;
        uint64 uncertaintyNs; uint8 rung; uint64 deadlineNs; uint64 sequence; bytes32 previous;
    }

    /// ABI of the contract `Proofs`, as far as it is used here.
    interface Proofs {
        struct Place { Receipt receipt; bytes signature; uint32 index; uint32 count; bytes32[] path; }
        struct Answer {
            bytes circuit; bytes rows; bytes proof; bytes rule;
            bytes32 inputSalt; bytes input; bytes32 outputSalt; bytes output;
        }
        function models(bytes32 revision) external view returns (bytes32 id, bytes weights, uint256 registeredAt, bytes32 ruleHash);
        function registerModel(bytes32 revision, bytes circuit, bytes weights, bytes registration, bytes rule) external;
        function proveAnswer(Place place, uint256 randomBlock, Answer answer) external;
        function contextOf(bytes32 receiptId, uint256 randomBlock) external view returns (bytes32);
        function answerProvenAt(bytes32 receiptId) external view returns (uint256);
    }

    /// ABI of the example consumer, as far as it is used here.
    interface Consumer {
        function act(Receipt receipt, bytes signature, uint32 index, uint32 count, bytes32[] path) external;
        function latestOutput() external view returns (bytes32);
    }
}

/// The engine whose answers can be proven, if the revision has rows to quantise it by and its model can be.
pub fn engine_of(revision: &Revision) -> Option<QuantisedEngine> {
    let files = &revision.manifest().files;
    if !files.iter().any(|file| file.path == CALIBRATION_FILE) {
        return None;
    }
    let loaded = QuantisedEngine::load(revision);
    loaded
        .inspect_err(
            |error| tracing::info!(%error, revision = %revision.id(), "its answers are not proven"),
        )
        .ok()
}

/// The rule that binds the engine's tensors to the integers of its proofs, as it is registered.
///
/// # Errors
/// [`Error::Unprovable`].
pub fn rule_of(engine: &QuantisedEngine) -> Result<Bytes, Error> {
    let (input, output, places) = engine
        .specs()
        .ok_or_else(|| Error::Unprovable("it has no input or no output".into()))?;
    Rule::new(input, output, places)
        .and_then(|rule| rule.encode())
        .map_err(|reason| Error::Unprovable(format!("{reason:?}")))
}

/// Registers the model of a published revision, unless it is registered or the revision has none that can be proven.
/// Only its first publisher can. Says whether it is registered now.
///
/// # Errors
/// [`Error::Unprovable`], [`Error::Rpc`], and as [`Wallet::execute`].
pub async fn register(
    rpc: &RpcClient,
    publisher: &Wallet,
    revision: &Revision,
) -> Result<bool, Error> {
    let Some(engine) = engine_of(revision) else {
        return Ok(false);
    };
    if is_registered(rpc, revision.id()).await? {
        return Ok(true);
    }
    let rule = rule_of(&engine)?;
    let provable = engine.provable().clone();
    let id = revision.id();
    let registered = tokio::task::spawn_blocking(move || {
        let model = provable.model();
        let registration =
            assay_zkml::register(model).map_err(|error| Error::Unprovable(error.to_string()))?;
        let call = Proofs::registerModelCall {
            revision: id.into(),
            circuit: model.prepared().circuit().encode().into(),
            weights: model.commitment().weights.encode().into(),
            registration: registration.encode().into(),
            rule,
        };
        Ok::<_, Error>(call.abi_encode())
    });
    let data = registered
        .await
        .unwrap_or(Err(Error::PartEnded("the registration")))?;
    publisher.execute(rpc, PROOFS, data.into()).await?;
    Ok(true)
}

/// Whether the revision has a model with a rule.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn is_registered(rpc: &RpcClient, revision: RevisionId) -> Result<bool, RpcError> {
    let call = Proofs::modelsCall {
        revision: revision.into(),
    };
    Ok(!rpc.view(PROOFS, &call).await?.registeredAt.is_zero())
}

/// The block in which the receipt's answer was proven, if it was.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn proven_at(rpc: &RpcClient, id: ReceiptId) -> Result<Option<u64>, RpcError> {
    let call = Proofs::answerProvenAtCall {
        receiptId: B256::from(*id.as_bytes()),
    };
    let block = rpc.view(PROOFS, &call).await?.saturating_to::<u64>();
    Ok((block != 0).then_some(block))
}

/// What a proof for the receipt has to be bound to.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked, or does not know the block's hash.
pub async fn context_of(rpc: &RpcClient, id: ReceiptId, block: u64) -> Result<[u8; 32], RpcError> {
    let call = Proofs::contextOfCall {
        receiptId: B256::from(*id.as_bytes()),
        randomBlock: U256::from(block),
    };
    Ok(rpc.view(PROOFS, &call).await?.0)
}

/// The call that records a proven answer.
pub fn prove_call(
    signed: &SignedReceipt,
    place: &ReceiptProof,
    random_block: u64,
    answer: Proven,
) -> Bytes {
    let path = &place.batch.path;
    let call = Proofs::proveAnswerCall {
        place: Proofs::Place {
            receipt: words(signed),
            signature: signed.signature.as_bytes().to_vec().into(),
            index: path.index,
            count: path.size,
            path: path.siblings.clone(),
        },
        randomBlock: U256::from(random_block),
        answer: Proofs::Answer {
            circuit: answer.circuit,
            rows: answer.rows,
            proof: answer.proof,
            rule: answer.rule,
            inputSalt: answer.inputSalt,
            input: answer.input,
            outputSalt: answer.outputSalt,
            output: answer.output,
        },
    };
    call.abi_encode().into()
}

pub(crate) fn words(signed: &SignedReceipt) -> Receipt {
    let receipt = &signed.receipt;
    let word = |bytes: &[u8; 32]| B256::from(*bytes);
    Receipt {
        request: word(receipt.request.as_bytes()),
        nonce: receipt.nonce,
        revision: word(receipt.revision.as_bytes()),
        engine: word(receipt.engine.as_bytes()),
        parameters: word(receipt.parameters.as_bytes()),
        seed: receipt.seed,
        input: word(receipt.input.as_bytes()),
        output: word(receipt.output.as_bytes()),
        stream: word(receipt.stream.as_bytes()),
        inputUnits: receipt.usage.input_units,
        outputUnits: receipt.usage.output_units,
        computeUs: receipt.usage.compute_us,
        price: receipt.price.0,
        payer: word(receipt.payer.as_bytes()),
        node: Address::from(receipt.node),
        requestNs: receipt.times.request_ns,
        firstOutputNs: receipt.times.first_output_ns,
        endNs: receipt.times.end_ns,
        uncertaintyNs: receipt.times.uncertainty_ns,
        rung: receipt.rung.number(),
        deadlineNs: receipt.deadline_ns,
        sequence: receipt.sequence,
        previous: word(receipt.previous.as_bytes()),
    }
}
