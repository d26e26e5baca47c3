//! A model registered and a computation of it proven through the real precompile, and each refusal with its reason.

use crate::{
    local_chain::{Draft, LocalChain, PATIENCE, Wallet},
    settled_receipts::{Stream, prepare, settle},
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, SolError, sol};
use assay_chain::{
    precompile::proofs::{PROOF_GAS, ProofRefused, verifyProofCall},
    spec::{PROOF_VERIFIER, PROOFS, TRANSACTION_GAS_LIMIT},
};
use assay_receipt::{RevisionId, SignedReceipt};
use assay_tensor::quant::{Matrix, Node, Op, Range, Table, ValueId};
use assay_zkml::{Compiled, Model, Setting, compile, prove, register};
use assay_zkml_verify::{Proof, Row, Statement, registration::Registration, verify};
use serde_json::{Value, json};
use std::time::Instant;
use tokio::time::timeout;

sol! {
    struct Receipt {
        bytes32 request; uint128 nonce; bytes32 revision; bytes32 engine; bytes32 parameters; uint64 seed;
        bytes32 input; bytes32 output; bytes32 stream; uint64 inputUnits; uint64 outputUnits; uint64 computeUs;
        uint64 price; bytes32 payer; address node; uint64 requestNs; uint64 firstOutputNs; uint64 endNs;
        uint64 uncertaintyNs; uint8 rung; uint64 deadlineNs; uint64 sequence; bytes32 previous;
    }
    struct Place { Receipt receipt; bytes signature; uint32 index; uint32 count; bytes32[] path; }
    struct Answer { bytes circuit; bytes rows; bytes proof; bytes rule; bytes32 inputSalt; bytes input; bytes32 outputSalt; bytes output; }
    function registerModel(bytes32 revision, bytes circuit, bytes weights, bytes registration, bytes rule) external;
    struct Answers { bytes circuit; bytes rows; bytes proof; bytes rule; bytes32[] inputSalts; bytes inputs; bytes32[] outputSalts; bytes outputs; }
    function proveAnswer(Place place, uint256 randomBlock, Answer answer) external;
    function proveAnswers(Place[] places, uint256 randomBlock, Answers answers) external;
    function contextOfAll(bytes32[] receiptIds, uint256 randomBlock) external view returns (bytes32);
    function answerProvenAt(bytes32 receiptId) external view returns (uint256);
    function verifyReceipt(Receipt receipt, bytes signature, uint32 index, uint32 count, bytes32[] path) external view returns (uint8 rung, bytes32 id);
    function prove(
        Receipt receipt, bytes signature, uint32 index, uint32 count, bytes32[] path, uint256 randomBlock,
        bytes circuit, bytes rows, bytes proof
    ) external;
    function contextOf(bytes32 receiptId, uint256 randomBlock) external view returns (bytes32);
    function renewModel(bytes32 revision, bytes circuit, bytes weights, bytes roll) external;
    function openings(bytes32 weightsHash) external view returns (uint64 budget, uint64 made);
    function provenAt(bytes32 receiptId, bytes32 rowsHash) external view returns (uint256);

    error NotPublisher(bytes32 revision, address publisher);
    error AlreadyRegistered(bytes32 revision, bytes32 modelId);
    error NotRegistered(bytes32 revision);
    error RegisteredTooLate(uint256 registeredAt, uint256 settledAt);
    error RandomBlockTooEarly(uint256 randomBlock, uint256 settledAt);
    error RandomBlockUnknown(uint256 randomBlock);
    error OtherRule(bytes32 registered, bytes32 got);
    error OtherModel(bytes32 registered, bytes32 proven);
    error RandomBlockBeforeRenewal(uint256 randomBlock, uint256 renewedAt);
    error BudgetUsed(bytes32 weightsHash, uint256 budget);
    error BadCount(uint256 receipts);
    error OtherRevision(bytes32 first, bytes32 got);
    error Twice(bytes32 receiptId);
}

pub(crate) const REVISION: RevisionId = RevisionId::from_bytes([1; 32]);

pub(crate) fn model(inputs: usize, hidden: usize) -> Model {
    let compiled = compiled(inputs, hidden);
    Model::new(compiled.circuit, compiled.weights).unwrap()
}

