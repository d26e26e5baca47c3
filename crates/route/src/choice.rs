//! Which node is asked: the one that will give the first token soonest, as far as this gateway can tell.
//!
//! The expected time is what waits before the request at the node, what this gateway sent there since included; then the
//! prompt, less what the node has read before; then the way there and back. What else speaks against a node is added to it
//! as a time. Among nodes that are about as good, two are drawn by the seed and the better one is asked, so that gateways
//! with the same view of the nodes do not all run to one (Mitzenmacher, "The power of two choices in randomized load
//! balancing", 2001).

use std::time::Duration;

use assay_receipt::{Account, EngineId, Microcredits, NodeAddress, RevisionId, Rung};

use crate::breaker::State;
use crate::heartbeat::Served;
use crate::reputation::Standing;
use crate::seed::Draws;
use crate::view::Live;

/// Nodes whose score is within this part of the best one, and [`AS_GOOD_S`], are as good.
const AS_GOOD: f64 = 0.25;

/// Seconds within which scores do not differ: heartbeats are older than that.
const AS_GOOD_S: f64 = 0.02;

/// A node twice as dear as the cheapest counts as this much later, in seconds.
const DOUBLE_PRICE_S: f64 = 0.2;

/// Each failure that is not forgotten counts as this much later, in seconds.
const FAILURE_S: f64 = 0.25;

/// Each failure domain shared with a node that the request has used counts as this much later, in seconds.
const SHARED_DOMAIN_S: f64 = 0.25;

/// Longest time that counts, in seconds, so that a node without rates does not make a sum without meaning.
const SECONDS_MOST: f64 = 3600.0;

/// The beginning of a prompt that other requests share, such as a system prompt or a conversation so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// The same for the same beginning; a digest of it.
    pub key: [u8; 32],
    /// Its length in tokens.
    pub tokens: u32,
}

/// What a request needs.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The revision.
    pub revision: RevisionId,
    /// The engine, where a stream has to go on bit for bit.
    pub engine: Option<EngineId>,
    /// Tokens of the prompt, estimated.
    pub input_tokens: u32,
    /// Tokens of the answer, estimated.
    pub output_tokens: u32,
    /// What of the prompt a node may have read before.
    pub prefix: Option<Prefix>,
    /// The rung of evidence that the answer has to reach.
    pub rung: Rung,
    /// Most that it may cost.
    pub price_most: Option<Microcredits>,
    /// Nodes that may not be asked.
    pub excluded: &'a [NodeAddress],
    /// Operators whose nodes may not be asked.
    pub excluded_operators: &'a [Account],
    /// Failure domains of the nodes that the request has used already; those of others are preferred.
    pub used_domains: &'a [u64],
}

/// A node that may be asked, and what this gateway knows of it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// What it says of itself, heard lately.
    pub live: Live<'a>,
    /// Who answers for it.
    pub operator: Account,
    /// Its failure domains (operator, data centre, country and so on), each as a number of the caller's choice.
    pub domains: &'a [u64],
    /// Requests that its heartbeat cannot show yet: [`crate::Outstanding::unseen`] times [`crate::Outstanding::crowd`].
    pub unseen: u32,
    /// The way there and back.
    pub latency: Duration,
    /// What is known against it.
    pub standing: Standing,
    /// Its breaker.
    pub breaker: State,
}

/// The node to ask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// The node.
    pub node: NodeAddress,
    /// When its first token is expected, counted from now.
    pub first_token: Duration,
}

/// Why no node can be asked: how many were ruled out by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, thiserror::Error)]
#[error(
    "no node can be asked: {not_serving} do not serve it, {leaving} are leaving, {excluded} were excluded, {broken} fail, \
     {caught} were caught lying, {too_low} do not reach the rung, {too_dear} are too dear"
)]
pub struct Nobody {
    /// They do not serve the revision, not on that engine, or have no slot.
    pub not_serving: usize,
    /// They take no new requests.
    pub leaving: usize,
    /// They, or their operators, were excluded by the request.
    pub excluded: usize,
    /// Their breakers are open.
    pub broken: usize,
    /// They were caught lying.
    pub caught: usize,
    /// They cannot give the rung.
    pub too_low: usize,
    /// They cost more than the request allows.
    pub too_dear: usize,
}

