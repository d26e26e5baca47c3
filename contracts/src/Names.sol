// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// What names of repositories, handles of accounts and refs may look like. Each has one spelling, so that no two differ
/// only in how they are shown, and none can be taken for something else where a hub reads it in a path.
library Names {
    /// Long enough for the names that hubs use, short enough for one line.
    uint256 internal constant MAX_NAME_BYTES = 96;
    /// As long as the names of accounts elsewhere.
    uint256 internal constant MIN_HANDLE_BYTES = 3;
    uint256 internal constant MAX_HANDLE_BYTES = 39;
    /// Without what a tag begins with.
    uint256 internal constant MAX_REF_BYTES = 128;
    /// What a tag's ref begins with.
    bytes internal constant TAGS = "refs/tags/";

    /// The name is empty, longer than 96 bytes with its prefix, ends in ".git", or leaves [a-z0-9] joined by single
    /// '.', '_' or '-'.
    error BadName();
    /// The handle has not 3 to 39 bytes of [a-z0-9] joined by single '_' or '-', begins like an address, or is a word
    /// that hubs have in their paths.
    error BadHandle();
    /// The ref is empty or longer than 128 bytes, has a part that does not begin with [A-Za-z0-9_], that leaves these,
    /// '.', '-', '+', '=' and the at sign, that has "..", or that ends in '.' or ".lock", begins with "refs/" and is no
    /// tag, is "HEAD", or reads as a digest.
    error BadRef();

    /// One alphabet without case and without look-alikes of '/'. `prefix` bytes are added before the name is stored.
    function checkName(bytes calldata name, uint256 prefix) internal pure {
        if (name.length == 0 || name.length + prefix > MAX_NAME_BYTES) revert BadName();
        if (!_words(name, true) || _endsIn(name, name.length, ".git")) revert BadName();
    }

    /// As a name without dots; an account that has no handle is named by its address, so that none may look like one.
    function checkHandle(bytes calldata handle) internal pure {
        if (handle.length < MIN_HANDLE_BYTES || handle.length > MAX_HANDLE_BYTES) revert BadHandle();
        if (!_words(handle, false) || (handle[0] == "0" && handle[1] == "x")) revert BadHandle();
        bytes32 hash = keccak256(handle);
        if (
            hash == keccak256("api") || hash == keccak256("assay") || hash == keccak256("datasets")
                || hash == keccak256("docs") || hash == keccak256("health") || hash == keccak256("metrics")
                || hash == keccak256("models") || hash == keccak256("search") || hash == keccak256("spaces")
        ) revert BadHandle();
    }

    /// A branch, or a tag as "refs/tags/x". A commit is named by its digest, so that no ref may read as one.
    function checkRef(bytes calldata ref) internal pure {
        bytes calldata short = ref;
        if (ref.length > TAGS.length && keccak256(ref[0:TAGS.length]) == keccak256(TAGS)) short = ref[TAGS.length:];
        if (short.length == 0 || short.length > MAX_REF_BYTES) revert BadRef();
        if (!_parts(short) || _isDigest(short) || _isGits(short)) revert BadRef();
    }

    function _words(bytes calldata name, bool dots) private pure returns (bool) {
        bool afterWord = false;
        for (uint256 i = 0; i < name.length; i++) {
            bytes1 c = name[i];
            bool word = (c >= "a" && c <= "z") || (c >= "0" && c <= "9");
            bool joint = c == "_" || c == "-" || (dots && c == ".");
            if (!word && !(joint && afterWord)) return false;
            afterWord = word;
        }
        return afterWord;
    }

    /// Whether its parts, which single '/' join, are such as BadRef says.
    function _parts(bytes calldata ref) private pure returns (bool) {
        bytes1 last = "/";
        for (uint256 i = 0; i < ref.length; i++) {
            bytes1 c = ref[i];
            bool word = (c >= "a" && c <= "z") || (c >= "A" && c <= "Z") || (c >= "0" && c <= "9") || c == "_";
            bool joint = c == "." || c == "-" || c == "/" || c == "+" || c == "=" || c == "@";
            if (!word && (!joint || last == "/")) return false;
            if (last == "." && (c == "." || c == "/")) return false;
            if (c == "/" && _endsIn(ref, i, ".lock")) return false;
            last = c;
        }
        return last != "/" && last != "." && !_endsIn(ref, ref.length, ".lock");
    }

    /// Whether the first `length` bytes of `text` end in `ending`.
    function _endsIn(bytes calldata text, uint256 length, bytes memory ending) private pure returns (bool) {
        return length >= ending.length && keccak256(text[length - ending.length:length]) == keccak256(ending);
    }

    /// Whether Git has this name, or what begins so, for itself.
    function _isGits(bytes calldata ref) private pure returns (bool) {
        if (keccak256(ref) == keccak256("HEAD")) return true;
        return ref.length >= 4 && bytes4(ref[0:4]) == "refs" && (ref.length == 4 || ref[4] == "/");
    }

    /// Whether it could be the name of a commit, in 64 hexadecimal digits or, as Git has it, in 40.
    function _isDigest(bytes calldata ref) private pure returns (bool) {
        if (ref.length != 40 && ref.length != 64) return false;
        for (uint256 i = 0; i < ref.length; i++) {
            bytes1 c = ref[i];
            bool digit = (c >= "0" && c <= "9") || (c >= "a" && c <= "f") || (c >= "A" && c <= "F");
            if (!digit) return false;
        }
        return true;
    }
}
