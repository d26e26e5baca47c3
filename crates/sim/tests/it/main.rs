//! The simulation's own tests: seeds hold, seeds repeat, and a broken network is noticed.

mod frauds;
mod seeds;
mod wide_area;
