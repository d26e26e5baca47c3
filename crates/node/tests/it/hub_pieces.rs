//! Hubs before a real chain that keep large files in pieces: some leave, and what is left gives the file back and
//! heals.

use crate::hub_content_stage::noise;
use crate::node_settles::{CHAIN_ID, Chain, key};
use assay_blob::{BlobId, ErasureManifest, Sha256};
use assay_hub::placement::{self, Keeper};
use assay_node::{
    clock,
    config::write_key,
    delegation::{self, Scope, Terms, Token},
    hub::{self, HubConfig},
    hub_registry::{self, HubRegistration},
    shutdown::{self, Trigger},
    wallet::Wallet,
};
use assay_receipt::{Account, NodeAddress, RevisionId};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// Whatever is waited for takes at most this long on a machine under load.
const PATIENCE: Duration = Duration::from_secs(90);
/// Secrets of the hubs' keys, the first of which has means, and of their operators' accounts, which all have.
const HUBS: [(u8, u8); 5] = [(5, 1), (21, 3), (22, 7), (23, 8), (24, 9)];
/// A file that is cut into pieces here, and not of whole stripes.
const SIZE: usize = 3_000_001;
const NAME: &str = "In-Pieces";

/// How hubs of these tests are set.
const SETTINGS: &str = "[participation]\ncopies = 2\npieces_from_bytes = 2000000\n\
     gone_after_ms = 3000\naudit_every_ms = 500\nrecords_audits = false\nallow_private_hubs = true\n\
     [storage]\ncollect_every_ms = 500\ncache_ms = 2000\n";

pub struct OneHub {
    pub address: NodeAddress,
    pub operator: Account,
    pub url: String,
    /// Its folder.
    pub folder: PathBuf,
    running: Option<(Trigger, JoinHandle<Result<(), assay_node::Error>>)>,
}

pub struct Hubs {
    pub chain: Chain,
    pub hubs: Vec<OneHub>,
    http: reqwest::Client,
    folder: PathBuf,
}

