//! The retrieval benchmark: `cargo run -p assay-search --example quality -- [--weights DIR] [--semantics
//! encoder|table|mixed] [--test] [--misses N] [--json FILE]`.
//!
//! A world of models is generated from a seed, with the truth about each; queries of six kinds are asked of four
//! rankings, before and under attack. Queries are split into halves by the hash of the phrase or name that they were
//! made around, so that no phrase is in both. Only the development half is printed, graded or looked at, unless
//! `--test` is given, which prints the test half alone; nothing was tuned on it.

mod cards;
mod families;
mod jobs;
mod measure;
#[allow(dead_code)] // texts alone are for the example `speed`
mod queries;
mod setting;
mod world;

use std::path::PathBuf;

use assay_search::index::Prepared;
use assay_search::{Index, Method, Query, Semantics};
use measure::{Figures, figures, mean};
use queries::{Asked, KINDS, grades, queries};
use world::{NOW_MS, World};

/// Models of the world, queries of each kind, and the seed of both.
const MODELS: usize = 2_600;
const EACH: usize = 110;
const SEED: u64 = 20_260_601;
/// The attack: spam as a share of the models, and downloads of each.
const SPAM: f64 = 0.1;
const SYBIL_DOWNLOADS: u64 = 1_000;

const METHODS: [(&str, Method); 4] = [
    ("substring, by downloads", Method::Substring),
    ("BM25 alone", Method::Words),
    ("embeddings alone", Method::Meaning),
    ("ours", Method::Hybrid),
];

struct Arguments {
    weights: Option<PathBuf>,
    semantics: String,
    test: bool,
    misses: usize,
    json: Option<PathBuf>,
}

fn arguments() -> Arguments {
    let mut given = Arguments {
        weights: None,
        semantics: "mixed".into(),
        test: false,
        misses: 0,
        json: None,
    };
    let mut all = std::env::args().skip(1);
    while let Some(argument) = all.next() {
        match argument.as_str() {
            "--weights" => given.weights = all.next().map(PathBuf::from),
            "--semantics" => given.semantics = all.next().unwrap_or_default(),
            "--misses" => given.misses = all.next().and_then(|n| n.parse().ok()).unwrap_or(10),
            "--test" => given.test = true,
            "--json" => given.json = all.next().map(PathBuf::from),
            other => panic!("unknown argument `{other}`"),
        }
    }
    given
}

/// Reads the documents of models.
fn prepared(models: &[world::Model], semantics: Option<&Semantics>) -> Vec<Prepared> {
    let documents = models.iter().map(|model| model.document.clone());
    documents
        .map(|document| Prepared::new(document, semantics).expect("a generated document is one"))
        .collect()
}

fn index(prepared: &[Prepared], semantics: Option<&Semantics>) -> Index {
    let mut index = Index::new(semantics.cloned());
    for one in prepared {
        index.insert(one.clone()).expect("room");
    }
    index
}

fn hits(index: &Index, text: &str, method: Method) -> Vec<assay_search::Hit> {
    index
        .search(&Query {
            text: text.to_owned(),
            method,
            limit: 50,
            now_ms: NOW_MS,
            ..Query::default()
        })
        .hits
}

/// Figures by query of one method.
fn run(
    world: &World,
    index: &Index,
    asked: &[Asked],
    method: Method,
    misses: usize,
) -> Vec<Figures> {
    let by_id: std::collections::HashMap<&str, usize> = world
        .models
        .iter()
        .enumerate()
        .map(|(at, model)| (model.id.as_str(), at))
        .collect();
    let mut shown = Vec::new();
    let mut all = Vec::new();
    for one in asked {
        let truth = grades(world, &one.wish);
        let hits = hits(index, &one.text, method);
        let found: Vec<u8> = hits
            .iter()
            .filter_map(|hit| by_id.get(hit.id.as_str()))
            .map(|at| truth[*at])
            .collect();
        let figures = figures(&found, &truth);
        if method == Method::Hybrid {
            let listing: Vec<String> = hits
                .iter()
                .zip(&found)
                .take(6)
                .map(|(hit, grade)| format!("      {grade} {:.3} {}", hit.score, hit.id))
                .collect();
            let mut best: Vec<(u8, &str)> = truth
                .iter()
                .zip(&world.models)
                .map(|(grade, model)| (*grade, model.id.as_str()))
                .collect();
            best.sort_by(|a, b| b.cmp(a));
            let best: Vec<String> = best
                .iter()
                .take(3)
                .map(|(grade, id)| format!("      wanted {grade} {id}"))
                .collect();
            shown.push((
                figures.ndcg,
                format!(
                    "{:.3} [{}] {}\n{}\n{}",
                    figures.ndcg,
                    KINDS[one.kind],
                    one.text,
                    listing.join("\n"),
                    best.join("\n")
                ),
            ));
        }
        all.push(figures);
    }
    shown.sort_by(|a, b| a.0.total_cmp(&b.0));
    shown
        .iter()
        .take(misses)
        .for_each(|(_, text)| println!("{text}"));
    all
}

