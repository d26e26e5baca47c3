//! Filters, facets, sorts, signatures and budgets.

use assay_search::document::{Kind, Port, Provenance, Signature};
use assay_search::{Document, Filters, Index, Query, Sort};

use crate::{ids, index, model, proven};

fn port(kind: &str, element: &str, shape: &[Option<u64>]) -> Port {
    Port {
        kind: kind.into(),
        element: element.into(),
        shape: shape.to_vec(),
    }
}

fn signature(inputs: Vec<Port>, outputs: Vec<Port>) -> Option<Signature> {
    Some(Signature { inputs, outputs })
}

fn some() -> Index {
    let mut digits = model("a/digits-cnn", "image-classification", "Reads digits.");
    digits.signature = signature(
        vec![port("tensor", "f32", &[None, Some(1), Some(28), Some(28)])],
        vec![port("tensor", "f32", &[None, Some(10)])],
    );
    digits.price_microcredits = Some(40);
    digits.parameters = Some(60_000);
    digits.bytes = 240_000;
    digits.licence = Some("MIT".into());
    digits.rungs = vec!["Signed".into(), "Proven".into()];
    let mut photos = proven(
        model(
            "a/photo-classes",
            "image-classification",
            "Classifies photographs.",
        ),
        0.9,
        3,
    );
    photos.signature = signature(
        vec![
            port("tensor", "f32", &[None, Some(3), Some(224), Some(224)]),
            port("tensor", "i64", &[]),
        ],
        vec![port("tensor", "f32", &[None, Some(1000)])],
    );
    photos.price_microcredits = Some(900);
    photos.languages = vec!["en".into()];
    photos.library = Some("onnx".into());
    photos.quantisation = Some("int8".into());
    let mut german = model(
        "b/german-mood",
        "text-classification",
        "Stimmung in deutschen Texten.",
    );
    german.languages = vec!["de".into()];
    german.tags = vec!["mood".into()];
    german.kind = Kind::Model;
    let mut corpus = model("b/mood-corpus", "", "Texts with moods.");
    corpus.kind = Kind::Dataset;
    index(&[digits, photos, german, corpus])
}

fn found(filters: Filters, text: &str) -> Vec<String> {
    let mut found: Vec<String> = some()
        .search(&Query {
            filters,
            text: text.into(),
            ..Query::default()
        })
        .hits
        .into_iter()
        .map(|hit| hit.id)
        .collect();
    found.sort();
    found
}

#[test]
fn filters_are_hard() {
    let none = Filters::default;
    for (filters, expected) in [
        (
            none(),
            vec![
                "a/digits-cnn",
                "a/photo-classes",
                "b/german-mood",
                "b/mood-corpus",
            ],
        ),
        (
            Filters {
                kind: Some(Kind::Dataset),
                ..none()
            },
            vec!["b/mood-corpus"],
        ),
        (
            Filters {
                tasks: vec!["image-classification".into()],
                ..none()
            },
            vec!["a/digits-cnn", "a/photo-classes"],
        ),
        (
            Filters {
                licences: vec!["mit".into()],
                ..none()
            },
            vec!["a/digits-cnn"],
        ),
        (
            Filters {
                libraries: vec!["ONNX".into()],
                ..none()
            },
            vec!["a/photo-classes"],
        ),
        (
            Filters {
                languages: vec!["de".into()],
                ..none()
            },
            vec!["b/german-mood"],
        ),
        (
            Filters {
                languages: vec!["de".into(), "en".into()],
                ..none()
            },
            vec![],
        ),
        (
            Filters {
                languages: vec!["tlh".into()],
                ..none()
            },
            vec![],
        ),
        (
            Filters {
                tags: vec!["Mood".into()],
                ..none()
            },
            vec!["b/german-mood"],
        ),
        (
            Filters {
                quantised: Some(true),
                ..none()
            },
            vec!["a/photo-classes"],
        ),
        (
            Filters {
                parameters_max: Some(59_999),
                ..none()
            },
            vec![],
        ),
        (
            Filters {
                parameters_max: Some(60_000),
                ..none()
            },
            vec!["a/digits-cnn"],
        ),
        (
            Filters {
                parameters_min: Some(60_001),
                ..none()
            },
            vec![],
        ),
        (
            Filters {
                bytes_max: Some(239_999),
                ..none()
            },
            vec![],
        ),
        (
            Filters {
                price_max_microcredits: Some(40),
                ..none()
            },
            vec!["a/digits-cnn"],
        ),
        (
            Filters {
                rung: Some("proven".into()),
                ..none()
            },
            vec!["a/digits-cnn"],
        ),
        (
            Filters {
                evaluated_on: Some("someone/A_data_set".into()),
                ..none()
            },
            vec!["a/photo-classes"],
        ),
        (
            Filters {
                namespace: Some("B".into()),
                ..none()
            },
            vec!["b/german-mood", "b/mood-corpus"],
        ),
        (
            Filters {
                provenance: Some(Provenance::Signed),
                ..none()
            },
            vec!["a/photo-classes"],
        ),
        (
            Filters {
                base: Some("a/digits-cnn".into()),
                ..none()
            },
            vec![],
        ),
    ] {
        assert_eq!(found(filters.clone(), ""), expected, "{filters:?}");
    }
    assert_eq!(
        found(
            Filters {
                namespace: Some("b".into()),
                ..none()
            },
            "digits"
        ),
        Vec::<String>::new()
    );
}

