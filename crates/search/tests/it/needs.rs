//! What sentences are taken to ask for, and that no sentence is too strange.

use assay_search::{Index, Need, Query};
use proptest::prelude::*;

use crate::{ask, ids, index, model};

fn understood(text: &str) -> String {
    Need::of(text).in_words().join("; ")
}

#[test]
fn sentences_are_understood() {
    for (text, expected) in [
        ("", ""),
        (
            "german ner under 1B parameters, apache licence",
            "for: ner; language: de; licence: apache-2.0; parameters at most: 1000000000",
        ),
        (
            "speech to text <500M",
            "for: automatic-speech-recognition; parameters at most: 500000000",
        ),
        (
            "llm between 1b and 3 billion params",
            "for: text-generation; parameters at least: 1000000000; parameters at most: 3000000000",
        ),
        (
            "llm of no more than 7b",
            "for: text-generation; parameters at most: 7000000000",
        ),
        (
            "llm with at least 10B",
            "for: text-generation; parameters at least: 10000000000",
        ),
        (
            "chat model that fits in 8 GB",
            "for: text-generation; bytes at most: 8000000000",
        ),
        (
            "about 7b chat",
            "for: text-generation; parameters about: 7000000000",
        ),
        (
            "object detection, not yolo",
            "for: object-detection; not: yolo",
        ),
        (
            "summarization for commercial use",
            "for: summarization; may be sold",
        ),
        ("summarization, non-commercial", "for: summarization"),
        (
            "summarization without a non-commercial license",
            "for: summarization; may be sold",
        ),
        (
            "chat, not code",
            "for: text-generation; not for: code; not: code",
        ),
        ("quantised coder", "for: code; quantised"),
        ("non-quantized coder", "for: code; not quantised"),
        (
            "embeddings without gguf",
            "for: sentence-similarity; not for library: gguf; not quantised",
        ),
        (
            "best french sentiment",
            "for: sentiment; language: fr; first by quality",
        ),
        (
            "smallest tts",
            "for: text-to-speech; small; first by smallest",
        ),
        ("most used ocr", "for: ocr; first by used"),
        (
            "tts but not in english",
            "for: text-to-speech; not in language: en",
        ),
        (
            "-german translation",
            "for: translation; not in language: de",
        ),
        ("small fast vad", "for: voice-activity-detection; small"),
    ] {
        assert_eq!(understood(text), expected, "{text}");
    }
}

#[test]
fn directions_of_translation_are_kept() {
    let code = |text: &str| {
        Need::of(text)
            .pair
            .map(|(from, to)| (from.code(), to.code()))
    };
    for (text, expected) in [
        ("german to english translation", Some(("de", "en"))),
        ("translate English into Spanish", Some(("en", "es"))),
        ("translate into English from Polish", Some(("pl", "en"))),
        ("english german translation", Some(("en", "de"))),
        ("german ner and english qa", None),
        ("translation", None),
    ] {
        assert_eq!(code(text), expected, "{text}");
    }
}

#[test]
fn words_are_forgiven_and_taken_apart() {
    let index = index(&[
        model(
            "openai/whisper-large-v3",
            "automatic-speech-recognition",
            "Transcribes speech.",
        ),
        model(
            "distilbert/distilbert-base-uncased",
            "fill-mask",
            "A distilled encoder.",
        ),
        model(
            "facebook/detr-resnet-50",
            "object-detection",
            "Detects objects.",
        ),
    ]);
    for (text, expected) in [
        ("wisper large", "openai/whisper-large-v3"),
        ("whipser-large-v3", "openai/whisper-large-v3"),
        ("distil bert", "distilbert/distilbert-base-uncased"),
        ("distlbert", "distilbert/distilbert-base-uncased"),
        ("DETR resnet50", "facebook/detr-resnet-50"),
        ("objcet detection", "facebook/detr-resnet-50"),
        ("FACEBOOK/DETR-ResNet-50", "facebook/detr-resnet-50"),
        ("stt", "openai/whisper-large-v3"),
    ] {
        assert_eq!(ids(&ask(&index, text)).first(), Some(&expected), "{text}");
    }
    let results = index.search(&Query {
        text: "wisper".into(),
        ..Query::default()
    });
    assert_eq!(
        results.corrections.get("wisper").map(String::as_str),
        Some("whisp")
    );
    assert!(!results.meaning, "no weights, no meaning");
    assert!(ask(&index, "zzzzqqq").is_empty());
}

#[test]
fn what_is_not_wanted_comes_last() {
    let index = index(&[
        model(
            "a/yolo-objects",
            "object-detection",
            "Detects objects in pictures.",
        ),
        model(
            "b/detr-objects",
            "object-detection",
            "Detects objects in pictures.",
        ),
    ]);
    assert_eq!(
        ids(&ask(&index, "detect objects without yolo")),
        ["b/detr-objects", "a/yolo-objects"]
    );
    assert_eq!(
        ids(&ask(&index, "detect objects with yolo"))[0],
        "a/yolo-objects"
    );
}

fn strange() -> impl Strategy<Value = String> {
    let pieces = prop::collection::vec(
        prop_oneof![
            Just("not".to_owned()),
            Just("under".to_owned()),
            Just("1b".to_owned()),
            Just("between".to_owned()),
            Just("non".to_owned()),
            Just("commercial".to_owned()),
            Just("german".to_owned()),
            Just("to".to_owned()),
            Just("best".to_owned()),
            Just("other than".to_owned()),
            Just("<".to_owned()),
            Just("-".to_owned()),
            Just("99999999999999999999b".to_owned()),
            Just("0.0.0b".to_owned()),
            Just("'".to_owned()),
            any::<String>(),
        ],
        0..24,
    );
    (
        pieces,
        prop_oneof![Just(" "), Just(""), Just("-"), Just("\u{301}")],
    )
        .prop_map(|(pieces, mark)| pieces.join(mark))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_query_is_too_strange(text in strange(), offset in 0_usize..200, limit in 0_usize..300) {
        let need = Need::of(&text);
        prop_assert!(need.terms.len() <= assay_search::need::TERMS_MAX);
        let index = index(&[model("a/yolo-german-7b", "object-detection", &text), model("b/\u{301}x", "", "x")]);
        let query = Query { text, offset, limit, facets: true, now_ms: 5, ..Query::default() };
        let results = index.search(&query);
        prop_assert!(results.hits.len() <= limit.clamp(10, 100));
        for hit in &results.hits {
            prop_assert!(hit.score.is_finite() && hit.score >= 0.0);
        }
    }

    #[test]
    fn no_document_is_too_strange(id in "[a-z\u{fffd}]{1,9}/\\PC{1,40}", card in any::<String>(), tag in any::<String>(), task in any::<String>()) {
        let mut document = model(&id.replace("//", "/"), &task, &card);
        document.tags = vec![tag; 400];
        document.sketch = vec![3, 1, 2, 3, 9, 8];
        let mut index = Index::new(None);
        if index.add(document.clone()).is_ok() {
            index.add(document.clone()).unwrap();
            prop_assert_eq!(index.len(), 1);
            prop_assert!(index.remove(&document.id.to_uppercase()) || document.id.to_uppercase().to_lowercase() != document.id.to_lowercase());
        }
    }
}
