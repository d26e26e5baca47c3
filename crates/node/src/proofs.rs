//! The proofs on chain: registering a revision's model, and what was proven.

use crate::{
    abi::{Place, Proofs, Settled, place},
    error::Error,
    rpc_client::{RpcClient, RpcError},
    secret::{Hidden, Secret},
    wallet::Wallet,
};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_sol_types::SolCall as _;
use assay_chain::{precompile::answer_rule::Rule, spec::PROOFS};
use assay_inference::{QuantisedEngine, Revision, provable::CALIBRATION_FILE};
use assay_receipt::{ReceiptId, RevisionId};
use std::sync::Arc;

/// Most receipts whose answers one call proves: `MAX_ANSWERS` of the contract.
pub const MAX_ANSWERS: usize = 16;

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

/// Registers the model of a published revision, unless it is registered or the revision has none that can be proven; with
/// its weights hidden by the secret, if there is one. Only its first publisher can. Gives what is registered now.
///
/// # Errors
/// [`Error::Unprovable`], [`Error::Rpc`], and as [`Hidden::spend`] and [`Wallet::execute`].
pub async fn register(
    rpc: &RpcClient,
    publisher: &Wallet,
    revision: &Revision,
    secret: Option<Secret>,
) -> Result<Option<Registered>, Error> {
    let Some(engine) = engine_of(revision) else {
        return Ok(None);
    };
    let id = revision.id();
    if let Some(registered) = registered(rpc, id).await? {
        return Ok(Some(registered));
    }
    let rule = rule_of(&engine)?;
    let provable = engine.provable().clone();
    let call = tokio::task::spawn_blocking(move || {
        let provable = match secret {
            Some(secret) => Arc::new(secret.hide((*provable).clone())?.spend(0)?),
            None => provable,
        };
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
    let data = call
        .await
        .unwrap_or(Err(Error::PartEnded("the registration")))?;
    publisher.execute(rpc, PROOFS, data.into()).await?;
    Ok(registered(rpc, id).await?)
}

/// Commits anew to the hidden weights of a registered model, by a secret that is to be used from now on.
///
/// # Errors
/// [`Error::Unprovable`] if the registered commitment is not that of `hidden`; [`Error::Rpc`], and as [`Hidden::renew`] and
/// [`Wallet::execute`].
pub async fn renew(
    rpc: &RpcClient,
    publisher: &Wallet,
    revision: RevisionId,
    hidden: Hidden,
    next: Secret,
) -> Result<Registered, Error> {
    let gone = || Error::Unprovable("the revision has no registered model".into());
    let before = registered(rpc, revision).await?.ok_or_else(gone)?;
    if before.weights.as_ref() != hidden.weights() {
        return Err(Error::Unprovable(
            "the registered commitment is of another secret".into(),
        ));
    }
    let call = tokio::task::spawn_blocking(move || {
        let (next, roll) = hidden.renew(next)?;
        let call = Proofs::renewModelCall {
            revision: revision.into(),
            circuit: next.provable().model().prepared().circuit().encode().into(),
            weights: next.weights().to_vec().into(),
            roll: roll.encode().into(),
        };
        Ok::<_, Error>(call.abi_encode())
    });
    let data = call.await.unwrap_or(Err(Error::PartEnded("the renewal")))?;
    publisher.execute(rpc, PROOFS, data.into()).await?;
    registered(rpc, revision).await?.ok_or_else(gone)
}

/// A revision's model as the chain has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The commitment to its weights, as it is encoded.
    pub weights: Bytes,
    /// The block in which they were last committed to anew; 0 where they never were.
    pub renewed_at: u64,
    /// Of a commitment that hides them: what is counted.
    pub openings: Option<Openings>,
}

/// What the chain counts of a commitment that hides weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Openings {
    /// How often it may be opened.
    pub budget: u64,
    /// How often it was: the registration or renewal, and each proof that the chain took.
    pub made: u64,
}

impl Openings {
    /// Proofs that the chain still takes under it; one opening is kept for its renewal.
    pub fn proofs_left(&self) -> u64 {
        self.budget.saturating_sub(self.made).saturating_sub(1)
    }
}

