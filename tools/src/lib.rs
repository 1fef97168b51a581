//! The tool `stemma`: keys, genesis, trades, accounts, audit, a sandbox.
//!
//! # The command line
//!
//! - Data goes to standard output, everything else to standard error.
//! - Exit codes: 0 yes, 1 the check said no, 2 wrong usage, 3 files or network.
//! - With `--json`, standard output is one JSON object on one line, with `"version": 1`. A failure is
//!   one JSON object on the last line of standard error, so that standard output holds data or nothing:
//!   `{"version":1,"error":{"message":…,"causes":[…],"help":…,"exit_code":…}}`.
//!   Fields may be added within a version; one that goes or changes its meaning raises the version.
//!
//! # How to add a command
//!
//! 1. A module `commands/<name>.rs` with `pub struct Args` (derives `clap::Args`, has an example in
//!    `after_help`) and `pub fn run(args: Args, output: &Output) -> Result<ExitCode, CliError>`.
//!    It may be an `async fn`, and may take the home folder as a third argument.
//! 2. A variant in [`cli::Command`] and an arm in this file's `dispatch`: asynchronous ones through
//!    [`block_on`], those that need the home folder with `cli::home(global.home)?`.
//! 3. A transcript in `tests/cmd/<name>.trycmd`.

pub mod audit;
pub mod cli;
pub mod commands;
pub mod customer;
pub mod error;
pub mod file_signature;
pub mod files;
pub mod founding;
pub mod identity;
pub mod keys;
pub mod member_entry;
pub mod node;
pub mod node_binary;
pub mod output;
pub mod passphrase;
pub mod progress;
pub mod promotion;
pub mod referral;
pub mod requests;
pub mod sandbox;
pub mod units;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Parses the command line, runs the command, and reports how it went.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &arguments),
    };
    let output = Output::new(&cli.global);
    dispatch(cli, &output).unwrap_or_else(|error| {
        output.error(&error);
        error.exit().into()
    })
}

fn dispatch(cli: Cli, output: &Output) -> Result<ExitCode, CliError> {
    match cli.command {
        Command::Key(args) => commands::key::run(args, output),
        Command::Genesis(args) => commands::genesis::run(args, output),
        Command::Gov(args) => block_on(commands::gov::run(args, output))?,
        Command::Account(args) => block_on(commands::account::run(args, output))?,
        Command::Identity(args) => block_on(commands::identity::run(args, output))?,
        Command::Instrument(args) => block_on(commands::instrument::run(args, output))?,
        Command::Request(args) => block_on(commands::request::run(args, output))?,
        Command::Node(args) => block_on(commands::node::run(args, output))?,
        Command::Report(args) => block_on(commands::report::run(args, output))?,
        Command::Promote(args) => block_on(commands::promote::run(args, output))?,
        Command::Trade(args) => block_on(commands::trade::run(args, output))?,
        Command::Audit(args) => block_on(commands::audit::run(args, output))?,
        Command::Sandbox(args) => block_on(commands::sandbox::run(args, output))?,
        Command::Testnet(args) => commands::testnet::run(&args, output),
        Command::Completions(args) => commands::completions::run(&args, output),
        Command::Man(args) => commands::man::run(&args, output),
    }
}

/// Runs an asynchronous command to its end.
///
/// # Errors
/// The operating system refuses the runtime its threads or descriptors.
pub fn block_on<F: Future>(future: F) -> Result<F::Output, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::files("cannot start the asynchronous runtime").caused_by(&error))?;
    Ok(runtime.block_on(future))
}

/// Answers what was no command: help and version on standard output, mistakes on standard error.
fn refuse(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if !error.use_stderr() {
        // Nothing can be done when the terminal is gone.
        let _ = error.print();
        return Exit::Yes.into();
    }
    // The flag is looked for by hand, because there is no parsed command line.
    if arguments.iter().any(|argument| argument == "--json") {
        Output::json_only().error(&CliError::from_clap(error));
    } else {
        let _ = error.print();
    }
    Exit::Usage.into()
}
