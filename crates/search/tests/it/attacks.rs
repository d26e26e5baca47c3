//! What permissionless publishing invites, and what comes of it.

use assay_search::document::{Base, Evaluation, Usage};
use assay_search::{Document, Query, Sort, Warning};

use crate::{DAY_MS, NOW_MS, ask, ids, index, model, proven};

const CARD: &str = "Predicts whether a review is positive or negative. It was trained on many thousand reviews of films, books and \
household goods, with care for irony, and was compared with three older models of the same size on reviews that none had seen.";

fn honest() -> Document {
    proven(
        model("reviewlab/sentiment-base", "text-classification", CARD),
        0.91,
        12,
    )
}

/// Words for everything that anyone may look for.
fn stuffing() -> String {
    "sentiment sentiment sentiment best translation summarization ner speech recognition text to image object detection chat \
code math question answering embeddings ocr depth estimation time series forecasting toxic spam emotion reranker "
        .repeat(20)
}

#[test]
fn stuffed_words_do_not_lift_a_model() {
    let mut stuffed = model(
        "hot42/sentiment-best-free",
        "text-classification",
        &format!("{CARD}\n\n{}", stuffing()),
    );
    stuffed.tags = [
        "sentiment",
        "ner",
        "asr",
        "tts",
        "chat",
        "code",
        "ocr",
        "translation",
        "summarization",
        "nli",
    ]
    .map(str::to_owned)
    .to_vec();
    stuffed.downloads = 1_000_000;
    let index = index(&[honest(), stuffed.clone()]);
    for text in [
        "sentiment",
        "sentiment analysis of reviews",
        "best sentiment classifier",
    ] {
        let hits = ask(&index, text);
        assert_eq!(hits[0].id, "reviewlab/sentiment-base", "{text}");
        let second = hits.iter().find(|hit| hit.id.starts_with("hot42")).unwrap();
        assert!(
            second.warnings.contains(&Warning::ClaimsTooMuch),
            "{:?}",
            second.warnings
        );
        assert!(second.score < 0.5 * hits[0].score, "{text}");
    }
    // Elsewhere it comes after whoever is there for it, however little that one says.
    let documents = [
        honest(),
        stuffed,
        model("c/transcriber", "automatic-speech-recognition", ""),
    ];
    let hits = ask(&crate::index(&documents), "speech recognition");
    assert_eq!(hits[0].id, "c/transcriber", "{hits:?}");
}

#[test]
fn downloads_move_nothing_unless_a_query_asks_for_them() {
    let plain = model("a/sentiment-one", "text-classification", CARD);
    let mut boosted = model(
        "b/sentiment-two",
        "text-classification",
        "Predicts whether a review is positive or negative.",
    );
    let scores = |documents: &[Document]| -> Vec<(String, f32)> {
        let hits = ask(&index(documents), "sentiment");
        hits.into_iter().map(|hit| (hit.id, hit.score)).collect()
    };
    let before = scores(&[plain.clone(), boosted.clone()]);
    boosted.downloads = u64::MAX;
    assert_eq!(scores(&[plain.clone(), boosted.clone()]), before);
    let query = Query {
        text: "sentiment".into(),
        sort: Sort::Downloads,
        ..Query::default()
    };
    assert_eq!(
        index(&[plain, boosted]).search(&query).hits[0].id,
        "b/sentiment-two"
    );
}

