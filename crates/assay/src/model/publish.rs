//! `assay model publish`: a directory's files to a hub, its revision to the chain.

use super::{offer, open, proofs_text, register, signing, tree};
use crate::{
    cli,
    complaint::{Complaint, Exit, one_line},
    hub::{Described, describe, issue},
    output::{self, Form, Progress},
};
use anyhow::{Context as _, Result};
use assay_hub::{Kind, Name, TreePath};
use assay_inference::{MANIFEST_FILE, Revision};
use assay_node::{
    config::read_key,
    delegation::Scope,
    fetch::{Fetcher, Notes, Source},
    pull::listed_hubs,
    push::{Local, Pushed, Target, push},
    reach::Reach,
    registry, repositories,
    rpc_client::RpcClient,
    wallet::Wallet,
};
use assay_receipt::{NodeAddress, NodeKey, RevisionId};
use serde::Serialize;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// A token lasts as long as an upload may take, seconds.
const TOKEN_S: u64 = 24 * 3_600;
/// Other hubs are given so long to have it, too, before this says who has it.
const SPREAD: Duration = Duration::from_secs(15);
/// Between two looks.
const POLL: Duration = Duration::from_millis(500);
/// What lies in a directory and is no part of a model: git's own, what clients keep beside downloads, a cut-off pull.
const LEFT_OUT: [&str; 4] = [".git/", ".cache/", ".assay-pull/", ".hg/"];

/// A hub, and what became of the revision there.
#[derive(Debug, Serialize)]
struct Place {
    hub: String,
    url: String,
    state: String,
}

/// What is published, by whom.
struct Publication {
    key: Arc<NodeKey>,
    name: Name,
    local: Local,
    /// Files that the manifest does not list, which are none of the revision's.
    left_out: usize,
}

impl Publication {
    fn publisher(&self) -> NodeAddress {
        self.key.address()
    }

    fn full_name(&self) -> String {
        format!("{}/{}", self.publisher(), self.name)
    }
}

/// Runs the command.
///
/// # Errors
/// A complaint about the directory, or what no hub takes or the chain refuses.
pub async fn publish(arguments: cli::Publish, form: Form) -> Result<Exit> {
    // A revision that nodes run is refused a new signature further on.
    if let Some(key) = &arguments.signing_key
        && engine_revision(&arguments.directory)?.is_none()
    {
        signing::sign_declaring(&arguments.directory, key)?;
    }
    let publication = read(&arguments).await?;
    let stands_alone = match arguments.hub.first() {
        Some(url) => describe(url, Reach { private: true })
            .await
            .is_ok_and(|hub| hub.chain_id == 0),
        None => false,
    };
    let rpc = RpcClient::new(std::slice::from_ref(&arguments.rpc))?;
    let (sources, reach) = match stands_alone {
        true => (named(&arguments.hub), Reach { private: true }),
        false => hubs(&arguments, &rpc).await?,
    };
    let asked: Vec<Source> = sources
        .iter()
        .filter(|source| reach.takes(&source.url))
        .cloned()
        .collect();
    let mut told = Told {
        model: publication.full_name(),
        revision: publication.local.revision(),
        files: publication.local.tree().files().len(),
        left_out: publication.left_out,
        ..Told::default()
    };
    if asked.is_empty() {
        told.note = Some(why_none(&arguments, &sources));
        told.block = registered_only(&publication, &rpc).await?;
    } else {
        let chain_id = match stands_alone {
            true => 0,
            false => rpc.chain_id().await?,
        };
        let (pushed, hub) = push_to_one(&publication, &asked, reach, chain_id).await?;
        told.commit = Some(pushed.commit.to_string());
        told.sent = pushed.sent;
        if !stands_alone {
            confirm(&publication, &pushed, &rpc).await?;
        }
        told.hubs = spread(&publication, &asked, &hub, reach).await?;
    }
    if publication.local.is_runnable() && !stands_alone {
        let revision = open(&arguments.directory)?;
        let wallet = Wallet::new(Arc::clone(&publication.key), rpc.chain_id().await?);
        let secret = arguments.zero_knowledge.as_deref();
        told.provable = register(&rpc, &wallet, &revision, secret)
            .await?
            .as_ref()
            .map(offer);
    }
    told.runnable = publication.local.is_runnable();
    told.say(form)?;
    Ok(Exit::Done)
}

/// What the command says.
#[derive(Default)]
struct Told {
    model: String,
    revision: RevisionId,
    commit: Option<String>,
    files: usize,
    left_out: usize,
    sent: u64,
    block: Option<u64>,
    note: Option<String>,
    hubs: Vec<Place>,
    runnable: bool,
    provable: Option<assay_node::api::ProofOffer>,
}

