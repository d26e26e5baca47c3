//! Reading the fields of a request: names, nonces, rungs, deadlines, parameters.

use crate::{
    api::{
        DEFAULT_DEADLINE_MS, InferRequest, MAX_DEADLINE_MS, MIN_DEADLINE_MS, OFFERED_RUNGS,
        PROVE_WITHIN_MS,
    },
    problem::{Kind, Problem},
};
use alloy_primitives::{Address, keccak256};
use assay_receipt::{ParametersDigest, RevisionId, Rung};
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Longest model name without its publisher, bytes; the registry's own limit.
pub const MAX_NAME_BYTES: usize = 96;
/// Deepest nesting of parameters: options of an engine, not documents.
pub const MAX_PARAMETER_DEPTH: usize = 8;
/// Longest canonical form of parameters, bytes.
pub const MAX_PARAMETER_BYTES: usize = 16 * 1024;

/// What a request names as its model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ModelName {
    /// The newest revision under a publisher's name.
    Published {
        /// The publisher's account.
        publisher: Address,
        /// The name, in the registry's alphabet.
        name: String,
    },
    /// This very revision.
    Revision(RevisionId),
}

impl std::fmt::Display for ModelName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Published { publisher, name } => write!(f, "{}/{name}", lower(publisher)),
            Self::Revision(revision) => revision.fmt(f),
        }
    }
}

/// An address in lower-case hex, without the checksum capitals that people retype wrongly.
fn lower(address: &Address) -> String {
    format!("0x{}", alloy_primitives::hex::encode(address))
}

impl std::str::FromStr for ModelName {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let Some((publisher, name)) = text.split_once('/') else {
            let revision = text
                .parse()
                .map_err(|_| bad_model(text, "it has no '/' and is no revision id"))?;
            return Ok(Self::Revision(revision));
        };
        if !publisher.starts_with("0x") {
            return Err(bad_model(text, "the publisher is not 0x and 40 hex digits"));
        }
        let publisher = publisher.parse();
        let publisher =
            publisher.map_err(|_| bad_model(text, "the publisher is not 0x and 40 hex digits"))?;
        if !is_model_name(name) {
            return Err(bad_model(
                text,
                "a name is 1 to 96 of a-z and 0-9, joined by single '.', '_' or '-'",
            ));
        }
        Ok(Self::Published {
            publisher,
            name: name.into(),
        })
    }
}

fn bad_model(text: &str, why: &str) -> Problem {
    let shown: String = text.chars().take(160).collect();
    Problem::new(Kind::BadRequest, format!("model {shown:?}: {why}")).with_hint(
        "name a model as 0xPUBLISHER/NAME or by its revision id; GET /assay/v1/models lists both",
    )
}

/// Whether the model registry takes `name` (its alphabet, length and joints).
pub fn is_model_name(name: &str) -> bool {
    let word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let words = name.split(['.', '_', '-']);
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && words
            .map(str::as_bytes)
            .all(|part| !part.is_empty() && part.iter().all(|c| word(*c)))
}

/// Parameters as an engine and a receipt see them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parameters {
    map: Map<String, Value>,
    digest: ParametersDigest,
}

impl Parameters {
    /// Reads the parameters of a request. None and `{}` are the same: digest zero.
    ///
    /// # Errors
    /// [`Kind::BadParameters`] if they are nested too deeply or too long.
    pub fn of(map: Option<&Map<String, Value>>) -> Result<Self, Problem> {
        let Some(map) = map.filter(|map| !map.is_empty()) else {
            return Ok(Self::default());
        };
        let value = Value::Object(map.clone());
        if depth(&value) > MAX_PARAMETER_DEPTH {
            let text = format!("parameters are nested deeper than {MAX_PARAMETER_DEPTH}");
            return Err(Problem::new(Kind::BadParameters, text));
        }
        let canonical = canonical_json(&value);
        if canonical.len() > MAX_PARAMETER_BYTES {
            let text = format!("parameters take more than {MAX_PARAMETER_BYTES} bytes");
            return Err(Problem::new(Kind::BadParameters, text));
        }
        let digest = ParametersDigest::from_bytes(keccak256(canonical).0);
        Ok(Self {
            map: map.clone(),
            digest,
        })
    }

    /// Keccak-256 of their canonical JSON; zero where there are none.
    pub fn digest(&self) -> ParametersDigest {
        self.digest
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.map.keys().map(String::as_str)
    }
}

fn depth(value: &Value) -> usize {
    // serde_json reads at most 128 levels, so this recursion is bounded.
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(map) => map.values().map(depth).max(),
        _ => return 0,
    };
    inner.unwrap_or(0).saturating_add(1)
}

/// JSON in its one form: no whitespace, keys in order of their code points, numbers as the
/// shortest text that reads back to them.
pub fn canonical_json(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (at, (name, item)) in entries.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                // Writing to a string cannot fail.
                let _ = write!(out, "{}:", Value::String(name.clone()));
                write_canonical(item, out);
            }
            out.push('}');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

