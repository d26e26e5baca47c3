//! A validator that runs twice with one key: each twin talks to a part of the others only, so
//! that it proposes and votes for two things at once ("Twins", arXiv 2004.10617).
//!
//! With one of four validators a twin the three others must agree and go on.

use crate::{
    error::Error,
    validator::{Lines, Receives, Seat, Sends, Site, lines, start_on},
};
use assay_chain::{block::ValidatorKey, engine::Channels};
use commonware_p2p::{
    Recipients,
    simulated::{SplitForwarder, SplitOrigin, SplitSender, SplitTarget},
};
use commonware_runtime::{Handle, Supervisor as _, deterministic::Context};
use std::{collections::BTreeSet, sync::Arc};

/// Starts both twins: `first` talks to `friends`, `second` to everybody else.
///
/// # Errors
/// [`Error::Setup`] if the simulated network is gone.
pub(crate) async fn start(
    context: &Context,
    site: &Arc<Site>,
    (first, second): (&Arc<Seat>, &Arc<Seat>),
    others: Vec<ValidatorKey>,
    friends: BTreeSet<ValidatorKey>,
) -> Result<[Handle<()>; 2], Error> {
    let lines = lines(&site.links, &first.key).await?;
    let split = Split { context, others, friends };
    let ((votes, votes2), (certificates, certificates2)) =
        (split.pair(lines.engine.votes), split.pair(lines.engine.certificates));
    let ((resolver, resolver2), (broadcast, broadcast2)) =
        (split.pair(lines.engine.resolver), split.pair(lines.engine.broadcast));
    let ((backfill, backfill2), (state, state2)) =
        (split.pair(lines.engine.backfill), split.pair(lines.engine.state));
    let (spread, spread2) = split.pair(lines.spread);
    let one = Channels { votes, certificates, resolver, broadcast, backfill, state };
    let two = Channels {
        votes: votes2,
        certificates: certificates2,
        resolver: resolver2,
        broadcast: broadcast2,
        backfill: backfill2,
        state: state2,
    };
    Ok([
        start_on(context, site, first, Lines { engine: one, spread }),
        start_on(context, site, second, Lines { engine: two, spread: spread2 }),
    ])
}

/// How messages of the one identity are divided between its twins.
struct Split<'a> {
    context: &'a Context,
    others: Vec<ValidatorKey>,
    friends: BTreeSet<ValidatorKey>,
}

impl Split<'_> {
    /// Divides one channel.
    #[allow(clippy::type_complexity, reason = "the closure's type has no name")]
    fn pair(
        &self,
        (sender, receiver): (Sends, Receives),
    ) -> (
        (SplitSender<ValidatorKey, Context, impl SplitForwarder<ValidatorKey>>, Receives),
        (SplitSender<ValidatorKey, Context, impl SplitForwarder<ValidatorKey>>, Receives),
    ) {
        let (others, friends) = (self.others.clone(), self.friends.clone());
        let forward = move |origin: SplitOrigin, recipients: &Recipients<ValidatorKey>, _: &_| {
            let wanted: Vec<ValidatorKey> = match recipients {
                Recipients::All => others.clone(),
                Recipients::Some(some) => some.clone(),
                Recipients::One(one) => vec![one.clone()],
            };
            let first = origin == SplitOrigin::Primary;
            let mine = wanted.into_iter().filter(|key| friends.contains(key) == first);
            Some(Recipients::Some(mine.collect()))
        };
        let friends = self.friends.clone();
        let (sender1, sender2) = sender.split_with(forward);
        let (receiver1, receiver2) =
            receiver.split_with(self.context.child("twin_router"), move |(from, _)| {
                if friends.contains(from) { SplitTarget::Primary } else { SplitTarget::Secondary }
            });
        ((sender1, receiver1), (sender2, receiver2))
    }
}
