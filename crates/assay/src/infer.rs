//! `assay infer`.

use crate::{
    ask::{Answered, Asking, ask},
    cli,
    client::{Gateway, full_name},
    complaint::{Complaint, Exit},
    inputs,
    output::{self, Form, Progress},
    receipt, saved,
};
use anyhow::Result;
use assay_chain::light::Network;
use assay_node::api::{ModelEntry, ProofReport};
use serde::Serialize;
use serde_json::Value;
use std::{path::Path, time::Duration};

/// How long `--wait settled` waits: the deadline of settlement that a node promises.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a proof is waited for: settlement, a block after it, and the queue of a busy node.
const PROOF_PATIENCE: Duration = Duration::from_secs(120);
/// An answer that takes less than this to compute again is not worth a proof for its own sake, microseconds.
const RERUN_US: u64 = 100_000;
/// Longest text of an output that is shown to people; `--json` shows all.
const MAX_SHOWN: usize = 240;

/// What is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    model: String,
    revision: String,
    outputs: Value,
    receipt_id: String,
    node: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<u64>,
    compute_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<ProofReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<String>,
}

/// Asks a model, checks the answer, and waits for its settlement if told so.
///
/// # Errors
/// A complaint of the gateway, or about an answer that does not hold.
pub async fn run(arguments: cli::Infer, form: Form) -> Result<Exit> {
    let gateway = Gateway::new(&arguments.gateway)?;
    let model = find_model(&gateway, &arguments.model).await?;
    let network = trusted(&gateway, arguments.network.as_deref()).await?;
    let asking = Asking {
        inputs: inputs::read(&arguments.input, &model)?,
        model: &model,
        rung: Some(format!("{:?}", arguments.rung).to_lowercase()),
        deadline_ms: None,
    };
    let answered = {
        let _progress = Progress::wait("asking");
        ask(&gateway, &network, asking).await?
    };
    let id = answered.answer.receipt_id;
    if arguments.wait == Some(cli::Wait::Proven) && arguments.rung != cli::Rung::Proven {
        let complaint = Complaint::usage("no proof was asked for");
        return Err(complaint.hint("add --verify proven").into());
    }
    let proof = match arguments.wait {
        None => None,
        Some(_) => {
            let _progress = Progress::wait("waiting for the receipt to settle");
            Some(gateway.settled(&id, &network, PATIENCE).await?)
        }
    };
    let evidence = match arguments.wait {
        Some(cli::Wait::Asked | cli::Wait::Proven) if arguments.rung == cli::Rung::Proven => {
            let _progress = Progress::wait("waiting for the proof");
            Some(gateway.proven(&id, PROOF_PATIENCE).await?)
        }
        _ => None,
    };
    let block = proof.as_ref().map(|proof| proof.settled.height);
    if let Some(path) = &arguments.save {
        receipt::save(
            path,
            &answered.file(&network, proof.and_then(|proof| proof.report.proof)),
        )?;
    }
    let shown = Shown {
        evidence,
        ..shown(
            &arguments.model,
            &answered,
            block,
            arguments.save.as_deref(),
        )
    };
    form.print(&shown, show)?;
    Ok(Exit::Done)
}

/// What the gateway knows of a model that people name in one of three ways.
///
/// # Errors
/// A complaint if no live node serves it.
pub async fn find_model(gateway: &Gateway, name: &str) -> Result<ModelEntry> {
    let models = gateway.models().await?;
    let wanted = full_name(name, &models)?;
    let named = |model: &ModelEntry| {
        model.revision.to_string() == wanted || model.published_as.contains(&wanted)
    };
    models.into_iter().find(named).ok_or_else(|| {
        Complaint::failed(format!("no live node serves {wanted}"))
            .hint("GET /assay/v1/models lists what is served; a new model takes some seconds to appear")
            .into()
    })
}

/// The network file that was given, or what the gateway says, which is then taken on trust.
async fn trusted(gateway: &Gateway, file: Option<&Path>) -> Result<Network> {
    let Some(path) = file else {
        return Ok(gateway.network().await?.network);
    };
    let network = saved::read_network(path)
        .map_err(|reason| Complaint::failed(reason).hint(saved::NETWORK_HINT))?;
    Ok(network)
}

fn shown(model: &str, answered: &Answered, block: Option<u64>, saved: Option<&Path>) -> Shown {
    let answer = &answered.answer;
    Shown {
        model: model.to_owned(),
        revision: answer.revision.to_string(),
        outputs: answered.outputs_json(),
        receipt_id: answer.receipt_id.to_string(),
        node: answer.node.to_string(),
        state: if block.is_some() {
            "settled"
        } else {
            "executed"
        },
        block,
        compute_us: answer.usage.compute_us,
        evidence: None,
        saved: saved.map(|path| path.display().to_string()),
    }
}

fn show(shown: &Shown) -> String {
    let mut rows: Vec<(String, String)> = Vec::new();
    if let Value::Object(outputs) = &shown.outputs {
        rows.extend(
            outputs
                .iter()
                .map(|(name, value)| (name.clone(), shortened(value))),
        );
    }
    let state = match shown.block {
        Some(block) => format!("settled in finalized block {block}"),
        None => "executed; it settles in a moment".into(),
    };
    rows.extend([
        ("receipt".into(), shown.receipt_id.clone()),
        ("state".into(), state),
        ("node".into(), shown.node.clone()),
    ]);
    if let Some(evidence) = &shown.evidence {
        rows.extend(evidence_rows(evidence, shown.compute_us));
    }
    rows.extend(
        shown
            .saved
            .iter()
            .map(|path| ("saved".to_owned(), path.clone())),
    );
    output::rows(0, &rows)
}

/// What a proof establishes, what it cost, and whether it was worth it.
fn evidence_rows(evidence: &ProofReport, compute_us: u64) -> Vec<(String, String)> {
    let block = evidence.block.map_or("?".into(), |block| block.to_string());
    let verdict = format!(
        "Proven: the validators checked the proof in block {block} (as the gateway reads the chain)"
    );
    let mut rows = vec![("verdict".to_owned(), verdict)];
    if let (Some(prove_us), Some(bytes)) = (evidence.prove_us, evidence.proof_bytes) {
        rows.push(("proving".to_owned(), proving(evidence, prove_us, bytes)));
    }
    if compute_us < RERUN_US {
        let note = format!(
            "whoever has the model checks the answer in {compute_us} us by running it again; a proof is for those who cannot, such as a contract"
        );
        rows.push(("note".to_owned(), note));
    }
    rows
}

/// What the proof took, as the node says: CPU time is compared with CPU time only.
fn proving(evidence: &ProofReport, prove_us: u64, bytes: u64) -> String {
    let mut text = format!("{bytes} bytes after {} ms", prove_us / 1_000);
    if let Some(answers) = evidence.answers.filter(|answers| *answers > 1) {
        text += &format!(", for {answers} answers together");
    }
    if let Some(cpu_us) = evidence.prove_cpu_us {
        text += &format!("; {} ms of CPU time", cpu_us / 1_000);
    }
    if let (Some(times), Some(infer_us)) = (evidence.overhead(), evidence.infer_cpu_us) {
        text += &format!(", for each answer {times} times the inference's {infer_us} us of it");
    }
    text + " (as the node says)"
}

/// A value on one line, with its end left out where it is long.
pub fn shortened(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= MAX_SHOWN {
        return text;
    }
    let kept: String = text.chars().take(MAX_SHOWN).collect();
    format!("{kept}... ({} characters)", text.chars().count())
}
