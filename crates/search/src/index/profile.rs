//! A document, read: its terms with their weights, what it is for, and the attributes by which it is judged.
//!
//! A profile is a function of the document alone, so that documents can be read on any thread and in any order.

use std::collections::BTreeMap;

use crate::document::{self, Document, LIST_MAX, SKETCH_MAX};
use crate::lexicon::{self, Concept, Language, Lexicon, Meaning};
use crate::{Error, need, text};

/// Words of a card that are read.
const BODY_WORDS_MAX: usize = 2_000;
/// Bytes of the summary that is kept and embedded.
const SUMMARY_BYTES_MAX: usize = 280;
/// Words of a body whose terms count in full; a longer body's count less (BM25's length normalisation, by a constant so
/// that a document's terms do not depend on the other documents).
const PIVOT_WORDS: f32 = 120.0;
const LENGTH_SHARE: f32 = 0.6;
/// BM25's saturation.
const K1: f32 = 1.2;
/// More often than that a word in a body says nothing new.
const BODY_COUNT_MAX: f32 = 6.0;
/// Weights of a term by where it stands.
const NAME: f32 = 4.0;
const NAMESPACE: f32 = 0.6;
const TAG: f32 = 1.6;
const SUMMARY: f32 = 1.5;
/// Things that one model can reasonably be for, and tags that one card can reasonably have.
const CONCEPTS_FAIR: f32 = 6.0;
const TAGS_FAIR: f32 = 14.0;

/// Strengths of a concept by where it was found.
const CLAIMED: f32 = 1.0;
const NAMED: f32 = 0.9;
const TAGGED: f32 = 0.8;
const SUMMARISED: f32 = 0.7;
const MENTIONED: f32 = 0.3;
/// By meaning alone.
const GUESSED: f32 = 0.5;
/// What is left for the broader task of what was found.
const BROADER: f32 = 0.6;

/// A document, read.
#[derive(Clone)]
pub(crate) struct Profile {
    /// Terms and their impacts, ascending by term.
    pub terms: Vec<(String, u8)>,
    /// Strength by concept, 0 to 255.
    pub concepts: Vec<(Concept, u8)>,
    /// Languages that are stated, or else detected.
    pub languages: u128,
    /// Whether it is for many languages without all of them being named.
    pub multilingual: bool,
    /// From the field, or else from the card.
    pub licence: Option<String>,
    /// From the field, or else from tags and name.
    pub library: Option<String>,
    pub parameters: Option<u64>,
    pub quantised: bool,
    /// The words of its name, folded.
    pub name_words: Vec<String>,
    /// Its whole name without marks.
    pub squashed: String,
    /// What a reader sees first, and what is embedded.
    pub summary: String,
    /// A sketch of the card's phrases.
    pub card_sketch: Vec<u32>,
    pub claims_too_much: bool,
}

struct Weights {
    name: BTreeMap<String, f32>,
    body: BTreeMap<String, f32>,
}

fn add(map: &mut BTreeMap<String, f32>, text: &str, weight: f32) {
    for word in text::words(text) {
        if !text::common(&word) {
            text::terms(&word, |term| {
                *map.entry(term.to_owned()).or_default() += weight
            });
        }
    }
}

/// Cuts lists and texts to what is read, and sorts what has no order.
pub(crate) fn bounded(mut document: Document) -> Document {
    document
        .card
        .truncate(document::clipped(&document.card, document::CARD_BYTES_MAX).len());
    for list in [
        &mut document.tags,
        &mut document.languages,
        &mut document.datasets,
        &mut document.rungs,
    ] {
        list.truncate(LIST_MAX);
        list.iter_mut().for_each(|text| {
            text.truncate(document::clipped(text, document::FIELD_BYTES_MAX).len())
        });
    }
    document.bases.truncate(LIST_MAX);
    document.evaluations.truncate(LIST_MAX);
    document
        .evaluations
        .retain(|evaluation| evaluation.value.is_finite());
    document.sketch.sort_unstable();
    document.sketch.dedup();
    document.sketch.truncate(SKETCH_MAX);
    document
}

