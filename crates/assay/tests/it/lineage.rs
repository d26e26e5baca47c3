//! `assay model lineage`: models that were made of each other, and some that were not.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::binary::assay;

/// Numbers that depend on the seed.
fn weights(seed: u64, count: u64) -> Vec<f32> {
    let draw = |index: u64| {
        let mut z = (seed << 32 | index).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z >> 40) as f32 / 16_777_216.0) - 0.5
    };
    (0..count).map(draw).collect()
}

/// A safetensors file of two matrices and a vector, `bytes` making elements of numbers.
fn safetensors(numbers: &[f32], dtype: &str, bytes: impl Fn(f32) -> Vec<u8>) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut data = Vec::new();
    let mut rest = numbers;
    for (name, shape) in [
        ("a.weight", vec![64, 32]),
        ("b.weight", vec![32, 64]),
        ("b.bias", vec![64]),
    ] {
        let (now, behind) = rest.split_at(shape.iter().product::<usize>());
        rest = behind;
        let begin = data.len();
        data.extend(now.iter().flat_map(|value| bytes(*value)));
        header.insert(
            name.into(),
            json!({ "dtype": dtype, "shape": shape, "data_offsets": [begin, data.len()] }),
        );
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

const COUNT: u64 = 64 * 32 * 2 + 64;

struct Models {
    folder: tempfile::TempDir,
}

impl Models {
    fn new() -> Self {
        let models = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let mix = |one: &[f32], other: &[f32], share: f32| -> Vec<f32> {
            one.iter().zip(other).map(|(a, b)| a + share * b).collect()
        };
        let base = weights(1, COUNT);
        let (one, other) = (
            mix(&base, &weights(2, COUNT), 0.2),
            mix(&base, &weights(3, COUNT), 0.2),
        );
        let merged: Vec<f32> = one
            .iter()
            .zip(&other)
            .map(|(a, b)| 0.4 * a + 0.6 * b)
            .collect();
        for (name, numbers) in [
            ("base", &base),
            ("one", &one),
            ("other", &other),
            ("merged", &merged),
            ("stranger", &weights(9, COUNT)),
        ] {
            models.save(
                name,
                &safetensors(numbers, "F32", |value| value.to_le_bytes().to_vec()),
            );
        }
        let half =
            |value: f32| ((value.to_bits() + 0x7fff + (value.to_bits() >> 16 & 1)) >> 16) as u16;
        models.save(
            "half",
            &safetensors(&base, "BF16", |value| half(value).to_le_bytes().to_vec()),
        );
        models
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn save(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name)).unwrap();
        fs::write(self.path(name).join("model.safetensors"), bytes).unwrap();
    }

    /// The document for a model and its candidates.
    fn lineage(&self, names: &[&str]) -> Value {
        let paths: Vec<String> = names
            .iter()
            .map(|name| self.path(name).display().to_string())
            .collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let run = assay(&[&["model", "lineage", "--json"], paths.as_slice()].concat());
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        serde_json::from_str(&run.stdout).unwrap()
    }
}

/// Relation and standing of each edge.
fn edges(found: &Value) -> Vec<(String, String)> {
    let text = |edge: &Value, field: &str| edge[field].as_str().unwrap().to_owned();
    let edges = found["edges"].as_array().unwrap().iter();
    edges
        .map(|edge| (text(edge, "relation"), text(edge, "standing")))
        .collect()
}

