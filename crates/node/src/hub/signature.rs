//! The signature of a model, checked against what the hub has: nobody's word is taken, and nobody's name is made of a key.
//!
//! The files' SHA-256 are in the inventory, so that no content is read. The key is the one that the repository declares
//! ([`PUBLIC_KEY_FILE`], committed by the publisher's leave), or the one that the bundle names, recovered from the signature.

use super::{ApiError, Hub, facts::SIGNATURE_FILE};
use assay_blob::signing::{
    Bundle, Coverage, Error, FileRecord, HashType, Layout, PublicKey, Tree as Signed, Trust,
};
use assay_hub::{FileEntry, Tree, provenance::PUBLIC_KEY_FILE};
use serde::{Deserialize, Serialize};

/// Largest bundle that is checked here, bytes: some ten thousand files.
const MAX_BUNDLE: u64 = 8 << 20;
/// Largest file of a declared key, bytes.
const MAX_KEY: u64 = 64 << 10;
/// Longest reason that is kept, characters.
const MAX_WHY: usize = 400;

/// What became of the check of a model's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "state"
)]
pub enum SignatureFact {
    /// It holds, by this key.
    Valid {
        /// SHA-256 of the public key's PEM form, 64 hex digits.
        key: String,
        /// Whether the repository declares this key, and so its publisher.
        declared: bool,
        /// Files whose bytes are those that were signed.
        files: usize,
        /// Files that are there and that the signature says nothing about.
        not_signed: usize,
        /// Files whose bytes this hub has not: that they have these digests is the word of who made the commit.
        #[serde(default)]
        unseen: usize,
    },
    /// It does not hold.
    Invalid {
        /// Why.
        why: String,
    },
    /// This hub cannot tell.
    Unchecked {
        /// Why.
        why: String,
    },
}

impl SignatureFact {
    fn invalid(why: impl ToString) -> Self {
        Self::Invalid {
            why: shortened(&why.to_string()),
        }
    }

    fn unchecked(why: impl ToString) -> Self {
        Self::Unchecked {
            why: shortened(&why.to_string()),
        }
    }

    fn of_error(error: &Error) -> Self {
        match error.refutes() {
            true => Self::invalid(error),
            false => Self::unchecked(error),
        }
    }

    /// What it says and what not, for people.
    pub fn words(&self) -> String {
        match self {
            Self::Valid {
                key,
                declared,
                files,
                not_signed,
                unseen,
            } => {
                let whose = match declared {
                    true => format!("the key that the repository declares in {PUBLIC_KEY_FILE}"),
                    false => "whose key that is, the repository does not say".into(),
                };
                let rest = match not_signed {
                    0 => String::new(),
                    count => format!("; {count} files are not signed"),
                };
                let taken = match unseen {
                    0 => String::new(),
                    count => format!(
                        "; the bytes of {count} files are not on this hub, and their digests the committer's word"
                    ),
                };
                format!("valid, by key {key}: {whose}; {files} files{rest}{taken}")
            }
            Self::Invalid { why } => format!("INVALID: {why}"),
            Self::Unchecked { why } => format!("not checked: {why}"),
        }
    }
}

fn shortened(why: &str) -> String {
    why.chars().take(MAX_WHY).collect()
}

impl Hub {
    /// Checks the signature of a revision with these files; `None` where it has none.
    ///
    /// # Errors
    /// [`assay_hub::Fault::Internal`] where the disk fails.
    pub(super) fn check_signature(&self, tree: &Tree) -> Result<Option<SignatureFact>, ApiError> {
        let Some(entry) = named(tree, SIGNATURE_FILE) else {
            return Ok(None);
        };
        let bytes = match self.small(&entry, MAX_BUNDLE)? {
            Ok(bytes) => bytes,
            Err(why) => {
                return Ok(Some(SignatureFact::unchecked(format!(
                    "{SIGNATURE_FILE} {why}"
                ))));
            }
        };
        let declared = match named(tree, PUBLIC_KEY_FILE) {
            None => None,
            Some(entry) => match self.declared_key(&entry)? {
                Ok(key) => Some(key),
                Err(fact) => return Ok(Some(fact)),
            },
        };
        let judged = judged(&bytes, declared.as_ref(), tree);
        Ok(Some(self.compared(judged, tree)?))
    }

    /// The judgement with what the bytes that are here say of the inventory by which it was made.
    fn compared(&self, judged: SignatureFact, tree: &Tree) -> Result<SignatureFact, ApiError> {
        let SignatureFact::Valid {
            key,
            declared,
            files,
            not_signed,
            ..
        } = judged
        else {
            return Ok(judged);
        };
        let mut unseen = 0usize;
        for (path, entry) in tree.files() {
            match self.store.stored(&entry.blob)? {
                None => unseen = unseen.saturating_add(1),
                Some(stored) if (stored.sha256, stored.size) == (entry.sha256, entry.size) => {}
                Some(_) => {
                    let why = format!("the commit gives {path} other digests than its bytes have");
                    return Ok(SignatureFact::invalid(why));
                }
            }
        }
        Ok(SignatureFact::Valid {
            key,
            declared,
            files,
            not_signed,
            unseen,
        })
    }

