//! The files of a local network: genesis, keys, one configuration for each role.

use crate::{
    Error,
    config::{NodeConfig, read_key, write_key},
    files::{Access, read_json, write_json, write_text, write_toml},
    gateway,
    hub::{HubConfig, HubLimits, SearchConfig, Storage, network::Participation},
    limits::Limits,
    local::{
        ports::{MAX_HUBS, MAX_NODES, NODES, Ports, VALIDATORS},
        role::RoleName,
    },
    place::Place,
    validator,
};
use alloy_primitives::{B256, U256};
use assay_chain::{
    genesis::{self, Account, Genesis},
    light::Network,
};
use assay_hub::policy::{self, Retention};
use assay_receipt::{Microcredits, NodeAddress, NodeKey};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// EIP-155 chain id of local networks; no public chain has it.
pub const CHAIN_ID: u64 = 41_413;
/// Native balance of each account, wei: a million coins, more than a local network ever burns.
const WEI: u128 = 1_000_000_000_000_000_000_000_000;
/// Assay Credit of each account that pays for something, microcredits: a million credits.
const MICROCREDITS: u64 = 1_000_000_000_000;
/// Name of the network.
const NETWORK_NAME: &str = "local";
/// Says with what the network was made; without this file there is no network.
const MADE: &str = "made.json";
/// File of a node's secret key, in its folder.
const NODE_KEY: &str = "node.key";
/// File of a hub's secret key, in its folder.
const HUB_KEY: &str = "hub.key";
/// Between two audits of a hub's: often enough that somebody who tries it out sees them.
const HUB_AUDIT_MS: u64 = 2_000;
/// How wrong the clock may be, milliseconds. All roles share one clock, whose distance from UTC nobody measured.
const CLOCK_UNCERTAINTY_MS: u64 = 1_000;

/// An account of a local network with its secret, in the clear: it exists to be tried out.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountKey {
    /// The account.
    pub address: NodeAddress,
    /// The secret key, 32 bytes.
    pub secret: B256,
}

impl std::fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountKey")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl AccountKey {
    fn random() -> Result<Self, Error> {
        let mut secret = [0; 32];
        rand::rng().fill_bytes(&mut secret);
        let address = NodeKey::from_bytes(secret)?.address();
        Ok(Self {
            address,
            secret: secret.into(),
        })
    }

    /// The key that signs for the account.
    ///
    /// # Errors
    /// [`Error::Receipt`] if the secret is none.
    pub fn key(&self) -> Result<NodeKey, Error> {
        Ok(NodeKey::from_bytes(self.secret.0)?)
    }
}

/// Accounts of a local network with their keys; a file for people who try things out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// Publishes the models, and is free for anything else.
    pub developer: AccountKey,
    /// The operators of the nodes.
    pub operators: Vec<AccountKey>,
    /// One operator for each hub that there may be.
    pub hub_operators: Vec<AccountKey>,
}

/// What the folder was made with.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Made {
    ports: Ports,
    hubs: u16,
    #[serde(default = "ordinary")]
    sites: Vec<Site>,
}

/// An inference node of a local network: whose it is, and where it says that it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Its operator, by place in [`Accounts::operators`].
    pub operator: u16,
    /// What it declares.
    pub domains: Place,
}

/// Three nodes of an operator each. Nodes of one machine share everything, and are told apart by made-up data centres
/// that say so.
fn ordinary() -> Vec<Site> {
    let sites = (0..NODES).map(|index| Site {
        operator: index,
        domains: Place {
            data_centre: format!("local-{index}"),
            ..Place::default()
        },
    });
    sites.collect()
}

/// What a local network is made of that one can choose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wishes {
    /// Its ports; those of DESIGN.md, or of the network that is there, if absent.
    pub ports: Option<Ports>,
    /// Its hubs, at most [`MAX_HUBS`]; one, or as many as the network has that is there, if absent.
    pub hubs: Option<u16>,
    /// Its nodes, at most [`MAX_NODES`], with operators below that number; three of an operator each, or those of the
    /// network that is there, if absent.
    pub sites: Option<Vec<Site>>,
}

