//! The light client in Solidity, as its artefact has it, on a stock EVM at Prague's rules (none of this crate's
//! precompiles): it accepts and refuses what [`light::verify`] does.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, Uint, hex};
use alloy_sol_types::{SolCall, SolError, SolValue as _, sol};
use assay_chain::light::{self, Failure, Network, ReceiptProof};
use assay_receipt::InclusionPath;
use revm::{
    Context, ExecuteCommitEvm as _, MainBuilder as _, MainContext as _,
    context::{TxEnv, result::ExecutionResult},
    database::{CacheDB, EmptyDB},
    handler::{MainnetContext, MainnetEvm},
    primitives::hardfork::SpecId,
};
use serde_json::Value;

sol! {
    struct Fp { uint256 high; uint256 low; }
    struct G2Point { Fp xC0; Fp xC1; Fp yC0; Fp yC1; }
    struct Path { uint32 index; uint32 size; bytes32[] siblings; }
    struct Batch { address node; bytes32 root; Path path; }
    struct Proof { bytes32 network; bytes receipt; Batch batch; Path block; bytes[] headers; bytes certificate; }
    struct Settled { bytes32 id; uint64 height; uint64 timestampMs; bytes32 digest; uint8 rung; }

    // A receipt is 23 static words.
    function verify(Proof proof) external view returns (bytes32[23] receipt, Settled settled);
    function act(Proof proof) external;
    function actedOn(bytes32 id) external view returns (bytes32);

    error OtherNetwork(bytes32 theirs, bytes32 ours);
    error BadHeaderCount(uint256 count);
    error BadEncoding(uint8 kind);
    error Unlinked(uint256 index);
    error CertifiedOther(bytes32 certified, bytes32 last);
    error NotCertified();
    error BadSignaturePoint();
    error PrecompileFailed(address precompile);
    error OtherNode(address batch, address receipt);
    error BadPath();
    error NotInBatch(bytes32 id, bytes32 root);
    error NotInBlock(bytes32 root, bytes32 settled);
    error BadReceipt();
    error BadSignature(address node);
    error AlreadyUsed(bytes32 id);
}

/// Who deploys and calls.
const CALLER: Address = Address::repeat_byte(0xca);
const GAS_LIMIT: u64 = 10_000_000;
/// What verification of a proof with one header may cost, the transaction included.
const MAX_VERIFY_GAS: u64 = 240_000;

/// The artefact of a contract: its creation code.
fn creation_code(artefact: &str) -> Vec<u8> {
    let artefact: Value = serde_json::from_str(artefact).unwrap();
    hex::decode(artefact["bytecode"].as_str().unwrap()).unwrap()
}

fn light_client() -> Vec<u8> {
    creation_code(include_str!(
        "../../../../contracts/artifacts/LightClient.json"
    ))
}

/// An EVM with the rules and the precompiles of Ethereum's main net at Prague.
struct StockChain {
    evm: MainnetEvm<MainnetContext<CacheDB<EmptyDB>>>,
    nonce: u64,
}

impl StockChain {
    fn start() -> Self {
        let evm = Context::mainnet()
            .with_db(CacheDB::new(EmptyDB::new()))
            .modify_cfg_chained(|cfg| cfg.set_spec_and_mainnet_gas_params(SpecId::PRAGUE))
            .build_mainnet();
        Self { evm, nonce: 0 }
    }

    fn transact(&mut self, kind: TxKind, data: Vec<u8>) -> ExecutionResult {
        let transaction = TxEnv::builder()
            .caller(CALLER)
            .kind(kind)
            .data(data.into())
            .gas_limit(GAS_LIMIT)
            .nonce(self.nonce)
            .build()
            .unwrap();
        self.nonce += 1;
        self.evm.transact_commit(transaction).unwrap()
    }

    fn deploy(&mut self, mut code: Vec<u8>, arguments: Vec<u8>) -> Address {
        code.extend(arguments);
        let result = self.transact(TxKind::Create, code);
        result
            .created_address()
            .unwrap_or_else(|| panic!("{result:?}"))
    }

