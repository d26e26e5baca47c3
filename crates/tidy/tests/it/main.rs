//! The rules, held against this repository and against one that breaks them all.

mod broken_repository;
mod this_repository;
