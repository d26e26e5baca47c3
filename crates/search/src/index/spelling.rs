//! Words that nobody wrote: which known word was meant?

use super::postings::{Inverted, TermId};
use crate::text;

/// Length and letters of a word, by which most words are seen at once not to be near another.
#[derive(Clone, Copy, Default)]
pub(crate) struct Letters {
    mask: u32,
    length: u8,
    /// The low byte of the first letter.
    first: u8,
}

impl Letters {
    pub(crate) fn of(word: &str) -> Self {
        let bit = |c: char| match c {
            'a'..='z' => u32::from(c) - u32::from('a'),
            '0'..='9' => 26 + (u32::from(c) - u32::from('0')) / 5,
            '~' => 31,
            c => 28 + u32::from(c) % 3,
        };
        Self {
            mask: word.chars().fold(0, |mask, c| mask | (1 << bit(c))),
            length: u8::try_from(word.chars().count()).unwrap_or(u8::MAX),
            first: word.chars().next().map_or(0, |c| u32::from(c) as u8),
        }
    }

    /// Whether a word may be within so many edits: each changes the set of letters by two at most, and the length by
    /// one.
    pub(crate) fn may_be_within(self, other: Self, edits: u8) -> bool {
        self.length.abs_diff(other.length) <= edits
            && (self.mask ^ other.mask).count_ones() <= 2 * u32::from(edits)
    }
}

/// How many edits a word of that many letters may be away from what was meant.
fn edits_allowed(length: usize) -> u8 {
    match length {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    }
}

/// The known stem that was most likely meant by a word: the fewest edits of the word or its stem, then the most
/// documents, then the alphabet.
pub(crate) fn meant(inverted: &Inverted, word: &str) -> Option<TermId> {
    let stem = text::stem(word);
    let forms: [Vec<char>; 2] = [
        stem.chars().collect(),
        word.strip_suffix('e').unwrap_or(word).chars().collect(),
    ];
    let edits = edits_allowed(word.chars().count());
    if edits == 0 || word.chars().any(|c| c.is_ascii_digit()) {
        return None;
    }
    let masks = forms
        .each_ref()
        .map(|form| Letters::of(&form.iter().collect::<String>()));
    // People rarely miss the first letter: another one counts as an edit more.
    let near = |known: &Letters| {
        masks.iter().any(|mask| {
            let edits = if known.first == mask.first {
                edits
            } else {
                edits.saturating_sub(1)
            };
            edits > 0 && known.may_be_within(*mask, edits)
        })
    };
    let mut best: Option<(u8, usize, TermId)> = None;
    for (_, number) in inverted
        .letters()
        .iter()
        .zip(0..)
        .filter(|(known, _)| near(known))
    {
        let documents = inverted.documents(number);
        let known = inverted.text(number);
        if documents == 0 || known.starts_with('~') {
            continue;
        }
        let distances = forms.iter().filter_map(|form| distance(form, known, edits));
        let Some(mut distance) = distances.min() else {
            continue;
        };
        if known.chars().next() != word.chars().next() {
            distance += 1;
        }
        let better = best.is_none_or(|(d, n, t)| {
            (distance, std::cmp::Reverse(documents), known)
                < (d, std::cmp::Reverse(n), inverted.text(t))
        });
        if better && distance <= edits {
            best = Some((distance, documents, number));
        }
    }
    best.map(|(_, _, number)| number)
}

/// Letters of the longest words that are compared.
const COMPARED_MAX: usize = 64;

/// Edits between two words: letters put in, left out, replaced, or two swapped; `None` beyond `most`, and for long
/// words that differ.
pub(crate) fn distance(a: &[char], b: &str, most: u8) -> Option<u8> {
    if a.iter().copied().eq(b.chars()) {
        return Some(0);
    }
    let mut letters = ['\0'; COMPARED_MAX];
    let length = b.chars().count();
    if length > COMPARED_MAX || a.len() > COMPARED_MAX {
        return None;
    }
    letters
        .iter_mut()
        .zip(b.chars())
        .for_each(|(held, c)| *held = c);
    let b = letters.get(..length)?;
    let mut rows = [[u8::MAX; COMPARED_MAX + 1]; 3];
    let [_, _, last] = &mut rows;
    last.iter_mut()
        .zip(0..=length as u8)
        .for_each(|(cell, n)| *cell = n);
    let mut before_a = '\0';
    for (x, row) in a.iter().zip(1_u8..) {
        rows.rotate_left(1);
        let [two_up, up, here] = &mut rows;
        let (mut left, mut least, mut before_b) = (row, row, '\0');
        let [first, cells @ ..] = here;
        *first = row;
        let swapped = std::iter::once(&u8::MAX).chain(two_up.iter());
        let around = up.iter().zip(up.iter().skip(1)).zip(swapped);
        for ((cell, y), ((diagonal, above), two)) in cells.iter_mut().zip(b).zip(around) {
            let replaced = diagonal.saturating_add(u8::from(x != y));
            let mut cost = replaced
                .min(above.saturating_add(1))
                .min(left.saturating_add(1));
            if *x == before_b && *y == before_a {
                cost = cost.min(two.saturating_add(1));
            }
            *cell = cost;
            (left, least, before_b) = (cost, least.min(cost), *y);
        }
        if least > most {
            return None;
        }
        before_a = *x;
    }
    let [.., last] = &rows;
    last.get(length)
        .copied()
        .filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (a, b, most, expected) in [
            ("bert", "bert", 2, Some(0)),
            ("bret", "bert", 2, Some(1)),
            ("sentimnet", "sentiment", 2, Some(1)),
            ("wisper", "whisper", 2, Some(1)),
            ("lama", "llama", 1, Some(1)),
            ("abc", "xyz", 2, None),
            ("", "ab", 2, Some(2)),
            ("ab", "", 1, None),
            ("übersetzung", "ubersetzung", 1, Some(1)),
        ] {
            let letters: Vec<char> = a.chars().collect();
            assert_eq!(distance(&letters, b, most), expected, "{a} {b}");
            if let Some(edits) = expected {
                assert!(
                    Letters::of(a).may_be_within(Letters::of(b), edits.max(1)),
                    "{a} {b}"
                );
            }
        }
    }

    #[test]
    fn the_likeliest_word_is_meant() {
        let mut inverted = Inverted::default();
        for (slot, words) in ["whisper", "whisper small", "whispers"]
            .iter()
            .zip(0..)
            .map(|(w, s)| (s, w))
        {
            let terms: Vec<(String, u8)> =
                words.split(' ').map(|word| (word.to_owned(), 1)).collect();
            inverted.insert(slot, &terms);
        }
        let meant =
            |word: &str| meant(&inverted, word).map(|number| inverted.text(number).to_owned());
        assert_eq!(meant("wisper").as_deref(), Some("whisper"));
        assert_eq!(meant("whipser").as_deref(), Some("whisper"));
        assert_eq!(meant("smal").as_deref(), Some("small"));
        assert_eq!(meant("wsp"), None);
        assert_eq!(meant("12345"), None);
        assert_eq!(meant("entirely"), None);
    }
}
