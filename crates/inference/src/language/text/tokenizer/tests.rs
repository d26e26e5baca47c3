use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Control tokens of the vocabulary below.
pub(in crate::language::text) const CONTROLS: [&str; 8] = [
    "<|im_start|>",
    "<|im_end|>",
    "<tool_call>",
    "</tool_call>",
    "<think>",
    "</think>",
    "[TOOL_CALLS]",
    "<|eot_id|>",
];

/// Words that have a token, built up letter by letter.
const WORDS: [&str; 14] = [
    "hello",
    "Ġhello",
    "Ġworld",
    "user",
    "assistant",
    "system",
    "Ġthe",
    "ing",
    "name",
    "arguments",
    "\":",
    "{\"",
    "ĊĊ",
    "end",
];

fn added(id: usize, content: &str, special: bool, normalized: bool) -> Value {
    json!({"id": id, "content": content, "special": special, "normalized": normalized,
        "single_word": false, "lstrip": false, "rstrip": false})
}

/// Tokens and merges: these characters, and these words letter by letter.
fn merged(characters: &[String], words: &[&str]) -> (Vec<String>, Vec<Value>) {
    let mut vocabulary = characters.to_vec();
    let mut merges = Vec::new();
    for word in words {
        let mut prefix = String::new();
        for letter in word.chars() {
            let longer = format!("{prefix}{letter}");
            if !prefix.is_empty() && !vocabulary.contains(&longer) {
                merges.push(json!([prefix, letter.to_string()]));
                vocabulary.push(longer.clone());
            }
            prefix = longer;
        }
    }
    (vocabulary, merges)
}

fn numbered(vocabulary: &[String]) -> Value {
    vocabulary
        .iter()
        .zip(0..)
        .map(|(token, id): (_, u32)| (token.clone(), json!(id)))
        .collect()
}

/// A vocabulary of bytes as GPT-2 and its followers have it, with the control tokens of several chat formats.
pub(in crate::language::text) fn byte_level_json() -> Value {
    let mut characters: Vec<(u8, char)> = spelling::byte_characters()
        .into_iter()
        .map(|(c, b)| (b, c))
        .collect();
    characters.sort_unstable();
    let characters: Vec<String> = characters.into_iter().map(|(_, c)| c.to_string()).collect();
    let (vocabulary, merges) = merged(&characters, &WORDS);
    let first = vocabulary.len();
    let mut tokens: Vec<Value> = CONTROLS
        .iter()
        .zip(first..)
        .map(|(text, id)| {
            added(
                id,
                text,
                !text.contains("tool_call") && !text.contains("think"),
                false,
            )
        })
        .collect();
    tokens.push(added(first + CONTROLS.len(), "    ", false, true));
    let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": tokens,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": r"'(?i:s|t)| ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"},
             "behavior": "Isolated", "invert": false},
            level]},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [first], "tokens": ["<|im_start|>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": numbered(&vocabulary), "merges": merges}
    })
}

pub(in crate::language::text) fn byte_level() -> Tokenizer {
    Tokenizer::from_json(byte_level_json().to_string().as_bytes()).unwrap()
}

/// A vocabulary of pieces as SentencePiece makes it, with bytes for what has no piece.
fn pieces_json(prefix: bool) -> Value {
    let mut characters: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).to_vec();
    characters.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    characters.extend("▁abcdefghijklmnopqrstuvwxyz".chars().map(String::from));
    let (vocabulary, merges) = merged(&characters, &["▁hello", "▁the", "ing", "▁▁▁", "user"]);
    let tokens: Vec<Value> = (0..3)
        .map(|id| added(id, &vocabulary[id], true, false))
        .collect();
    let space = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let (normalizer, pre_tokenizer) = match prefix {
        true => (
            json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, space]}),
            Value::Null,
        ),
        false => (
            Value::Null,
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false}),
        ),
    };
    json!({
        "version": "1.0", "truncation": {"direction": "Right", "max_length": 3,
            "strategy": "LongestFirst", "stride": 0},
        "padding": null, "added_tokens": tokens, "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": numbered(&vocabulary), "merges": merges}
    })
}

pub(in crate::language::text) fn pieces(prefix: bool) -> Tokenizer {
    Tokenizer::from_json(pieces_json(prefix).to_string().as_bytes()).unwrap()
}

/// The library's own encoding.
pub(in crate::language::text) fn common(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    tokenizer
        .inner
        .encode(text, false)
        .unwrap()
        .get_ids()
        .to_vec()
}