/// A local network as it lies in its folder.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The folder.
    pub data: PathBuf,
    /// Its ports.
    pub ports: Ports,
    /// How many hubs it has.
    pub hubs: u16,
    /// Its nodes.
    pub sites: Vec<Site>,
    /// What its clients trust.
    pub network: Network,
    /// Its accounts.
    pub accounts: Accounts,
}

impl Plan {
    /// Whether there is a network in `data`.
    pub fn exists(data: &Path) -> bool {
        data.join(MADE).exists()
    }

    /// The network in `data`, made now if there is none, with a configuration for each role that serves the
    /// revision directories `models`.
    ///
    /// # Errors
    /// [`Error::Config`] if a file cannot be written or read, or if the network there has other ports or hubs.
    pub fn open(data: &Path, wishes: Wishes, models: &[PathBuf]) -> Result<Self, Error> {
        if !data.join(MADE).exists() {
            let hubs = wishes.hubs.unwrap_or(1).min(MAX_HUBS);
            let ports = wishes.ports.unwrap_or_default();
            let sites = wishes.sites.clone().unwrap_or_else(ordinary);
            check_sites(&sites).map_err(|reason| Error::config(data, reason))?;
            make(data, Made { ports, hubs, sites })?;
        }
        let data = data
            .canonicalize()
            .map_err(|error| Error::config(data, error))?;
        let made: Made = read_json(&data.join(MADE))?;
        if wishes.hubs.is_some_and(|hubs| hubs != made.hubs) {
            let reason = format!(
                "the network in this folder has {} hubs; make a new network for more or fewer",
                made.hubs
            );
            return Err(Error::config(&data, reason));
        }
        if wishes.ports.is_some_and(|ports| ports != made.ports) {
            let reason = "the network in this folder has other ports, which its nodes registered on chain; \
                          leave the port base out, or make a new network";
            return Err(Error::config(&data, reason));
        }
        if wishes.sites.is_some_and(|sites| sites != made.sites) {
            let reason = "the network in this folder has other nodes; make a new network";
            return Err(Error::config(&data, reason));
        }
        let plan = Self {
            network: read_json(&data.join("network.json"))?,
            accounts: read_json(&data.join("accounts.json"))?,
            ports: made.ports,
            hubs: made.hubs,
            sites: made.sites,
            data,
        };
        plan.configure(models)?;
        Ok(plan)
    }

    /// The roles, in the order in which they start.
    pub fn roles(&self) -> Vec<RoleName> {
        roles(self.node_count(), self.hubs)
    }

    /// Folder of a role.
    pub fn folder(&self, role: RoleName) -> PathBuf {
        self.data.join(role.to_string())
    }

    /// Configuration file of a role.
    pub fn config(&self, role: RoleName) -> PathBuf {
        self.folder(role).join("config.toml")
    }

    /// Log file of a role that has a process of its own.
    pub fn log(&self, role: RoleName) -> PathBuf {
        self.folder(role).join("role.log")
    }

    /// JSON-RPC of every validator.
    pub fn rpc_urls(&self) -> Vec<String> {
        (0..VALIDATORS)
            .map(|index| format!("http://{}", self.ports.rpc(index)))
            .collect()
    }

    /// The gateway's address.
    pub fn gateway_url(&self) -> String {
        format!("http://{}", self.ports.gateway())
    }

    /// Where node `index` answers.
    pub fn node_url(&self, index: u16) -> String {
        format!("http://{}", self.ports.node(index))
    }

    /// The key of node `index`.
    ///
    /// # Errors
    /// [`Error::Config`] if its file is damaged.
    pub fn node_key(&self, index: u16) -> Result<NodeKey, Error> {
        read_key(&self.folder(RoleName::Node(index)).join(NODE_KEY))
    }

    /// How many nodes it has.
    pub fn node_count(&self) -> u16 {
        u16::try_from(self.sites.len()).unwrap_or(MAX_NODES)
    }

    /// Node `index`.
    ///
    /// # Errors
    /// [`Error::Config`] if there is none.
    pub fn site(&self, index: u16) -> Result<&Site, Error> {
        let site = self.sites.get(usize::from(index));
        site.ok_or_else(|| Error::config(MADE, format!("there is no node {index}")))
    }

