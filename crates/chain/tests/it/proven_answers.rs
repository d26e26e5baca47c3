//! A receipt whose own answer is proven through the real precompile gets the rung `Proven`, and no other receipt does.

use crate::{
    local_chain::{LocalChain, Wallet},
    proven_computations::{
        Answer, OtherRule, Place, REVISION, answerProvenAtCall, circuit, compiled, contextOfCall,
        input, model, number, proveAnswerCall, refusal, registerModelCall, reverts,
        verifyReceiptCall, wait_for, words,
    },
    settled_receipts::{Stream, prepare, settle},
};
use alloy_primitives::{B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, SolError};
use assay_chain::{
    precompile::answer_rule::Rule,
    spec::{PROOFS, SETTLEMENT},
};
use assay_inference::{Tensor, npy};
use assay_receipt::{Commitment, Field, SaltSeed, SignedReceipt, commit};
use assay_tensor::quant::{InputSpec, OutputSpec, Range, Reading};
use assay_zkml::{Model, Setting, prove, register};
use assay_zkml_verify::Row;

/// A step of a quarter for inputs and of a tenth for outputs.
fn specs() -> (InputSpec, OutputSpec) {
    let input = InputSpec {
        name: "x".into(),
        shape: vec![12],
        scale: vec![0.25],
        offset: vec![0.0],
        range: Range {
            least: -128,
            most: 127,
        },
    };
    let output = OutputSpec {
        name: "y".into(),
        shape: vec![10],
        scale: 0.1,
        offset: vec![1.0],
        reading: Reading::Value,
    };
    (input, output)
}

/// Where the ten scores stand in the circuit's output.
fn places() -> Vec<u32> {
    compiled(12, 8).outputs.remove(0)
}

fn rule() -> Bytes {
    let (input, output) = specs();
    let places = places();
    Rule::new(&input, &output, &places)
        .unwrap()
        .encode()
        .unwrap()
}

fn opened(name: &str, values: Vec<f32>) -> (Commitment, B256, Bytes) {
    let bytes = npy::canonical_bytes(&Tensor::new(&[1, values.len()], values).unwrap()).unwrap();
    let field = Field {
        name,
        bytes: &bytes,
    };
    let (commitment, opening) = commit(&[field], &SaltSeed::from_bytes([7; 32])).unwrap();
    let salt = opening.disclose(name, &bytes).unwrap().salt;
    (commitment, salt, bytes.into())
}

fn setting(chain: &LocalChain, context: [u8; 32]) -> Setting {
    Setting {
        network: *chain.network.id().as_bytes(),
        revision: *REVISION.as_bytes(),
        context,
    }
}

/// An answer of the model, without its proof, and what a receipt for it commits to.
fn answer(chain: &LocalChain, model: &Model) -> (Answer, Commitment, Commitment) {
    let integers = input(12);
    let (statement, _) = prove(
        model,
        setting(chain, [0; 32]),
        std::slice::from_ref(&integers),
    )
    .unwrap();
    let scores = places().into_iter();
    let scores: Vec<i32> = scores
        .map(|at| statement.rows[0].outputs[0][at as usize])
        .collect();
    let outputs = specs().1.values(&scores);
    // Between two steps, so that rounding has something to do.
    let inputs = integers[0]
        .iter()
        .map(|q| f32::from(*q) * 0.25 + 0.07)
        .collect();
    let (input, input_salt, input_bytes) = opened("x", inputs);
    let (output, output_salt, output_bytes) = opened("y", outputs);
    let answer = Answer {
        circuit: circuit(model),
        rows: Row::encode_all(&statement.rows).into(),
        proof: Bytes::new(),
        rule: rule(),
        inputSalt: input_salt,
        input: input_bytes,
        outputSalt: output_salt,
        output: output_bytes,
    };
    (answer, input, output)
}

