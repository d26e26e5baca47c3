//! Files that nobody should trust, and what the refusal says.

use assay_tensor::{Error, Model, ModelLimits};

use crate::writer::{Message, floats, int, ints, model, node, simple, tensor, texts, value};

fn load(bytes: &[u8]) -> Result<Model, Error> {
    Model::from_bytes(bytes, &ModelLimits::default())
}

/// The refusal's words must contain all of `words`.
fn check(bytes: &[u8], words: &[&str]) {
    let error = load(bytes).unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
}

#[test]
fn the_writer_makes_loadable_models() {
    assert!(load(&simple(&[node("Relu", &["x"], &["y"])])).is_ok());
}

#[test]
fn a_two_gigabyte_claim_in_two_hundred_bytes() {
    let claim = |dims: &[i64]| {
        let parts = [
            (5, tensor("w", dims, &[1])),
            (1, node("Add", &["w", "w"], &["y"])),
            (12, value("y", 7, 1)),
        ];
        let bytes = model(&parts, &[("", 17)]);
        assert!(bytes.len() < 200);
        bytes
    };
    check(
        &claim(&[1 << 28]),
        &["tensor `w`", "268435456", "the file holds 1"],
    );
    check(
        &claim(&[1 << 40, 1 << 40]),
        &["tensor `w`", "impossible dimensions"],
    );
    check(&claim(&[-1]), &["tensor `w`", "impossible dimensions"]);
    check(&claim(&[1; 9]), &["9 dimensions"]);
    check(&claim(&[0]), &["claims", "the file holds 1"]);
}

#[test]
fn graphs_that_contradict_themselves() {
    let two = |a: Message, b: Message| simple(&[a, b]);
    check(
        &two(
            node("Add", &["x", "b"], &["a"]),
            node("Add", &["a", "x"], &["b"]),
        ),
        &["cycle", "the Add"],
    );
    check(&simple(&[node("Add", &["x", "y"], &["y"])]), &["cycle"]);
    check(
        &two(node("Relu", &["x"], &["y"]), node("Abs", &["x"], &["y"])),
        &["`y` is produced twice", "the Abs"],
    );
    check(
        &simple(&[node("Relu", &["x"], &["x"])]),
        &["`x` is produced twice"],
    );
    check(
        &simple(&[node("Add", &["x", "w"], &["y"])]),
        &["the Add", "`w` is neither an input"],
    );
    check(
        &simple(&[node("Relu", &["x"], &["z"])]),
        &["`y` does not exist"],
    );
    check(
        &model(
            &[(1, node("Relu", &["x"], &["y"])), (11, value("x", 1, 1))],
            &[("", 17)],
        ),
        &["no output"],
    );
    let double = [
        (11, value("x", 1, 1)),
        (11, value("x", 1, 1)),
        (12, value("x", 1, 1)),
    ];
    check(&model(&double, &[("", 17)]), &["`x` is declared twice"]);
    let initial = [
        (5, tensor("w", &[1], &[1])),
        (5, tensor("w", &[1], &[2])),
        (12, value("w", 7, 1)),
    ];
    check(&model(&initial, &[("", 17)]), &["two initial tensors"]);
}

