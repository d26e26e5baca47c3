//! What speaks for a document, and what against it?

use std::cell::Cell;

use super::Asked;
use crate::index::postings::Slot;
use crate::index::standings::Measured;
use crate::index::{Entry, Index, tier};
use crate::lexicon::{self, Concept, Lexicon};
use crate::need::{FirstBy, Need};
use crate::text;

/// Weights of the parts of relevance and quality. They were chosen on the development half of the benchmark;
/// `docs/search.md`.
struct Tuning {
    words: f32,
    coverage: f32,
    meaning: f32,
    name: f32,
    fit: f32,
    /// Meaning and fit when what is sought was only guessed.
    meaning_guessed: f32,
    fit_guessed: f32,
    /// The share of quality in a score: usually, when the best is asked for, and when a model is named.
    quality: f32,
    quality_first: f32,
    quality_named: f32,
    /// Relevance, as a share of the most relevant, where the gate of quality begins to open and where it is open.
    gate_from: f32,
    gate_to: f32,
    /// A match of names from which on a query names a model.
    named: f32,
}

const TUNING: Tuning = Tuning {
    words: 0.30,
    coverage: 0.20,
    meaning: 0.15,
    name: 0.12,
    fit: 0.45,
    meaning_guessed: 0.45,
    fit_guessed: 0.30,
    quality: 0.45,
    quality_first: 0.80,
    quality_named: 0.12,
    gate_from: 0.45,
    gate_to: 0.85,
    named: 0.85,
};

/// Parts of quality: measured, used, signed.
const MEASURED: f32 = 0.65;
const USED: f32 = 0.25;
const TIER: f32 = 0.10;
/// What is told of a model without a measurement: the value that stands in for one is no finding.
const NOT_MEASURED: &str = "not measured, taken as";
/// Measurements that a model is taken to have had with a middling result, so that one lucky one does not win.
const SHRINKAGE: f32 = 1.0;
/// How much a measurement counts by what it has to do with the query, and if nobody but the publisher vouches for it.
const ON_DATASET: f32 = 3.0;
const ON_TASK: f32 = 1.5;
const ELSEWHERE: f32 = 0.3;
const CLAIM: f32 = 0.12;
/// What a name that is exactly the query adds.
const IDENTITY: f32 = 2.0;
/// The feature that says how many of a query's words a document has.
pub(crate) const WORDS_FOUND: &str = "words found";
/// Cosines of unrelated and of like sentences.
const COSINE_LOW: f32 = 0.10;
const COSINE_HIGH: f32 = 0.70;

/// A candidate and what it was found to be worth.
pub(crate) struct Scored {
    pub slot: Slot,
    pub score: f32,
    /// Relevance with all that the query asked for taken into account.
    pub relevance: f32,
    pub factor: f32,
    pub measured: f32,
    quality: f32,
    name: f32,
    pub identity: f32,
    /// The share of quality in the score, and how far its gate is open.
    share: f32,
    open: f32,
}

impl Scored {
    /// Relevance with what was asked for.
    pub(crate) fn gate(&self) -> f32 {
        self.relevance * self.factor
    }
}

/// What is the same for every candidate of a query.
pub(crate) struct Yardstick<'a> {
    /// The most that the terms can add up to.
    most: f32,
    /// What was said in words: the term's text, its worth and its bit.
    said: Vec<(&'a str, f32, u32)>,
    /// The worth of all that was said.
    worth: f32,
    english: u128,
    /// The languages asked for, one bit each, and whether one that speaks many is.
    spoken: Vec<u128>,
    many: bool,
    /// By number of a data set, whether the query names it; `None` while nobody asked.
    named: Vec<Cell<Option<bool>>>,
}

impl<'a> Yardstick<'a> {
    pub(crate) fn of(index: &'a Index, asked: &Asked<'_>) -> Self {
        let words = asked.wanted.terms.iter().zip(0_u32..);
        let said: Vec<(&str, f32, u32)> = words
            .filter(|(term, _)| term.word)
            .map(|(term, bit)| {
                let mask = 1_u32.checked_shl(bit).unwrap_or(0);
                let worth = term.weight * term.rarity;
                (index.inverted.text(term.number), worth, mask)
            })
            .collect();
        let need = &asked.need;
        let spoken: Vec<u128> = need
            .languages
            .iter()
            .filter(|language| language.code() != "multilingual")
            .map(|language| language.bit())
            .collect();
        let english = Lexicon::shared().language("en");
        Self {
            most: asked.wanted.most(),
            worth: said.iter().fold(0.0, |sum, (_, worth, _)| sum + worth),
            said,
            english: english.map_or(0, |language| language.bit()),
            many: need.languages.len() > spoken.len(),
            spoken,
            named: vec![Cell::new(None); index.standings.datasets()],
        }
    }

