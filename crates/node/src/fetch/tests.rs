use super::*;
use crate::hub::transfer::BLOB_SIZE;
use assay_blob::{BlobId, Code, ErasureManifest, Store, StoreLimits};
use axum::{
    Router,
    extract::{Path, Query, State},
    http::StatusCode as Status,
    response::IntoResponse as _,
    routing::get,
};
use std::collections::HashMap;

/// How a hub of a test treats those who ask it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Honest,
    Lies,
    Refuses,
    Fails,
    Empty,
    Hangs,
    /// Sends a byte now and then, and never all.
    Drips,
    /// Lies, but not before others are asked.
    LiesLate,
}

struct Served {
    store: Store,
    manner: Manner,
    asked: AtomicUsize,
    /// Of the challenges that it was given.
    seeds: Mutex<Vec<[u8; 32]>>,
    /// What it says that pieces of any blob are.
    erasure: Mutex<Option<Vec<u8>>>,
}

struct TestHub {
    source: Source,
    served: Arc<Served>,
    _folder: tempfile::TempDir,
}

async fn slice(
    State(served): State<Arc<Served>>,
    Path(id): Path<BlobId>,
    Query(query): Query<HashMap<String, u64>>,
) -> axum::response::Response {
    served.asked.fetch_add(1, Ordering::SeqCst);
    match served.manner {
        Manner::Refuses => {
            let body =
                r#"{"error":"Access to this resource is disabled. This hub refuses it: no"}"#;
            return (Status::FORBIDDEN, body).into_response();
        }
        Manner::Fails => return Status::INTERNAL_SERVER_ERROR.into_response(),
        Manner::Hangs => std::future::pending().await,
        Manner::Drips => return dripping(),
        Manner::LiesLate => tokio::time::sleep(TAKE_OVER * 3).await,
        _ => {}
    }
    let range = query["start"]..query["end"];
    let Some(slice) = served.store.slice(&id, range).unwrap() else {
        return Status::NOT_FOUND.into_response();
    };
    let mut bytes = slice.collect::<Result<Vec<_>, _>>().unwrap().concat();
    if matches!(served.manner, Manner::Lies | Manner::LiesLate) {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    }
    bytes.into_response()
}

/// An answer of which so much comes that nobody takes the connection for dead.
fn dripping() -> axum::response::Response {
    let drops = futures::stream::repeat(bytes::Bytes::from_static(b"x")).then(async |drop| {
        tokio::time::sleep(SILENCE / 5).await;
        Ok::<_, std::io::Error>(drop)
    });
    axum::body::Body::from_stream(drops).into_response()
}

async fn whole(
    State(served): State<Arc<Served>>,
    Path(id): Path<BlobId>,
) -> axum::response::Response {
    served.asked.fetch_add(1, Ordering::SeqCst);
    if served.manner == Manner::Drips {
        return dripping();
    }
    match served.store.read(&id).unwrap() {
        Some(mut reader) => reader.read_at(0, 1 << 20).unwrap().into_response(),
        None => Status::NOT_FOUND.into_response(),
    }
}

/// Answers a challenge from what it has.
async fn challenge(
    State(served): State<Arc<Served>>,
    axum::Json(asked): axum::Json<HashMap<String, BlobId>>,
) -> axum::response::Response {
    served.asked.fetch_add(1, Ordering::SeqCst);
    if served.manner == Manner::Drips {
        return dripping();
    }
    let seed = *asked["seed"].as_bytes();
    let first = locked(&served.seeds).is_empty();
    locked(&served.seeds).push(seed);
    if first {
        return Status::TOO_MANY_REQUESTS.into_response();
    }
    let Some(stored) = served.store.stored(&asked["blob"]).unwrap() else {
        return Status::NOT_FOUND.into_response();
    };
    let challenge = assay_blob::Challenge {
        id: stored.id,
        size: stored.size,
        seed,
        blocks: CHALLENGE_BLOCKS,
    };
    let answer = served.store.answer(&challenge).unwrap().unwrap();
    // One that lies says some other size, too, which it cannot prove.
    let said = match served.manner {
        Manner::Lies => stored.size + 3,
        _ => stored.size,
    };
    ([(BLOB_SIZE, said.to_string())], answer).into_response()
}

async fn erasure(State(served): State<Arc<Served>>) -> axum::response::Response {
    if served.manner == Manner::Drips {
        return dripping();
    }
    match locked(&served.erasure).clone() {
        Some(said) => said.into_response(),
        None => Status::NOT_FOUND.into_response(),
    }
}

