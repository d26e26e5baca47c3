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
    let split = Split {
        context,
        others,
        friends,
    };
    let Lines { engine, spread } = lines;
    let (votes, certificates) = (split.pair(engine.votes), split.pair(engine.certificates));
    let (resolver, broadcast) = (split.pair(engine.resolver), split.pair(engine.broadcast));
    let (backfill, state) = (split.pair(engine.backfill), split.pair(engine.state));
    let spread = split.pair(spread);
    let one = Channels {
        votes: votes.0,
        certificates: certificates.0,
        resolver: resolver.0,
        broadcast: broadcast.0,
        backfill: backfill.0,
        state: state.0,
    };
    let two = Channels {
        votes: votes.1,
        certificates: certificates.1,
        resolver: resolver.1,
        broadcast: broadcast.1,
        backfill: backfill.1,
        state: state.1,
    };
    let (one, two) = (
        Lines {
            engine: one,
            spread: spread.0,
        },
        Lines {
            engine: two,
            spread: spread.1,
        },
    );
    Ok([
        start_on(context, site, first, one),
        start_on(context, site, second, two),
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
        (
            SplitSender<ValidatorKey, Context, impl SplitForwarder<ValidatorKey>>,
            Receives,
        ),
        (
            SplitSender<ValidatorKey, Context, impl SplitForwarder<ValidatorKey>>,
            Receives,
        ),
    ) {
        let (others, friends) = (self.others.clone(), self.friends.clone());
        let forward = move |origin: SplitOrigin, recipients: &Recipients<ValidatorKey>, _: &_| {
            let wanted: Vec<ValidatorKey> = match recipients {
                Recipients::All => others.clone(),
                Recipients::Some(some) => some.clone(),
                Recipients::One(one) => vec![one.clone()],
            };
            let first = origin == SplitOrigin::Primary;
            let mine = wanted
                .into_iter()
                .filter(|key| friends.contains(key) == first);
            Some(Recipients::Some(mine.collect()))
        };
        let friends = self.friends.clone();
        let (sender1, sender2) = sender.split_with(forward);
        let (receiver1, receiver2) =
            receiver.split_with(self.context.child("twin_router"), move |(from, _)| {
                if friends.contains(from) {
                    SplitTarget::Primary
                } else {
                    SplitTarget::Secondary
                }
            });
        ((sender1, receiver1), (sender2, receiver2))
    }
}
