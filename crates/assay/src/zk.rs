//! `assay zk`: what a proof would cost, the commitment to a model, proofs of its runs, and their verification.

mod files;
mod groth16;
mod judge;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use assay_inference::provable::{Provable, Quality};
use assay_inference::{NamedTensors, Revision, RevisionLimits, json, npy};
use assay_node::Error as NodeError;
use assay_node::secret::{Hidden, Secret};
use assay_zkml::Setting;
use assay_zkml_verify::security::soundness;
use assay_zkml_verify::statement::MAX_BATCH_LOG;
use serde::Serialize;

use crate::cli::{Zk, ZkProve, ZkQuote, ZkSetup, ZkVerify};
use crate::complaint::{Complaint, Exit};
use crate::output::{Form, Progress, rows};
use files::{CommitmentFile, ProofFile};

/// Runs a command of the group.
pub fn run(command: Zk, form: Form) -> Result<Exit> {
    match command {
        Zk::Quote(arguments) => quote(&arguments, form),
        Zk::Setup(arguments) => setup(&arguments, form),
        Zk::Prove(arguments) => prove(&arguments, form),
        Zk::Verify(arguments) => verify(&arguments, form),
        Zk::Groth16(command) => groth16::run(command, form),
    }
}

fn open(directory: &Path) -> Result<Revision> {
    let opened = Revision::open(directory, &RevisionLimits::default());
    opened.map_err(|error| {
        Complaint::failed(format!("{}: {error}", directory.display()))
            .hint("name a revision directory: manifest.json and the files that it lists")
            .into()
    })
}

/// The revision's model, quantised and committed to.
pub fn provable(revision: &Revision) -> Result<Provable> {
    let _wait = Progress::wait("quantising and committing");
    Provable::from_revision(revision).map_err(|error| {
        Complaint::failed(error)
            .hint(
                "a revision that is to be proven lists zk/calibration.npy, rows that training saw",
            )
            .into()
    })
}

/// What `assay zk quote` says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QuoteReport {
    zero_knowledge: bool,
    batch: usize,
    prove_cpu_s: f64,
    verify_cpu_ms: f64,
    proof_bytes: u64,
    memory_bytes: u64,
    run_s: f64,
    times_the_run: f64,
    price: Option<f64>,
    machine_slowness: f64,
    soundness_bits: f64,
    soundness_bits_unique_decoding: f64,
}

fn quote(arguments: &ZkQuote, form: Form) -> Result<Exit> {
    let batch_log = batch_log(arguments.batch)?;
    let provable = provable(&open(&arguments.directory)?)?;
    let slowness = slowness()?;
    let prepared = provable.model().prepared();
    let hiding = arguments.zero_knowledge;
    let quote = assay_zkml::quote(prepared, batch_log, hiding, slowness)?;
    let soundness = soundness(prepared, batch_log, hiding)?;
    let run_s = run_s(&provable)?;
    let report = QuoteReport {
        zero_knowledge: hiding,
        batch: arguments.batch,
        prove_cpu_s: quote.prove_s,
        verify_cpu_ms: quote.verify_s * 1e3,
        proof_bytes: quote.proof_bytes as u64,
        memory_bytes: quote.memory_bytes as u64,
        run_s,
        times_the_run: quote.prove_s / (run_s * arguments.batch as f64),
        price: arguments
            .per_cpu_hour
            .map(|price| price * quote.prove_s / 3600.0),
        machine_slowness: slowness,
        soundness_bits: soundness.bits,
        soundness_bits_unique_decoding: soundness.conservative_bits,
    };
    form.print(&report, quote_text)?;
    Ok(Exit::Done)
}

fn quote_text(report: &QuoteReport) -> String {
    let price = report.price.map_or_else(
        || "unknown: say what a CPU hour costs with --per-cpu-hour".to_owned(),
        |price| format!("{price:.9} (predicted CPU time at the given price an hour)"),
    );
    rows(
        0,
        &[
            (
                "prove",
                format!(
                    "{:.1} ms of CPU for {} in one proof",
                    report.prove_cpu_s * 1e3,
                    report.batch
                ),
            ),
            (
                "memory",
                format!(
                    "{:.1} MB beside the program",
                    report.memory_bytes as f64 / 1e6
                ),
            ),
            ("proof", format!("{} bytes", report.proof_bytes)),
            ("verify", format!("{:.1} ms of CPU", report.verify_cpu_ms)),
            ("price", price),
            (
                "soundness",
                format!(
                    "{:.1} bits under the Johnson bound; {:.1} if only unique decoding is believed",
                    report.soundness_bits, report.soundness_bits_unique_decoding
                ),
            ),
            (
                "hides",
                match report.zero_knowledge {
                    true => "the weights, if docs/zkml.md holds, for a counted number of openings; inputs and outputs are public".into(),
                    false => "nothing: this is the succinct mode".into(),
                },
            ),
            (
                "worth it",
                format!(
                    "running the model again takes {:.1} us, proving {:.0} times that: a proof pays where the verifier has no \
                 weights or is a contract",
                    report.run_s * 1e6,
                    report.times_the_run
                ),
            ),
            (
                "predicted",
                "from the circuit and the speed of this machine; nothing was proven".into(),
            ),
        ],
    )
}

