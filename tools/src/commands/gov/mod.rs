//! `stemma gov`: what the members of a network resolve: drafted by one, signed by the share that the parameters ask for, put to the
//! network, in force from a height on.

mod draft;
mod list;
mod propose;
mod show;
mod sign;
mod submit;

use std::process::ExitCode;

use clap::Subcommand;

use crate::error::{CliError, Exit};
use crate::output::Output;

/// Arguments of `stemma gov`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    stemma gov propose --admit bank-c.json --effective +200 --note \"Bank C joins\" --out draft.json\n  \
    stemma gov show draft.json\n  \
    stemma gov sign draft.json --key member.pem --out bank-a.sig\n  \
    stemma gov submit draft.json --signature bank-a.sig --signature bank-b.sig --signature bank-c.sig\n  \
    stemma gov list")]
pub struct Args {
    #[command(subcommand)]
    command: GovCommand,
}

#[derive(Debug, Subcommand)]
enum GovCommand {
    /// Draft a governance record on the network as it stands
    Propose(Box<propose::Args>),
    /// Show a draft and who has signed it, or the members and parameters in force
    Show(show::Args),
    /// Sign a draft, as a member or with a key that it brings
    Sign(sign::Args),
    /// Put a draft with its signatures to the network
    Submit(submit::Args),
    /// List what was resolved, and what waits to take effect
    List(list::Args),
}

/// Runs `stemma gov`.
///
/// # Errors
/// A file or a node fails, or what it holds breaks a rule, which is named.
pub async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        GovCommand::Propose(args) => propose::run(*args, output).await?,
        GovCommand::Show(args) => show::run(&args, output).await?,
        GovCommand::Sign(args) => sign::run(&args, output)?,
        GovCommand::Submit(args) => submit::run(&args, output).await?,
        GovCommand::List(args) => list::run(&args, output).await?,
    }
    Ok(Exit::Yes.into())
}
