//! Publishes a commitment whose root is that of its weights and whose value is another one.
//!
//! A registration of weights out of range that is made for the wrong value is in `heavy_weight`.

use assay_zkml::{Model, Seed, dangerous_roll, prove, register};
use assay_zkml_verify::field::Challenge;
use assay_zkml_verify::{Error, ModelCommitment, registration, verify};
use p3_field::PrimeCharacteristicRing as _;

use super::{model, statement};
use crate::honest::SETTING;

/// The commitment with these added to its value.
fn forged(model: &Model) -> Vec<ModelCommitment> {
    let own = model.commitment();
    let wrong = [Challenge::ONE, -own.weights.value, own.weights.value];
    let forge = |more: Challenge| {
        let mut other = own;
        other.weights.value += more;
        other
    };
    wrong.map(forge).to_vec()
}

/// What is made for the right value is refused under another: every challenge is another one.
#[test]
fn what_was_made_for_one_value_is_refused_under_another() {
    let model = model(7);
    let inputs = vec![statement(&model, 1).rows[0].inputs.clone()];
    let (statement, proof) = prove(&model, SETTING, &inputs).unwrap();
    let registration = register(&model).unwrap();
    let prepared = model.prepared();
    assert_eq!(
        verify(prepared, &model.commitment(), &statement, &proof),
        Ok(())
    );
    for other in forged(&model) {
        let verdict = verify(prepared, &other, &statement, &proof);
        assert!(matches!(verdict, Err(Error::Lookup(_))), "{verdict:?}");
        let verdict = registration::verify(prepared.circuit(), &other, &registration);
        assert!(matches!(verdict, Err(Error::Lookup(_))), "{verdict:?}");
    }
}

/// Whoever makes everything for the wrong value from the beginning has it in every transcript, and no claim that says so.
#[test]
fn what_is_made_for_the_wrong_value_is_refused() {
    let hidden = |n| model(7).recommit(&Seed::from_bytes([n; 32])).unwrap();
    for (model, about_own) in [(model(7), false), (hidden(1), true)] {
        for more in [Challenge::ONE, -model.commitment().weights.value] {
            let wrong = model.clone().dangerous_value(more);
            let circuit = wrong.prepared().circuit();
            let refused =
                |own: &'static str| Err(Error::Claims(if about_own { own } else { "weights" }));
            let inputs = vec![statement(&wrong, 1).rows[0].inputs.clone()];
            let (statement, proof) = prove(&wrong, SETTING, &inputs).unwrap();
            let verdict = verify(wrong.prepared(), &wrong.commitment(), &statement, &proof);
            assert_eq!(verdict, refused("witness"));
            let registration = register(&wrong).unwrap();
            let verdict = registration::verify(circuit, &wrong.commitment(), &registration);
            assert_eq!(verdict, refused("multiplicities"));
        }
    }
}

/// The same of a renewal, on either side.
#[test]
fn a_renewal_does_not_change_the_value() {
    let hidden = |n| model(7).recommit(&Seed::from_bytes([n; 32])).unwrap();
    let wrong = |n| hidden(n).dangerous_value(Challenge::ONE);
    for (before, after) in [
        (wrong(1), hidden(2)),
        (hidden(1), wrong(2)),
        (wrong(1), wrong(2)),
    ] {
        let lie = dangerous_roll(&before, &after).unwrap();
        let circuit = before.prepared().circuit();
        let (before, after) = (before.commitment(), after.commitment());
        let verdict = assay_zkml_verify::roll::verify(circuit, &before, &after, &lie);
        assert_eq!(verdict, Err(Error::Claims("weights")));
    }
}

/// A value is part of a model's identity, as is the root.
#[test]
fn another_value_is_another_model() {
    let own = model(7).commitment();
    let mut ids: Vec<[u8; 32]> = forged(&model(7)).iter().map(ModelCommitment::id).collect();
    ids.push(own.id());
    let different: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(different.len(), ids.len());
}
