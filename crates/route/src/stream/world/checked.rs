//! Streams of which every token is checked before it goes out.

use super::*;

fn lie(draws: &mut Draws, length: usize, may_end: bool) -> Fault {
    let at = draws.below(length + 1);
    match draws.below(if may_end { 6 } else { 5 }) {
        0 => Fault::WrongToken { at },
        1 => Fault::WrongScores { at },
        2 => Fault::Endless,
        3 => Fault::Refuses { at },
        4 => Fault::Lazy,
        _ => Fault::EndsEarly { at },
    }
}

/// A world with two honest nodes more than liars. At most one of the liars ends early: two that do may lie alike.
fn world(seed: u64) -> World {
    let mut draws = Draws::new(seed);
    let (length, liars, broken) = (draws.below(60), draws.below(4), draws.below(4));
    let spare = draws.below(2);
    let mut faults = super::unchecked::failing(&mut draws, liars + 2 + spare, broken);
    for liar in 0..liars {
        faults.push(lie(&mut draws, length, liar == 0));
    }
    let mut world = World::new(seed, Mode::Checked, faults, length);
    world.hedge_after = [None, Some(Duration::from_millis(150))][draws.below(2)];
    world
}

#[test]
fn whatever_fails_or_lies_the_answer_is_the_whole_truth() {
    let (mut convicted, mut undecided, mut meetings) = (0, 0, 0);
    for seed in 0..20_000 {
        let world = world(seed);
        let outcome = world.run();
        let truth = world.whole_truth();
        assert!(
            truth.starts_with(&outcome.released),
            "seed {seed}: a lie went out, {world:?}"
        );
        assert!(
            matches!(outcome.end, Some(Ok(_))),
            "seed {seed}: {world:?} {outcome:?}"
        );
        assert_eq!(outcome.released, truth, "seed {seed}");
        let honest = outcome
            .convicted
            .iter()
            .find(|node| !world.faults[**node].lies());
        assert_eq!(
            honest, None,
            "seed {seed}: convicted though honest, {world:?}"
        );
        convicted += outcome.convicted.len();
        undecided += outcome
            .cancelled
            .iter()
            .filter(|(_, cause)| *cause == Cause::Undecided)
            .count();
        meetings += usize::from(outcome.asked.iter().any(|node| world.faults[*node].lies()));
    }
    assert!(
        convicted > 5000 && undecided > 40 && meetings > 7000,
        "{convicted} {undecided} {meetings}"
    );
}

#[test]
fn with_too_few_honest_nodes_nothing_false_goes_out_either() {
    let mut unfinished = 0;
    for seed in 0..3000 {
        let mut draws = Draws::new(seed);
        let length = draws.below(60);
        let (healthy, broken) = (draws.below(3), draws.below(3));
        let mut faults = super::unchecked::failing(&mut draws, healthy, broken);
        for liar in 0..=draws.below(4) {
            faults.push(lie(&mut draws, length, liar == 0));
        }
        let world = World::new(seed, Mode::Checked, faults, length);
        let outcome = world.run();
        assert!(
            world.whole_truth().starts_with(&outcome.released),
            "seed {seed}"
        );
        assert!(
            outcome
                .convicted
                .iter()
                .all(|node| world.faults[*node].lies()),
            "seed {seed}"
        );
        match outcome.end.unwrap() {
            Ok(_) => assert_eq!(outcome.released, world.whole_truth(), "seed {seed}"),
            Err(_) => unfinished += 1,
        }
    }
    assert!(unfinished > 300, "{unfinished}");
}

#[test]
fn each_lie_is_convicted_where_it_is_met() {
    let lies = [
        Fault::WrongToken { at: 7 },
        Fault::WrongScores { at: 7 },
        Fault::EndsEarly { at: 7 },
        Fault::Endless,
        Fault::Lazy,
    ];
    for lie in lies {
        let mut met = 0;
        for seed in 0..200 {
            let faults = vec![lie, Fault::None, Fault::None, Fault::None];
            let world = World::new(seed, Mode::Checked, faults, 30);
            let outcome = world.run();
            assert_eq!(outcome.released, world.whole_truth(), "seed {seed}");
            // A node that only checks lazily makes the truth.
            let asked = outcome.asked.contains(&0) && lie != Fault::Lazy;
            met += usize::from(outcome.convicted.contains(&0));
            assert!(
                !asked || outcome.convicted.contains(&0),
                "seed {seed}: {lie:?} got away"
            );
        }
        assert!(met > 30, "{lie:?}: {met}");
    }
}

