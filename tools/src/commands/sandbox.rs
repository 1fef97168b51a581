//! `stemma sandbox`: a whole network on this machine, with a replay of orders over real prices.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::error::CliError;
use crate::output::Output;
use crate::sandbox::{self, Options};

const HELP: &str = "\
Runs two banks, two institutions and an auditor as processes on loopback, opens customers' accounts, replays the
orders, and audits every account. Ctrl-C stops all of it; the same command goes on where it stopped.

Files are CSV; lines that begin with # are comments.
  prices     date,symbol,close: each date is a trading day; the symbols, in their order, are dealt
             alternately to broker-a and broker-b
  customers  name,bank,cash: the bank is bank-a or bank-b
  orders     date,customer,side,instrument,quantity,limit,fault: the side is buy or sell; the instrument is
             written broker-a/AAPL, or AAPL alone; whole quantities; the limit may be empty; the fault is
             empty, forged-signature or repeated-counter. A customer who is not in the customers file is
             one whom no bank knows.

Exit codes: 0 everything held, 1 something did not, 2 wrong usage or a wrong file, 3 a node or the machine failed.

Example:
  stemma sandbox --dir sandbox
  stemma sandbox --dir sandbox --keep-running
  stemma sandbox --dir other --orders orders.csv --prices prices.csv --json";

/// Arguments of `stemma sandbox`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Folder of the sandbox; made if need be
    #[arg(long, value_name = "DIR", default_value = "sandbox")]
    dir: PathBuf,
    /// Orders to replay [default: the sandbox's own, or some 500 that come with the tool]
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,
    /// Closing prices [default: the sandbox's own, or real ones of 2000 to 2010 that come with the tool]
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Customers to open accounts for [default: the sandbox's own, or eight that come with the tool]
    #[arg(long, value_name = "FILE")]
    customers: Option<PathBuf>,
    /// Leave the network up, and say how to reach it
    #[arg(long)]
    keep_running: bool,
    /// The node's binary [default: stemma-node beside this one, built with cargo if need be]
    #[arg(long, value_name = "FILE")]
    node_binary: Option<PathBuf>,
}

/// Runs `stemma sandbox`.
///
/// # Errors
/// A file is wrong, or the network fails; [`CliError`] says what to do.
pub async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    let Args { dir, orders, prices, customers, keep_running, node_binary } = args;
    sandbox::run(&Options { dir, orders, prices, customers, node_binary, keep_running }, output).await
}