/// Waits until `done` gives something.
pub async fn until<T>(what: &str, mut done: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = done().await {
            return found;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Hubs {
    async fn start(folder: &Path) -> Self {
        let mut hubs = Self::alone(folder).await;
        for (secret, operator) in HUBS {
            hubs.add(secret, operator, SETTINGS).await;
        }
        for hub in hubs.running() {
            hubs.knows(hub, HUBS.len() - 1).await;
        }
        hubs
    }

    /// A chain without hubs.
    pub async fn alone(folder: &Path) -> Self {
        let chain = Chain::start(folder).await;
        let text = serde_json::to_string(&chain.network).unwrap();
        std::fs::write(folder.join("network.json"), text).unwrap();
        Self {
            chain,
            hubs: Vec::new(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            folder: folder.to_owned(),
        }
    }

    /// Starts one more hub.
    pub async fn add(&mut self, secret: u8, operator: u8, settings: &str) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let own = self.folder.join(format!("hub-{secret}"));
        std::fs::create_dir_all(&own).unwrap();
        write_key(&own.join("hub.key"), &[secret; 32]).unwrap();
        let account = key(operator).address();
        let text = format!(
            "data = \"data\"\nkey = \"hub.key\"\nlisten = \"127.0.0.1:0\"\nendpoint = \"{url}\"\n\
             operator = \"{account}\"\nnetwork = {:?}\nrpc = {:?}\n{settings}\
             [limits]\nrate_per_s = 100000\nburst = 1000000\n",
            self.folder.join("network.json"),
            self.chain.rpc.urls(),
        );
        let file = own.join("hub.toml");
        std::fs::write(&file, text).unwrap();
        let config = HubConfig::read(&file).unwrap();
        self.register(secret, operator, &url).await;
        let (trigger, shutdown) = shutdown::channel();
        let running = tokio::spawn(hub::run_on(listener, config, shutdown));
        self.hubs.push(OneHub {
            address: key(secret).address(),
            operator: account.to_address().into(),
            url,
            folder: own,
            running: Some((trigger, running)),
        });
    }

    /// Enters a hub into the registry.
    pub async fn register(&self, secret: u8, operator: u8, url: &str) {
        let registration = HubRegistration {
            endpoint: url.to_owned(),
            policy: Default::default(),
        };
        let operator = Wallet::new(key(operator), CHAIN_ID);
        let Chain { rpc, network, .. } = &self.chain;
        hub_registry::register_hub(rpc, &operator, &key(secret), network, &registration)
            .await
            .unwrap();
    }

    /// Waits until a hub knows so many others.
    pub async fn knows(&self, hub: usize, count: usize) {
        until("it knows the others", async || {
            let others: Value = self.get(hub, "/assay/v1/hubs").await.json().await.unwrap();
            (others.as_array().unwrap().len() == count).then_some(())
        })
        .await;
    }

    async fn stop(&mut self, hub: usize) {
        let (trigger, running) = self.hubs[hub].running.take().unwrap();
        trigger.stop();
        running.await.unwrap().unwrap();
    }

    pub async fn end(mut self) {
        for hub in 0..self.hubs.len() {
            if self.hubs[hub].running.is_some() {
                self.stop(hub).await;
            }
        }
        self.chain.end();
    }

    fn running(&self) -> Vec<usize> {
        let all = 0..self.hubs.len();
        all.filter(|hub| self.hubs[*hub].running.is_some())
            .collect()
    }

    pub async fn get(&self, hub: usize, path: &str) -> Response {
        let url = format!("{}{path}", self.hubs[hub].url);
        self.http.get(url).send().await.unwrap()
    }

    pub async fn send(
        &self,
        method: Method,
        url: &str,
        body: impl Into<reqwest::Body>,
    ) -> Response {
        let token = self.token(0, 1);
        let request = self.http.request(method, url).bearer_auth(token);
        let answer = request.body(body).send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{url}: {} {}",
            answer.status(),
            answer.text().await.unwrap()
        );
        answer
    }

    /// A token of an account for a hub.
    fn token(&self, hub: usize, account: u8) -> String {
        let now_ms = clock::now_ns() / 1_000_000;
        let terms = Terms {
            hub: self.hubs[hub].address.to_address(),
            scope: Scope::Write,
            not_after_s: now_ms / 1_000 + 600,
            issued_ms: now_ms,
        };
        let domain = delegation::domain(Some(&self.chain.network));
        Token::issue(&domain, &key(account), &terms, [3; 32]).to_text()
    }

    /// The hub of each piece, as placement over the hubs `counted` gives them.
    fn holders(&self, blob: &BlobId, counted: &[usize]) -> Vec<usize> {
        let keepers = counted.iter().map(|hub| Keeper {
            hub: self.hubs[*hub].address,
            operator: self.hubs[*hub].operator,
        });
        let holders = placement::holders(blob, &keepers.collect::<Vec<_>>(), 5);
        let place = |holder| self.hubs.iter().position(|hub| hub.address == holder);
        holders.into_iter().filter_map(place).collect()
    }

    fn repository(&self) -> String {
        format!("{}/{NAME}", key(1).address())
    }

    /// Commits a file by the first hub.
    async fn commit(&self, content: &[u8]) {
        self.create(NAME).await;
        let file = self.upload(NAME, "model.safetensors", content).await;
        self.commit_to(NAME, &[file]).await;
    }

    /// Makes a repository of the first account's by the first hub.
    pub async fn create(&self, name: &str) {
        let create = json!({ "name": name }).to_string();
        let url = format!("{}/api/repos/create", self.hubs[0].url);
        self.send(Method::POST, &url, create).await;
    }

    /// Brings a file to the first hub, and gives the line of a commit that puts it.
    pub async fn upload(&self, name: &str, path: &str, content: &[u8]) -> Value {
        let (oid, size) = (Sha256::of(content), content.len());
        let batch = json!({ "operation": "upload", "objects": [{ "oid": oid, "size": size }] });
        let id = format!("{}/{name}", key(1).address());
        let batch_url = format!("{}/{id}.git/info/lfs/objects/batch", self.hubs[0].url);
        let answer = self.send(Method::POST, &batch_url, batch.to_string()).await;
        let answer: Value = answer.json().await.unwrap();
        let to = answer["objects"][0]["actions"]["upload"]["href"].as_str();
        let put = self.http.put(to.unwrap()).body(content.to_vec());
        assert!(put.send().await.unwrap().status().is_success());
        let value = json!({ "path": path, "algo": "sha256", "oid": oid, "size": size });
        json!({ "key": "lfsFile", "value": value })
    }

    /// Commits by the first hub.
    pub async fn commit_to(&self, name: &str, changes: &[Value]) {
        let header = json!({ "key": "header", "value": { "summary": "a change" } });
        let lines = std::iter::once(&header).chain(changes);
        let lines: String = lines.map(|line| format!("{line}\n")).collect();
        let id = format!("{}/{name}", key(1).address());
        let url = format!("{}/api/models/{id}/commit/main", self.hubs[0].url);
        self.send(Method::POST, &url, lines).await;
    }

    /// Has a hub refuse a blob, as its operator wants.
    pub async fn refuse(&self, hub: usize, operator: u8, blob: &BlobId) {
        let refusal = json!({ "subject": { "what": "blob", "id": blob }, "reason": "no" });
        let url = format!("{}/assay/v1/refusals", self.hubs[hub].url);
        let refused = self.http.post(url).bearer_auth(self.token(hub, operator));
        let refused = refused.body(refusal.to_string()).send().await.unwrap();
        assert!(refused.status().is_success());
    }

    async fn read(&self, hub: usize) -> (StatusCode, Vec<u8>) {
        let path = format!("/{}/resolve/main/model.safetensors", self.repository());
        let answer = self.get(hub, &path).await;
        (answer.status(), answer.bytes().await.unwrap().to_vec())
    }

    pub async fn has(&self, hub: usize, blob: &BlobId) -> bool {
        let path = format!("/assay/v1/blobs/{blob}/slice?start=0&end=0");
        self.get(hub, &path).await.status() == StatusCode::OK
    }

    /// Waits until each hub that runs has the pieces that placement over the hubs `counted` gives it.
    async fn placed(&self, what: &str, blob: BlobId, counted: &[usize]) -> ErasureManifest {
        let holders = self.holders(&blob, counted);
        until(what, async || {
            let path = format!("/assay/v1/blobs/{blob}/erasure");
            let answer = self.get(counted[0], &path).await;
            if answer.status() != StatusCode::OK {
                return None;
            }
            let manifest = ErasureManifest::parse(&answer.bytes().await.unwrap()).unwrap();
            assert_eq!((manifest.code.data(), manifest.pieces.len()), (3, 5));
            for (piece, hub) in manifest.pieces.iter().zip(&holders) {
                if !self.has(*hub, piece).await {
                    return None;
                }
            }
            Some(manifest)
        })
        .await
    }

    async fn revision(&self) -> RevisionId {
        let path = format!("/api/models/{}", self.repository());
        let info: Value = self.get(0, &path).await.json().await.unwrap();
        info["assay"]["revision"].as_str().unwrap().parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_five_hubs_are_lost_for_good_and_the_rest_heals() {
    let folder = tempfile::tempdir().unwrap();
    let mut hubs = Hubs::start(folder.path()).await;
    let content = noise(SIZE, 11);
    let blob = BlobId::of(&content);
    hubs.commit(&content).await;
    let manifest = hubs
        .placed("five hubs have a piece", blob, &[0, 1, 2, 3, 4])
        .await;

    // One hub has all of it, the one that took the commit; each other has no more than its piece.
    until("only the first has the whole", async || {
        for hub in 1..5 {
            if hubs.has(hub, &blob).await {
                return None;
            }
        }
        Some(())
    })
    .await;
    assert!(hubs.has(0, &blob).await);
    for hub in 1..5 {
        let mut pieces = 0;
        for piece in &manifest.pieces {
            pieces += usize::from(hubs.has(hub, piece).await);
        }
        assert_eq!(pieces, 1, "hub {hub}");
    }

    // Hubs ask each other for the pieces that each should have.
    let revision = hubs.revision().await;
    for audited in [0, 2, 3, 4] {
        until("it was audited", async || {
            let path = format!("/assay/v1/revisions/{revision}/standing");
            let lines: Value = hubs.get(1, &path).await.json().await.unwrap();
            let address = hubs.hubs[audited].address.to_string();
            let mut lines = lines.as_array().unwrap().iter();
            let line = lines.find(|line| line["hub"] == address.as_str())?;
            (line["latest"]["seen"]["outcome"] == "served").then_some(())
        })
        .await;
    }

    // The hub that took the commit dies, and one other.
    hubs.stop(0).await;
    hubs.stop(3).await;
    let left = hubs.running();
    assert_eq!(left, [1, 2, 4]);
    let (status, read) = hubs.read(1).await;
    assert_eq!(status, StatusCode::OK);
    assert!(read == content);
    let healed = hubs.placed("three hubs have all pieces", blob, &left).await;
    assert_eq!(healed, manifest);
    for hub in left {
        let (status, read) = hubs.read(hub).await;
        assert_eq!(status, StatusCode::OK, "hub {hub}");
        assert!(read == content, "hub {hub}");
    }
    hubs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_retired_hub_kept_others_keep() {
    let folder = tempfile::tempdir().unwrap();
    let mut hubs = Hubs::start(folder.path()).await;
    let content = noise(SIZE, 12);
    let blob = BlobId::of(&content);
    hubs.commit(&content).await;
    let before = hubs
        .placed("five hubs have a piece", blob, &[0, 1, 2, 3, 4])
        .await;
    // It is no cache of the hub that took the commit.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(hubs.has(0, &blob).await);
    let (_, operator) = HUBS[0];
    let operator = Wallet::new(key(operator), CHAIN_ID);
    hub_registry::retire_hub(&hubs.chain.rpc, &operator, hubs.hubs[0].address)
        .await
        .unwrap();
    let after = hubs
        .placed("four hubs have all pieces", blob, &[1, 2, 3, 4])
        .await;
    assert_eq!(before, after);
    // The retired one takes its whole copy with it, and nobody misses it.
    hubs.stop(0).await;
    for hub in 1..5 {
        let (status, read) = hubs.read(hub).await;
        assert_eq!(status, StatusCode::OK, "hub {hub}");
        assert!(read == content, "hub {hub}");
    }
    // What they fetched for these readers goes again, and no piece with it.
    until("no whole copy is left", async || {
        for hub in 1..5 {
            if hubs.has(hub, &blob).await {
                return None;
            }
        }
        Some(())
    })
    .await;
    hubs.placed("the pieces are still there", blob, &[1, 2, 3, 4])
        .await;
    assert!(hubs.read(2).await.1 == content);
    // Whoever refuses the file refuses its pieces.
    let holders = hubs.holders(&blob, &[1, 2, 3, 4]);
    let place = holders.iter().position(|hub| *hub == 2).unwrap();
    let piece = &before.pieces[place];
    assert!(hubs.has(2, piece).await);
    hubs.refuse(2, HUBS[2].1, &blob).await;
    let path = format!("/assay/v1/blobs/{piece}/slice?start=0&end=0");
    assert_eq!(hubs.get(2, &path).await.status(), StatusCode::FORBIDDEN);
    assert!(hubs.read(3).await.1 == content);
    hubs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_is_a_file_elsewhere_too_stays_as_a_piece() {
    let folder = tempfile::tempdir().unwrap();
    let hubs = Hubs::start(folder.path()).await;
    let content = noise(SIZE + (SIZE / 5), 13);
    let blob = BlobId::of(&content);
    hubs.commit(&content).await;
    let manifest = hubs
        .placed("five hubs have a piece", blob, &[0, 1, 2, 3, 4])
        .await;
    let holders = hubs.holders(&blob, &[0, 1, 2, 3, 4]);
    // One of the pieces becomes a file, which the hub of the piece need not keep as that.
    let keepers = hubs.hubs.iter().map(|hub| Keeper {
        hub: hub.address,
        operator: hub.operator,
    });
    let keepers: Vec<Keeper> = keepers.collect();
    let rule = placement::Rule {
        everywhere_bytes: 1 << 20,
        copies: 2,
        pieces_from_bytes: 2_000_000,
    };
    let size = manifest.piece_bytes();
    let is_cache = |place: usize| {
        let (piece, hub) = (&manifest.pieces[place], holders[place]);
        let of = keepers[hub].hub;
        hub != 0 && placement::share(of, piece, size, &keepers, &rule) == placement::Share::Nothing
    };
    let place = (0..5).find(|place| is_cache(*place)).unwrap();
    let (piece, hub) = (manifest.pieces[place], holders[place]);
    let bytes = hubs.get(hub, &format!("/assay/v1/blobs/{piece}")).await;
    let bytes = bytes.bytes().await.unwrap();
    assert_eq!(BlobId::of(&bytes), piece);
    hubs.create("A-Piece").await;
    let line = hubs.upload("A-Piece", "w.bin", &bytes).await;
    hubs.commit_to("A-Piece", &[line]).await;
    until("who keeps the file has it", async || {
        for (index, keeper) in keepers.iter().enumerate() {
            let share = placement::share(keeper.hub, &piece, size, &keepers, &rule);
            if share == placement::Share::Whole && !hubs.has(index, &piece).await {
                return None;
            }
        }
        Some(())
    })
    .await;
    // Many collections, and several times as long as what is only a cache stays.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        assert!(
            hubs.has(hub, &piece).await,
            "it went after {:?}",
            begun.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    hubs.end().await;
}
