//! The verdict on one saved receipt: pure, so that it is the same with the network on and off.

use crate::saved::{NotSaved, ReceiptFile, Saved};
use assay_chain::light::{self, Network, Settled};
use assay_receipt::{
    ComputationVerdict, Disclosure, Receipt, SignedReceipt, commitment::verify_all,
};
use serde::Serialize;

/// What the verifier found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Every check held.
    Verified,
    /// A check failed: the file establishes nothing.
    Refuted,
    /// The checks that would decide are not possible with these files.
    CannotTell,
}

/// A statement and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// What it is about, one or two words.
    pub about: &'static str,
    /// What is, or is not, established of it.
    pub says: String,
}

/// The verdict in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The verdict.
    pub status: Status,
    /// The reason, in one line.
    pub reason: String,
    /// What the checks establish.
    pub established: Vec<Statement>,
    /// What a reader might take for established and is not.
    pub not_established: Vec<Statement>,
}

impl Report {
    fn without_findings(status: Status, reason: String) -> Self {
        Self {
            status,
            reason,
            established: Vec::new(),
            not_established: Vec::new(),
        }
    }

    /// A verdict against the file, and why.
    pub fn refuted(reason: impl ToString) -> Self {
        Self::without_findings(Status::Refuted, reason.to_string())
    }

    /// A verdict that cannot be reached, and why.
    pub fn cannot_tell(reason: impl ToString) -> Self {
        Self::without_findings(Status::CannotTell, reason.to_string())
    }
}

/// Judges the text of a receipt file under `network`.
pub fn judge(text: &str, network: &Network) -> Report {
    let saved = match Saved::parse(text) {
        Ok(saved) => saved,
        Err(error @ NotSaved::OtherDocument) => return Report::cannot_tell(error),
        Err(error) => return Report::refuted(error),
    };
    match &saved {
        Saved::Proof(proof) => match light::verify(network, proof) {
            Ok(settled) => verified(network, &settled, None),
            Err(failure) => failed(&failure),
        },
        Saved::File(file) => judge_file(file, network),
    }
}

fn judge_file(file: &ReceiptFile, network: &Network) -> Report {
    let ours = network.id();
    if file.network != ours {
        return failed(&light::Failure::OtherNetwork {
            theirs: file.network,
            ours,
        });
    }
    let Some(proof) = &file.proof else {
        return unsettled(file, network);
    };
    let settled = match light::verify(network, proof) {
        Ok(settled) => settled,
        Err(failure) => return failed(&failure),
    };
    if settled.receipt != file.receipt {
        return Report::refuted("the readable receipt is not the one that the proof is of");
    }
    if let Err(reason) = check_disclosed(file) {
        return Report::refuted(reason);
    }
    verified(network, &settled, Some(file))
}

fn failed(failure: &light::Failure) -> Report {
    if failure.refutes() {
        Report::refuted(failure)
    } else {
        Report::cannot_tell(failure)
    }
}

fn unsettled(file: &ReceiptFile, network: &Network) -> Report {
    let verdict = ComputationVerdict::of_signature(&file.receipt, &network.domain());
    if let ComputationVerdict::Refuted(refutation) = &verdict {
        return Report::refuted(format!(
            "the receipt's signature fails: {}",
            refutation.reason()
        ));
    }
    if let Err(reason) = check_disclosed(file) {
        return Report::refuted(reason);
    }
    let mut report = Report::cannot_tell("the file has no proof that the receipt settled");
    report.established = signed(&file.receipt);
    report.established.extend(disclosed(file));
    report.not_established = vec![
        Statement {
            about: "settlement",
            says: "the receipt may settle later, or never; save it again with its proof".into(),
        },
        Statement {
            about: "the node",
            says: "whether it is registered and has a bond to lose is known once it has settled"
                .into(),
        },
    ];
    report
        .not_established
        .extend(beyond_signature(&file.receipt.receipt));
    report
}

/// Checks the fields that the file lays open against the commitments that the node signed.
fn check_disclosed(file: &ReceiptFile) -> Result<(), String> {
    let receipt = &file.receipt.receipt;
    let parts = [
        ("input", &file.input, &receipt.input),
        ("output", &file.output, &receipt.output),
    ];
    for (what, fields, commitment) in parts {
        if !fields.is_empty() {
            verify_all(fields, commitment).map_err(|error| {
                format!("the {what} in the file is not the one signed for: {error}")
            })?;
        }
    }
    Ok(())
}

