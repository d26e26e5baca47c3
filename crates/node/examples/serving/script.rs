//! What a stub says, and when: as many tokens as its model's name asks for, each at its time after the question came.

use std::{str::FromStr, time::Duration};

/// The times of an answer's tokens, as `NAME=FIRST_MS,GAP_MS,TOKENS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What its model is called.
    pub name: String,
    /// From the question to the first token.
    pub first: Duration,
    /// From one token to the next.
    pub gap: Duration,
    /// How many.
    pub tokens: u32,
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not NAME=FIRST_MS,GAP_MS,TOKENS");
        let (name, times) = text.split_once('=').ok_or_else(wrong)?;
        let numbers: Vec<u32> = times.split(',').map_while(|n| n.parse().ok()).collect();
        let [first, gap, tokens] = numbers[..] else {
            return Err(wrong());
        };
        Ok(Self {
            name: name.into(),
            first: Duration::from_millis(first.into()),
            gap: Duration::from_millis(gap.into()),
            tokens,
        })
    }
}

impl Script {
    /// When a token is due, from the question on.
    pub fn due(&self, token: u32) -> Duration {
        self.first + self.gap * token
    }

    /// A token's text. Each has exactly one space, by which a reader counts them.
    pub fn text(token: u32) -> String {
        format!(" {token}")
    }
}