impl Told {
    fn say(&self, form: Form) -> Result<()> {
        let value = json!({
            "model": self.model, "revision": self.revision, "commit": self.commit, "block": self.block,
            "files": self.files, "leftOut": self.left_out, "sent": self.sent, "hubs": self.hubs, "note": self.note, "runnable": self.runnable,
            "provable": self.provable.is_some(), "proofs": self.provable,
        });
        form.print(&value, |_| output::rows(0, &self.rows()))?;
        Ok(())
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let state = match (&self.commit, self.block) {
            (Some(commit), _) => format!("commit {commit}"),
            (None, Some(height)) => format!("published in block {height}"),
            (None, None) => "published before".into(),
        };
        let mut rows = vec![
            ("model", self.model.clone()),
            ("revision", self.revision.to_string()),
            ("state", state),
        ];
        if self.left_out > 0 {
            let left_out = format!("{} files that manifest.json does not list", self.left_out);
            rows.push(("left out", left_out));
        }
        if self.commit.is_some() {
            rows.push(("files", format!("{}; {} bytes sent", self.files, self.sent)));
        }
        rows.extend(
            self.hubs
                .iter()
                .map(|place| ("hub", format!("{} {}", place.url, place.state))),
        );
        rows.extend(self.note.iter().map(|note| ("hubs", note.clone())));
        rows.push((
            "proofs",
            match (&self.provable, self.runnable) {
                (Some(offer), _) => format!("{}; ask with --verify proven", proofs_text(offer)),
                (None, true) => "none: its answers cannot be proven".into(),
                (None, false) => {
                    "none: without a manifest.json that lists all other files no node runs it"
                        .into()
                }
            },
        ));
        rows
    }
}

async fn read(arguments: &cli::Publish) -> Result<Publication> {
    let key = Arc::new(read_key(&arguments.key)?);
    let directory = arguments.directory.clone();
    if !directory.is_dir() {
        return Err(
            Complaint::failed(format!("{}: it is no directory", directory.display()))
                .hint("give a directory of files; one with a manifest.json is served by nodes, too")
                .into(),
        );
    }
    let _progress = Progress::wait("hashing");
    let revision = engine_revision(&directory)?;
    if revision.is_some() && arguments.signing_key.is_some() {
        let complaint = Complaint::usage(
            "its manifest.json lists every file of the revision, and a new signature is none of them",
        );
        return Err(complaint
            .hint("sign the directory before its manifest is made, with --ignore manifest.json")
            .into());
    }
    let is_part = |path: &TreePath| {
        let listed = |revision: &Revision| revision.manifest().file(path.as_str()).is_some();
        path.as_str() == MANIFEST_FILE || revision.as_ref().is_none_or(listed)
    };
    let (files, others): (Vec<_>, Vec<_>) = files(&directory)?
        .into_iter()
        .partition(|(path, _)| is_part(path));
    let left_out = others.len();
    let local = tokio::task::spawn_blocking(move || Local::read(files)).await??;
    let text = match &arguments.name {
        Some(name) => name.clone(),
        None if revision.is_some() => {
            let name = revision.map(|revision| revision.manifest().name.clone());
            name.unwrap_or_default()
        }
        None => {
            let place = arguments.directory.canonicalize()?;
            let name = place
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            name.unwrap_or_default()
        }
    };
    let name = Name::new(Kind::Model, &text).map_err(|error| {
        Complaint::usage(format!("{text}: {error}")).hint("give the repository a name with --name")
    })?;
    Ok(Publication {
        key,
        name,
        local,
        left_out,
    })
}

/// The revision of a directory with a manifest for engines; nothing where its manifest.json is some other program's, or absent.
fn engine_revision(directory: &Path) -> Result<Option<Revision>> {
    let Ok(text) = std::fs::read(directory.join(MANIFEST_FILE)) else {
        return Ok(None);
    };
    let parsed: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
    let is_ours = parsed
        .is_some_and(|parsed| parsed.get("files").is_some() && parsed.get("format").is_some());
    is_ours.then(|| open(directory)).transpose()
}

fn files(directory: &Path) -> Result<Vec<(TreePath, PathBuf)>> {
    let mut files = Vec::new();
    for found in tree::walk(directory, tree::Links::Refused)? {
        if LEFT_OUT.iter().any(|folder| found.path.starts_with(folder)) {
            continue;
        }
        let path: TreePath = found.path.parse().map_err(|error| {
            Complaint::failed(format!("{}: {error}", found.place.display()))
                .hint("rename the file: this name cannot be in a repository")
        })?;
        files.push((path, found.place));
    }
    if files.is_empty() {
        return Err(
            Complaint::failed(format!("{}: there is no file in it", directory.display()))
                .hint("give a directory with the files of a model")
                .into(),
        );
    }
    Ok(files)
}

fn named(urls: &[String]) -> Vec<Source> {
    let plain = urls.iter().map(|url| url.trim_end_matches('/').to_owned());
    plain
        .map(|url| Source {
            name: url.clone(),
            url,
        })
        .collect()
}

/// Whether a URL names an address of this machine or of a private network.
fn is_private(url: &str) -> bool {
    let parsed = url.parse::<reqwest::Url>();
    let is_local = parsed.is_ok_and(|url| url.host_str() == Some("localhost"));
    is_local || !Reach { private: false }.takes(url)
}

