//! A publisher makes a repository, commits to it, and everybody reads what is there.

use crate::hub_stage::{Stage, address, blob, file, large, lines, oid, refusal, weights};
use assay_blob::Sha256;
use reqwest::Method;
use serde_json::{Value, json};

const CARD: &str =
    "---\nlicense: mit\npipeline_tag: text-classification\nlanguage: en\ntags: [tiny]\n---\n# M\n";

async fn with_model() -> (Stage, String) {
    let stage = Stage::set().await;
    stage.create("My-Model").await;
    let commit = stage
        .committed(
            "my-model",
            &[
                file("README.md", CARD.as_bytes()),
                file("config.json", b"{\"model_type\":\"bert\",\"x\":1}"),
                file("model.safetensors", &weights(10)),
                file("a/b/c.txt", b"c\n"),
                file("a/d.txt", b"d\n"),
            ],
        )
        .await;
    (stage, commit)
}

#[tokio::test]
async fn a_model_is_described_as_clients_read_it() {
    let (stage, commit) = with_model().await;
    let info = stage.read("/api/models/ALICE/MY-MODEL?blobs=true").await;
    assert_eq!(info["id"], "alice/My-Model");
    assert_eq!(
        (&info["sha"], &info["author"]),
        (&json!(commit), &json!("alice"))
    );
    assert_eq!(
        info["tags"],
        json!([
            "text-classification",
            "tiny",
            "en",
            "license:mit",
            "safetensors",
            "bert"
        ])
    );
    assert_eq!(
        (&info["pipeline_tag"], &info["library_name"]),
        (&json!("text-classification"), &json!("transformers"))
    );
    assert_eq!(
        info["safetensors"],
        json!({"parameters": {"F16": 10}, "total": 10})
    );
    assert_eq!(info["config"], json!({"model_type": "bert"}));
    assert_eq!(info["cardData"]["license"], "mit");
    assert_eq!(info["assay"]["publisher"], address(1));
    let siblings: Vec<&str> = info["siblings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["rfilename"].as_str().unwrap())
        .collect();
    assert_eq!(
        siblings,
        [
            "README.md",
            "a/b/c.txt",
            "a/d.txt",
            "config.json",
            "model.safetensors"
        ]
    );
    assert_eq!(
        info["siblings"][4]["lfs"]["sha256"],
        json!(Sha256::of(&weights(10)))
    );
    assert_eq!(info["siblings"][1]["blobId"], oid(b"c\n"));
    let by_address = stage
        .read(&format!(
            "/api/models/{}/my-model/revision/{commit}",
            address(1)
        ))
        .await;
    assert_eq!(by_address["sha"], info["sha"]);
    let few = stage
        .read("/api/models/alice/my-model?expand=sha&expand=downloads")
        .await;
    let mut fields: Vec<&String> = few.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["_id", "downloads", "id", "modelId", "sha"]);
    let headers = stage
        .send(0, Method::GET, "/api/models/alice/my-model", "")
        .await
        .headers()
        .clone();
    assert!(
        headers["x-hf-warning"]
            .to_str()
            .unwrap()
            .starts_with("unsigned; alice/My-Model")
    );
}

#[tokio::test]
async fn files_are_listed_and_looked_up() {
    let (stage, _) = with_model().await;
    let names = |rows: &Value| -> Vec<String> {
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row["path"].as_str().unwrap().to_owned())
            .collect()
    };
    let root = stage.read("/api/models/alice/my-model/tree/main").await;
    assert_eq!(
        names(&root),
        ["README.md", "a", "config.json", "model.safetensors"]
    );
    assert_eq!(root[1]["type"], "directory");
    let all = stage
        .read("/api/models/alice/my-model/tree/main?recursive=true")
        .await;
    assert_eq!(
        names(&all),
        [
            "README.md",
            "a",
            "a/b",
            "a/b/c.txt",
            "a/d.txt",
            "config.json",
            "model.safetensors"
        ]
    );
    assert_eq!(
        (&all[3]["oid"], &all[3]["blake3"]),
        (&json!(oid(b"c\n")), &json!(blob(b"c\n")))
    );
    assert_eq!(all[6]["lfs"]["size"], json!(weights(10).len()));
    let folder = stage.read("/api/models/alice/my-model/tree/main/a").await;
    assert_eq!(names(&folder), ["a/b", "a/d.txt"]);

    // Page by page: the links lead through all of it.
    let mut next = Some(format!(
        "{}/api/models/alice/my-model/tree/main?recursive=true&limit=2",
        stage.url
    ));
    let mut found = Vec::new();
    while let Some(url) = next {
        let path = url.strip_prefix(&stage.url).unwrap().to_owned();
        let response = stage.send(0, Method::GET, &path, "").await;
        next = response.headers().get("link").map(|link| {
            let link = link.to_str().unwrap();
            link.strip_prefix('<')
                .unwrap()
                .split_once(">; rel=\"next\"")
                .unwrap()
                .0
                .to_owned()
        });
        found.extend(names(&response.json().await.unwrap()));
        assert!(found.len() <= 7);
    }
    assert_eq!(found, names(&all));

    for body in [
        "paths=a%2Fd.txt&paths=nope&paths=a&expand=True",
        r#"{"paths":["a/d.txt","nope","a"],"expand":true}"#,
    ] {
        let path = "/api/models/alice/my-model/paths-info/main";
        let media = if body.starts_with('{') {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client
            .post(format!("{}{path}", stage.url))
            .header("content-type", media)
            .body(body)
            .send()
            .await
            .unwrap();
        let rows: Value = response.json().await.unwrap();
        assert_eq!(names(&rows), ["a/d.txt", "a"]);
        assert_eq!(rows[0]["lastCommit"]["title"], "a change");
    }
}

