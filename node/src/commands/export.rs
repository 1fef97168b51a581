//! `export`: an audit bundle from the store of a node that stands still.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use serde::Serialize;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::member::{MemberId, MemberIdError};
use stemma_node_api::config::NodeConfig;

use super::init::read_genesis;
use super::outcome::{Exit, pairs, print};
use super::start::{STORE_FILE, of_lock, of_store};
use super::{CommandError, Place, Printed, files};
use crate::ledger::{
    Looked, ProveError, account_bundle, anchor_at, block_bundle, entry_bundle, holdings_bundle, lineage_bundle,
    look_at, write_ledger_bundle,
};
use crate::lock::{HomeLock, LockError};
use crate::store::Store;

/// How often progress is told, in blocks.
const TOLD_EVERY: u64 = 1_000;

/// What is to be proved, and where the proof goes.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("subject").required(true))]
pub struct ExportArgs {
    #[command(flatten)]
    place: Place,
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
    #[command(flatten)]
    printed: Printed,
}

/// What `export` prints.
#[derive(Serialize)]
struct Exported<'e> {
    claim: &'static str,
    file: &'e Path,
    bytes: u64,
}

/// Writes a bundle.
///
/// # Errors
/// The node runs, its store cannot be read, or does not have what is asked for; the file cannot be written.
pub fn run(args: &ExportArgs) -> Result<Exit, CommandError> {
    let config = args.place.configuration()?;
    let genesis = read_genesis(&config.genesis)?;
    let is_stream = args.out.as_os_str() == "-";
    if !is_stream && !args.force && args.out.symlink_metadata().is_ok() {
        return Err(CommandError::failure(format!("{} exists and is not overwritten", args.out.display()))
            .help("choose another file, or replace this one for good with --force"));
    }
    let _lock = HomeLock::take(&args.place.folder()?).map_err(|e| match e {
        LockError::Taken { .. } => {
            of_lock(&e).help("the node runs: `stemma audit export --node URL` asks it, or stop it first")
        }
        e => of_lock(&e),
    })?;
    let store = opened(&config, &genesis)?;
    if is_stream {
        written(args, &store, &genesis, &mut io::stdout().lock())?;
        return Ok(Exit::Yes);
    }
    let part = files::part_of(&args.out);
    let (claim, bytes) = to_file(args, &store, &genesis, &part).inspect_err(|_| {
        let _nothing_left = std::fs::remove_file(&part);
    })?;
    files::put_in_place(&part, &args.out).map_err(|e| CommandError::file("write", &args.out, &e))?;
    let rows =
        [("Proves", claim.to_owned()), ("File", args.out.display().to_string()), ("Size", format!("{bytes} bytes"))];
    print(&Exported { claim, file: &args.out, bytes }, &pairs(&rows), args.printed.json)?;
    Ok(Exit::Yes)
}

fn opened(config: &NodeConfig, genesis: &GenesisFile) -> Result<Store, CommandError> {
    let member: MemberId =
        config.member.parse().map_err(|e: MemberIdError| CommandError::usage("the member's name").caused_by(&e))?;
    Store::open_copy(&config.data.join(STORE_FILE), genesis.network(), &member).map_err(|e| of_store(&e))
}

fn to_file(
    args: &ExportArgs,
    store: &Store,
    genesis: &GenesisFile,
    part: &Path,
) -> Result<(&'static str, u64), CommandError> {
    let failed = |e: io::Error| CommandError::file("write", part, &e);
    let file: File = OpenOptions::new().write(true).create(true).truncate(true).open(part).map_err(failed)?;
    let mut to = BufWriter::new(file);
    let claim = written(args, store, genesis, &mut to)?;
    let file = to.into_inner().map_err(|e| failed(e.into_error()))?;
    file.sync_all().map_err(failed)?;
    Ok((claim, file.metadata().map_err(failed)?.len()))
}

/// Writes the bundle that is asked for; returns its claim.
fn written(
    args: &ExportArgs,
    store: &Store,
    genesis: &GenesisFile,
    to: &mut dyn Write,
) -> Result<&'static str, CommandError> {
    let mut told = progress();
    let bundle = match (args.account, args.entry, args.block) {
        (Some(account), _, _) => {
            let last = store.last_block().map_err(|e| of_store(&e))?.map_or(0, |last| last.block.header.height);
            let height = args.height.unwrap_or(last);
            let looked = look_at(store, genesis, &account, height, &mut told).map_err(|e| of_proof(&e))?;
            match looked {
                looked if args.holdings => holdings_bundle(store, looked),
                Looked::Held(proved) => match args.from {
                    None => account_bundle(store, &proved),
                    Some(from) => anchor_at(store, genesis, &account, from, &mut told)
                        .and_then(|anchor| lineage_bundle(store, &proved, Some(anchor))),
                },
                Looked::Absent { .. } => {
                    return Err(CommandError::failure(format!("there is no account {account}"))
                        .help("--holdings exports the proof that there is none"));
                }
            }
        }
        (_, Some(entry), _) => {
            let missing = || CommandError::failure(format!("no entry {entry} is in this store"));
            Ok(entry_bundle(store, &entry).map_err(|e| of_proof(&e))?.ok_or_else(missing)?)
        }
        (_, _, Some(height)) => {
            let missing = || CommandError::failure(format!("no block {height} is in this store"));
            Ok(block_bundle(store, height).map_err(|e| of_proof(&e))?.ok_or_else(missing)?)
        }
        (None, None, None) => {
            write_ledger_bundle(store, genesis, args.height, to, &mut told).map_err(|e| of_proof(&e))?;
            return Ok("ledger");
        }
    };
    let bundle = bundle.map_err(|e| of_proof(&e))?;
    let failed = |e: io::Error| CommandError::file("write", &args.out, &e);
    to.write_all(&bundle.encode()).and_then(|()| to.flush()).map_err(failed)?;
    Ok(bundle.head.claim.as_str())
}

/// Tells on a terminal how far a replay has come.
fn progress() -> impl FnMut(u64, u64) {
    let is_seen = io::stderr().is_terminal();
    move |at, height| {
        if is_seen && (at % TOLD_EVERY == 0 || at == height) {
            let _seen = write!(io::stderr(), "\rblock {at} of {height}{}", if at == height { "\n" } else { "" });
        }
    }
}

fn of_proof(error: &ProveError) -> CommandError {
    let failed = CommandError::of(error);
    match error {
        ProveError::NoBlocks(_) => failed.help("a node that keeps all blocks can: `[history] keep_blocks = 0`"),
        ProveError::NotYet(_) => failed.help("name a height from 1 up to the last block's"),
        _ => failed,
    }
}
