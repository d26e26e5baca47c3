//! Files of a repository over HTTP: ranges, conditions, labels, and what has rotted.

use crate::hub_content_stage::{Stage, noise, oid, refusal};
use assay_blob::{BlobId, GitOid};
use reqwest::{Method, StatusCode, header};

const LARGE: usize = 3_000_000;

async fn stage() -> (Stage, Vec<u8>) {
    let large = noise(LARGE, 1);
    let files = [
        ("config.json", b"{\"a\":1}\n".to_vec()),
        ("page.html", b"<script>alert(1)</script>".to_vec()),
        ("empty.txt", Vec::new()),
        ("weights/model.safetensors", large.clone()),
    ];
    (Stage::set(&files).await, large)
}

#[tokio::test]
async fn a_file_comes_with_what_clients_read() {
    let (stage, large) = stage().await;
    let head = stage.request(Method::HEAD, &stage.file("weights/model.safetensors"));
    let head = head.send().await.unwrap();
    let get = stage.get(&stage.file("weights/model.safetensors")).await;
    for answer in [&head, &get] {
        assert_eq!(answer.status(), StatusCode::OK);
        let headers = answer.headers();
        let tag = format!("\"{}\"", oid(&large));
        assert_eq!(headers["x-repo-commit"], stage.commit.as_str());
        assert_eq!(headers["etag"], tag.as_str());
        assert_eq!(headers["x-linked-etag"], tag.as_str());
        assert_eq!(headers["x-linked-size"], LARGE.to_string().as_str());
        assert_eq!(headers["content-length"], LARGE.to_string().as_str());
        assert_eq!(headers["accept-ranges"], "bytes");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(
            !headers.contains_key("x-xet-hash"),
            "it does not lie in xorbs"
        );
    }
    assert!(head.bytes().await.unwrap().is_empty());
    assert!(get.bytes().await.unwrap() == large);
    let small = stage.get(&stage.file("config.json")).await;
    let tag = format!("\"{}\"", GitOid::of_blob(b"{\"a\":1}\n"));
    assert_eq!(small.headers()["etag"], tag.as_str());
    assert!(!small.headers().contains_key("x-linked-etag"));
    assert_eq!(small.text().await.unwrap(), "{\"a\":1}\n");
    let empty = stage.get(&stage.file("empty.txt")).await;
    assert_eq!(empty.headers()["content-length"], "0");
    assert!(empty.bytes().await.unwrap().is_empty());
    let raw = stage
        .file("weights/model.safetensors")
        .replace("/resolve/", "/raw/");
    let pointer = stage.get(&raw).await.text().await.unwrap();
    assert!(pointer.contains(&format!("oid sha256:{}", oid(&large))));
}

#[tokio::test]
async fn a_page_of_a_stranger_is_text_in_a_box() {
    let (stage, _) = stage().await;
    for word in ["resolve", "raw"] {
        let path = stage.file("page.html").replace("resolve", word);
        let answer = stage.get(&path).await;
        let headers = answer.headers();
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("sandbox;") && !policy.contains("allow-"),
            "{policy}"
        );
    }
}

