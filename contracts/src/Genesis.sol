// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

// The addresses that every Assay network shares. Genesis places runtime bytecode at them, so no contract
// here has a constructor or an immutable; what genesis configures lies in a documented storage slot.

// Credit, the token in which prices and bonds are counted. Genesis writes balances (slot 0) and supply (slot 1).
address constant CREDIT = 0x00000000000000000000000000000000a5500001;
// ModelRegistry, which says who published a revision, and to what each ref of a name points. Empty at genesis.
address constant MODEL_REGISTRY = 0x00000000000000000000000000000000a5500002;
// NodeRegistry, which says which node key is bonded and by whom. Empty at genesis.
address constant NODE_REGISTRY = 0x00000000000000000000000000000000a5500003;
// Settlement, which admits batches of receipts. Genesis writes the network id (slot 0).
address constant SETTLEMENT = 0x00000000000000000000000000000000A5500004;
// Proofs, which remembers models that can be proven and computations that were. Empty at genesis.
address constant PROOFS = 0x00000000000000000000000000000000A5500005;
// Hubs, which says who serves content, and what they found of each other. Empty at genesis.
address constant HUBS = 0x00000000000000000000000000000000A5500006;
// Checks, which has committees compute settled answers again. Empty at genesis.
address constant CHECKS = 0x00000000000000000000000000000000A5500007;
// Disputes, which finds the step over which a node and a member of a committee disagree. Empty at genesis.
address constant DISPUTES = 0x00000000000000000000000000000000a5500008;
// The precompile by which validators check receipts natively. It has no bytecode.
address constant RECEIPT_VERIFIER = 0x000000000000000000000000000000000000A551;
// The precompile by which validators check proofs of inferences natively. It has no bytecode.
address constant PROOF_VERIFIER = 0x000000000000000000000000000000000000A552;