/// What is registered for a revision; `None` where nothing is.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked.
pub async fn registered(
    rpc: &RpcClient,
    revision: RevisionId,
) -> Result<Option<Registered>, RpcError> {
    let call = Proofs::modelsCall {
        revision: revision.into(),
    };
    let model = rpc.view(PROOFS, &call).await?;
    if model.registeredAt.is_zero() {
        return Ok(None);
    }
    let call = Proofs::openingsCall {
        weightsHash: keccak256(&model.weights),
    };
    let counted = rpc.view(PROOFS, &call).await?;
    let openings = Openings {
        budget: counted.budget,
        made: counted.made,
    };
    Ok(Some(Registered {
        weights: model.weights,
        renewed_at: model.renewedAt.saturating_to(),
        openings: (openings.budget != 0).then_some(openings),
    }))
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

/// What a proof for these receipts, in this order, has to be bound to.
///
/// # Errors
/// [`RpcError`] if the chain cannot be asked, or does not know the block's hash.
pub async fn context_of(
    rpc: &RpcClient,
    ids: &[ReceiptId],
    block: u64,
) -> Result<[u8; 32], RpcError> {
    let random_block = U256::from(block);
    if let [id] = ids {
        let call = Proofs::contextOfCall {
            receiptId: B256::from(*id.as_bytes()),
            randomBlock: random_block,
        };
        return Ok(rpc.view(PROOFS, &call).await?.0);
    }
    let call = Proofs::contextOfAllCall {
        receiptIds: ids.iter().map(|id| B256::from(*id.as_bytes())).collect(),
        randomBlock: random_block,
    };
    Ok(rpc.view(PROOFS, &call).await?.0)
}

/// The tensors of an answer in their canonical bytes, each after the salt of its commitment.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Of the one input.
    pub input: (B256, Bytes),
    /// Of the one output.
    pub output: (B256, Bytes),
}

/// Answers with their one proof, each of which has one of its rows.
#[derive(Debug, Clone)]
pub struct Proven {
    /// The circuit's description.
    pub circuit: Bytes,
    /// The rows.
    pub rows: Bytes,
    /// The proof.
    pub proof: Bytes,
    /// The rule that binds tensors to integers.
    pub rule: Bytes,
    /// The tensors of each answer, in the order of the rows.
    pub opened: Vec<Opened>,
}

/// The call that records proven answers, of as many receipts as rows.
pub fn prove_call(receipts: &[Settled<'_>], random_block: u64, proven: Proven) -> Bytes {
    let random_block = U256::from(random_block);
    let mut places: Vec<Place> = receipts.iter().map(place).collect();
    if let ([opened], 1) = (proven.opened.as_slice(), places.len()) {
        let call = Proofs::proveAnswerCall {
            place: places.remove(0),
            randomBlock: random_block,
            answer: Proofs::Answer {
                circuit: proven.circuit,
                rows: proven.rows,
                proof: proven.proof,
                rule: proven.rule,
                inputSalt: opened.input.0,
                input: opened.input.1.clone(),
                outputSalt: opened.output.0,
                output: opened.output.1.clone(),
            },
        };
        return call.abi_encode().into();
    }
    let joined = |of: fn(&Opened) -> &Bytes| -> Bytes {
        let pieces: Vec<&[u8]> = proven.opened.iter().map(|one| of(one).as_ref()).collect();
        pieces.concat().into()
    };
    let answers = Proofs::Answers {
        inputSalts: proven.opened.iter().map(|one| one.input.0).collect(),
        inputs: joined(|one| &one.input.1),
        outputSalts: proven.opened.iter().map(|one| one.output.0).collect(),
        outputs: joined(|one| &one.output.1),
        circuit: proven.circuit,
        rows: proven.rows,
        proof: proven.proof,
        rule: proven.rule,
    };
    let call = Proofs::proveAnswersCall {
        places,
        randomBlock: random_block,
        answers,
    };
    call.abi_encode().into()
}
