//! `assay model lineage`: what a model was made of, from signed statements and from the tensors themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use assay_blob::{BlobId, Sha256};
use assay_hub::provenance::{
    Bom, BomFile, Edge, Lineage, MAX_STATEMENT_BYTES, Relation, SignedStep, Standing, Step,
    Verification, bom,
};
use assay_hub::sketch::{Likeness, Sketch};
use assay_hub::tensors::Weights;
use assay_hub::tensors::compare::{Finding, fine_tuned_from, merged_from, quantised_from};
use assay_inference::{Revision, RevisionLimits};
use assay_receipt::{NodeAddress, RevisionId};
use serde::Serialize;
use serde_json::json;
use sha2::Digest as _;

use super::tree::{Links, Opened, read, read_small, walk};
use crate::cli::LineageOf;
use crate::complaint::{Complaint, Exit};
use crate::output::{Form, Progress, rows};

/// Merges are sought among at most so many candidates: every two of them are tried.
const MAX_MERGE_CANDIDATES: usize = 8;

/// A model on disk.
struct Model {
    name: String,
    revision: RevisionId,
    files: Vec<BomFile>,
    weights: Option<Weights<Opened>>,
}

impl Model {
    fn open(directory: &Path) -> Result<Self> {
        if !directory.is_dir() {
            let message = format!("{}: it is no directory", directory.display());
            return Err(Complaint::failed(message)
                .hint("name the directories of models")
                .into());
        }
        let (mut files, mut sizes, mut parts) = (Vec::new(), BTreeMap::new(), Vec::new());
        for found in walk(directory, Links::Refused)? {
            let (mut blake3, mut sha256, mut size) =
                (blake3::Hasher::new(), sha2::Sha256::new(), 0u64);
            read(&found.place, |bytes| {
                blake3.update(bytes);
                sha256.update(bytes);
                size = size.saturating_add(bytes.len() as u64);
            })?;
            if found.path.ends_with(".safetensors") {
                let opened = Weights::open(Opened::new(&found.place)?);
                parts.push(opened.with_context(|| found.place.display().to_string())?);
            }
            sizes.insert(found.path.clone(), size);
            files.push(BomFile {
                path: found.path,
                blake3: BlobId::from_bytes(*blake3.finalize().as_bytes()),
                sha256: Some(Sha256::from_bytes(sha256.finalize().into())),
            });
        }
        let weights = match parts.is_empty() {
            true => None,
            false => Some(Weights::join(parts).with_context(|| directory.display().to_string())?),
        };
        let name = directory.canonicalize()?;
        let name = name
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            name: name.unwrap_or_default(),
            revision: revision_of(directory, &files, &sizes)?,
            files,
            weights,
        })
    }
}

/// What a directory is called, and the revision that it is.
///
/// # Errors
/// A complaint about files that cannot be read.
pub fn identity(directory: &Path) -> Result<(String, RevisionId)> {
    let model = Model::open(directory)?;
    Ok((model.name, model.revision))
}

/// The id under which the network knows these files: the engine manifest's if it lists them all, otherwise that of the list of
/// all files, by path, in canonical JSON.
fn revision_of(
    directory: &Path,
    files: &[BomFile],
    sizes: &BTreeMap<String, u64>,
) -> Result<RevisionId> {
    if let Ok(revision) = Revision::open(directory, &RevisionLimits::default()) {
        let listed: BTreeSet<&str> = revision
            .manifest()
            .files
            .iter()
            .map(|file| file.path.as_str())
            .collect();
        let others = files.iter().filter(|file| file.path != "manifest.json");
        if others.clone().count() == listed.len()
            && others
                .map(|file| file.path.as_str())
                .all(|path| listed.contains(path))
        {
            return Ok(revision.id());
        }
    }
    let listed = files.iter().map(|file| {
        let size = sizes.get(&file.path).copied().unwrap_or_default();
        json!({ "blake3": file.blake3, "path": file.path, "size": size })
    });
    let manifest = json!({ "files": listed.collect::<Vec<_>>(), "format": 2 });
    let bytes = serde_json::to_vec(&manifest)?;
    Ok(RevisionId::from_bytes(blake3::derive_key(
        "assay.network revision manifest v1",
        &bytes,
    )))
}

/// What was found about one candidate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    name: String,
    revision: RevisionId,
    /// Files with the same bytes in both.
    equal_files: usize,
    likeness: Option<Likeness>,
    copy: bool,
    quantised_from: Option<Finding>,
    fine_tuned_from: Option<Finding>,
}

