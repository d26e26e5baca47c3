//! A bonded node that keeps receipts back: it submits what comes after a gap, and receipts whose
//! deadline has passed.
//!
//! Neither may settle. What it kept back may, later, and then in order.

use super::{Role, pause, registration::register};
use crate::{
    client::{Client, now_ns},
    error::Error,
    receipts::{Pen, draft, pack, revision},
};
use assay_chain::{settlement::settle_call, spec::SETTLEMENT};
use assay_receipt::SignedReceipt;
use assay_settle::verify::SETTLEMENT_GRACE_NS;
use commonware_runtime::deterministic::Context;
use rand::RngExt as _;

/// Most receipts that are kept back at once.
const MAX_KEPT: usize = 5;

/// Writes in rounds; each round submits its end first and its beginning after, if at all.
///
/// # Errors
/// [`Error::Setup`] if an index fails or a receipt cannot be signed.
pub(crate) async fn live(context: &Context, mut client: Client, role: Role) -> Result<(), Error> {
    let key = role.node_key(client.stage.seed)?;
    register(context, &mut client, &key).await?;
    let domain = client.stage.site.spec.domain;
    let mut pen = Pen::new(key.clone(), domain, revision(0));
    let mut late = Pen::new(key, domain, revision(1));
    submit_late(context, &mut client, &mut late).await?;
    while !client.stage.is_quiet() {
        let kept_count = client.rng.random_range(1..=MAX_KEPT);
        let mut kept = pen.write(kept_count, now_ns(context), &mut client.rng)?;
        let shown = pen.write(2, now_ns(context), &mut client.rng)?;
        submit(&mut client, shown.clone()).await;
        settle_fates(context, &mut client).await?;
        if client.rng.random_bool(0.5) {
            kept.extend(shown);
            submit(&mut client, kept).await;
        } else {
            submit(&mut client, kept).await;
            submit(&mut client, shown).await;
        }
        settle_fates(context, &mut client).await?;
    }
    Ok(())
}

async fn submit(client: &mut Client, receipts: Vec<SignedReceipt>) {
    let domain = client.stage.site.spec.domain;
    if let Some(batch) = pack(receipts, &domain) {
        client.send(SETTLEMENT, settle_call(batch)).await;
    }
}

/// Submits a receipt whose deadline passed so long ago that no block may take it.
async fn submit_late(context: &Context, client: &mut Client, pen: &mut Pen) -> Result<(), Error> {
    let long_ago_ns = now_ns(context).saturating_sub(SETTLEMENT_GRACE_NS.saturating_mul(2));
    let mut receipt = draft(pen.place, long_ago_ns, &mut client.rng);
    receipt.deadline_ns = receipt.times.end_ns;
    let signed = pen.sign_draft(receipt)?;
    submit(client, vec![signed]).await;
    Ok(())
}

/// Waits until every transaction is in a block or the run gets quiet.
async fn settle_fates(context: &Context, client: &mut Client) -> Result<(), Error> {
    while client.waiting() > 0 && !client.stage.is_quiet() {
        pause(context, client).await;
        client.observe()?;
        client.retry().await;
    }
    Ok(())
}
