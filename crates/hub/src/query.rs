//! Queries and forms: `name=value` pairs, percent-encoded, names that repeat.

use crate::Error;

/// Most pairs of one query: beyond what any client sends.
pub const MAX_PAIRS: usize = 256;

/// The pairs of a query or of a form, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a text as HTML forms and clients write it.
    ///
    /// # Errors
    /// [`Error::Malformed`] for broken percent-encoding or too many pairs.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_up_to(text, MAX_PAIRS)
    }

    /// [`Self::parse`] with another limit of pairs.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_up_to(text: &str, most: usize) -> Result<Self, Error> {
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == most {
                return Err(Error::malformed(
                    "query",
                    format!("it has over {most} pairs"),
                ));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self(pairs))
    }

    /// The first value of a name.
    pub fn first(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every name, in the order of the pairs, also where it repeats.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The query without a name, encoded again.
    pub fn without(&self, name: &str) -> String {
        let kept = self.0.iter().filter(|(found, _)| found != name);
        let pairs = kept.map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        pairs.collect::<Vec<_>>().join("&")
    }

    /// Whether a name has a value that says yes.
    pub fn says(&self, name: &str) -> bool {
        self.first(name)
            .is_some_and(|value| matches!(value, "true" | "True" | "1"))
    }

    /// The query with one name set to one value, encoded again.
    pub fn with(&self, name: &str, value: &str) -> String {
        let kept = self.0.iter().filter(|(found, _)| found != name);
        let set = std::iter::once((name, value));
        let pairs = kept
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(set);
        pairs
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect::<Vec<_>>()
            .join("&")
    }
}

fn decode(text: &str) -> Result<String, Error> {
    let refused = || Error::malformed("query", "its percent-encoding is broken");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, more) = rest.split_at_checked(2).ok_or_else(refused)?;
                let digits = std::str::from_utf8(digits).map_err(|_| refused())?;
                let valid = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let byte = u8::from_str_radix(digits, 16).ok().filter(|_| valid);
                bytes.push(byte.ok_or_else(refused)?);
                rest = more;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).map_err(|_| refused())
}

/// A text with all but letters, digits, `-`, `.`, `_` and `~` percent-encoded (RFC 3986, section 2.3).
pub fn encode(text: &str) -> String {
    encode_but(text, "")
}

/// A path: slashes stay.
pub fn encode_path(text: &str) -> String {
    encode_but(text, "/")
}

fn encode_but(text: &str, kept: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~')
            || kept.as_bytes().contains(&byte);
        if plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_repeat_and_values_are_decoded() {
        let query = Query::parse("filter=a%2Fb&filter=c+d&full=True&x&=y&&limit=").unwrap();
        assert_eq!(query.all("filter").collect::<Vec<_>>(), ["a/b", "c d"]);
        assert!(query.says("full") && !query.says("x") && !query.says("none"));
        assert_eq!(
            (query.first("x"), query.first("limit"), query.first("")),
            (Some(""), Some(""), Some("y"))
        );
        assert_eq!(
            query.with("limit", "7 &"),
            "filter=a%2Fb&filter=c%20d&full=True&x=&=y&limit=7%20%26"
        );
        assert_eq!(query.without("filter"), "full=True&x=&=y&limit=");
        let names: Vec<&str> = query.names().collect();
        assert_eq!(names, ["filter", "filter", "full", "x", "", "limit"]);
    }

    #[test]
    fn broken_encoding_and_too_much_are_refused() {
        for bad in ["%", "a=%1", "a=%zz", "a=%+1", "a=%ff", "%c3=1", "a=%\u{e9}"] {
            assert!(Query::parse(bad).is_err(), "{bad}");
        }
        assert!(Query::parse(&"a&".repeat(MAX_PAIRS)).is_ok());
        assert!(Query::parse(&"a&".repeat(MAX_PAIRS + 1)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(name in "\\PC{0,10}", value in "\\PC{0,20}|[/&=+%#\u{0}]{0,8}") {
            let text = Query::default().with(&name, &value);
            prop_assert!(text.is_ascii());
            let query = Query::parse(&text).unwrap();
            prop_assert_eq!(query.first(&name), Some(value.as_str()));
            prop_assert_eq!(encode_path(&value).replace('/', "%2F"), encode(&value));
        }

        #[test]
        fn no_query_makes_the_reader_fail_otherwise(text in "\\PC{0,60}|[%a-f0-9&=+]{0,40}") {
            let _ = Query::parse(&text);
        }
    }
}
