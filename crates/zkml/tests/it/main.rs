//! Scenarios of proving and refusing.

mod graphs;
mod honest;
mod limits;
