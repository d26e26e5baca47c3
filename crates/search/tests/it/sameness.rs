//! Every hub finds the same: the order of updates, and what was there before, leave no trace.

use assay_search::{Document, Index, Method, Query, Results, Sort};

use crate::benchmark::{queries, world};
use crate::{NOW_MS, index, model};

fn documents(count: usize) -> Vec<Document> {
    let world = world::World::new(count, 5);
    world
        .models
        .into_iter()
        .map(|model| model.document)
        .collect()
}

/// Everything that an index answers to some queries.
fn answers(index: &Index) -> Vec<Results> {
    let world = world::World::new(300, 5);
    let texts = queries::texts(&world, 60, 6);
    let mut all = Vec::new();
    for (text, number) in texts.iter().zip(0..) {
        let sort = [Sort::Relevance, Sort::Accuracy, Sort::Recency, Sort::Cost][number % 4];
        let method = [
            Method::Hybrid,
            Method::Hybrid,
            Method::Words,
            Method::Substring,
        ][number / 4 % 4];
        let query = Query {
            text: text.clone(),
            sort,
            method,
            limit: 50,
            facets: true,
            now_ms: NOW_MS,
            ..Query::default()
        };
        all.push(index.search(&query));
    }
    all.push(index.search(&Query {
        limit: 50,
        ..Query::default()
    }));
    all
}

#[test]
fn the_order_of_documents_does_not_matter() {
    let mut all = documents(400);
    let first = index(&all);
    let before = answers(&first);
    assert!(
        before
            .iter()
            .filter(|results| !results.hits.is_empty())
            .count()
            > 40
    );
    all.reverse();
    all.rotate_left(123);
    let second = index(&all);
    assert_eq!(first.digest(), second.digest());
    assert_eq!(before, answers(&second));
}

#[test]
fn what_was_replaced_or_removed_leaves_no_trace() {
    let all = documents(300);
    let fresh = index(&all);
    let mut lived = Index::new(None);
    for (document, number) in all.iter().rev().zip(0..) {
        let mut other = document.clone();
        other.card = format!("Something else entirely, number{number}, about sentiment and yolo.");
        other.evaluations.clear();
        other.sketch = (0..40).map(|n| n * 3).collect();
        lived.add(other).unwrap();
        if number % 3 == 0 {
            let passing = model(
                &format!("gone/number{number}"),
                "translation",
                "Here today, gone tomorrow.",
            );
            lived.add(passing).unwrap();
        }
    }
    assert_ne!(lived.digest(), fresh.digest());
    for document in all.iter().skip(7).chain(all.iter().take(7)) {
        lived.add(document.clone()).unwrap();
    }
    for number in (0..all.len()).step_by(3) {
        assert!(lived.remove(&format!("Gone/Number{number}")));
        assert!(!lived.remove(&format!("gone/number{number}")));
    }
    assert_eq!(lived.len(), fresh.len());
    assert_eq!(lived.digest(), fresh.digest());
    assert_eq!(answers(&lived), answers(&fresh));
}

#[test]
fn the_digest_sees_every_change_and_says_where() {
    let all = documents(50);
    let first = index(&all);
    let changes: [fn(&mut Document); 4] = [
        |document| document.card.push('.'),
        |document| document.published_ms += 1,
        |document| document.id.push('x'),
        |document| document.evaluations.clear(),
    ];
    for change in changes {
        let at = all
            .iter()
            .position(|document| !document.evaluations.is_empty())
            .unwrap();
        let mut changed = all.clone();
        change(&mut changed[at]);
        let second = index(&changed);
        assert_ne!(first.digest(), second.digest());
        let ours: Vec<_> = first.document_digests().collect();
        let differing = second
            .document_digests()
            .filter(|entry| !ours.contains(entry))
            .count();
        assert_eq!(differing, 1);
    }
    assert_ne!(index(&all[1..]).digest(), first.digest());
    // Every hub counts its own downloads.
    let mut counted = all;
    counted[0].downloads += 1;
    assert_eq!(index(&counted).digest(), first.digest());
}

#[test]
fn ids_that_name_nothing_are_refused() {
    let mut index = Index::new(None);
    for id in [
        "",
        "/",
        "a/",
        "/b",
        "ab",
        "a/b/c",
        &format!("a/{}", "b".repeat(300)),
    ] {
        let error = index.add(model(id, "", "")).unwrap_err().to_string();
        assert!(error.contains("namespace/name"), "{id}: {error}");
    }
    assert!(index.is_empty());
}
