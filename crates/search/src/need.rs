//! What a sentence asks for: tasks and domains, languages, licence, size, format, what is best, and what is not wanted.
//!
//! Nothing here is a hard filter, because sentences are ambiguous: a model that breaks what was understood ranks far
//! lower, and says so. Hard filters are [`crate::Filters`].

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use crate::lexicon::{self, Concept, Language, Lexicon, Meaning};
use crate::text;

/// Bytes of a query that are read.
pub const QUERY_BYTES_MAX: usize = 512;
/// Words of a query that are looked for.
pub const TERMS_MAX: usize = 24;

/// What a sentence asks for, as understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Need {
    /// Tasks and domains.
    pub concepts: Vec<Concept>,
    /// Tasks and domains that it must not be for.
    pub unwanted_concepts: Vec<Concept>,
    /// Languages.
    pub languages: Vec<Language>,
    /// Languages that it must not be for.
    pub unwanted_languages: Vec<Language>,
    /// From which language to which, when the order was said.
    pub pair: Option<(Language, Language)>,
    /// Licences, any of them.
    pub licences: Vec<&'static str>,
    /// Licences that will not do.
    pub unwanted_licences: Vec<&'static str>,
    /// What is built with it may be sold.
    pub sellable: bool,
    /// Libraries or formats, any of them.
    pub libraries: Vec<&'static str>,
    /// Libraries or formats that will not do.
    pub unwanted_libraries: Vec<&'static str>,
    /// At least so many parameters.
    pub parameters_min: Option<u64>,
    /// At most so many parameters.
    pub parameters_max: Option<u64>,
    /// About so many parameters.
    pub parameters_about: Option<u64>,
    /// At most so many bytes.
    pub bytes_max: Option<u64>,
    /// Quantised, or not.
    pub quantised: Option<bool>,
    /// Small or fast rather than large.
    pub small: bool,
    /// What the first one should be first in.
    pub first_by: Option<FirstBy>,
    /// Stems to look for, as they came, each once.
    pub terms: Vec<String>,
    /// Stems that must not be in the name.
    pub unwanted: Vec<String>,
    /// Whether the tasks were said plainly: in several words, or in a short text. A lone word of a long sentence may
    /// mean something else.
    pub sure: bool,
    /// What it may be about, by meaning, when words did not say; and how near.
    pub guessed: Vec<(Concept, f32)>,
    /// The text without what was understood as a licence, a size or a superlative.
    pub plain: String,
    /// The whole text without spaces and marks.
    pub squashed: String,
}

/// What a superlative asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBy {
    /// Measured quality: `best`, `most accurate`.
    Quality,
    /// The newest.
    Newest,
    /// The most used.
    Used,
    /// The cheapest.
    Cheapest,
    /// The smallest or fastest.
    Smallest,
}

/// Words of a text up to which a single word says what it is about.
const SHORT_WORDS: usize = 5;
/// Kinds of words that are understood, a bit each.
const PLACES: u16 = 1;
const NEGATIONS: u16 = 1 << 1;
const BETWEEN: u16 = 1 << 2;
const AT_MOST: u16 = 1 << 3;
const AT_LEAST: u16 = 1 << 4;
const ABOUT: u16 = 1 << 5;
const SMALL: u16 = 1 << 6;
const BEST: u16 = 1 << 7;
const NEWEST: u16 = 1 << 8;
const USED: u16 = 1 << 9;
const CHEAPEST: u16 = 1 << 10;
const SMALLEST: u16 = 1 << 11;
const SPENT: u16 = 1 << 12;
const SPENT_ALWAYS: u16 = 1 << 13;
/// All but the places, which a query may also be about.
const UNDERSTOOD: u16 = NEGATIONS
    | BETWEEN
    | AT_MOST
    | AT_LEAST
    | ABOUT
    | SMALL
    | BEST
    | NEWEST
    | USED
    | CHEAPEST
    | SMALLEST
    | SPENT
    | SPENT_ALWAYS;

