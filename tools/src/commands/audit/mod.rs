//! `stemma audit`: export what proves something, and verify it offline against the genesis file alone.

mod explain;
mod export;
mod report;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;

use crate::error::CliError;
use crate::output::Output;

/// Arguments of `stemma audit`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  stemma audit export --node http://127.0.0.1:8101 --account 4be1… --out alice.bundle\n  \
    stemma audit verify alice.bundle --genesis genesis.stemma"
)]
pub struct Args {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Fetch a bundle: an account's lineage, what it holds, an entry, a block or the whole ledger, with everything that proves it
    Export(export::ExportArgs),
    /// Verify a bundle, without any network
    Verify(verify::VerifyArgs),
    /// Follow several nodes, verify and compare their blocks, and keep evidence against whoever lies
    Watch(watch::WatchArgs),
}

/// Runs `stemma audit`.
///
/// # Errors
/// A file or the node fails; [`CliError`] says what to do.
pub async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        AuditCommand::Export(args) => export::export(&args, output).await,
        AuditCommand::Verify(args) => verify::verify(&args, output),
        AuditCommand::Watch(args) => watch::watch(&args, output).await,
    }
}
