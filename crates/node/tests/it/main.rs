//! Integration tests: a gateway before fake nodes, inference nodes over HTTP, local networks, hubs on chain.

mod delegation_vectors;
mod fake_chain;
mod fake_node;
mod gateway_concentration;
mod gateway_failover;
mod gateway_refusals;
mod gateway_stage;
mod hub_blobs;
mod hub_collects;
mod hub_content_stage;
mod hub_files;
mod hub_follows;
mod hub_lfs;
mod hub_pieces;
mod hub_provenance;
mod hub_publishes;
mod hub_pulls;
mod hub_pushes;
mod hub_refusals;
mod hub_safety;
mod hub_search;
mod hub_stage;
mod hub_xet;
mod hubs_on_chain;
mod node_answers;
mod node_hides;
mod node_killed;
mod node_refusals;
mod node_settles;
mod node_stage;
mod openapi;
mod registry_follower;
#[path = "../../../blob/tests/it/xet_client.rs"]
mod xet_client;
