//! What hides the weights of a model, in a file: a seed, and how often the commitment that it makes was opened.
//!
//! Who has the seed reads the weights out of proofs; and two proofs that take the same opening show more than two of them
//! should. So an opening is counted on disk, under a lock, before it is used: by this process, by another one that has the
//! same file, and by one that crashes in between, which loses the opening and nothing else. A copy of the file counts by
//! itself, and undoes that.

use crate::{
    api::{ProofMode, ProofOffer},
    error::Error,
    files::{self, Access},
    proofs::Registered,
};
use alloy_primitives::{B256, keccak256};
use assay_inference::{QuantisedEngine, provable::Provable};
use assay_receipt::RevisionId;
use assay_zkml::Seed;
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// How the name of the file ends whose lock is held while a count is changed.
const LOCK: &str = "lock";

/// The file's content.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Content {
    revision: RevisionId,
    seed: B256,
    /// Openings that were made or begun: a proof that failed counts, too.
    openings: usize,
    /// Digests of the pairs of commitments for whose renewals openings were counted: the same renewal is the same bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    renewals: Vec<B256>,
}

/// A secret and where it lies.
pub struct Secret {
    path: PathBuf,
    revision: RevisionId,
    seed: Seed,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret")
            .field("path", &self.path)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl Secret {
    /// Draws a fresh one into a file of its owner's, which must not be there: another commitment may need it.
    ///
    /// # Errors
    /// [`Error::Config`] naming the file.
    pub fn create(path: &Path, revision: RevisionId) -> Result<Self, Error> {
        let _lock = lock(path)?;
        if path.exists() {
            return Err(Error::config(path, "it exists, and is for one commitment"));
        }
        let content = Content {
            revision,
            seed: B256::from(rand::random::<[u8; 32]>()),
            openings: 0,
            renewals: Vec::new(),
        };
        files::write_json(path, &content, Access::Owner)?;
        Self::open(path)
    }

    /// Opens one that was made for a revision.
    ///
    /// # Errors
    /// [`Error::Config`] naming the file, never its content.
    pub fn open(path: &Path) -> Result<Self, Error> {
        // Under another name it would have another lock, and be replaced there alone.
        let path = path
            .canonicalize()
            .map_err(|error| Error::config(path, error))?;
        let content = read(&path)?;
        Ok(Self {
            path,
            revision: content.revision,
            seed: Seed::from_bytes(content.seed.0),
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The revision whose weights it hides.
    pub fn revision(&self) -> RevisionId {
        self.revision
    }

    /// The model with its weights hidden by this secret.
    ///
    /// # Errors
    /// [`Error::Unprovable`].
    pub fn hide(self, provable: Provable) -> Result<Hidden, Error> {
        let provable = provable.hidden(&self.seed).map_err(unprovable)?;
        Ok(Hidden {
            weights: provable.model().commitment().weights.encode(),
            secret: self,
            provable,
        })
    }
}

/// A model with its weights hidden.
pub struct Hidden {
    secret: Secret,
    provable: Provable,
    weights: Vec<u8>,
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.secret.fmt(f)
    }
}

impl Hidden {
    /// The commitment to the weights, as it is encoded.
    pub fn weights(&self) -> &[u8] {
        &self.weights
    }

    /// The model, for what takes no opening.
    pub fn provable(&self) -> &Provable {
        &self.provable
    }

    /// The model for one more opening, which is counted on disk when this returns. `ledger` openings were made at least, as
    /// somebody else counted.
    ///
    /// # Errors
    /// [`Error::OpeningsUsed`] if none is left, but for the one that is kept for a renewal; [`Error::Config`] if the file is not
    /// usable.
    pub fn spend(&self, ledger: u64) -> Result<Provable, Error> {
        let _lock = lock(&self.secret.path)?;
        let content = self.content()?;
        let made = content
            .openings
            .max(usize::try_from(ledger).unwrap_or(usize::MAX));
        self.count(content, made, 1)
    }

    /// Openings that are left for proofs, as the file counts.
    ///
    /// # Errors
    /// [`Error::Config`] if the file is not usable.
    pub fn proofs_left(&self) -> Result<u64, Error> {
        let left = self.left(self.content()?.openings);
        Ok(left.saturating_sub(1) as u64)
    }

    /// The model for the opening that a renewal takes, which is counted once however often the renewal is tried: it follows
    /// from the two commitments.
    fn spend_on_renewal(&self, pair: B256) -> Result<Provable, Error> {
        let _lock = lock(&self.secret.path)?;
        let mut content = self.content()?;
        let made = content.openings;
        if content.renewals.contains(&pair) {
            return Ok(self.provable.clone().counted(made.saturating_sub(1)));
        }
        content.renewals.push(pair);
        self.count(content, made, 0)
    }

    /// The file's content, if it is still that of this secret.
    fn content(&self) -> Result<Content, Error> {
        let path = &self.secret.path;
        let content = read(path)?;
        match Seed::from_bytes(content.seed.0) == self.secret.seed {
            true => Ok(content),
            false => Err(Error::config(path, "it holds another secret than before")),
        }
    }

    /// Counts one opening more than `made`, if `kept` are left after it.
    fn count(&self, content: Content, made: usize, kept: usize) -> Result<Provable, Error> {
        if self.left(made) <= kept {
            return Err(Error::OpeningsUsed {
                file: self.secret.path.clone(),
                made,
            });
        }
        let content = Content {
            openings: made.saturating_add(1),
            ..content
        };
        files::write_json(&self.secret.path, &content, Access::Owner)?;
        Ok(self.provable.clone().counted(made))
    }

    /// Openings that are left after so many.
    fn left(&self, made: usize) -> usize {
        let budget = self.provable.model().budget().unwrap_or_default();
        budget.saturating_sub(made)
    }

    /// Commits to the same weights by another secret: the model under it, and the proof that both are of the same weights.
    /// Takes an opening of both, and none when it is done again for the same two.
    ///
    /// # Errors
    /// [`Error::Unprovable`] for the same secret, and as [`Self::spend`].
    pub fn renew(&self, next: Secret) -> Result<(Self, assay_zkml_verify::roll::Roll), Error> {
        let seed = next.seed.clone();
        if seed == self.secret.seed {
            return Err(unprovable("a commitment is not renewed by its own secret"));
        }
        let next = next.hide(self.provable.clone())?;
        let pair = keccak256([self.weights.as_slice(), &next.weights].concat());
        let before = self.spend_on_renewal(pair)?;
        next.spend_on_renewal(pair)?;
        let (_, roll) = before.renew(&seed).map_err(unprovable)?;
        Ok((next, roll))
    }
}

/// The commitments by which a node can prove the answers of a revision: the one that hides nothing, and those that its
/// secrets make.
#[derive(Debug)]
pub struct Commitments {
    engine: Arc<QuantisedEngine>,
    open: Vec<u8>,
    hidden: Vec<Hidden>,
}

impl Commitments {
    /// The commitments of an engine's model.
    ///
    /// # Errors
    /// [`Error::Unprovable`].
    pub fn new(engine: QuantisedEngine, secrets: Vec<Secret>) -> Result<Self, Error> {
        let hide = |secret: Secret| secret.hide((**engine.provable()).clone());
        let hidden = secrets.into_iter().map(hide).collect::<Result<_, _>>()?;
        let weights = engine.provable().model().commitment().weights;
        Ok(Self {
            open: weights.encode(),
            hidden,
            engine: Arc::new(engine),
        })
    }

    /// The engine that gives the answers.
    pub fn engine(&self) -> &Arc<QuantisedEngine> {
        &self.engine
    }

    /// Whether there is one that hides.
    pub fn hides(&self) -> bool {
        !self.hidden.is_empty()
    }

    /// How answers are proven under what is registered; `None` where its commitment is none of these.
    pub fn offer(&self, registered: &Registered) -> Option<ProofOffer> {
        if registered.weights == self.open {
            return Some(ProofOffer {
                mode: ProofMode::Succinct,
                proofs_left: None,
            });
        }
        let hidden = self.find(&registered.weights)?;
        let ledger = registered.openings.map(|openings| openings.proofs_left());
        // A file that cannot be used counts nothing, so nothing is left of it.
        let own = hidden.proofs_left().unwrap_or_default();
        Some(ProofOffer {
            mode: ProofMode::ZeroKnowledge,
            proofs_left: Some(own.min(ledger.unwrap_or_default())),
        })
    }

    /// What a proof under what is registered is made with. Of a commitment that hides, an opening is counted; the last is
    /// kept for its renewal.
    ///
    /// # Errors
    /// [`Error::OtherCommitment`] for a commitment that is none of these, and as [`Hidden::spend`].
    pub fn spend(&self, registered: &Registered) -> Result<Provable, Error> {
        if registered.weights == self.open {
            return Ok((**self.engine.provable()).clone());
        }
        let hidden = self.find(&registered.weights);
        let hidden = hidden.ok_or(Error::OtherCommitment)?;
        match registered.openings {
            Some(openings) if openings.proofs_left() > 0 => hidden.spend(openings.made),
            _ => Err(Error::OpeningsUsed {
                file: hidden.secret.path.clone(),
                made: registered.openings.unwrap_or_default().made as usize,
            }),
        }
    }

    fn find(&self, weights: &[u8]) -> Option<&Hidden> {
        self.hidden.iter().find(|hidden| hidden.weights == weights)
    }
}

fn unprovable(error: impl std::fmt::Display) -> Error {
    Error::Unprovable(error.to_string())
}

fn read(path: &Path) -> Result<Content, Error> {
    let links = path
        .metadata()
        .map_err(|error| Error::config(path, error))?
        .nlink();
    if links > 1 {
        return Err(Error::config(
            path,
            "it has two names, and would be counted under one",
        ));
    }
    // What is wrong is not said in the words of the parser, which may repeat what it read.
    let text = files::read_text(path)?;
    serde_json::from_str(&text)
        .map_err(|_| Error::config(path, "it is no secret of a model's weights"))
}

/// Waits for the lock of a secret, which ends with the process that holds it.
fn lock(path: &Path) -> Result<File, Error> {
    let refused = |error| Error::config(path, error);
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path.with_added_extension(LOCK));
    let file = file.map_err(refused)?;
    file.lock().map_err(refused)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proofs::Openings;
    use assay_inference::{Revision, RevisionLimits};
    use std::thread;

    fn revision(name: &str) -> Revision {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        Revision::open(&models.join(name), &RevisionLimits::default()).unwrap()
    }

    fn provable() -> Provable {
        Provable::from_revision(&revision("risk-logreg")).unwrap()
    }

    fn id() -> RevisionId {
        revision("risk-logreg").id()
    }

    #[test]
    fn an_opening_is_counted_before_it_is_used_and_no_two_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let secret = Secret::create(&path, id()).unwrap();
        let hidden = Arc::new(secret.hide(provable()).unwrap());
        let budget = hidden.provable().model().openings_left().unwrap();
        // Two that have opened the same file.
        let other = Secret::open(&path).unwrap().hide(provable()).unwrap();
        assert_eq!(other.weights(), hidden.weights());
        let takers = [hidden, Arc::new(other)].map(|hidden| {
            thread::spawn(move || {
                let mut left = Vec::new();
                while let Ok(one) = hidden.spend(0) {
                    left.push(one.model().openings_left().unwrap());
                }
                left
            })
        });
        let mut left: Vec<usize> = takers
            .into_iter()
            .flat_map(|taker| taker.join().unwrap())
            .collect();
        left.sort_unstable();
        assert_eq!(left, (2..=budget).collect::<Vec<_>>());
        let again = Secret::open(&path).unwrap().hide(provable()).unwrap();
        assert!(
            matches!(again.spend(0), Err(Error::OpeningsUsed { made, .. }) if made == budget - 1)
        );
        assert_eq!(again.proofs_left().unwrap(), 0);
        let next = Secret::create(&folder.path().join("next"), id()).unwrap();
        let (next, roll) = again.renew(next).unwrap();
        // Tried again it is the same proof, which takes nothing; for any other there is no opening left.
        let same = again.renew(Secret::open(next.secret.path()).unwrap());
        assert_eq!(same.unwrap().1.encode(), roll.encode());
        let left = next.spend(0).unwrap().model().openings_left();
        assert_eq!(left, Some(budget - 1), "the renewal opened it once");
        let other = Secret::create(&folder.path().join("other"), id()).unwrap();
        let none = again.renew(other).err();
        assert!(matches!(none, Some(Error::OpeningsUsed { .. })), "{none:?}");
        let itself = again.renew(Secret::open(&path).unwrap()).err();
        assert!(matches!(itself, Some(Error::Unprovable(_))), "{itself:?}");
    }

    #[test]
    fn what_the_ledger_counted_is_counted_here_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let secret = Secret::create(&path, id()).unwrap();
        let hidden = secret.hide(provable()).unwrap();
        let budget = hidden.provable().model().openings_left().unwrap();
        let left = |made| Some(hidden.spend(made).ok()?.model().openings_left().unwrap());
        assert_eq!(left(3), Some(budget - 3));
        assert_eq!(left(0), Some(budget - 4), "the file knows it now");
        assert_eq!(left(budget as u64 - 1), None);
        assert_eq!(left(u64::MAX), None);
        // Another name of the file is another lock.
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(
            Secret::open(&link).unwrap().path(),
            path.canonicalize().unwrap()
        );
        std::fs::hard_link(&path, folder.path().join("twin")).unwrap();
        let refused = hidden.spend(0).err().unwrap().to_string();
        assert!(refused.contains("two names"), "{refused}");
    }

