//! `assay hub`: the role, and tokens for hubs.

use crate::{
    cli,
    complaint::{Complaint, Exit},
    on_runtime,
    output::{self, Form},
    role, saved,
};
use anyhow::{Context as _, Result};
use assay_chain::{light::Network, spec::MODEL_REGISTRY};
use assay_hub::{
    Kind,
    policy::{Subject, digest},
};
use assay_node::{
    clock::now_ns,
    config::read_key,
    delegation::{Scope, Terms, Token, domain},
    files::read_json,
    hub::HubConfig,
    hub_registry::{HubRegistration, register_hub},
    reach::Reach,
    rpc_client::RpcClient,
    wallet::Wallet,
};
use assay_receipt::{Domain, NetworkId, NodeAddress, NodeKey};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// A hub has this long to say who it is.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest description of a hub that is read, bytes.
const MAX_DESCRIPTION: usize = 64 << 10;
/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// Runs the role or makes a token.
///
/// # Errors
/// A complaint of the role, about a file, or about the hub.
pub fn run(arguments: cli::Hub, form: Form) -> Result<Exit> {
    match (arguments.command, arguments.run) {
        (Some(cli::HubCommand::Token(arguments)), _) => on_runtime(token(arguments, form)),
        (Some(cli::HubCommand::Register(arguments)), _) => on_runtime(register(arguments, form)),
        (Some(cli::HubCommand::Refuse(arguments)), _) => on_runtime(refuse(arguments, form)),
        (None, Some(run)) => role::run(role::Kind::Hub, &run),
        (None, None) => Err(Complaint::usage("nothing to do")
            .hint("give --config FILE to run a hub, or one of its commands")
            .into()),
    }
}

/// What a token needs of a hub's description of itself.
#[derive(Debug, Deserialize)]
pub struct Described {
    /// Address of its key.
    pub hub: NodeAddress,
    /// Of the chain of its network; 0 for a hub that stands alone.
    pub chain_id: u64,
    network: NetworkId,
}

impl Described {
    /// Makes sure that the hub is of a network; of `None` are those that stand alone.
    ///
    /// # Errors
    /// A complaint that names the one that it says.
    pub fn check_network(&self, network: Option<&Network>) -> Result<(), Complaint> {
        let wanted = domain(network);
        if Domain::new(self.chain_id, self.network, MODEL_REGISTRY) == wanted {
            return Ok(());
        }
        let says = match self.chain_id {
            0 => "it says that it stands alone".to_owned(),
            chain_id => format!(
                "it says that it is a hub of network {} on chain {chain_id}",
                self.network
            ),
        };
        let expected = match network {
            None => "a hub that stands alone was named before it".to_owned(),
            Some(network) => format!(
                "this is network {} on chain {}",
                network.id(),
                network.chain_id
            ),
        };
        Err(Complaint::failed(format!("{says}, and {expected}"))
            .hint("name a hub of this network, or the network that the hub is of"))
    }
}

/// A token and what it allows.
#[derive(Debug, Serialize)]
struct Made {
    token: String,
    publisher: String,
    hub: NodeAddress,
    network: NetworkId,
    scope: &'static str,
    not_after_s: u64,
}

async fn register(arguments: cli::HubRegister, form: Form) -> Result<Exit> {
    let config = HubConfig::read(&arguments.config)?;
    let Some(network) = &config.network else {
        return Err(
            Complaint::usage("this hub stands alone: there is no list to enter it into")
                .hint("name network and rpc in its configuration")
                .into(),
        );
    };
    let network: Network = read_json(network)?;
    let (hub, operator) = (read_key(&config.key)?, read_key(&arguments.operator_key)?);
    if operator.address().to_address() != config.operator {
        return Err(
            Complaint::failed("the operator's key is not that of the configured operator")
                .hint("give the key file of the account that the configuration names")
                .into(),
        );
    }
    let rpc = RpcClient::new(&config.rpc)?;
    let wallet = Wallet::new(Arc::new(operator), network.chain_id);
    let registration = HubRegistration {
        endpoint: config.endpoint.clone(),
        policy: digest(&config.retention)?.into(),
    };
    register_hub(&rpc, &wallet, &hub, &network, &registration)
        .await
        .context("registering the hub")?;
    let value =
        json!({"hub": hub.address(), "operator": config.operator, "endpoint": config.endpoint});
    form.print(&value, |_| {
        output::rows(
            0,
            &[
                ("hub", hub.address().to_string()),
                ("endpoint", config.endpoint.clone()),
            ],
        )
    })?;
    Ok(Exit::Done)
}

