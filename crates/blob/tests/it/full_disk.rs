//! A disk that is full: said plainly, nothing half-written is left, and what was there stays.
//!
//! The test runs itself again as a process whose files may not grow over a limit, which the system enforces: a write over it
//! fails just as one to a full disk does.

use std::path::Path;
use std::process::Command;

use assay_blob::{BlobId, Error, Store};

use crate::content::{bytes, files};

/// The directory, for the process whose files are limited.
const DIRECTORY: &str = "ASSAY_FULL_DISK";
/// 6 MiB, in the shell's blocks of 512 bytes.
const BLOCKS: u32 = 12_288;
const LARGE: usize = 7 << 20;

#[test]
fn a_full_disk_is_said_and_survived() {
    if let Ok(directory) = std::env::var(DIRECTORY) {
        return with_little_room(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let script = format!(
        "trap '' XFSZ; ulimit -f {BLOCKS}; exec \"$0\" --exact full_disk::a_full_disk_is_said_and_survived --nocapture"
    );
    let output = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(program)
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(told.contains("large content was refused"), "{told}");
    assert!(told.contains("the index was refused"), "{told}");

    // With room again, what was acknowledged is there, and what was refused can be stored.
    let store = Store::open(directory.path(), Default::default()).unwrap();
    let acknowledged = told
        .lines()
        .filter_map(|line| line.strip_prefix("acknowledged "))
        .map(|id| id.parse::<BlobId>().unwrap());
    let mut count = 0;
    for id in acknowledged {
        assert_eq!(store.verify(&id).unwrap().unwrap().rotted, []);
        count += 1;
    }
    assert!(count > 10, "{count}");
    let stored = store.put(&bytes(71, LARGE)).unwrap();
    assert_eq!(store.verify(&stored.id).unwrap().unwrap().rotted, []);
}

fn with_little_room(directory: &Path) {
    let store = Store::open(directory, Default::default()).unwrap();
    let before = files(directory);
    let refused = store.put(&bytes(71, LARGE)).unwrap_err();
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused}");
    assert_eq!(files(directory), before);
    assert_eq!(store.stored(&BlobId::of(&bytes(71, LARGE))).unwrap(), None);
    println!("large content was refused");
    let fits = store.put(&bytes(72, 1 << 20)).unwrap();
    println!("acknowledged {}", fits.id);
    for seed in 1_000.. {
        let content = bytes(seed, 16_000);
        match store.put(&content) {
            Ok(stored) => println!("acknowledged {}", stored.id),
            Err(error) => {
                assert!(matches!(error, Error::NoSpace { .. }), "{error}");
                assert_eq!(store.stored(&BlobId::of(&content)).unwrap(), None);
                println!("the index was refused");
                break;
            }
        }
    }
    assert_eq!(
        store
            .read(&fits.id)
            .unwrap()
            .unwrap()
            .read_at(0, 1 << 20)
            .unwrap(),
        bytes(72, 1 << 20)
    );
}