struct Row {
    name: &'static str,
    calm: Vec<Figures>,
    attacked: Vec<Figures>,
}

fn print(rows: &[Row], asked: &[Asked], half: &str) {
    println!("\n{half} half, {} queries\n", asked.len());
    println!(
        "| ranking | nDCG@10 | recall@50 | MRR | nDCG@10 attacked | recall@50 attacked | MRR attacked | lost |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in rows {
        let (a, b) = (mean(&row.calm), mean(&row.attacked));
        let lost = if a.ndcg > 0.0 {
            100.0 * (1.0 - b.ndcg / a.ndcg)
        } else {
            0.0
        };
        println!(
            "| {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {lost:.1} % |",
            row.name, a.ndcg, a.recall, a.mrr, b.ndcg, b.recall, b.mrr
        );
    }
    println!(
        "\n| nDCG@10 by kind (queries) | {} |",
        rows.iter()
            .map(|row| row.name)
            .collect::<Vec<_>>()
            .join(" | ")
    );
    println!("| --- |{}", " --- |".repeat(rows.len()));
    for (kind, name) in KINDS.iter().enumerate() {
        let of_kind = |all: &[Figures]| -> Vec<Figures> {
            all.iter()
                .zip(asked)
                .filter(|(_, one)| one.kind == kind)
                .map(|(figures, _)| *figures)
                .collect()
        };
        let cells: Vec<String> = rows
            .iter()
            .map(|row| format!("{:.3}", mean(&of_kind(&row.calm)).ndcg))
            .collect();
        println!(
            "| {name} ({}) | {} |",
            asked.iter().filter(|one| one.kind == kind).count(),
            cells.join(" | ")
        );
    }
    println!();
}

/// All figures of a half, for whoever reads them by machine: a list of rows.
fn written(rows: &[Row], half: &str, semantics: &str) -> serde_json::Value {
    let mut all = Vec::new();
    for row in rows {
        for (state, figures) in [("calm", &row.calm), ("attacked", &row.attacked)] {
            let m = mean(figures);
            all.push(serde_json::json!({
                "ranking": row.name, "half": half, "state": state, "embeddings": semantics,
                "queries": figures.len(), "ndcg10": m.ndcg, "recall50": m.recall, "mrr": m.mrr,
            }));
        }
    }
    all.into()
}

fn main() {
    let arguments = arguments();
    let world = World::new(MODELS, SEED);
    let asked = queries(&world, EACH, SEED ^ 1);
    let total = asked.len();
    let half: Vec<Asked> = asked
        .into_iter()
        .filter(|one| one.development() != arguments.test)
        .collect();
    let semantics = arguments
        .weights
        .as_ref()
        .map(|directory| setting::semantics(directory, &arguments.semantics));
    let mut documents = prepared(&world.models, semantics.as_ref());
    let calm = index(&documents, semantics.as_ref());
    let mut attacked_world = World {
        models: world.models.clone(),
    };
    attacked_world.attacked(SPAM, SYBIL_DOWNLOADS, SEED ^ 2);
    documents.extend(prepared(
        &attacked_world.models[world.models.len()..],
        semantics.as_ref(),
    ));
    let attacked = index(&documents, semantics.as_ref());
    println!(
        "{} models, {total} queries of {} kinds; under attack {} models",
        world.models.len(),
        KINDS.len(),
        attacked_world.models.len()
    );
    let embeddings = match &arguments.weights {
        Some(_) => arguments.semantics.as_str(),
        None => "none, no weights given",
    };
    println!("embeddings: {embeddings}");
    let methods = METHODS
        .iter()
        .filter(|(_, method)| arguments.weights.is_some() || *method != Method::Meaning);
    let rows: Vec<Row> = methods
        .map(|(name, method)| Row {
            name,
            calm: run(&world, &calm, &half, *method, arguments.misses),
            attacked: run(&attacked_world, &attacked, &half, *method, 0),
        })
        .collect();
    let half_name = if arguments.test {
        "test"
    } else {
        "development"
    };
    print(&rows, &half, half_name);
    let figures = written(&rows, half_name, embeddings);
    match &arguments.json {
        Some(path) => std::fs::write(path, format!("{figures}\n")).expect("a file to write to"),
        None => println!("{figures}"),
    }
}
