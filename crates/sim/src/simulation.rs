//! One run: sets a network up, lets the seed's faults and frauds loose on it, then waits until
//! everything acknowledged has settled everywhere.

use crate::{
    client::Stage,
    error::{Error, Invariant},
    invariants::{Checker, SettledReceipt, index_height},
    node_log::Logs,
    parties::{self, Role, twin_validator},
    report::{Report, Tally},
    scenario::{Fault, Fraud, Options, Scenario},
    validator::{self, Live, Seat, Site, link, open_network, set_link},
    wallet::{ENDOWMENT_CREDITS, ENDOWMENT_WEI},
};
use alloy_primitives::Address;
use assay_chain::{
    application::now_ms,
    block::ValidatorKey,
    engine,
    genesis::{self, Account, Genesis, ValidatorSecret},
    light,
    proof::prove,
};
use commonware_p2p::simulated::Link;
use commonware_runtime::{Clock as _, Handle, Runner as _, deterministic, deterministic::Context};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IteratorRandom as _};
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::{Duration, UNIX_EPOCH},
};

/// EIP-155 chain id of every simulated network.
pub(crate) const CHAIN_ID: u64 = 31_337;
/// When simulated time starts: 2026-01-01, so that times look as they do in life.
pub(crate) const START: Duration = Duration::from_secs(1_767_225_600);
/// Between two looks of the invariants at the network.
const STEP: Duration = Duration::from_millis(20);

/// Runs the network under `seed`. A broken promise is in the report, not an error.
pub fn run(seed: u64, options: &Options) -> Report {
    let scenario = Scenario::new(seed, options);
    let config = deterministic::Config::new()
        .with_seed(seed)
        .with_start_time(UNIX_EPOCH + START);
    let runner = deterministic::Runner::new(config);
    let frauds = scenario.frauds.clone();
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        runner.start(|context| async move {
            let mut tally = Tally::default();
            let mut outcome = Ok(());
            match Simulation::new(&context, seed, options, scenario).await {
                Ok(mut simulation) => {
                    outcome = simulation.play(&context).await;
                    tally = simulation.tally(&context);
                    simulation.stop();
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
            (outcome, tally, context.auditor().state())
        })
    }));
    match attempt {
        Ok((outcome, tally, trace)) => Report::new(seed, frauds, outcome.err(), tally, &trace),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned();
            let said = said.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            let error = Error::Panicked(said.unwrap_or_else(|| "no message".into()));
            Report::new(seed, frauds, Some(error), Tally::default(), "")
        }
    }
}

/// A network under a seed.
struct Simulation {
    scenario: Scenario,
    active: Duration,
    patience: Duration,
    stage: Arc<Stage>,
    logs: Logs,
    checker: Checker,
    identities: Vec<ValidatorKey>,
    validators: Vec<Option<Handle<()>>>,
    twins: Vec<Handle<()>>,
    nodes: Vec<(Option<Handle<()>>, u32)>,
    others: Vec<Handle<()>>,
    faults: u64,
    restarts: u64,
}

/// Every party of a scenario that has an account.
fn cast(scenario: &Scenario, options: &Options) -> Vec<Role> {
    let nodes = (0..options.nodes).map(Role::HonestNode);
    let frauds = scenario
        .frauds
        .iter()
        .filter(|fraud| **fraud != Fraud::TwinValidator);
    nodes
        .chain([Role::Watcher])
        .chain(frauds.map(|fraud| Role::Fraud(*fraud)))
        .collect()
}

/// Genesis, the validators' secrets and the parties' accounts.
pub(crate) type Founding = (Genesis, Vec<ValidatorSecret>, Vec<Address>);