#[test]
fn everything_that_is_missing_is_listed_at_load() {
    let nodes = [
        node("Relu", &["x"], &["a"]),
        node("Nope", &["a"], &["b"]),
        node("Loop", &["b"], &["c"]),
    ];
    let custom = node("Own", &["c"], &["y"]).text(7, "com.example");
    let bytes = simple(&[&nodes[..], &[custom]].concat());
    check(
        &bytes,
        &["operator Nope", "operator Loop", "operator com.example:Own"],
    );
    let relu = [
        (1, node("Relu", &["x"], &["y"])),
        (11, value("x", 1, 1)),
        (12, value("y", 1, 1)),
    ];
    check(
        &model(&relu, &[("", 3)]),
        &["version 3 of ai.onnx", "7 to 24"],
    );
    check(&model(&relu, &[("", 99)]), &["version 99"]);
    check(
        &model(&relu, &[("other", 1)]),
        &["operator set `` is not imported"],
    );
    check(&model(&relu, &[("", 17), ("", 18)]), &["two versions"]);
    let bytes = model(&relu, &[("", 17)]);
    check(
        &Message(bytes.clone()).message(25, &Message::default()).0,
        &["functions"],
    );
    check(
        &Message(bytes.clone()).message(20, &Message::default()).0,
        &["training"],
    );
    check(
        &Message(bytes).message(7, &Message::default()).0,
        &["one graph"],
    );
    let external = Message::default()
        .varint(1, 4)
        .varint(2, 1)
        .text(8, "w")
        .varint(14, 1);
    check(
        &model(&[(5, external)], &[("", 17)]),
        &["`w`", "outside of the file"],
    );
    check(
        &model(&[(15, Message::default())], &[("", 17)]),
        &["sparse"],
    );
    let half = Message::default()
        .varint(1, 1)
        .varint(2, 10)
        .text(8, "h")
        .bytes(9, &[0, 0]);
    check(
        &model(&[(5, half)], &[("", 17)]),
        &["element type 10 of tensor `h`"],
    );
}

#[test]
fn nodes_that_mean_something_else_are_refused() {
    let with =
        |op: &str, attribute: Message| simple(&[node(op, &["x"], &["y"]).message(5, &attribute)]);
    check(
        &with("Relu", int("surprise", 1)),
        &["the Relu", "attribute `surprise` is not supported"],
    );
    check(
        &with("Softmax", floats("axis", &[1.0])),
        &["the Softmax", "`axis` must be an integer"],
    );
    check(&with("Cast", int("to", 16)), &["element type 16"]);
    check(
        &simple(&[node("Relu", &["x", "x"], &["y"])]),
        &["1 to 1 inputs", "it has 2"],
    );
    check(
        &simple(&[node("Add", &["x"], &["y"])]),
        &["2 to 2 inputs", "it has 1"],
    );
    check(
        &simple(&[node("Add", &["x", ""], &["y"])]),
        &["2 to 2 inputs"],
    );
    check(
        &simple(&[node("Relu", &["x"], &["y", "z"])]),
        &["1 to 1 outputs"],
    );
    check(&simple(&[node("Relu", &["x"], &[])]), &["1 to 1 outputs"]);
    check(
        &simple(&[node("MaxPool", &["x"], &["y"])]),
        &["`kernel_shape` is missing"],
    );
    let pool = |list: Message| {
        simple(&[node("MaxPool", &["x"], &["y"])
            .message(5, &ints("kernel_shape", &[2, 2]))
            .message(5, &list)])
    };
    check(&pool(ints("strides", &[0, 1])), &["at least 1"]);
    check(&pool(ints("pads", &[-1, 0, 0, 0])), &["`pads`"]);
    check(&pool(ints("pads", &[1, 1])), &["4 sizes"]);
    check(&pool(ints("dilations", &[1 << 40, 1])), &["`dilations`"]);
}

/// A tree of three nodes with some lists replaced.
fn tree(replace: &[Message]) -> Vec<u8> {
    let lists = [
        ints("nodes_treeids", &[0, 0, 0]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[0, 0, 0]),
        floats("nodes_values", &[0.5, 0.0, 0.0]),
        texts("nodes_modes", &["BRANCH_LEQ", "LEAF", "LEAF"]),
        ints("nodes_truenodeids", &[1, 0, 0]),
        ints("nodes_falsenodeids", &[2, 0, 0]),
        ints("target_treeids", &[0, 0]),
        ints("target_nodeids", &[1, 2]),
        ints("target_ids", &[0, 0]),
        floats("target_weights", &[1.0, 2.0]),
    ];
    // An attribute that is given first counts.
    let all = replace.iter().chain(&lists);
    let node = all.fold(
        node("TreeEnsembleRegressor", &["x"], &["y"]).text(7, "ai.onnx.ml"),
        |m, list| m.message(5, list),
    );
    simple(&[node])
}