/// Refuses a batch that no proof holds.
fn batch_log(batch: usize) -> Result<u32> {
    let most = 1usize << MAX_BATCH_LOG;
    if batch == 0 || batch > most {
        return Err(
            Complaint::usage(format!("a proof holds 1 to {most} inferences, not {batch}")).into(),
        );
    }
    Ok(batch.next_power_of_two().trailing_zeros())
}

/// How much longer this machine takes than the one to which the prices were fitted.
fn slowness() -> Result<f64> {
    /// The least of a few is the machine's own speed; the others were disturbed.
    const RUNS: usize = 5;
    let mut least = Duration::MAX;
    for _ in 0..RUNS {
        let begin = Instant::now();
        assay_zkml::reference()?;
        least = least.min(begin.elapsed());
    }
    Ok(least.as_secs_f64() / assay_zkml::REFERENCE_S)
}

/// Seconds of one plain run of the quantised model, on zeros.
fn run_s(provable: &Provable) -> Result<f64> {
    const RUNS: u32 = 20;
    let graph = provable.graph();
    let executor = assay_inference::quant::Executor::new(graph)?;
    let zeros = graph.inputs.iter().map(|input| {
        let zero = 0.clamp(input.range.least as i32, input.range.most as i32);
        vec![zero; input.shape.iter().product()]
    });
    let inputs: Vec<Vec<i32>> = zeros.collect();
    let begin = Instant::now();
    for _ in 0..RUNS {
        executor.run(1, &inputs)?;
    }
    Ok(begin.elapsed().as_secs_f64() / f64::from(RUNS))
}

fn setup(arguments: &ZkSetup, form: Form) -> Result<Exit> {
    let revision = open(&arguments.directory)?;
    let mut provable = provable(&revision)?;
    if let Some(path) = &arguments.zero_knowledge {
        // The registration opens the commitment once.
        provable = spend(&hide(fresh(path, &revision)?, provable)?)?;
    }
    let registration = {
        let _wait = Progress::wait("showing that the weights are in range");
        assay_zkml::register(provable.model())?
    };
    let quality = provable.quality(&revision).ok();
    let file = CommitmentFile::new(&revision, &provable, &registration, quality)?;
    file.save(&arguments.out)?;
    form.print(&file, |file| setup_text(file, quality, &arguments.out))?;
    Ok(Exit::Done)
}

/// A new secret; an existing file is not written over, since another commitment may need it.
fn fresh(path: &Path, revision: &Revision) -> Result<Secret> {
    Secret::create(path, revision.id()).map_err(|error| {
        Complaint::failed(error)
            .hint("a secret is for one commitment: name a new file, or move this one away")
            .into()
    })
}

/// The secret that an earlier command wrote for the revision.
pub fn known(path: &Path, revision: &Revision) -> Result<Secret> {
    let unusable = |error: String| {
        Complaint::failed(error)
            .hint("name the file that `--zero-knowledge FILE` wrote for this revision")
    };
    let secret = Secret::open(path).map_err(|error| unusable(error.to_string()))?;
    if secret.revision() != revision.id() {
        return Err(unusable(format!("{}: it is of another revision", path.display())).into());
    }
    Ok(secret)
}

/// The secret in a file, which is made if it is missing.
pub fn known_or_fresh(path: &Path, revision: &Revision) -> Result<Secret> {
    match path.exists() {
        true => known(path, revision),
        false => fresh(path, revision),
    }
}

/// The model with its weights hidden.
pub fn hide(secret: Secret, provable: Provable) -> Result<Hidden> {
    let _wait = Progress::wait("committing to the hidden weights");
    Ok(secret.hide(provable)?)
}

