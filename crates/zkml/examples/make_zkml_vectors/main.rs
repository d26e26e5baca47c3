//! Writes `vectors/zkml`: the frozen encodings of what a verifier of proofs decodes.

mod suite;

fn main() -> std::io::Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors");
    for (name, value) in suite::files() {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&root))?;
        let mut text = serde_json::to_string_pretty(&value)?;
        text.push('\n');
        std::fs::write(path, text)?;
    }
    Ok(())
}
