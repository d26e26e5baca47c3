//! Who takes part besides validators: honest nodes, a watcher, and each fraud in its own file.

pub(crate) mod equivocator;
pub(crate) mod honest_node;
pub(crate) mod receipt_forger;
pub(crate) mod receipt_replayer;
pub(crate) mod registration;
pub(crate) mod twin_validator;
pub(crate) mod watcher;
pub(crate) mod withholder;

use crate::{
    client::{Client, Stage},
    error::Error,
    node_log::Logs,
    scenario::Fraud,
    wallet::{self, Wallet},
};
use alloy_primitives::Address;
use assay_receipt::{NodeAddress, NodeKey};
use commonware_runtime::{
    Clock as _, Handle, Spawner as _, Supervisor as _, deterministic::Context,
};
use rand::RngExt as _;
use std::{sync::Arc, time::Duration};

/// A party of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Honest node number so and so.
    HonestNode(u32),
    /// Reads the chain and reports equivocation.
    Watcher,
    /// A dishonest one.
    Fraud(Fraud),
}

impl Role {
    /// Name under which its keys are derived.
    pub(crate) fn name(self) -> String {
        match self {
            Self::HonestNode(number) => format!("honest_node_{number}"),
            Self::Watcher => "watcher".into(),
            Self::Fraud(fraud) => fraud.name().into(),
        }
    }

    /// Its account's address under `seed`.
    ///
    /// # Errors
    /// [`Error::Setup`] if the derived key is none.
    pub(crate) fn account(self, seed: u64, chain_id: u64) -> Result<Address, Error> {
        Ok(Wallet::new(seed, &self.name(), chain_id)?.address())
    }

    /// Its node key under `seed`.
    ///
    /// # Errors
    /// [`Error::Setup`] if the derived key is none.
    pub(crate) fn node_key(self, seed: u64) -> Result<Arc<NodeKey>, Error> {
        Ok(Arc::new(wallet::key(
            seed,
            &format!("{}/node", self.name()),
        )?))
    }

    /// Address of its node key under `seed`.
    ///
    /// # Errors
    /// [`Error::Setup`] if the derived key is none.
    pub(crate) fn node(self, seed: u64) -> Result<NodeAddress, Error> {
        Ok(self.node_key(seed)?.address())
    }
}

/// Pause before a party tries again to reach a validator.
const RECONNECT: Duration = Duration::from_millis(200);
/// Between two looks at the chain: shortest and longest, milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 180..420;

/// Starts a party for the `generation`th time.
pub(crate) fn start(
    context: &Context,
    stage: &Arc<Stage>,
    logs: &Logs,
    role: Role,
    generation: u32,
) -> Handle<()> {
    let context = context.child("party").with_attribute("role", role.name());
    let context = context.with_attribute("generation", generation);
    let (stage, logs) = (stage.clone(), logs.clone());
    context.spawn(move |context| async move {
        if let Err(error) = live(&context, &stage, logs, role, generation).await {
            stage.fail(error);
        }
    })
}

async fn live(
    context: &Context,
    stage: &Arc<Stage>,
    logs: Logs,
    role: Role,
    generation: u32,
) -> Result<(), Error> {
    let client = connect(context, stage, role, generation).await?;
    match role {
        Role::HonestNode(_) => honest_node::live(context, client, role, logs).await,
        Role::Watcher => watcher::live(context, client).await,
        Role::Fraud(Fraud::Equivocator) => equivocator::live(context, client, role).await,
        Role::Fraud(Fraud::ReceiptReplayer) => receipt_replayer::live(context, client).await,
        Role::Fraud(Fraud::ReceiptForger) => receipt_forger::live(context, client, role).await,
        Role::Fraud(Fraud::Withholder) => withholder::live(context, client, role).await,
        // Not a client of validators but one of them; the simulation seats it.
        Role::Fraud(Fraud::TwinValidator) => Ok(()),
    }
}

async fn connect(
    context: &Context,
    stage: &Arc<Stage>,
    role: Role,
    generation: u32,
) -> Result<Client, Error> {
    loop {
        let wallet = Wallet::new(stage.seed, &role.name(), stage.site.spec.chain_id)?;
        let rng = stage.rng(&role.name(), generation);
        match Client::connect(stage, wallet, rng).await {
            Some(client) => return Ok(client),
            None => context.sleep(RECONNECT).await,
        }
    }
}

/// Waits until the next look at the chain.
pub(crate) async fn pause(context: &Context, client: &mut Client) {
    let pause_ms = client.rng.random_range(PAUSE_MS);
    context.sleep(Duration::from_millis(pause_ms)).await;
}
