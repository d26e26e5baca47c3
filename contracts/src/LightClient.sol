// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {AssayReceipts, Receipt} from "./AssayReceipts.sol";
import {Bls12381, Fp, G2Point} from "./Bls12381.sol";
import {SETTLEMENT} from "./Genesis.sol";
import {Header, Headers} from "./Headers.sol";
import {Signatures} from "./Signatures.sol";
import {SignedReceipts} from "./SignedReceipts.sol";

/// A leaf's place in a tree: its index, the number of leaves, and its siblings from the leaf up.
struct InclusionPath {
    uint32 index;
    uint32 size;
    bytes32[] siblings;
}

/// A receipt's place in its batch.
struct BatchPath {
    address node;
    bytes32 root;
    InclusionPath path;
}

/// A receipt with all that its verification needs: field by field what a proof file has under `proof`.
struct ReceiptProof {
    /// The network it is of.
    bytes32 network;
    /// The signed receipt in its canonical binary form.
    bytes receipt;
    /// Path of the receipt in its batch.
    BatchPath batch;
    /// Path of the batch among those settled in its block.
    InclusionPath block;
    /// Encoded headers, from the block of the batch to the certified one.
    bytes[] headers;
    /// Encoded finality certificate of the last header.
    bytes certificate;
}

/// What a verified proof establishes.
struct Settled {
    /// The receipt's id.
    bytes32 id;
    /// Height of the Assay block in which it settled.
    uint64 height;
    /// That block's time, Unix milliseconds, as its proposer had it.
    uint64 timestampMs;
    /// Digest of that block.
    bytes32 digest;
    /// The rung that is established, whatever the receipt promises.
    uint8 rung;
}