/// The model for one opening, which is counted; one is kept for a renewal.
fn spend(hidden: &Hidden) -> Result<Provable> {
    hidden.spend(0).map_err(|error| match error {
        NodeError::OpeningsUsed { .. } => Complaint::failed(error)
            .hint("run `assay zk setup --zero-knowledge` with a new file and publish the new commitment")
            .into(),
        other => other.into(),
    })
}

fn setup_text(file: &CommitmentFile, quality: Option<Quality>, out: &Path) -> String {
    let measured = quality.map_or_else(
        || "unknown: the revision lists no zk/test.npy and zk/labels.npy".to_owned(),
        |q| format!(
            "{:.2} % quantised, {:.2} % float, same class in {} of {} rows that training did not see",
            q.quantised_accuracy * 100.0, q.float_accuracy * 100.0, q.agreement.same_class, q.agreement.rows
        ),
    );
    rows(
        0,
        &[
            (
                "model",
                format!("{}  revision {}", file.name, file.revision),
            ),
            ("commitment", file.model.clone()),
            ("accuracy", measured),
            ("weights", "shown to fit eight bits".into()),
            ("mode", file.mode().into()),
            ("written", out.display().to_string()),
        ],
    )
}

fn prove(arguments: &ZkProve, form: Form) -> Result<Exit> {
    let revision = open(&arguments.directory)?;
    let mut provable = provable(&revision)?;
    let inputs = inputs(&arguments.input, &revision)?;
    batch_log(inputs.len())?;
    if let Some(path) = &arguments.zero_knowledge {
        provable = spend(&hide(known(path, &revision)?, provable)?)?;
    }
    let setting = Setting {
        network: files::digest("--network-id", arguments.network_id.as_deref())?,
        revision: *revision.id().as_bytes(),
        context: files::digest("--context", arguments.context.as_deref())?,
    };
    let begin = Instant::now();
    let proven = {
        let _wait = Progress::wait("proving");
        provable.prove(setting, &inputs)?
    };
    let prove_s = begin.elapsed().as_secs_f64();
    let each_s = run_s(&provable)?;
    let file = ProofFile::new(
        &revision,
        &provable,
        &proven,
        prove_s,
        each_s * inputs.len() as f64,
    );
    file.save(&arguments.out)?;
    let summary = file.summary(arguments.zero_knowledge.is_some());
    form.print(&summary, |summary| summary.text(&arguments.out))?;
    Ok(Exit::Done)
}

/// Inputs from JSON or npy, taken apart into inferences along the first axis.
fn inputs(path: &Path, revision: &Revision) -> Result<Vec<NamedTensors>> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Complaint::failed(format!("{}: {error}", path.display()))
            .hint("inputs are JSON {\"NAME\": nested arrays}, or .npy for a model with one input")
    };
    let bytes = files::bounded(path, files::MAX_BYTES).map_err(|e| unreadable(&e))?;
    let manifest = revision.manifest();
    let most = assay_inference::RunLimits::default().input_elements;
    let tensors = match (bytes.starts_with(b"\x93NUMPY"), manifest.inputs.as_slice()) {
        (true, [one]) => {
            let tensor = npy::read(&bytes, most).map_err(|e| unreadable(&e))?;
            NamedTensors::new(vec![(one.name.clone(), tensor)])
        }
        (true, _) => return Err(unreadable(&"the model has several inputs").into()),
        (false, _) => {
            let document = serde_json::from_slice(&bytes).map_err(|e| unreadable(&e))?;
            let policy = json::Policy {
                max_elements: most,
                non_finite: &[],
            };
            json::read_inputs(&document, &manifest.signature()?, &policy)
                .map_err(|e| unreadable(&e))?
        }
    };
    let count = tensors
        .at(0)
        .and_then(|t| t.shape().first().copied())
        .unwrap_or_default();
    (0..count)
        .map(|row| {
            let one = |(name, tensor): (&str, &assay_inference::Tensor)| {
                Ok((name.to_owned(), tensor.rows(row, row + 1)?))
            };
            Ok(NamedTensors::new(
                tensors.iter().map(one).collect::<Result<_>>()?,
            ))
        })
        .collect()
}

fn verify(arguments: &ZkVerify, form: Form) -> Result<Exit> {
    let commitment = CommitmentFile::read(&arguments.commitment)?;
    let text = files::bounded(&arguments.file, files::MAX_BYTES).map_err(|error| {
        Complaint::cannot_tell(format!(
            "{} cannot be read: {error}",
            arguments.file.display()
        ))
    })?;
    let report = judge::judge(&text, &commitment);
    crate::receipt::conclude(&report, form)
}
