//! The rules of one network: the numbers and addresses that every validator must share.

use alloy_primitives::{Address, B256, U256, address, keccak256};
use assay_receipt::{Domain, NetworkId};
use revm::{context::CfgEnv, primitives::hardfork::SpecId};

/// ERC-20 "Assay Credit".
pub const CREDIT: Address = address!("00000000000000000000000000000000A5500001");
/// Names, refs and revisions of models and data sets, and handles of accounts.
pub const MODEL_REGISTRY: Address = address!("00000000000000000000000000000000A5500002");
/// Node keys, operators and bonds.
pub const NODE_REGISTRY: Address = address!("00000000000000000000000000000000A5500003");
/// Batches of receipts.
pub const SETTLEMENT: Address = address!("00000000000000000000000000000000A5500004");
/// Models that can be proven, and what was proven of them.
pub const PROOFS: Address = address!("00000000000000000000000000000000A5500005");
/// Hubs that serve content, and what they say of each other.
pub const HUBS: Address = address!("00000000000000000000000000000000A5500006");
/// Committees that compute settled answers again.
pub const CHECKS: Address = address!("00000000000000000000000000000000A5500007");
/// Disputes over the first step that differs.
pub const DISPUTES: Address = address!("00000000000000000000000000000000A5500008");
/// The precompile that verifies receipts.
pub const VERIFIER: Address = address!("000000000000000000000000000000000000A551");
/// The precompile that verifies proofs of inferences.
pub const PROOF_VERIFIER: Address = address!("000000000000000000000000000000000000A552");

/// Gas of a block: about 2,000 receipts. Four validators on two cores must be able to build and check a
/// full block within a leader's turn ([`crate::engine::Timing`]), or no block would ever be certified.
pub const BLOCK_GAS_LIMIT: u64 = 40_000_000;
/// Most gas of one transaction (the cap of EIP-7825), so that none alone fills a leader's turn.
pub const TRANSACTION_GAS_LIMIT: u64 = 1 << 24;
/// Price of gas that is burnt, in wei; constant in this version.
pub const BASE_FEE_WEI: u64 = 1_000_000_000;
/// Longest step of the block clock from parent to child. A block that claims more is invalid.
pub const MAX_TIMESTAMP_STEP_MS: u64 = 60_000;
/// Execution rules: Prague, which has the BLS12-381 precompiles that an on-chain light client needs.
pub const HARDFORK: SpecId = SpecId::PRAGUE;

/// What identifies a network to the execution layer.
#[derive(Debug, Clone)]
pub struct Spec {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Identity of the network, bound into every receipt.
    pub network: NetworkId,
    /// EIP-712 domain of receipts.
    pub domain: Domain,
    /// What the state holds before the first transaction.
    pub allocation: Vec<Allocation>,
}

/// One account of the network's first state.
#[derive(Debug, Clone)]
pub struct Allocation {
    /// Where it lies.
    pub address: Address,
    /// Native balance in wei.
    pub balance: U256,
    /// Runtime code; empty for an ordinary account.
    pub code: alloy_primitives::Bytes,
    /// Storage slots that are not zero.
    pub storage: Vec<(U256, U256)>,
}

impl Spec {
    /// EVM configuration of this network.
    pub fn evm_config(&self) -> CfgEnv {
        let mut config = CfgEnv::new_with_spec(HARDFORK);
        config.chain_id = self.chain_id;
        config.tx_gas_limit_cap = Some(TRANSACTION_GAS_LIMIT);
        config
    }
}

/// Storage slot of `mapping(address => _)` at `slot`, by Solidity's layout.
pub fn address_mapping_slot(key: Address, slot: u64) -> U256 {
    mapping_slot(key.into_word(), slot)
}

/// Storage slot of `mapping(bytes32 => _)` at `slot`, by Solidity's layout.
pub fn mapping_slot(key: B256, slot: u64) -> U256 {
    let mut preimage = [0u8; 64];
    let (left, right) = preimage.split_at_mut(32);
    left.copy_from_slice(key.as_slice());
    right.copy_from_slice(&U256::from(slot).to_be_bytes::<32>());
    U256::from_be_bytes(keccak256(preimage).0)
}
