//! `stemma gov submit`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::cosign::Cosigned;

use super::draft::{Signatures, read};
use crate::error::CliError;
use crate::files;
use crate::node::{OperatorArgs, broken};
use crate::output::{Output, pairs};

/// Arguments of `stemma gov submit`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Any member's node takes it. --out keeps the signed record: it is what a joining member's node names under `join`.\n\n\
    Example:\n  stemma gov submit draft.json --signature bank-a.sig --signature bank-b.sig --signature bank-c.sig --out join.stemma"
)]
pub(super) struct Args {
    /// The draft
    draft: PathBuf,
    /// Signatures on it; once for each file
    #[arg(long = "signature", value_name = "FILE", required = true)]
    signatures: Vec<PathBuf>,
    /// Also write the signed record to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Serialize)]
struct Report {
    id: String,
    height: u64,
    effective: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

/// Joins a draft and its signatures, and puts the record to the network.
pub(super) async fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let record = read(&args.draft)?;
    let signatures = Signatures::read_all(&args.signatures, &record)?;
    let signed = Cosigned::assemble(&record, &signatures)
        .map_err(|violation| broken("the signatures do not make a record", &violation))?;
    let bytes = Entry::Governance(Box::new(signed)).encode();
    let client = args.operator.client()?;
    if let Some(out) = args.out.as_ref().filter(|out| !args.force && out.symlink_metadata().is_ok()) {
        return Err(CliError::files(format!("{} exists and is not overwritten", out.display()))
            .help("choose another file, or replace this one for good with --force"));
    }
    output.note("Waiting until the record is committed.");
    let committed = client.govern(BASE64.encode(&bytes)).await?;
    if let Some(out) = &args.out {
        files::write(out, &bytes, files::MODE_PUBLIC, args.force)?;
    }
    let report = Report {
        id: committed.id,
        height: committed.height,
        effective: record.effective,
        file: args.out.as_ref().map(|out| out.display().to_string()),
    };
    let mut rows = vec![
        ("Record", report.id.clone()),
        ("Committed", format!("at height {}", report.height)),
        ("Effective", format!("from height {} on", report.effective)),
    ];
    rows.extend(report.file.clone().map(|file| ("File", file)));
    output.data(&report, &pairs(&rows))
}
