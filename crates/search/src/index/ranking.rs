//! Who comes first? Candidates by words and by meaning, then relevance, then what speaks for each of the relevant.
//!
//! Relevance decides who may be in the list, quality in what order: a score is a power of the relevance times one plus
//! the quality. Every factor is in the answer.

mod features;
mod order;
mod wanted;

use std::collections::BTreeMap;

use super::postings::Slot;
use super::{Entry, Index, Light, name_key, spelling};
use crate::encoder::Vector;
use crate::lexicon::{self, Lexicon};
use crate::need::{self, Need};
use crate::query::{Hit, LIMIT_MAX, Match, Method, Query, Results, Sort};
use features::{Scored, Sum, WORDS_FOUND, Yardstick};
use wanted::Wanted;

/// Candidates by words.
const BY_WORDS: usize = 320;
/// Candidates by meaning.
const BY_MEANING: usize = 160;
/// Candidates by the mere spelling of a name.
const BY_NAME: usize = 32;
/// How much evidence of quality moves a candidate before features are known.
const PRIOR_SHARE: f32 = 0.25;
/// Words of a query that may be misspelt when nothing tells which words are ordinary.
const CORRECTED_WORDS_MAX: usize = 8;
/// Words of a publisher's name at most.
const PUBLISHER_WORDS_MAX: usize = 3;
/// The share of a query's words, by their worth, that is all of them but for rounding.
const ALL_WORDS: f32 = 0.999;
/// Hits that an answer has unless it is asked for more.
const LIMIT_DEFAULT: usize = 10;

/// Room for the sums of one query, kept for the next.
#[derive(Default)]
pub(crate) struct Scratch {
    sums: Vec<Sum>,
    distances: Vec<u16>,
}

impl Scratch {
    fn clear(&mut self, slots: usize) {
        self.sums.clear();
        self.sums.resize(slots, Sum::default());
    }
}

/// A query in all its forms.
pub(crate) struct Asked<'a> {
    pub query: &'a Query,
    pub need: Need,
    pub wanted: Wanted,
    pub vector: Option<Vector>,
}

impl Index {
    /// Answers a query.
    #[must_use]
    pub fn search(&self, query: &Query) -> Results {
        match query.method {
            Method::Hybrid => self.hybrid(query, limit(query)),
            Method::Words => self.by_words_alone(query),
            Method::Meaning => self.by_meaning_alone(query),
            Method::Substring => self.by_substring(query),
        }
    }

    /// Everything that a text finds, best first, for lists that have their own filters and pages.
    #[must_use]
    pub fn matches(&self, text: &str) -> Vec<Match> {
        let query = Query {
            text: text.to_owned(),
            ..Query::default()
        };
        let hits = self.hybrid(&query, usize::MAX).hits;
        let whole = |hit: &Hit| {
            let found = hit.why.iter().find(|why| why.feature == WORDS_FOUND);
            found.is_some_and(|why| why.value >= ALL_WORDS)
        };
        hits.into_iter()
            .map(|hit| Match {
                whole: whole(&hit),
                id: hit.id,
            })
            .collect()
    }

    fn hybrid(&self, query: &Query, most: usize) -> Results {
        let corrections = self.corrections(&query.text);
        let mut need = Need::corrected(&query.text, &corrections);
        let vector = self.vector(query, &mut need);
        let wanted = Wanted::of(self, &need, corrections);
        let asked = Asked {
            query,
            need,
            wanted,
            vector,
        };
        let mut scratch = self
            .scratch
            .lock()
            .ok()
            .and_then(|mut pool| pool.pop())
            .unwrap_or_default();
        let candidates = self.candidates(&asked, &mut scratch);
        let yardstick = Yardstick::of(self, &asked);
        let mut scored: Vec<Scored> = candidates
            .iter()
            .filter_map(|slot| self.scored(&asked, &yardstick, &scratch.sums, *slot))
            .collect();
        features::judge(&asked, &mut scored);
        self.sort(&asked, &mut scored);
        let facets = query
            .facets
            .then(|| super::facets::count(scored.iter().filter_map(|one| self.entry(one.slot))));
        let considered = scored.len();
        let hits = self.hits(&asked, &yardstick, &scratch.sums, scored, most);
        drop(yardstick);
        if let Ok(mut pool) = self.scratch.lock() {
            pool.push(scratch);
        }
        Results {
            considered,
            hits,
            understood: asked.need.in_words(),
            meaning: asked.vector.is_some(),
            corrections: asked.wanted.corrections,
            facets: facets.unwrap_or_default(),
        }
    }