/// The hubs that may be used, and which addresses are gone to.
async fn hubs(arguments: &cli::Publish, rpc: &RpcClient) -> Result<(Vec<Source>, Reach)> {
    let reach = Reach {
        // Who names a hub on this machine or this network means it; one elsewhere may not send its clients here.
        private: arguments.allow_private_hubs || arguments.hub.iter().any(|url| is_private(url)),
    };
    let sources = match (arguments.no_hub, arguments.hub.is_empty()) {
        (true, _) => Vec::new(),
        (false, false) => named(&arguments.hub),
        (false, true) => listed_hubs(rpc)
            .await
            .context("asking the chain for hubs")?,
    };
    Ok((sources, reach))
}

fn why_none(arguments: &cli::Publish, sources: &[Source]) -> String {
    match (arguments.no_hub, sources.len()) {
        (true, _) => "none, as you said: the files are only here".into(),
        (false, 0) => "the chain lists none: the files are only here".into(),
        (false, count) => format!(
            "none used: the {count} that the chain lists are at private addresses, which --allow-private-hubs uses; \
             the files are only here"
        ),
    }
}

/// Registers the revision without a commit; gives the block, or nothing where it was so before.
async fn registered_only(publication: &Publication, rpc: &RpcClient) -> Result<Option<u64>> {
    let wallet = Wallet::new(Arc::clone(&publication.key), rpc.chain_id().await?);
    let (name, revision) = (publication.name.key(), publication.local.revision());
    if registry::latest_revision(rpc, wallet.address(), &name).await? == Some(revision) {
        return Ok(None);
    }
    let _progress = Progress::wait("waiting for a block");
    let receipt = registry::publish_model(rpc, &wallet, &name, revision).await;
    Ok(Some(receipt.context("publishing")?.height()))
}

/// Publishes through the first hub that takes it.
async fn push_to_one(
    publication: &Publication,
    sources: &[Source],
    reach: Reach,
    chain_id: u64,
) -> Result<(Pushed, Source)> {
    let _progress = Progress::wait("uploading, and waiting for a block");
    let mut refusals = Vec::new();
    for source in sources {
        match push_to(publication, source, reach, chain_id).await {
            Ok(pushed) => return Ok((pushed, source.clone())),
            Err(error) => refusals.push(format!("{}: {error:#}", source.url)),
        }
    }
    Err(Complaint::failed(format!("no hub takes it: {}", one_line(&refusals.join("; "))))
        .hint("what arrived is not sent again: try again, name another hub with --hub, or register only with --no-hub")
        .into())
}

async fn push_to(
    publication: &Publication,
    source: &Source,
    reach: Reach,
    chain_id: u64,
) -> Result<Pushed> {
    let described: Described = describe(&source.url, reach).await?;
    // The chain lists a hub by its key; a token is for that key, on that chain, and for no other.
    let listed: Option<NodeAddress> = source.name.parse().ok();
    if listed.is_some_and(|key| key != described.hub) {
        return Err(Complaint::failed("it has another key than the chain lists").into());
    }
    if described.chain_id != chain_id {
        return Err(Complaint::failed(format!(
            "it is a hub of chain {}, and this is chain {chain_id}",
            described.chain_id
        ))
        .into());
    }
    let token = issue(&described, &publication.key, Scope::Write, TOKEN_S)?;
    let target = Target {
        hub: source.clone(),
        token: token.to_text(),
        publisher: publication.publisher(),
        kind: Kind::Model,
        name: publication.name.clone(),
        title: format!("publish {}", publication.name),
    };
    Ok(push(&target, reach, &publication.local).await?)
}

/// Makes sure that the chain says what the hub said.
async fn confirm(publication: &Publication, pushed: &Pushed, rpc: &RpcClient) -> Result<()> {
    let repository = repositories::Repository {
        kind: repositories::Kind::Model,
        name: publication.name.key(),
    };
    let publisher = publication.publisher().to_address();
    let head = repositories::head(rpc, publisher, &repository, repositories::MAIN).await?;
    let commit = head.and_then(|head| head.commit);
    if commit.is_none_or(|commit| commit.0 != *pushed.commit.as_bytes()) {
        let complaint = Complaint::failed(format!(
            "the hub says that commit {} is final, and the chain does not have it",
            pushed.commit
        ));
        return Err(complaint
            .hint("publish through another hub, and ask this one's operator")
            .into());
    }
    Ok(())
}

/// Who has it: the hub that took it, and others after a while.
async fn spread(
    publication: &Publication,
    sources: &[Source],
    took: &Source,
    reach: Reach,
) -> Result<Vec<Place>> {
    let _progress = Progress::wait("waiting for the other hubs");
    let fetcher = Fetcher::new(sources.to_vec(), reach, Arc::new(Notes::default()))?;
    let revision = publication.local.revision();
    let until = Instant::now() + SPREAD;
    let mut places = Vec::new();
    for source in sources {
        let state = loop {
            if source == took {
                break "took it".to_owned();
            }
            match fetcher.has_revision(source, revision).await {
                Ok(()) => break "has it".to_owned(),
                Err(fault) if Instant::now() > until => break format!("{fault}"),
                Err(_) => tokio::time::sleep(POLL).await,
            }
        };
        places.push(Place {
            hub: source.name.clone(),
            url: source.url.clone(),
            state,
        });
    }
    Ok(places)
}