fn decoded(tokenizer: &Tokenizer, tokens: &[u32]) -> String {
    let bytes = tokens
        .iter()
        .flat_map(|token| tokenizer.bytes_of(*token).unwrap());
    String::from_utf8(bytes.copied().collect()).unwrap()
}

/// Texts with words, white space, characters of several bytes, and what control tokens consist of.
pub(in crate::language::text) fn texts() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "hello",
        " hello",
        " world",
        "user",
        "\n",
        "\n\n",
        "  ",
        "    ",
        "é",
        "e\u{301}",
        "😀",
        "<",
        ">",
        "|",
        "[",
        "]",
        "<|",
        "im_end",
        "tool_call",
        "a",
        " the",
        "'s",
        "1234",
        "\t",
        "▁",
        "/",
        "\u{0}",
    ]);
    let texts = prop::collection::vec(known, 0..14).prop_map(|parts| parts.concat());
    texts.prop_filter("no control token", |text| {
        !CONTROLS.iter().any(|control| text.contains(control))
    })
}

/// The same, with control tokens.
fn hostile() -> impl Strategy<Value = String> {
    let control = prop::sample::select(CONTROLS.to_vec());
    prop::collection::vec((texts(), control), 1..4).prop_map(|parts| {
        parts
            .into_iter()
            .map(|(text, control)| format!("{text}{control}"))
            .collect()
    })
}

proptest! {
    #[test]
    fn tokens_are_those_of_the_common_way(text in prop_oneof![texts(), hostile()]) {
        let tokenizer = byte_level();
        prop_assert_eq!(tokenizer.encode(&text, Controls::Read).unwrap(), common(&tokenizer, &text));
        for prefix in [false, true] {
            let tokenizer = pieces(prefix);
            let mut whole = tokenizer.inner.clone();
            whole.with_truncation(None).unwrap();
            let expect = whole.encode(text.as_str(), false).unwrap().get_ids().to_vec();
            prop_assert_eq!(tokenizer.encode(&text, Controls::Read).unwrap(), expect);
        }
    }

    #[test]
    fn plain_text_never_becomes_a_control_token(text in prop_oneof![texts(), hostile()]) {
        let tokenizer = byte_level();
        let tokens = tokenizer.encode(&text, Controls::Plain).unwrap();
        prop_assert!(tokens.iter().all(|token| !tokenizer.is_control(*token)));
        // NFC is the only thing that changes the text.
        prop_assert_eq!(decoded(&tokenizer, &tokens), text.replace("e\u{301}", "é"));
        if !CONTROLS.iter().any(|control| text.contains(control)) {
            prop_assert_eq!(tokens, common(&tokenizer, &text));
        }
    }

    #[test]
    fn mutated_files_are_read_or_refused(at in 0usize..20_000, byte in any::<u8>(), cut in any::<bool>()) {
        let mut json = pieces_json(true).to_string().into_bytes();
        let at = at % json.len();
        if cut {
            json.truncate(at);
        } else {
            json[at] = byte;
        }
        if let Ok(tokenizer) = Tokenizer::from_json(&json)
            && let Ok(tokens) = tokenizer.encode("hello é\u{0} <s>", Controls::Plain)
        {
            let known = |token: &u32| (*token as usize) < tokenizer.vocabulary();
            prop_assert!(tokens.iter().all(known));
        }
    }
}

#[test]
fn control_tokens_and_what_they_stand_for() {
    let tokenizer = byte_level();
    let token = |name: &str| tokenizer.token_of(name).unwrap();
    assert_eq!(
        tokenizer.encode("<|im_end|>", Controls::Read).unwrap(),
        [token("<|im_end|>")]
    );
    assert_eq!(
        tokenizer.bytes_of(token("<|im_end|>")).unwrap(),
        b"<|im_end|>"
    );
    assert_eq!(tokenizer.bytes_of(token("Ġhello")).unwrap(), b" hello");
    assert!(tokenizer.is_special(token("<|im_end|>")) && tokenizer.is_control(token("<|im_end|>")));
    assert!(!tokenizer.is_special(token("<think>")) && tokenizer.is_control(token("<think>")));
    assert!(!tokenizer.is_control(token("    ")));
    assert_eq!(
        tokenizer.encode("a    ", Controls::Plain).unwrap().last(),
        Some(&token("    "))
    );
    let count = tokenizer.vocabulary() as u32;
    assert_eq!(
        (tokenizer.bytes_of(count), tokenizer.bytes_of(u32::MAX)),
        (None, None)
    );
    assert_eq!(tokenizer.token_of("nothing"), None);
    assert_eq!(
        tokenizer.frame(vec![1, 2]).unwrap(),
        [token("<|im_start|>"), 1, 2]
    );
    let pieces = pieces(false);
    assert_eq!(
        pieces.frame(vec![9; 5]).unwrap(),
        [9; 5],
        "truncation of the file is not applied"
    );
    assert_eq!(
        pieces.bytes_of(pieces.token_of("<0x0A>").unwrap()).unwrap(),
        b"\n"
    );
    assert_eq!(
        pieces.bytes_of(pieces.token_of("▁hello").unwrap()).unwrap(),
        b" hello"
    );
}

