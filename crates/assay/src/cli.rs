//! The command line: what can be asked for, and its help.

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

/// `assay hub`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Hub {
    /// The configuration to run with.
    #[command(flatten)]
    pub run: Option<Role>,
    /// What else to do.
    #[command(subcommand)]
    pub command: Option<HubCommand>,
}

/// `assay hub token`, `assay hub register` and `assay hub refuse`.
#[derive(Debug, Subcommand)]
pub enum HubCommand {
    /// Enter a hub into the network's list, where clients and other hubs find it.
    Register(HubRegister),
    /// Say that a hub does not serve something, with a reason that its public log keeps; or that it does again.
    Refuse(HubRefuse),
    /// Print a token with which Hugging Face's clients use a hub in an account's name; set HF_TOKEN to it.
    Token(HubToken),
}

/// `assay hub register`.
#[derive(Debug, Args)]
pub struct HubRegister {
    /// The hub's configuration: its key, its endpoint, its network.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Key file of the operator's account, which pays gas.
    #[arg(long, value_name = "FILE")]
    pub operator_key: PathBuf,
}

/// `assay hub refuse`.
#[derive(Debug, Args)]
pub struct HubRefuse {
    /// A revision (0x and 64 hex digits), a blob (64 hex digits), or a repository (NAMESPACE/NAME).
    #[arg(value_name = "WHAT")]
    pub what: String,
    /// Why, in a sentence that everybody may read.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB, env = "HF_ENDPOINT", hide_env_values = true)]
    pub hub: String,
    /// Key file of the hub's operator.
    #[arg(long, value_name = "FILE")]
    pub operator_key: PathBuf,
    /// Serve it again from now on.
    #[arg(long)]
    pub withdraw: bool,
}

/// `assay hub token`.
#[derive(Debug, Args)]
pub struct HubToken {
    /// Key file of the account: 0x and 64 hex digits.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The hub that is asked whose key the token is for.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB, env = "HF_ENDPOINT", hide_env_values = true)]
    pub hub: String,
    /// Make no token if the hub says that it has another key than this.
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// The network's file: make no token for a hub of another network, or for one that says that it stands alone.
    #[arg(long, value_name = "NETWORK.json")]
    pub network: Option<PathBuf>,
    /// Allow reading only.
    #[arg(long)]
    pub read: bool,
    /// Days for which it is good.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub days: u32,
}

/// `assay model`.
#[derive(Debug, Subcommand)]
pub enum Model {
    /// Publish a directory: its files to hubs, its revision to the chain.
    Publish(Publish),
    /// Commit anew to the hidden weights of a published model, before proofs have shown too much of them.
    Renew(Renew),
    /// Show a published model: its newest revision, its signature and who serves it.
    Show(ShowModel),
    /// Find models for a need, with the reasons for each one's rank and what to be careful about.
    Search(SearchModels),
    /// Fetch a repository from several hubs at once, and verify every byte of it.
    Pull(Pull),
    /// Bring a model in, from a cache of Hugging Face's client or from an endpoint of that shape, each file checked.
    Import(Import),
    /// Sign a model's files as the tool `model-signing` does (OpenSSF Model Signing v1.0).
    Sign(SignModel),
    /// Verify the signature over a model's files; works with the network off.
    Verify(VerifyModel),
    /// Sign a statement of how a model came about: of what it was made, by which tool.
    Attest(Attest),
    /// Find out what a model was made of, from statements and its tensors; works with the network off.
    Lineage(LineageOf),
}

/// `assay model search`.
#[derive(Debug, Args)]
pub struct SearchModels {
    /// What the model is to do, in words, or a model's name; everything if left out.
    #[arg(value_name = "WORDS")]
    pub words: Vec<String>,
    /// The hub to ask.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB, env = "HF_ENDPOINT", hide_env_values = true)]
    pub hub: String,
    /// Only models for this task, as text-classification; may be given several times, then any will do.
    #[arg(long, value_name = "TASK")]
    pub task: Vec<String>,
    /// Only for this library, as transformers; may be given several times.
    #[arg(long, value_name = "LIBRARY")]
    pub library: Vec<String>,
    /// Only under this licence, as apache-2.0; may be given several times.
    #[arg(long, value_name = "LICENCE")]
    pub license: Vec<String>,
    /// Only for this language, as de; given several times, for all of them.
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Vec<String>,
    /// Only with at most so many bytes of files, as 500MB or 8GB.
    #[arg(long, value_name = "BYTES")]
    pub max_size: Option<String>,
    /// Only with at least so many parameters, as 100M.
    #[arg(long, value_name = "COUNT")]
    pub min_parameters: Option<String>,
    /// Only with at most so many parameters, as 7B.
    #[arg(long, value_name = "COUNT")]
    pub max_parameters: Option<String>,
    /// Only models whose answers can have this rung: proven.
    #[arg(long, value_name = "RUNG")]
    pub rung: Option<String>,
    /// The least that stands behind the publisher's name: signed, attested or verified.
    #[arg(long, value_name = "TIER")]
    pub provenance: Option<String>,
    /// The order: relevance, downloads, recency, accuracy, cost or usage.
    #[arg(long, value_name = "ORDER", default_value = "relevance")]
    pub sort: String,
    /// So many hits at most.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub limit: u8,
    /// Data sets instead of models.
    #[arg(long)]
    pub dataset: bool,
}

