//! Commitments to named fields, each with its own salt, so that one field can be shown and the rest stay hidden.
//!
//! Leaf: `keccak256(0x10 || name length u8 || name || salt || keccak256(bytes))`. Root: `keccak256(0x11 || field count u32 || tree)`
//! over the leaves in the committer's order, the tree as in [`crate::merkle`]. Salts are derived from one secret seed by keyed
//! BLAKE3, so that the committer stores 32 bytes and still gives away nothing about the other salts by disclosing one.
//!
//! A disclosure shows that a field of this name was committed to with these bytes. That no second field has the same name is
//! shown only by disclosing every field ([`verify_all`]).

use std::collections::HashSet;

use alloy_primitives::{B256, Bytes, keccak256};
use serde::{Deserialize, Serialize};

use crate::codec::check_count;
use crate::error::Error;
use crate::ids::Commitment;
use crate::merkle::{self, InclusionPath, tagged};

/// Most fields in one commitment: a form with a thousand questions still fits.
pub const MAX_FIELDS: usize = 1024;

/// Longest field name in bytes; its length is one byte of the leaf.
pub const MAX_NAME_BYTES: usize = 255;

/// Longest field in bytes, above every request limit of the gateway.
pub const MAX_FIELD_BYTES: usize = 64 * 1024 * 1024;

/// The secret from which the salts of one commitment are derived: 32 bytes from a cryptographic source, never used twice.
#[derive(Clone, PartialEq, Eq)]
pub struct SaltSeed([u8; 32]);

impl SaltSeed {
    /// From 32 secret bytes, which the caller draws.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The salt of the field at `index` with this name.
    fn salt(&self, index: u32, name: &str) -> B256 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(b"assay field salt v1");
        hasher.update(&index.to_be_bytes());
        hasher.update(name.as_bytes());
        B256::new(*hasher.finalize().as_bytes())
    }
}

impl std::fmt::Debug for SaltSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SaltSeed(hidden)")
    }
}

/// A field as the committer knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, 1 to [`MAX_NAME_BYTES`] bytes, unique in the commitment.
    pub name: &'a str,
    /// Its bytes, at most [`MAX_FIELD_BYTES`].
    pub bytes: &'a [u8],
}

/// What the committer keeps, to disclose fields later: names, salts and hashes, not the bytes themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    names: Vec<String>,
    salts: Vec<B256>,
    leaves: Vec<B256>,
}

/// One field laid open: enough to check it against the commitment, and nothing about the other fields but their number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    /// Name of the field.
    pub name: String,
    /// Its bytes, in JSON as a hex string.
    #[serde(with = "crate::strict_hex::bytes")]
    pub bytes: Bytes,
    /// Its salt.
    #[serde(with = "crate::strict_hex::word")]
    pub salt: B256,
    /// Where it stands among the fields.
    pub path: InclusionPath,
}