#[test]
fn usage_counts_accounts_and_not_receipts_and_so_many_of_an_operator() {
    let with = |id: &str, usage: Vec<Usage>| {
        let mut document = model(id, "translation", "Translates letters.");
        document.usage = usage;
        document
    };
    let paid = |account: String, operator: &str, receipts: u64| Usage {
        account,
        operator: operator.into(),
        receipts,
    };
    let many = with(
        "a/many-people",
        (0..30)
            .map(|n| paid(format!("p{n}"), ["x", "y", "z"][n % 3], 1))
            .collect(),
    );
    let one_rich = with("b/one-rich", vec![paid("rich".into(), "x", 1_000_000)]);
    let own_farm = with(
        "c/own-farm",
        (0..5_000).map(|n| paid(format!("s{n}"), "x", 9)).collect(),
    );
    let himself = with("d/himself", vec![paid("x".into(), "x", 1_000_000)]);
    let unpaid = with("e/unpaid", vec![paid("q".into(), "x", 0)]);
    let index = index(&[many, one_rich, own_farm, himself, unpaid]);
    let query = Query {
        text: "translation".into(),
        sort: Sort::Usage,
        ..Query::default()
    };
    let hits = index.search(&query).hits;
    assert_eq!(
        ids(&hits)[..3],
        ["a/many-people", "c/own-farm", "b/one-rich"]
    );
    let used = |id: &str| {
        let hit = hits.iter().find(|hit| hit.id == id).unwrap();
        hit.why
            .iter()
            .find(|why| why.feature == "used")
            .map_or(0.0, |why| why.value)
    };
    assert_eq!((used("d/himself"), used("e/unpaid")), (0.0, 0.0));
}

#[test]
fn what_publishers_measure_themselves_counts_little_and_absurd_values_no_more() {
    let measured = |id: &str, value: f64, committed: bool, by: &str| {
        let mut document = model(id, "image-classification", "Classifies images.");
        document.evaluations.push(Evaluation {
            task: "image-classification".into(),
            dataset: "imagenet".into(),
            metric: "accuracy".into(),
            value,
            by: by.into(),
            committed,
        });
        document
    };
    let mut all: Vec<Document> = (0..8)
        .map(|n| {
            measured(
                &format!("m{n}/image-classifier-{n}"),
                0.5 + 0.04 * f64::from(n),
                true,
                "guild",
            )
        })
        .collect();
    all.push(measured("liar/image-classifier-x", 1e300, false, "liar"));
    all.push(measured("self/image-classifier-y", 0.999, true, "self"));
    let hits = ask(&index(&all), "most accurate image classification");
    assert_eq!(hits[0].id, "m7/image-classifier-7", "{:?}", ids(&hits));
    let place = |id: &str| hits.iter().position(|hit| hit.id == id).unwrap();
    assert!(
        place("liar/image-classifier-x") >= 2 && place("self/image-classifier-y") >= 2,
        "{:?}",
        ids(&hits)
    );
    assert_eq!(hits[0].measured[0].by, "guild");
    all.push(measured("nan/image-classifier-z", f64::NAN, true, "guild"));
    assert_eq!(
        ask(&index(&all), "most accurate image classification")[0].id,
        "m7/image-classifier-7"
    );
}

#[test]
fn names_that_look_like_others_are_named() {
    let original = honest();
    for (id, looks) in [
        ("rev1ewlab/sentiment-base", true),
        ("someone/sentiment_base", true),
        ("someone/sentlment-base", true),
        ("someone/sentiment-basee", true),
        ("someone/sentiment-base-2", false),
        ("someone/sentiment-large", false),
        ("reviewlab/sentiment-basee", false),
    ] {
        let mut young = model(id, "text-classification", "A classifier of sentiment.");
        young.published_ms = NOW_MS - DAY_MS;
        let index = index(&[original.clone(), young.clone()]);
        let hits = ask(&index, "sentiment");
        let hit = hits.iter().find(|hit| hit.id == id).unwrap();
        let warned = hit.warnings.contains(&Warning::LooksLike {
            id: original.id.clone(),
        });
        assert_eq!(warned, looks, "{id}: {:?}", hit.warnings);
        let first = hits.iter().find(|hit| hit.id == original.id).unwrap();
        assert!(
            !first
                .warnings
                .iter()
                .any(|warning| matches!(warning, Warning::LooksLike { .. }))
        );
        assert_eq!(ask(&index, "sentiment-base")[0].id, original.id, "{id}");
        // Who says what it was made from does not pretend to be it.
        young.bases.push(Base {
            id: original.id.clone(),
            relation: "finetune".into(),
        });
        let declared = ask(&crate::index(&[original.clone(), young]), "sentiment");
        let hit = declared.iter().find(|hit| hit.id == id).unwrap();
        assert!(
            !hit.warnings
                .iter()
                .any(|warning| matches!(warning, Warning::LooksLike { .. })),
            "{id}"
        );
    }
}

