//! Writes `vectors/hub/` again; a difference means that tokens, or what publishers sign, changed.
mod suite;

fn main() -> std::io::Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/hub");
    std::fs::create_dir_all(&root)?;
    for (name, value) in suite::files() {
        let text = serde_json::to_string_pretty(&value)?;
        std::fs::write(root.join(name), text + "\n")?;
    }
    Ok(())
}
