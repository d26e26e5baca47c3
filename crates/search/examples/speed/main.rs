//! Speed over many documents: `cargo run -p assay-search --example speed -- [--documents N] [--seconds S] [--rate R]
//! [--weights DIR]`.
//!
//! Builds an index of the benchmark's world on two threads, then asks distinct queries in an open loop: each has its
//! time of arrival, and its latency counts from there, so that a slow answer delays those behind it in the figures too.
//! An update is prepared and entered every second. With weights, documents are embedded by the static table, queries
//! that words do not explain by the whole encoder, the others by the table; what the encoder costs a document is
//! measured beside it. The last line is one JSON object with all figures.

#[path = "../quality/cards.rs"]
mod cards;
#[path = "../quality/families.rs"]
mod families;
#[path = "../quality/jobs.rs"]
mod jobs;
#[path = "../quality/queries.rs"]
#[allow(dead_code)] // grades are not needed here
mod queries;
#[path = "../quality/setting.rs"]
mod setting;
#[path = "../quality/world.rs"]
#[allow(dead_code)] // nor attacks
mod world;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, RwLock};
use std::time::{Duration, Instant};

use assay_search::index::Prepared;
use assay_search::{Document, Index, Query, Semantics};
use rustix::time::{ClockId, clock_gettime};
use world::{NOW_MS, World};

/// Threads that answer.
const THREADS: usize = 2;
/// Documents that are read before they are entered together.
const BATCH: usize = 2_000;

struct Arguments {
    documents: usize,
    seconds: usize,
    rate: usize,
    weights: Option<PathBuf>,
}

fn arguments() -> Arguments {
    let mut given = Arguments {
        documents: 100_000,
        seconds: 20,
        rate: 200,
        weights: None,
    };
    let mut all = std::env::args().skip(1);
    while let Some(argument) = all.next() {
        let mut number = || all.next().and_then(|n| n.parse().ok()).expect("a number");
        match argument.as_str() {
            "--documents" => given.documents = number(),
            "--seconds" => given.seconds = number(),
            "--rate" => given.rate = number(),
            "--weights" => given.weights = all.next().map(PathBuf::from),
            other => panic!("unknown argument `{other}`"),
        }
    }
    given
}

