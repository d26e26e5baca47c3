use super::*;
use assay_blob::{BlobId, Store, StoreLimits};
use axum::{
    Router,
    extract::{Path, Query, State},
    http::StatusCode as Status,
    response::IntoResponse as _,
    routing::get,
};
use std::{
    collections::HashMap,
    sync::atomic::{AtomicUsize, Ordering},
};

/// How a hub of a test treats those who ask it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Honest,
    Lies,
    Refuses,
    Fails,
    Empty,
    Hangs,
}

struct Served {
    store: Store,
    manner: Manner,
    asked: AtomicUsize,
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
        _ => {}
    }
    let range = query["start"]..query["end"];
    let Some(slice) = served.store.slice(&id, range).unwrap() else {
        return Status::NOT_FOUND.into_response();
    };
    let mut bytes = slice.collect::<Result<Vec<_>, _>>().unwrap().concat();
    if served.manner == Manner::Lies {
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
    }
    bytes.into_response()
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
    });
    let router = Router::new()
        .route("/assay/v1/blobs/{id}/slice", get(slice))
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