/// The words of each kind.
const KINDS: [(u16, &str); 14] = [
    // Places where a model is to run; they say how small it must be, and nothing about its subject.
    (
        PLACES,
        "phone smartphone laptop cpu gpu raspberry microcontroller edge device devices browser lightweight",
    ),
    (
        NEGATIONS,
        "not no without except excluding exclude non avoid never nothing isnt dont doesnt neither nor minus instead \
         ohne sans",
    ),
    // Words that may stand between a negation and what it negates.
    (
        BETWEEN,
        "a an any the of in for be is it using use under with than to based by need require requires requiring only \
         me give too very license licence licensed",
    ),
    (
        AT_MOST,
        "under below less fewer smaller max maximum most upto within lighter within fits fit than",
    ),
    (
        AT_LEAST,
        "over above more larger bigger greater min minimum least exceeding beyond",
    ),
    (ABOUT, "around about approximately roughly circa ca near"),
    (
        SMALL,
        "small smaller tiny lightweight light compact little mobile phone smartphone edge laptop cpu raspberry \
         embedded microcontroller device browser fast faster quick quickly speed speedy latency realtime efficient \
         cheap memory limited",
    ),
    (
        BEST,
        "best top accurate accuracy sota strongest strong highest leading leader better state-of-the-art excellent \
         quality outperforms performing finest precise",
    ),
    (NEWEST, "newest latest recent recently new"),
    (USED, "popular widely common trusted battle proven"),
    (CHEAPEST, "cheapest cheap inexpensive affordable budget"),
    (SMALLEST, "smallest fastest lightest tiniest quickest"),
    // Words about licences and sizes that are understood and then not looked for.
    (
        SPENT,
        "license licence licensed licenses permissive permissively commercial commercially noncommercial parameter \
         parameters params billion million gb mb gib vram ram size sized bytes weights most least more less than \
         under below over above at up language between least art state non without not except excluding no",
    ),
    // Words that never say what a model is for.
    (
        SPENT_ALWAYS,
        "license licence licensed licenses permissive commercial commercially parameters params vram",
    ),
];

/// Whether a word is of one of the kinds.
fn is_in(kinds: u16, word: &str) -> bool {
    static WORDS: OnceLock<HashMap<&'static str, u16>> = OnceLock::new();
    let words = WORDS.get_or_init(|| {
        let mut words = HashMap::new();
        for (kind, list) in KINDS {
            for word in list.split_ascii_whitespace() {
                *words.entry(word).or_default() |= kind;
            }
        }
        words
    });
    words.get(word).is_some_and(|held| held & kinds != 0)
}

/// The words of a query, and what became of each.
struct Reading<'a> {
    words: &'a [String],
    corrections: &'a BTreeMap<String, String>,
    spent: Vec<bool>,
    need: Need,
}

impl Need {
    /// Reads a sentence. Every text can be read; one of which nothing is understood gives its words as terms.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::corrected(text, &BTreeMap::new())
    }

    /// Reads a sentence of which some words, the keys, are read as the stems that were meant.
    pub(crate) fn corrected(text: &str, corrections: &BTreeMap<String, String>) -> Self {
        let plain = crate::document::clipped(text, QUERY_BYTES_MAX);
        let words = words_of(plain);
        let mut reading = Reading {
            words: &words,
            corrections,
            spent: vec![false; words.len()],
            need: Self {
                squashed: text::squashed(plain),
                ..Self::default()
            },
        };
        reading.amounts();
        reading.phrases();
        reading.traits();
        reading.plain();
        reading.terms();
        reading.need
    }
}

/// The words of a query, marks among them.
pub(crate) fn words_of(text: &str) -> Vec<String> {
    let mut words = text::words(&with_words_for_marks(text));
    words.truncate(TERMS_MAX * 4);
    words
}

/// Whether a word has a meaning here that is not that of a name or a task.
pub(crate) fn understood(word: &str) -> bool {
    is_in(UNDERSTOOD, word) || lexicon::says_quantised(word)
}

fn words_both(left: &str, right: &str) -> bool {
    let word = |part: &str| part.len() >= 3 && part.bytes().all(|byte| byte.is_ascii_lowercase());
    word(left) && word(right)
}

/// `<`, `>`, `~` and a leading `-` as words.
fn with_words_for_marks(text: &str) -> String {
    let mut marked = String::with_capacity(text.len() + 16);
    let mut before = ' ';
    for c in text.chars() {
        match c {
            '<' | '≤' => marked.push_str(" under "),
            '>' | '≥' => marked.push_str(" over "),
            '~' | '≈' => marked.push_str(" about "),
            '-' | '!' if before.is_whitespace() => marked.push_str(" not "),
            _ => marked.push(c),
        }
        before = c;
    }
    marked
}

