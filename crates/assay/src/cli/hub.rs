//! `assay hub`.

use super::{DEFAULT_HUB, Role};
use clap::{Args, Subcommand};
use std::path::PathBuf;

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
