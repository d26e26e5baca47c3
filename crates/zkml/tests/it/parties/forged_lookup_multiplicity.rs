//! Looks up a value that no table has, and makes the multiplicities fit as well as it can.

use assay_zkml::{Seed, dangerous_prove, dangerous_prove_saying};
use assay_zkml_verify::field::Challenge;
use assay_zkml_verify::layout::Layout;
use assay_zkml_verify::{Error, verify};
use p3_field::PrimeCharacteristicRing as _;

use super::{Columns, NO_TABLE, judged, model, rerun, statement};

fn forge(index: usize, _: &[i64], columns: &mut Columns) {
    if index == 0 {
        columns.out[1] += 5;
    }
}

#[test]
fn no_multiplicities_make_up_for_a_missing_entry() {
    let model = model(7);
    let mut claimed = statement(&model, 1);
    let layout = Layout::new(model.prepared(), 0, false);
    let honest = rerun(&model, model.weights(), &mut claimed, forge);
    let argument = honest.arguments[0][1];
    let first = model.prepared().circuit().tables[0].first;
    let place = (argument - first) as usize;
    type Change<'a> = (&'static str, &'a dyn Fn(&mut Vec<u32>));
    let changes: [Change<'_>; 6] = [
        ("as counted", &|_| ()),
        ("its own entry once less", &|counts| counts[place] -= 1),
        ("its own entry once more", &|counts| counts[place] += 1),
        ("moved to the next entry", &|counts| {
            counts[place] -= 1;
            counts[place + 1] += 1;
        }),
        ("moved to the last entry", &|counts| {
            counts[place] -= 1;
            *counts.last_mut().unwrap() += 1;
        }),
        ("less than nothing", &|counts| {
            counts[place] = (1 << 31) - (1 << 24);
        }),
    ];
    for (name, change) in changes {
        let mut run = honest.clone();
        run.count(model.prepared(), &layout);
        change(&mut run.multiplicities[0]);
        assert_eq!(judged(&model, &claimed, run), Err(NO_TABLE), "{name}");
    }
}

/// The values are right and only the counts are not.
#[test]
fn every_count_of_every_table_matters() {
    let model = model(7);
    let mut claimed = statement(&model, 1);
    let layout = Layout::new(model.prepared(), 0, false);
    let mut run = rerun(&model, model.weights(), &mut claimed, |_, _, _| ());
    run.count(model.prepared(), &layout);
    for table in 0..run.multiplicities.len() {
        for place in [0, run.multiplicities[table].len() - 1] {
            let mut forged = run.clone();
            forged.multiplicities[table][place] += 1;
            assert_eq!(judged(&model, &claimed, forged), Err(NO_TABLE));
        }
    }
}

/// The root of the tree says what the verifier wants to hear; the layer below does not.
#[test]
fn a_forged_root_does_not_follow_from_its_layer() {
    let model = model(7);
    let mut claimed = statement(&model, 1);
    let run = rerun(&model, model.weights(), &mut claimed, forge);
    let mut proof = dangerous_prove(&model, &claimed, run).unwrap();
    let verdict = |proof: &_| verify(model.prepared(), &model.commitment(), &claimed, proof);
    proof.messages[0] = Challenge::ZERO;
    let layer = Error::Lookup("a layer of the tree does not follow from the one below");
    assert_eq!(verdict(&proof), Err(layer));
    proof.messages[1] = Challenge::ZERO;
    let nothing = Error::Lookup("the sum of the fractions has no value");
    assert_eq!(verdict(&proof), Err(nothing));
}

/// Every message of the tree is what its leaves give, but for the root, which is said to be what the verifier wants to hear:
/// nothing linear tells, only the equation of the first layer.
#[test]
fn a_root_that_is_said_to_be_zero_does_not_follow_from_its_layer() {
    let layer = Error::Lookup("a layer of the tree does not follow from the one below");
    let hidden = model(7).recommit(&Seed::from_bytes([1; 32])).unwrap();
    for (model, expected) in [(model(7), layer), (hidden, Error::Claims("witness"))] {
        let mut claimed = statement(&model, 1);
        let run = rerun(&model, model.weights(), &mut claimed, forge);
        let said = (0, Challenge::ZERO);
        let proof = dangerous_prove_saying(&model, &claimed, run, said).unwrap();
        let verdict = verify(model.prepared(), &model.commitment(), &claimed, &proof);
        assert_eq!(verdict, Err(expected));
    }
}

/// Where the root's denominator is padded, its inverse shows that it is not zero; another inverse shows nothing.
#[test]
fn an_inverse_that_is_none_is_refused() {
    let model = model(7).recommit(&Seed::from_bytes([1; 32])).unwrap();
    let mut claimed = statement(&model, 1);
    let run = rerun(&model, model.weights(), &mut claimed, |_, _, _| ());
    // The root's numerator and denominator are the first two messages.
    for value in [Challenge::ZERO, Challenge::ONE] {
        let proof = dangerous_prove_saying(&model, &claimed, run.clone(), (2, value)).unwrap();
        let verdict = verify(model.prepared(), &model.commitment(), &claimed, &proof);
        assert_eq!(verdict, Err(Error::Claims("witness")));
    }
}
