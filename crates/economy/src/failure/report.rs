//! The answers as text, for a command line.

use std::fmt::Write as _;

use super::addition::{Addition, failures};
use super::concentration::{Concentration, Failure, Finding};
use super::network::Rule;
use super::spread::Spread;

/// Domains of a set that are listed at most.
const LISTED_MAX: usize = 12;

/// One line for each service: how many failures stop it, of which kind, and how well that is known.
#[must_use]
pub fn summary(services: &[Concentration]) -> String {
    let rows: Vec<[String; 2]> = services
        .iter()
        .map(|service| [service.service.clone(), verdict(service)])
        .collect();
    rows_of(0, &rows)
}

/// All that is known of one service, in lines.
#[must_use]
pub fn detail(service: &Concentration, addition: Option<&Addition>) -> String {
    let mut text = format!("{}\n", service.service);
    let mut rows = vec![
        ["needs".to_owned(), needs(service)],
        ["stops after".to_owned(), verdict(service)],
    ];
    if service.limit > 0 {
        let same = service.pessimistic == service.optimistic;
        let title = if same {
            "smallest set"
        } else {
            "if unknowns are shared"
        };
        rows.push([title.to_owned(), set(service, &service.pessimistic)]);
        rows.extend(members_of(&service.pessimistic));
        if !same {
            let title = "if they are not".to_owned();
            rows.push([title, set(service, &service.optimistic)]);
            rows.extend(members_of(&service.optimistic));
        }
    }
    rows.extend(service.spreads.iter().map(spread));
    rows.extend(addition.map(|addition| ["one more node".to_owned(), addition.why.clone()]));
    text.push_str(&rows_of(2, &rows));
    text
}

/// How many failures stop a service, in a few words.
fn verdict(service: &Concentration) -> String {
    if service.limit == 0 {
        return "it stands still now".to_owned();
    }
    let (low, high) = (&service.pessimistic, &service.optimistic);
    let mut text = failures(low.size);
    if low.size != high.size {
        let _ = write!(
            text,
            ", {} if what is unknown is shared by none",
            failures(high.size)
        );
    }
    if !low.size.is_exact() || !high.size.is_exact() {
        text.push_str(" (the search ran out of steps)");
    }
    let dimensions = low.dimensions().into_iter();
    let dimensions = dimensions.map(|(dimension, count)| format!("{dimension} {count}"));
    let dimensions: Vec<String> = dimensions.collect();
    if !dimensions.is_empty() {
        let _ = write!(text, ": {}", dimensions.join(", "));
    }
    text
}

fn needs(service: &Concentration) -> String {
    let left = service
        .weight
        .saturating_sub(service.limit)
        .saturating_add(1);
    let needed = match service.rule {
        Rule::Quorum => left,
        Rule::AtLeast(weight) => weight,
    };
    let Concentration {
        weight, members, ..
    } = service;
    format!("{needed} of {weight}, from {members} members")
}

/// What a set takes, how many there are of its size, and what supports it.
fn set(service: &Concentration, finding: &Finding) -> String {
    let mut text = format!("takes {} of {}", finding.lost, service.weight);
    match finding.sets {
        Some(sets) if sets.complete && sets.counted == 1 => {
            text.push_str(", the only one of its size")
        }
        Some(sets) if sets.complete => {
            let _ = write!(text, ", one of {} of its size", sets.counted);
        }
        Some(sets) if sets.counted > 1 => {
            let _ = write!(text, ", one of at least {} of its size", sets.counted);
        }
        Some(_) => text.push_str(", of its size there may be others"),
        None => text.push_str(", there may be smaller ones"),
    }
    let weakest = finding.evidence.map_or("unknown", |level| level.words());
    let _ = write!(text, "; weakest evidence: {weakest}");
    text
}

fn members_of(finding: &Finding) -> Vec<[String; 2]> {
    let line = |failure: &Failure| {
        let level = failure.evidence.map_or("unknown", |level| level.words());
        let plural = if failure.members == 1 { "" } else { "s" };
        let text = format!(
            "{} member{plural}, weight {}, {level}",
            failure.members, failure.weight
        );
        [format!("  {}", failure.domain), text]
    };
    let mut rows: Vec<[String; 2]> = finding.set.iter().take(LISTED_MAX).map(line).collect();
    if finding.set.len() > LISTED_MAX {
        let more = finding.set.len().saturating_sub(LISTED_MAX);
        rows.push([format!("  and {more} more"), String::new()]);
    }
    rows
}

fn spread(spread: &Spread) -> [String; 2] {
    let title = spread.dimension.words().to_owned();
    let Some(effective) = spread.effective else {
        return [title, "applies to no member".to_owned()];
    };
    let mut text = match &spread.largest {
        None => "unknown for all".to_owned(),
        Some(largest) => {
            let (low, high) = (effective.pessimistic, effective.optimistic);
            let (low, high) = (format!("{low:.1}"), format!("{high:.1}"));
            let number = if low == high {
                low
            } else {
                format!("{low} to {high}")
            };
            let percent = largest.share * 100.0;
            let (name, domains) = (&largest.name, spread.domains);
            format!("{domains} domains, effectively {number}; largest {name} {percent:.1} %")
        }
    };
    if spread.unknown > 0 && spread.largest.is_some() {
        let _ = write!(text, "; weight {} unknown", spread.unknown);
    }
    [title, text]
}

/// Rows of a name and a text, the texts under each other.
fn rows_of(indent: usize, rows: &[[String; 2]]) -> String {
    let width = rows.iter().map(|[name, _]| name.chars().count()).max();
    let width = width.unwrap_or(0);
    let lines = rows.iter().map(|[name, text]| {
        let line = format!("{:indent$}{name:width$}  {text}", "");
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}
