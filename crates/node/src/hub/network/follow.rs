//! From the registry's events to the catalogue.
//!
//! A move names a commit; the commit's object, its inventory and its manifest come from whichever hub has them, and are
//! checked against the names that the chain gives them. A move whose commit is not here waits in the notebook, from where
//! [`super::waiting`] takes it: no hub that is asked holds up the following.

use super::{AFTER_FAILURE, Link, notebook::Waiting};
use crate::{
    Error,
    fetch::{Fetcher, locked},
    hub::{
        Hub,
        catalogue::{NewCommit, RefMove, RepositoryKey, Revision},
        commit::engine_revision,
    },
    registry_events::{Happened, RefMove as Moved, RefMoves, RegistryEvent},
    repositories,
};
use assay_hub::{Commit, CommitId, Handle, Inventory, Kind, Manifest, Name, RefName};
use assay_receipt::Account;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Pause where there was no later block: a finalized commit is shown soon after.
const PAUSE: Duration = Duration::from_millis(200);
/// An event that cannot be applied though the disk works is passed over after so many tries.
const TRIES: usize = 3;
/// Most ancestors of a commit that are fetched with it.
const MAX_ANCESTORS: usize = 100_000;
/// Most bytes of their messages.
const MAX_MESSAGES: usize = 64 << 20;
/// Files that commits list which are held in memory until they are entered, but for those of one more.
const LISTED_AT_ONCE: usize = 50_000;