    /// The key that a repository declares; otherwise what that makes of its signature.
    pub(super) fn declared_key(
        &self,
        entry: &FileEntry,
    ) -> Result<Result<PublicKey, SignatureFact>, ApiError> {
        let bytes = match self.small(entry, MAX_KEY)? {
            Ok(bytes) => bytes,
            Err(why) => {
                return Ok(Err(SignatureFact::unchecked(format!(
                    "{PUBLIC_KEY_FILE} {why}"
                ))));
            }
        };
        let pem = String::from_utf8(bytes).unwrap_or_default();
        let key = PublicKey::from_pem(&pem);
        Ok(key.map_err(|error| SignatureFact::unchecked(format!("{PUBLIC_KEY_FILE}: {error}"))))
    }

    /// A file of at most `most` bytes; otherwise why it cannot be read.
    fn small(
        &self,
        entry: &FileEntry,
        most: u64,
    ) -> Result<Result<Vec<u8>, &'static str>, ApiError> {
        if entry.size > most {
            return Ok(Err("is too large to be looked at here"));
        }
        Ok(self.content(&entry.blob)?.ok_or("is not on this hub"))
    }
}

fn named(tree: &Tree, name: &str) -> Option<FileEntry> {
    let path = name.parse().ok()?;
    tree.file(&path).copied()
}

fn judged(bundle: &[u8], declared: Option<&PublicKey>, tree: &Tree) -> SignatureFact {
    let bundle = match Bundle::parse(bundle) {
        Ok(bundle) => bundle,
        Err(error) => return SignatureFact::of_error(&error),
    };
    if bundle.has_certificates() {
        return SignatureFact::unchecked(
            "it is made with a certificate, and this hub trusts no authority; `assay model verify --certificate ROOTS` does",
        );
    }
    let key = match (declared, bundle.named_key()) {
        (Some(key), _) => key.clone(),
        (None, Ok(Some(key))) => key,
        (None, Ok(None)) => {
            return SignatureFact::unchecked(format!(
                "the bundle names no key, and the repository declares none in {PUBLIC_KEY_FILE}"
            ));
        }
        (None, Err(error)) => return SignatureFact::of_error(&error),
    };
    let covered = bundle.verify(Trust::Key(&key)).and_then(|authentic| {
        let layout = authentic.statement().layout();
        let signed = signed(tree, layout, |path| {
            let statement = authentic.statement();
            statement.ignores(path).is_some()
                || path == SIGNATURE_FILE
                || (path == PUBLIC_KEY_FILE
                    && statement.resources().iter().all(|file| file.path != path))
        });
        match signed {
            Some(signed) => authentic.covers(&signed).map(Some),
            None => Ok(None),
        }
    });
    match covered {
        Ok(Some(coverage)) => valid(&key, declared.is_some(), &coverage),
        Ok(None) => SignatureFact::unchecked(
            "it is over parts of files, or BLAKE2b, which the hub's inventory does not have",
        ),
        Err(error @ Error::OtherKey { .. }) if declared.is_some() => SignatureFact::invalid(error),
        Err(error) => SignatureFact::of_error(&error),
    }
}

fn valid(key: &PublicKey, declared: bool, coverage: &Coverage) -> SignatureFact {
    // The bundle itself is never signed, and nobody misses it.
    let not_signed = coverage
        .unsigned
        .iter()
        .filter(|path| *path != SIGNATURE_FILE)
        .count();
    SignatureFact::Valid {
        key: key.hint().unwrap_or_default(),
        declared,
        files: coverage.files,
        not_signed,
        unseen: 0,
    }
}

/// The files as the statement hashed them; `None` where the inventory has other digests.
fn signed(tree: &Tree, layout: Layout, left_out: impl Fn(&str) -> bool) -> Option<Signed> {
    if layout.shard_bytes.is_some() {
        return None;
    }
    let mut signed = Signed::default();
    for (path, entry) in tree.files() {
        let path = path.as_str();
        if left_out(path) {
            signed.left_out.push(path.to_owned());
            continue;
        }
        let digest = match layout.hash {
            HashType::Sha256 => entry.sha256.as_bytes().to_vec(),
            HashType::Blake3 => entry.blob.as_bytes().to_vec(),
            _ => return None,
        };
        signed
            .files
            .push(FileRecord::of_digest(path, entry.size, digest));
    }
    Some(signed)
}
