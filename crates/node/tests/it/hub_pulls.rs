//! Pulling what the chain names: a hub that gives something else, or a move that says something else, fills no directory.

use crate::hub_pieces::Hubs;
use crate::hub_stage::file;
use crate::node_settles::key;
use alloy_primitives::B256;
use assay_hub::Kind;
use assay_node::{
    fetch::Source,
    pull::{Wanted, pull},
    reach::Reach,
    repositories::{self, MAIN, Move, Moved, Repository, Target},
};
use assay_receipt::RevisionId;
use serde_json::Value;
use std::path::Path;

const SETTINGS: &str = "[participation]\nallow_private_hubs = true\naudit_every_ms = 0\n";

/// Has a ref of the first account point somewhere on chain, past every hub.
async fn point(hubs: &Hubs, name: &str, reference: &str, to: Target) {
    let step = Move {
        repository: Repository::from_registered(name),
        reference: reference.into(),
        from: None,
        to: Some(to),
    };
    let moved = repositories::commit(&hubs.chain.rpc, &hubs.chain.operator, &step).await;
    assert!(matches!(moved.unwrap(), Moved::Final(_)));
}

async fn pulled(hubs: &Hubs, name: &str, reference: &str, to: &Path) -> Result<usize, String> {
    let source = Source {
        name: hubs.hubs[0].address.to_string(),
        url: hubs.hubs[0].url.clone(),
    };
    let wanted = Wanted {
        kind: Kind::Model,
        repository: format!("{}/{name}", key(1).address()),
        reference: reference.into(),
    };
    let reach = Reach { private: true };
    let pulled = pull(&hubs.chain.rpc, vec![source], reach, &wanted, to).await;
    pulled
        .map(|pulled| pulled.files)
        .map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_another_repository_or_revision_is_not_pulled() {
    let folder = tempfile::tempdir().unwrap();
    let mut hubs = Hubs::alone(folder.path()).await;
    hubs.add(5, 1, SETTINGS).await;
    hubs.create("One").await;
    hubs.commit_to("One", &[file("a.txt", b"a")]).await;
    let path = format!("/api/models/{}/One", key(1).address());
    let info: Value = hubs.get(0, &path).await.json().await.unwrap();
    let own = |field: &str| info["assay"][field].as_str().unwrap();
    let commit: B256 = own("commit").parse().unwrap();
    let revision: RevisionId = own("revision").parse().unwrap();
    let same = Target { revision, commit };
    let other = Target {
        revision: RevisionId::from_bytes([7; 32]),
        commit,
    };
    point(&hubs, "one", "same", same).await;
    point(&hubs, "one", "other", other).await;
    point(&hubs, "two", MAIN, same).await;

    let to = folder.path().join("pulled");
    for (name, reference, why) in [
        ("one", "other", "another revision"),
        ("two", MAIN, "of another repository"),
        ("one", "none", "the chain has no ref none"),
        ("three", MAIN, "the chain has no ref"),
    ] {
        let refused = pulled(&hubs, name, reference, &to).await.unwrap_err();
        assert!(refused.contains(why), "{refused}");
        assert!(!to.exists(), "{name} {reference}");
    }
    for reference in [MAIN, "same"] {
        let files = pulled(&hubs, "one", reference, &to).await.unwrap();
        assert!(files > 0);
        assert_eq!(std::fs::read(to.join("a.txt")).unwrap(), b"a");
        std::fs::remove_dir_all(&to).unwrap();
    }
    hubs.end().await;
}