/// Bytes of memory that this process has in use.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .unwrap_or(0)
        * 4096
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn build(documents: Vec<Document>, semantics: Option<Semantics>) -> Index {
    let mut index = Index::new(semantics.clone());
    for batch in documents.chunks(BATCH) {
        let prepared: Vec<Vec<Prepared>> = std::thread::scope(|scope| {
            let halves = batch.chunks(BATCH.div_ceil(THREADS));
            let threads: Vec<_> = halves
                .map(|half| {
                    let semantics = semantics.as_ref();
                    scope.spawn(move || {
                        half.iter()
                            .filter_map(|one| Prepared::new(one.clone(), semantics).ok())
                            .collect()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("a thread that reads documents"))
                .collect()
        });
        for one in prepared.into_iter().flatten() {
            index.insert(one).expect("room");
        }
    }
    index.shrink();
    index
}

#[derive(Default)]
struct Observed {
    latencies: Vec<Duration>,
    cpu: Duration,
    empty: usize,
}

fn answer(
    index: &RwLock<Index>,
    texts: &[String],
    next: &AtomicUsize,
    start: Instant,
    gap: Duration,
) -> Observed {
    let mut observed = Observed::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(text) = texts.get(number) else {
            return observed;
        };
        let due = start + gap * number as u32;
        if let Some(wait) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(wait);
        }
        let before = cpu();
        let query = Query {
            text: text.clone(),
            now_ms: NOW_MS,
            ..Query::default()
        };
        let results = index.read().expect("an index").search(&query);
        observed.cpu += cpu() - before;
        observed.latencies.push(due.elapsed());
        observed.empty += usize::from(results.hits.is_empty());
    }
}

/// Times of an update: from the document to the index that has it, and of that the time in which nobody could read.
struct Updated {
    visible: Duration,
    locked: Duration,
}

fn update(index: &RwLock<Index>, documents: &[Document], done: &AtomicBool) -> Vec<Updated> {
    let semantics = index.read().expect("an index").semantics().cloned();
    let mut times = Vec::new();
    for (number, document) in documents.iter().cycle().enumerate() {
        std::thread::sleep(Duration::from_secs(1));
        if done.load(Ordering::Relaxed) {
            break;
        }
        let start = Instant::now();
        let mut document = document.clone();
        document
            .card
            .push_str(&format!("\n\nRevision {number} of today, word{number}."));
        let prepared =
            Prepared::new(document, semantics.as_ref()).expect("a generated document is one");
        let mut writing = index.write().expect("an index");
        let held = Instant::now();
        writing.insert(prepared).expect("room");
        drop(writing);
        times.push(Updated {
            visible: start.elapsed(),
            locked: held.elapsed(),
        });
    }
    times
}

fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// Figures as they are measured: printed at once, and all together at the end.
#[derive(Default)]
struct Report(serde_json::Map<String, serde_json::Value>);

impl Report {
    fn add(&mut self, name: &str, figure: f64, words: &str) {
        let figure = (figure * 1000.0).round() / 1000.0;
        eprintln!("{words}: {figure}");
        self.0.insert(name.to_owned(), figure.into());
    }
}

fn encoder_cost(weights: &std::path::Path, documents: &[Document], report: &mut Report) {
    let whole = setting::semantics(weights, "encoder");
    let before = cpu();
    let read = documents
        .iter()
        .step_by(documents.len() / 100 + 1)
        .filter_map(|one| Prepared::new(one.clone(), Some(&whole)).ok())
        .count();
    report.add(
        "encoder_document_cpu_ms",
        (cpu() - before).as_secs_f64() * 1e3 / read as f64,
        "CPU per document, read and embedded by the whole encoder, ms",
    );
    let before = cpu();
    for n in 0..50 {
        std::hint::black_box(whole.query(&format!("find contradictions between two claims {n}")));
    }
    report.add(
        "encoder_query_cpu_ms",
        (cpu() - before).as_secs_f64() * 1e3 / 50.0,
        "CPU per query of eight tokens in the whole encoder, ms",
    );
}

fn built(documents: Vec<Document>, semantics: Option<Semantics>, report: &mut Report) -> Index {
    let before = resident();
    let start = Instant::now();
    let index = build(documents, semantics);
    report.add("documents", index.len() as f64, "documents");
    let seconds = start.elapsed().as_secs_f64();
    report.add("rebuild_s", seconds, "rebuild on two threads, s");
    let (postings, vectors) = index.bytes();
    report.add("postings_mb", postings as f64 / 1e6, "postings, MB");
    report.add("vectors_mb", vectors as f64 / 1e6, "vectors, MB");
    report.add(
        "memory_mb",
        resident().saturating_sub(before) as f64 / 1e6,
        "resident memory of the index, MB",
    );
    let start = Instant::now();
    std::hint::black_box(index.digest());
    let seconds = start.elapsed().as_secs_f64();
    report.add("digest_ms", seconds * 1e3, "digest of the index, ms");
    index
}

/// Asks all texts, each at its time, while an update is entered every second.
fn asked(
    index: &RwLock<Index>,
    texts: &[String],
    changed: &[Document],
    gap: Duration,
) -> (Vec<Observed>, Vec<Updated>) {
    let (next, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let all = Mutex::new(Vec::new());
    let start = Instant::now();
    let updates = std::thread::scope(|scope| {
        let updater = scope.spawn(|| update(index, changed, &done));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    all.lock()
                        .expect("a list")
                        .push(answer(index, texts, &next, start, gap))
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("a thread that answers"));
        done.store(true, Ordering::Relaxed);
        updater.join().expect("the thread that updates")
    });
    (all.into_inner().expect("a list"), updates)
}

fn told(observed: &[Observed], seconds: f64, report: &mut Report) {
    let mut latencies: Vec<Duration> = observed
        .iter()
        .flat_map(|one| one.latencies.iter().copied())
        .collect();
    latencies.sort();
    let count = latencies.len() as f64;
    report.add("queries", count, "distinct queries");
    report.add("answered_per_s", count / seconds, "answered a second");
    report.add("p50_ms", percentile(&latencies, 0.5), "latency p50, ms");
    report.add("p99_ms", percentile(&latencies, 0.99), "latency p99, ms");
    let slowest = percentile(&latencies, 1.0);
    report.add("slowest_ms", slowest, "latency of the slowest, ms");
    let cpu: Duration = observed.iter().map(|one| one.cpu).sum();
    let each = cpu.as_secs_f64() * 1e3 / count;
    report.add("cpu_ms", each, "CPU per query, ms");
    let empty: usize = observed.iter().map(|one| one.empty).sum();
    report.add("without_hits", empty as f64, "queries without a hit");
}

fn told_updates(updates: &[Updated], report: &mut Report) {
    let sorted = |of: fn(&Updated) -> Duration| {
        let mut all: Vec<Duration> = updates.iter().map(of).collect();
        all.sort();
        all
    };
    let visible = sorted(|update| update.visible);
    report.add("updates", visible.len() as f64, "updates");
    report.add(
        "update_visible_p50_ms",
        percentile(&visible, 0.5),
        "update, from document to visible, p50, ms",
    );
    report.add(
        "update_visible_slowest_ms",
        percentile(&visible, 1.0),
        "update, the slowest, ms",
    );
    report.add(
        "update_locked_slowest_ms",
        percentile(&sorted(|update| update.locked), 1.0),
        "update, the longest time without readers, ms",
    );
}

fn main() {
    let arguments = arguments();
    let world = World::new(arguments.documents, 11);
    let texts = queries::texts(&world, arguments.seconds * arguments.rate, 12);
    let documents: Vec<Document> = world
        .models
        .iter()
        .map(|model| model.document.clone())
        .collect();
    drop(world);
    let mut report = Report::default();
    report.add("rate", arguments.rate as f64, "queries a second asked");
    let semantics = arguments.weights.as_ref().map(|weights| {
        encoder_cost(weights, &documents, &mut report);
        setting::semantics(weights, "speed")
    });
    let changed: Vec<Document> = documents.iter().step_by(977).cloned().collect();
    let index = RwLock::new(built(documents, semantics, &mut report));
    let gap = Duration::from_secs(1) / arguments.rate as u32;
    let start = Instant::now();
    let (observed, updates) = asked(&index, &texts, &changed, gap);
    told(&observed, start.elapsed().as_secs_f64(), &mut report);
    told_updates(&updates, &mut report);
    println!("{}", serde_json::Value::Object(report.0));
}
