//! One running role of a local network: a thread of this process or a process of its own.

use crate::{
    Error,
    config::NodeConfig,
    gateway,
    hub::{self, HubConfig},
    inference_node, shutdown,
    shutdown::Shutdown,
    validator,
};
use std::{
    fmt,
    fs::{File, OpenOptions},
    future::Future,
    io,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread::JoinHandle,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// A role that was asked to stop has this long to drain before it is killed.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Between two looks whether a role has ended.
const POLL: Duration = Duration::from_millis(20);
/// Threads of a node's or gateway's runtime in a shared process.
const THREADS: usize = 2;

/// Which role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RoleName {
    /// The validator with this number.
    Validator(u16),
    /// The inference node with this number.
    Node(u16),
    /// The gateway.
    Gateway,
    /// The hub with this number.
    Hub(u16),
}

impl RoleName {
    /// The subcommand of the `assay` binary that runs it.
    pub const fn subcommand(self) -> &'static str {
        match self {
            Self::Validator(_) => "validator",
            Self::Node(_) => "node",
            Self::Gateway => "gateway",
            Self::Hub(_) => "hub",
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Validator(index) => write!(f, "validator-{index}"),
            Self::Node(index) => write!(f, "node-{index}"),
            Self::Gateway => f.write_str("gateway"),
            Self::Hub(index) => write!(f, "hub-{index}"),
        }
    }
}

/// Where roles run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// In threads of this process.
    Threads,
    /// In a process each, by running this `assay` binary again.
    Processes {
        /// The binary.
        program: PathBuf,
    },
}

