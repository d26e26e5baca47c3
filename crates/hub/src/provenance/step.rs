//! One step of a model's making, as an in-toto statement.

use std::collections::BTreeMap;

use assay_blob::signing::{Json, Object, STATEMENT_TYPE};
use assay_receipt::RevisionId;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Error;

/// The predicate of a step.
pub const PREDICATE_TYPE: &str = "https://assay.network/provenance/step/v1";

/// The digest in a subject that is a revision's id.
const REVISION: &str = "assayRevision";

const MAX_PARENTS: usize = 64;
const MAX_DATASETS: usize = 1024;
const MAX_PARAMETERS: usize = 1024;
const MAX_TEXT: usize = 4096;

/// What a child is to its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// Made from nothing but data.
    Trained,
    /// Trained further.
    FineTunedFrom,
    /// The same in a shorter number format.
    QuantisedFrom,
    /// A combination of several.
    MergedFrom,
    /// Small weights that are used together with the parent's.
    AdapterOf,
    /// The same in another file format.
    ConvertedFrom,
}

impl Relation {
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Trained, "trained", "trained"),
        (Self::FineTunedFrom, "fine-tuned-from", "fine-tuned from"),
        (Self::QuantisedFrom, "quantised-from", "quantised from"),
        (Self::MergedFrom, "merged-from", "merged from"),
        (Self::AdapterOf, "adapter-of", "adapter of"),
        (Self::ConvertedFrom, "converted-from", "converted from"),
    ];

    /// Its name in statements.
    pub fn name(self) -> &'static str {
        let known = Self::ALL
            .into_iter()
            .find(|(relation, ..)| *relation == self);
        known.map_or("", |(_, name, _)| name)
    }

    /// Its name for people.
    pub fn words(self) -> &'static str {
        let known = Self::ALL
            .into_iter()
            .find(|(relation, ..)| *relation == self);
        known.map_or("", |(.., words)| words)
    }

    fn named(name: &str) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|(_, its, _)| *its == name);
        known.map(|(relation, ..)| relation)
    }

    /// The relation that a card's `base_model_relation` means on today's public hub: `finetune`, `quantized`, `merge`,
    /// `adapter`; a base without one counts as fine-tuned.
    pub fn of_card(word: Option<&str>) -> Option<Self> {
        match word {
            None | Some("finetune") => Some(Self::FineTunedFrom),
            Some("quantized") => Some(Self::QuantisedFrom),
            Some("merge") => Some(Self::MergedFrom),
            Some("adapter") => Some(Self::AdapterOf),
            Some(_) => None,
        }
    }
}

/// A model that went into a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    /// Its revision.
    pub revision: RevisionId,
    /// Where its publisher has it, as `publisher/name`; informative.
    pub repository: Option<String>,
}

/// Data that went into a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Its name; informative.
    pub name: String,
    /// What names its bytes: algorithm (`sha256`, `blake3`, `assayRevision`, ...) and lower-case hex digits, at least one.
    pub digest: BTreeMap<String, String>,
}

/// The program that carried a step out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is found; informative.
    pub uri: Option<String>,
}

/// How a revision came about, as its author tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The model's name; informative.
    pub name: String,
    /// The revision that came out.
    pub revision: RevisionId,
    /// What was done.
    pub relation: Relation,
    /// The models that went in; none for [`Relation::Trained`], several only for [`Relation::MergedFrom`].
    pub parents: Vec<Parent>,
    /// The data that went in.
    pub datasets: Vec<Dataset>,
    /// The program.
    pub tool: Tool,
    /// Its parameters.
    pub parameters: BTreeMap<String, Json>,
}

fn wrong(reason: impl Into<String>) -> Error {
    Error::Malformed(reason.into())
}

