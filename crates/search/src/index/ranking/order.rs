//! From the ordered candidates to hits: copies under what they copy, warnings, a place for the new.

use std::collections::HashMap;

use super::Asked;
use super::features::{Scored, Sum, Yardstick, broken};
use crate::document::{Evaluation, Provenance};
use crate::index::postings::Slot;
use crate::index::sketches::contained;
use crate::index::{Entry, Index};
use crate::query::{Hit, Sort, Warning, Why};

/// How many of the first are compared with each other for copied cards.
const COMPARED: usize = 40;
/// The share of a card's phrases from which on another card that has them is copied from it.
const COPIED: f32 = 0.8;
/// What is left of the score of a copied card, of a name that looks like another's, and of content without its origin.
const COPIED_LEFT: f32 = 0.3;
const LOOKALIKE_LEFT: f32 = 0.5;
const NEAR_COPY_LEFT: f32 = 0.5;
/// How many of the first are looked at for names like theirs.
const LOOKED_AT: usize = 15;
/// Every tenth place is for a new model, the eighth of ten.
const EXPLORATION_PLACE: usize = 7;
const EXPLORATION_EVERY: usize = 10;
/// How long a model is new.
const NEW_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// How relevant a new model must be, as a share of the most relevant.
const EXPLORATION_RELEVANCE: f32 = 0.8;
/// Measurements shown beside a hit.
const MEASURED_SHOWN: usize = 4;

/// A candidate with what became of it.
struct Placed {
    scored: Scored,
    /// The older model that this one is a near copy of, unless it says that it was made from it.
    original: Option<Slot>,
    warnings: Vec<Warning>,
    /// What it was put back for, and what was left of its score.
    demoted: Vec<(&'static str, f32)>,
    copies: Vec<Slot>,
    exploration: bool,
}

impl Index {
    pub(crate) fn hits(
        &self,
        asked: &Asked<'_>,
        yardstick: &Yardstick<'_>,
        sums: &[Sum],
        scored: Vec<Scored>,
        most: usize,
    ) -> Vec<Hit> {
        let mut placed: Vec<Placed> = scored
            .into_iter()
            .map(|scored| Placed {
                original: self.undeclared_original(scored.slot),
                scored,
                warnings: Vec::new(),
                demoted: Vec::new(),
                copies: Vec::new(),
                exploration: false,
            })
            .collect();
        self.mark_copied_cards(&mut placed);
        self.mark_near_copies(&mut placed);
        self.mark_lookalikes(&mut placed);
        let by_relevance = asked.query.sort == Sort::Relevance;
        if by_relevance {
            let tie = |one: &Placed| self.entry(one.scored.slot).map_or(0, |entry| entry.tie);
            placed.sort_by(|a, b| {
                b.scored
                    .score
                    .total_cmp(&a.scored.score)
                    .then_with(|| tie(b).cmp(&tie(a)))
            });
        }
        let mut placed = Self::collapsed(placed);
        if by_relevance {
            self.explore(asked, &mut placed);
        }
        let page = placed.into_iter().skip(asked.query.offset).take(most);
        page.filter_map(|one| self.hit(asked, yardstick, sums, one))
            .collect()
    }

    fn demote(one: &mut Placed, name: &'static str, left: f32) {
        one.scored.score *= left;
        one.demoted.push((name, left));
    }

    fn mark_copied_cards(&self, placed: &mut [Placed]) {
        let first: Vec<&Entry> = placed
            .iter()
            .take(COMPARED)
            .filter_map(|one| self.entry(one.scored.slot))
            .collect();
        let older = |a: &Entry, b: &Entry| {
            (a.document.published_ms, &a.document.id) < (b.document.published_ms, &b.document.id)
        };
        let source_of = |entry: &Entry| {
            let copied = first.iter().filter(|other| {
                !entry.card_sketch.is_empty()
                    && !other.namespace().eq_ignore_ascii_case(entry.namespace())
                    && older(other, entry)
                    && !entry.comes_from(&other.document.id)
                    && other.prior >= entry.prior
                    && contained(&other.card_sketch, &entry.card_sketch) >= COPIED
            });
            copied
                .min_by_key(|other| (other.document.published_ms, &other.document.id))
                .map(|other| other.document.id.clone())
        };
        let sources: Vec<Option<String>> = first.iter().map(|entry| source_of(entry)).collect();
        for (one, source) in placed.iter_mut().zip(sources) {
            if let Some(id) = source {
                one.warnings.push(Warning::CopiedCard { id });
                Self::demote(one, "card is copied", COPIED_LEFT);
            }
        }
    }

