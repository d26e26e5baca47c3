//! `assay validator|node|gateway|hub --config FILE`: one role until SIGTERM or ctrl-c.

use crate::{cli, complaint::Exit};
use anyhow::Result;
use assay_node::{
    local::role::{RoleName, run as run_role},
    shutdown::{self, Trigger},
};
use std::{io::Read as _, sync::Arc, thread};

/// Which role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A validator.
    Validator,
    /// An inference node.
    Node,
    /// A gateway.
    Gateway,
    /// A hub.
    Hub,
}

/// Runs the role until it is told to stop.
///
/// # Errors
/// The role's, such as a port that is taken.
pub fn run(kind: Kind, arguments: &cli::Role) -> Result<Exit> {
    let (trigger, shutdown) = shutdown::channel();
    let trigger = Arc::new(trigger);
    stop_on_signal(Arc::clone(&trigger))?;
    if arguments.until_stdin_ends {
        stop_at_end_of_input(trigger);
    }
    let name = match kind {
        Kind::Validator => RoleName::Validator(0),
        Kind::Node => RoleName::Node(0),
        Kind::Gateway => RoleName::Gateway,
        Kind::Hub => RoleName::Hub(0),
    };
    run_role(name, &arguments.config, &shutdown)?;
    Ok(Exit::Done)
}

fn stop_on_signal(trigger: Arc<Trigger>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || match runtime.block_on(shutdown::signal()) {
            Ok(()) => trigger.stop(),
            Err(error) => tracing::error!(%error, "signals are not heard"),
        })?;
    Ok(())
}

/// The other end of standard input is held by whoever started this role; when that process is gone, however it went,
/// the role has no owner.
fn stop_at_end_of_input(trigger: Arc<Trigger>) {
    thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut bytes = [0; 64];
        while input.read(&mut bytes).is_ok_and(|read| read > 0) {}
        trigger.stop();
    });
}
