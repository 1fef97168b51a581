//! `stemma report`: an institution's reports for its operator, for people, as JSON or as CSV.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use stemma_chain_format::amount::decimal;
use stemma_node_api::moment;
use stemma_node_api::reports::{
    Days, FeesReport, HoldingsReport, ReconciliationReport, Report, ReportHead, RewardsReport, TradesReport,
};

use crate::error::{CliError, Exit};
use crate::files;
use crate::node::OperatorArgs;
use crate::output::{JSON_VERSION, Output, pairs};

/// Arguments of `stemma report`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every report is true at one height, which it states. Days are days in UTC, by the time of a trade's block.\n\n\
    Example:\n  stemma report trades --from 2026-11-01 --to 2026-11-30 --csv --out trades.csv \
--node http://127.0.0.1:8103 --operator-token-file operator.token"
)]
pub struct Args {
    #[command(subcommand)]
    command: ReportCommand,
}

#[derive(Debug, Subcommand)]
enum ReportCommand {
    /// Who holds what, by the institution's own book: bought less sold
    #[command(after_help = "Example:\n  stemma report holdings --to 2026-11-30 --node http://127.0.0.1:8103 \
--operator-token-file operator.token")]
    Holdings(HoldingsArgs),
    /// Every trade, and their sums by day
    #[command(after_help = "Example:\n  stemma report trades --from 2026-11-01 --to 2026-11-30 \
--node http://127.0.0.1:8103 --operator-token-file operator.token")]
    Trades(TradesArgs),
    /// The fees taken, by day, cash and instrument
    #[command(after_help = "Example:\n  stemma report fees --from 2026-11-01 --to 2026-11-30 \
--node http://127.0.0.1:8103 --operator-token-file operator.token")]
    Fees(PeriodArgs),
    /// The rewards paid, by promoter, and by customer for trades of their own
    #[command(after_help = "Example:\n  stemma report rewards --csv --out rewards.csv --node http://127.0.0.1:8103 \
--operator-token-file operator.token")]
    Rewards(PeriodArgs),
    /// Compare the book with the ledger: exit code 0 where nothing differs, 1 where something does
    #[command(after_help = "Example:\n  stemma report reconciliation --node http://127.0.0.1:8103 \
--operator-token-file operator.token")]
    Reconciliation(CommonArgs),
}

#[derive(Debug, clap::Args)]
struct CommonArgs {
    /// Print a table as CSV (RFC 4180), amounts in smallest units
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Write the report to a file; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long, requires = "out")]
    force: bool,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, clap::Args)]
struct HoldingsArgs {
    /// What was held at the end of this day, such as 2026-11-30 [default: now]
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<String>,
    /// As CSV, the totals by instrument in the place of the accounts
    #[arg(long, requires = "csv")]
    totals: bool,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, clap::Args)]
struct TradesArgs {
    /// As CSV, the sums by day in the place of the trades
    #[arg(long, requires = "csv")]
    by_day: bool,
    #[command(flatten)]
    period: PeriodArgs,
}

#[derive(Debug, clap::Args)]
struct PeriodArgs {
    /// The first day, such as 2026-11-01 [default: that of the first trade]
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<String>,
    /// The last day, such as 2026-11-30 [default: that of the last trade]
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

fn day(text: &str) -> Result<String, moment::DayError> {
    moment::parse_day(text).map(|_| text.to_owned())
}

/// Runs `stemma report`.
///
/// # Errors
/// The node can't be reached or refuses, the file can't be written; [`CliError`] says what to do.
pub async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        ReportCommand::Holdings(HoldingsArgs { to, totals, common }) => {
            let table = if totals { "totals" } else { "accounts" };
            give::<HoldingsReport>(&common, table, Days { from: None, to }, output).await
        }
        ReportCommand::Trades(TradesArgs { by_day, period: PeriodArgs { from, to, common } }) => {
            let table = if by_day { "days" } else { "trades" };
            give::<TradesReport>(&common, table, Days { from, to }, output).await
        }
        ReportCommand::Fees(PeriodArgs { from, to, common }) => {
            give::<FeesReport>(&common, "fees", Days { from, to }, output).await
        }
        ReportCommand::Rewards(PeriodArgs { from, to, common }) => {
            give::<RewardsReport>(&common, "rewards", Days { from, to }, output).await
        }
        ReportCommand::Reconciliation(common) => {
            give::<ReconciliationReport>(&common, "differences", Days::default(), output).await
        }
    }
}

