//! Models published to hubs of real processes, fetched from them by a node, and brought in from elsewhere.

use crate::{
    binary::{BINARY, Run, assay, command, port_base, workspace},
    network::{Network, copy},
};
use assay_blob::{GitOid, Sha256};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // By its id, which nobody else has before it was waited for.
        let _ = command("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

fn started(arguments: &[&str]) -> Process {
    let mut command = command(BINARY);
    Process(
        command
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    )
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn done(run: Run) -> Value {
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// A hub that stands alone, with a publisher's key.
struct Hub {
    folder: tempfile::TempDir,
    url: String,
    _process: Process,
}

impl Hub {
    fn start(slot: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = format!("127.0.0.1:{}", port_base(slot));
        let config = format!(
            "data = \"data\"\nkey = \"hub.key\"\nlisten = \"{listen}\"\nendpoint = \"http://{listen}\"\n\
             operator = \"0x7e5f4552091a69125d5dfcb7b8c2659029395bdf\"\n"
        );
        fs::write(folder.path().join("hub.toml"), config).unwrap();
        fs::write(folder.path().join("key"), format!("0x{:064x}\n", 1)).unwrap();
        let process = started(&["hub", "--config", &text(&folder.path().join("hub.toml"))]);
        until("the hub answers", || TcpStream::connect(&listen).is_ok());
        Self {
            folder,
            url: format!("http://{listen}"),
            _process: process,
        }
    }

    fn key(&self) -> String {
        text(&self.folder.path().join("key"))
    }

    fn publish(&self, directory: &Path, more: &[&str]) -> Run {
        let (directory, key) = (text(directory), self.key());
        let arguments = [
            "--json", "model", "publish", &directory, "--key", &key, "--hub", &self.url,
        ];
        assay(&[&arguments[..], more].concat())
    }

    fn import(&self, source: &str, into: &Path) -> Run {
        assay(&[
            "--json",
            "model",
            "import",
            source,
            "--from",
            &self.url,
            "--into",
            &text(into),
        ])
    }
}

/// The account of the secret key 1.
const PUBLISHER: &str = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf";

fn written(folder: &Path, files: &[(&str, &[u8])]) {
    for (path, content) in files {
        let place = folder.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }
}

fn files_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let place = entry.unwrap().path();
            match place.is_dir() {
                true => folders.push(place),
                false => {
                    let path = place.strip_prefix(folder).unwrap().display().to_string();
                    drop(found.insert(path, fs::read(&place).unwrap()));
                }
            }
        }
    }
    found
}

#[test]
fn any_directory_is_published_signed_and_brought_back() {
    let hub = Hub::start(3);
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("My-Model");
    let files: [(&str, &[u8]); 3] = [
        ("README.md", b"---\nlicense: mit\n---\n# M\n"),
        ("weights/a.bin", &[7; 100_000]),
        (".git/config", b"secret"),
    ];
    written(&model, &files);
    let key = text(&workspace().join("crates/assay/tests/signing/signer.key"));
    let published = done(hub.publish(&model, &["--signing-key", &key]));
    assert_eq!(published["model"], format!("{PUBLISHER}/My-Model"));
    assert_eq!(
        (&published["files"], &published["runnable"]),
        (&json!(4), &json!(false)),
        "git's files are none"
    );
    assert_eq!(published["hubs"][0]["state"], "took it");
    let note = published["note"].as_str().unwrap();
    assert!(note.contains("stands alone"), "{note}");
    let again = done(hub.publish(&model, &[]));
    assert_eq!(
        (&again["commit"], &again["sent"]),
        (&published["commit"], &json!(0))
    );

    let back = folder.path().join("back");
    let imported = done(hub.import(&format!("{PUBLISHER}/my-model"), &back));
    assert_eq!(imported["files"], 4);
    let mut found = files_of(&back);
    let record: Value =
        serde_json::from_slice(&found.remove("assay-import.json").unwrap()).unwrap();
    assert_eq!(
        (&record["source"], &record["files"][0]["path"]),
        (&json!(hub.url), &json!("README.md"))
    );
    let mut expected = files_of(&model);
    expected.remove(".git/config");
    assert_eq!(found, expected);
    let public = text(&workspace().join("crates/assay/tests/signing/signer.pem"));
    fs::remove_file(back.join("assay-import.json")).unwrap();
    let verified = assay(&["model", "verify", &text(&back), "--key", &public]);
    assert_eq!(verified.status, 0, "{}{}", verified.stdout, verified.stderr);

    let twice = hub.import(&format!("{PUBLISHER}/my-model"), &back);
    assert!(
        twice.status == 1 && twice.stderr.contains("is there already"),
        "{}",
        twice.stderr
    );
    for (source, reason) in [
        (format!("{PUBLISHER}/none"), "no repository"),
        ("a".into(), "is no repository"),
    ] {
        let into = folder.path().join("none");
        let run = hub.import(&source, &into);
        assert!(
            run.status != 0 && run.stderr.contains(reason),
            "{}",
            run.stderr
        );
        assert!(!into.exists());
    }
}

