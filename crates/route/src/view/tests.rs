use super::*;
use crate::heartbeat::tests::{domain, heartbeat, key, signed};
use crate::seed::Draws;

const WALL_NS: u64 = 1_000_000_000_000;

fn at(ms: u64) -> Clocks {
    Clocks {
        elapsed: Duration::from_millis(ms),
        wall_ns: WALL_NS + ms * 1_000_000,
    }
}

fn live(view: &View, ms: u64) -> Vec<NodeAddress> {
    let live = view.live(Duration::from_millis(ms));
    live.map(|live| live.heartbeat.node).collect()
}

fn address(number: u8) -> NodeAddress {
    key(number).address()
}

#[test]
fn the_newest_counts_and_a_restart_is_newer() {
    let mut view = View::new(domain(), 10);
    view.offer(signed(1, 4), at(0), |_| true).unwrap();
    for (boot, counter, newer) in [
        (5, 4, false),
        (5, 3, false),
        (4, 9, false),
        (5, 5, true),
        (6, 0, true),
        (5, 6, false),
    ] {
        let mut next = heartbeat(1, counter);
        next.stamp.boot = boot;
        let taken = view.offer(next.sign(&key(1), &domain()).unwrap(), at(1), |_| true);
        assert_eq!(taken.is_ok(), newer, "{boot} {counter}");
        assert!(newer || matches!(taken, Err(Error::Old { .. })));
    }
}

#[test]
fn a_node_lives_as_long_as_news_of_it_come() {
    let mut view = View::new(domain(), 10);
    view.offer(signed(1, 1), at(0), |_| true).unwrap();
    assert_eq!(live(&view, 1000), [address(1)]);
    assert!(live(&view, 1001).is_empty());
    // The same again is no news.
    assert!(view.offer(signed(1, 1), at(900), |_| true).is_err());
    assert!(live(&view, 1001).is_empty());
    view.offer(signed(1, 2), at(1100), |_| true).unwrap();
    assert_eq!(live(&view, 2100), [address(1)]);
}

#[test]
fn who_drains_is_there_and_not_asked() {
    let mut view = View::new(domain(), 10);
    let mut leaving = heartbeat(1, 1);
    leaving.draining = true;
    view.offer(leaving.sign(&key(1), &domain()).unwrap(), at(0), |_| true)
        .unwrap();
    assert!(live(&view, 1).is_empty());
    assert_eq!(view.recent(Duration::from_millis(1)).count(), 1);
}

#[test]
fn what_is_old_foreign_or_forged_is_refused() {
    let mut view = View::new(domain(), 10);
    let late = view.offer(signed(1, 1), at(30_001), |_| true);
    assert!(matches!(late, Err(Error::Clock { .. })));
    let early = Clocks {
        elapsed: Duration::ZERO,
        wall_ns: WALL_NS - 30_000_000_001,
    };
    assert!(matches!(
        view.offer(signed(1, 1), early, |_| true),
        Err(Error::Clock { .. })
    ));
    let stranger = view.offer(signed(1, 1), at(0), |node| node != address(1));
    assert_eq!(stranger, Err(Error::Stranger { node: address(1) }));
    let mut bytes = signed(1, 1).encode();
    bytes[40] ^= 1;
    let forged = SignedHeartbeat::decode(&bytes).unwrap();
    assert_eq!(
        view.offer(forged, at(0), |_| true),
        Err(Error::Signature { node: address(1) })
    );
    assert!(view.is_empty());
}

#[test]
fn a_view_is_bounded_and_forgets() {
    let mut view = View::new(domain(), 2);
    view.offer(signed(1, 1), at(0), |_| true).unwrap();
    view.offer(signed(2, 1), at(0), |_| true).unwrap();
    assert_eq!(
        view.offer(signed(3, 1), at(0), |_| true),
        Err(Error::Full { most: 2 })
    );
    view.offer(signed(2, 2), at(1), |_| true).unwrap();
    let mut later = heartbeat(3, 1);
    later.wall_ns += 90_001_000_000;
    let later = later.sign(&key(3), &domain()).unwrap();
    view.offer(later, at(90_001), |_| true).unwrap();
    assert_eq!(view.len(), 2);
    assert!(view.digest().contains_key(&address(2)));
}

#[test]
fn what_one_lacks_the_other_sends() {
    let (mut one, mut other) = (View::new(domain(), 300), View::new(domain(), 300));
    for number in 1..6 {
        one.offer(signed(number, 3), at(number.into()), |_| true)
            .unwrap();
    }
    other.offer(signed(1, 3), at(0), |_| true).unwrap();
    other.offer(signed(2, 2), at(0), |_| true).unwrap();
    other.offer(signed(3, 4), at(0), |_| true).unwrap();
    let sent = one.missing(&other.digest(), at(6).elapsed);
    let nodes: Vec<_> = sent.iter().map(|signed| signed.heartbeat().node).collect();
    assert_eq!(nodes, [address(5), address(4), address(2)]);
    assert!(one.missing(&other.digest(), at(1006).elapsed).is_empty());
    for signed in sent {
        other.offer(signed, at(6), |_| true).unwrap();
    }
    assert!(one.missing(&other.digest(), at(6).elapsed).is_empty());
}