/// Deals the keys of a network and endows an account for each of `roles`.
///
/// # Errors
/// [`Error::Setup`] if that many keys cannot be dealt.
pub(crate) fn found(seed: u64, validators: u32, roles: &[Role]) -> Result<Founding, Error> {
    let addresses: Result<Vec<Address>, Error> = roles
        .iter()
        .map(|role| role.account(seed, CHAIN_ID))
        .collect();
    let addresses = addresses?;
    let endow = |address: &Address| Account {
        address: *address,
        wei: ENDOWMENT_WEI,
        credits: ENDOWMENT_CREDITS,
    };
    let accounts = addresses.iter().map(endow).collect();
    let rng = StdRng::seed_from_u64(seed);
    let (genesis, secrets) = genesis::deal(rng, "simulation", CHAIN_ID, validators, accounts)
        .map_err(|error| Error::Setup(error.to_string()))?;
    Ok((genesis, secrets, addresses))
}

/// The seats of a run: one a validator, and one more for the twin of the last.
fn seats(secrets: Vec<ValidatorSecret>, has_twin: bool) -> Result<Vec<Arc<Seat>>, Error> {
    let last = secrets.len().saturating_sub(1);
    let twin = secrets.last().cloned().filter(|_| has_twin);
    let places = secrets.into_iter().chain(twin).enumerate();
    places
        .map(|(number, secret)| {
            let honest = number < last || !has_twin;
            Ok(Arc::new(Seat::new(number, secret, honest)?))
        })
        .collect()
}

/// Founds the network and seats its validators; returns the parties' accounts too.
fn set_stage(
    context: &Context,
    seed: u64,
    options: &Options,
    scenario: &Scenario,
    roles: &[Role],
) -> Result<(Arc<Stage>, Vec<Address>), Error> {
    let (genesis, secrets, addresses) = found(seed, options.validators, roles)?;
    let count = secrets.len();
    let seats = seats(secrets, scenario.has_twin())?;
    let keys: Vec<ValidatorKey> = seats
        .iter()
        .take(count)
        .map(|seat| seat.key.clone())
        .collect();
    let spec = genesis
        .spec()
        .map_err(|error| Error::Setup(error.to_string()))?;
    let links = open_network(context, &keys)?;
    let site = Arc::new(Site {
        genesis,
        spec,
        timing: options.timing,
        links,
    });
    Ok((Arc::new(Stage::new(seed, site, seats)), addresses))
}

impl Simulation {
    async fn new(
        context: &Context,
        seed: u64,
        options: &Options,
        scenario: Scenario,
    ) -> Result<Self, Error> {
        let roles = cast(&scenario, options);
        let (stage, addresses) = set_stage(context, seed, options, &scenario, &roles)?;
        let count = usize::try_from(options.validators).unwrap_or(usize::MAX);
        let honest: Result<Vec<_>, Error> = (0..options.nodes)
            .map(|number| Role::HonestNode(number).node(seed))
            .collect();
        let logs = Logs::new(stage.site.spec.domain, honest?);
        let first = first_block(&stage)?;
        let endowment = (ENDOWMENT_WEI, ENDOWMENT_CREDITS);
        let spec = &stage.site.spec;
        let checker = Checker::new(
            spec,
            &first,
            addresses,
            endowment,
            logs.clone(),
            stage.seats.len(),
        );
        let mut simulation = Self {
            active: options.active,
            patience: options.patience,
            checker,
            logs,
            identities: stage
                .seats
                .iter()
                .take(count)
                .map(|seat| seat.key.clone())
                .collect(),
            validators: (0..count).map(|_| None).collect(),
            twins: Vec::new(),
            nodes: (0..options.nodes).map(|_| (None, 0)).collect(),
            others: Vec::new(),
            faults: 0,
            restarts: 0,
            stage,
            scenario,
        };
        simulation.populate(context, &roles).await?;
        Ok(simulation)
    }

    /// Connects and starts everybody.
    async fn populate(&mut self, context: &Context, roles: &[Role]) -> Result<(), Error> {
        self.connect_all(self.scenario.loss_permille).await?;
        let twin = self.scenario.has_twin();
        for seat in 0..self.alone() {
            self.start_validator(context, seat).await?;
        }
        if twin {
            self.start_twins(context, self.alone()).await?;
        }
        for role in roles {
            match role {
                Role::HonestNode(number) => {
                    self.start_node(context, usize::try_from(*number).unwrap_or(usize::MAX));
                }
                _ => self
                    .others
                    .push(parties::start(context, &self.stage, &self.logs, *role, 0)),
            }
        }
        Ok(())
    }

