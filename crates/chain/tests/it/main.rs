//! A validator on real sockets and disk, asked over JSON-RPC as any client asks.

mod frozen_vectors;
mod hidden_weights;
mod light_contract;
mod local_chain;
mod mempool;
mod proven_answers;
mod proven_batches;
mod proven_computations;
mod rpc_blocks;
mod rpc_contract;
mod rpc_filters;
mod rpc_hostile;
mod rpc_refusals;
mod rpc_subscriptions;
mod settled_receipts;
