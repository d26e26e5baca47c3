//! How a commit is made: checked, given its names, made final, and shown.

use crate::delegation::Grant;
use crate::hub::{
    Hub, Repository, RepositoryKey,
    anchor::Pending,
    answer::ApiError,
    catalogue::{NewCommit, RefMove, Revision},
    now_ms,
    safety::{Found, is_suspicious},
};
use assay_blob::{BlobId, GitOid, Stored};
use assay_hub::{
    Commit, CommitId, Fault, FileEntry, Form, Inventory, Name, RefName, Tree, TreePath,
    card::{CARD_FILE, Card, MAX_CARD},
    commit::ShortId,
    error::quoted,
    operation::Header,
    policy::Subject,
};
use assay_inference::{MANIFEST_FILE, Manifest as EngineManifest, RevisionLimits};
use assay_receipt::{Account, RevisionId};
use std::sync::Arc;

/// Largest engine manifest that is read, bytes.
pub(crate) const MAX_ENGINE_MANIFEST: u64 = 1 << 20;

/// One step of a commit, its content stored.
#[derive(Debug, Clone)]
pub enum Step {
    /// Put a file.
    Put(TreePath, Stored),
    /// Put what another path of the repository has.
    Copy {
        /// Where.
        path: TreePath,
        /// From where.
        from: TreePath,
        /// Of which revision; of the branch itself where it is left out.
        revision: Option<String>,
    },
    /// Take a file away.
    DeleteFile(TreePath),
    /// Take a folder away.
    DeleteFolder(TreePath),
}

/// A commit that is to be made.
#[derive(Debug, Clone)]
pub struct Draft {
    /// To which repository.
    pub key: RepositoryKey,
    /// Its name as it is shown.
    pub shown: Name,
    /// To which branch.
    pub branch: RefName,
    /// What it says of itself.
    pub header: Header,
    /// What it does.
    pub steps: Vec<Step>,
    /// Whether it is the first of a repository that is not there yet.
    pub is_first: bool,
}

/// A commit that was made, or the head where it would have changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Made {
    /// The commit.
    pub commit: CommitId,
    /// Its revision.
    pub revision: RevisionId,
}

/// A commit with all that the catalogue and the chain need of it.
struct Ready {
    new: NewCommit,
    moved: RefMove,
    from: Option<CommitId>,
}

enum Prepared {
    Same(Made),
    Ready(Box<Ready>),
}

impl Hub {
    /// Makes a commit. It is durable, final and shown when this returns.
    ///
    /// # Errors
    /// [`Fault::Moved`] where the branch is not at the parent that the client named, [`Fault::EntryNotFound`] for a
    /// path that is not there, [`Fault::Refused`] for content that this hub refuses, and what the files, the card, the
    /// limits or the chain say.
    pub async fn commit(self: &Arc<Self>, draft: Draft, grant: &Grant) -> Result<Made, ApiError> {
        let _turn = self.turn(&draft.key).await;
        let publisher = Account::from(grant.publisher());
        let prepared = self
            .blocking(move |hub| hub.prepare(draft, publisher))
            .await?;
        let ready = match prepared {
            Prepared::Same(made) => return Ok(made),
            Prepared::Ready(ready) => ready,
        };
        let Ready { new, moved, from } = *ready;
        // Known before it is final: if the answer of the chain is lost, the move is applied when the chain shows it.
        let known = new.clone();
        self.blocking(move |hub| {
            hub.catalogue.take(&known.revision.id)?;
            Ok(hub.catalogue.enter(&[known], &[])?)
        })
        .await?;
        self.anchor
            .settle(Pending {
                moved: &moved,
                revision: new.revision.id,
                from,
                grant,
            })
            .await?;
        let key = moved.repository.clone();
        let made = Made {
            commit: new.commit.id()?,
            revision: new.revision.id,
        };
        self.blocking(move |hub| {
            hub.catalogue.enter(&[], &[moved])?;
            hub.refresh(&key)
        })
        .await?;
        Ok(made)
    }

    /// Whether a commit with this header can go to a branch, as the branch is now.
    ///
    /// # Errors
    /// [`Fault::Moved`] where the branch is not at the parent that the client named.
    pub fn check_parent(
        &self,
        key: &RepositoryKey,
        branch: &RefName,
        header: &Header,
    ) -> Result<(), ApiError> {
        match (self.catalogue.head(key, branch)?, header.parent) {
            (Some(head), Some(parent)) if head.short() != parent => {
                Err(moved_on(branch, head, parent))
            }
            _ => Ok(()),
        }
    }

