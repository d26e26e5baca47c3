//! From scores to a token: by integers, so that the same token comes out on every machine.
//!
//! A token's weight is the whole part of `2^40 exp((score - most) / temperature)`. Sums of weights are exact, whatever their
//! order. The draw is the first word of BLAKE3 over seed and position, which whoever re-checks an answer computes, too.

use std::borrow::Cow;
use std::cmp::Reverse;

use assay_tensor::transformer::{self, Scores};
use serde::{Deserialize, Serialize};

use super::Error;

/// The weight of the best token: 40 bits, so that the sum over 2^20 tokens fits 64.
const WHOLE: f32 = (1u64 << 40) as f32;
/// Shares are compared as multiples of 2^-32.
const SHARE: f64 = (1u64 << 32) as f64;
/// Lanes in which the highest score is looked for.
const LANES: usize = 16;
/// What draws are derived under.
const CONTEXT: &str = "assay.network sampling v1";
/// Tokens that a caller may favour: OpenAI's bound.
const MAX_BIASES: usize = 300;
/// Tokens whose likelihood is told beside the chosen one's: OpenAI's bound.
pub const MAX_LIKELY: usize = 20;

/// How a token is chosen. The defaults change nothing, and are left out of JSON, so that one way to choose has one form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// What scores are divided by; zero for the best token always. 0 to 2.
    #[serde(skip_serializing_if = "is_one")]
    pub temperature: f64,
    /// Only the best tokens that have this share together. Above 0, to 1.
    #[serde(skip_serializing_if = "is_one")]
    pub top_p: f64,
    /// Only so many of the best tokens; zero for all.
    #[serde(skip_serializing_if = "is_none")]
    pub top_k: u32,
    /// Only tokens that are at least so likely, by the best one's likelihood. 0 to 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_p: f64,
    /// What positive scores of tokens that are there already are divided by, negative ones multiplied. Above 0, to 10.
    #[serde(skip_serializing_if = "is_one")]
    pub repetition_penalty: f64,
    /// Taken off a token's score for each time that the answer has it. -2 to 2.
    #[serde(skip_serializing_if = "is_zero")]
    pub frequency_penalty: f64,
    /// Taken off the score of a token that the answer has. -2 to 2.
    #[serde(skip_serializing_if = "is_zero")]
    pub presence_penalty: f64,
    /// Added to scores, by token. -100 to 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logit_bias: Vec<(u32, f64)>,
}

fn is_one(value: &f64) -> bool {
    *value == 1.0
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn is_none(value: &u32) -> bool {
    *value == 0
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            logit_bias: Vec::new(),
        }
    }
}

impl Sampling {
    /// Whether every number is one that it may be.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the first that is not.
    pub fn check(&self, vocabulary: usize) -> Result<(), Error> {
        let above_zero = 1e-9;
        for (name, value, least, most) in [
            ("temperature", self.temperature, 0.0, 2.0),
            ("top_p", self.top_p, above_zero, 1.0),
            ("min_p", self.min_p, 0.0, 1.0),
            (
                "repetition_penalty",
                self.repetition_penalty,
                above_zero,
                10.0,
            ),
            ("frequency_penalty", self.frequency_penalty, -2.0, 2.0),
            ("presence_penalty", self.presence_penalty, -2.0, 2.0),
        ] {
            if !(least..=most).contains(&value) {
                let reason = format!("it is {value}; {least} to {most} are possible");
                return Err(Error::parameter(name, reason));
            }
        }
        if self.logit_bias.len() > MAX_BIASES {
            let reason = format!("{} tokens, at most {MAX_BIASES}", self.logit_bias.len());
            return Err(Error::parameter("logit_bias", reason));
        }
        for (token, bias) in &self.logit_bias {
            let is_token = usize::try_from(*token).is_ok_and(|token| token < vocabulary);
            if !is_token || !(-100.0..=100.0).contains(bias) {
                let reason = format!(
                    "{bias} for token {token}; -100 to 100 for tokens below {vocabulary} are possible"
                );
                return Err(Error::parameter("logit_bias", reason));
            }
        }
        Ok(())
    }
}

/// What tokens came before, for penalties.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// How often the answer has each token, ascending by token.
    answer: Vec<(u32, u32)>,
    /// Tokens of prompt and answer, ascending.
    all: Vec<u32>,
}

