//! Putting a directory onto a hub, through the surface that Hugging Face's clients use.
//!
//! What the hub has already is not sent again, neither files nor parts of one, so that an upload that was cut off goes on where
//! it was. The hub's word is not taken for what it made of it: the revision that it names has to be the one of the files here.

mod local;
mod sending;

pub use local::Local;

use crate::{
    Error,
    fetch::{Fetcher, Notes, Source},
    reach::Reach,
};
use assay_hub::{CommitId, Fault, Inventory, Kind, Name, Tree, TreePath};
use assay_receipt::{NodeAddress, RevisionId};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Client, Method, Response, StatusCode, redirect};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// A connection is made within this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A hub that says nothing for so long is given up: it may hash a large file, and wait for a block.
const SILENCE: Duration = Duration::from_secs(300);
/// Longest answer of a hub that is read, bytes: the addresses of the parts of a batch.
const MAX_ANSWER: usize = 64 << 20;
/// Files up to this size travel in the commit.
const INLINE_BYTES: u64 = 64 << 10;
/// Most bytes that travel in one commit; what is over it is uploaded before.
const INLINE_TOTAL: u64 = 32 << 20;

/// Where and as whom to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The hub.
    pub hub: Source,
    /// A token for that hub, which lets it write for the publisher.
    pub token: String,
    /// Whose repository it is.
    pub publisher: NodeAddress,
    /// What the repository holds.
    pub kind: Kind,
    /// Its name.
    pub name: Name,
    /// The one-line text of the commit.
    pub title: String,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// The commit, final where the hub is part of a network.
    pub commit: CommitId,
    /// The revision.
    pub revision: RevisionId,
    /// Files that were put, or put differently, by this commit; none where the hub had it so before.
    pub changed: usize,
    /// Bytes of content that were sent.
    pub sent: u64,
}

/// A hub that is written to.
#[derive(Debug, Clone)]
struct Hub {
    http: Client,
    url: String,
    reach: Reach,
    token: String,
}

/// What a hub says a repository is at.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Own {
    commit: CommitId,
    revision: RevisionId,
}

#[derive(Debug, Deserialize)]
struct Described {
    assay: Own,
}

/// Makes the main branch of a repository what the directory is: files are added, replaced and taken away. The repository is
/// made with this commit where it is not there.
///
/// # Errors
/// [`Error::Push`] naming what the hub refuses or does otherwise than it should; [`Error::Config`] naming a file that cannot be
/// read or that changed meanwhile.
pub async fn push(target: &Target, reach: Reach, local: &Local) -> Result<Pushed, Error> {
    let hub = Hub::new(target, reach)?;
    let at = format!(
        "{}/{}/{}",
        target.kind.plural(),
        target.publisher,
        target.name
    );
    let before = match hub.head(&at).await? {
        Some(own) if own.revision == local.revision() => {
            return Ok(Pushed {
                commit: own.commit,
                revision: own.revision,
                changed: 0,
                sent: 0,
            });
        }
        Some(own) => Some((own.commit, tree_at(target, reach, own.commit).await?)),
        None => None,
    };
    let known = before.as_ref().map(|(_, tree)| tree);
    let changed: Vec<&TreePath> = local
        .tree()
        .files()
        .iter()
        .filter(|(path, entry)| known.and_then(|tree| tree.file(path)) != Some(entry))
        .map(|(path, _)| path)
        .collect();
    let (inline, large) = split(local.tree(), &changed);
    let mut sent = hub.upload(target, local, &large).await?;
    let mut lines = vec![json!({ "key": "header", "value": header(target, before.as_ref()) })];
    lines.extend(
        known
            .into_iter()
            .flat_map(|known| deletions(known, local.tree())),
    );
    for path in &large {
        let entry = local.entry(path)?;
        let value = json!({ "path": path.as_str(), "algo": "sha256", "oid": entry.sha256, "size": entry.size });
        lines.push(json!({ "key": "lfsFile", "value": value }));
    }
    for path in &inline {
        let content = local.content(path).await?;
        sent = sent.saturating_add(content.len() as u64);
        let value = json!({ "path": path.as_str(), "content": STANDARD.encode(content), "encoding": "base64" });
        lines.push(json!({ "key": "file", "value": value }));
    }
    let made = hub.commit(&at, &lines).await?;
    if made.revision != local.revision() {
        let why = format!(
            "it made revision {} of files that are revision {}",
            made.revision,
            local.revision()
        );
        return Err(hub.error(why));
    }
    Ok(Pushed {
        commit: made.commit,
        revision: made.revision,
        changed: changed.len(),
        sent,
    })
}