#[test]
fn an_answer_is_bounded() {
    let mut view = View::new(domain(), 300);
    for number in 0..300u64 {
        let mut secret = [1; 32];
        secret[..8].copy_from_slice(&number.to_be_bytes());
        let key = assay_receipt::NodeKey::from_bytes(secret).unwrap();
        let mut heartbeat = heartbeat(1, 1);
        heartbeat.node = key.address();
        heartbeat.served.clear();
        view.offer(heartbeat.sign(&key, &domain()).unwrap(), at(0), |_| true)
            .unwrap();
    }
    assert_eq!(
        view.missing(&BTreeMap::new(), Duration::ZERO).len(),
        ANSWER_MOST
    );
}

/// Fifty that tell two others what they know, twenty times a second, over links that lose three of ten messages.
struct Gossip {
    views: Vec<View>,
    draws: Draws,
    /// Participants that are gone.
    gone: Vec<usize>,
}

const PARTICIPANTS: usize = 50;
const ROUND_MS: u64 = 50;

impl Gossip {
    fn new(seed: u64) -> Self {
        Self {
            views: vec![View::new(domain(), 100); PARTICIPANTS],
            draws: Draws::new(seed),
            gone: Vec::new(),
        }
    }

    fn arrives(&mut self) -> bool {
        self.draws.below(10) >= 3
    }

    fn offer(view: &mut View, news: Vec<SignedHeartbeat>, now: Clocks) {
        for signed in news {
            // What another was faster to bring is old.
            let _ = view.offer(signed, now, |_| true);
        }
    }

    /// The digest of one, the answer, and the answer to the other's digest, which comes with it.
    fn exchange(&mut self, one: usize, other: usize, now: Clocks) {
        if !self.arrives() {
            return;
        }
        let (theirs, digest) = (self.views[one].digest(), self.views[other].digest());
        let news = self.views[other].missing(&theirs, now.elapsed);
        if !self.arrives() {
            return;
        }
        Self::offer(&mut self.views[one], news, now);
        if self.arrives() {
            let news = self.views[one].missing(&digest, now.elapsed);
            Self::offer(&mut self.views[other], news, now);
        }
    }

    fn round(&mut self, round: u64) {
        let now = at(round * ROUND_MS);
        for one in (0..PARTICIPANTS)
            .filter(|one| !self.gone.contains(one))
            .collect::<Vec<_>>()
        {
            if round.is_multiple_of(5) {
                let mut own = heartbeat(one as u8 + 1, round);
                own.wall_ns = now.wall_ns;
                let own = own.sign(&key(one as u8 + 1), &domain()).unwrap();
                Self::offer(&mut self.views[one], vec![own], now);
            }
            for _ in 0..2 {
                let other = self.draws.below(PARTICIPANTS);
                if other != one && !self.gone.contains(&other) {
                    self.exchange(one, other, now);
                }
            }
        }
    }

    /// Pairs of one that is there, and one that it holds to be live though it is gone, or the other way round.
    fn mistaken(&self, round: u64) -> (usize, usize) {
        let there = (0..PARTICIPANTS).filter(|one| !self.gone.contains(one));
        let (mut ghosts, mut missed) = (0, 0);
        for one in there {
            let live = live(&self.views[one], round * ROUND_MS);
            let believed = |other: usize| live.contains(&address(other as u8 + 1));
            for other in 0..PARTICIPANTS {
                match (self.gone.contains(&other), believed(other)) {
                    (true, true) => ghosts += 1,
                    (false, false) => missed += 1,
                    _ => {}
                }
            }
        }
        (ghosts, missed)
    }
}

/// Rounds after which news have reached everybody; measured here, and asserted below.
const SPREAD_ROUNDS: u64 = 8;

#[test]
fn everybody_learns_of_a_death_and_nobody_is_the_one_who_tells() {
    for seed in 0..2 {
        let mut gossip = Gossip::new(seed);
        let ttl_rounds = TTL.as_millis() as u64 / ROUND_MS;
        for round in 0..20 {
            gossip.round(round);
        }
        let mut round = 20;
        // One after the other goes, whoever it is.
        for dead in [0, 49] {
            gossip.gone.push(dead);
            for _ in 0..=ttl_rounds + SPREAD_ROUNDS {
                gossip.round(round);
                let (_, missed) = gossip.mistaken(round);
                assert_eq!(missed, 0, "seed {seed}: taken for dead in round {round}");
                round += 1;
            }
            let (ghosts, _) = gossip.mistaken(round - 1);
            assert_eq!(ghosts, 0, "seed {seed}: {dead} is taken for live");
        }
    }
}
