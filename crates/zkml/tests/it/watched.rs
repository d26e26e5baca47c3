//! Whoever watches a proof being made is told of each phase once, and can stop it at each.

use std::ops::ControlFlow;

use assay_zkml::{Compiled, Error, Model, Phase, Seed, compile, prove, prove_watched};
use assay_zkml_verify::verify;

use crate::graphs::Growing;
use crate::honest::SETTING;

const PHASES: [Phase; 5] = [
    Phase::Run,
    Phase::Commit,
    Phase::Lookups,
    Phase::Products,
    Phase::Openings,
];

fn models() -> [Model; 2] {
    let mut graph = Growing::new(3);
    let x = graph.input(&[7]);
    let h = graph.dense(x, 6);
    let h = graph.rescale(h);
    let y = graph.dense(h, 4);
    let Compiled {
        circuit, weights, ..
    } = compile(&graph.nodes, &[y]).unwrap();
    let open = Model::new(circuit.clone(), weights.clone()).unwrap();
    let hidden = Model::hiding(circuit, weights, &Seed::from_bytes([3; 32])).unwrap();
    [open, hidden]
}

#[test]
fn a_proof_that_is_watched_is_the_same_and_its_phases_come_in_order() {
    for model in models() {
        let inputs = [vec![vec![3; 7]]];
        let mut told = Vec::new();
        let (statement, proof) = prove_watched(&model, SETTING, &inputs, &mut |phase| {
            told.push(phase);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(told, PHASES);
        let verdict = verify(model.prepared(), &model.commitment(), &statement, &proof);
        assert_eq!(verdict, Ok(()));
        let again = prove(&model.counted(0), SETTING, &inputs).unwrap();
        assert_eq!(proof.encode(), again.1.encode());
    }
}

#[test]
fn it_is_stopped_at_any_phase_and_an_opening_that_was_counted_stays_so() {
    for model in models() {
        let most = model.openings_left();
        for (index, last) in PHASES.into_iter().enumerate() {
            let mut told = 0;
            let stopped = prove_watched(&model, SETTING, &[vec![vec![3; 7]]], &mut |phase| {
                told += 1;
                match phase == last {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            assert_eq!(stopped.err(), Some(Error::Stopped));
            assert_eq!(told, index + 1, "nothing is begun after {last:?}");
        }
        // Before the run nothing was counted.
        assert_eq!(model.openings_left(), most.map(|most| most - 4));
    }
}