/// A candidate that may be asked.
struct Fit<'a> {
    candidate: &'a Candidate<'a>,
    served: &'a Served,
    price: Microcredits,
    first_token_s: f64,
    score_s: f64,
}

/// The node to ask, or why there is none. The same inputs give the same node.
///
/// # Errors
/// [`Nobody`] where no candidate may be asked.
pub fn choose(
    wanted: &Wanted<'_>,
    candidates: &[Candidate<'_>],
    seed: u64,
) -> Result<Choice, Nobody> {
    let mut nobody = Nobody::default();
    let fitting = candidates
        .iter()
        .filter_map(|candidate| fit(wanted, candidate, &mut nobody));
    let mut fits: Vec<Fit<'_>> = fitting.collect();
    let preferred = preferred(wanted, &fits);
    let cheapest = fits.iter().map(|fit| fit.price.0).min().unwrap_or(0);
    for fit in &mut fits {
        let has_prefix = preferred == Some(fit.candidate.live.heartbeat.node);
        fit.first_token_s = first_token_s(wanted, fit, has_prefix);
        fit.score_s = fit.first_token_s + against_s(wanted, fit, cheapest);
    }
    let best = fits
        .iter()
        .map(|fit| fit.score_s)
        .min_by(f64::total_cmp)
        .ok_or(nobody)?;
    fits.retain(|fit| fit.score_s <= best * (1.0 + AS_GOOD) + AS_GOOD_S);
    let is_preferred = |fit: &&Fit<'_>| preferred == Some(fit.candidate.live.heartbeat.node);
    let chosen = match fits.iter().find(is_preferred) {
        Some(fit) => fit,
        None => better_of_two(&fits, seed).ok_or(nobody)?,
    };
    Ok(Choice {
        node: chosen.candidate.live.heartbeat.node,
        first_token: Duration::try_from_secs_f64(chosen.first_token_s).unwrap_or(Duration::MAX),
    })
}

/// Whether a candidate may be asked; takes down why not.
fn fit<'a>(
    wanted: &Wanted<'_>,
    candidate: &'a Candidate<'a>,
    nobody: &mut Nobody,
) -> Option<Fit<'a>> {
    let heartbeat = candidate.live.heartbeat;
    let served = heartbeat.serves(&wanted.revision);
    let served = served.filter(|served| served.slots > 0);
    let served = served.filter(|served| wanted.engine.is_none_or(|engine| engine == served.engine));
    let units = (
        u64::from(wanted.input_tokens),
        u64::from(wanted.output_tokens),
    );
    let price = served
        .map(|served| served.price.of(units.0, units.1))
        .unwrap_or_default();
    let excluded = wanted.excluded.contains(&heartbeat.node)
        || wanted.excluded_operators.contains(&candidate.operator);
    let reaches = |served: &Served| {
        let bit = 1u32.checked_shl(wanted.rung.number().into()).unwrap_or(0);
        wanted.rung == Rung::Signed || served.rungs & bit != 0
    };
    let reason = match served {
        None => &mut nobody.not_serving,
        Some(_) if heartbeat.draining => &mut nobody.leaving,
        Some(_) if excluded => &mut nobody.excluded,
        Some(_) if candidate.standing.caught => &mut nobody.caught,
        Some(_) if matches!(candidate.breaker, State::Open { .. }) => &mut nobody.broken,
        Some(served) if !reaches(served) => &mut nobody.too_low,
        Some(_) if wanted.price_most.is_some_and(|most| price > most) => &mut nobody.too_dear,
        Some(served) => {
            return Some(Fit {
                candidate,
                served,
                price,
                first_token_s: 0.0,
                score_s: 0.0,
            });
        }
    };
    *reason = reason.saturating_add(1);
    None
}