#[test]
fn no_token_is_made_for_a_hub_of_another_key_or_network_than_is_named() {
    let hub = Hub::start(6);
    let network = hub.folder.path().join("network.json");
    let content = json!({
        "name": "n", "chain_id": 7, "genesis": format!("0x{}", "11".repeat(32)),
        "public_key": format!("0x{}", "ab".repeat(96)),
    });
    fs::write(&network, content.to_string()).unwrap();
    let (key, network) = (hub.key(), text(&network));
    let token = |more: &[&str]| {
        let arguments = ["--json", "hub", "token", "--key", &key, "--hub", &hub.url];
        assay(&[&arguments[..], more].concat())
    };
    let made = done(token(&[]));
    let address = made["hub"].as_str().unwrap();
    assert_eq!(done(token(&["--address", address]))["hub"], made["hub"]);
    for (more, why) in [
        (["--address", PUBLISHER], "the hub says that its key is"),
        (["--network", &network], "says that it stands alone"),
        (["--network", &key], "is no network file"),
    ] {
        let run = token(&more);
        assert!(run.status != 0 && run.stdout.is_empty(), "{}", run.stdout);
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
}

#[test]
fn a_snapshot_of_a_cache_is_checked_by_the_names_of_its_blobs() {
    let hub = Hub::start(4);
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("models--org--tiny");
    let commit = "ab".repeat(20);
    let snapshot = model.join("snapshots").join(&commit);
    let (small, large): (&[u8], &[u8]) = (b"{}\n", &[3; 50_000]);
    let (git, sha256) = (
        GitOid::of_blob(small).to_string(),
        Sha256::of(large).to_string(),
    );
    written(&model, &[("refs/main", commit.as_bytes())]);
    written(&model.join("blobs"), &[(&git, small), (&sha256, large)]);
    fs::create_dir_all(snapshot.join("sub")).unwrap();
    let link =
        |target: &str, at: &str| std::os::unix::fs::symlink(target, snapshot.join(at)).unwrap();
    link(&format!("../../blobs/{git}"), "config.json");
    link(&format!("../../../blobs/{sha256}"), "sub/model.bin");
    let into = folder.path().join("into");
    let import = |source: &Path| {
        assay(&[
            "--json",
            "model",
            "import",
            &text(source),
            "--into",
            &text(&into),
        ])
    };
    for source in [&model, &snapshot] {
        let imported = done(import(source));
        assert_eq!(
            (&imported["repository"], &imported["commit"]),
            (&json!("org/tiny"), &json!(commit))
        );
        assert_eq!(fs::read(into.join("sub/model.bin")).unwrap(), large);
        fs::remove_dir_all(&into).unwrap();
    }
    let key = hub.key();
    let arguments = [
        "--json",
        "model",
        "import",
        &text(&model),
        "--to-hub",
        &hub.url,
        "--key",
        &key,
    ];
    let published = done(assay(&arguments));
    assert_eq!(published["model"], format!("{PUBLISHER}/tiny"));

    let left = |why: &str| {
        assert!(!into.exists(), "{why}");
        let here = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(here, 1, "{why}: nothing is left behind");
    };
    let refused = |reason: &str| {
        let run = import(&snapshot);
        assert!(
            run.status == 1 && run.stderr.contains(reason),
            "{reason}: {}",
            run.stderr
        );
        left(reason);
    };
    fs::write(model.join("blobs").join(&sha256), [4; 50_000]).unwrap();
    refused("not those of the digest");
    fs::write(model.join("blobs").join(&sha256), large).unwrap();
    link("/etc/hostname", "outside");
    refused("leads out of the model's blobs");
    fs::remove_file(snapshot.join("outside")).unwrap();
    fs::write(snapshot.join("plain"), "x").unwrap();
    refused("it is no link");
    fs::remove_file(snapshot.join("plain")).unwrap();
    written(&model.join("blobs"), &[("named", b"x")]);
    link("../../blobs/named", "x");
    refused("not called by a SHA-256");
    let other = import(folder.path());
    assert!(
        other.status == 1 && other.stderr.contains("no snapshot"),
        "{}",
        other.stderr
    );
}

/// An endpoint that answers paths with fixed bodies, one connection a request.
fn endpoint(answers: Vec<(&'static str, Vec<u8>)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let mut header = String::new();
            while reader.read_line(&mut header).is_ok_and(|count| count > 2) {
                header.clear();
            }
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            let found = answers.iter().find(|(wanted, _)| path.starts_with(wanted));
            let (status, body) = found.map_or((404, &[][..]), |(_, body)| (200, body.as_slice()));
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let mut stream = reader.into_inner();
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(body));
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read(&mut [0]);
        }
    });
    url
}

