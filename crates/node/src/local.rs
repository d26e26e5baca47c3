//! A local network: four validators, three inference nodes of different operators or as many as are wished for, and a
//! gateway, in the threads of one process or in a process each.

pub mod models;
pub mod plan;
pub mod ports;
pub mod role;

pub use plan::Wishes;
pub use plan::{Accounts, Endpoints, Plan, Site};
pub use ports::Ports;
pub use role::{Isolation, Role, RoleName};

use crate::{
    Error,
    api::{HEALTH_PATH, Health, HealthStatus, MODELS_PATH},
    hub_registry::{self, HubRegistration},
    proofs,
    registry::{self, MIN_BOND, Models, Registration},
    rpc_client::RpcClient,
    wallet::{Action, Wallet, confirm},
};
use alloy_sol_types::SolCall as _;
use assay_chain::spec::MODEL_REGISTRY;
use assay_inference::{Revision, RevisionLimits};
use assay_receipt::RevisionId;
use futures::future::try_join_all;
use std::{
    fs::{File, TryLockError},
    future::Future,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// A step of the start takes at most this long, or the start failed: loading models on a busy machine is the longest.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(90);
/// Between two looks whether a step is done.
const POLL: Duration = Duration::from_millis(50);
/// One HTTP question of a look.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// A running local network. Dropping it kills the processes it owns; [`LocalNetwork::stop`] stops it well.
#[derive(Debug)]
pub struct LocalNetwork {
    plan: Plan,
    isolation: Isolation,
    roles: Vec<Role>,
    rpc: RpcClient,
    http: reqwest::Client,
    // Held for as long as the network runs: one folder, one network.
    _lock: File,
}

/// What the start is doing, for whoever shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Validators start and make their first block.
    Validators,
    /// Nodes are registered with their bonds.
    Registration,
    /// Nodes load their models.
    Nodes,
    /// The gateway finds the nodes.
    Gateway,
}

impl LocalNetwork {
    /// Starts the network of `plan` and waits until all of it answers; `progress` hears of each stage.
    ///
    /// # Errors
    /// [`Error`] if the folder is in use, a port is taken, a role ends, or a stage takes longer than [`STEP_TIMEOUT`].
    /// What was started is stopped again.
    pub async fn start(
        plan: Plan,
        isolation: Isolation,
        progress: &mut (dyn FnMut(Stage) + Send),
    ) -> Result<Self, Error> {
        let lock = lock(&plan)?;
        for address in plan.ports.all(plan.node_count(), plan.hubs) {
            // A role that finds its port taken would say so too, but later and in its own log.
            std::net::TcpListener::bind(address).map_err(|error| Error::Listen {
                address,
                reason: error.to_string(),
            })?;
        }
        let rpc = RpcClient::new(&plan.rpc_urls())?;
        let http = reqwest::Client::builder()
            .timeout(LOOK_TIMEOUT)
            .no_proxy()
            .build()
            .map_err(|error| Error::config("the HTTP client", error))?;
        let roles = plan
            .roles()
            .into_iter()
            .map(|name| Role::new(name, plan.config(name), plan.log(name)))
            .collect();
        let mut network = Self {
            plan,
            isolation,
            roles,
            rpc,
            http,
            _lock: lock,
        };
        match network.start_all(progress).await {
            Ok(()) => Ok(network),
            Err(error) => {
                network.stop().await;
                Err(error)
            }
        }
    }

    async fn start_all(&mut self, progress: &mut (dyn FnMut(Stage) + Send)) -> Result<(), Error> {
        progress(Stage::Validators);
        self.start_where(|name| matches!(name, RoleName::Validator(_)))?;
        let rpc = self.rpc.clone();
        let makes_blocks = async || rpc.height().await.is_ok_and(|height| height > 0);
        self.until("the validators make no block", makes_blocks)
            .await?;
        progress(Stage::Registration);
        self.register_hubs().await?;
        self.start_where(|name| matches!(name, RoleName::Hub(_)))?;
        self.register_nodes().await?;
        progress(Stage::Nodes);
        self.start_where(|name| matches!(name, RoleName::Node(_)))?;
        let nodes: Vec<u16> = (0..self.plan.node_count()).collect();
        self.nodes_answer(&nodes).await?;
        progress(Stage::Gateway);
        self.start_where(|name| name == RoleName::Gateway)?;
        self.gateway_is_ready().await
    }