#[tokio::test]
async fn ranges_and_conditions_are_those_of_http() {
    let (stage, large) = stage().await;
    let path = stage.file("weights/model.safetensors");
    let tag = format!("\"{}\"", oid(&large));
    let ask = async |pairs: &[(header::HeaderName, &str)]| {
        let mut request = stage.request(Method::GET, &path);
        for (name, value) in pairs {
            request = request.header(name, *value);
        }
        let answer = request.send().await.unwrap();
        let range = answer.headers().get("content-range").cloned();
        let range = range.map(|range| range.to_str().unwrap().to_owned());
        (
            answer.status().as_u16(),
            range,
            answer.bytes().await.unwrap(),
        )
    };
    for (range, start, end) in [
        ("bytes=0-7", 0, 8),
        ("bytes=8-100000", 8, 100_001),
        ("bytes=2999999-", 2_999_999, LARGE),
        ("bytes=-5", LARGE - 5, LARGE),
        ("bytes=524287-524288", 524_287, 524_289),
        ("bytes=1-99999999", 1, LARGE),
    ] {
        let (status, told, bytes) = ask(&[(header::RANGE, range)]).await;
        assert_eq!(status, 206, "{range}");
        assert_eq!(told.unwrap(), format!("bytes {start}-{}/{LARGE}", end - 1));
        assert!(bytes == large[start..end], "{range}");
    }
    for range in ["bytes=3000000-", "bytes=-0"] {
        let (status, told, _) = ask(&[(header::RANGE, range)]).await;
        assert_eq!((status, told.unwrap()), (416, format!("bytes */{LARGE}")));
    }
    for range in ["bytes=0-1,3-4", "bytes=x", "lines=1-2"] {
        let (status, told, bytes) = ask(&[(header::RANGE, range)]).await;
        assert_eq!((status, told, bytes.len()), (200, None, LARGE), "{range}");
    }
    let (status, _, bytes) = ask(&[(header::IF_NONE_MATCH, &tag)]).await;
    assert_eq!((status, bytes.len()), (304, 0));
    let range = (header::RANGE, "bytes=0-0");
    assert_eq!(ask(&[range.clone(), (header::IF_RANGE, &tag)]).await.0, 206);
    assert_eq!(ask(&[range, (header::IF_RANGE, "\"other\"")]).await.0, 200);
    assert_eq!(ask(&[(header::IF_MATCH, &tag)]).await.0, 200);
    assert_eq!(ask(&[(header::IF_MATCH, "\"other\"")]).await.0, 412);
}

#[tokio::test]
async fn what_is_not_there_is_told_in_the_clients_words() {
    let (stage, _) = stage().await;
    let code = async |path: &str| {
        let answer = stage.get(path).await;
        let code = answer.headers().get("x-error-code").cloned();
        let code = code.map(|code| code.to_str().unwrap().to_owned());
        let commit = answer.headers().get("x-repo-commit").cloned();
        let (status, _) = refusal(answer).await;
        (status.as_u16(), code.unwrap_or_default(), commit.is_some())
    };
    let id = stage.id();
    let missing = stage.file("missing.json");
    assert_eq!(code(&missing).await, (404, "EntryNotFound".into(), true));
    let dots = stage.file("a/..%2f..%2fhub.key");
    assert_eq!(code(&dots).await, (404, "EntryNotFound".into(), true));
    let rev = format!("/{id}/resolve/nothing/config.json");
    assert_eq!(code(&rev).await, (404, "RevisionNotFound".into(), false));
    for path in [
        "/nobody/nothing/resolve/main/x".to_owned(),
        format!("/datasets/{id}/resolve/main/config.json"),
        "/..%2f/x/resolve/main/x".into(),
    ] {
        assert_eq!(
            code(&path).await,
            (404, "RepoNotFound".into(), false),
            "{path}"
        );
    }
    let bad = stage.request(Method::GET, &stage.file("config.json"));
    let bad = bad.bearer_auth("hf_nonsense").send().await.unwrap();
    assert_eq!(refusal(bad).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_has_rotted_is_never_served() {
    let (mut stage, large) = stage().await;
    let path = stage.file("weights/model.safetensors");
    let blob = BlobId::of(&large);
    stage.stop().await;
    stage.rot(&blob, 2_000_000);
    stage.start_again().await;
    // Seen after the headers: what came before is right, and the end does not come.
    let mut answer = stage.get(&path).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut came = Vec::new();
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(piece)) => came.extend_from_slice(&piece),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken, "the connection ends with an error");
    assert!(
        came.len() < 2_000_000 && large.starts_with(&came),
        "{}",
        came.len()
    );
    // Seen before the headers: the reason is named.
    let asked = stage
        .request(Method::GET, &path)
        .header(header::RANGE, "bytes=2000000-2000001");
    let (status, message) = refusal(asked.send().await.unwrap()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        message.contains("has rotted") && message.contains(&blob.to_string()),
        "{message}"
    );
    // The rest is served.
    let asked = stage
        .request(Method::GET, &path)
        .header(header::RANGE, "bytes=0-999999");
    assert!(asked.send().await.unwrap().bytes().await.unwrap() == large[..1_000_000]);
}