    /// The older model that this one is a near copy of, unless it says that it was made from it.
    fn undeclared_original(&self, slot: Slot) -> Option<Slot> {
        let original = self.sketches.original(slot)?;
        let (entry, source) = (self.entry(slot)?, self.entry(original)?);
        (!entry.comes_from(&source.document.id)).then_some(original)
    }

    fn mark_near_copies(&self, placed: &mut [Placed]) {
        for one in placed {
            let Some(source) = one.original.and_then(|original| self.entry(original)) else {
                continue;
            };
            one.warnings.push(Warning::NearCopy {
                id: source.document.id.clone(),
            });
            Self::demote(one, "content is another's", NEAR_COPY_LEFT);
        }
    }

    fn mark_lookalikes(&self, placed: &mut [Placed]) {
        for one in placed.iter_mut().take(LOOKED_AT) {
            let Some(entry) = self.entry(one.scored.slot) else {
                continue;
            };
            if let Some(other) = self.looks_like(one.scored.slot, entry) {
                one.warnings.push(Warning::LooksLike {
                    id: other.document.id.clone(),
                });
                Self::demote(one, "name looks like another's", LOOKALIKE_LEFT);
            }
        }
    }

    /// The oldest model of someone else with more behind it, whose name this one's looks like.
    fn looks_like(&self, slot: Slot, entry: &Entry) -> Option<&Entry> {
        if entry.document.provenance >= Provenance::Verified {
            return None;
        }
        let suspect = |slot: Slot| {
            let other = self.entry(slot)?;
            let older = other.document.published_ms < entry.document.published_ms
                && other.prior > entry.prior;
            let stranger = !other.namespace().eq_ignore_ascii_case(entry.namespace());
            (older && stranger && !entry.comes_from(&other.document.id)).then_some(other)
        };
        let alike = self.names.alike(&entry.skeleton);
        let suspect = alike.filter(|other| *other != slot).filter_map(suspect);
        suspect.min_by_key(|other| other.age())
    }

    /// Puts copies under what they copy, at the best place of them.
    fn collapsed(placed: Vec<Placed>) -> Vec<Placed> {
        let mut out: Vec<Placed> = Vec::with_capacity(placed.len());
        let mut families: HashMap<Slot, usize> = HashMap::with_capacity(placed.len());
        for one in placed {
            let family = one.original.unwrap_or(one.scored.slot);
            let shown = families.get(&family).and_then(|at| out.get_mut(*at));
            match shown {
                Some(held) if one.scored.identity < 1.0 => held.copies.push(one.scored.slot),
                _ => {
                    families.entry(family).or_insert(out.len());
                    out.push(one);
                }
            }
        }
        out
    }

    /// Gives a place on each page to a relevant new model that nobody had a chance to judge.
    fn explore(&self, asked: &Asked<'_>, placed: &mut Vec<Placed>) {
        let now = asked.query.now_ms;
        let pages = placed.len() / EXPLORATION_EVERY;
        if now == 0 || placed.iter().any(|one| one.scored.identity >= 1.0) {
            return;
        }
        let most = placed
            .iter()
            .map(|one| one.scored.gate())
            .fold(0.0, f32::max);
        for page in 0..pages.min(3) {
            let place = page * EXPLORATION_EVERY + EXPLORATION_PLACE;
            let after = placed.iter().enumerate().skip(place + 1);
            let new = after.filter(|(_, one)| {
                one.scored.gate() >= EXPLORATION_RELEVANCE * most && self.unjudged(one, now)
            });
            let drawn = new.min_by_key(|(_, one)| self.draw(asked, one.scored.slot));
            let Some(at) = drawn.map(|(at, _)| at) else {
                return;
            };
            let mut one = placed.remove(at);
            one.exploration = true;
            placed.insert(place, one);
        }
    }

