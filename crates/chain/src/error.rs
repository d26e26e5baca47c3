//! One error for what can go wrong when a chain is set up or asked.

/// What went wrong, and who has to do something about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The genesis file or a key file is wrong: make a new one or fetch the network's.
    #[error("{file} is not usable: {reason}")]
    Config {
        /// Which file.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The block index failed: look at the disk.
    #[error(transparent)]
    Index(#[from] crate::index::IndexError),
    /// The state database failed.
    #[error(transparent)]
    State(#[from] crate::state::StateError),
    /// A network address is taken or not usable: choose another port.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The validator's storage failed when it was opened.
    #[error("the validator's storage failed: {0}")]
    Storage(String),
}