/// What was found about two candidates together.
#[derive(Debug, Serialize)]
struct Merge {
    parents: [String; 2],
    #[serde(flatten)]
    finding: Finding,
}

/// What `assay model lineage` says.
#[derive(Debug, Serialize)]
struct Found {
    model: String,
    revision: RevisionId,
    edges: Vec<Edge>,
    candidates: Vec<Candidate>,
    merges: Vec<Merge>,
    #[serde(skip)]
    graph: String,
}

/// `assay model lineage`.
///
/// # Errors
/// A complaint about models and statements that cannot be read, and signatures that do not hold.
pub fn lineage(arguments: &LineageOf, form: Form) -> Result<Exit> {
    let wait = Progress::wait("reading");
    let models = arguments
        .models
        .iter()
        .map(|directory| Model::open(directory));
    let models: Vec<Model> = models.collect::<Result<_>>()?;
    let Some((child, parents)) = models.split_first() else {
        return Err(Complaint::usage("no model is named").into());
    };
    let mut graph = Lineage::default();
    let publishers = arguments.publisher.iter().map(|address| {
        let parsed: Result<NodeAddress, _> = address.parse();
        parsed.map_err(|error| Complaint::usage(format!("--publisher {address}: {error}")))
    });
    let publishers: BTreeSet<NodeAddress> = publishers.collect::<Result<_, _>>()?;
    let mut steps = Vec::new();
    for place in &arguments.statement {
        let signed = statement(place)?;
        graph.step(&signed, &publishers, false);
        steps.push(signed.step().clone());
    }
    let candidates = parents
        .iter()
        .map(|parent| compared(child, parent, &mut graph));
    let candidates: Vec<Candidate> = candidates.collect::<Result<_>>()?;
    let merges = merges(child, parents, &candidates, &mut graph)?;
    let names: BTreeMap<RevisionId, &str> = models
        .iter()
        .map(|model| (model.revision, model.name.as_str()))
        .collect();
    let name = |revision: RevisionId| match names.get(&revision) {
        Some(name) => format!("{name}  {revision}"),
        None => revision.to_string(),
    };
    let found = Found {
        model: child.name.clone(),
        revision: child.revision,
        edges: graph.edges().cloned().collect(),
        candidates,
        merges,
        graph: graph.text(child.revision, &name),
    };
    drop(wait);
    if let Some(place) = &arguments.bom {
        write_bom(place, child, &graph, &steps)?;
    }
    form.print(&found, text)?;
    Ok(Exit::Done)
}

fn statement(place: &Path) -> Result<SignedStep> {
    let bytes = read_small(place, 2 * MAX_STATEMENT_BYTES)?;
    let bytes = bytes.with_context(|| format!("{}: it is too large", place.display()))?;
    SignedStep::of_account(&bytes).map_err(|error| {
        Complaint::failed(format!("{}: {error}", place.display()))
            .hint("give a statement that an account signed, in a DSSE envelope")
            .into()
    })
}

fn compared(child: &Model, parent: &Model, graph: &mut Lineage) -> Result<Candidate> {
    let digests: BTreeSet<BlobId> = parent.files.iter().map(|file| file.blake3).collect();
    let equal_files = child
        .files
        .iter()
        .filter(|file| digests.contains(&file.blake3))
        .count();
    let mut candidate = Candidate {
        name: parent.name.clone(),
        revision: parent.revision,
        equal_files,
        likeness: None,
        copy: false,
        quantised_from: None,
        fine_tuned_from: None,
    };
    let (Some(ours), Some(theirs)) = (&child.weights, &parent.weights) else {
        return Ok(candidate);
    };
    let likeness = Sketch::of(ours)?.likeness(&Sketch::of(theirs)?);
    let quantised = quantised_from(ours, theirs)?;
    let tuned = fine_tuned_from(ours, theirs)?;
    let mut verify = |relation, finding: &Finding| {
        let found = Verification::Comparison {
            finding: finding.clone(),
        };
        graph.verification(child.revision, &[parent.revision], relation, &found);
    };
    verify(Relation::QuantisedFrom, &quantised);
    // Rounding leaves everything in place: a quantised model would pass for a fine-tuned one, too.
    if !quantised.holds {
        verify(Relation::FineTunedFrom, &tuned);
    }
    candidate.likeness = Some(likeness);
    candidate.copy = likeness.is_copy();
    candidate.quantised_from = Some(quantised);
    candidate.fine_tuned_from = Some(tuned);
    Ok(candidate)
}