    /// Moves a ref to a commit that is there, or takes it away.
    ///
    /// # Errors
    /// What the chain says.
    pub async fn move_ref(
        self: &Arc<Self>,
        repository: &Repository,
        name: RefName,
        to: Option<CommitId>,
        grant: &Grant,
    ) -> Result<(), ApiError> {
        let key = repository.key();
        let _turn = self.turn(&key).await;
        let moved = RefMove {
            repository: key.clone(),
            name,
            to,
        };
        // What no ref reached is reached again: no collection decides in between that nobody needs it.
        let _reaching = self.collecting.read().await;
        let from = self.catalogue.head(&key, &moved.name)?;
        let revision = match to {
            Some(commit) => self.catalogue.commit(&commit)?.revision,
            None => RevisionId::ZERO,
        };
        self.anchor
            .settle(Pending {
                moved: &moved,
                revision,
                from,
                grant,
            })
            .await?;
        self.blocking(move |hub| {
            hub.catalogue.enter(&[], &[moved])?;
            hub.refresh(&key)
        })
        .await
    }

    fn prepare(&self, draft: Draft, publisher: Account) -> Result<Prepared, ApiError> {
        let head = self.catalogue.head(&draft.key, &draft.branch)?;
        check_parent(&draft, head)?;
        let parent = head.map(|head| self.catalogue.commit(&head)).transpose()?;
        let before = match &parent {
            Some(commit) => self.catalogue.tree(&commit.tree)?,
            None => Tree::default(),
        };
        let mut tree = before.clone();
        for step in &draft.steps {
            self.apply(step, &draft, head, &mut tree)?;
        }
        if let (Some(head), Some(parent)) = (head, &parent)
            && tree == before
        {
            return Ok(Prepared::Same(Made {
                commit: head,
                revision: parent.revision,
            }));
        }
        self.check_tree(&tree, &before)?;
        let (id, manifest) = self.identify(&tree)?;
        self.serves(&Subject::Revision { id })?;
        let inventory = Inventory::of(&tree).canonical()?;
        let commit = Commit {
            author: self.author(publisher)?,
            date_ms: now_ms().max(parent.as_ref().map_or(0, |parent| parent.date_ms)),
            format: Commit::FORMAT,
            kind: draft.key.kind,
            message: draft.header.message,
            parents: head.into_iter().collect(),
            publisher,
            repository: draft.shown.to_string(),
            revision: id,
            title: draft.header.title,
            tree: BlobId::of(&inventory),
        };
        // The truth is blobs: whoever has them and the chain can make this catalogue again.
        let bytes = commit.canonical()?;
        self.store
            .put_many([bytes.as_slice(), manifest.as_slice(), inventory.as_slice()])?;
        let revision = Revision {
            id,
            manifest: BlobId::of(&manifest),
            files: tree.files().len() as u64,
            bytes: tree.bytes(),
        };
        let moved = RefMove {
            repository: draft.key,
            name: draft.branch,
            to: Some(Commit::id_of(&bytes)),
        };
        let new = NewCommit {
            commit,
            revision,
            tree,
        };
        Ok(Prepared::Ready(Box::new(Ready {
            new,
            moved,
            from: head,
        })))
    }

    fn author(&self, publisher: Account) -> Result<String, ApiError> {
        Ok(self
            .catalogue
            .handle_of(publisher)?
            .map_or(publisher.to_string(), |handle| handle.to_string()))
    }

    fn apply(
        &self,
        step: &Step,
        draft: &Draft,
        head: Option<CommitId>,
        tree: &mut Tree,
    ) -> Result<(), ApiError> {
        let missing = |path: &TreePath| {
            let path = path.to_string();
            match head {
                Some(commit) => ApiError::from(Fault::EntryNotFound { path, commit }),
                None => {
                    ApiError::bad_request(format!("`{}` is not in the repository", quoted(&path)))
                }
            }
        };
        match step {
            Step::Put(path, stored) => {
                self.serves(&Subject::Blob { id: stored.id })?;
                tree.put(path.clone(), self.entry(path, stored)?);
            }
            Step::Copy {
                path,
                from,
                revision,
            } => {
                let entry = match revision {
                    None => tree.file(from).copied(),
                    Some(rev) => {
                        let rev = rev
                            .parse()
                            .map_err(|_| Fault::RevisionNotFound(rev.clone()))?;
                        let commit = self
                            .catalogue
                            .resolve(&draft.key, &rev)?
                            .ok_or_else(|| missing(from))?;
                        self.catalogue
                            .file(&self.catalogue.commit(&commit)?.tree, from)?
                    }
                };
                let entry = entry.ok_or_else(|| missing(from))?;
                let stored = self
                    .store
                    .renew(&entry.blob)?
                    .ok_or_else(|| missing(from))?;
                tree.put(path.clone(), self.entry(path, &stored)?);
            }
            Step::DeleteFile(path) => tree.remove(path).map_err(|_| missing(path))?,
            Step::DeleteFolder(folder) => {
                tree.remove_folder(folder).map_err(|_| missing(folder))?
            }
        }
        Ok(())
    }

