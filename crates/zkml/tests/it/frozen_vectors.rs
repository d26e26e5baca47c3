//! Encodings are what they were, and each stored change of them is refused for the stored reason.

use serde_json::Value;

#[path = "../../examples/make_zkml_vectors/suite.rs"]
mod suite;

fn stored(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors")
        .join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_generator_makes_what_is_stored() {
    for (name, value) in suite::files() {
        assert_eq!(
            stored(name),
            value,
            "{name}: run `make vectors` if the format is meant to change"
        );
    }
}

#[test]
fn what_is_stored_is_accepted_and_its_changes_are_refused() {
    let suite = suite::Suite::new();
    for (name, file, bytes, judge) in suite.types() {
        let stored = stored(file);
        assert_eq!(stored["accept"][0]["bytes"], suite::hex(&bytes), "{name}");
        assert_eq!(judge(&suite, &bytes), Ok(()), "{name}");
        for case in stored["reject"].as_array().unwrap() {
            let verdict = judge(&suite, &suite::changed(&bytes, &case["change"]));
            assert_eq!(
                verdict.unwrap_err(),
                case["reason"].as_str().unwrap(),
                "{name}: {case}"
            );
        }
    }
}
