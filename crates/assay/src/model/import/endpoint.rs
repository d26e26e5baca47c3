//! A repository from an endpoint of Hugging Face's shape: one commit, its listing, and each file against its digest.

use super::{Arriving, MAX_BYTES, MAX_FILES, Named, entry};
use crate::complaint::Complaint;
use anyhow::{Result, ensure};
use assay_blob::Sha256;
use assay_hub::{
    TreePath,
    imported::Imported,
    query::{encode, encode_path},
};
use assay_node::reach::Reach;
use reqwest::{Client, Response, StatusCode, Url, header, redirect};
use serde::{Deserialize, de::DeserializeOwned};
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

/// A connection is made within this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// An endpoint that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest page of a listing, bytes.
const MAX_PAGE: usize = 16 << 20;
/// Most pages of a listing.
const MAX_PAGES: usize = 1_000;
/// Times that a file which breaks off is gone on with.
const TRIES: usize = 5;

#[derive(Debug, Deserialize)]
struct Described {
    sha: String,
}

#[derive(Debug, Deserialize)]
struct Row {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    lfs: Option<Lfs>,
}

#[derive(Debug, Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

/// Fetches `organisation/name[@revision]`.
pub async fn import(url: &str, source: &str, into: &Path) -> Result<Imported> {
    let endpoint = Endpoint::new(url)?;
    let (repository, revision) = source.split_once('@').unwrap_or((source, "main"));
    if repository.split('/').count() != 2
        || repository
            .split('/')
            .any(|part| part.is_empty() || part.starts_with('.'))
    {
        return Err(Complaint::usage(format!("{source} is no repository"))
            .hint("give ORGANISATION/NAME, or ORGANISATION/NAME@REVISION")
            .into());
    }
    let path = encode_path(repository);
    let asked = format!("/api/models/{path}/revision/{}", encode(revision));
    let Described { sha } = endpoint.json(&asked).await?.0;
    ensure!(
        sha.len() == 40 && sha.bytes().all(|byte| byte.is_ascii_hexdigit()),
        endpoint.refused("it names no commit")
    );
    let listed = endpoint.listing(&path, &sha).await?;
    // A hub that keeps back what can run code gives it under a revision that asks for it.
    let prefix = if revision.starts_with("unsafe/") {
        "unsafe/"
    } else {
        ""
    };
    let mut files = Vec::new();
    for (file, (size, named)) in listed {
        let address = format!(
            "/{path}/resolve/{}/{}",
            encode(&format!("{prefix}{sha}")),
            encode_path(file.as_str())
        );
        let arriving = Arriving::begin(into, &file, size, named)?;
        let sha256 = endpoint.file(&address, arriving, &sha).await?;
        files.push(entry(file, size, sha256));
    }
    Ok(Imported {
        format: 1,
        source: endpoint.url.trim_end_matches('/').to_owned(),
        repository: repository.to_owned(),
        commit: sha,
        files,
    })
}

struct Endpoint {
    http: Client,
    url: String,
}