#[tokio::test]
async fn history_says_who_changed_what_and_when() {
    let (stage, first) = with_model().await;
    let second = stage
        .committed(
            "my-model",
            &[
                file("a/d.txt", b"D\n"),
                json!({"key": "deletedFolder", "value": {"path": "a/b/"}}),
            ],
        )
        .await;
    let rows = stage.read("/api/models/alice/my-model/commits/main").await;
    let ids: Vec<&str> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids[..2], [second.as_str(), first.as_str()]);
    assert_eq!(
        (ids.len(), &rows[2]["title"], &rows[0]["authors"][0]["user"]),
        (3, &json!("initial commit"), &json!("alice"))
    );
    let response = stage
        .send(
            0,
            Method::GET,
            "/api/models/alice/my-model/commits/main?limit=2",
            "",
        )
        .await;
    let link = response.headers()["link"].to_str().unwrap().to_owned();
    let path = link
        .split_once('>')
        .unwrap()
        .0
        .strip_prefix(&format!("<{}", stage.url))
        .unwrap()
        .to_owned();
    let last = stage.read(&path).await;
    assert_eq!(
        (last.as_array().unwrap().len(), &last[0]["id"]),
        (1, &json!(ids[2]))
    );

    let tree = stage
        .read("/api/models/alice/my-model/tree/main?recursive=true&expand=true")
        .await;
    for row in tree.as_array().unwrap() {
        let changed = row["path"].as_str().unwrap().starts_with('a');
        assert_eq!(
            row["lastCommit"]["id"],
            json!(if changed { &second } else { &first }),
            "{row}"
        );
    }
    // Earlier commits stay as they were.
    let old = stage
        .read(&format!("/api/models/alice/my-model/tree/{first}/a/b"))
        .await;
    assert_eq!(old[0]["path"], "a/b/c.txt");
    let whole = stage
        .read(&format!("/api/models/alice/my-model/revision/{second}"))
        .await;
    let bytes = stage
        .read(&format!(
            "/assay/v1/commits/{}",
            whole["assay"]["commit"].as_str().unwrap()
        ))
        .await;
    assert_eq!(
        (&bytes["revision"], &bytes["publisher"]),
        (&whole["assay"]["revision"], &json!(address(1)))
    );
    let manifest = stage
        .read(&format!(
            "/assay/v1/revisions/{}",
            whole["assay"]["revision"].as_str().unwrap()
        ))
        .await;
    assert_eq!(manifest["files"][1]["path"], "a/d.txt");
}

#[tokio::test]
async fn a_commit_that_changes_nothing_gives_the_head_back() {
    let (stage, first) = with_model().await;
    assert_eq!(
        stage
            .committed("my-model", &[file("a/d.txt", b"d\n")])
            .await,
        first
    );
    assert_eq!(stage.committed("my-model", &[]).await, first);
    let copy = json!({"key": "copyFile", "value": {"path": "copy.txt", "srcPath": "a/d.txt"}});
    let second = stage.committed("my-model", &[copy]).await;
    let by_digest = stage
        .committed(
            "my-model",
            &[large("copy.txt", b"d\n"), large("more.bin", &weights(10))],
        )
        .await;
    assert_ne!(second, by_digest);
    let rows = stage.read("/api/models/alice/my-model/tree/main").await;
    let more = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["path"] == "more.bin")
        .unwrap();
    assert_eq!(more["lfs"]["oid"], json!(Sha256::of(&weights(10))));
}