    fn unjudged(&self, one: &Placed, now: u64) -> bool {
        self.entry(one.scored.slot).is_some_and(|entry| {
            let document = &entry.document;
            one.warnings.is_empty()
                && !entry.claims_too_much
                && document.published_ms <= now
                && now - document.published_ms <= NEW_MS
                && document.provenance >= Provenance::Signed
                && entry.usage == 0.0
                && !document
                    .evaluations
                    .iter()
                    .any(|evaluation| evaluation.committed)
        })
    }

    /// Which of the new ones is drawn today for this query: the same on every hub, and nobody's choice.
    fn draw(&self, asked: &Asked<'_>, slot: Slot) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("assay.network search exploration v1");
        hasher.update(&(asked.query.now_ms / 86_400_000).to_le_bytes());
        hasher.update(asked.need.squashed.as_bytes());
        hasher.update(&self.entry(slot).map_or(0, |entry| entry.tie).to_le_bytes());
        *hasher.finalize().as_bytes()
    }

    fn hit(
        &self,
        asked: &Asked<'_>,
        yardstick: &Yardstick<'_>,
        sums: &[Sum],
        one: Placed,
    ) -> Option<Hit> {
        let entry = self.entry(one.scored.slot)?;
        let mut why = self.reasons(asked, yardstick, sums, &one.scored);
        why.extend(one.demoted.iter().map(|(name, left)| (*name, *left, 0.0)));
        let mut warnings = one.warnings;
        if entry.document.provenance == Provenance::Unsigned {
            warnings.push(Warning::Unsigned);
        }
        if entry.claims_too_much {
            warnings.push(Warning::ClaimsTooMuch);
        }
        let broken = broken(&why).map(|wish| Warning::Breaks {
            wish: wish.to_owned(),
        });
        warnings.extend(broken);
        let copies = one
            .copies
            .iter()
            .filter_map(|slot| Some(self.entry(*slot)?.document.id.clone()));
        Some(Hit {
            id: entry.document.id.clone(),
            score: one.scored.score,
            why: told(&why),
            warnings,
            copies: copies.collect(),
            measured: self.nearest_measurements(asked, yardstick, entry),
            exploration: one.exploration,
        })
    }

    /// The measurements that have most to do with the query, those that others vouch for first.
    fn nearest_measurements(
        &self,
        asked: &Asked<'_>,
        yardstick: &Yardstick<'_>,
        entry: &Entry,
    ) -> Vec<Evaluation> {
        let mut all: Vec<(f32, &Evaluation)> = entry
            .measured
            .iter()
            .zip(&entry.document.evaluations)
            .map(|(measured, evaluation)| {
                let near = self.nearness(&asked.need, yardstick, measured);
                (near, evaluation)
            })
            .collect();
        all.sort_by(|a, b| {
            b.0.total_cmp(&a.0)
                .then_with(|| (&a.1.dataset, &a.1.metric).cmp(&(&b.1.dataset, &b.1.metric)))
        });
        all.into_iter()
            .take(MEASURED_SHOWN)
            .map(|(_, evaluation)| evaluation.clone())
            .collect()
    }
}

/// The reasons that say something.
fn told(why: &[(&'static str, f32, f32)]) -> Vec<Why> {
    let shown = why
        .iter()
        .filter(|(_, value, weight)| *weight > 0.0 || *value != 1.0);
    shown
        .map(|(feature, value, weight)| Why {
            feature: (*feature).to_owned(),
            value: *value,
            weight: *weight,
        })
        .collect()
}