#[test]
fn trees_that_would_run_for_ever_or_elsewhere() {
    assert!(load(&tree(&[])).is_ok());
    let branches = texts("nodes_modes", &["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"]);
    check(
        &tree(&[ints("nodes_truenodeids", &[0, 0, 0])]),
        &["2 nodes cannot be reached"],
    );
    let ring = texts("nodes_modes", &["BRANCH_LEQ", "BRANCH_LEQ", "BRANCH_LEQ"]);
    check(
        &tree(&[
            ring,
            ints("nodes_truenodeids", &[1, 2, 0]),
            ints("nodes_falsenodeids", &[1, 2, 0]),
        ]),
        &["two parents"],
    );
    check(
        &tree(&[branches.clone(), ints("nodes_truenodeids", &[1, 0, 0])]),
        &["two parents"],
    );
    check(
        &tree(&[
            branches,
            ints("nodes_truenodeids", &[1, 0, 0]),
            ints("nodes_falsenodeids", &[2, 1, 0]),
        ]),
        &["two parents"],
    );
    check(
        &tree(&[ints("nodes_truenodeids", &[2, 0, 0])]),
        &["two parents"],
    );
    check(
        &tree(&[ints("nodes_truenodeids", &[9, 0, 0])]),
        &["node 9 of tree 0 does not exist"],
    );
    check(&tree(&[ints("nodes_nodeids", &[0, 1, 1])]), &["one number"]);
    check(
        &tree(&[ints("nodes_featureids", &[-1, 0, 0])]),
        &["feature -1"],
    );
    check(
        &tree(&[ints("nodes_featureids", &[0, 0])]),
        &["differ in length"],
    );
    check(
        &tree(&[texts("nodes_modes", &["BRANCH_UP", "LEAF", "LEAF"])]),
        &["`BRANCH_UP` does not exist"],
    );
    check(
        &tree(&[ints("target_ids", &[0, 1])]),
        &["a vote for target 1 of 1"],
    );
    check(&tree(&[ints("target_nodeids", &[1, 7])]), &["node 7"]);
    check(
        &tree(&[ints("target_ids", &[0])]),
        &["lists of votes differ"],
    );
    check(&tree(&[int("n_targets", -1)]), &["n_targets"]);
    check(&tree(&[int("n_targets", i64::MAX)]), &["n_targets"]);
}

#[test]
fn limits_on_the_file_hold() {
    let many: Vec<Message> = (0..50)
        .map(|i| node("Relu", &["x"], &[&format!("v{i}")]))
        .collect();
    let bytes = simple(&many);
    let base = ModelLimits::default();
    for limits in [
        ModelLimits {
            file_bytes: 100,
            ..base
        },
        ModelLimits { nodes: 49, ..base },
        ModelLimits {
            initializers: 0,
            ..base
        },
    ] {
        assert!(matches!(
            Model::from_bytes(&bytes, &limits),
            Err(Error::TooLarge { .. })
        ));
    }
    // Two bytes each: a hundred thousand empty nodes stop at the limit.
    let empty: Vec<u8> = [0x0A, 0x00].repeat(100_000);
    let file = Message::default().bytes(7, &empty).0;
    assert!(matches!(
        load(&file),
        Err(Error::TooLarge {
            what: "the number of nodes",
            ..
        })
    ));
}

#[test]
fn other_files_are_not_models() {
    for bytes in [
        &b""[..],
        b"PK\x03\x04zip",
        b"{\"json\": true}",
        &[0xFF; 64],
        b"\x80\x04\x95pickle",
    ] {
        assert!(
            matches!(load(bytes), Err(Error::Malformed { .. })),
            "{bytes:?}"
        );
    }
}