    /// Whether the query names a measurement's data set.
    fn names(&self, index: &Index, need: &Need, measured: &Measured) -> bool {
        let look = || {
            let dataset = index.standings.dataset(measured.dataset);
            dataset.len() >= 3 && need.squashed.contains(dataset)
        };
        let Some(known) = self.named.get(measured.dataset as usize) else {
            return look();
        };
        let named = known.get().unwrap_or_else(look);
        known.set(Some(named));
        named
    }
}

/// What the terms of a query left with a document.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sum {
    pub score: f32,
    /// Which terms it has, a bit each.
    pub mask: u32,
}

/// Gives every candidate its score: what is relevant, and among the relevant what is good.
pub(crate) fn judge(asked: &Asked<'_>, scored: &mut [Scored]) {
    let most = scored.iter().map(Scored::gate).fold(1e-6, f32::max);
    let named = asked.need.first_by.is_none()
        && scored
            .iter()
            .any(|one| one.identity >= 1.0 || one.name >= TUNING.named);
    let share = match asked.need.first_by {
        Some(_) => TUNING.quality_first,
        None if named => TUNING.quality_named,
        None => TUNING.quality,
    };
    for one in scored {
        let relative = one.gate() / most;
        let open =
            ((relative - TUNING.gate_from) / (TUNING.gate_to - TUNING.gate_from)).clamp(0.0, 1.0);
        let open = open * open * (3.0 - 2.0 * open);
        (one.share, one.open) = (share, open);
        let score = (1.0 - share) * relative * relative + share * open * one.quality;
        one.score = score + IDENTITY * one.identity * (0.7 + 0.3 * one.quality);
    }
}

impl Index {
    pub(crate) fn scored(
        &self,
        asked: &Asked<'_>,
        yardstick: &Yardstick<'_>,
        sums: &[Sum],
        slot: Slot,
    ) -> Option<Scored> {
        self.weighed(asked, yardstick, sums, slot, |_, _, _| {})
    }

    /// Every feature of a candidate with its value and weight, in the order in which they were looked at.
    pub(crate) fn reasons(
        &self,
        asked: &Asked<'_>,
        yardstick: &Yardstick<'_>,
        sums: &[Sum],
        scored: &Scored,
    ) -> Vec<(&'static str, f32, f32)> {
        let mut why = Vec::with_capacity(24);
        let tell = |feature, value, weight| why.push((feature, value, weight));
        _ = self.weighed(asked, yardstick, sums, scored.slot, tell);
        why.push(("quality", scored.quality, scored.share));
        why.push(("relevance gate", scored.open, 0.0));
        why
    }