impl Reading<'_> {
    fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    fn spend(&mut self, at: usize) {
        if let Some(spent) = self.spent.get_mut(at) {
            *spent = true;
        }
    }

    /// Whether what begins at `at` is negated: a negation before it, with nothing but small words between.
    fn negated(&mut self, at: usize) -> bool {
        for back in 1..=4 {
            let Some(before) = at.checked_sub(back) else {
                return false;
            };
            let word = self.word(before);
            let after_other = word == "than" && before >= 1 && self.word(before - 1) == "other";
            if is_in(NEGATIONS, word) || after_other {
                self.spend(before);
                return true;
            }
            if !is_in(BETWEEN, word) {
                return false;
            }
        }
        false
    }

    fn amounts(&mut self) {
        for at in 0..self.words.len() {
            let Some(amount) = amount(self.word(at), self.word(at + 1)) else {
                continue;
            };
            let two_words = amount.with_next;
            let bound = self.bound(at);
            match (amount.unit, bound) {
                (Unit::Bytes, _) => self.need.bytes_max = Some(amount.value),
                (Unit::Parameters, Bound::Most) => self.need.parameters_max = Some(amount.value),
                (Unit::Parameters, Bound::Least) => self.need.parameters_min = Some(amount.value),
                (Unit::Parameters, Bound::About) => self.need.parameters_about = Some(amount.value),
            }
            // A bare `7b` is also part of many names.
            if two_words || bound != Bound::About {
                self.spend(at);
            }
            if two_words {
                self.spend(at + 1);
            }
        }
        self.between();
    }

    /// `between 1b and 3b`.
    fn between(&mut self) {
        let Some(at) = self.words.iter().position(|word| word == "between") else {
            return;
        };
        let amounts: Vec<(usize, Amount)> = (at..self.words.len().min(at + 8))
            .filter_map(|i| Some((i, amount(self.word(i), self.word(i + 1))?)))
            .collect();
        if let [(first, low), (second, high)] = amounts.as_slice()
            && low.unit == Unit::Parameters
            && high.unit == Unit::Parameters
        {
            self.need.parameters_about = None;
            self.need.parameters_min = Some(low.value.min(high.value));
            self.need.parameters_max = Some(low.value.max(high.value));
            let (first, second) = (*first, *second);
            self.spend(first);
            self.spend(second);
        }
    }

    fn bound(&mut self, at: usize) -> Bound {
        for back in 1..=3 {
            let Some(before) = at.checked_sub(back) else {
                break;
            };
            let word = self.word(before).to_owned();
            let not = before >= 1 && matches!(self.word(before - 1), "no" | "not");
            let bound = match word.as_str() {
                "than" | "to" | "of" | "a" | "at" => continue,
                word if is_in(ABOUT, word) => Bound::About,
                word if is_in(AT_LEAST, word) && not => Bound::Most,
                word if is_in(AT_MOST, word) && not => Bound::Least,
                word if is_in(AT_LEAST, word) => Bound::Least,
                "up" => Bound::Most,
                word if is_in(AT_MOST, word) => Bound::Most,
                _ => break,
            };
            self.spend(before);
            if not {
                self.spend(before - 1);
            }
            return bound;
        }
        match self.word(at + 1) {
            "max" | "maximum" => Bound::Most,
            "min" | "minimum" => Bound::Least,
            _ => Bound::About,
        }
    }

    /// The stem that a word is read as.
    fn stem(&self, word: &str) -> String {
        self.corrections
            .get(word)
            .cloned()
            .unwrap_or_else(|| text::stem(word))
    }

    /// Stems for finding phrases, with the places of their words: abbreviations written out, `text2image` as three
    /// words.
    fn stems(&self) -> (Vec<String>, Vec<usize>) {
        let mut stems = Vec::new();
        let mut origins = Vec::new();
        for (word, at) in self.words.iter().zip(0..) {
            let parts: Vec<&str> = match word.split_once('2') {
                Some((left, right)) if words_both(left, right) => vec![left, "to", right],
                _ => vec![word],
            };
            for part in parts {
                stems.push(lexicon::written_out(part).map_or_else(|| self.stem(part), text::stem));
                origins.push(at);
            }
        }
        (stems, origins)
    }

    fn phrases(&mut self) {
        let (stems, origins) = self.stems();
        let mut places = Vec::new();
        let short = self
            .words
            .iter()
            .filter(|word| !text::common(word) && !text::asking(word))
            .count()
            <= SHORT_WORDS;
        for found in Lexicon::shared().find(&stems) {
            let (first, last) = (found.at, found.at + found.length - 1);
            let place = |at: usize| origins.get(at).copied().unwrap_or_default();
            let (at, end) = (place(first), place(last) + 1);
            let negated = self.negated(at);
            if negated {
                (at..end).for_each(|at| self.spend(at));
            }
            if negated && end == at + 1 && matches!(found.meaning, Meaning::Concept(_)) {
                // `yolo` is a word for a task and a name: the name is not wanted, the task perhaps.
                let stem = self.stem(self.word(at));
                push(&mut self.need.unwanted, stem);
            }
            if matches!(found.meaning, Meaning::Concept(_)) && (found.length > 1 || short) {
                self.need.sure = true;
            }
            let need = &mut self.need;
            match found.meaning {
                Meaning::Concept(concept) if negated => push(&mut need.unwanted_concepts, concept),
                Meaning::Concept(concept) => push(&mut need.concepts, concept),
                Meaning::Language(language) if negated => {
                    push(&mut need.unwanted_languages, language)
                }
                Meaning::Language(language) => {
                    push(&mut need.languages, language);
                    places.push((at, language));
                }
                Meaning::Licence(id) if negated => push(&mut need.unwanted_licences, id),
                Meaning::Licence(id) => {
                    push(&mut need.licences, id);
                    (at..end).for_each(|at| self.spend(at));
                }
                Meaning::Library(id) if negated => push(&mut need.unwanted_libraries, id),
                Meaning::Library(id) => push(&mut need.libraries, id),
            }
        }
        let Need {
            concepts,
            unwanted_concepts,
            ..
        } = &mut self.need;
        unwanted_concepts.retain(|concept| !concepts.contains(concept));
        self.pair(&places);
    }

    /// `german to english`, `into`, `english-german`; `from` before the second turns them round.
    fn pair(&mut self, places: &[(usize, Language)]) {
        let [(a, first), (b, second)] = places else {
            return;
        };
        let between = self.words.get(a + 1..*b).unwrap_or_default();
        if between.iter().any(|word| word == "from") {
            self.need.pair = Some((*second, *first));
        } else if between.is_empty()
            || between
                .iter()
                .any(|word| matches!(word.as_str(), "to" | "into" | "2"))
        {
            self.need.pair = Some((*first, *second));
        }
    }

    fn traits(&mut self) {
        for at in 0..self.words.len() {
            let word = self.word(at).to_owned();
            let word = word.as_str();
            if word.starts_with("commercial") {
                self.commercial(at);
            }
            if word == "noncommercial" && self.negated(at) {
                self.need.sellable = true;
            }
            if word.starts_with("permissive")
                || (word == "open"
                    && self.word(at + 1) == "source"
                    && self.word(at + 2).starts_with("licen"))
            {
                self.need.sellable = true;
            }
            if lexicon::says_quantised(word) {
                self.need.quantised = Some(!self.negated(at));
            }
            if matches!(word, "unquantised" | "unquantized")
                || (word == "full" && self.word(at + 1) == "precision")
            {
                self.need.quantised = Some(false);
            }
            if is_in(SMALL, word) && !self.negated(at) {
                self.need.small = true;
            }
            if is_in(PLACES, word) && !self.word(at + 1).starts_with("number") {
                self.spend(at);
            }
            self.superlative(at, word);
        }
    }

    fn commercial(&mut self, at: usize) {
        let non = at >= 1 && self.word(at - 1) == "non";
        if non && !self.negated(at - 1) {
            return;
        }
        self.need.sellable = true;
    }

    fn superlative(&mut self, at: usize, word: &str) {
        let most = at >= 1 && self.word(at - 1) == "most";
        let sought = match word {
            word if is_in(SMALLEST, word) => FirstBy::Smallest,
            word if is_in(BEST, word) => FirstBy::Quality,
            "art" if at >= 3 && self.word(at - 3) == "state" => FirstBy::Quality,
            word if is_in(CHEAPEST, word) => FirstBy::Cheapest,
            word if is_in(NEWEST, word) => FirstBy::Newest,
            "used" | "downloaded" | "adopted"
                if most || self.word(at.wrapping_sub(1)) == "widely" =>
            {
                FirstBy::Used
            }
            word if is_in(USED, word) => FirstBy::Used,
            _ => return,
        };
        self.spend(at);
        if sought == FirstBy::Smallest {
            self.need.small = true;
        }
        if self.need.first_by.is_none() || sought == FirstBy::Quality {
            self.need.first_by = Some(sought);
        }
    }

    fn plain(&mut self) {
        let words = self.words.iter().zip(&self.spent);
        let kept = words.filter(|(word, spent)| !**spent && !is_in(SPENT_ALWAYS, word));
        self.need.plain = kept
            .map(|(word, _)| word.as_str())
            .collect::<Vec<_>>()
            .join(" ");
    }

    fn terms(&mut self) {
        for at in 0..self.words.len() {
            let word = self.word(at).to_owned();
            let spent = self.spent.get(at).copied().unwrap_or(true);
            if spent || text::common(&word) || text::asking(&word) || is_in(SPENT, &word) {
                continue;
            }
            let unwanted = self.negated(at);
            if unwanted && lexicon::says_quantised(&word) {
                // It was understood as what the weights are not to be.
                continue;
            }
            let need = &mut self.need;
            let list = if unwanted {
                &mut need.unwanted
            } else {
                &mut need.terms
            };
            match self.corrections.get(&word) {
                Some(meant) => push(list, meant.clone()),
                None => text::terms(&word, |term| push(list, term.to_owned())),
            }
        }
        if self.need.terms.is_empty() {
            // A query of small words only is still a query.
            let (words, need) = (self.words, &mut self.need);
            let said_nothing = need.concepts.is_empty() && need.languages.is_empty();
            words
                .iter()
                .filter(|_| said_nothing)
                .for_each(|word| push(&mut need.terms, text::stem(word)));
        }
        self.need.terms.truncate(TERMS_MAX);
        self.need.unwanted.truncate(TERMS_MAX);
    }
}

