//! The precompile at [`PROOF_VERIFIER`]: proofs of inferences, checked natively, inside consensus.
//!
//! It is a pure function of its call's data. What a proof must satisfy is [`assay_zkml_verify::verify`]; this module is its
//! ABI and its price. The price has two parts, each charged before what it pays for: one by the length of the call, before
//! anything is decoded, and one by the work that the circuit's description announces ([`Circuit::work`]), before a view is
//! expanded. A refusal costs what an acceptance does.

use super::BASE_GAS;
use super::answer_rule::{Rule, Unbound};
use crate::spec::PROOF_VERIFIER;
use alloy_evm::precompiles::{DynPrecompile, PrecompileInput};
use alloy_primitives::{Address, B256};
use alloy_sol_types::{SolCall, SolError, sol};
use assay_zkml_verify::{
    Circuit, Error, ModelCommitment, Prepared, Proof, Row, Statement, WeightCommitment,
    layout::weights_shape,
    registration::{self, Registration},
    roll::{self, Roll},
    statement::MAX_BATCH_LOG,
    verify,
};
use revm::precompile::{PrecompileHalt, PrecompileId, PrecompileOutput, PrecompileResult};
use std::panic::{AssertUnwindSafe, catch_unwind};

sol! {
    /// Checks a circuit and that a model's weights are in range; reverts with `ProofRefused`.
    function verifyRegistration(bytes circuit, bytes weights, bytes registration) external view returns (bytes32 modelId, uint64 budget);
    /// Checks that two commitments are of the same hidden weights; reverts with `ProofRefused`.
    function verifyRoll(bytes circuit, bytes before, bytes weights, bytes roll) external view returns (bytes32 modelBefore, bytes32 modelId, uint64 budget);
    /// Checks that a model gives the rows' outputs for their inputs; reverts with `ProofRefused`.
    function verifyProof(bytes circuit, bytes weights, bytes32 network, bytes32 revision, bytes32 context, bytes rows, bytes proof) external view returns (bytes32 modelId);
    /// As `verifyProof`, and that the rows are those of the tensors under two commitments; reverts with `ProofRefused`.
    function verifyAnswer(Claim claim, Answer answer) external view returns (bytes32 modelId);
    /// As `verifyAnswer` for several receipts, one row of one proof each; reverts with `ProofRefused`.
    function verifyAnswers(Claims claims, Answers answers) external view returns (bytes32 modelId);

    /// What an answer is held against.
    #[derive(Debug, PartialEq, Eq)]
    struct Claim { bytes weights; bytes32 network; bytes32 revision; bytes32 context; bytes32 input; bytes32 output; }

    /// An answer with its proof; the tensors in their canonical bytes.
    #[derive(Debug, PartialEq, Eq)]
    struct Answer { bytes circuit; bytes rows; bytes proof; bytes rule; bytes32 inputSalt; bytes input; bytes32 outputSalt; bytes output; }

    /// What several answers are held against.
    #[derive(Debug, PartialEq, Eq)]
    struct Claims { bytes weights; bytes32 network; bytes32 revision; bytes32 context; bytes32[] inputs; bytes32[] outputs; }

    /// Several answers with their one proof; the tensors, all of one length, behind each other. No array of tensors: many
    /// entries of one could stand for the same bytes, which decoding would copy.
    #[derive(Debug, PartialEq, Eq)]
    struct Answers { bytes circuit; bytes rows; bytes proof; bytes rule; bytes32[] inputSalts; bytes inputs; bytes32[] outputSalts; bytes outputs; }

    /// Refused; `reason` is a code of this precompile (`IProofVerifier`).
    error ProofRefused(uint8 reason);
}

/// Gas for what any proof takes, however short: the hash chain of the transcript and the parameters of the commitment
/// scheme, 0.6 ms as measured. The receipt verifier sells a microsecond for 150 gas; proofs were measured at 600 and more, a
/// margin for bytes that take longer than an honest proof's (`proof_costs` in `tests/it` prints what is bought).
pub const PROOF_GAS: u64 = 200_000;
/// Gas per byte of a call: decoding, encoding again and hashing a part, and the Merkle paths and folds of an opening; 8 ns
/// as measured. What a transaction pays for its data by EIP-7623, 40 a byte, is more in most calls.
pub const BYTE_GAS: u64 = 8;
/// Gas per unit of work of a circuit: some ten nanoseconds, twice over.
pub const WORK_GAS: u64 = 4;

