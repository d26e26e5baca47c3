//! JSON-RPC as Ethereum clients speak it, and the `assay_` methods, over HTTP and WebSocket.
//!
//! Everything that is answered is final: "latest", "pending", "safe" and "finalized" all name the
//! finalized tip. Blocks, transaction receipts and logs are kept for every height, account state
//! for the tip only. A block is shown once its state can be read, never earlier.
//!
//! Requests that read the disk or run the EVM do so on threads of their own and at most a few at a
//! time, so that a busy client cannot take the runtime from consensus.

mod account;
mod assay;
mod call;
mod chain;
mod fees;
mod filter;
mod logs;
mod params;
mod refusal;
mod subscription;
mod surface;
mod view;

use crate::{
    application::{Databases, Scheme, Shelf},
    block::Block,
    engine::Runtime,
    error::Error,
    light::Network,
};
use alloy_primitives::Bytes;
use commonware_consensus::marshal::{core::Mailbox as MarshalMailbox, standard::Standard};
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    server::{BatchRequestConfig, PingConfig, Server, ServerConfig, ServerHandle},
};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};
use tokio::sync::mpsc;

pub use refusal::Refusal;
pub use subscription::HexIds;
use surface::Surface;

/// What the methods work on.
pub struct Backend<E: Runtime> {
    /// Pool, index and tip.
    pub shelf: Arc<Shelf>,
    /// State.
    pub databases: Databases<E>,
    /// Blocks and certificates.
    pub marshal: MarshalMailbox<Scheme, Standard<Block>>,
    /// The network as clients know it.
    pub network: Network,
    /// Number of validators of the network.
    pub validators: u32,
    /// Raw transactions to spread to peers.
    pub gossip: mpsc::Sender<Bytes>,
    /// What this validator says of where it runs and what on: by dimension, passed on as it is.
    pub place: BTreeMap<String, String>,
}

/// What one server takes before it refuses.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at the same time.
    pub connections: u32,
    /// Subscriptions of one WebSocket connection.
    pub subscriptions: u32,
    /// Requests in one batch.
    pub batch: u32,
    /// Longest request body in bytes.
    pub request_bytes: u32,
    /// Longest response in bytes.
    pub response_bytes: u32,
}

impl Default for Limits {
    /// For one validator on a small machine; a body holds the longest transaction in hexadecimal.
    fn default() -> Self {
        Self {
            connections: 256,
            subscriptions: 64,
            batch: 256,
            request_bytes: 3 << 19,
            response_bytes: 16 << 20,
        }
    }
}

/// Serves JSON-RPC at `address` (port 0 takes any) until the handle is dropped. Must be called
/// within a tokio runtime.
///
/// # Errors
/// [`Error::Listen`] if the address is taken or not usable.
pub async fn serve<E: Runtime>(
    address: SocketAddr,
    backend: Backend<E>,
    limits: Limits,
) -> Result<(SocketAddr, ServerHandle), Error> {
    let refused = |reason: String| Error::Listen { address, reason };
    let config = ServerConfig::builder()
        .max_connections(limits.connections)
        .max_subscriptions_per_connection(limits.subscriptions)
        .set_batch_request_config(BatchRequestConfig::Limit(limits.batch))
        .max_request_body_size(limits.request_bytes)
        .max_response_body_size(limits.response_bytes)
        .enable_ws_ping(PingConfig::default())
        .set_id_provider(HexIds)
        .build();
    let server = Server::builder().set_config(config);
    let server = server
        .build(address)
        .await
        .map_err(|error| refused(error.to_string()))?;
    let bound = server
        .local_addr()
        .map_err(|error| refused(error.to_string()))?;
    let methods = methods(backend).map_err(|error| refused(error.to_string()))?;
    Ok((bound, server.start(methods)))
}

/// Every method of the surface.
fn methods<E: Runtime>(backend: Backend<E>) -> Result<RpcModule<Surface<E>>, RegisterMethodError> {
    let mut module = RpcModule::new(Surface::new(backend));
    chain::register(&mut module)?;
    account::register(&mut module)?;
    call::register(&mut module)?;
    fees::register(&mut module)?;
    logs::register(&mut module)?;
    filter::register(&mut module)?;
    subscription::register(&mut module)?;
    assay::register(&mut module)?;
    Ok(module)
}
