//! The hub role: repositories over a store of blobs, served as Hugging Face's API.
//!
//! What a hub shows follows from ref moves and blobs; the [`Catalogue`] is a cache of them. A commit is answered only
//! once its blobs, its object and its ref are durable, and the [`Anchor`] has made it final.

pub mod anchor;
pub mod answer;
pub mod api;
pub mod catalogue;
mod collection;
pub mod commit;
pub mod config;
pub mod facts;
pub mod finding;
pub mod network;
pub mod others;
mod pages;
pub mod provenance;
pub mod safety;
pub mod server;
pub mod signature;
pub mod sketches;
pub mod transfer;

pub use crate::delegation::{Grant, Scope, Token};
pub use anchor::Anchor;
pub use answer::ApiError;
pub use catalogue::{Catalogue, Located, RefMove, Repository, RepositoryKey};
pub use config::{HubConfig, HubLimits, SearchConfig, Storage};

use crate::{
    Error,
    clock::now_ns,
    delegation::{self, Circumstances},
    files::read_json,
    limits::{Admission, RateLimiter},
    memory::Memory,
    place::Stated,
    shutdown::Shutdown,
};
use assay_blob::{BlobId, Store, StoreLimits};
use assay_chain::light::Network;
use assay_hub::{
    CommitId, Fault, Kind, Name, Namespace, RefName, Rev, TreePath,
    commit::ShortId,
    listing::Summary,
    policy::{Retention, Subject},
};
use assay_receipt::{Account, Domain, NodeKey, RevisionId};
use axum::http::{HeaderMap, header};
use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};
use tokio::{net::TcpListener, time::timeout};

/// A hub that stops gives running requests this long.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at whether a hub that stops is still in use.
const LET_GO_POLL: Duration = Duration::from_millis(5);
/// Between two writes of the counts of downloads.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// Most repositories whose downloads wait to be written.
const MAX_COUNTED: usize = 100_000;
/// Commits that arrive at once; each holds at most some 40 MB of lines and files.
const COMMITS: usize = 16;
/// Commits that may wait beside those.
const COMMITS_WAITING: usize = 256;
/// Folder of the blobs within the data folder.
const BLOBS: &str = "blobs";

/// A hub's parts, shared by its handlers.
pub struct Hub {
    /// The content.
    pub store: Arc<Store>,
    /// Repositories, commits, refs.
    pub catalogue: Catalogue,
    /// Where a commit becomes final.
    pub anchor: Anchor,
    /// The network that the hub is part of; nothing where it stands alone.
    pub link: Option<Arc<network::Link>>,
    /// The URL under which clients reach this hub, without a slash at its end.
    pub endpoint: String,
    /// What it says of where it runs.
    pub place: Stated,
    /// What this hub keeps.
    pub retention: Retention,
    /// The hub's key.
    pub key: Arc<NodeKey>,
    /// Who may refuse to serve things.
    pub operator: Account,
    /// What tokens are signed under.
    pub domain: Domain,
    /// Limits of requests.
    pub limits: HubLimits,
    /// What the disk is used for.
    pub storage: Storage,
    /// Memory for bodies.
    pub bodies: Memory,
    /// Commits that arrive at once: each may hold some tens of megabytes.
    commits: Admission,
    rate: RateLimiter,
    shutdown: Shutdown,
    downloads: Mutex<HashMap<RepositoryKey, u64>>,
    /// What lists know of each repository with a main branch.
    summaries: RwLock<BTreeMap<RepositoryKey, Summary>>,
    /// What is listed, to be found by need.
    finder: finding::Finder,
    /// What is nearly what.
    sketches: RwLock<sketches::Sketches>,
    /// Blobs that only refused revisions have, with the reason.
    withheld: RwLock<HashMap<BlobId, String>>,
    /// Commits to one repository take turns.
    turns: tokio::sync::Mutex<HashMap<RepositoryKey, Arc<tokio::sync::Mutex<()>>>>,
    last_read: collection::LastRead,
    /// By which graces end.
    steady: collection::Steady,
    /// Held while content is collected; by whoever moves a ref to what no ref may have reached, for reading.
    collecting: tokio::sync::RwLock<()>,
}