fn merges(
    child: &Model,
    parents: &[Model],
    candidates: &[Candidate],
    graph: &mut Lineage,
) -> Result<Vec<Merge>> {
    let Some(weights) = &child.weights else {
        return Ok(Vec::new());
    };
    let related = parents.iter().zip(candidates);
    let quantised = |candidate: &Candidate| {
        candidate
            .quantised_from
            .as_ref()
            .is_some_and(|found| found.holds)
    };
    let related: Vec<&Model> = related
        .filter(|(parent, candidate)| parent.weights.is_some() && !quantised(candidate))
        .map(|(parent, _)| parent)
        .take(MAX_MERGE_CANDIDATES)
        .collect();
    let mut merges = Vec::new();
    for (index, one) in related.iter().enumerate() {
        for other in related.iter().skip(index + 1) {
            let (Some(first), Some(second)) = (&one.weights, &other.weights) else {
                continue;
            };
            let finding = merged_from(weights, first, second)?;
            let found = Verification::Comparison {
                finding: finding.clone(),
            };
            graph.verification(
                child.revision,
                &[one.revision, other.revision],
                Relation::MergedFrom,
                &found,
            );
            merges.push(Merge {
                parents: [one.name.clone(), other.name.clone()],
                finding,
            });
        }
    }
    Ok(merges)
}

fn write_bom(place: &Path, child: &Model, graph: &Lineage, steps: &[Step]) -> Result<()> {
    let edges: Vec<&Edge> = graph.parents(child.revision).collect();
    let document = bom(&Bom {
        name: &child.name,
        revision: child.revision,
        publisher: None,
        description: None,
        licence: None,
        task: None,
        files: &child.files,
        step: steps.iter().find(|step| step.revision == child.revision),
        edges: &edges,
        signature: child
            .files
            .iter()
            .find(|file| file.path == "model.sig")
            .map(|file| file.path.as_str()),
    });
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    std::fs::write(place, text).with_context(|| place.display().to_string())
}

fn text(found: &Found) -> String {
    let mut text = format!("{}\n", found.graph);
    for candidate in &found.candidates {
        let mut lines = vec![("equal files", candidate.equal_files.to_string())];
        if let Some(likeness) = candidate.likeness {
            let copy = if candidate.copy {
                "a near copy"
            } else {
                "no near copy"
            };
            lines.push((
                "sketch",
                format!("{copy}: {:.1} % of the smaller one", likeness.share * 100.0),
            ));
        }
        for (what, finding) in [
            ("quantised", &candidate.quantised_from),
            ("fine-tuned", &candidate.fine_tuned_from),
        ] {
            lines.extend(
                finding
                    .as_ref()
                    .map(|finding| (what, finding_text(finding))),
            );
        }
        text.push_str(&format!("\n{}\n{}\n", candidate.name, rows(2, &lines)));
    }
    for merge in &found.merges {
        let [one, other] = &merge.parents;
        let line = [("merged", finding_text(&merge.finding))];
        text.push_str(&format!("\n{one} and {other}\n{}\n", rows(2, &line)));
    }
    let standings = [
        (Standing::Claimed, "somebody says so"),
        (Standing::Signed, "the publisher signed it"),
        (
            Standing::Verified,
            "the tensors bear it out; they do not say which of two models was first",
        ),
    ];
    let used = standings
        .iter()
        .filter(|(standing, _)| found.edges.iter().any(|edge| edge.standing == *standing));
    let legend: Vec<(String, &str)> = used
        .map(|(standing, words)| (standing.to_string(), *words))
        .collect();
    if !legend.is_empty() {
        text.push_str(&format!("\n{}\n", rows(0, &legend)));
    }
    text
}

fn finding_text(finding: &Finding) -> String {
    let verdict = if finding.holds { "yes" } else { "no" };
    let figures = &finding.figures;
    let mut text = format!("{verdict}: {}", finding.reason);
    if let Some(correlation) = figures.correlation {
        text.push_str(&format!("; correlation {correlation:.4}"));
    }
    if let Some(steps) = figures.rms_steps {
        text.push_str(&format!("; error {steps:.3} steps"));
    }
    if let Some(residual) = figures.residual {
        text.push_str(&format!(
            "; {:.2} % of the parents' distance left over",
            residual * 100.0
        ));
    }
    text
}
