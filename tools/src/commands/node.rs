//! `stemma node`: what a node does: its state, and, for a bank's operator, what waits and what was refused.

use std::process::ExitCode;

use clap::Subcommand;

use stemma_node_api::types::PathView;

use super::request::line;
use crate::error::{CliError, Exit};
use crate::node::{NodeArgs, OperatorArgs};
use crate::output::{Output, pairs};

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
    }
    Ok(Exit::Yes.into())
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