impl InferRequest {
    /// The model that is asked.
    ///
    /// # Errors
    /// [`Kind::BadRequest`] for neither a published name nor a revision id.
    pub fn model_name(&self) -> Result<ModelName, Problem> {
        self.model.parse()
    }

    /// The client's nonce, or `None` where the server draws it.
    ///
    /// # Errors
    /// [`Kind::BadRequest`] for what is not a number of 128 bits.
    pub fn nonce(&self) -> Result<Option<u128>, Problem> {
        nonce_of(self.nonce.as_deref())
    }

    /// The rung of evidence that is asked for.
    ///
    /// # Errors
    /// [`Kind::UnsupportedRung`] for an unknown one and for those not offered now.
    pub fn rung(&self) -> Result<Rung, Problem> {
        rung_of(self.rung.as_deref())
    }

    /// Nanoseconds from the request to the time by which proving has to begin, where the client says one.
    ///
    /// # Errors
    /// [`Kind::BadDeadline`] outside of [`PROVE_WITHIN_MS`] and for another rung than `proven`.
    pub fn prove_within_ns(&self) -> Result<Option<u64>, Problem> {
        let Some(within) = self.prove_within_ms else {
            return Ok(None);
        };
        if self.rung()? != Rung::Proven {
            let detail = "prove_within_ms is for the rung `proven` only";
            return Err(Problem::new(Kind::BadDeadline, detail));
        }
        if !PROVE_WITHIN_MS.contains(&within) {
            let (least, most) = (PROVE_WITHIN_MS.start(), PROVE_WITHIN_MS.end());
            let detail = format!("prove_within_ms is {within}; {least} to {most} are possible");
            return Err(Problem::new(Kind::BadDeadline, detail));
        }
        Ok(Some(within.saturating_mul(1_000_000)))
    }

    /// Nanoseconds from the request to the deadline of its settlement.
    ///
    /// # Errors
    /// [`Kind::BadDeadline`] below [`MIN_DEADLINE_MS`] and above [`MAX_DEADLINE_MS`].
    pub fn deadline_ns(&self) -> Result<u64, Problem> {
        deadline_ns_of(self.deadline_ms)
    }
}

/// Reads a nonce; `None` where the server draws it.
///
/// # Errors
/// [`Kind::BadRequest`] for what is not a number of 128 bits.
pub fn nonce_of(text: Option<&str>) -> Result<Option<u128>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `from_str_radix` would take a sign.
    let plain = digits.bytes().all(|c| c.is_ascii_alphanumeric());
    let number = u128::from_str_radix(digits, radix).ok().filter(|_| plain);
    let number = number.ok_or_else(|| {
        Problem::new(Kind::BadRequest, "nonce is not a number of 128 bits")
            .with_hint("send it as a string: decimal digits, or 0x and up to 32 hex digits")
    })?;
    Ok(Some(number))
}

/// Reads a rung, `signed` if there is none.
///
/// # Errors
/// [`Kind::UnsupportedRung`] for an unknown one and for those not offered now.
pub fn rung_of(text: Option<&str>) -> Result<Rung, Problem> {
    let Some(text) = text else {
        return Ok(Rung::Signed);
    };
    let offered: Vec<String> = OFFERED_RUNGS.iter().filter_map(rung_name).collect();
    let wanted = OFFERED_RUNGS
        .into_iter()
        .find(|rung| rung_name(rung).as_deref() == Some(text));
    wanted.ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        let detail = format!(
            "rung {shown:?} is not offered; offered now: {}",
            offered.join(", ")
        );
        Problem::new(Kind::UnsupportedRung, detail)
    })
}

/// Nanoseconds of a deadline of settlement, the default if there is none.
///
/// # Errors
/// [`Kind::BadDeadline`] below [`MIN_DEADLINE_MS`] and above [`MAX_DEADLINE_MS`].
pub fn deadline_ns_of(milliseconds: Option<u64>) -> Result<u64, Problem> {
    let deadline = milliseconds.unwrap_or(DEFAULT_DEADLINE_MS);
    if !(MIN_DEADLINE_MS..=MAX_DEADLINE_MS).contains(&deadline) {
        let detail = format!(
            "deadline_ms is {deadline}; {MIN_DEADLINE_MS} to {MAX_DEADLINE_MS} are possible"
        );
        return Err(Problem::new(Kind::BadDeadline, detail));
    }
    Ok(deadline.saturating_mul(1_000_000))
}

