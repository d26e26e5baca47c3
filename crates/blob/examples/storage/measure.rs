//! The measurements.

use std::error::Error;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use assay_blob::{
    BlobId, Code, ErasureManifest, Expected, SliceReader, Store, StoreLimits, Stored,
};
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Bytes that are written or read at a time.
const PART: usize = 1 << 20;
const MEGABYTE: u64 = 1_000_000;
/// Content that is streamed, and put into one file, at most, bytes.
const FILE_BYTES: u64 = 1_000 * MEGABYTE;
/// Bytes of a range that one peer asks another for.
const RANGE_BYTES: u64 = 4 << 20;
/// Bytes that a piece has of a stripe.
const SHARD_BYTES: usize = 64 << 10;
/// Content that each code is measured with, at most, bytes.
const CODED_BYTES: u64 = 256 * MEGABYTE;
/// Pieces that suffice, and pieces.
const CODES: [(u16, u16); 4] = [(3, 5), (4, 8), (16, 32), (10, 20)];
/// Five hubs, any three of which suffice.
const HUBS: usize = 5;
const SUFFICE: u16 = 3;
/// The hub that is lost.
const LOST: usize = 3;

/// A folder that goes with its owner, whatever happens.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} was not removed: {error}", self.0.display());
        }
    }
}

/// Seconds since `begin`.
struct Spent {
    wall: Instant,
    cpu: f64,
}

impl Spent {
    fn begin() -> Self {
        Self {
            wall: Instant::now(),
            cpu: cpu_seconds(),
        }
    }

    fn cpu(&self) -> f64 {
        cpu_seconds() - self.cpu
    }