#[test]
fn one_failure_makes_one_gap() {
    for seed in 0..2000 {
        let mut draws = Draws::new(seed);
        let silent = draws.below(2) == 0;
        let dies = Fault::Dies {
            at: draws.next() % 4_000_000,
            silent,
        };
        let faults = vec![Fault::None, dies, Fault::None, Fault::None];
        let world = World::new(seed, Mode::Checked, faults, 60);
        let outcome = world.run();
        assert_eq!(outcome.released, world.whole_truth(), "seed {seed}");
        // As without checks; besides that a prompt of the checker, its messages, and a window that fills.
        let waits = (STALL + WINDOW_WAIT).as_micros() as u64;
        let most = waits + 2 * (world.prefill + world.pace) + 10 * 30_000;
        assert!(outcome.gap <= most, "seed {seed}: {} us", outcome.gap);
    }
}

#[test]
fn tokens_flow_while_windows_grow() {
    for seed in 0..200 {
        let world = World::new(seed, Mode::Checked, vec![Fault::None; 2], 200);
        let outcome = world.run();
        assert_eq!(outcome.released, world.whole_truth(), "seed {seed}");
        assert_eq!(outcome.asked.len(), 2);
        // Checker's prompt apart: no token waits longer than for its window and one check.
        let most = WINDOW_WAIT.as_micros() as u64 + world.prefill + world.pace + 6 * 30_000;
        assert!(outcome.gap <= 2 * most, "seed {seed}: {} us", outcome.gap);
    }
}

#[test]
fn what_waits_for_a_checker_is_bounded() {
    let mut paused = 0;
    for seed in 0..50 {
        let mut world = World::new(seed, Mode::Checked, vec![Fault::None; 3], 2000);
        // A thousand tokens a second or more, against a checker whose prompt takes up to a second.
        (world.pace, world.prefill) = (1_200, 1_000_000);
        let outcome = world.run();
        assert!(
            outcome.most_pending <= PENDING_MOST,
            "seed {seed}: {}",
            outcome.most_pending
        );
        paused += outcome.paused;
        assert_eq!(outcome.convicted.len(), 0, "seed {seed}");
    }
    assert!(paused > 25, "{paused}");
}

#[test]
fn one_operator_whose_nodes_lie_together_gets_nothing_through() {
    let mut convicted = 0;
    for seed in 0..2000 {
        let liar = Fault::Colludes { at: 5 };
        let faults = vec![liar, liar, liar, Fault::None, Fault::None, Fault::None];
        let mut world = World::new(seed, Mode::Checked, faults, 20);
        world.operators = vec![0, 0, 0];
        let outcome = world.run();
        assert_eq!(outcome.released, world.whole_truth(), "seed {seed}");
        let honest = outcome.convicted.iter().filter(|node| **node > 2).count();
        assert_eq!(honest, 0, "seed {seed}");
        convicted += outcome.convicted.len();
    }
    assert!(convicted > 1000, "{convicted}");
}

#[test]
fn who_refuses_what_two_have_made_is_convicted() {
    let mut convicted = 0;
    for seed in 0..2000 {
        let dies = Fault::Dies {
            at: 900_000,
            silent: false,
        };
        let faults = vec![
            dies,
            Fault::Refuses { at: 1 },
            Fault::None,
            Fault::None,
            Fault::None,
        ];
        let world = World::new(seed, Mode::Checked, faults, 40);
        let outcome = world.run();
        assert_eq!(outcome.released, world.whole_truth(), "seed {seed}");
        assert!(
            outcome.convicted.iter().all(|node| *node == 1),
            "seed {seed}"
        );
        convicted += outcome.convicted.len();
    }
    assert!(convicted > 20, "{convicted}");
}

/// The limit of what a second opinion shows, and the reason why the two are of different operators.
#[test]
fn two_that_lie_together_get_a_lie_through() {
    let (mut lies, mut framed) = (0, 0);
    for seed in 0..300 {
        let liar = Fault::Colludes { at: 5 };
        let faults = vec![liar, liar, Fault::None, Fault::None, Fault::None];
        let world = World::new(seed, Mode::Checked, faults, 20);
        let outcome = world.run();
        lies += usize::from(!world.whole_truth().starts_with(&outcome.released));
        framed += usize::from(
            outcome
                .convicted
                .iter()
                .any(|node| !world.faults[*node].lies()),
        );
    }
    assert!(lies > 20 && framed > 20, "{lies} {framed}");
}