/// The name of a rung as JSON has it.
fn rung_name(rung: &Rung) -> Option<String> {
    serde_json::to_value(rung).ok()?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(fields: Value) -> InferRequest {
        let mut body = json!({"model": "m", "inputs": {}});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn models_are_named_by_publisher_or_revision() {
        let revision = format!("0x{}", "ab".repeat(32));
        let publisher = format!("0x{}", "0c".repeat(20));
        let named = format!("{publisher}/digits-mlp.v2");
        assert_eq!(revision.parse::<ModelName>().unwrap().to_string(), revision);
        assert_eq!(named.parse::<ModelName>().unwrap().to_string(), named);
        let long = format!("{publisher}/{}", "a".repeat(97));
        for bad in [
            "",
            "/",
            "digits",
            "digits/mlp",
            "0x/m",
            &format!("{publisher}/"),
            &format!("{publisher}/A"),
            &format!("{publisher}/a..b"),
            &format!("{publisher}/-a"),
            &format!("{publisher}/a-"),
            &format!("{publisher}/a/b"),
            &format!("{publisher}/ä"),
            &long,
            &publisher,
            &"ab".repeat(32),
            &format!("{revision}0"),
            &format!("{}/m", "0c".repeat(20)),
        ] {
            assert!(bad.parse::<ModelName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn nonces_are_decimal_or_hex() {
        let read = |text: &str| request(json!({"nonce": text})).nonce();
        assert_eq!(request(json!({})).nonce().unwrap(), None);
        assert_eq!(read("7").unwrap(), Some(7));
        assert_eq!(read("0xff").unwrap(), Some(255));
        assert_eq!(read(&u128::MAX.to_string()).unwrap(), Some(u128::MAX));
        for bad in [
            "",
            "0x",
            "-1",
            "+1",
            "0x+1",
            " 1",
            "1_0",
            "abc",
            "1e3",
            "340282366920938463463374607431768211456",
        ] {
            assert_eq!(
                read(bad).unwrap_err().kind(),
                Some(Kind::BadRequest),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn only_offered_rungs_are_taken() {
        let read = |text: &str| request(json!({"rung": text})).rung();
        assert_eq!(request(json!({})).rung().unwrap(), Rung::Signed);
        assert_eq!(read("signed").unwrap(), Rung::Signed);
        assert_eq!(read("proven").unwrap(), Rung::Proven);
        assert_eq!(read("replayed").unwrap(), Rung::Replayed);
        for bad in ["attested", "Proven", "Signed", "", "1"] {
            let problem = read(bad).unwrap_err();
            assert_eq!(problem.kind(), Some(Kind::UnsupportedRung), "{bad:?}");
            assert!(
                problem
                    .detail
                    .ends_with("offered now: signed, replayed, proven"),
                "{}",
                problem.detail
            );
        }
    }

    #[test]
    fn deadlines_are_bounded() {
        let read = |ms: u64| request(json!({"deadline_ms": ms})).deadline_ns();
        assert_eq!(request(json!({})).deadline_ns().unwrap(), 30_000_000_000);
        assert_eq!(read(MIN_DEADLINE_MS).unwrap(), 10_000_000_000);
        for bad in [0, 1, MIN_DEADLINE_MS - 1, MAX_DEADLINE_MS + 1, u64::MAX] {
            assert_eq!(
                read(bad).unwrap_err().kind(),
                Some(Kind::BadDeadline),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_time_to_prove_within_is_bounded_and_for_proofs_only() {
        let read = |rung: &str, ms: u64| {
            request(json!({"rung": rung, "prove_within_ms": ms})).prove_within_ns()
        };
        assert_eq!(request(json!({})).prove_within_ns().unwrap(), None);
        assert_eq!(read("proven", 1_000).unwrap(), Some(1_000_000_000));
        for (rung, bad) in [("proven", 999), ("proven", 86_400_001), ("signed", 1_000)] {
            let problem = read(rung, bad).unwrap_err();
            assert_eq!(problem.kind(), Some(Kind::BadDeadline), "{rung} {bad}");
        }
    }

    #[test]
    fn parameters_have_one_digest_whatever_their_order() {
        let digest = |text: &str| {
            let map: Map<String, Value> = serde_json::from_str(text).unwrap();
            Parameters::of(Some(&map)).unwrap().digest()
        };
        assert!(Parameters::of(None).unwrap().digest().is_zero());
        assert!(digest("{}").is_zero());
        assert_eq!(
            digest(r#"{"a":1,"b":{"d":[1,2],"c":null}}"#),
            digest(r#"{ "b":{"c":null,"d":[1,2]},"a":1}"#)
        );
        assert_ne!(digest(r#"{"a":1}"#), digest(r#"{"a":2}"#));
        assert_ne!(digest(r#"{"a":"1"}"#), digest(r#"{"a":1}"#));
        let text = r#"{"é":"\n\"","a":[true,1.5,-2]}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(canonical_json(&value), r#"{"a":[true,1.5,-2],"é":"\n\""}"#);
    }

    #[test]
    fn parameters_are_bounded() {
        let deep = (0..MAX_PARAMETER_DEPTH).fold(json!(1), |inner, _| json!([inner]));
        let deep = json!({ "a": deep });
        let long = json!({"a": "x".repeat(MAX_PARAMETER_BYTES)});
        for bad in [deep, long] {
            let problem = Parameters::of(bad.as_object()).unwrap_err();
            assert_eq!(problem.kind(), Some(Kind::BadParameters));
        }
    }
}
