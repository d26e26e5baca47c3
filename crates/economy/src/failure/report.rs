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
        let same = service.pessimistic.set == service.optimistic.set;
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

#[cfg(test)]
mod tests {
    use super::super::{Budget, Dimension, Evidence, Exposure, Member, Network, Service};
    use super::*;

    fn network() -> Network {
        let members = [
            ("n0", "anna", "de"),
            ("n1", "ben", "de"),
            ("n2", "cleo", "fr"),
            ("n3", "dan", "?"),
        ];
        let members = members.map(|(name, operator, country)| {
            let mut member =
                Member::new(name).known(Dimension::Operator, operator, Evidence::Attested);
            for dimension in Dimension::ALL
                .into_iter()
                .filter(|d| *d > Dimension::Operator)
            {
                member = member.inapplicable(dimension);
            }
            if country == "?" {
                member.places.remove(&Dimension::Country);
            } else {
                member = member.known(Dimension::Country, country, Evidence::Measured);
            }
            member
        });
        Network::new(members.to_vec()).unwrap()
    }

    #[test]
    fn one_line_for_each_service() {
        let network = network();
        let services = [
            Service::of("consensus", Rule::Quorum, 0..4),
            Service::of("model one", Rule::AtLeast(1), [0, 1]),
            Service::of("relay", Rule::AtLeast(2), [2]),
            Service::of("hub", Rule::AtLeast(1), [2, 3]),
        ];
        let answers = services.map(|service| {
            Exposure::new(&network, &service)
                .unwrap()
                .concentration(Budget::default())
        });
        let expected = [
            "consensus  1 failure: country 1",
            "model one  1 failure: country 1",
            "relay      it stands still now",
            "hub        2 failures: operator 2",
        ];
        assert_eq!(summary(&answers), expected.join("\n"));
    }

    #[test]
    fn all_of_one_service() {
        let network = network();
        let service = Service::of("model two", Rule::AtLeast(1), 0..4);
        let exposure = Exposure::new(&network, &service).unwrap();
        let answer = exposure.concentration(Budget::default());
        let addition = exposure.fresh_addition(&answer, Budget::default());
        let expected = [
            "model two",
            "  needs            1 of 4, from 4 members",
            "  stops after      3 failures: operator 2, country 1",
            "  smallest set     takes 4 of 4, one of 4 of its size; weakest evidence: measured",
            "    operator cleo  1 member, weight 1, attested",
            "    operator dan   1 member, weight 1, attested",
            "    country de     2 members, weight 2, measured",
            "  operator         4 domains, effectively 4.0; largest anna 25.0 %",
            "  ASN              applies to no member",
            "  data centre      applies to no member",
            "  country          2 domains, effectively 2.7; largest de 50.0 %; weight 1 unknown",
            "  TEE vendor       applies to no member",
            "  firmware level   applies to no member",
            "  software build   applies to no member",
        ];
        assert_eq!(detail(&answer, None), expected.join("\n"));
        let text = detail(&answer, Some(&addition));
        let expected = format!("\n  one more node    {}", addition.why);
        assert!(text.ends_with(&expected), "{text}");
    }

    #[test]
    fn what_the_search_left_open_is_said() {
        let network = network();
        let service = Service::of("model", Rule::AtLeast(1), 0..4);
        let mut answer = Exposure::new(&network, &service)
            .unwrap()
            .concentration(Budget::default());
        answer.pessimistic.size.at_least = 1;
        answer.pessimistic.sets = None;
        let text = detail(&answer, None);
        assert!(
            text.contains(
                "1 to 3 failures, 3 failures if what is unknown is shared by none (the search"
            ),
            "{text}"
        );
        assert!(text.contains("there may be smaller ones"), "{text}");
    }
}
