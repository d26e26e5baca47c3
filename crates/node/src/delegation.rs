//! Tokens: what a publisher signs so that one hub may read or commit under the publisher's namespace.
//!
//! A [`Delegation`] is typed data (EIP-712) in the domain of `ModelRegistry`, with the network id as salt. A hub that
//! commits hands it and its signature to the chain, where everybody reads them. So neither of them opens a hub's door:
//! a [`Token`] holds a secret besides, of which the delegation has only the Keccak-256, its *seal*. Who copies a
//! delegation from the chain has no token, and the hub that it names is the only account that can commit with it.

use alloy_primitives::{Address, B256, keccak256};
use assay_chain::{light::Network, spec::MODEL_REGISTRY};
use assay_receipt::{Domain, NetworkId, NodeKey, ReceiptId, Signature};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt;

/// The EIP-712 type of a delegation: `ModelRegistry.DELEGATION_TYPEHASH` is its Keccak-256.
pub const DELEGATION_TYPE: &str = "Delegation(address publisher,address hub,uint8 scope,uint64 notAfter,uint64 salt,bytes32 seal)";
/// What the text of a token begins with, as Hugging Face's tokens do.
pub const TOKEN_PREFIX: &str = "hf_";
/// Bytes of a token: publisher, hub, scope, end, salt, secret, signature, numbers big-endian.
pub const TOKEN_BYTES: usize = 20 + 20 + 1 + 8 + 8 + 32 + 65;
/// Characters of a token's text: [`TOKEN_PREFIX`] and base64url without padding.
pub const TOKEN_CHARACTERS: usize = TOKEN_PREFIX.len() + (TOKEN_BYTES * 4).div_ceil(3);
/// How far, in milliseconds, a token's time of issue may lie ahead of the clock that judges it
/// (`ModelRegistry.MAX_AHEAD_SECONDS`). Without a bound, a token from the future would outlive every revocation.
pub const MAX_AHEAD_MS: u64 = 3_600_000;

/// What the holder of a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Read what the hub shows to the publisher.
    Read,
    /// Read, and commit under the publisher's namespace.
    Write,
}

impl Scope {
    /// Its number in a delegation.
    pub const fn code(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Write => 2,
        }
    }

    /// The scope with this number.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Read),
            2 => Some(Self::Write),
            _ => None,
        }
    }
}

/// What is asked for when a token is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Address of the key of the one hub that takes the token.
    pub hub: Address,
    /// What its holder may do.
    pub scope: Scope,
    /// Last second at which it is good, Unix time.
    pub not_after_s: u64,
    /// When it is issued, Unix milliseconds; the salt by which its publisher revokes it.
    pub issued_ms: u64,
}

/// What a publisher signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delegation {
    /// The account whose namespace it is.
    pub publisher: Address,
    /// Address of the key of the hub that may use it.
    pub hub: Address,
    /// What the hub may do for the holder of the token.
    pub scope: Scope,
    /// Last second at which it is good, Unix time.
    pub not_after_s: u64,
    /// When it was issued, Unix milliseconds.
    pub salt: u64,
    /// Keccak-256 of the token's secret.
    pub seal: B256,
}

impl Delegation {
    /// The digest that the publisher signs: `ModelRegistry.delegationDigest`.
    pub fn digest(&self, domain: &Domain) -> B256 {
        let words = [
            keccak256(DELEGATION_TYPE),
            self.publisher.into_word(),
            self.hub.into_word(),
            word(self.scope.code().into()),
            word(self.not_after_s),
            word(self.salt),
            self.seal,
        ];
        signing_digest(domain, &words)
    }
}

fn word(number: u64) -> B256 {
    B256::left_padding_from(&number.to_be_bytes())
}

/// EIP-712: the digest of the struct whose type hash and members are `words`, in `domain`.
pub(crate) fn signing_digest(domain: &Domain, words: &[B256]) -> B256 {
    let members: Vec<u8> = words.iter().flatten().copied().collect();
    let mut signed = vec![0x19, 0x01];
    signed.extend_from_slice(domain.separator().as_slice());
    signed.extend_from_slice(keccak256(members).as_slice());
    keccak256(signed)
}