fn push<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if !list.contains(&value) {
        list.push(value);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Parameters,
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Most,
    Least,
    About,
}

#[derive(Clone, Copy, Debug)]
struct Amount {
    value: u64,
    unit: Unit,
    with_next: bool,
}

/// Reads `7b`, `1.5 billion`, `8gb`, `350 million`.
fn amount(word: &str, next: &str) -> Option<Amount> {
    let end = word
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(word.len());
    let (digits, rest) = word.split_at(end);
    let number: f64 = digits.parse().ok()?;
    let (unit, with_next) = if rest.is_empty() {
        (next, true)
    } else {
        (rest, false)
    };
    let (factor, unit) = match unit {
        "b" | "bn" | "billion" => (1e9, Unit::Parameters),
        "m" | "mn" | "million" => (1e6, Unit::Parameters),
        "gb" | "gib" | "gigabyte" | "gigabytes" | "g" => (1e9, Unit::Bytes),
        "mb" | "mib" | "megabyte" | "megabytes" => (1e6, Unit::Bytes),
        _ => return None,
    };
    let value = number * factor;
    // Beyond that it is no size of a model.
    (value > 0.0 && value < 1e15).then_some(Amount {
        value: value as u64,
        unit,
        with_next,
    })
}

/// The number of parameters that a name states, as `8b` in `llama-3-8b`.
pub(crate) fn amount_in_name(words: &[String]) -> Option<u64> {
    let amounts = words.iter().filter_map(|word| amount(word, ""));
    amounts
        .filter(|amount| amount.unit == Unit::Parameters && !amount.with_next)
        .map(|amount| amount.value)
        .next()
}