impl Profile {
    /// Reads a document.
    ///
    /// # Errors
    /// [`Error::Id`] when its id names no repository.
    pub(crate) fn of(document: &Document) -> Result<Self, Error> {
        let (_, name) = document.names()?;
        let prose = prose(&document.card);
        let summary = summary(document, &prose);
        let name_words = text::words(name);
        let concepts = Concepts::of(document, &summary, &prose);
        let (languages, multilingual) = languages(document, &name_words, &summary, &prose);
        let quantised = quantised(document, &name_words);
        let share = concepts.share();
        let mut profile = Self {
            terms: Vec::new(),
            languages,
            multilingual,
            licence: licence(document, &prose),
            library: library(document, &name_words),
            parameters: document
                .parameters
                .filter(|n| *n > 0)
                .or_else(|| need::amount_in_name(&name_words)),
            quantised,
            squashed: text::squashed(name),
            name_words,
            card_sketch: card_sketch(&prose),
            claims_too_much: concepts.breadth > 1.5 * CONCEPTS_FAIR,
            concepts: concepts.strengths(),
            summary,
        };
        profile.terms = profile.impacts(document, &prose, share * share);
        Ok(profile)
    }

    fn impacts(&self, document: &Document, prose: &str, fair: f32) -> Vec<(String, u8)> {
        let mut weights = Weights {
            name: BTreeMap::new(),
            body: BTreeMap::new(),
        };
        let (space, name) = document.id.split_once('/').unwrap_or_default();
        add(&mut weights.name, name, NAME);
        // `distil bert` and `distilbert` are one name to those who type it.
        for pair in self.name_words.windows(2) {
            *weights.name.entry(pair.concat()).or_default() += 0.5 * NAME;
        }
        add(&mut weights.name, space, NAMESPACE);
        let share = (TAGS_FAIR / document.tags.len().max(1) as f32).min(1.0) * fair;
        document
            .tags
            .iter()
            .for_each(|tag| add(&mut weights.name, tag, TAG * share));
        let fields = [
            &document.task,
            &document.library,
            &document.licence,
            &document.quantisation,
        ];
        fields
            .into_iter()
            .flatten()
            .for_each(|field| add(&mut weights.name, field, TAG));
        document
            .datasets
            .iter()
            .take(16)
            .for_each(|dataset| add(&mut weights.name, dataset, 0.5 * TAG));
        document
            .bases
            .iter()
            .take(4)
            .for_each(|base| add(&mut weights.name, &base.id, 0.4 * TAG));
        for evaluation in document.evaluations.iter().take(16) {
            add(&mut weights.name, &evaluation.dataset, 0.3 * TAG);
        }
        add(&mut weights.name, &self.summary, SUMMARY * 0.5);
        let words = body(&mut weights.body, prose);
        let length = 1.0 - LENGTH_SHARE + LENGTH_SHARE * words as f32 / PIVOT_WORDS;
        for (term, count) in weights.body {
            *weights.name.entry(term).or_default() +=
                fair * count.min(BODY_COUNT_MAX) / length.max(0.6);
        }
        for (term, strength) in self.marks() {
            // Chosen so that a full strength saturates as far as a name does.
            weights
                .name
                .insert(term, NAME * f32::from(strength) / 255.0);
        }
        let impact = |weight: f32| ((255.0 * weight / (weight + K1)) as u8).max(1);
        weights
            .name
            .into_iter()
            .map(|(term, weight)| (term, impact(weight)))
            .collect()
    }

    /// Takes over what the summary means, for a document of which words and fields say nothing certain.
    pub(crate) fn guess(&mut self, nearest: &[(Concept, f32)]) {
        if self.claims_too_much
            || self
                .concepts
                .iter()
                .any(|(_, strength)| f32::from(*strength) >= 255.0 * SUMMARISED)
        {
            return;
        }
        for (concept, _) in nearest.iter().take(1) {
            let strength = (255.0 * GUESSED) as u8;
            match self
                .concepts
                .binary_search_by_key(concept, |(held, _)| *held)
            {
                Ok(at) => {
                    if let Some((_, held)) = self.concepts.get_mut(at) {
                        *held = strength.max(*held);
                    }
                }
                Err(at) => self.concepts.insert(at, (*concept, strength)),
            }
            let impact = ((255.0 * NAME * GUESSED / (NAME * GUESSED + K1)) as u8).max(1);
            let mark = concept_mark(*concept);
            match self.terms.binary_search_by(|(term, _)| term.cmp(&mark)) {
                Ok(at) => {
                    if let Some((_, held)) = self.terms.get_mut(at) {
                        *held = impact.max(*held);
                    }
                }
                Err(at) => self.terms.insert(at, (mark, impact)),
            }
        }
    }