    #[test]
    fn what_is_no_secret_of_this_commitment_is_refused_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let hidden = Secret::create(&path, id())
            .unwrap()
            .hide(provable())
            .unwrap();
        let refused = Secret::create(&path, id()).unwrap_err().to_string();
        assert!(refused.contains("it exists"), "{refused}");
        let good = std::fs::read_to_string(&path).unwrap();
        let other = Secret::create(&folder.path().join("other"), id()).unwrap();
        std::fs::copy(other.path(), &path).unwrap();
        let refused = hidden.spend(0).err().unwrap().to_string();
        assert!(refused.contains("another secret"), "{refused}");
        let seed = good.split('"').find(|part| part.len() == 66).unwrap();
        for bad in [
            "",
            "{}",
            "null",
            &good[..good.len() / 2],
            &good.replace("openings", "opening"),
            &good.replace(": 0", ": -1"),
            &good.replace(": 0", ": 1.5"),
            &good.replace("0x", "0y"),
            &format!("{good}{good}"),
        ] {
            std::fs::write(&path, bad).unwrap();
            let refused = Secret::open(&path).unwrap_err().to_string();
            assert!(
                refused.contains("no secret") && !refused.contains(seed),
                "{refused}"
            );
            assert!(hidden.spend(0).is_err());
        }
        std::fs::remove_file(&path).unwrap();
        assert!(Secret::open(&path).is_err() && hidden.spend(0).is_err());
    }

    #[test]
    fn proofs_are_made_under_the_commitment_that_is_registered() {
        let folder = tempfile::tempdir().unwrap();
        let lenet = revision("digits-lenet");
        let secret = Secret::create(&folder.path().join("secret"), lenet.id()).unwrap();
        let engine = QuantisedEngine::load(&lenet).unwrap();
        let commitments = Commitments::new(engine, vec![secret]).unwrap();
        let open = commitments.engine().provable().model().commitment();
        let hidden = commitments.hidden[0].weights().to_vec();
        let registered = |weights: &[u8], made| Registered {
            weights: weights.to_vec().into(),
            renewed_at: 0,
            openings: (weights == hidden).then_some(Openings { budget: 5, made }),
        };
        let offer = |weights: &[u8], made| {
            let offer = commitments.offer(&registered(weights, made))?;
            Some((offer.mode, offer.proofs_left))
        };
        let open = open.weights.encode();
        assert_eq!(offer(&open, 0), Some((ProofMode::Succinct, None)));
        for (made, left) in [(1, 3), (3, 1), (4, 0), (5, 0)] {
            let hides = (ProofMode::ZeroKnowledge, Some(left));
            assert_eq!(offer(&hidden, made), Some(hides));
        }
        assert_eq!(offer(&[], 0), None);
        let spend = |weights: &[u8], made| commitments.spend(&registered(weights, made));
        let made = spend(&hidden, 3).unwrap().model().commitment();
        assert_eq!(made.weights.encode(), hidden);
        let used = spend(&hidden, 4).err();
        assert!(
            matches!(used, Some(Error::OpeningsUsed { made: 4, .. })),
            "{used:?}"
        );
        assert_eq!(spend(&open, 0).unwrap().model().openings_left(), None);
        assert!(matches!(spend(&[1], 0).err(), Some(Error::OtherCommitment)));
    }
}
