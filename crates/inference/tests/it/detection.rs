//! The quick version of `make detection`: no honest answer is taken for wrong, and no other scores for the model's.

#[path = "../../examples/detection/answers.rs"]
mod answers;
#[path = "../../examples/detection/exact.rs"]
mod exact;
#[path = "../../examples/detection/figures.rs"]
mod figures;
#[path = "../../examples/detection/floats.rs"]
mod floats;

use answers::Subject;
use exact::Scale;

#[test]
fn re_checks_find_every_cheat_and_no_honest_answer() {
    let scale = Scale {
        honest: 100,
        cheats: 20,
        kernels: 5,
    };
    let subject = Subject::open();
    let turns = subject.turns();
    let (honest, apart) = exact::honest(&subject, &turns, &scale);
    assert_eq!((honest.answers, honest.found.len()), (100, 100));
    assert_eq!((honest.by_steps(), honest.by_tokens(), apart), (0, 0, 0));
    let rows = exact::cheats(&subject, &turns, &scale);
    assert_eq!(rows.len(), 13);
    for row in rows {
        // Whatever has other tokens is found by them; other scores are found even where the tokens are the same.
        assert_eq!(row.by_tokens(), row.other, "{}", row.sort);
        let expected = if row.by_digest {
            row.answers
        } else {
            row.other
        };
        assert_eq!(row.by_steps(), expected, "{}", row.sort);
        assert!(
            row.other > 0 || row.by_digest,
            "{}: nothing was tried",
            row.sort
        );
    }
}

#[test]
fn calculated_shares_are_those_of_drawn_committees() {
    for (rate, honest, detection) in [(1.0, 0.5, 1.0), (0.2, 0.7, 0.6), (0.5, 0.1, 1.0)] {
        let (found, penalised) = figures::drawn(rate, honest, detection, 100_000);
        assert!((found - figures::found(rate, honest, detection)).abs() < 0.01);
        assert!((penalised - figures::lazy_penalised(honest)).abs() < 0.01);
    }
    let (least, most) = figures::wilson(0, 10_000);
    assert!(
        least < 1e-9 && (most - 0.000_384).abs() < 1e-6,
        "{least} {most}"
    );
}
