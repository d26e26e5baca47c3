//! The Xet storage: tokens, xorbs and shards that are validated, reconstructions, and bytes at signed addresses.

use crate::{
    hub_content_stage::{Stage, noise, publisher, refusal},
    xet_client::{File, Xorb, shard, xorb},
};
use assay_blob::Sha256;
use assay_node::hub::Scope;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

async fn storage_token(stage: &Stage, scope: &str) -> String {
    let path = format!("/api/models/{}/xet-{scope}-token/main", stage.id());
    let asked = stage
        .request(Method::GET, &path)
        .bearer_auth(stage.writer());
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["x-xet-cas-url"], stage.url.as_str());
    assert!(answer.headers().contains_key("x-xet-token-expiration"));
    answer.headers()["x-xet-access-token"]
        .to_str()
        .unwrap()
        .to_owned()
}

async fn post(stage: &Stage, token: &str, path: &str, body: Vec<u8>) -> (u16, String) {
    let asked = stage.request(Method::POST, path).bearer_auth(token);
    let answer = asked.body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn at(xorb: &Xorb) -> String {
    format!("/v1/xorbs/default/{}", xorb.hash)
}

#[tokio::test]
async fn a_file_goes_in_by_xorb_and_shard_and_comes_out() {
    let stage = Stage::set(&[("a.txt", b"a".to_vec())]).await;
    let token = storage_token(&stage, "write").await;
    let xorb = xorb(&noise(600_000, 6));
    let file = File {
        terms: vec![(&xorb, 0..60), (&xorb, 10..20)],
    };
    let sent = shard(&[file.info()]);
    let (status, text) = post(&stage, &token, "/v1/shards", sent.clone()).await;
    assert_eq!(status, 400, "the xorb is not here yet: {text}");
    let grants = at(&xorb).replace("xorbs", "xorb-grants");
    let announced =
        json!({ "length": xorb.bytes.len(), "checksum": { "algo": "crc64nvme", "value": "1" } });
    let announced = announced.to_string().into_bytes();
    let (status, grant) = post(&stage, &token, &grants, announced.clone()).await;
    assert_eq!(status, 201);
    let grant: Value = serde_json::from_str(&grant).unwrap();
    let commit = format!("/v1/xorb-commits/default/{}/grant/x", xorb.hash);
    assert_eq!(post(&stage, &token, &commit, vec![]).await.0, 404);
    let url = grant["url"].as_str().unwrap();
    let put = stage
        .http
        .put(url)
        .body(xorb.bytes.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), StatusCode::OK);
    assert_eq!(post(&stage, &token, &commit, vec![]).await.0, 200);
    assert_eq!(
        post(&stage, &token, &grants, announced).await.0,
        200,
        "it is here"
    );
    let (status, text) = post(&stage, &token, &at(&xorb), xorb.bytes.clone()).await;
    assert_eq!((status, text.as_str()), (200, "{\"was_inserted\":false}"));
    let (status, text) = post(&stage, &token, "/v2/shards", sent).await;
    assert_eq!((status, text.as_str()), (200, "{\"type\":\"result\"}\n"));
    let content = file.content();
    for (version, range) in [
        ("v1", 0..content.len()),
        ("v2", 0..content.len()),
        ("v2", 123_456..234_567),
    ] {
        let came = rebuilt(&stage, version, &file, range.clone()).await;
        assert!(came == content[range], "{version}");
    }
    let sha256 = Sha256::of(&content).to_string();
    let batch =
        json!({ "operation": "upload", "objects": [{ "oid": sha256, "size": content.len() }] });
    let path = format!("/{}.git/info/lfs/objects/batch", stage.id());
    let asked = stage
        .request(Method::POST, &path)
        .bearer_auth(stage.writer());
    let answer: Value = asked
        .json(&batch)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(
        answer["objects"][0].get("actions").is_none(),
        "it is known by its SHA-256"
    );
}

/// Fetches what a reconstruction names, as a client does, and unpacks it by what the test knows of the chunks.
async fn rebuilt(
    stage: &Stage,
    version: &str,
    file: &File<'_>,
    range: std::ops::Range<usize>,
) -> Vec<u8> {
    let token = storage_token(stage, "read").await;
    let asked = stage.request(
        Method::GET,
        &format!("/{version}/reconstructions/{}", file.hash()),
    );
    let asked = asked.header("range", format!("bytes={}-{}", range.start, range.end - 1));
    let answer: Value = asked
        .bearer_auth(token)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let (name, url, bytes) = match version {
        "v1" => ("fetch_info", "/url", "/url_range"),
        _ => ("xorbs", "/url", "/ranges/0/bytes"),
    };
    for fetch in answer[name]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|f| f.as_array().unwrap())
    {
        let number = |field| {
            fetch
                .pointer(&format!("{bytes}/{field}"))
                .unwrap()
                .as_u64()
                .unwrap() as usize
        };
        let (start, end) = (number("start"), number("end"));
        let url = fetch.pointer(url).unwrap().as_str().unwrap();
        let ask = async |range: String| {
            stage
                .http
                .get(url)
                .header("range", range)
                .send()
                .await
                .unwrap()
        };
        let came = ask(format!("bytes={start}-{end}")).await;
        assert_eq!(came.status(), StatusCode::PARTIAL_CONTENT);
        let xorb = file.terms[0].0;
        assert!(came.bytes().await.unwrap() == xorb.bytes[start..=end]);
        let behind = ask(format!("bytes={}-{}", end + 1, end + 2)).await;
        assert_eq!(behind.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        if start > 0 {
            let before = ask(format!("bytes={}-{end}", start - 1)).await;
            assert_eq!(before.status(), StatusCode::RANGE_NOT_SATISFIABLE);
        }
        let forged = format!("{}A{}", &url[..url.len() - 9], &url[url.len() - 8..]);
        if forged != url {
            let status = stage.http.get(forged).send().await.unwrap().status();
            assert_eq!(status, StatusCode::FORBIDDEN);
        }
    }
    let mut content = Vec::new();
    for term in answer["terms"].as_array().unwrap() {
        let chunk = |field| term["range"][field].as_u64().unwrap() as usize;
        let chunks = &file.terms[0].0.chunks[chunk("start")..chunk("end")];
        let unpacked: Vec<u8> = chunks
            .iter()
            .flat_map(|chunk| chunk.data.to_vec())
            .collect();
        assert_eq!(term["unpacked_length"], unpacked.len());
        content.extend(unpacked);
    }
    let offset = answer["offset_into_first_range"].as_u64().unwrap() as usize;
    content[offset..offset + range.len()].to_vec()
}