/// A repository at a commit.
#[derive(Debug, Clone)]
pub struct At {
    /// The repository.
    pub repository: Repository,
    /// The commit.
    pub commit: CommitId,
    /// The commit's revision.
    pub revision: RevisionId,
    /// The commit's inventory.
    pub inventory: BlobId,
    /// Whether files that can run code are asked for, too.
    pub with_code: bool,
}

impl At {
    /// The commit as the client sees it, 40 hex digits.
    pub fn shown(&self) -> ShortId {
        match self.with_code {
            true => self.commit.with_code(),
            false => self.commit.short(),
        }
    }
}

impl Hub {
    /// Opens the folders and files that `config` names.
    ///
    /// # Errors
    /// [`Error`] naming what is not usable.
    pub fn open(config: &HubConfig, shutdown: Shutdown) -> Result<Self, Error> {
        let network: Option<Network> = config.network.as_deref().map(read_json).transpose()?;
        let key = Arc::new(key_at(&config.key)?);
        let catalogue = Catalogue::open(&config.data)?;
        for (handle, account) in &config.handles {
            catalogue.claim(handle, (*account).into())?;
        }
        let limits = StoreLimits {
            blob_bytes: config.retention.max_file_bytes,
            total_bytes: config.storage.disk_bytes.unwrap_or(u64::MAX),
        };
        let link = network::Link::open(config, &key)?;
        let hub = Self {
            store: Arc::new(Store::open(&config.data.join(BLOBS), limits)?),
            catalogue,
            anchor: link.clone().map_or(Anchor::Standalone, Anchor::Chain),
            link,
            endpoint: config.endpoint.clone(),
            place: config.domains.stated(),
            retention: config.retention.clone(),
            key,
            operator: config.operator.into(),
            domain: delegation::domain(network.as_ref()),
            bodies: Memory::new(config.limits.arriving_bytes, config.limits.arriving_bytes),
            commits: Admission::new(COMMITS, COMMITS_WAITING),
            rate: RateLimiter::new(config.limits.rate_per_s, config.limits.burst),
            limits: config.limits.clone(),
            storage: config.storage.clone(),
            shutdown,
            downloads: Mutex::default(),
            summaries: RwLock::default(),
            finder: finding::Finder::open(&config.search)?,
            sketches: RwLock::default(),
            withheld: RwLock::default(),
            turns: tokio::sync::Mutex::default(),
            last_read: collection::LastRead::default(),
            steady: collection::Steady::new(),
            collecting: tokio::sync::RwLock::default(),
        };
        hub.read_withheld()?;
        for repository in hub.catalogue.repositories()? {
            let read = hub.refresh(&repository.key());
            read.map_err(|error| Error::Catalogue(error.0.message()))?;
        }
        Ok(hub)
    }

    /// Reads anew what lists know of a repository.
    ///
    /// # Errors
    /// [`Fault::Internal`] where the disk fails.
    pub fn refresh(&self, key: &RepositoryKey) -> Result<(), ApiError> {
        if !self
            .withheld
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
        {
            self.read_withheld()?;
        }
        let summary = self.summarize(key)?;
        let document = summary
            .as_ref()
            .map(|summary| self.document(summary))
            .transpose()?;
        let before = {
            let mut summaries = self
                .summaries
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            match summary {
                Some(summary) => summaries.insert(key.clone(), summary),
                None => summaries.remove(key),
            }
        };
        // A publisher who claimed a handle has other ids from then on.
        if let Some(before) = before {
            self.finder.remove(key.kind, &before.id);
        }
        if let Some(document) = document {
            self.finder.put(key.kind, document);
        }
        Ok(())
    }