    /// Calls; gives the answer, or what the contract reverted with.
    fn call<C: SolCall>(&mut self, to: Address, call: &C) -> Result<(C::Return, u64), Bytes> {
        match self.transact(TxKind::Call(to), call.abi_encode()) {
            ExecutionResult::Success { gas, output, .. } => {
                let answer = C::abi_decode_returns(output.data()).unwrap();
                Ok((answer, gas.tx_gas_used()))
            }
            ExecutionResult::Revert { output, .. } => Err(output),
            halt => panic!("{halt:?}"),
        }
    }
}

/// A number of up to 381 bits.
type Number = Uint<384, 6>;

/// The modulus of BLS12-381's field.
fn modulus() -> Number {
    "0x1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab"
        .parse()
        .unwrap()
}

/// An element of its quadratic extension: `.0 + .1 * u` with `u^2 = -1`.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Fp2(Number, Number);

impl Fp2 {
    fn times(self, other: Self) -> Self {
        let p = modulus();
        let product = |a: Number, b: Number| a.mul_mod(b, p);
        Self(
            product(self.0, other.0).add_mod(p - product(self.1, other.1), p),
            product(self.0, other.1).add_mod(product(self.1, other.0), p),
        )
    }

    /// A square root, of the two the one that [`Fp2::is_larger`] or the other.
    fn root(self, larger: bool) -> Option<Self> {
        let p = modulus();
        let root = |a: Number| {
            let root = a.pow_mod((p + Number::from(1)) >> 2, p);
            (root.mul_mod(root, p) == a).then_some(root)
        };
        let square = |a: Number| a.mul_mod(a, p);
        let norm = root(square(self.0).add_mod(square(self.1), p))?;
        let half: Number = (p + Number::from(1)) >> 1;
        let real = [norm, p - norm]
            .iter()
            .find_map(|norm| root(self.0.add_mod(*norm, p).mul_mod(half, p)))?;
        let imaginary = self.1.mul_mod(half, p).mul_mod(real.inv_mod(p)?, p);
        let found = Self(real, imaginary);
        let negated = Self(p - real, (p - imaginary).reduce_mod(p));
        Some(if found.is_larger() == larger {
            found
        } else {
            negated
        })
    }

    /// Whether it is the larger of itself and its negation, as compressed points have it.
    fn is_larger(self) -> bool {
        let decisive = if self.1.is_zero() { self.0 } else { self.1 };
        decisive > modulus() >> 1
    }
}

fn element(number: Number) -> Fp {
    Fp {
        high: U256::from(number >> 256),
        low: U256::from(number & (Number::MAX >> 128)),
    }
}

/// The point that a 96-byte public key compresses, in the coordinates of EIP-2537.
fn point(compressed: &[u8]) -> G2Point {
    let number = |bytes: &[u8]| Number::from_be_slice(bytes);
    let (c1, c0) = compressed.split_at(48);
    let x = Fp2(number(c0), number(c1) & (Number::MAX >> 3));
    let cube = x.times(x).times(x);
    let (four, p) = (Number::from(4), modulus());
    let square = Fp2(cube.0.add_mod(four, p), cube.1.add_mod(four, p));
    let y = square.root(compressed[0] & 0x20 != 0).unwrap();
    assert_eq!(y.times(y), square);
    G2Point {
        xC0: element(x.0),
        xC1: element(x.1),
        yC0: element(y.0),
        yC1: element(y.1),
    }
}

fn arguments(network: &Network) -> Vec<u8> {
    let id = B256::from(*network.id().as_bytes());
    (
        id,
        network.chain_id,
        network.genesis,
        point(&network.public_key),
    )
        .abi_encode_params()
}

fn path(path: &InclusionPath) -> Path {
    Path {
        index: path.index,
        size: path.size,
        siblings: path.siblings.clone(),
    }
}

