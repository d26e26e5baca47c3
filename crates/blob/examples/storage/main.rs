//! What keeping content costs: `storage DIRECTORY [MEGABYTES]` measures verified streaming, erasure codes and the
//! repair of so much content (10,000 MB unless said otherwise) after one of five hubs is lost. It works in a new
//! folder in DIRECTORY, which it removes at its end, and prints one JSON object. CPU time is the process's own, one
//! thread; wall time depends on the disk.

mod measure;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: storage DIRECTORY [MEGABYTES]";
    let directory = arguments.next().ok_or(usage)?;
    let megabytes: u64 = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    if arguments.next().is_some() {
        return Err(usage.into());
    }
    let told = measure::all(Path::new(&directory), megabytes)?;
    println!("{}", serde_json::to_string_pretty(&told)?);
    Ok(())
}
