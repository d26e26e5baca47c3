//! From a registered node's receipts to a settled batch to proofs that need no network.

use crate::local_chain::{LocalChain, PATIENCE, Wallet};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall as _, sol};
use assay_chain::{
    light::{self, ReceiptProof},
    settlement::settle_call,
    spec::{CREDIT, MODEL_REGISTRY, NODE_REGISTRY, SETTLEMENT},
};
use assay_receipt::{
    Batch, Commitment, EngineId, Microcredits, NodeKey, ParametersDigest, Receipt, ReceiptId,
    RequestId, RevisionId, Rung, SignedReceipt, Times, Usage,
};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::timeout;

sol! {
    struct FailureDomains { uint32 asn; bytes2 country; uint8 teeVendor; bytes32 dataCentre; bytes32 build; }
    function register(address node, string endpoint, FailureDomains domains, uint128 bond, bytes signature) external;
    function registrationDigest(address node, address operator, string endpoint) external view returns (bytes32);
    function approve(address spender, uint256 value) external returns (bool);
    function publish(string name, bytes32 revision) external;
}

const BOND: u128 = 1_000_000_000;
const ENDPOINT: &str = "http://127.0.0.1:1";

/// Registers the node of `key` and publishes `revisions`.
pub(crate) async fn prepare(
    chain: &LocalChain,
    operator: &Wallet,
    key: &NodeKey,
    revisions: &[RevisionId],
) {
    let node = Address::from(key.address());
    let approve = approveCall {
        spender: NODE_REGISTRY,
        value: U256::from(BOND),
    };
    chain
        .transact(operator, TxKind::Call(CREDIT), approve.abi_encode())
        .await;
    let question = registrationDigestCall {
        node,
        operator: operator.address,
        endpoint: ENDPOINT.into(),
    };
    let digest = chain.view(NODE_REGISTRY, question).await;
    let register = registerCall {
        node,
        endpoint: ENDPOINT.into(),
        domains: FailureDomains {
            asn: 64_500,
            country: (*b"NO").into(),
            teeVendor: 0,
            dataCentre: B256::ZERO,
            build: B256::ZERO,
        },
        bond: BOND,
        signature: key.sign_digest(&digest.0).as_bytes().to_vec().into(),
    };
    chain
        .transact(operator, TxKind::Call(NODE_REGISTRY), register.abi_encode())
        .await;
    for (number, revision) in revisions.iter().enumerate() {
        let revision = B256::from(*revision.as_bytes());
        let publish = publishCall {
            name: format!("model-{number}"),
            revision,
        };
        chain
            .transact(operator, TxKind::Call(MODEL_REGISTRY), publish.abi_encode())
            .await;
    }
}

/// A stream of receipts of one node for one revision.
pub(crate) struct Stream<'a> {
    pub(crate) chain: &'a LocalChain,
    pub(crate) key: &'a NodeKey,
    pub(crate) revision: RevisionId,
    pub(crate) next: u64,
    pub(crate) head: ReceiptId,
}

impl<'a> Stream<'a> {
    /// From its beginning.
    pub(crate) const fn new(chain: &'a LocalChain, key: &'a NodeKey, revision: RevisionId) -> Self {
        Self {
            chain,
            key,
            revision,
            next: 0,
            head: ReceiptId::ZERO,
        }
    }

    fn receipts(&mut self, count: u64) -> Vec<SignedReceipt> {
        (0..count).map(|_| self.receipt()).collect()
    }

    pub(crate) fn receipt(&mut self) -> SignedReceipt {
        let some =
            |name: &str| Commitment::from_bytes(keccak256(format!("{name} {}", self.next)).0);
        self.receipt_of(some("input"), some("output"))
    }

    /// The next receipt, with these commitments.
    pub(crate) fn receipt_of(&mut self, input: Commitment, output: Commitment) -> SignedReceipt {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        let now = u64::try_from(now).unwrap();
        let request = keccak256(format!("request {}", self.next)).0;
        let receipt = Receipt {
            request: RequestId::from_bytes(request),
            nonce: u128::from(self.next),
            revision: self.revision,
            engine: EngineId::from_bytes([3; 32]),
            parameters: ParametersDigest::ZERO,
            seed: 0,
            input,
            output,
            stream: Commitment::ZERO,
            usage: Usage {
                input_units: 4,
                output_units: 1,
                compute_us: 30,
            },
            price: Microcredits(5),
            payer: Commitment::ZERO,
            node: self.key.address(),
            times: Times {
                request_ns: now - 2_000,
                first_output_ns: now - 1_000,
                end_ns: now - 1_000,
                uncertainty_ns: 1_000_000,
            },
            rung: Rung::Signed,
            deadline_ns: now + 60_000_000_000,
            sequence: self.next,
            previous: self.head,
        };
        let domain = self.chain.network.domain();
        self.head = receipt.id(&domain);
        self.next += 1;
        self.key.sign(receipt, &domain).unwrap()
    }
}

