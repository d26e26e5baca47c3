//! The encoder against an independent computation in double precision, on weights that both make from one seed.

use std::sync::Arc;

use assay_search::encoder::{DIMENSIONS, Embedder, Encoder, Table, Vector};
use assay_search::{Index, Query, Semantics};

use crate::model;

const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nspeech\nmodel\n##s\nto\ntext\n";
const WIDE: usize = 64;

/// Numbers of Knuth's linear congruential generator.
struct Numbers(u64);

impl Numbers {
    fn floats(&mut self, count: usize, scale: f64) -> Vec<f32> {
        let one = |_| {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (((self.0 >> 40) as f64 / f64::from(1 << 24) - 0.5) * scale) as f32
        };
        (0..count).map(one).collect()
    }
}

/// A file of one layer; the oracle makes the same tensors in the same order.
fn tensors() -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let mut numbers = Numbers(1);
    let mut all = Vec::new();
    let d = DIMENSIONS;
    all.push((
        "embeddings.word_embeddings.weight".to_owned(),
        vec![9, d],
        numbers.floats(9 * d, 1.0),
    ));
    all.push((
        "embeddings.position_embeddings.weight".to_owned(),
        vec![64, d],
        numbers.floats(64 * d, 0.2),
    ));
    all.push((
        "embeddings.token_type_embeddings.weight".to_owned(),
        vec![1, d],
        numbers.floats(d, 0.2),
    ));
    let norm =
        |name: &str, numbers: &mut Numbers, all: &mut Vec<(String, Vec<usize>, Vec<f32>)>| {
            let weight = numbers
                .floats(d, 0.5)
                .into_iter()
                .map(|value| (f64::from(value) + 1.0) as f32)
                .collect();
            all.push((format!("{name}.weight"), vec![d], weight));
            all.push((format!("{name}.bias"), vec![d], numbers.floats(d, 0.1)));
        };
    let linear = |name: &str,
                  outer: usize,
                  inner: usize,
                  numbers: &mut Numbers,
                  all: &mut Vec<(String, Vec<usize>, Vec<f32>)>| {
        all.push((
            format!("encoder.layer.0.{name}.weight"),
            vec![outer, inner],
            numbers.floats(outer * inner, 0.2),
        ));
        all.push((
            format!("encoder.layer.0.{name}.bias"),
            vec![outer],
            numbers.floats(outer, 0.1),
        ));
    };
    norm("embeddings.LayerNorm", &mut numbers, &mut all);
    for name in [
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
    ] {
        linear(name, d, d, &mut numbers, &mut all);
    }
    norm(
        "encoder.layer.0.attention.output.LayerNorm",
        &mut numbers,
        &mut all,
    );
    linear("intermediate.dense", WIDE, d, &mut numbers, &mut all);
    linear("output.dense", d, WIDE, &mut numbers, &mut all);
    norm("encoder.layer.0.output.LayerNorm", &mut numbers, &mut all);
    all
}

fn file(tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
    let mut header = serde_json::Map::new();
    let mut bytes = Vec::new();
    for (name, shape, values) in tensors {
        let start = bytes.len();
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        header.insert(name.clone(), serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, bytes.len()]}));
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes()[..], &header, &bytes].concat()
}

fn encoder() -> Encoder {
    Encoder::new(&file(&tensors()), VOCABULARY.as_bytes()).unwrap()
}

#[test]
fn vectors_are_those_of_the_model() {
    let encoder = encoder();
    // Made once by a BERT written with numpy in double precision; the first ten elements of the unit vector.
    let expected: [(&str, [f32; 10]); 3] = [
        (
            "Speech to text models",
            [
                0.008, -0.0103, 0.048, -0.0683, 0.0039, 0.0558, 0.0022, -0.01, -0.0422, -0.0674,
            ],
        ),
        (
            "unheard",
            [
                -0.0407, -0.0158, 0.0588, -0.1069, -0.0144, 0.0502, 0.0062, 0.0292, 0.0104, 0.0329,
            ],
        ),
        (
            "Models, modéls",
            [
                -0.016, 0.0043, 0.0824, -0.0528, 0.0184, 0.0893, -0.0016, -0.0145, -0.0474, -0.0391,
            ],
        ),
    ];
    let vectors: Vec<Vector> = expected
        .iter()
        .map(|(text, _)| encoder.encode(text))
        .collect();
    for ((text, elements), vector) in expected.iter().zip(&vectors) {
        let length = vector
            .values()
            .iter()
            .map(|value| f32::from(*value).powi(2))
            .sum::<f32>()
            .sqrt();
        for (element, value) in elements.iter().zip(vector.values()) {
            assert!(
                (element - f32::from(*value) / length).abs() < 2.5e-3,
                "{text}: {element} {}",
                f32::from(*value) / length
            );
        }
    }
    for ((a, b), cosine) in [((0, 1), 0.5203), ((0, 2), 0.7226), ((1, 2), 0.6321)] {
        let ours = vectors[a].cosine(&vectors[b]);
        assert!((ours - cosine).abs() < 4e-3, "{a} {b}: {ours}");
    }
}

