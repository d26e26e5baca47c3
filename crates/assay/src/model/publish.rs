//! `assay model publish`: a directory's files to a hub, its revision to the chain.

use super::{offer, open, proofs_text, register, signing, tree};
use crate::{
    cli,
    complaint::{Complaint, Exit, one_line},
    hub::{Described, describe, issue},
    output::{self, Form, Progress},
    saved,
};
use anyhow::{Context as _, Result};
use assay_chain::light::Network;
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
/// What is told where a hub that was named says that it stands alone.
const ALONE: &str = "the hub says that it stands alone: no chain has this revision; with --network NETWORK.json such a hub is \
                     refused";
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
    let named_network = arguments.network.as_deref().map(saved::read_network);
    let named_network = named_network.transpose().map_err(Complaint::usage)?;
    let stands_alone = match arguments.hub.first() {
        Some(url) if named_network.is_none() => describe(url, Reach { private: true })
            .await
            .is_ok_and(|hub| hub.chain_id == 0),
        _ => false,
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
        let network = match stands_alone {
            true => None,
            false => Some(network(&rpc, named_network).await?),
        };
        told.note = stands_alone.then(|| ALONE.into());
        let (pushed, hub) = push_to_one(&publication, &asked, reach, network.as_ref()).await?;
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

/// The network that is published to: the one that was named, which the validator has to be of, or else the one that the
/// validator says.
async fn network(rpc: &RpcClient, named: Option<Network>) -> Result<Network> {
    let said = rpc.network().await.context("asking the chain who it is")?;
    match named {
        Some(named) if named.id() != said.id() => Err(Complaint::failed(format!(
            "the validator is of network {}, and the file names network {}",
            said.id(),
            named.id()
        ))
        .hint("name a validator of the network with --rpc, or the network's own file")
        .into()),
        _ => Ok(said),
    }
}

/// Publishes through the first hub that takes it.
async fn push_to_one(
    publication: &Publication,
    sources: &[Source],
    reach: Reach,
    network: Option<&Network>,
) -> Result<(Pushed, Source)> {
    let _progress = Progress::wait("uploading, and waiting for a block");
    let mut refusals = Vec::new();
    for source in sources {
        match push_to(publication, source, reach, network).await {
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
    network: Option<&Network>,
) -> Result<Pushed> {
    let described: Described = describe(&source.url, reach).await?;
    // The chain lists a hub by its key; a token is for that key, in that network, and for no other.
    let listed: Option<NodeAddress> = source.name.parse().ok();
    if listed.is_some_and(|key| key != described.hub) {
        return Err(Complaint::failed("it has another key than the chain lists").into());
    }
    described.check_network(network)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use assay_node::delegation::Token;
    use assay_receipt::NetworkId;
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
        sync::mpsc::{Receiver, channel},
    };

    fn network(name: &str, chain_id: u64, genesis: u8) -> Network {
        let value = json!({
            "name": name, "chain_id": chain_id, "genesis": format!("0x{}", format!("{genesis:02x}").repeat(32)),
            "public_key": format!("0x{}", "ab".repeat(96)),
        });
        serde_json::from_value(value).unwrap()
    }

    /// A hub that only says who it is, and each token that it is shown.
    fn hub(key: &NodeKey, chain_id: u64, network: NetworkId) -> (Source, Receiver<Token>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let described =
            json!({ "hub": key.address(), "chain_id": chain_id, "network": network }).to_string();
        let (shown, tokens) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let asked = lines.next().unwrap().unwrap();
                let head = lines
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty());
                for line in head {
                    let token = line.split_once("earer ").map(|(_, token)| token.to_owned());
                    if let Some(token) = token {
                        shown.send(Token::from_text(&token).unwrap()).unwrap();
                    }
                }
                let status = match asked.starts_with("GET /assay/v1/hub ") {
                    true => "200 OK",
                    false => "500 Internal Server Error",
                };
                let length = described.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                );
                stream
                    .write_all(format!("{head}{described}").as_bytes())
                    .unwrap();
            }
        });
        let name = key.address().to_string();
        (Source { name, url }, tokens)
    }

    fn publication(folder: &Path) -> Publication {
        std::fs::write(folder.join("a.txt"), "a").unwrap();
        let files = vec![("a.txt".parse().unwrap(), folder.join("a.txt"))];
        Publication {
            key: Arc::new(NodeKey::from_bytes([1; 32]).unwrap()),
            name: Name::new(Kind::Model, "m").unwrap(),
            local: Local::read(files).unwrap(),
            left_out: 0,
        }
    }

    #[tokio::test]
    async fn a_token_is_signed_for_the_hub_and_network_that_are_meant_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let publication = publication(folder.path());
        let (own, other) = (network("own", 7, 1), network("other", 7, 2));
        let [key, foreign] = [2u8, 3].map(|byte| NodeKey::from_bytes([byte; 32]).unwrap());
        let alone = NetworkId::ZERO;
        let stands = (0, alone);
        for (says, meant, why) in [
            ((7, own.id()), Some(&own), None),
            (stands, None, None),
            ((7, other.id()), Some(&own), Some("a hub of network")),
            ((8, own.id()), Some(&own), Some("on chain 8")),
            ((7, alone), Some(&own), Some("on chain 7")),
            (stands, Some(&own), Some("stands alone")),
            ((7, own.id()), None, Some("stands alone")),
        ] {
            let (source, tokens) = hub(&key, says.0, says.1);
            let reach = Reach { private: true };
            let refused = push_to(&publication, &source, reach, meant)
                .await
                .unwrap_err();
            let refused = format!("{refused:#}");
            let shown: Vec<Token> = tokens.try_iter().collect();
            match why {
                None => assert!(
                    refused.contains("HTTP 500") && !shown.is_empty(),
                    "{refused}"
                ),
                Some(why) => assert!(refused.contains(why) && shown.is_empty(), "{refused}"),
            }
        }
        let (source, tokens) = hub(&foreign, 7, own.id());
        let listed = Source {
            name: key.address().to_string(),
            ..source
        };
        let reach = Reach { private: true };
        let refused = push_to(&publication, &listed, reach, Some(&own))
            .await
            .unwrap_err();
        assert!(refused.to_string().contains("another key"), "{refused:#}");
        assert!(tokens.try_iter().next().is_none());
    }
}