/// The files of a commit, checked against its id.
async fn tree_at(target: &Target, reach: Reach, commit: CommitId) -> Result<Tree, Error> {
    let fetcher = Fetcher::new(vec![target.hub.clone()], reach, Arc::new(Notes::default()))?;
    let commit = fetcher.commit(commit).await?;
    let inventory = fetcher
        .small(commit.tree, assay_hub::inventory::MAX_BYTES)
        .await?;
    Inventory::tree(&inventory).map_err(|error| Error::push(&target.hub.url, error))
}

/// Which of the changed files travel in the commit, and which are uploaded before it.
fn split<'a>(tree: &Tree, changed: &[&'a TreePath]) -> (Vec<&'a TreePath>, Vec<&'a TreePath>) {
    let mut total = 0u64;
    changed.iter().partition(|path| {
        let size = tree.file(path).map_or(u64::MAX, |entry| entry.size);
        let fits = size <= INLINE_BYTES && total.saturating_add(size) <= INLINE_TOTAL;
        if fits {
            total = total.saturating_add(size);
        }
        fits
    })
}

fn header(target: &Target, before: Option<&(CommitId, Tree)>) -> Value {
    let parent = before.map(|(commit, _)| commit.short().to_string());
    json!({ "summary": target.title, "description": "", "parentCommit": parent })
}

/// Takes away what is not in the directory.
fn deletions(known: &Tree, now: &Tree) -> Vec<Value> {
    let kept: BTreeSet<&TreePath> = now.files().keys().collect();
    let gone = known.files().keys().filter(|path| !kept.contains(path));
    gone.map(|path| json!({ "key": "deletedFile", "value": { "path": path.as_str() } }))
        .collect()
}

impl Hub {
    fn new(target: &Target, reach: Reach) -> Result<Self, Error> {
        let url = target.hub.url.trim_end_matches('/').to_owned();
        if !reach.takes(&url) {
            let why = "it is at a private address, or no http(s)://HOST[:PORT]";
            return Err(Error::push(url, why));
        }
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE)
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(reach))
            .no_proxy()
            .build()
            .map_err(|error| Error::push(&url, error))?;
        Ok(Self {
            http,
            url,
            reach,
            token: target.token.clone(),
        })
    }

    fn error(&self, why: impl ToString) -> Error {
        Error::push(&self.url, why)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, Error> {
        let sent = request.send().await;
        sent.map_err(|error| self.error(error.without_url()))
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.url);
        self.http.request(method, url).bearer_auth(&self.token)
    }

    /// Where the main branch is; `None` where there is no such repository.
    async fn head(&self, at: &str) -> Result<Option<Own>, Error> {
        let asked = self.request(Method::GET, &format!("/api/{at}?expand=assay"));
        let answer = self.send(asked).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let described: Described = self.read(answer).await?;
        Ok(Some(described.assay))
    }

    async fn commit(&self, at: &str, lines: &[Value]) -> Result<Own, Error> {
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let asked = self
            .request(Method::POST, &format!("/api/{at}/commit/main?create=true"))
            .header("content-type", "application/x-ndjson")
            .body(body);
        let answer = self.send(asked).await?;
        let made: Described = self.read(answer).await?;
        Ok(made.assay)
    }

    /// An answer that is a success, as JSON; otherwise what the hub says.
    async fn read<T: DeserializeOwned>(&self, answer: Response) -> Result<T, Error> {
        let bytes = self.success(answer).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| self.error(format!("its answer is no hub's: {error}")))
    }

    async fn success(&self, mut answer: Response) -> Result<Vec<u8>, Error> {
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(piece) = answer
            .chunk()
            .await
            .map_err(|error| self.error(error.without_url()))?
        {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_ANSWER {
                return Err(self.error("its answer is too long"));
            }
        }
        if status.is_success() {
            return Ok(bytes);
        }
        let said: Option<Value> = serde_json::from_slice(&bytes).ok();
        let said = said.as_ref().and_then(|said| said.get("error")?.as_str());
        let said: String = said
            .unwrap_or("it says nothing more")
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(500)
            .collect();
        Err(self.error(match status.as_u16() == Fault::Full.status() {
            true => said,
            false => format!("HTTP {}: {said}", status.as_u16()),
        }))
    }
}
