//! Several receipts proven by one proof, of a model of the corpus: what it costs, and each way of forging it.

use crate::{
    local_chain::{LocalChain, Wallet},
    proven_computations::{
        Answer, Answers, BadCount, OtherRevision, Place, REVISION, Twice, answerProvenAtCall,
        contextOfAllCall, contextOfCall, number, proveAnswerCall, proveAnswersCall, refusal,
        registerModelCall, reverts, wait_for, words,
    },
    settled_receipts::{Stream, prepare, proof, settle},
};
use alloy_primitives::{B256, Bytes, TxKind, U256};
use alloy_sol_types::{SolCall, SolError};
use assay_chain::{
    light::ReceiptProof,
    precompile::answer_rule::Rule,
    spec::{PROOFS, TRANSACTION_GAS_LIMIT},
};
use assay_inference::{
    Engine as _, NamedTensors, QuantisedEngine, Revision, RevisionLimits, RunLimits, npy,
    provable::{CALIBRATION_FILE, Proven, rows},
};
use assay_receipt::{Commitment, Field, NodeKey, RevisionId, SaltSeed, SignedReceipt, commit};
use assay_zkml::{Setting, register};
use assay_zkml_verify::Row;
use serde_json::json;
use std::path::Path;

/// A salt and the tensor in its canonical bytes.
type Opening = (B256, Bytes);

/// A settled receipt with its place and the tensors that it commits to.
struct Settled {
    id: B256,
    place: Place,
    tensors: NamedTensors,
    input: Opening,
    output: Opening,
}

fn opened(tensors: &NamedTensors) -> (Commitment, Opening) {
    let fields = npy::canonical_fields(tensors).unwrap();
    let (name, bytes) = &fields[0];
    let field = Field { name, bytes };
    let (commitment, opening) = commit(&[field], &SaltSeed::from_bytes([7; 32])).unwrap();
    let salt = opening.disclose(name, bytes).unwrap().salt;
    (commitment, (salt, bytes.clone().into()))
}

fn place(signed: &SignedReceipt, proof: ReceiptProof) -> Place {
    Place {
        receipt: words(signed),
        signature: signed.signature.as_bytes().to_vec().into(),
        index: proof.batch.path.index,
        count: proof.batch.path.size,
        path: proof.batch.path.siblings,
    }
}

/// A chain on which a model of the corpus is registered under [`REVISION`].
struct Stage {
    chain: LocalChain,
    sender: Wallet,
    key: NodeKey,
    engine: QuantisedEngine,
    questions: Vec<NamedTensors>,
}

impl Stage {
    async fn set(model: &str, revisions: &[RevisionId]) -> Self {
        let chain = LocalChain::start().await;
        let ([publisher, sender, _], key) = (Wallet::all(), Wallet::new(77).key);
        prepare(&chain, &publisher, &key, revisions).await;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        let revision = Revision::open(&folder.join(model), &RevisionLimits::default()).unwrap();
        let engine = QuantisedEngine::load(&revision).unwrap();
        let (input, output, places) = engine.specs().unwrap();
        let model = engine.provable().model();
        let rule = Rule::new(input, output, places).unwrap().encode().unwrap();
        let to = TxKind::Call(PROOFS);
        for revision in revisions {
            let registration = registerModelCall {
                revision: B256::from(*revision.as_bytes()),
                circuit: model.prepared().circuit().encode().into(),
                weights: model.commitment().weights.encode().into(),
                registration: register(model).unwrap().encode().into(),
                rule: rule.clone(),
            };
            chain
                .transact(&publisher, to, registration.abi_encode())
                .await;
        }
        Self {
            questions: rows(&revision, CALIBRATION_FILE).unwrap(),
            chain,
            sender,
            key,
            engine,
        }
    }

    /// Answers `count` questions and settles the receipts in one batch; gives the block, too.
    async fn settled(&self, stream: &mut Stream<'_>, count: usize) -> (Vec<Settled>, u64) {
        let mut receipts = Vec::new();
        for tensors in &self.questions[..count] {
            let limits = RunLimits::default();
            let outputs = self.engine.run(tensors, &limits, &|| false).unwrap();
            let (input, output) = (opened(tensors), opened(&outputs));
            let signed = stream.receipt_of(input.0, output.0);
            receipts.push((signed, tensors.clone(), input.1, output.1));
        }
        let batch = receipts.iter().map(|(signed, ..)| signed.clone()).collect();
        let mined = settle(&self.chain, &self.sender, batch).await;
        let mut settled = Vec::new();
        for (signed, tensors, input, output) in receipts {
            let receipt = &signed.receipt;
            let params = json!([self.key.address(), receipt.revision, receipt.sequence]);
            settled.push(Settled {
                id: B256::from(*receipt.id(&self.chain.network.domain()).as_bytes()),
                place: place(&signed, proof(&self.chain, params).await),
                tensors,
                input,
                output,
            });
        }
        (settled, number(&mined["blockNumber"]))
    }

