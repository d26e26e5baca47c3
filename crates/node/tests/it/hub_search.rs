//! Search in hubs: what is found, why, what is refused, and that every hub finds the same.

use crate::{
    hub_stage::{Stage, address, file, key, refusal, weights},
    node_settles::Chain,
};
use alloy_primitives::B256;
use assay_hub::{Kind, RefName, Rev};
use assay_node::{
    config::write_key,
    hub::{
        Hub, HubConfig, RefMove,
        catalogue::NewCommit,
        finding::{INDEX_PATH, SEARCH_PATH},
    },
    hub_registry::{self, HubRegistration},
    repositories, shutdown,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// What a final commit may take until another hub finds it.
const SOON: Duration = Duration::from_secs(1);
/// A test waits at most this long for it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Commits of which one at least has to be found soon: on a machine that does other things too, some are not.
const COMMITS: u32 = 4;

fn card(task: &str, license: &str, language: &str, text: &str) -> String {
    format!(
        "---\npipeline_tag: {task}\nlicense: {license}\nlanguage: {language}\ntags:\n- kept\n---\n# A model\n\n{text}\n"
    )
}

/// Three models whose names say little of what they are for.
async fn published() -> Stage {
    let stage = Stage::set().await;
    for (name, task, license, language, text) in [
        (
            "alpha-one",
            "text-classification",
            "mit",
            "de",
            "It tells whether reviews of hotels are friendly, that is, their sentiment.",
        ),
        (
            "beta-two",
            "automatic-speech-recognition",
            "apache-2.0",
            "en",
            "It writes down what is said in recordings of meetings.",
        ),
        (
            "gamma-three",
            "text-classification",
            "cc-by-nc-4.0",
            "en",
            "It tells spam from letters that somebody wants to read.",
        ),
    ] {
        stage.create(name).await;
        let card = card(task, license, language, text);
        let readme = file("README.md", card.as_bytes());
        stage.committed(name, &[readme]).await;
    }
    stage
}

async fn ids(stage: &Stage, query: &str) -> Vec<String> {
    let found = stage.read(&format!("{SEARCH_PATH}?{query}")).await;
    listed(&found["hits"])
}

fn listed(rows: &Value) -> Vec<String> {
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_need_is_met_with_reasons_facets_and_what_is_not_known() {
    let stage = published().await;
    let found = stage
        .read(&format!(
            "{SEARCH_PATH}?q=sentiment+of+german+reviews&facets=1"
        ))
        .await;
    let first = &found["hits"][0];
    assert_eq!(first["id"], "alice/alpha-one");
    let why: Vec<&str> = first["why"]
        .as_array()
        .unwrap()
        .iter()
        .map(|why| why["feature"].as_str().unwrap())
        .collect();
    assert!(
        why.contains(&"fits the task") && why.contains(&"signed"),
        "{why:?}"
    );
    assert_eq!(first["warnings"][0]["warning"], "unsigned");
    assert_eq!(found["facets"]["task"]["text-classification"], 2);
    assert_eq!(found["documents"], 3);
    assert_eq!(found["meaning"], false);
    let unknown = found["unknown"].to_string();
    for says in ["measur", "who uses it", "price", "search.weights"] {
        assert!(unknown.contains(says), "{unknown}");
    }
    let page = stage.send(0, Method::GET, "/search?q=sentiment", "").await;
    let page = page.text().await.unwrap();
    for says in [
        "alice/alpha-one",
        "fits the task",
        "text-classification</a>",
        "task=text-classification",
        "not known to this hub",
    ] {
        let facet = says.replace("</a>", " (");
        assert!(
            page.contains(says) || page.contains(&facet),
            "{says}: {page}"
        );
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_orders_are_parameters_and_others_are_refused() {
    let stage = published().await;
    let all = ["alice/alpha-one", "alice/beta-two", "alice/gamma-three"];
    let mut found = ids(&stage, "").await;
    found.sort();
    assert_eq!(found, all);
    for (query, expected) in [
        ("license=mit", &all[..1]),
        ("task=automatic-speech-recognition", &all[1..2]),
        ("task=text-classification&language=en", &all[2..]),
        ("q=text&library=none", &[]),
        (
            "namespace=alice&max_size=1KB&license=apache-2.0",
            &all[1..2],
        ),
        ("rung=proven", &[]),
        ("provenance=signed", &[]),
        ("dataset=true", &[]),
    ] {
        assert_eq!(ids(&stage, query).await, expected, "{query}");
    }
    // The newest first, one at a time.
    assert_eq!(ids(&stage, "sort=recency&limit=1").await, all[2..]);
    assert_eq!(ids(&stage, "sort=recency&limit=1&offset=2").await, all[..1]);
    for (query, says) in [
        ("colour=red", "`colour`"),
        ("sort=magic", "`magic`"),
        ("max_size=much", "max_size"),
        ("limit=many", "limit"),
    ] {
        for path in [SEARCH_PATH, "/search"] {
            let refused = stage
                .send(0, Method::GET, &format!("{path}?{query}"), "")
                .await;
            let reason = refusal(refused, 400, None).await;
            assert!(reason.contains(says), "{path}?{query}: {reason}");
        }
    }
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_find_what_the_card_says_and_what_is_spelt_alike() {
    let stage = published().await;
    let ids = async |query: &str| listed(&stage.read(&format!("/api/models?{query}")).await);
    // The name, a part of it, and what only the card says.
    assert_eq!(ids("search=alpha").await, ["alice/alpha-one"]);
    assert_eq!(ids("search=lpha-on").await, ["alice/alpha-one"]);
    assert_eq!(ids("search=sentiment").await, ["alice/alpha-one"]);
    assert_eq!(ids("search=recordings+meetings").await, ["alice/beta-two"]);
    assert_eq!(ids("search=sentiment+recordings").await, [""; 0]);
    assert_eq!(ids("search=nothing-has-this-name").await, [""; 0]);
    // Together with filters, an order, and pages.
    assert_eq!(
        ids("search=kept&filter=license:mit").await,
        ["alice/alpha-one"]
    );
    let newest = ["alice/gamma-three", "alice/beta-two", "alice/alpha-one"];
    assert_eq!(ids("search=kept&sort=lastModified").await, newest);
    let (mut rows, mut path) = (Vec::new(), "/api/models?search=kept&limit=1".to_owned());
    for _ in 0..newest.len() {
        let response = stage.send(0, Method::GET, &path, "").await;
        let next = response
            .headers()
            .get("link")
            .map(|link| link.to_str().unwrap().to_owned());
        rows.extend(listed(&response.json().await.unwrap()));
        let Some(next) = next else { break };
        let (url, _) = next.trim_start_matches('<').split_once('>').unwrap();
        path = url.strip_prefix(&stage.url).unwrap().to_owned();
    }
    assert_eq!(rows, ids("search=kept").await);
    assert_eq!(rows.len(), newest.len());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_found_at_once_and_a_deleted_one_no_longer() {
    let stage = published().await;
    assert_eq!(ids(&stage, "q=zebrafish").await, [""; 0]);
    let text = card("image-classification", "mit", "en", "It counts zebrafish.");
    stage
        .committed("beta-two", &[file("README.md", text.as_bytes())])
        .await;
    // The answer to a commit comes when it is final, and by then it is found.
    assert_eq!(ids(&stage, "q=zebrafish").await, ["alice/beta-two"]);
    assert_eq!(
        ids(&stage, "task=automatic-speech-recognition").await,
        [""; 0]
    );
    let body = json!({"name": "alice/beta-two", "type": "model"}).to_string();
    let gone = stage
        .send(1, Method::DELETE, "/api/repos/delete", body)
        .await;
    assert_eq!(gone.status(), 200);
    assert_eq!(ids(&stage, "q=zebrafish").await, [""; 0]);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_weights_under_another_name_are_put_under_the_first() {
    let stage = published().await;
    for (name, filler) in [("fish", 0), ("fish-again", 0), ("fish-other", 1)] {
        let text = card("image-classification", "mit", "en", "It counts zebrafish.");
        let readme = format!("{text}\n{name}\n");
        let model = weights(300_000 + filler);
        let files = [
            file("README.md", readme.as_bytes()),
            file("model.safetensors", &model),
        ];
        stage.create(name).await;
        stage.committed(name, &files).await;
    }
    let found = stage.read(&format!("{SEARCH_PATH}?q=zebrafish")).await;
    let mut shown = listed(&found["hits"]);
    shown.sort();
    assert_eq!(shown, ["alice/fish", "alice/fish-other"]);
    let copies: Vec<&Value> = found["hits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| &hit["copies"])
        .collect();
    assert!(copies.contains(&&json!(["alice/fish-again"])), "{copies:?}");
    // By its name it is found, and what it copies is said.
    let named = stage
        .read(&format!("{SEARCH_PATH}?q=alice/fish-again"))
        .await;
    assert_eq!(named["hits"][0]["id"], "alice/fish-again");
    assert!(
        named["hits"][0]["warnings"]
            .to_string()
            .contains("alice/fish"),
        "{named}"
    );
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_found_by_what_goes_in_and_what_comes_out() {
    let stage = published().await;
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/risk-logreg");
    let mut files = Vec::new();
    for path in ["README.md", "manifest.json", "model.onnx"]
        .map(str::to_owned)
        .into_iter()
        .chain(["test/input.0.npy", "test/output.0.npy"].map(str::to_owned))
        .chain(["calibration", "labels", "test"].map(|name| format!("zk/{name}.npy")))
    {
        files.push((path.clone(), std::fs::read(model.join(&path)).unwrap()));
    }
    let files: Vec<_> = files
        .iter()
        .map(|(path, content)| file(path, content))
        .collect();
    stage.create("risk").await;
    stage.committed("risk", &files).await;
    let risk = ["alice/risk"];
    for (query, expected) in [
        ("input=f32[*x12]", &risk[..]),
        ("input=f32[7x12]&output=f32[*x1]", &risk),
        ("q=risk&input=tensor&output=tensor", &risk),
        // The task and the licence, too, are those of its manifest.
        ("task=tabular-classification&input=f32", &risk),
        ("input=f32[*x13]", &[]),
        ("input=f32,f32", &[]),
        ("input=f64[*x12]", &[]),
        ("input=text", &[]),
        ("output=f32[*x2]", &[]),
        ("task=image-classification&input=f32", &[]),
    ] {
        assert_eq!(ids(&stage, query).await, expected, "{query}");
    }
    stage.stop().await;
}

/// The hub of a folder, without a server.
pub fn open(folder: &Path) -> Hub {
    let text = format!(
        "data = \"data\"\nkey = \"hub.key\"\nlisten = \"127.0.0.1:0\"\nendpoint = \"http://127.0.0.1:9\"\n\
         operator = \"{}\"\n[handles]\nalice = \"{}\"\n",
        address(9),
        key(1).address()
    );
    let file = folder.join("again.toml");
    std::fs::write(&file, text).unwrap();
    let (_, shutdown) = shutdown::channel();
    Hub::open(&HubConfig::read(&file).unwrap(), shutdown).unwrap()
}

/// Enters one repository of another hub, as a hub that follows the chain does: the blobs, the commit, the move.
pub fn follow(hub: &Hub, other: &Hub, id: &str) {
    let repository = other.repository(Kind::Model, id).unwrap();
    let key = repository.key();
    let rev: Rev = "main".parse().unwrap();
    let head = other.catalogue.resolve(&key, &rev).unwrap().unwrap();
    let (mut commits, mut next) = (Vec::new(), Some(head));
    while let Some(id) = next {
        let commit = other.catalogue.commit(&id).unwrap();
        let tree = other.catalogue.tree(&commit.tree).unwrap();
        for entry in tree.files().values() {
            let content = other.content(&entry.blob).unwrap();
            hub.store.put(&content.expect("the blob is there")).unwrap();
        }
        next = commit.parents.first().copied();
        let revision = other.catalogue.revision(&commit.revision).unwrap().unwrap();
        commits.push(NewCommit {
            commit,
            revision,
            tree,
        });
    }
    commits.reverse();
    let moved = RefMove {
        repository: key.clone(),
        name: RefName::main(),
        to: Some(head),
    };
    hub.catalogue.enter(&commits, &[moved]).unwrap();
    hub.refresh(&key).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_that_follow_the_same_moves_have_the_same_index_whatever_their_order() {
    let stage = published().await;
    let named: Value = stage.read(INDEX_PATH).await;
    let folder = stage.stop().await;
    let first = open(folder.path());
    let index = first.search_index();
    assert_eq!(named["models"]["digest"], index.models.digest.as_str());
    assert_eq!(index.models.documents, 3);

    let (forward, backward) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (forward, backward) = (open(forward.path()), open(backward.path()));
    let ids = ["alice/alpha-one", "alice/beta-two", "alice/gamma-three"];
    ids.iter().for_each(|id| follow(&forward, &first, id));
    ids.iter()
        .rev()
        .for_each(|id| follow(&backward, &first, id));
    assert_eq!(forward.search_index(), index);
    assert_eq!(backward.search_index(), index);

    // Downloads are each hub's own count; a document that one lacks is a difference.
    let key = first.repository(Kind::Model, ids[0]).unwrap().key();
    forward.count_download(&key);
    forward.flush_downloads().unwrap();
    assert_eq!(forward.search_index(), index);
    let short = tempfile::tempdir().unwrap();
    let short = open(short.path());
    ids[..2].iter().for_each(|id| follow(&short, &first, id));
    assert_ne!(short.search_index().models.digest, index.models.digest);
}

#[tokio::test]
async fn weights_that_are_not_there_stop_a_hub_with_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "data = \"data\"\nkey = \"hub.key\"\nlisten = \"127.0.0.1:0\"\nendpoint = \"http://127.0.0.1:9\"\n\
         operator = \"{}\"\n[search]\nweights = \"none\"\n",
        address(9)
    );
    let file = folder.path().join("hub.toml");
    std::fs::write(&file, text).unwrap();
    let (_, shutdown) = shutdown::channel();
    let opened = Hub::open(&HubConfig::read(&file).unwrap(), shutdown);
    let error = opened.err().unwrap().to_string();
    assert!(
        error.contains("vocab.txt") && error.contains("search-weights"),
        "{error}"
    );
}

/// A hub of the chain, with the key of an account that has means.
async fn hub_on(chain: &Chain, network: &Path, account: u8) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("own.key");
    write_key(&secret, &[account; 32]).unwrap();
    let stage = Stage::set_in(folder, |config| {
        config.key = secret;
        config.network = Some(network.to_owned());
        config.rpc = chain.rpc.urls().to_vec();
        config.handles.clear();
        config.participation.allow_private_hubs = true;
    })
    .await;
    let registration = HubRegistration {
        endpoint: stage.url.clone(),
        policy: B256::repeat_byte(account),
    };
    let (operator, hub) = (&chain.operator, key(account));
    let entered =
        hub_registry::register_hub(&chain.rpc, operator, &hub, &chain.network, &registration);
    entered.await.unwrap();
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_commit_is_found_on_another_hub_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::start(folder.path()).await;
    assert_eq!(chain.operator.address(), key(1).address().to_address());
    let network = folder.path().join("network.json");
    std::fs::write(&network, serde_json::to_vec(&chain.network).unwrap()).unwrap();
    repositories::claim_handle(&chain.rpc, &chain.operator, "alice")
        .await
        .unwrap();
    let (ours, other) = (
        hub_on(&chain, &network, 5).await,
        hub_on(&chain, &network, 6).await,
    );
    // The hubs know of the handle and of each other by what they read of the chain.
    let started = Instant::now();
    let create = json!({"name": "counts"}).to_string();
    while ours
        .send(1, Method::POST, "/api/repos/create", create.clone())
        .await
        .status()
        != 200
    {
        assert!(started.elapsed() < PATIENCE, "there is no repository");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut soonest = PATIENCE;
    for number in 0..COMMITS {
        let text = format!("It counts animals of kind q{number}x.");
        let card = card("image-classification", "mit", "en", &text);
        ours.committed("counts", &[file("README.md", card.as_bytes())])
            .await;
        // The commit is final: its hub finds it now, the other one soon.
        let final_at = Instant::now();
        let query = format!("q=q{number}x");
        assert_eq!(ids(&ours, &query).await, ["alice/counts"]);
        while ids(&other, &query).await.is_empty() {
            assert!(
                final_at.elapsed() < PATIENCE,
                "the other hub does not find it"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // The first waits until the hubs know of each other.
        soonest = soonest.min(final_at.elapsed());
    }
    assert!(soonest < SOON, "{soonest:?}");
    let models = |stage: &Value| stage["models"].clone();
    let (a, b) = (ours.read(INDEX_PATH).await, other.read(INDEX_PATH).await);
    assert_eq!(models(&a), models(&b));
    ours.stop().await;
    other.stop().await;
    chain.end();
}
