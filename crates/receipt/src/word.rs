//! Values as the 32-byte words that EIP-712 and the EVM hash.

use alloy_primitives::U256;

/// `uint64` and smaller.
pub(crate) fn of_u64(value: u64) -> [u8; 32] {
    U256::from(value).to_be_bytes()
}

/// `uint128`.
pub(crate) fn of_u128(value: u128) -> [u8; 32] {
    U256::from(value).to_be_bytes()
}
