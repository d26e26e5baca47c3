//! What may be asked of the search: parameters of a query, each with its limits.

use crate::hub::{ApiError, now_ms};
use assay_hub::{Kind, listing::count, query::Query};
use assay_search::{
    Filters, Query as Sought, Sort,
    document::{Port, Provenance, Signature},
};

/// Longest query, bytes: a paragraph.
const MAX_QUERY: usize = 2_000;
/// Hits where the asker does not say how many.
const HITS: usize = 20;
/// Most hits of an answer.
const MAX_HITS: usize = 100;
/// Most hits that are skipped: beyond that nothing is relevant.
const MAX_OFFSET: usize = 1_000;
/// Longest value of a filter, bytes.
const MAX_VALUE: usize = 128;
/// Most values of one filter.
const MAX_VALUES: usize = 16;
/// Longest part of a name or a value that a refusal repeats, characters.
const MAX_REPEATED: usize = 40;

/// Every parameter.
pub(super) const PARAMETERS: [&str; 23] = [
    "q",
    "task",
    "library",
    "license",
    "language",
    "tag",
    "quantised",
    "min_parameters",
    "max_parameters",
    "max_size",
    "rung",
    "max_price",
    "evaluated_on",
    "input",
    "output",
    "namespace",
    "base_model",
    "provenance",
    "sort",
    "limit",
    "offset",
    "facets",
    "dataset",
];

const SORTS: [(&str, Sort); 6] = [
    ("relevance", Sort::Relevance),
    ("downloads", Sort::Downloads),
    ("recency", Sort::Recency),
    ("accuracy", Sort::Accuracy),
    ("cost", Sort::Cost),
    ("usage", Sort::Usage),
];
const PROVENANCES: [(&str, Provenance); 4] = [
    ("unsigned", Provenance::Unsigned),
    ("signed", Provenance::Signed),
    ("attested", Provenance::Attested),
    ("verified", Provenance::Verified),
];
const YES_OR_NO: [(&str, bool); 6] = [
    ("true", true),
    ("True", true),
    ("1", true),
    ("false", false),
    ("False", false),
    ("0", false),
];
const RUNGS: [(&str, &str); 4] = [
    ("signed", "signed"),
    ("replayed", "replayed"),
    ("attested", "attested"),
    ("proven", "proven"),
];

const PORT_KINDS: [&str; 6] = ["text", "image", "audio", "video", "table", "tensor"];
const ELEMENTS: [&str; 14] = [
    "f16", "bf16", "f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "bool",
    "string",
];
/// Most dimensions of an input or output.
const MAX_DIMENSIONS: usize = 8;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asking {
    pub kind: Kind,
    pub sought: Sought,
}

impl Asking {
    /// Reads a query. What is empty is not there.
    ///
    /// # Errors
    /// [`Fault::BadRequest`](assay_hub::Fault::BadRequest) naming the parameter that there is not, or whose value means
    /// nothing.
    pub(super) fn parse(query: &Query) -> Result<Self, ApiError> {
        if let Some(name) = query.names().find(|name| !PARAMETERS.contains(name)) {
            return Err(ApiError::bad_request(format!(
                "there is no parameter `{}`; there are {}",
                clipped(name),
                PARAMETERS.join(", ")
            )));
        }
        let text = one(query, "q", MAX_QUERY)?.unwrap_or_default();
        let limit = number(query, "limit")?.unwrap_or(HITS).clamp(1, MAX_HITS);
        let offset = number(query, "offset")?.unwrap_or(0);
        if offset > MAX_OFFSET {
            return Err(refused("offset", format!("it is at most {MAX_OFFSET}")));
        }
        let kind = match among(query, "dataset", &YES_OR_NO)? {
            Some(true) => Kind::Dataset,
            _ => Kind::Model,
        };
        Ok(Self {
            kind,
            sought: Sought {
                text: text.to_owned(),
                filters: filters(query)?,
                sort: among(query, "sort", &SORTS)?.unwrap_or_default(),
                offset,
                limit,
                facets: among(query, "facets", &YES_OR_NO)?.unwrap_or(false),
                now_ms: now_ms(),
                ..Sought::default()
            },
        })
    }
}

fn filters(query: &Query) -> Result<Filters, ApiError> {
    let owned = |name| Ok::<_, ApiError>(one(query, name, MAX_VALUE)?.map(str::to_owned));
    let counted = |name| {
        let text = one(query, name, MAX_VALUE)?;
        text.map(count)
            .transpose()
            .map_err(|error| refused(name, error.to_string()))
    };
    Ok(Filters {
        tasks: many(query, "task")?,
        libraries: many(query, "library")?,
        licences: many(query, "license")?,
        languages: many(query, "language")?,
        tags: many(query, "tag")?,
        quantised: among(query, "quantised", &YES_OR_NO)?,
        parameters_min: counted("min_parameters")?,
        parameters_max: counted("max_parameters")?,
        bytes_max: one(query, "max_size", MAX_VALUE)?
            .map(|text| {
                let rule = "it is a number of bytes such as 500MB, 8GB or 1000000";
                bytes(text).ok_or_else(|| refused("max_size", rule))
            })
            .transpose()?,
        price_max_microcredits: number(query, "max_price")?,
        rung: among(query, "rung", &RUNGS)?.map(str::to_owned),
        evaluated_on: owned("evaluated_on")?,
        signature: signature(query)?,
        namespace: owned("namespace")?,
        base: owned("base_model")?,
        provenance: among(query, "provenance", &PROVENANCES)?,
        ..Filters::default()
    })
}

