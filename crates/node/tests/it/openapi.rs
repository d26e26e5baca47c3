//! `openapi.json` beside Cargo.toml is the document that gateways serve.

use std::path::Path;

#[test]
fn the_document_is_the_golden_file() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let made = assay_node::openapi::document();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&file, made).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        golden == made,
        "the API changed; run this test with UPDATE_SNAPSHOTS=1 and look at the difference"
    );
}

#[test]
fn every_path_describes_its_refusals() {
    let document: serde_json::Value =
        serde_json::from_str(assay_node::openapi::document()).unwrap();
    let infer = &document["paths"]["/assay/v1/infer"]["post"]["responses"];
    for status in ["200", "4XX", "5XX"] {
        assert!(infer[status].is_object(), "{status}");
    }
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 7);
    for path in [
        "models",
        "receipts/{id}",
        "network",
        "network/concentration",
    ] {
        let responses = &paths[&format!("/assay/v1/{path}")]["get"]["responses"];
        assert!(responses["4XX"].is_object(), "{path}");
    }
}
