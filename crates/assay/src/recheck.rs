//! `assay receipt check`: has a committee compute a settled answer again, and says what came of it.

use crate::{
    cli,
    client::Gateway,
    complaint::{Complaint, Exit},
    output::{self, Form, Progress},
};
use anyhow::{Context as _, Result};
use assay_node::{
    abi::Settled,
    checks::{self, Decision, Outcome},
    config::read_key,
    rpc_client::RpcClient,
    wallet::Wallet,
};
use assay_receipt::{ReceiptId, Rung};
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// Between two looks at the chain.
const POLL: Duration = Duration::from_millis(200);

/// Runs the command.
///
/// # Errors
/// A complaint if the receipt cannot be checked, or nobody says anything in time.
pub async fn check(arguments: cli::CheckReceipt, form: Form) -> Result<Exit> {
    let id: ReceiptId = arguments.receipt.parse().map_err(|_| {
        Complaint::usage("a receipt id is 0x and 64 lower-case hex digits")
            .hint("`assay receipt show FILE` shows the id of a saved receipt")
    })?;
    let report = Gateway::new(&arguments.gateway)?.receipt(&id).await?;
    if report.receipt.receipt.rung != Rung::Replayed {
        return Err(
            Complaint::failed("its node did not promise that the answer can be checked")
                .hint("ask with the rung `replayed`")
                .into(),
        );
    }
    let proof = report.proof.as_ref().ok_or_else(|| {
        Complaint::failed("the receipt has not settled").hint("try again in a few seconds")
    })?;
    let network = report.network.as_ref();
    let network = network.context("the gateway left its network out")?;
    let account = Wallet::new(Arc::new(read_key(&arguments.key)?), network.chain_id);
    let rpc = RpcClient::new(std::slice::from_ref(&arguments.rpc))?;
    let progress = Progress::wait("drawing a committee and waiting for its verdict");
    let settled = Settled {
        signed: &report.receipt,
        place: proof,
    };
    checks::begin(&rpc, &account, (id, &settled)).await?;
    let came = wait(&rpc, id, Duration::from_secs(arguments.wait)).await?;
    drop(progress);
    print(id, &came, form)
}

async fn wait(rpc: &RpcClient, id: ReceiptId, patience: Duration) -> Result<checks::Report> {
    let started = Instant::now();
    loop {
        let report = checks::report(rpc, id).await?;
        if !report.is_open {
            return Ok(report);
        }
        if started.elapsed() > patience {
            let complaint = Complaint::cannot_tell("the committee has not decided yet");
            return Err(complaint.hint("ask again with a larger --wait").into());
        }
        sleep(POLL).await;
    }
}

fn print(id: ReceiptId, report: &checks::Report, form: Form) -> Result<Exit> {
    let (verdict, says, exit) = match report.outcome {
        Outcome::Replayed => (
            "replayed",
            "more than half of the committee computed the same answer, step for step",
            Exit::Done,
        ),
        Outcome::Refuted => (
            "refuted",
            "the answer is not what its model gives, or its node did not defend it; its bond is taken",
            Exit::Failed,
        ),
        Outcome::Withheld => (
            "withheld",
            "its node did not lay open what it takes to check it; its bond is taken",
            Exit::Failed,
        ),
        Outcome::Open | Outcome::Inconclusive => (
            "inconclusive",
            "no majority said the same; nothing is established",
            Exit::CannotTell,
        ),
    };
    let dispute = report.dispute.map(|(decision, challenger)| {
        let who = match decision {
            Decision::NodeWrong => "the challenger was right",
            Decision::NodeSilent => "the node did not move in time",
            Decision::ChallengerWrong => "the node was right",
            Decision::ChallengerSilent => "the challenger did not move in time",
            Decision::BothWrong => "neither was right",
            Decision::Undecided => "nobody decided",
        };
        (challenger, who)
    });
    let value = json!({
        "id": id,
        "verdict": verdict,
        "says": says,
        "committee": report.members,
        "drawn": report.replayed.map(|(drawn, _)| drawn),
        "agreed": report.replayed.map(|(_, agreed)| agreed),
        "refutedAt": report.refuted_at,
        "dispute": dispute.map(|(challenger, who)| json!({"challenger": challenger, "says": who})),
    });
    form.print(&value, |_| {
        let mut rows = vec![("verdict", format!("{verdict}: {says}"))];
        let members: Vec<String> = report.members.iter().map(ToString::to_string).collect();
        rows.push(("committee", members.join(", ")));
        if let Some((drawn, agreed)) = report.replayed {
            rows.push(("agreed", format!("{agreed} of {drawn}")));
        }
        if let Some((challenger, who)) = dispute {
            rows.push(("dispute", format!("by {challenger}: {who}")));
        }
        output::rows(0, &rows)
    })?;
    Ok(exit)
}