    /// Whether a text is a model's name, with its publisher's before it or without.
    fn names_a_model(&self, text: &str) -> bool {
        let words = crate::text::words(crate::document::clipped(text, need::QUERY_BYTES_MAX));
        let tails =
            (0..words.len().min(PUBLISHER_WORDS_MAX + 1)).filter_map(|from| words.get(from..));
        tails
            .into_iter()
            .any(|tail| self.by_name.contains_key(&name_key(&tail.concat())))
    }

    /// Words of a query that nothing knows, with the stems that were probably meant. In a long sentence without an
    /// encoder's vocabulary to tell ordinary words, none.
    fn corrections(&self, text: &str) -> BTreeMap<String, String> {
        let words = need::words_of(crate::document::clipped(text, need::QUERY_BYTES_MAX));
        if self.semantics.is_none() && words.len() > CORRECTED_WORDS_MAX {
            return BTreeMap::new();
        }
        let lexicon = Lexicon::shared();
        let unknown = words.into_iter().filter(|word| {
            let stem = crate::text::stem(word);
            !(crate::text::common(word)
                || crate::text::asking(word)
                || need::understood(word)
                || lexicon::written_out(word).is_some()
                || lexicon.has_stem(&stem)
                || self.inverted.number(&stem).is_some()
                || self
                    .semantics
                    .as_ref()
                    .is_some_and(|semantics| semantics.ordinary(word)))
        });
        let meant = unknown.filter_map(|word| {
            let number = spelling::meant(&self.inverted, &word)?;
            Some((word, self.inverted.text(number).to_owned()))
        });
        meant.collect()
    }

    /// The query's vector: by the quick way when words have said what it is about, otherwise by the whole encoder,
    /// which also tells what that may be.
    fn vector(&self, query: &Query, need: &mut Need) -> Option<Vector> {
        let semantics = self
            .semantics
            .as_ref()
            .filter(|_| !need.squashed.is_empty())?;
        if need.sure || self.names_a_model(&query.text) {
            return Some(semantics.quick_query(&query.text));
        }
        let vector = semantics.query(&need.plain);
        need.guessed = semantics.concepts(&vector);
        need.guessed
            .retain(|(concept, _)| !need.unwanted_concepts.contains(concept));
        Some(vector)
    }

    /// Slots that may be hits, ascending. Which ones does not depend on how documents are numbered.
    fn candidates(&self, asked: &Asked<'_>, scratch: &mut Scratch) -> Vec<Slot> {
        scratch.clear(self.entries.len());
        let mut slots = if asked.need.squashed.is_empty() {
            self.best_by(asked, |light, _| light.prior + f32::MIN_POSITIVE, BY_WORDS)
        } else {
            self.accumulate(&asked.wanted, scratch);
            let weighed = |light: &Light, slot: Slot| {
                let sum = scratch.sums.get(slot as usize);
                sum.map_or(0.0, |sum| sum.score) * (1.0 - PRIOR_SHARE + PRIOR_SHARE * light.prior)
            };
            self.best_by(asked, weighed, BY_WORDS)
        };
        if let Some(vector) = &asked.vector {
            slots.extend(
                self.vectors
                    .nearest(vector, BY_MEANING, &mut scratch.distances),
            );
        }
        slots.extend(self.named(&asked.query.text));
        slots.sort_unstable();
        slots.dedup();
        let filters = &asked.query.filters;
        if !filters.is_empty() {
            slots.retain(|slot| self.entry(*slot).is_some_and(|entry| filters.pass(entry)));
        }
        slots
    }

    /// Documents whose name or id is the text, but for marks and case.
    fn named(&self, text: &str) -> Vec<Slot> {
        let exact = self.ids.get(&text.trim().to_lowercase()).copied();
        let name = text.rsplit_once('/').map_or(text, |(_, name)| name);
        let alike = self
            .by_name
            .get(&name_key(name))
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut alike: Vec<Slot> = alike.to_vec();
        alike.sort_by_key(|slot| self.entry(*slot).map(Entry::age));
        alike.truncate(BY_NAME);
        alike.extend(exact);
        alike
    }

    fn accumulate(&self, wanted: &Wanted, scratch: &mut Scratch) {
        for (term, bit) in wanted.terms.iter().zip(0_u32..) {
            let mask = 1_u32.checked_shl(bit).unwrap_or(0);
            let factor = term.weight * term.rarity / 255.0;
            for (slot, impact) in self.inverted.postings(term.number) {
                if let Some(sum) = scratch.sums.get_mut(slot as usize) {
                    sum.score += factor * f32::from(impact);
                    sum.mask |= mask;
                }
            }
        }
    }