/// A report that people read.
trait Readable: Report + Serialize {
    fn head(&self) -> &ReportHead;

    /// The tables, in whole units.
    fn text(&self) -> String;

    /// Whether what must be empty is not.
    fn says_no(&self) -> bool {
        false
    }
}

/// What is printed where the report itself goes to a file.
#[derive(Serialize)]
struct Written {
    report: &'static str,
    file: String,
    bytes: usize,
    height: u64,
    time: String,
}

async fn give<R: Readable>(args: &CommonArgs, table: &str, days: Days, output: &Output) -> Result<ExitCode, CliError> {
    let file = args.out.as_deref().filter(|out| !files::is_stream(out));
    if let Some(out) = file.filter(|out| !args.force && out.symlink_metadata().is_ok()) {
        // Told before anything large is fetched.
        return Err(CliError::files(format!("{} exists and is not overwritten", out.display()))
            .help("choose another file, or replace this one for good with --force"));
    }
    let client = args.operator.client()?;
    let (exit, bytes, height, time) = if args.csv {
        let csv = client.report_csv(R::NAME, table, &days).await?;
        let says_no = R::NAME == ReconciliationReport::NAME && has_rows(&csv.bytes)?;
        (if says_no { Exit::No } else { Exit::Yes }, csv.bytes, csv.height, csv.time)
    } else {
        let report: R = client.report(&days).await?;
        let exit = if report.says_no() { Exit::No } else { Exit::Yes };
        let ReportHead { height, time, .. } = report.head().clone();
        if file.is_none() {
            output.data(&report, &titled(&report))?;
            return Ok(exit.into());
        }
        let bytes = if output.is_json() { json(&report)? } else { titled(&report).into_bytes() };
        (exit, bytes, height, time)
    };
    match file {
        Some(out) => written(
            out,
            Written { report: R::NAME, file: out.display().to_string(), bytes: bytes.len(), height, time },
            &bytes,
            args.force,
            output,
        )?,
        None => {
            files::write(Path::new("-"), &bytes, files::MODE_PUBLIC, false)?;
            output.note(&format!("As of height {height}, {time}."));
        }
    }
    Ok(exit.into())
}

fn written(out: &Path, told: Written, bytes: &[u8], force: bool, output: &Output) -> Result<(), CliError> {
    files::write(out, bytes, files::MODE_PUBLIC, force)?;
    let rows = [
        ("Report", told.report.to_owned()),
        ("File", told.file.clone()),
        ("Size", format!("{} bytes", told.bytes)),
        ("Height", told.height.to_string()),
        ("Time", told.time.clone()),
    ];
    output.data(&told, &pairs(&rows))
}

/// Whether a table has rows below its header.
fn has_rows(bytes: &[u8]) -> Result<bool, CliError> {
    let mut reader = csv::Reader::from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let read = reader.read_byte_record(&mut record);
    read.map_err(|e| CliError::network("the node's table is no CSV").caused_by(&e))
}

