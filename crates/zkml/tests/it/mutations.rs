//! Some of every class of mutations; `cargo run --example abuse` makes all of them.

use crate::mutate::cases;

#[test]
fn nothing_but_the_proof_is_accepted() {
    let mut tried = 0;
    for case in cases() {
        for class in case.classes() {
            let tally = class.run(48);
            assert!(tally.sound(), "{}, {}: {tally:?}", case.name, class.name);
            tried += tally.tried;
        }
    }
    assert!(tried > 4000, "{tried}");
}
