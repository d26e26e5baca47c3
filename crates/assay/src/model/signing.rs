//! `assay model sign` and `assay model verify`: OpenSSF Model Signing, with the network off.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use assay_blob::signing::{
    self, Authentic, Bundle, Chain, Coverage, Error, FileHasher, FileRecord, GIT_PATHS, Identity,
    Layout, MAX_BUNDLE_BYTES, MAX_PEM_BYTES, PrivateKey, PublicKey, Roots, Signer,
    Statement as Signed, Tree, Trust,
};
use serde::Serialize;

use super::tree::{Found, Links, read, read_small, walk};
use crate::cli::{SignModel, VerifyModel};
use crate::complaint::{Complaint, Exit};
use crate::output::{Form, Progress, rows};
use crate::receipt::conclude;
use crate::verify::{Report, Statement, Status};

/// The tool's name for a bundle.
const SIGNATURE: &str = "model.sig";

/// So many files are named in a line.
const NAMED: usize = 10;

/// Where the bundle of a model lies unless it is said: inside a directory, beside a file.
fn signature_of(model: &Path, given: Option<&PathBuf>) -> PathBuf {
    given.cloned().unwrap_or_else(|| match model.is_file() {
        true => model.with_extension("sig"),
        false => model.join(SIGNATURE),
    })
}

/// The path of a file inside a model, if it lies there.
fn inside(model: &Path, file: &Path) -> Option<String> {
    let model = model.canonicalize().ok()?;
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.canonicalize().ok()?,
        _ => Path::new(".").canonicalize().ok()?,
    };
    let place = folder.join(file.file_name()?);
    let path = place.strip_prefix(&model).ok()?.to_str()?;
    (!path.is_empty()).then(|| path.to_owned())
}

fn pem(place: &Path) -> Result<String> {
    let bytes = read_small(place, MAX_PEM_BYTES)?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.with_context(|| format!("{}: it is no PEM file", place.display()))
}

fn hashed(layout: Layout, found: &Found) -> Result<FileRecord> {
    let mut hasher = FileHasher::new(layout, &found.path);
    read(&found.place, |bytes| hasher.update(bytes))?;
    Ok(hasher.finish())
}

/// What `assay model sign` says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    signature: String,
    name: String,
    root: String,
    files: usize,
    key: String,
    left_out: Vec<String>,
}

/// `assay model sign`.
///
/// # Errors
/// A complaint if key, certificate or files cannot be used, or the bundle cannot be written.
pub fn sign(arguments: &SignModel, form: Form) -> Result<Exit> {
    form.print(&signed(arguments)?, made_text)?;
    Ok(Exit::Done)
}

/// Signs a directory, and leaves the public key in it as the one that its publisher declares.
///
/// # Errors
/// As [`sign`].
pub fn sign_declaring(model: &Path, key: &Path) -> Result<()> {
    let private = PrivateKey::from_pem(&pem(key)?)?;
    let declared = model.join(assay_hub::provenance::PUBLIC_KEY_FILE);
    std::fs::write(&declared, private.public().to_pem()?)
        .with_context(|| declared.display().to_string())?;
    signed(&SignModel {
        model: model.to_owned(),
        key: key.to_owned(),
        certificate: None,
        signature: None,
        ignore: Vec::new(),
    })?;
    Ok(())
}