/// Commits to `fields` in this order.
///
/// # Errors
/// [`Error::OutOfBounds`] for no or too many fields, an empty or long name, or long bytes; [`Error::Disclosure`] for a name that comes twice.
pub fn commit(fields: &[Field<'_>], seed: &SaltSeed) -> Result<(Commitment, Opening), Error> {
    check_count("fields", fields.len(), MAX_FIELDS)?;
    let mut seen = HashSet::new();
    let mut opening = Opening {
        names: Vec::new(),
        salts: Vec::new(),
        leaves: Vec::new(),
    };
    for (index, field) in (0u32..).zip(fields) {
        check_field(field)?;
        if !seen.insert(field.name) {
            return Err(twice(field.name));
        }
        let salt = seed.salt(index, field.name);
        opening.names.push(field.name.to_owned());
        opening.salts.push(salt);
        opening.leaves.push(leaf(field, &salt));
    }
    Ok((opening.commitment(), opening))
}

impl Opening {
    /// The commitment that this opens.
    pub fn commitment(&self) -> Commitment {
        let count = u32::try_from(self.leaves.len()).unwrap_or(u32::MAX);
        root(count, merkle::tree_root(&self.leaves))
    }

    /// Lays open the field with this name; `bytes` are the field's bytes, which the opening does not keep.
    ///
    /// # Errors
    /// [`Error::Disclosure`] where no field has this name, or it was committed to with other bytes.
    pub fn disclose(&self, name: &str, bytes: &[u8]) -> Result<Disclosure, Error> {
        let refused = |rule| Error::Disclosure {
            field: name.to_owned(),
            rule,
        };
        let position = self.names.iter().position(|known| known == name);
        let found = position.and_then(|position| {
            let path = merkle::path(&self.leaves, u32::try_from(position).ok()?)?;
            Some((
                path,
                *self.salts.get(position)?,
                *self.leaves.get(position)?,
            ))
        });
        let (path, salt, committed) = found.ok_or_else(|| refused("no field has this name"))?;
        if leaf(&Field { name, bytes }, &salt) != committed {
            return Err(refused("these are not the bytes committed to"));
        }
        Ok(Disclosure {
            name: name.to_owned(),
            bytes: Bytes::copy_from_slice(bytes),
            salt,
            path,
        })
    }
}

impl Disclosure {
    /// Checks that the field was committed to with these bytes.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`], [`Error::Path`] or [`Error::Disclosure`] where it was not.
    pub fn verify(&self, commitment: &Commitment) -> Result<(), Error> {
        let field = Field {
            name: &self.name,
            bytes: &self.bytes,
        };
        check_field(&field)?;
        let tree = self.path.root(leaf(&field, &self.salt))?;
        if root(self.path.size, tree) == *commitment {
            Ok(())
        } else {
            Err(Error::Disclosure {
                field: self.name.clone(),
                rule: "it does not belong to this commitment",
            })
        }
    }
}

/// Checks that these are all fields of the commitment, in order, and that no name comes twice.
///
/// # Errors
/// Those of [`Disclosure::verify`]; [`Error::Disclosure`] for a field that is missing, out of place, or named twice.
pub fn verify_all(disclosures: &[Disclosure], commitment: &Commitment) -> Result<(), Error> {
    check_count("fields", disclosures.len(), MAX_FIELDS)?;
    let count = u32::try_from(disclosures.len()).unwrap_or(u32::MAX);
    let mut seen = HashSet::new();
    for (index, disclosure) in (0u32..).zip(disclosures) {
        if disclosure.path.index != index || disclosure.path.size != count {
            let rule = "every field has to be there, in order";
            return Err(Error::Disclosure {
                field: disclosure.name.clone(),
                rule,
            });
        }
        if !seen.insert(disclosure.name.as_str()) {
            return Err(twice(&disclosure.name));
        }
        disclosure.verify(commitment)?;
    }
    Ok(())
}

fn check_field(field: &Field<'_>) -> Result<(), Error> {
    check_count("bytes of a field name", field.name.len(), MAX_NAME_BYTES)?;
    if field.bytes.is_empty() {
        return Ok(());
    }
    check_count("bytes of a field", field.bytes.len(), MAX_FIELD_BYTES)
}

fn twice(name: &str) -> Error {
    Error::Disclosure {
        field: name.to_owned(),
        rule: "the name comes twice",
    }
}

fn leaf(field: &Field<'_>, salt: &B256) -> B256 {
    // check_field has bounded the length to one byte.
    let length = u8::try_from(field.name.len()).unwrap_or(u8::MAX);
    let content = keccak256(field.bytes);
    tagged(
        0x10,
        &[
            &[length],
            field.name.as_bytes(),
            salt.as_slice(),
            content.as_slice(),
        ],
    )
}

fn root(count: u32, tree: B256) -> Commitment {
    tagged(0x11, &[&count.to_be_bytes(), tree.as_slice()]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: SaltSeed = SaltSeed::from_bytes([9; 32]);
    const FIELDS: [Field<'_>; 3] = [
        Field {
            name: "age",
            bytes: b"41",
        },
        Field {
            name: "income",
            bytes: b"",
        },
        Field {
            name: "reply",
            bytes: b"no",
        },
    ];

    fn disclosures() -> (Commitment, Vec<Disclosure>) {
        let (commitment, opening) = commit(&FIELDS, &SEED).unwrap();
        let open = |field: &Field<'_>| opening.disclose(field.name, field.bytes).unwrap();
        (commitment, FIELDS.iter().map(open).collect())
    }

    #[test]
    fn each_field_opens_alone_and_all_together() {
        let (commitment, all) = disclosures();
        for one in &all {
            assert_eq!(one.verify(&commitment), Ok(()));
        }
        assert_eq!(verify_all(&all, &commitment), Ok(()));
    }

    #[test]
    fn a_changed_disclosure_is_refused() {
        let (commitment, all) = disclosures();
        let good = &all[0];
        let mut changed = vec![good.clone(); 7];
        changed[0].bytes = Bytes::from_static(b"42");
        changed[1].name = "income".to_owned();
        changed[2].salt = B256::ZERO;
        changed[3].path.index = 1;
        changed[4].path.size = 4;
        changed[5].path.siblings.pop();
        changed[6].name = String::new();
        for (index, disclosure) in changed.iter().enumerate() {
            assert!(disclosure.verify(&commitment).is_err(), "case {index}");
        }
        assert!(good.verify(&Commitment::ZERO).is_err());
    }

    #[test]
    fn a_part_is_not_the_whole() {
        let (commitment, all) = disclosures();
        assert!(verify_all(&all[..2], &commitment).is_err());
        assert!(verify_all(&[], &commitment).is_err());
        let mut swapped = all.clone();
        swapped.swap(0, 1);
        assert!(verify_all(&swapped, &commitment).is_err());
    }

    #[test]
    fn the_committer_is_held_to_the_rules() {
        let field = FIELDS[0];
        assert!(commit(&[], &SEED).is_err());
        assert!(commit(&[field, field], &SEED).is_err());
        let long = "n".repeat(MAX_NAME_BYTES + 1);
        assert!(
            commit(
                &[Field {
                    name: &long,
                    bytes: b""
                }],
                &SEED
            )
            .is_err()
        );
        assert!(
            commit(
                &[Field {
                    name: "",
                    bytes: b""
                }],
                &SEED
            )
            .is_err()
        );
        let (_, opening) = commit(&[field], &SEED).unwrap();
        assert!(opening.disclose("income", b"").is_err());
        assert!(opening.disclose("age", b"42").is_err());
    }

    #[test]
    fn equal_fields_have_unequal_leaves() {
        let fields = [
            Field {
                name: "a",
                bytes: b"x",
            },
            Field {
                name: "b",
                bytes: b"x",
            },
        ];
        let (_, opening) = commit(&fields, &SEED).unwrap();
        assert_ne!(opening.salts[0], opening.salts[1]);
        let (_, other) = commit(&fields, &SaltSeed::from_bytes([8; 32])).unwrap();
        assert_ne!(opening.commitment(), other.commitment());
        assert_eq!(format!("{SEED:?}"), "SaltSeed(hidden)");
    }
}
