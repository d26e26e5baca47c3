// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// A number below the modulus of BLS12-381's field, or about to be checked to be: its upper and its lower 256 bits.
/// The ABI encoding of one is the 64-byte field element of EIP-2537.
struct Fp {
    uint256 high;
    uint256 low;
}

/// A point of G1 in the affine coordinates of EIP-2537 (128 bytes).
struct G1Point {
    Fp x;
    Fp y;
}

/// A point of G2 in the affine coordinates of EIP-2537 (256 bytes); each coordinate is c0 + c1 * u.
struct G2Point {
    Fp xC0;
    Fp xC1;
    Fp yC0;
    Fp yC1;
}

/// BLS signatures with signatures in G1 and keys in G2 (draft-irtf-cfrg-bls-signature-05, minimal-signature-size), on
/// the precompiles of EIP-2537 (Prague) and EIP-198. A precompile that refuses its input takes all the gas that it was
/// given: whoever has to survive a hostile signature bounds the gas of the call.
library Bls12381 {
    address private constant MODEXP = address(0x05);
    address private constant G1_ADD = address(0x0b);
    address private constant PAIRING = address(0x0f);
    address private constant MAP_FP_TO_G1 = address(0x10);

    /// Bytes of a compressed point of G1.
    uint256 internal constant G1_BYTES = 48;

    uint256 private constant P_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 private constant P_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;
    /// (p - 1) / 2, above which a coordinate is the larger of the two with its square.
    uint256 private constant HALF_HIGH = 0x0d0088f51cbff34d258dd3db21a5d66b;
    uint256 private constant HALF_LOW = 0xb23ba5c279c2895fb39869507b587b120f55ffff58a9ffffdcff7fffffffd555;
    /// (p + 1) / 4: a square to this power is a root of it, because p = 3 modulo 4.
    bytes private constant ROOT_EXPONENT =
        hex"0680447a8e5ff9a692c6e9ed90d2eb35d91dd2e13ce144afd9cc34a83dac3d8907aaffffac54ffffee7fbfffffffeaab";

    /// The generator of G2 with its y coordinate negated.
    bytes private constant NEGATED_G2_GENERATOR =
        hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bcb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa"
        hex"0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed";
    bytes private constant G1_GENERATOR =
        hex"0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
        hex"0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1";

    /// The tag under which validators hash what they sign, and its length as RFC 9380 (section 5.3.1) appends it.
    bytes private constant TAG = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_\x2b";

    /// The first bits of a compressed point: it is compressed; it is infinity; its y is the larger one.
    uint256 private constant COMPRESSED = 0x80;
    uint256 private constant INFINITY = 0x40;
    uint256 private constant LARGER_Y = 0x20;

    /// The precompile gave no answer: the signature's point lies outside the subgroup (the precompile for pairing
    /// only), the gas ran out, or this chain's rules are older than Prague's. The last two refute nothing.
    error PrecompileFailed(address precompile);
    /// The key is no point of G2 in canonical coordinates, lies outside the subgroup, or is infinity.
    error BadPublicKey();
    /// The 48 bytes are no compressed point on the curve, or infinity.
    error BadSignaturePoint();

    /// Reverts unless `key` is a point of the subgroup other than infinity. Pairing is not degenerate: with the
    /// generator it gives one for infinity alone, and the precompile refuses what lies off the curve or the subgroup.
    function checkPublicKey(G2Point memory key) internal view {
        (bool done, bytes memory result) = PAIRING.staticcall(bytes.concat(G1_GENERATOR, abi.encode(key)));
        if (done && result.length == 0) revert PrecompileFailed(PAIRING);
        if (!done || uint256(bytes32(result)) != 0) revert BadPublicKey();
    }

    /// The 96-byte form of a point that checkPublicKey let pass: c1 before c0 and three flags in the first bits.
    function compress(G2Point memory point) internal pure returns (bytes memory) {
        bool larger =
            point.yC1.high == 0 && point.yC1.low == 0 ? _isLarger(point.yC0) : _isLarger(point.yC1);
        uint256 flags = (COMPRESSED | (larger ? LARGER_Y : 0)) << 120;
        return abi.encodePacked(
            uint128(point.xC1.high | flags), point.xC1.low, uint128(point.xC0.high), point.xC0.low
        );
    }

    /// Whether `signature` (48 bytes, compressed) is that of `key` over `message`: e(H(message), key) equals
    /// e(signature, generator). The precompile refuses a point outside the subgroup.
    function verify(G2Point memory key, bytes memory message, bytes calldata signature)
        internal
        view
        returns (bool)
    {
        G1Point memory point = decompress(signature);
        bytes memory input = bytes.concat(hashToG1(message), abi.encode(key, point), NEGATED_G2_GENERATOR);
        return uint256(bytes32(_call(PAIRING, input))) == 1;
    }

    /// The point of the curve y^2 = x^3 + 4 with this compressed form; may lie outside the subgroup.
    function decompress(bytes calldata compressed) internal view returns (G1Point memory point) {
        if (compressed.length != G1_BYTES) revert BadSignaturePoint();
        uint256 flags = uint8(compressed[0]);
        if (flags & (COMPRESSED | INFINITY) != COMPRESSED) revert BadSignaturePoint();
        uint128 high = uint128(bytes16(compressed[0:16])) & (type(uint128).max >> 3);
        point.x = Fp(high, uint256(bytes32(compressed[16:48])));
        if (!_isBelow(point.x, P_HIGH, P_LOW)) revert BadSignaturePoint();
        Fp memory square = _plusFour(_power(point.x, hex"03"));
        point.y = _power(square, ROOT_EXPONENT);
        Fp memory check = _power(point.y, hex"02");
        if (check.high != square.high || check.low != square.low) revert BadSignaturePoint();
        if (_isLarger(point.y) != (flags & LARGER_Y != 0)) point.y = _negated(point.y);
    }

    /// Hashes to G1 (RFC 9380, suite BLS12381G1_XMD:SHA-256_SSWU_RO_): two field elements, each mapped by the
    /// precompile, which clears the cofactor, and added. Returns the 128 bytes of the point.
    function hashToG1(bytes memory message) internal view returns (bytes memory) {
        (bytes memory first, bytes memory second) = _hashToField(message);
        bytes memory input = bytes.concat(_call(MAP_FP_TO_G1, first), _call(MAP_FP_TO_G1, second));
        return _call(G1_ADD, input);
    }

    /// Two elements of the field (RFC 9380, sections 5.2 and 5.3.1): expand_message_xmd with SHA-256 to 128 bytes,
    /// each half reduced.
    function _hashToField(bytes memory message) private view returns (bytes memory, bytes memory) {
        bytes32 seed = sha256(bytes.concat(new bytes(64), message, hex"008000", TAG));
        bytes32 first = sha256(bytes.concat(seed, hex"01", TAG));
        bytes32 second = sha256(bytes.concat(seed ^ first, hex"02", TAG));
        bytes32 third = sha256(bytes.concat(seed ^ second, hex"03", TAG));
        bytes32 fourth = sha256(bytes.concat(seed ^ third, hex"04", TAG));
        return (_modexp(bytes.concat(first, second), hex"01"), _modexp(bytes.concat(third, fourth), hex"01"));
    }

    function _power(Fp memory base, bytes memory exponent) private view returns (Fp memory) {
        return abi.decode(_modexp(abi.encodePacked(uint128(base.high), base.low), exponent), (Fp));
    }

    /// `base` to the power of `exponent` modulo p (EIP-198), as 64 bytes.
    function _modexp(bytes memory base, bytes memory exponent) private view returns (bytes memory) {
        bytes memory lengths = abi.encode(base.length, exponent.length, 48);
        bytes memory modulus = abi.encodePacked(uint128(P_HIGH), P_LOW);
        return bytes.concat(bytes16(0), _call(MODEXP, bytes.concat(lengths, base, exponent, modulus)));
    }

    /// What the precompile answers.
    function _call(address precompile, bytes memory input) private view returns (bytes memory) {
        (bool done, bytes memory result) = precompile.staticcall(input);
        if (!done || result.length == 0) revert PrecompileFailed(precompile);
        return result;
    }

    /// `a` + 4 modulo p; the sum fits, as p has 381 bits.
    function _plusFour(Fp memory a) private pure returns (Fp memory sum) {
        unchecked {
            sum.low = a.low + 4;
            sum.high = a.high + (sum.low < 4 ? 1 : 0);
        }
        if (!_isBelow(sum, P_HIGH, P_LOW)) sum = Fp(0, sum.low - P_LOW);
    }

    /// p - `a`, for an `a` from 1 to p - 1: no point of this curve has a y of zero.
    function _negated(Fp memory a) private pure returns (Fp memory difference) {
        unchecked {
            difference.low = P_LOW - a.low;
            difference.high = P_HIGH - a.high - (a.low > P_LOW ? 1 : 0);
        }
    }

    /// Whether a coordinate is larger than its negation.
    function _isLarger(Fp memory a) private pure returns (bool) {
        return !_isBelow(a, HALF_HIGH, HALF_LOW + 1);
    }

    function _isBelow(Fp memory a, uint256 high, uint256 low) private pure returns (bool) {
        return a.high < high || (a.high == high && a.low < low);
    }
}
