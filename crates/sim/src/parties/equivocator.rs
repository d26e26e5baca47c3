//! A bonded node that signs two answers under one sequence number and gives each to another
//! validator.
//!
//! Settlement takes at most one of the two; whoever sees both takes the bond.

use super::{Role, pause, registration::register};
use crate::{
    client::{Client, now_ns},
    error::Error,
    receipts::{Pen, pack, revision},
};
use assay_chain::{settlement::settle_call, spec::SETTLEMENT};
use assay_receipt::SignedReceipt;
use commonware_runtime::deterministic::Context;
use rand::RngExt as _;

/// Most honest receipts before the two that contradict each other.
const MAX_HONEST: usize = 4;

/// Behaves for a while, then equivocates once, then goes on as if nothing had happened.
///
/// # Errors
/// [`Error::Setup`] if an index fails or a receipt cannot be signed.
pub(crate) async fn live(context: &Context, mut client: Client, role: Role) -> Result<(), Error> {
    let key = role.node_key(client.stage.seed)?;
    register(context, &mut client, &key).await?;
    let domain = client.stage.site.spec.domain;
    let mut pen = Pen::new(key, domain, revision(0));
    let honest = client.rng.random_range(0..=MAX_HONEST);
    let before = pen.write(honest, now_ns(context), &mut client.rng)?;
    let first = pen.sign(now_ns(context), &mut client.rng)?;
    let second = pen.sign(now_ns(context), &mut client.rng)?;
    for last in [&first, &second] {
        let mut story: Vec<SignedReceipt> = before.clone();
        story.push(last.clone());
        if let Some(batch) = pack(story, &domain) {
            client.whisper(SETTLEMENT, settle_call(batch)).await;
        }
    }
    pen.advance(&first);
    while !client.stage.is_quiet() {
        pause(context, &mut client).await;
        client.observe()?;
        client.retry().await;
        if client.waiting() == 0 {
            let more = pen.write(1, now_ns(context), &mut client.rng)?;
            if let Some(batch) = pack(more, &domain) {
                client.send(SETTLEMENT, settle_call(batch)).await;
            }
        }
    }
    Ok(())
}