impl Seen {
    pub(super) fn new(prompt: &[u32]) -> Self {
        let mut all = prompt.to_vec();
        all.sort_unstable();
        all.dedup();
        Self {
            answer: Vec::new(),
            all,
        }
    }

    pub(super) fn push(&mut self, token: u32) {
        if let Err(at) = self.all.binary_search(&token) {
            self.all.insert(at, token);
        }
        match self
            .answer
            .binary_search_by_key(&token, |(token, _)| *token)
        {
            Ok(at) => {
                if let Some((_, count)) = self.answer.get_mut(at) {
                    *count = count.saturating_add(1);
                }
            }
            Err(at) => self.answer.insert(at, (token, 1)),
        }
    }
}

impl Sampling {
    /// Whether scores are what they were before.
    fn keeps_scores(&self) -> bool {
        self.repetition_penalty == 1.0
            && self.frequency_penalty == 0.0
            && self.presence_penalty == 0.0
            && self.logit_bias.is_empty()
    }
}

/// Adds biases and takes penalties off.
fn penalised(scores: &mut [f32], sampling: &Sampling, seen: &Seen) {
    let mut change = |token: u32, by: &dyn Fn(f32) -> f32| {
        let score = usize::try_from(token)
            .ok()
            .and_then(|at| scores.get_mut(at));
        if let Some(score) = score {
            *score = by(*score);
        }
    };
    if sampling.repetition_penalty != 1.0 {
        let penalty = sampling.repetition_penalty as f32;
        for token in &seen.all {
            change(*token, &|score| {
                if score > 0.0 {
                    score / penalty
                } else {
                    score * penalty
                }
            });
        }
    }
    if sampling.frequency_penalty != 0.0 || sampling.presence_penalty != 0.0 {
        let (frequency, presence) = (
            sampling.frequency_penalty as f32,
            sampling.presence_penalty as f32,
        );
        for (token, count) in &seen.answer {
            let often = *count as f32 * frequency;
            change(*token, &|score| score - often - presence);
        }
    }
    for (token, bias) in &sampling.logit_bias {
        change(*token, &|score| score + *bias as f32);
    }
}

/// The highest score, looked for in lanes.
fn highest(scores: &[f32]) -> Option<f32> {
    let higher = |most: f32, score: f32| if score > most { score } else { most };
    let (chunks, rest) = scores.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, score) in lanes.iter_mut().zip(chunk) {
            *lane = higher(*lane, *score);
        }
    }
    let all = rest.iter().copied().chain(lanes);
    let most = all.fold(f32::NEG_INFINITY, higher);
    (most > f32::NEG_INFINITY).then_some(most)
}

/// The token of the highest score, the lowest of several; `None` where none is allowed.
fn best(scores: &[f32], allowed: &dyn Fn(u32) -> bool) -> Option<u32> {
    let most = highest(scores);
    let first = (0u32..)
        .zip(scores)
        .find(|(_, score)| Some(**score) == most);
    if let Some((token, _)) = first.filter(|(token, _)| allowed(*token)) {
        return Some(token);
    }
    let mut best: Option<(u32, f32)> = None;
    for (token, score) in (0u32..).zip(scores) {
        if best.is_none_or(|(_, most)| *score > most) && allowed(token) {
            best = Some((token, *score));
        }
    }
    best.map(|(token, _)| token)
}

/// Chooses the token at a position of the answer, the first of which is 0. `None` if no token is allowed.
pub(super) fn choose(
    scores: &[f32],
    sampling: &Sampling,
    seen: &Seen,
    allowed: &dyn Fn(u32) -> bool,
    (seed, position): (u64, u64),
) -> Option<u32> {
    let mut scores = Cow::Borrowed(scores);
    if !sampling.keeps_scores() {
        penalised(scores.to_mut(), sampling, seen);
    }
    let top = best(&scores, allowed)?;
    let most = scores.get(usize::try_from(top).ok()?).copied()?;
    let temperature = sampling.temperature as f32;
    if temperature <= 0.0 {
        return Some(top);
    }
    let weight = |score: f32| (transformer::exp((score - most) / temperature) * WHOLE) as u64;
    let mut weights: Vec<(u32, u64)> = (0u32..)
        .zip(scores.iter())
        .filter(|(token, _)| allowed(*token))
        .map(|(token, score)| (token, weight(*score)))
        .filter(|(_, weight)| *weight > 0)
        .collect();
    narrowed(&mut weights, sampling);
    drawn(&weights, seed, position)
}

