//! `stemma audit`: export what proves an account, and verify it offline against the genesis file alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use stemma_chain_format::amount::Amount;
use stemma_chain_format::bundle::{self, Proved, Verdict};
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::AccountId;
use stemma_node_api::types::Amounts;

use crate::error::{CliError, Exit};
use crate::files;
use crate::node::{NodeArgs, read_genesis};
use crate::output::{Output, pairs};
use crate::units::Units;

/// Arguments of `stemma audit`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  stemma audit export --node http://127.0.0.1:8101 --account 4be1… --out alice.bundle\n  \
    stemma audit verify alice.bundle --genesis genesis.stemma"
)]
pub struct Args {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Fetch an account's bundle: its whole lineage with everything that proves it
    Export(ExportArgs),
    /// Verify a bundle, without any network
    Verify(VerifyArgs),
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  stemma audit export --node http://127.0.0.1:8101 --account 4be1… --out alice.bundle"
)]
struct ExportArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// The account's id
    #[arg(long, value_name = "ID")]
    account: AccountId,
    /// File to write; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 verified, 1 refuted, 3 unreadable (or a file can't be read). With --json, \
    `verdict` is verified, refuted or unreadable.\n\n\
    Example:\n  stemma audit verify alice.bundle --genesis genesis.stemma")]
struct VerifyArgs {
    /// The bundle; `-` is standard input
    bundle: PathBuf,
    /// The network's genesis file: all trust comes from it
    #[arg(long, value_name = "FILE", env = "STEMMA_GENESIS")]
    genesis: PathBuf,
}

/// What `verify` prints when everything is proved. Amounts are smallest units.
#[derive(Serialize)]
struct VerifiedReport {
    verdict: &'static str,
    account: String,
    bank: String,
    holdings: Amounts,
    waiting: Amounts,
    total: Amounts,
    height: u64,
    time_ms: u64,
    block: String,
    signatures: u64,
    chains: u64,
    power_signed: u64,
    power_total: u64,
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

/// Runs `stemma audit`.
///
/// # Errors
/// A file or the node fails; [`CliError`] says what to do.
pub async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        AuditCommand::Export(args) => export(&args, output).await,
        AuditCommand::Verify(args) => verify(&args, output),
    }
}

async fn export(args: &ExportArgs, output: &Output) -> Result<ExitCode, CliError> {
    #[derive(Serialize)]
    struct Report {
        account: String,
        file: String,
        bytes: usize,
    }
    if !args.force && !files::is_stream(&args.out) && args.out.symlink_metadata().is_ok() {
        // Told before anything large is fetched.
        return Err(CliError::files(format!("{} exists and is not overwritten", args.out.display()))
            .help("choose another file, or replace this one for good with --force"));
    }
    let bundle = args.node.client()?.account_bundle(&args.account.to_string()).await?;
    files::write(&args.out, &bundle, files::MODE_PUBLIC, args.force)?;
    if files::is_stream(&args.out) {
        return Ok(Exit::Yes.into());
    }
    let report =
        Report { account: args.account.to_string(), file: args.out.display().to_string(), bytes: bundle.len() };
    let rows = [
        ("Account", report.account.clone()),
        ("File", report.file.clone()),
        ("Size", format!("{} bytes", report.bytes)),
    ];
    output.data(&report, &pairs(&rows))?;
    output.note("Nothing is checked yet: run `stemma audit verify` with the genesis file.");
    Ok(Exit::Yes.into())
}

fn verify(args: &VerifyArgs, output: &Output) -> Result<ExitCode, CliError> {
    if files::is_stream(&args.bundle) && files::is_stream(&args.genesis) {
        return Err(CliError::usage("bundle and genesis can't both come from standard input"));
    }
    let genesis = read_genesis(&args.genesis)?;
    let bytes = files::read(&args.bundle)?;
    match bundle::verify(&bytes, &genesis) {
        Verdict::Verified(proved) => {
            let report = VerifiedReport::of(&proved);
            output.data(&report, &report.text(&Units::of_listings(&proved.listings)))?;
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

impl VerifiedReport {
    fn of(proved: &Proved) -> Self {
        let mut held = BTreeMap::new();
        let mut waiting = BTreeMap::new();
        let mut total = BTreeMap::new();
        for (instrument, amount) in proved.account.holdings.iter() {
            add(&mut held, instrument, amount);
            add(&mut total, instrument, amount);
        }
        for credit in &proved.waiting {
            add(&mut waiting, &credit.instrument, credit.amount);
            add(&mut total, &credit.instrument, credit.amount);
        }
        Self {
            verdict: "verified",
            account: proved.account.account.to_string(),
            bank: proved.account.bank.to_string(),
            holdings: shown(held),
            waiting: shown(waiting),
            total: shown(total),
            height: proved.height,
            time_ms: proved.time_ms,
            block: proved.block.to_string(),
            signatures: proved.signatures,
            chains: proved.chains,
            power_signed: proved.power.0,
            power_total: proved.power.1,
        }
    }

    fn text(&self, units: &Units) -> String {
        let signed = format!("{} of {} voting power signed the block", self.power_signed, self.power_total);
        let mut rows = vec![
            ("Verdict", "verified: everything that the bundle claims is proved".to_owned()),
            ("Account", self.account.clone()),
            ("Bank", self.bank.clone()),
            ("Lineage", format!("{} trades, complete from the opening record", self.chains)),
            ("Signatures", format!("{} checked", self.signatures)),
            ("Block", self.block.clone()),
            ("Height", format!("{}, {signed}", self.height)),
        ];
        rows.extend(units.lines(&self.total).into_iter().map(|line| ("Holds", line)));
        if !self.waiting.is_empty() {
            rows.extend(units.lines(&self.waiting).into_iter().map(|line| ("Of it waiting", line)));
        }
        pairs(&rows)
    }
}

type Sums = BTreeMap<String, i128>;

fn add(sums: &mut Sums, instrument: &impl ToString, amount: Amount) {
    // A verified lineage holds less than 2^96 of anything, so no sum here saturates.
    let sum = sums.entry(instrument.to_string()).or_default();
    *sum = sum.saturating_add(amount.units());
}

fn shown(sums: Sums) -> Amounts {
    sums.into_iter().map(|(instrument, units)| (instrument, units.to_string())).collect()
}
