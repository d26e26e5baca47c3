//! Language models.

pub mod text;
