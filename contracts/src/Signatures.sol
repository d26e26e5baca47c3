// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// Recoverable secp256k1 signatures in the one form that Assay accepts, and the EIP-712 domain of a network.
library Signatures {
    /// Half the order of the group: a larger `s` is the second form of the same signature (EIP-2).
    uint256 internal constant HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    /// r, s and v, one after the other.
    uint256 internal constant SIGNATURE_BYTES = 65;

    bytes32 internal constant NETWORK_DOMAIN_TYPEHASH = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
    );
    bytes32 internal constant NETWORK_NAME = keccak256("Assay");
    bytes32 internal constant VERSION = keccak256("1");

    /// The EIP-712 domain of `verifyingContract` on the network `networkId`: name "Assay", version "1", the chain
    /// id, the contract, and the network id as salt, so that two networks with one chain id stay apart.
    function networkDomain(address verifyingContract, bytes32 networkId) internal view returns (bytes32) {
        return keccak256(
            abi.encode(NETWORK_DOMAIN_TYPEHASH, NETWORK_NAME, VERSION, block.chainid, verifyingContract, networkId)
        );
    }

    /// The digest that is signed: EIP-712, `0x19 0x01 || domain || structHash`.
    function digest(bytes32 domain, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    /// The signer of `hash`, or zero for any signature that is not canonical: 65 bytes, v 27 or 28, low s.
    function recover(bytes32 hash, bytes calldata signature) internal pure returns (address) {
        if (signature.length != SIGNATURE_BYTES) return address(0);
        return recover(hash, uint8(signature[64]), bytes32(signature[0:32]), bytes32(signature[32:64]));
    }

    /// As above, for a signature that comes in three parts. `ecrecover` itself gives zero for any other v.
    function recover(bytes32 hash, uint8 v, bytes32 r, bytes32 s) internal pure returns (address) {
        if (uint256(s) > HALF_ORDER) return address(0);
        return ecrecover(hash, v, r, s);
    }
}
