//! Questions at a constant rate, whether or not earlier ones have answers; each is timed from the moment when it was due, so
//! that a server that falls behind cannot hide it.

use crate::reading::{Protocol, Reader};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// What is asked, and how often.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The server.
    pub url: String,
    /// What it speaks.
    pub protocol: Protocol,
    /// The model.
    pub model: String,
    /// Tokens of a whole answer.
    pub tokens: usize,
    /// Questions a second.
    pub rate: f64,
    /// Questions that are counted.
    pub count: usize,
    /// Questions before those, which are not.
    pub warm_up: usize,
    /// Questions that may be without an answer at once; one more is not sent, and counts as an error.
    pub most: usize,
    /// How long an answer may take.
    pub patience: Duration,
}

/// What came of one question.
#[derive(Debug)]
struct Seen {
    due: Instant,
    /// When its text came, piece by piece.
    pieces: Vec<Instant>,
    ended: Instant,
    fault: Option<String>,
}

/// The figures, times in microseconds.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Questions that were due.
    pub asked: usize,
    /// Whole answers.
    pub whole: usize,
    /// What went wrong, and how often.
    pub errors: BTreeMap<String, usize>,
    /// From the first question to the last end.
    pub seconds: f64,
    /// From a question's time to the first text, for whole answers.
    pub first_us: Vec<u64>,
    /// From a question's time to the end.
    pub total_us: Vec<u64>,
    /// Between two pieces of text of one answer, while all of them were under way; of all where they never were.
    pub gap_us: Vec<u64>,
    /// Whether there was a time when all answers were under way, which the gaps are of.
    pub all_at_once: bool,
}

/// Asks, waits for all answers, and adds up. Must run beside a multi-threaded runtime, not on it.
pub fn run(wanted: &Wanted, runtime: &tokio::runtime::Runtime) -> Figures {
    let http = reqwest::Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .build()
        .unwrap();
    let period = Duration::from_secs_f64(1.0 / wanted.rate);
    let under_way = Arc::new(AtomicUsize::new(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let body = Arc::new(wanted.protocol.question(&wanted.model));
    let start = Instant::now() + Duration::from_millis(100);
    let mut tasks = Vec::new();
    for number in 0..wanted.warm_up + wanted.count {
        let due = start + period.mul_f64(number as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let (http, wanted, body) = (http.clone(), wanted.clone(), Arc::clone(&body));
        let (under_way, seen) = (Arc::clone(&under_way), Arc::clone(&seen));
        tasks.push(runtime.spawn(async move {
            let mut one = Seen {
                due,
                pieces: Vec::new(),
                ended: due,
                fault: None,
            };
            if under_way.fetch_add(1, Ordering::Relaxed) >= wanted.most {
                one.fault = Some("not sent: too many are without an answer".into());
            } else {
                let asked = tokio::time::timeout(
                    wanted.patience,
                    ask(&http, &wanted, &body, &mut one.pieces),
                )
                .await;
                one.fault = asked
                    .unwrap_or_else(|_| Err("it took too long".into()))
                    .err();
            }
            under_way.fetch_sub(1, Ordering::Relaxed);
            one.ended = Instant::now();
            if number >= wanted.warm_up {
                seen.lock().unwrap().push(one);
            }
        }));
    }
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    figures(&seen)
}

async fn ask(
    http: &reqwest::Client,
    wanted: &Wanted,
    body: &str,
    pieces: &mut Vec<Instant>,
) -> Result<(), String> {
    let asked = http
        .post(format!("{}{}", wanted.url, wanted.protocol.path()))
        .header("content-type", "application/json")
        .header("authorization", "Bearer none")
        .body(body.to_owned());
    let mut response = asked.send().await.map_err(|error| describe(&error))?;
    if !response.status().is_success() {
        return Err(format!("status {}", response.status().as_u16()));
    }
    let mut reader = Reader::new(wanted.protocol);
    while let Some(bytes) = response.chunk().await.map_err(|error| describe(&error))? {
        let now = Instant::now();
        let before = reader.tokens;
        reader.push(&bytes)?;
        if reader.tokens > before {
            pieces.push(now);
        }
    }
    match (reader.is_whole, reader.tokens) {
        (true, tokens) if tokens == wanted.tokens => Ok(()),
        (true, _) => Err("tokens are missing".into()),
        (false, _) => Err("it broke off".into()),
    }
}

fn describe(error: &reqwest::Error) -> String {
    let kind = if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    let mut last = String::new();
    while let Some(one) = cause {
        last = one.to_string();
        cause = one.source();
    }
    format!("{kind}: {last}")
}

fn figures(seen: &[Seen]) -> Figures {
    let whole: Vec<&Seen> = seen.iter().filter(|one| one.fault.is_none()).collect();
    let mut errors = BTreeMap::new();
    for fault in seen.iter().filter_map(|one| one.fault.clone()) {
        *errors.entry(fault).or_insert(0) += 1;
    }
    let us = |from: Instant, to: Instant| to.saturating_duration_since(from).as_micros() as u64;
    let all_began = whole.iter().filter_map(|one| one.pieces.first()).max();
    let one_ended = whole.iter().map(|one| &one.ended).min();
    let window = all_began.zip(one_ended).filter(|(from, to)| from < to);
    let counts = |at: &Instant| window.is_none_or(|(from, to)| from <= at && at <= to);
    let gaps = whole.iter().flat_map(|one| one.pieces.windows(2));
    let gaps = gaps.filter(|pair| counts(&pair[0]) && counts(&pair[1]));
    let start = seen.iter().map(|one| one.due).min();
    let end = seen.iter().map(|one| one.ended).max();
    let took = start.zip(end).map_or(0, |(start, end)| us(start, end));
    Figures {
        asked: seen.len(),
        whole: whole.len(),
        errors,
        seconds: took as f64 / 1e6,
        first_us: whole
            .iter()
            .filter_map(|one| Some(us(one.due, *one.pieces.first()?)))
            .collect(),
        total_us: whole.iter().map(|one| us(one.due, one.ended)).collect(),
        gap_us: gaps.map(|pair| us(pair[0], pair[1])).collect(),
        all_at_once: window.is_some(),
    }
}
