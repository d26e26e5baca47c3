//! Publishes a commitment whose root is that of its weights and whose value is another one.
//!
//! One whose registration is made for the wrong value from the beginning is in `heavy_weight`.

use assay_zkml::{Model, prove, register};
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

/// A value is part of a model's identity, as is the root.
#[test]
fn another_value_is_another_model() {
    let own = model(7).commitment();
    let mut ids: Vec<[u8; 32]> = forged(&model(7)).iter().map(ModelCommitment::id).collect();
    ids.push(own.id());
    let different: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(different.len(), ids.len());
}