fn signed(arguments: &SignModel) -> Result<Made> {
    let unusable = |error: Error| {
        Complaint::failed(error)
            .hint("a key on P-256, P-384 or P-521 as `openssl genpkey` writes it")
    };
    let key = PrivateKey::from_pem(&pem(&arguments.key)?).map_err(unusable)?;
    let chain = arguments
        .certificate
        .as_deref()
        .map(|place| Ok(Chain::from_pem(&pem(place)?)?));
    let chain: Option<Chain> = chain
        .transpose()
        .map_err(|error: anyhow::Error| error.context("the certificate chain"))?;
    let model = &arguments.model;
    let signature = signature_of(model, arguments.signature.as_ref());
    let mut ignored: Vec<String> = Vec::new();
    if model.is_dir() {
        ignored.extend(GIT_PATHS.map(str::to_owned));
        ignored.extend(inside(model, &signature));
        ignored.extend(
            arguments
                .ignore
                .iter()
                .map(|path| path.trim_end_matches('/').to_owned()),
        );
    }
    let (files, left_out) = signed_files(model, &ignored)?;
    let name = model
        .canonicalize()
        .with_context(|| model.display().to_string())?;
    let name = name
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let count = files.len();
    let statement =
        Signed::new(&name.unwrap_or_default(), Layout::FILES, ignored, files).map_err(|error| {
            Complaint::failed(error).hint(
                "a signature needs at least one file, and paths inside the model to leave out",
            )
        })?;
    let bundle = signing::sign(&statement, &key, chain.as_ref())?;
    std::fs::write(&signature, bundle).with_context(|| signature.display().to_string())?;
    Ok(Made {
        signature: signature.display().to_string(),
        name: statement.name().to_owned(),
        root: statement.root().to_string(),
        files: count,
        key: key.public().hint()?,
        left_out,
    })
}

