//! `stemma genesis draft`.

use std::path::PathBuf;

use stemma_chain_format::genesis::Parameters;

use super::{OutArgs, write_json};
use crate::error::CliError;
use crate::founding::{Draft, parameters};
use crate::member_entry::MemberEntry;
use crate::output::Output;
use crate::requests::now_ms;

#[derive(Debug, clap::Args)]
#[command(after_help = help())]
pub(super) struct Args {
    /// The network's name, as the entries say it
    #[arg(long)]
    name: String,
    /// A founder's entry; once for each
    #[arg(long = "member", value_name = "FILE", required = true)]
    members: Vec<PathBuf>,
    /// Set a parameter; once for each
    #[arg(long = "set", value_name = "NAME=NUMBER")]
    parameters: Vec<String>,
    /// When it is made, in Unix milliseconds [default: now]
    #[arg(long, value_name = "MS")]
    created_ms: Option<u64>,
    #[command(flatten)]
    out: OutArgs,
}

fn help() -> String {
    format!(
        "Parameters:\n{}\nExample:\n  stemma genesis draft --name \"Example network\" --member bank-a.json --member broker-a.json \\\n    \
         --set block_entries_max=1000 --out draft.json",
        parameters::help()
    )
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let parameters = parameters::with_changes(Parameters::default(), &args.parameters)?;
    let mut entries = Vec::new();
    for path in &args.members {
        entries.push((path.display().to_string(), MemberEntry::read(path, &[&args.name])?));
    }
    let draft = Draft::new(&args.name, args.created_ms.unwrap_or_else(now_ms), entries, parameters)?;
    write_json(&args.out, &draft.json(), Some(draft.digest()), output)
}
