//! Which models share content? Near copies by the smallest hashes of their chunks.
//!
//! The smallest hashes of a union are drawn from both sides alike, so the share of them that both have estimates the
//! overlap (Broder, "On the resemblance and containment of documents", 1997).

use std::collections::HashMap;

use super::postings::Slot;

/// How many of the smallest hashes lead from one model to another.
const KEYS: usize = 8;
/// Shared content from which on one is a near copy of the other.
pub(crate) const NEAR: f32 = 0.5;
/// Hashes below which a sketch says nothing.
const SKETCH_MIN: usize = 4;

/// Who came first: by publication, then by id. What is copied is older than its copy.
pub(crate) type Age = (u64, String);

struct Held {
    sketch: Box<[u64]>,
    age: Age,
    original: Option<Slot>,
}

/// All sketches.
#[derive(Default)]
pub(crate) struct Sketches {
    keys: HashMap<u64, Vec<Slot>>,
    held: Vec<Option<Held>>,
}

/// The share of the smallest hashes of both that both have.
pub(crate) fn overlap<T: Ord + Copy>(a: &[T], b: &[T]) -> f32 {
    let most = a.len().min(b.len());
    let (mut left, mut right) = (a.iter().peekable(), b.iter().peekable());
    let (mut union, mut both) = (0_usize, 0_usize);
    while union < most {
        let (Some(x), Some(y)) = (left.peek(), right.peek()) else {
            break;
        };
        match x.cmp(y) {
            std::cmp::Ordering::Less => _ = left.next(),
            std::cmp::Ordering::Greater => _ = right.next(),
            std::cmp::Ordering::Equal => {
                left.next();
                right.next();
                both += 1;
            }
        }
        union += 1;
    }
    both as f32 / union.max(1) as f32
}

/// The share of `part`'s hashes that `whole` has, among those below the largest that `whole` kept: how much of one text
/// is within the other, however much was added. Zero when too few can be compared.
pub(crate) fn contained(part: &[u32], whole: &[u32]) -> f32 {
    const COMPARED_MIN: usize = 6;
    let Some(limit) = whole.last() else {
        return 0.0;
    };
    let below = part.partition_point(|hash| hash <= limit);
    let compared = part.get(..below).unwrap_or_default();
    let mut left = whole.iter().peekable();
    let has = |hash: &&u32| {
        while left.next_if(|other| *other < *hash).is_some() {}
        left.peek() == Some(hash)
    };
    let held = compared.iter().filter(has).count();
    if below < COMPARED_MIN {
        0.0
    } else {
        held as f32 / below as f32
    }
}

impl Sketches {
    pub(crate) fn insert(&mut self, slot: Slot, sketch: &[u64], age: Age) {
        if sketch.len() < SKETCH_MIN {
            return;
        }
        let near = self.near(sketch);
        let original = self.oldest(&near, &age);
        for other in near {
            let earlier = |held: &Held| {
                let of_other = held
                    .original
                    .and_then(|slot| self.at(slot))
                    .map(|original| &original.age);
                held.age > age && of_other.is_none_or(|original| *original > age)
            };
            if self.at(other).is_some_and(earlier)
                && let Some(held) = self.at_mut(other)
            {
                held.original = Some(slot);
            }
        }
        for key in sketch.iter().take(KEYS) {
            self.keys.entry(*key).or_default().push(slot);
        }
        let held = Held {
            sketch: sketch.into(),
            age,
            original,
        };
        let at = slot as usize;
        if self.held.len() <= at {
            self.held.resize_with(at + 1, || None);
        }
        if let Some(place) = self.held.get_mut(at) {
            *place = Some(held);
        }
    }

    fn at(&self, slot: Slot) -> Option<&Held> {
        self.held.get(slot as usize)?.as_ref()
    }

    fn at_mut(&mut self, slot: Slot) -> Option<&mut Held> {
        self.held.get_mut(slot as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, slot: Slot) {
        let Some(gone) = self.held.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        for key in gone.sketch.iter().take(KEYS) {
            if let Some(list) = self.keys.get_mut(key) {
                list.retain(|held| *held != slot);
                if list.is_empty() {
                    self.keys.remove(key);
                }
            }
        }
        for copy in self.near(&gone.sketch) {
            let Some(held) = self.at(copy).filter(|held| held.original == Some(slot)) else {
                continue;
            };
            let near = self.near(&held.sketch);
            let original = self.oldest(&near, &held.age);
            if let Some(held) = self.at_mut(copy) {
                held.original = original;
            }
        }
    }

    /// The oldest model of which this one is a near copy.
    pub(crate) fn original(&self, slot: Slot) -> Option<Slot> {
        self.at(slot)?.original
    }

    fn near(&self, sketch: &[u64]) -> Vec<Slot> {
        let mut found: Vec<Slot> = sketch
            .iter()
            .take(KEYS)
            .filter_map(|key| self.keys.get(key))
            .flatten()
            .copied()
            .collect();
        found.sort_unstable();
        found.dedup();
        found.retain(|slot| {
            self.at(*slot)
                .is_some_and(|held| overlap(&held.sketch, sketch) >= NEAR)
        });
        found
    }

    fn oldest(&self, near: &[Slot], than: &Age) -> Option<Slot> {
        let older = near
            .iter()
            .filter_map(|slot| Some((&self.at(*slot)?.age, *slot)));
        older
            .filter(|(age, _)| *age < than)
            .min()
            .map(|(_, slot)| slot)
    }
}
