//! `stemma gov sign`.

use std::path::PathBuf;

use serde::Serialize;
use stemma_chain_format::governance::{Change, Governance};
use stemma_keystore::{Purpose, read_public};

use super::draft::{Signatures, digest, read};
use crate::error::CliError;
use crate::files;
use crate::keys;
use crate::output::{Output, pairs};
use crate::passphrase::PassphraseArgs;

/// Arguments of `stemma gov sign`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A member signs with its member key. Who joins, or has a new key, signs with each key that the draft brings: give \
    --key once for each.\n\n\
    Example:\n  stemma gov sign draft.json --key member.pem --out bank-a.sig\n  \
    stemma gov sign draft.json --key member.pem --key network.pem --key validator.pem --out bank-c.sig"
)]
pub(super) struct Args {
    /// The draft
    draft: PathBuf,
    /// Key file; once for each key that signs
    #[arg(long = "key", value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    /// File to write; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Report {
    file: String,
    digest: String,
    keys: Vec<String>,
}

/// Signs a draft.
pub(super) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let record = read(&args.draft)?;
    let mut opened = Vec::new();
    for path in &args.keys {
        let purpose = read_public(path)?.purpose.unwrap_or(Purpose::Member);
        if purpose == Purpose::Account {
            return Err(CliError::usage(format!("{} is an account's key", path.display()))
                .help("members' keys alone sign what members resolve: name a member, network or validator key"));
        }
        let key = keys::open(path, purpose, &args.passphrase, output)?;
        if purpose != Purpose::Member && !brings(&record, &key.public_key()) {
            return Err(CliError::usage(format!("the draft does not bring the key in {}", path.display())).help(
                "a network or validator key signs a draft that makes it a member's; approve with the member key",
            ));
        }
        opened.push(key);
    }
    for change in &record.changes {
        output.note(&format!("Signs: {}", stemma_node_api::governance::ChangeJson::of(change)));
    }
    files::write_json(&args.out, &Signatures::sign(&record, &opened), args.force)?;
    if files::is_stream(&args.out) {
        return Ok(());
    }
    let report = Report {
        file: args.out.display().to_string(),
        digest: digest(&record),
        keys: opened.iter().map(|key| hex::encode(key.public_key())).collect(),
    };
    let mut rows = vec![("File", report.file.clone()), ("Digest", report.digest.clone())];
    rows.extend(report.keys.iter().map(|key| ("Key", key.clone())));
    output.data(&report, &pairs(&rows))
}

fn brings(record: &Governance, key: &[u8; 32]) -> bool {
    record.changes.iter().flat_map(Change::new_keys).any(|brought| brought.0 == *key)
}