/// Address at which [`verifier`] is installed.
pub const ADDRESS: Address = PROOF_VERIFIER;

/// Makes the precompile.
pub fn verifier() -> DynPrecompile {
    DynPrecompile::new_stateful(PrecompileId::custom("assay_verify_proofs"), dispatch)
}

/// Codes of refusals that are no [`Error`].
const UNDECODABLE: u8 = 0;
const GAVE_UP: u8 = 11;
const RULE: u8 = 12;
const OPENING: u8 = 13;
const OTHER_ROWS: u8 = 14;

/// Why a call gives no model id.
enum Refused {
    /// Its gas does not pay for what it asks.
    OutOfGas,
    /// A code of `ProofRefused`.
    Reason(u8),
}

impl From<Unbound> for Refused {
    fn from(unbound: Unbound) -> Self {
        Self::Reason(match unbound {
            Unbound::Rule(_) => RULE,
            Unbound::Opening(_) => OPENING,
            Unbound::Rows(_) => OTHER_ROWS,
        })
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Reason(code(&error))
    }
}

/// The code of a refusal; part of the protocol, as contracts can read it.
fn code(error: &Error) -> u8 {
    match error {
        Error::Malformed { .. } => 1,
        Error::Circuit { .. } => 2,
        Error::Statement(_) => 3,
        Error::Model(_) => 4,
        Error::Length(_) => 5,
        Error::Lookup(_) => 6,
        Error::Equation { .. } => 7,
        Error::Product => 8,
        Error::Claims(_) => 9,
        Error::Opening { .. } => 10,
    }
}

/// What a call may spend and has spent.
struct Meter {
    limit: u64,
    used: u64,
}

impl Meter {
    fn charge(&mut self, gas: u64) -> Result<(), Refused> {
        self.used = self.used.saturating_add(gas);
        if self.used > self.limit {
            return Err(Refused::OutOfGas);
        }
        Ok(())
    }
}

fn dispatch(input: PrecompileInput<'_>) -> PrecompileResult {
    let (data, reservoir) = (input.data(), input.reservoir);
    let mut meter = Meter {
        limit: input.gas,
        used: 0,
    };
    let checked = match data.first_chunk::<4>().copied().unwrap_or_default() {
        verifyRegistrationCall::SELECTOR => check(&mut meter, data, check_registration),
        verifyRollCall::SELECTOR => check(&mut meter, data, check_roll),
        verifyProofCall::SELECTOR => check(&mut meter, data, check_proof),
        verifyAnswerCall::SELECTOR => check(&mut meter, data, check_answer),
        verifyAnswersCall::SELECTOR => check(&mut meter, data, check_answers),
        _ => meter
            .charge(BASE_GAS)
            .and(Err(Refused::Reason(UNDECODABLE))),
    };
    Ok(match checked {
        Ok(returned) => PrecompileOutput::new(meter.used, returned.into(), reservoir),
        Err(Refused::OutOfGas) => PrecompileOutput::halt(PrecompileHalt::OutOfGas, reservoir),
        Err(Refused::Reason(reason)) => {
            let error = ProofRefused { reason }.abi_encode();
            PrecompileOutput::revert(meter.used, error.into(), reservoir)
        }
    })
}

/// Charges for the call's length, decodes it and checks it. The verifier and the libraries below it are written not to
/// panic; should one do so all the same, it does so on every validator, and none may stop for it.
fn check<C: SolCall>(
    meter: &mut Meter,
    data: &[u8],
    check: impl FnOnce(&mut Meter, C) -> Result<C::Return, Refused>,
) -> Result<Vec<u8>, Refused> {
    let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
    meter.charge(PROOF_GAS.saturating_add(BYTE_GAS.saturating_mul(bytes)))?;
    let call = C::abi_decode(data).map_err(|_| Refused::Reason(UNDECODABLE))?;
    let checked = catch_unwind(AssertUnwindSafe(|| check(meter, call)));
    let returned = checked.unwrap_or(Err(Refused::Reason(GAVE_UP)))?;
    Ok(C::abi_encode_returns(&returned))
}

