//! `assay node`: the role, its registration and its standing.

use crate::{
    cli,
    complaint::{Complaint, Exit},
    on_runtime,
    output::{self, Form, Progress},
    role,
};
use anyhow::{Context as _, Result};
use assay_node::{
    config::{NodeConfig, read_key},
    registry::{self, NodeRecord, NodeStanding, Registration},
    rpc_client::RpcClient,
    wallet::Wallet,
};
use assay_receipt::{Microcredits, NodeAddress};
use std::sync::Arc;

/// Microcredits in a credit.
const MICRO: u64 = 1_000_000;

/// Runs the role or a command about nodes.
///
/// # Errors
/// A complaint of the role, or of the chain.
pub fn run(arguments: cli::Node, form: Form) -> Result<Exit> {
    match (arguments.command, arguments.run) {
        (Some(cli::NodeCommand::Register(arguments)), _) => on_runtime(register(arguments, form)),
        (Some(cli::NodeCommand::Status(arguments)), _) => on_runtime(status(arguments, form)),
        (None, Some(run)) => role::run(role::Kind::Node, &run),
        (None, None) => Err(Complaint::usage("nothing to do")
            .hint("give --config FILE to run a node, or one of the commands register and status")
            .into()),
    }
}

async fn register(arguments: cli::Register, form: Form) -> Result<Exit> {
    let config = NodeConfig::read(&arguments.config)?;
    let (network, node) = (config.read_network()?, config.read_key()?);
    let operator = Wallet::new(
        Arc::new(read_key(&arguments.operator_key)?),
        network.chain_id,
    );
    if operator.address() != config.operator {
        return Err(Complaint::failed(
            "the operator key is not of the operator in the node's configuration",
        )
        .hint("set `operator` in the configuration to the address of the key")
        .into());
    }
    let rpc = RpcClient::new(&[arguments.rpc])?;
    let bond = arguments
        .bond
        .checked_mul(MICRO)
        .context("so many credits do not exist")?;
    let registration = Registration {
        endpoint: config.endpoint.clone(),
        domains: config.domains.registered(),
        bond: Microcredits(bond),
    };
    let progress = Progress::wait("waiting for two blocks");
    registry::register_node(&rpc, &operator, &node, &network, &registration).await?;
    drop(progress);
    print(&registry::node(&rpc, node.address()).await?, form)
}

async fn status(arguments: cli::NodeStatus, form: Form) -> Result<Exit> {
    let lower = arguments.node.to_lowercase();
    let node: NodeAddress = lower.parse().map_err(|_| {
        Complaint::usage(format!("{:?} is no address", arguments.node))
            .hint("an address is 0x and 40 hex digits")
    })?;
    let rpc = RpcClient::new(&[arguments.rpc])?;
    let record = registry::node(&rpc, node).await?;
    if record.standing == NodeStanding::Unregistered {
        let complaint = Complaint::failed(format!("{node} never registered"));
        return Err(complaint
            .hint("`assay node register` registers a node")
            .into());
    }
    print(&record, form)
}

fn print(record: &NodeRecord, form: Form) -> Result<Exit> {
    form.print(record, |record| {
        let bond = format!("{} credits", record.bond.0 / MICRO);
        output::rows(
            0,
            &[
                ("node", record.node.to_string()),
                ("standing", record.standing.name().to_owned()),
                ("bond", bond),
                ("operator", record.operator.to_string()),
                ("endpoint", record.endpoint.clone()),
                ("data centre", record.domains.data_centre.clone()),
            ],
        )
    })?;
    Ok(Exit::Done)
}
