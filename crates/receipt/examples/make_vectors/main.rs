//! Writes the frozen vectors: `cargo run -p assay-receipt --example make_vectors -- [DIRECTORY]`.
//!
//! A change in their content is a change of a wire format: give the type a new version byte instead.

// By path, as the integration test includes it too: its modules then lie beside it.
#[path = "suite.rs"]
mod suite;

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors"));
    let directory = std::env::args_os()
        .nth(1)
        .map_or_else(default, PathBuf::from);
    std::fs::create_dir_all(&directory)?;
    for file in suite::files() {
        let path = directory.join(file.name);
        let text = serde_json::to_string_pretty(&file.content)?;
        std::fs::write(&path, text + "\n")?;
        println!("{}", path.display());
    }
    Ok(())
}