fn check_registration(
    meter: &mut Meter,
    call: verifyRegistrationCall,
) -> Result<verifyRegistrationReturn, Refused> {
    let (prepared, model) = prepare(meter, &call.circuit, &call.weights, 0)?;
    let registration = Registration::decode(&call.registration)?;
    registration::verify(prepared.circuit(), &model, &registration)?;
    Ok(verifyRegistrationReturn {
        modelId: model.id().into(),
        budget: budget(prepared.circuit(), &model)?,
    })
}

fn check_roll(meter: &mut Meter, call: verifyRollCall) -> Result<verifyRollReturn, Refused> {
    let (prepared, before) = prepare(meter, &call.circuit, &call.before, 0)?;
    let after = ModelCommitment {
        circuit: before.circuit,
        weights: WeightCommitment::decode(&call.weights)?,
    };
    // One opening of it would be counted where the proof makes two.
    if before.weights == after.weights {
        return Err(Error::Model("commitment: it is the one before").into());
    }
    let roll = Roll::decode(&call.roll)?;
    roll::verify(prepared.circuit(), &before, &after, &roll)?;
    Ok(verifyRollReturn {
        modelBefore: before.id().into(),
        modelId: after.id().into(),
        budget: budget(prepared.circuit(), &after)?,
    })
}

/// How often a commitment may be opened; zero for one that hides nothing, and for no other.
fn budget(circuit: &Circuit, model: &ModelCommitment) -> Result<u64, Refused> {
    if !model.weights.hiding {
        return Ok(0);
    }
    let most = weights_shape(circuit, true).budget("weights")?;
    Ok(u64::try_from(most).unwrap_or(u64::MAX).max(1))
}

/// The tensors first: they cost what the call's length has paid for.
fn check_answer(meter: &mut Meter, call: verifyAnswerCall) -> Result<B256, Refused> {
    let verifyAnswerCall { claim, answer } = call;
    let rows = Row::decode_all(&answer.rows)?;
    Rule::decode(&answer.rule)?.check(&claim, &answer, &rows)?;
    let proof = verifyProofCall {
        circuit: answer.circuit,
        weights: claim.weights,
        network: claim.network,
        revision: claim.revision,
        context: claim.context,
        rows: answer.rows,
        proof: answer.proof,
    };
    check_proof(meter, proof)
}

fn check_answers(meter: &mut Meter, call: verifyAnswersCall) -> Result<B256, Refused> {
    let verifyAnswersCall { claims, answers } = call;
    let rows = Row::decode_all(&answers.rows)?;
    Rule::decode(&answers.rule)?.check_each(&claims, &answers, &rows)?;
    let proof = verifyProofCall {
        circuit: answers.circuit,
        weights: claims.weights,
        network: claims.network,
        revision: claims.revision,
        context: claims.context,
        rows: answers.rows,
        proof: answers.proof,
    };
    check_proof(meter, proof)
}

fn check_proof(meter: &mut Meter, call: verifyProofCall) -> Result<B256, Refused> {
    let rows = Row::decode_all(&call.rows)?;
    if rows.is_empty() || rows.len() > 1 << MAX_BATCH_LOG {
        return Err(Error::Statement(String::new()).into());
    }
    let statement = Statement {
        network: call.network.0,
        revision: call.revision.0,
        context: call.context.0,
        rows,
    };
    let batch = statement.batch_log();
    let (prepared, model) = prepare(meter, &call.circuit, &call.weights, batch)?;
    let proof = Proof::decode(&call.proof)?;
    verify(&prepared, &model, &statement, &proof)?;
    Ok(model.id().into())
}

/// Charges for a circuit's work and expands it.
fn prepare(
    meter: &mut Meter,
    circuit: &[u8],
    weights: &[u8],
    batch_log: u32,
) -> Result<(Prepared, ModelCommitment), Refused> {
    let circuit = Circuit::decode(circuit)?;
    meter.charge(WORK_GAS.saturating_mul(circuit.work(batch_log)))?;
    let prepared = Prepared::new(circuit)?;
    let model = ModelCommitment {
        circuit: prepared.digest(),
        weights: WeightCommitment::decode(weights)?,
    };
    Ok((prepared, model))
}
