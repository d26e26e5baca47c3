//! The command line: what can be asked for, and its help.

mod hub;
mod model;
mod zk;

pub use hub::{Hub, HubCommand, HubRefuse, HubRegister, HubToken};
pub use model::{
    Attest, Import, LineageOf, Model, Publish, Pull, Renew, SearchModels, ShowModel, SignModel,
    VerifyModel,
};
pub use zk::{
    Groth16, Groth16Commit, Groth16Prove, Groth16Setup, Groth16Solidity, Groth16Verify, Zk,
    ZkProve, ZkQuote, ZkSetup, ZkVerify,
};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Where a gateway of a local network listens.
pub const DEFAULT_GATEWAY: &str = "http://127.0.0.1:8080";
/// Where the first validator of a local network serves JSON-RPC.
pub const DEFAULT_RPC: &str = "http://127.0.0.1:8545";
/// Where a hub listens by convention.
pub const DEFAULT_HUB: &str = "http://127.0.0.1:8081";
/// The folder of a local network.
pub const DEFAULT_DATA: &str = "./.assay";

const EXIT_STATUS: &str = "\
Exit status: 0 done, 1 failed, 3 wrong usage.
`verify` commands: 0 verified, 1 refuted, 2 cannot tell, 3 wrong usage.
Data goes to standard output, the log to standard error (set ASSAY_LOG=info or debug for more of it).";

/// A network for AI inference in which every answer carries evidence.
#[derive(Debug, Parser)]
#[command(name = "assay", version, max_term_width = 100, after_help = EXIT_STATUS)]
#[command(disable_help_subcommand = true, subcommand_required = true)]
pub struct Cli {
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `assay` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a local network and walk through publish, ask, verify, tamper and refuse.
    Demo(Demo),
    /// Start a local network: 4 validators, 3 inference nodes, a gateway.
    Up(Up),
    /// Run a validator.
    Validator(Role),
    /// Run an inference node, register one, or show what the chain knows of one.
    Node(Node),
    /// Run a gateway.
    Gateway(Role),
    /// Run a hub of models and data sets, register it, refuse something there, or make a token for it.
    Hub(Hub),
    /// Publish, show, fetch or sign a model, or find out where one comes from.
    #[command(subcommand)]
    Model(Model),
    /// Ask a model and get its answer with a receipt.
    Infer(Infer),
    /// Show a receipt, or verify a saved one with no network.
    #[command(subcommand)]
    Receipt(Receipt),
    /// Quote, make and verify proofs of a model's runs; works with the network off.
    #[command(subcommand)]
    Zk(Zk),
    /// Ask how a network is, or put one to the test.
    #[command(subcommand)]
    Network(Network),
}

/// Where a local network lies.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Folder of the network; made if missing, used again if not.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub data: PathBuf,
    /// Forget the network in the folder and make a new one.
    #[arg(long)]
    pub reset: bool,
    /// Take all ports from the 64 that begin here; otherwise 8080, 8081.., 8101.., 8545.., 9001.. and 9101...
    #[arg(long, value_name = "N")]
    pub port_base: Option<u16>,
    /// Folder of revision directories; otherwise ./models, or four models that come with this program.
    #[arg(long, value_name = "DIR")]
    pub models: Option<PathBuf>,
    /// Hubs of a new network, of one operator each: one if left out, at most 5.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=5))]
    pub hubs: Option<u16>,
}

/// `assay demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Where the network lies.
    #[command(flatten)]
    pub place: Place,
    /// Stop after the walk, as without a terminal; status 0 only if each step held.
    #[arg(long)]
    pub exit: bool,
}

/// `assay up`.
#[derive(Debug, Clone, Args)]
pub struct Up {
    /// Where the network lies.
    #[command(flatten)]
    pub place: Place,
    /// Give each role a process of its own, so that a kill is a real kill.
    #[arg(long)]
    pub isolated: bool,
}

/// A role that runs until SIGTERM or ctrl-c.
#[derive(Debug, Clone, Args)]
pub struct Role {
    /// Configuration, TOML; `assay up` writes one for each role of a local network.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Stop when standard input ends, as it does when the process that holds its other end is gone.
    #[arg(long, hide = true)]
    pub until_stdin_ends: bool,
}

/// `assay node`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Node {
    /// The configuration to run with.
    #[command(flatten)]
    pub run: Option<Role>,
    /// What else to do.
    #[command(subcommand)]
    pub command: Option<NodeCommand>,
}

/// `assay node register` and `assay node status`.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Register a node key with a bond, paid by its operator.
    Register(Register),
    /// Show what the chain knows of a node.
    Status(NodeStatus),
}

/// `assay node register`.
#[derive(Debug, Args)]
pub struct Register {
    /// The node's configuration: its key and its advertised endpoint.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Key file of the operator's account, which pays bond and gas.
    #[arg(long, value_name = "FILE")]
    pub operator_key: PathBuf,
    /// Bond in credits; the network asks for at least 1000.
    #[arg(long, value_name = "CREDITS", default_value_t = 1000)]
    pub bond: u64,
    /// JSON-RPC of a validator.
    #[arg(long, value_name = "URL", default_value = DEFAULT_RPC, env = "ASSAY_RPC", hide_env_values = true)]
    pub rpc: String,
}

/// `assay node status`.
#[derive(Debug, Args)]
pub struct NodeStatus {
    /// The node's address.
    #[arg(value_name = "ADDRESS")]
    pub node: String,
    /// JSON-RPC of a validator.
    #[arg(long, value_name = "URL", default_value = DEFAULT_RPC, env = "ASSAY_RPC", hide_env_values = true)]
    pub rpc: String,
}