    fn wall(&self) -> f64 {
        self.wall.elapsed().as_secs_f64()
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / MEGABYTE as f64
}

/// A number with three digits behind its point.
fn rounded(number: f64) -> Value {
    json!((number * 1_000.0).round() / 1_000.0)
}

/// Measures everything with `size_megabytes` of content to repair; what each number means stands beside it.
pub fn all(directory: &Path, size_megabytes: u64) -> Result<Value> {
    let size = size_megabytes
        .checked_mul(MEGABYTE)
        .filter(|size| *size > 0)
        .ok_or("MEGABYTES is at least 1, and less than disks have")?;
    let folder = directory.join(format!("storage-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let scratch = Scratch(folder);
    let streaming = streaming(&scratch.0, size.min(FILE_BYTES))?;
    let mut codes = Vec::new();
    for (data, pieces) in CODES {
        eprintln!("code {data} of {pieces}");
        codes.push(code(&scratch.0, size.min(CODED_BYTES), data, pieces)?);
    }
    let repair = repair(&scratch.0, size)?;
    Ok(json!({ "streaming": streaming, "erasure_codes": codes, "repair": repair }))
}

fn open(folder: &Path, name: &str) -> Result<Store> {
    Ok(Store::open(&folder.join(name), StoreLimits::default())?)
}

/// Writes content that nothing else has.
fn write(store: &Store, size: u64, seed: u64) -> Result<Stored> {
    let mut part = vec![0; PART];
    let mut noise = blake3::Hasher::new();
    noise.update(&seed.to_le_bytes());
    noise.finalize_xof().fill(&mut part);
    let mut writer = store.writer()?;
    while writer.size() < size {
        // No part is the one before, and making it costs nothing.
        part[..8].copy_from_slice(&writer.size().to_le_bytes());
        let rest = usize::try_from(size - writer.size())?;
        writer.write(&part[..rest.min(PART)])?;
    }
    Ok(writer.finish(Expected::default())?)
}

fn ranges(size: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    let begin = (0..size).step_by(usize::try_from(RANGE_BYTES).unwrap_or(PART));
    begin.map(move |from| from..(from + RANGE_BYTES).min(size))
}

/// CPU seconds a gigabyte: of the sender of slices, of their receiver, and of a reader.
fn streaming(folder: &Path, size: u64) -> Result<Value> {
    eprintln!("verified streaming of {:.0} MB", megabytes(size));
    let (from, to) = (open(folder, "sender")?, open(folder, "receiver")?);
    let stored = write(&from, size, 0)?;
    let (mut sending, mut receiving) = (0.0, 0.0);
    let mut receiver = to.receiver(stored.id, size)?;
    for range in ranges(size) {
        let spent = Spent::begin();
        let slice = from.slice(&stored.id, range.clone())?;
        let mut encoded = Vec::new();
        for part in slice.ok_or("it is stored")? {
            encoded.extend_from_slice(&part?);
        }
        sending += spent.cpu();
        let spent = Spent::begin();
        receiver.accept(range, encoded.as_slice())?;
        receiving += spent.cpu();
    }
    let spent = Spent::begin();
    receiver.finish()?;
    receiving += spent.cpu();
    let spent = Spent::begin();
    let mut reader = from.read(&stored.id)?.ok_or("it is stored")?;
    let mut offset = 0;
    while offset < size {
        offset += u64::try_from(reader.read_at(offset, PART)?.len())?;
    }
    let gigabytes = megabytes(size) / 1_000.0;
    let reading = spent.cpu();
    drop((from, to, reader));
    for name in ["sender", "receiver"] {
        fs::remove_dir_all(folder.join(name))?;
    }
    Ok(json!({
        "bytes": size,
        "send_slices_cpu_s_per_gb": rounded(sending / gigabytes),
        "receive_slices_cpu_s_per_gb": rounded(receiving / gigabytes),
        "read_cpu_s_per_gb": rounded(reading / gigabytes),
    }))
}

/// Megabytes of content a CPU second: the code alone, in memory, and with it hashing and disk of a store.
fn code(folder: &Path, size: u64, data: u16, pieces: u16) -> Result<Value> {
    let (encode, decode) = code_alone(size, usize::from(data), usize::from(pieces - data))?;
    let store = open(folder, "coded")?;
    let stored = write(&store, size, 1)?;
    let spent = Spent::begin();
    let code = Code::new(data, pieces)?;
    let manifest = store.encode(&stored.id, code)?.ok_or("it is stored")?;
    let encoded = megabytes(size) / spent.cpu();
    store.forget(&stored.id)?;
    for lost in &manifest.pieces[..usize::from(pieces - data)] {
        store.forget(lost)?;
    }
    let spent = Spent::begin();
    store.rebuild(&manifest)?;
    let rebuilt = megabytes(size) / spent.cpu();
    drop(store);
    fs::remove_dir_all(folder.join("coded"))?;
    Ok(json!({
        "code": format!("{data} of {pieces}"),
        "bytes": size,
        "encode_mb_per_cpu_s": rounded(encode),
        "decode_as_much_lost_as_may_be_mb_per_cpu_s": rounded(decode),
        "store_encode_mb_per_cpu_s": rounded(encoded),
        "store_rebuild_mb_per_cpu_s": rounded(rebuilt),
    }))
}

/// Megabytes of content that are encoded, and decoded with as much lost as may be, in a CPU second.
fn code_alone(size: u64, data: usize, parity: usize) -> Result<(f64, f64)> {
    let mut stripe = vec![0; data * SHARD_BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut stripe);
    let shards: Vec<&[u8]> = stripe.chunks(SHARD_BYTES).collect();
    let rounds = size.div_ceil(u64::try_from(stripe.len())?);
    let coded = megabytes(rounds * u64::try_from(stripe.len())?);
    let mut encoder = ReedSolomonEncoder::new(data, parity, SHARD_BYTES)?;
    let mut made: Vec<Vec<u8>> = Vec::new();
    let spent = Spent::begin();
    for round in 0..rounds {
        for shard in &shards {
            encoder.add_original_shard(shard)?;
        }
        let encoded = encoder.encode()?;
        if round == 0 {
            made = encoded.recovery_iter().map(<[u8]>::to_vec).collect();
        }
    }
    let encode = coded / spent.cpu();
    let mut decoder = ReedSolomonDecoder::new(data, parity, SHARD_BYTES)?;
    let lost = parity.min(data);
    let spent = Spent::begin();
    for _ in 0..rounds {
        for (index, shard) in shards.iter().enumerate().skip(lost) {
            decoder.add_original_shard(index, shard)?;
        }
        for (index, shard) in made.iter().enumerate().take(lost) {
            decoder.add_recovery_shard(index, shard)?;
        }
        let decoded = decoder.decode()?;
        let first = decoded.restored_original(0).ok_or("it was lost")?;
        if first != shards[0] {
            return Err("the code gives other bytes back".into());
        }
    }
    Ok((encode, coded / spent.cpu()))
}

/// A slice as a stream, as a connection would bring it.
struct Stream {
    slice: SliceReader,
    part: Vec<u8>,
    taken: usize,
}

impl Read for Stream {
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

/// Takes a blob from one store to another as hubs do, verified on both sides, and gives its size.
fn fetch(from: &Store, to: &Store, id: &BlobId) -> Result<u64> {
    let size = from.stored(id)?.ok_or("a hub lost a piece")?.size;
    let mut receiver = to.receiver(*id, size)?;
    for range in ranges(size) {
        let slice = from.slice(id, range.clone())?.ok_or("it is stored")?;
        let part = Vec::new();
        receiver.accept(
            range,
            Stream {
                slice,
                part,
                taken: 0,
            },
        )?;
    }
    receiver.finish()?;
    Ok(size)
}

/// Five hubs have a piece each of every file; one is lost with its disk, and a new one rebuilds what it had.
fn repair(folder: &Path, size: u64) -> Result<Value> {
    let count = size.div_ceil(FILE_BYTES).max(4.min(size / MEGABYTE)).max(1);
    let mut hubs = Vec::new();
    for hub in 0..HUBS {
        hubs.push(open(folder, &format!("hub-{hub}"))?);
    }
    let manifests = distribute(folder, &hubs, size, count)?;
    drop(hubs.remove(LOST));
    fs::remove_dir_all(folder.join(format!("hub-{LOST}")))?;
    // The most memory at once is counted anew, where the system lets it be.
    let is_counted_anew = fs::write("/proc/self/clear_refs", "5").is_ok();
    let new = open(folder, "new-hub")?;
    let (mut read, mut written) = (0, 0);
    let spent = Spent::begin();
    for (number, manifest) in manifests.iter().enumerate() {
        eprintln!("repair of file {} of {count}", number + 1);
        let mut sources = hubs.iter().enumerate().map(|(index, hub)| {
            let place = index + usize::from(index >= LOST);
            (hub, manifest.pieces[place])
        });
        let mut came = Vec::new();
        for (hub, piece) in sources.by_ref().take(manifest.code.data()) {
            read += fetch(hub, &new, &piece)?;
            came.push(piece);
        }
        let rebuilt = new.rebuild_piece(manifest, LOST)?;
        for piece in came {
            new.forget(&piece)?;
        }
        let health = new.verify(&rebuilt.id)?.ok_or("it was rebuilt")?;
        if !health.rotted.is_empty() {
            return Err("a rebuilt piece does not verify".into());
        }
        written += rebuilt.size;
    }
    Ok(json!({
        "content_bytes": size,
        "files": count,
        "code": format!("{SUFFICE} of {HUBS}"),
        "rebuilt_bytes": written,
        "read_from_other_hubs_bytes": read,
        "wall_s": rounded(spent.wall()),
        "cpu_s": rounded(spent.cpu()),
        "content_mb_per_wall_s": rounded(megabytes(size) / spent.wall()),
        "most_memory_bytes": most_memory()?,
        "most_memory_is_of_the_repair_alone": is_counted_anew,
    }))
}

/// Writes files, cuts each into pieces, and gives each hub its own.
fn distribute(
    folder: &Path,
    hubs: &[Store],
    size: u64,
    count: u64,
) -> Result<Vec<ErasureManifest>> {
    let code = Code::new(SUFFICE, u16::try_from(HUBS)?)?;
    let origin = open(folder, "origin")?;
    let mut manifests = Vec::new();
    for number in 0..count {
        eprintln!("file {} of {count} goes to {HUBS} hubs", number + 1);
        let rest = size - size / count * number;
        let bytes = if number + 1 == count {
            rest
        } else {
            size / count
        };
        let stored = write(&origin, bytes, 2 + number)?;
        let manifest = origin.encode(&stored.id, code)?.ok_or("it is stored")?;
        for (hub, piece) in hubs.iter().zip(&manifest.pieces) {
            fetch(&origin, hub, piece)?;
        }
        for id in manifest.pieces.iter().chain([&stored.id, &manifest.id()]) {
            origin.forget(id)?;
        }
        manifests.push(manifest);
    }
    drop(origin);
    fs::remove_dir_all(folder.join("origin"))?;
    Ok(manifests)
}

/// The most memory that the process had at once, bytes.
fn most_memory() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kibibytes
        .ok_or("the system does not tell")?
        .parse::<u64>()?
        * 1_024)
}
