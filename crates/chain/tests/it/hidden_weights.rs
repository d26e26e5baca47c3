//! A commitment that hides weights through the real precompile: the ledger counts its openings, takes no proof beyond its
//! budget, and lets it be renewed by a proof that the weights are the same.

use crate::{
    local_chain::{LocalChain, Wallet},
    proven_computations::{
        BudgetUsed, NotPublisher, REVISION, RandomBlockBeforeRenewal, circuit, compiled, number,
        openingsCall, proveCall, proven, proven_of, refusal, registerModelCall, renewModelCall,
        reverts, settled, wait_for,
    },
    settled_receipts::{Stream, prepare},
};
use alloy_primitives::{B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, SolError};
use assay_chain::{
    precompile::proofs::{PROOF_GAS, verifyRollCall},
    spec::{PROOF_VERIFIER, PROOFS},
};
use assay_zkml::{Model, Seed, register, roll};
use serde_json::json;

fn hidden(seed: u8) -> Model {
    let compiled = compiled(12, 8);
    Model::hiding(
        compiled.circuit,
        compiled.weights,
        &Seed::from_bytes([seed; 32]),
    )
    .unwrap()
}

fn weights(model: &Model) -> Bytes {
    model.commitment().weights.encode().into()
}

fn revision() -> B256 {
    B256::from(*REVISION.as_bytes())
}

/// Budget and openings made, as the ledger has them.
async fn counted(chain: &LocalChain, model: &Model) -> (u64, u64) {
    let question = openingsCall {
        weightsHash: keccak256(weights(model)),
    };
    let counted = chain.view(PROOFS, question).await;
    (counted.budget, counted.made)
}

fn renewal(model: &Model, next: &Model, proof: Vec<u8>) -> Vec<u8> {
    let call = renewModelCall {
        revision: revision(),
        circuit: circuit(model),
        weights: weights(next),
        roll: proof.into(),
    };
    call.abi_encode()
}

async fn register_hidden(chain: &LocalChain, publisher: &Wallet, model: &Model) {
    let call = registerModelCall {
        revision: revision(),
        circuit: circuit(model),
        weights: weights(model),
        registration: register(model).unwrap().encode().into(),
        rule: Bytes::new(),
    };
    let mined = chain
        .transact(publisher, TxKind::Call(PROOFS), call.abi_encode())
        .await;
    println!("register hidden: {} gas", number(&mined["gasUsed"]));
}

/// Proves runs under a receipt until the ledger takes no more; gives a proof that it did not take.
async fn use_up(
    chain: &LocalChain,
    sender: &Wallet,
    model: &Model,
    budget: u64,
    at: (&assay_receipt::SignedReceipt, u64),
) -> proveCall {
    let (signed, block) = at;
    let (_, made) = counted(chain, model).await;
    for made in made..budget - 1 {
        let inputs = vec![vec![made as i16; 12]];
        let call = proven_of(chain, model, signed, block, inputs)
            .await
            .abi_encode();
        let mined = chain
            .transact(sender, TxKind::Call(PROOFS), call.clone())
            .await;
        assert_eq!(counted(chain, model).await, (budget, made + 1));
        if made == 1 {
            println!(
                "prove hidden: {} gas, {} bytes",
                number(&mined["gasUsed"]),
                call.len()
            );
            chain.transact(sender, TxKind::Call(PROOFS), call).await;
            assert_eq!(
                counted(chain, model).await,
                (budget, made + 1),
                "the same proof again"
            );
        }
    }
    // What the prover itself keeps for a renewal, spent on a proof.
    proven(chain, model, signed, block).await
}

