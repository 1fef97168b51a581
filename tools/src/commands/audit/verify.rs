//! `stemma audit verify`: a bundle against the genesis file, and the verdict.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use stemma_chain_format::bundle::Verdict;
use stemma_chain_format::error::Violation;

use super::report::VerifiedReport;
use crate::audit::verify_stream;
use crate::error::{CliError, Exit};
use crate::files;
use crate::node::read_genesis;
use crate::output::{Output, pairs};

/// Arguments of `stemma audit verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 verified, 1 refuted, 3 unreadable (or a file can't be read). With --json, \
    `verdict` is verified, refuted or unreadable.\n\n\
    Example:\n  stemma audit verify alice.bundle --genesis genesis.stemma")]
pub struct VerifyArgs {
    /// The bundle; `-` is standard input
    bundle: PathBuf,
    /// The network's genesis file: all trust comes from it
    #[arg(long, value_name = "FILE", env = "STEMMA_GENESIS")]
    genesis: PathBuf,
}

/// What `verify` prints when a step fails.
#[derive(Serialize)]
struct BrokenReport {
    verdict: &'static str,
    rule: &'static str,
    field: String,
    expected: String,
    found: String,
}

/// Runs `stemma audit verify`.
///
/// # Errors
/// A file cannot be read.
pub fn verify(args: &VerifyArgs, output: &Output) -> Result<ExitCode, CliError> {
    if files::is_stream(&args.bundle) && files::is_stream(&args.genesis) {
        return Err(CliError::usage("bundle and genesis can't both come from standard input"));
    }
    let genesis = read_genesis(&args.genesis)?;
    let failed = |e: io::Error| CliError::files(format!("cannot read {}", args.bundle.display())).caused_by(&e);
    let bundle: Box<dyn Read> = if files::is_stream(&args.bundle) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(&args.bundle).map_err(failed)?)
    };
    match verify_stream(bundle, &genesis).map_err(failed)? {
        Verdict::Verified(proved) => {
            let (report, text) = VerifiedReport::of(&proved);
            output.data(&report, &text)?;
            Ok(Exit::Yes.into())
        }
        Verdict::Refuted(violation) => tell_broken("refuted", Exit::No, &args.bundle, violation, output),
        Verdict::Unreadable(violation) => tell_broken("unreadable", Exit::Failure, &args.bundle, violation, output),
    }
}

fn tell_broken(
    verdict: &'static str,
    exit: Exit,
    file: &Path,
    violation: Violation,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let Violation { rule, field, expected, found } = violation;
    let report = BrokenReport { verdict, rule: rule.as_str(), field, expected, found };
    let meaning = match exit {
        Exit::No => "it can be read, but does not prove what it claims",
        _ => "it is no bundle, or a damaged one",
    };
    let text = pairs(&[
        ("Verdict", format!("{verdict}: {meaning}")),
        ("File", file.display().to_string()),
        ("Rule", report.rule.to_owned()),
        ("Place", report.field.clone()),
        ("Expected", report.expected.clone()),
        ("Found", report.found.clone()),
    ]);
    output.data(&report, &text)?;
    Ok(exit.into())
}
