//! Server-sent events, written and read; the format of WHATWG's HTML standard, section 9.2.

use serde::Serialize;

use super::{Error, Kind, Limits};

/// What ends a stream of chat completions or completions.
pub const DONE: &str = "data: [DONE]\n\n";
/// A comment that keeps a connection from being taken for dead; clients skip it.
pub const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// A message as one event.
///
/// # Errors
/// [`Kind::Internal`] if it cannot be written as JSON.
pub fn data(message: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_string(message)
        .map_err(|error| Error::internal(format!("an event cannot be written: {error}")))?;
    Ok(format!("data: {json}\n\n"))
}

/// A message as one event that has a name, as responses have it.
///
/// # Errors
/// As [`data`].
pub fn named(event: &str, message: &impl Serialize) -> Result<String, Error> {
    Ok(format!("event: {event}\n{}", data(message)?))
}

/// An error in the middle of a stream: clients raise it.
pub fn error(error: &Error) -> String {
    format!("data: {}\n\n", error.body())
}

/// One event as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// Its name, empty if it has none.
    pub name: String,
    /// Its data, lines joined by line feeds.
    pub data: String,
}

/// Reads events from bytes that come in any portions.
#[derive(Debug)]
pub struct Parser {
    max_bytes: usize,
    line: Vec<u8>,
    name: String,
    data: Option<String>,
    /// The last byte was a carriage return, so that a line feed belongs to it.
    after_return: bool,
    /// No line has been read: a byte order mark may stand before the first.
    first: bool,
    broken: bool,
}

impl Parser {
    /// A parser that refuses events over the limit.
    pub const fn new(limits: &Limits) -> Self {
        Self {
            max_bytes: limits.event_bytes,
            line: Vec::new(),
            name: String::new(),
            data: None,
            after_return: false,
            first: true,
            broken: false,
        }
    }