    fn proven(&self, context: B256, settled: &[Settled]) -> Proven {
        let setting = Setting {
            network: *self.chain.network.id().as_bytes(),
            revision: *REVISION.as_bytes(),
            context: context.0,
        };
        let rows: Vec<_> = settled.iter().map(|one| one.tensors.clone()).collect();
        self.engine.provable().prove(setting, &rows).unwrap()
    }

    fn circuit_and_rule(&self) -> (Bytes, Bytes) {
        let (input, output, places) = self.engine.specs().unwrap();
        let model = self.engine.provable().model();
        (
            model.prepared().circuit().encode().into(),
            Rule::new(input, output, places).unwrap().encode().unwrap(),
        )
    }

    /// The call that proves one receipt's answer.
    async fn one(&self, settled: &Settled, block: u64) -> proveAnswerCall {
        let random_block = U256::from(block);
        let question = contextOfCall {
            receiptId: settled.id,
            randomBlock: random_block,
        };
        let context = self.chain.view(PROOFS, question).await;
        let proven = self.proven(context, std::slice::from_ref(settled));
        let (circuit, rule) = self.circuit_and_rule();
        proveAnswerCall {
            place: settled.place.clone(),
            randomBlock: random_block,
            answer: Answer {
                circuit,
                rows: Row::encode_all(&proven.statement.rows).into(),
                proof: proven.proof.encode().into(),
                rule,
                inputSalt: settled.input.0,
                input: settled.input.1.clone(),
                outputSalt: settled.output.0,
                output: settled.output.1.clone(),
            },
        }
    }

    /// The call that proves the answers of all of them.
    async fn all(&self, settled: &[Settled], block: u64) -> proveAnswersCall {
        let random_block = U256::from(block);
        let question = contextOfAllCall {
            receiptIds: settled.iter().map(|one| one.id).collect(),
            randomBlock: random_block,
        };
        let context = self.chain.view(PROOFS, question).await;
        let proven = self.proven(context, settled);
        let (circuit, rule) = self.circuit_and_rule();
        let joined = |of: &dyn Fn(&Settled) -> Bytes| -> Bytes {
            let pieces: Vec<Bytes> = settled.iter().map(of).collect();
            pieces.concat().into()
        };
        proveAnswersCall {
            places: settled.iter().map(|one| one.place.clone()).collect(),
            randomBlock: random_block,
            answers: Answers {
                circuit,
                rows: Row::encode_all(&proven.statement.rows).into(),
                proof: proven.proof.encode().into(),
                rule,
                inputSalts: settled.iter().map(|one| one.input.0).collect(),
                inputs: joined(&|one| one.input.1.clone()),
                outputSalts: settled.iter().map(|one| one.output.0).collect(),
                outputs: joined(&|one| one.output.1.clone()),
            },
        }
    }

    /// Sends the call, which has to succeed; gives its gas.
    async fn sent(&self, what: &str, data: Vec<u8>) -> u64 {
        let length = data.len();
        let to = TxKind::Call(PROOFS);
        let mined = self.chain.transact(&self.sender, to, data).await;
        assert_eq!(mined["status"], "0x1", "{what}");
        let gas = number(&mined["gasUsed"]);
        println!("{what}: {gas} gas, {length} bytes");
        gas
    }

    async fn is_proven(&self, settled: &Settled) -> bool {
        let question = answerProvenAtCall {
            receiptId: settled.id,
        };
        !self.chain.view(PROOFS, question).await.is_zero()
    }
}