    /// Number of validators that are no twins; twins come after them and are never restarted.
    fn alone(&self) -> usize {
        self.validators
            .len()
            .saturating_sub(usize::from(self.scenario.has_twin()))
    }

    async fn start_validator(&mut self, context: &Context, number: usize) -> Result<(), Error> {
        let (Some(slot), Some(seat)) = (
            self.validators.get_mut(number),
            self.stage.seats.get(number),
        ) else {
            return Ok(());
        };
        if slot.is_none() && seat.honest {
            *slot = Some(validator::start(context, &self.stage.site, seat).await?);
        }
        Ok(())
    }

    async fn start_twins(&mut self, context: &Context, first: usize) -> Result<(), Error> {
        let seats = &self.stage.seats;
        let (Some(one), Some(two)) = (seats.get(first), seats.get(first.saturating_add(1))) else {
            return Ok(());
        };
        let mut rng = self.stage.rng(Fraud::TwinValidator.name(), 0);
        let others: Vec<ValidatorKey> = self
            .identities
            .iter()
            .filter(|key| **key != one.key)
            .cloned()
            .collect();
        let friends: BTreeSet<ValidatorKey> = others
            .iter()
            .filter(|_| rng.random_bool(0.5))
            .cloned()
            .collect();
        let site = &self.stage.site;
        let started = twin_validator::start(context, site, (one, two), others, friends).await?;
        self.twins.extend(started);
        Ok(())
    }

    fn start_node(&mut self, context: &Context, number: usize) {
        let Some((handle, generation)) = self.nodes.get_mut(number) else {
            return;
        };
        if handle.is_none() {
            let role = Role::HonestNode(u32::try_from(number).unwrap_or(u32::MAX));
            *handle = Some(parties::start(
                context,
                &self.stage,
                &self.logs,
                role,
                *generation,
            ));
            *generation = generation.saturating_add(1);
        }
    }

    fn link(&self, loss_permille: u16) -> Link {
        link(self.scenario.latency, self.scenario.jitter, loss_permille)
    }

    async fn connect_all(&self, loss_permille: u16) -> Result<(), Error> {
        self.connect(&self.link(loss_permille), |_, _| true).await
    }

    /// Sets every link for which `open` holds, by the places of its ends, and cuts the others.
    async fn connect(&self, link: &Link, open: impl Fn(usize, usize) -> bool) -> Result<(), Error> {
        for (a, from) in self.identities.iter().enumerate() {
            for (b, to) in self.identities.iter().enumerate().filter(|(b, _)| *b != a) {
                let link = open(a, b).then_some(link);
                set_link(&self.stage.site.links, (from, to), link).await?;
            }
        }
        Ok(())
    }

    async fn apply(&mut self, context: &Context, fault: &Fault) -> Result<(), Error> {
        let loss_permille = self.scenario.loss_permille;
        match fault {
            Fault::CrashValidator(number) => self.crash_validator(*number),
            Fault::CrashNode(number) => {
                if let Some(handle) = self
                    .nodes
                    .get_mut(*number)
                    .and_then(|(handle, _)| handle.take())
                {
                    handle.abort();
                }
            }
            Fault::RestartValidator(number) => {
                self.restarts = self.restarts.saturating_add(1);
                return self.start_validator(context, *number).await;
            }
            Fault::RestartNode(number) => {
                self.restarts = self.restarts.saturating_add(1);
                self.start_node(context, *number);
                return Ok(());
            }
            Fault::Cut(some) => {
                let same = |a: usize, b: usize| some.contains(&a) == some.contains(&b);
                self.connect(&self.link(loss_permille), same).await?;
            }
            Fault::Lose(permille) => self.connect_all((*permille).max(loss_permille)).await?,
            Fault::Heal => return self.connect_all(loss_permille).await,
        }
        self.faults = self.faults.saturating_add(1);
        Ok(())
    }

