//! Git LFS: files in one part and in several, with addresses that cannot be forged, through a restart.

use crate::hub_content_stage::{Stage, noise, oid, publisher, refusal};
use assay_blob::{BlobId, Sha256};
use assay_node::hub::Scope;
use assay_receipt::NodeKey;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

const PART: usize = 32 << 20;

async fn batch(stage: &Stage, operation: &str, oid: &str, size: usize) -> Value {
    let body = json!({
        "operation": operation,
        "transfers": ["basic", "multipart"],
        "objects": [{ "oid": oid, "size": size }],
        "hash_algo": "sha256",
    });
    let path = format!("/{}.git/info/lfs/objects/batch", stage.id());
    let asked = stage
        .request(Method::POST, &path)
        .bearer_auth(stage.writer());
    let answer = asked.json(&body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Value = answer.json().await.unwrap();
    answer["objects"][0].clone()
}

fn href(object: &Value, action: &str) -> String {
    object["actions"][action]["href"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn put(stage: &Stage, url: &str, body: Vec<u8>) -> Response {
    stage.http.put(url).body(body).send().await.unwrap()
}

async fn status_of_put(stage: &Stage, url: &str, body: Vec<u8>) -> u16 {
    put(stage, url, body).await.status().as_u16()
}

#[tokio::test]
async fn a_file_of_one_part_arrives_checked_and_is_fetched() {
    let stage = Stage::set(&[("a.txt", b"a".to_vec())]).await;
    let file = noise(2_500_000, 2);
    let digest = oid(&file);
    let object = batch(&stage, "upload", &digest, file.len()).await;
    let (url, verify) = (href(&object, "upload"), href(&object, "verify"));
    let confirm = json!({ "oid": digest, "size": file.len() });
    let ask = async || {
        stage
            .http
            .post(&verify)
            .json(&confirm)
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_eq!(ask().await, StatusCode::NOT_FOUND);
    let mut wrong = file.clone();
    wrong[1_000_000] ^= 1;
    assert_eq!(status_of_put(&stage, &url, wrong).await, 400);
    assert_eq!(status_of_put(&stage, &url, file[1..].to_vec()).await, 400);
    assert_eq!(ask().await, StatusCode::NOT_FOUND);
    assert_eq!(status_of_put(&stage, &url, file.clone()).await, 200);
    assert_eq!(ask().await, StatusCode::OK);
    let again = batch(&stage, "upload", &digest, file.len()).await;
    assert!(again.get("actions").is_none(), "it is here: {again}");
    let other_size = batch(&stage, "upload", &digest, 7).await;
    assert_eq!(other_size["error"]["code"], 400);
    let found = batch(&stage, "download", &digest, file.len()).await;
    let fetched = stage
        .http
        .get(href(&found, "download"))
        .send()
        .await
        .unwrap();
    assert!(fetched.bytes().await.unwrap() == file);
    let missing = batch(&stage, "download", &oid(b"nothing"), 7).await;
    assert_eq!(missing["error"]["code"], 404);
}

#[tokio::test]
async fn parts_make_a_file_through_a_restart() {
    let mut stage = Stage::set(&[("a.txt", b"a".to_vec())]).await;
    let file = noise(2 * PART + 5, 3);
    let digest = oid(&file);
    let object = batch(&stage, "upload", &digest, file.len()).await;
    let header = &object["actions"]["upload"]["header"];
    assert_eq!(header["chunk_size"], PART.to_string().as_str());
    let url = |number: usize| header[number.to_string()].as_str().unwrap().to_owned();
    assert!(header.get("4").is_none());
    let part = |number: usize| file.chunks(PART).nth(number - 1).unwrap().to_vec();
    let mut etags = vec![String::new(); 4];
    let mut send = async |stage: &Stage, number: usize| {
        let answer = put(stage, &url(number), part(number)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        etags[number] = answer.headers()["etag"].to_str().unwrap().to_owned();
    };
    send(&stage, 2).await;
    assert_eq!(status_of_put(&stage, &url(3), b"four".to_vec()).await, 400);
    assert_eq!(
        status_of_put(&stage, &url(3), b"sixsix".to_vec()).await,
        413
    );
    stage.stop().await;
    stage.start_again().await;
    send(&stage, 3).await;
    send(&stage, 1).await;
    let list = |numbers: &[usize]| -> Value {
        let part = |n: &usize| json!({ "partNumber": n, "etag": etags[*n] });
        json!({ "oid": digest, "parts": numbers.iter().map(part).collect::<Vec<_>>() })
    };
    let complete = async |body: Value| {
        let url = href(&object, "upload");
        stage.http.post(url).json(&body).send().await.unwrap()
    };
    for (body, word) in [
        (list(&[1, 2]), "part 3"),
        (list(&[]), "part 1"),
        (json!({ "oid": oid(b"x"), "parts": [] }), "another object"),
        (
            json!({ "oid": digest, "parts": [{ "partNumber": 1, "etag": "../../x" }] }),
            "part 1",
        ),
        (json!([]), ""),
    ] {
        let (status, message) = refusal(complete(body).await).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{message}");
        assert!(message.contains(word), "{message}");
    }
    assert_eq!(complete(list(&[3, 1, 2])).await.status(), StatusCode::OK);
    assert_eq!(
        complete(list(&[3, 1, 2])).await.status(),
        StatusCode::OK,
        "again"
    );
    let left = std::fs::read_dir(stage.data.join("uploads"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "the parts are gone");
    let found = batch(&stage, "download", &digest, file.len()).await;
    let fetched = stage
        .http
        .get(href(&found, "download"))
        .send()
        .await
        .unwrap();
    assert!(fetched.bytes().await.unwrap() == file);
}

#[tokio::test]
async fn what_has_rotted_is_healed_by_whoever_has_it() {
    let file = noise(100_000, 11);
    let mut stage = Stage::set(&[("model.safetensors", file.clone())]).await;
    stage.stop().await;
    stage.rot(&BlobId::of(&file), 50_000);
    stage.start_again().await;
    let path = stage.file("model.safetensors");
    assert_eq!(
        stage.get(&path).await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    let object = batch(&stage, "upload", &oid(&file), file.len()).await;
    assert_eq!(
        status_of_put(&stage, &href(&object, "upload"), file.clone()).await,
        200
    );
    assert!(stage.get(&path).await.bytes().await.unwrap() == file);
}

#[tokio::test]
async fn parts_of_another_file_are_refused_together() {
    let stage = Stage::set(&[("a.txt", b"a".to_vec())]).await;
    let digest = oid(b"something else");
    let object = batch(&stage, "upload", &digest, PART + 1).await;
    let header = &object["actions"]["upload"]["header"];
    let mut parts = Vec::new();
    for (number, body) in [(1, noise(PART, 4)), (2, vec![1])] {
        let url = header[number.to_string()].as_str().unwrap();
        let answer = put(&stage, url, body).await;
        let etag = answer.headers()["etag"].to_str().unwrap().to_owned();
        parts.push(json!({ "partNumber": number, "etag": etag }));
    }
    let body = json!({ "oid": digest, "parts": parts });
    let completed = stage
        .http
        .post(href(&object, "upload"))
        .json(&body)
        .send()
        .await
        .unwrap();
    let (status, message) = refusal(completed).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(message.contains(&digest), "{message}");
    let missing = batch(&stage, "download", &digest, PART + 1).await;
    assert_eq!(missing["error"]["code"], 404);
}

/// An address made by hand, for what `right` says, until `not_after_s`, under the secret in the hub's folder.
fn address(stage: &Stage, secret: Option<[u8; 32]>, right: Value, not_after_s: u64) -> String {
    let file = std::fs::read(stage.data.join("grants.key")).unwrap();
    let secret = secret.unwrap_or_else(|| serde_json::from_slice(&file).unwrap());
    let key = blake3::derive_key("assay.network hub content grants v1", &secret);
    let json = serde_json::to_vec(&json!({ "not_after_s": not_after_s, "right": right })).unwrap();
    let mac = blake3::keyed_hash(&key, &json);
    format!(
        "{}/assay/v1/lfs/{}.{}",
        stage.url,
        BASE64.encode(&json),
        BASE64.encode(mac.as_bytes())
    )
}

#[tokio::test]
async fn addresses_are_the_hubs_and_end() {
    let stage = Stage::set(&[("a.txt", b"a".to_vec())]).await;
    let file = b"content".to_vec();
    let right = json!({ "upload": {
        "sha256": Sha256::of(&file), "size": file.len(), "uploader": Sha256::of(b"u"),
    }});
    let later = 4_000_000_000;
    let expired = address(&stage, None, right.clone(), 1_000_000_000);
    let (status, message) = refusal(put(&stage, &expired, file.clone()).await).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(message.contains("expired"), "{message}");
    let forged = address(&stage, Some([1; 32]), right.clone(), later);
    let download = json!({ "download": { "blob": Sha256::of(&file) } });
    for bad in [
        forged,
        address(&stage, None, download, later),
        format!("{}/assay/v1/lfs/{}", stage.url, "A".repeat(5_000)),
        format!("{}/assay/v1/lfs/x.y", stage.url),
    ] {
        let (status, _) = refusal(put(&stage, &bad, file.clone()).await).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{bad}");
        for more in ["/parts/1", "/complete", "/verify"] {
            let url = format!("{bad}{more}");
            let method = if more == "/parts/1" {
                Method::PUT
            } else {
                Method::POST
            };
            let answer = stage
                .http
                .request(method, url)
                .body("{}")
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{bad}{more}");
        }
    }
    let good = address(&stage, None, right, later);
    for number in ["0", "2", "x", "99999999999999999999"] {
        let status = status_of_put(&stage, &format!("{good}/parts/{number}"), file.clone()).await;
        assert!([400, 404].contains(&status), "{number}: {status}");
    }
    assert_eq!(
        status_of_put(&stage, &good, file).await,
        200,
        "made as the hub makes it"
    );
}

#[tokio::test]
async fn who_may_not_write_gets_no_address() {
    let stage = Stage::set(&[("a.txt", b"a".to_vec())]).await;
    let path = format!("/{}.git/info/lfs/objects/batch", stage.id());
    let object = json!({ "oid": oid(b"x"), "size": 1 });
    let body = json!({ "operation": "upload", "objects": [object] });
    let stranger = NodeKey::from_bytes([9; 32]).unwrap();
    let reader = stage.token(&publisher(), Scope::Read);
    for (token, expected) in [
        (None, 401),
        (Some("hf_x".to_owned()), 401),
        (Some(reader), 403),
        (Some(stage.token(&stranger, Scope::Write)), 403),
    ] {
        let mut asked = stage.request(Method::POST, &path).json(&body);
        if let Some(token) = token {
            asked = asked.bearer_auth(token);
        }
        let (status, message) = refusal(asked.send().await.unwrap()).await;
        assert_eq!(status.as_u16(), expected, "{message}");
    }
    for (bad, expected) in [
        (json!({}), 400),
        (json!({ "operation": "steal", "objects": [] }), 400),
        (
            json!({ "operation": "upload", "objects": [{ "oid": "x", "size": -1 }] }),
            400,
        ),
        (
            json!({ "operation": "upload", "objects": [], "hash_algo": "md5" }),
            400,
        ),
        (
            json!({ "operation": "upload", "objects": vec![json!({ "oid": "x", "size": 1 }); 1_001] }),
            413,
        ),
    ] {
        let asked = stage
            .request(Method::POST, &path)
            .bearer_auth(stage.writer());
        let answer = asked.json(&bad).send().await.unwrap();
        assert_eq!(refusal(answer).await.0.as_u16(), expected, "{bad}");
    }
    let many = json!({
        "operation": "upload",
        "transfers": ["multipart"],
        "objects": vec![json!({ "oid": oid(b"x"), "size": 64_u64 << 30 }); 33],
    });
    let asked = stage
        .request(Method::POST, &path)
        .bearer_auth(stage.writer());
    let answer = asked.json(&many).send().await.unwrap();
    assert_eq!(refusal(answer).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let huge = batch(&stage, "upload", &oid(b"x"), 65 << 30).await;
    assert_eq!(huge["error"]["code"], 413);
    let nameless = batch(&stage, "upload", "not a digest", 3).await;
    assert_eq!(nameless["error"]["code"], 400);
}

#[tokio::test]
async fn content_that_has_rotted_is_not_committed_again() {
    let file = noise(100_000, 31);
    let stage = Stage::set(&[("w.safetensors", file.clone())]).await;
    let commit = async || {
        let lines = [
            json!({ "key": "header", "value": { "summary": "again" } }),
            json!({ "key": "lfsFile", "value": {
                "path": "again.safetensors", "algo": "sha256", "oid": oid(&file), "size": file.len(),
            } }),
        ];
        let lines = lines.map(|line| format!("{line}\n")).concat();
        let path = format!("/api/models/{}/commit/main", stage.id());
        let request = stage
            .request(Method::POST, &path)
            .bearer_auth(stage.writer());
        request.body(lines).send().await.unwrap()
    };
    stage.rot(&BlobId::of(&file), 70_000);
    let read = stage.get(&stage.file("w.safetensors")).await;
    assert_eq!(read.status(), StatusCode::SERVICE_UNAVAILABLE);
    let (status, message) = refusal(commit().await).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(message.contains("was not uploaded"), "{message}");
    // Whoever brings it anew may commit it.
    let object = batch(&stage, "upload", &oid(&file), file.len()).await;
    put(&stage, &href(&object, "upload"), file.clone()).await;
    let committed = commit().await;
    assert!(
        committed.status().is_success(),
        "{}",
        committed.text().await.unwrap()
    );
}