    /// Weighs a candidate and tells each feature, its value and its weight.
    fn weighed(
        &self,
        asked: &Asked<'_>,
        yardstick: &Yardstick<'_>,
        sums: &[Sum],
        slot: Slot,
        mut tell: impl FnMut(&'static str, f32, f32),
    ) -> Option<Scored> {
        let entry = self.entry(slot)?;
        let sum = sums.get(slot as usize).copied().unwrap_or_default();
        let identity = identity(&asked.need, entry);
        let name = name_match(yardstick, entry);
        let relevance = self.relevance(asked, yardstick, sum, (slot, entry, name), &mut tell);
        let factor = factor(&asked.need, yardstick, entry, identity, &mut tell);
        let (measured, quality) = self.quality(&asked.need, yardstick, entry);
        let first = asked.need.first_by;
        let quality = first.map_or(quality, |first| wished(first, entry, quality));
        let told = match entry.document.evaluations.is_empty() {
            true => NOT_MEASURED,
            false => "measured",
        };
        tell(told, measured, MEASURED);
        tell("used", entry.usage, USED);
        tell("signed", tier(entry.document.provenance), TIER);
        tell("name is the query", identity, IDENTITY);
        Some(Scored {
            slot,
            score: 0.0,
            relevance,
            factor,
            measured,
            quality,
            name,
            identity,
            share: 0.0,
            open: 0.0,
        })
    }

    fn relevance(
        &self,
        asked: &Asked<'_>,
        yardstick: &Yardstick<'_>,
        sum: Sum,
        (slot, entry, name): (Slot, &Entry, f32),
        tell: &mut impl FnMut(&'static str, f32, f32),
    ) -> f32 {
        let (mut total, mut relevance) = (0.0, 0.0);
        let mut part = |feature, value: f32, weight: f32| {
            total += weight;
            relevance += value * weight;
            tell(feature, value, weight);
        };
        let most = yardstick.most;
        let words = if most > 0.0 {
            (sum.score / most).min(1.0)
        } else {
            0.0
        };
        part("words", words, TUNING.words);
        part(
            "words found",
            coverage(yardstick, sum.mask),
            TUNING.coverage,
        );
        if let Some(vector) = &asked.vector {
            let cosine = self.vectors.cosine(slot, vector);
            let meaning = ((cosine - COSINE_LOW) / (COSINE_HIGH - COSINE_LOW)).clamp(0.0, 1.0);
            let weight = if !asked.need.sure {
                TUNING.meaning_guessed
            } else {
                TUNING.meaning
            };
            part("meaning", meaning, weight);
        }
        part("name", name, TUNING.name);
        let need = &asked.need;
        if !need.concepts.is_empty() {
            let weight = if need.guessed.is_empty() {
                TUNING.fit
            } else {
                0.4 * TUNING.fit
            };
            part("fits the task", fit(&need.concepts, entry), weight);
        }
        if !need.guessed.is_empty() {
            // Any of the guesses will do.
            let best = need
                .guessed
                .iter()
                .map(|(concept, _)| fit(&[*concept], entry))
                .fold(0.0, f32::max);
            part("may fit the task", best, TUNING.fit_guessed);
        }
        if need.squashed.is_empty() {
            1.0
        } else {
            relevance / total
        }
    }

    /// What was measured near the query, and quality as a whole.
    fn quality(&self, need: &Need, yardstick: &Yardstick<'_>, entry: &Entry) -> (f32, f32) {
        let (mut sum, mut weights) = (0.0, 0.0);
        for one in &entry.measured {
            let weight = self.nearness(need, yardstick, one);
            sum += weight * (2.0 * self.standings.standing(one) - 1.0);
            weights += weight;
        }
        let measured = 0.5 + 0.5 * sum / (weights + SHRINKAGE);
        // Half is what an unmeasured model has; below it is known to be worse than others.
        let quality =
            MEASURED * measured + USED * entry.usage + TIER * tier(entry.document.provenance);
        (measured, quality)
    }

    /// How much a measurement has to do with what is asked for.
    pub(crate) fn nearness(
        &self,
        need: &Need,
        yardstick: &Yardstick<'_>,
        measured: &Measured,
    ) -> f32 {
        let named = yardstick.names(self, need, measured);
        let task = measured.task;
        let near = |concept: &Concept| {
            Some(*concept) == task
                || concept
                    .broader()
                    .is_some_and(|broader| Some(broader) == task)
                || task
                    .and_then(Concept::broader)
                    .is_some_and(|broader| broader == *concept)
        };
        let on_task = || need.concepts.is_empty() || need.concepts.iter().any(near);
        let weight = match named {
            true => ON_DATASET,
            false if on_task() => ON_TASK,
            false => ELSEWHERE,
        };
        if measured.vouched {
            weight
        } else {
            weight * CLAIM
        }
    }
}

/// How much of the query's words the name has, and how much of the name the query.
fn name_match(yardstick: &Yardstick<'_>, entry: &Entry) -> f32 {
    if yardstick.worth <= 0.0 {
        return 0.0;
    }
    let (mut has, mut letters) = (0.0, 0);
    for (text, worth, _) in &yardstick.said {
        if entry.squashed.contains(text) {
            has += worth;
            letters += text.len();
        }
    }
    let of_name = (letters as f32 / entry.squashed.len().max(1) as f32).min(1.0);
    has / yardstick.worth * (0.6 + 0.4 * of_name)
}

/// What a superlative asks for, 0 to 1, with a little of the general quality.
fn wished(first: FirstBy, entry: &Entry, quality: f32) -> f32 {
    let document = &entry.document;
    let wished = match first {
        FirstBy::Quality => return quality,
        FirstBy::Used => entry.usage,
        // Fifteen years from 2015 as one.
        FirstBy::Newest => (document.published_ms.saturating_sub(1_420_000_000_000) as f32
            / 473_000_000_000.0)
            .min(1.0),
        FirstBy::Cheapest => document
            .price_microcredits
            .map_or(0.0, |price| 1.0 / (1.0 + price as f32 / 1_000.0)),
        FirstBy::Smallest => smallness(entry),
    };
    0.8 * wished + 0.2 * quality
}

/// 1 for very small models, 0 for the largest: the order of magnitude of their parameters.
fn smallness(entry: &Entry) -> f32 {
    let parameters = entry.parameters.map(|n| n as f64);
    let guessed = Some(entry.document.bytes)
        .filter(|bytes| *bytes > 0)
        .map(|bytes| bytes as f64 / 3.0);
    match parameters.or(guessed) {
        Some(n) => (1.0 - (crate::numeric::ln(n.max(1e6) / 1e6) / 12.0) as f32).clamp(0.0, 1.0),
        None => 0.3,
    }
}

fn fit(concepts: &[Concept], entry: &Entry) -> f32 {
    let of = |concept: &Concept| {
        let broader = concept
            .broader()
            .map_or(0.0, |broader| 0.45 * entry.strength(broader));
        entry.strength(*concept).max(broader)
    };
    concepts.iter().map(of).sum::<f32>() / concepts.len().max(1) as f32
}

fn identity(need: &Need, entry: &Entry) -> f32 {
    let wanted = need.squashed.as_str();
    if wanted.len() < 3 {
        return 0.0;
    }
    if wanted == entry.squashed {
        return 1.0;
    }
    match wanted.strip_prefix(entry.space_squashed.as_str()) {
        Some(rest) if rest == entry.squashed => 1.1,
        _ => 0.0,
    }
}

/// A factor up to which what it stands for is a wish that was broken.
const BROKEN: f32 = 0.2;
/// The names of the factors, of which a broken wish is one.
const WISHES: [&str; 7] = [
    "language",
    "licence",
    "library",
    "size",
    "quantisation",
    "not wanted",
    "claims",
];

/// The wishes that a candidate breaks, from its reasons.
pub(crate) fn broken(why: &[(&'static str, f32, f32)]) -> impl Iterator<Item = &'static str> {
    let wishes = why.iter().filter(|(name, ..)| WISHES.contains(name));
    wishes
        .filter(|(_, factor, _)| *factor <= BROKEN)
        .map(|(name, ..)| *name)
}

/// Factors for all that was asked for beside the topic.
fn factor(
    need: &Need,
    yardstick: &Yardstick<'_>,
    entry: &Entry,
    identity: f32,
    tell: &mut impl FnMut(&'static str, f32, f32),
) -> f32 {
    if identity >= 1.0 {
        return 1.0;
    }
    let factors = [
        ("language", language(need, yardstick, entry)),
        ("licence", licence(need, entry)),
        ("library", library(need, entry)),
        ("size", size(need, entry)),
        ("quantisation", quantisation(need, entry)),
        ("not wanted", unwanted(need, entry)),
        ("claims", if entry.claims_too_much { 0.3 } else { 1.0 }),
    ];
    for (name, factor) in factors {
        tell(name, factor, 0.0);
    }
    factors.iter().map(|(_, factor)| factor).product()
}

fn language(need: &Need, yardstick: &Yardstick<'_>, entry: &Entry) -> f32 {
    let (english, many, bits) = (yardstick.english, yardstick.many, &yardstick.spoken);
    let mut factor = 1.0;
    if many && !entry.multilingual {
        factor *= if entry.languages.count_ones() >= 2 {
            0.6
        } else {
            0.3
        };
    }
    let spoken = bits
        .iter()
        .filter(|bit| entry.languages & **bit != 0)
        .count();
    factor *= match (bits.len(), spoken) {
        (0, _)
            if entry.languages == 0
                || entry.languages & english != 0
                || entry.multilingual
                || many =>
        {
            1.0
        }
        // Who names no language rarely means one that the query is not written in.
        (0, _) => 0.6,
        (all, spoken) if all == spoken => 1.0,
        (_, 0) if entry.multilingual => 0.75,
        (_, 0) if entry.languages == 0 && bits.iter().all(|bit| *bit == english) => 0.95,
        (_, 0) if entry.languages == 0 => 0.4,
        (_, 0) => 0.12,
        (all, spoken) => {
            if entry.multilingual {
                0.8
            } else {
                0.5 * spoken as f32 / all as f32
            }
        }
    };
    factor * direction(need, entry)
}

/// `en-de` in a name translates into German.
fn direction(need: &Need, entry: &Entry) -> f32 {
    let Some((from, to)) = need.pair else {
        return 1.0;
    };
    let place = |code: &str| entry.name_words.iter().position(|word| word == code);
    match (place(from.code()), place(to.code())) {
        (Some(from), Some(to)) if from > to => 0.35,
        (Some(_), Some(_)) => 1.1,
        _ => 0.9,
    }
}

fn licence(need: &Need, entry: &Entry) -> f32 {
    let held = entry.licence.as_deref();
    let mut factor = 1.0;
    if !need.licences.is_empty() {
        factor *= match held {
            Some(held) if need.licences.contains(&held) => 1.0,
            Some(_) => 0.12,
            None => 0.4,
        };
    }
    if need.sellable {
        factor *= match held {
            Some(held) if lexicon::sellable(held) => 1.0,
            Some(_) => 0.12,
            None => 0.4,
        };
    }
    factor
}

fn library(need: &Need, entry: &Entry) -> f32 {
    if need.libraries.is_empty() {
        return 1.0;
    }
    match entry.library.as_deref() {
        Some(held) if need.libraries.contains(&held) => 1.0,
        _ if need
            .libraries
            .iter()
            .any(|library| entry.squashed.contains(&text::squashed(library))) =>
        {
            1.0
        }
        Some(_) => 0.3,
        None => 0.45,
    }
}

fn size(need: &Need, entry: &Entry) -> f32 {
    let parameters = entry.parameters;
    let mut factor = 1.0;
    if need.parameters_min.is_some() || need.parameters_max.is_some() {
        factor *= match parameters {
            Some(n)
                if need.parameters_min.is_none_or(|least| n >= least)
                    && need.parameters_max.is_none_or(|most| n <= most) =>
            {
                1.0
            }
            Some(_) => 0.1,
            None => 0.45,
        };
    }
    if let Some(about) = need.parameters_about {
        factor *= match parameters.map(|n| n as f32 / about as f32) {
            Some(ratio) if (0.75..=1.33).contains(&ratio) => 1.0,
            Some(ratio) if (0.5..=2.0).contains(&ratio) => 0.6,
            Some(_) => 0.35,
            None => 0.6,
        };
    }
    if let Some(most) = need.bytes_max {
        let per_parameter = if entry.quantised { 0.6 } else { 2.0 };
        let guessed = parameters.map(|n| n as f64 * per_parameter);
        let bytes = Some(entry.document.bytes)
            .filter(|bytes| *bytes > 0)
            .map(|bytes| bytes as f64)
            .or(guessed);
        factor *= match bytes {
            Some(bytes) if bytes <= most as f64 => 1.0,
            Some(_) => 0.12,
            None => 0.5,
        };
    }
    if need.small && need.first_by != Some(FirstBy::Smallest) {
        factor *= 0.4 + 0.6 * smallness(entry).min(0.6) / 0.6;
    }
    factor
}

fn quantisation(need: &Need, entry: &Entry) -> f32 {
    match need.quantised {
        Some(wanted) if wanted == entry.quantised => 1.0,
        Some(true) => 0.2,
        Some(false) => 0.15,
        None => 1.0,
    }
}

fn unwanted(need: &Need, entry: &Entry) -> f32 {
    let has_term = |term: &String| {
        entry.squashed.contains(term.as_str())
            || entry
                .document
                .bases
                .iter()
                .any(|base| text::squashed(&base.id).contains(term.as_str()))
    };
    let broken = need
        .unwanted_concepts
        .iter()
        .any(|concept| entry.strength(*concept) >= 0.5)
        || need
            .unwanted_languages
            .iter()
            .any(|language| entry.languages & language.bit() != 0)
        || need
            .unwanted_licences
            .iter()
            .any(|licence| entry.licence.as_deref() == Some(licence))
        || need
            .unwanted_libraries
            .iter()
            .any(|library| entry.library.as_deref() == Some(library))
        || need.unwanted.iter().any(has_term);
    if broken { 0.08 } else { 1.0 }
}

/// The share of the words of a query, by their worth, that a document has, as the bits of `mask` say.
fn coverage(yardstick: &Yardstick<'_>, mask: u32) -> f32 {
    let said = yardstick.said.iter().filter(|(_, _, bit)| mask & bit != 0);
    let has = said.fold(0.0, |sum, (_, worth, _)| sum + worth);
    if yardstick.worth > 0.0 {
        has / yardstick.worth
    } else {
        0.0
    }
}