/// A dense layer of this size with a clamp behind it, and a second of ten columns.
pub(crate) fn compiled(inputs: usize, hidden: usize) -> Compiled {
    let weight = |i: usize| (i * 7919 % 251) as u8 as i8;
    let dense = |x, rows: usize, columns: usize| Op::Dense {
        x: ValueId(x),
        weights: Matrix {
            rows,
            columns,
            values: (0..rows * columns).map(weight).collect(),
        },
        bias: vec![5; columns],
    };
    let node = |op, len, bound: i64| Node {
        name: "node".into(),
        op,
        shape: vec![len],
        range: Range {
            least: -bound,
            most: bound,
        },
    };
    let bound = |rows: usize| rows as i64 * 128 * 128 + 1000;
    let shift = (0..=16).find(|s| (bound(inputs) >> s) + 1 < 1 << 11);
    let shift = shift.unwrap();
    let reach = (bound(inputs) >> shift) + 1;
    let table = Table {
        first: -reach as i32,
        values: (-reach..=reach)
            .map(|q| q.clamp(-128, 127) as i16)
            .collect(),
    };
    let rescale = Op::Rescale {
        x: ValueId(1),
        shift,
        table,
    };
    let nodes = [
        node(Op::Input(0), inputs, 128),
        node(dense(0, inputs, hidden), hidden, bound(inputs)),
        node(rescale, hidden, 128),
        node(dense(2, hidden, 10), 10, bound(hidden)),
    ];
    compile(&nodes, &[ValueId(3)]).unwrap()
}

pub(crate) fn input(len: usize) -> Vec<Vec<i16>> {
    vec![(0..len).map(|i| (i * 31 % 255) as i16 - 127).collect()]
}

pub(crate) fn circuit(model: &Model) -> Bytes {
    model.prepared().circuit().encode().into()
}

pub(crate) fn words(signed: &SignedReceipt) -> Receipt {
    let r = &signed.receipt;
    let word = |bytes: &[u8; 32]| B256::from(*bytes);
    Receipt {
        request: word(r.request.as_bytes()),
        nonce: r.nonce,
        revision: word(r.revision.as_bytes()),
        engine: word(r.engine.as_bytes()),
        parameters: word(r.parameters.as_bytes()),
        seed: r.seed,
        input: word(r.input.as_bytes()),
        output: word(r.output.as_bytes()),
        stream: word(r.stream.as_bytes()),
        inputUnits: r.usage.input_units,
        outputUnits: r.usage.output_units,
        computeUs: r.usage.compute_us,
        price: r.price.0,
        payer: word(r.payer.as_bytes()),
        node: Address::from(r.node),
        requestNs: r.times.request_ns,
        firstOutputNs: r.times.first_output_ns,
        endNs: r.times.end_ns,
        uncertaintyNs: r.times.uncertainty_ns,
        rung: r.rung as u8,
        deadlineNs: r.deadline_ns,
        sequence: r.sequence,
        previous: word(r.previous.as_bytes()),
    }
}

/// What a call reverts with.
pub(crate) async fn reverts(
    chain: &LocalChain,
    from: &Wallet,
    to: Address,
    data: Vec<u8>,
) -> Bytes {
    let request = json!({ "from": from.address, "to": to, "data": Bytes::from(data) });
    let error = chain.ask("eth_call", json!([request, "latest"])).await;
    let error = error.expect_err("it was accepted");
    let data = error.data().map(|data| data.get().to_owned());
    serde_json::from_str(&data.unwrap_or_else(|| panic!("{error:?}"))).unwrap()
}

pub(crate) fn number(value: &Value) -> u64 {
    let number: U256 = serde_json::from_value(value.clone()).unwrap();
    number.to()
}

pub(crate) async fn wait_for(chain: &LocalChain, height: u64) {
    let mut tip = chain.shelf.tip();
    let reached = timeout(PATIENCE, tip.wait_for(|tip| tip.height >= height)).await;
    reached.expect("no block in time").unwrap();
}

