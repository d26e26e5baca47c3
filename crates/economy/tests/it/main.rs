//! Failures of networks from outside: what is found is held against looking at every set of domains.

mod additions;
mod by_hand;
mod every_set;
mod hard;
mod world;
