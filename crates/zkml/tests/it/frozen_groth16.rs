//! Keys are encoded as they were, and each stored change of them is refused for the stored reason.

use serde_json::Value;

#[path = "../../examples/make_groth16_vectors/suite.rs"]
mod suite;

#[test]
fn keys_are_those_that_are_stored_and_their_changes_are_refused() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/groth16");
    for (name, value) in suite::files() {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let stored: Value = serde_json::from_str(&text).unwrap();
        let hint = "run `make vectors` if the format is meant to change";
        assert_eq!(stored, value, "{name}: {hint}");
    }
    for (name, _, bytes, judge) in suite::types() {
        assert_eq!(judge(&bytes), None, "{name}");
    }
}