    fn summarize(&self, key: &RepositoryKey) -> Result<Option<Summary>, ApiError> {
        let Some(repository) = self.catalogue.repository(key)? else {
            return Ok(None);
        };
        let Some(head) = self.catalogue.head(key, &RefName::main())? else {
            return Ok(None);
        };
        let commit = self.catalogue.commit(&head)?;
        let facts = self.facts(&commit.tree)?;
        let namespaces = std::iter::once(repository.publisher.to_string())
            .chain(repository.handle.as_ref().map(ToString::to_string));
        Ok(Some(Summary {
            kind: key.kind,
            id: repository.id(),
            namespaces: namespaces.collect(),
            head,
            created_ms: repository.created_ms,
            modified_ms: commit.date_ms,
            downloads: self
                .catalogue
                .downloads(key)?
                .saturating_add(self.waiting_downloads(key)),
            tags: api::tags(&facts, key.kind),
            pipeline_tag: api::pipeline_tag(&facts),
            library_name: api::library_name(&facts),
            parameters: facts.safetensors.clone(),
            bytes: self
                .catalogue
                .revision(&commit.revision)?
                .map_or(0, |revision| revision.bytes),
            card: facts.card,
        }))
    }

    /// Gives what lists know of each repository of `kind` to `look`.
    pub fn with_summaries<T>(
        &self,
        kind: Kind,
        look: impl FnOnce(&mut dyn Iterator<Item = &Summary>) -> T,
    ) -> T {
        let summaries = self
            .summaries
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        look(&mut summaries.values().filter(|summary| summary.kind == kind))
    }

    /// Downloads of a repository that clients claimed.
    pub fn downloads(&self, key: &RepositoryKey) -> u64 {
        let summaries = self
            .summaries
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        summaries.get(key).map_or(0, |summary| summary.downloads)
    }

    /// What is refused, with a repository by its publisher's address and its name in lower case: one name for one thing.
    ///
    /// # Errors
    /// [`Fault::BadRequest`] for what is no name, [`Fault::NotFound`] for a handle that nobody claimed.
    pub fn subject(&self, subject: Subject) -> Result<Subject, ApiError> {
        let Subject::Repository { kind, name } = subject else {
            return Ok(subject);
        };
        let (namespace, name) = name
            .split_once('/')
            .ok_or_else(|| ApiError::bad_request("a repository is namespace/name"))?;
        let publisher = match namespace.parse::<Namespace>()? {
            Namespace::Account(account) => account,
            Namespace::Handle(handle) => {
                let unclaimed = || Fault::NotFound(format!("nobody claimed the handle {handle}"));
                self.catalogue.account_of(&handle)?.ok_or_else(unclaimed)?
            }
        };
        let name = Name::new(kind, name)?;
        Ok(Subject::Repository {
            kind,
            name: format!("{publisher}/{}", name.key()),
        })
    }

    /// The repository that clients call `id`, `namespace/name`.
    ///
    /// # Errors
    /// [`Fault::RepositoryNotFound`] where there is none or `id` is no name, [`Fault::Refused`] where it is not served.
    pub fn repository(&self, kind: Kind, id: &str) -> Result<Repository, ApiError> {
        let missing = || ApiError::from(Fault::RepositoryNotFound(id.to_owned()));
        let (namespace, name) = id.split_once('/').ok_or_else(missing)?;
        let name = Name::new(kind, name).map_err(|_| missing())?;
        let publisher = match namespace.parse().map_err(|_| missing())? {
            Namespace::Account(account) => account,
            Namespace::Handle(handle) => self.catalogue.account_of(&handle)?.ok_or_else(missing)?,
        };
        let key = catalogue::key_of(kind, publisher, &name);
        let repository = self.catalogue.repository(&key)?.ok_or_else(missing)?;
        self.serves(&Subject::Repository {
            kind,
            name: format!("{publisher}/{}", key.name),
        })?;
        Ok(repository)
    }

