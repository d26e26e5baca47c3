//! Runs the model on other inputs than those that the statement shows.

use assay_zkml::Execution;
use assay_zkml_verify::Error;

use super::{judged, model, rerun, statement};

#[test]
fn public_inputs_are_those_of_the_run() {
    let model = model(7);
    type Change = (&'static str, usize, fn(&mut Vec<i16>), usize);
    let changes: [Change; 3] = [
        ("the first element", 1, |x| x[0] += 1, 0),
        ("the last element", 1, |x| x[10] -= 1, 0),
        ("an element of the second inference", 2, |x| x[4] += 9, 1),
    ];
    for (name, batch, change, row) in changes {
        let mut claimed = statement(&model, batch);
        change(&mut claimed.rows[row].inputs[0]);
        let run = rerun(&model, model.weights(), &mut claimed, |_, _, _| ());
        let shown = statement(&model, batch);
        claimed.rows[row].inputs = shown.rows[row].inputs.clone();
        assert_eq!(
            judged(&model, &claimed, run),
            Err(Error::Claims("witness")),
            "{name}"
        );
    }
}

/// Inputs swapped between the inferences of a batch, and a filled-up place that is not the last inference.
#[test]
fn each_inference_of_a_batch_has_its_own_inputs() {
    let model = model(7);
    let mut claimed = statement(&model, 2);
    claimed.rows.swap(0, 1);
    let run = rerun(&model, model.weights(), &mut claimed, |_, _, _| ());
    claimed
        .rows
        .iter_mut()
        .zip(statement(&model, 2).rows)
        .for_each(|(row, own)| row.inputs = own.inputs);
    assert_eq!(judged(&model, &claimed, run), Err(Error::Claims("witness")));

    let mut four = statement(&model, 4);
    let run: Execution = rerun(&model, model.weights(), &mut four, |_, _, _| ());
    four.rows.pop();
    let place = "output 0".into();
    assert_eq!(judged(&model, &four, run), Err(Error::Equation { place }));
}

/// What lies behind an input's last element is zero.
#[test]
fn padding_is_no_input() {
    let model = model(7);
    let mut claimed = statement(&model, 1);
    let mut run = rerun(&model, model.weights(), &mut claimed, |_, _, _| ());
    let len = model.prepared().circuit().inputs[0].len as usize;
    assert!(len < run.inputs[0].len());
    run.inputs[0][len] = 1;
    assert_eq!(judged(&model, &claimed, run), Err(Error::Claims("witness")));
}
