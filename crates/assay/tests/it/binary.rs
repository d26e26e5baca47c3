//! Running the `assay` binary, and comparing what it prints with files.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// What a run of the binary left.
#[derive(Debug)]
pub struct Run {
    /// Exit status.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().expect("the process ended by itself"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Path of the binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_assay");

/// Runs the binary with these arguments, in an environment without settings of ours.
pub fn assay<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Run {
    command(BINARY).args(arguments).output().unwrap().into()
}

/// A command in an environment without settings of ours.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in ["ASSAY_RPC", "ASSAY_GATEWAY", "ASSAY_LOG"] {
        command.env_remove(name);
    }
    command
}

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Compares `text` with the snapshot of this name; with UPDATE_SNAPSHOTS set, writes it.
pub fn snapshot(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        text, kept,
        "{name} changed; if it should, run the test with UPDATE_SNAPSHOTS=1"
    );
}

/// The first of 64 ports that nobody listens on, below the range that the system hands out itself. `slot` keeps the
/// tests of one run apart.
pub fn port_base(slot: u16) -> u16 {
    let first = 20_000 + (std::process::id() % 8) as u16 * 1_024 + slot * 64;
    let free =
        |base: &u16| (*base..*base + 64).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    (0..4)
        .map(|turn| first + turn * 1_000)
        .find(free)
        .expect("64 free ports in a row")
}
