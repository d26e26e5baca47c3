//! Which terms does a query look for, how much does each count, and which were meant that nobody wrote?

use std::collections::BTreeMap;

use crate::index::Index;
use crate::index::postings::TermId;
use crate::index::profile::{
    QUANTISED_MARK, concept_mark, language_mark, library_mark, licence_mark,
};
use crate::need::Need;
use crate::{numeric, text};

/// Terms of one query at most: one bit each.
const TERMS_MAX: usize = 32;
/// Weights of terms: words, words in another spelling, two words as one, and what was understood.
const WORD: f32 = 1.0;
const CORRECTED: f32 = 0.8;
const JOINED: f32 = 0.8;
const CONCEPT: f32 = 1.6;
const GUESSED: f32 = 1.0;
const LANGUAGE: f32 = 1.2;
const LICENCE: f32 = 0.5;
const LIBRARY: f32 = 0.7;
const QUANTISED: f32 = 0.7;

/// One term that is looked for.
pub(crate) struct Sought {
    pub number: TermId,
    pub weight: f32,
    /// BM25's inverse document frequency.
    pub rarity: f32,
    /// Whether the query said it in words, itself or in another spelling.
    pub word: bool,
}

/// All terms that are looked for, ascending by their text, so that sums are formed in one order everywhere.
#[derive(Default)]
pub(crate) struct Wanted {
    pub terms: Vec<Sought>,
    pub corrections: BTreeMap<String, String>,
}

impl Wanted {
    /// The terms of a need, of which some were put right.
    pub(crate) fn of(index: &Index, need: &Need, corrections: BTreeMap<String, String>) -> Self {
        let mut wanted = Self::default();
        let mut found: BTreeMap<String, (f32, bool)> = BTreeMap::new();
        let mut add = |term: String, weight: f32, word: bool| {
            let held = found.entry(term).or_insert((0.0, false));
            *held = (held.0.max(weight), held.1 || word);
        };
        for pair in need.terms.windows(2) {
            let joined = pair.concat();
            if index.inverted.number(&joined).is_some() {
                add(joined, JOINED, true);
            }
        }
        for term in &need.terms {
            if index.inverted.number(term).is_some() {
                let put_right = corrections.values().any(|meant| meant == term);
                add(term.clone(), if put_right { CORRECTED } else { WORD }, true);
            }
        }
        for (concept, _) in &need.guessed {
            add(concept_mark(*concept), GUESSED, false);
        }
        for concept in &need.concepts {
            add(concept_mark(*concept), CONCEPT, false);
            concept
                .broader()
                .into_iter()
                .for_each(|broader| add(concept_mark(broader), 0.5 * CONCEPT, false));
        }
        need.languages
            .iter()
            .for_each(|language| add(language_mark(*language), LANGUAGE, false));
        need.licences
            .iter()
            .for_each(|licence| add(licence_mark(licence), LICENCE, false));
        need.libraries
            .iter()
            .for_each(|library| add(library_mark(library), LIBRARY, false));
        if need.quantised == Some(true) {
            add(QUANTISED_MARK.to_owned(), QUANTISED, false);
        }
        wanted.corrections = corrections;
        wanted.enter(index, found);
        wanted
    }

    /// The words as they are, as BM25 alone has them.
    pub(crate) fn words_alone(index: &Index, query: &str) -> Self {
        let mut wanted = Self::default();
        let mut found: BTreeMap<String, (f32, bool)> = BTreeMap::new();
        for word in text::words(crate::document::clipped(
            query,
            crate::need::QUERY_BYTES_MAX,
        )) {
            if !text::common(&word) {
                text::terms(&word, |term| {
                    _ = found.insert(term.to_owned(), (WORD, true))
                });
            }
        }
        wanted.enter(index, found);
        wanted
    }

    fn enter(&mut self, index: &Index, found: BTreeMap<String, (f32, bool)>) {
        let all = index.len() as f64;
        let known = found
            .into_iter()
            .filter_map(|(term, how)| Some((index.inverted.number(&term)?, how)));
        self.terms = known
            .take(TERMS_MAX)
            .map(|(number, (weight, word))| {
                let documents = index.inverted.documents(number) as f64;
                let rarity = numeric::ln(1.0 + (all - documents + 0.5) / (documents + 0.5)) as f32;
                Sought {
                    number,
                    weight,
                    rarity,
                    word,
                }
            })
            .collect();
    }

    /// The most that the terms can add up to in a document that has them all where they count most.
    pub(crate) fn most(&self) -> f32 {
        self.terms
            .iter()
            .map(|term| term.weight * term.rarity)
            .sum::<f32>()
            * 0.75
    }
}
