//! Writes `vectors/groth16`: the frozen encodings of the keys of a size class.

mod suite;

fn main() -> std::io::Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/groth16");
    std::fs::create_dir_all(&root)?;
    for (name, value) in suite::files() {
        let mut text = serde_json::to_string_pretty(&value)?;
        text.push('\n');
        std::fs::write(root.join(name), text)?;
    }
    Ok(())
}
