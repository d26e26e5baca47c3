//! The assay binary: subcommands are roles and tools.

mod ask;
mod cli;
mod client;
mod complaint;
mod demo;
mod drill;
mod hub;
mod infer;
mod inputs;
mod model;
mod network;
mod node;
mod output;
mod pull;
mod receipt;
mod recheck;
mod role;
mod samples;
mod saved;
mod up;
mod verify;
mod zk;

use crate::{
    cli::{Cli, Command},
    complaint::Exit,
    output::Form,
};
use anyhow::Result;
use clap::{Parser as _, error::ErrorKind};
use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
};
use tracing_subscriber::EnvFilter;

/// Keeps the large vectors of proofs instead of having the kernel clear new pages for each.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error).into(),
    };
    log();
    let form = if cli.json { Form::Json } else { Form::Text };
    dispatch(cli.command, form)
        .unwrap_or_else(|error| complain(&error))
        .into()
}

/// Says on standard error what went wrong.
fn complain(error: &anyhow::Error) -> Exit {
    let (text, exit) = complaint::show(error);
    // Where it cannot be written the status still says whose fault it is.
    let _ = writeln!(std::io::stderr(), "{text}");
    exit
}

/// Help and version are data; everything else that clap has to say is wrong usage.
fn usage(error: &clap::Error) -> Exit {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // Whoever closed the pipe has read enough.
        let _ = output::line(&error.render().to_string());
        return Exit::Done;
    }
    complain(&complaint::of_clap(error).into())
}

fn log() {
    let filter = EnvFilter::try_from_env("ASSAY_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

fn dispatch(command: Command, form: Form) -> Result<Exit> {
    match command {
        Command::Demo(arguments) => on_runtime(demo::run(arguments, form)),
        Command::Up(arguments) => on_runtime(up::run(arguments, form)),
        Command::Validator(arguments) => role::run(role::Kind::Validator, &arguments),
        Command::Gateway(arguments) => role::run(role::Kind::Gateway, &arguments),
        Command::Node(arguments) => node::run(arguments, form),
        Command::Hub(arguments) => hub::run(arguments, form),
        Command::Model(command) => on_runtime(model::run(command, form)),
        Command::Infer(arguments) => on_runtime(infer::run(arguments, form)),
        Command::Receipt(cli::Receipt::Verify(arguments)) => receipt::verify(&arguments, form),
        Command::Receipt(cli::Receipt::Show(arguments)) => {
            on_runtime(receipt::show(arguments, form))
        }
        Command::Receipt(cli::Receipt::Check(arguments)) => {
            on_runtime(recheck::check(arguments, form))
        }
        Command::Zk(command) => zk::run(command, form),
        Command::Network(cli::Network::Health(arguments)) => {
            on_runtime(network::health(arguments, form))
        }
        Command::Network(cli::Network::Drill(arguments)) => on_runtime(drill::run(arguments, form)),
    }
}

/// Runs a tool. Roles have runtimes of their own.
fn on_runtime(tool: impl Future<Output = Result<Exit>>) -> Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(tool)
}