#[tokio::test]
async fn branches_and_tags_are_made_and_taken_away() {
    let (stage, first) = with_model().await;
    let at = "/api/models/alice/my-model";
    let post = async |path: &str, body: Value| {
        stage
            .send(1, Method::POST, &format!("{at}{path}"), body.to_string())
            .await
    };
    assert_eq!(post("/branch/dev%2Fx", json!({})).await.status(), 200);
    assert_eq!(
        post("/tag/main", json!({"tag": "v1", "message": "one"}))
            .await
            .status(),
        200
    );
    refusal(post("/branch/dev%2Fx", json!({})).await, 409, None).await;
    refusal(post("/tag/main", json!({"tag": "v1"})).await, 409, None).await;
    refusal(
        post("/branch/y", json!({"startingPoint": "none"})).await,
        404,
        Some("RevisionNotFound"),
    )
    .await;
    let response = stage
        .commit("my-model", "dev%2Fx", &[file("new.txt", b"n")])
        .await;
    assert_eq!(response.status(), 200);
    let refs = stage.read(&format!("{at}/refs?include_prs=1")).await;
    assert_eq!(refs["branches"][0]["name"], "dev/x");
    assert_eq!(
        refs["tags"],
        json!([{"name": "v1", "ref": "refs/tags/v1", "targetCommit": first}])
    );
    assert_eq!(
        refs["branches"][1]["targetCommit"],
        json!(first),
        "another branch moved"
    );
    assert_eq!(refs["pullRequests"], json!([]));
    assert!(
        stage
            .read(&format!("{at}/tree/dev%2Fx"))
            .await
            .to_string()
            .contains("new.txt")
    );
    assert!(
        !stage
            .read(&format!("{at}/tree/v1"))
            .await
            .to_string()
            .contains("new.txt")
    );
    for path in ["/branch/dev%2Fx", "/tag/v1"] {
        assert_eq!(
            stage
                .send(1, Method::DELETE, &format!("{at}{path}"), "")
                .await
                .status(),
            200
        );
        let again = stage
            .send(1, Method::DELETE, &format!("{at}{path}"), "")
            .await;
        refusal(again, 404, Some("RevisionNotFound")).await;
    }
    refusal(
        stage
            .send(1, Method::DELETE, &format!("{at}/branch/main"), "")
            .await,
        400,
        None,
    )
    .await;
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let (stage, _) = with_model().await;
    for name in ["a-one", "b-two"] {
        stage.create(name).await;
    }
    let body = json!({"name": "alice/data", "type": "dataset"}).to_string();
    assert_eq!(
        stage
            .send(1, Method::POST, "/api/repos/create", body)
            .await
            .status(),
        200
    );
    let ids = async |query: &str| -> Vec<String> {
        let rows = stage.read(&format!("/api/{query}")).await;
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        ids("models?sort=likes").await,
        ["alice/My-Model", "alice/a-one", "alice/b-two"]
    );
    assert_eq!(
        ids("models?search=model&author=Alice").await,
        ["alice/My-Model"]
    );
    assert_eq!(
        ids("models?filter=license:mit&filter=tiny&pipeline_tag=text-classification").await,
        ["alice/My-Model"]
    );
    assert_eq!(ids("models?num_parameters=min:11").await, [""; 0]);
    assert_eq!(ids("datasets").await, ["alice/data"]);
    let response = stage
        .send(
            0,
            Method::GET,
            "/api/models?sort=likes&limit=2&full=True",
            "",
        )
        .await;
    let link = response.headers()["link"].to_str().unwrap().to_owned();
    let rows: Value = response.json().await.unwrap();
    assert!(rows[0]["siblings"].is_array() && rows[0]["cardData"].is_object());
    let path = link
        .split_once('>')
        .unwrap()
        .0
        .strip_prefix(&format!("<{}/api/", stage.url))
        .unwrap()
        .to_owned();
    assert_eq!(ids(&path).await, ["alice/b-two"]);
    let tags = stage.read("/api/models-tags-by-type").await;
    assert_eq!(
        tags["license"],
        json!([{"id": "license:mit", "label": "mit", "type": "license", "clickable": true}])
    );
    assert_eq!(tags["pipeline_tag"][0]["id"], "text-classification");
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let (stage, commit) = with_model().await;
    let before = stage.read("/api/models/alice/my-model?blobs=true").await;
    let folder = stage.stop().await;
    let stage = Stage::set_in(folder, |_| ()).await;
    assert_eq!(
        stage.read("/api/models/alice/my-model?blobs=true").await,
        before
    );
    assert_eq!(stage.read("/api/models").await[0]["sha"], json!(commit));
}

