//! `stemma genesis`: a network's first members agree on one file, which all of them sign.
//!
//! Each founder makes its entry (`member`); one of them puts the entries together (`draft`); each looks at the draft (`show`), compares the
//! digest with the others, and signs it on its own machine (`sign`); anyone joins the signatures (`assemble`).

mod assemble;
mod draft;
mod member;
mod show;
mod sign;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use crate::error::{CliError, Exit};
use crate::files;
use crate::output::{Output, pairs};

const HELP: &str = "\
No founder trusts another's machine: each signs its own entry with all of its keys, everybody checks all entries again, and the
genesis is valid with the signatures of all founders on one digest. Compare the digest over another channel before you sign.

Example:
  stemma genesis member --network \"Example network\" --id bank-a --role bank --name \"Bank A\" --keys keys/ --out bank-a.json
  stemma genesis draft --name \"Example network\" --member bank-a.json --member broker-a.json --out draft.json
  stemma genesis show draft.json
  stemma genesis sign draft.json --key keys/member.pem --digest 4f1c… --out bank-a.sig
  stemma genesis assemble draft.json --signature bank-a.sig --signature broker-a.sig --out genesis.stemma
  stemma genesis show genesis.stemma";

/// Arguments of `stemma genesis`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(subcommand)]
    command: GenesisCommand,
}

#[derive(Debug, Subcommand)]
enum GenesisCommand {
    /// Write one member's entry, signed by each of its keys
    Member(member::Args),
    /// Put the founders' entries into a draft that all of them sign
    Draft(draft::Args),
    /// Sign a draft with a founder's member key
    Sign(sign::Args),
    /// Join a draft and all founders' signatures into the genesis file
    Assemble(assemble::Args),
    /// Check an entry, a draft or a genesis file, and show all of it
    Show(show::Args),
}

#[derive(Debug, clap::Args)]
struct OutArgs {
    /// File to write; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

/// What was written, and what people compare.
#[derive(Serialize)]
struct Written {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
}

/// Runs `stemma genesis`.
///
/// # Errors
/// A file can't be read or written, or what it holds breaks a rule, which is named.
pub fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        GenesisCommand::Member(args) => member::run(args, output)?,
        GenesisCommand::Draft(args) => draft::run(&args, output)?,
        GenesisCommand::Sign(args) => sign::run(&args, output)?,
        GenesisCommand::Assemble(args) => assemble::run(&args, output)?,
        GenesisCommand::Show(args) => show::run(&args, output)?,
    }
    Ok(Exit::Yes.into())
}

fn write_json(out: &OutArgs, value: &impl Serialize, digest: Option<String>, output: &Output) -> Result<(), CliError> {
    files::write_json(&out.out, value, out.force)?;
    report(&out.out, digest, None, output)
}

fn report(file: &Path, digest: Option<String>, network: Option<String>, output: &Output) -> Result<(), CliError> {
    if files::is_stream(file) {
        // Standard output holds the file itself.
        return Ok(());
    }
    let mut rows = vec![("File", file.display().to_string())];
    rows.extend(digest.clone().map(|digest| ("Digest", digest)));
    rows.extend(network.clone().map(|network| ("Network", network)));
    output.data(&Written { file: file.display().to_string(), digest, network }, &pairs(&rows))
}