/// Leaves the tokens that may be drawn, ascending.
fn narrowed(weights: &mut Vec<(u32, u64)>, sampling: &Sampling) {
    let is_open = sampling.top_k == 0 && sampling.top_p >= 1.0 && sampling.min_p <= 0.0;
    if is_open {
        return;
    }
    weights.sort_unstable_by_key(|(token, weight)| (Reverse(*weight), *token));
    if sampling.top_k > 0 {
        weights.truncate(usize::try_from(sampling.top_k).unwrap_or(usize::MAX));
    }
    let total = total(weights);
    let share = (sampling.top_p * SHARE) as u128;
    let mut before = 0u128;
    let least = (sampling.min_p * f64::from(WHOLE)) as u64;
    // A token stays while those before it do not have the share yet; the first stays always.
    weights.retain(|(_, weight)| {
        let stays = before.saturating_mul(1 << 32) < share.saturating_mul(total);
        before = before.saturating_add(u128::from(*weight));
        stays && *weight >= least
    });
    weights.sort_unstable_by_key(|(token, _)| *token);
}

fn total(weights: &[(u32, u64)]) -> u128 {
    weights.iter().fold(0, |sum, (_, weight)| {
        sum.saturating_add(u128::from(*weight))
    })
}

fn drawn(weights: &[(u32, u64)], seed: u64, position: u64) -> Option<u32> {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    hasher.update(&seed.to_le_bytes());
    hasher.update(&position.to_le_bytes());
    let mut word = [0; 8];
    hasher.finalize_xof().fill(&mut word);
    let point = u128::from(u64::from_le_bytes(word));
    let mut rest = point.saturating_mul(total(weights)) >> 64;
    for (token, weight) in weights {
        match rest.checked_sub(u128::from(*weight)) {
            Some(left) => rest = left,
            None => return Some(*token),
        }
    }
    None
}

/// How likely the model finds a token, and its likeliest ones, before parameters change anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// The natural logarithm of the chosen token's probability.
    pub chosen: f32,
    /// The likeliest tokens with theirs, the likeliest first; of equal ones the lower token.
    pub likeliest: Vec<(u32, f32)>,
}