    /// The `most` documents of highest value above zero that pass the filters; among equals the order of nobody's
    /// choice.
    fn best_by(
        &self,
        asked: &Asked<'_>,
        value: impl Fn(&Light, Slot) -> f32,
        most: usize,
    ) -> Vec<Slot> {
        let filters = Some(&asked.query.filters).filter(|filters| !filters.is_empty());
        let mut best: std::collections::BinaryHeap<std::cmp::Reverse<(u32, u64, Slot)>> =
            Default::default();
        for (light, slot) in self.lights.iter().zip(0..) {
            let Some(light) = light else { continue };
            let value = value(light, slot);
            if value <= 0.0 {
                continue;
            }
            // The order of floats that are not negative is that of their bits.
            let key = (value.to_bits(), light.tie, slot);
            if best.len() >= most && best.peek().is_some_and(|least| key < least.0) {
                continue;
            }
            if filters
                .is_some_and(|filters| !self.entry(slot).is_some_and(|entry| filters.pass(entry)))
            {
                continue;
            }
            best.push(std::cmp::Reverse(key));
            if best.len() > most {
                best.pop();
            }
        }
        best.into_iter()
            .map(|std::cmp::Reverse((_, _, slot))| slot)
            .collect()
    }

    /// BM25 over all fields, for comparison.
    fn by_words_alone(&self, query: &Query) -> Results {
        let wanted = Wanted::words_alone(self, &query.text);
        let mut scratch = Scratch::default();
        scratch.clear(self.entries.len());
        self.accumulate(&wanted, &mut scratch);
        let scored = scratch
            .sums
            .iter()
            .zip(0..)
            .filter(|(sum, _)| sum.score > 0.0);
        self.plain(query, scored.map(|(sum, slot)| (sum.score, slot)).collect())
    }

    /// The cosine of sentence vectors, for comparison.
    fn by_meaning_alone(&self, query: &Query) -> Results {
        let vector = self
            .semantics
            .as_ref()
            .map(|semantics| semantics.query(&query.text));
        let scored = vector
            .map(|vector| self.vectors.all(&vector))
            .unwrap_or_default();
        self.plain(query, scored)
    }

    /// The id contains the text; most downloads first.
    fn by_substring(&self, query: &Query) -> Results {
        let wanted = query.text.trim().to_lowercase();
        let found = self.ids.iter().filter(|(id, _)| id.contains(&wanted));
        let scored = found
            .filter_map(|(_, slot)| Some((self.entry(*slot)?.document.downloads as f32, *slot)));
        self.plain(query, scored.collect())
    }

    fn plain(&self, query: &Query, mut scored: Vec<(f32, Slot)>) -> Results {
        let filters = &query.filters;
        scored.retain(|(_, slot)| self.entry(*slot).is_some_and(|entry| filters.pass(entry)));
        let tie = |slot: Slot| self.entry(slot).map_or(0, |entry| entry.tie);
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| tie(b.1).cmp(&tie(a.1))));
        let considered = scored.len();
        let page = scored.into_iter().skip(query.offset).take(limit(query));
        let hits = page.filter_map(|(score, slot)| {
            Some(Hit {
                id: self.entry(slot)?.document.id.clone(),
                score,
                ..Hit::default()
            })
        });
        Results {
            hits: hits.collect(),
            considered,
            corrections: BTreeMap::new(),
            ..Results::default()
        }
    }

    fn sort(&self, asked: &Asked<'_>, scored: &mut Vec<Scored>) {
        if asked.query.sort != Sort::Relevance {
            // Only what is relevant is sorted by something else.
            let most = scored.iter().map(|one| one.gate()).fold(0.0, f32::max);
            scored.retain(|one| one.gate() >= 0.5 * most);
        }
        let key = |one: &Scored| {
            let document = self.entry(one.slot).map(|entry| &entry.document);
            match asked.query.sort {
                Sort::Relevance => f64::from(one.score),
                Sort::Downloads => document.map_or(0.0, |document| document.downloads as f64),
                Sort::Recency => document.map_or(0.0, |document| document.updated_ms as f64),
                Sort::Accuracy => f64::from(one.measured),
                Sort::Cost => -document
                    .and_then(|document| document.price_microcredits)
                    .map_or(f64::MAX, |price| price as f64),
                Sort::Usage => f64::from(self.entry(one.slot).map_or(0.0, |entry| entry.usage)),
            }
        };
        let tie = |one: &Scored| self.entry(one.slot).map_or(0, |entry| entry.tie);
        scored.sort_by(|a, b| {
            let by_score = key(b).total_cmp(&key(a)).then(b.score.total_cmp(&a.score));
            by_score.then_with(|| tie(b).cmp(&tie(a)))
        });
    }
}

fn limit(query: &Query) -> usize {
    if query.limit == 0 {
        LIMIT_DEFAULT
    } else {
        query.limit.min(LIMIT_MAX)
    }
}
