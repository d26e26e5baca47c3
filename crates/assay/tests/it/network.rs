//! A local network as a process of its own.

use crate::binary::{BINARY, command};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

/// A local network that ends with the test.
pub struct Network {
    child: Child,
    /// Its folder.
    pub data: PathBuf,
    /// Its gateway.
    pub gateway: String,
    /// JSON-RPC of one of its validators.
    pub rpc: String,
}

impl Network {
    /// Starts one in `data` that serves a folder of models, on 64 ports from `base` on.
    pub fn start(data: &Path, models: &Path, base: u16, more: &[&str]) -> Self {
        let mut up = command(BINARY);
        up.args(["up", "--port-base", &base.to_string()]);
        up.args(more)
            .arg("--data")
            .arg(data)
            .arg("--models")
            .arg(models);
        let mut child = up
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut network = Self {
            child,
            data: data.to_owned(),
            gateway: String::new(),
            rpc: String::new(),
        };
        let mut lines = lines.map_while(Result::ok);
        while network.gateway.is_empty() || network.rpc.is_empty() {
            let line = lines.next().expect("it says where it answers");
            let mut words = line.split_whitespace().map(str::to_owned);
            match words.next().as_deref() {
                Some("gateway") => network.gateway = words.next().unwrap(),
                Some("json-rpc") => network.rpc = words.next().unwrap(),
                _ => {}
            }
        }
        // Whoever writes to a pipe that nobody reads is ended by it.
        std::thread::spawn(move || lines.for_each(drop));
        network
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // By its id, which nobody else has before it was waited for.
        let _ = command("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
