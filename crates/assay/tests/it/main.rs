//! Integration tests: the binary as people and scripts use it.

mod binary;
mod checks;
mod demo;
mod domains;
mod errors;
mod help;
mod hidden;
mod hubs;
mod kill;
mod lineage;
mod network;
mod search;
mod signing;
mod verify;
mod zk;
mod zk_groth16;