/// `assay infer`.
#[derive(Debug, Args)]
pub struct Infer {
    /// publisher/name, a revision id, or a bare name that only one publisher has.
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Inputs: JSON {"NAME": nested arrays}, or .npy for a model with one input; - reads JSON from standard input.
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// The gateway to ask.
    #[arg(long, value_name = "URL", default_value = DEFAULT_GATEWAY, env = "ASSAY_GATEWAY", hide_env_values = true)]
    pub gateway: String,
    /// The rung of evidence that is wanted.
    #[arg(long, visible_alias = "verify", value_enum, default_value_t = Rung::Signed)]
    pub rung: Rung,
    /// Wait until the receipt is in a finalized block or the answer is proven; without a value, for what was asked for.
    #[arg(long, value_enum, value_name = "STATE", num_args = 0..=1, default_missing_value = "asked")]
    pub wait: Option<Wait>,
    /// The network's file, against which the answer is checked; otherwise the gateway's own word is taken.
    #[arg(long, value_name = "NETWORK.json")]
    pub network: Option<PathBuf>,
    /// Write the receipt to FILE, with its proof if it has settled; readable by `assay receipt verify`.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// A rung of the ladder of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rung {
    /// The node's bonded key over the receipt.
    Signed,
    /// Re-run by other operators.
    Replayed,
    /// TEE evidence that passed a policy.
    Attested,
    /// A succinct proof.
    Proven,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// The rung that was asked for is there.
    Asked,
    /// The receipt is in a finalized block.
    Settled,
    /// Every validator has checked the proof.
    Proven,
}

/// `assay receipt`.
#[derive(Debug, Subcommand)]
pub enum Receipt {
    /// Show a receipt by its id, or from a file.
    Show(ShowReceipt),
    /// Verify a saved receipt; works with the network off.
    Verify(Verify),
    /// Have a committee of other operators compute a settled answer again, and wait for its verdict.
    Check(CheckReceipt),
}

/// `assay receipt check`.
#[derive(Debug, Args)]
pub struct CheckReceipt {
    /// Id of a settled receipt whose rung is `replayed`: 0x and 64 digits.
    #[arg(value_name = "ID")]
    pub receipt: String,
    /// Key file of the account that pays 3 credits for it, unless the lottery chose the receipt.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The gateway to ask for the receipt.
    #[arg(long, value_name = "URL", default_value = DEFAULT_GATEWAY, env = "ASSAY_GATEWAY", hide_env_values = true)]
    pub gateway: String,
    /// JSON-RPC of a validator.
    #[arg(long, value_name = "URL", default_value = DEFAULT_RPC, env = "ASSAY_RPC", hide_env_values = true)]
    pub rpc: String,
    /// Seconds to wait for the verdict.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub wait: u64,
}

/// `assay receipt show`.
#[derive(Debug, Args)]
pub struct ShowReceipt {
    /// Receipt id (0x and 64 digits), or a file.
    #[arg(value_name = "ID|FILE")]
    pub receipt: String,
    /// The gateway to ask for an id.
    #[arg(long, value_name = "URL", default_value = DEFAULT_GATEWAY, env = "ASSAY_GATEWAY", hide_env_values = true)]
    pub gateway: String,
    /// Write the receipt with its proof to FILE.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

/// `assay receipt verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The receipt file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The network's file: its name, chain id, genesis digest and public key. This is all that is trusted.
    #[arg(long, value_name = "NETWORK.json")]
    pub network: PathBuf,
}

/// `assay network`.
#[derive(Debug, Subcommand)]
pub enum Network {
    /// Show who answers, whether the chain moves, and which failures would stop what.
    Health(Health),
    /// Kill processes of a local network, at random or by failure domains, and say what came of it.
    Drill(Drill),
}

/// `assay network health`.
#[derive(Debug, Args)]
pub struct Health {
    /// The gateway to ask.
    #[arg(long, value_name = "URL", default_value = DEFAULT_GATEWAY, env = "ASSAY_GATEWAY", hide_env_values = true)]
    pub gateway: String,
}

/// `assay network drill`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("by_domains").args(["domains", "kill"]).multiple(true)))]
pub struct Drill {
    /// How many processes are killed.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub rounds: u32,
    /// Folder of the drill's own network, which is made anew.
    #[arg(long, value_name = "DIR", default_value = "./.assay-drill")]
    pub data: PathBuf,
    /// Take all ports from the 64 that begin here.
    #[arg(long, value_name = "N", default_value_t = 18000)]
    pub port_base: u16,
    /// Seed of the choice of victims and moments; drawn and printed if absent.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Questions that are open at a time.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub clients: usize,
    /// Instead of that: spread nodes over made-up failure domains so that SIZE of them hold all, ask the gateway which
    /// sets stop their model, kill every smaller set and those, and fail where one did other than predicted.
    #[arg(long, value_name = "SIZE", value_parser = clap::value_parser!(u16).range(2..=3))]
    #[arg(conflicts_with_all = ["rounds", "seed", "clients"])]
    pub domains: Option<u16>,
    /// Of such a network, kill this set only: operator:party-1,country:XA and so on.
    #[arg(long, value_name = "SET", conflicts_with_all = ["rounds", "seed", "clients"])]
    pub kill: Option<String>,
    /// With --domains or --kill: how many nodes there are.
    #[arg(long, value_name = "N", default_value_t = 20, requires = "by_domains")]
    #[arg(value_parser = clap::value_parser!(u16).range(8..=40))]
    pub nodes: u16,
    /// With --domains or --kill: this node is in none of the domains that it says it is in, so that a prediction from
    /// what nodes say does not hold.
    #[arg(long, value_name = "NODE", requires = "by_domains")]
    pub misplaced: Option<u16>,
}