fn signed_files(model: &Path, ignored: &[String]) -> Result<(Vec<FileRecord>, Vec<String>)> {
    let _wait = Progress::wait("hashing");
    let (mut files, mut left_out) = (Vec::new(), Vec::new());
    for found in walk(model, Links::Refused)? {
        let prefix = |path: &String| {
            let rest = found.path.strip_prefix(path.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match ignored.iter().any(prefix) {
            true => left_out.push(found.path),
            false => files.push(hashed(Layout::FILES, &found)?),
        }
    }
    Ok((files, left_out))
}

fn made_text(made: &Made) -> String {
    let mut lines = vec![
        ("signed", format!("{} files as {}", made.files, made.name)),
        ("root", made.root.clone()),
        ("key", made.key.clone()),
        ("written", made.signature.clone()),
    ];
    if !made.left_out.is_empty() {
        lines.push(("not signed", listed(&made.left_out)));
    }
    rows(0, &lines)
}

fn listed(paths: &[String]) -> String {
    let named = paths
        .iter()
        .take(NAMED)
        .map(|path| path.escape_debug().to_string());
    let text = named.collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(NAMED) {
        0 => text,
        rest => format!("{text} and {rest} more"),
    }
}

/// `assay model verify`.
///
/// # Errors
/// A complaint with status "cannot tell" if the verdict cannot be written.
pub fn verify(arguments: &VerifyModel, form: Form) -> Result<Exit> {
    let report = judge(arguments).unwrap_or_else(|error| match error.downcast_ref::<Error>() {
        Some(found) if found.refutes() => Report::refuted(found),
        _ => Report::cannot_tell(chain_text(&error)),
    });
    conclude(&report, form)
}

fn chain_text(error: &anyhow::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    causes.join(": ")
}

/// What is trusted, as it was read.
enum Given {
    Key(PublicKey),
    Roots(Roots),
}

fn judge(arguments: &VerifyModel) -> Result<Report> {
    let given = match (&arguments.key, &arguments.certificate) {
        (Some(key), _) => Given::Key(PublicKey::from_pem(&pem(key)?)?),
        (None, Some(roots)) => Given::Roots(Roots::from_pem(&pem(roots)?)?),
        (None, None) => return Ok(Report::cannot_tell("nothing is trusted")),
    };
    let trust = match &given {
        Given::Key(key) => Trust::Key(key),
        Given::Roots(roots) => Trust::Roots(roots),
    };
    let model = &arguments.model;
    let place = signature_of(model, arguments.signature.as_ref());
    let bytes = read_small(&place, MAX_BUNDLE_BYTES)?;
    let bytes =
        bytes.with_context(|| format!("{}: it is too large for a bundle", place.display()))?;
    let authentic = Bundle::parse(&bytes)?.verify(trust)?;
    let links = if arguments.follow_links {
        Links::Followed
    } else {
        Links::Refused
    };
    let tree = tree(model, inside(model, &place), links, authentic.statement())?;
    let coverage = authentic.covers(&tree)?;
    Ok(verified(&authentic, &coverage))
}

/// What is there, hashed as the statement wants it. The bundle itself is not a file of the model.
fn tree(model: &Path, bundle: Option<String>, links: Links, statement: &Signed) -> Result<Tree> {
    let _wait = Progress::wait("hashing");
    let mut tree = Tree::default();
    for found in walk(model, links)? {
        if bundle.as_ref() == Some(&found.path) {
            continue;
        }
        match statement.ignores(&found.path) {
            Some(_) => tree.left_out.push(found.path),
            None => tree.files.push(hashed(statement.layout(), &found)?),
        }
    }
    Ok(tree)
}

fn verified(authentic: &Authentic, coverage: &Coverage) -> Report {
    let says = |about, says: String| Statement { about, says };
    let statement = authentic.statement();
    let mut established = vec![says(
        "files",
        format!(
            "{} with {} bytes are, byte for byte, what was signed, and no file is missing",
            coverage.files, coverage.bytes
        ),
    )];
    let mut not_established = Vec::new();
    if !coverage.unsigned.is_empty() {
        let count = coverage.unsigned.len();
        not_established.push(says(
            "not signed",
            format!(
                "{count} files may be anything: {}",
                listed(&coverage.unsigned)
            ),
        ));
    }
    let reason = match authentic.signer() {
        Signer::Key(key) => {
            let hint = key.hint().unwrap_or_default();
            established.push(says(
                "signed by",
                format!("the key {hint} on {}", key.curve()),
            ));
            not_established.push(says(
                "the key",
                "whose it is: that is as sure as where the public key came from".into(),
            ));
            format!("signed by the key {hint}")
        }
        Signer::Certificate(identity) => {
            established.extend(certified(identity));
            not_established.extend(uncertified(identity));
            format!("signed by {}", identity.subject)
        }
    };
    established.push(says(
        "root",
        format!(
            "{} is the digest of the signed files together",
            statement.root()
        ),
    ));
    let name = statement.name().escape_debug();
    not_established.extend([
        says("the model", "what it does, and whether it is good, safe or original: the signature says nothing about it".into()),
        says("its name", format!("that it is called \"{name}\": its signer calls it so")),
        says("time", "when it was signed: a bundle without a log has no time that others vouch for".into()),
        says("rest", format!("paths that were left out: {}; empty directories", listed(statement.ignored()))),
    ]);
    Report {
        status: Status::Verified,
        reason,
        established,
        not_established,
    }
}

fn certified(identity: &Identity) -> Vec<Statement> {
    vec![
        Statement {
            about: "signed by",
            says: format!(
                "the holder of the certificate of {} (SHA-256 {})",
                identity.subject, identity.fingerprint
            ),
        },
        Statement {
            about: "vouched for",
            says: format!(
                "by {}, which you trust, over {} certificates",
                identity.root, identity.chain
            ),
        },
    ]
}

fn uncertified(identity: &Identity) -> Vec<Statement> {
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs();
    let ended = if now_s > identity.not_after_s {
        ", which is over"
    } else {
        ""
    };
    let (from, until) = (date(identity.not_before_s), date(identity.not_after_s));
    vec![Statement {
        about: "validity",
        says: format!(
            "that it was signed while the certificate was valid ({from} to {until}{ended}), and that nobody revoked it"
        ),
    }]
}

/// The day of a time in seconds since 1970, as YYYY-MM-DD (Howard Hinnant's `civil_from_days`).
fn date(time_s: u64) -> String {
    let days = time_s / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        // `date -u -d @N +%F`
        for (time_s, day) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_735_689_599, "2024-12-31"),
            (1_735_689_600, "2025-01-01"),
            (4_102_444_800, "2100-01-01"),
        ] {
            assert_eq!(date(time_s), day);
        }
    }
}