    /// The repository that clients call `id`; with `creates`, also one that is not there and can be, and whether it is such.
    ///
    /// # Errors
    /// As [`Self::repository`].
    pub fn repository_or_new(
        &self,
        kind: Kind,
        id: &str,
        creates: bool,
    ) -> Result<(Repository, bool), ApiError> {
        let missing = match self.repository(kind, id) {
            Ok(repository) => return Ok((repository, false)),
            Err(error) => error,
        };
        let (Fault::RepositoryNotFound(_), true, Some((namespace, name))) =
            (&*missing.0, creates, id.split_once('/'))
        else {
            return Err(missing);
        };
        let (name, namespace) = (Name::new(kind, name)?, namespace.parse::<Namespace>()?);
        let publisher = match namespace {
            Namespace::Account(account) => account,
            Namespace::Handle(handle) => self.catalogue.account_of(&handle)?.ok_or(missing)?,
        };
        self.serves(&Subject::Repository {
            kind,
            name: format!("{publisher}/{}", name.key()),
        })?;
        let repository = Repository {
            kind,
            publisher,
            handle: self.catalogue.handle_of(publisher)?,
            name,
            created_ms: now_ms(),
        };
        Ok((repository, true))
    }

    /// The commit of a repository that `rev` means.
    ///
    /// # Errors
    /// [`Fault::RevisionNotFound`] where there is none, [`Fault::Refused`] where it is not served.
    pub fn at(&self, repository: Repository, rev: &str) -> Result<At, ApiError> {
        let missing = || ApiError::from(Fault::RevisionNotFound(rev.to_owned()));
        let (named, asks_for_code) = safety::meant(rev);
        let meant: Rev = named.parse().map_err(|_| missing())?;
        let commit = self
            .catalogue
            .resolve(&repository.key(), &meant)?
            .ok_or_else(missing)?;
        let said = self.catalogue.commit(&commit)?;
        self.serves(&Subject::Revision { id: said.revision })?;
        Ok(At {
            repository,
            commit,
            revision: said.revision,
            inventory: said.tree,
            with_code: asks_for_code || meant == Rev::Commit(commit.with_code()),
        })
    }

    /// The file at `path` of what `rev` means in the repository that clients call `id`.
    ///
    /// # Errors
    /// As [`Self::repository`] and [`Self::at`]; [`Fault::EntryNotFound`] where there is no such file.
    pub fn locate(&self, kind: Kind, id: &str, rev: &str, path: &str) -> Result<Located, ApiError> {
        let At {
            repository,
            commit,
            revision,
            inventory,
            with_code,
        } = self.at(self.repository(kind, id)?, rev)?;
        let missing = || {
            ApiError::from(Fault::EntryNotFound {
                path: path.to_owned(),
                commit,
            })
        };
        let path: TreePath = path.parse().map_err(|_| missing())?;
        let entry = self
            .catalogue
            .file(&inventory, &path)?
            .ok_or_else(missing)?;
        self.serves(&Subject::Blob { id: entry.blob })?;
        Ok(Located {
            repository,
            commit,
            revision,
            inventory,
            with_code,
            path,
            entry,
        })
    }

    /// Whether this hub serves it.
    ///
    /// # Errors
    /// [`Fault::Refused`] with the reason that the log of refusals has.
    pub fn serves(&self, subject: &Subject) -> Result<(), ApiError> {
        match self.catalogue.refused(subject)? {
            Some(refusal) => Err(Fault::Refused(refusal.reason).into()),
            None => Ok(()),
        }
    }

    /// Whether this hub gives a blob by its id, which it does not where only refused revisions have it.
    ///
    /// # Errors
    /// [`Fault::Refused`] with the reason of the revision.
    pub fn withholds(&self, blob: &BlobId) -> Result<(), ApiError> {
        let withheld = self.withheld.read().unwrap_or_else(PoisonError::into_inner);
        match withheld.get(blob) {
            Some(reason) => Err(Fault::Refused(reason.clone()).into()),
            None => Ok(()),
        }
    }