#[test]
fn signatures_must_fit_whole() {
    let image = |side: u64| port("tensor", "f32", &[Some(1), None, Some(side), Some(side)]);
    for (wanted, expected) in [
        (signature(vec![image(28)], vec![]), vec!["a/digits-cnn"]),
        (signature(vec![image(29)], vec![]), vec![]),
        (signature(vec![image(224)], vec![]), vec![]),
        (
            signature(vec![port("tensor", "i64", &[Some(7)]), image(224)], vec![]),
            vec!["a/photo-classes"],
        ),
        (signature(vec![image(224), image(224)], vec![]), vec![]),
        (
            signature(vec![], vec![port("", "f32", &[None, Some(10)])]),
            vec!["a/digits-cnn"],
        ),
        (
            signature(vec![], vec![port("tensor", "f64", &[None, Some(10)])]),
            vec![],
        ),
        (
            signature(vec![], vec![port("tensor", "f32", &[Some(10)])]),
            vec![],
        ),
        (
            signature(
                vec![image(28)],
                vec![port("tensor", "", &[None, Some(1000)])],
            ),
            vec![],
        ),
    ] {
        let filters = Filters {
            signature: wanted.clone(),
            ..Filters::default()
        };
        assert_eq!(found(filters, ""), expected, "{wanted:?}");
    }
}

#[test]
fn facets_count_and_sorts_sort() {
    let index = some();
    let results = index.search(&Query {
        facets: true,
        ..Query::default()
    });
    let count = |facet: &str, value: &str| {
        results
            .facets
            .get(facet)
            .and_then(|values| values.get(value))
            .copied()
    };
    assert_eq!(count("task", "image-classification"), Some(2));
    assert_eq!(count("language", "de"), Some(1));
    assert_eq!(count("size", "under 100M"), Some(1));
    assert_eq!(count("rung", "Proven"), Some(1));
    assert_eq!(count("evaluated on", "a-data-set"), Some(1));
    assert_eq!(count("task", "translation"), None);
    let sorted = |sort: Sort| {
        index
            .search(&Query {
                sort,
                text: "image classification".into(),
                ..Query::default()
            })
            .hits
    };
    assert_eq!(ids(&sorted(Sort::Cost))[0], "a/digits-cnn");
    assert_eq!(ids(&sorted(Sort::Accuracy))[0], "a/photo-classes");
    assert_eq!(ids(&sorted(Sort::Usage))[0], "a/photo-classes");
}

#[test]
fn every_hit_says_why_and_the_parts_are_what_they_seem() {
    let hits = some()
        .search(&Query {
            text: "german mood".into(),
            ..Query::default()
        })
        .hits;
    assert_eq!(hits[0].id, "b/german-mood");
    let measured = match hits[0].measured.is_empty() {
        true => "not measured, taken as",
        false => "measured",
    };
    assert!(
        hits.iter().any(|hit| {
            let says = hit
                .why
                .iter()
                .any(|why| why.feature == "not measured, taken as");
            says && hit.measured.is_empty()
        }),
        "a value that stands in for a measurement is told as that"
    );
    for feature in [
        "words",
        "words found",
        "name",
        measured,
        "used",
        "signed",
        "quality",
    ] {
        let why = hits[0]
            .why
            .iter()
            .find(|why| why.feature == feature)
            .unwrap_or_else(|| panic!("{feature}"));
        assert!((0.0..=1.0).contains(&why.value), "{feature} {}", why.value);
    }
    assert_eq!(
        hits[0]
            .why
            .iter()
            .find(|why| why.feature == "words found")
            .unwrap()
            .value,
        1.0
    );
}

#[test]
fn pages_follow_each_other() {
    let all: Vec<Document> = (0..25)
        .map(|n| {
            model(
                &format!("x/ner-{n}"),
                "token-classification",
                "Finds entities.",
            )
        })
        .collect();
    let index = index(&all);
    let page = |offset: usize, limit: usize| -> Vec<String> {
        let query = Query {
            text: "ner".into(),
            offset,
            limit,
            ..Query::default()
        };
        index
            .search(&query)
            .hits
            .into_iter()
            .map(|hit| hit.id)
            .collect()
    };
    let whole = page(0, 100);
    assert_eq!(whole.len(), 25);
    assert_eq!(
        [page(0, 10), page(10, 10), page(20, 10), page(30, 10)].concat(),
        whole
    );
}
