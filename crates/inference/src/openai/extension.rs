//! What a request says beside its parameters: our own object `assay`, and who asks.

use assay_receipt::Rung;
use serde_json::Value;

use super::Error;
use super::fields::{Field, Fields};
use super::ordered::Members;
use super::parameters::EXTENSION;

/// The longest deadline, in milliseconds: an hour.
const MAX_DEADLINE_MS: i64 = 3_600_000;
/// Digits of the largest nonce.
const MAX_NONCE_DIGITS: usize = 39;
/// Bytes of what names a user or a prefix.
const MAX_LABEL_BYTES: usize = 512;
/// OpenAI's bounds on metadata: pairs, characters of a name, characters of a value.
const MAX_PAIRS: usize = 16;
const MAX_NAME: usize = 64;
const MAX_VALUE: usize = 512;

/// Whether tokens are checked by another operator's node before the client gets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Check {
    /// `streaming`: windows of tokens are checked while they are made.
    Streaming,
    /// `none`: the client takes them unchecked.
    None,
}

impl Check {
    const fn name(self) -> &'static str {
        match self {
            Self::Streaming => "streaming",
            Self::None => "none",
        }
    }
}

/// The object `assay` of a request, which clients send as `extra_body`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Extension {
    /// The rung of evidence that the answer shall reach.
    pub rung: Option<Rung>,
    /// How the answer is checked on its way.
    pub check: Option<Check>,
    /// The receipt's nonce; a decimal string in JSON, whose numbers end at 2^53 in some clients.
    pub nonce: Option<u128>,
    /// Milliseconds from arrival until an answer is of no use.
    pub deadline_ms: Option<u64>,
}

impl Extension {
    /// Takes `assay` out of a request.
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Error> {
        let Some(field) = fields.take("assay") else {
            return Ok(Self::default());
        };
        let mut inner = Fields::open(field, EXTENSION)?;
        let rung = inner.take("rung").map(rung).transpose()?;
        let check = inner.take("check").map(check).transpose()?;
        let nonce = inner.take("nonce").map(nonce).transpose()?;
        let deadline_ms = inner.integer("deadline_ms", 1, MAX_DEADLINE_MS)?;
        inner.close()?;
        Ok(Self {
            rung,
            check,
            nonce,
            deadline_ms: deadline_ms.and_then(|ms| u64::try_from(ms).ok()),
        })
    }

    /// Adds `assay` to a request, unless it says nothing.
    pub(super) fn write(&self, into: &mut Members) {
        if *self == Self::default() {
            return;
        }
        let mut inner = Members::default();
        inner.put_some("rung", self.rung.map(rung_name));
        inner.put_some("check", self.check.map(Check::name));
        inner.put_some("nonce", self.nonce.map(|nonce| nonce.to_string()));
        inner.put_some("deadline_ms", self.deadline_ms);
        into.put("assay", inner.object());
    }
}

const fn rung_name(rung: Rung) -> &'static str {
    match rung {
        Rung::Signed => "signed",
        Rung::Replayed => "replayed",
        Rung::Attested => "attested",
        Rung::Proven => "proven",
    }
}

fn rung(field: Field) -> Result<Rung, Error> {
    let path = field.path.clone();
    let name = field.text(MAX_LABEL_BYTES)?;
    let rungs = [Rung::Signed, Rung::Replayed, Rung::Attested, Rung::Proven];
    let found = rungs.into_iter().find(|rung| rung_name(*rung) == name);
    let allowed = "`signed`, `replayed`, `attested` and `proven` are the rungs";
    found.ok_or_else(|| Field::refuse(&path, &name, allowed))
}

fn check(field: Field) -> Result<Check, Error> {
    let path = field.path.clone();
    let name = field.text(MAX_LABEL_BYTES)?;
    let checks = [Check::Streaming, Check::None];
    let found = checks.into_iter().find(|check| check.name() == name);
    found.ok_or_else(|| Field::refuse(&path, &name, "`streaming` and `none` are known"))
}

fn nonce(field: Field) -> Result<u128, Error> {
    let path = field.path.clone();
    let text = field.text(MAX_NONCE_DIGITS)?;
    let number = text.parse::<u128>().ok();
    let canonical = number.filter(|number| number.to_string() == text);
    canonical.ok_or_else(|| Field::refuse(&path, &text, "a decimal number below 2^128 is expected"))
}

/// Who asks, in the application's own words; none of it changes the tokens of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Caller {
    /// The application's user, by its older name.
    pub user: Option<String>,
    /// The application's user, by its newer name.
    pub safety_identifier: Option<String>,
    /// Requests of one key share a prefix: a hint for the choice of the node.
    pub prompt_cache_key: Option<String>,
    /// Names and values that come back with the answer, in the order of the request.
    pub metadata: Vec<(String, String)>,
}

impl Caller {
    /// Takes out what the endpoint's table lets through.
    pub(super) fn read(fields: &mut Fields) -> Result<Self, Error> {
        Ok(Self {
            user: fields.text("user", MAX_LABEL_BYTES)?,
            safety_identifier: fields.text("safety_identifier", MAX_LABEL_BYTES)?,
            prompt_cache_key: fields.text("prompt_cache_key", MAX_LABEL_BYTES)?,
            metadata: fields
                .take("metadata")
                .map(metadata)
                .transpose()?
                .unwrap_or_default(),
        })
    }

    /// Adds what is there to a request.
    pub(super) fn write(&self, into: &mut Members) {
        into.put_some("user", self.user.clone());
        into.put_some("safety_identifier", self.safety_identifier.clone());
        into.put_some("prompt_cache_key", self.prompt_cache_key.clone());
        if !self.metadata.is_empty() {
            into.put("metadata", self.metadata_json());
        }
    }

    /// The metadata as an object.
    pub(super) fn metadata_json(&self) -> Value {
        let each = self.metadata.iter();
        Value::Object(
            each.map(|(name, value)| (name.clone(), value.as_str().into()))
                .collect(),
        )
    }
}

fn metadata(field: Field) -> Result<Vec<(String, String)>, Error> {
    let path = field.path;
    let Value::Object(members) = field.value else {
        return Err(super::fields::wrong_type(&path, "an object", &field.value));
    };
    if members.len() > MAX_PAIRS {
        let message = format!("`{path}` has more than {MAX_PAIRS} pairs");
        return Err(Error::invalid(
            &path,
            "object_above_max_properties",
            message,
        ));
    }
    let mut pairs = Vec::with_capacity(members.len());
    for (name, value) in members {
        let Value::String(value) = value else {
            let message = format!("the values of `{path}` must be strings");
            return Err(Error::invalid(&path, "invalid_type", message));
        };
        if name.chars().count() > MAX_NAME || value.chars().count() > MAX_VALUE {
            let message = format!(
                "`{path}` has names of at most {MAX_NAME} characters and values of at most {MAX_VALUE}"
            );
            return Err(Error::invalid(&path, "string_above_max_length", message));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}
