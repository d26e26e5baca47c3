//! What the catalogue keeps beside repositories: handles, revoked tokens, refusals, counts of downloads, facts.

use super::entry;
use super::{
    Catalogue, DOWNLOADS, FACTS, HANDLE_OF, HANDLES, REFUSALS, REFUSED, REVOKED, RepositoryKey,
    boxed, damaged,
};
use crate::Error;
use assay_blob::BlobId;
use assay_hub::{
    Handle,
    policy::{Refusal, Signed, Subject},
};
use assay_receipt::Account;
use redb::{ReadableTable as _, ReadableTableMetadata as _};
use std::collections::{HashMap, HashSet};

/// A refusal as it stands in the log.
pub type Ledgered = Signed<Refusal>;

/// How much the catalogue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Commits of all repositories.
    pub commits: u64,
    /// Revisions of all repositories.
    pub revisions: u64,
}

fn subject_key(subject: &Subject) -> String {
    match subject {
        Subject::Repository { kind, name } => format!("{kind} {}", name.to_ascii_lowercase()),
        Subject::Revision { id } => format!("revision {id}"),
        Subject::Blob { id } => format!("blob {id}"),
    }
}

impl Catalogue {
    /// Remembers that an account claimed a handle. The first claim stands.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn claim(&self, handle: &Handle, account: Account) -> Result<(), Error> {
        self.write(|write| {
            let mut handles = write.open_table(HANDLES).map_err(boxed)?;
            if handles.get(handle.as_str()).map_err(boxed)?.is_some() {
                return Ok(());
            }
            handles
                .insert(handle.as_str(), *account.as_bytes())
                .map_err(boxed)?;
            let mut shown = write.open_table(HANDLE_OF).map_err(boxed)?;
            let first = shown.get(*account.as_bytes()).map_err(boxed)?.is_none();
            if first {
                shown
                    .insert(*account.as_bytes(), handle.as_str())
                    .map_err(boxed)?;
            }
            Ok(())
        })
    }

    /// The account that claimed a handle.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn account_of(&self, handle: &Handle) -> Result<Option<Account>, Error> {
        self.read(|read| {
            let row = read
                .open_table(HANDLES)
                .map_err(boxed)?
                .get(handle.as_str())
                .map_err(boxed)?;
            Ok(row.map(|row| Account::from_bytes(row.value())))
        })
    }

    /// The first handle that an account claimed.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn handle_of(&self, account: Account) -> Result<Option<Handle>, Error> {
        let row = self.read(|read| {
            let row = read
                .open_table(HANDLE_OF)
                .map_err(boxed)?
                .get(*account.as_bytes())
                .map_err(boxed)?;
            Ok(row.map(|row| row.value().to_owned()))
        })?;
        row.map(|row| row.parse().map_err(|_| damaged("a handle")))
            .transpose()
    }

    /// Remembers that an account's tokens with a salt below `salt` are dead. It never goes back.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn revoke_before(&self, account: Account, salt: u64) -> Result<(), Error> {
        self.write(|write| {
            let mut table = write.open_table(REVOKED).map_err(boxed)?;
            let before = table
                .get(*account.as_bytes())
                .map_err(boxed)?
                .map_or(0, |row| row.value());
            table
                .insert(*account.as_bytes(), before.max(salt))
                .map_err(boxed)?;
            Ok(())
        })
    }

    /// The salt below which an account's tokens are dead.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn revoked_before(&self, account: Account) -> Result<u64, Error> {
        self.read(|read| {
            let row = read
                .open_table(REVOKED)
                .map_err(boxed)?
                .get(*account.as_bytes())
                .map_err(boxed)?;
            Ok(row.map_or(0, |row| row.value()))
        })
    }

    /// Appends to the log of refusals what `make` makes of the next sequence number.
    ///
    /// # Errors
    /// [`Error::Catalogue`], and what `make` says.
    pub fn refuse(
        &self,
        make: impl FnOnce(u64) -> Result<Ledgered, Error>,
    ) -> Result<Ledgered, Error> {
        let next = self.read(|read| {
            read.open_table(REFUSALS)
                .map_err(boxed)?
                .len()
                .map_err(boxed)
        })?;
        let refusal = make(next)?;
        let row =
            serde_json::to_vec(&refusal).map_err(|error| Error::Catalogue(error.to_string()))?;
        let key = subject_key(&refusal.statement.subject);
        self.write(|write| {
            write
                .open_table(REFUSALS)
                .map_err(boxed)?
                .insert(next, &row[..])
                .map_err(boxed)?;
            write
                .open_table(REFUSED)
                .map_err(boxed)?
                .insert(key.as_str(), next)
                .map_err(boxed)?;
            Ok(())
        })?;
        Ok(refusal)
    }

    /// The log of refusals from `first` on, at most `most` of it.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn refusals(&self, first: u64, most: usize) -> Result<Vec<Ledgered>, Error> {
        let rows = self.read(|read| {
            let table = read.open_table(REFUSALS).map_err(boxed)?;
            let rows = table.range(first..).map_err(boxed)?.take(most);
            rows.map(|row| row.map(|(_, row)| row.value().to_vec()).map_err(boxed))
                .collect::<Result<Vec<_>, _>>()
        })?;
        rows.iter()
            .map(|row| serde_json::from_slice(row).map_err(|_| damaged("a refusal")))
            .collect()
    }

    /// The refusal that holds for a subject now.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn refused(&self, subject: &Subject) -> Result<Option<Refusal>, Error> {
        let key = subject_key(subject);
        let row = self.read(|read| {
            let refused = read.open_table(REFUSED).map_err(boxed)?;
            let Some(sequence) = refused.get(key.as_str()).map_err(boxed)? else {
                return Ok(None);
            };
            let row = read
                .open_table(REFUSALS)
                .map_err(boxed)?
                .get(sequence.value())
                .map_err(boxed)?;
            Ok(row.map(|row| row.value().to_vec()))
        })?;
        let Some(row) = row else { return Ok(None) };
        let signed: Ledgered = serde_json::from_slice(&row).map_err(|_| damaged("a refusal"))?;
        Ok(Some(signed.statement).filter(|refusal| !refusal.withdrawn))
    }

    /// Adds downloads that clients claimed.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn add_downloads(&self, counts: &HashMap<RepositoryKey, u64>) -> Result<(), Error> {
        self.write(|write| {
            let mut table = write.open_table(DOWNLOADS).map_err(boxed)?;
            for (key, more) in counts {
                let key = key.bytes();
                let before = table
                    .get(&key[..])
                    .map_err(boxed)?
                    .map_or(0, |row| row.value());
                table
                    .insert(&key[..], before.saturating_add(*more))
                    .map_err(boxed)?;
            }
            Ok(())
        })
    }

    /// Downloads that clients claimed.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn downloads(&self, key: &RepositoryKey) -> Result<u64, Error> {
        self.read(|read| {
            let row = read
                .open_table(DOWNLOADS)
                .map_err(boxed)?
                .get(&key.bytes()[..])
                .map_err(boxed)?;
            Ok(row.map_or(0, |row| row.value()))
        })
    }

    /// What was found out about an inventory's card and weights, as JSON.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn facts(&self, inventory: &BlobId) -> Result<Option<Vec<u8>>, Error> {
        self.read(|read| {
            let row = read
                .open_table(FACTS)
                .map_err(boxed)?
                .get(*inventory.as_bytes())
                .map_err(boxed)?;
            Ok(row.map(|row| row.value().to_vec()))
        })
    }

    /// Remembers what was found out about an inventory.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn put_facts(&self, inventory: &BlobId, facts: &[u8]) -> Result<(), Error> {
        self.write(|write| {
            write
                .open_table(FACTS)
                .map_err(boxed)?
                .insert(*inventory.as_bytes(), facts)
                .map_err(boxed)?;
            Ok(())
        })
    }

    /// Blobs that only refused revisions have: they are withheld with these.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn withheld(&self) -> Result<HashMap<BlobId, String>, Error> {
        let refused = self.refused_revisions()?;
        let mut withheld = HashMap::new();
        if refused.is_empty() {
            return Ok(withheld);
        }
        let mut served = HashSet::new();
        self.read(|read| {
            // An inventory may be of a refused revision and of another.
            let mut reasons = HashMap::new();
            let inventories = read.open_table(super::INVENTORIES).map_err(boxed)?;
            for row in inventories.iter().map_err(boxed)? {
                let (revision, inventory) = row.map_err(boxed)?.0.value();
                let reason = refused.get(&revision);
                let known = reasons.entry(inventory).or_insert(reason);
                *known = known.and(reason);
            }
            let entries = read.open_table(super::ENTRIES).map_err(boxed)?;
            for row in entries.iter().map_err(boxed)? {
                let (at, row) = row.map_err(boxed)?;
                let Some(entry::Entry::File(file)) = entry::decode(row.value()) else {
                    continue;
                };
                match reasons.get(&at.value().0).copied().flatten() {
                    Some(reason) => {
                        withheld.insert(file.blob, reason.clone());
                    }
                    None => {
                        served.insert(file.blob);
                    }
                }
            }
            Ok(())
        })?;
        withheld.retain(|blob, _| !served.contains(blob));
        Ok(withheld)
    }

    /// The reason of each refusal of a revision that holds now, by the revision's bytes.
    fn refused_revisions(&self) -> Result<HashMap<[u8; 32], String>, Error> {
        let mut refused = HashMap::new();
        for signed in self.refusals(0, usize::MAX)? {
            let Refusal {
                subject,
                reason,
                withdrawn,
                ..
            } = signed.statement;
            if let Subject::Revision { id } = subject {
                match withdrawn {
                    true => refused.remove(id.as_bytes()),
                    false => refused.insert(*id.as_bytes(), reason),
                };
            }
        }
        Ok(refused)
    }

    /// How much the catalogue holds.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn usage(&self) -> Result<Usage, Error> {
        self.read(|read| {
            Ok(Usage {
                commits: read
                    .open_table(super::COMMITS)
                    .map_err(boxed)?
                    .len()
                    .map_err(boxed)?,
                revisions: read
                    .open_table(super::REVISIONS)
                    .map_err(boxed)?
                    .len()
                    .map_err(boxed)?,
            })
        })
    }
}
