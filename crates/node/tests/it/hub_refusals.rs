//! What a hub says to those who ask for what is not there, may not, or send nonsense.

use crate::hub_stage::{Stage, address, file, large, lines, refusal};
use assay_node::delegation::{Scope, Terms};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use reqwest::Method;
use serde_json::{Value, json};

/// A pickle that calls `os.system("ls")`.
const PICKLE: &[u8] = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.";

async fn with_model() -> Stage {
    let stage = Stage::set().await;
    stage.create("m").await;
    stage
        .committed("m", &[file("a/b.txt", b"b"), file("c.txt", b"c")])
        .await;
    stage
}

#[tokio::test]
async fn what_is_not_there_is_named_by_its_kind() {
    let stage = with_model().await;
    for (path, code) in [
        ("/api/models/alice/none", Some("RepoNotFound")),
        ("/api/models/nobody/m", Some("RepoNotFound")),
        ("/api/models/alice/a..b", Some("RepoNotFound")),
        ("/api/models/m", Some("RepoNotFound")),
        ("/api/datasets/alice/m", Some("RepoNotFound")),
        ("/api/models/alice/none/tree/main", Some("RepoNotFound")),
        ("/api/models/alice/m/tree/none", Some("RevisionNotFound")),
        (
            "/api/models/alice/m/tree/refs%2Fpr%2F1",
            Some("RevisionNotFound"),
        ),
        (
            "/api/models/alice/m/revision/a%2e%2eb",
            Some("RevisionNotFound"),
        ),
        (
            "/api/models/alice/m/revision/abababababababababababababababababababab",
            Some("RevisionNotFound"),
        ),
        ("/api/models/alice/m/commits/none", Some("RevisionNotFound")),
        ("/api/models/alice/m/tree/main/none", Some("EntryNotFound")),
        ("/api/models/alice/m/tree/main/c.txt", Some("EntryNotFound")),
        (
            "/api/models/alice/m/tree/main/..%2f..",
            Some("EntryNotFound"),
        ),
        (
            "/api/models/alice/m/safetensors-metadata/none.json",
            Some("EntryNotFound"),
        ),
        ("/api/kernels/alice/m", None),
        ("/assay/v1/commits/abc", None),
        ("/nothing", None),
    ] {
        let response = stage.send(1, Method::GET, path, "").await;
        let commit = response.headers().get("x-repo-commit").cloned();
        refusal(response, 404, code).await;
        assert_eq!(commit.is_some(), code == Some("EntryNotFound"), "{path}");
    }
    for path in ["/api/spaces/alice/m", "/api/spaces"] {
        let reason = refusal(stage.send(0, Method::GET, path, "").await, 400, None).await;
        assert!(reason.contains("no spaces"), "{reason}");
    }
    refusal(
        stage.send(0, Method::PUT, "/api/models", "").await,
        405,
        None,
    )
    .await;
}

