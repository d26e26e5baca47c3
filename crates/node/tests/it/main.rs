//! Integration tests: a gateway before fake nodes, inference nodes over HTTP, local networks.

mod fake_chain;
mod fake_node;
mod gateway_failover;
mod gateway_refusals;
mod gateway_stage;
mod node_answers;
mod node_hides;
mod node_killed;
mod node_refusals;
mod node_settles;
mod node_stage;
mod openapi;