    /// Reads anew which blobs are withheld; after a refusal, and where a new revision may have some of them.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn read_withheld(&self) -> Result<(), Error> {
        let withheld = self.catalogue.withheld()?;
        *self
            .withheld
            .write()
            .unwrap_or_else(PoisonError::into_inner) = withheld;
        Ok(())
    }

    /// What the token of a request allows, checked; `None` where there is no token.
    ///
    /// # Errors
    /// [`Fault::Unauthorized`] for one that is not good.
    pub fn token(&self, headers: &HeaderMap) -> Result<Option<Grant>, ApiError> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Ok(None);
        };
        let text = value.to_str().ok().and_then(|text| text.split_once(' '));
        let bearer = text.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let refused = || Fault::Unauthorized("the authorization is no bearer token".into());
        let (_, bearer) = bearer.ok_or_else(refused)?;
        let grant = Token::from_text(bearer.trim())?.verify(&Circumstances {
            domain: self.domain,
            hub: self.key.address().to_address(),
            now_ms: now_ms(),
        })?;
        grant.check_revocation(self.catalogue.revoked_before(grant.publisher().into())?)?;
        Ok(Some(grant))
    }

    /// The account that may do what `scope` says in `repository`. Everybody may read, also without a token, which is
    /// the account [`Account::ZERO`]; a token that is not good is refused even so.
    ///
    /// # Errors
    /// [`Fault::Unauthorized`] without a good token where one is needed, [`Fault::Forbidden`] for another's repository
    /// or a token for reading.
    pub fn authorize(
        &self,
        headers: &HeaderMap,
        repository: &Repository,
        scope: Scope,
    ) -> Result<Account, ApiError> {
        match scope {
            Scope::Read => Ok(self
                .token(headers)?
                .map_or(Account::ZERO, |grant| grant.publisher().into())),
            Scope::Write => self
                .writer(headers, repository.publisher)
                .map(|grant| grant.publisher().into()),
        }
    }

    /// By what a request writes in the namespace of `publisher`.
    ///
    /// # Errors
    /// As [`Self::authorize`].
    pub fn writer(&self, headers: &HeaderMap, publisher: Account) -> Result<Grant, ApiError> {
        let grant = self.token(headers)?;
        let grant = grant.ok_or_else(|| {
            Fault::Unauthorized(
                "this needs a token; `assay hub token` makes one from an account's key".into(),
            )
        })?;
        grant.check_write()?;
        if Account::from(grant.publisher()) != publisher {
            let reason =
                format!("the namespace belongs to {publisher}, and the token to another account");
            return Err(Fault::Forbidden(reason).into());
        }
        Ok(grant)
    }

    /// Counts a download that a client claims by `X-HF-Download-Counter`. Nobody verifies it.
    pub fn count_download(&self, repository: &RepositoryKey) {
        let mut counts = self
            .downloads
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if counts.len() < MAX_COUNTED || counts.contains_key(repository) {
            let count = counts.entry(repository.clone()).or_default();
            *count = count.saturating_add(1);
            drop(counts);
            let mut summaries = self
                .summaries
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(summary) = summaries.get_mut(repository) {
                summary.downloads = summary.downloads.saturating_add(1);
            }
        }
    }

    fn waiting_downloads(&self, key: &RepositoryKey) -> u64 {
        let counts = self
            .downloads
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        counts.get(key).copied().unwrap_or(0)
    }

    /// Writes the counts that wait.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn flush_downloads(&self) -> Result<(), Error> {
        let counts = std::mem::take(
            &mut *self
                .downloads
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if counts.is_empty() {
            return Ok(());
        }
        self.catalogue.add_downloads(&counts)?;
        let counted: Vec<(Kind, String, u64)> = {
            let summaries = self
                .summaries
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            let counted = counts.keys().filter_map(|key| summaries.get(key));
            counted
                .map(|summary| (summary.kind, summary.id.clone(), summary.downloads))
                .collect()
        };
        for (kind, id, downloads) in counted {
            self.finder.set_downloads(kind, &id, downloads);
        }
        Ok(())
    }

    /// A turn to write to a repository; the next writer waits until it is dropped.
    pub async fn turn(&self, repository: &RepositoryKey) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut turns = self.turns.lock().await;
            turns.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(turns.entry(repository.clone()).or_default())
        };
        lock.lock_owned().await
    }

    /// Runs `work`, which blocks, where it keeps nobody waiting.
    ///
    /// # Errors
    /// What `work` says.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let hub = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&hub)).await {
            Ok(done) => done,
            Err(_) => Err(ApiError::internal("a part of the hub ended early")),
        }
    }

    async fn keep_counts(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(FLUSH_EVERY);
        loop {
            ticks.tick().await;
            let written = self.blocking(|hub| Ok(hub.flush_downloads()?)).await;
            if written.is_err() {
                tracing::warn!("counts of downloads were not written");
            }
        }
    }
}

