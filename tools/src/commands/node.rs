//! `stemma node`: what a node does: its state; for a bank's operator, what waits and what was refused; an institution's prices.

use std::process::ExitCode;

use clap::Subcommand;

use stemma_node_api::moment;
use stemma_node_api::prices::{PricePage, PushPrices, PushedPrice};
use stemma_node_api::types::PathView;

use super::request::line;
use crate::error::{CliError, Exit};
use crate::node::{NodeArgs, OperatorArgs};
use crate::output::{Output, pairs};
use crate::requests::now_ms;

/// Arguments of `stemma node`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma node status --node http://127.0.0.1:8101\n  \
    stemma node queue --node http://127.0.0.1:8101 --operator-token-file operator.token")]
pub struct Args {
    #[command(subcommand)]
    command: NodeCommand,
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Show a node's height, head and peers
    #[command(after_help = "Example:\n  stemma node status --node http://127.0.0.1:8101")]
    Status(NodeArgs),
    /// Show what waits at a bank, in the order in which it will be sent
    #[command(after_help = "Example:\n  stemma node queue --node http://127.0.0.1:8101 \
--operator-token-file operator.token")]
    Queue(OperatorArgs),
    /// Show the ways to each institution, with what a bank has measured of them
    #[command(after_help = "Example:\n  stemma node paths --node http://127.0.0.1:8101 \
--operator-token-file operator.token")]
    Paths(OperatorArgs),
    /// Show the last refusals of a bank, the newest first
    #[command(after_help = "Example:\n  stemma node refusals --node http://127.0.0.1:8101 \
--operator-token-file operator.token")]
    Refusals(OperatorArgs),
    /// Show what an institution quotes, since when, and what is too old to trade at
    #[command(after_help = "Example:\n  stemma node prices --node http://127.0.0.1:8103")]
    Prices(NodeArgs),
    /// Give an institution prices, as its operator, where its source is `push`
    SetPrice(SetPriceArgs),
}

/// Arguments of `stemma node set-price`.
#[derive(Debug, clap::Args)]
#[command(after_help = "All prices are taken, or none. A price that is older than the one known is refused.\n\n\
    Example:\n  stemma node set-price AAPL=189.10 IBM=142.55 --node http://127.0.0.1:8103 \
--operator-token-file operator.token")]
struct SetPriceArgs {
    /// Prices by symbol, each of one whole unit in whole units of cash
    #[arg(required = true, value_name = "SYMBOL=PRICE", value_parser = symbol_and_price)]
    prices: Vec<(String, String)>,
    /// Since when, such as 2026-11-26T09:30:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    time: Option<u64>,
    #[command(flatten)]
    operator: OperatorArgs,
}

fn symbol_and_price(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(symbol, price)| !symbol.is_empty() && !price.is_empty());
    parts.map(|(symbol, price)| (symbol.to_owned(), price.to_owned())).ok_or("write it as AAPL=189.10".to_owned())
}

/// Runs `stemma node`.
///
/// # Errors
/// The node can't be reached or refuses; [`CliError`] says what to do.
pub async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        NodeCommand::Status(args) => {
            let status = args.client()?.status().await?;
            let rows = [
                ("Member", status.member.clone()),
                ("Role", status.role.clone()),
                ("Network", status.network.clone()),
                ("Height", status.height.to_string()),
                ("Head", status.head.clone()),
                ("Peers", status.peers.join(", ")),
                ("Trades", status.trades.to_string()),
                ("Version", status.version.clone()),
            ];
            output.data(&status, &pairs(&rows))?;
        }
        NodeCommand::Queue(args) => {
            let queue = args.client()?.queue().await?;
            let mut text = format!("{} orders are not final.\n", queue.open);
            for one in &queue.institutions {
                text.push_str(&format!("{}: {} sent, {} waiting\n", one.institution, one.sent, one.waiting));
                for next in &one.next {
                    text.push_str(&format!("  {} activity {} {}\n", next.received_ms, next.activity, next.request));
                }
            }
            output.data(&queue, &text)?;
        }
        NodeCommand::Paths(args) => {
            let page = args.client()?.paths().await?;
            output.data(&page, &table(&page.paths))?;
        }
        NodeCommand::Refusals(args) => {
            let page = args.client()?.refusals().await?;
            let text: String = page.requests.iter().map(line).collect();
            output.data(&page, &text)?;
        }
        NodeCommand::Prices(args) => show_prices(&args.client()?.prices().await?, output)?,
        NodeCommand::SetPrice(args) => {
            let time = moment::show(args.time.unwrap_or_else(now_ms));
            let pushed = |(symbol, price)| PushedPrice { symbol, price, time: time.clone() };
            let body = PushPrices { prices: args.prices.into_iter().map(pushed).collect() };
            show_prices(&args.operator.client()?.push_prices(&body).await?, output)?;
        }
    }
    Ok(Exit::Yes.into())
}

/// Where prices come from, and one line each.
fn show_prices(page: &PricePage, output: &Output) -> Result<(), CliError> {
    let age = page.stale_after_ms.map_or("of any age".to_owned(), |ms| format!("at most {} s old", ms / 1_000));
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["symbol", "price", "time", ""]);
    for one in &page.prices {
        let age = if one.stale { "stale" } else { "" };
        table.add_row([one.symbol.as_str(), one.price.as_str(), one.time.as_str(), age]);
    }
    output.data(page, &format!("Prices from {}, to trade at where they are {age}.\n{table}\n", page.source))
}

/// One line a path, the best of each member marked.
fn table(paths: &[PathView]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["", "member", "path", "transport", "state", "round trip", "throughput", "score", "sent", "lost"]);
    for path in paths {
        let ms = |us: Option<u64>| us.map_or("-".to_owned(), |us| format!("{}.{:03} ms", us / 1_000, us % 1_000));
        let rate = path.throughput.map_or("-".to_owned(), |rate| format!("{} KiB/s", rate / 1_024));
        table.add_row([
            if path.best { "*" } else { "" }.to_owned(),
            path.member.clone(),
            path.name.clone(),
            path.transport.clone(),
            path.state.clone(),
            ms(path.rtt_us),
            rate,
            ms(path.score_us),
            path.sent.to_string(),
            path.failed.to_string(),
        ]);
    }
    format!("{table}\n")
}
