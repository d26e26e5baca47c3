//! Frozen headers, blocks and receipt proofs of a small network with real threshold keys.
#![allow(clippy::unwrap_used, dead_code)]

use alloy_primitives::{B256, Bytes, U256, hex};
use assay_chain::{
    application::Scheme,
    block::{Block, BlockDigest, Header, body_digest},
    execution::settled_root,
    genesis::{self, Genesis, ValidatorSecret},
    light::{BatchPath, Network, ReceiptProof},
};
use assay_receipt::{
    Batch, BatchRoot, Commitment, EngineId, Microcredits, NodeKey, ParametersDigest, Receipt,
    ReceiptId, RequestId, RevisionId, Rung, SignedReceipt, Times, Usage, merkle,
};
use commonware_codec::Encode as _;
use commonware_consensus::{
    simplex::types::{Context, Finalization, Finalize, Proposal},
    types::{Epoch, Height, Round, View},
};
use commonware_cryptography::{Digestible as _, Hasher as _, Sha256};
use commonware_parallel::Sequential;
use commonware_storage::mmr::Location;
use commonware_utils::{non_empty, non_empty_range};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

/// Every file and its content.
pub fn files() -> Vec<(&'static str, Value)> {
    let world = World::new(1, "vectors");
    vec![
        (
            "chain/index.json",
            json!({"format": 1, "types": [
                {"type": "Header", "file": "header.json", "what": "the encoding of a header, and its digest"},
                {"type": "Block", "file": "block.json", "what": "the encoding of a block, and its digest"},
            ]}),
        ),
        ("chain/header.json", headers(&world)),
        ("chain/block.json", blocks(&world)),
        (
            "proof/index.json",
            json!({"format": 1, "types": [
                {"type": "ReceiptProof", "file": "receipt-proof.json", "what": "a receipt with all that offline verification needs, under a network"},
            ]}),
        ),
        ("proof/receipt-proof.json", proofs(&world)),
    ]
}

/// A file's text.
pub fn text(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap())
}

/// A network with its keys, and one settled batch.
pub struct World {
    pub genesis: Genesis,
    secrets: Vec<ValidatorSecret>,
    pub network: Network,
    pub receipts: Vec<SignedReceipt>,
    batch: Batch,
    others: [BatchRoot; 2],
}

impl World {
    pub fn new(seed: u64, name: &str) -> Self {
        let accounts = vec![genesis::Account {
            address: NodeKey::from_bytes([9; 32]).unwrap().address().into(),
            wei: U256::from(10).pow(U256::from(18)),
            credits: U256::from(5_000_000_000_u64),
        }];
        let rng = StdRng::seed_from_u64(seed);
        let (genesis, secrets) = genesis::deal(rng, name, 31_337, 4, accounts).unwrap();
        let network = genesis.network().unwrap();
        let receipts = receipts(&network);
        let batch = Batch::pack(receipts.clone(), &network.domain()).unwrap();
        let others = [
            BatchRoot::from_bytes([1; 32]),
            BatchRoot::from_bytes([2; 32]),
        ];
        Self {
            genesis,
            secrets,
            network,
            receipts,
            batch,
            others,
        }
    }

    fn roots(&self) -> Vec<BatchRoot> {
        let root = self.batch.tree(&self.network.domain()).unwrap().root();
        vec![self.others[0], root, self.others[1]]
    }

    /// A block at `height` that settles the batch.
    pub fn block(&self, height: u64, parent: BlockDigest, settles: bool) -> Block {
        let transactions = vec![Bytes::from_static(&[2, 0xc0]), Bytes::from(vec![7; 40])];
        let leader = self
            .genesis
            .participants()
            .unwrap()
            .into_iter()
            .next()
            .unwrap();
        let header = Header {
            context: Context {
                round: Round::new(Epoch::zero(), View::new(height)),
                leader,
                parent: (View::new(height - 1), parent),
            },
            parent,
            height: Height::new(height),
            timestamp_ms: 1_770_000_001_000 + height,
            body: body_digest(&transactions),
            outcomes: Sha256::hash(&[b"outcomes"]),
            settled: if settles {
                settled_root(&self.roots())
            } else {
                B256::ZERO
            },
            state: Sha256::hash(&[b"state"]),
            state_range: non_empty_range!(Location::new(3), Location::new(90)),
            gas_used: 123_456,
        };
        Block {
            header,
            transactions,
        }
    }

    pub fn certificate(&self, header: &Header) -> Finalization<Scheme, BlockDigest> {
        let proposal = Proposal {
            round: header.context.round,
            parent: header.context.parent.0,
            payload: header.digest(),
        };
        let schemes: Vec<Scheme> = self
            .secrets
            .iter()
            .map(|secret| self.genesis.signer(secret).unwrap())
            .collect();
        let votes: Vec<_> = schemes
            .iter()
            .map(|s| Finalize::sign(s, proposal.clone()).unwrap())
            .collect();
        Finalization::from_finalizes(&schemes[0], non_empty![@votes.iter()], &Sequential).unwrap()
    }