#[tokio::test]
async fn what_is_not_what_it_says_is_refused() {
    let stage = Stage::set(&[("a.txt", b"a".to_vec())]).await;
    let token = storage_token(&stage, "write").await;
    let good = xorb(&noise(300_000, 7));
    let other = xorb(&noise(300_000, 8));
    let mut flipped = good.bytes.clone();
    flipped[100_000] ^= 1;
    for (path, body) in [
        (at(&good), other.bytes.clone()),
        (at(&good), flipped),
        (at(&good), good.bytes[..200_000].to_vec()),
        (at(&good), vec![]),
        (at(&good), b"nonsense".to_vec()),
        ("/v1/xorbs/default/xyz".into(), good.bytes.clone()),
        ("/v1/shards".into(), vec![]),
        ("/v1/shards".into(), noise(10_000, 9)),
        (at(&good).replace("xorbs", "xorb-grants"), b"{}".to_vec()),
    ] {
        let (status, text) = post(&stage, &token, &path, body).await;
        assert_eq!(status, 400, "{path}: {text}");
    }
    let huge = vec![0; assay_blob::xet::XORB_SENT_BYTES_MAX + 1];
    let asked = stage.request(Method::POST, &at(&good)).bearer_auth(&token);
    // The hub may close before all of it was sent.
    if let Ok(answer) = asked.body(huge).send().await {
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    // A shard whose file is not what it says: another SHA-256, chunks that are not there.
    assert_eq!(
        post(&stage, &token, &at(&good), good.bytes.clone()).await.0,
        200
    );
    let file = File {
        terms: vec![(&good, 0..30)],
    };
    let lie = File {
        terms: vec![(&good, 0..20)],
    };
    let mut wrong = file.info();
    wrong.metadata_ext = lie.info().metadata_ext;
    let (status, text) = post(&stage, &token, "/v1/shards", shard(&[wrong.clone()])).await;
    assert_eq!(status, 400, "{text}");
    let (status, text) = post(&stage, &token, "/v2/shards", shard(&[wrong])).await;
    let line: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(
        (status, &line["type"], &line["retryable"]),
        (200, &json!("error"), &json!(false))
    );
    let mut wrong = file.info();
    wrong.segments[0].chunk_index_end += 5;
    assert_eq!(
        post(&stage, &token, "/v1/shards", shard(&[wrong])).await.0,
        400
    );
    let path = format!("/v1/reconstructions/{}", file.hash());
    let asked = stage.request(Method::GET, &path).bearer_auth(&token);
    assert_eq!(asked.send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn tokens_of_the_storage_are_of_one_scope() {
    let stage = Stage::set(&[("a.txt", b"a".to_vec())]).await;
    let read = storage_token(&stage, "read").await;
    let xorb = xorb(&noise(20_000, 10));
    let send =
        async |token: &str, path: &str| post(&stage, token, path, xorb.bytes.clone()).await.0;
    for path in [
        at(&xorb),
        "/v1/shards".into(),
        "/v2/shards".into(),
        at(&xorb).replace("xorbs", "xorb-grants"),
    ] {
        assert_eq!(send(&read, &path).await, 403, "{path}");
        assert_eq!(send("nonsense", &path).await, 401, "{path}");
        assert_eq!(
            send(&stage.writer(), &path).await,
            401,
            "a hub's token is none of the storage: {path}"
        );
    }
    let path = format!("/v1/reconstructions/{}", xorb.hash);
    let (status, _) = refusal(stage.get(&path).await).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let asked = stage.request(Method::GET, &path).bearer_auth(&read);
    assert_eq!(asked.send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let path = format!("/api/models/{}/xet-write-token/main", stage.id());
    for (token, expected) in [
        (None, 401),
        (Some(stage.token(&publisher(), Scope::Read)), 403),
    ] {
        let mut asked = stage.request(Method::GET, &path);
        if let Some(token) = token {
            asked = asked.bearer_auth(token);
        }
        assert_eq!(asked.send().await.unwrap().status().as_u16(), expected);
    }
    let missing = stage
        .get("/api/models/nobody/nothing/xet-read-token/main")
        .await;
    assert_eq!(missing.headers()["x-error-code"], "RepoNotFound");
    for bad in ["/v1/reconstructions/x", "/v1/chunks/default/x"] {
        let token = storage_token(&stage, "write").await;
        let asked = stage.request(Method::GET, bad).bearer_auth(token);
        assert_eq!(asked.send().await.unwrap().status().as_u16(), 400, "{bad}");
    }
}