/// The node that has read the prefix before, if it was up to this gateway and the others: the one that the prefix falls to
/// by rendezvous hashing (Thaler, Ravishankar, 1998), as long as it has a slot free and room.
fn preferred(wanted: &Wanted<'_>, fits: &[Fit<'_>]) -> Option<NodeAddress> {
    let prefix = wanted.prefix?;
    let weight = |node: &NodeAddress| {
        let mut hasher = blake3::Hasher::new_keyed(&prefix.key);
        hasher.update(node.as_bytes());
        *hasher.finalize().as_bytes()
    };
    let nodes = fits
        .iter()
        .max_by_key(|fit| weight(&fit.candidate.live.heartbeat.node));
    let has_room = |fit: &&Fit<'_>| {
        load(fit) < f64::from(fit.served.slots) && fit.served.free_cache >= wanted.input_tokens
    };
    nodes
        .filter(has_room)
        .map(|fit| fit.candidate.live.heartbeat.node)
}

/// Requests at a node, as far as known.
fn load(fit: &Fit<'_>) -> f64 {
    let Served {
        running, queued, ..
    } = *fit.served;
    f64::from(running) + f64::from(queued) + f64::from(fit.candidate.unseen)
}

/// Seconds to the first token: the turn, the prompt, the way.
fn first_token_s(wanted: &Wanted<'_>, fit: &Fit<'_>, has_prefix: bool) -> f64 {
    let (load, slots) = (load(fit), f64::from(fit.served.slots));
    let rate = |rate: u32| f64::from(rate.max(1));
    // Each that waits needs one that runs to end; slots free up as often as answers of this length take, divided by slots.
    let before = (load + 1.0 - slots).max(0.0);
    let answer_s = f64::from(wanted.output_tokens) / rate(fit.served.decode_rate);
    let known = wanted
        .prefix
        .filter(|_| has_prefix)
        .map_or(0, |prefix| prefix.tokens);
    let unread = f64::from(wanted.input_tokens.saturating_sub(known));
    // What runs beside it takes its part of the machine.
    let prompt_s = unread / rate(fit.served.prefill_rate) * (1.0 + load.min(slots) / slots);
    let token_s = 1.0 / rate(fit.served.decode_rate);
    let way_s = fit.candidate.latency.as_secs_f64();
    (before / slots * answer_s + prompt_s + token_s + way_s).min(SECONDS_MOST)
}

/// What speaks against a node, in seconds.
fn against_s(wanted: &Wanted<'_>, fit: &Fit<'_>, cheapest: u64) -> f64 {
    let dearer = (fit.price.0 as f64 / cheapest.max(1) as f64 - 1.0).max(0.0);
    let used = |domain: &&u64| wanted.used_domains.contains(domain);
    let shared = fit.candidate.domains.iter().filter(used).count();
    let against = dearer * DOUBLE_PRICE_S
        + fit.candidate.standing.failures * FAILURE_S
        + shared as f64 * SHARED_DOMAIN_S;
    against.min(SECONDS_MOST)
}

/// Draws two, and takes the one with the lower score; the first where they are equal.
fn better_of_two<'a, 'b>(fits: &'b [Fit<'a>], seed: u64) -> Option<&'b Fit<'a>> {
    let mut draws = Draws::new(seed);
    let one = draws.below(fits.len());
    let step = draws.below(fits.len().saturating_sub(1)).saturating_add(1);
    let other = one.saturating_add(step).checked_rem(fits.len())?;
    let (one, other) = (fits.get(one)?, fits.get(other)?);
    Some(if other.score_s < one.score_s {
        other
    } else {
        one
    })
}

#[cfg(test)]
mod tests;
