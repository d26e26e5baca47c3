use super::*;
use crate::Heartbeat;
use crate::heartbeat::tests::{heartbeat, key, served};
use crate::outstanding::Outstanding;

fn wanted() -> Wanted<'static> {
    Wanted {
        revision: RevisionId::from_bytes([1; 32]),
        engine: None,
        input_tokens: 200,
        output_tokens: 15,
        prefix: None,
        rung: Rung::Signed,
        price_most: None,
        excluded: &[],
        excluded_operators: &[],
        used_domains: &[],
    }
}

fn nodes(count: u8) -> Vec<Heartbeat> {
    (1..=count).map(|number| heartbeat(number, 1)).collect()
}

fn candidates(nodes: &[Heartbeat]) -> Vec<Candidate<'_>> {
    let candidate = |(number, heartbeat)| Candidate {
        live: Live {
            heartbeat,
            since: Duration::ZERO,
        },
        operator: Account::from_bytes([number; 20]),
        domains: &[],
        unseen: 0,
        latency: Duration::from_millis(2),
        standing: Standing::default(),
        breaker: State::Closed,
    };
    (1..).zip(nodes).map(candidate).collect()
}

fn load(heartbeat: &mut Heartbeat, running: u32, queued: u32) {
    (heartbeat.served[0].running, heartbeat.served[0].queued) = (running, queued);
}

/// How often each is chosen under a thousand seeds.
fn shares(wanted: &Wanted<'_>, candidates: &[Candidate<'_>]) -> Vec<usize> {
    let mut shares = vec![0; candidates.len()];
    for seed in 0..1000 {
        let choice = choose(wanted, candidates, seed).unwrap();
        let is = |candidate: &Candidate<'_>| candidate.live.heartbeat.node == choice.node;
        shares[candidates.iter().position(is).unwrap()] += 1;
    }
    shares
}

#[test]
fn equal_nodes_share_evenly_and_a_seed_repeats() {
    let nodes = nodes(8);
    let shares = shares(&wanted(), &candidates(&nodes));
    assert!(
        shares.iter().all(|share| (80..=170).contains(share)),
        "{shares:?}"
    );
    let again = || choose(&wanted(), &candidates(&nodes), 5).unwrap();
    assert_eq!(again(), again());
}

#[test]
fn nodes_that_are_about_as_good_share_as_well() {
    let nodes = nodes(8);
    let mut known = candidates(&nodes);
    for (candidate, ms) in known.iter_mut().zip(1..) {
        candidate.latency = Duration::from_millis(ms);
    }
    let shares = shares(&wanted(), &known);
    // The better of two drawn: a quarter for the nearest, and none for the farthest.
    assert!(
        (180..320).contains(&shares[0]) && shares[4] > 50,
        "{shares:?}"
    );
    assert_eq!(shares[7], 0);
}

#[test]
fn who_may_not_be_asked_is_not() {
    let mut nodes = nodes(10);
    nodes[0].draining = true;
    nodes[1].served.remove(0);
    nodes[2].served[0].slots = 0;
    nodes[3].served[0].rungs = 0b010;
    nodes[4].served[0].price.output = Microcredits(1_000_000);
    let excluded = [key(6).address()];
    let operators = [Account::from_bytes([7; 20])];
    let wanted = Wanted {
        excluded: &excluded,
        excluded_operators: &operators,
        rung: Rung::Replayed,
        price_most: Some(Microcredits(100)),
        ..wanted()
    };
    let mut candidates = candidates(&nodes);
    candidates[7].standing.caught = true;
    candidates[8].breaker = State::Open {
        until: Duration::MAX,
    };
    let mut expected = vec![0; 9];
    expected.push(1000);
    assert_eq!(shares(&wanted, &candidates), expected);
    let nobody = Nobody {
        not_serving: 2,
        leaving: 1,
        excluded: 2,
        broken: 1,
        caught: 1,
        too_low: 1,
        too_dear: 1,
    };
    assert_eq!(choose(&wanted, &candidates[..9], 1), Err(nobody));
    assert_eq!(choose(&wanted, &[], 1), Err(Nobody::default()));
}

#[test]
fn an_engine_that_is_wanted_is_kept_to() {
    let mut nodes = nodes(3);
    nodes[1].served[0].engine = EngineId::from_bytes([8; 32]);
    let wanted = Wanted {
        engine: Some(EngineId::from_bytes([8; 32])),
        ..wanted()
    };
    assert_eq!(shares(&wanted, &candidates(&nodes)), [0, 1000, 0]);
}