/// The likelihood of `token` and of the `count` likeliest.
pub(super) fn likelihood(scores: &[f32], token: u32, count: usize) -> Likelihood {
    let of = Scores::new(scores);
    let mut order: Vec<(u32, f32)> = (0u32..).zip(scores.iter().copied()).collect();
    let count = count.min(MAX_LIKELY).min(order.len());
    let descending = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if let Some(last) = count.checked_sub(1) {
        order.select_nth_unstable_by(last, descending);
    }
    order.truncate(count);
    order.sort_unstable_by(descending);
    let likeliest = order
        .into_iter()
        .map(|(token, score)| (token, of.log_probability(score)));
    let score = usize::try_from(token).ok().and_then(|at| scores.get(at));
    Likelihood {
        chosen: of.log_probability(score.copied().unwrap_or(f32::NEG_INFINITY)),
        likeliest: likeliest.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_token(_: u32) -> bool {
        true
    }

    fn plain() -> Seen {
        Seen::default()
    }

    fn counts(scores: &[f32], sampling: &Sampling, draws: u64) -> Vec<u64> {
        let mut counts = vec![0; scores.len()];
        for position in 0..draws {
            let token = choose(scores, sampling, &plain(), &any_token, (7, position)).unwrap();
            counts[token as usize] += 1;
        }
        counts
    }

    #[test]
    fn tokens_are_drawn_as_often_as_they_are_likely() {
        let probabilities = [0.5f32, 0.25, 0.125, 0.125];
        let scores: Vec<f32> = probabilities.iter().map(|p| p.ln()).collect();
        let draws = 20_000;
        for (count, p) in counts(&scores, &Sampling::default(), draws)
            .iter()
            .zip(probabilities)
        {
            let expected = f64::from(p) * draws as f64;
            let error = (*count as f64 - expected).abs();
            assert!(error < 5.0 * expected.sqrt(), "{count} of {expected}");
        }
        let cold = Sampling {
            temperature: 0.5,
            ..Sampling::default()
        };
        let found = counts(&scores, &cold, draws);
        let expected = 0.25 / (0.25 + 0.0625 + 2.0 * 0.015_625) * draws as f64;
        assert!((found[0] as f64 - expected).abs() < 5.0 * expected.sqrt());
        let greedy = Sampling {
            temperature: 0.0,
            ..Sampling::default()
        };
        assert_eq!(counts(&scores, &greedy, 10), [10, 0, 0, 0]);
    }

    #[test]
    fn fewer_tokens_are_drawn_where_asked() {
        let scores: Vec<f32> = [0.4f32, 0.3, 0.2, 0.1].iter().map(|p| p.ln()).collect();
        for (sampling, stay) in [
            (
                Sampling {
                    top_k: 2,
                    ..Sampling::default()
                },
                2,
            ),
            (
                Sampling {
                    top_k: 9,
                    ..Sampling::default()
                },
                4,
            ),
            (
                Sampling {
                    top_p: 0.39,
                    ..Sampling::default()
                },
                1,
            ),
            (
                Sampling {
                    top_p: 0.41,
                    ..Sampling::default()
                },
                2,
            ),
            (
                Sampling {
                    top_p: 0.95,
                    ..Sampling::default()
                },
                4,
            ),
            (
                Sampling {
                    top_p: 1e-9,
                    ..Sampling::default()
                },
                1,
            ),
            (
                Sampling {
                    min_p: 0.3,
                    ..Sampling::default()
                },
                3,
            ),
            (
                Sampling {
                    min_p: 1.0,
                    ..Sampling::default()
                },
                1,
            ),
            (
                Sampling {
                    top_k: 3,
                    top_p: 0.5,
                    ..Sampling::default()
                },
                2,
            ),
        ] {
            let found = counts(&scores, &sampling, 500);
            assert!(
                found[..stay].iter().all(|count| *count > 0),
                "{sampling:?}: {found:?}"
            );
            assert!(
                found[stay..].iter().all(|count| *count == 0),
                "{sampling:?}: {found:?}"
            );
        }
    }

    #[test]
    fn penalties_and_biases_change_scores_as_they_say() {
        let mut seen = Seen::new(&[0, 1, 1]);
        for token in [1, 2, 2] {
            seen.push(token);
        }
        let of = |sampling: Sampling| {
            let mut scores = [2.0, -2.0, 2.0, 2.0];
            penalised(&mut scores, &sampling, &seen);
            scores
        };
        let plain = Sampling::default();
        assert_eq!(of(plain.clone()), [2.0, -2.0, 2.0, 2.0]);
        let repetition_penalty = 2.0;
        assert_eq!(
            of(Sampling {
                repetition_penalty,
                ..plain.clone()
            }),
            [1.0, -4.0, 1.0, 2.0]
        );
        let frequency_penalty = 0.5;
        assert_eq!(
            of(Sampling {
                frequency_penalty,
                ..plain.clone()
            }),
            [2.0, -2.5, 1.0, 2.0]
        );
        let presence_penalty = 1.5;
        assert_eq!(
            of(Sampling {
                presence_penalty,
                ..plain.clone()
            }),
            [2.0, -3.5, 0.5, 2.0]
        );
        let logit_bias = vec![(3, -100.0), (0, 1.0)];
        assert_eq!(
            of(Sampling {
                logit_bias,
                ..plain
            }),
            [3.0, -2.0, 2.0, -98.0]
        );
    }

    #[test]
    fn a_token_that_is_not_allowed_is_never_chosen() {
        let scores = [9.0, 1.0, 1.0];
        for temperature in [0.0, 1.0] {
            let sampling = Sampling {
                temperature,
                ..Sampling::default()
            };
            for position in 0..100 {
                let at = (1, position);
                let token = choose(&scores, &sampling, &plain(), &|token| token > 0, at);
                assert!(token.is_some_and(|token| token > 0));
            }
            assert_eq!(
                choose(&scores, &sampling, &plain(), &|_| false, (1, 1)),
                None
            );
        }
    }

    #[test]
    fn parameters_out_of_range_are_refused_by_name() {
        let plain = Sampling::default;
        assert!(plain().check(4).is_ok());
        for (name, bad) in [
            (
                "temperature",
                Sampling {
                    temperature: 2.1,
                    ..plain()
                },
            ),
            (
                "temperature",
                Sampling {
                    temperature: f64::NAN,
                    ..plain()
                },
            ),
            (
                "top_p",
                Sampling {
                    top_p: 0.0,
                    ..plain()
                },
            ),
            (
                "top_p",
                Sampling {
                    top_p: 1.1,
                    ..plain()
                },
            ),
            (
                "min_p",
                Sampling {
                    min_p: -0.1,
                    ..plain()
                },
            ),
            (
                "repetition_penalty",
                Sampling {
                    repetition_penalty: 0.0,
                    ..plain()
                },
            ),
            (
                "frequency_penalty",
                Sampling {
                    frequency_penalty: 3.0,
                    ..plain()
                },
            ),
            (
                "presence_penalty",
                Sampling {
                    presence_penalty: -3.0,
                    ..plain()
                },
            ),
            (
                "logit_bias",
                Sampling {
                    logit_bias: vec![(4, 1.0)],
                    ..plain()
                },
            ),
            (
                "logit_bias",
                Sampling {
                    logit_bias: vec![(1, 101.0)],
                    ..plain()
                },
            ),
            (
                "logit_bias",
                Sampling {
                    logit_bias: vec![(1, 1.0); 301],
                    ..plain()
                },
            ),
        ] {
            assert!(
                bad.check(4).unwrap_err().to_string().contains(name),
                "{name}"
            );
        }
    }

    #[test]
    fn one_way_to_choose_has_one_form() {
        let form = |sampling: &Sampling| serde_json::to_string(sampling).unwrap();
        assert_eq!(form(&Sampling::default()), "{}");
        let read: Sampling = serde_json::from_str(r#"{"temperature":0.7,"top_p":1.0}"#).unwrap();
        assert_eq!(form(&read), r#"{"temperature":0.7}"#);
        assert!(serde_json::from_str::<Sampling>(r#"{"temperatur":0.7}"#).is_err());
    }

    #[test]
    fn likelihoods_are_logarithms_of_probabilities() {
        let scores: Vec<f32> = [0.5f32, 0.25, 0.25].iter().map(|p| p.ln() + 3.0).collect();
        let found = likelihood(&scores, 2, 2);
        assert!((found.chosen - 0.25f32.ln()).abs() < 1e-6);
        let tokens: Vec<u32> = found.likeliest.iter().map(|(token, _)| *token).collect();
        assert_eq!(tokens, [0, 1]);
        assert!(likelihood(&scores, 0, 0).likeliest.is_empty());
    }

    proptest! {
        #[test]
        fn whatever_is_chosen_is_a_token(
            scores in prop::collection::vec(-50f32..50.0, 1..60), seed: u64, position: u64,
            temperature in 0f64..2.0, top_p in 0.001f64..1.0, top_k in 0u32..9, min_p in 0f64..1.0,
        ) {
            let sampling = Sampling { temperature, top_p, top_k, min_p, ..Sampling::default() };
            let at = (seed, position);
            let token = choose(&scores, &sampling, &plain(), &any_token, at).unwrap();
            prop_assert!((token as usize) < scores.len());
            prop_assert_eq!(choose(&scores, &sampling, &plain(), &any_token, at), Some(token));
        }
    }

    proptest! {
        #[test]
        fn the_best_token_is_the_first_of_the_highest_allowed(
            scores in prop::collection::vec((-3i8..3).prop_map(f32::from), 0..70), forbidden: u64, lowest: bool,
        ) {
            let scores: Vec<f32> = scores.into_iter()
                .map(|score| if lowest { f32::NEG_INFINITY } else { score }).collect();
            let allowed = |token: u32| forbidden >> (token % 64) & 1 == 0;
            let mut all: Vec<(u32, f32)> =
                (0u32..).zip(scores.iter().copied()).filter(|(token, _)| allowed(*token)).collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let right = all.first().map(|(token, _)| *token);
            prop_assert_eq!(best(&scores, &allowed), right);
        }
    }
}
