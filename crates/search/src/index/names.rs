//! Which names look like another's? What a hurried reader takes for the same, and one slip of the finger.

use super::postings::Slot;
use super::spelling::{Letters, distance};
use crate::text;

/// Letters from which on one letter more or less is a slip and not another name.
const SLIP_LETTERS_MIN: usize = 8;
/// Names are told apart by their length up to this; longer ones share a row.
const LENGTHS: usize = 64;

/// What a name looks like: letters that are easily mistaken for one another are one letter.
pub(crate) fn skeleton(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in text::squashed(name).chars() {
        match c {
            '0' | 'о' | 'ο' => out.push('o'),
            '1' | 'i' | 'і' | 'ι' | 'ı' => out.push('l'),
            '5' => out.push('s'),
            'а' | 'α' => out.push('a'),
            'е' | 'ε' => out.push('e'),
            'с' => out.push('c'),
            'р' | 'ρ' => out.push('p'),
            'х' | 'χ' => out.push('x'),
            'у' => out.push('y'),
            'к' | 'κ' => out.push('k'),
            'м' => out.push('m'),
            'т' | 'τ' => out.push('t'),
            'n' if out.ends_with('r') => {
                out.pop();
                out.push('m');
            }
            'v' if out.ends_with('v') => {
                out.pop();
                out.push('w');
            }
            c => out.push(c),
        }
    }
    out
}

/// Those who share a skeleton.
struct Group {
    skeleton: String,
    slots: Vec<Slot>,
}

/// The skeletons of one length, each once, ascending.
#[derive(Default)]
struct Row {
    /// Beside the groups: by these most are passed over, so they lie close together.
    letters: Vec<Letters>,
    groups: Vec<Group>,
}

/// The skeletons of all names, by length.
#[derive(Default)]
pub(crate) struct Names {
    rows: Vec<Row>,
}

fn row_of(skeleton: &str) -> usize {
    skeleton.chars().count().min(LENGTHS)
}

impl Row {
    fn place(&self, skeleton: &str) -> Result<usize, usize> {
        let groups = &self.groups;
        groups.binary_search_by(|group| group.skeleton.as_str().cmp(skeleton))
    }
}

impl Names {
    pub(crate) fn insert(&mut self, slot: Slot, skeleton: &str) {
        self.rows.resize_with(LENGTHS + 1, Row::default);
        let Some(row) = self.rows.get_mut(row_of(skeleton)) else {
            return;
        };
        match row.place(skeleton) {
            Ok(at) => {
                if let Some(group) = row.groups.get_mut(at) {
                    group.slots.push(slot);
                }
            }
            Err(at) => {
                let group = Group {
                    skeleton: skeleton.to_owned(),
                    slots: vec![slot],
                };
                row.letters.insert(at, Letters::of(skeleton));
                row.groups.insert(at, group);
            }
        }
    }

    pub(crate) fn remove(&mut self, slot: Slot, skeleton: &str) {
        let Some(row) = self.rows.get_mut(row_of(skeleton)) else {
            return;
        };
        let Ok(at) = row.place(skeleton) else {
            return;
        };
        let Some(group) = row.groups.get_mut(at) else {
            return;
        };
        group.slots.retain(|held| *held != slot);
        if group.slots.is_empty() {
            row.letters.remove(at);
            row.groups.remove(at);
        }
    }

    /// Those whose skeleton is the same or one slip away.
    pub(crate) fn alike(&self, skeleton: &str) -> impl Iterator<Item = Slot> {
        let letters: Vec<char> = skeleton.chars().collect();
        let wanted = Letters::of(skeleton);
        let slips = u8::from(letters.len() >= SLIP_LETTERS_MIN);
        let row = row_of(skeleton);
        let rows = self
            .rows
            .iter()
            .skip(row.saturating_sub(1))
            .take(if row == 0 { 2 } else { 3 });
        let near = rows.flat_map(move |row| {
            let near = row.letters.iter().zip(&row.groups);
            near.filter(move |(letters, _)| letters.may_be_within(wanted, slips))
        });
        let near = near.map(|(_, group)| group);
        let alike = near.filter(move |group| {
            let far = distance(&letters, &group.skeleton, slips);
            far.is_some_and(|far| far == 0 || !differ_by_digit(&letters, &group.skeleton))
        });
        alike.flat_map(|group| group.slots.iter().copied())
    }
}

/// `v2` is no slip of `v3`.
fn differ_by_digit(a: &[char], b: &str) -> bool {
    let digit = |c: &char| c.is_ascii_digit();
    !a.iter().copied().filter(digit).eq(b.chars().filter(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_has_one_skeleton() {
        for (a, b) in [
            ("Llama-3", "L1ama_3"),
            ("rnistral", "mistral"),
            ("gpt-neo", "gpt-ne0"),
            ("ВЕRТ", "BERT".trim()),
            ("vvhisper", "whisper"),
        ] {
            let same = skeleton(a) == skeleton(b);
            // Cyrillic capital ve is no Latin b.
            assert_eq!(same, !a.starts_with('В'), "{a} {b}");
        }
        assert_ne!(skeleton("bert-base"), skeleton("bert-large"));
    }
}
