//! What a hub no longer needs goes after its grace, and nothing else does. Clients that take nothing are cut off.

use crate::hub_content_stage::noise;
use crate::hub_stage::{Stage, file};
use assay_blob::{BlobId, Sha256};
use assay_hub::policy::Retention;
use assay_node::hub::{HubConfig, Storage};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

/// Whatever is waited for takes at most this long on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);
/// What nobody needs goes after this.
const GRACE: Duration = Duration::from_secs(4);

fn collects(config: &mut HubConfig) {
    config.retention = Retention {
        grace_days: 0,
        ..Retention::default()
    };
    config.storage = Storage {
        collect_every_ms: 200,
        grace_ms: Some(u64::try_from(GRACE.as_millis()).unwrap()),
        ..Storage::default()
    };
}

/// Uploads content, which no commit has yet.
async fn upload(stage: &Stage, content: &[u8]) -> Value {
    let oid = Sha256::of(content);
    let batch =
        json!({ "operation": "upload", "objects": [{ "oid": oid, "size": content.len() }] });
    let path = "/alice/m.git/info/lfs/objects/batch";
    let answer = stage.send(1, Method::POST, path, batch.to_string()).await;
    let answer: Value = answer.json().await.unwrap();
    let href = answer["objects"][0]["actions"]["upload"]["href"].as_str();
    let path = href.unwrap().strip_prefix(&stage.url).unwrap().to_owned();
    let put = stage.send(0, Method::PUT, &path, content.to_vec()).await;
    assert_eq!(put.status(), 200);
    json!({ "key": "lfsFile", "value": { "path": "x", "algo": "sha256", "oid": oid, "size": content.len() } })
}

fn at(mut operation: Value, path: &str) -> Value {
    operation["value"]["path"] = path.into();
    operation
}

fn blob_path(content: &[u8]) -> String {
    format!("/assay/v1/blobs/{}", BlobId::of(content))
}

async fn is_here(stage: &Stage, content: &[u8]) -> bool {
    let answer = stage.send(0, Method::GET, &blob_path(content), "").await;
    answer.status() == StatusCode::OK && answer.bytes().await.unwrap() == content
}

#[tokio::test]
async fn a_deleted_branch_goes_after_its_grace_and_nothing_that_a_ref_reaches() {
    let stage = Stage::set_in(tempfile::tempdir().unwrap(), collects).await;
    stage.create("m").await;
    let [shared, old, lonely, late] = [1, 2, 3, 4].map(|seed| noise(12_000_000, seed));
    let put = upload(&stage, &old).await;
    stage.committed("m", &[at(put, "w.bin")]).await;
    let put = upload(&stage, &shared).await;
    stage
        .committed("m", &[at(put, "w.bin"), file("README.md", b"# m")])
        .await;
    let branch = "/api/models/alice/m/branch/dev";
    let made = stage.send(1, Method::POST, branch, "{}").await;
    assert!(made.status().is_success());
    let put = upload(&stage, &lonely).await;
    let committed = stage.commit("m", "dev", &[at(put, "l.bin")]).await;
    assert_eq!(committed.status(), 200);
    let again = upload(&stage, &late).await;
    let uploaded = Instant::now();

    let deleted = stage.send(1, Method::DELETE, branch, "").await;
    assert!(deleted.status().is_success());
    // Somebody is in the middle of it, and takes the rest once it is gone.
    let mut downloading = stage.send(0, Method::GET, &blob_path(&lonely), "").await;
    let mut read = downloading.chunk().await.unwrap().unwrap().to_vec();
    // What was uploaded is not taken away from under its commit, which comes a little later.
    tokio::time::sleep(GRACE / 2).await;
    assert!(is_here(&stage, &late).await && is_here(&stage, &lonely).await);
    assert!(
        uploaded.elapsed() < GRACE,
        "the machine is too slow for this test"
    );
    stage.committed("m", &[at(again, "late.bin")]).await;

    let begun = Instant::now();
    while is_here(&stage, &lonely).await {
        assert!(begun.elapsed() < PATIENCE, "it stays");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    while let Some(more) = downloading.chunk().await.unwrap() {
        read.extend_from_slice(&more);
    }
    assert!(read == lonely);
    // Several collections and a grace later, what the branch shared, what was before, and what came late are still
    // there.
    tokio::time::sleep(GRACE + Duration::from_secs(1)).await;
    for (name, kept) in [("shared", &shared), ("old", &old), ("late", &late)] {
        assert!(is_here(&stage, kept).await, "{name}");
    }
    let card = stage
        .send(0, Method::GET, "/alice/m/resolve/main/README.md", "")
        .await;
    assert_eq!(card.text().await.unwrap(), "# m");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_cut_off() {
    let patience = Duration::from_millis(500);
    let stage = Stage::set_in(tempfile::tempdir().unwrap(), |config| {
        config.limits.write_patience_ms = 500;
    })
    .await;
    stage.create("m").await;
    let content = noise(40_000_000, 5);
    let put = upload(&stage, &content).await;
    stage.committed("m", &[at(put, "w.bin")]).await;
    let address = stage.url.strip_prefix("http://").unwrap().to_owned();
    let path = blob_path(&content);
    let taken = tokio::task::spawn_blocking(move || {
        let mut socket = TcpStream::connect(&address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        std::thread::sleep(patience * 6);
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        // What lies between the two ends comes, and then the end; some systems call that a failure.
        let mut taken = Vec::new();
        let ended = socket.read_to_end(&mut taken);
        let kind = ended.err().map(|error| error.kind());
        assert_ne!(
            kind,
            Some(std::io::ErrorKind::WouldBlock),
            "it was not cut off"
        );
        taken.len()
    })
    .await
    .unwrap();
    assert!(taken < content.len(), "{taken}");
    // Who takes what comes, be it slowly, gets all of it.
    let mut answer = stage.send(0, Method::GET, &blob_path(&content), "").await;
    let mut read = Vec::new();
    while let Some(more) = answer.chunk().await.unwrap() {
        if read.len() / 10_000_000 < (read.len() + more.len()) / 10_000_000 {
            tokio::time::sleep(patience / 2).await;
        }
        read.extend_from_slice(&more);
    }
    assert!(read == content);
    stage.stop().await;
}
