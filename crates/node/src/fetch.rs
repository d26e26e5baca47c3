//! Content from hubs: several are asked at once, and nothing is kept that its name does not prove.
//!
//! A [`Fetcher`] knows hubs and what each did wrong. An object is small and comes whole; a blob comes in pieces, each from
//! whichever hub is free, each verified against the blob's id before it is written. A hub that sends wrong bytes is not
//! asked for that blob again, and [`Note`]s say what it did.

use crate::{Error, clock, hub::api::HUB_PATH, reach::Reach};
use assay_blob::BlobId;
use assay_hub::{Commit, CommitId, Manifest};
use assay_receipt::{NodeAddress, RevisionId};
use futures::{StreamExt as _, stream::FuturesUnordered};
use reqwest::{Client, Response, StatusCode, redirect};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

mod blob;
mod challenge;
mod notes;
mod pieces;

pub use challenge::CHALLENGE_BLOCKS;
pub use notes::{Note, Notes};
pub use pieces::MAX_MANIFESTS;
pub(crate) use pieces::forget;

/// Where a hub gives a commit's canonical bytes, by its id.
pub const COMMITS_PATH: &str = "/assay/v1/commits";
/// Where a hub gives a manifest's canonical bytes, by the revision's id.
pub const REVISIONS_PATH: &str = "/assay/v1/revisions";
/// Where a hub gives blobs, by their ids.
pub const BLOBS_PATH: &str = "/assay/v1/blobs";

/// Longest description of a hub, bytes.
const MAX_DESCRIPTION: u64 = 64 << 10;
/// A connection is made within this time, or the hub counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A hub that sends nothing for so long is passed over.
const SILENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// What a hub did not bring within this time is asked of another as well.
const TAKE_OVER: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 5_000 });
/// Small things are asked of another as well after this time.
const NEXT_AFTER: Duration = Duration::from_millis(if cfg!(test) { 300 } else { 1_000 });
/// Bytes per second that are few, of a large thing on its way.
const FEW_PER_SECOND: u64 = 1 << 20;
/// All of a body that is read into memory comes within this time.
const BODY_TIME: Duration = Duration::from_secs(120);
/// Most bytes of a refusal that are read, for its reason.
const MAX_REASON: usize = 4_096;

/// A hub to fetch from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    /// How it is called: its key's address where that is known.
    pub name: String,
    /// Its URL, without a slash at its end.
    pub url: String,
}

/// What a hub did instead of giving what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "snake_case")]
pub enum Fault {
    /// It does not answer, or not in time.
    Unreachable(String),
    /// It does not have it.
    Absent,
    /// It does not serve it, and says why.
    Refused(String),
    /// It sent other bytes than those that were asked for.
    WrongBytes(String),
    /// It has it, and proved that its size, bytes, is another than was asked for: whoever named that one is wrong.
    OtherSize(u64),
    /// It failed by its own account.
    Failed(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "cannot be reached: {why}"),
            Self::Absent => f.write_str("does not have it"),
            Self::Refused(reason) => write!(f, "refuses it: {reason}"),
            Self::WrongBytes(what) => write!(f, "sent wrong bytes: {what}"),
            Self::OtherSize(size) => write!(f, "has it, of {size} bytes and no others"),
            Self::Failed(what) => write!(f, "failed: {what}"),
        }
    }
}

/// What counts of a hub's description: whatever else it says, another version may say otherwise.
#[derive(Deserialize)]
struct Described {
    hub: NodeAddress,
}

/// Asks hubs for content.
#[derive(Debug, Clone)]
pub struct Fetcher {
    http: Client,
    sources: Arc<[Source]>,
    /// The place of the one that is asked first for small things.
    best: Arc<AtomicUsize>,
    notes: Arc<Notes>,
}

