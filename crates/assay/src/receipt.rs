//! `assay receipt show|verify`.

use crate::{
    cli,
    client::Gateway,
    complaint::{Complaint, Exit},
    output::{self, Form},
    saved::{self, ReceiptFile, Saved},
    verify::{Report, Statement, Status, judge},
};
use anyhow::{Context as _, Result};
use assay_inference::OnnxEngine;
use assay_receipt::{EngineId, ReceiptId, SignedReceipt};
use serde_json::json;
use std::path::Path;

/// What to do about a receipt file that cannot be read.
const FILE_HINT: &str = "give the path of a receipt file, as --save writes them";

/// `assay receipt verify`: needs no network and starts no runtime.
///
/// # Errors
/// A complaint with status "cannot tell" if a file cannot be read or the verdict cannot be written.
pub fn verify(arguments: &cli::Verify, form: Form) -> Result<Exit> {
    let network = saved::read_network(&arguments.network)
        .map_err(|reason| Complaint::cannot_tell(reason).hint(saved::NETWORK_HINT))?;
    let text = saved::read(&arguments.file)
        .map_err(|reason| Complaint::cannot_tell(reason).hint(FILE_HINT))?;
    conclude(&judge(&text, &network), form)
}

/// Prints a verdict and ends with its status.
///
/// # Errors
/// A complaint with status "cannot tell" if it cannot be written.
pub fn conclude(report: &Report, form: Form) -> Result<Exit> {
    // The status of a verdict that nobody could read must not pass for another one.
    form.print(report, show_report).map_err(|error| {
        Complaint::cannot_tell(format!("the verdict cannot be written: {error}"))
            .hint("give standard output somewhere to go")
    })?;
    Ok(match report.status {
        Status::Verified => Exit::Done,
        Status::Refuted => Exit::Failed,
        Status::CannotTell => Exit::CannotTell,
    })
}

/// The verdict as text in two parts.
pub fn show_report(report: &Report) -> String {
    let verdict = match report.status {
        Status::Verified => "verified",
        Status::Refuted => "refuted",
        Status::CannotTell => "cannot tell",
    };
    let mut text = format!("{verdict}: {}\n", report.reason);
    for (title, statements) in [
        ("established", &report.established),
        ("not established", &report.not_established),
    ] {
        if !statements.is_empty() {
            text.push_str(&format!("\n{title}\n{}\n", show_statements(statements)));
        }
    }
    text
}

fn show_statements(statements: &[Statement]) -> String {
    let rows: Vec<(&str, &str)> = statements
        .iter()
        .map(|statement| (statement.about, statement.says.as_str()))
        .collect();
    output::rows(2, &rows)
}

/// `assay receipt show`.
///
/// # Errors
/// A complaint if nobody knows the receipt or the file is none.
pub async fn show(arguments: cli::ShowReceipt, form: Form) -> Result<Exit> {
    if arguments.receipt.starts_with("0x") {
        show_by_id(&arguments, form).await
    } else {
        show_file(&arguments, form)
    }
}

async fn show_by_id(arguments: &cli::ShowReceipt, form: Form) -> Result<Exit> {
    let id: ReceiptId = arguments.receipt.parse().map_err(|_| {
        Complaint::usage("a receipt id is 0x and 64 lower-case hex digits")
            .hint("a file is shown by its path")
    })?;
    let report = Gateway::new(&arguments.gateway)?.receipt(&id).await?;
    if let Some(path) = &arguments.save {
        let network = report
            .network
            .as_ref()
            .context("the gateway left its network out")?
            .id();
        let file = ReceiptFile {
            network,
            receipt: report.receipt.clone(),
            proof: report.proof.clone(),
            input: Vec::new(),
            output: Vec::new(),
        };
        save(path, &file)?;
    }
    form.print(&report, |report| {
        let mut rows = vec![
            ("id", report.id.to_string()),
            ("state", lower(&report.state)),
        ];
        if let Some(height) = report.height {
            rows.push(("block", height.to_string()));
        }
        rows.extend(receipt_rows(&report.receipt));
        output::rows(0, &rows)
    })?;
    Ok(Exit::Done)
}

fn show_file(arguments: &cli::ShowReceipt, form: Form) -> Result<Exit> {
    let path = Path::new(&arguments.receipt);
    if arguments.save.is_some() {
        return Err(Complaint::usage("a file is saved already")
            .hint("give a receipt id with --save")
            .into());
    }
    let text = saved::read(path).map_err(|reason| Complaint::failed(reason).hint(FILE_HINT))?;
    let signed = match Saved::parse(&text).map_err(Complaint::failed)? {
        Saved::File(file) => file.receipt,
        Saved::Proof(proof) => SignedReceipt::decode(&proof.receipt).map_err(Complaint::failed)?,
    };
    form.print(&json!({"receipt": signed, "verified": false}), |_| {
        let note = "shown as it stands in the file; `assay receipt verify` checks it";
        format!("{}\n\n{note}", output::rows(0, &receipt_rows(&signed)))
    })?;
    Ok(Exit::Done)
}

fn receipt_rows(signed: &SignedReceipt) -> Vec<(&'static str, String)> {
    let receipt = &signed.receipt;
    vec![
        ("node", receipt.node.to_string()),
        ("revision", receipt.revision.to_string()),
        ("engine", receipt.engine.to_string()),
        ("replayable", replayable(receipt.engine).into()),
        ("request", receipt.request.to_string()),
        ("input", receipt.input.to_string()),
        ("output", receipt.output.to_string()),
        ("promised rung", lower(&receipt.rung)),
        ("sequence", receipt.sequence.to_string()),
        ("price", receipt.price.to_string()),
        ("computed", format!("{} us", receipt.usage.compute_us)),
    ]
}

/// Whether the bits of an engine's answers repeat, as far as this program knows; that it ran is the node's word.
fn replayable(engine: EngineId) -> &'static str {
    if engine == OnnxEngine::engine_id() {
        "yes, if the node ran what it names: the executor of this program"
    } else {
        "not known: another engine, or another version"
    }
}

fn lower(name: &impl std::fmt::Debug) -> String {
    format!("{name:?}").to_lowercase()
}

/// Writes a receipt file.
///
/// # Errors
/// The system's.
pub fn save(path: &Path, file: &ReceiptFile) -> Result<()> {
    let text = format!("{}\n", serde_json::to_string_pretty(file)?);
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