    /// The account that answers for node `index`.
    ///
    /// # Errors
    /// [`Error::Config`] if there is none.
    pub fn node_operator(&self, index: u16) -> Result<&AccountKey, Error> {
        let operator = usize::from(self.site(index)?.operator);
        let operator = self.accounts.operators.get(operator);
        operator.ok_or_else(|| Error::config("accounts.json", "a node has no operator"))
    }

    fn configure(&self, models: &[PathBuf]) -> Result<(), Error> {
        for role in self.roles() {
            let file = self.config(role);
            match role {
                RoleName::Validator(index) => {
                    write_toml(&file, &self.validator(index), Access::Public)?;
                }
                RoleName::Node(index) => {
                    write_toml(&file, &self.node(index, models)?, Access::Public)?;
                }
                RoleName::Hub(index) => {
                    write_toml(&file, &self.hub(index)?, Access::Public)?;
                }
                RoleName::Gateway => write_toml(&file, &self.gateway(), Access::Public)?,
            }
        }
        Ok(())
    }

    fn validator(&self, index: u16) -> validator::Config {
        validator::Config {
            genesis: "../genesis.json".into(),
            key: "key.json".into(),
            data: "data".into(),
            listen: self.ports.peer(index),
            validators: (0..VALIDATORS)
                .map(|index| self.ports.peer(index))
                .collect(),
            rpc: self.ports.rpc(index),
            metrics: self.ports.metrics(index),
            workers: 1,
            block_ms: validator::default_block_ms(),
            empty_block_ms: validator::default_empty_block_ms(),
            domains: Place::default(),
        }
    }

    fn node(&self, index: u16, models: &[PathBuf]) -> Result<NodeConfig, Error> {
        // Each asks another validator first, so that one validator's end is felt by few.
        let mut rpc = self.rpc_urls();
        rpc.rotate_left(usize::from(index % VALIDATORS));
        let operator = self.node_operator(index)?;
        Ok(NodeConfig {
            data: "data".into(),
            key: NODE_KEY.into(),
            network: "../network.json".into(),
            models: models.iter().cloned().map(Into::into).collect(),
            allow_private_hubs: true,
            onnxruntime: None,
            secrets: Vec::new(),
            checks: true,
            lie_while: Some("lie".into()),
            listen: self.ports.node(index),
            endpoint: self.node_url(index),
            operator: operator.address.to_address(),
            rpc,
            clock_uncertainty_ms: CLOCK_UNCERTAINTY_MS,
            price_microcredits: Microcredits::ZERO,
            domains: self.site(index)?.domains.clone(),
            limits: Limits::default(),
        })
    }

    fn hub(&self, index: u16) -> Result<HubConfig, Error> {
        let operator = self.hub_operator(index)?;
        let mut rpc = self.rpc_urls();
        rpc.rotate_left(usize::from(index % VALIDATORS));
        Ok(HubConfig {
            data: "data".into(),
            key: HUB_KEY.into(),
            listen: self.ports.hub(index),
            endpoint: self.hub_url(index),
            operator: operator.address.to_address(),
            network: Some("../network.json".into()),
            rpc,
            handles: BTreeMap::new(),
            retention: Retention::default(),
            search: SearchConfig::default(),
            participation: Participation {
                copies: usize::from(MAX_HUBS),
                audit_every_ms: HUB_AUDIT_MS,
                allow_private_hubs: true,
                ..Participation::default()
            },
            storage: Storage::default(),
            domains: Place::default(),
            limits: HubLimits::default(),
        })
    }

    /// Where hub `index` answers.
    pub fn hub_url(&self, index: u16) -> String {
        format!("http://{}", self.ports.hub(index))
    }

    /// Digest of the policy that every hub of this network signs.
    ///
    /// # Errors
    /// [`Error::Config`] if it has none.
    pub fn hub_policy(&self) -> Result<B256, Error> {
        let digest = policy::digest(&Retention::default());
        let digest = digest.map_err(|error| Error::config("retention", error))?;
        Ok(digest.into())
    }

    /// The key of hub `index`.
    ///
    /// # Errors
    /// [`Error::Config`] if its file is damaged.
    pub fn hub_key(&self, index: u16) -> Result<NodeKey, Error> {
        read_key(&self.folder(RoleName::Hub(index)).join(HUB_KEY))
    }

