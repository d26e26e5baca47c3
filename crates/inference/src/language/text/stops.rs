//! Stop sequences over text that comes in pieces.

use super::Error;
use super::limits::{STOP_BYTES_MAX, STOPS_MAX};

/// Text that may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Released {
    /// What no stop sequence can be part of any more.
    pub text: String,
    /// True once a stop sequence was complete; all text after it is dropped.
    pub stopped: bool,
}

/// Cuts text at the first stop sequence to become complete, whatever pieces the text comes in.
///
/// Of two that are complete with the same character the longer one counts. The sequence itself is not part of the text.
#[derive(Debug, Clone)]
pub struct Stops {
    sequences: Vec<String>,
    /// The longest end of the text so far that a stop sequence begins with.
    held: String,
    matched: Option<usize>,
}

impl Stops {
    /// Stops at any of these.
    ///
    /// # Errors
    /// [`Error::Input`] for an empty sequence, [`Error::TooLarge`] beyond [`STOPS_MAX`] and [`STOP_BYTES_MAX`].
    pub fn new(sequences: &[String]) -> Result<Self, Error> {
        Error::bound("stop sequences", sequences.len(), STOPS_MAX)?;
        for sequence in sequences {
            if sequence.is_empty() {
                return Err(Error::Input("a stop sequence is empty".into()));
            }
            Error::bound("bytes of a stop sequence", sequence.len(), STOP_BYTES_MAX)?;
        }
        let mut sequences = sequences.to_vec();
        sequences.sort_by_key(|sequence| std::cmp::Reverse(sequence.len()));
        Ok(Self {
            sequences,
            held: String::new(),
            matched: None,
        })
    }

    /// Takes the next piece and gives what may be shown.
    pub fn push(&mut self, piece: &str) -> Released {
        let mut text = String::new();
        for character in piece.chars() {
            if self.matched.is_some() {
                break;
            }
            self.held.push(character);
            // The longest comes first.
            let ends = |sequence: &String| self.held.ends_with(sequence.as_str());
            self.matched = self.sequences.iter().position(ends);
            if let Some(sequence) = self.matched.and_then(|at| self.sequences.get(at)) {
                let before = self.held.strip_suffix(sequence.as_str());
                text.push_str(before.unwrap_or_default());
                self.held.clear();
                continue;
            }
            let keep = self.beginning();
            text.extend(self.held.drain(..keep));
        }
        Released {
            text,
            stopped: self.matched.is_some(),
        }
    }

    /// Where the part of the held text begins that may become a stop sequence.
    fn beginning(&self) -> usize {
        let mut starts = self.held.char_indices().map(|(at, _)| at);
        let may = |at: &usize| {
            let end = self.held.get(*at..).unwrap_or_default();
            self.sequences
                .iter()
                .any(|sequence| sequence.starts_with(end))
        };
        starts.find(may).unwrap_or(self.held.len())
    }

    /// The sequence at which the text was cut.
    pub fn matched(&self) -> Option<&str> {
        let sequence = self.sequences.get(self.matched?)?;
        Some(sequence)
    }

    /// The rest, when the text has ended without one.
    pub fn finish(mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stops(sequences: &[&str]) -> Stops {
        let sequences: Vec<String> = sequences.iter().map(|s| (*s).into()).collect();
        Stops::new(&sequences).unwrap()
    }

    /// The same over the whole text: the first end of any sequence, and of those that end there the longest.
    fn whole(sequences: &[String], text: &str) -> (String, Option<String>) {
        let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
        for end in ends {
            let found = sequences.iter().filter(|s| text[..end].ends_with(*s));
            if let Some(longest) = found.max_by_key(|s| s.len()) {
                return (text[..end - longest.len()].into(), Some(longest.clone()));
            }
        }
        (text.into(), None)
    }

    #[test]
    fn what_may_become_one_is_held_back() {
        let mut stops = stops(&["\n\nUser:"]);
        assert_eq!(stops.push("Hello\n").text, "Hello");
        assert_eq!(stops.push("\nUs").text, "");
        assert_eq!(stops.push("a").text, "\n\nUsa");
        let released = stops.push("\n\nUser: more");
        assert_eq!((released.text.as_str(), released.stopped), ("", true));
        assert_eq!(
            stops.push("dropped"),
            Released {
                text: String::new(),
                stopped: true
            }
        );
        assert_eq!(stops.matched(), Some("\n\nUser:"));
        assert_eq!(stops.finish(), "");
    }

    #[test]
    fn a_beginning_that_comes_to_nothing_is_given_at_the_end() {
        let mut stops = stops(&["END"]);
        assert_eq!(stops.push("the EN").text, "the ");
        assert_eq!(stops.finish(), "EN");
    }

    #[test]
    fn sequences_that_cannot_be_are_refused() {
        let of = |sequences: Vec<String>| Stops::new(&sequences).unwrap_err();
        assert!(matches!(of(vec![String::new()]), Error::Input(_)));
        assert!(matches!(
            of(vec!["a".into(), String::new()]),
            Error::Input(_)
        ));
        assert!(matches!(
            of(vec!["x".into(); 17]),
            Error::TooLarge { found: 17, .. }
        ));
        assert!(matches!(
            of(vec!["x".repeat(257)]),
            Error::TooLarge { found: 257, .. }
        ));
        assert!(matches!(
            of(vec!["é".repeat(129)]),
            Error::TooLarge { found: 258, .. }
        ));
        assert!(Stops::new(&vec!["é".repeat(128); 16]).is_ok());
        assert!(Stops::new(&[]).is_ok());
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            sequences in prop::collection::vec("[abé]{1,4}", 0..4),
            pieces in prop::collection::vec("[abcé]{0,5}", 0..12),
        ) {
            let (text, found) = whole(&sequences, &pieces.concat());
            let mut stops = Stops::new(&sequences).unwrap();
            let mut seen = String::new();
            for piece in &pieces {
                seen.push_str(&stops.push(piece).text);
                prop_assert!(text.starts_with(&seen));
            }
            prop_assert_eq!(stops.matched().map(str::to_owned), found);
            seen.push_str(&stops.finish());
            prop_assert_eq!(seen, text);
        }
    }
}
