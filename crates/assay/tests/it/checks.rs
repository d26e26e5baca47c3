//! Settled answers of a language model that a committee computes again, on a network whose nodes lie when they are told to:
//! whoever is right wins, and whoever lied loses its bond.

use crate::{
    binary::{Run, assay, command, port_base, workspace},
    network::{Network, copy},
};
use serde_json::{Value, json};
use std::{
    fs,
    time::{Duration, Instant},
};

/// Longest wait for what takes some blocks.
const PATIENCE: Duration = Duration::from_secs(90);

/// Three nodes of three operators, which serve the language model.
struct Trio {
    network: Network,
    // It lies in there.
    _folder: tempfile::TempDir,
}

/// How many nodes there are.
const NODES: u16 = 3;

impl Trio {
    fn start(slot: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, served) = (folder.path().join("network"), folder.path().join("served"));
        copy(
            &workspace().join("models/assay-chat"),
            &served.join("assay-chat"),
        );
        Self {
            network: Network::start(&data, &served, port_base(slot), &[]),
            _folder: folder,
        }
    }

    /// Tells a node to lie, or to stop doing so.
    fn lies(&self, node: u16, how: Option<&str>) {
        let file = self.network.data.join(format!("node-{node}/lie"));
        match how {
            Some(how) => fs::write(file, how).unwrap(),
            None => drop(fs::remove_file(file)),
        }
    }

    /// Asks; gives the id of the receipt and the node that answered.
    ///
    /// The gateway hears only after some seconds that a node has lost its bond: such an answer would never settle.
    fn ask(&self, question: &str) -> (String, String) {
        let url = format!("{}/v1/chat/completions", self.network.gateway);
        let body = json!({
            "model": "assay-chat",
            "messages": [{"role": "user", "content": question}],
            "assay": {"rung": "replayed"},
        });
        let body = body.to_string();
        let started = Instant::now();
        loop {
            let asked = command("curl")
                .args(["--silent", "--max-time", "30", "--data", &body])
                .args(["--header", "content-type: application/json", &url])
                .output()
                .unwrap();
            let reply: Value = serde_json::from_slice(&asked.stdout).unwrap_or_default();
            if let Some(id) = reply["assay"]["receipt_id"].as_str() {
                let node = reply["assay"]["node"].as_str().unwrap();
                if self.standing(node) == "active" {
                    return (id.to_owned(), node.to_owned());
                }
            }
            assert!(started.elapsed() < PATIENCE, "{reply}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Has a committee check a receipt, as soon as it has settled.
    fn check(&self, id: &str) -> (i32, Value) {
        let key = self
            .network
            .data
            .join("developer.key")
            .display()
            .to_string();
        let started = Instant::now();
        loop {
            let run = assay(&[
                "--json",
                "receipt",
                "check",
                id,
                "--key",
                &key,
                "--gateway",
                &self.network.gateway,
                "--rpc",
                &self.network.rpc,
            ]);
            if let Ok(said) = serde_json::from_str(&run.stdout) {
                return (run.status, said);
            }
            let is_early =
                run.stderr.contains("has not settled") || run.stderr.contains("NobodyThere");
            assert!(is_early && started.elapsed() < PATIENCE, "{}", run.stderr);
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    fn standing(&self, node: &str) -> String {
        let Run { stdout, .. } =
            assay(&["--json", "node", "status", node, "--rpc", &self.network.rpc]);
        let status: Value = serde_json::from_str(&stdout).unwrap();
        status["standing"].as_str().unwrap().to_owned()
    }

    /// The address of a node, by its number.
    fn node(&self, number: u16) -> String {
        let file = self.network.data.join(format!("node-{number}/node.key"));
        let key = assay_node::config::read_key(&file).unwrap();
        key.address().to_string()
    }

    fn number_of(&self, address: &str) -> u16 {
        let mut numbers = 0..NODES;
        let found = numbers.find(|number| self.node(*number) == address);
        found.expect("one of its nodes answered")
    }
}

#[test]
fn a_member_that_calls_an_honest_answer_wrong_loses_its_bond() {
    let network = Trio::start(10);
    let (id, _) = network.ask("What is a receipt?");
    let (status, said) = network.check(&id);
    assert_eq!(
        (status, &said["verdict"]),
        (0, &json!("replayed")),
        "{said}"
    );
    assert_eq!(said["agreed"], said["drawn"], "{said}");

    let (id, node) = network.ask("What is a hub?");
    let liar = (network.number_of(&node) + 1) % NODES;
    network.lies(liar, Some("verdict"));
    let (status, said) = network.check(&id);
    network.lies(liar, None);
    // One of two agrees: that is not more than half.
    assert_eq!(
        (status, &said["verdict"]),
        (2, &json!("inconclusive")),
        "{said}"
    );
    assert_eq!(said["dispute"]["says"], "the node was right", "{said}");
    let challenger = said["dispute"]["challenger"].as_str().unwrap();
    assert_eq!(challenger.to_lowercase(), network.node(liar));
    assert_eq!(network.standing(&network.node(liar)), "slashed");
    assert_eq!(network.standing(&node), "active");
}

#[test]
fn a_node_that_made_up_its_scores_loses_its_bond() {
    let network = Trio::start(11);
    let all = |how| (0..NODES).for_each(|number| network.lies(number, how));
    all(Some("digest"));
    let (id, node) = network.ask("Tell me a story.");
    all(None);
    let (status, said) = network.check(&id);
    assert_eq!((status, &said["verdict"]), (1, &json!("refuted")), "{said}");
    assert_eq!(
        said["dispute"]["says"], "the challenger was right",
        "{said}"
    );
    assert!(said["refutedAt"].as_u64().is_some_and(|block| block > 0));
    assert_eq!(network.standing(&node), "slashed");
    let again = network.check(&id);
    assert_eq!(again, (1, said), "a lost receipt stays lost");
}