    /// The terms that stand for what was understood, which no word can be mistaken for.
    fn marks(&self) -> Vec<(String, u8)> {
        let mut marks: Vec<(String, u8)> = self
            .concepts
            .iter()
            .map(|(c, s)| (concept_mark(*c), *s))
            .collect();
        let codes = Lexicon::shared().languages();
        marks.extend(
            codes
                .filter(|l| self.languages & l.bit() != 0)
                .map(|l| (language_mark(l), 255)),
        );
        marks.extend(
            self.licence
                .iter()
                .map(|licence| (licence_mark(licence), 255)),
        );
        marks.extend(
            self.library
                .iter()
                .map(|library| (library_mark(library), 255)),
        );
        if self.quantised {
            marks.push((QUANTISED_MARK.to_owned(), 255));
        }
        marks
    }
}

pub(crate) const QUANTISED_MARK: &str = "~q";
pub(crate) fn concept_mark(concept: Concept) -> String {
    format!("~c:{}", concept.name())
}
pub(crate) fn language_mark(language: Language) -> String {
    format!("~l:{}", language.code())
}
pub(crate) fn licence_mark(licence: &str) -> String {
    format!("~y:{licence}")
}
pub(crate) fn library_mark(library: &str) -> String {
    format!("~b:{library}")
}

/// Counts the words of a body; gives how many there are.
fn body(map: &mut BTreeMap<String, f32>, prose: &str) -> usize {
    let words = text::words(prose);
    for word in words
        .iter()
        .take(BODY_WORDS_MAX)
        .filter(|word| !text::common(word))
    {
        text::terms(word, |term| *map.entry(term.to_owned()).or_default() += 1.0);
    }
    words.len()
}

/// A card without code, links' targets, tables' rules and HTML.
fn prose(card: &str) -> String {
    let mut out = String::with_capacity(card.len());
    let mut code = false;
    for line in card.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with("```") {
            code = !code;
            continue;
        }
        if code
            || trimmed.starts_with("![")
            || trimmed.starts_with("|--")
            || trimmed.starts_with("| --")
        {
            continue;
        }
        let mut inside = 0_u32;
        let mut before = ' ';
        for c in trimmed.chars() {
            match c {
                '<' => inside = 1,
                '>' if inside == 1 => inside = 0,
                '(' if before == ']' => inside = 2,
                ')' if inside == 2 => inside = 0,
                '*' | '`' | '#' | '|' | '[' | ']' => out.push(' '),
                c if inside == 0 => out.push(c),
                _ => {}
            }
            before = c;
        }
        out.push('\n');
    }
    out
}

/// Name, task and the first sentences that say something.
fn summary(document: &Document, prose: &str) -> String {
    let (_, name) = document.id.split_once('/').unwrap_or_default();
    let mut summary = text::words(name).join(" ");
    if let Some(task) = &document.task {
        summary.push_str(", ");
        summary.push_str(&task.replace(['-', '_'], " "));
    }
    summary.push_str(". ");
    let lines = prose
        .lines()
        .map(str::trim)
        .filter(|line| line.split_whitespace().count() >= 5);
    for line in lines.take(2) {
        summary.extend(line.split_whitespace().flat_map(|word| [word, " "]));
    }
    document::clipped(&summary, SUMMARY_BYTES_MAX)
        .trim()
        .to_owned()
}

/// Strengths by concept, as they are found.
struct Concepts {
    strengths: Vec<f32>,
    /// How many things it says it is for, by how loudly, before that is held against it.
    breadth: f32,
}

impl Concepts {
    fn of(document: &Document, summary: &str, prose: &str) -> Self {
        let lexicon = Lexicon::shared();
        let mut found = Self {
            strengths: vec![0.0; Concept::count()],
            breadth: 0.0,
        };
        let (_, name) = document.id.split_once('/').unwrap_or_default();
        found.raise(name, NAMED);
        let share = (TAGS_FAIR / document.tags.len().max(1) as f32).min(1.0);
        document
            .tags
            .iter()
            .for_each(|tag| found.raise(tag, TAGGED * share));
        document
            .datasets
            .iter()
            .take(8)
            .for_each(|dataset| found.raise(dataset, MENTIONED));
        found.raise(summary, SUMMARISED);
        let words: Vec<String> = text::words(prose);
        let body: Vec<String> = words
            .iter()
            .take(BODY_WORDS_MAX)
            .map(|word| text::stem(word))
            .collect();
        let mut counts = vec![0.0_f32; Concept::count()];
        for found in lexicon.find(&body) {
            if let Meaning::Concept(concept) = found.meaning
                && let Some(count) = counts.get_mut(concept.number())
            {
                *count += 1.0;
            }
        }
        for (strength, count) in found.strengths.iter_mut().zip(counts) {
            *strength = strength
                .max(MENTIONED * count.min(2.0) / 2.0 + if count > 0.0 { 0.1 } else { 0.0 });
        }
        found.dilute();
        if let Some(task) = &document.task {
            match lexicon.concept(task) {
                Some(concept) => found.raise_one(concept, CLAIMED),
                None => found.raise(task, CLAIMED),
            }
        }
        found
    }