/// Seconds since the Unix epoch.
pub fn now_s() -> u64 {
    now_ns() / 1_000_000_000
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    now_ns() / 1_000_000
}

/// The key in a file, which is made if it is missing.
fn key_at(path: &Path) -> Result<NodeKey, Error> {
    if !path.exists() {
        crate::config::write_key(path, &rand::random())?;
    }
    crate::config::read_key(path)
}

/// Runs a hub until `shutdown`, then lets running requests end.
///
/// # Errors
/// [`Error`] if a file is not usable or the address is taken.
pub async fn run(config: HubConfig, shutdown: Shutdown) -> Result<(), Error> {
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| Error::Listen {
            address: config.listen,
            reason: error.to_string(),
        })?;
    run_on(listener, config, shutdown).await
}

/// [`run`] on a socket that listens already, whatever the configuration says of one.
///
/// # Errors
/// [`Error`] if a file is not usable.
pub async fn run_on(
    listener: TcpListener,
    config: HubConfig,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let hub = Arc::new(Hub::open(&config, shutdown.clone())?);
    tracing::info!(listen = %config.listen, hub = %hub.key.address(), anchor = hub.anchor.name(), "hub is up");
    let transfer = transfer::Transfer::open(Arc::clone(&hub), &config.data)?;
    let counts = tokio::spawn(Arc::clone(&hub).keep_counts());
    let uploads = Arc::clone(&transfer).collect();
    let sketching = tokio::spawn(Arc::clone(&hub).keep_sketches());
    let collecting = tokio::spawn(collection::run(Arc::clone(&hub)));
    let linked = hub.link.as_ref().map(|link| {
        let mut tasks = link.start(&hub, &shutdown);
        let evidence = finding::evidence::follow(Arc::clone(&hub), link.rpc.clone());
        tasks.push(tokio::spawn(evidence));
        tasks
    });
    let stop = shutdown.clone();
    let served = server::serve(listener, Arc::clone(&hub), transfer, async move {
        stop.requested().await
    });
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = shutdown.requested() => timeout(DRAIN_TIMEOUT, &mut served).await.unwrap_or_else(|_| {
            tracing::warn!("some requests did not end in time");
            Ok(())
        }),
    };
    let own = [counts, sketching, uploads, collecting];
    for task in own.into_iter().chain(linked.into_iter().flatten()) {
        task.abort();
    }
    hub.flush_downloads()?;
    let_go(hub).await;
    tracing::info!("hub stopped");
    ended.map_err(|source| Error::System {
        what: "serving",
        source,
    })
}

/// Waits until nobody else holds the hub: its files can be opened again only then, and tasks that were ended and
/// connections hold it a moment longer.
async fn let_go(hub: Arc<Hub>) {
    let alone = async {
        while Arc::strong_count(&hub) > 1 {
            tokio::time::sleep(LET_GO_POLL).await;
        }
    };
    if timeout(DRAIN_TIMEOUT, alone).await.is_err() {
        tracing::warn!("the hub's files are still in use");
    }
}