impl Fetcher {
    /// Fetches from these hubs, the first preferred for small things. What they do wrong goes to `notes`.
    ///
    /// # Errors
    /// [`Error::Fetch`] if no hub is given, or the system has no client for HTTP.
    pub fn new(sources: Vec<Source>, reach: Reach, notes: Arc<Notes>) -> Result<Self, Error> {
        if sources.is_empty() {
            return Err(Error::fetch("content", "no hub is known to ask"));
        }
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE)
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(reach))
            .no_proxy()
            .build()
            .map_err(|error| Error::fetch("content", error))?;
        let sources = sources
            .into_iter()
            .filter(|source| reach.takes(&source.url));
        Ok(Self {
            http,
            sources: sources.collect(),
            best: Arc::default(),
            notes,
        })
    }

    /// The hubs.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The commit of an id.
    ///
    /// # Errors
    /// [`Error::Fetch`] naming what each hub did.
    pub async fn commit(&self, id: CommitId) -> Result<Commit, Error> {
        let path = format!("{COMMITS_PATH}/{id}");
        let check = |bytes: &[u8]| match Commit::id_of(bytes) == id {
            true => Commit::from_canonical(bytes).map_err(|error| error.to_string()),
            false => Err("they are not those of the commit".into()),
        };
        self.object(&path, &format!("commit {id}"), 1 << 20, check)
            .await
    }

    /// The canonical bytes of a revision's manifest, of whatever format.
    ///
    /// # Errors
    /// [`Error::Fetch`] naming what each hub did.
    pub async fn manifest(&self, id: RevisionId) -> Result<Vec<u8>, Error> {
        let path = format!("{REVISIONS_PATH}/{id}");
        let check = |bytes: &[u8]| match Manifest::id_of(bytes) == id {
            true => Ok(bytes.to_vec()),
            false => Err("they are not those of the revision's manifest".into()),
        };
        self.object(
            &path,
            &format!("revision {id}"),
            assay_hub::manifest::MAX_BYTES,
            check,
        )
        .await
    }

    /// A small blob, in memory.
    ///
    /// # Errors
    /// [`Error::Fetch`] naming what each hub did.
    pub async fn small(&self, id: BlobId, most: u64) -> Result<Vec<u8>, Error> {
        let path = format!("{BLOBS_PATH}/{id}");
        let check = |bytes: &[u8]| match BlobId::of(bytes) == id {
            true => Ok(bytes.to_vec()),
            false => Err("they are not those of the blob".into()),
        };
        self.object(&path, &format!("blob {id}"), most, check).await
    }

    /// Whether one hub serves a revision.
    ///
    /// # Errors
    /// What it does instead.
    pub async fn has_revision(&self, source: &Source, id: RevisionId) -> Result<(), Fault> {
        let path = format!("{REVISIONS_PATH}/{id}");
        let bytes = self
            .get(source, &path, assay_hub::manifest::MAX_BYTES)
            .await?;
        match Manifest::id_of(&bytes) == id {
            true => Ok(()),
            false => Err(Fault::WrongBytes(
                "the manifest is not that of the revision".into(),
            )),
        }
    }

    /// Whether what answers at a hub's URL describes itself as the hub of this address. The description is not signed:
    /// whoever holds the URL can say so.
    pub async fn is_there(&self, source: &Source, hub: NodeAddress) -> bool {
        let described = timeout(SILENCE, self.get(source, HUB_PATH, MAX_DESCRIPTION)).await;
        let described = described.ok().and_then(Result::ok);
        let named = described.and_then(|bytes| serde_json::from_slice::<Described>(&bytes).ok());
        named.is_some_and(|named| named.hub == hub)
    }

    /// The same hubs, with what they do wrong noted elsewhere.
    #[must_use]
    pub fn noting(self, notes: Arc<Notes>) -> Self {
        Self { notes, ..self }
    }

    /// Something small, of the first hub whose bytes pass the check. They are asked in their order, the next one where one
    /// fails or takes its time; who gave something where others did not is asked first from then on.
    async fn object<T>(
        &self,
        path: &str,
        what: &str,
        most: u64,
        check: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, Error> {
        let (mut faults, mut asked) = (Vec::new(), FuturesUnordered::new());
        let best = self.best.load(Ordering::Relaxed);
        let mut others = (0..self.sources.len()).filter(|place| *place != best);
        let mut next = Some(best);
        loop {
            if let Some((place, source)) =
                next.and_then(|place| Some((place, self.sources.get(place)?)))
            {
                asked.push(async move { (place, source, self.get(source, path, most).await) });
            } else if asked.is_empty() {
                return Err(nobody(what, &faults));
            }
            if let Ok(Some((place, source, got))) = timeout(NEXT_AFTER, asked.next()).await {
                match got.and_then(|bytes| check(&bytes).map_err(Fault::WrongBytes)) {
                    Ok(got) => {
                        self.best.store(place, Ordering::Relaxed);
                        return Ok(got);
                    }
                    Err(fault) => faults.push(self.note(source, what, fault)),
                }
            }
            next = others.next();
        }
    }

    /// The body of an answer.
    async fn get(&self, source: &Source, path: &str, most: u64) -> Result<Vec<u8>, Fault> {
        let response = self.ask(source, path).await?;
        body(response, usize::try_from(most).unwrap_or(usize::MAX)).await
    }

    /// Refuses what is no hub of this fetcher: whose address is not to be asked from here is none.
    fn check(&self, source: &Source) -> Result<(), Fault> {
        match self.sources.contains(source) {
            true => Ok(()),
            false => Err(Fault::Unreachable(
                "no such address is asked from here".into(),
            )),
        }
    }

    /// An answer whose body may be read.
    async fn ask(&self, source: &Source, path: &str) -> Result<Response, Fault> {
        self.check(source)?;
        let sent = self.http.get(format!("{}{path}", source.url)).send().await;
        let response = sent.map_err(|error| unreachable_for(&error))?;
        match response.status() {
            StatusCode::OK => Ok(response),
            StatusCode::NOT_FOUND => Err(Fault::Absent),
            StatusCode::FORBIDDEN | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => {
                Err(Fault::Refused(reason(response).await))
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(Fault::Failed(format!("HTTP {status}")))
            }
            status => Err(Fault::Failed(format!(
                "HTTP {status}, which no hub answers"
            ))),
        }
    }

    fn note(&self, source: &Source, subject: &str, fault: Fault) -> Note {
        let note = Note {
            source: source.clone(),
            subject: subject.to_owned(),
            fault,
            at_ms: clock::now_ms(),
        };
        if note.fault != Fault::Absent {
            tracing::warn!(hub = note.source.name, subject, fault = %note.fault, "a hub did not deliver");
        }
        self.notes.add(note.clone());
        note
    }
}

