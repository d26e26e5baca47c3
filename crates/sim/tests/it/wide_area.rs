//! Distance costs time, and no more than it must.

use assay_sim::{WideArea, wide_area::measure};
use std::time::Duration;

#[test]
fn ten_validators_on_five_continents_finalize_within_two_seconds() {
    let options = WideArea {
        validators: 10,
        duration: Duration::from_secs(8),
        ..WideArea::default()
    };
    let measured = measure(1, &options).unwrap();
    assert!(measured.blocks >= 5, "{measured:?}");
    // Two rounds of votes between continents: never under the way to the nearest quorum.
    assert!(
        (100..2_000).contains(&measured.finality.p50_ms),
        "{measured:?}"
    );
    assert!(
        measured.receipts.p50_ms > measured.finality.p50_ms / 2,
        "{measured:?}"
    );
    assert_eq!(measured, measure(1, &options).unwrap());
}

#[test]
fn more_validators_than_keys_can_be_dealt_for_is_an_error() {
    let options = WideArea {
        validators: 101,
        ..WideArea::default()
    };
    assert!(measure(1, &options).is_err());
}
