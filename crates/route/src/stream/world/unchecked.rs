//! Streams that go out as they come.

use super::*;

/// Nodes of which `failing` fail; where each does, and when, the seed says.
pub(super) fn failing(draws: &mut Draws, healthy: usize, failing: usize) -> Vec<Fault> {
    let mut faults: Vec<Fault> = (0..failing).map(|_| failure(draws)).collect();
    for _ in 0..healthy {
        faults.push(if draws.below(5) == 0 {
            Fault::Drips
        } else {
            Fault::None
        });
    }
    faults
}

fn failure(draws: &mut Draws) -> Fault {
    let at = draws.next() % 3_000_000;
    match draws.below(5) {
        0 | 1 => Fault::Dies { at, silent: false },
        2 => Fault::Dies { at, silent: true },
        3 => Fault::Stalls {
            after: draws.below(20),
        },
        _ => Fault::Skips,
    }
}

/// A world of a few failing nodes and at least one that does not.
fn world(seed: u64) -> World {
    let mut draws = Draws::new(seed);
    let (healthy, broken) = (1 + draws.below(3), draws.below(5));
    let faults = failing(&mut draws, healthy, broken);
    let mut world = World::new(seed, Mode::Unchecked, faults, draws.below(60));
    world.hedge_after = [None, Some(Duration::from_millis(150))][draws.below(2)];
    world
}

#[test]
fn whatever_dies_or_stalls_the_answer_is_the_whole_one() {
    let (mut replaced, mut hedged) = (0, 0);
    for seed in 0..4000 {
        let world = world(seed);
        let outcome = world.run();
        assert!(
            matches!(outcome.end, Some(Ok(_))),
            "seed {seed}: {world:?} {outcome:?}"
        );
        assert_eq!(outcome.released, world.whole_truth(), "seed {seed}");
        assert!(outcome.convicted.is_empty(), "seed {seed}");
        replaced += usize::from(outcome.asked.len() > 1);
        hedged += outcome
            .cancelled
            .iter()
            .filter(|(_, cause)| *cause == Cause::Outrun)
            .count();
    }
    assert!(replaced > 1000, "{replaced} of 4000 tried a replacement");
    assert!(hedged > 100, "{hedged} were outrun");
}

#[test]
fn one_death_makes_one_gap_of_the_stall_and_a_prompt() {
    let mut longest = 0;
    for seed in 0..2000 {
        let mut draws = Draws::new(seed);
        let silent = draws.below(2) == 0;
        let dies = Fault::Dies {
            at: draws.next() % 3_000_000,
            silent,
        };
        let world = World::new(
            seed,
            Mode::Unchecked,
            vec![Fault::None, dies, Fault::None],
            60,
        );
        let outcome = world.run();
        assert_eq!(outcome.released, world.whole_truth(), "seed {seed}");
        // Silence that is noticed, two calls on their way, a prompt, a burst, and four messages of 30 ms.
        let most = STALL.as_micros() as u64 + world.prefill + world.pace + 4 * 30_000;
        assert!(outcome.gap <= most, "seed {seed}: {} us", outcome.gap);
        longest = longest.max(outcome.gap);
    }
    assert!(
        longest > STALL.as_micros() as u64,
        "no silent death was met"
    );
}

#[test]
fn a_seed_repeats() {
    for seed in [3, 77, 900] {
        assert_eq!(
            format!("{:?}", world(seed).run()),
            format!("{:?}", world(seed).run())
        );
    }
}

#[test]
fn a_lie_is_noticed_by_those_who_go_on_after_it() {
    let mut noticed = 0;
    for seed in 0..500 {
        let mut draws = Draws::new(seed);
        let refuses = Fault::Refuses { at: draws.below(4) };
        let faults = vec![
            Fault::LiesAndStalls { at: 5 },
            Fault::None,
            Fault::None,
            refuses,
        ];
        let world = World::new(seed, Mode::Unchecked, faults, 40);
        let outcome = world.run();
        assert!(
            outcome.convicted.iter().all(|node| *node == 0),
            "seed {seed}: {outcome:?}"
        );
        let end = outcome.end.unwrap();
        if outcome.released.len() > 5 && outcome.released != world.whole_truth() {
            assert_eq!(end, Err(GiveUp::Wrong { at: 5 }), "seed {seed}");
            assert!(outcome.convicted.contains(&0), "seed {seed}");
            noticed += 1;
        }
    }
    assert!(noticed > 50, "{noticed}");
}