    fn crash_validator(&mut self, number: usize) {
        let handle = self.validators.get_mut(number).and_then(Option::take);
        if let (Some(handle), Some(seat)) = (handle, self.stage.seats.get(number)) {
            seat.crash(&handle);
        }
    }

    /// Plays the scenario to its end.
    ///
    /// # Errors
    /// [`Error`] with the first promise that does not hold.
    async fn play(&mut self, context: &Context) -> Result<(), Error> {
        let start_ms = now_ms(context);
        let active_ms = millis(self.active);
        let mut faults = std::mem::take(&mut self.scenario.faults)
            .into_iter()
            .peekable();
        loop {
            context.sleep(STEP).await;
            let at_ms = now_ms(context).saturating_sub(start_ms);
            while let Some((_, fault)) = faults.next_if(|(when_ms, _)| *when_ms <= at_ms) {
                self.apply(context, &fault).await?;
            }
            self.look(at_ms).await?;
            if at_ms >= active_ms {
                break;
            }
        }
        self.calm_down(context).await?;
        self.settle(context, start_ms).await
    }

    /// Lets no more faults happen: every link works, everybody runs.
    async fn calm_down(&mut self, context: &Context) -> Result<(), Error> {
        self.stage.quiet.store(true, Ordering::Relaxed);
        self.connect(&self.link(0), |_, _| true).await?;
        for seat in 0..self.alone() {
            self.start_validator(context, seat).await?;
        }
        for node in 0..self.nodes.len() {
            self.start_node(context, node);
        }
        Ok(())
    }

    /// Waits until all that was acknowledged has settled, and every honest validator knows it.
    async fn settle(&mut self, context: &Context, start_ms: u64) -> Result<(), Error> {
        let deadline_ms = millis(self.active).saturating_add(millis(self.patience));
        let mut target = None;
        loop {
            context.sleep(STEP).await;
            let at_ms = now_ms(context).saturating_sub(start_ms);
            self.look(at_ms).await?;
            let missing = self.checker.missing();
            if missing.is_empty() && target.is_none() && self.is_punished()? {
                target = Some(self.checker.height());
            }
            let reached =
                target.is_some_and(|height| self.checker.all_reached(&self.stage.seats, height));
            if reached && self.same_state(at_ms).await? && self.provable(at_ms).await? {
                return Ok(());
            }
            if at_ms > deadline_ms {
                return Err(self.stuck(at_ms, missing.len(), target)?);
            }
        }
    }

    fn stuck(&self, at_ms: u64, missing: usize, target: Option<u64>) -> Result<Error, Error> {
        let heights: Result<Vec<u64>, Error> = self
            .stage
            .seats
            .iter()
            .map(|seat| index_height(seat))
            .collect();
        let heights = heights?;
        let invariant = match (missing, target) {
            (0, None) => Invariant::Slashing,
            _ => Invariant::NothingLost,
        };
        let detail = format!("{missing} receipts missing; validators at heights {heights:?}");
        Ok(Error::Broken {
            at_ms,
            height: self.checker.height(),
            invariant,
            detail,
        })
    }

    /// Whether every equivocator of whom two receipts are in blocks has lost its bond.
    fn is_punished(&self) -> Result<bool, Error> {
        let fraud = Fraud::Equivocator;
        let node = Role::Fraud(fraud).node(self.stage.seed)?;
        let guilty = self.scenario.frauds.contains(&fraud) && self.checker.equivocated(node);
        Ok(!guilty || self.checker.slashed().contains(&node))
    }