#[test]
fn copies_of_content_come_under_what_they_copy() {
    let sketch: Vec<u64> = (1..=32).map(|n| n * 1_000).collect();
    let mut original = honest();
    original.sketch = sketch.clone();
    let mut copy = model(
        "thief/opinion-finder",
        "text-classification",
        "Sentiment of reviews.",
    );
    copy.published_ms = NOW_MS - DAY_MS;
    copy.sketch = sketch.clone();
    copy.sketch[31] = 7_777_777;
    let mut other = model(
        "c/sentiment-other",
        "text-classification",
        "Sentiment of reviews.",
    );
    other.sketch = (1..=32).map(|n| n * 1_000 + 1).collect();
    let index_of = |documents: &[Document]| index(documents);
    let hits = ask(
        &index_of(&[copy.clone(), original.clone(), other.clone()]),
        "sentiment reviews",
    );
    assert_eq!(
        ids(&hits),
        ["reviewlab/sentiment-base", "c/sentiment-other"]
    );
    assert_eq!(hits[0].copies, ["thief/opinion-finder"]);
    // By its own name it is found, with the warning.
    let named = ask(
        &index_of(&[original.clone(), copy.clone(), other.clone()]),
        "thief/opinion-finder",
    );
    assert_eq!(named[0].id, "thief/opinion-finder");
    assert!(named[0].warnings.contains(&Warning::NearCopy {
        id: original.id.clone()
    }));
    // Declared, it is a model of its own.
    copy.bases.push(Base {
        id: original.id.clone(),
        relation: "finetune".into(),
    });
    assert_eq!(
        ask(
            &index_of(&[original.clone(), copy.clone(), other.clone()]),
            "sentiment reviews"
        )
        .len(),
        3
    );
    // With the original gone there is nothing to copy.
    copy.bases.clear();
    let mut index = index_of(&[original.clone(), copy, other]);
    assert!(index.remove(&original.id));
    let hits = ask(&index, "opinion-finder");
    assert!(
        !hits[0]
            .warnings
            .iter()
            .any(|warning| matches!(warning, Warning::NearCopy { .. }))
    );
}

#[test]
fn a_copied_card_ranks_below_its_source_however_much_is_added() {
    let mut clone = model(
        "zeta/sentiment-pro",
        "text-classification",
        &format!("{CARD}\n\nNow better than ever, with sentiment for all reviews."),
    );
    clone.published_ms = NOW_MS - DAY_MS;
    let hits = ask(
        &index(&[clone, honest()]),
        "positive or negative review sentiment",
    );
    assert_eq!(hits[0].id, "reviewlab/sentiment-base");
    assert!(
        hits[1].warnings.contains(&Warning::CopiedCard {
            id: "reviewlab/sentiment-base".into()
        }),
        "{:?}",
        hits[1]
    );
}

#[test]
fn a_new_model_gets_a_place_and_an_unsigned_one_does_not() {
    let field = |n: usize| {
        proven(
            model(
                &format!("lab{n}/sentiment-{n}"),
                "text-classification",
                "Sentiment analysis of reviews.",
            ),
            0.8 + 0.005 * n as f64,
            20,
        )
    };
    let mut all: Vec<Document> = (0..14).map(field).collect();
    let mut young = model(
        "fresh/sentiment-new",
        "text-classification",
        "Sentiment analysis of reviews.",
    );
    young.published_ms = NOW_MS - DAY_MS;
    all.push(young.clone());
    assert!(!ids(&ask(&index(&all), "sentiment analysis")).contains(&"fresh/sentiment-new"));
    young.provenance = assay_search::document::Provenance::Signed;
    all.pop();
    all.push(young);
    let index = index(&all);
    let hits = ask(&index, "sentiment analysis");
    assert_eq!(
        (hits[7].id.as_str(), hits[7].exploration),
        ("fresh/sentiment-new", true)
    );
    assert_eq!(hits.iter().filter(|hit| hit.exploration).count(), 1);
    let timeless = index
        .search(&Query {
            text: "sentiment analysis".into(),
            ..Query::default()
        })
        .hits;
    assert!(!timeless.iter().any(|hit| hit.exploration));
}