fn calldata(proof: &ReceiptProof) -> Proof {
    Proof {
        network: B256::from(*proof.network.as_bytes()),
        receipt: proof.receipt.clone(),
        batch: Batch {
            node: proof.batch.node,
            root: B256::from(*proof.batch.root.as_bytes()),
            path: path(&proof.batch.path),
        },
        block: path(&proof.block),
        headers: proof.headers.clone(),
        certificate: proof.certificate.clone(),
    }
}

/// The vectors' network and its light client on a stock chain.
struct Vectors {
    file: Value,
    network: Network,
    chain: StockChain,
    client: Address,
}

impl Vectors {
    fn deployed() -> Self {
        let file = crate::frozen_vectors::stored("proof/receipt-proof.json");
        let network: Network = serde_json::from_value(file["network"].clone()).unwrap();
        let mut chain = StockChain::start();
        let client = chain.deploy(light_client(), arguments(&network));
        Self {
            file,
            network,
            chain,
            client,
        }
    }

    fn cases(&self, kind: &str) -> Vec<(String, ReceiptProof, String)> {
        let text = |case: &Value, key: &str| case[key].as_str().unwrap_or_default().to_owned();
        self.file[kind]
            .as_array()
            .unwrap()
            .iter()
            .map(|case| {
                let proof = serde_json::from_value(case["proof"].clone()).unwrap();
                (text(case, "name"), proof, text(case, "reason"))
            })
            .collect()
    }

    fn verify(&mut self, proof: &ReceiptProof) -> Result<(verifyReturn, u64), Bytes> {
        let proof = calldata(proof);
        self.chain.call(self.client, &verifyCall { proof })
    }
}

/// The parts that an error of the contract may blame, in the vectors' words.
fn blamed(error: &[u8]) -> &'static [&'static str] {
    let selector: [u8; 4] = error[..4].try_into().unwrap();
    match selector {
        OtherNetwork::SELECTOR => &["network"],
        BadHeaderCount::SELECTOR => &["headers"],
        BadEncoding::SELECTOR if error.ends_with(&[0]) => &["header"],
        Unlinked::SELECTOR => &["header"],
        BadEncoding::SELECTOR
        | CertifiedOther::SELECTOR
        | NotCertified::SELECTOR
        | BadSignaturePoint::SELECTOR
        | PrecompileFailed::SELECTOR => &["certificate"],
        OtherNode::SELECTOR => &["node"],
        NotInBatch::SELECTOR => &["batch"],
        NotInBlock::SELECTOR => &["block"],
        BadPath::SELECTOR => &["batch", "block"],
        BadReceipt::SELECTOR => &["receipt"],
        BadSignature::SELECTOR => &["signature"],
        _ => panic!("{} is no error of the light client", hex::encode(error)),
    }
}

#[test]
fn it_accepts_what_the_light_client_accepts() {
    let mut vectors = Vectors::deployed();
    for (name, proof, _) in vectors.cases("accept") {
        let expected = light::verify(&vectors.network, &proof).unwrap();
        let (answer, gas) = vectors.verify(&proof).unwrap();
        println!("{name}: {gas} gas");
        let Settled {
            id,
            height,
            timestampMs,
            digest,
            rung,
        } = answer.settled;
        assert_eq!(id, B256::from(*expected.id.as_bytes()));
        assert_eq!(
            (height, timestampMs),
            (expected.height, expected.timestamp_ms)
        );
        assert_eq!((digest, rung), (expected.block, 1));
        let receipt = expected.receipt.receipt;
        assert_eq!(answer.receipt[0], B256::from(*receipt.request.as_bytes()));
        assert_eq!(answer.receipt[22], B256::from(*receipt.previous.as_bytes()));
        assert!(
            proof.headers.len() > 1 || gas <= MAX_VERIFY_GAS,
            "{gas} gas"
        );
    }
}

