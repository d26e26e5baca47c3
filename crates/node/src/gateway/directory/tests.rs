use super::*;
use crate::{reach::Reach, registry::FailureDomains};
use assay_receipt::{EngineId, Microcredits, Rung};

fn directory() -> Directory {
    // Nobody listens there; these tests ask nobody.
    let rpc = RpcClient::new(&["http://127.0.0.1:9".into()]).unwrap();
    let reach = Reach { private: true };
    Directory::new(rpc, Asker::new(Duration::from_secs(1), reach).unwrap())
}

fn record(byte: u8, standing: NodeStanding) -> NodeRecord {
    NodeRecord {
        node: NodeAddress::from_bytes([byte; 20]),
        operator: Default::default(),
        endpoint: format!("http://127.0.0.1:{byte}/"),
        bond: Microcredits(1),
        standing,
        domains: FailureDomains::default(),
    }
}

fn revision(byte: u8) -> RevisionId {
    RevisionId::from_bytes([byte; 32])
}

fn model(byte: u8) -> ModelEntry {
    ModelEntry {
        revision: revision(byte),
        name: format!("m{byte}"),
        published_as: Vec::new(),
        task: "t".into(),
        licence: "l".into(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        labels: Vec::new(),
        engine: EngineId::ZERO,
        replayable: true,
        rungs: vec![Rung::Signed],
        proofs: None,
        context: None,
        tool_format: None,
        nodes: None,
    }
}

/// Adds a node that answered with these models.
fn add(directory: &Directory, record: NodeRecord, models: &[u8]) {
    let known = Known::new(record);
    known.live.store(true, Ordering::Relaxed);
    *known.models.write().unwrap() = models.iter().map(|byte| model(*byte)).collect();
    directory.view.write().unwrap().nodes.push(Arc::new(known));
}

fn node(chosen: Option<Chosen>) -> Option<u8> {
    chosen.map(|chosen| chosen.node().as_bytes()[0])
}

#[test]
fn only_live_active_nodes_that_serve_the_model_are_chosen() {
    let directory = directory();
    add(&directory, record(1, NodeStanding::Active), &[7]);
    add(&directory, record(2, NodeStanding::Exiting), &[8]);
    add(&directory, record(3, NodeStanding::Active), &[8]);
    assert_eq!(node(directory.choose(revision(8), &[])), Some(3));
    assert_eq!(node(directory.choose(revision(9), &[])), None);
    assert!(directory.knows(revision(8)) && !directory.knows(revision(9)));
    directory.choose(revision(8), &[]).unwrap().failed();
    assert_eq!(node(directory.choose(revision(8), &[])), None);
    assert_eq!(directory.live_nodes(), 2);
}

#[test]
fn work_in_flight_and_tried_nodes_are_avoided() {
    let directory = directory();
    add(&directory, record(1, NodeStanding::Active), &[7]);
    add(&directory, record(2, NodeStanding::Active), &[7]);
    let first = directory.choose(revision(7), &[]).unwrap();
    let second = directory.choose(revision(7), &[]).unwrap();
    assert_ne!(first.node(), second.node());
    let tried = [first.node()];
    assert_eq!(
        directory.choose(revision(7), &tried).unwrap().node(),
        second.node()
    );
    assert!(
        directory
            .choose(revision(7), &[first.node(), second.node()])
            .is_none()
    );
    drop(second);
    // The first still works on its question.
    let third = directory.choose(revision(7), &[]).unwrap();
    assert_ne!(third.node(), first.node());
}

#[test]
fn a_model_is_replayable_where_every_node_says_so() {
    let directory = directory();
    for byte in [1, 2] {
        add(&directory, record(byte, NodeStanding::Active), &[7]);
    }
    let listed = || directory.models().remove(0);
    assert!(listed().replayable);
    let fast = ModelEntry {
        engine: EngineId::from_bytes([1; 32]),
        replayable: false,
        ..model(7)
    };
    let nodes = directory.view.read().unwrap().nodes.clone();
    *nodes[1].models.write().unwrap() = vec![fast].into();
    assert_eq!((listed().replayable, listed().nodes), (false, Some(2)));
}

#[test]
fn models_are_listed_once_with_their_names_and_nodes() {
    let directory = directory();
    add(&directory, record(1, NodeStanding::Active), &[7, 8]);
    add(&directory, record(2, NodeStanding::Active), &[8]);
    let publisher = alloy_primitives::Address::repeat_byte(0xab);
    directory.view.write().unwrap().listings = vec![Listing {
        publisher,
        name: "eight".into(),
        revision: revision(8),
    }];
    let models = directory.models();
    let counts: Vec<Option<u32>> = models.iter().map(|model| model.nodes).collect();
    assert_eq!(counts, [Some(1), Some(2)]);
    assert_eq!(
        models[1].published_as,
        [format!("0x{}/eight", "ab".repeat(20))]
    );
    assert!(models[0].published_as.is_empty());
}

#[test]
fn a_choice_keeps_what_the_node_said_of_the_model() {
    let directory = directory();
    add(&directory, record(1, NodeStanding::Active), &[7]);
    let chosen = directory.choose(revision(7), &[]).unwrap();
    *directory.nodes()[0].models.write().unwrap() = Arc::new([]);
    assert_eq!(*chosen.model(), model(7));
}

#[test]
fn a_single_node_cannot_add_a_second_entry_or_rename_one() {
    let directory = directory();
    for byte in 1..4 {
        add(&directory, record(byte, NodeStanding::Active), &[7]);
    }
    let liar = directory.nodes()[0].clone();
    let renamed = ModelEntry {
        name: "better".into(),
        ..model(7)
    };
    *liar.models.write().unwrap() = [renamed.clone(), renamed, model(7)].into();
    let models = directory.models();
    assert_eq!(models.len(), 1);
    assert_eq!((models[0].name.as_str(), models[0].nodes), ("m7", Some(2)));
}

#[test]
fn a_node_that_cheats_comes_last_for_longer_each_time() {
    let directory = directory();
    add(&directory, record(1, NodeStanding::Active), &[7]);
    add(&directory, record(2, NodeStanding::Active), &[7]);
    let cheat = directory.choose(revision(7), &[]).unwrap();
    cheat.cheated();
    let honest = directory.choose(revision(7), &[]).unwrap().node();
    assert_ne!(honest, cheat.node());
    for _ in 0..3 {
        assert_eq!(directory.choose(revision(7), &[]).unwrap().node(), honest);
    }
    let last = directory.choose(revision(7), &[honest]);
    assert!(last.is_some(), "it is asked where there is no other");
    let moved = NodeRecord {
        endpoint: "http://127.0.0.1:9/".into(),
        ..cheat.known.record.clone()
    };
    assert!(successor(moved, &directory.nodes()).is_demoted());

    let mut conduct = Conduct::default();
    let now = Instant::now();
    for pause in [1, 2, 4, 8, 16, 32, 64, 64].map(|minutes| FIRST_DEMOTION * minutes) {
        conduct.note_bad_answer(now);
        assert!(conduct.is_demoted(now + pause - Duration::from_secs(1)));
        assert!(!conduct.is_demoted(now + pause), "{pause:?}");
    }
}

#[test]
fn the_node_of_a_receipt_is_asked_first() {
    let directory = directory();
    add(&directory, record(1, NodeStanding::Active), &[]);
    add(&directory, record(2, NodeStanding::Active), &[]);
    let second = NodeAddress::from_bytes([2; 20]);
    let endpoints = directory.live_endpoints(Some(second)).into_iter();
    assert_eq!(
        endpoints.map(|(_, url)| url).collect::<Vec<_>>(),
        ["http://127.0.0.1:2", "http://127.0.0.1:1"]
    );
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_not_live() {
    let directory = directory();
    add(&directory, record(1, NodeStanding::Active), &[7]);
    assert_eq!(directory.live_nodes(), 1);
    directory.probe().await;
    assert_eq!(directory.live_nodes(), 0);
    assert_eq!(directory.live_validators(), 0);
    assert!(directory.refresh().await.is_err());
    assert_eq!(directory.nodes().len(), 1, "what was known stays");
}
