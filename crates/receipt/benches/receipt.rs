//! What a receipt costs: hashing, signing, verifying, and reading it from a batch.
#![allow(missing_docs)]

use alloy_primitives::Address;
use assay_receipt::{
    Batch, Commitment, Domain, EngineId, Microcredits, NetworkId, NodeKey, ParametersDigest,
    Receipt, ReceiptId, RequestId, RevisionId, Rung, SignedReceipt, Times, Usage,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Receipts in the batch that is measured.
const BATCH: u64 = 256;

fn domain() -> Domain {
    Domain::new(
        31_337,
        NetworkId::from_bytes([1; 32]),
        Address::repeat_byte(2),
    )
}

fn receipt(node: &NodeKey, sequence: u64, previous: ReceiptId) -> Receipt {
    let request_ns = 1_770_000_000_000_000_000 + sequence;
    Receipt {
        request: RequestId::from_bytes([1; 32]),
        nonce: u128::MAX,
        revision: RevisionId::from_bytes([2; 32]),
        engine: EngineId::from_bytes([3; 32]),
        parameters: ParametersDigest::ZERO,
        seed: 0,
        input: Commitment::from_bytes([4; 32]),
        output: Commitment::from_bytes([5; 32]),
        stream: Commitment::ZERO,
        usage: Usage {
            input_units: 64,
            output_units: 10,
            compute_us: 100,
        },
        price: Microcredits(250),
        payer: Commitment::ZERO,
        node: node.address(),
        times: Times {
            request_ns,
            first_output_ns: request_ns + 1_000_000,
            end_ns: request_ns + 1_000_000,
            uncertainty_ns: 1_000_000,
        },
        rung: Rung::Signed,
        deadline_ns: request_ns + 60_000_000_000,
        sequence,
        previous,
    }
}

fn chain(node: &NodeKey) -> Vec<SignedReceipt> {
    let mut previous = ReceiptId::ZERO;
    let mut receipts = Vec::new();
    for sequence in 0..BATCH {
        let signed = node
            .sign(receipt(node, sequence, previous), &domain())
            .expect("well formed");
        previous = signed.receipt.id(&domain());
        receipts.push(signed);
    }
    receipts
}

fn one_receipt(criterion: &mut Criterion) {
    let node = NodeKey::from_bytes([0x11; 32]).expect("a valid key");
    let domain = domain();
    let receipt = receipt(&node, 0, ReceiptId::ZERO);
    let signed = node.sign(receipt.clone(), &domain).expect("well formed");
    let bytes = signed.encode();
    let mut group = criterion.benchmark_group("receipt");
    group.bench_function("id", |bench| bench.iter(|| receipt.id(&domain)));
    group.bench_function("sign", |bench| {
        bench.iter(|| node.sign(receipt.clone(), &domain))
    });
    group.bench_function("verify", |bench| bench.iter(|| signed.verify(&domain)));
    group.bench_function("decode", |bench| {
        bench.iter(|| SignedReceipt::decode(&bytes))
    });
    group.finish();
}

fn one_batch(criterion: &mut Criterion) {
    let node = NodeKey::from_bytes([0x11; 32]).expect("a valid key");
    let domain = domain();
    let batch = Batch::pack(chain(&node), &domain).expect("receipts that form a batch");
    let bytes = batch.encode();
    println!(
        "batch of {BATCH}: {} bytes, {} a receipt",
        bytes.len(),
        bytes.len() as u64 / BATCH
    );
    let mut group = criterion.benchmark_group("batch, per receipt");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("decode", |bench| bench.iter(|| Batch::decode(&bytes)));
    group.bench_function("unpack", |bench| bench.iter(|| batch.unpack(&domain)));
    group.finish();
}

criterion_group!(benches, one_receipt, one_batch);
criterion_main!(benches);
