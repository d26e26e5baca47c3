//! The step in which other operators compute an answer of a language model again.

use super::{PATIENCE, POLL, Walk};
use anyhow::{Context as _, Result, ensure};
use assay_node::{
    abi::Settled,
    checks::{self, Outcome, Report},
    local::models::CHAT,
    rpc_client::RpcClient,
};
use assay_receipt::ReceiptId;
use serde_json::json;
use std::time::Instant;
use tokio::time::sleep;

/// What is asked.
const QUESTION: &str = "What is a receipt?";

impl Walk {
    /// Asks a language model for an answer that can be checked, and has a committee of other operators compute it again.
    pub async fn check(&mut self) -> Result<Vec<String>> {
        let asked = json!({
            "model": CHAT,
            "messages": [{"role": "user", "content": QUESTION}],
            "assay": {"rung": "replayed"},
        });
        let reply = self.gateway.chat(&asked).await?;
        let text = reply["choices"][0]["message"]["content"].as_str();
        let text = text.context("it answered without a text")?.to_owned();
        let steps = reply["usage"]["completion_tokens"].as_u64();
        let id: ReceiptId = serde_json::from_value(reply["assay"]["receipt_id"].clone())?;
        let settled = self.gateway.settled(&id, &self.plan.network, PATIENCE);
        let settled = settled.await?.report;
        let place = settled.proof.context("it settled without a proof")?;
        let rpc = RpcClient::new(&self.network.endpoints().rpc)?;
        let started = Instant::now();
        let settled = Settled {
            signed: &settled.receipt,
            place: &place,
        };
        checks::begin(&rpc, &self.network.developer()?, (id, &settled)).await?;
        let report = decided(&rpc, id).await?;
        ensure!(
            report.outcome == Outcome::Replayed,
            "the committee found {:?}",
            report.outcome
        );
        let (drawn, agreed) = report.replayed.context("nobody agreed")?;
        Ok(vec![
            format!("{CHAT}: {QUESTION} {text}"),
            format!(
                "verdict Replayed: {agreed} of {drawn} other operators, drawn by a block's hash, computed its {} tokens again, {:.1} s",
                steps.context("it says no number of tokens")?,
                started.elapsed().as_secs_f64()
            ),
        ])
    }
}

async fn decided(rpc: &RpcClient, id: ReceiptId) -> Result<Report> {
    let started = Instant::now();
    loop {
        let report = checks::report(rpc, id).await?;
        if !report.is_open {
            return Ok(report);
        }
        ensure!(
            started.elapsed() < PATIENCE,
            "the committee does not decide"
        );
        sleep(POLL).await;
    }
}
