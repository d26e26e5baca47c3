//! What it costs to verify one receipt from a file.

use crate::{Result, report::Report, world::World};
use assay_chain::light::{self, ReceiptProof};
use assay_node::api::{INFER_PATH, InferResponse};
use std::time::{Duration, Instant};

/// Verifications that are timed.
const ROUNDS: u32 = 500;
/// Patience with the receipt's settlement.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn run(report: &mut Report) -> Result<()> {
    let mut world = World::start(|_| Ok(())).await?;
    let url = format!("{}{INFER_PATH}", world.network.plan().gateway_url());
    let response = world.http.post(url).json(&world.question()?).send().await?;
    let answer: InferResponse = response.error_for_status()?.json().await?;
    let proof = wait_for_proof(&world, &answer).await?;
    let network = world.network.rpc().network().await?;
    world.network.stop().await;

    light::verify(&network, &proof)?;
    let started = Instant::now();
    for _ in 0..ROUNDS {
        std::hint::black_box(light::verify(&network, &proof)?);
    }
    let each = started.elapsed() / ROUNDS;
    report.row(
        "light client, one receipt",
        format!("{:.2} ms", each.as_secs_f64() * 1e3),
        "< 5 ms",
    );
    report.row(
        "its proof, binary parts",
        format!("{} bytes", binary_bytes(&proof)),
        "< 4096 bytes",
    );
    report.row(
        "its proof, as JSON",
        format!("{} bytes", serde_json::to_vec(&proof)?.len()),
        "",
    );
    Ok(())
}

async fn wait_for_proof(world: &World, answer: &InferResponse) -> Result<ReceiptProof> {
    let receipt = &answer.receipt.receipt;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let rpc = world.network.rpc();
        let proof = rpc
            .receipt_proof(receipt.node, receipt.revision, receipt.sequence)
            .await?;
        if let Some(proof) = proof {
            return Ok(proof);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err("the receipt did not settle".into())
}

fn binary_bytes(proof: &ReceiptProof) -> usize {
    let siblings = proof.batch.path.siblings.len() + proof.block.siblings.len();
    let headers: usize = proof.headers.iter().map(|header| header.len()).sum();
    // Network id, batch root and siblings are 32 bytes each, the node 20, two places 8 each.
    proof.receipt.len() + headers + proof.certificate.len() + 32 * (siblings + 2) + 20 + 16
}