/// The domain in which delegations are signed. A hub without a network takes chain id 0 and network id 0, so that no
/// token of such a hub is good on any chain.
pub fn domain(network: Option<&Network>) -> Domain {
    let (chain_id, id) = match network {
        Some(network) => (network.chain_id, network.id()),
        None => (0, NetworkId::from_bytes([0; 32])),
    };
    Domain::new(chain_id, id, MODEL_REGISTRY)
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The text is no token; the holder has to copy it again.
    #[error("this is no token: {0}")]
    Malformed(&'static str),
    /// The key that was to sign is not the publisher's, or the signature was made for something else.
    #[error("the token is not signed by the account that it names, for this network")]
    WrongSigner,
    /// The holder has to ask that other hub, or its publisher for another token.
    #[error("the token is for the hub {0}")]
    OtherHub(Address),
    /// The publisher has to issue a new one.
    #[error("the token was good until {not_after_s} s")]
    Expired {
        /// Last second at which it was good, Unix time.
        not_after_s: u64,
    },
    /// The publisher revoked it and has to issue a new one.
    #[error("the token was revoked, with all that were issued before {revoked_before} ms")]
    Revoked {
        /// Time of issue from which on tokens are good, Unix milliseconds.
        revoked_before: u64,
    },
    /// The clock of the publisher's machine is wrong, or this one.
    #[error("the token was issued in the future, at {issued_ms} ms")]
    FromTheFuture {
        /// When it says that it was issued, Unix milliseconds.
        issued_ms: u64,
    },
    /// The holder needs a token of the scope `write`.
    #[error("the token is for reading only")]
    ReadOnly,
}

/// What a token is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// Where it has to have been signed for: [`domain`].
    pub domain: Domain,
    /// Address of the key of the hub that it was shown to.
    pub hub: Address,
    /// The time, Unix milliseconds.
    pub now_ms: u64,
}

