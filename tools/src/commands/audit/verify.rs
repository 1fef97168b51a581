//! `stemma audit verify`: a bundle against the genesis file, and the verdict.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use stemma_chain_format::bundle::Verdict;
use stemma_chain_format::error::Violation;
use stemma_chain_format::genesis::GenesisFile;

use super::explain::Explained;
use super::report::{Rows, VerifiedReport};
use crate::audit::page::Page;
use crate::audit::steps::{Narrator, Step};
use crate::audit::{verify_before, verify_stream};
use crate::error::{CliError, Exit};
use crate::files;
use crate::node::read_genesis;
use crate::output::{Output, pairs};
use crate::units::Units;

/// Steps that a page draws, the last ones: more than anybody reads, and few enough for a browser.
const DRAWN_STEPS_MAX: usize = 2_000;

/// Arguments of `stemma audit verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 verified, 1 refuted, 3 unreadable (or a file can't be read). With --json, \
    `verdict` is verified, refuted or unreadable. Of evidence, verified means: what it accuses somebody of is proved.\n\n\
    Example:\n  stemma audit verify alice.bundle --genesis genesis.stemma\n  \
    stemma audit verify alice.bundle --genesis genesis.stemma --explain --html alice.html")]
pub struct VerifyArgs {
    /// The bundle; `-` is standard input
    bundle: PathBuf,
    /// The network's genesis file: all trust comes from it
    #[arg(long, value_name = "FILE", env = "STEMMA_GENESIS")]
    genesis: PathBuf,
    /// Tell every step: what was looked at, who signed it, what the account holds after it
    #[arg(long)]
    explain: bool,
    /// Write the verdict as one HTML page, with the lineage drawn
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Replace the page if it exists
    #[arg(long, requires = "html")]
    force: bool,
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

/// A report, with the steps where they were asked for.
#[derive(Serialize)]
struct Told<'t> {
    #[serde(flatten)]
    report: &'t Report,
    #[serde(skip_serializing_if = "<[Step]>::is_empty")]
    steps: &'t [Step],
}

#[derive(Serialize)]
#[serde(untagged)]
enum Report {
    Verified(Box<VerifiedReport>),
    Broken(BrokenReport),
}

/// Runs `stemma audit verify`.
///
/// # Errors
/// A file cannot be read, or the page cannot be written.
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
    let is_json = output.is_json();
    let (verdict, explained, units) = if args.explain || args.html.is_some() {
        let kept = if args.explain && is_json { usize::MAX } else { DRAWN_STEPS_MAX };
        let mut narrator = Narrator::new(Explained::new(args.explain && !is_json, kept));
        let verdict = verify_before(bundle, &genesis, &mut narrator).map_err(failed)?;
        (verdict, narrator.to, narrator.units)
    } else {
        (verify_stream(bundle, &genesis).map_err(failed)?, Explained::new(false, 0), Units::default())
    };
    let (report, rows, exit) = told(args, verdict);
    if let Some(page) = &args.html {
        let text = drawn(args, &genesis, &report, &rows, &explained, &units);
        files::write(page, text.as_bytes(), files::MODE_PUBLIC, args.force)?;
    }
    let steps: &[Step] = if args.explain && is_json { explained.kept() } else { &[] };
    output.data(&Told { report: &report, steps }, &pairs(&rows))?;
    Ok(exit.into())
}

/// The report on a verdict, the same as names and values, and the exit code.
fn told(args: &VerifyArgs, verdict: Verdict) -> (Report, Rows, Exit) {
    match verdict {
        Verdict::Verified(proved) => {
            let (report, rows) = VerifiedReport::of(&proved);
            (Report::Verified(Box::new(report)), rows, Exit::Yes)
        }
        Verdict::Refuted(violation) => broken("refuted", Exit::No, args, violation),
        Verdict::Unreadable(violation) => broken("unreadable", Exit::Failure, args, violation),
    }
}

fn broken(verdict: &'static str, exit: Exit, args: &VerifyArgs, violation: Violation) -> (Report, Rows, Exit) {
    let Violation { rule, field, expected, found } = violation;
    let report = BrokenReport { verdict, rule: rule.as_str(), field, expected, found };
    let meaning = match exit {
        Exit::No => "it can be read, but does not prove what it claims",
        _ => "it is no bundle, or a damaged one",
    };
    let rows = vec![
        ("Verdict", format!("{verdict}: {meaning}")),
        ("File", args.bundle.display().to_string()),
        ("Rule", report.rule.to_owned()),
        ("Place", report.field.clone()),
        ("Expected", report.expected.clone()),
        ("Found", report.found.clone()),
    ];
    (Report::Broken(report), rows, exit)
}

fn drawn(
    args: &VerifyArgs,
    genesis: &GenesisFile,
    report: &Report,
    rows: &Rows,
    explained: &Explained,
    units: &Units,
) -> String {
    let (verdict, says) = match report {
        Report::Verified(_) => ("verified", "Everything that the bundle claims is proved.".to_owned()),
        Report::Broken(BrokenReport { verdict, field, expected, found, .. }) => {
            (*verdict, format!("{field}: expected {expected}, found {found}"))
        }
    };
    let page = Page {
        file: &args.bundle.display().to_string(),
        network: &genesis.network().to_string(),
        verdict,
        says: &says,
        rows,
        steps: explained.kept(),
        left_out: explained.left_out(),
        units,
    };
    page.to_string()
}
