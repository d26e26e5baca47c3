//! Blobs for other hubs: whole, by range, as slices that prove themselves, and under a storage challenge.

use crate::hub_content_stage::{Stage, noise, refusal};
use assay_blob::{BlobId, Challenge, Store, StoreLimits};
use assay_node::fetch::CHALLENGE_BLOCKS;
use reqwest::{Method, StatusCode};
use serde_json::json;

const SIZE: usize = 1_500_000;

async fn stage() -> (Stage, Vec<u8>, BlobId) {
    let file = noise(SIZE, 5);
    let stage = Stage::set(&[("model.safetensors", file.clone())]).await;
    let blob = BlobId::of(&file);
    (stage, file, blob)
}

#[tokio::test]
async fn a_blob_is_had_by_its_name_and_in_slices_that_verify() {
    let (stage, file, blob) = stage().await;
    let whole = stage.get(&format!("/assay/v1/blobs/{blob}")).await;
    assert_eq!(whole.headers()["etag"], format!("\"{blob}\"").as_str());
    assert!(whole.bytes().await.unwrap() == file);
    let part = stage.request(Method::GET, &format!("/assay/v1/blobs/{blob}"));
    let part = part
        .header("range", "bytes=700000-700099")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert!(part.bytes().await.unwrap() == file[700_000..700_100]);
    // Another store takes the slices, in any order, and has the blob afterwards.
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreLimits::default()).unwrap();
    let mut receiver = store.receiver(blob, SIZE as u64).unwrap();
    for (start, end) in [(1_000_000, SIZE as u64), (0, 1_000_000)] {
        let path = format!("/assay/v1/blobs/{blob}/slice?start={start}&end={end}");
        let slice = stage.get(&path).await;
        assert_eq!(slice.status(), StatusCode::OK);
        assert_eq!(
            slice.headers()["x-assay-blob-size"],
            SIZE.to_string().as_str()
        );
        let bytes = slice.bytes().await.unwrap();
        receiver.accept(start..end, &bytes[..]).unwrap();
    }
    assert_eq!(receiver.finish().unwrap().id, blob);
}

#[tokio::test]
async fn a_challenge_is_answered_from_the_bytes() {
    let (mut stage, _, blob) = stage().await;
    let ask = async |stage: &Stage, seed: u8| {
        let seed = BlobId::from_bytes([seed; 32]);
        let body = json!({ "blob": blob, "seed": seed });
        let asked = stage
            .request(Method::POST, "/assay/v1/challenges")
            .json(&body);
        asked.send().await.unwrap()
    };
    let challenge = Challenge {
        id: blob,
        size: SIZE as u64,
        seed: [1; 32],
        blocks: CHALLENGE_BLOCKS,
    };
    let answer = ask(&stage, 1).await;
    assert_eq!(
        answer.headers()["x-assay-blob-size"],
        SIZE.to_string().as_str()
    );
    let answer = answer.bytes().await.unwrap();
    challenge.verify(&answer).unwrap();
    let other = Challenge {
        seed: [2; 32],
        ..challenge
    };
    assert!(other.verify(&answer).is_err());
    // Whoever asks too often waits.
    let mut refused = None;
    for seed in 2..60 {
        let answer = ask(&stage, seed).await;
        if answer.status() != StatusCode::OK {
            refused = Some(refusal(answer).await.0);
            break;
        }
    }
    assert_eq!(refused, Some(StatusCode::TOO_MANY_REQUESTS));
    // Who lost the bytes cannot answer.
    stage.stop().await;
    stage.lose(&blob, SIZE / 5);
    stage.start_again().await;
    assert_eq!(
        refusal(ask(&stage, 3).await).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_never_breaks_anything() {
    let (stage, _, blob) = stage().await;
    let nobody = BlobId::of(b"nobody has this");
    for (path, expected) in [
        (format!("/assay/v1/blobs/{nobody}"), 404),
        ("/assay/v1/blobs/xyz".into(), 400),
        ("/assay/v1/blobs/..%2f..%2fhub.key".into(), 400),
        (format!("/assay/v1/blobs/{nobody}/slice"), 404),
        (format!("/assay/v1/blobs/{blob}/slice?start=5&end=4"), 400),
        (format!("/assay/v1/blobs/{blob}/slice?end=99999999"), 400),
        (
            format!("/assay/v1/blobs/{blob}/slice?start=99999999999999999999999"),
            400,
        ),
        (format!("/assay/v1/blobs/{blob}/slice?start=x"), 400),
    ] {
        assert_eq!(stage.get(&path).await.status().as_u16(), expected, "{path}");
    }
    let none = json!({ "blob": blob, "seed": blob, "blocks": 0 }).to_string();
    for body in [
        "",
        "{}",
        "[1]",
        "{\"blob\":\"x\",\"seed\":\"y\"}",
        &none,
        &"x".repeat(5_000),
    ] {
        let asked = stage.request(Method::POST, "/assay/v1/challenges");
        let answer = asked.body(body.to_owned()).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{body}");
    }
}
