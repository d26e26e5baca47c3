//! The calls that parties make and the events that they and the invariants read.

use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256, keccak256};
use alloy_sol_types::{SolCall as _, SolValue as _, sol};
use assay_chain::{
    settlement::streamsCall,
    spec::{NODE_REGISTRY, Spec},
};
use assay_receipt::{NodeAddress, NodeKey, RevisionId};

sol! {
    /// What an operator says that its node shares with others.
    struct FailureDomains { uint32 asn; bytes2 country; uint8 teeVendor; bytes32 dataCentre; bytes32 build; }

    /// Credit: allows `spender` to take `value`.
    function approve(address spender, uint256 value) external returns (bool);
    /// ModelRegistry: appends a revision to a name of the caller.
    function publish(string name, bytes32 revision) external;
    /// ModelRegistry: whether anyone published the revision.
    function isKnown(bytes32 revision) external view returns (bool);
    /// NodeRegistry: registers a node key under the caller.
    function register(address node, string endpoint, FailureDomains domains, uint128 bond, bytes signature) external;
    /// NodeRegistry: whether the receipts of a node are backed now.
    function isBonded(address node) external view returns (bool);

    /// NodeRegistry: a node answers with a bond from now on.
    event NodeRegistered(address indexed node, address indexed operator, string endpoint, uint256 bond);
    /// NodeRegistry: the bond is gone.
    event NodeSlashed(address indexed node, address indexed beneficiary, uint256 burnt, uint256 reward);
    /// ModelRegistry: a revision was published.
    event ModelPublished(address indexed publisher, bytes32 indexed revision, bytes32 indexed nameHash, string name);
}

/// The smallest bond, microcredits.
pub(crate) const BOND: u128 = 1_000_000_000;
/// Where a simulated node says that it is reached.
const ENDPOINT: &str = "https://node.sim.example";

/// Call data that lets the node registry take one bond.
pub(crate) fn approve_bond() -> Bytes {
    approveCall {
        spender: NODE_REGISTRY,
        value: U256::from(BOND),
    }
    .abi_encode()
    .into()
}

/// Call data that publishes `revision` under a name of the caller.
pub(crate) fn publish(revision: RevisionId) -> Bytes {
    let revision = B256::from(revision);
    publishCall {
        name: "model".into(),
        revision,
    }
    .abi_encode()
    .into()
}

/// Call data by which `operator` registers the node of `key`.
pub(crate) fn register(spec: &Spec, key: &NodeKey, operator: Address) -> Bytes {
    let node = key.address().to_address();
    let digest = registration_digest(spec, node, operator);
    let call = registerCall {
        node,
        endpoint: ENDPOINT.into(),
        domains: FailureDomains {
            asn: 64_496,
            country: FixedBytes(*b"ZZ"),
            teeVendor: 0,
            dataCentre: B256::ZERO,
            build: B256::ZERO,
        },
        bond: BOND,
        signature: key.sign_digest(&digest.0).as_bytes().to_vec().into(),
    };
    call.abi_encode().into()
}

/// Call data that asks whether `node` is bonded.
pub(crate) fn is_bonded(node: NodeAddress) -> Bytes {
    isBondedCall {
        node: node.to_address(),
    }
    .abi_encode()
    .into()
}

/// Call data that asks whether `revision` was published.
pub(crate) fn is_known(revision: RevisionId) -> Bytes {
    isKnownCall {
        revision: B256::from(revision),
    }
    .abi_encode()
    .into()
}

/// Call data that asks where the stream of `node` for `revision` ends.
pub(crate) fn stream(node: NodeAddress, revision: RevisionId) -> Bytes {
    let (node, revision) = (node.to_address(), B256::from(revision));
    streamsCall { node, revision }.abi_encode().into()
}

/// The EIP-712 digest that a node key signs to be registered (contracts/src/NodeRegistry.sol).
fn registration_digest(spec: &Spec, node: Address, operator: Address) -> B256 {
    let domain_type = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)",
    );
    let domain = (
        domain_type,
        keccak256("Assay"),
        keccak256("1"),
        U256::from(spec.chain_id),
        NODE_REGISTRY,
        B256::from(*spec.network.as_bytes()),
    );
    let body_type = keccak256("Registration(address node,address operator,string endpoint)");
    let body = (body_type, node, operator, keccak256(ENDPOINT));
    let mut bytes = vec![0x19, 0x01];
    bytes.extend_from_slice(keccak256(domain.abi_encode()).as_slice());
    bytes.extend_from_slice(keccak256(body.abi_encode()).as_slice());
    keccak256(bytes)
}