    /// A proof of the receipt at `index`, certified `later` blocks after its own.
    pub fn proof(&self, index: u32, later: u64) -> ReceiptProof {
        let domain = self.network.domain();
        let tree = self.batch.tree(&domain).unwrap();
        let (_, signed) = self.batch.unpack(&domain)[index as usize].clone();
        let mut blocks = vec![self.block(7, Sha256::hash(&[b"parent"]), true)];
        for height in 8..8 + later {
            let parent = blocks.last().unwrap().digest();
            blocks.push(self.block(height, parent, false));
        }
        let certificate = self.certificate(&blocks.last().unwrap().header);
        ReceiptProof {
            network: self.network.id(),
            receipt: signed.encode().into(),
            batch: BatchPath {
                node: self.batch.node().into(),
                root: tree.root(),
                path: tree.path(index).unwrap(),
            },
            block: merkle::block_path(&self.roots(), 1).unwrap(),
            headers: blocks
                .iter()
                .map(|b| b.header.encode().to_vec().into())
                .collect(),
            certificate: certificate.encode().to_vec().into(),
        }
    }
}

fn receipts(network: &Network) -> Vec<SignedReceipt> {
    let key = NodeKey::from_bytes([9; 32]).unwrap();
    let mut previous = ReceiptId::ZERO;
    let mut all = Vec::new();
    for sequence in 0..5u64 {
        let byte = u8::try_from(sequence).unwrap() + 1;
        let start = 1_770_000_000_000_000_000 + sequence * 1_000_000;
        let receipt = Receipt {
            request: RequestId::from_bytes([byte; 32]),
            nonce: u128::from(sequence) + 77,
            revision: RevisionId::from_bytes([0x55; 32]),
            engine: EngineId::from_bytes([0x66; 32]),
            parameters: ParametersDigest::ZERO,
            seed: 0,
            input: Commitment::from_bytes([byte + 100; 32]),
            output: Commitment::from_bytes([byte + 120; 32]),
            stream: Commitment::ZERO,
            usage: Usage {
                input_units: 64,
                output_units: 11,
                compute_us: 30,
            },
            price: Microcredits(0),
            payer: Commitment::ZERO,
            node: key.address(),
            times: Times {
                request_ns: start,
                first_output_ns: start + 400_000,
                end_ns: start + 500_000,
                uncertainty_ns: 1_000_000,
            },
            rung: Rung::Signed,
            deadline_ns: start + 30_000_000_000,
            sequence,
            previous,
        };
        let signed = key.sign(receipt, &network.domain()).unwrap();
        previous = signed.receipt.id(&network.domain());
        all.push(signed);
    }
    all
}

