//! `assay zk groth16`: proofs of small models that any EVM checks, under a setup that one party made.

mod files;
mod judge;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result};
use assay_inference::Revision;
use assay_inference::provable::Provable;
use assay_zkml::groth16::{
    CAVEAT, Committed, DangerousLocalSetup, Perceptron, SizeClass, Verifier, constraints,
    dangerous_local_setup, random, word,
};
use serde::Serialize;

use super::{files as shared, inputs, open, provable};
use crate::cli::{
    Groth16, Groth16Commit, Groth16Prove, Groth16Setup, Groth16Solidity, Groth16Verify,
};
use crate::complaint::{Complaint, Exit};
use crate::output::{Form, Progress, rows};
use files::{ProofFile, Salt, hexadecimal};

/// Largest file of a proving key that is read, in bytes; that of the largest class has 12.5 MB.
const MAX_KEY_BYTES: u64 = 64 << 20;

/// Runs a command of the group.
pub fn run(command: Groth16, form: Form) -> Result<Exit> {
    match command {
        Groth16::Setup(arguments) => setup(&arguments, form),
        Groth16::Commit(arguments) => commit(&arguments, form),
        Groth16::Prove(arguments) => prove(&arguments, form),
        Groth16::Verify(arguments) => verify(&arguments, form),
        Groth16::Solidity(arguments) => solidity(&arguments, form),
    }
}

/// What `assay zk groth16 setup` says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SetupReport {
    class: &'static str,
    widths: &'static [usize],
    constraints: usize,
    public_inputs: usize,
    setup_s: f64,
    keys_bytes: usize,
    key_bytes: usize,
    caveat: &'static str,
}

fn setup(arguments: &Groth16Setup, form: Form) -> Result<Exit> {
    let class = SizeClass::named(&arguments.class).map_err(Complaint::usage)?;
    let begin = Instant::now();
    let made = {
        let _wait = Progress::wait("making keys");
        dangerous_local_setup(class, &mut random(rand::random()))?
    };
    let setup_s = begin.elapsed().as_secs_f64();
    let (keys, key) = (made.encode(), made.verifier().encode());
    write(&arguments.out, &keys)?;
    write(&arguments.key, &key)?;
    let report = SetupReport {
        class: class.name,
        widths: class.widths,
        constraints: constraints(class)?,
        public_inputs: class.public(),
        setup_s,
        keys_bytes: keys.len(),
        key_bytes: key.len(),
        caveat: CAVEAT,
    };
    form.print(&report, |report| setup_text(report, arguments))?;
    Ok(Exit::Done)
}

fn setup_text(report: &SetupReport, arguments: &Groth16Setup) -> String {
    let facts = rows(
        0,
        &[
            (
                "class",
                format!("{}, widths {:?}", report.class, report.widths),
            ),
            (
                "circuit",
                format!(
                    "{} constraints, {} public inputs, setup {:.1} s",
                    report.constraints, report.public_inputs, report.setup_s
                ),
            ),
            (
                "proving key",
                format!("{} bytes, {}", report.keys_bytes, arguments.out.display()),
            ),
            (
                "verifying key",
                format!("{} bytes, {}", report.key_bytes, arguments.key.display()),
            ),
        ],
    );
    format!("{facts}\n\n{CAVEAT}")
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

/// What `assay zk groth16 commit` says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CommitReport {
    name: String,
    revision: String,
    class: &'static str,
    commitment: String,
}

fn commit(arguments: &Groth16Commit, form: Form) -> Result<Exit> {
    let revision = open(&arguments.directory)?;
    let provable = provable(&revision)?;
    let salt = Salt::create(&arguments.secret, &revision)?;
    let committed = committed(&provable, &salt)?;
    salt.write(&arguments.secret)?;
    let report = CommitReport {
        name: revision.manifest().name.clone(),
        revision: revision.id().to_string(),
        class: committed.class().name,
        commitment: hexadecimal(&word(&committed.commitment())),
    };
    form.print(&report, |report| {
        rows(
            0,
            &[
                (
                    "model",
                    format!("{}  revision {}", report.name, report.revision),
                ),
                ("class", report.class.to_owned()),
                ("commitment", report.commitment.clone()),
                (
                    "secret",
                    format!(
                        "{}: whoever has it can tell whether a guessed model is this one",
                        arguments.secret.display()
                    ),
                ),
            ],
        )
    })?;
    Ok(Exit::Done)
}

