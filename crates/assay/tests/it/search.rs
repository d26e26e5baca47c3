//! `assay model search` before a hub that runs.

use std::{
    fs,
    net::TcpListener,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::binary::{BINARY, Run, assay, command};

/// How long a hub may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// A hub of its own process, with one model.
struct Running {
    hub: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.hub.kill();
        let _ = self.hub.wait();
    }
}

impl Running {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = free.local_addr().unwrap();
        drop(free);
        let url = format!("http://{listen}");
        // The account of the secret key 1, which everybody knows and nobody uses.
        let alice = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf";
        let config = folder.path().join("hub.toml");
        fs::write(
            &config,
            format!(
                "data = \"data\"\nkey = \"hub.key\"\nlisten = \"{listen}\"\nendpoint = \"{url}\"\n\
                 operator = \"{alice}\"\n[handles]\nalice = \"{alice}\"\n"
            ),
        )
        .unwrap();
        let hub = command(BINARY)
            .args(["hub", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let running = Self {
            hub,
            url,
            _folder: folder,
        };
        let started = Instant::now();
        while running.search(&[]).status != 0 {
            assert!(started.elapsed() < PATIENCE, "the hub does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        running
    }

    fn search(&self, words: &[&str]) -> Run {
        assay(&[&["model", "search", "--hub", &self.url], words].concat())
    }

    /// Publishes a model of a card as a client does.
    fn publish(&self, card: &str) {
        let key = self._folder.path().join("alice.key");
        fs::write(&key, format!("0x{:064x}\n", 1)).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let token = assay(&[
            "hub",
            "token",
            "--hub",
            &self.url,
            "--key",
            key.to_str().unwrap(),
        ]);
        assert_eq!(token.status, 0, "{}", token.stderr);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let post = |path: &str, kind: &str, body: String| {
            let request = http
                .post(format!("{}{path}", self.url))
                .bearer_auth(token.stdout.trim())
                .header("content-type", kind)
                .body(body);
            let answer = runtime.block_on(async {
                let answer = request.send().await.unwrap();
                (answer.status().as_u16(), answer.text().await.unwrap())
            });
            assert_eq!(answer.0, 200, "{}", answer.1);
        };
        post(
            "/api/repos/create",
            "application/json",
            r#"{"name": "alice/m-17"}"#.into(),
        );
        let file =
            serde_json::json!({"key": "file", "value": {"path": "README.md", "content": card}});
        let lines = format!("{{\"key\":\"header\",\"value\":{{\"summary\":\"first\"}}}}\n{file}\n");
        post(
            "/api/models/alice/m-17/commit/main",
            "application/x-ndjson",
            lines,
        );
    }
}

#[test]
fn a_model_is_found_with_reasons_warnings_and_what_is_not_known() {
    let running = Running::start();
    let empty = running.search(&["anything"]);
    assert!(
        empty.stdout.contains("nothing fits among 0"),
        "{}",
        empty.stdout
    );
    running.publish(
        "---\npipeline_tag: text-classification\nlicense: mit\nlanguage: de\n---\n# m\n\nTells the \u{202e}sentiment of reviews.\n",
    );
    let run = running.search(&["sentimnet", "of", "german", "reviews"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    for says in [
        "  1  alice/m-17",
        "why      ",
        "fits the task",
        "careful  its publisher did not sign its files",
        "was looked for as",
        "1 of 1 that this hub knows",
        "not known: who uses it",
        "search.weights",
    ] {
        assert!(run.stdout.contains(says), "{says}: {}", run.stdout);
    }
    let run = running.search(&[
        "--task",
        "text-classification",
        "--license",
        "mit",
        "--language",
        "de",
        "--max-size",
        "1MB",
        "--json",
    ]);
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(found["hits"][0]["id"], "alice/m-17");
    assert_eq!(found["meaning"], false);
    for nothing in [
        ["--license", "apache-2.0"],
        ["--max-size", "1KB"],
        ["--rung", "proven"],
        ["--provenance", "signed"],
    ] {
        // The card alone is under a kilobyte, so that only the other bounds leave it out.
        let run = running.search(&nothing);
        let expected = if nothing[0] == "--max-size" {
            "1 of 1"
        } else {
            "nothing fits"
        };
        assert!(run.stdout.contains(expected), "{nothing:?}: {}", run.stdout);
    }
}

#[test]
fn what_the_hub_refuses_is_repeated_and_no_hub_is_said_to_be_none() {
    let running = Running::start();
    let run = running.search(&["x", "--sort", "magic"]);
    assert_eq!(run.status, 3, "{}{}", run.stdout, run.stderr);
    assert!(
        run.stderr.contains("sort: `magic` is none of relevance"),
        "{}",
        run.stderr
    );
    let url = running.url.clone();
    drop(running);
    let run = assay(&["model", "search", "x", "--hub", &url]);
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("no hub answers at"), "{}", run.stderr);
}