/// Settles one receipt; gives it and its block.
pub(crate) async fn settled(stream: &mut Stream<'_>, wallet: &Wallet) -> (SignedReceipt, u64) {
    let signed = stream.receipt();
    let mined = settle(stream.chain, wallet, vec![signed.clone()]).await;
    (signed, number(&mined["blockNumber"]))
}

/// Proves the model's run under a receipt, with the randomness of a block.
pub(crate) async fn proven(
    chain: &LocalChain,
    model: &Model,
    signed: &SignedReceipt,
    block: u64,
) -> proveCall {
    proven_of(chain, model, signed, block, input(12)).await
}

/// The same of a run on these inputs.
pub(crate) async fn proven_of(
    chain: &LocalChain,
    model: &Model,
    signed: &SignedReceipt,
    block: u64,
    inputs: Vec<Vec<i16>>,
) -> proveCall {
    let id = signed.receipt.id(&chain.network.domain());
    let question = contextOfCall {
        receiptId: B256::from(*id.as_bytes()),
        randomBlock: U256::from(block),
    };
    let setting = Setting {
        network: *chain.network.id().as_bytes(),
        revision: *REVISION.as_bytes(),
        context: chain.view(PROOFS, question).await.0,
    };
    let (statement, proof) = prove(model, setting, &[inputs]).unwrap();
    proveCall {
        receipt: words(signed),
        signature: signed.signature.as_bytes().to_vec().into(),
        index: 0,
        count: 1,
        path: vec![],
        randomBlock: U256::from(block),
        circuit: circuit(model),
        rows: Row::encode_all(&statement.rows).into(),
        proof: proof.encode().into(),
    }
}

pub(crate) fn refusal(reason: u8) -> Bytes {
    ProofRefused { reason }.abi_encode().into()
}