/// How long something of so many bytes is waited for before it counts as slow.
fn patience(bytes: u64) -> Duration {
    TAKE_OVER.saturating_add(Duration::from_secs(bytes / FEW_PER_SECOND))
}

/// The body of an answer, which has no business to be longer than `most` bytes, nor to drip.
async fn body(response: Response, most: usize) -> Result<Vec<u8>, Fault> {
    let slow = || Fault::Unreachable(format!("not all came within {} s", BODY_TIME.as_secs()));
    timeout(BODY_TIME, arriving(response, most))
        .await
        .unwrap_or_else(|_| Err(slow()))
}

async fn arriving(mut response: Response, most: usize) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| unreachable_for(&error))?
    {
        if bytes.len().saturating_add(piece.len()) > most {
            return Err(Fault::WrongBytes(format!("more than {most} of them")));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// What a refusing hub says, in a line.
async fn reason(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > MAX_REASON {
            break;
        }
    }
    let said: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let said = said.as_ref().and_then(|said| said.get("error")?.as_str());
    let line = said.unwrap_or("it gives no reason").chars();
    line.map(|c| if c.is_control() { ' ' } else { c })
        .take(500)
        .collect()
}

fn unreachable_for(error: &reqwest::Error) -> Fault {
    let what = match () {
        () if error.is_timeout() => "it did not answer in time",
        () if error.is_connect() => "it takes no connection",
        () => "the connection broke",
    };
    Fault::Unreachable(what.into())
}

/// The error where no hub gave what was asked for.
fn nobody(what: &str, faults: &[Note]) -> Error {
    let each = faults
        .iter()
        .map(|note| format!("{} {}", note.source.name, note.fault));
    Error::fetch(what, each.collect::<Vec<_>>().join("; "))
}

/// A lock whose holder cannot leave what it guards half done.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