async fn refuse(arguments: cli::HubRefuse, form: Form) -> Result<Exit> {
    let key = read_key(&arguments.operator_key)?;
    let described = describe(&arguments.hub, Reach { private: true }).await?;
    let subject = subject(&arguments.what)?;
    let token = issue(&described, &key, Scope::Write, 60)?;
    let http = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .no_proxy()
        .build()?;
    let body =
        json!({"subject": subject, "reason": arguments.reason, "withdrawn": arguments.withdraw});
    let url = format!("{}/assay/v1/refusals", arguments.hub.trim_end_matches('/'));
    let answer = http
        .post(url)
        .bearer_auth(token.to_text())
        .json(&body)
        .send()
        .await?;
    let status = answer.status();
    let said: serde_json::Value = answer.json().await.unwrap_or_default();
    if !status.is_success() {
        let why = said
            .get("error")
            .and_then(|why| why.as_str())
            .unwrap_or("it says nothing more");
        return Err(Complaint::failed(format!("the hub answers HTTP {status}: {why}"))
            .hint("only the hub's operator can refuse, with the key of the account that its configuration names")
            .into());
    }
    form.print(&said, |_| {
        format!("the hub's log has it: {}", arguments.reason)
    })?;
    Ok(Exit::Done)
}

/// What is refused, told by its form.
fn subject(what: &str) -> Result<Subject> {
    if let Ok(id) = what.parse() {
        return Ok(Subject::Revision { id });
    }
    if let Ok(id) = what.parse() {
        return Ok(Subject::Blob { id });
    }
    let (kind, name) = match what.strip_prefix("datasets/") {
        Some(name) => (Kind::Dataset, name),
        None => (Kind::Model, what),
    };
    if name.split('/').count() != 2 {
        return Err(
            Complaint::usage(format!("{what} is no revision, blob or repository"))
                .hint("give 0x and 64 hex digits, 64 hex digits, or NAMESPACE/NAME")
                .into(),
        );
    }
    Ok(Subject::Repository {
        kind,
        name: name.into(),
    })
}

/// A token of `key` for the hub, good for some seconds.
///
/// # Errors
/// If the key cannot sign.
pub fn issue(described: &Described, key: &NodeKey, scope: Scope, seconds: u64) -> Result<Token> {
    let now_ms = now_ns() / 1_000_000;
    let terms = Terms {
        hub: described.hub.to_address(),
        scope,
        not_after_s: (now_ms / 1_000).saturating_add(seconds),
        issued_ms: now_ms,
    };
    let domain = Domain::new(described.chain_id, described.network, MODEL_REGISTRY);
    Ok(Token::issue(&domain, key, &terms, rand::random()))
}

async fn token(arguments: cli::HubToken, form: Form) -> Result<Exit> {
    let key = read_key(&arguments.key)?;
    let described = describe(&arguments.hub, Reach { private: true }).await?;
    let expected = arguments.address.as_deref().map(str::to_lowercase);
    if expected.is_some_and(|expected| expected != described.hub.to_string()) {
        let complaint =
            Complaint::failed(format!("the hub says that its key is {}", described.hub));
        return Err(complaint
            .hint("ask the hub's operator which key it has")
            .into());
    }
    if let Some(file) = &arguments.network {
        let network = saved::read_network(file).map_err(Complaint::usage)?;
        described.check_network(Some(&network))?;
    }
    let scope = if arguments.read {
        Scope::Read
    } else {
        Scope::Write
    };
    let seconds = u64::from(arguments.days).saturating_mul(DAY_S);
    let token = issue(&described, &key, scope, seconds)?;
    let made = Made {
        token: token.to_text(),
        publisher: key.address().to_string(),
        hub: described.hub,
        network: described.network,
        scope: if arguments.read { "read" } else { "write" },
        not_after_s: token.claimed().not_after_s,
    };
    form.print(&made, |made| made.token.clone())?;
    Ok(Exit::Done)
}

/// What a hub says of itself.
///
/// # Errors
/// A complaint if nothing answers there, or no hub.
pub async fn describe(url: &str, reach: Reach) -> Result<Described> {
    let unreachable = || {
        Complaint::failed(format!("no hub answers at {url}"))
            .hint("start one with `assay hub --config FILE`, or give another with --hub")
    };
    let http = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(reach))
        .no_proxy()
        .build()?;
    let address = format!("{}/assay/v1/hub", url.trim_end_matches('/'));
    let mut answer = http.get(address).send().await.with_context(unreachable)?;
    let mut text = Vec::new();
    while let Some(piece) = answer.chunk().await.with_context(unreachable)? {
        text.extend_from_slice(&piece);
        if text.len() > MAX_DESCRIPTION {
            return Err(Complaint::failed(format!(
                "{url} is no hub of this network: its answer is too long"
            ))
            .into());
        }
    }
    serde_json::from_slice(&text).with_context(|| {
        Complaint::failed(format!("{url} is no hub of this network"))
            .hint("give a hub as http://HOST:PORT")
    })
}
