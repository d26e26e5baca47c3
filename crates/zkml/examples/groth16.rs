//! What a proof for any EVM costs, for a model of each size class: times, sizes, and gas where anvil is installed.
//!
//! `cargo run -p assay-zkml --features groth16 --example groth16 [-- DIRECTORY]`; with a directory, leaves the contracts
//! and calls there, one file a class, which `contracts/groth16.mjs` measures.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use ark_std::rand::rngs::StdRng;
use ark_std::rand::{Rng, SeedableRng};
use assay_zkml::groth16::{
    Activation, CAVEAT, CLASSES, Committed, Layer, Perceptron, SizeClass, constraints,
    dangerous_local_setup, word,
};

fn main() -> Result<(), Box<dyn Error>> {
    let given = std::env::args().nth(1).map(PathBuf::from);
    let directory = given.unwrap_or_else(|| std::env::temp_dir().join("assay-groth16"));
    std::fs::create_dir_all(&directory)?;
    for class in CLASSES {
        measure(*class, &directory)?;
    }
    println!("{CAVEAT}");
    Ok(())
}

/// A model as large as a class, of random weights.
fn model(class: &SizeClass, rng: &mut StdRng) -> Perceptron {
    let last = class.widths.len() - 2;
    let sizes = class.widths.iter().zip(&class.widths[1..]).enumerate();
    let layers = sizes.map(|(index, (inputs, outputs))| Layer {
        inputs: *inputs,
        weights: (0..inputs * outputs).map(|_| rng.r#gen()).collect(),
        biases: (0..*outputs).map(|_| rng.gen_range(-4000..4000)).collect(),
        activation: (index < last).then_some(Activation {
            shift: 9,
            least: 0,
            most: 127,
        }),
    });
    Perceptron {
        layers: layers.collect(),
    }
}

fn measure(class: SizeClass, directory: &Path) -> Result<(), Box<dyn Error>> {
    // A fixed seed: these keys are public, and so is what forges proofs under them.
    let mut rng = StdRng::seed_from_u64(1);
    let clock = Instant::now();
    let setup = dangerous_local_setup(class, &mut rng)?;
    let setup_s = clock.elapsed().as_secs_f64();
    let verifier = setup.verifier();
    let model = Committed::new(class, model(&class, &mut rng), &mut rng)?;
    let inputs: Vec<i16> = (0..class.inputs())
        .map(|_| rng.gen_range(-128..128))
        .collect();
    let clock = Instant::now();
    let (statement, proof) = setup.prove(&model, &inputs, [7; 32], &mut rng)?;
    let prove_s = clock.elapsed().as_secs_f64();
    let clock = Instant::now();
    verifier.verify(&statement, &proof)?;
    let verify_ms = clock.elapsed().as_secs_f64() * 1e3;
    println!("class {}", class.name);
    println!(
        "  constraints {}, public inputs {}",
        constraints(class)?,
        class.public()
    );
    println!("  setup {setup_s:.2} s, prove {prove_s:.2} s, verify {verify_ms:.1} ms");
    println!(
        "  proving key {} bytes, proof {} bytes",
        setup.key_bytes(),
        proof.len()
    );

    let public = statement.public(&class)?;
    let public: Vec<String> = public
        .iter()
        .map(|v| format!("\"{}\"", hex(&word(v))))
        .collect();
    let call = format!(
        "{{\"class\": \"{}\", \"name\": \"Groth16Verifier\", \"source\": {:?},\n \"proof\": \"{}\", \"publicInputs\": [{}]}}\n",
        class.name,
        verifier.solidity("Groth16Verifier")?,
        hex(&proof),
        public.join(", ")
    );
    let file = directory.join(format!("{}.json", class.name));
    std::fs::write(&file, call)?;
    print!("{}", gas(&file));
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

/// What the contract's tool says, or why it says nothing.
fn gas(file: &Path) -> String {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts/groth16.mjs");
    match Command::new("node").arg(tool).arg(file).output() {
        Ok(run) if run.status.success() => {
            let text = String::from_utf8_lossy(&run.stdout);
            text.lines().map(|line| format!("  {line}\n")).collect()
        }
        Ok(run) => {
            let said = String::from_utf8_lossy(&run.stderr);
            let reason = said
                .lines()
                .find(|line| line.contains("Error"))
                .unwrap_or("unknown");
            format!("  gas not measured: {reason}\n")
        }
        Err(error) => format!("  gas not measured: node: {error}\n"),
    }
}