#[test]
fn a_source_that_lies_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let commit = "cd".repeat(20);
    let content = b"content".as_slice();
    let row = |path: &str, size: usize, oid: &str| json!({"type": "file", "path": path, "size": size, "oid": oid});
    let good = GitOid::of_blob(content).to_string();
    let described = json!({ "sha": commit }).to_string().into_bytes();
    let run = |described: &[u8], rows: Value| {
        let url = endpoint(vec![
            ("/api/models/a/b/revision/", described.to_vec()),
            ("/api/models/a/b/tree/", rows.to_string().into_bytes()),
            ("/a/b/resolve/", content.to_vec()),
        ]);
        let into = folder.path().join("into");
        assay(&[
            "--json",
            "model",
            "import",
            "a/b",
            "--from",
            &url,
            "--into",
            &text(&into),
        ])
    };
    for (rows, reason) in [
        (json!([row("../../escape", 7, &good)]), "path"),
        (json!([row("/etc/passwd", 7, &good)]), "path"),
        (json!([row(".git/config", 7, &good)]), "path"),
        (json!([row("a", 6, &good)]), "more than the 6 bytes"),
        (json!([row("a", 8, &good)]), "does not go on with a file"),
        (
            json!([row("a", 7, &"ef".repeat(20))]),
            "not those of the digest",
        ),
        (json!([row("a", 7, "main")]), "without a digest"),
        (
            json!([row("a", 7, &good), row("a", 7, &good)]),
            "listed twice",
        ),
        (
            json!([{"type": "file", "path": "a", "size": 7, "oid": good, "lfs": {"oid": "ab".repeat(32), "size": 7}}]),
            "not those of the digest",
        ),
        (json!([row("a", usize::MAX, &good)]), "too large"),
        (json!([]), "no files"),
        (json!({}), "another shape"),
    ] {
        let refused = run(&described, rows);
        assert!(
            refused.status == 1 && refused.stderr.contains(reason),
            "{reason}: {}",
            refused.stderr
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{reason}");
    }
    let no_commit = run(br#"{"sha":"main"}"#, json!([row("a", 7, &good)]));
    assert!(
        no_commit.stderr.contains("no commit"),
        "{}",
        no_commit.stderr
    );
    let fine = done(run(
        &described,
        json!([row("x/a", 7, &good), {"type": "directory", "path": "x", "oid": ""}]),
    ));
    assert_eq!(fine["files"], 1);
    assert_eq!(fs::read(folder.path().join("into/x/a")).unwrap(), content);
}

#[test]
fn a_node_serves_what_it_fetched_by_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let models = workspace().join("models");
    copy(&models.join("risk-logreg"), &place("served/risk-logreg"));
    let two_hubs = ["--hubs", "2"];
    let base = port_base(5);
    let network = Network::start(&place("network"), &place("served"), base, &two_hubs);
    let (rpc, gateway) = (network.rpc.clone(), network.gateway.clone());
    let key = text(&place("network/developer.key"));
    let chosen = text(&models.join("digits-mlp"));
    let published = done(assay(&[
        "--json",
        "model",
        "publish",
        &chosen,
        "--key",
        &key,
        "--rpc",
        &rpc,
        "--allow-private-hubs",
    ]));
    assert_eq!(published["runnable"], true);
    let states: Vec<&str> = published["hubs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hub| hub["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["took it", "has it"]);
    let revision = published["revision"].as_str().unwrap().to_owned();
    let model = published["model"].as_str().unwrap().to_owned();
    let publisher = model.split('/').next().unwrap().to_owned();

    let port = base + 60;
    let config = |models: &str, private: bool| {
        let text = format!(
            "data = \"data\"\nkey = \"node.key\"\nnetwork = \"../network/network.json\"\nmodels = [\"{models}\"]\n\
             allow_private_hubs = {private}\nlisten = \"127.0.0.1:{port}\"\nendpoint = \"http://127.0.0.1:{port}\"\n\
             operator = \"{publisher}\"\nrpc = [\"{rpc}\"]\n"
        );
        written(&place("node"), &[("node.toml", text.as_bytes())]);
    };
    written(
        &place("node"),
        &[("node.key", format!("0x{:064x}\n", 77).as_bytes())],
    );
    let file = text(&place("node/node.toml"));
    config(&format!("0x{}", "ab".repeat(32)), true);
    let nobody = assay(&["node", "--config", &file]);
    assert!(
        nobody.status == 1 && nobody.stderr.contains("does not have it"),
        "{}",
        nobody.stderr
    );
    config(&revision, true);
    let registered = assay(&[
        "node",
        "register",
        "--config",
        &file,
        "--operator-key",
        &key,
        "--rpc",
        &rpc,
    ]);
    assert_eq!(registered.status, 0, "{}", registered.stderr);
    let answers = || TcpStream::connect(("127.0.0.1", port)).is_ok();
    {
        let _node = started(&["node", "--config", &file]);
        until("the node answers", answers);
    }
    until("the node is gone", || !answers());
    // What is here is not fetched again: no hub may be asked now.
    config(&revision, false);
    let _node = started(&["node", "--config", &file]);
    until("the node answers again", answers);
    let (input, network_file) = (place("input.json"), text(&place("network/network.json")));
    fs::write(&input, json!({ "X": [vec![0.5; 64]] }).to_string()).unwrap();
    let ask = || {
        let input = text(&input);
        assay(&[
            "--json",
            "infer",
            &model,
            "--input",
            &input,
            "--gateway",
            &gateway,
            "--network",
            &network_file,
        ])
    };
    let mut answer = ask();
    until("the model is served", || {
        answer = ask();
        answer.status == 0 || !answer.stderr.contains("no live node")
    });
    // Nobody else has it: the other nodes serve another model.
    assert_eq!(done(answer)["revision"], revision.as_str());
    let show = [
        "--json",
        "model",
        "show",
        &model,
        "--gateway",
        &gateway,
        "--rpc",
        &rpc,
        "--allow-private-hubs",
    ];
    let shown = done(assay(&show));
    let hubs = shown["onHubs"]["hubs"].as_array().unwrap();
    assert!(
        hubs.len() == 2 && hubs.iter().all(|hub| hub["state"] == "has it"),
        "{shown}"
    );
}