#[tokio::test]
async fn only_the_owner_of_a_namespace_writes_in_it() {
    let stage = with_model().await;
    let at = "/api/models/alice/m";
    let create = json!({"name": "x", "organization": "alice"}).to_string();
    let own = json!({"name": "x"}).to_string();
    for (method, path, body) in [
        (Method::POST, "/api/repos/create".to_owned(), create.clone()),
        (
            Method::DELETE,
            "/api/repos/delete".into(),
            json!({"name": "m", "organization": "alice"}).to_string(),
        ),
        (
            Method::POST,
            format!("{at}/commit/main"),
            lines(&[file("x", b"x")]),
        ),
        (
            Method::POST,
            format!("{at}/preupload/main"),
            json!({"files": []}).to_string(),
        ),
        (Method::POST, format!("{at}/branch/b"), "{}".into()),
        (
            Method::POST,
            format!("{at}/tag/main"),
            json!({"tag": "t"}).to_string(),
        ),
        (Method::DELETE, format!("{at}/branch/b"), String::new()),
        (Method::PUT, format!("{at}/settings"), "{}".into()),
    ] {
        let nobody = stage.send(0, method.clone(), &path, body.clone()).await;
        let message = nobody.headers()["x-error-message"].clone();
        refusal(nobody, 401, None).await;
        assert_eq!(
            message, "Invalid credentials in Authorization header",
            "{path}"
        );
        refusal(stage.send(2, method, &path, body).await, 403, None).await;
    }
    let unclaimed = json!({"name": "x", "organization": "bob"}).to_string();
    refusal(
        stage
            .send(2, Method::POST, "/api/repos/create", unclaimed)
            .await,
        403,
        None,
    )
    .await;
    assert_eq!(
        stage
            .send(2, Method::POST, "/api/repos/create", own)
            .await
            .status(),
        200
    );
    let info = stage.read(&format!("/api/models/{}/x", address(2))).await;
    assert_eq!(info["id"], format!("{}/x", address(2)));
    assert_eq!(
        stage.read("/api/models/alice/m/refs").await["branches"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn only_a_good_token_is_taken() {
    let stage = with_model().await;
    let hub = stage.described.hub.to_address();
    let future = 4_000_000_000;
    let good = Terms {
        hub,
        scope: Scope::Read,
        not_after_s: future,
        issued_ms: 1_000,
    };
    let reading = format!("Bearer {}", stage.token_with(1, &good));
    let who: Value = stage
        .send_with(&reading, Method::GET, "/api/whoami-v2")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&who["name"], &who["auth"]["accessToken"]["role"]),
        (&json!("alice"), &json!("read"))
    );
    let branch = stage
        .send_with(&reading, Method::DELETE, "/api/models/alice/m/branch/b")
        .await;
    refusal(branch, 403, None).await;
    let over = stage.token_with(
        1,
        &Terms {
            not_after_s: 1,
            ..good
        },
    );
    let others = stage.token_with(
        1,
        &Terms {
            hub: assay_receipt::Account::from_bytes([1; 20]).into(),
            ..good
        },
    );
    let ahead = stage.token_with(
        1,
        &Terms {
            issued_ms: u64::MAX,
            ..good
        },
    );
    let whole = stage.token_with(1, &good);
    let mut forged = whole.clone().into_bytes();
    forged[10] = if forged[10] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    for bad in [
        &over,
        &others,
        &ahead,
        &forged,
        "hf_abcdefghij",
        "",
        "hf_",
        &whole[..whole.len() - 4],
    ] {
        for path in [
            "/api/whoami-v2",
            "/api/models/alice/m",
            "/api/models",
            "/api/models/alice/m/tree/main",
        ] {
            let response = stage
                .send_with(&format!("Bearer {bad}"), Method::GET, path)
                .await;
            let message = response.headers()["x-error-message"].clone();
            let reason = refusal(response, 401, None).await;
            assert_eq!(message, "Invalid credentials in Authorization header");
            assert!(
                bad.len() < 12 || !reason.contains(&bad[10..]),
                "a token is never shown"
            );
        }
    }
    for bad in ["Basic YTpi", "Bearer", "hf_x", "\u{ff}"] {
        let response = stage.send_with(bad, Method::GET, "/api/whoami-v2").await;
        refusal(response, 401, None).await;
    }
    refusal(
        stage.send(0, Method::GET, "/api/whoami-v2", "").await,
        401,
        None,
    )
    .await;
}

#[tokio::test]
async fn commits_that_are_wrong_change_nothing() {
    let stage = with_model().await;
    let before = stage.read("/api/models/alice/m").await;
    let header = json!({"key": "header", "value": {"summary": "x"}});
    let delete = |kind: &str, path: &str| json!({"key": kind, "value": {"path": path}});
    let sized = json!({"key": "lfsFile", "value": {"path": "z", "algo": "sha256", "oid": assay_blob::Sha256::of(b"b"), "size": 2}});
    for (body, status, code) in [
        (String::new(), 400, None),
        ("{}".into(), 400, None),
        ("not json".into(), 400, None),
        (file("x", b"x").to_string(), 400, None),
        (format!("{header}\n{header}\n"), 400, None),
        (lines(&[file("../x", b"x")]), 400, None),
        (lines(&[file("/etc/passwd", b"x")]), 400, None),
        (lines(&[file(".git/config", b"x")]), 400, None),
        (lines(&[file("a", b"x")]), 400, None),
        (lines(&[file("c.txt/d", b"x")]), 400, None),
        (
            lines(&[
                json!({"key": "file", "value": {"path": "x", "content": "!", "encoding": "base64"}}),
            ]),
            400,
            None,
        ),
        (lines(&[large("x.bin", b"never uploaded")]), 400, None),
        (lines(&[sized]), 400, None),
        (
            lines(&[file("new", b"n"), delete("deletedFile", "none")]),
            404,
            Some("EntryNotFound"),
        ),
        (
            lines(&[delete("deletedFile", "a")]),
            404,
            Some("EntryNotFound"),
        ),
        (
            lines(&[delete("deletedFolder", "c.txt")]),
            404,
            Some("EntryNotFound"),
        ),
        (
            lines(&[json!({"key": "copyFile", "value": {"path": "x", "srcPath": "none"}})]),
            404,
            Some("EntryNotFound"),
        ),
        (
            lines(&[
                json!({"key": "copyFile", "value": {"path": "x", "srcPath": "a/b.txt", "srcRevision": "none"}}),
            ]),
            404,
            Some("EntryNotFound"),
        ),
    ] {
        let response = stage
            .send(
                1,
                Method::POST,
                "/api/models/alice/m/commit/main",
                body.clone(),
            )
            .await;
        let reason = refusal(response, status, code).await;
        assert!(
            !reason.contains(stage.folder.path().to_str().unwrap()),
            "{reason}"
        );
    }
    let elsewhere = stage.commit("m", "none", &[file("x", b"x")]).await;
    refusal(elsewhere, 404, Some("RevisionNotFound")).await;
    let request = stage
        .send(
            1,
            Method::POST,
            "/api/models/alice/m/commit/main?create_pr=1",
            lines(&[file("x", b"x")]),
        )
        .await;
    assert!(refusal(request, 400, None).await.contains("pull requests"));
    assert_eq!(stage.read("/api/models/alice/m").await, before);
}

#[tokio::test]
async fn names_are_for_ever_and_everything_is_public() {
    let stage = with_model().await;
    let post =
        async |path: &str, body: Value| stage.send(1, Method::POST, path, body.to_string()).await;
    let moved = post(
        "/api/repos/move",
        json!({"fromRepo": "alice/m", "toRepo": "alice/n", "type": "model"}),
    )
    .await;
    assert!(refusal(moved, 400, None).await.contains("for ever"));
    for body in [
        json!({"name": "p", "visibility": "private"}),
        json!({"name": "p", "private": true}),
    ] {
        assert!(
            refusal(post("/api/repos/create", body).await, 400, None)
                .await
                .contains("public")
        );
    }
    for body in [
        json!({"visibility": "private"}),
        json!({"private": true}),
        json!({"gated": "auto"}),
    ] {
        let response = stage
            .send(
                1,
                Method::PUT,
                "/api/models/alice/m/settings",
                body.to_string(),
            )
            .await;
        assert!(refusal(response, 400, None).await.contains("public"));
    }
    let response = stage
        .send(
            1,
            Method::PUT,
            "/api/models/alice/m/settings",
            r#"{"visibility":"public","gated":false}"#,
        )
        .await;
    assert_eq!(response.status(), 200);
    for body in [
        json!({"name": "m"}),
        json!({"name": "M", "organization": "ALICE"}),
        json!({"name": "alice/m"}),
    ] {
        let response = post("/api/repos/create", body).await;
        assert_eq!(response.status(), 409);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["url"], format!("{}/alice/m", stage.url));
    }
    for name in ["", "a/b/c", "..", "a b", "x.git", "é"] {
        refusal(
            post("/api/repos/create", json!({"name": name})).await,
            400,
            None,
        )
        .await;
    }
    let space = post("/api/repos/create", json!({"name": "s", "type": "space"})).await;
    assert!(refusal(space, 400, None).await.contains("no spaces"));
    let request = post(
        "/api/models/alice/m/discussions",
        json!({"pullRequest": true}),
    )
    .await;
    refusal(request, 400, None).await;
    assert_eq!(stage.read("/api/models/alice/m/likers").await, json!([]));
}