#[test]
fn the_idle_node_is_asked_while_others_are_loaded() {
    let mut nodes = nodes(8);
    nodes.iter_mut().for_each(|node| load(node, 8, 4));
    load(&mut nodes[5], 0, 0);
    assert_eq!(shares(&wanted(), &candidates(&nodes))[5], 1000);
    // What this gateway sent there since the heartbeat counts as well.
    let mut known = candidates(&nodes);
    known[5].unseen = 40;
    assert_eq!(shares(&wanted(), &known)[5], 0);
}

#[test]
fn what_speaks_against_a_node_makes_others_chosen() {
    let nodes = nodes(4);
    let against: [fn(&mut Candidate<'_>); 3] = [
        |candidate| candidate.standing.failures = 2.0,
        |candidate| candidate.domains = &[42],
        |candidate| candidate.latency = Duration::from_millis(400),
    ];
    let wanted = Wanted {
        used_domains: &[41, 42],
        ..wanted()
    };
    for against in against {
        let mut known = candidates(&nodes);
        against(&mut known[2]);
        assert_eq!(shares(&wanted, &known)[2], 0);
    }
    let mut dear = super::tests::nodes(4);
    dear[2].served[0].price.output = Microcredits(60_000);
    assert_eq!(shares(&wanted, &candidates(&dear))[2], 0);
    // A dear node that is idle is still better than cheap ones with long queues.
    dear.iter_mut().for_each(|node| load(node, 8, 400));
    load(&mut dear[2], 0, 0);
    assert_eq!(shares(&wanted, &candidates(&dear))[2], 1000);
}

#[test]
fn a_prefix_sticks_to_a_node_and_yields_when_that_is_loaded() {
    let mut nodes = nodes(8);
    let of = |nodes: &[Heartbeat], key: u8| {
        let prefix = Prefix {
            key: [key; 32],
            tokens: 150,
        };
        let wanted = Wanted {
            prefix: Some(prefix),
            ..wanted()
        };
        shares(&wanted, &candidates(nodes))
    };
    let sticks = |nodes: &[Heartbeat], key| of(nodes, key).iter().position(|share| *share == 1000);
    let home = sticks(&nodes, 1).unwrap();
    // Another gateway's order of candidates makes no difference, and other prefixes have other homes.
    let homes: std::collections::BTreeSet<_> =
        (0..50).map(|key| sticks(&nodes, key).unwrap()).collect();
    assert!(homes.len() >= 7, "{homes:?}");
    load(&mut nodes[home], 5, 0);
    assert_eq!(sticks(&nodes, 1), Some(home));
    load(&mut nodes[home], 8, 0);
    assert_eq!(of(&nodes, 1)[home], 0);
    load(&mut nodes[home], 0, 0);
    nodes[home].served[0].free_cache = 100;
    assert!(of(&nodes, 1)[home] < 300);
    // Where a node goes, only what was at home there moves.
    let gone = nodes.remove(home).node;
    assert!(nodes.iter().all(|node| node.node != gone));
    for key in 2..20 {
        let mut all = nodes.clone();
        all.insert(home, heartbeat(u8::try_from(home).unwrap() + 1, 1));
        let before = all[sticks(&all, key).unwrap()].node;
        let after = nodes[sticks(&nodes, key).unwrap()].node;
        assert!(before == after || before == gone);
    }
}

#[test]
fn extreme_numbers_do_no_harm() {
    let mut nodes = nodes(3);
    let most = Served {
        slots: u32::MAX,
        running: u32::MAX,
        queued: u32::MAX,
        prefill_rate: 0,
        decode_rate: 0,
        price: crate::heartbeat::Price {
            input: Microcredits(u64::MAX),
            output: Microcredits(u64::MAX),
        },
        ..served(1)
    };
    nodes.iter_mut().for_each(|node| node.served[0] = most);
    let wanted = Wanted {
        input_tokens: u32::MAX,
        output_tokens: u32::MAX,
        ..wanted()
    };
    let choice = choose(&wanted, &candidates(&nodes), 1).unwrap();
    assert!(choice.first_token <= Duration::from_secs(3600));
}

/// Four gateways whose heartbeats are up to a quarter of a second old, and eight nodes.
struct Fleet {
    nodes: Vec<Heartbeat>,
    /// Ends of the requests at each node in ms, with gateway and number; those beyond the slots wait.
    ends: Vec<Vec<(u64, usize, u64)>>,
    shown: Vec<Heartbeat>,
    gateways: Vec<Outstanding>,
    /// How much slower each node is.
    slowness: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum By {
    Choice,
    Turn,
}

impl Fleet {
    fn new(slowness: Vec<u64>) -> Self {
        let mut nodes = nodes(8);
        for (node, slowness) in nodes.iter_mut().zip(&slowness) {
            node.served[0].decode_rate = 50 / *slowness as u32;
            node.served[0].prefill_rate = 2000 / *slowness as u32;
        }
        Self {
            shown: nodes.clone(),
            nodes,
            ends: vec![Vec::new(); 8],
            gateways: vec![Outstanding::default(); 4],
            slowness,
        }
    }

    /// Runs ten seconds at 110 requests a second, and gives the largest load over the mean one, on average, and the mean
    /// wait for a slot in ms.
    fn run(mut self, by: By, seed: u64) -> (f64, f64) {
        let mut draws = Draws::new(seed);
        let mut request = 0;
        let (mut unevenness, mut samples, mut wait) = (0.0, 0.0, 0.0);
        for now in 0..10_000u64 {
            if now % 250 == 0 {
                self.show();
            }
            if draws.below(1000) < 110 {
                request += 1;
                wait += self.place(by, request, now, &mut draws);
            }
            self.end(now);
            if now > 2000 && now % 10 == 0 {
                let loads: Vec<f64> = self.ends.iter().map(|ends| ends.len() as f64).collect();
                let mean = loads.iter().sum::<f64>() / 8.0;
                unevenness += loads.iter().copied().fold(0.0, f64::max) / mean.max(1.0);
                samples += 1.0;
            }
        }
        (unevenness / samples, wait / request as f64)
    }

    fn end(&mut self, now: u64) {
        for (node, ends) in self.nodes.iter().zip(&mut self.ends) {
            for (_, gateway, request) in ends.extract_if(.., |(end, ..)| *end <= now) {
                self.gateways[gateway].ended(&node.node, request);
            }
        }
    }

    fn show(&mut self) {
        for (node, ends) in self.nodes.iter_mut().zip(&self.ends) {
            let all = u32::try_from(ends.len()).unwrap();
            load(node, all.min(8), all.saturating_sub(8));
        }
        self.shown = self.nodes.clone();
    }

    fn place(&mut self, by: By, request: u64, now: u64, draws: &mut Draws) -> f64 {
        let gateway = request as usize % 4;
        let seen = Duration::from_millis(now - now % 250);
        let node = match by {
            // Each gateway for itself.
            By::Turn => (request as usize / 4 + gateway * 2) % 8,
            By::Choice => {
                let mut candidates = candidates(&self.shown);
                let own = &self.gateways[gateway];
                let shown = self.shown.iter().map(|node| &node.served[0]);
                let shown = shown.map(|served| u64::from(served.running + served.queued));
                let crowd = own.crowd(shown.sum());
                for candidate in &mut candidates {
                    let node = candidate.live.heartbeat.node;
                    candidate.unseen = own.unseen(&node, seen) * crowd;
                }
                let choice = choose(&wanted(), &candidates, draws.next()).unwrap();
                self.shown
                    .iter()
                    .position(|node| node.node == choice.node)
                    .unwrap()
            }
        };
        let sent = Duration::from_millis(now);
        self.gateways[gateway].sent(self.shown[node].node, request, sent);
        let ends = &mut self.ends[node];
        ends.sort_unstable();
        // Its turn comes when all but seven of those before it have ended.
        let start = ends.len().checked_sub(8).map_or(now, |at| ends[at].0);
        let service = (200 + draws.next() % 200) * self.slowness[node];
        ends.push((start + service, gateway, request));
        (start - now) as f64
    }
}

#[test]
fn gateways_with_the_same_old_view_do_not_run_to_one_node() {
    let (mut chosen, mut in_turn) = (0.0, 0.0);
    for seed in 0..10 {
        let by = |by| Fleet::new(vec![1; 8]).run(by, seed);
        chosen += by(By::Choice).0 / 10.0;
        in_turn += by(By::Turn).0 / 10.0;
    }
    println!("largest over mean load {chosen:.2}, in turn {in_turn:.2}");
    // In turn is as even as it gets for equal nodes and similar requests.
    assert!(
        chosen < in_turn * 1.5,
        "largest over mean load {chosen:.2}, in turn {in_turn:.2}"
    );
}

#[test]
fn a_slow_node_gets_less_and_nobody_waits_for_it() {
    for seed in 0..5 {
        let slowness = || vec![1, 1, 1, 6, 1, 1, 1, 1];
        let (_, chosen) = Fleet::new(slowness()).run(By::Choice, seed);
        let (_, in_turn) = Fleet::new(slowness()).run(By::Turn, seed);
        assert!(
            chosen * 10.0 < in_turn,
            "mean wait {chosen:.1} ms, in turn {in_turn:.1} ms"
        );
    }
}