#[tokio::test]
async fn a_repository_that_was_deleted_is_gone_and_its_name_is_its_publishers_still() {
    let (stage, commit) = with_model().await;
    let delete = json!({"name": "my-model", "organization": "alice", "type": "model"}).to_string();
    let others = stage
        .send(2, Method::DELETE, "/api/repos/delete", delete.clone())
        .await;
    refusal(others, 403, None).await;
    assert_eq!(
        stage
            .send(1, Method::DELETE, "/api/repos/delete", delete.clone())
            .await
            .status(),
        200
    );
    for path in ["", "/tree/main", "/refs", &format!("/revision/{commit}")] {
        let response = stage
            .send(
                1,
                Method::GET,
                &format!("/api/models/alice/my-model{path}"),
                "",
            )
            .await;
        refusal(response, 404, Some("RepoNotFound")).await;
    }
    assert_eq!(stage.read("/api/models").await, json!([]));
    let again = stage
        .send(1, Method::DELETE, "/api/repos/delete", delete)
        .await;
    refusal(again, 404, Some("RepoNotFound")).await;
    stage.create("my-model").await;
    let old = stage
        .send(
            1,
            Method::GET,
            &format!("/api/models/alice/my-model/revision/{commit}"),
            "",
        )
        .await;
    refusal(old, 404, Some("RevisionNotFound")).await;
}

#[tokio::test]
async fn the_card_and_the_files_are_judged_before_they_are_sent() {
    let (stage, _) = with_model().await;
    let validate = async |content: &str| -> (u16, Value) {
        let body = json!({"content": content, "repoType": "model"}).to_string();
        let response = stage
            .send(0, Method::POST, "/api/validate-yaml", body)
            .await;
        (response.status().as_u16(), response.json().await.unwrap())
    };
    let good = json!({"errors": [], "warnings": []});
    assert_eq!(validate(CARD).await, (200, good));
    for broken in ["---\nlicense: [\n---\n", "---\na: &a [*a]\n---\n"] {
        let (status, found) = validate(broken).await;
        assert_eq!(
            (status, found["errors"].as_array().unwrap().len()),
            (400, 1)
        );
        assert_eq!(found["error"], found["errors"][0]["message"]);
    }
    let (status, found) = validate("# no card").await;
    assert_eq!(
        (status, found["warnings"].as_array().unwrap().len()),
        (200, 1)
    );
    let files = json!([
        {"path": "config.json", "size": 10, "sample": ""},
        {"path": "new.safetensors", "size": 10},
        {"path": "big.txt", "size": 6 << 20},
        {"path": "model.safetensors", "size": 1},
        {"path": "x.log", "size": 1},
    ]);
    let body = json!({"files": files, "gitIgnore": "*.log\n"}).to_string();
    let response = stage
        .send(
            1,
            Method::POST,
            "/api/models/alice/my-model/preupload/main",
            body,
        )
        .await;
    let rows: Value = response.json().await.unwrap();
    let modes: Vec<&Value> = rows["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["uploadMode"])
        .collect();
    assert_eq!(modes, ["regular", "lfs", "lfs", "lfs", "regular"]);
    assert_eq!(
        rows["files"][0]["oid"],
        oid(b"{\"model_type\":\"bert\",\"x\":1}")
    );
    assert_eq!(rows["files"][3]["oid"], json!(Sha256::of(&weights(10))));
    assert_eq!(rows["files"][1].get("oid"), None);
    assert_eq!(
        (
            &rows["files"][4]["shouldIgnore"],
            &rows["files"][0]["shouldIgnore"]
        ),
        (&json!(true), &json!(false))
    );
    let broken = stage
        .commit(
            "my-model",
            "main",
            &[file("README.md", b"---\nlicense: [\n---\n")],
        )
        .await;
    refusal(broken, 400, None).await;
}

#[tokio::test]
async fn two_who_commit_at_once_are_told_who_was_first() {
    let (stage, first) = with_model().await;
    stage.committed("my-model", &[file("x", b"1")]).await;
    let header = json!({"key": "header", "value": {"summary": "late", "parentCommit": first}});
    let body = format!("{header}\n{}\n", file("x", b"2"));
    let response = stage
        .send(
            1,
            Method::POST,
            "/api/models/alice/my-model/commit/main",
            body,
        )
        .await;
    let reason = refusal(response, 412, None).await;
    assert!(reason.contains("no longer"), "{reason}");
    let all = (0..8).map(|n| {
        stage.send(
            1,
            Method::POST,
            "/api/models/alice/my-model/commit/main",
            lines(&[file(&format!("n{n}"), b"x")]),
        )
    });
    for response in futures::future::join_all(all).await {
        assert_eq!(response.status(), 200);
    }
    let rows = stage.read("/api/models/alice/my-model/commits/main").await;
    assert_eq!(
        rows.as_array().unwrap().len(),
        11,
        "each has one parent, none is lost"
    );
    let files = stage.read("/api/models/alice/my-model/tree/main").await;
    assert_eq!(
        files
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["path"].as_str().unwrap().starts_with('n'))
            .count(),
        8
    );
}