    /// The events that these bytes complete. An event at the end without the empty line after it is not complete, and
    /// never given.
    ///
    /// # Errors
    /// [`Kind::BadGateway`] for a line or an event over the limit, or bytes that are no UTF-8; the parser gives nothing
    /// afterwards.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        match self.read(bytes, &mut events) {
            Ok(()) => Ok(events),
            Err(reason) => {
                self.broken = true;
                let message = format!("the event stream cannot be read: {reason}");
                Err(Error::new(Kind::BadGateway, message))
            }
        }
    }

    fn read(&mut self, mut bytes: &[u8], events: &mut Vec<Event>) -> Result<(), &'static str> {
        if self.broken {
            return Err("it was broken before");
        }
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_return) && *first == b'\n' {
                bytes = bytes.split_first().map_or(&[], |(_, rest)| rest);
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (head, tail) = bytes
                .split_at_checked(end.unwrap_or(bytes.len()))
                .unwrap_or((bytes, &[]));
            if self.line.len().saturating_add(head.len()) > self.max_bytes {
                return Err("a line is over the limit");
            }
            self.line.extend_from_slice(head);
            let Some((end, rest)) = tail.split_first() else {
                break;
            };
            self.after_return = *end == b'\r';
            bytes = rest;
            let line = std::mem::take(&mut self.line);
            events.extend(self.line(&line)?);
        }
        Ok(())
    }

    /// The event that a line completes.
    fn line(&mut self, line: &[u8]) -> Result<Option<Event>, &'static str> {
        let line = std::str::from_utf8(line).map_err(|_| "a line is not UTF-8")?;
        let line = match std::mem::take(&mut self.first) {
            true => line.strip_prefix('\u{feff}').unwrap_or(line),
            false => line,
        };
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let data = self.data.take();
            return Ok(data.map(|data| Event { name, data }));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = value.into(),
            "data" => {
                let known = self.data.as_ref().map_or(0, String::len);
                if known.saturating_add(value.len()) >= self.max_bytes {
                    return Err("an event is over the limit");
                }
                match &mut self.data {
                    None => self.data = Some(value.into()),
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                }
            }
            // Comments, ids, times, and what is not known.
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(portions: &[&[u8]], event_bytes: usize) -> Result<Vec<(String, String)>, Error> {
        let mut parser = Parser::new(&Limits {
            event_bytes,
            ..Limits::default()
        });
        let mut events = Vec::new();
        for portion in portions {
            events.extend(parser.push(portion)?);
        }
        Ok(events.into_iter().map(|e| (e.name, e.data)).collect())
    }

    fn data_of(text: &str) -> Vec<String> {
        let events = parse(&[text.as_bytes()], 1_000).unwrap();
        events.into_iter().map(|(_, data)| data).collect()
    }

    #[test]
    fn lines_end_in_three_ways_and_comments_are_skipped() {
        for text in [
            "data: a\n\ndata: b\n\n",
            "data: a\r\n\r\ndata: b\r\n\r\n",
            "data: a\r\rdata: b\r\r",
            "\u{feff}data:a\n\n: keep-alive\n\nid: 7\nretry: 1\ndata:b\nx\n\n",
            "\n\n\ndata: a\r\n\ndata: b\n\r\n",
        ] {
            assert_eq!(data_of(text), ["a", "b"], "{text:?}");
        }
        assert_eq!(data_of("data: a\ndata\ndata:  b\n\n"), ["a\n\n b"]);
        assert_eq!(data_of("data\n\n"), [""]);
        let named = parse(&[b"event: x\n\nevent: y\ndata: 1\n\ndata: 2\n\n"], 99).unwrap();
        let expected = [
            ("y".to_string(), "1".to_string()),
            (String::new(), "2".into()),
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn what_is_not_complete_is_not_given() {
        for text in [
            "",
            "data: a",
            "data: a\n",
            "data: a\r\n",
            ": x\n\n",
            "event: a\n\n",
        ] {
            assert!(data_of(text).is_empty(), "{text:?}");
        }
    }

    #[test]
    fn long_lines_long_events_and_foreign_bytes_are_refused_for_good() {
        for bytes in [
            &b"data: 12345678901234567890\n\n"[..],
            b"data: 1234567890\ndata: 1234567890\n\n",
            b"12345678901234567890",
            b": \xff\n",
            b"data: \xc3\n\n",
        ] {
            assert!(parse(&[bytes], 18).is_err(), "{bytes:?}");
            let one_by_one: Vec<&[u8]> = bytes.chunks(1).collect();
            assert!(parse(&one_by_one, 18).is_err(), "{bytes:?}");
        }
        let mut parser = Parser::new(&Limits::default());
        assert!(parser.push(b"\xff\n").is_err());
        assert!(parser.push(b"data: a\n\n").is_err());
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_makes_no_difference(
            lines in proptest::collection::vec(
                prop_oneof![
                    "data: ?[a-zö{}: ]{0,6}", Just(String::new()), ": ?[a-z]{0,3}", "event: [a-z]{0,3}", ".{0,5}",
                ],
                0..12,
            ),
            ends in proptest::collection::vec(prop_oneof![Just("\n"), Just("\r"), Just("\r\n")], 12),
            cuts in proptest::collection::vec(0usize..200, 0..20),
        ) {
            let text: String = lines.iter().zip(&ends).flat_map(|(l, e)| [l.as_str(), e]).collect();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let portions: Vec<&[u8]> = cuts.windows(2).map(|c| &bytes[c[0]..c[1]]).collect();
            let whole = parse(&[bytes], 64);
            prop_assert_eq!(parse(&portions, 64), whole);
        }

        #[test]
        fn what_is_written_is_read(text in ".{0,20}") {
            let events = parse(&[data(&text).unwrap().as_bytes()], 1_000).unwrap();
            let back: String = serde_json::from_str(&events[0].1).unwrap();
            prop_assert_eq!((events.len(), back), (1, text));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse(&[&bytes], 32);
        }
    }
}