impl Step {
    /// Whether it says something that can be: numbers of parents, lengths, digests in their one form.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn check(&self) -> Result<(), Error> {
        let count = self.parents.len();
        let fits = match self.relation {
            Relation::Trained => count == 0,
            Relation::MergedFrom => (2..=MAX_PARENTS).contains(&count),
            _ => count == 1,
        };
        if !fits {
            return Err(wrong(format!(
                "{count} parents of a model that is {}",
                self.relation.words()
            )));
        }
        let mut seen = std::collections::BTreeSet::from([self.revision]);
        for parent in &self.parents {
            if parent.revision.is_zero() || !seen.insert(parent.revision) {
                return Err(wrong("a parent is zero, twice, or the model itself"));
            }
        }
        if self.datasets.len() > MAX_DATASETS || self.parameters.len() > MAX_PARAMETERS {
            return Err(wrong("too many data sets or parameters"));
        }
        self.datasets.iter().try_for_each(check_dataset)?;
        let texts = [&self.name, &self.tool.name, &self.tool.version];
        let more = self
            .parents
            .iter()
            .filter_map(|parent| parent.repository.as_ref());
        let more = more.chain(&self.tool.uri).chain(self.parameters.keys());
        if texts
            .into_iter()
            .chain(more)
            .any(|text| text.is_empty() || text.len() > MAX_TEXT)
        {
            return Err(wrong("a name is empty or too long"));
        }
        Ok(())
    }

    /// The statement as it is signed: JSON with keys ascending and no white space.
    ///
    /// # Errors
    /// [`Error::Malformed`] for a step that cannot be, [`Error::TooLarge`].
    pub fn to_statement(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        let parents: Vec<_> = self.parents.iter().map(parent_json).collect();
        let datasets = self.datasets.iter();
        let datasets: Vec<_> = datasets
            .map(|dataset| json!({ "name": dataset.name, "digest": dataset.digest }))
            .collect();
        let mut tool = json!({ "name": self.tool.name, "version": self.tool.version });
        if let (Some(uri), Some(fields)) = (&self.tool.uri, tool.as_object_mut()) {
            fields.insert("uri".into(), json!(uri));
        }
        let parameters =
            serde_json::to_value(&self.parameters).map_err(|e| wrong(e.to_string()))?;
        let mut statement = json!({
            "_type": STATEMENT_TYPE,
            "predicateType": PREDICATE_TYPE,
            "subject": [{ "name": self.name, "digest": { REVISION: digits(self.revision) } }],
            "predicate": {
                "relation": self.relation.name(),
                "parents": parents,
                "datasets": datasets,
                "tool": tool,
                "parameters": parameters,
            },
        });
        // What is signed has one form.
        statement.sort_all_objects();
        let bytes = serde_json::to_vec(&statement).map_err(|error| wrong(error.to_string()))?;
        match bytes.len() > super::MAX_STATEMENT_BYTES {
            true => Err(Error::TooLarge {
                bytes: bytes.len(),
                most: super::MAX_STATEMENT_BYTES,
            }),
            false => Ok(bytes),
        }
    }

    /// Reads a statement.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another predicate, for a field that is missing, twice or unknown, and for a step that cannot be.
    pub fn of_statement(bytes: &[u8]) -> Result<Self, Error> {
        read(bytes).map_err(|error| wrong(error.to_string()))?
    }
}