    fn raise_one(&mut self, concept: Concept, strength: f32) {
        if let Some(held) = self.strengths.get_mut(concept.number()) {
            *held = held.max(strength);
        }
        if let Some(broader) = concept.broader() {
            self.raise_one(broader, strength * BROADER);
        }
    }

    fn raise(&mut self, text: &str, strength: f32) {
        let stems: Vec<String> = text::words(text)
            .iter()
            .map(|word| text::stem(word))
            .collect();
        for found in Lexicon::shared().find(&stems) {
            if let Meaning::Concept(concept) = found.meaning {
                self.raise_one(concept, strength);
            }
        }
    }

    /// Who claims to be for everything is for nothing in particular.
    fn dilute(&mut self) {
        self.breadth = self.strengths.iter().sum();
        let share = self.share() * self.share();
        self.strengths
            .iter_mut()
            .for_each(|strength| *strength *= share);
    }

    /// What is left of each claim when there are more than one model can meet.
    fn share(&self) -> f32 {
        (CONCEPTS_FAIR / self.breadth.max(0.1)).min(1.0)
    }

    fn strengths(&self) -> Vec<(Concept, u8)> {
        let lexicon = Lexicon::shared();
        let strong = self
            .strengths
            .iter()
            .zip(lexicon.all_concepts())
            .filter(|(strength, _)| **strength >= 0.1);
        strong
            .map(|(strength, concept)| (concept, (strength.min(1.0) * 255.0) as u8))
            .collect()
    }
}

/// Two-letter words of names that are also common words, so that they name no language there.
const NO_CODES: [&str; 17] = [
    "it", "is", "no", "id", "la", "am", "ha", "my", "ms", "ml", "pa", "si", "or", "as", "te", "ga",
    "ne",
];

fn languages(document: &Document, name: &[String], summary: &str, prose: &str) -> (u128, bool) {
    let lexicon = Lexicon::shared();
    let stated = document
        .languages
        .iter()
        .filter_map(|code| lexicon.language(code));
    let mut set = stated.fold(0, |set, language| set | language.bit());
    let codes = name
        .iter()
        .filter(|word| word.len() == 2 && !NO_CODES.contains(&word.as_str()));
    let in_name = codes
        .filter_map(|word| lexicon.language(word))
        .fold(0, |set, language| set | language.bit());
    let many = lexicon.language("multilingual").map_or(0, Language::bit);
    set |= in_name | named_languages(&name.join(" "));
    if set == 0 {
        document.tags.iter().for_each(|tag| {
            set |= named_languages(tag);
            set |= Some(tag)
                .filter(|tag| tag.len() == 2)
                .and_then(|tag| lexicon.language(tag))
                .map_or(0, Language::bit);
        });
    }
    if set == 0 {
        set = named_languages(summary);
    }
    if set == 0 {
        set = written_in(prose)
            .and_then(|code| lexicon.language(code))
            .map_or(0, Language::bit);
    }
    let multilingual = set & many != 0 || (set & !many).count_ones() >= 5;
    (set & !many, multilingual)
}

fn named_languages(text: &str) -> u128 {
    let stems: Vec<String> = text::words(text)
        .iter()
        .map(|word| text::stem(word))
        .collect();
    let found = Lexicon::shared().find(&stems);
    found.iter().fold(0, |set, found| match found.meaning {
        Meaning::Language(language) => set | language.bit(),
        _ => set,
    })
}

/// Frequent words by which a text's language shows.
const FREQUENT: [(&str, &str); 7] = [
    (
        "de",
        "der die das und ist fur mit auf ein eine wurde modell von",
    ),
    (
        "fr",
        "le les des est pour une dans sur avec modele entraine du et",
    ),
    (
        "es",
        "el los las para una del con modelo entrenado que por en y",
    ),
    (
        "it",
        "il gli della per una con modello addestrato che di sono",
    ),
    ("pt", "os uma para com modelo treinado da do em nao que foi"),
    ("nl", "het een voor met van dit getraind op de en"),
    ("pl", "jest dla na oraz model wytrenowany w z do tekstu"),
];

