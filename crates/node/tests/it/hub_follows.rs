//! Hubs before a real chain beside one that drips, and lies about what it has: they are not held up, and do not believe it.

use crate::hub_content_stage::noise;
use crate::hub_pieces::{Hubs, until};
use crate::hub_stage::file;
use crate::node_settles::key;
use alloy_primitives::keccak256;
use assay_blob::BlobId;
use assay_hub::placement::{self, Keeper, Rule, Share};
use assay_node::repositories::{self, MAIN, Move, Moved, Repository, Target};
use assay_receipt::RevisionId;
use axum::{Router, body::Body, extract::Request, response::IntoResponse as _};
use futures::StreamExt as _;
use reqwest::{Method, StatusCode};
use std::{path::Path, time::Duration};
use tokio::net::TcpListener;

/// Secrets of the hubs' keys and of their operators' accounts; the last hub is the one that drips.
const FIRST: (u8, u8) = (5, 1);
const SECOND: (u8, u8) = (21, 3);
const DRIPS: (u8, u8) = (22, 7);
/// What must not wait for the hub that drips takes at most this long: less than one body may take.
const SOON: Duration = Duration::from_secs(75);
/// How hubs of these tests are set; one copy, and no pieces.
const SETTINGS: &str = "[participation]\ncopies = 1\ngone_after_ms = 3000\naudit_every_ms = 0\n\
     allow_private_hubs = true\n[storage]\ncollect_every_ms = 300\ncache_ms = 1000\n";