    /// Waits until the gateway answers and knows a live node.
    ///
    /// # Errors
    /// [`Error`] after [`STEP_TIMEOUT`], or when a role ended by itself.
    pub async fn gateway_is_ready(&mut self) -> Result<(), Error> {
        let (http, url) = (
            self.http.clone(),
            format!("{}{HEALTH_PATH}", self.plan.gateway_url()),
        );
        let ready = async || {
            let Ok(response) = http.get(&url).send().await else {
                return false;
            };
            response
                .json::<Health>()
                .await
                .is_ok_and(|health| health.status == HealthStatus::Ok)
        };
        self.until("the gateway is not ready", ready).await
    }

    fn start_where(&mut self, wanted: impl Fn(RoleName) -> bool) -> Result<(), Error> {
        for role in self.roles.iter_mut().filter(|role| wanted(role.name)) {
            role.start(&self.isolation)?;
        }
        Ok(())
    }

    async fn until<F: Future<Output = bool>>(
        &mut self,
        otherwise: &'static str,
        done: impl Fn() -> F,
    ) -> Result<(), Error> {
        let started = Instant::now();
        while started.elapsed() < STEP_TIMEOUT {
            if done().await {
                return Ok(());
            }
            if let Some(fault) = self.roles.iter_mut().find_map(Role::fault) {
                return Err(Error::Local(fault));
            }
            sleep(POLL).await;
        }
        Err(Error::Local(format!(
            "{otherwise} after {} s",
            STEP_TIMEOUT.as_secs()
        )))
    }

    async fn register_nodes(&self) -> Result<(), Error> {
        // Nodes of one operator one after the other: its transactions are numbered.
        let operators = (0..).zip(&self.plan.accounts.operators);
        try_join_all(operators.map(async |(number, operator): (u16, _)| {
            let wallet = Wallet::new(Arc::new(operator.key()?), self.plan.network.chain_id);
            for (index, site) in (0..).zip(&self.plan.sites) {
                if site.operator == number {
                    self.register_node(index, site, &wallet).await?;
                }
            }
            Ok::<(), Error>(())
        }))
        .await?;
        Ok(())
    }

    async fn register_node(&self, index: u16, site: &Site, wallet: &Wallet) -> Result<(), Error> {
        let node = self.plan.node_key(index)?;
        let known = registry::node(&self.rpc, node.address()).await?;
        if known.standing.is_bonded() {
            return Ok(());
        }
        let registration = Registration {
            endpoint: self.plan.node_url(index),
            domains: site.domains.registered(),
            bond: MIN_BOND,
        };
        let network = &self.plan.network;
        registry::register_node(&self.rpc, wallet, &node, network, &registration).await?;
        Ok(())
    }

    async fn register_hubs(&self) -> Result<(), Error> {
        for index in 0..self.plan.hubs {
            let operator = self.plan.hub_operator(index)?;
            let wallet = Wallet::new(Arc::new(operator.key()?), self.plan.network.chain_id);
            let registration = HubRegistration {
                endpoint: self.plan.hub_url(index),
                policy: self.plan.hub_policy()?,
            };
            let (hub, network) = (self.plan.hub_key(index)?, &self.plan.network);
            hub_registry::register_hub(&self.rpc, &wallet, &hub, network, &registration).await?;
        }
        Ok(())
    }

    /// Publishes the revision directories that are not published yet, under the developer's account.
    /// Gives name and revision of each, in order.
    ///
    /// # Errors
    /// [`Error::Revision`] for a directory that does not verify; [`Error`] of the chain otherwise.
    pub async fn publish(
        &self,
        directories: &[PathBuf],
    ) -> Result<Vec<(String, RevisionId)>, Error> {
        let wallet = self.developer()?;
        let mut published = Vec::new();
        let mut sent = Vec::new();
        let mut nonce = self.rpc.pending_nonce(wallet.address()).await?;
        for directory in directories {
            let revision =
                Revision::open(directory, &RevisionLimits::default()).map_err(|error| {
                    Error::Revision {
                        directory: directory.clone(),
                        reason: error.to_string(),
                    }
                })?;
            let (name, id) = (revision.manifest().name.clone(), revision.id());
            let latest = registry::latest_revision(&self.rpc, wallet.address(), &name).await?;
            if latest != Some(id) {
                let signed = wallet.sign(&publish_action(&name, id), nonce);
                self.rpc.send_raw(&signed.raw).await?;
                nonce = nonce.saturating_add(1);
                sent.push(signed);
            }
            published.push((name, id));
        }
        for signed in &sent {
            let receipt = confirm(&self.rpc, signed).await?;
            if !receipt.succeeded() {
                let reason = "publishing a model".into();
                return Err(Error::Reverted {
                    hash: signed.hash,
                    reason,
                });
            }
        }
        self.register_models(&wallet, directories).await?;
        Ok(published)
    }

