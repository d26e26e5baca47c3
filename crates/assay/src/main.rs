//! The assay binary: subcommands are roles and tools.

fn main() {}
