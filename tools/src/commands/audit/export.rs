//! `stemma audit export`: what proves something, from a node, or from the store of one that stands still.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_node_api::types::BundleClaim;
use tokio::process::Command;

use crate::error::{CliError, Exit};
use crate::files::{self, Unfinished};
use crate::node::NodeArgs;
use crate::node_binary;
use crate::output::{Output, pairs};

/// Arguments of `stemma audit export`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "From a running node with --node, or from the folder of one that stands still with --home, which runs \
    stemma-node.\n\n\
    Example:\n  stemma audit export --node http://127.0.0.1:8101 --account 4be1… --out alice.bundle\n  \
    stemma audit export --account 4be1… --holdings --height 1200 --out alice-held.bundle\n  \
    stemma audit export --entry 0c77… --out trade.bundle\n  \
    stemma audit export --home nodes/auditor --ledger --out ledger.bundle"
)]
#[command(group = clap::ArgGroup::new("subject").required(true))]
#[command(group = clap::ArgGroup::new("origin").required(true).multiple(true))]
pub struct ExportArgs {
    /// Address of the node's HTTP API, such as http://127.0.0.1:8101
    #[arg(long, value_name = "URL", env = "STEMMA_NODE", group = "origin")]
    node: Option<String>,
    /// The folder of a node that stands still; comes before the address of one that runs
    #[arg(long, value_name = "DIR", group = "origin")]
    home: Option<PathBuf>,
    /// The binary stemma-node, where it is not beside this one
    #[arg(long, value_name = "FILE", requires = "home")]
    node_binary: Option<PathBuf>,
    /// The account whose lineage is to be proved: what it holds, and why
    #[arg(long, value_name = "ID", group = "subject")]
    account: Option<AccountId>,
    /// Only what the account holds, without why; or that there is no such account
    #[arg(long, requires = "account", conflicts_with_all = ["entry", "block", "ledger"])]
    holdings: bool,
    /// The trade, or another entry, that is to be proved to stand in its block
    #[arg(long, value_name = "ID", group = "subject")]
    entry: Option<Link>,
    /// The block that is to be proved, with its entries
    #[arg(long, value_name = "HEIGHT", group = "subject")]
    block: Option<u64>,
    /// The whole ledger, to be replayed
    #[arg(long, group = "subject")]
    ledger: bool,
    /// At which height, of an account or the ledger; the last block's by default
    #[arg(long, value_name = "HEIGHT", conflicts_with_all = ["entry", "block"])]
    height: Option<u64>,
    /// From which height on, of a lineage; from its opening by default
    #[arg(long, value_name = "HEIGHT", requires = "account", conflicts_with_all = ["holdings", "entry", "block", "ledger"])]
    from: Option<u64>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
    claim: &'static str,
    file: String,
    bytes: u64,
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
    match (&args.node, &args.home) {
        (_, Some(_)) => from_store(args, output).await,
        (Some(node), None) => from_node(args, &NodeArgs { node: node.clone() }, output).await,
        (None, None) => Err(CliError::usage("name where it comes from: --node or --home")),
    }
}

/// Has `stemma-node` read its store: the tool itself knows nothing of databases.
async fn from_store(args: &ExportArgs, output: &Output) -> Result<ExitCode, CliError> {
    let binary = node_binary::find(args.node_binary.as_deref(), output).await?;
    let mut given: Vec<OsString> = vec!["export".into()];
    let mut name = |flag: &str, value: Option<OsString>| {
        if let Some(value) = value {
            given.extend([flag.into(), value]);
        }
    };
    name("--home", args.home.as_ref().map(Into::into));
    name("--account", args.account.as_ref().map(|id| id.to_string().into()));
    name("--entry", args.entry.as_ref().map(|id| id.to_string().into()));
    name("--block", args.block.map(|height| height.to_string().into()));
    name("--from", args.from.map(|height| height.to_string().into()));
    name("--height", args.height.map(|height| height.to_string().into()));
    name("--out", Some(args.out.clone().into()));
    let switches = [
        (args.holdings, "--holdings"),
        (args.ledger, "--ledger"),
        (args.force, "--force"),
        (output.is_json(), "--json"),
    ];
    given.extend(switches.into_iter().filter(|(is_on, _)| *is_on).map(|(_, flag)| flag.into()));
    let failed = |e: io::Error| CliError::files(format!("cannot run {}", binary.display())).caused_by(&e);
    let ended = Command::new(&binary).args(given).status().await.map_err(failed)?;
    let code = ended.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or_else(|| Exit::Failure.into(), ExitCode::from))
}

async fn from_node(args: &ExportArgs, node: &NodeArgs, output: &Output) -> Result<ExitCode, CliError> {
    let client = node.client()?;
    let (account, entry) =
        (args.account.as_ref().map(ToString::to_string), args.entry.as_ref().map(ToString::to_string));
    if args.ledger {
        return ledger(args, node, output).await;
    }
    let (claim, bundle) = match (&account, &entry, args.block) {
        (Some(account), _, _) => {
            let (name, claim) =
                if args.holdings { ("holdings", BundleClaim::Holdings) } else { ("lineage", BundleClaim::Lineage) };
            (name, client.account_bundle_at(account, claim, (args.from, args.height)).await?)
        }
        (_, Some(entry), _) => ("entry", client.entry_bundle(entry).await?),
        (_, _, Some(height)) => ("block", client.block_bundle(height).await?),
        (None, None, None) => {
            return Err(CliError::usage("name what is to be proved: --account, --entry, --block or --ledger"));
        }
    };
    files::write(&args.out, &bundle, files::MODE_PUBLIC, args.force)?;
    tell(args, (account, entry), claim, bundle.len() as u64, output)
}

/// The whole ledger goes into its file as it comes: it may be larger than the memory.
async fn ledger(args: &ExportArgs, node: &NodeArgs, output: &Output) -> Result<ExitCode, CliError> {
    let client = node.client()?;
    let progress = output.progress("fetching the ledger", None);
    if files::is_stream(&args.out) {
        client.ledger_bundle(args.height, &mut io::stdout()).await?;
        return Ok(Exit::Yes.into());
    }
    let mut file = Unfinished::begin(&args.out, files::MODE_PUBLIC)?;
    client.ledger_bundle(args.height, file.file()).await?;
    let bytes = file.finish(args.force)?;
    progress.finish();
    tell(args, (None, None), "ledger", bytes, output)
}

fn tell(
    args: &ExportArgs,
    (account, entry): (Option<String>, Option<String>),
    claim: &'static str,
    bytes: u64,
    output: &Output,
) -> Result<ExitCode, CliError> {
    if files::is_stream(&args.out) {
        return Ok(Exit::Yes.into());
    }
    let height = args.block.or(args.height);
    let report = Report { account, entry, height, claim, file: args.out.display().to_string(), bytes };
    let mut rows: Vec<(&str, String)> = Vec::new();
    rows.extend(report.account.clone().map(|account| ("Account", account)));
    rows.extend(report.entry.clone().map(|entry| ("Entry", entry)));
    rows.extend(height.map(|height| ("Height", height.to_string())));
    rows.push(("Proves", claim.to_owned()));
    rows.push(("File", report.file.clone()));
    rows.push(("Size", format!("{} bytes", report.bytes)));
    output.data(&report, &pairs(&rows))?;
    output.note("Nothing is checked yet: run `stemma audit verify` with the genesis file.");
    Ok(Exit::Yes.into())
}
