//! A hub with one repository, whose files are put into its store before it starts; and what asks it.

use alloy_primitives::Address;
use assay_blob::{BlobId, GitOid, Sha256, Stored};
use assay_hub::{Commit, FileEntry, Form, Kind, Name, RefName, Tree};
use assay_node::{
    clock,
    delegation::{self, Scope, Terms, Token},
    hub::{
        self, Hub, HubConfig, HubLimits, RefMove,
        catalogue::{NewCommit, Revision, key_of},
    },
    shutdown::{self, Trigger},
};
use assay_receipt::{Account, NodeKey, RevisionId};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use std::{net::SocketAddr, path::PathBuf};
use tokio::{net::TcpListener, task::JoinHandle};

/// Name of the repository.
pub const NAME: &str = "Demo";

/// Everything of a test.
pub struct Stage {
    /// The hub's URL.
    pub url: String,
    /// Asks, and follows nothing.
    pub http: reqwest::Client,
    /// Folder of the hub.
    pub data: PathBuf,
    /// What clients see of the commit.
    pub commit: String,
    config: HubConfig,
    running: Option<(Trigger, JoinHandle<Result<(), assay_node::Error>>)>,
    _folder: tempfile::TempDir,
}

/// The key of the account that publishes.
pub fn publisher() -> NodeKey {
    NodeKey::from_bytes([0x5a; 32]).unwrap()
}

fn account(key: &NodeKey) -> Account {
    key.address().to_address().into()
}

/// Bytes without a pattern, the same for the same seed.
pub fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        // SplitMix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

impl Stage {
    /// A hub that stands alone and has these files.
    pub async fn set(files: &[(&str, Vec<u8>)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = listener.local_addr().unwrap();
        let url = format!("http://{listen}");
        let data = folder.path().join("hub");
        let config = HubConfig {
            data: data.clone(),
            key: folder.path().join("hub.key"),
            listen,
            endpoint: url.clone(),
            operator: Address::repeat_byte(0x0c),
            network: None,
            rpc: Vec::new(),
            handles: Default::default(),
            retention: Default::default(),
            search: Default::default(),
            participation: Default::default(),
            storage: Default::default(),
            domains: Default::default(),
            limits: HubLimits::default(),
        };
        let commit = fill(&config, files);
        let mut stage = Self {
            url,
            http: reqwest::Client::new(),
            data,
            commit,
            config,
            running: None,
            _folder: folder,
        };
        stage.start(listener);
        stage.up().await;
        stage
    }

    fn start(&mut self, listener: TcpListener) {
        let (trigger, shutdown) = shutdown::channel();
        let running = tokio::spawn(hub::run_on(listener, self.config.clone(), shutdown));
        self.running = Some((trigger, running));
    }

    /// Stops the hub.
    pub async fn stop(&mut self) {
        let (trigger, running) = self.running.take().unwrap();
        trigger.stop();
        running.await.unwrap().unwrap();
    }

    /// Starts it again at its address.
    pub async fn start_again(&mut self) {
        let address: SocketAddr = self.config.listen;
        self.start(TcpListener::bind(address).await.unwrap());
        self.up().await;
    }

    /// Waits for an answer: the socket takes requests before the hub does.
    async fn up(&self) {
        assert!(self.get("/health").await.status().is_success());
    }

    /// `namespace/name` of the repository.
    pub fn id(&self) -> String {
        format!("{}/{NAME}", account(&publisher()))
    }

    /// A token that an account makes for this hub.
    pub fn token(&self, key: &NodeKey, scope: Scope) -> String {
        let hub = assay_node::config::read_key(&self.config.key).unwrap();
        let now_ms = clock::now_ns() / 1_000_000;
        let terms = Terms {
            hub: hub.address().to_address(),
            scope,
            not_after_s: now_ms / 1_000 + 600,
            issued_ms: now_ms,
        };
        Token::issue(&delegation::domain(None), key, &terms, [3; 32]).to_text()
    }

    /// The publisher's token to write.
    pub fn writer(&self) -> String {
        self.token(&publisher(), Scope::Write)
    }

    /// A request for a path of the hub.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Gets a path.
    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// Path of a file of the repository.
    pub fn file(&self, path: &str) -> String {
        format!("/{}/resolve/main/{path}", self.id())
    }

    /// Changes a byte of a blob's file.
    pub fn rot(&self, blob: &BlobId, offset: usize) {
        self.damage(blob, |bytes| bytes[offset] ^= 1);
    }

    /// Forgets the first bytes of a blob.
    pub fn lose(&self, blob: &BlobId, count: usize) {
        self.damage(blob, |bytes| bytes[..count].fill(0));
    }

    fn damage(&self, blob: &BlobId, change: impl Fn(&mut [u8])) {
        let name = blob.to_string();
        let path = self.data.join("blobs/blobs").join(&name[..2]).join(&name);
        let mut bytes = std::fs::read(&path).unwrap();
        change(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
    }
}

/// Puts the files and a commit of them where the hub looks for them.
fn fill(config: &HubConfig, files: &[(&str, Vec<u8>)]) -> String {
    let (_trigger, shutdown) = shutdown::channel();
    let hub = Hub::open(config, shutdown).unwrap();
    let mut tree = Tree::default();
    for (path, bytes) in files {
        let Stored {
            id, size, sha256, ..
        } = hub.store.put(bytes).unwrap();
        let path = path.parse().unwrap();
        let form = Form::of(&path, size);
        let oid = match form {
            Form::Regular => GitOid::of_blob(bytes),
            Form::Large => GitOid::of_pointer(&sha256, size),
        };
        tree.put(
            path,
            FileEntry {
                blob: id,
                size,
                sha256,
                oid,
                form,
            },
        );
    }
    let id = RevisionId::from_bytes([7; 32]);
    let name = Name::new(Kind::Model, NAME).unwrap();
    let publisher = account(&publisher());
    let commit = Commit {
        author: publisher.to_string(),
        date_ms: 1,
        format: Commit::FORMAT,
        kind: Kind::Model,
        message: String::new(),
        parents: Vec::new(),
        publisher,
        repository: NAME.into(),
        revision: id,
        title: "files".into(),
        tree: BlobId::from_bytes([0; 32]),
    };
    let to = Commit::id_of(&commit.canonical().unwrap());
    let revision = Revision {
        id,
        manifest: BlobId::from_bytes([0; 32]),
        files: files.len() as u64,
        bytes: tree.bytes(),
    };
    let moved = RefMove {
        repository: key_of(Kind::Model, publisher, &name),
        name: RefName::main(),
        to: Some(to),
    };
    let new = NewCommit {
        commit,
        revision,
        tree,
    };
    hub.catalogue.enter(&[new], &[moved]).unwrap();
    to.short().to_string()
}

/// The status of an answer that is a refusal with words in it, and in the form that clients read.
pub async fn refusal(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let header = response.headers().get("x-error-message").cloned();
    let text = response.text().await.unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}"));
    let message = body["error"].as_str().unwrap().to_owned();
    assert!(
        header.is_some() && !message.is_empty(),
        "{status} {message}"
    );
    (status, message)
}

/// SHA-256 as LFS writes it.
pub fn oid(bytes: &[u8]) -> String {
    Sha256::of(bytes).to_string()
}
