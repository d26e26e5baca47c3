//! A directory is put onto a hub: what is there is not sent again, what is gone is taken away, and a hub that makes something
//! else of it is caught.

use crate::hub_stage::{Stage, address, key};
use assay_blob::Sha256;
use assay_hub::{Kind, Name, TreePath};
use assay_node::{
    Error,
    delegation::Scope,
    fetch::Source,
    push::{Local, Pushed, Target, push},
    reach::Reach,
};
use axum::{Json, Router, routing::get};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;

const LOCAL: Reach = Reach { private: true };
const PART: usize = 32 << 20;

fn write(folder: &Path, path: &str, content: &[u8]) {
    let place = folder.join(path);
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::write(place, content).unwrap();
}

fn local(folder: &Path) -> Local {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let place = entry.unwrap().path();
            if place.is_dir() {
                folders.push(place);
                continue;
            }
            let path: TreePath = place
                .strip_prefix(folder)
                .unwrap()
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            files.push((path, place));
        }
    }
    Local::read(files).unwrap()
}

fn target(stage: &Stage, name: &str) -> Target {
    Target {
        hub: Source {
            name: "hub".into(),
            url: stage.url.clone(),
        },
        token: stage.token(1, Scope::Write),
        publisher: key(1).address(),
        kind: Kind::Model,
        name: Name::new(Kind::Model, name).unwrap(),
        title: "publish".into(),
    }
}

async fn pushed(stage: &Stage, folder: &Path) -> Pushed {
    push(&target(stage, "m"), LOCAL, &local(folder))
        .await
        .unwrap()
}

/// Bytes that no compression and no deduplication makes less of.
fn noise(count: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

#[tokio::test]
async fn a_directory_becomes_a_revision_and_only_changes_are_sent() {
    let (stage, folder) = (Stage::set().await, tempfile::tempdir().unwrap());
    let folder = folder.path();
    let (large, small) = (noise(300_000, 1), b"# M\n");
    write(folder, "README.md", small);
    write(folder, "model.bin", &large);
    write(folder, "a/copy.bin", &large);
    let first = pushed(&stage, folder).await;
    assert_eq!(first.changed, 3);
    assert_eq!(
        first.sent,
        (large.len() + small.len()) as u64,
        "equal files are sent once"
    );
    let again = pushed(&stage, folder).await;
    assert_eq!(
        (again.commit, again.changed, again.sent),
        (first.commit, 0, 0)
    );
    write(folder, "README.md", b"# N\n");
    std::fs::rename(folder.join("model.bin"), folder.join("weights.bin")).unwrap();
    let second = pushed(&stage, folder).await;
    assert_eq!(
        (second.changed, second.sent),
        (2, 4),
        "a renamed file is not sent again"
    );
    let id = format!("/api/models/{}/m", address(1));
    let info = stage.read(&id).await;
    assert_eq!(info["assay"]["revision"], json!(second.revision));
    let names: Vec<&str> = info["siblings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["rfilename"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["README.md", "a/copy.bin", "weights.bin"]);
    assert_eq!(
        stage
            .read(&format!("{id}/commits/main"))
            .await
            .as_array()
            .unwrap()
            .len(),
        2,
        "no empty first commit"
    );
}

#[tokio::test]
async fn parts_that_arrived_before_are_not_sent_again() {
    let (stage, folder) = (Stage::set().await, tempfile::tempdir().unwrap());
    let file = noise(PART + 1_000, 2);
    write(folder.path(), "model.bin", &file);
    let body = json!({
        "operation": "upload", "transfers": ["multipart"],
        "objects": [{ "oid": Sha256::of(&file), "size": file.len() }],
    });
    let path = format!("/{}/m.git/info/lfs/objects/batch?create=true", address(1));
    let offered = stage.send(1, Method::POST, &path, body.to_string()).await;
    let offered: Value = offered.json().await.unwrap();
    let part = offered["objects"][0]["actions"]["upload"]["header"]["1"]
        .as_str()
        .unwrap();
    let part = part.strip_prefix(&stage.url).unwrap();
    let sent = stage
        .send(0, Method::PUT, part, file[..PART].to_vec())
        .await;
    assert_eq!(sent.status(), 200);
    let pushed = pushed(&stage, folder.path()).await;
    assert_eq!(pushed.sent, 1_000);
    let there = stage
        .send(
            0,
            Method::GET,
            &format!("/{}/m/resolve/main/model.bin", address(1)),
            "",
        )
        .await;
    assert_eq!(there.bytes().await.unwrap(), file);
}

#[tokio::test]
async fn only_a_token_of_the_publisher_makes_a_repository() {
    let (stage, folder) = (Stage::set().await, tempfile::tempdir().unwrap());
    write(folder.path(), "a.txt", b"a");
    write(folder.path(), "a.bin", &noise(100_000, 3));
    let mut wrong = vec![target(&stage, "m"); 3];
    wrong[0].token = stage.token(2, Scope::Write);
    wrong[1].token = stage.token(1, Scope::Read);
    wrong[2].token = "hf_x".into();
    for target in &wrong {
        let refused = push(target, LOCAL, &local(folder.path()))
            .await
            .unwrap_err();
        assert!(matches!(&refused, Error::Push { .. }), "{refused}");
    }
    let private = push(
        &target(&stage, "m"),
        Reach { private: false },
        &local(folder.path()),
    )
    .await;
    assert!(private.unwrap_err().to_string().contains("private address"));
    let path = format!("/api/models/{}/m", address(1));
    assert_eq!(stage.send(0, Method::GET, &path, "").await.status(), 404);
}

#[tokio::test]
async fn a_hub_that_names_another_revision_is_caught() {
    let other = json!({ "assay": { "commit": "ab".repeat(32), "revision": format!("0x{}", "cd".repeat(32)) } });
    let routes = Router::new()
        .route(
            "/api/models/{publisher}/m",
            get(|| async { axum::http::StatusCode::NOT_FOUND }),
        )
        .route(
            "/api/models/{publisher}/m/commit/main",
            axum::routing::post(move || async move { Json(other) }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let liar = tokio::spawn(async move { axum::serve(listener, routes).await });
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.txt", b"a");
    let target = Target {
        hub: Source {
            name: "liar".into(),
            url,
        },
        token: "hf_x".into(),
        publisher: key(1).address(),
        kind: Kind::Model,
        name: Name::new(Kind::Model, "m").unwrap(),
        title: "publish".into(),
    };
    let refused = push(&target, LOCAL, &local(folder.path()))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("it made revision 0xcdcd"),
        "{refused}"
    );
    liar.abort();
}