    async fn same_state(&self, at_ms: u64) -> Result<bool, Error> {
        for seat in self.stage.seats.iter().filter(|seat| seat.honest) {
            let height = self.checker.height();
            let invariant = Invariant::SameState;
            let same = self.checker.compare_state(seat).await;
            if !same.map_err(|detail| Error::Broken {
                at_ms,
                height,
                invariant,
                detail,
            })? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the last receipt that settled, and one more, have proofs that verify offline; proofs
    /// that were tampered with must not.
    async fn provable(&self, at_ms: u64) -> Result<bool, Error> {
        let height = self.checker.height();
        let broken = |detail| Error::Broken {
            at_ms,
            height,
            invariant: Invariant::Provable,
            detail,
        };
        let mut rng = self.stage.rng("proofs", 0);
        let settled = self.checker.settled();
        let sample = [
            settled.values().max_by_key(|receipt| receipt.height),
            settled.values().choose(&mut rng),
        ];
        for receipt in sample.into_iter().flatten() {
            let seat = self.stage.seats.iter().find(|seat| seat.honest);
            let Some(live) = seat.and_then(|seat| seat.live()) else {
                return Ok(false);
            };
            if !check_proof(&self.stage.site.genesis, &live, receipt)
                .await
                .map_err(broken)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Checks all invariants, and that no party failed.
    async fn look(&mut self, at_ms: u64) -> Result<(), Error> {
        self.checker.advance(&self.stage.seats, at_ms).await?;
        let failures = self.stage.failures();
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    fn tally(&self, context: &Context) -> Tally {
        Tally {
            height: self.checker.height(),
            tip: self.checker.tip(),
            settled: count(self.checker.settled().len()),
            acknowledged: count(self.logs.acknowledged().len()),
            refused: self.checker.refused(),
            turned_away: self.stage.turned_away.load(Ordering::Relaxed),
            slashed: count(self.checker.slashed().len()),
            faults: self.faults,
            restarts: self.restarts,
            simulated_ms: now_ms(context).saturating_sub(millis(START)),
        }
    }

    fn stop(self) {
        let validators = self.validators.iter().flatten();
        validators.chain(&self.twins).for_each(Handle::abort);
        let nodes = self.nodes.iter().filter_map(|(handle, _)| handle.as_ref());
        nodes.chain(&self.others).for_each(Handle::abort);
    }
}

/// Cuts a receipt's proof and verifies it as a light client does; `false` if its block is not
/// certified yet.
async fn check_proof(
    genesis: &Genesis,
    live: &Live,
    settled: &SettledReceipt,
) -> Result<bool, String> {
    let network = genesis.network().map_err(|error| error.to_string())?;
    let receipt = &settled.signed.receipt;
    let name = format!("receipt {} of node {}", receipt.sequence, receipt.node);
    let (node, revision, sequence) = (
        receipt.node.to_address(),
        receipt.revision,
        receipt.sequence,
    );
    let proof = prove(
        &live.shelf,
        &live.marshal,
        &network,
        node,
        revision,
        sequence,
    )
    .await;
    let Some(proof) = proof.map_err(|error| format!("{name}: {error}"))? else {
        return Ok(false);
    };
    match light::verify(&network, &proof) {
        Ok(proven) if proven.receipt == settled.signed && proven.height == settled.height => {}
        Ok(_) => return Err(format!("{name}: the proof is of something else")),
        Err(failure) => return Err(format!("{name}: {failure}")),
    }
    let mut forged = proof.clone();
    let mut bytes = proof.receipt.to_vec();
    if let Some(byte) = bytes.get_mut(FLIPPED_BYTE) {
        *byte ^= 1;
    }
    forged.receipt = bytes.into();
    match light::verify(&network, &forged) {
        Err(failure) if failure.refutes() => Ok(true),
        _ => Err(format!("{name}: a proof with another output verifies")),
    }
}

/// A byte of the output commitment in a receipt's binary form: behind version, request, nonce,
/// revision, engine, parameters, seed and input.
const FLIPPED_BYTE: usize = 1 + 32 + 16 + 32 + 32 + 32 + 8 + 32;

fn first_block(stage: &Stage) -> Result<assay_chain::block::Block, Error> {
    use assay_chain::{
        application::{Pace, Shelf},
        index::Index,
    };
    let index = Index::in_memory().map_err(|error| Error::Setup(error.to_string()))?;
    let shelf = Shelf::new(stage.site.spec.clone(), index, Pace::default());
    Ok(engine::genesis::<Context>(&shelf))
}

/// A duration in whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
