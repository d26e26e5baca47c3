//! A few rounds of kill -9 over real processes. `assay network drill --rounds 200` is the long form.

use crate::binary::{assay, port_base};
use serde_json::Value;

#[test]
fn nothing_acknowledged_is_lost_and_nothing_settles_twice() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("network");
    let base = port_base(1).to_string();
    let run = assay(&[
        "--json",
        "network",
        "drill",
        "--rounds",
        "6",
        "--data",
        data.to_str().unwrap(),
        "--port-base",
        &base,
    ]);
    assert_eq!(run.status, 0, "{}{}", run.stdout, run.stderr);
    let outcome: Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(outcome["acknowledged"].as_u64().unwrap() > 0);
    assert_eq!(outcome["census"]["lost"], Value::Array(Vec::new()));
    assert_eq!(outcome["census"]["twice"], Value::Array(Vec::new()));
}
