//! Files that can run code are told by their bytes, and signatures by the key that made them.

use crate::{
    hub_search::{follow, open},
    hub_stage::{Stage, file, refusal, weights},
};
use assay_blob::{
    BlobId, Sha256,
    signing::{self, FileRecord, Layout, PrivateKey, Statement},
};
use assay_hub::{FileEntry, Kind, RefName, TreePath};
use assay_node::hub::{Hub, catalogue::NewCommit, safety::Found};
use reqwest::Method;
use serde_json::{Value, json};

/// A pickle that calls `os.system("ls")`.
const PICKLE: &[u8] = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.";
const KEY: &str = include_str!("../../../assay/tests/signing/signer.key");
const PUBLIC: &str = include_str!("../../../assay/tests/signing/signer.pem");

async fn get(stage: &Stage, method: Method, rev: &str, path: &str) -> reqwest::Response {
    let path = format!("/alice/m/resolve/{}/{path}", rev.replace('/', "%2F"));
    stage.send(0, method, &path, "").await
}

fn warning(response: &reqwest::Response) -> String {
    let warning = response.headers().get("x-hf-warning");
    warning.map_or(String::new(), |warning| {
        warning.to_str().unwrap().to_owned()
    })
}

#[tokio::test]
async fn a_pickle_is_given_only_to_who_asks_for_code() {
    let stage = Stage::set().await;
    stage.create("m").await;
    let commit = stage
        .committed(
            "m",
            &[
                file("model.safetensors", PICKLE),
                file("fine.bin", &weights(10)),
                file("fine.pkl", b"# only a text\n"),
                file("dark.pt", &[0xff, 0xfe, 1, 2, 3, 250]),
                file("nested/a.txt", b"a\n"),
            ],
        )
        .await;
    for rev in ["main", &commit, "refs/heads/main"] {
        let reason = refusal(
            get(&stage, Method::GET, rev, "model.safetensors").await,
            403,
            None,
        )
        .await;
        assert!(
            reason.contains("os.system") && reason.contains(&format!("`unsafe/{rev}`")),
            "{reason}"
        );
        let given = get(
            &stage,
            Method::GET,
            &format!("unsafe/{rev}"),
            "model.safetensors",
        )
        .await;
        assert_eq!(
            (
                given.status().as_u16(),
                warning(&given).contains("can run code")
            ),
            (200, true)
        );
        assert_eq!(given.bytes().await.unwrap(), PICKLE);
    }
    // Clients look up a revision once, and then name the commit that they were told.
    let told = stage
        .read("/api/models/alice/m/revision/unsafe%2Fmain")
        .await["sha"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(told, commit);
    let given = get(&stage, Method::GET, &told, "model.safetensors").await;
    assert_eq!(
        (
            given.status().as_u16(),
            given.headers()["x-repo-commit"].to_str().unwrap()
        ),
        (200, told.as_str())
    );
    let head = get(&stage, Method::HEAD, "main", "model.safetensors").await;
    assert_eq!(head.status(), 200, "metadata is no code");
    assert!(warning(&head).starts_with("unsafe; ") && warning(&head).contains("unsafe/main"));
    for (path, warned) in [
        ("fine.bin", false),
        ("fine.pkl", false),
        ("dark.pt", true),
        ("nested/a.txt", false),
    ] {
        let given = get(&stage, Method::GET, "main", path).await;
        assert_eq!(
            (given.status().as_u16(), !warning(&given).is_empty()),
            (200, warned),
            "{path}"
        );
    }
    let raw = stage
        .send(0, Method::GET, "/alice/m/raw/main/model.safetensors", "")
        .await;
    assert!(
        raw.text()
            .await
            .unwrap()
            .starts_with("version https://git-lfs"),
        "a pointer is no code"
    );
    let tree = stage
        .read("/api/models/alice/m/tree/main?recursive=true")
        .await;
    let status = |path: &str| {
        let rows = tree.as_array().unwrap();
        rows.iter().find(|row| row["path"] == path).unwrap()["securityFileStatus"]["status"].clone()
    };
    assert_eq!(
        (status("model.safetensors"), status("fine.bin")),
        (json!("unsafe"), Value::Null)
    );
    let info = stage.read("/api/models/alice/m").await;
    assert_eq!(info["assay"]["executable"], json!(["model.safetensors"]));
    let info = stage.read("/api/models/alice/m?securityStatus=true").await;
    let issues = json!([{"path": "model.safetensors", "level": "unsafe"}, {"path": "dark.pt", "level": "suspicious"}]);
    assert_eq!(info["securityRepoStatus"]["filesWithIssues"], issues);
    let all = stage
        .read("/api/models/alice/m/tree/unsafe%2Fmain?expand=true")
        .await;
    assert_eq!(all.as_array().unwrap().len(), 5);
    assert!(
        all.as_array()
            .unwrap()
            .iter()
            .any(|row| row["securityFileStatus"]["status"] == "safe")
    );
}

#[tokio::test]
async fn an_operator_may_take_no_code_whatever_it_is_called() {
    let change =
        |config: &mut assay_node::hub::HubConfig| config.retention.takes_executable_formats = false;
    let stage = Stage::set_in(tempfile::tempdir().unwrap(), change).await;
    stage.create("m").await;
    for (path, content, status) in [
        ("a.safetensors", PICKLE, 403),
        ("a.bin", &weights(3), 200),
        ("b.pt", &[0xff, 0xfe, 1, 2, 3, 250], 403),
        ("c.dat", &[0xff, 0xfe, 1, 2, 3, 251], 200),
    ] {
        let answer = stage.commit("m", "main", &[file(path, content)]).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
    }
}

/// The bundle over files as the tool makes it.
fn signed(files: &[(&str, &[u8])]) -> Vec<u8> {
    let records = files.iter().map(|(path, content)| {
        let digest = Sha256::of(content).as_bytes().to_vec();
        FileRecord::of_digest(path, content.len() as u64, digest)
    });
    let ignored = vec!["model.sig".to_owned()];
    let statement = Statement::new("m", Layout::FILES, ignored, records.collect()).unwrap();
    signing::sign(&statement, &PrivateKey::from_pem(KEY).unwrap(), None).unwrap()
}

#[tokio::test]
async fn a_signature_is_checked_and_says_whose_key_it_is() {
    let stage = Stage::set().await;
    stage.create("m").await;
    let model = weights(10);
    let bundle = signed(&[("model.safetensors", &model)]);
    stage
        .committed(
            "m",
            &[
                file("model.safetensors", &model),
                file("model.sig", &bundle),
            ],
        )
        .await;
    let state = async || stage.read("/api/models/alice/m").await["assay"]["signature"].clone();
    let hint = Sha256::of(PUBLIC.as_bytes()).to_string();
    let found = state().await;
    assert_eq!(
        found,
        json!({"state": "valid", "key": hint, "declared": false, "files": 1, "notSigned": 0, "unseen": 0})
    );
    stage
        .committed("m", &[file("model.pub", PUBLIC.as_bytes())])
        .await;
    let found = state().await;
    assert_eq!(
        (&found["state"], &found["declared"], &found["notSigned"]),
        (&json!("valid"), &json!(true), &json!(1))
    );
    let page = stage
        .send(0, Method::GET, "/alice/m", "")
        .await
        .text()
        .await
        .unwrap();
    assert!(
        page.contains("the key that the repository declares in model.pub"),
        "{page}"
    );

    stage
        .committed("m", &[file("model.safetensors", &weights(11))])
        .await;
    let found = state().await;
    assert!(
        found["state"] == "invalid" && found["why"].as_str().unwrap().contains("model.safetensors"),
        "{found}"
    );
    let answer = stage.send(0, Method::GET, "/api/models/alice/m", "").await;
    assert!(warning(&answer).starts_with("signature invalid; "));
    let other = PUBLIC.replace("PUBLIC KEY", "OTHER KEY");
    for (name, content, expected) in [
        ("model.pub", other.as_bytes(), "unchecked"),
        ("model.sig", b"{}".as_slice(), "unchecked"),
        ("model.pub", PUBLIC.as_bytes(), "invalid"),
    ] {
        stage.committed("m", &[file(name, content)]).await;
        assert_eq!(state().await["state"], expected, "{name}");
    }
    let extra = json!({"key": "deletedFile", "value": {"path": "model.pub"}});
    let mut forged = bundle.clone();
    let at = forged
        .windows(5)
        .position(|window| window == b"\"sig\"")
        .unwrap()
        + 20;
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    stage
        .committed(
            "m",
            &[
                extra,
                file("model.safetensors", &model),
                file("model.sig", &forged),
            ],
        )
        .await;
    assert_eq!(state().await["state"], "invalid");
}

/// The folder of a hub that has `alice/m`, signed.
async fn with_a_signed_model() -> tempfile::TempDir {
    let stage = Stage::set().await;
    stage.create("m").await;
    let model = weights(10);
    let bundle = signed(&[("model.safetensors", &model)]);
    let files = [
        file("model.safetensors", &model),
        file("model.sig", &bundle),
    ];
    stage.committed("m", &files).await;
    stage.stop().await
}

#[tokio::test]
async fn digests_that_a_commit_makes_up_make_no_signature_valid() {
    let folder = with_a_signed_model().await;
    let hub = open(folder.path());
    let key = hub.repository(Kind::Model, "alice/m").unwrap().key();
    let head = hub.catalogue.head(&key, &RefName::main()).unwrap().unwrap();
    let mut commit = hub.catalogue.commit(&head).unwrap();
    let mut tree = hub.catalogue.tree(&commit.tree).unwrap();
    let mut revision = hub.catalogue.revision(&commit.revision).unwrap().unwrap();
    assert_eq!(signature(&hub, &commit.tree), "valid");

    // Other weights under the digest that was signed, as another hub's inventory may say.
    let path: TreePath = "model.safetensors".parse().unwrap();
    let mut entry = *tree.file(&path).unwrap();
    entry.blob = hub.store.put(&weights(11)).unwrap().id;
    tree.put(path, entry);
    revision.id = tree.manifest().identify().unwrap().0;
    commit.revision = revision.id;
    commit.tree = BlobId::of(b"its inventory");
    let inventory = commit.tree;
    let new = NewCommit {
        commit,
        revision,
        tree,
    };
    hub.catalogue.enter(&[new], &[]).unwrap();
    assert_eq!(signature(&hub, &inventory), "invalid");
}

#[tokio::test]
async fn looking_for_code_in_many_files_has_an_end_and_goes_on_where_it_ended() {
    let stage = Stage::set().await;
    stage.create("m").await;
    let names = ["a.bin", "b.bin", "c.bin"];
    let files = names.map(|name| file(name, &[PICKLE, name.as_bytes()].concat()));
    stage.committed("m", &files).await;
    let folder = stage.stop().await;
    // As for a hub that has the files and has not looked yet.
    let other = tempfile::tempdir().unwrap();
    let hub = open(other.path());
    let honest = open(folder.path());
    let mut entries = Vec::new();
    for name in names {
        let located = honest.locate(Kind::Model, "alice/m", "main", name).unwrap();
        let content = honest.content(&located.entry.blob).unwrap().unwrap();
        hub.store.put(&content).unwrap();
        entries.push(located.entry);
    }
    for known in 1..=3 {
        let judged = hub.judge_within(&entries, 1).unwrap();
        let seen = judged.iter().filter(|judgement| judgement.is_some());
        assert_eq!(seen.count(), known, "one more each time");
    }
    let last = hub.judge(&entries[2]).unwrap().unwrap();
    assert_eq!(last.found, Found::Code);
}

/// What became of the check of a model's signature, for the files of an inventory.
fn signature(hub: &Hub, inventory: &BlobId) -> Value {
    let facts = hub.facts(inventory).unwrap();
    serde_json::to_value(facts).unwrap()["signature"]["state"].clone()
}

#[tokio::test]
async fn who_is_first_with_a_revision_says_nothing_of_another_ones_digests() {
    let folder = with_a_signed_model().await;
    let honest = open(folder.path());
    let key = honest.repository(Kind::Model, "alice/m").unwrap().key();
    let head = honest.catalogue.head(&key, &RefName::main()).unwrap();
    let said = honest.catalogue.commit(&head.unwrap()).unwrap();
    let path: TreePath = "model.safetensors".parse().unwrap();
    let right = honest.catalogue.file(&said.tree, &path).unwrap().unwrap();

    // The same files, hence the same revision, with a digest that is made up, reach another hub first.
    let other = tempfile::tempdir().unwrap();
    let hub = open(other.path());
    let mut tree = honest.catalogue.tree(&said.tree).unwrap();
    tree.put(
        path.clone(),
        FileEntry {
            sha256: Sha256::from_bytes([7; 32]),
            ..right
        },
    );
    let mut commit = said.clone();
    commit.tree = BlobId::of(b"another inventory");
    let lie = commit.tree;
    let revision = honest.catalogue.revision(&said.revision).unwrap().unwrap();
    assert_eq!(tree.manifest().identify().unwrap().0, said.revision);
    let new = NewCommit {
        commit,
        revision,
        tree,
    };
    hub.catalogue.enter(&[new], &[]).unwrap();
    follow(&hub, &honest, "alice/m");

    let shown = hub.locate(Kind::Model, "alice/m", "main", path.as_str());
    assert_eq!(shown.unwrap().entry, right);
    assert_eq!(signature(&hub, &said.tree), "valid");
    assert_ne!(signature(&hub, &lie), "valid");
    // What more of it arrives, is news for both.
    hub.catalogue.forget_facts(&said.revision).unwrap();
    for inventory in [said.tree, lie] {
        assert_eq!(hub.catalogue.facts(&inventory).unwrap(), None);
    }
}