/// Verifies receipts of one Assay network on any chain with Prague's rules: from the network's public key to one
/// receipt, with no other party trusted. It holds no state, nobody owns it, and it is the light client of the chain
/// crate check by check, but for the leader's key in a header, which is not decompressed.
///
/// What it does not establish:
/// - that the validators are honest: two thirds of them, or a dealer that kept the secret, certify what they like;
/// - that the validators are still those of today: the key is fixed at deployment (resharing keeps it, a new key
///   makes a new network);
/// - what happened since: a node that was slashed later, or a receipt that was refuted later, verifies all the same;
/// - a rung above Signed: that a rung which the receipt promises was reached is in no header;
/// - that the answer is any good.
contract LightClient {
    /// What a signature of a node establishes whose batch every validator checked.
    uint8 public constant RUNG_SIGNED = 1;
    /// Most headers between a receipt's block and a certificate.
    uint256 public constant MAX_HEADERS = 16;

    /// What comes before a proposal in what validators sign: the namespace of finality votes after its length.
    bytes private constant VOTE_PREFIX = "\x0f_ASSAY_FINALIZE";

    /// The network whose receipts it verifies.
    bytes32 public immutable networkId;
    /// The EIP-712 domain in which that network's receipts are signed.
    bytes32 public immutable domainSeparator;

    // The network's public key.
    uint256 private immutable _xC0High;
    uint256 private immutable _xC0Low;
    uint256 private immutable _xC1High;
    uint256 private immutable _xC1Low;
    uint256 private immutable _yC0High;
    uint256 private immutable _yC0Low;
    uint256 private immutable _yC1High;
    uint256 private immutable _yC1Low;

    /// The network with this chain id, genesis and public key has another id.
    error WrongNetworkId(bytes32 expected, bytes32 got);
    /// The proof is of another network. It is not refuted: ask that network's light client.
    error OtherNetwork(bytes32 theirs, bytes32 ours);
    /// A proof has 1 to MAX_HEADERS headers.
    error BadHeaderCount(uint256 count);
    /// Header `index` is not the parent of the header after it.
    error Unlinked(uint256 index);
    /// The certificate is over another block than the last header's.
    error CertifiedOther(bytes32 certified, bytes32 last);
    /// The certificate is not signed by the network's validators.
    error NotCertified();
    /// The batch is of one node, the receipt of another.
    error OtherNode(address batch, address receipt);
    /// The batch does not hold the receipt.
    error NotInBatch(bytes32 id, bytes32 root);
    /// The first header's block does not hold the batch.
    error NotInBlock(bytes32 root, bytes32 settled);

    /// For the network `id`: its EIP-155 chain id, its genesis digest, and its public key as EIP-2537 has it. The id
    /// binds the other three, so whoever knows the id has nothing to believe the deployer.
    constructor(bytes32 id, uint64 chainId, bytes32 genesis, G2Point memory key) {
        Bls12381.checkPublicKey(key);
        bytes32 derived = keccak256(
            abi.encodePacked("assay network 1", chainId, genesis, Bls12381.compress(key))
        );
        if (derived != id) revert WrongNetworkId(id, derived);
        networkId = id;
        domainSeparator = keccak256(
            abi.encode(
                Signatures.NETWORK_DOMAIN_TYPEHASH, Signatures.NETWORK_NAME, Signatures.VERSION, chainId, SETTLEMENT, id
            )
        );
        (_xC0High, _xC0Low) = (key.xC0.high, key.xC0.low);
        (_xC1High, _xC1Low) = (key.xC1.high, key.xC1.low);
        (_yC0High, _yC0Low) = (key.yC0.high, key.yC0.low);
        (_yC1High, _yC1Low) = (key.yC1.high, key.yC1.low);
    }

    /// Verifies `proof`, and returns the receipt with what is established of it. Reverts with one of the errors
    /// above, or with BadEncoding, BadSignaturePoint, BadReceipt, BadSignature or BadPath: the proof is refuted, but by
    /// OtherNetwork. PrecompileFailed tells nothing where the gas of the call was short.
    function verify(ReceiptProof calldata proof)
        external
        view
        returns (Receipt memory receipt, Settled memory settled)
    {
        if (proof.network != networkId) revert OtherNetwork(proof.network, networkId);
        (Header memory first, bytes32 last) = _checkHeaders(proof.headers);
        receipt = SignedReceipts.decode(proof.receipt);
        bytes32 id = SignedReceipts.id(domainSeparator, receipt);
        _checkInclusion(proof, receipt.node, id, first.settled);
        SignedReceipts.checkSignature(proof.receipt, id, receipt.node);
        _checkCertificate(proof.certificate, last);
        settled = Settled(id, first.height, first.timestampMs, first.digest, RUNG_SIGNED);
    }

    /// The network's public key, as EIP-2537 has it.
    function publicKey() public view returns (G2Point memory) {
        return G2Point(
            Fp(_xC0High, _xC0Low), Fp(_xC1High, _xC1Low), Fp(_yC0High, _yC0Low), Fp(_yC1High, _yC1Low)
        );
    }

    /// Each header is the parent of the next. Returns the first and the digest of the last.
    function _checkHeaders(bytes[] calldata headers) private pure returns (Header memory first, bytes32 last) {
        uint256 count = headers.length;
        if (count == 0 || count > MAX_HEADERS) revert BadHeaderCount(count);
        first = Headers.decode(headers[0]);
        last = first.digest;
        for (uint256 i = 1; i < count; i++) {
            Header memory header = Headers.decode(headers[i]);
            if (header.parent != last) revert Unlinked(i - 1);
            last = header.digest;
        }
    }

    /// The receipt `id` of `node` is in the batch, and the batch under `settled`, the root of its block.
    function _checkInclusion(ReceiptProof calldata proof, address node, bytes32 id, bytes32 settled) private pure {
        BatchPath calldata batch = proof.batch;
        if (batch.node != node) revert OtherNode(batch.node, node);
        bytes32 tree = _treeRoot(AssayReceipts.leaf(id), batch.path);
        if (AssayReceipts.batchRoot(node, batch.path.size, tree) != batch.root) revert NotInBatch(id, batch.root);
        tree = _treeRoot(keccak256(abi.encodePacked(bytes1(0x03), batch.root)), proof.block);
        bytes32 root = keccak256(abi.encodePacked(bytes1(0x04), proof.block.size, tree));
        if (root != settled) revert NotInBlock(batch.root, settled);
    }

    function _treeRoot(bytes32 leaf, InclusionPath calldata path) private pure returns (bytes32) {
        return AssayReceipts.treeRoot(leaf, path.index, path.size, path.siblings);
    }

    /// The validators finalized the block with the digest `last`.
    function _checkCertificate(bytes calldata certificate, bytes32 last) private view {
        (bytes calldata proposal, bytes32 payload, bytes calldata signature) = Headers.splitCertificate(certificate);
        if (payload != last) revert CertifiedOther(payload, last);
        if (!Bls12381.verify(publicKey(), bytes.concat(VOTE_PREFIX, proposal), signature)) revert NotCertified();
    }
}
