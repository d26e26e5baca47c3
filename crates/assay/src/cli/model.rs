//! `assay model`.

use super::{DEFAULT_GATEWAY, DEFAULT_HUB, DEFAULT_RPC};
use clap::{ArgGroup, Args, Subcommand};
use std::path::PathBuf;

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
    /// Only models with an input of this kind or element type, as text or f32[*x64]; given several times, for all of them.
    #[arg(long, value_name = "PORT")]
    pub input: Vec<String>,
    /// Only models with such an output, as f32[*x10].
    #[arg(long, value_name = "PORT")]
    pub output: Vec<String>,
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