#[tokio::test(flavor = "multi_thread")]
async fn openings_are_counted_and_a_renewal_begins_anew() {
    let chain = LocalChain::start().await;
    let ([publisher, other, _], key) = (Wallet::all(), Wallet::new(77).key);
    prepare(&chain, &publisher, &key, &[REVISION]).await;
    let first = hidden(1);
    let budget = first.openings_left().unwrap() as u64;
    register_hidden(&chain, &publisher, &first).await;
    assert_eq!(counted(&chain, &first).await, (budget, 1));
    let mut stream = Stream::new(&chain, &key, REVISION);
    let (signed, settled_at) = settled(&mut stream, &other).await;
    wait_for(&chain, settled_at + 3).await;
    let block = settled_at + 1;
    let beyond = use_up(
        &chain,
        &other,
        &first.clone().counted(1),
        budget,
        (&signed, block),
    )
    .await;
    let used = BudgetUsed {
        weightsHash: keccak256(weights(&first)),
        budget: U256::from(budget),
    };
    let found = reverts(&chain, &other, PROOFS, beyond.abi_encode()).await;
    assert_eq!(found, used.abi_encode());

    let before = first.clone().counted(budget as usize - 1);
    let (second, proof) = roll(&before, &Seed::from_bytes([2; 32])).unwrap();
    refused_renewals(
        &chain,
        [&publisher, &other],
        &first,
        &second,
        &proof.encode(),
    )
    .await;
    let data = renewal(&first, &second, proof.encode());
    let mined = chain
        .transact(&publisher, TxKind::Call(PROOFS), data.clone())
        .await;
    println!(
        "renew: {} gas, {} bytes",
        number(&mined["gasUsed"]),
        data.len()
    );
    let renewed_at = number(&mined["blockNumber"]);
    assert_eq!(counted(&chain, &first).await, (budget, budget));
    assert_eq!(counted(&chain, &second).await, (budget, 1));

    // The older receipt, under the new commitment, by randomness after it.
    wait_for(&chain, renewed_at + 3).await;
    let early = proven(&chain, &second, &signed, block).await;
    let error = RandomBlockBeforeRenewal {
        randomBlock: U256::from(block),
        renewedAt: U256::from(renewed_at),
    };
    let found = reverts(&chain, &other, PROOFS, early.abi_encode()).await;
    assert_eq!(found, error.abi_encode());
    let old = proven(&chain, &hidden(1), &signed, renewed_at + 1).await;
    let found = reverts(&chain, &other, PROOFS, old.abi_encode()).await;
    assert_ne!(found, Bytes::new(), "a proof under the commitment before");
    let good = proven(&chain, &second, &signed, renewed_at + 1).await;
    chain
        .transact(&other, TxKind::Call(PROOFS), good.abi_encode())
        .await;
    assert_eq!(counted(&chain, &second).await, (budget, 2));
}

/// Each way in which a renewal is none.
async fn refused_renewals(
    chain: &LocalChain,
    [publisher, other]: [&Wallet; 2],
    first: &Model,
    second: &Model,
    proof: &[u8],
) {
    let good = renewal(first, second, proof.to_vec());
    let foreign = NotPublisher {
        revision: revision(),
        publisher: publisher.address,
    };
    assert_eq!(
        reverts(chain, other, PROOFS, good).await,
        foreign.abi_encode()
    );
    let mut flipped = proof.to_vec();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let mut longer = proof.to_vec();
    longer.push(0);
    let mut weights = compiled(12, 8).weights;
    weights[3] ^= 1;
    let circuit = compiled(12, 8).circuit;
    let others = Model::hiding(circuit.clone(), weights, &Seed::from_bytes([2; 32])).unwrap();
    let open = Model::new(circuit, compiled(12, 8).weights).unwrap();
    let honest = assay_zkml::dangerous_roll(&first.clone().counted(1), &others)
        .unwrap()
        .encode();
    let itself = first.clone().counted(1);
    let itself = assay_zkml::dangerous_roll(&itself, &itself)
        .unwrap()
        .encode();
    for (what, next, proof, reason) in [
        ("a longer proof", second, longer, Some(1)),
        ("no proof", second, Vec::new(), Some(1)),
        ("a changed proof", second, flipped, None),
        ("other weights", &others, honest, None),
        ("another's proof", &others, proof.to_vec(), None),
        ("a renewal by itself", first, itself, Some(4)),
        (
            "a commitment that hides nothing",
            &open,
            proof.to_vec(),
            Some(4),
        ),
    ] {
        let found = reverts(chain, publisher, PROOFS, renewal(first, next, proof)).await;
        match reason {
            Some(reason) => assert_eq!(found, refusal(reason), "{what}"),
            None => assert!((1..=10).any(|r| found == refusal(r)), "{what}: {found}"),
        }
    }
    assert_eq!(counted(chain, second).await, (0, 0));
    assert_eq!(counted(chain, &others).await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_pays_for_its_work_before_it_is_done() {
    let chain = LocalChain::start().await;
    let first = hidden(1);
    let (second, proof) = roll(&first, &Seed::from_bytes([2; 32])).unwrap();
    let call = verifyRollCall {
        circuit: circuit(&first),
        before: weights(&first),
        weights: weights(&second),
        roll: proof.encode().into(),
    };
    let found = chain.view(PROOF_VERIFIER, call.clone()).await;
    assert_eq!(found.modelBefore, B256::from(first.commitment().id()));
    assert_eq!(found.modelId, B256::from(second.commitment().id()));
    assert_eq!(
        found.budget,
        first.clone().counted(0).openings_left().unwrap() as u64
    );
    let data = Bytes::from(call.abi_encode());
    let request = json!({ "to": PROOF_VERIFIER, "data": data });
    let gas = chain.number("eth_estimateGas", json!([request])).await;
    let work = first.prepared().circuit().work(0);
    let least = PROOF_GAS + 8 * data.len() as u64 + 4 * work;
    assert!(gas > least, "{gas} of {least}");
}