    /// Registers what can be proven of the revisions.
    async fn register_models(&self, wallet: &Wallet, directories: &[PathBuf]) -> Result<(), Error> {
        for directory in directories {
            let revision = Revision::open(directory, &RevisionLimits::default());
            if let Ok(revision) = revision {
                proofs::register(&self.rpc, wallet, &revision, None).await?;
            }
        }
        Ok(())
    }

    /// The account that publishes, with its means.
    ///
    /// # Errors
    /// [`Error::Config`] if its key cannot be read.
    pub fn developer(&self) -> Result<Wallet, Error> {
        let key = self.plan.accounts.developer.key()?;
        Ok(Wallet::new(Arc::new(key), self.plan.network.chain_id))
    }

    /// The files it lies in.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Asks its validators.
    pub fn rpc(&self) -> &RpcClient {
        &self.rpc
    }

    /// Where it answers, and its processes.
    pub fn endpoints(&self) -> Endpoints {
        self.plan.endpoints(
            self.roles
                .iter()
                .filter_map(|role| Some((role.name, role.pid()?))),
        )
    }

    /// Writes `endpoints.json` and `endpoints.env`, which tell others that the network is ready and where.
    ///
    /// # Errors
    /// [`Error::Config`] naming the file.
    pub fn announce(&self) -> Result<(), Error> {
        self.plan.write_endpoints(&self.endpoints())
    }

    /// Kills a role: SIGKILL where it has a process of its own.
    ///
    /// # Errors
    /// [`Error::System`] if the system refuses.
    pub async fn kill(&mut self, name: RoleName) -> Result<(), Error> {
        match self.roles.iter_mut().find(|role| role.name == name) {
            Some(role) => role.kill().await,
            None => Ok(()),
        }
    }

    /// Waits until these nodes answer.
    ///
    /// # Errors
    /// [`Error`] after [`STEP_TIMEOUT`], or when a role ended by itself.
    pub async fn nodes_answer(&mut self, nodes: &[u16]) -> Result<(), Error> {
        let urls: Vec<String> = nodes.iter().map(|node| self.plan.node_url(*node)).collect();
        let http = self.http.clone();
        let all_answer = async || {
            let all = urls
                .iter()
                .map(|url| answers(&http, format!("{url}{MODELS_PATH}")));
            futures::future::join_all(all)
                .await
                .into_iter()
                .all(|answer| answer)
        };
        self.until("the inference nodes do not answer", all_answer)
            .await
    }

    /// Starts a role again that was killed.
    ///
    /// # Errors
    /// [`Error::System`] if the system refuses.
    pub fn restart(&mut self, name: RoleName) -> Result<(), Error> {
        self.start_where(|role| role == name)
    }

    /// What went wrong with a role that ended by itself, if one did.
    pub fn fault(&mut self) -> Option<String> {
        self.roles.iter_mut().find_map(Role::fault)
    }

    /// Stops everything: gateway and nodes first, so that what they still settle finds a chain.
    pub async fn stop(&mut self) {
        for wanted in ["gateway", "node", "hub", "validator"] {
            let mut some: Vec<&mut Role> = self
                .roles
                .iter_mut()
                .filter(|role| role.name.subcommand() == wanted)
                .collect();
            for role in &mut some {
                role.ask_to_stop();
            }
            futures::future::join_all(some.into_iter().map(Role::stop)).await;
        }
        self.plan.remove_endpoints();
    }
}

/// Gas of publishing one revision under a name of the longest kind, twice over.
const PUBLISH_GAS: u64 = 600_000;

fn publish_action(name: &str, revision: RevisionId) -> Action {
    let call = Models::publishCall {
        name: name.into(),
        revision: revision.into(),
    };
    Action {
        to: MODEL_REGISTRY,
        data: call.abi_encode().into(),
        gas: PUBLISH_GAS,
    }
}

async fn answers(http: &reqwest::Client, url: String) -> bool {
    http.get(url)
        .send()
        .await
        .is_ok_and(|response| response.status().is_success())
}

fn lock(plan: &Plan) -> Result<File, Error> {
    let path = plan.data.join("lock");
    let file = File::create(&path).map_err(|error| Error::config(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::config(
            &plan.data,
            "the network in this folder is running already",
        )),
        Err(TryLockError::Error(error)) => Err(Error::config(&path, error)),
    }
}
