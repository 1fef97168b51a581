//! The command line: global flags and the list of commands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::error::CliError;

/// Everything that can stand on the command line.
#[derive(Debug, Parser)]
#[command(
    name = "stemma",
    version,
    about = "Works with a Stemma network: keys, trades, accounts, audit",
    after_help = "Example:\n  stemma key new --purpose account --out account.pem\n\n\
                  Exit codes: 0 yes, 1 the check said no, 2 wrong usage, 3 files or network."
)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Default, Args)]
pub struct Global {
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// Print no notes and no progress
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Print more about what is done
    #[arg(long, short, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Folder of the tool's own files [default: ~/.stemma]
    #[arg(long, global = true, env = "STEMMA_HOME", value_name = "DIR")]
    pub home: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make keys, show them, move them, keep copies of them, sign files with them
    Key(commands::key::Args),
    /// Make a network's genesis file, signed by every founder
    Genesis(commands::genesis::Args),
    /// Resolve who is a member, with which keys, power, parameters and version: propose, sign, submit
    Gov(commands::gov::Args),
    /// Show accounts, and service them: open, fund, pay out, freeze, close, rotate keys
    Account(commands::account::Args),
    /// Enrol and remove customers' identities, as a bank's operator
    Identity(commands::identity::Args),
    /// Show and follow requests, instructions and acts
    Request(commands::request::Args),
    /// Show what is listed; list and change instruments, as their issuer's operator
    Instrument(commands::instrument::Args),
    /// Show what a node does: its state, a bank's queue and refusals, an institution's prices
    Node(commands::node::Args),
    /// Report an institution's holdings, trades, fees and rewards, and reconcile its book, as its operator
    Report(commands::report::Args),
    /// Buy or sell
    Trade(commands::trade::Args),
    /// Promote a trade: get a referral from the bank, as text and QR code
    Promote(commands::promote::Args),
    /// Export proofs and verify them
    Audit(commands::audit::Args),
    /// Run a whole network on this machine and replay orders over real prices
    Sandbox(commands::sandbox::Args),
    /// Make a network for trials: members, keys, genesis and node folders
    Testnet(commands::testnet::Args),
    /// Print what a shell needs to complete commands
    Completions(commands::completions::Args),
    /// Write the manual, one page for each command
    Man(commands::man::Args),
}

/// The folder of the tool's own files: as given, otherwise `.stemma` in the user's home. It need not exist.
///
/// # Errors
/// Neither was given nor is `HOME` set.
pub fn home(given: Option<PathBuf>) -> Result<PathBuf, CliError> {
    given
        .or_else(|| std::env::home_dir().map(|home| home.join(".stemma")))
        .ok_or_else(|| CliError::usage("there is no home folder").help("name one with --home DIR or STEMMA_HOME"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example:"), "{} has no example", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }
}