#[tokio::test]
async fn an_operator_refuses_in_public_and_with_a_reason() {
    let stage = with_model().await;
    let info = stage.read("/api/models/alice/m").await;
    let revision = json!({"what": "revision", "id": info["assay"]["revision"]});
    let repository = json!({"what": "repository", "kind": "model", "name": "Alice/M"});
    let refuse = async |account: u8, subject: &Value, reason: &str, withdrawn: bool| {
        let body =
            json!({"subject": subject, "reason": reason, "withdrawn": withdrawn}).to_string();
        stage
            .send(account, Method::POST, "/assay/v1/refusals", body)
            .await
    };
    refusal(refuse(0, &revision, "x", false).await, 401, None).await;
    refusal(refuse(1, &revision, "x", false).await, 403, None).await;
    refusal(refuse(9, &revision, "", false).await, 400, None).await;
    refusal(
        refuse(9, &json!({"what": "all"}), "x", false).await,
        400,
        None,
    )
    .await;
    for (subject, path) in [
        (&revision, "/api/models/alice/m/tree/main"),
        (&repository, "/api/models/alice/m/refs"),
    ] {
        assert_eq!(
            refuse(9, subject, "a court said so", false).await.status(),
            200
        );
        let response = stage.send(0, Method::GET, path, "").await;
        assert_eq!(
            response.headers()["x-error-message"],
            "Access to this resource is disabled."
        );
        assert!(
            refusal(response, 403, None)
                .await
                .contains("a court said so")
        );
        assert_eq!(
            stage.read("/api/models").await,
            json!([]),
            "what is refused is in no list"
        );
        assert_eq!(
            refuse(9, subject, "the court changed its mind", true)
                .await
                .status(),
            200
        );
        stage.read(path).await;
    }
    let log: Vec<assay_hub::policy::Signed<assay_hub::policy::Refusal>> =
        serde_json::from_value(stage.read("/assay/v1/refusals").await).unwrap();
    assert_eq!(
        log.iter()
            .map(|entry| entry.statement.sequence)
            .collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    for entry in &log {
        entry.verify().unwrap();
        assert_eq!(entry.hub, stage.described.hub);
    }
    assert_eq!(
        stage
            .read("/assay/v1/refusals?from=3")
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let policy: assay_hub::policy::Signed<assay_hub::policy::Retention> =
        serde_json::from_value(stage.read("/assay/v1/policy").await).unwrap();
    policy.verify().unwrap();
    let folder = stage.stop().await;
    let stage = Stage::set_in(folder, |config| {
        config.retention.takes_executable_formats = false
    })
    .await;
    assert_eq!(
        stage
            .read("/assay/v1/refusals")
            .await
            .as_array()
            .unwrap()
            .len(),
        4,
        "the log is durable"
    );
    let pickle = stage.commit("m", "main", &[file("x.txt", PICKLE)]).await;
    refusal(pickle, 403, None).await;
}

#[tokio::test]
async fn one_client_cannot_take_all() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::set_in(folder, |config| {
        (config.limits.rate_per_s, config.limits.burst) = (1, 5)
    })
    .await;
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(stage.send(0, Method::GET, "/api/models", "").await);
    }
    let limited = statuses
        .into_iter()
        .find(|response| response.status() == 429)
        .unwrap();
    assert!(limited.headers().contains_key("retry-after"));
    let folder = stage.stop().await;
    let stage = Stage::set_in(folder, |config| config.limits.commit_bytes = 1_000).await;
    stage.create("m").await;
    refusal(
        stage.commit("m", "main", &[file("x", &[7; 2_000])]).await,
        413,
        None,
    )
    .await;
    let long = "x".repeat(5 << 20);
    refusal(
        stage
            .send(1, Method::POST, "/api/validate-yaml", long)
            .await,
        413,
        None,
    )
    .await;
}

