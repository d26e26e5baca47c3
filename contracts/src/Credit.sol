// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Signatures} from "./Signatures.sol";

/// Assay Credit: an ERC-20 of six decimals whose supply genesis fixes. Nothing mints; burning is the only way by
/// which the supply changes. Transfers can be authorised by signature (EIP-3009) and allowances too (EIP-2612).
contract Credit {
    string public constant name = "Assay Credit";
    string public constant symbol = "CREDIT";
    string public constant version = "1";
    /// One unit is a microcredit.
    uint8 public constant decimals = 6;

    bytes32 public constant TRANSFER_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public constant RECEIVE_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public constant CANCEL_AUTHORIZATION_TYPEHASH =
        keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");
    bytes32 public constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    /// Slot 0, written by genesis: microcredits of each account.
    mapping(address account => uint256) public balanceOf;
    /// Slot 1, written by genesis: the sum of all balances.
    uint256 public totalSupply;
    /// Slot 2: what a spender may still take; the maximum means without end.
    mapping(address owner => mapping(address spender => uint256)) public allowance;
    /// Slot 3: whether an EIP-3009 nonce was used or cancelled.
    mapping(address authorizer => mapping(bytes32 nonce => bool)) public authorizationState;
    /// Slot 4: the next EIP-2612 nonce of an account.
    mapping(address owner => uint256) public nonces;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);
    event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);
    event AuthorizationCanceled(address indexed authorizer, bytes32 indexed nonce);

    /// The account has less than the transfer needs.
    error InsufficientBalance(address account, uint256 balance, uint256 needed);
    /// The spender was allowed less than the transfer needs.
    error InsufficientAllowance(address spender, uint256 allowed, uint256 needed);
    /// Tokens are never sent to zero; `burn` says what it does.
    error ZeroAddress();
    /// The signature is not canonical or not that of `signer`.
    error BadSignature(address signer);
    /// The authorisation is used from `validAfter` (exclusive) on, in seconds.
    error NotYetValid(uint256 validAfter);
    /// The authorisation was to be used before `validBefore`, in seconds.
    error Expired(uint256 validBefore);
    /// The authorisation was used or cancelled.
    error AuthorizationSpent(address authorizer, bytes32 nonce);
    /// Only the payee may redeem a ReceiveWithAuthorization.
    error NotPayee(address payee);

    /// Moves `value` from the caller to `to`.
    function transfer(address to, uint256 value) external returns (bool) {
        _move(msg.sender, to, value);
        return true;
    }

    /// Lets `spender` move up to `value` of the caller.
    function approve(address spender, uint256 value) external returns (bool) {
        _approve(msg.sender, spender, value);
        return true;
    }

    /// Moves `value` from `from` to `to` out of the caller's allowance.
    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed < value) revert InsufficientAllowance(msg.sender, allowed, value);
        if (allowed != type(uint256).max) allowance[from][msg.sender] = allowed - value;
        _move(from, to, value);
        return true;
    }

    /// Destroys `value` of the caller.
    function burn(uint256 value) external {
        _debit(msg.sender, value);
        totalSupply -= value;
        emit Transfer(msg.sender, address(0), value);
    }

    /// EIP-3009: moves `value` by the signature of `from`; anyone may submit it, once, inside its window.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        bytes32 body = keccak256(
            abi.encode(TRANSFER_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce)
        );
        _useAuthorization(from, validAfter, validBefore, nonce, body, v, r, s);
        _move(from, to, value);
    }

    /// EIP-3009: as above, but only `to` may submit it, so that a copied transaction cannot come first.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        if (to != msg.sender) revert NotPayee(to);
        bytes32 body = keccak256(
            abi.encode(RECEIVE_WITH_AUTHORIZATION_TYPEHASH, from, to, value, validAfter, validBefore, nonce)
        );
        _useAuthorization(from, validAfter, validBefore, nonce, body, v, r, s);
        _move(from, to, value);
    }

    /// EIP-3009: makes an unused authorisation unusable, by the signature of its author.
    function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external {
        if (authorizationState[authorizer][nonce]) revert AuthorizationSpent(authorizer, nonce);
        bytes32 body = keccak256(abi.encode(CANCEL_AUTHORIZATION_TYPEHASH, authorizer, nonce));
        _checkSigner(authorizer, body, v, r, s);
        authorizationState[authorizer][nonce] = true;
        emit AuthorizationCanceled(authorizer, nonce);
    }

    /// EIP-2612: sets an allowance by the signature of `owner`.
    function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
    {
        if (block.timestamp > deadline) revert Expired(deadline);
        bytes32 body = keccak256(abi.encode(PERMIT_TYPEHASH, owner, spender, value, nonces[owner]++, deadline));
        _checkSigner(owner, body, v, r, s);
        _approve(owner, spender, value);
    }

    /// The EIP-712 domain of this token.
    function DOMAIN_SEPARATOR() public view returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, keccak256(bytes(name)), keccak256(bytes(version)), block.chainid, address(this))
        );
    }

    function _useAuthorization(
        address from,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        bytes32 body,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) private {
        if (block.timestamp <= validAfter) revert NotYetValid(validAfter);
        if (block.timestamp >= validBefore) revert Expired(validBefore);
        if (authorizationState[from][nonce]) revert AuthorizationSpent(from, nonce);
        _checkSigner(from, body, v, r, s);
        authorizationState[from][nonce] = true;
        emit AuthorizationUsed(from, nonce);
    }

    function _checkSigner(address signer, bytes32 body, uint8 v, bytes32 r, bytes32 s) private view {
        address recovered = Signatures.recover(Signatures.digest(DOMAIN_SEPARATOR(), body), v, r, s);
        if (recovered == address(0) || recovered != signer) revert BadSignature(signer);
    }

    function _approve(address owner, address spender, uint256 value) private {
        if (spender == address(0)) revert ZeroAddress();
        allowance[owner][spender] = value;
        emit Approval(owner, spender, value);
    }

    function _move(address from, address to, uint256 value) private {
        if (to == address(0)) revert ZeroAddress();
        _debit(from, value);
        balanceOf[to] += value;
        emit Transfer(from, to, value);
    }

    function _debit(address from, uint256 value) private {
        uint256 balance = balanceOf[from];
        if (balance < value) revert InsufficientBalance(from, balance, value);
        balanceOf[from] = balance - value;
    }
}
