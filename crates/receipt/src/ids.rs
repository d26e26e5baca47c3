//! Ids, digests and amounts as types of their own, so that none can be taken for another.
//!
//! The text form of every id is `0x` and lower-case hex digits, and nothing else is read; JSON carries the same text.

use std::fmt;

use alloy_primitives::{Address, B256, hex};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Defines a newtype over 32 bytes with its text form, its JSON form and its conversions.
macro_rules! digests {
    ($($(#[$doc:meta])* $name:ident => $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name([u8; 32]);

        impl $name {
            /// All zero: the id that stands for "none".
            pub const ZERO: Self = Self([0; 32]);

            /// From its 32 bytes, most significant first.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Its 32 bytes, most significant first.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Whether it is [`Self::ZERO`], which stands for "none".
            pub fn is_zero(&self) -> bool {
                *self == Self::ZERO
            }
        }

        impl From<B256> for $name {
            fn from(word: B256) -> Self {
                Self(word.0)
            }
        }

        impl From<$name> for B256 {
            fn from(id: $name) -> Self {
                B256::new(id.0)
            }
        }

        text_form!($name, $what, |bytes: [u8; 32]| Ok(Self(bytes)), |id: &Self| id.0);
    )*};
}

/// Implements `Display`, `Debug`, `FromStr`, `Serialize` and `Deserialize` through strict lower-case hex.
macro_rules! text_form {
    ($name:ident, $what:literal, $make:expr, $bytes:expr) => {
        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                let bytes = ($bytes)(self);
                write!(f, "0x{}", ::alloy_primitives::hex::encode(bytes))
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::Error;

            /// Reads the lower-case text form; errs with [`Error::Text`] on anything else.
            fn from_str(text: &str) -> Result<Self, $crate::Error> {
                $crate::ids::parse_lower_hex(text, $what).and_then($make)
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                let text: ::std::borrow::Cow<'de, str> =
                    ::serde::Deserialize::deserialize(deserializer)?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_form;

/// Reads `0x` and exactly `2 * N` lower-case hex digits.
pub(crate) fn parse_lower_hex<const N: usize>(
    text: &str,
    what: &'static str,
) -> Result<[u8; N], Error> {
    let refused = Error::Text {
        what,
        expected: LOWER_HEX,
    };
    match lower_hex_digits(text) {
        Some(digits) => hex::decode_to_array::<_, N>(digits).map_err(|_| refused),
        None => Err(refused),
    }
}

/// What the readers of hex say they expect.
pub(crate) const LOWER_HEX: &str = "0x and lower-case hex digits of the right length";

/// The digits after `0x`, or `None` where something else than lower-case hex is there.
pub(crate) fn lower_hex_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x")?;
    let lower = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    digits.bytes().all(lower).then_some(digits)
}

digests! {
    /// A network: the digest of its genesis, and the salt of its EIP-712 domain.
    NetworkId => "network id";
    /// A request: the EIP-712 struct hash of [`crate::Request`].
    RequestId => "request id";
    /// A receipt: the EIP-712 signing digest of [`crate::Receipt`] under its network's [`crate::Domain`].
    ReceiptId => "receipt id";
    /// An immutable version of a model: the root digest of its manifest.
    RevisionId => "revision id";
    /// An inference engine and quantisation build: the digest of its name, version and numeric rules.
    EngineId => "engine id";
    /// Digest of the parameters of a request, zero where the request has none.
    ParametersDigest => "parameters digest";
    /// A salted commitment to bytes that are not public, zero where there are none.
    Commitment => "commitment";
    /// A batch of one node's receipts as settled on chain; see [`crate::merkle`].
    BatchRoot => "batch root";
}

/// Defines a newtype over an Ethereum address.
macro_rules! addresses {
    ($($(#[$doc:meta])* $name:ident => $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(Address);

        impl $name {
            /// All zero: no key has this address.
            pub const ZERO: Self = Self(Address::ZERO);

            /// From its 20 bytes.
            pub const fn from_bytes(bytes: [u8; 20]) -> Self {
                Self(Address::new(bytes))
            }

            /// Its 20 bytes.
            pub const fn as_bytes(&self) -> &[u8; 20] {
                &self.0.0.0
            }

            /// The same address in the type that the EVM libraries use.
            pub const fn to_address(self) -> Address {
                self.0
            }

            /// Whether it is [`Self::ZERO`].
            pub fn is_zero(&self) -> bool {
                *self == Self::ZERO
            }
        }

        impl From<Address> for $name {
            fn from(address: Address) -> Self {
                Self(address)
            }
        }

        impl From<$name> for Address {
            fn from(address: $name) -> Self {
                address.0
            }
        }

        text_form!($name, $what, |bytes: [u8; 20]| Ok(Self::from_bytes(bytes)), |id: &Self| id.0.0.0);
    )*};
}

addresses! {
    /// The address of a node's signing key (the last 20 bytes of the key's Keccak-256, as in Ethereum).
    NodeAddress => "node address";
    /// An account on chain: an operator, a payer or a contract.
    Account => "account";
}

/// An amount of Assay Credit in its smallest unit: one millionth of a credit.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Microcredits(#[serde(with = "crate::decimal")] pub u64);

impl Microcredits {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The sum, or `None` where it does not fit 64 bits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` where `other` is more.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

impl fmt::Display for Microcredits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} microcredits", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let id = ReceiptId::from_bytes([0xab; 32]);
        let text = id.to_string();
        assert_eq!(text, format!("0x{}", "ab".repeat(32)));
        assert_eq!(text.parse::<ReceiptId>(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<ReceiptId>(&json).unwrap(), id);
        let node = NodeAddress::from_bytes([0x0c; 20]);
        assert_eq!(node.to_string().parse::<NodeAddress>(), Ok(node));
    }

    #[test]
    fn only_one_text_form_is_read() {
        let good = "ab".repeat(32);
        for bad in [
            good.clone(),
            format!("0X{good}"),
            format!("0x0x{good}"),
            format!("0x{}", good.to_uppercase()),
            format!("0x{}", "ab".repeat(31)),
            format!("0x{}", "ab".repeat(33)),
            format!("0x{}g", "a".repeat(63)),
            format!(" 0x{good}"),
            format!("0x{good} "),
            "0x".to_owned(),
            String::new(),
        ] {
            assert!(bad.parse::<ReceiptId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn amounts_do_not_wrap() {
        assert_eq!(Microcredits(u64::MAX).checked_add(Microcredits(1)), None);
        assert_eq!(Microcredits(1).checked_sub(Microcredits(2)), None);
        assert_eq!(
            Microcredits(1).checked_add(Microcredits(2)),
            Some(Microcredits(3))
        );
        assert_eq!(serde_json::to_string(&Microcredits(7)).unwrap(), "\"7\"");
    }
}