    /// The entry of stored content at a path.
    ///
    /// # Errors
    /// [`Fault::Internal`] where the disk fails.
    pub fn entry(&self, path: &TreePath, stored: &Stored) -> Result<FileEntry, ApiError> {
        let form = Form::of(path, stored.size);
        let oid = match form {
            Form::Large => GitOid::of_pointer(&stored.sha256, stored.size),
            Form::Regular => {
                let content = self.content(&stored.id)?;
                GitOid::of_blob(
                    &content.ok_or_else(|| ApiError::internal("stored content is gone"))?,
                )
            }
        };
        Ok(FileEntry {
            blob: stored.id,
            size: stored.size,
            sha256: stored.sha256,
            oid,
            form,
        })
    }

    fn check_tree(&self, tree: &Tree, before: &Tree) -> Result<(), ApiError> {
        tree.check()?;
        if tree.bytes() > self.retention.max_revision_bytes {
            let most = self.retention.max_revision_bytes;
            return Err(
                Fault::TooLarge(format!("a revision has at most {most} bytes here")).into(),
            );
        }
        let new = |path: &TreePath, entry: &FileEntry| before.file(path) != Some(entry);
        if !self.retention.takes_executable_formats {
            let arriving = tree.files().iter().filter(|(path, entry)| new(path, entry));
            for (path, entry) in arriving {
                let found = self.judge(entry)?.map(|judgement| judgement.found);
                let is_data = found == Some(Found::Data)
                    || (found != Some(Found::Code) && !is_suspicious(path));
                if !is_data {
                    let reason = format!(
                        "`{path}` can run code when it is loaded, and this hub takes no such formats"
                    );
                    return Err(Fault::Forbidden(reason).into());
                }
            }
        }
        let card: TreePath = CARD_FILE.parse()?;
        if let Some(entry) = tree
            .file(&card)
            .filter(|entry| new(&card, entry) && entry.size <= MAX_CARD)
        {
            let content = self.content(&entry.blob)?.unwrap_or_default();
            let text = String::from_utf8(content)
                .map_err(|_| ApiError::bad_request("README.md is no UTF-8"))?;
            let complaints = Card::parse(&text)?.complaints();
            if let Some(error) = complaints.errors.first() {
                return Err(ApiError::bad_request(format!("README.md: {error}")));
            }
        }
        Ok(())
    }

    /// The id of a tree's revision, and the canonical bytes of the manifest that it is of: the engine manifest, where
    /// the tree has one that lists all other files as they are; otherwise one of format 2.
    ///
    /// # Errors
    /// [`Fault::Internal`] where the disk fails.
    pub fn identify(&self, tree: &Tree) -> Result<(RevisionId, Vec<u8>), ApiError> {
        let path: TreePath = MANIFEST_FILE.parse()?;
        if let Some(entry) = tree
            .file(&path)
            .filter(|entry| entry.size <= MAX_ENGINE_MANIFEST)
            && let Some(bytes) = self.content(&entry.blob)?
            && let Some(id) = engine_revision(&bytes, tree)
        {
            return Ok((id, bytes));
        }
        Ok(tree.manifest().identify()?)
    }
}

/// The id of an engine manifest that lists exactly all other files of a tree.
pub(crate) fn engine_revision(bytes: &[u8], tree: &Tree) -> Option<RevisionId> {
    let manifest = EngineManifest::from_canonical(bytes, &RevisionLimits::default()).ok()?;
    // The manifest does not list itself, so an inventory could give any other file in its place.
    let own = tree.file(&MANIFEST_FILE.parse().ok()?)?;
    if own.blob != BlobId::of(bytes) {
        return None;
    }
    let others = tree
        .files()
        .iter()
        .filter(|(path, _)| path.as_str() != MANIFEST_FILE);
    let others: Vec<_> = others
        .map(|(path, entry)| (path.as_str(), entry.blob.to_string(), entry.size))
        .collect();
    let listed: Vec<_> = manifest
        .files
        .iter()
        .map(|file| (file.path.as_str(), file.blake3.clone(), file.size))
        .collect();
    if others == listed {
        manifest.revision_id().ok()
    } else {
        None
    }
}

fn moved_on(branch: &RefName, head: CommitId, parent: ShortId) -> ApiError {
    let (branch, head) = (branch.short(), head.short());
    let reason = format!(
        "the branch {branch} is at {head} and no longer at {parent}: take its changes and try again"
    );
    Fault::Moved(reason).into()
}

fn check_parent(draft: &Draft, head: Option<CommitId>) -> Result<(), ApiError> {
    match (head, draft.header.parent) {
        (Some(_), _) if draft.is_first => {
            let what = "the repository".to_owned();
            Err(Fault::Exists { what, url: None }.into())
        }
        (None, _) if !draft.is_first => {
            Err(Fault::RevisionNotFound(draft.branch.short().into()).into())
        }
        (Some(head), Some(parent)) if head.short() != parent => {
            Err(moved_on(&draft.branch, head, parent))
        }
        _ => Ok(()),
    }
}
