//! A process that appends to the receipt log is killed; nothing that it acknowledged is lost.

use alloy_primitives::{Address, B256};
use assay_node::{
    api::Opening,
    metrics::NodeMetrics,
    store::Store,
    writer::{Draft, Writer},
};
use assay_receipt::{
    Commitment, Domain, EngineId, Microcredits, NetworkId, NodeAddress, NodeKey, ParametersDigest,
    Receipt, ReceiptId, RequestId, RevisionId, Rung, Times, Usage,
};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

/// Names the folder of the log to the process that is going to be killed.
const FOLDER: &str = "ASSAY_TEST_KILLED_FOLDER";
/// Acknowledgements after which each round kills: within the first commits and later ones.
const ROUNDS: [usize; 6] = [1, 2, 3, 17, 90, 200];

fn domain() -> Domain {
    Domain::new(1, NetworkId::from_bytes([1; 32]), Address::repeat_byte(4))
}

fn draft(revision: u8) -> Draft {
    let receipt = Receipt {
        request: RequestId::from_bytes([1; 32]),
        nonce: 1,
        revision: RevisionId::from_bytes([revision; 32]),
        engine: EngineId::from_bytes([2; 32]),
        parameters: ParametersDigest::ZERO,
        seed: 0,
        input: Commitment::from_bytes([3; 32]),
        output: Commitment::from_bytes([4; 32]),
        stream: Commitment::ZERO,
        usage: Usage::default(),
        price: Microcredits::ZERO,
        payer: Commitment::ZERO,
        node: NodeAddress::ZERO,
        times: Times {
            request_ns: 1,
            first_output_ns: 2,
            end_ns: 2,
            uncertainty_ns: 1,
        },
        rung: Rung::Signed,
        deadline_ns: 3,
        sequence: 0,
        previous: ReceiptId::ZERO,
    };
    Draft {
        receipt,
        opening: Opening {
            input: B256::ZERO,
            output: B256::ZERO,
        },
    }
}

/// Appends from several tasks for ever and prints each id that was acknowledged.
async fn append_for_ever(folder: &Path) {
    let store = Arc::new(Store::open(folder).unwrap());
    let key = Arc::new(NodeKey::from_bytes([7; 32]).unwrap());
    let (writer, _thread) =
        Writer::start(store, key, domain(), Arc::new(NodeMetrics::default())).unwrap();
    let tasks = (1..=4u8).map(|revision| {
        let writer = writer.clone();
        tokio::spawn(async move {
            loop {
                let durable = writer.append(draft(revision)).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "ack {}", durable.id).unwrap();
            }
        })
    });
    futures::future::join_all(tasks).await;
}

/// Not a test by itself: the process that the test below starts and kills.
#[tokio::test(flavor = "multi_thread")]
async fn appender() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        append_for_ever(Path::new(&folder)).await;
    }
}

/// Starts the appender and kills it after `acknowledgements`; what it had acknowledged.
fn kill_after(folder: &Path, acknowledgements: usize) -> Vec<ReceiptId> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["node_killed::appender", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    let id = |line: String| -> Option<ReceiptId> { line.split_once("ack ")?.1.parse().ok() };
    while acknowledged.len() < acknowledgements {
        acknowledged.extend(lines.next().unwrap().ok().and_then(id));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it printed before it died counts too, but for a line that it could not finish.
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let whole = rest.len().saturating_sub(1);
    acknowledged.extend(rest.into_iter().take(whole).filter_map(id));
    acknowledged
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in ROUNDS {
        acknowledged.extend(kill_after(folder.path(), round));
        let store = Store::open(folder.path()).unwrap();
        store.check(&domain()).unwrap();
        for id in &acknowledged {
            assert!(store.find(id).unwrap().is_some(), "{id} is lost");
        }
        let held: u64 = store
            .streams()
            .unwrap()
            .iter()
            .map(|stream| stream.next.sequence)
            .sum();
        assert!(held >= acknowledged.len() as u64);
    }
    let mut unique = acknowledged.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(
        unique.len(),
        acknowledged.len(),
        "a place in the log was given twice"
    );
}