impl Need {
    /// What was understood, in words for whoever asked.
    #[must_use]
    pub fn in_words(&self) -> Vec<String> {
        let mut said = Vec::new();
        let names = |list: &[Concept]| {
            list.iter()
                .map(|concept| concept.name())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let codes = |list: &[Language]| {
            list.iter()
                .map(|language| language.code())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let mut say = |what: &str, value: String| {
            if !value.is_empty() {
                said.push(format!("{what}: {value}"));
            }
        };
        let number = |value: Option<u64>| value.map_or_else(String::new, |value| value.to_string());
        say("for", names(&self.concepts));
        say("not for", names(&self.unwanted_concepts));
        say(
            "perhaps for",
            names(
                &self
                    .guessed
                    .iter()
                    .map(|(concept, _)| *concept)
                    .collect::<Vec<_>>(),
            ),
        );
        say("language", codes(&self.languages));
        say("not in language", codes(&self.unwanted_languages));
        say("licence", self.licences.join(", "));
        say("not under licence", self.unwanted_licences.join(", "));
        say("library", self.libraries.join(", "));
        say("not for library", self.unwanted_libraries.join(", "));
        say("parameters at least", number(self.parameters_min));
        say("parameters at most", number(self.parameters_max));
        say("parameters about", number(self.parameters_about));
        say("bytes at most", number(self.bytes_max));
        say("not", self.unwanted.join(", "));
        for (holds, what) in [
            (self.sellable, "may be sold"),
            (self.quantised == Some(true), "quantised"),
            (self.quantised == Some(false), "not quantised"),
            (self.small, "small"),
        ] {
            said.extend(holds.then(|| what.to_owned()));
        }
        said.extend(
            self.first_by
                .map(|first| format!("first by {first:?}").to_lowercase()),
        );
        said
    }
}