fn flipped(bytes: &Bytes, at: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computation_is_proven_on_chain_and_nothing_else_is() {
    let chain = LocalChain::start().await;
    let ([publisher, other, _], key) = (Wallet::all(), Wallet::new(77).key);
    prepare(&chain, &publisher, &key, &[REVISION]).await;
    let mut stream = Stream::new(&chain, &key, REVISION);
    let revision = B256::from(*REVISION.as_bytes());
    let model = model(12, 8);
    let (early, early_at) = settled(&mut stream, &other).await;
    wait_for(&chain, early_at + 2).await;
    let too_early = proven(&chain, &model, &early, early_at + 1).await;
    let unregistered = reverts(&chain, &other, PROOFS, too_early.abi_encode()).await;
    assert_eq!(unregistered, NotRegistered { revision }.abi_encode());

    let registration = register(&model).unwrap().encode();
    let call = |registration: Bytes| registerModelCall {
        revision,
        circuit: circuit(&model),
        weights: model.commitment().weights.encode().into(),
        registration,
        rule: Bytes::new(),
    };
    let good = call(registration.clone().into()).abi_encode();
    let publisher_is = NotPublisher {
        revision,
        publisher: publisher.address,
    };
    let foreign = reverts(&chain, &other, PROOFS, good.clone()).await;
    assert_eq!(foreign, publisher_is.abi_encode());
    let broken = flipped(&registration.into(), 1);
    let broken = reverts(&chain, &publisher, PROOFS, call(broken).abi_encode()).await;
    assert!(ProofRefused::abi_decode(&broken).is_ok(), "{broken}");
    let mined = chain
        .transact(&publisher, TxKind::Call(PROOFS), good.clone())
        .await;
    println!(
        "register: {} gas, {} bytes",
        number(&mined["gasUsed"]),
        good.len()
    );
    let again = reverts(&chain, &publisher, PROOFS, good).await;
    assert!(AlreadyRegistered::abi_decode(&again).is_ok(), "{again}");
    let late = reverts(&chain, &other, PROOFS, too_early.abi_encode()).await;
    let late = RegisteredTooLate::abi_decode(&late).unwrap();
    assert_eq!(late.settledAt, U256::from(early_at));

    let (signed, settled_at) = settled(&mut stream, &other).await;
    wait_for(&chain, settled_at + 3).await;
    let proof = proven(&chain, &model, &signed, settled_at + 1).await;
    refused(&chain, &other, &proof, settled_at).await;
    let data = proof.abi_encode();
    let length = data.len();
    let mined = chain.transact(&other, TxKind::Call(PROOFS), data).await;
    println!("prove: {} gas, {length} bytes", number(&mined["gasUsed"]));
    let question = provenAtCall {
        receiptId: B256::from(*signed.receipt.id(&chain.network.domain()).as_bytes()),
        rowsHash: keccak256(&proof.rows),
    };
    let at = chain.view(PROOFS, question).await;
    assert_eq!(at, U256::from(number(&mined["blockNumber"])));
}

/// Each way of being wrong that the precompile or the contract sees.
async fn refused(chain: &LocalChain, wallet: &Wallet, good: &proveCall, at: u64) {
    let mut cases: Vec<(&str, proveCall, Bytes)> = Vec::new();
    let mut case = |name, change: &dyn Fn(&mut proveCall), reason: Bytes| {
        let mut call = good.clone();
        change(&mut call);
        cases.push((name, call, reason));
    };
    let early = RandomBlockTooEarly {
        randomBlock: U256::from(at),
        settledAt: U256::from(at),
    };
    let unknown = RandomBlockUnknown {
        randomBlock: U256::from(1u64 << 40),
    };
    case(
        "early randomness",
        &|c| c.randomBlock = U256::from(at),
        early.abi_encode().into(),
    );
    case(
        "no randomness",
        &|c| c.randomBlock = U256::from(1u64 << 40),
        unknown.abi_encode().into(),
    );
    let other_block = U256::from(at + 2);
    case(
        "another context",
        &|c| c.randomBlock = other_block,
        refusal(6),
    );
    case(
        "another output",
        &|c| *c = with_rows(c, |row| row.outputs[0][0] += 1),
        refusal(6),
    );
    case(
        "another input",
        &|c| *c = with_rows(c, |row| row.inputs[0][0] += 1),
        refusal(6),
    );
    case(
        "one input less",
        &|c| *c = with_rows(c, |row| row.inputs[0].truncate(11)),
        refusal(3),
    );
    case("no rows", &|c| c.rows = vec![0].into(), refusal(3));
    case(
        "rows cut short",
        &|c| c.rows = c.rows.slice(..c.rows.len() - 1),
        refusal(1),
    );
    case(
        "a byte behind the proof",
        &|c| c.proof = [&c.proof[..], &[0]].concat().into(),
        refusal(1),
    );
    case(
        "a circuit cut short",
        &|c| c.circuit = c.circuit.slice(..c.circuit.len() - 1),
        refusal(1),
    );
    case(
        "another witness",
        &|c| c.proof = flipped(&c.proof, 3),
        refusal(6),
    );
    case("an empty proof", &|c| c.proof = Bytes::new(), refusal(1));
    for (name, call, reason) in cases {
        let found = reverts(chain, wallet, PROOFS, call.abi_encode()).await;
        assert_eq!(found, reason, "{name}");
    }
    for at in (32..good.proof.len()).step_by(good.proof.len() / 20) {
        let mut call = good.clone();
        call.proof = flipped(&call.proof, at);
        let found = reverts(chain, wallet, PROOFS, call.abi_encode()).await;
        assert!(
            ProofRefused::abi_decode(&found).is_ok(),
            "byte {at}: {found}"
        );
    }
}

fn with_rows(call: &proveCall, change: impl Fn(&mut Row)) -> proveCall {
    let mut rows = Row::decode_all(&call.rows).unwrap();
    change(&mut rows[0]);
    proveCall {
        rows: Row::encode_all(&rows).into(),
        ..call.clone()
    }
}

/// A call that cannot pay is charged all that it has and costs no more than that.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_gas_does_not_pay_for_is_not_done() {
    let chain = LocalChain::start().await;
    let [wallet, ..] = Wallet::all();
    let call = verifyProofCall {
        circuit: circuit(&model(12, 8)),
        weights: Bytes::new(),
        network: B256::ZERO,
        revision: B256::ZERO,
        context: B256::ZERO,
        rows: vec![0].into(),
        proof: Bytes::new(),
    };
    let send = |data: Vec<u8>, gas| {
        chain.send(
            &wallet,
            Draft {
                to: TxKind::Call(PROOF_VERIFIER),
                data: data.into(),
                gas,
                ..Draft::default()
            },
        )
    };
    // Enough for the data of the call (EIP-7623), not for a proof.
    let limit = 280_000;
    let short = send(call.abi_encode(), limit).await;
    assert_eq!(
        (&short["status"], number(&short["gasUsed"])),
        (&json!("0x0"), limit)
    );
    // A refusal costs what its length does, and what is left comes back.
    let refused = send(call.abi_encode(), TRANSACTION_GAS_LIMIT / 2).await;
    let used = number(&refused["gasUsed"]);
    assert_eq!(refused["status"], "0x0");
    assert!(
        (PROOF_GAS..TRANSACTION_GAS_LIMIT / 2).contains(&used),
        "{used}"
    );
    // A circuit whose work nobody can pay: announced in a few bytes, refused before it is done.
    let mut heavy = model(12, 8).prepared().circuit().clone();
    heavy.steps[0].accumulator.domain.rows = 22;
    let mut call = call;
    (call.circuit, call.rows) = (heavy.encode().into(), rows_of_one());
    let began = Instant::now();
    let unpaid = send(call.abi_encode(), TRANSACTION_GAS_LIMIT).await;
    assert_eq!(number(&unpaid["gasUsed"]), TRANSACTION_GAS_LIMIT);
    println!("unpaid work was refused in {:?}", began.elapsed());
    let unknown = reverts(&chain, &wallet, PROOF_VERIFIER, vec![1, 2, 3, 4]).await;
    assert_eq!(unknown, refusal(0));
}