#[test]
fn the_same_text_has_the_same_vector_on_any_thread() {
    let encoder = encoder();
    let long = "speech to text model ".repeat(60);
    let here = encoder.encode(&long);
    let there: Vec<Vector> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| encoder.encode(&long)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(there.iter().all(|vector| *vector == here));
    assert_eq!(encoder.encode(""), encoder.encode("  "));
    assert_eq!(Vector::of(&[]).cosine(&here), 0.0);
}

#[test]
fn files_that_are_not_weights_are_refused() {
    let good = file(&tensors());
    let mut longer = good.clone();
    longer[0..8].copy_from_slice(&u64::MAX.to_le_bytes());
    for (bad, vocabulary, reason) in [
        (Vec::new(), VOCABULARY, "too short"),
        (longer, VOCABULARY, "too long"),
        (good[..good.len() - 4].to_vec(), VOCABULARY, "cut off"),
        (good[..100].to_vec(), VOCABULARY, "cut off"),
        (
            [&7_u64.to_le_bytes()[..], b"nothing"].concat(),
            VOCABULARY,
            "not safetensors",
        ),
        (good.clone(), "[PAD]\n[UNK]\n", "[CLS]"),
        (good.clone(), "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\na", "twice"),
        (
            good.clone(),
            "[PAD]\n[UNK]\n[CLS]\n[SEP]\nspeech",
            "differ in length",
        ),
    ] {
        let error = Encoder::new(&bad, vocabulary.as_bytes())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
    type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;
    type Spoil = fn(&mut Tensors);
    let spoil: [(Spoil, &str); 5] = [
        (|all| _ = all.remove(3), "no tensor"),
        (|all| all[5].1 = vec![DIMENSIONS * DIMENSIONS], "has shape"),
        (
            |all| all[5].1 = vec![DIMENSIONS, DIMENSIONS + 1],
            "does not hold",
        ),
        (|all| all[0].2[7] = f32::NAN, "does not hold"),
        (|all| all[5].1 = vec![usize::MAX, 2], "does not hold"),
    ];
    for (spoil, reason) in spoil {
        let mut all = tensors();
        spoil(&mut all);
        let error = Encoder::new(&file(&all), VOCABULARY.as_bytes())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
}

#[test]
fn a_table_is_distilled_and_read_back_and_nothing_else_is() {
    let file = Table::distilled(&encoder());
    let table = Table::new(&file, VOCABULARY.as_bytes()).unwrap();
    let near = table
        .encode("speech")
        .cosine(&table.encode("speech speech"));
    assert!(near > 0.99, "{near}");
    assert!(table.encode("speech").cosine(&table.encode("text")) < 0.9);
    for bad in [
        &file[1..],
        &file[..file.len() - 1],
        &[],
        &[&file[..], &[0]].concat(),
    ] {
        assert!(Table::new(bad, VOCABULARY.as_bytes()).is_err());
    }
    assert!(Table::new(&file, format!("{VOCABULARY}more").as_bytes()).is_err());
}

#[test]
fn an_index_with_another_encoder_is_another_index() {
    let encoder = Embedder::Encoder(Arc::new(encoder()));
    let file = Table::distilled(match &encoder {
        Embedder::Encoder(encoder) => encoder,
        Embedder::Table(_) => unreachable!(),
    });
    let table = Embedder::Table(Arc::new(Table::new(&file, VOCABULARY.as_bytes()).unwrap()));
    let with = |semantics: Option<Semantics>| {
        let mut index = Index::new(semantics);
        index
            .add(model("a/speech-model", "", "speech to text"))
            .unwrap();
        index
    };
    let whole = with(Some(Semantics::new(
        encoder.clone(),
        encoder.clone(),
        encoder.clone(),
    )));
    let mixed = with(Some(Semantics::new(encoder.clone(), encoder, table)));
    assert_ne!(whole.digest(), with(None).digest());
    assert_ne!(whole.digest(), mixed.digest());
    let results = whole.search(&Query {
        text: "speech".into(),
        ..Query::default()
    });
    assert!(
        results.meaning
            && results.hits[0]
                .why
                .iter()
                .any(|why| why.feature == "meaning")
    );
}