#[test]
fn it_refuses_every_frozen_forgery_for_its_reason() {
    let mut vectors = Vectors::deployed();
    let cases = vectors.cases("reject");
    assert!(cases.len() >= 12);
    for (name, proof, reason) in cases {
        let error = vectors.verify(&proof).map(|_| ()).unwrap_err();
        assert!(blamed(&error).contains(&reason.as_str()), "{name}: {error}");
    }
}

#[test]
fn it_judges_no_other_networks_proof() {
    let mut vectors = Vectors::deployed();
    let other: Network = serde_json::from_value(vectors.file["other_network"].clone()).unwrap();
    vectors.client = vectors.chain.deploy(light_client(), arguments(&other));
    let (_, proof, _) = vectors.cases("accept").swap_remove(0);
    let error = vectors.verify(&proof).map(|_| ()).unwrap_err();
    assert_eq!(blamed(&error), ["network"]);
    assert!(matches!(
        light::verify(&other, &proof),
        Err(Failure::OtherNetwork { .. })
    ));
}

/// Proofs with one bit turned somewhere, a byte cut off, and a byte too many, in each part that is bytes.
fn mutations(genuine: &ReceiptProof) -> Vec<ReceiptProof> {
    let mut found = Vec::new();
    let mut mutate = |bytes: &Bytes, put: &dyn Fn(&mut ReceiptProof, Bytes)| {
        let turned = (0..bytes.len()).step_by(3).map(|at| {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1 << (at % 8);
            changed
        });
        let cut = bytes[..bytes.len() - 1].to_vec();
        let longer = [bytes.as_ref(), &[0]].concat();
        for changed in turned.chain([cut, longer]) {
            let mut proof = genuine.clone();
            put(&mut proof, changed.into());
            found.push(proof);
        }
    };
    mutate(&genuine.receipt, &|proof, bytes| proof.receipt = bytes);
    mutate(&genuine.certificate, &|proof, bytes| {
        proof.certificate = bytes
    });
    for (at, header) in genuine.headers.iter().enumerate() {
        mutate(header, &|proof, bytes| proof.headers[at] = bytes);
    }
    found
}

#[test]
fn it_refuses_what_the_light_client_refuses() {
    let mut vectors = Vectors::deployed();
    let (_, genuine, _) = vectors.cases("accept").swap_remove(1);
    let forged = mutations(&genuine);
    assert!(forged.len() > 300);
    for (at, proof) in forged.iter().enumerate() {
        let failure = light::verify(&vectors.network, proof).unwrap_err();
        let error = vectors.verify(proof).map(|_| ()).unwrap_err();
        assert!(failure.refutes() && !blamed(&error).is_empty(), "{at}");
    }
}

#[test]
fn a_consumer_acts_once_and_only_on_what_verifies() {
    let mut vectors = Vectors::deployed();
    let (_, proof, _) = vectors.cases("accept").swap_remove(0);
    let receipt = light::verify(&vectors.network, &proof).unwrap();
    let revision = B256::from(*receipt.receipt.receipt.revision.as_bytes());
    let code = creation_code(include_str!(
        "../../../../contracts/artifacts/ForeignConsumer.json"
    ));
    let policy = (vectors.client, revision, U256::from(1)).abi_encode_params();
    let consumer = vectors.chain.deploy(code, policy);

    for (name, forged, _) in vectors.cases("reject") {
        let proof = calldata(&forged);
        let answer = vectors.chain.call(consumer, &actCall { proof });
        assert!(answer.is_err(), "acted on {name}");
    }
    let call = actCall {
        proof: calldata(&proof),
    };
    let (_, gas) = vectors.chain.call(consumer, &call).unwrap();
    println!("a consumer acts: {gas} gas");
    let id = B256::from(*receipt.id.as_bytes());
    let (output, _) = vectors.chain.call(consumer, &actedOnCall { id }).unwrap();
    assert_eq!(
        output,
        B256::from(*receipt.receipt.receipt.output.as_bytes())
    );
    let again = vectors.chain.call(consumer, &call).map(|_| ()).unwrap_err();
    assert_eq!(again, Bytes::from(AlreadyUsed { id }.abi_encode()));
}