fn rows_of_one() -> Bytes {
    let row = Row {
        inputs: input(12),
        outputs: vec![vec![0; 10]],
    };
    Row::encode_all(&[row]).into()
}

/// What a verification takes, beside what it is charged: prints the rate, and holds it within what a block can bear.
#[test]
fn proof_costs() {
    use assay_chain::precompile::proofs::{BYTE_GAS, WORK_GAS};
    for (inputs, hidden) in [(12, 8), (64, 32), (784, 512), (4096, 8)] {
        let model = model(inputs, hidden);
        let setting = Setting {
            network: [1; 32],
            revision: [2; 32],
            context: [3; 32],
        };
        let (statement, proof) = prove(&model, setting, &[input(inputs)]).unwrap();
        let registration = register(&model).unwrap().encode();
        let (circuit, rows) = (
            model.prepared().circuit().encode(),
            Row::encode_all(&statement.rows),
        );
        let proof = proof.encode();
        let work = model.prepared().circuit().work(0);
        let bytes = (circuit.len() + rows.len() + proof.len()) as u64;
        let gas = PROOF_GAS + BYTE_GAS * bytes + WORK_GAS * work;
        let took = |check: &dyn Fn()| {
            let times = (0..5).map(|_| {
                let began = Instant::now();
                check();
                began.elapsed()
            });
            times.min().unwrap()
        };
        let whole = took(&|| verified(&circuit, &rows, &proof, &model, &statement));
        let registered = took(&|| {
            let registration = Registration::decode(&registration).unwrap();
            let circuit = model.prepared().circuit();
            assay_zkml_verify::registration::verify(circuit, &model.commitment(), &registration)
                .unwrap();
        });
        println!(
            "{inputs}-{hidden}-10: {} + {} + {} bytes, work {work}, {gas} gas, {whole:?}: {:.0} gas/us; registration {} bytes, {registered:?}",
            circuit.len(),
            rows.len(),
            proof.len(),
            gas as f64 / whole.as_secs_f64() / 1e6,
            registration.len(),
        );
        assert!(gas < TRANSACTION_GAS_LIMIT, "{gas}");
    }
}

fn verified(circuit: &[u8], rows: &[u8], proof: &[u8], model: &Model, statement: &Statement) {
    let circuit = assay_zkml_verify::Circuit::decode(circuit).unwrap();
    let prepared = assay_zkml_verify::Prepared::new(circuit).unwrap();
    let statement = Statement {
        rows: Row::decode_all(rows).unwrap(),
        ..statement.clone()
    };
    let proof = Proof::decode(proof).unwrap();
    verify(&prepared, &model.commitment(), &statement, &proof).unwrap();
}
