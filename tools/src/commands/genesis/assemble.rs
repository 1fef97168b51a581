//! `stemma genesis assemble`.

use std::path::PathBuf;

use super::{OutArgs, report};
use crate::error::CliError;
use crate::files;
use crate::founding::{Draft, FounderSignature, assemble};
use crate::output::Output;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma genesis assemble draft.json --signature bank-a.sig \
    --signature broker-a.sig --out genesis.stemma")]
pub(super) struct Args {
    /// The draft
    draft: PathBuf,
    /// A founder's signature; once for each
    #[arg(long = "signature", value_name = "FILE", required = true)]
    signatures: Vec<PathBuf>,
    #[command(flatten)]
    out: OutArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let draft = Draft::read(&args.draft)?;
    let mut signatures = Vec::new();
    for path in &args.signatures {
        signatures.push((path.display().to_string(), FounderSignature::read(path)?));
    }
    let file = assemble(&draft, &signatures)?;
    files::write(&args.out.out, file.bytes(), files::MODE_PUBLIC, args.out.force)?;
    report(&args.out.out, Some(draft.digest()), Some(file.network().to_string()), output)
}
