//! Measures proofs of the models of the zero-knowledge benchmark: a line of progress and a JSON object for each.
//!
//! `cargo run -p assay-inference --example proofs -- DIRECTORY [BATCH [MODE]]` measures one revision directory in this process,
//! so that the peak of memory is its own. CPU time is that of all threads. The allocator is the one of `assay`.

use std::path::Path;
use std::time::{Duration, Instant};

use assay_inference::provable::{Provable, TEST_FILE, rows};
use assay_inference::{Revision, RevisionLimits};
use assay_zkml::{Seed, Setting};
use assay_zkml_verify::verify;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Proofs are repeated for at least so long; the least time counts, because other work only adds.
const LEAST: Duration = Duration::from_secs(1);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("which revision directory?")?;
    let batch: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let revision = Revision::open(Path::new(&directory), &RevisionLimits::default())?;
    let mode = arguments.next().unwrap_or_else(|| "succinct".into());
    let mut provable = Provable::from_revision(&revision)?;
    match mode.as_str() {
        "succinct" => {}
        "zero-knowledge" => {
            provable = provable
                .hidden(&Seed::from_bytes([0; 32]))?
                .dangerous_uncounted()
        }
        other => return Err(format!("{other} is no mode").into()),
    }
    let quality = provable.quality(&revision)?;
    let test: Vec<_> = rows(&revision, TEST_FILE)?
        .into_iter()
        .cycle()
        .take(batch)
        .collect();
    let setting = Setting {
        network: [0; 32],
        revision: *revision.id().as_bytes(),
        context: [0; 32],
    };
    let (prove_s, proven) = least(|| provable.prove(setting, &test));
    let proven = proven?;
    let model = provable.model();
    let commitment = model.commitment();
    let (verify_s, verdict) = least(|| {
        verify(
            model.prepared(),
            &commitment,
            &proven.statement,
            &proven.proof,
        )
    });
    verdict?;
    let simd = match (
        cfg!(target_feature = "avx512f"),
        cfg!(target_feature = "avx2"),
    ) {
        (true, _) => "avx512",
        (_, true) => "avx2",
        _ => "portable",
    };
    let batch_log = batch.next_power_of_two().trailing_zeros();
    let (reference_s, made) = least(assay_zkml::reference);
    made?;
    let slowness = reference_s / assay_zkml::REFERENCE_S;
    let hiding = commitment.weights.hiding;
    let quote = assay_zkml::quote(model.prepared(), batch_log, hiding, slowness)?;
    let object = serde_json::json!({
        "model": revision.manifest().name,
        "mode": mode,
        "simd": simd,
        "batch": batch,
        "prove_cpu_s": prove_s,
        "verify_ms": verify_s * 1e3,
        "proof_bytes": proven.proof.encode().len(),
        "circuit_bytes": model.prepared().circuit().encode().len(),
        "quoted_prove_cpu_s": quote.prove_s,
        "quoted_proof_bytes": quote.proof_bytes,
        "quoted_verify_ms": quote.verify_s * 1e3,
        "quoted_memory_mb": quote.memory_bytes / 1e6,
        "slowness": slowness,
        "peak_mb": peak_mb(),
        "quantised_accuracy": quality.quantised_accuracy,
        "float_accuracy": quality.float_accuracy,
    });
    println!("{object}");
    Ok(())
}

/// The least CPU seconds of one run among many.
fn least<T>(mut run: impl FnMut() -> T) -> (f64, T) {
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    loop {
        // The kernel counts in hundredths of a second: a measurement has to last.
        let (start, mut runs) = (cpu_s(), 0u32);
        let mut result = run();
        runs += 1;
        while cpu_s() - start < 0.1 {
            result = run();
            runs += 1;
        }
        best = best.min((cpu_s() - start) / f64::from(runs));
        if begin.elapsed() > LEAST {
            return (best, result);
        }
    }
}

/// User and system time of this process, seconds (proc(5), fields 14 and 15).
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind.split_whitespace().skip(11).take(2);
    ticks.filter_map(|t| t.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The most memory that this process ever held, megabytes (proc(5), VmHWM).
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1000.0)
}