/// What goes in and comes out, where something is said of either.
fn signature(query: &Query) -> Result<Option<Signature>, ApiError> {
    let ports = |name| {
        let texts = many(query, name)?;
        let rule = "it is a kind (text, image, audio, video, table, tensor) or an element type such as f32, with the \
                    dimensions if they matter: f32[*x64]";
        let read = texts
            .iter()
            .map(|text| port(text).ok_or_else(|| refused(name, rule)));
        read.collect::<Result<Vec<_>, _>>()
    };
    let wanted = Signature {
        inputs: ports("input")?,
        outputs: ports("output")?,
    };
    Ok((wanted != Signature::default()).then_some(wanted))
}

/// Reads `text`, `f32`, `f32[*x64]`, `tensor[1x8x8]`: `*` is any number.
fn port(text: &str) -> Option<Port> {
    let (word, dimensions) = match text.split_once('[') {
        Some((word, rest)) => (word, Some(rest.strip_suffix(']')?)),
        None => (text, None),
    };
    let is_kind = PORT_KINDS.contains(&word);
    if !is_kind && !ELEMENTS.contains(&word) {
        return None;
    }
    let dimension = |text: &str| match text {
        "*" => Some(None),
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => number.parse().ok().map(Some),
        _ => None,
    };
    let shape = dimensions.map_or(Some(Vec::new()), |all| {
        all.split('x').map(dimension).collect()
    })?;
    let (kind, element) = match is_kind {
        true => (word, ""),
        false => ("tensor", word),
    };
    (shape.len() <= MAX_DIMENSIONS).then(|| Port {
        kind: kind.into(),
        element: element.into(),
        shape,
    })
}

fn refused(name: &str, rule: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("{name}: {rule}"))
}

/// The beginning of what a client sent, for a refusal.
fn clipped(text: &str) -> String {
    text.chars().take(MAX_REPEATED).collect()
}

/// The value of a parameter that is given once.
fn one<'a>(query: &'a Query, name: &'a str, most: usize) -> Result<Option<&'a str>, ApiError> {
    let mut values = query.all(name).filter(|value| !value.is_empty());
    let value = values.next();
    if values.next().is_some() {
        return Err(refused(name, "it is given once"));
    }
    if value.is_some_and(|value| value.len() > most) {
        return Err(refused(name, format!("it has at most {most} bytes")));
    }
    Ok(value)
}

/// The values of a parameter that may repeat, or that commas join.
fn many(query: &Query, name: &str) -> Result<Vec<String>, ApiError> {
    let values = query.all(name).flat_map(|values| values.split(','));
    let values = values.map(str::trim).filter(|value| !value.is_empty());
    let values: Vec<String> = values.take(MAX_VALUES + 1).map(str::to_owned).collect();
    if values.len() > MAX_VALUES {
        return Err(refused(name, format!("it has at most {MAX_VALUES} values")));
    }
    if values.iter().any(|value| value.len() > MAX_VALUE) {
        return Err(refused(
            name,
            format!("a value has at most {MAX_VALUE} bytes"),
        ));
    }
    Ok(values)
}

fn number<T: std::str::FromStr>(query: &Query, name: &str) -> Result<Option<T>, ApiError> {
    let text = one(query, name, MAX_VALUE)?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    text.map(|text| {
        let number = Some(text)
            .filter(|text| digits(text))
            .and_then(|text| text.parse().ok());
        number.ok_or_else(|| refused(name, "it is a whole number"))
    })
    .transpose()
}