#[test]
fn tensors_say_what_a_model_was_made_of() {
    let models = Models::new();
    let verified = |relation: &str| (relation.to_owned(), "verified".to_owned());
    assert_eq!(
        edges(&models.lineage(&["half", "base", "stranger"])),
        [verified("quantised-from")]
    );
    assert_eq!(
        edges(&models.lineage(&["one", "base", "stranger"])),
        [verified("fine-tuned-from")]
    );
    assert_eq!(edges(&models.lineage(&["stranger", "base", "one"])), []);
    let found = models.lineage(&["merged", "one", "other"]);
    assert_eq!(
        edges(&found)
            .iter()
            .filter(|edge| **edge == verified("merged-from"))
            .count(),
        2
    );
    let shares = found["merges"][0]["figures"]["shares"].as_array().unwrap();
    assert!(
        (shares[0].as_f64().unwrap() - 0.4).abs() < 0.01,
        "{shares:?}"
    );
    let copies: Vec<&Value> = found["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["copy"])
        .collect();
    assert_eq!(copies, [true, true]);
}

#[test]
fn the_graph_is_told_with_its_standings() {
    let models = Models::new();
    let paths = ["half", "base"].map(|name| models.path(name).display().to_string());
    let bom = models.path("bom.json").display().to_string();
    let run = assay(&["model", "lineage", &paths[0], &paths[1], "--bom", &bom]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.stdout.contains("quantised from base  0x") && run.stdout.contains("[verified]"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout
            .contains("they do not say which of two models was first"),
        "{}",
        run.stdout
    );
    let bom: Value = serde_json::from_str(&fs::read_to_string(bom).unwrap()).unwrap();
    let ancestors = &bom["metadata"]["component"]["pedigree"]["ancestors"];
    assert_eq!(ancestors[0]["properties"][1]["value"], "verified");
}

#[test]
fn a_model_that_a_node_runs_has_its_own_revision() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/digits-cnn");
    let run = assay(&["model", "lineage", "--json", &model.display().to_string()]);
    let found: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(run.status, 0, "{}", run.stderr);
    // The id under which `assay model publish` publishes it: that of its manifest.
    let manifest = fs::read(model.join("manifest.json")).unwrap();
    let digest = blake3::derive_key("assay.network revision manifest v1", &manifest);
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found["revision"], format!("0x{digits}"));
    // Without one it is the list of its files.
    let models = Models::new();
    let found = models.lineage(&["base"]);
    let file = fs::read(models.path("base/model.safetensors")).unwrap();
    let listed = json!({ "blake3": blake3::hash(&file).to_hex().as_str(), "path": "model.safetensors", "size": file.len() });
    let tree = json!({ "files": [listed], "format": 2 }).to_string();
    let digest = blake3::derive_key("assay.network revision manifest v1", tree.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found["revision"], format!("0x{digits}"));
}

#[test]
fn what_cannot_be_read_is_complained_about() {
    let models = Models::new();
    let path = |name: &str| models.path(name).display().to_string();
    fs::write(models.path("one/model.safetensors"), "no weights").unwrap();
    fs::write(models.path("statement.json"), "{}").unwrap();
    let (base, statement) = (path("base"), path("statement.json"));
    for (arguments, status) in [
        (vec![path("one")], 1),
        (vec![path("nothing")], 1),
        (vec![base.clone(), "--statement".into(), statement], 1),
        (vec![base, "--publisher".into(), "alice".into()], 3),
        (vec![], 3),
    ] {
        let words = [vec!["model".to_owned(), "lineage".to_owned()], arguments].concat();
        let run = assay(&words);
        assert_eq!(
            (run.status, run.stdout.as_str()),
            (status, ""),
            "{words:?}: {}",
            run.stderr
        );
    }
}

#[test]
fn a_statement_that_was_attested_counts_as_signed_by_its_signer_only() {
    let folder = tempfile::tempdir().unwrap();
    let (model, key) = (folder.path().join("m"), folder.path().join("key"));
    fs::create_dir_all(&model).unwrap();
    fs::write(model.join("README.md"), "# M\n").unwrap();
    fs::write(&key, format!("0x{:064x}\n", 1)).unwrap();
    let text = |path: &Path| path.display().to_string();
    let out = folder.path().join("step.json");
    let parent = format!("alice/base=0x{}", "ab".repeat(32));
    let attest = |more: &[&str]| {
        let (model, key, out) = (text(&model), text(&key), text(&out));
        let asked = [
            "model",
            "attest",
            &model,
            "--key",
            &key,
            "--out",
            &out,
            "--tool",
            "t",
            "--tool-version",
            "1",
        ];
        assay(&[&asked[..], more].concat())
    };
    for wrong in [
        &["--relation", "made-from", "--parent", &parent][..],
        &["--relation", "quantised-from"],
        &["--relation", "trained", "--parent", &parent],
        &["--relation", "quantised-from", "--parent", "main"],
        &["--relation", "trained", "--dataset", "x=00"],
    ] {
        let run = attest(wrong);
        assert!(
            run.status == 3 && run.stderr.contains("hint: "),
            "{wrong:?}: {}",
            run.stderr
        );
        assert!(!out.exists());
    }
    let run = attest(&["--relation", "quantised-from", "--parent", &parent]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let lineage = |publisher: &str| {
        let (model, out) = (text(&model), text(&out));
        let run = assay(&[
            "--json",
            "model",
            "lineage",
            &model,
            "--statement",
            &out,
            "--publisher",
            publisher,
        ]);
        let found: Value = serde_json::from_str(&run.stdout).unwrap();
        found["edges"][0]["standing"].clone()
    };
    assert_eq!(
        lineage("0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"),
        "signed"
    );
    assert_eq!(lineage(&format!("0x{}", "11".repeat(20))), "claimed");
}
