//! Words: how text is cut, folded and stemmed, the same for documents and queries.

use std::collections::HashSet;
use std::sync::OnceLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Bytes of the longest word; longer ones are cut.
const WORD_BYTES_MAX: usize = 40;

/// Lower-case letters without accents, compatibility forms replaced by plain ones.
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let plain = text.nfkd().filter(|c| !is_combining_mark(*c));
    plain.flat_map(char::to_lowercase).collect()
}

/// Letters and digits only: what is left of a name when spelling habits are taken away.
pub(crate) fn squashed(text: &str) -> String {
    fold(text).chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The words of a text, folded but not stemmed. A decimal number is one word; letters that are written without spaces
/// give their pairs.
pub(crate) fn words(text: &str) -> Vec<String> {
    let folded = fold(text);
    let mut words = Vec::new();
    let mut rest = folded.as_str();
    while let Some(start) = rest.find(char::is_alphanumeric) {
        let (_, from) = rest.split_at(start);
        let end = word_end(from);
        let (word, after) = from.split_at(end);
        push(word, &mut words);
        rest = after;
    }
    words
}

/// Where the word at the beginning of `text` ends; `3.1` and `don't` do not end at their marks.
fn word_end(text: &str) -> usize {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let next = text
            .get(at + c.len_utf8()..)
            .and_then(|rest| rest.chars().next());
        let inside = match c {
            '.' => before.is_ascii_digit() && next.is_some_and(|n| n.is_ascii_digit()),
            '\'' | '’' => before.is_alphabetic() && next.is_some_and(char::is_alphabetic),
            _ => c.is_alphanumeric(),
        };
        if !inside {
            return at;
        }
        before = c;
    }
    text.len()
}

/// Chinese, Japanese and Korean letters, and Thai: no spaces between words.
fn unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x0e00..=0x0e7f | 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff | 0x20000..=0x2ffff)
}

fn push(word: &str, words: &mut Vec<String>) {
    if !word.chars().any(unspaced) {
        let plain: String = word.chars().filter(|c| !matches!(c, '\'' | '’')).collect();
        words.push(crate::document::clipped(&plain, WORD_BYTES_MAX).to_owned());
        return;
    }
    let letters: Vec<char> = word.chars().collect();
    for run in letters.chunk_by(|a, b| unspaced(*a) == unspaced(*b)) {
        match run {
            [first, _, ..] if unspaced(*first) => {
                words.extend(run.windows(2).map(|pair| pair.iter().collect::<String>()));
            }
            _ => {
                let run: String = run.iter().collect();
                words.push(crate::document::clipped(&run, WORD_BYTES_MAX).to_owned());
            }
        }
    }
}

/// The terms under which a word is found: its stem, and the parts of a word that mixes letters and digits.
pub(crate) fn terms(word: &str, mut each: impl FnMut(&str)) {
    let stem = stem(word);
    each(&stem);
    let digits = word.bytes().any(|b| b.is_ascii_digit());
    let letters = word.bytes().any(|b| b.is_ascii_alphabetic());
    if !(digits && (letters || word.contains('.'))) {
        return;
    }
    if !letters {
        // 3.1 is also a 3
        if let Some((whole, _)) = word.split_once('.') {
            each(whole);
        }
        return;
    }
    for part in word.as_bytes().chunk_by(|a, b| kind_of(*a) == kind_of(*b)) {
        let part = std::str::from_utf8(part).unwrap_or_default();
        let letters = part.bytes().all(|b| b.is_ascii_alphabetic());
        if part.len() >= 2 && letters {
            each(&self::stem(part));
        }
        if part.bytes().next().is_some_and(|b| b.is_ascii_digit()) && !amount(word) {
            each(part);
        }
    }
}