    /// The operator of hub `index`.
    ///
    /// # Errors
    /// [`Error::Config`] if there is none.
    pub fn hub_operator(&self, index: u16) -> Result<&AccountKey, Error> {
        let operator = self.accounts.hub_operators.get(usize::from(index));
        operator.ok_or_else(|| Error::config("accounts.json", "a hub has no operator"))
    }

    fn gateway(&self) -> gateway::Config {
        let network = "../network.json".into();
        gateway::Config {
            allow_private_nodes: true,
            ..gateway::Config::new(network, self.ports.gateway(), self.rpc_urls())
        }
    }
}

fn check_sites(sites: &[Site]) -> Result<(), String> {
    if sites.is_empty() || sites.len() > MAX_NODES.into() {
        return Err(format!(
            "{} nodes; a local network has 1 to {MAX_NODES}",
            sites.len()
        ));
    }
    if sites.iter().any(|site| site.operator >= MAX_NODES) {
        return Err(format!("operators are numbered below {MAX_NODES}"));
    }
    sites.iter().try_for_each(|site| site.domains.check())
}

/// The roles of a network of `nodes` nodes and `hubs` hubs, in the order in which they start.
fn roles(nodes: u16, hubs: u16) -> Vec<RoleName> {
    let validators = (0..VALIDATORS).map(RoleName::Validator);
    validators
        .chain((0..hubs).map(RoleName::Hub))
        .chain((0..nodes).map(RoleName::Node))
        .chain([RoleName::Gateway])
        .collect()
}

/// Deals keys and writes everything but the configurations. `made.json` comes last: without it there is no network.
fn make(data: &Path, made: Made) -> Result<(), Error> {
    let some = |count: u16| {
        (0..count)
            .map(|_| AccountKey::random())
            .collect::<Result<Vec<_>, _>>()
    };
    let developer = AccountKey::random()?;
    let last = made.sites.iter().map(|site| site.operator).max();
    let operators = some(last.unwrap_or(0).saturating_add(1))?;
    let nodes = some(u16::try_from(made.sites.len()).unwrap_or(MAX_NODES))?;
    let (hub_operators, hubs) = (some(MAX_HUBS)?, some(MAX_HUBS)?);
    let paying = [&developer]
        .into_iter()
        .chain(&operators)
        .chain(&hub_operators);
    let mut accounts: Vec<Account> = paying.map(|key| endowed(key, MICROCREDITS)).collect();
    accounts.extend(nodes.iter().chain(&hubs).map(|key| endowed(key, 0)));
    let (genesis, secrets) = genesis::deal(
        rand::rng(),
        NETWORK_NAME,
        CHAIN_ID,
        VALIDATORS.into(),
        accounts,
    )?;
    write_genesis(data, &genesis)?;
    for (index, secret) in (0..).zip(&secrets) {
        let path = data
            .join(RoleName::Validator(index).to_string())
            .join("key.json");
        write_json(&path, secret, Access::Owner)?;
    }
    for (index, key) in (0..).zip(&nodes) {
        let path = data.join(RoleName::Node(index).to_string()).join(NODE_KEY);
        write_key(&path, &key.secret.0)?;
    }
    for (index, key) in (0..made.hubs).zip(&hubs) {
        let path = data.join(RoleName::Hub(index).to_string()).join(HUB_KEY);
        write_key(&path, &key.secret.0)?;
    }
    write_key(&data.join("developer.key"), &developer.secret.0)?;
    write_json(
        &data.join("accounts.json"),
        &Accounts {
            developer,
            operators,
            hub_operators,
        },
        Access::Owner,
    )?;
    write_json(&data.join(MADE), &made, Access::Public)
}

fn endowed(key: &AccountKey, credits: u64) -> Account {
    Account {
        address: key.address.to_address(),
        wei: U256::from(WEI),
        credits: U256::from(credits),
    }
}

fn write_genesis(data: &Path, genesis: &Genesis) -> Result<(), Error> {
    write_json(&data.join("genesis.json"), genesis, Access::Public)?;
    write_json(
        &data.join("network.json"),
        &genesis.network()?,
        Access::Public,
    )
}