/// The meaning of a parameter that is one of a few words.
fn among<T: Copy>(query: &Query, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ApiError> {
    let Some(text) = one(query, name, MAX_VALUE)? else {
        return Ok(None);
    };
    let found = words.iter().find(|(word, _)| *word == text);
    let Some((_, meaning)) = found else {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let rule = format!("`{}` is none of {}", clipped(text), all.join(", "));
        return Err(refused(name, rule));
    };
    Ok(Some(*meaning))
}

/// Reads `8GB`, `500 MB`, `1000000`: decimal units of bytes.
fn bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 5] = [
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
    ];
    let text = text.to_ascii_uppercase();
    let unit = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (digits, factor) = unit.unwrap_or((&text, 1));
    let digits = digits.trim_end();
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = Some(digits).filter(|_| plain)?.parse().ok()?;
    number.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Asking, String> {
        let query = Query::parse(text).unwrap();
        Asking::parse(&query).map_err(|error| error.0.message().to_owned())
    }

    #[test]
    fn every_parameter_is_read() {
        let asked = parse(
            "q=a+b&task=fill-mask,ner&task=pos&library=x&license=mit&language=de&tag=t&quantised=True&\
             min_parameters=1M&max_parameters=7B&max_size=8gb&rung=proven&max_price=7&evaluated_on=squad&\
             namespace=alice&base_model=a%2Fb&provenance=signed&sort=recency&limit=7&offset=3&facets=1&dataset=true",
        )
        .unwrap();
        let Sought { filters, .. } = &asked.sought;
        assert_eq!(asked.kind, Kind::Dataset);
        assert_eq!(
            (
                asked.sought.text.as_str(),
                asked.sought.sort,
                asked.sought.limit,
                asked.sought.offset
            ),
            ("a b", Sort::Recency, 7, 3)
        );
        assert_eq!(filters.tasks, ["fill-mask", "ner", "pos"]);
        assert_eq!(
            (
                filters.parameters_min,
                filters.parameters_max,
                filters.bytes_max
            ),
            (Some(1_000_000), Some(7_000_000_000), Some(8_000_000_000))
        );
        assert_eq!(
            (filters.rung.as_deref(), filters.price_max_microcredits),
            (Some("proven"), Some(7))
        );
        assert_eq!(
            (filters.quantised, filters.provenance),
            (Some(true), Some(Provenance::Signed))
        );
        assert!(asked.sought.facets);
        assert_eq!(filters.signature, None);
        let ported = parse("input=f32[*x64],text&output=tensor[1x10]&output=i64").unwrap();
        let wanted = ported.sought.filters.signature.unwrap();
        let shown = |ports: &[Port]| -> Vec<(String, String, Vec<Option<u64>>)> {
            let ports = ports.iter().cloned();
            ports
                .map(|port| (port.kind, port.element, port.shape))
                .collect()
        };
        let port = |kind: &str, element: &str, shape: &[Option<u64>]| {
            (kind.to_owned(), element.to_owned(), shape.to_vec())
        };
        assert_eq!(
            shown(&wanted.inputs),
            [
                port("tensor", "f32", &[None, Some(64)]),
                port("text", "", &[])
            ]
        );
        assert_eq!(
            shown(&wanted.outputs),
            [
                port("tensor", "", &[Some(1), Some(10)]),
                port("tensor", "i64", &[])
            ]
        );
        // What is empty is not asked for.
        let nothing = parse("q=&task=&sort=&limit=&max_size=").unwrap().sought;
        assert_eq!((nothing.filters, nothing.limit), (Filters::default(), HITS));
    }

    #[test]
    fn what_means_nothing_is_refused_by_its_name() {
        let long = "x".repeat(MAX_VALUE + 1);
        for (query, says) in [
            ("qq=x", "`qq`"),
            ("sort=likes", "`likes` is none of relevance"),
            ("sort=recency&sort=cost", "sort: it is given once"),
            ("provenance=none", "provenance"),
            ("rung=certain", "rung"),
            ("quantised=maybe", "quantised"),
            ("dataset=2", "dataset"),
            ("limit=-1", "limit"),
            ("limit=1e3", "limit"),
            ("limit=+3", "limit"),
            ("offset=1001", "offset"),
            ("max_price=1.5", "max_price"),
            ("max_price=99999999999999999999", "max_price"),
            ("min_parameters=big", "min_parameters"),
            ("max_size=8G", "max_size"),
            ("max_size=GB", "max_size"),
            ("max_size=-1GB", "max_size"),
            ("max_size=99999999TB", "max_size"),
            ("input=f31", "input: it is a kind"),
            ("output=f32[1x10", "output"),
            ("output=f32]", "output"),
            ("input=f32[]", "input"),
            ("input=f32[1x]", "input"),
            ("input=f32[-1]", "input"),
            ("input=f32[99999999999999999999]", "input"),
            ("input=f32[1x1x1x1x1x1x1x1x1]", "input"),
            ("input=[1]", "input"),
            (&format!("task={long}"), "task"),
            (&format!("namespace={long}"), "namespace"),
            (
                &format!("tag={}", "a,".repeat(MAX_VALUES + 1)),
                "tag: it has at most",
            ),
            (
                &format!("q={}", "x".repeat(MAX_QUERY + 1)),
                "q: it has at most",
            ),
        ] {
            let refusal = parse(query).unwrap_err();
            assert!(refusal.contains(says), "{query}: {refusal}");
        }
        let refusal = parse(&format!("{}=1", "y".repeat(5_000))).unwrap_err();
        assert!(refusal.len() < 500);
    }
}
