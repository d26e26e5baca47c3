//! A hub on a free port that stands alone, with two accounts.

use assay_blob::{BlobId, GitOid, Sha256};
use assay_chain::light::Network;
use assay_hub::wire::HubRow;
use assay_node::{
    delegation::{self, Scope, Terms, Token},
    hub::{self, HubConfig},
    shutdown::{self, Trigger},
};
use assay_receipt::{Domain, NodeKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::{net::TcpListener, task::JoinHandle};

/// A step of a test takes at most this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A hub that runs.
pub struct Stage {
    /// Its URL.
    pub url: String,
    /// What it says of itself.
    pub described: HubRow,
    /// What tokens are signed under.
    domain: Domain,
    http: reqwest::Client,
    trigger: Trigger,
    running: JoinHandle<Result<(), assay_node::Error>>,
    /// Its folder.
    pub folder: tempfile::TempDir,
}

/// The key of an account of the tests: 1 is alice, who has a handle, 2 has none, 9 is the operator.
pub fn key(number: u8) -> NodeKey {
    NodeKey::from_bytes([number; 32]).unwrap()
}

/// The address of an account of the tests.
pub fn address(number: u8) -> String {
    key(number).address().to_string()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

impl Stage {
    /// A hub in a new folder.
    pub async fn set() -> Self {
        Self::set_in(tempfile::tempdir().unwrap(), |_| ()).await
    }

    /// A hub in a folder, with a changed configuration.
    pub async fn set_in(folder: tempfile::TempDir, change: impl FnOnce(&mut HubConfig)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let text = format!(
            "data = \"data\"\nkey = \"hub.key\"\nlisten = \"127.0.0.1:0\"\nendpoint = \"{url}\"\noperator = \"{}\"\n\
             [handles]\nalice = \"{}\"\n[limits]\nrate_per_s = 100000\nburst = 1000000\n",
            address(9),
            address(1)
        );
        let file = folder.path().join("hub.toml");
        std::fs::write(&file, text).unwrap();
        let mut config = HubConfig::read(&file).unwrap();
        change(&mut config);
        let network = config.network.as_ref().map(|path| {
            let network: Network = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            network
        });
        let (trigger, shutdown) = shutdown::channel();
        let running = tokio::spawn(hub::run_on(listener, config, shutdown));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let described = http
            .get(format!("{url}/assay/v1/hub"))
            .send()
            .await
            .unwrap();
        let described = described.json().await.unwrap();
        Self {
            url,
            described,
            domain: delegation::domain(network.as_ref()),
            http,
            trigger,
            running,
            folder,
        }
    }

    /// A token of an account that is good for an hour.
    pub fn token(&self, account: u8, scope: Scope) -> String {
        let terms = Terms {
            hub: self.described.hub.to_address(),
            scope,
            not_after_s: now_ms() / 1_000 + 3_600,
            issued_ms: now_ms(),
        };
        self.token_with(account, &terms)
    }

    /// A token of an account on given terms.
    pub fn token_with(&self, account: u8, terms: &Terms) -> String {
        Token::issue(&self.domain, &key(account), terms, [account; 32]).to_text()
    }

    /// Sends a request as an account; 0 has no token.
    pub async fn send(
        &self,
        account: u8,
        method: Method,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> Response {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .body(body);
        if account > 0 {
            request = request.bearer_auth(self.token(account, Scope::Write));
        }
        request.send().await.unwrap()
    }

    /// Sends a request with an authorization of one's own making.
    pub async fn send_with(&self, authorization: &str, method: Method, path: &str) -> Response {
        let request = self.http.request(method, format!("{}{path}", self.url));
        request
            .header("authorization", authorization)
            .send()
            .await
            .unwrap()
    }

    /// What a path answers with success.
    pub async fn read(&self, path: &str) -> Value {
        let response = self.send(0, Method::GET, path, "").await;
        assert_eq!(
            response.status(),
            200,
            "{path}: {}",
            response.text().await.unwrap()
        );
        response.json().await.unwrap()
    }

    /// Makes a repository of alice's.
    pub async fn create(&self, name: &str) {
        let response = self
            .send(
                1,
                Method::POST,
                "/api/repos/create",
                json!({"name": name}).to_string(),
            )
            .await;
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    }

    /// Commits files to a branch of a model of alice's, and gives the commit.
    pub async fn commit(&self, name: &str, branch: &str, operations: &[Value]) -> Response {
        let path = format!("/api/models/alice/{name}/commit/{branch}");
        self.send(1, Method::POST, &path, lines(operations)).await
    }

    /// Commits files, which works, and gives the commit's id.
    pub async fn committed(&self, name: &str, operations: &[Value]) -> String {
        let response = self.commit(name, "main", operations).await;
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        let answer: Value = response.json().await.unwrap();
        answer["commitOid"].as_str().unwrap().to_owned()
    }

    /// Stops the hub, and gives its folder.
    pub async fn stop(self) -> tempfile::TempDir {
        self.trigger.stop();
        tokio::time::timeout(PATIENCE, self.running)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        self.folder
    }
}

/// The body of a commit of these operations.
pub fn lines(operations: &[Value]) -> String {
    let header = json!({"key": "header", "value": {"summary": "a change", "description": "why"}});
    let all = std::iter::once(&header).chain(operations);
    all.map(|line| format!("{line}\n")).collect()
}

/// The operation that puts a file.
pub fn file(path: &str, content: &[u8]) -> Value {
    json!({"key": "file", "value": {"path": path, "content": STANDARD.encode(content), "encoding": "base64"}})
}

/// The operation that puts a file by its digest.
pub fn large(path: &str, content: &[u8]) -> Value {
    let value =
        json!({"path": path, "algo": "sha256", "oid": Sha256::of(content), "size": content.len()});
    json!({"key": "lfsFile", "value": value})
}

/// A safetensors file of `count` parameters of two bytes.
pub fn weights(count: usize) -> Vec<u8> {
    let header = format!(
        "{{\"w\":{{\"dtype\":\"F16\",\"shape\":[{count}],\"data_offsets\":[0,{}]}}}}",
        count * 2
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + count * 2, 7);
    bytes
}

/// Checks the form of a refusal and gives its `error`.
pub async fn refusal(response: Response, status: u16, code: Option<&str>) -> String {
    let headers = response.headers().clone();
    let (found, text) = (response.status().as_u16(), response.text().await.unwrap());
    assert_eq!(found, status, "{text}");
    let found = headers
        .get("x-error-code")
        .map(|code| code.to_str().unwrap());
    assert_eq!(found, code, "{text}");
    assert!(headers.contains_key("x-error-message"), "{text}");
    let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"));
    body["error"].as_str().unwrap().to_owned()
}

/// Git's name of a file's content.
pub fn oid(content: &[u8]) -> String {
    GitOid::of_blob(content).to_string()
}

/// The network's name of a file's content.
pub fn blob(content: &[u8]) -> String {
    BlobId::of(content).to_string()
}