async fn hub(name: &str, manner: Manner, blobs: &[&[u8]]) -> TestHub {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreLimits::default()).unwrap();
    if manner != Manner::Empty {
        for blob in blobs {
            store.put(blob).unwrap();
        }
    }
    let served = Arc::new(Served {
        store,
        manner,
        asked: AtomicUsize::new(0),
        seeds: Mutex::default(),
        erasure: Mutex::default(),
    });
    let router = Router::new()
        .route("/assay/v1/blobs/{id}", get(whole))
        .route("/assay/v1/blobs/{id}/slice", get(slice))
        .route("/assay/v1/blobs/{id}/erasure", get(erasure))
        .route("/assay/v1/challenges", axum::routing::post(challenge))
        .route(HUB_PATH, get(async || dripping()))
        .with_state(Arc::clone(&served));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    TestHub {
        source: Source {
            name: name.into(),
            url,
        },
        served,
        _folder: folder,
    }
}

fn fetcher(hubs: &[TestHub]) -> (Fetcher, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let sources = hubs.iter().map(|hub| hub.source.clone()).collect();
    let fetcher = Fetcher::new(sources, Reach { private: true }, Arc::clone(&notes)).unwrap();
    (fetcher, notes)
}

fn content(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut state = 1u64;
    for byte in &mut bytes {
        // Numbers of a linear congruence (Knuth): no two pieces are alike.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        *byte = (state >> 56) as u8;
    }
    bytes
}

/// Fetches a blob and returns what arrived, with what each hub did wrong.
async fn fetch(hubs: &[TestHub], id: BlobId, size: u64) -> (Result<Vec<u8>, String>, Vec<Note>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreLimits::default()).unwrap();
    let (fetcher, notes) = fetcher(hubs);
    let fetched = fetcher.blob(&store, id, size).await;
    let read = fetched.map_err(|error| error.to_string()).map(|stored| {
        let mut reader = store.read(&stored.id).unwrap().unwrap();
        let mut all = Vec::new();
        while (all.len() as u64) < size {
            all.extend(reader.read_at(all.len() as u64, 1 << 20).unwrap());
        }
        all
    });
    (read, notes.all())
}

#[tokio::test]
async fn a_blob_comes_from_several_hubs_whatever_some_of_them_do() {
    // More pieces than requests at a time, so that every hub is asked.
    let blob = content(50 << 20);
    let mut hubs = Vec::new();
    for (index, manner) in [
        Manner::Honest,
        Manner::Lies,
        Manner::Refuses,
        Manner::Fails,
        Manner::Empty,
        Manner::Honest,
    ]
    .into_iter()
    .enumerate()
    {
        hubs.push(hub(&format!("hub-{index}"), manner, &[&blob]).await);
    }
    let (fetched, notes) = fetch(&hubs, BlobId::of(&blob), blob.len() as u64).await;
    assert!(fetched.unwrap() == blob);
    let faults = |name: &str| -> Vec<Fault> {
        let of = notes.iter().filter(|note| note.source.name == name);
        of.map(|note| note.fault.clone()).collect()
    };
    assert!(
        faults("hub-0").is_empty() && faults("hub-5").is_empty(),
        "{notes:?}"
    );
    assert!(
        faults("hub-1")
            .iter()
            .any(|fault| matches!(fault, Fault::WrongBytes(_))),
        "{notes:?}"
    );
    let refused =
        Fault::Refused("Access to this resource is disabled. This hub refuses it: no".into());
    assert!(faults("hub-2").contains(&refused), "{notes:?}");
    assert!(
        faults("hub-3")
            .iter()
            .any(|fault| matches!(fault, Fault::Failed(_)))
    );
    assert!(faults("hub-4").contains(&Fault::Absent));
    for honest in [&hubs[0], &hubs[5]] {
        assert!(
            honest.served.asked.load(Ordering::SeqCst) > 0,
            "both were asked"
        );
    }
}

#[tokio::test]
async fn where_nobody_has_the_right_bytes_each_is_named() {
    let blob = content(100_000);
    let hubs = [
        hub("liar", Manner::Lies, &[&blob]).await,
        hub("refuser", Manner::Refuses, &[]).await,
    ];
    let (fetched, _) = fetch(&hubs, BlobId::of(&blob), blob.len() as u64).await;
    let why = fetched.unwrap_err();
    assert!(
        why.contains("liar sent wrong bytes") && why.contains("refuser refuses it"),
        "{why}"
    );
}