/// A revision's model under its salt, of the smallest class that it fits.
fn committed(provable: &Provable, salt: &Salt) -> Result<Committed> {
    let misfit = |error: assay_zkml::Error| {
        Complaint::failed(error).hint(
            "these circuits are for small perceptrons; `assay zk prove` proves every quantised model",
        )
    };
    let [places] = provable.places() else {
        return Err(Complaint::failed("the model has other than one output").into());
    };
    let model = provable.model();
    let circuit = model.prepared().circuit();
    let own = Perceptron::new(circuit, model.weights(), places).map_err(misfit)?;
    let class = SizeClass::of(&own).map_err(misfit)?;
    Ok(Committed::with_secret(class, own, salt.secret()).map_err(misfit)?)
}

fn prove(arguments: &Groth16Prove, form: Form) -> Result<Exit> {
    let revision = open(&arguments.directory)?;
    let provable = provable(&revision)?;
    let salt = Salt::read(&arguments.secret, &revision)?;
    let committed = committed(&provable, &salt)?;
    let integers = integers(&arguments.input, &revision, &provable)?;
    let context = shared::digest("--context", arguments.context.as_deref())?;
    let keys = keys(&arguments.keys)?;
    let begin = Instant::now();
    let (statement, proof) = {
        let _wait = Progress::wait("proving");
        keys.prove(&committed, &integers, context, &mut random(rand::random()))?
    };
    let prove_s = begin.elapsed().as_secs_f64();
    // Points of a file need not make up a key; better found here than by whoever gets the proof.
    keys.verifier()
        .verify(&statement, &proof)
        .map_err(|error| {
            Complaint::failed(format!("{}: {error}", arguments.keys.display()))
                .hint("make the keys again with `assay zk groth16 setup`")
        })?;
    let file = ProofFile::new(&revision, &provable, keys.class(), &statement, &proof)?;
    shared::save(&arguments.out, &file)?;
    form.print(&file.summary(prove_s), |summary| {
        summary.text(&arguments.out)
    })?;
    Ok(Exit::Done)
}

/// The integers of the one inference of a file of inputs.
fn integers(path: &Path, revision: &Revision, provable: &Provable) -> Result<Vec<i16>> {
    let rows = inputs(path, revision)?;
    let [row] = rows.as_slice() else {
        return Err(Complaint::usage(format!(
            "one proof is of one inference, not of {}",
            rows.len()
        ))
        .into());
    };
    let mut integers = provable.integers(row)?;
    match (integers.pop(), integers.is_empty()) {
        (Some(one), true) => Ok(one),
        _ => Err(Complaint::failed("the model has other than one input").into()),
    }
}

fn keys(path: &Path) -> Result<DangerousLocalSetup> {
    let _wait = Progress::wait("checking the points of the proving key");
    let unusable = |error: String| {
        Complaint::failed(format!("{}: {error}", path.display()))
            .hint("name the file that `assay zk groth16 setup CLASS --out FILE` wrote")
    };
    let bytes = shared::bounded(path, MAX_KEY_BYTES).map_err(|e| unusable(e.to_string()))?;
    Ok(DangerousLocalSetup::decode(&bytes).map_err(|e| unusable(e.to_string()))?)
}

/// The verifying key of a file.
fn verifier(path: &Path) -> Result<Verifier> {
    let unusable = |error: String| {
        Complaint::cannot_tell(format!("{}: {error}", path.display())).hint(
            "get the key from someone you trust; `assay zk groth16 setup CLASS --key FILE` wrote it",
        )
    };
    let bytes = shared::bounded(path, shared::MAX_BYTES).map_err(|e| unusable(e.to_string()))?;
    Ok(Verifier::decode(&bytes).map_err(|e| unusable(e.to_string()))?)
}

fn verify(arguments: &Groth16Verify, form: Form) -> Result<Exit> {
    let verifier = verifier(&arguments.key)?;
    let expected = arguments.commitment.as_deref();
    let expected = expected.map(|text| shared::digest("--commitment", Some(text)));
    let text = shared::bounded(&arguments.file, shared::MAX_BYTES).map_err(|error| {
        Complaint::cannot_tell(format!(
            "{} cannot be read: {error}",
            arguments.file.display()
        ))
    })?;
    let report = judge::judge(&text, &verifier, expected.transpose()?);
    crate::receipt::conclude(&report, form)
}

/// What `assay zk groth16 solidity` says.
#[derive(Serialize)]
struct SolidityReport<'a> {
    class: &'static str,
    name: &'a str,
    source: String,
}

fn solidity(arguments: &Groth16Solidity, form: Form) -> Result<Exit> {
    let verifier = verifier(&arguments.key)?;
    let source = verifier.solidity(&arguments.name);
    let report = SolidityReport {
        class: verifier.class().name,
        name: &arguments.name,
        source: source.map_err(Complaint::usage)?,
    };
    form.print(&report, |report| report.source.trim_end().to_owned())?;
    Ok(Exit::Done)
}