/// A delegation with its publisher's signature and the secret that opens its seal: whoever has it may use the hub.
///
/// Its text is as good as a password, so that no output but [`Token::to_text`] shows secret or signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token {
    delegation: Delegation,
    secret: [u8; 32],
    signature: Signature,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("delegation", &self.delegation)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// Issues a token under the account of `key`. `secret` is 32 bytes from a cryptographic source, new for each token.
    pub fn issue(domain: &Domain, key: &NodeKey, terms: &Terms, secret: [u8; 32]) -> Self {
        let delegation = Delegation {
            publisher: key.address().to_address(),
            hub: terms.hub,
            scope: terms.scope,
            not_after_s: terms.not_after_s,
            salt: terms.issued_ms,
            seal: keccak256(secret),
        };
        let signature = key.sign_digest(&delegation.digest(domain).0);
        Self {
            delegation,
            secret,
            signature,
        }
    }

    /// What it says, whether signed or not; [`Token::verify`] tells.
    pub fn claimed(&self) -> &Delegation {
        &self.delegation
    }

    /// Its text, [`TOKEN_CHARACTERS`] long: to be shown to nobody but its holder and the hub.
    pub fn to_text(&self) -> String {
        let Delegation {
            publisher,
            hub,
            scope,
            not_after_s,
            salt,
            seal: _,
        } = &self.delegation;
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.extend_from_slice(publisher.as_slice());
        bytes.extend_from_slice(hub.as_slice());
        bytes.push(scope.code());
        bytes.extend_from_slice(&not_after_s.to_be_bytes());
        bytes.extend_from_slice(&salt.to_be_bytes());
        bytes.extend_from_slice(&self.secret);
        bytes.extend_from_slice(self.signature.as_bytes());
        format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads the text of a token. Each token has one text; whether it is good, [`Token::verify`] tells.
    ///
    /// # Errors
    /// [`TokenError::Malformed`].
    pub fn from_text(text: &str) -> Result<Self, TokenError> {
        let flaw = TokenError::Malformed;
        let body = text.strip_prefix(TOKEN_PREFIX);
        let body = body.ok_or(flaw("it does not begin with hf_"))?;
        if text.len() != TOKEN_CHARACTERS {
            return Err(flaw("it is too short or too long"));
        }
        let bytes = URL_SAFE_NO_PAD.decode(body);
        let bytes = bytes.map_err(|_| flaw("it is not base64url without padding"))?;
        let mut rest = bytes.as_slice();
        let (publisher, hub) = (take::<20>(&mut rest)?, take::<20>(&mut rest)?);
        let [scope] = take::<1>(&mut rest)?;
        let scope = Scope::from_code(scope).ok_or(flaw("its scope is unknown"))?;
        let not_after_s = u64::from_be_bytes(take(&mut rest)?);
        let salt = u64::from_be_bytes(take(&mut rest)?);
        let secret = take::<32>(&mut rest)?;
        let signature = Signature::from_bytes(take(&mut rest)?);
        let signature = signature.map_err(|_| flaw("its signature is not canonical"))?;
        if !rest.is_empty() {
            return Err(flaw("it is too short or too long"));
        }
        let delegation = Delegation {
            publisher: publisher.into(),
            hub: hub.into(),
            scope,
            not_after_s,
            salt,
            seal: keccak256(secret),
        };
        Ok(Self {
            delegation,
            secret,
            signature,
        })
    }

    /// Checks signature, hub and times. Whether it was revoked, [`Grant::check_revocation`] tells.
    ///
    /// # Errors
    /// [`TokenError`]: `WrongSigner`, `OtherHub`, `Expired`, `FromTheFuture`.
    pub fn verify(&self, at: &Circumstances) -> Result<Grant, TokenError> {
        let delegation = self.delegation;
        let digest = ReceiptId::from_bytes(delegation.digest(&at.domain).0);
        let signer = self.signature.recover(&digest);
        if signer.map_err(|_| TokenError::WrongSigner)?.to_address() != delegation.publisher {
            return Err(TokenError::WrongSigner);
        }
        if delegation.hub != at.hub {
            return Err(TokenError::OtherHub(delegation.hub));
        }
        if at.now_ms / 1_000 > delegation.not_after_s {
            return Err(TokenError::Expired {
                not_after_s: delegation.not_after_s,
            });
        }
        if delegation.salt > at.now_ms.saturating_add(MAX_AHEAD_MS) {
            return Err(TokenError::FromTheFuture {
                issued_ms: delegation.salt,
            });
        }
        Ok(Grant {
            delegation,
            signature: self.signature,
        })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], TokenError> {
    let short = TokenError::Malformed("it is too short or too long");
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(short)?;
    *bytes = rest;
    Ok(*head)
}

/// The finding that a token's delegation is its publisher's, for this hub and time; only [`Token::verify`] makes one.
///
/// It holds what the chain may see, and not the token's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    delegation: Delegation,
    signature: Signature,
}

impl Grant {
    /// The account in whose name the holder acts.
    pub fn publisher(&self) -> Address {
        self.delegation.publisher
    }

    /// What was delegated.
    pub fn delegation(&self) -> &Delegation {
        &self.delegation
    }

    /// The publisher's signature over it.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Holds it to be of a scope that writes.
    ///
    /// # Errors
    /// [`TokenError::ReadOnly`].
    pub fn check_write(&self) -> Result<(), TokenError> {
        match self.delegation.scope {
            Scope::Write => Ok(()),
            Scope::Read => Err(TokenError::ReadOnly),
        }
    }

    /// Holds it to be issued since the publisher's last revocation, `ModelRegistry.revokedBefore`, 0 if there is none.
    ///
    /// # Errors
    /// [`TokenError::Revoked`].
    pub fn check_revocation(&self, revoked_before: u64) -> Result<(), TokenError> {
        if self.delegation.salt < revoked_before {
            return Err(TokenError::Revoked { revoked_before });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
