//! Makes the static table from the encoder: `cargo run -p assay-search --example distil -- DIR`, where DIR has
//! `model.safetensors` and `vocab.txt`; writes `static.table` there. With `--encode TEXT` prints the text's vector
//! instead.

use std::path::PathBuf;

use assay_search::encoder::{Encoder, Table};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().expect("the directory of the weights"));
    let read = |name: &str| {
        std::fs::read(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let encoder =
        Encoder::new(&read("model.safetensors"), &read("vocab.txt")).expect("weights of MiniLM");
    if arguments.next().as_deref() == Some("--encode") {
        for text in arguments {
            println!("{}", serde_json::json!(encoder.encode(&text).values()));
        }
        return;
    }
    let start = std::time::Instant::now();
    let file = Table::distilled(&encoder);
    std::fs::write(directory.join("static.table"), &file).expect("a writable directory");
    println!(
        "{} bytes, blake3 {}, in {:.1} s",
        file.len(),
        blake3::hash(&file),
        start.elapsed().as_secs_f64()
    );
}