pub(crate) async fn settle(
    chain: &LocalChain,
    wallet: &Wallet,
    receipts: Vec<SignedReceipt>,
) -> Value {
    let batch = Batch::pack(receipts, &chain.network.domain()).unwrap();
    let data = settle_call(batch.encode());
    chain
        .transact(wallet, TxKind::Call(SETTLEMENT), data.to_vec())
        .await
}

/// Asks for a proof until there is one: its block may be certified a moment after it is final.
pub(crate) async fn proof(chain: &LocalChain, params: Value) -> ReceiptProof {
    let mut tip = chain.shelf.tip();
    loop {
        let proof = chain.get("assay_receiptProof", params.clone()).await;
        if !proof.is_null() {
            return serde_json::from_value(proof).unwrap();
        }
        timeout(PATIENCE, tip.changed())
            .await
            .expect("no block in time")
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_settled_receipt_has_a_proof_that_verifies_offline() {
    let chain = LocalChain::start().await;
    let ([operator, payer, _], key) = (Wallet::all(), Wallet::new(77).key);
    let revisions = [
        RevisionId::from_bytes([1; 32]),
        RevisionId::from_bytes([2; 32]),
    ];
    prepare(&chain, &operator, &key, &revisions).await;
    let stream = |revision| Stream::new(&chain, &key, revision);
    let [mut one, mut two] = revisions.map(stream);
    let mut settled = [one.receipts(3), two.receipts(2)].concat();
    let first = settle(&chain, &payer, settled.clone()).await;
    let more = one.receipts(2);
    settle(&chain, &payer, more.clone()).await;
    settled.extend(more);

    for signed in &settled {
        let receipt = &signed.receipt;
        let params = json!([key.address(), receipt.revision, receipt.sequence]);
        let proof = proof(&chain, params).await;
        let verified = light::verify(&chain.network, &proof).unwrap();
        assert_eq!(verified.receipt, *signed);
        assert!(verified.height > 0);
        let bytes = serde_json::to_vec(&proof).unwrap().len();
        assert!(bytes < 8_192, "{bytes} bytes of JSON");
    }
    let params = json!([key.address(), revisions[0], 0]);
    let verified = light::verify(&chain.network, &proof(&chain, params).await).unwrap();
    assert_eq!(json!(verified.block), first["blockHash"]);

    for missing in [
        json!([key.address(), revisions[0], 5]),
        json!([key.address(), revisions[1], "0x2"]),
        json!([key.address(), B256::repeat_byte(9), 0]),
        json!([operator.address, revisions[0], 0]),
    ] {
        let none = chain.get("assay_receiptProof", missing.clone()).await;
        assert_eq!(none, Value::Null, "{missing}");
    }
    let stands = chain
        .get("assay_stream", json!([key.address(), revisions[0]]))
        .await;
    assert_eq!(
        stands,
        json!({ "next": 5, "head": B256::from(*one.head.as_bytes()) })
    );
    let node = chain.get("assay_node", json!([key.address()])).await;
    assert_eq!(
        (&node["status"], &node["country"]),
        (&json!("active"), &json!("NO"))
    );
    assert_eq!(node["endpoint"], ENDPOINT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_does_not_survive_a_flipped_bit() {
    let chain = LocalChain::start().await;
    let ([operator, ..], key) = (Wallet::all(), Wallet::new(77).key);
    let revision = RevisionId::from_bytes([1; 32]);
    prepare(&chain, &operator, &key, &[revision]).await;
    let mut stream = Stream::new(&chain, &key, revision);
    settle(&chain, &operator, stream.receipts(4)).await;
    let good = proof(&chain, json!([key.address(), revision, 2])).await;
    light::verify(&chain.network, &good).unwrap();
    let flip = |bytes: &Bytes, at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        Bytes::from(bytes)
    };
    let check = |what: &str, proof: ReceiptProof| {
        let failure = light::verify(&chain.network, &proof).expect_err(what);
        assert!(failure.refutes(), "{what}: {failure}");
    };
    for at in 0..good.receipt.len() {
        let receipt = flip(&good.receipt, at);
        check(
            "receipt",
            ReceiptProof {
                receipt,
                ..good.clone()
            },
        );
    }
    for at in 0..good.certificate.len() {
        let certificate = flip(&good.certificate, at);
        check(
            "certificate",
            ReceiptProof {
                certificate,
                ..good.clone()
            },
        );
    }
    for at in 0..good.headers[0].len() {
        let mut proof = good.clone();
        proof.headers[0] = flip(&good.headers[0], at);
        check("header", proof);
    }
    let mut moved = good.clone();
    moved.batch.path.index ^= 1;
    check("place in the batch", moved);
}