/// `assay model pull`.
#[derive(Debug, Args)]
pub struct Pull {
    /// The repository: NAMESPACE/NAME, the namespace an address or a handle.
    #[arg(value_name = "REPOSITORY")]
    pub repository: String,
    /// Directory to put the files into; made if missing.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// A branch, or a tag as refs/tags/NAME.
    #[arg(long, value_name = "REF", default_value = "main")]
    pub revision: String,
    /// It is a data set.
    #[arg(long)]
    pub dataset: bool,
    /// JSON-RPC of a validator, which says what the repository is now and where hubs are.
    #[arg(long, value_name = "URL", default_value = DEFAULT_RPC, env = "ASSAY_RPC", hide_env_values = true)]
    pub rpc: String,
    /// Ask these hubs and no others; otherwise all that the chain lists.
    #[arg(long, value_name = "URL")]
    pub hub: Vec<String>,
    /// Ask hubs at loopback and private addresses, too, as in a network on one machine.
    #[arg(long)]
    pub allow_private_hubs: bool,
}

/// `assay model attest`.
#[derive(Debug, Args)]
pub struct Attest {
    /// Directory of the model, as it is or was published.
    #[arg(value_name = "DIR")]
    pub model: PathBuf,
    /// trained, fine-tuned-from, quantised-from, merged-from, adapter-of or converted-from.
    #[arg(long, value_name = "RELATION")]
    pub relation: String,
    /// Revision that it was made of, as ID or PUBLISHER/NAME=ID; may be given several times.
    #[arg(long, value_name = "PARENT")]
    pub parent: Vec<String>,
    /// Data set that went into it, as NAME=SHA256; may be given several times.
    #[arg(long, value_name = "DATASET")]
    pub dataset: Vec<String>,
    /// The tool that made it.
    #[arg(long, value_name = "NAME")]
    pub tool: String,
    /// The tool's version.
    #[arg(long, value_name = "VERSION")]
    pub tool_version: String,
    /// Key file of the publisher's account, which signs.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Write the statement to FILE; otherwise to the revision's digits and .json.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `assay model import`.
#[derive(Debug, Args)]
pub struct Import {
    /// CACHE/models--ORGANISATION--NAME or one of its snapshots; with --from, ORGANISATION/NAME[@REVISION].
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// Fetch it from this endpoint of Hugging Face's shape; otherwise SOURCE is a folder of a cache.
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
    /// Directory to put the files into, which must not be there.
    #[arg(long, value_name = "DIR")]
    pub into: Option<PathBuf>,
    /// Publish it through this hub.
    #[arg(long, value_name = "URL", requires = "key")]
    pub to_hub: Option<String>,
    /// Key file of the publisher's account, for --to-hub.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The repository's name on the hub; otherwise the one that it has at its source.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// JSON-RPC of a validator.
    #[arg(long, value_name = "URL", default_value = DEFAULT_RPC, env = "ASSAY_RPC", hide_env_values = true)]
    pub rpc: String,
}

/// `assay model publish`.
#[derive(Debug, Args)]
pub struct Publish {
    /// The directory. With a manifest.json that lists all other files nodes can run it; any other is published as it is.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Key file of the publisher's account.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The repository's name; otherwise the one in the manifest, or the directory's.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Publish through the first of these hubs that takes it; otherwise of those that the chain lists.
    #[arg(long, value_name = "URL")]
    pub hub: Vec<String>,
    /// Use hubs at loopback and private addresses that the chain lists, too, as in a network on one machine.
    #[arg(long)]
    pub allow_private_hubs: bool,
    /// Register the revision only; the files stay here.
    #[arg(long, conflicts_with = "hub")]
    pub no_hub: bool,
    /// Sign the files first as `assay model sign` does, with this key (PEM); DIR/model.pub then declares the key.
    #[arg(long, value_name = "PEM")]
    pub signing_key: Option<PathBuf>,
    /// The network's file: sign no token for a hub of another network, or for one that says that it stands alone.
    #[arg(long, value_name = "NETWORK.json")]
    pub network: Option<PathBuf>,
    /// JSON-RPC of a validator.
    #[arg(long, value_name = "URL", default_value = DEFAULT_RPC, env = "ASSAY_RPC", hide_env_values = true)]
    pub rpc: String,
    /// Hide the weights in proofs (mode `zero-knowledge`) by SECRET, made if missing; nodes that prove name it in `secrets`.
    #[arg(long, value_name = "SECRET")]
    pub zero_knowledge: Option<PathBuf>,
}

/// `assay model renew`.
#[derive(Debug, Args)]
pub struct Renew {
    /// Revision directory that was published with --zero-knowledge.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Key file of the publisher's account.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// What hides the weights now.
    #[arg(long, value_name = "SECRET")]
    pub secret: PathBuf,
    /// Write what hides them from now on to SECRET; every node that proves needs it in its `secrets`, beside the old one.
    #[arg(long, value_name = "SECRET")]
    pub next: PathBuf,
    /// JSON-RPC of a validator.
    #[arg(long, value_name = "URL", default_value = DEFAULT_RPC, env = "ASSAY_RPC", hide_env_values = true)]
    pub rpc: String,
}

/// `assay model show`.
#[derive(Debug, Args)]
pub struct ShowModel {
    /// publisher/name, a revision id, or a bare name that only one publisher has.
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The gateway to ask.
    #[arg(long, value_name = "URL", default_value = DEFAULT_GATEWAY, env = "ASSAY_GATEWAY", hide_env_values = true)]
    pub gateway: String,
    /// JSON-RPC of a validator, which says where hubs are and how they stood audits.
    #[arg(long, value_name = "URL", default_value = DEFAULT_RPC, env = "ASSAY_RPC", hide_env_values = true)]
    pub rpc: String,
    /// Ask hubs at loopback and private addresses, too, as in a network on one machine.
    #[arg(long)]
    pub allow_private_hubs: bool,
}

/// `assay model sign`.
#[derive(Debug, Args)]
pub struct SignModel {
    /// The model: a directory, or one file.
    #[arg(value_name = "DIR")]
    pub model: PathBuf,
    /// Private key on P-256, P-384 or P-521, PEM, not encrypted.
    #[arg(long, value_name = "PEM")]
    pub key: PathBuf,
    /// Certificate of the key, then those that lead from it towards a root, PEM; otherwise the bundle names the key itself.
    #[arg(long, value_name = "CHAIN")]
    pub certificate: Option<PathBuf>,
    /// Write the bundle to FILE; otherwise to DIR/model.sig.
    #[arg(long, value_name = "FILE")]
    pub signature: Option<PathBuf>,
    /// Leave PATH in the model out of the signature, beside git's own files; may be given several times.
    #[arg(long, value_name = "PATH")]
    pub ignore: Vec<String>,
}

/// `assay model verify`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("trust").required(true).args(["key", "certificate"]))]
pub struct VerifyModel {
    /// The model: a directory, or one file.
    #[arg(value_name = "DIR")]
    pub model: PathBuf,
    /// The bundle; otherwise DIR/model.sig.
    #[arg(long, value_name = "FILE")]
    pub signature: Option<PathBuf>,
    /// The signer's public key, PEM. This is all that is trusted.
    #[arg(long, value_name = "PEM")]
    pub key: Option<PathBuf>,
    /// Root certificates, PEM. Whoever has a certificate under one of them may have signed.
    #[arg(long, value_name = "ROOTS")]
    pub certificate: Option<PathBuf>,
    /// Read files through symbolic links, as in the cache of Hugging Face's client; otherwise a link is refused.
    #[arg(long)]
    pub follow_links: bool,
}

/// `assay model lineage`.
#[derive(Debug, Args)]
pub struct LineageOf {
    /// Directory of the model, then those of models of which it may have been made.
    #[arg(value_name = "DIR", required = true)]
    pub models: Vec<PathBuf>,
    /// A signed statement about a step; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub statement: Vec<PathBuf>,
    /// Account of the model's publisher (0x and 40 digits), whose statements count as signed and not as claimed.
    #[arg(long, value_name = "ADDRESS")]
    pub publisher: Vec<String>,
    /// Write a bill of materials to FILE: CycloneDX 1.6, JSON.
    #[arg(long, value_name = "FILE")]
    pub bom: Option<PathBuf>,
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

/// `assay zk`.
#[derive(Debug, Subcommand)]
pub enum Zk {
    /// Predict what a proof costs on this machine, from the model alone.
    Quote(ZkQuote),
    /// Quantise a revision, commit to its weights and show that they are in range.
    Setup(ZkSetup),
    /// Run a model and prove the run.
    Prove(ZkProve),
    /// Verify a proof with nothing but the proof file and the model's commitment.
    Verify(ZkVerify),
    /// Proofs of small models that any EVM checks, under a setup that one party made.
    #[command(subcommand)]
    Groth16(Groth16),
}

/// `assay zk quote`.
#[derive(Debug, Args)]
pub struct ZkQuote {
    /// Revision directory that lists zk/calibration.npy.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Inferences in the one proof.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub batch: usize,
    /// What an hour of CPU costs, in any unit; the price is given in the same.
    #[arg(long, value_name = "PRICE")]
    pub per_cpu_hour: Option<f64>,
    /// Predict the mode that hides the weights.
    #[arg(long)]
    pub zero_knowledge: bool,
}

/// `assay zk setup`.
#[derive(Debug, Args)]
pub struct ZkSetup {
    /// Revision directory that lists zk/calibration.npy.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Write the commitment to FILE.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Hide the weights (mode `zero-knowledge`), and keep what hides them in SECRET, which must not be shown or copied.
    #[arg(long, value_name = "SECRET")]
    pub zero_knowledge: Option<PathBuf>,
}

/// `assay zk prove`.
#[derive(Debug, Args)]
pub struct ZkProve {
    /// Revision directory that lists zk/calibration.npy.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Inputs: JSON {"NAME": nested arrays}, or .npy; the first axis counts inferences, all proven at once.
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// Write the proof with its public values to FILE.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Network on which the proof is to count (0x and 64 digits).
    #[arg(long, value_name = "ID")]
    pub network_id: Option<String>,
    /// What else to bind the proof to, such as a receipt's id (0x and 64 digits).
    #[arg(long, value_name = "DIGEST")]
    pub context: Option<String>,
    /// Prove under the commitment that `assay zk setup --zero-knowledge SECRET` made, and count the opening in SECRET.
    #[arg(long, value_name = "SECRET")]
    pub zero_knowledge: Option<PathBuf>,
}

/// `assay zk verify`.
#[derive(Debug, Args)]
pub struct ZkVerify {
    /// The proof file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The model's commitment file. This is all that is trusted.
    #[arg(long, value_name = "FILE")]
    pub commitment: PathBuf,
}

/// `assay zk groth16`.
#[derive(Debug, Subcommand)]
pub enum Groth16 {
    /// Make the keys of a size class alone; whoever does can forge unless the randomness is forgotten.
    Setup(Groth16Setup),
    /// Quantise a revision and commit to it, with a salt that is kept.
    Commit(Groth16Commit),
    /// Run a committed model and prove the run.
    Prove(Groth16Prove),
    /// Verify a proof with nothing but the proof file and the verifying key.
    Verify(Groth16Verify),
    /// Print a contract that verifies proofs under a key.
    Solidity(Groth16Solidity),
}

/// `assay zk groth16 setup`.
#[derive(Debug, Args)]
pub struct Groth16Setup {
    /// Size class: assay-groth16-16-4 or assay-groth16-64-32-10.
    #[arg(value_name = "CLASS")]
    pub class: String,
    /// Write the proving key to FILE.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Write the verifying key to FILE.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
}

/// `assay zk groth16 commit`.
#[derive(Debug, Args)]
pub struct Groth16Commit {
    /// Revision directory that lists zk/calibration.npy.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Keep the salt of the commitment in SECRET, which every proof under it needs.
    #[arg(long, value_name = "SECRET")]
    pub secret: PathBuf,
}

/// `assay zk groth16 prove`.
#[derive(Debug, Args)]
pub struct Groth16Prove {
    /// Revision directory that lists zk/calibration.npy.
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Inputs of one inference: JSON {"NAME": nested arrays}, or .npy.
    #[arg(long, value_name = "FILE")]
    pub input: PathBuf,
    /// The proving key of the model's size class.
    #[arg(long, value_name = "FILE")]
    pub keys: PathBuf,
    /// The salt that `assay zk groth16 commit` kept.
    #[arg(long, value_name = "SECRET")]
    pub secret: PathBuf,
    /// Write the proof with its public values to FILE.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// What to bind the proof to, such as a receipt's id (0x and 64 digits).
    #[arg(long, value_name = "DIGEST")]
    pub context: Option<String>,
}

/// `assay zk groth16 verify`.
#[derive(Debug, Args)]
pub struct Groth16Verify {
    /// The proof file.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The verifying key. This and the commitment are all that is trusted.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The commitment to the model that the proof has to be of (0x and 64 digits).
    #[arg(long, value_name = "COMMITMENT")]
    pub commitment: Option<String>,
}

/// `assay zk groth16 solidity`.
#[derive(Debug, Args)]
pub struct Groth16Solidity {
    /// The verifying key.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Name of the contract.
    #[arg(long, value_name = "NAME", default_value = "Groth16Verifier")]
    pub name: String,
}

/// `assay network`.
#[derive(Debug, Subcommand)]
pub enum Network {
    /// Show which validators and nodes answer, and whether the chain moves.
    Health(Health),
    /// Kill processes of a local network at random while a client asks, and count what was lost.
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
}
