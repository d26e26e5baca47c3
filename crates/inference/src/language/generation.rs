//! An answer as it comes into being: from the scores after each token to the next token and its text.
//!
//! Whoever makes an answer and whoever checks one run the same code here: a check is a generation that is given the tokens.

use std::sync::Arc;

use assay_receipt::chunks::ChunkChain;
use serde::{Deserialize, Serialize};

use super::sample::{self, Likelihood, Seen};
use super::text::{Constraint, Decoder, Stops, Tokenizer};
use super::{Error, Sampling};

/// Bytes of a step as streams commit to it.
pub const STEP_BYTES: usize = 36;

/// What sets the digest that shows work apart from the one in steps (BLAKE3's key derivation).
const WORK_CONTEXT: &str = "assay 2026-12 work of a step";

/// Bytes that are hashed at a time: many of BLAKE3's chunks, which it hashes side by side.
const HASHED: usize = 1 << 15;

/// Why an answer is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The model ended it, or a stop sequence did.
    Stop,
    /// It has as many tokens as were asked for.
    Length,
}

/// One token of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The token.
    pub token: u32,
    /// BLAKE3 of the scores that it was chosen from: the bits of each, little-endian.
    pub digest: [u8; 32],
    /// Another digest of the scores, which nobody tells from the first: who knows it has computed them. Only where it was
    /// asked for.
    pub work: Option<[u8; 32]>,
    /// What is certain of the text with it.
    pub text: String,
    /// How likely it was, if that was asked for.
    pub likelihood: Option<Likelihood>,
    /// Set on the last.
    pub finish: Option<Finish>,
}

impl Step {
    /// The bytes of a token and the digest of its scores: a chunk of the stream that a receipt commits to.
    pub fn bytes_of(token: u32, digest: &[u8; 32]) -> [u8; STEP_BYTES] {
        let mut bytes = [0; STEP_BYTES];
        let (first, rest) = bytes.split_at_mut(4);
        first.copy_from_slice(&token.to_le_bytes());
        rest.copy_from_slice(digest);
        bytes
    }

    /// Adds it to the chain of its stream.
    ///
    /// # Errors
    /// Of [`ChunkChain::push`].
    pub fn append(&self, chain: &mut ChunkChain) -> Result<(), assay_receipt::Error> {
        chain.push(&Self::bytes_of(self.token, &self.digest))
    }
}

/// What an answer is made by.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) sampling: Sampling,
    pub(super) seed: u64,
    pub(super) limit: usize,
    pub(super) ends: Arc<[u32]>,
    /// How many of the likeliest tokens are to be told with each; `None` for no likelihoods.
    pub(super) likely: Option<usize>,
}

/// An answer as far as it has come.
pub struct Generation {
    rules: Rules,
    seen: Seen,
    constraint: Option<Constraint>,
    decoder: Decoder<Arc<Tokenizer>>,
    stops: Stops,
    count: usize,
    finish: Option<Finish>,
    is_work_told: bool,
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation")
            .field("rules", &self.rules)
            .field("count", &self.count)
            .field("finish", &self.finish)
            .finish_non_exhaustive()
    }
}

impl Generation {
    pub(super) fn new(
        rules: Rules,
        prompt: &[u32],
        constraint: Option<Constraint>,
        (decoder, stops): (Decoder<Arc<Tokenizer>>, Stops),
    ) -> Self {
        Self {
            rules,
            seen: Seen::new(prompt),
            constraint,
            decoder,
            stops,
            count: 0,
            finish: None,
            is_work_told: false,
        }
    }

    /// With [`Step::work`] in every step.
    pub fn with_work(self) -> Self {
        Self {
            is_work_told: true,
            ..self
        }
    }

    /// Why it is over, once it is.
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// Most tokens that it may have.
    pub fn limit(&self) -> usize {
        self.rules.limit
    }

    /// The next token, by the scores after the last one.
    ///
    /// # Errors
    /// [`Error::NoToken`]; [`Error::Over`] after the last.
    pub(super) fn next(&mut self, scores: &[f32]) -> Result<Step, Error> {
        let token = self.chosen(scores)?;
        self.stepped(token, scores)
    }