/// `7b`, `350m`: a number with its unit, whose parts mean nothing.
fn amount(word: &str) -> bool {
    let number = word.trim_end_matches(['b', 'm', 'k', 'g']);
    !number.is_empty()
        && number.len() < word.len()
        && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

fn kind_of(byte: u8) -> u8 {
    if byte.is_ascii_digit() || byte == b'.' {
        0
    } else {
        1
    }
}

/// Endings that are taken off and what takes their place, longest first; what remains has at least four letters.
const ENDINGS: [(&str, &str); 23] = [
    ("ification", "if"),
    ("ization", "iz"),
    ("isation", "iz"),
    ("ifying", "if"),
    ("ifier", "if"),
    ("ified", "if"),
    ("izing", "iz"),
    ("ising", "iz"),
    ("ation", "at"),
    ("ating", "at"),
    ("izer", "iz"),
    ("iser", "iz"),
    ("ator", "at"),
    ("ion", ""),
    ("ing", ""),
    ("ify", "if"),
    ("ize", "iz"),
    ("ise", "iz"),
    ("ate", "at"),
    ("or", ""),
    ("er", ""),
    ("ed", ""),
    ("ie", "y"),
];

/// A light stem for English; other languages mostly pass unchanged, but for a final `s` or `e`.
pub(crate) fn stem(word: &str) -> String {
    if word.len() < 4 || word == "news" || !word.bytes().all(|b| b.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let word = match word.strip_suffix('s') {
        Some(rest) if !rest.ends_with(['s', 'u', 'i']) => rest,
        _ => word,
    };
    for (ending, instead) in ENDINGS {
        if let Some(rest) = word.strip_suffix(ending)
            && rest.len() + instead.len() >= 4
            && rest.len() >= 3
        {
            let rest = if instead.is_empty() {
                undoubled(rest)
            } else {
                rest
            };
            return format!("{rest}{instead}");
        }
    }
    let word = if word.len() > 4 {
        word.strip_suffix('e').unwrap_or(word)
    } else {
        word
    };
    word.to_owned()
}

/// `embedd` of `embedding` is `embed`; `ll` and `ss` stay.
fn undoubled(stem: &str) -> &str {
    let mut back = stem.bytes().rev();
    match (back.next(), back.next()) {
        (Some(a), Some(b)) if a == b && !matches!(a, b'l' | b's' | b'e' | b'o') => {
            stem.get(..stem.len() - 1).unwrap_or(stem)
        }
        _ => stem,
    }
}

/// Words that say nothing about a model.
const STOP: &str = "a an and are as at be by can do does for from has have i in into is it its me my of on or our \
so some that the their them there these this those to us was we what when where which who will with you your \
im ive id it's i'm";
/// Words that say, in a query, that it is one.
const ASKING: &str = "model models find search want wants need needs needed looking look please show give list any something \
someone anyone recommend suggest get use using used could would should like whether im how much good \
able thing things one ones there please help try trying ai ml machine learning neural network huggingface hf hub checkpoint \
checkpoints weights pretrained trained suitable available available";

/// Whether a folded word is too common in any text to look for.
pub(crate) fn common(word: &str) -> bool {
    static WORDS: OnceLock<HashSet<&'static str>> = OnceLock::new();
    let words = WORDS.get_or_init(|| STOP.split_ascii_whitespace().collect());
    words.contains(word)
}

/// Whether a folded word of a query only says that something is sought.
pub(crate) fn asking(word: &str) -> bool {
    static WORDS: OnceLock<HashSet<&'static str>> = OnceLock::new();
    let words = WORDS.get_or_init(|| ASKING.split_ascii_whitespace().collect());
    words.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        for word in words(text) {
            terms(&word, |term| found.push(term.to_owned()));
        }
        found
    }

    #[test]
    fn words_are_cut_folded_and_taken_apart() {
        for (text, expected) in [
            ("", &[] as &[&str]),
            ("  -- !", &[]),
            ("Llama-3.1-8B", &["llama", "3.1", "3", "8b"]),
            ("gpt2", &["gpt2", "gpt", "2"]),
            ("Übersetzung für Ärzte", &["ubersetzung", "fur", "arzt"]),
            ("Q4_K_M", &["q4", "4", "k", "m"]),
            ("语言模型", &["语言", "言模", "模型"]),
            ("BERT中文", &["bert", "中文"]),
            ("1.", &["1"]),
            ("it's", &["its"]),
        ] {
            assert_eq!(all(text), expected, "{text}");
        }
    }

    #[test]
    fn forms_of_one_word_have_one_stem() {
        for forms in [
            &[
                "classify",
                "classification",
                "classifier",
                "classifiers",
                "classifying",
            ] as &[&str],
            &[
                "summarize",
                "summarise",
                "summarization",
                "summarisation",
                "summarizer",
                "summarising",
            ],
            &[
                "translate",
                "translation",
                "translator",
                "translating",
                "translations",
            ],
            &["detect", "detection", "detector", "detecting", "detects"],
            &["embed", "embedding", "embeddings"],
            &["image", "images"],
        ] {
            for form in forms {
                assert_eq!(stem(form), stem(forms[0]), "{form}");
            }
        }
        for (a, b) in [
            ("bus", "busing"),
            ("paper", "pap"),
            ("news", "new"),
            ("person", "pers"),
        ] {
            assert_ne!(stem(a), stem(b));
        }
    }
}