/// Requests made of the API's own words and of nonsense: each is answered, none by a failure of the hub.
#[tokio::test]
async fn nonsense_is_refused_without_a_failure() {
    let stage = with_model().await;
    let before = (
        stage.read("/api/models/alice/m?blobs=true").await,
        stage.read("/api/models/alice/m/refs").await,
    );
    let seed = rand::random();
    let mut random = StdRng::seed_from_u64(seed);
    let words = [
        "api",
        "models",
        "datasets",
        "spaces",
        "alice",
        "m",
        "main",
        "tree",
        "revision",
        "commit",
        "branch",
        "tag",
        "refs",
        "paths-info",
        "preupload",
        "resolve",
        "assay",
        "v1",
        "refusals",
        "whoami-v2",
        "repos",
        "create",
        "delete",
        "..",
        "%2e%2e",
        "%00",
        "%ff",
        "%",
        "%2f",
        "a%0d%0ab",
        "x".repeat(3_000).leak(),
        "\u{1f600}",
        "'\"<>",
        "-1",
        "0x",
        "{}",
        "commits",
        "safetensors-metadata",
        "settings",
        "validate-yaml",
        "move",
        "policy",
        "null",
    ];
    let bodies = [
        "",
        "{}",
        "[]",
        "null",
        "\"",
        "{\"files\":[{\"path\":\"..\",\"size\":-1}]}",
        "{\"name\":null}",
        "{\"tag\":\"\\u0000\"}",
        "{\"key\":\"header\",\"value\":{}}\n{\"key\":\"file\"}",
        "paths=%ff&paths",
        "{\"paths\":7}",
        "{\"content\":\"---\\n&a *a\\n---\"}",
        "{\"subject\":{\"what\":\"repository\"}}",
        "{\"name\":\"\\ud800\"}",
        "[[[[[[[[[[[[[[[[[[[[[[",
    ];
    let methods = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::PATCH,
    ];
    let folder = stage.folder.path().to_str().unwrap().to_owned();
    for _ in 0..2_000 {
        let depth = random.random_range(1..8);
        let mut path = String::new();
        for _ in 0..depth {
            path = format!("{path}/{}", words.choose(&mut random).unwrap());
        }
        if random.random_bool(0.3) {
            let (name, value) = (
                words.choose(&mut random).unwrap(),
                words.choose(&mut random).unwrap(),
            );
            path = format!(
                "{path}?{name}={value}&cursor={value}&limit={name}&recursive=true&expand={value}"
            );
        }
        if random.random_bool(0.5) {
            path = format!("/api/models/alice/m{path}");
        }
        let method = methods.choose(&mut random).unwrap().clone();
        let account = if random.random_bool(0.5) { 2 } else { 0 };
        let Ok(url) = reqwest::Url::parse(&format!("{}{path}", stage.url)) else {
            continue;
        };
        if url.host_str() != Some("127.0.0.1") {
            continue;
        }
        let response = stage
            .send(
                account,
                method.clone(),
                &path,
                *bodies.choose(&mut random).unwrap(),
            )
            .await;
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(
            status.as_u16() < 500,
            "seed {seed}: {method} {path}: {status} {text}"
        );
        assert!(
            !text.contains(&folder) && !text.contains(".rs:"),
            "seed {seed}: {method} {path}: {text}"
        );
    }
    let after = (
        stage.read("/api/models/alice/m?blobs=true").await,
        stage.read("/api/models/alice/m/refs").await,
    );
    assert_eq!(after, before, "nothing was written (seed {seed})");
}