/// The inner result is of the step's own rules, the outer one of its JSON.
fn read(bytes: &[u8]) -> Result<Result<Step, Error>, assay_blob::signing::Error> {
    let mut object = Json::parse("statement", bytes)?.object("statement")?;
    for (field, expected) in [("_type", STATEMENT_TYPE), ("predicateType", PREDICATE_TYPE)] {
        let found = object.need(field)?.text(field)?;
        if found != expected {
            return Ok(Err(wrong(format!(
                "{field} is {}, not {expected}",
                found.escape_debug()
            ))));
        }
    }
    let mut subjects = object.need("subject")?.list("subject")?;
    let mut predicate = object.need("predicate")?.object("predicate")?;
    object.finish("statement")?;
    let (Some(subject), true) = (subjects.pop(), subjects.is_empty()) else {
        return Ok(Err(wrong("there has to be exactly one subject")));
    };
    let mut subject = subject.object("subject")?;
    let name = subject.need("name")?.text("name")?;
    let mut digest = subject.need("digest")?.object("digest")?;
    let revision = digest.need(REVISION)?.text(REVISION)?;
    digest.finish("digest")?;
    subject.finish("subject")?;
    let relation = predicate.need("relation")?.text("relation")?;
    let parents = predicate.need("parents")?.list("parents")?;
    let parents: Result<Vec<_>, _> = parents.into_iter().map(read_parent).collect();
    let datasets = predicate.need("datasets")?.list("datasets")?;
    let datasets: Result<Vec<_>, _> = datasets.into_iter().map(read_dataset).collect();
    let tool = read_tool(predicate.need("tool")?.object("tool")?)?;
    let parameters = predicate.need("parameters")?.object("parameters")?;
    predicate.finish("predicate")?;
    let (Some(relation), Some(revision)) = (Relation::named(&relation), revision_of(&revision))
    else {
        return Ok(Err(wrong(
            "an unknown relation, or a revision that is not 64 hex digits",
        )));
    };
    let Some(parents) = parents?.into_iter().collect() else {
        return Ok(Err(wrong("a parent's revision is not 64 hex digits")));
    };
    let step = Step {
        name,
        revision,
        relation,
        parents,
        datasets: datasets?,
        tool,
        parameters: parameters.into_fields(),
    };
    Ok(step.check().map(|()| step))
}

fn read_parent(json: Json) -> Result<Option<Parent>, assay_blob::signing::Error> {
    let mut object = json.object("parent")?;
    let mut digest = object.need("digest")?.object("digest")?;
    let revision = digest.need(REVISION)?.text(REVISION)?;
    digest.finish("digest")?;
    let repository = object
        .take("repository")
        .map(|json| json.text("repository"));
    let repository = repository.transpose()?;
    object.finish("parent")?;
    Ok(revision_of(&revision).map(|revision| Parent {
        revision,
        repository,
    }))
}

fn read_dataset(json: Json) -> Result<Dataset, assay_blob::signing::Error> {
    let mut object = json.object("data set")?;
    let name = object.need("name")?.text("name")?;
    let digest = object.need("digest")?.object("digest")?;
    object.finish("data set")?;
    let digest = digest.into_fields().into_iter();
    let digest = digest.map(|(algorithm, json)| Ok((algorithm, json.text("digest")?)));
    Ok(Dataset {
        name,
        digest: digest.collect::<Result<_, assay_blob::signing::Error>>()?,
    })
}

fn read_tool(mut object: Object) -> Result<Tool, assay_blob::signing::Error> {
    let tool = Tool {
        name: object.need("name")?.text("name")?,
        version: object.need("version")?.text("version")?,
        uri: object
            .take("uri")
            .map(|json| json.text("uri"))
            .transpose()?,
    };
    object.finish("tool")?;
    Ok(tool)
}

fn check_dataset(dataset: &Dataset) -> Result<(), Error> {
    let hex = |text: &str| {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (40..=128).contains(&text.len()) && text.len().is_multiple_of(2) && text.bytes().all(digit)
    };
    let algorithm = |text: &str| {
        (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let good = !dataset.digest.is_empty()
        && dataset.digest.len() <= 8
        && dataset
            .digest
            .iter()
            .all(|(name, digits)| algorithm(name) && hex(digits))
        && (1..=MAX_TEXT).contains(&dataset.name.len());
    match good {
        true => Ok(()),
        false => Err(wrong(
            "a data set has no name, or no digest in lower-case hex",
        )),
    }
}

fn parent_json(parent: &Parent) -> serde_json::Value {
    let mut json = json!({ "digest": { REVISION: digits(parent.revision) } });
    if let (Some(repository), Some(fields)) = (&parent.repository, json.as_object_mut()) {
        fields.insert("repository".into(), json!(repository));
    }
    json
}

/// In-toto digests are hex digits without a prefix.
fn digits(revision: RevisionId) -> String {
    let text = revision.to_string();
    text.strip_prefix("0x").unwrap_or_default().to_owned()
}

fn revision_of(digits: &str) -> Option<RevisionId> {
    format!("0x{digits}").parse().ok()
}