impl Endpoint {
    fn new(url: &str) -> Result<Self> {
        let unusable = |why: &dyn std::fmt::Display| {
            Complaint::usage(format!("{url}: {why}"))
                .hint("give an endpoint as https://HOST or http://HOST:PORT")
        };
        let parsed = Url::parse(url).map_err(|error| unusable(&error))?;
        if !matches!(parsed.scheme(), "http" | "https")
            || !parsed.username().is_empty()
            || parsed.query().is_some()
        {
            return Err(unusable(&"it is no plain HTTP address").into());
        }
        let url = url.trim_end_matches('/').to_owned();
        // Who names an endpoint of the own network means it; a public one does not lead there.
        let is_public = Reach { private: false }.takes(&parsed.origin().ascii_serialization());
        let private = !is_public || parsed.host_str() == Some("localhost");
        let reach = Reach { private };
        let follow = redirect::Policy::custom(move |attempt| {
            let target = attempt.url().origin().ascii_serialization();
            match attempt.previous().len() < 6 && reach.takes(&target) {
                true => attempt.follow(),
                false => attempt.stop(),
            }
        });
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE)
            .redirect(follow)
            .dns_resolver(Arc::new(reach))
            .no_proxy()
            .build()?;
        Ok(Self { http, url })
    }

    fn refused(&self, why: impl std::fmt::Display) -> Complaint {
        Complaint::failed(format!("{}: {why}", self.url))
            .hint("nothing was kept; try again, or take another source")
    }

    async fn ask(&self, address: &str, from: u64) -> Result<Response> {
        let mut asked = self
            .http
            .get(format!("{}{address}", self.url))
            .header(header::ACCEPT_ENCODING, "identity");
        if from > 0 {
            asked = asked.header(header::RANGE, format!("bytes={from}-"));
        }
        let answer = asked
            .send()
            .await
            .map_err(|error| self.refused(error.without_url()))?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let said = answer
            .headers()
            .get("x-error-message")
            .and_then(|said| said.to_str().ok());
        let said = said.unwrap_or("it says nothing more").to_owned();
        Err(self
            .refused(format!(
                "HTTP {} for {address}: {said}",
                answer.status().as_u16()
            ))
            .into())
    }

    async fn json<T: DeserializeOwned>(&self, address: &str) -> Result<(T, Option<String>)> {
        let mut answer = self.ask(address, 0).await?;
        let link = answer
            .headers()
            .get(header::LINK)
            .and_then(|link| link.to_str().ok());
        let next = link.and_then(next_of);
        let mut bytes = Vec::new();
        while let Some(piece) = answer
            .chunk()
            .await
            .map_err(|error| self.refused(error.without_url()))?
        {
            bytes.extend_from_slice(&piece);
            ensure!(
                bytes.len() <= MAX_PAGE,
                self.refused("its answer is too long")
            );
        }
        let parsed = serde_json::from_slice(&bytes);
        Ok((
            parsed
                .map_err(|error| self.refused(format!("its answer has another shape: {error}")))?,
            next,
        ))
    }

    /// Every file of a commit: its size, and the digest that it is listed with.
    async fn listing(&self, path: &str, sha: &str) -> Result<BTreeMap<TreePath, (u64, Named)>> {
        let (mut files, mut bytes) = (BTreeMap::new(), 0u64);
        let mut next = Some(format!(
            "/api/models/{path}/tree/{sha}?recursive=true&expand=false"
        ));
        let mut pages = 0usize;
        while let Some(address) = next {
            pages = pages.saturating_add(1);
            ensure!(
                pages <= MAX_PAGES,
                self.refused("its listing has too many pages")
            );
            let (rows, more): (Vec<Row>, _) = self.json(&address).await?;
            for row in rows.into_iter().filter(|row| row.kind == "file") {
                let file: TreePath = row.path.parse().map_err(|error| self.refused(error))?;
                let (size, oid) = match &row.lfs {
                    Some(lfs) => (lfs.size, &lfs.oid),
                    None => (row.size, &row.oid),
                };
                let named = Named::parse(oid)
                    .ok_or_else(|| self.refused(format!("{file} is listed without a digest")))?;
                bytes = bytes.saturating_add(size);
                ensure!(
                    files.len() < MAX_FILES && bytes <= MAX_BYTES,
                    self.refused("the repository is too large")
                );
                let twice = files.insert(file, (size, named)).is_some();
                ensure!(!twice, self.refused("a file is listed twice"));
            }
            next = match more {
                Some(url) => Some(self.own(&url)?),
                None => None,
            };
        }
        ensure!(
            !files.is_empty(),
            self.refused("the repository has no files")
        );
        Ok(files)
    }

    /// The next page's address, which has to be at the endpoint.
    fn own(&self, url: &str) -> Result<String> {
        let rest = url.strip_prefix(&self.url).unwrap_or(url);
        match rest.starts_with('/') {
            true => Ok(rest.to_owned()),
            false => Err(self.refused("its listing goes on at another host").into()),
        }
    }

    /// A file's bytes; where they break off, it is gone on with.
    async fn file(&self, address: &str, mut arriving: Arriving, sha: &str) -> Result<Sha256> {
        let mut tries = 0usize;
        while arriving.got < arriving.size || tries == 0 {
            tries = tries.saturating_add(1);
            let from = arriving.got;
            let mut answer = self.ask(address, from).await?;
            let commit = answer
                .headers()
                .get("x-repo-commit")
                .and_then(|commit| commit.to_str().ok());
            ensure!(
                commit.is_none_or(|commit| commit == sha),
                self.refused("it gives a file of another commit")
            );
            let goes_on = from == 0 || answer.status() == StatusCode::PARTIAL_CONTENT;
            ensure!(
                goes_on,
                self.refused("it does not go on with a file that broke off")
            );
            loop {
                match answer.chunk().await {
                    Ok(Some(piece)) => arriving.write(&piece)?,
                    Ok(None) => break,
                    Err(error) if tries < TRIES => {
                        tracing::warn!(%error, address, "a download broke off");
                        break;
                    }
                    Err(error) => return Err(self.refused(error.without_url()).into()),
                }
            }
            if tries >= TRIES {
                break;
            }
        }
        arriving.finish()
    }
}

/// The address of the next page in a `Link` header.
fn next_of(link: &str) -> Option<String> {
    let part = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let (_, rest) = part.split_once('<')?;
    let (url, _) = rest.split_once('>')?;
    Some(url.to_owned())
}
