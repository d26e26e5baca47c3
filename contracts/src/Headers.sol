// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// What the light client needs of a block's header.
struct Header {
    /// SHA-256 of the encoded header.
    bytes32 digest;
    /// Digest of the parent's header.
    bytes32 parent;
    /// Number of blocks before this one.
    uint64 height;
    /// The proposer's clock in Unix milliseconds.
    uint64 timestampMs;
    /// Root over the batch roots settled in this block; zero if there is none.
    bytes32 settled;
}

/// Reads headers and finality certificates in the one encoding of each that validators accept.
///
/// ```text
/// header       epoch varint | view varint | leader 32 | parent's view varint | parent 32 | parent 32 | height varint
///              | time u64 | body 32 | outcomes 32 | settled 32 | state 32 | range: start varint, end varint | gas u64
/// certificate  proposal: epoch varint, view varint, parent's view varint, digest 32 | signature 48
/// ```
/// Varints are minimal LEB128 of at most 64 bits, other integers big-endian.
library Headers {
    /// The state database's largest location.
    uint64 private constant MAX_LOCATION = 1 << 62;
    uint256 private constant SIGNATURE_BYTES = 48;

    /// What the bytes were to be.
    enum Kind {
        Header,
        Certificate
    }

    /// The bytes are not the encoding of what they were to be.
    error BadEncoding(Kind kind);

    /// Reads a header. The leader's key is not decompressed: the header's digest is what validators signed.
    function decode(bytes calldata encoded) internal pure returns (Header memory header) {
        uint256 offset = _skipVarints(encoded, 0, 2, Kind.Header) + 32;
        offset = _skipVarints(encoded, offset, 1, Kind.Header) + 32;
        header.parent = _word(encoded, offset);
        (header.height, offset) = _varint(encoded, offset + 32, Kind.Header);
        header.timestampMs = uint64(bytes8(_word(encoded, offset)));
        header.settled = _word(encoded, offset + 8 + 64);
        offset = _checkRange(encoded, offset + 8 + 128);
        if (offset + 8 != encoded.length) revert BadEncoding(Kind.Header);
        header.digest = sha256(encoded);
    }

    /// The parts of a certificate: the signed proposal, the digest that it proposes, and the signature.
    function splitCertificate(bytes calldata encoded)
        internal
        pure
        returns (bytes calldata proposal, bytes32 payload, bytes calldata signature)
    {
        uint256 end = _skipVarints(encoded, 0, 3, Kind.Certificate) + 32;
        if (end + SIGNATURE_BYTES != encoded.length) revert BadEncoding(Kind.Certificate);
        return (encoded[:end], bytes32(encoded[end - 32:end]), encoded[end:]);
    }

    /// Reads the two ends of a range that is not empty; returns where it ends.
    function _checkRange(bytes calldata encoded, uint256 offset) private pure returns (uint256) {
        uint64 start;
        uint64 end;
        (start, offset) = _varint(encoded, offset, Kind.Header);
        (end, offset) = _varint(encoded, offset, Kind.Header);
        if (start >= end || end > MAX_LOCATION) revert BadEncoding(Kind.Header);
        return offset;
    }

    function _word(bytes calldata encoded, uint256 offset) private pure returns (bytes32) {
        if (offset + 32 > encoded.length) revert BadEncoding(Kind.Header);
        return bytes32(encoded[offset:offset + 32]);
    }

    /// Reads `count` varints from `offset` on; returns where they end.
    function _skipVarints(bytes calldata encoded, uint256 offset, uint256 count, Kind kind)
        private
        pure
        returns (uint256)
    {
        for (uint256 i = 0; i < count; i++) {
            (, offset) = _varint(encoded, offset, kind);
        }
        return offset;
    }

    /// Reads the varint at `offset`; returns it and where it ends.
    function _varint(bytes calldata encoded, uint256 offset, Kind kind) private pure returns (uint64 value, uint256) {
        for (uint256 shift = 0; shift < 64; shift += 7) {
            if (offset >= encoded.length) revert BadEncoding(kind);
            uint256 digit = uint8(encoded[offset++]);
            // A last digit of zero would be a second form of the number; the tenth holds its last bit alone.
            if ((digit == 0 && shift > 0) || (shift == 63 && digit > 1)) revert BadEncoding(kind);
            value |= uint64((digit & 0x7f) << shift);
            if (digit < 0x80) return (value, offset);
        }
        revert BadEncoding(kind);
    }
}