fn verified(network: &Network, settled: &Settled, file: Option<&ReceiptFile>) -> Report {
    let mut established = vec![
        Statement { about: "receipt", says: settled.id.to_string() },
        Statement {
            about: "settled",
            says: format!("in block {} ({}) of network {}", settled.height, settled.block, network.name),
        },
        Statement {
            about: "finality",
            says: "the block is certified by the validator set whose public key is in the network file".into(),
        },
        Statement {
            about: "checked",
            says: "a certified block holds only receipts whose node was registered and bonded, whose revision \
                   was published, and whose sequence has no gap and no second receipt"
                .into(),
        },
    ];
    established.extend(signed(&settled.receipt));
    let mut not_established = Vec::new();
    match file {
        Some(file) => {
            established.extend(disclosed(file));
            not_established.extend(undisclosed(file));
        }
        None => not_established.push(content("input and output")),
    }
    not_established.extend(beyond_signature(&settled.receipt.receipt));
    not_established.extend(beyond_settlement(settled));
    let reason = format!("the receipt settled in finalized block {}", settled.height);
    Report {
        status: Status::Verified,
        reason,
        established,
        not_established,
    }
}

fn signed(signed: &SignedReceipt) -> Vec<Statement> {
    let receipt = &signed.receipt;
    let sequence = format!("number {} of this node for this revision", receipt.sequence);
    vec![
        Statement {
            about: "signed by",
            says: format!("node {}, {sequence}", receipt.node),
        },
        Statement {
            about: "signed for",
            says: format!(
                "revision {} and request {}",
                receipt.revision, receipt.request
            ),
        },
    ]
}

fn disclosed(file: &ReceiptFile) -> Vec<Statement> {
    let parts: [(&'static str, &[Disclosure]); 2] =
        [("input", &file.input), ("output", &file.output)];
    let shown = parts.into_iter().filter(|(_, fields)| !fields.is_empty());
    shown
        .map(|(about, fields)| {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            let says = format!(
                "{} in the file is, byte for byte, what the node signed for",
                names.join(", ")
            );
            Statement { about, says }
        })
        .collect()
}

fn undisclosed(file: &ReceiptFile) -> Option<Statement> {
    match (file.input.is_empty(), file.output.is_empty()) {
        (true, true) => Some(content("input and output")),
        (true, false) => Some(content("the input")),
        (false, true) => Some(content("the output")),
        (false, false) => None,
    }
}

fn content(what: &str) -> Statement {
    let says = format!("{what}: the receipt holds commitments, and the file does not open them");
    Statement {
        about: "content",
        says,
    }
}

/// What a signature never says.
fn beyond_signature(receipt: &Receipt) -> Vec<Statement> {
    let uncertainty_ms = receipt.times.uncertainty_ns / 1_000_000;
    vec![
        Statement {
            about: "computation",
            says: "that this revision computed this output; rung `signed` is the node's word, backed by its bond".into(),
        },
        Statement {
            about: "quality",
            says: "that the answer is any good; a receipt holds no evaluation of the model".into(),
        },
        Statement {
            about: "time",
            says: format!("when it happened; the times are the node's own, by its account within {uncertainty_ms} ms"),
        },
    ]
}

/// What a certificate never says.
fn beyond_settlement(settled: &Settled) -> Vec<Statement> {
    vec![
        Statement {
            about: "since then",
            says: format!("anything after block {}, such as a slashing of the node", settled.height),
        },
        Statement {
            about: "the network",
            says: "that the network file is the one you mean, and that fewer than two thirds of its validators collude"
                .into(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saved::parse_network;
    use proptest::{prelude::*, sample::Index};
    use serde_json::Value;

    const GENUINE: &str = include_str!("../tests/proof/genuine.receipt.json");
    const NETWORK: &str = include_str!("../tests/proof/network.json");

    /// Where, what, and how: a byte is replaced, put in or taken out.
    fn damage() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
        prop::collection::vec((any::<Index>(), any::<u8>(), 0u8..3), 1..4)
    }

    fn damaged(text: &str, damage: Vec<(Index, u8, u8)>) -> String {
        let mut bytes = text.as_bytes().to_vec();
        for (at, value, kind) in damage {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = value,
                1 => bytes.insert(at, value),
                _ => drop(bytes.remove(at)),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn network() -> Network {
        parse_network(NETWORK).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_no_receipt_and_no_network(text in ".*") {
            prop_assert_ne!(judge(&text, &network()).status, Status::Verified);
            prop_assert!(parse_network(&text).is_err());
        }

        #[test]
        fn a_damaged_receipt_is_verified_only_if_it_says_the_same(damage in damage()) {
            let text = damaged(GENUINE, damage);
            if judge(&text, &network()).status == Status::Verified {
                let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                prop_assert_eq!(read(&text), read(GENUINE));
            }
        }

        #[test]
        fn a_damaged_network_verifies_nothing_unless_it_is_the_same(damage in damage()) {
            if let Ok(network) = parse_network(&damaged(NETWORK, damage)) {
                let verified = judge(GENUINE, &network).status == Status::Verified;
                prop_assert_eq!(verified, network.id() == self::network().id());
            }
        }
    }
}