async fn proven(
    chain: &LocalChain,
    model: &Model,
    signed: &SignedReceipt,
    block: u64,
    answer: &Answer,
) -> proveAnswerCall {
    let question = contextOfCall {
        receiptId: B256::from(*signed.receipt.id(&chain.network.domain()).as_bytes()),
        randomBlock: U256::from(block),
    };
    let context = chain.view(PROOFS, question).await.0;
    let (_, proof) = prove(model, setting(chain, context), &[input(12)]).unwrap();
    proveAnswerCall {
        place: Place {
            receipt: words(signed),
            signature: signed.signature.as_bytes().to_vec().into(),
            index: 0,
            count: 1,
            path: vec![],
        },
        randomBlock: U256::from(block),
        answer: Answer {
            proof: proof.encode().into(),
            ..answer.clone()
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_proven_only_with_its_own_tensors() {
    let chain = LocalChain::start().await;
    let ([publisher, other, _], key) = (Wallet::all(), Wallet::new(77).key);
    prepare(&chain, &publisher, &key, &[REVISION]).await;
    let mut stream = Stream::new(&chain, &key, REVISION);
    let model = model(12, 8);
    let registration = registerModelCall {
        revision: B256::from(*REVISION.as_bytes()),
        circuit: circuit(&model),
        weights: model.commitment().weights.encode().into(),
        registration: register(&model).unwrap().encode().into(),
        rule: rule(),
    };
    let to = TxKind::Call(PROOFS);
    chain
        .transact(&publisher, to, registration.abi_encode())
        .await;

    let (answer, input, output) = answer(&chain, &model);
    let unrelated = stream.receipt();
    settle(&chain, &other, vec![unrelated.clone()]).await;
    let signed = stream.receipt_of(input, output);
    let mined = settle(&chain, &other, vec![signed.clone()]).await;
    let settled_at = number(&mined["blockNumber"]);
    wait_for(&chain, settled_at + 3).await;

    let foreign = proven(&chain, &model, &unrelated, settled_at + 1, &answer).await;
    let foreign = reverts(&chain, &other, PROOFS, foreign.abi_encode()).await;
    assert_eq!(foreign, refusal(13), "tensors under another receipt");
    let good = proven(&chain, &model, &signed, settled_at + 1, &answer).await;
    refused(&chain, &other, &good).await;
    assert_eq!(rung(&chain, &good.place).await, 1);

    let data = good.abi_encode();
    let length = data.len();
    let mined = chain.transact(&other, to, data).await;
    println!(
        "prove an answer: {} gas, {length} bytes",
        number(&mined["gasUsed"])
    );
    assert_eq!(rung(&chain, &good.place).await, 4);
    let id = |signed: &SignedReceipt| answerProvenAtCall {
        receiptId: B256::from(*signed.receipt.id(&chain.network.domain()).as_bytes()),
    };
    let at = chain.view(PROOFS, id(&signed)).await;
    assert_eq!(at, U256::from(number(&mined["blockNumber"])));
    assert_eq!(chain.view(PROOFS, id(&unrelated)).await, U256::ZERO);
}

async fn rung(chain: &LocalChain, place: &Place) -> u8 {
    let question = verifyReceiptCall {
        receipt: place.receipt.clone(),
        signature: place.signature.clone(),
        index: place.index,
        count: place.count,
        path: place.path.clone(),
    };
    chain.view(SETTLEMENT, question).await.rung
}

/// Each part of an answer replaced by another.
async fn refused(chain: &LocalChain, wallet: &Wallet, good: &proveAnswerCall) {
    let mut cases: Vec<(&str, Answer, Bytes)> = Vec::new();
    let mut case = |name, change: &dyn Fn(&mut Answer), reason: Bytes| {
        let mut answer = good.answer.clone();
        change(&mut answer);
        cases.push((name, answer, reason));
    };
    let rows = |change: &dyn Fn(&mut Row)| {
        let mut rows = Row::decode_all(&good.answer.rows).unwrap();
        change(&mut rows[0]);
        Bytes::from(Row::encode_all(&rows))
    };
    let (input, output) = (
        rows(&|row| row.inputs[0][0] += 1),
        rows(&|row| row.outputs[0][places()[0] as usize] += 1),
    );
    case("other inputs", &|a| a.rows = input.clone(), refusal(14));
    case("other outputs", &|a| a.rows = output.clone(), refusal(14));
    case("no rows", &|a| a.rows = vec![0].into(), refusal(14));
    case("another salt", &|a| a.inputSalt = B256::ZERO, refusal(13));
    case(
        "another output",
        &|a| a.output = a.input.clone(),
        refusal(13),
    );
    case("an empty proof", &|a| a.proof = Bytes::new(), refusal(1));
    let other = |rule: &[u8]| {
        let error = OtherRule {
            registered: keccak256(&good.answer.rule),
            got: keccak256(rule),
        };
        Bytes::from(error.abi_encode())
    };
    case("no rule", &|a| a.rule = Bytes::new(), other(&[]));
    for (name, answer, reason) in cases {
        let call = proveAnswerCall {
            answer,
            ..good.clone()
        };
        let found = reverts(chain, wallet, PROOFS, call.abi_encode()).await;
        assert_eq!(found, reason, "{name}");
    }
}