#[test]
fn ids_that_are_not_used_stand_for_nothing() {
    let mut json = pieces_json(true);
    json["model"]["vocab"]["far"] = json!(5000);
    let tokenizer = Tokenizer::from_json(json.to_string().as_bytes()).unwrap();
    assert_eq!(tokenizer.vocabulary(), 5001);
    assert_eq!(tokenizer.bytes_of(4999), Some(&[][..]));
    assert_eq!(tokenizer.bytes_of(5000), Some(&b"far"[..]));
}

#[test]
fn files_that_cannot_be_used_are_refused_by_what_is_wrong() {
    let check = |says: &str, change: &dyn Fn(&mut Value)| {
        let mut json = byte_level_json();
        change(&mut json);
        let error = Tokenizer::from_json(json.to_string().as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{says}: {error}");
    };
    check("dropout", &|j| j["model"]["dropout"] = json!(0.1));
    check("end_of_word_suffix", &|j| {
        j["model"]["end_of_word_suffix"] = json!("</w>")
    });
    check("continuing_subword_prefix", &|j| {
        j["model"]["continuing_subword_prefix"] = json!("##")
    });
    check("decoder", &|j| j["decoder"] = json!(null));
    check("WordPiece", &|j| {
        j["decoder"] = json!({"type": "WordPiece", "prefix": "##", "cleanup": true})
    });
    check("single_word", &|j| {
        j["added_tokens"][0]["single_word"] = json!(true)
    });
    check("there twice", &|j| {
        j["added_tokens"][1]["id"] = j["added_tokens"][0]["id"].clone()
    });
    check("has id", &|j| j["added_tokens"][0]["id"] = json!(3));
    check("empty", &|j| j["added_tokens"][0]["content"] = json!(""));
    check("no character", &|j| {
        j["added_tokens"][0]["content"] = json!("<\u{FDD0}>")
    });
    check("at most", &|j| {
        j["added_tokens"][0]["content"] = json!("x".repeat(3000))
    });
    check("at most", &|j| {
        j["model"]["vocab"]["far"] = json!(limits::VOCABULARY_MAX)
    });
    check("have the id", &|j| j["model"]["vocab"]["twice"] = json!(7));
    check("tokenizer.json", &|j| {
        j["model"]["merges"] = json!([["no", "such"]])
    });
    check("tokenizer.json", &|j| j["version"] = json!("2.0"));
    check("tokenizer.json", &|j| j["model"]["vocab"] = json!({}));
    check("tokenizer.json", &|j| {
        drop(j.as_object_mut().unwrap().remove("model"))
    });
    check("neither BPE nor Unigram", &|j| {
        let vocab = j["model"]["vocab"].clone();
        j["model"] = json!({"type": "WordLevel", "vocab": vocab, "unk_token": "a"});
    });
    for bytes in [
        &b""[..],
        b"{",
        b"null",
        b"[]",
        b"\xff",
        b"{\"model\": {}}",
        b"{\"model\": {}, \"model\": {}}",
    ] {
        assert!(matches!(
            Tokenizer::from_json(bytes),
            Err(Error::Tokenizer(_))
        ));
    }
    let long = vec![b' '; limits::TOKENIZER_BYTES_MAX + 1];
    assert!(matches!(
        Tokenizer::from_json(&long),
        Err(Error::TooLarge { .. })
    ));
}

#[test]
fn texts_have_a_limit() {
    let text = "a".repeat(limits::TEXT_BYTES_MAX + 1);
    assert!(matches!(
        byte_level().encode(&text, Controls::Plain),
        Err(Error::TooLarge { .. })
    ));
}
