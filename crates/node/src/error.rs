//! One error for what can go wrong when a role is set up or runs.

use crate::rpc_client::RpcError;
use std::{net::SocketAddr, path::PathBuf};

/// What went wrong, and who has to do something about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An answer or a revision cannot be proven.
    #[error("it cannot be proven: {0}")]
    Unprovable(String),
    /// The publisher has to commit anew: proofs under this secret's commitment have shown of the weights what they may.
    #[error("{} has no opening left for this: its commitment was opened {made} times", file.display())]
    OpeningsUsed {
        /// The secret's file.
        file: PathBuf,
        /// Openings that were made.
        made: usize,
    },
    /// The operator has to name another secret: the registered commitment is none that this node can open.
    #[error("the registered commitment is of a secret that this node does not have")]
    OtherCommitment,
    /// The operator is to blame: a configuration, key or network file is missing or wrong.
    #[error("{} is not usable: {reason}", file.display())]
    Config {
        /// Which file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The address is taken or not this machine's: choose another one.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The publisher is to blame: a revision directory does not verify or its model does not load.
    #[error("the revision in {} cannot be served: {reason}", directory.display())]
    Revision {
        /// Its directory.
        directory: PathBuf,
        /// What does not hold.
        reason: String,
    },
    /// The operator has to look at the disk: the node's log cannot be read or written.
    #[error("the receipt log failed: {0}")]
    Store(String),
    /// The operator has to look at the disk: a hub's catalogue cannot be read or written.
    #[error("the catalogue failed: {0}")]
    Catalogue(String),
    /// A hub's content cannot be read or written; the text says who is to blame.
    #[error(transparent)]
    Content(#[from] assay_blob::Error),
    /// The hubs that were asked are to blame, or who named them: what is wanted cannot be had of any.
    #[error("{what} cannot be fetched: {why}")]
    Fetch {
        /// What was wanted.
        what: String,
        /// What each hub did.
        why: String,
    },
    /// The hub that was written to refuses, or does not do what it should; the text says which.
    #[error("the hub at {hub} does not take it: {why}")]
    Push {
        /// Its URL.
        hub: String,
        /// What it did.
        why: String,
    },
    /// The log holds what this version cannot read, or receipts that do not chain.
    #[error("the receipt log is damaged at {0}; restore it or register a new node key")]
    Damaged(String),
    /// The chain cannot be asked or refused.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The chain's rules or network parameters are not usable.
    #[error(transparent)]
    Chain(#[from] assay_chain::Error),
    /// The sender is to blame: the transaction was mined and reverted.
    #[error("transaction {hash} reverted: {reason}")]
    Reverted {
        /// Hash of the transaction.
        hash: alloy_primitives::B256,
        /// What the contract said, decoded where it is known.
        reason: String,
    },
    /// Nobody is known to be to blame yet: it may still be mined, ask again later.
    #[error("transaction {hash} was not mined within {seconds} s")]
    Unconfirmed {
        /// Hash of the transaction.
        hash: alloy_primitives::B256,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A receipt, key or signature is not usable.
    #[error(transparent)]
    Receipt(#[from] assay_receipt::Error),
    /// This role is stopping and takes nothing new: ask another one.
    #[error("stopping: nothing new is taken")]
    Stopping,
    /// A bug of ours or a machine without memory: a part of the role ended early.
    #[error("{0} ended early")]
    PartEnded(&'static str),
    /// A local network did not come up: a role of it ended or did not answer; the text says which.
    #[error("the local network failed: {0}")]
    Local(String),
    /// The system refused something that is not an address or a file of ours.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// A configuration error about `file`.
    pub fn config(file: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Config {
            file: file.into(),
            reason: reason.to_string(),
        }
    }

    /// What could not be fetched, and why.
    pub(crate) fn fetch(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Fetch {
            what: what.into(),
            why: why.to_string(),
        }
    }

    /// What a hub did instead of taking what was published.
    pub(crate) fn push(hub: impl Into<String>, why: impl ToString) -> Self {
        Self::Push {
            hub: hub.into(),
            why: why.to_string(),
        }
    }

    /// A store error from redb's error types.
    pub(crate) fn store(error: impl Into<redb::Error>) -> Self {
        Self::Store(error.into().to_string())
    }
}
