//! `stemma audit export`: what proves an account or an entry, from a node.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use stemma_chain_format::hash::{AccountId, Link};

use crate::error::{CliError, Exit};
use crate::files;
use crate::node::NodeArgs;
use crate::output::{Output, pairs};

/// Arguments of `stemma audit export`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  stemma audit export --node http://127.0.0.1:8101 --account 4be1… --out alice.bundle\n  \
    stemma audit export --account 4be1… --holdings --out alice-holds.bundle\n  \
    stemma audit export --entry 0c77… --out trade.bundle"
)]
#[command(group = clap::ArgGroup::new("subject").required(true))]
pub struct ExportArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// The account whose lineage is to be proved: what it holds, and why
    #[arg(long, value_name = "ID", group = "subject")]
    account: Option<AccountId>,
    /// Only what the account holds, without why; or that there is no such account
    #[arg(long, requires = "account", conflicts_with = "entry")]
    holdings: bool,
    /// The trade, or another entry, that is to be proved to stand in its block
    #[arg(long, value_name = "ID", group = "subject")]
    entry: Option<Link>,
    /// File to write; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

/// What `export` prints.
#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<String>,
    claim: &'static str,
    file: String,
    bytes: usize,
}

/// Runs `stemma audit export`.
///
/// # Errors
/// The file or the node fails.
pub async fn export(args: &ExportArgs, output: &Output) -> Result<ExitCode, CliError> {
    if !args.force && !files::is_stream(&args.out) && args.out.symlink_metadata().is_ok() {
        // Told before anything large is fetched.
        return Err(CliError::files(format!("{} exists and is not overwritten", args.out.display()))
            .help("choose another file, or replace this one for good with --force"));
    }
    let client = args.node.client()?;
    let (account, entry) =
        (args.account.as_ref().map(ToString::to_string), args.entry.as_ref().map(ToString::to_string));
    let (claim, bundle) = match (&account, &entry) {
        (Some(account), _) if args.holdings => ("holdings", client.holdings_bundle(account).await?),
        (Some(account), _) => ("lineage", client.account_bundle(account).await?),
        (None, Some(entry)) => ("entry", client.entry_bundle(entry).await?),
        (None, None) => return Err(CliError::usage("name what is to be proved: --account or --entry")),
    };
    files::write(&args.out, &bundle, files::MODE_PUBLIC, args.force)?;
    if files::is_stream(&args.out) {
        return Ok(Exit::Yes.into());
    }
    let report = Report { account, entry, claim, file: args.out.display().to_string(), bytes: bundle.len() };
    let mut rows: Vec<(&str, String)> = Vec::new();
    rows.extend(report.account.clone().map(|account| ("Account", account)));
    rows.extend(report.entry.clone().map(|entry| ("Entry", entry)));
    rows.push(("Proves", claim.to_owned()));
    rows.push(("File", report.file.clone()));
    rows.push(("Size", format!("{} bytes", report.bytes)));
    output.data(&report, &pairs(&rows))?;
    output.note("Nothing is checked yet: run `stemma audit verify` with the genesis file.");
    Ok(Exit::Yes.into())
}