/// The language in which a text is written, when that is not English and shows.
fn written_in(prose: &str) -> Option<&'static str> {
    let letters = prose.chars().filter(|c| c.is_alphabetic()).take(2_000);
    let mut scripts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for c in letters {
        let code = match u32::from(c) {
            0x3040..=0x30ff => "ja",
            0x4e00..=0x9fff => "zh",
            0xac00..=0xd7af => "ko",
            0x0400..=0x04ff => "ru",
            0x0600..=0x06ff => "ar",
            0x0900..=0x097f => "hi",
            0x0e00..=0x0e7f => "th",
            _ => "",
        };
        *scripts.entry(code).or_default() += 1;
    }
    let count = |code: &str| scripts.get(code).copied().unwrap_or(0);
    let all: usize = scripts.values().sum();
    if count("ja") * 10 > all {
        return Some("ja");
    }
    if let Some((code, _)) = scripts
        .iter()
        .find(|(code, count)| !code.is_empty() && **count * 4 > all)
    {
        return Some(code);
    }
    let words = text::words(prose);
    let share = |list: &str| {
        words
            .iter()
            .filter(|word| list.split_ascii_whitespace().any(|known| known == *word))
            .count()
    };
    let best = FREQUENT
        .iter()
        .map(|(code, list)| (share(list), *code))
        .max_by_key(|(count, _)| *count)?;
    (best.0 * 6 > words.len() && words.len() >= 8).then_some(best.1)
}

fn licence(document: &Document, prose: &str) -> Option<String> {
    let stated = document.licence.as_deref().map(str::to_lowercase);
    let tagged = || {
        let tags = document
            .tags
            .iter()
            .filter_map(|tag| tag.strip_prefix("license:"));
        tags.map(str::to_lowercase).next()
    };
    let written = || {
        let line = prose.lines().find(|line| {
            let line = text::fold(line);
            line.contains("licen") || line.contains("lizenz")
        })?;
        let stems: Vec<String> = text::words(line)
            .iter()
            .map(|word| text::stem(word))
            .collect();
        Lexicon::shared()
            .find(&stems)
            .iter()
            .find_map(|found| match found.meaning {
                Meaning::Licence(id) => Some(id.to_owned()),
                _ => None,
            })
    };
    stated
        .filter(|licence| !licence.is_empty())
        .or_else(tagged)
        .or_else(written)
}

fn library(document: &Document, name: &[String]) -> Option<String> {
    let stated = document
        .library
        .as_deref()
        .map(str::to_lowercase)
        .filter(|library| !library.is_empty());
    let found = |text: &str| {
        let stems: Vec<String> = text::words(text)
            .iter()
            .map(|word| text::stem(word))
            .collect();
        Lexicon::shared()
            .find(&stems)
            .iter()
            .find_map(|found| match found.meaning {
                Meaning::Library(id) => Some(id.to_owned()),
                _ => None,
            })
    };
    stated
        .or_else(|| found(&name.join(" ")))
        .or_else(|| document.tags.iter().find_map(|tag| found(tag)))
}

fn quantised(document: &Document, name: &[String]) -> bool {
    let says = |word: &String| lexicon::says_quantised(word);
    document
        .quantisation
        .as_deref()
        .is_some_and(|kind| !matches!(kind, "" | "none" | "f32" | "fp32" | "f16" | "fp16" | "bf16"))
        || name.iter().any(says)
        || document
            .bases
            .iter()
            .any(|base| base.relation == "quantized")
        || document
            .tags
            .iter()
            .any(|tag| lexicon::says_quantised(&text::fold(tag)))
}

/// Words that must be in a card for its sketch to say anything.
const SKETCH_WORDS_MIN: usize = 24;
/// The smallest hashes of a card's phrases that are kept.
pub(crate) const CARD_SKETCH: usize = 40;

/// The smallest hashes of all runs of four words.
fn card_sketch(prose: &str) -> Vec<u32> {
    let words = text::words(prose);
    if words.len() < SKETCH_WORDS_MIN {
        return Vec::new();
    }
    let mut hashes: Vec<u32> = words
        .iter()
        .take(BODY_WORDS_MAX)
        .collect::<Vec<_>>()
        .windows(4)
        .map(|run| {
            run.iter()
                .flat_map(|word| word.bytes().chain([b' ']))
                .fold(0x811c_9dc5_u32, hash_step)
        })
        .map(scattered)
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes.truncate(CARD_SKETCH);
    hashes
}

/// FNV-1a, one byte.
fn hash_step(hash: u32, byte: u8) -> u32 {
    (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
}

/// Spreads what FNV leaves close together, by the finalizer of MurmurHash3.
fn scattered(hash: u32) -> u32 {
    let hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    let hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
