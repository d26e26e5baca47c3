//! Which bytes a request wants: `Range`, and the conditions under which it wants any (RFC 9110, sections 13 and 14).

use axum::http::{HeaderMap, header};
use std::ops::Range;

/// Bytes that a request wants of content that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of them: no range, or one that this server does not take (several at once, other units, malformed).
    Whole,
    /// These, at least one.
    Part(Range<u64>),
    /// None of those that exist.
    Nothing,
}

/// What the conditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditions {
    /// Answer it.
    Hold,
    /// The client has it already: 304.
    NotModified,
    /// The client wants another version: 412.
    Fail,
}

fn digits(text: &str) -> Option<u64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number beyond 64 bits lies behind every end.
    all.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The bytes of content of `size` bytes that a `Range` field of this text wants.
pub fn parse(text: &str, size: u64) -> Wanted {
    let Some((unit, set)) = text.split_once('=') else {
        return Wanted::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else {
        return Wanted::Whole;
    };
    let (start, end) = match (digits(first), digits(last)) {
        (Some(start), None) if last.is_empty() => (start, size),
        (Some(start), Some(last)) if start <= last => (start, size.min(last.saturating_add(1))),
        (None, Some(count)) if first.is_empty() => (size.saturating_sub(count), size),
        _ => return Wanted::Whole,
    };
    if start < end {
        Wanted::Part(start..end)
    } else {
        Wanted::Nothing
    }
}

/// The bytes that a GET with these headers wants of content with this entity tag (without quotes).
pub fn wanted(headers: &HeaderMap, tag: &str, size: u64) -> Wanted {
    let Some(range) = text(headers, header::RANGE) else {
        return Wanted::Whole;
    };
    // A date is no match: no answer of ours has one to compare with. A weak tag never is (RFC 9110, section 13.1.5).
    match text(headers, header::IF_RANGE) {
        Some(condition) if condition.trim() != format!("\"{tag}\"") => Wanted::Whole,
        _ => parse(range, size),
    }
}

/// What the conditions in these headers come to for content with this entity tag (without quotes).
pub fn conditions(headers: &HeaderMap, tag: &str) -> Conditions {
    let strong = format!("\"{tag}\"");
    if headers.contains_key(header::IF_MATCH) {
        let holds = listed(headers, header::IF_MATCH).any(|item| item == "*" || item == strong);
        if !holds {
            return Conditions::Fail;
        }
    }
    let has = listed(headers, header::IF_NONE_MATCH)
        .any(|item| item == "*" || item.strip_prefix("W/").unwrap_or(item) == strong);
    if has {
        Conditions::NotModified
    } else {
        Conditions::Hold
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The items of a list of tags. Ours have no comma in them, so that one that has never matches.
fn listed(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let fields = headers.get_all(name).iter();
    let fields = fields.filter_map(|value| value.to_str().ok());
    fields.flat_map(|field| field.split(',').map(str::trim))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().cloned();
        pairs
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn ranges_are_those_of_the_standard() {
        let part = Wanted::Part;
        for (text, size, expected) in [
            ("bytes=0-0", 10, part(0..1)),
            ("bytes=0-", 10, part(0..10)),
            ("bytes=3-5", 10, part(3..6)),
            ("bytes=3-99", 10, part(3..10)),
            ("BYTES=9-", 10, part(9..10)),
            ("bytes=-3", 10, part(7..10)),
            ("bytes=-99", 10, part(0..10)),
            ("bytes=0-99999999999999999999999999", 10, part(0..10)),
            ("bytes=0-18446744073709551615", u64::MAX, part(0..u64::MAX)),
            ("bytes=10-", 10, Wanted::Nothing),
            ("bytes=10-12", 10, Wanted::Nothing),
            ("bytes=99999999999999999999999999-", 10, Wanted::Nothing),
            ("bytes=-0", 10, Wanted::Nothing),
            ("bytes=0-", 0, Wanted::Nothing),
            ("bytes=-1", 0, Wanted::Nothing),
            ("bytes=5-3", 10, Wanted::Whole),
            ("bytes=0-1,3-4", 10, Wanted::Whole),
            ("bytes=-", 10, Wanted::Whole),
            ("bytes=+1-2", 10, Wanted::Whole),
            ("bytes=1-2-3", 10, Wanted::Whole),
            ("bytes=a-b", 10, Wanted::Whole),
            ("bytes", 10, Wanted::Whole),
            ("", 10, Wanted::Whole),
            ("lines=0-1", 10, Wanted::Whole),
        ] {
            assert_eq!(parse(text, size), expected, "{text} of {size}");
        }
    }

    #[test]
    fn a_range_of_another_version_is_the_whole() {
        let range = (header::RANGE, "bytes=1-2");
        let with = |condition| {
            let headers = headers(&[range.clone(), (header::IF_RANGE, condition)]);
            wanted(&headers, "abc", 10)
        };
        assert_eq!(with("\"abc\""), Wanted::Part(1..3));
        assert_eq!(with("\"other\""), Wanted::Whole);
        assert_eq!(with("W/\"abc\""), Wanted::Whole);
        assert_eq!(with("Wed, 21 Oct 2015 07:28:00 GMT"), Wanted::Whole);
        assert_eq!(wanted(&headers(&[range]), "abc", 10), Wanted::Part(1..3));
        assert_eq!(wanted(&headers(&[]), "abc", 10), Wanted::Whole);
    }

    #[test]
    fn conditions_compare_tags() {
        let none = |value| conditions(&headers(&[(header::IF_NONE_MATCH, value)]), "abc");
        for same in ["\"abc\"", "W/\"abc\"", "*", "\"x\", \"abc\""] {
            assert_eq!(none(same), Conditions::NotModified, "{same}");
        }
        for other in ["\"abcd\"", "abc", ""] {
            assert_eq!(none(other), Conditions::Hold, "{other}");
        }
        let matches = |value| conditions(&headers(&[(header::IF_MATCH, value)]), "abc");
        for same in ["\"abc\"", "*", "\"x\" , \"abc\""] {
            assert_eq!(matches(same), Conditions::Hold, "{same}");
        }
        for other in ["W/\"abc\"", "\"x\"", ""] {
            assert_eq!(matches(other), Conditions::Fail, "{other}");
        }
        assert_eq!(conditions(&headers(&[]), "abc"), Conditions::Hold);
    }
}