    /// As [`Self::next`], where the token is there already.
    ///
    /// # Errors
    /// [`Error::Differs`] if it is another one.
    pub(super) fn confirm(&mut self, given: u32, scores: &[f32]) -> Result<Step, Error> {
        let right = self.chosen(scores)?;
        match right == given {
            true => self.stepped(right, scores),
            false => {
                let at = self.count;
                let step = self.stepped(right, scores)?;
                let Step {
                    digest, work, text, ..
                } = step;
                Err(Error::Differs {
                    at,
                    given,
                    right,
                    digest,
                    work,
                    text,
                })
            }
        }
    }

    /// Takes a token as it is, without a look at scores.
    ///
    /// # Errors
    /// [`Error::Over`], [`Error::Text`] if the format does not allow it.
    pub(super) fn take(&mut self, token: u32) -> Result<(), Error> {
        self.written(token).map(|_| ())
    }

    fn chosen(&mut self, scores: &[f32]) -> Result<u32, Error> {
        // All are looked at, several at a time.
        let is_sound = scores
            .iter()
            .fold(true, |all, score| all & score.is_finite());
        if !is_sound {
            return Err(Error::NoToken("the model's scores are no numbers"));
        }
        let at = (
            self.rules.seed,
            u64::try_from(self.count).unwrap_or(u64::MAX),
        );
        let (sampling, seen) = (&self.rules.sampling, &self.seen);
        let chosen = match &mut self.constraint {
            Some(constraint) => {
                let mask = constraint.allowed()?;
                sample::choose(scores, sampling, seen, &|token| mask.allows(token), at)
            }
            None => sample::choose(scores, sampling, seen, &|_| true, at),
        };
        chosen.ok_or(Error::NoToken("the format allows none"))
    }

    fn stepped(&mut self, token: u32, scores: &[f32]) -> Result<Step, Error> {
        let likely = self.rules.likely;
        let text = self.written(token)?;
        Ok(Step {
            token,
            digest: digest(blake3::Hasher::new(), scores),
            work: self
                .is_work_told
                .then(|| digest(blake3::Hasher::new_derive_key(WORK_CONTEXT), scores)),
            text,
            likelihood: likely.map(|count| sample::likelihood(scores, token, count)),
            finish: self.finish,
        })
    }

    /// Adds a token; gives the text that is certain with it.
    fn written(&mut self, token: u32) -> Result<String, Error> {
        if self.finish.is_some() {
            let given = self.count.saturating_add(1);
            return Err(Error::Over {
                at: self.count,
                given,
            });
        }
        let is_end = self.rules.ends.contains(&token);
        if let Some(constraint) = &mut self.constraint {
            constraint.accept(token)?;
        }
        self.seen.push(token);
        self.count = self.count.saturating_add(1);
        let decoded = if is_end {
            String::new()
        } else {
            self.decoder.push(token)
        };
        let released = self.stops.push(&decoded);
        let mut text = released.text;
        if released.stopped || is_end {
            self.finish = Some(Finish::Stop);
        } else if self.count >= self.rules.limit {
            self.finish = Some(Finish::Length);
        }
        if self.finish.is_some() && !released.stopped {
            let last = self.stops.push(&self.decoder.clone().finish());
            text.push_str(&last.text);
            if !last.stopped {
                text.push_str(&self.stops.clone().finish());
            }
        }
        Ok(text)
    }
}

/// The hash of the bits of scores.
fn digest(mut hasher: blake3::Hasher, scores: &[f32]) -> [u8; 32] {
    let mut buffer = [0u8; HASHED];
    for part in scores.chunks(HASHED / 4) {
        let mut size = 0usize;
        for (into, score) in buffer.chunks_exact_mut(4).zip(part) {
            into.copy_from_slice(&score.to_bits().to_le_bytes());
            size = size.saturating_add(4);
        }
        hasher.update(buffer.get(..size).unwrap_or(&[]));
    }
    *hasher.finalize().as_bytes()
}