/// Follows the registry for ever.
pub async fn run(hub: Arc<Hub>, link: Arc<Link>) {
    let position = loop {
        match link.notebook.position() {
            Ok(position) => break position,
            Err(error) => {
                tracing::error!(%error, "the notebook cannot be read");
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    };
    let mut moves = RefMoves::new(link.rpc.clone(), position);
    let mut done = position;
    loop {
        let page = match moves.page().await {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(%error, "the registry's events were not read");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        for event in page.events {
            apply_or_pass(&hub, &link, &event, done).await;
        }
        match link.notebook.put_position(page.next) {
            Ok(()) => done = page.next,
            Err(error) => tracing::error!(%error, "the notebook cannot be written"),
        }
        if page.caught_up {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Applies an event: for as long as the disk fails again and again. What fails though the disk can be written, as when some
/// content of its repository cannot be read, is passed over, and holds up no event after it; a move then waits.
async fn apply_or_pass(hub: &Arc<Hub>, link: &Arc<Link>, event: &RegistryEvent, done: u64) {
    let mut failures = 0usize;
    while let Err(error) = apply(hub, link, event).await {
        tracing::error!(%error, "an event of the registry was not applied");
        // Writes what is there already, and has to be written to the disk all the same.
        if link.notebook.put_position(done).is_ok() {
            failures = failures.saturating_add(1);
        }
        if failures >= TRIES {
            tracing::error!(height = event.place.height, "it is passed over");
            return;
        }
        tokio::time::sleep(AFTER_FAILURE).await;
    }
}

/// The refs that this hub moved itself, each with the height of the block that has its last move. They are shown at once;
/// events of earlier moves, which are read later, must not take a ref back.
#[derive(Debug, Default)]
pub struct OwnMoves(Mutex<HashMap<(RepositoryKey, RefName), u64>>);

impl OwnMoves {
    /// Notes a move that is final since the block of this height.
    pub fn put(&self, moved: &RefMove, height: u64) {
        locked(&self.0).insert((moved.repository.clone(), moved.name.clone()), height);
    }

    /// Whether a move of that height came before what this hub did.
    fn is_older(&self, key: &RepositoryKey, name: &RefName, height: u64) -> bool {
        let of = (key.clone(), name.clone());
        locked(&self.0).get(&of).is_some_and(|own| height < *own)
    }

    /// Forgets what this hub did of a ref, once it has followed the chain as far.
    fn reached(&self, key: &RepositoryKey, name: &RefName) {
        locked(&self.0).remove(&(key.clone(), name.clone()));
    }
}

/// Applies an event; what cannot be applied yet waits in the notebook.
///
/// # Errors
/// [`Error`] where the disk fails, or what lists show cannot be read anew.
async fn apply(hub: &Arc<Hub>, link: &Arc<Link>, event: &RegistryEvent) -> Result<(), Error> {
    match &event.happened {
        Happened::RefMoved(moved) => apply_move(hub, link, moved, event.place.height).await,
        Happened::HandleClaimed { account, handle } => match handle.parse::<Handle>() {
            Ok(handle) => {
                let account = Account::from(*account);
                hub.catalogue.claim(&handle, account)?;
                let all = hub.catalogue.repositories()?;
                let theirs = all
                    .iter()
                    .filter(|repository| repository.publisher == account);
                // One that cannot be read takes its new name from no other.
                let renewed: Vec<_> = theirs
                    .map(|repository| renew(hub, &repository.key()))
                    .collect();
                renewed.into_iter().collect()
            }
            Err(error) => {
                tracing::warn!(%error, handle, "a handle of the registry is none here");
                Ok(())
            }
        },
        Happened::DelegationsRevoked {
            publisher,
            revoked_before,
        } => hub
            .catalogue
            .revoke_before((*publisher).into(), *revoked_before),
    }
}

async fn apply_move(
    hub: &Arc<Hub>,
    link: &Arc<Link>,
    moved: &Moved,
    height: u64,
) -> Result<(), Error> {
    let kind = match moved.repository.kind {
        repositories::Kind::Model => Kind::Model,
        repositories::Kind::Dataset => Kind::Dataset,
    };
    let publisher = Account::from(moved.publisher);
    let key = RepositoryKey {
        kind,
        publisher,
        name: moved.repository.name.clone(),
    };
    let Ok(name) = RefName::from_registered(&moved.reference) else {
        tracing::warn!(
            reference = moved.reference,
            "a ref of the registry is none here"
        );
        return Ok(());
    };
    let _turn = hub.turn(&key).await;
    if link.own_moves.is_older(&key, &name, height) {
        return Ok(());
    }
    link.own_moves.reached(&key, &name);
    let Some(head) = moved.head else {
        let away = RefMove {
            repository: key.clone(),
            name,
            to: None,
        };
        hub.catalogue.enter(&[], &[away])?;
        link.notebook.put_waiting(&key, &moved.reference, None)?;
        return renew(hub, &key);
    };
    let Some(commit) = head.commit else {
        // A revision without a commit: nodes serve it, and there are no files to show.
        return Ok(());
    };
    let waiting = Waiting {
        kind,
        publisher,
        name: key.name.clone(),
        reference: moved.reference.clone(),
        revision: head.revision,
        commit: CommitId::from_bytes(commit.0),
        height,
    };
    link.notebook
        .put_waiting(&key, &moved.reference, Some(&waiting))?;
    if hub.catalogue.commit_bytes(&waiting.commit)?.is_none() {
        link.waits.notify_one();
        return Ok(());
    }
    enter(hub, link, &waiting).await?;
    link.notebook.put_waiting(&key, &moved.reference, None)
}

/// Makes a move's commit and those of its ancestors known that are not here: parents before what was made of them, and some
/// at a time, so that what came is not asked for again where the rest does not come.
///
/// # Errors
/// [`Error::Fetch`] where no hub gives what is missing, or there is too much of it; whatever the disk says.
pub(super) async fn gather(hub: &Arc<Hub>, link: &Arc<Link>, to: &Waiting) -> Result<(), Error> {
    // One for all of them: it learns which hub gives them.
    let fetcher = link.fetcher()?;
    let commits = missing(hub, &fetcher, to).await?;
    let (mut batch, mut listed) = (Vec::new(), 0usize);
    for (id, commit) in commits {
        let new = fetch(hub, &fetcher, id, commit).await?;
        listed = listed.saturating_add(new.tree.files().len());
        batch.push(new);
        if listed >= LISTED_AT_ONCE {
            let _reaching = hub.collecting.read().await;
            hub.catalogue.enter(&batch, &[])?;
            (batch, listed) = (Vec::new(), 0);
        }
    }
    let _reaching = hub.collecting.read().await;
    hub.catalogue.enter(&batch, &[])
}

/// The commits that are not here of those that a move's commit goes back to, and itself, parents first.
async fn missing(
    hub: &Arc<Hub>,
    fetcher: &Fetcher,
    to: &Waiting,
) -> Result<Vec<(CommitId, Commit)>, Error> {
    let (mut commits, mut bytes) = (HashMap::new(), 0usize);
    let mut wanted = vec![to.commit];
    while let Some(id) = wanted.pop() {
        if commits.contains_key(&id) || hub.catalogue.commit_bytes(&id)?.is_some() {
            continue;
        }
        let commit = fetcher.commit(id).await?;
        bytes = bytes.saturating_add(commit.message.len());
        if commits.len() >= MAX_ANCESTORS || bytes > MAX_MESSAGES {
            let why = "the commits before it that are not here are too many";
            return Err(Error::fetch(format!("commit {}", to.commit), why));
        }
        if id == to.commit && !is_of(&commit, to) {
            // Nothing of it is shown, so nothing of it is wanted.
            return Ok(vec![(id, commit)]);
        }
        wanted.extend(commit.parents.iter().copied());
        commits.insert(id, commit);
    }
    Ok(parents_first(commits, to.commit))
}

/// Commits in an order in which each comes after its parents.
fn parents_first(
    mut commits: HashMap<CommitId, Commit>,
    head: CommitId,
) -> Vec<(CommitId, Commit)> {
    let (mut ordered, mut path) = (Vec::new(), vec![(head, false)]);
    while let Some((id, parents_done)) = path.pop() {
        if parents_done {
            ordered.extend(commits.remove(&id).map(|commit| (id, commit)));
        } else if let Some(commit) = commits.get(&id) {
            path.push((id, true));
            path.extend(commit.parents.iter().map(|parent| (*parent, false)));
        }
    }
    ordered
}

/// Whether a commit is what a move of the registry says that it is.
fn is_of(commit: &Commit, to: &Waiting) -> bool {
    commit.publisher == to.publisher
        && commit.kind == to.kind
        && Name::new(commit.kind, &commit.repository).is_ok_and(|shown| shown.key() == to.name)
        && commit.revision == to.revision
}

/// Moves the ref to a commit that is known here, with its ancestors. Who calls it has the repository's turn.
///
/// # Errors
/// Whatever the disk says.
pub(super) async fn enter(hub: &Arc<Hub>, link: &Arc<Link>, to: &Waiting) -> Result<(), Error> {
    let key = to.key();
    if !is_of(&hub.catalogue.commit(&to.commit)?, to) {
        // The chain has the move, so it cannot be undone; what it points to is no commit of this repository.
        tracing::warn!(commit = %to.commit, "the registry names a commit that says something else; it is not shown");
        return Ok(());
    }
    let Ok(name) = RefName::from_registered(&to.reference) else {
        return Ok(());
    };
    if link.own_moves.is_older(&key, &name, to.height) {
        return Ok(());
    }
    let moved = RefMove {
        repository: key.clone(),
        name,
        to: Some(to.commit),
    };
    {
        let _reaching = hub.collecting.read().await;
        hub.catalogue.enter(&[], &[moved])?;
    }
    let renewing = Arc::clone(hub);
    let renewed = tokio::task::spawn_blocking(move || renew(&renewing, &key)).await;
    renewed.map_err(|_| Error::PartEnded("a look at a repository"))??;
    link.wanted.notify_one();
    Ok(())
}

/// A commit with all that the catalogue needs of it.
async fn fetch(
    hub: &Arc<Hub>,
    fetcher: &Fetcher,
    id: CommitId,
    commit: Commit,
) -> Result<NewCommit, Error> {
    let inventory = fetcher
        .small(commit.tree, assay_hub::inventory::MAX_BYTES)
        .await?;
    let tree =
        Inventory::tree(&inventory).map_err(|error| Error::fetch(format!("commit {id}"), error))?;
    let own = tree
        .manifest()
        .canonical()
        .map_err(|error| Error::fetch(format!("commit {id}"), error))?;
    let manifest = if Manifest::id_of(&own) == commit.revision {
        own
    } else {
        let engine = fetcher.manifest(commit.revision).await?;
        if engine_revision(&engine, &tree) != Some(commit.revision) {
            let why = "its revision is no manifest of its inventory";
            return Err(Error::fetch(format!("commit {id}"), why));
        }
        engine
    };
    let store = hub.store.clone();
    let stored = tokio::task::spawn_blocking(move || {
        store.put(&inventory)?;
        store.put(&manifest)
    });
    let manifest = stored
        .await
        .map_err(|_| Error::PartEnded("work on the disk"))??;
    let revision = Revision {
        id: commit.revision,
        manifest: manifest.id,
        files: tree.files().len() as u64,
        bytes: tree.bytes(),
    };
    Ok(NewCommit {
        commit,
        revision,
        tree,
    })
}

/// Reads anew what lists know of a repository.
fn renew(hub: &Hub, key: &RepositoryKey) -> Result<(), Error> {
    hub.refresh(key)
        .map_err(|error| Error::Catalogue(error.0.message()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use assay_blob::BlobId;
    use assay_receipt::RevisionId;

    fn commit(parents: &[u8]) -> Commit {
        Commit {
            author: "a".into(),
            date_ms: 1,
            format: Commit::FORMAT,
            kind: Kind::Model,
            message: String::new(),
            parents: parents.iter().map(|parent| id(*parent)).collect(),
            publisher: Account::ZERO,
            repository: "m".into(),
            revision: RevisionId::ZERO,
            title: "t".into(),
            tree: BlobId::of(b"tree"),
        }
    }

    fn id(number: u8) -> CommitId {
        CommitId::from_bytes([number; 32])
    }

    #[test]
    fn no_commit_is_entered_before_those_that_it_goes_back_to() {
        // 9 merges 8 and 3; 8 goes back to 3 by a longer way; 1 is known already, and not among them.
        let history: [(u8, &[u8]); 6] = [
            (9, &[3, 8]),
            (8, &[7]),
            (7, &[5, 3]),
            (5, &[3]),
            (3, &[2]),
            (2, &[1]),
        ];
        let commits = history.map(|(number, parents)| (id(number), commit(parents)));
        let ordered = parents_first(HashMap::from(commits), id(9));
        let numbers: Vec<u8> = ordered.iter().map(|(id, _)| id.as_bytes()[0]).collect();
        assert_eq!(numbers.len(), history.len());
        for (at, (_, commit)) in ordered.iter().enumerate() {
            for parent in &commit.parents {
                let parent = parent.as_bytes()[0];
                assert!(
                    parent == 1 || numbers[..at].contains(&parent),
                    "{numbers:?}"
                );
            }
        }
        // A long history needs no stack of the thread's.
        let long = (1..=50_000u32).map(|number| {
            let id = |number: u32| {
                let mut bytes = [0; 32];
                bytes[..4].copy_from_slice(&number.to_be_bytes());
                CommitId::from_bytes(bytes)
            };
            let parents = vec![id(number - 1)];
            let commit = Commit {
                parents,
                ..commit(&[])
            };
            (id(number), commit)
        });
        let long: HashMap<_, _> = long.collect();
        let head = *long.keys().max().unwrap();
        assert_eq!(parents_first(long, head).len(), 50_000);
    }
}
