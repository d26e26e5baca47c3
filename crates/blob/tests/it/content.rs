//! Bytes for tests: the same for the same seed, and none that compresses by chance.

/// `length` bytes that follow from `seed`.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// An empty store in a directory that goes away with the returned guard.
pub fn store() -> (tempfile::TempDir, assay_blob::Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = assay_blob::Store::open(directory.path(), Default::default()).unwrap();
    (directory, store)
}

/// Every file under a directory, its path relative to it.
pub fn files(directory: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let relative = path.strip_prefix(directory).unwrap();
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}