/// The same object that `--json` prints.
fn json(report: &impl Serialize) -> Result<Vec<u8>, CliError> {
    #[derive(Serialize)]
    struct Versioned<'a, T> {
        version: u32,
        #[serde(flatten)]
        fields: &'a T,
    }
    let mut bytes = serde_json::to_vec(&Versioned { version: JSON_VERSION, fields: report })
        .map_err(|e| CliError::files("cannot encode the report as JSON").caused_by(&e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn titled(report: &impl Readable) -> String {
    let ReportHead { report: name, institution, height, time, from, to } = report.head();
    let days = match (from, to) {
        (None, None) => String::new(),
        (Some(from), None) => format!(", from {from} on"),
        (None, Some(to)) => format!(", up to {to}"),
        (Some(from), Some(to)) => format!(", {from} to {to}"),
    };
    format!("{name} of {institution} as of height {height}, {time}{days}\n{}", report.text())
}

/// Lays rows out below a header.
fn table<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    format!("\n{table}\n")
}

/// Smallest units, in whole units. A sum may exceed what one amount can be.
fn whole(units: &str, decimals: u8) -> String {
    units.parse().map_or_else(|_| format!("{units} smallest units"), |units: i128| decimal(units, decimals))
}

impl Readable for HoldingsReport {
    fn head(&self) -> &ReportHead {
        &self.head
    }

    fn text(&self) -> String {
        let accounts = self
            .accounts
            .iter()
            .map(|row| [row.instrument.clone(), whole(&row.held, row.decimals), row.bank.clone(), row.account.clone()]);
        let totals = self.totals.iter().map(|row| {
            let whole = |units| whole(units, row.decimals);
            let moved = (whole(&row.bought), whole(&row.sold), whole(&row.held));
            [row.instrument.clone(), row.accounts.to_string(), moved.0, moved.1, moved.2]
        });
        let totals = table(["instrument", "accounts", "bought", "sold", "held"], totals);
        format!("{}{totals}", table(["instrument", "held", "bank", "account"], accounts))
    }
}

impl Readable for TradesReport {
    fn head(&self) -> &ReportHead {
        &self.head
    }

    fn text(&self) -> String {
        let trades = self.trades.iter().map(|row| {
            let money = |units| whole(units, row.cash_decimals);
            let (quantity, cost, fee) = (whole(&row.quantity, row.decimals), money(&row.cost), money(&row.fee));
            let (time, side, account) = (row.time.clone(), row.side.clone(), row.account.clone());
            [time, side, row.instrument.clone(), quantity, row.price.clone(), cost, fee, row.cash.clone(), account]
        });
        let days = self.days.iter().map(|row| {
            let money = |units| whole(units, row.cash_decimals);
            let (quantity, cost, fee) = (whole(&row.quantity, row.decimals), money(&row.cost), money(&row.fee));
            let (day, side, trades) = (row.day.clone(), row.side.clone(), row.trades.to_string());
            [day, side, row.instrument.clone(), trades, quantity, cost, fee, row.cash.clone()]
        });
        let days = table(["day", "side", "instrument", "trades", "quantity", "cost", "fees", "cash"], days);
        let header = ["time", "side", "instrument", "quantity", "price", "cost", "fee", "cash", "account"];
        format!("{}{days}", table(header, trades))
    }
}

impl Readable for FeesReport {
    fn head(&self) -> &ReportHead {
        &self.head
    }

    fn text(&self) -> String {
        let rows = self.fees.iter().map(|row| {
            let fee = whole(&row.fee, row.decimals);
            [row.day.clone(), row.cash.clone(), row.instrument.clone(), row.trades.to_string(), fee]
        });
        table(["day", "cash", "instrument", "trades", "fees"], rows)
    }
}

impl Readable for RewardsReport {
    fn head(&self) -> &ReportHead {
        &self.head
    }

    fn text(&self) -> String {
        let rows = self.rewards.iter().map(|row| {
            let amount = whole(&row.amount, row.decimals);
            [row.part.clone(), row.account.clone(), row.cash.clone(), row.rewards.to_string(), amount]
        });
        table(["to the", "account", "cash", "rewards", "amount"], rows)
    }
}

impl Readable for ReconciliationReport {
    fn head(&self) -> &ReportHead {
        &self.head
    }

    fn text(&self) -> String {
        let compared = format!("{} trades and {} accounts were compared", self.trades, self.accounts);
        if self.differences.is_empty() {
            return format!("{compared}: book and ledger agree.\n");
        }
        let rows = self.differences.iter().map(|row| {
            let (book, ledger) = (whole(&row.book, row.decimals), whole(&row.ledger, row.decimals));
            let account = row.account.clone().unwrap_or_else(|| "all".to_owned());
            [row.check.clone(), row.instrument.clone(), book, ledger, account]
        });
        let rows = table(["check", "instrument", "book", "ledger", "account"], rows);
        format!("{compared}: book and ledger differ.\n{rows}")
    }

    fn says_no(&self) -> bool {
        !self.differences.is_empty()
    }
}
