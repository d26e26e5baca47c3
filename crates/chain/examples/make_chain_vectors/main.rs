//! Writes `vectors/chain/` and `vectors/proof/` again; a difference means that a wire format changed.
mod suite;

fn main() -> std::io::Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors");
    for (name, value) in suite::files() {
        let path = root.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, suite::text(&value))?;
    }
    Ok(())
}