/// A hub that says that it is `named`, has everything and keeps everything, and sends a byte of it now and then.
async fn dripping(named: u8) -> String {
    let described = format!("{{\"hub\":\"{}\"}}", key(named).address());
    let router = Router::new().fallback(async move |request: Request| {
        let asked = request.uri().to_string();
        match asked.as_str() {
            "/assay/v1/hub" => described.clone().into_response(),
            "/assay/v1/challenges" => "I have it".into_response(),
            proves if proves.ends_with("/slice?start=0&end=0") => "I have it".into_response(),
            _ => {
                let drops = futures::stream::repeat("x").then(async |drop| {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Ok::<_, std::io::Error>(drop)
                });
                Body::from_stream(drops).into_response()
            }
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Two hubs and one that drips and says that it is `named`.
async fn three(folder: &Path, named: u8) -> Hubs {
    let mut hubs = Hubs::alone(folder).await;
    hubs.register(DRIPS.0, DRIPS.1, &dripping(named).await)
        .await;
    hubs.add(FIRST.0, FIRST.1, SETTINGS).await;
    hubs.add(SECOND.0, SECOND.1, SETTINGS).await;
    for hub in 0..2 {
        hubs.knows(hub, 2).await;
    }
    hubs
}

/// Moves a ref on chain to a commit that no hub has.
async fn move_to_nowhere(hubs: &Hubs, number: u8) {
    let target = Target {
        revision: RevisionId::from_bytes([number; 32]),
        commit: keccak256([number]),
    };
    let step = Move {
        repository: Repository::from_registered(&format!("ghost-{number}")),
        reference: MAIN.into(),
        from: None,
        to: Some(target),
    };
    let moved = repositories::commit(&hubs.chain.rpc, &hubs.chain.operator, &step).await;
    assert!(matches!(moved.unwrap(), Moved::Final(_)));
}

fn place(name: &str, path: &str) -> String {
    format!("/{}/{name}/resolve/main/{path}", key(1).address())
}

/// Waits until a hub itself has a blob, and is not slow about it.
async fn has_soon(hubs: &Hubs, hub: usize, what: &str, content: &[u8]) {
    let blob = BlobId::of(content);
    let has = until(what, async || hubs.has(hub, &blob).await.then_some(()));
    let has = tokio::time::timeout(SOON, has).await;
    assert!(has.is_ok(), "not soon: {what}");
}

/// A large file that one of the three hubs keeps by placement, and no other; the dripping one or, where that is gone, the
/// second.
fn kept_by_the_last(hubs: &Hubs) -> Vec<u8> {
    let keepers = [FIRST, SECOND, DRIPS].map(|(secret, operator)| Keeper {
        hub: key(secret).address(),
        operator: key(operator).address().to_address().into(),
    });
    assert_eq!(keepers[1].hub, hubs.hubs[1].address);
    let rule = Rule {
        everywhere_bytes: 1 << 20,
        copies: 1,
        pieces_from_bytes: 64 << 20,
    };
    let fits = |content: &Vec<u8>| {
        let (blob, size) = (BlobId::of(content), content.len() as u64);
        let of = |hub: usize, among: &[Keeper]| {
            placement::share(keepers[hub].hub, &blob, size, among, &rule) == Share::Whole
        };
        of(2, &keepers) && of(1, &keepers[..2])
    };
    let mut all = (0..).map(|seed| noise(1_500_000, seed));
    all.find(fits).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_and_blobs_that_nobody_gives_hold_up_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut hubs = Hubs::alone(folder.path()).await;
    hubs.register(DRIPS.0, DRIPS.1, &dripping(DRIPS.0).await)
        .await;
    hubs.add(FIRST.0, FIRST.1, SETTINGS).await;
    hubs.knows(0, 1).await;
    // What the second hub should keep and nobody gives: the first refuses it, the other drips.
    hubs.create("Lost").await;
    let lost = [1u8, 2, 3].map(|number| vec![number; 50]);
    let paths = ["a.txt", "b.txt", "c.txt"];
    let lines = [0, 1, 2].map(|index| file(paths[index], &lost[index]));
    hubs.commit_to("Lost", &lines).await;
    for content in &lost {
        hubs.refuse(0, FIRST.1, &BlobId::of(content)).await;
    }
    for number in 1..11 {
        move_to_nowhere(&hubs, number).await;
    }
    hubs.add(SECOND.0, SECOND.1, SETTINGS).await;
    hubs.knows(1, 2).await;
    hubs.create("Real").await;
    let card = [b"# ".as_slice(), &[b'x'; 100]].concat();
    hubs.commit_to("Real", &[file("README.md", &card)]).await;
    has_soon(&hubs, 1, "the second hub has the card", &card).await;
    let shown = hubs.get(1, &place("Real", "README.md")).await;
    assert_eq!(shown.bytes().await.unwrap(), card);
    for content in &lost {
        assert!(!hubs.has(1, &BlobId::of(content)).await);
    }
    hubs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_cannot_be_read_ends_no_following() {
    let folder = tempfile::tempdir().unwrap();
    let mut hubs = Hubs::alone(folder.path()).await;
    hubs.add(FIRST.0, FIRST.1, SETTINGS).await;
    hubs.add(SECOND.0, SECOND.1, SETTINGS).await;
    hubs.knows(1, 1).await;
    // So large that it lies in a file of its own.
    let card = [b"# ".as_slice(), &[b'x'; 20_000]].concat();
    hubs.create("Broken").await;
    hubs.commit_to("Broken", &[file("README.md", &card)]).await;
    has_soon(&hubs, 1, "the card", &card).await;
    assert!(spoil(&hubs.hubs[1].folder, &BlobId::of(&card).to_string()));
    // The second hub shows this revision with a card that it cannot read, and a move to what is there already.
    let line = file("more.txt", b"more");
    hubs.commit_to("Broken", &[line]).await;
    let id = format!("{}/Broken", key(1).address());
    let info = format!("/api/models/{id}");
    let head = async |hub: usize| {
        let commits = hubs.get(hub, &format!("{info}/commits/main")).await;
        let commits: serde_json::Value = commits.json().await.ok()?;
        Some(commits[0]["id"].as_str()?.to_owned())
    };
    let first = head(0).await;
    until("the second hub has moved on", async || {
        (head(1).await == first).then_some(())
    })
    .await;
    let url = format!("{}{info}/branch/dev", hubs.hubs[0].url);
    hubs.send(Method::POST, &url, "{}").await;
    hubs.create("Real").await;
    hubs.commit_to("Real", &[file("README.md", b"# real")])
        .await;
    has_soon(&hubs, 1, "the second hub follows", b"# real").await;
    let shown = hubs.get(1, &place("Real", "README.md")).await;
    assert_eq!(shown.status(), StatusCode::OK);
    hubs.end().await;
}

/// Puts a folder where a file of this name lies, so that it can be neither read nor replaced.
fn spoil(folder: &Path, name: &str) -> bool {
    let mut spoilt = false;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            spoilt |= spoil(&path, name);
        } else if path.file_name().is_some_and(|own| own == name) {
            std::fs::remove_file(&path).unwrap();
            std::fs::create_dir_all(path.join("in-the-way")).unwrap();
            spoilt = true;
        }
    }
    spoilt
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_stays_until_another_hub_shows_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let hubs = three(folder.path(), DRIPS.0).await;
    let content = kept_by_the_last(&hubs);
    hubs.create("Large").await;
    let line = hubs.upload("Large", "w.bin", &content).await;
    hubs.commit_to("Large", &[line]).await;
    until("the second hub knows it", async || {
        let answer = hubs.get(1, &place("Large", "w.bin")).await;
        (answer.status() == StatusCode::OK).then_some(())
    })
    .await;
    let blob = BlobId::of(&content);
    assert!(hubs.has(1, &blob).await, "it was fetched for the reader");
    // Many collections after its time in the cache: the only other that should have it says so and shows nothing.
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(hubs.has(1, &blob).await);
    hubs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_at_a_hubs_address_and_is_not_that_hub_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let hubs = three(folder.path(), SECOND.0).await;
    let content = kept_by_the_last(&hubs);
    hubs.create("Large").await;
    let line = hubs.upload("Large", "w.bin", &content).await;
    hubs.commit_to("Large", &[line]).await;
    has_soon(&hubs, 1, "the second hub keeps it instead", &content).await;
    hubs.end().await;
}
