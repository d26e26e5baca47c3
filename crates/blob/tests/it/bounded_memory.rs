//! Memory does not grow with content: the test runs itself again as a process that handles much more than it may hold.

use std::process::Command;

use assay_blob::{Code, Expected, Store};

use crate::content::bytes;
use crate::xet_client::{CHUNK, File, shard, xorb};

/// The directory, for the process whose memory is looked at.
const DIRECTORY: &str = "ASSAY_BOUNDED_MEMORY";
const PART: usize = 1 << 20;
/// Parts of the content: 160 MiB.
const PARTS: u64 = 160;
/// What the process may hold at most, KiB.
const MOST_KIB: u64 = 100 << 10;

#[test]
fn memory_does_not_grow_with_content() {
    if let Ok(directory) = std::env::var(DIRECTORY) {
        return handle_much(directory.as_ref());
    }
    let directory = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program)
        .args([
            "--exact",
            "bounded_memory::memory_does_not_grow_with_content",
            "--nocapture",
        ])
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let most = told
        .lines()
        .find_map(|line| line.strip_prefix("most memory at once, KiB: "));
    let most: u64 = most.unwrap_or_else(|| panic!("{told}")).parse().unwrap();
    assert!(most < MOST_KIB, "{most} KiB were held at once");
}

fn handle_much(directory: &std::path::Path) {
    let store = Store::open(&directory.join("store"), Default::default()).unwrap();
    let peer = Store::open(&directory.join("peer"), Default::default()).unwrap();
    let mut writer = store.writer().unwrap();
    let mut part = bytes(91, PART);
    for number in 0..PARTS {
        part[..8].copy_from_slice(&number.to_le_bytes());
        writer.write(&part).unwrap();
    }
    let stored = writer.finish(Expected::default()).unwrap();
    let mut receiver = peer.receiver(stored.id, stored.size).unwrap();
    for number in 0..PARTS / 8 {
        let range = number * 8 * (1 << 20)..(number + 1) * 8 * (1 << 20);
        let slice: Vec<u8> = store
            .slice(&stored.id, range.clone())
            .unwrap()
            .unwrap()
            .flat_map(Result::unwrap)
            .collect();
        receiver.accept(range, slice.as_slice()).unwrap();
    }
    receiver.finish().unwrap();
    let manifest = store
        .encode(&stored.id, Code::new(4, 8).unwrap())
        .unwrap()
        .unwrap();
    store.forget(&stored.id).unwrap();
    store.forget(&manifest.pieces[1]).unwrap();
    store.rebuild(&manifest).unwrap();
    assemble_much(&store);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let most = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    println!(
        "most memory at once, KiB: {}",
        most.trim().trim_end_matches(" kB")
    );
}

/// A file that has one xorb many times over.
fn assemble_much(store: &Store) {
    let one = xorb(&bytes(92, 100 * CHUNK));
    store.put_xorb(&one.hash, &one.bytes).unwrap();
    let file = File {
        terms: (0..10).map(|_| (&one, 0..100)).collect(),
    };
    let stored = store.put_shard(&shard(&[file.info()])).unwrap()[0];
    let mut reader = store.read(&stored.id).unwrap().unwrap();
    let mut offset = 0;
    while offset < stored.size {
        offset += u64::try_from(reader.read_at(offset, PART).unwrap().len()).unwrap();
    }
}