/// The largest batch that the contract takes fits a transaction, and costs less than as many single proofs.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_answers_of_a_real_model_are_proven_by_one_transaction() {
    let stage = Stage::set("digits-lenet", &[REVISION]).await;
    let mut stream = Stream::new(&stage.chain, &stage.key, REVISION);
    let (mut settled, at) = stage.settled(&mut stream, 17).await;
    wait_for(&stage.chain, at + 3).await;
    let single = settled.pop().unwrap();
    let call = stage.one(&single, at + 1).await;
    let data = call.abi_encode();
    let one = stage.sent("digits-lenet, 1 answer", data).await;
    let call = stage.all(&settled, at + 1).await;
    let data = call.abi_encode();
    let all = stage.sent("digits-lenet, 16 answers", data).await;
    assert!(all <= TRANSACTION_GAS_LIMIT);
    assert!(all < 16 * one, "{all} against 16 times {one}");
    for one in settled.iter().chain([&single]) {
        assert!(stage.is_proven(one).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_answers_are_proven_only_with_their_own_tensors_in_their_order() {
    let other = RevisionId::from_bytes([2; 32]);
    let stage = Stage::set("risk-logreg", &[REVISION, other]).await;
    let mut stream = Stream::new(&stage.chain, &stage.key, REVISION);
    let (settled, _) = stage.settled(&mut stream, 3).await;
    let mut stream = Stream::new(&stage.chain, &stage.key, other);
    let (foreign, at) = stage.settled(&mut stream, 3).await;
    wait_for(&stage.chain, at + 3).await;
    let good = stage.all(&settled, at + 1).await;
    for (name, forged, reason) in forged(&good, &settled, &foreign[2]) {
        let data = forged.abi_encode();
        let found = reverts(&stage.chain, &stage.sender, PROOFS, data).await;
        assert_eq!(found, reason, "{name}");
    }
    // A proof of the same rows under one receipt's context, or under those of other receipts, is none of these.
    let fewer = stage.all(&settled[..2], at + 1).await;
    let mut moved = good.clone();
    moved.answers.proof = fewer.answers.proof;
    let found = reverts(&stage.chain, &stage.sender, PROOFS, moved.abi_encode()).await;
    assert!(
        [refusal(5), refusal(6)].map(Bytes::from).contains(&found),
        "{found}"
    );
    for one in &settled {
        assert!(!stage.is_proven(one).await);
    }
    stage
        .sent("risk-logreg, 3 answers", good.abi_encode())
        .await;
    for one in &settled {
        assert!(stage.is_proven(one).await);
    }
}

/// Each way of forging the call that the contract or the precompile sees, with what it says.
fn forged(
    good: &proveAnswersCall,
    settled: &[Settled],
    foreign: &Settled,
) -> Vec<(&'static str, proveAnswersCall, Bytes)> {
    let mut cases: Vec<(&'static str, proveAnswersCall, Bytes)> = Vec::new();
    let mut case = |name, change: &dyn Fn(&mut proveAnswersCall), reason: Bytes| {
        let mut call = good.clone();
        change(&mut call);
        cases.push((name, call, reason));
    };
    let rows = |change: &dyn Fn(&mut Vec<Row>)| -> Bytes {
        let mut rows = Row::decode_all(&good.answers.rows).unwrap();
        change(&mut rows);
        Row::encode_all(&rows).into()
    };
    let swapped = |bytes: &Bytes| -> Bytes {
        let (first, rest) = bytes.split_at(bytes.len() / 3);
        let (second, third) = rest.split_at(first.len());
        [second, first, third].concat().into()
    };
    let answers = &good.answers;
    case(
        "rows swapped",
        &|c| c.answers.rows = rows(&|rows| rows.swap(0, 1)),
        refusal(14),
    );
    case(
        "a row less",
        &|c| c.answers.rows = rows(&|rows| rows.truncate(2)),
        refusal(14),
    );
    case(
        "a row twice",
        &|c| c.answers.rows = rows(&|rows| rows[1] = rows[0].clone()),
        refusal(14),
    );
    case("no rows", &|c| c.answers.rows = vec![0].into(), refusal(14));
    case(
        "inputs swapped",
        &|c| c.answers.inputs = swapped(&answers.inputs),
        refusal(13),
    );
    case(
        "outputs swapped",
        &|c| c.answers.outputs = swapped(&answers.outputs),
        refusal(13),
    );
    case(
        "a salt less",
        &|c| c.answers.inputSalts.truncate(2),
        refusal(14),
    );
    case(
        "a salt more",
        &|c| c.answers.outputSalts.push(B256::ZERO),
        refusal(14),
    );
    case(
        "another salt",
        &|c| c.answers.outputSalts[2] = B256::ZERO,
        refusal(13),
    );
    case(
        "a byte more",
        &|c| c.answers.inputs = [&answers.inputs[..], &[0]].concat().into(),
        refusal(14),
    );
    case(
        "no tensors",
        &|c| c.answers.inputs = Bytes::new(),
        refusal(14),
    );
    case("receipts swapped", &|c| c.places.swap(0, 1), refusal(13));
    case("a receipt less", &|c| c.places.truncate(2), refusal(14));
    case("no receipt", &|c| c.places.clear(), bad_count(0));
    let many = |c: &mut proveAnswersCall| c.places = vec![c.places[0].clone(); 17];
    case("too many", &many, bad_count(17));
    let twice = Twice {
        receiptId: settled[0].id,
    };
    case(
        "a receipt twice",
        &|c| c.places[1] = c.places[0].clone(),
        twice.abi_encode().into(),
    );
    let other = OtherRevision {
        first: B256::from(*REVISION.as_bytes()),
        got: foreign.place.receipt.revision,
    };
    case(
        "another revision",
        &|c| c.places[2] = foreign.place.clone(),
        other.abi_encode().into(),
    );
    cases
}

fn bad_count(receipts: u64) -> Bytes {
    let receipts = U256::from(receipts);
    BadCount { receipts }.abi_encode().into()
}
