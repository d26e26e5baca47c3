//! What storing costs: `throughput DIRECTORY [MEGABYTES]` writes, reads, sends, assembles and encodes that much content
//! (256 MB unless said otherwise) in a new store in DIRECTORY, and prints a table in Markdown. CPU time is the process's
//! own, one core; wall time depends on the disk and on whoever else uses the machine.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use assay_blob::{Code, ErasureManifest, Expected, Store, StoreLimits, Stored};
use rustix::time::{ClockId, clock_gettime};

/// Bytes that are written or read at a time.
const PART: usize = 1 << 20;
const MEGABYTE: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments
        .next()
        .ok_or("usage: throughput DIRECTORY [MEGABYTES]")?;
    let megabytes: u64 = arguments.next().map_or(Ok(256), |text| text.parse())?;
    let size = megabytes * MEGABYTE;
    let store = Store::open(&Path::new(&directory).join("store"), StoreLimits::default())?;
    let peer = Store::open(&Path::new(&directory).join("peer"), StoreLimits::default())?;

    println!("| what, {megabytes} MB | MB per CPU-second | MB per second |\n| --- | ---: | ---: |");
    let stored = measured("write: BLAKE3, SHA-256, outboard", size, || {
        write(&store, size)
    })?;
    measured("read, every byte verified", size, || read(&store, &stored))?;
    measured("send a slice and receive it, both verified", size, || {
        transfer(&store, &peer, &stored)
    })?;
    measured("scrub", size, || Ok(store.verify(&stored.id)?))?;
    for (data, pieces) in [(4, 8), (10, 15), (16, 32), (16, 64), (32, 64)] {
        coding(&store, &stored, Code::new(data, pieces)?)?;
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        println!(
            "\nMost memory at once: {}.",
            peak.unwrap_or("unknown").trim()
        );
    }
    Ok(())
}

/// Runs it and prints its line.
fn measured<T>(
    what: &str,
    bytes: u64,
    run: impl FnOnce() -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let cpu = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let (wall, before) = (Instant::now(), cpu());
    let result = run()?;
    let megabytes = bytes as f64 / MEGABYTE as f64;
    let (cpu, wall) = (
        megabytes / (cpu() - before),
        megabytes / wall.elapsed().as_secs_f64(),
    );
    println!("| {what} | {cpu:.0} | {wall:.0} |");
    Ok(result)
}

fn write(store: &Store, size: u64) -> Result<Stored, Box<dyn Error>> {
    let mut part = vec![0; PART];
    blake3::Hasher::new().finalize_xof().fill(&mut part);
    let mut writer = store.writer()?;
    while writer.size() < size {
        // No part is the one before, and making it costs nothing.
        part[..8].copy_from_slice(&writer.size().to_le_bytes());
        let rest = usize::try_from(size - writer.size())?;
        writer.write(&part[..rest.min(PART)])?;
    }
    Ok(writer.finish(Expected::default())?)
}

fn read(store: &Store, stored: &Stored) -> Result<(), Box<dyn Error>> {
    let mut reader = store.read(&stored.id)?.ok_or("it is stored")?;
    let mut offset = 0;
    while offset < stored.size {
        offset += u64::try_from(reader.read_at(offset, PART)?.len())?;
    }
    Ok(())
}

fn transfer(from: &Store, to: &Store, stored: &Stored) -> Result<(), Box<dyn Error>> {
    let mut receiver = to.receiver(stored.id, stored.size)?;
    for range in receiver.missing() {
        let slice = from
            .slice(&stored.id, range.clone())?
            .ok_or("it is stored")?;
        receiver.accept(
            range,
            Slice {
                slice,
                part: Vec::new(),
                taken: 0,
            },
        )?;
    }
    receiver.finish()?;
    Ok(())
}

/// A slice as a stream, as a connection would bring it.
struct Slice {
    slice: assay_blob::SliceReader,
    part: Vec<u8>,
    taken: usize,
}

impl std::io::Read for Slice {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.taken == self.part.len() {
            self.part = match self.slice.next() {
                Some(part) => part.map_err(std::io::Error::other)?,
                None => return Ok(0),
            };
            self.taken = 0;
        }
        let length = into.len().min(self.part.len() - self.taken);
        into[..length].copy_from_slice(&self.part[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

/// Encodes, loses as much as may be lost, and rebuilds one piece and then the blob. Nothing of it stays.
fn coding(store: &Store, stored: &Stored, code: Code) -> Result<(), Box<dyn Error>> {
    let (data, pieces) = (code.data(), code.pieces());
    let encode = || Ok(store.encode(&stored.id, code)?.ok_or("it is stored")?);
    let name = format!("encode into {pieces} pieces, any {data} of which suffice");
    let manifest: ErasureManifest = measured(&name, stored.size, encode)?;
    for lost in &manifest.pieces[..pieces - data] {
        store.forget(lost)?;
    }
    let name = format!("rebuild one of {pieces} pieces from {data}");
    measured(
        &name,
        stored.size,
        || Ok(store.rebuild_piece(&manifest, 0)?),
    )?;
    store.forget(&manifest.pieces[0])?;
    store.forget(&stored.id)?;
    let name = format!("rebuild from {data} of {pieces} pieces");
    measured(&name, stored.size, || Ok(store.rebuild(&manifest)?))?;
    for id in manifest.pieces.iter().chain([&manifest.id()]) {
        store.forget(id)?;
    }
    Ok(())
}