/// A role and, while it runs, what runs it.
#[derive(Debug)]
pub struct Role {
    /// Which one.
    pub name: RoleName,
    config: PathBuf,
    log: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
enum Running {
    Thread {
        trigger: shutdown::Trigger,
        thread: JoinHandle<Result<(), Error>>,
    },
    Process {
        child: Child,
        lifeline: Option<ChildStdin>,
    },
}

impl Role {
    /// A role that does not run yet, with its configuration file and the file for its log.
    pub fn new(name: RoleName, config: PathBuf, log: PathBuf) -> Self {
        Self {
            name,
            config,
            log,
            running: None,
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// [`Error::System`] if the system refuses a thread or a process, or the log cannot be written.
    pub fn start(&mut self, isolation: &Isolation) -> Result<(), Error> {
        let running = match isolation {
            Isolation::Threads => self.spawn_thread(),
            Isolation::Processes { program } => self.spawn_process(program),
        };
        let running = running.map_err(|source| Error::System {
            what: "starting a role",
            source,
        })?;
        self.running = Some(running);
        Ok(())
    }

    fn spawn_thread(&self) -> io::Result<Running> {
        let (trigger, shutdown) = shutdown::channel();
        let (name, config) = (self.name, self.config.clone());
        let thread = std::thread::Builder::new()
            .name(name.to_string())
            .stack_size(validator::STACK_BYTES)
            .spawn(move || run(name, &config, &shutdown))?;
        Ok(Running::Thread { trigger, thread })
    }

    fn spawn_process(&self, program: &Path) -> io::Result<Running> {
        let log: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let mut child = Command::new(program)
            .arg(self.name.subcommand())
            .arg("--config")
            .arg(&self.config)
            .arg("--until-stdin-ends")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let lifeline = child.stdin.take();
        Ok(Running::Process { child, lifeline })
    }

    /// Its process, if it has one of its own.
    pub fn pid(&self) -> Option<u32> {
        match &self.running {
            Some(Running::Process { child, .. }) => Some(child.id()),
            _ => None,
        }
    }

    /// Whether it was started and not stopped or killed by its owner.
    pub fn is_started(&self) -> bool {
        self.running.is_some()
    }

    /// Why it ended by itself, or `None` while it runs as it should.
    pub fn fault(&mut self) -> Option<String> {
        let name = self.name;
        let ended = match self.running.as_mut()? {
            Running::Thread { thread, .. } if thread.is_finished() => true,
            Running::Thread { .. } => false,
            Running::Process { child, .. } => match child.try_wait() {
                Ok(None) => false,
                Ok(Some(_)) | Err(_) => true,
            },
        };
        if !ended {
            return None;
        }
        Some(match self.running.take()? {
            Running::Thread { thread, .. } => match thread.join() {
                Ok(Ok(())) => format!("{name} stopped by itself"),
                Ok(Err(error)) => format!("{name}: {error}"),
                Err(_) => format!("{name} panicked"),
            },
            Running::Process { .. } => {
                let last = last_line(&self.log).unwrap_or_default();
                format!(
                    "{name} ended; its log, {}, says last: {last}",
                    self.log.display()
                )
            }
        })
    }

    /// Kills it: SIGKILL for a process. A thread cannot be killed, so it is stopped.
    ///
    /// # Errors
    /// [`Error::System`] if the system refuses.
    pub async fn kill(&mut self) -> Result<(), Error> {
        match self.running.take() {
            Some(Running::Process {
                mut child,
                lifeline,
            }) => {
                let killed = child.kill().and_then(|()| child.wait());
                drop(lifeline);
                killed.map(|_| ()).map_err(|source| Error::System {
                    what: "killing a role",
                    source,
                })
            }
            Some(thread) => {
                self.running = Some(thread);
                self.stop().await;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Asks it to stop, without waiting.
    pub fn ask_to_stop(&mut self) {
        match &mut self.running {
            Some(Running::Thread { trigger, .. }) => trigger.stop(),
            // Its standard input ends.
            Some(Running::Process { lifeline, .. }) => drop(lifeline.take()),
            None => {}
        }
    }

    /// Stops it: it drains for [`STOP_TIMEOUT`], then a process is killed.
    pub async fn stop(&mut self) {
        self.ask_to_stop();
        let Some(mut running) = self.running.take() else {
            return;
        };
        let started = Instant::now();
        while started.elapsed() < STOP_TIMEOUT {
            let ended = match &mut running {
                Running::Thread { thread, .. } => thread.is_finished(),
                Running::Process { child, .. } => !matches!(child.try_wait(), Ok(None)),
            };
            if ended {
                return;
            }
            sleep(POLL).await;
        }
        tracing::warn!(role = %self.name, "did not stop in time");
        if let Running::Process { mut child, .. } = running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A process must not outlive its owner.
impl Drop for Role {
    fn drop(&mut self) {
        if let Some(Running::Process { child, .. }) = &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs a role by its configuration until `shutdown`. Blocks; must not be called on a tokio runtime.
///
/// # Errors
/// [`Error`] of the role.
pub fn run(name: RoleName, config: &Path, shutdown: &Shutdown) -> Result<(), Error> {
    match name {
        RoleName::Validator(_) => validator::run(&validator::Config::load(config)?, shutdown),
        RoleName::Node(_) => {
            let config = NodeConfig::read(config)?;
            on_runtime(inference_node::run(config, shutdown.clone()))?
        }
        RoleName::Gateway => {
            let config = gateway::Config::load(config)?;
            on_runtime(gateway::run(config, shutdown.clone()))?
        }
        RoleName::Hub(_) => {
            let config = HubConfig::read(config)?;
            on_runtime(hub::run(config, shutdown.clone()))?
        }
    }
}

fn on_runtime<T>(role: impl Future<Output = T>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .enable_all()
        .build()
        .map_err(|source| Error::System {
            what: "starting a runtime",
            source,
        })?;
    Ok(runtime.block_on(role))
}

fn last_line(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).ok()?;
    text.lines()
        .rfind(|line| !line.trim().is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(folder: &Path) -> Role {
        let name = RoleName::Validator(0);
        Role::new(name, folder.join("absent.toml"), folder.join("log"))
    }

    #[tokio::test]
    async fn a_thread_that_fails_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let mut role = role(folder.path());
        role.start(&Isolation::Threads).unwrap();
        let fault = loop {
            if let Some(fault) = role.fault() {
                break fault;
            }
            tokio::task::yield_now().await;
        };
        assert!(fault.contains("absent.toml"), "{fault}");
        assert!(!role.is_started());
    }

    #[tokio::test]
    async fn a_process_ends_when_it_is_stopped_or_killed() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("role");
        // Stands for the binary: lives while its standard input is open.
        std::fs::write(&program, "#!/bin/sh\ncat >/dev/null\n").unwrap();
        make_executable(&program);
        let isolation = Isolation::Processes { program };
        let mut role = role(folder.path());
        for kill in [true, false] {
            role.start(&isolation).unwrap();
            assert!(role.pid().is_some());
            assert_eq!(role.fault(), None);
            if kill {
                role.kill().await.unwrap();
            } else {
                role.stop().await;
            }
            assert_eq!(role.pid(), None);
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let isolation = Isolation::Processes {
            program: folder.path().join("no-program"),
        };
        assert!(matches!(
            role(folder.path()).start(&isolation),
            Err(Error::System { .. })
        ));
    }

    fn make_executable(path: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}