#[tokio::test]
async fn a_wrong_size_is_not_taken() {
    let blob = content(100_000);
    let hubs = [hub("hub", Manner::Honest, &[&blob]).await];
    for size in [99_999, 100_001, 16_384] {
        let (fetched, _) = fetch(&hubs, BlobId::of(&blob), size).await;
        assert!(fetched.is_err(), "{size}");
    }
}

#[tokio::test]
async fn blobs_of_every_shape_arrive() {
    for size in [0, 1, 16_384, 16_385, (4 << 20) - 1, 4 << 20, (4 << 20) + 1] {
        let blob = content(size);
        let hubs = [hub("hub", Manner::Honest, &[&blob]).await];
        let (fetched, notes) = fetch(&hubs, BlobId::of(&blob), size as u64).await;
        assert!(fetched.unwrap() == blob, "{size}: {notes:?}");
    }
}

#[tokio::test]
async fn what_arrived_is_not_asked_for_again() {
    let blob = content(20 << 20);
    let id = BlobId::of(&blob);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreLimits::default()).unwrap();
    let other = hub("hub", Manner::Honest, &[&blob]).await;
    {
        let mut receiver = store.receiver(id, blob.len() as u64).unwrap();
        let piece = 0..(16 << 20);
        let slice = other
            .served
            .store
            .slice(&id, piece.clone())
            .unwrap()
            .unwrap();
        let bytes = slice.collect::<Result<Vec<_>, _>>().unwrap().concat();
        receiver.accept(piece, bytes.as_slice()).unwrap();
    }
    let (fetcher, _) = fetcher(std::slice::from_ref(&other));
    fetcher.blob(&store, id, blob.len() as u64).await.unwrap();
    assert_eq!(other.served.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_address_that_is_not_to_be_asked_is_not() {
    let inner = hub("inner", Manner::Honest, &[b"x"]).await;
    let outer = Source {
        name: "outer".into(),
        url: "http://192.0.2.1:9".into(),
    };
    let sources = vec![inner.source.clone(), outer];
    let fetcher = Fetcher::new(sources, Reach { private: false }, Arc::default()).unwrap();
    let id = BlobId::of(b"x");
    let asked = fetcher.shows(&inner.source, id, 1).await.unwrap_err();
    assert!(matches!(asked, Fault::Unreachable(_)), "{asked}");
    assert!(!fetcher.is_there(&inner.source, address(1)).await);
    let challenge = assay_blob::Challenge {
        id,
        size: 1,
        seed: [0; 32],
        blocks: 1,
    };
    let challenged = fetcher.challenge(&inner.source, &challenge).await;
    assert!(matches!(challenged, Err((Fault::Unreachable(_), _))));
    assert_eq!(inner.served.asked.load(Ordering::SeqCst), 0);
}

fn address(number: u8) -> NodeAddress {
    NodeAddress::from_bytes([number; 20])
}

/// Something that answers every request alike.
async fn answering(body: &'static str, status: Status) -> Source {
    let router = Router::new().fallback(async move || (status, body));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Source {
        name: body.into(),
        url,
    }
}

#[tokio::test]
async fn a_hub_is_there_where_its_own_address_is_named() {
    let own = r#"{"hub":"0x0707070707070707070707070707070707070707","more":[1]}"#;
    let ok = Status::OK;
    for (body, status, is_there) in [
        (own, ok, true),
        (own, Status::NOT_FOUND, false),
        (own, Status::INTERNAL_SERVER_ERROR, false),
        (
            r#"{"hub":"0x0707070707070707070707070707070707070708"}"#,
            ok,
            false,
        ),
        (r#"{"hub":7}"#, ok, false),
        (
            r#"{"node":"0x0707070707070707070707070707070707070707"}"#,
            ok,
            false,
        ),
        (
            "<html>0x0707070707070707070707070707070707070707</html>",
            ok,
            false,
        ),
        ("", ok, false),
    ] {
        let source = answering(body, status).await;
        let reach = Reach { private: true };
        let fetcher = Fetcher::new(vec![source.clone()], reach, Arc::default()).unwrap();
        assert_eq!(
            fetcher.is_there(&source, address(7)).await,
            is_there,
            "{status} {body}"
        );
    }
    let drips = [hub("drips", Manner::Drips, &[]).await];
    let (fetcher, _) = fetcher(&drips);
    let asked = fetcher.is_there(&drips[0].source, address(7));
    assert!(!tokio::time::timeout(SOON, asked).await.unwrap());
}

#[tokio::test]
async fn a_hub_shows_that_it_has_a_blob_by_places_that_nobody_knew() {
    let (blob, other) = (content(300_000), content(299_999));
    let (id, size) = (BlobId::of(&blob), blob.len() as u64);
    let says_so = answering("I have it", Status::OK).await;
    let hubs = [
        hub("hub", Manner::Honest, &[&blob]).await,
        hub("another blob", Manner::Honest, &[&other]).await,
        hub("drips", Manner::Drips, &[&blob]).await,
    ];
    let mut sources: Vec<Source> = hubs.iter().map(|hub| hub.source.clone()).collect();
    sources.push(says_so);
    let reach = Reach { private: true };
    let fetcher = Fetcher::new(sources.clone(), reach, Arc::default()).unwrap();
    let mut seen = Vec::new();
    for source in &sources {
        let asked = tokio::time::timeout(SOON, fetcher.shows(source, id, size));
        seen.push(asked.await.unwrap());
    }
    assert_eq!(seen[0], Ok(()));
    assert_eq!(seen[1], Err(Fault::Absent));
    assert!(matches!(seen[2], Err(Fault::Unreachable(_))), "{seen:?}");
    assert!(matches!(seen[3], Err(Fault::WrongBytes(_))), "{seen:?}");
    // Each time other places, so that who kept an answer has nothing of it.
    fetcher.shows(&sources[0], id, size).await.unwrap();
    let seeds = locked(&hubs[0].served.seeds);
    assert_eq!(seeds.len(), 3, "who is busy is asked again");
    assert!(seeds[1] != seeds[2]);
}

#[tokio::test]
async fn no_hub_is_an_error_that_says_so() {
    let refused = Fetcher::new(Vec::new(), Reach { private: true }, Arc::default()).unwrap_err();
    assert!(refused.to_string().contains("no hub"), "{refused}");
}

#[tokio::test]
async fn a_hub_that_hangs_is_passed_over() {
    let blob = content(100_000);
    let hubs = [
        hub("hangs", Manner::Hangs, &[&blob]).await,
        hub("hub", Manner::Honest, &[&blob]).await,
    ];
    let (fetched, _) = fetch(&hubs, BlobId::of(&blob), blob.len() as u64).await;
    assert!(fetched.unwrap() == blob);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_blob_of_another_size_is_no_liar() {
    let blob = content(100_000);
    let id = BlobId::of(&blob);
    let hubs = [hub("hub", Manner::Honest, &[&blob]).await];
    for wrong in [1, 99_999, 100_001, 3 << 20] {
        let (fetched, notes) = fetch(&hubs, id, wrong).await;
        assert!(fetched.is_err());
        let faults: Vec<&Fault> = notes.iter().map(|note| &note.fault).collect();
        assert!(
            !faults.is_empty()
                && faults
                    .iter()
                    .all(|fault| matches!(fault, Fault::OtherSize(100_000) | Fault::Absent)),
            "{wrong}: {faults:?}"
        );
        let (all, _) = fetcher(&hubs);
        let seen = all.shows(&hubs[0].source, id, wrong).await;
        assert_eq!(seen, Err(Fault::OtherSize(100_000)), "{wrong}");
    }
    // One that sends wrong bytes gains nothing by another size.
    let liars = [hub("liar", Manner::Lies, &[&blob]).await];
    let (fetched, notes) = fetch(&liars, id, 100_000).await;
    assert!(fetched.is_err());
    assert!(
        notes
            .iter()
            .any(|note| matches!(note.fault, Fault::WrongBytes(_))),
        "{notes:?}"
    );
}

/// What must not wait for a hub that drips takes at most this long on a machine under load.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_drips_holds_nothing_up() {
    // Of a few pieces the dripping hub gets some; of many, others bring most meanwhile.
    for size in [100_000, 50 << 20] {
        let blob = content(size);
        let hubs = [
            hub("drips", Manner::Drips, &[&blob]).await,
            hub("hub", Manner::Honest, &[&blob]).await,
            hub("drips too", Manner::Drips, &[&blob]).await,
        ];
        let fetched = fetch(&hubs, BlobId::of(&blob), size as u64);
        let (fetched, notes) = tokio::time::timeout(SOON, fetched).await.unwrap();
        assert!(fetched.unwrap() == blob, "{size}: {notes:?}");
        let dripping = hubs[0].served.asked.load(Ordering::SeqCst)
            + hubs[2].served.asked.load(Ordering::SeqCst);
        assert!(dripping > 0, "{size}: one that drips was asked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slow_hub_lies_after_others_were_asked_changes_nothing() {
    let blob = content(30 << 20);
    let hubs = [
        hub("liar", Manner::LiesLate, &[&blob]).await,
        hub("hub", Manner::Honest, &[&blob]).await,
        hub("drips", Manner::Drips, &[&blob]).await,
    ];
    let fetched = fetch(&hubs, BlobId::of(&blob), blob.len() as u64);
    let (fetched, notes) = tokio::time::timeout(SOON, fetched).await.unwrap();
    assert!(fetched.unwrap() == blob, "{notes:?}");
    assert!(hubs[0].served.asked.load(Ordering::SeqCst) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_things_come_from_the_next_hub_where_the_first_drips() {
    let blob = content(1_000);
    let hubs = [
        hub("drips", Manner::Drips, &[&blob]).await,
        hub("empty", Manner::Empty, &[]).await,
        hub("hub", Manner::Honest, &[&blob]).await,
    ];
    let (all, _) = fetcher(&hubs);
    let id = BlobId::of(&blob);
    let small = tokio::time::timeout(SOON, all.small(id, 2_000)).await;
    assert!(small.unwrap().unwrap() == blob);
    let asked = |hub: &TestHub| hub.served.asked.load(Ordering::SeqCst);
    assert_eq!(hubs.each_ref().map(asked), [1, 1, 1]);
    // The next time the one that gave it is asked first.
    assert!(all.small(id, 2_000).await.unwrap() == blob);
    assert_eq!(hubs.each_ref().map(asked), [1, 1, 2]);
    // Where the first gives it at once, no other is asked.
    let [drips, empty, honest] = hubs;
    let hubs = [honest, drips, empty];
    let (all, _) = fetcher(&hubs);
    assert!(all.small(id, 2_000).await.unwrap() == blob);
    assert_eq!(hubs.each_ref().map(asked), [3, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_are_found_where_a_hub_drips() {
    let blob = content(200_000);
    let (manifest, pieces) = cut(&blob, Code::new(2, 4).unwrap());
    let hubs = [
        hub("drips", Manner::Drips, &[]).await,
        hub_with("hub", &[&pieces[0], &pieces[3]], manifest.encode()).await,
    ];
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreLimits::default()).unwrap();
    let (fetcher, _) = fetcher(&hubs);
    let rebuilt = fetcher.from_pieces(&store, manifest.blob, 200_000);
    let rebuilt = tokio::time::timeout(SOON, rebuilt).await.unwrap();
    assert_eq!(rebuilt.unwrap().size, 200_000);
}

/// What a blob is cut into: its manifest, and the bytes of each piece.
fn cut(blob: &[u8], code: Code) -> (ErasureManifest, Vec<Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), StoreLimits::default()).unwrap();
    let id = store.put(blob).unwrap().id;
    let manifest = store.encode(&id, code).unwrap().unwrap();
    let pieces = manifest.pieces.iter().map(|piece| {
        let mut reader = store.read(piece).unwrap().unwrap();
        let size = usize::try_from(manifest.piece_bytes()).unwrap();
        reader.read_at(0, size).unwrap()
    });
    let pieces = pieces.collect();
    (manifest, pieces)
}

async fn hub_with(name: &str, blobs: &[&[u8]], said: Vec<u8>) -> TestHub {
    let hub = hub(name, Manner::Honest, blobs).await;
    *locked(&hub.served.erasure) = Some(said);
    hub
}

#[tokio::test]
async fn a_blob_that_nobody_has_whole_comes_from_any_pieces_that_suffice() {
    let blob = content(700_000);
    let (manifest, pieces) = cut(&blob, Code::new(3, 5).unwrap());
    for gone in [[0, 1], [3, 4], [1, 4]] {
        let mut hubs = Vec::new();
        for (place, piece) in pieces.iter().enumerate() {
            let manner = match gone.contains(&place) {
                true => Manner::Fails,
                false => Manner::Honest,
            };
            let one = hub(&format!("hub-{place}"), manner, &[piece]).await;
            *locked(&one.served.erasure) = Some(manifest.encode());
            hubs.push(one);
        }
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), StoreLimits::default()).unwrap();
        let (fetcher, _) = fetcher(&hubs);
        let size = blob.len() as u64;
        fetcher.blob(&store, manifest.blob, size).await.unwrap();
        let mut reader = store.read(&manifest.blob).unwrap().unwrap();
        assert!(reader.read_at(0, blob.len()).unwrap() == blob);
        let all = store.list(None, 9).unwrap();
        assert_eq!(all.len(), 1, "pieces do not stay: {all:?}");
    }
}

#[tokio::test]
async fn equal_pieces_count_as_often_as_they_stand_in_the_manifest() {
    // What a piece has of each stripe of a file of this size.
    let part = content(64 << 10);
    let other: Vec<u8> = part.iter().map(|byte| !byte).collect();
    let stripe = [part.clone(), part.clone(), other].concat();
    for blob in [stripe.repeat(4), part.repeat(12), vec![0; 600_000]] {
        let (manifest, pieces) = cut(&blob, Code::new(3, 5).unwrap());
        assert_eq!(manifest.pieces[0], manifest.pieces[1]);
        // Two different pieces at most, which are three of the manifest's.
        let hubs = [hub_with("hub", &[&pieces[0], &pieces[4]], manifest.encode()).await];
        let (fetched, notes) = fetch(&hubs, manifest.blob, blob.len() as u64).await;
        assert!(fetched.unwrap() == blob, "{notes:?}");
    }
}

#[tokio::test]
async fn whoever_says_that_a_blob_has_other_pieces_is_named() {
    let blob = content(200_000);
    let code = Code::new(2, 4).unwrap();
    let (honest, pieces) = cut(&blob, code);
    let (other, others) = cut(&content(200_064)[64..], code);
    let lie = ErasureManifest {
        blob: honest.blob,
        ..other
    };
    let lies: Vec<&[u8]> = others.iter().map(Vec::as_slice).collect();
    let truth: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    // More hubs say the lie than the truth, so that it is tried first.
    let liars = [
        hub_with("liar", &lies, lie.encode()).await,
        hub_with("second liar", &lies, lie.encode()).await,
    ];
    let (fetched, _) = fetch(&liars, honest.blob, blob.len() as u64).await;
    let why = fetched.unwrap_err();
    assert!(
        why.contains("liar sent wrong bytes: its erasure manifest"),
        "{why}"
    );
    let [first, second] = liars;
    let all = [
        first,
        second,
        hub_with("hub", &truth, honest.encode()).await,
    ];
    let (fetched, notes) = fetch(&all, honest.blob, blob.len() as u64).await;
    assert!(fetched.unwrap() == blob);
    let lied: Vec<&str> = notes
        .iter()
        .filter(|note| matches!(note.fault, Fault::WrongBytes(_)))
        .map(|note| note.source.name.as_str())
        .collect();
    assert_eq!(lied, ["liar", "second liar"], "{notes:?}");
}

#[tokio::test]
async fn what_is_no_manifest_of_the_blob_is_wrong_bytes_and_too_few_pieces_are_counted() {
    let blob = content(200_000);
    let (manifest, pieces) = cut(&blob, Code::new(2, 4).unwrap());
    let line = manifest.encode();
    let foreign = ErasureManifest {
        blob: BlobId::of(b"another"),
        ..manifest.clone()
    };
    let longer = ErasureManifest {
        size: 200_001,
        ..manifest.clone()
    };
    let many = [&line[..]; MAX_MANIFESTS + 1].join(&b'\n');
    for (said, why) in [
        (foreign.encode(), "another blob"),
        (longer.encode(), "another blob"),
        (b"{}".to_vec(), "missing field"),
        (Vec::new(), "EOF"),
        (b"\n\n".to_vec(), "EOF"),
        (many, "more than 4"),
        ([&line[..], b" "].concat(), "canonical"),
    ] {
        let hubs = [hub_with("hub", &[&pieces[0], &pieces[1]], said).await];
        let (fetched, _) = fetch(&hubs, manifest.blob, 200_000).await;
        let said = fetched.unwrap_err();
        assert!(said.contains("wrong bytes") && said.contains(why), "{said}");
    }
    let twice = [&line[..], &line[..], b""].join(&b'\n');
    let hubs = [hub_with("hub", &[&pieces[0], &pieces[3]], twice.clone()).await];
    assert!(fetch(&hubs, manifest.blob, 200_000).await.0.unwrap() == blob);
    let hubs = [hub_with("hub", &[&pieces[0]], twice).await];
    let why = fetch(&hubs, manifest.blob, 200_000).await.0.unwrap_err();
    assert!(why.contains("too few of the pieces"), "{why}");
}