fn hexed(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Cuts, lengthenings and changes that no decoder may accept as they stand; those that decode
/// must have another digest.
fn mangled(bytes: &[u8], fields: &[(&str, usize)]) -> Vec<Value> {
    let mut cases = Vec::new();
    let mut push = |name: String, bytes: Vec<u8>| {
        cases.push(json!({"name": name, "bytes": hexed(&bytes)}));
    };
    push("empty".into(), vec![]);
    for cut in [
        1,
        bytes.len() / 4,
        bytes.len() / 2,
        bytes.len() - 33,
        bytes.len() - 1,
    ] {
        push(format!("only {cut} bytes"), bytes[..cut].to_vec());
    }
    push("a zero byte behind".into(), [bytes, &[0]].concat());
    push("itself behind".into(), [bytes, bytes].concat());
    for (name, at) in fields {
        let mut changed = bytes.to_vec();
        changed[*at] ^= 1;
        push(format!("one bit changed in {name}"), changed);
    }
    cases
}

fn headers(world: &World) -> Value {
    let block = world.block(7, Sha256::hash(&[b"parent"]), true);
    let bytes = block.header.encode().to_vec();
    let end = bytes.len();
    let fields = [
        ("the leader", 12),
        ("gas used", end - 1),
        ("the state range", end - 9),
        ("the state", end - 20),
        ("settled", end - 60),
        ("outcomes", end - 90),
        ("the body", end - 120),
    ];
    json!({
        "type": "Header",
        "rule": "a rejected encoding does not decode, or decodes to a header with another digest",
        "accept": [{"name": "a header", "bytes": hexed(&bytes), "digest": hexed(block.digest().as_ref())}],
        "reject": reasons(mangled(&bytes, &fields), "refused"),
    })
}

fn blocks(world: &World) -> Value {
    let block = world.block(7, Sha256::hash(&[b"parent"]), true);
    let bytes = block.encode().to_vec();
    let end = bytes.len();
    let mut cases = mangled(
        &bytes,
        &[
            ("the last transaction", end - 1),
            ("the first transaction", end - 42),
            ("the length of a transaction", end - 41),
        ],
    );
    let other = Block {
        transactions: vec![Bytes::from_static(&[1])],
        ..block.clone()
    };
    let none = Block {
        transactions: vec![],
        ..block.clone()
    };
    let mut swapped = block.clone();
    swapped.transactions.reverse();
    for (name, block) in [
        ("another body", other),
        ("no body", none),
        ("a reordered body", swapped),
    ] {
        cases.push(json!({"name": name, "bytes": hexed(&block.encode())}));
    }
    json!({
        "type": "Block",
        "rule": "a rejected encoding does not decode, or decodes to a block with another digest",
        "accept": [{"name": "a block", "bytes": hexed(&bytes), "digest": hexed(block.digest().as_ref())}],
        "reject": reasons(cases, "refused"),
    })
}

fn reasons(cases: Vec<Value>, reason: &str) -> Vec<Value> {
    let with = |mut case: Value| {
        case["reason"] = reason.into();
        case
    };
    cases.into_iter().map(with).collect()
}

/// Forgeries of one proof, each with the part that gives it away.
pub fn forgeries(world: &World) -> Vec<(&'static str, ReceiptProof, &'static str)> {
    let good = world.proof(2, 1);
    let with = |change: &dyn Fn(&mut ReceiptProof)| {
        let mut proof = good.clone();
        change(&mut proof);
        proof
    };
    let flip = |bytes: &Bytes, at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        Bytes::from(bytes)
    };
    let stranger = NodeKey::from_bytes([8; 32]).unwrap();
    let domain = world.network.domain();
    let resigned = {
        let mut receipt = world.receipts[2].receipt.clone();
        receipt.node = stranger.address();
        stranger.sign(receipt, &domain).unwrap()
    };
    let stolen = SignedReceipt {
        signature: world.receipts[1].signature,
        ..world.receipts[2].clone()
    };
    let end = good.receipt.len();
    let elsewhere = World::new(2, "vectors");
    let header = world.block(9, Sha256::hash(&[b"elsewhere"]), true).header;
    let foreign = elsewhere.certificate(&world.block(8, Sha256::hash(&[b"x"]), false).header);
    vec![
        (
            "one bit of the output commitment",
            with(&|p| p.receipt = flip(&p.receipt, end - 300)),
            "batch",
        ),
        (
            "one bit of the end time",
            with(&|p| p.receipt = flip(&p.receipt, end - 65 - 32 - 8 - 8 - 1 - 8 - 8)),
            "receipt",
        ),
        (
            "one bit of the signature",
            with(&|p| p.receipt = flip(&p.receipt, end - 20)),
            "signature",
        ),
        (
            "another receipt's signature",
            with(&|p| p.receipt = stolen.encode().into()),
            "signature",
        ),
        (
            "signed again by a stranger",
            with(&|p| p.receipt = resigned.encode().into()),
            "node",
        ),
        (
            "a receipt cut short",
            with(&|p| p.receipt = p.receipt.slice(..end - 1)),
            "receipt",
        ),
        (
            "another place in the batch",
            with(&|p| p.batch.path.index = 3),
            "batch",
        ),
        (
            "a batch of another size",
            with(&|p| p.batch.path.size = 6),
            "batch",
        ),
        (
            "another batch root",
            with(&|p| p.batch.root = BatchRoot::from_bytes([3; 32])),
            "batch",
        ),
        (
            "another place in the block",
            with(&|p| p.block.index = 0),
            "block",
        ),
        (
            "one bit of a header",
            with(&|p| p.headers[0] = flip(&p.headers[0], p.headers[0].len() - 60)),
            "header",
        ),
        (
            "a header that is not linked",
            with(&|p| p.headers[0] = header.encode().to_vec().into()),
            "header",
        ),
        (
            "the last header left out",
            with(&|p| p.headers.truncate(1)),
            "certificate",
        ),
        ("no headers", with(&|p| p.headers.clear()), "headers"),
        (
            "a certificate by other validators",
            with(&|p| p.certificate = foreign.encode().to_vec().into()),
            "certificate",
        ),
        (
            "one bit of the certificate",
            with(&|p| p.certificate = flip(&p.certificate, p.certificate.len() - 5)),
            "certificate",
        ),
        (
            "a certificate cut short",
            with(&|p| p.certificate = p.certificate.slice(..40)),
            "certificate",
        ),
    ]
}

fn proofs(world: &World) -> Value {
    let accept: Vec<Value> = [(0, 0), (2, 1), (4, 3)]
        .into_iter()
        .map(|(index, later)| {
            json!({
                "name": format!("receipt {index}, certified {later} blocks later"),
                "proof": world.proof(index, later),
            })
        })
        .collect();
    let reject: Vec<Value> = forgeries(world)
        .into_iter()
        .map(|(name, proof, reason)| json!({"name": name, "proof": proof, "reason": reason}))
        .collect();
    let other = World::new(2, "another network");
    json!({
        "type": "ReceiptProof",
        "network": world.network,
        "other_network": other.network,
        "accept": accept,
        "reject": reject,
    })
}