/// What else lies in the folder of a local network.
const LEFT_BY_A_RUN: [&str; 9] = [
    "genesis.json",
    "network.json",
    "accounts.json",
    "endpoints.json",
    "endpoints.env",
    "developer.key",
    "lock",
    "models",
    "demo",
];

/// Removes the local network in `data`, and nothing else that may lie there.
///
/// # Errors
/// [`Error::Config`] naming what cannot be removed.
pub fn remove(data: &Path) -> Result<(), Error> {
    let roles = roles(MAX_NODES, MAX_HUBS)
        .into_iter()
        .map(|role| role.to_string());
    // `made.json` goes first: what is half removed is no network.
    let names = [MADE.to_owned()].into_iter().chain(roles);
    let names = names.chain(LEFT_BY_A_RUN.map(str::to_owned));
    for path in names.map(|name| data.join(name)) {
        let removed = match std::fs::symlink_metadata(&path) {
            Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(&path),
            Ok(_) => std::fs::remove_file(&path),
            Err(_) => Ok(()),
        };
        removed.map_err(|error| Error::config(&path, error))?;
    }
    Ok(())
}

/// URLs and processes of a running local network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// The gateway.
    pub gateway: String,
    /// JSON-RPC over HTTP of each validator.
    pub rpc: Vec<String>,
    /// JSON-RPC over WebSocket of each validator.
    pub ws: Vec<String>,
    /// Each hub.
    pub hubs: Vec<String>,
    /// Each inference node.
    pub nodes: Vec<String>,
    /// `/metrics` of every role.
    pub metrics: Vec<String>,
    /// Process of each role that has one of its own, by name.
    pub pids: BTreeMap<String, u32>,
    /// Process that owns the network.
    pub owner: u32,
}

impl Plan {
    /// The network's addresses, with the processes given.
    pub fn endpoints(&self, pids: impl Iterator<Item = (RoleName, u32)>) -> Endpoints {
        let rpc = self.rpc_urls();
        let ws = (0..VALIDATORS)
            .map(|index| format!("ws://{}", self.ports.rpc(index)))
            .collect();
        let nodes = (0..self.node_count()).map(|index| self.node_url(index));
        let nodes: Vec<String> = nodes.collect();
        let validators =
            (0..VALIDATORS).map(|index| format!("http://{}", self.ports.metrics(index)));
        let metrics = validators
            .chain(nodes.iter().cloned())
            .chain([self.gateway_url()]);
        Endpoints {
            gateway: self.gateway_url(),
            rpc,
            ws,
            metrics: metrics.map(|url| format!("{url}/metrics")).collect(),
            hubs: (0..self.hubs).map(|index| self.hub_url(index)).collect(),
            nodes,
            pids: pids.map(|(role, pid)| (role.to_string(), pid)).collect(),
            owner: std::process::id(),
        }
    }

    /// Writes `endpoints.json`, and `endpoints.env` for shells: RPC_URL, WS_URL, GATEWAY_URL, HF_ENDPOINT and the PRIVATE_KEY of
    /// an account with means.
    ///
    /// # Errors
    /// [`Error::Config`] naming the file.
    pub fn write_endpoints(&self, endpoints: &Endpoints) -> Result<(), Error> {
        write_json(&self.data.join("endpoints.json"), endpoints, Access::Public)?;
        let first = |urls: &[String]| urls.first().cloned().unwrap_or_default();
        let environment = format!(
            "RPC_URL={}\nWS_URL={}\nGATEWAY_URL={}\nHF_ENDPOINT={}\nPRIVATE_KEY={}\n",
            first(&endpoints.rpc),
            first(&endpoints.ws),
            endpoints.gateway,
            first(&endpoints.hubs),
            self.accounts.developer.secret
        );
        write_text(
            &self.data.join("endpoints.env"),
            &environment,
            Access::Owner,
        )
    }

    /// Removes what [`Self::write_endpoints`] wrote: the network no longer answers.
    pub fn remove_endpoints(&self) {
        for name in ["endpoints.env", "endpoints.json"] {
            let _ = std::fs::remove_file(self.data.join(name));
        }
    }
}
