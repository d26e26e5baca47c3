//! What a model was made of: claims of cards, statements of its publisher, near copies, and a bill of materials.

use crate::hub_stage::{Stage, address, file, key};
use assay_hub::provenance::{Parent, Relation, Step, Tool, sign_with_account};
use assay_receipt::RevisionId;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// A safetensors file of one matrix of 64 by 64, of noise under a seed.
fn matrix(seed: u8, change: f32) -> Vec<u8> {
    let header = r#"{"w":{"dtype":"F32","shape":[64,64],"data_offsets":[0,16384]}}"#;
    let mut noise = vec![0; 4096];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut noise);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    for (index, byte) in noise.iter().enumerate() {
        let moved = if index % 7 == 0 { change } else { 0.0 };
        bytes.extend_from_slice(&((f32::from(*byte) - 127.5) / 127.5 + moved).to_le_bytes());
    }
    bytes
}

fn statement(child: RevisionId, parent: RevisionId, signer: u8) -> Vec<u8> {
    let step = Step {
        name: "m".into(),
        revision: child,
        relation: Relation::QuantisedFrom,
        parents: vec![Parent {
            revision: parent,
            repository: None,
        }],
        datasets: Vec::new(),
        tool: Tool {
            name: "t".into(),
            version: "1".into(),
            uri: None,
        },
        parameters: Default::default(),
    };
    sign_with_account(&step, &key(signer)).unwrap()
}

async fn revision(stage: &Stage, name: &str) -> RevisionId {
    let info = stage.read(&format!("/api/models/alice/{name}")).await;
    serde_json::from_value(info["assay"]["revision"].clone()).unwrap()
}

#[tokio::test]
async fn each_edge_says_how_well_it_is_known() {
    let stage = Stage::set().await;
    for name in ["base", "m"] {
        stage.create(name).await;
    }
    stage.committed("base", &[file("a.txt", b"base")]).await;
    let card = "---\nbase_model: [alice/base, elsewhere/other]\nlicense: mit\n---\n";
    stage
        .committed("m", &[file("README.md", card.as_bytes())])
        .await;
    let (child, parent) = (revision(&stage, "m").await, revision(&stage, "base").await);
    let at = "/assay/v1/models/alice/m/lineage";
    let found = stage.read(at).await;
    assert_eq!(found["elsewhere"], json!(["elsewhere/other"]));
    let edges = found["edges"].as_array().unwrap();
    assert_eq!(
        (edges.len(), &edges[0]["standing"], &edges[0]["parent"]),
        (1, &json!("claimed"), &json!(parent))
    );

    let branch = stage
        .send(
            1,
            Method::POST,
            "/api/models/alice/m/branch/provenance",
            "{}",
        )
        .await;
    assert_eq!(branch.status(), 200);
    let id = child.to_string();
    let id = id.strip_prefix("0x").unwrap();
    let files = [
        file(&format!("{id}.json"), &statement(child, parent, 1)),
        file(
            &format!("{id}.other.json"),
            &statement(child, RevisionId::from_bytes([5; 32]), 2),
        ),
        file(&format!("{id}.wrong.json"), &statement(parent, child, 1)),
        file(&format!("{id}.none.json"), b"{}"),
        file(
            "unrelated.json",
            &statement(child, RevisionId::from_bytes([6; 32]), 1),
        ),
    ];
    assert_eq!(stage.commit("m", "provenance", &files).await.status(), 200);
    let found = stage.read(at).await;
    let standing = |parent: RevisionId, relation: &str| {
        let edges = found["edges"].as_array().unwrap();
        let edge = edges
            .iter()
            .find(|edge| edge["parent"] == json!(parent) && edge["relation"] == relation);
        edge.map(|edge| edge["standing"].clone())
    };
    assert_eq!(standing(parent, "quantised-from"), Some(json!("signed")));
    assert_eq!(standing(parent, "fine-tuned-from"), Some(json!("claimed")));
    assert_eq!(
        standing(RevisionId::from_bytes([5; 32]), "quantised-from"),
        Some(json!("claimed")),
        "another account's"
    );
    assert_eq!(
        standing(RevisionId::from_bytes([6; 32]), "quantised-from"),
        None,
        "not named for the revision"
    );
    assert_eq!(found["refused"].as_array().unwrap().len(), 2);
    let page = stage
        .send(0, Method::GET, "/alice/m", "")
        .await
        .text()
        .await
        .unwrap();
    assert!(
        page.contains("[signed]") && page.contains("elsewhere/other (not on this hub) [claimed]"),
        "{page}"
    );
    let bom = stage.read("/assay/v1/models/alice/m/bom").await;
    assert_eq!(
        (&bom["bomFormat"], &bom["specVersion"]),
        (&json!("CycloneDX"), &json!("1.6"))
    );
    let model = &bom["metadata"]["component"];
    assert_eq!(
        (
            &model["publisher"],
            &model["licenses"][0]["license"]["name"]
        ),
        (&json!(address(1)), &json!("mit"))
    );
    assert_eq!(model["pedigree"]["ancestors"].as_array().unwrap().len(), 3);
    assert_eq!(
        stage
            .send(0, Method::GET, "/assay/v1/models/alice/none/bom", "")
            .await
            .status(),
        404
    );
}

async fn copies(stage: &Stage, name: &str) -> Vec<Value> {
    let info = stage.read(&format!("/api/models/alice/{name}")).await;
    info["assay"]["copies"].as_array().unwrap().clone()
}

#[tokio::test]
async fn nearly_equal_weights_are_named_beside_the_later_model() {
    let stage = Stage::set().await;
    for (name, weights) in [
        ("first", matrix(1, 0.0)),
        ("other", matrix(2, 0.0)),
        ("copy", matrix(1, 0.05)),
    ] {
        stage.create(name).await;
        stage
            .committed(name, &[file("model.safetensors", &weights)])
            .await;
    }
    let mut found = Vec::new();
    for _ in 0..100 {
        found = copies(&stage, "copy").await;
        if !found.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["repository"], "alice/first");
    assert!(copies(&stage, "first").await.is_empty(), "it was first");
    assert!(copies(&stage, "other").await.is_empty());
    let page = stage
        .send(0, Method::GET, "/alice/copy", "")
        .await
        .text()
        .await
        .unwrap();
    assert!(
        page.contains("weights are nearly those of alice/first, published earlier"),
        "{page}"
    );
    // A change that is none of the weights makes it no later.
    stage
        .committed("first", &[file("README.md", b"# again\n")])
        .await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(copies(&stage, "copy").await.len(), 1);
    assert!(copies(&stage, "first").await.is_empty());
}
