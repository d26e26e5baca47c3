//! Which documents have a term, and how much it says about each: an inverted index in memory.
//!
//! An impact is the term's saturated weight in its document, a function of that document alone; how rare a term is
//! comes in when a query is answered. So adding and removing documents leaves nothing behind, and the order of updates
//! cannot show.

use std::collections::HashMap;

use super::spelling::Letters;

/// The number of a term; stays the same while the index lives.
pub(crate) type TermId = u32;
/// The number of a document's place; places are reused.
pub(crate) type Slot = u32;

/// One term.
#[derive(Default)]
struct Postings {
    /// Ascending.
    slots: Vec<Slot>,
    /// Beside them.
    impacts: Vec<u8>,
}

/// All terms.
#[derive(Default)]
pub(crate) struct Inverted {
    numbers: HashMap<Box<str>, TermId>,
    texts: Vec<Box<str>>,
    letters: Vec<Letters>,
    postings: Vec<Postings>,
}

impl Inverted {
    /// Enters a document's terms; gives their numbers, by which they are removed.
    pub(crate) fn insert(&mut self, slot: Slot, terms: &[(String, u8)]) -> Box<[TermId]> {
        terms
            .iter()
            .map(|(term, impact)| {
                let number = self.number_or_new(term);
                if let Some(list) = self.postings.get_mut(number as usize) {
                    list.insert(slot, *impact);
                }
                number
            })
            .collect()
    }

    /// Takes a document's terms out.
    pub(crate) fn remove(&mut self, slot: Slot, terms: &[TermId]) {
        for number in terms {
            if let Some(list) = self.postings.get_mut(*number as usize) {
                list.remove(slot);
            }
        }
    }

    fn number_or_new(&mut self, term: &str) -> TermId {
        if let Some(number) = self.numbers.get(term) {
            return *number;
        }
        let number = self.texts.len() as TermId;
        self.numbers.insert(term.into(), number);
        self.texts.push(term.into());
        self.letters.push(Letters::of(term));
        self.postings.push(Postings::default());
        number
    }

    /// The number of a term that some document has.
    pub(crate) fn number(&self, term: &str) -> Option<TermId> {
        let number = *self.numbers.get(term)?;
        (self.documents(number) > 0).then_some(number)
    }

    /// In how many documents a term is.
    pub(crate) fn documents(&self, number: TermId) -> usize {
        self.postings
            .get(number as usize)
            .map_or(0, |list| list.slots.len())
    }

    pub(crate) fn text(&self, number: TermId) -> &str {
        self.texts.get(number as usize).map_or("", |text| text)
    }

    /// Every term's letters, by number.
    pub(crate) fn letters(&self) -> &[Letters] {
        &self.letters
    }

    /// Documents and impacts of a term, ascending by document.
    pub(crate) fn postings(&self, number: TermId) -> impl Iterator<Item = (Slot, u8)> {
        let list = self.postings.get(number as usize);
        let (slots, impacts) = list.map_or((&[] as &[Slot], &[] as &[u8]), |list| {
            (&list.slots, &list.impacts)
        });
        slots.iter().copied().zip(impacts.iter().copied())
    }

    /// Bytes of memory, but for what the allocator adds.
    pub(crate) fn bytes(&self) -> usize {
        let lists: usize = self
            .postings
            .iter()
            .map(|list| list.slots.capacity() * 4 + list.impacts.capacity())
            .sum();
        let texts: usize = self.texts.iter().map(|text| text.len() * 2 + 40).sum();
        lists
            + texts
            + self.postings.len() * size_of::<Postings>()
            + self.letters.capacity() * size_of::<Letters>()
    }

    /// Gives back memory that lists hold in reserve.
    pub(crate) fn shrink(&mut self) {
        for list in &mut self.postings {
            list.slots.shrink_to_fit();
            list.impacts.shrink_to_fit();
        }
    }
}

impl Postings {
    fn insert(&mut self, slot: Slot, impact: u8) {
        let at = match self.slots.last() {
            Some(last) if *last < slot => self.slots.len(),
            _ => match self.slots.binary_search(&slot) {
                Ok(at) => {
                    if let Some(held) = self.impacts.get_mut(at) {
                        *held = impact;
                    }
                    return;
                }
                Err(at) => at,
            },
        };
        self.slots.insert(at, slot);
        self.impacts.insert(at, impact);
    }

    fn remove(&mut self, slot: Slot) {
        if let Ok(at) = self.slots.binary_search(&slot) {
            self.slots.remove(at);
            self.impacts.remove(at);
        }
    }
}
