//! The retrieval benchmark in small, by words and structure alone: the order of the rankings, and what an attack costs.

#[path = "../../examples/quality/cards.rs"]
mod cards;
#[path = "../../examples/quality/families.rs"]
mod families;
#[path = "../../examples/quality/jobs.rs"]
mod jobs;
#[path = "../../examples/quality/measure.rs"]
mod measure;
#[path = "../../examples/quality/queries.rs"]
#[allow(dead_code)] // kinds are told apart in the example
pub mod queries;
#[path = "../../examples/quality/world.rs"]
pub mod world;

use std::collections::HashMap;

use assay_search::{Method, Query};
use measure::{Figures, figures, mean};
use queries::{Asked, grades};
use world::{NOW_MS, World};

fn run(world: &World, asked: &[Asked], method: Method) -> Figures {
    let documents: Vec<_> = world
        .models
        .iter()
        .map(|model| model.document.clone())
        .collect();
    let index = crate::index(&documents);
    let places: HashMap<&str, usize> = world
        .models
        .iter()
        .zip(0..)
        .map(|(model, at)| (model.id.as_str(), at))
        .collect();
    let each = asked.iter().map(|one| {
        let truth = grades(world, &one.wish);
        let query = Query {
            text: one.text.clone(),
            method,
            limit: 50,
            now_ms: NOW_MS,
            ..Query::default()
        };
        let hits: Vec<u8> = index
            .search(&query)
            .hits
            .iter()
            .map(|hit| truth[places[hit.id.as_str()]])
            .collect();
        figures(&hits, &truth)
    });
    mean(&each.collect::<Vec<_>>())
}

#[test]
fn ours_is_ahead_of_words_and_of_substrings_and_keeps_it_under_attack() {
    let world = World::new(700, 3);
    let all = queries::queries(&world, 20, 4);
    let asked: Vec<Asked> = all.into_iter().filter(Asked::development).collect();
    assert!(
        asked.len() >= 40 && queries::KINDS.len() == 6,
        "{}",
        asked.len()
    );
    let [substring, words, ours] = [Method::Substring, Method::Words, Method::Hybrid]
        .map(|method| run(&world, &asked, method));
    assert!(ours.ndcg >= substring.ndcg + 0.15, "{ours:?} {substring:?}");
    assert!(ours.ndcg >= words.ndcg + 0.05, "{ours:?} {words:?}");
    let mut attacked = World {
        models: world.models.clone(),
    };
    attacked.attacked(0.1, 1_000, 9);
    let under_attack = run(&attacked, &asked, Method::Hybrid);
    assert!(
        under_attack.ndcg >= 0.97 * ours.ndcg,
        "{under_attack:?} {ours:?}"
    );
}

#[test]
fn figures_are_what_they_are_called() {
    let perfect = figures(&[3, 2, 1], &[1, 2, 3]);
    assert!((perfect.ndcg - 1.0).abs() < 1e-12 && perfect.mrr == 1.0 && perfect.recall == 1.0);
    let late = figures(&[0, 0, 3], &[3, 0, 0, 2]);
    assert!(
        (late.mrr - 1.0 / 3.0).abs() < 1e-12
            && (late.recall - 0.5).abs() < 1e-12
            && late.ndcg < 0.5
    );
    let none = figures(&[], &[3]);
    assert_eq!((none.ndcg, none.recall, none.mrr), (0.0, 0.0, 0.0));
}
