//! `assay model search`: which model fits a need, as a hub ranks what it knows.

use crate::{
    cli,
    complaint::{Complaint, Exit, plain},
    output::{self, Form},
};
use anyhow::{Context as _, Result};
use assay_hub::query::Query;
use assay_node::hub::finding::{Found, SEARCH_PATH};
use assay_search::Hit;
use serde_json::Value;
use std::time::Duration;

/// A hub has this long to answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer that is read, bytes.
const MAX_ANSWER: usize = 8 << 20;
/// Reasons shown of each hit: those that count most.
const REASONS: usize = 4;

/// Asks a hub and prints what it found.
///
/// # Errors
/// A complaint if no hub answers, or about what the hub refuses.
pub async fn run(arguments: &cli::SearchModels, form: Form) -> Result<Exit> {
    let found = ask(&arguments.hub, &query(arguments)).await?;
    form.print(&found, told)?;
    Ok(Exit::Done)
}

/// The parameters of the hub's search.
fn query(arguments: &cli::SearchModels) -> String {
    let mut pairs = vec![
        ("q", arguments.words.join(" ")),
        ("sort", arguments.sort.clone()),
        ("limit", arguments.limit.to_string()),
    ];
    let lists = [
        ("task", &arguments.task),
        ("library", &arguments.library),
        ("license", &arguments.license),
        ("language", &arguments.language),
        ("input", &arguments.input),
        ("output", &arguments.output),
    ];
    for (name, values) in lists {
        pairs.extend(values.iter().map(|value| (name, value.clone())));
    }
    let single = [
        ("max_size", &arguments.max_size),
        ("min_parameters", &arguments.min_parameters),
        ("max_parameters", &arguments.max_parameters),
        ("rung", &arguments.rung),
        ("provenance", &arguments.provenance),
    ];
    for (name, value) in single {
        pairs.extend(value.iter().map(|value| (name, value.clone())));
    }
    if arguments.dataset {
        pairs.push(("dataset", "true".into()));
    }
    let pair = |(name, value): &(&str, String)| Query::default().with(name, value);
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

async fn ask(hub: &str, query: &str) -> Result<Found> {
    let hub = hub.trim_end_matches('/');
    let unreachable = || {
        Complaint::failed(format!("no hub answers at {hub}")).hint(
            "start one with `assay up` or `assay hub --config FILE`, or give another with --hub",
        )
    };
    let http = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .build()?;
    let request = http.get(format!("{hub}{SEARCH_PATH}?{query}"));
    let mut answer = request.send().await.with_context(unreachable)?;
    let status = answer.status();
    let strange = |what: &str| {
        Complaint::failed(format!("{hub} gives no hub's answer: {what}"))
            .hint("is this the address of a hub?")
    };
    let mut text = Vec::new();
    while let Some(piece) = answer.chunk().await.with_context(unreachable)? {
        if text.len().saturating_add(piece.len()) > MAX_ANSWER {
            return Err(strange("it is too long").into());
        }
        text.extend_from_slice(&piece);
    }
    if status.is_success() {
        return serde_json::from_slice(&text).map_err(|error| strange(&error.to_string()).into());
    }
    let said: Value = serde_json::from_slice(&text).unwrap_or_default();
    let Some(why) = said.get("error").and_then(Value::as_str) else {
        return Err(strange(&format!("HTTP {status}")).into());
    };
    let complaint = Complaint::usage(format!("the hub does not search for that: {why}"));
    Err(complaint
        .hint("`assay model search --help` lists what can be asked")
        .into())
}

/// What was found, for people.
fn told(found: &Found) -> String {
    let results = &found.results;
    let mut lines = Vec::new();
    if !results.understood.is_empty() {
        lines.push(format!(
            "understood: {}",
            plain(&results.understood.join("; "))
        ));
    }
    for (word, meant) in &results.corrections {
        lines.push(format!(
            "{} was looked for as {}",
            plain(word),
            plain(meant)
        ));
    }
    for (place, hit) in results.hits.iter().enumerate() {
        lines.push(format!(
            "{:>3}  {}",
            place.saturating_add(1),
            plain(&hit.id)
        ));
        lines.push(output::rows(5, &about(hit)));
    }
    if results.hits.is_empty() {
        lines.push(format!(
            "nothing fits among {} that this hub knows",
            found.documents
        ));
    } else {
        lines.push(format!(
            "{} of {} that this hub knows",
            results.hits.len(),
            found.documents
        ));
    }
    lines.extend(
        found
            .unknown
            .iter()
            .map(|one| format!("not known: {}", plain(one))),
    );
    lines.join("\n")
}

/// What is told of a hit, row by row.
fn about(hit: &Hit) -> Vec<(&'static str, String)> {
    let mut rows = vec![(
        "why",
        reasons(
            hit.why
                .iter()
                .map(|why| (&*why.feature, why.value, why.weight)),
        ),
    )];
    let warnings = hit
        .warnings
        .iter()
        .map(|warning| ("careful", plain(&warning.in_words())));
    rows.extend(warnings);
    let measured = hit.measured.iter().map(|one| {
        let said = if one.committed { "" } else { ", its own word" };
        let text = format!(
            "{} {} on {} by {}{said}",
            one.metric, one.value, one.dataset, one.by
        );
        ("measured", plain(&text))
    });
    rows.extend(measured);
    rows.extend(hit.copies.iter().map(|copy| ("copied by", plain(copy))));
    if hit.exploration {
        rows.push((
            "new",
            "it has this place so that somebody can judge it".into(),
        ));
    }
    rows
}

/// The reasons that count most, each with its value.
fn reasons<'a>(why: impl Iterator<Item = (&'a str, f32, f32)>) -> String {
    let mut why: Vec<_> = why
        .filter(|(_, value, weight)| *weight > 0.0 && *value > 0.0)
        .collect();
    why.sort_by(|a, b| (b.1 * b.2).total_cmp(&(a.1 * a.2)));
    let shown = why
        .iter()
        .take(REASONS)
        .map(|(feature, value, _)| format!("{} {value:.2}", plain(feature)));
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_those_that_count_and_texts_stay_texts() {
        let why = [
            ("words", 0.5, 0.3),
            ("language", 0.4, 0.0),
            ("name", 0.0, 0.2),
            ("fit", 1.0, 0.4),
        ];
        assert_eq!(reasons(why.into_iter()), "fit 1.00, words 0.50");
        assert_eq!(plain("a\u{1b}[2Jb\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
