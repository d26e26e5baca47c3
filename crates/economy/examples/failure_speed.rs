//! Speed over a large network: `cargo run -p assay-economy --example failure_speed -- [--nodes N] [--rounds N]`.
//!
//! Nodes lie in domains of skewed sizes, the n-th as large as 1/n of the first: 300 operators, 400 ASNs, 600 data
//! centres, 60 countries, 5 vendors, 12 levels of firmware, 8 builds of the software; with each place independent of
//! the others, with data centres within ASNs and countries and firmware within vendors, and with some places unknown.
//! Each case is timed in both readings, with counting its smallest sets; a network is read once for all services. The
//! last line is one JSON object with all figures.

use std::time::{Duration, Instant};

use assay_economy::failure::{
    Budget, Dimension, Evidence, Exposure, Finding, Member, Network, Reading, Rule, Service,
};
use serde_json::{Value, json};

/// Domains of each dimension, in the order of [`Dimension::ALL`].
const DOMAINS: [usize; 7] = [300, 400, 600, 60, 5, 12, 8];

/// Numbers that look random and repeat (SplitMix64, Steele and others 2014).
struct Numbers(u64);

impl Numbers {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Which of the domains, the n-th with a share of 1/n of the first's.
fn zipf(numbers: &mut Numbers, domains: usize) -> usize {
    let sum: f64 = (1..=domains).map(|n| 1.0 / n as f64).sum();
    let mut left = numbers.next() * sum;
    for n in 1..=domains {
        left -= 1.0 / n as f64;
        if left <= 0.0 {
            return n - 1;
        }
    }
    domains - 1
}

/// Whether domains lie within each other.
#[derive(Clone, Copy, PartialEq)]
enum Places {
    Independent,
    Nested,
}

struct World {
    name: &'static str,
    places: Places,
    /// Of a hundred places, how many are unknown.
    unknown: f64,
    dimensions: &'static [Dimension],
}

fn network(world: &World, nodes: usize) -> Network {
    let mut numbers = Numbers(7);
    let members = (0..nodes).map(|number| {
        let mut places = DOMAINS.map(|domains| zipf(&mut numbers, domains));
        if world.places == Places::Nested {
            // A data centre stands in one country and buys from one provider; firmware is of one vendor.
            places[1] = places[2] * 7 % DOMAINS[1];
            places[3] = places[2] * 11 % DOMAINS[3];
            places[4] = places[5] % DOMAINS[4];
        }
        let mut member = Member::new(format!("node{number:05}"));
        for (dimension, place) in Dimension::ALL.into_iter().zip(places) {
            let is_unknown = numbers.next() * 100.0 < world.unknown;
            if !world.dimensions.contains(&dimension) {
                member = member.inapplicable(dimension);
            } else if !is_unknown {
                let name = format!("{dimension}-{place:03}");
                member = member.known(dimension, name, Evidence::Declared);
            }
        }
        member
    });
    Network::new(members.collect()).expect("a network")
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The finding, and the fastest and the median of so many rounds.
fn timed(exposure: &Exposure, reading: Reading, rounds: usize) -> (Finding, f64, f64) {
    let mut times = Vec::new();
    let mut found = None;
    for _ in 0..rounds {
        let start = Instant::now();
        found = Some(exposure.finding(reading, Budget::default()));
        times.push(milliseconds(start.elapsed()));
    }
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    (found.expect("a round"), times[0], median)
}

fn measure(world: &World, nodes: usize, rounds: usize) -> Vec<Value> {
    let start = Instant::now();
    let network = network(world, nodes);
    let built = milliseconds(start.elapsed());
    let copy = network.members().to_vec();
    let start = Instant::now();
    let network = Network::new(copy).expect("a network");
    let read = milliseconds(start.elapsed());
    println!(
        "{}: made in {built:.0} ms, of that read in {read:.1} ms",
        world.name
    );
    let mut rows = Vec::new();
    let rules = [
        ("all must go", Rule::AtLeast(1)),
        ("a third must go", Rule::Quorum),
        ("half must go", Rule::AtLeast(nodes as u64 / 2 + 1)),
        ("nine tenths must go", Rule::AtLeast(nodes as u64 / 10 + 1)),
    ];
    for (rule_name, rule) in rules {
        let members = 0..u32::try_from(nodes).expect("fewer nodes");
        let service = Service::of(rule_name, rule, members);
        let exposure = Exposure::new(&network, &service).expect("a service");
        for reading in [Reading::Pessimistic, Reading::Optimistic] {
            let (found, fastest, median) = timed(&exposure, reading, rounds);
            let (low, high) = (found.size.at_least, found.size.at_most);
            let sets = found
                .sets
                .map_or(json!(null), |sets| json!([sets.counted, sets.complete]));
            println!(
                "  {rule_name:20} {reading:?}: {low} to {high}, sets {sets}; \
                 median {median:.1} ms, fastest {fastest:.1} ms"
            );
            rows.push(json!({
                "world": world.name, "rule": rule_name, "reading": reading, "nodes": nodes, "readMs": read,
                "atLeast": low, "atMost": high, "sets": sets, "medianMs": median, "fastestMs": fastest,
            }));
        }
    }
    rows
}

fn main() {
    let (mut nodes, mut rounds) = (20_000usize, 5usize);
    let mut all = std::env::args().skip(1);
    while let Some(argument) = all.next() {
        let mut number = || all.next().and_then(|n| n.parse().ok()).expect("a number");
        match argument.as_str() {
            "--nodes" => nodes = number(),
            "--rounds" => rounds = number(),
            other => panic!("unknown argument `{other}`"),
        }
    }
    let world = |name, places, unknown, dimensions| World {
        name,
        places,
        unknown,
        dimensions,
    };
    let few = &Dimension::ALL[..4];
    let worlds = [
        world("independent", Places::Independent, 0.0, &Dimension::ALL),
        world("nested", Places::Nested, 0.0, &Dimension::ALL),
        world(
            "independent, 5 % unknown",
            Places::Independent,
            5.0,
            &Dimension::ALL,
        ),
        world("nested, 5 % unknown", Places::Nested, 5.0, &Dimension::ALL),
        world(
            "independent, no TEE, builds apart",
            Places::Independent,
            0.0,
            few,
        ),
    ];
    let rows: Vec<Value> = worlds
        .iter()
        .flat_map(|world| measure(world, nodes, rounds))
        .collect();
    println!("{}", json!({ "failureSets": rows }));
}
