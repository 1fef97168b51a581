//! `stemma completions`: what a shell needs to complete commands.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use serde::Serialize;

use crate::cli::Cli;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Arguments of `stemma completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    stemma completions bash > ~/.local/share/bash-completion/completions/stemma\n  \
    stemma completions zsh > ~/.zfunc/_stemma\n  \
    stemma completions fish > ~/.config/fish/completions/stemma.fish")]
pub struct Args {
    /// The shell
    shell: Shell,
}

#[derive(Serialize)]
struct Report {
    shell: String,
    script: String,
}

/// Runs `stemma completions`.
///
/// # Errors
/// Standard output can't be written.
pub fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "stemma", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let report = Report { shell: args.shell.to_string(), script };
    output.data(&report, &report.script)?;
    Ok(Exit::Yes.into())
}
