//! Rights that travel as text: in signed addresses, which work without a token, and as access tokens of the Xet storage.
//!
//! The text is the right in JSON and a keyed BLAKE3 of it, both in base64url, joined by a dot. Whoever has the text has the
//! right until it ends; nobody without the hub's key can write one, and a changed one is refused as a whole.

use assay_blob::{BlobId, Sha256, XetHash};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest text that is looked at, bytes: the longest right with two names of 96 characters fits twice.
const MAX_TEXT_BYTES: usize = 2_048;
/// What the key for rights is derived under, from the hub's secret.
const KEY_CONTEXT: &str = "assay.network hub content grants v1";

/// What somebody may do with content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Right {
    /// Use the Xet storage for one repository.
    Storage {
        /// What of it.
        scope: StorageScope,
        /// The repository's key in the catalogue, in base64url.
        repository: String,
    },
    /// Bring a file in one or several parts.
    Upload {
        /// Its digest.
        sha256: Sha256,
        /// Its size in bytes.
        size: u64,
        /// Whose parts these are, so that nobody else's wrong part lands between them.
        uploader: BlobId,
    },
    /// Fetch a file.
    Download {
        /// Which.
        blob: BlobId,
    },
    /// Fetch bytes of a xorb that belong to a file.
    Xorb {
        /// Which xorb.
        hash: XetHash,
        /// First byte.
        start: u64,
        /// The byte after the last.
        end: u64,
        /// The file for which the bytes were named.
        blob: BlobId,
    },
    /// Bring a xorb.
    PutXorb {
        /// Which.
        hash: XetHash,
        /// Its length in bytes.
        length: u64,
    },
}

/// What a token of the Xet storage allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StorageScope {
    /// Fetch files.
    Read,
    /// Bring files, and fetch them.
    Write,
}

/// Why a text gives no right. Its bearer is to blame, or the time that passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// No hub wrote it, or not this one.
    #[error("the signature is not this hub's")]
    Forged,
    /// It was right once.
    #[error("it has expired; ask for a new one")]
    Expired,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    not_after_s: u64,
    right: Right,
}

/// Signs rights and reads them back.
#[derive(Clone)]
pub struct Grants {
    key: [u8; 32],
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grants")
    }
}

impl Grants {
    /// Signs with a key that is derived from the hub's secret, so that addresses outlive a restart.
    pub fn new(secret: &[u8]) -> Self {
        Self {
            key: blake3::derive_key(KEY_CONTEXT, secret),
        }
    }

    /// The text of a right until `not_after_s`, seconds since 1970.
    ///
    /// # Errors
    /// None that can be met: a right is always JSON.
    pub fn sign(&self, right: Right, not_after_s: u64) -> Result<String, serde_json::Error> {
        let bytes = serde_json::to_vec(&Signed { not_after_s, right })?;
        let mac = blake3::keyed_hash(&self.key, &bytes);
        Ok(format!(
            "{}.{}",
            BASE64.encode(&bytes),
            BASE64.encode(mac.as_bytes())
        ))
    }

    /// The right that a text gives at `now_s`, and until when.
    ///
    /// # Errors
    /// [`GrantError`]; which part of a forged one is wrong is not told.
    pub fn read(&self, text: &str, now_s: u64) -> Result<(Right, u64), GrantError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(GrantError::Forged);
        }
        let (bytes, mac) = text.split_once('.').ok_or(GrantError::Forged)?;
        let bytes = BASE64.decode(bytes).map_err(|_| GrantError::Forged)?;
        let mac = BASE64.decode(mac).map_err(|_| GrantError::Forged)?;
        let mac: [u8; 32] = mac.try_into().map_err(|_| GrantError::Forged)?;
        // This comparison takes the same time wherever they differ.
        if blake3::keyed_hash(&self.key, &bytes) != blake3::Hash::from_bytes(mac) {
            return Err(GrantError::Forged);
        }
        let signed: Signed = serde_json::from_slice(&bytes).map_err(|_| GrantError::Forged)?;
        if now_s > signed.not_after_s {
            return Err(GrantError::Expired);
        }
        Ok((signed.right, signed.not_after_s))
    }

    /// A name for what belongs together, which nobody without the key can aim at.
    pub fn name(&self, parts: &[&[u8]]) -> BlobId {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        BlobId::from_bytes(*hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right() -> Right {
        Right::Upload {
            sha256: Sha256::of(b"x"),
            size: 1,
            uploader: BlobId::of(b"u"),
        }
    }

    #[test]
    fn a_right_comes_back_until_it_ends() {
        let grants = Grants::new(b"secret");
        let text = grants.sign(right(), 100).unwrap();
        assert_eq!(grants.read(&text, 0), Ok((right(), 100)));
        assert_eq!(grants.read(&text, 100), Ok((right(), 100)));
        assert_eq!(grants.read(&text, 101), Err(GrantError::Expired));
        // a restart has the same key
        assert!(Grants::new(b"secret").read(&text, 0).is_ok());
        assert!(
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        );
    }

    #[test]
    fn what_is_changed_or_of_another_key_is_refused() {
        let grants = Grants::new(b"secret");
        let text = grants.sign(right(), 100).unwrap();
        assert_eq!(
            Grants::new(b"other").read(&text, 0),
            Err(GrantError::Forged)
        );
        for place in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(grants.read(&changed, 0), Err(GrantError::Forged), "{place}");
        }
        let (bytes, mac) = text.split_once('.').unwrap();
        let long = format!("{bytes}.{}", "A".repeat(3_000));
        for bad in [
            "",
            ".",
            bytes,
            &format!("{bytes}."),
            &format!(".{mac}"),
            &long,
        ] {
            assert_eq!(grants.read(bad, 0), Err(GrantError::Forged), "{bad}");
        }
        // a later end under the old signature
        let later = serde_json::to_vec(&Signed {
            not_after_s: u64::MAX,
            right: right(),
        });
        let forged = format!("{}.{mac}", BASE64.encode(later.unwrap()));
        assert_eq!(grants.read(&forged, 0), Err(GrantError::Forged));
    }

    #[test]
    fn names_tell_parts_apart() {
        let grants = Grants::new(b"secret");
        assert_ne!(grants.name(&[b"ab", b"c"]), grants.name(&[b"a", b"bc"]));
        assert_ne!(grants.name(&[b"a"]), Grants::new(b"other").name(&[b"a"]));
    }
}
