//! `stemma request`: where requests, instructions and acts stand; followed as they change.

use std::process::ExitCode;

use clap::Subcommand;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_node_api::types::{RequestState, RequestView};

use crate::error::{CliError, Exit};
use crate::node::NodeArgs;
use crate::output::{Output, pairs};
use crate::requests::refusal_rows;

/// Arguments of `stemma request`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma request list 4be1… --node http://127.0.0.1:8101\n  \
    stemma request watch 77c2… --node http://127.0.0.1:8101")]
pub struct Args {
    #[command(subcommand)]
    command: RequestCommand,
}

#[derive(Debug, Subcommand)]
enum RequestCommand {
    /// Show where one stands, and every state it came to with the time
    #[command(after_help = "Example:\n  stemma request show 77c2… --node http://127.0.0.1:8101")]
    Show(OneArgs),
    /// List those of an account, the newest first
    #[command(after_help = "Example:\n  stemma request list 4be1… --node http://127.0.0.1:8101")]
    List(AccountArgs),
    /// Follow one until it is final
    #[command(after_help = "Example:\n  stemma request watch 77c2… --node http://127.0.0.1:8101 --json")]
    Watch(OneArgs),
    /// Follow all of an account, without an end
    #[command(after_help = "Example:\n  stemma request follow 4be1… --node http://127.0.0.1:8101 --json")]
    Follow(AccountArgs),
}

#[derive(Debug, clap::Args)]
struct OneArgs {
    /// The link of the request, instruction or act
    id: Link,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
struct AccountArgs {
    /// The account's id
    account: AccountId,
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs `stemma request`.
///
/// # Errors
/// The node can't be reached or refuses; [`CliError`] says what to do.
pub async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        RequestCommand::Show(args) => {
            let view = args.node.client()?.request(&args.id.to_string(), 0).await?;
            output.data(&view, &shown(&view))?;
        }
        RequestCommand::List(args) => {
            let page = args.node.client()?.account_requests(&args.account.to_string()).await?;
            let text: String = page.requests.iter().map(line).collect();
            output.data(&page, &text)?;
        }
        RequestCommand::Watch(args) => {
            let mut events = args.node.client()?.follow_request(&args.id.to_string()).await?;
            let mut state = None;
            while let Some(view) = events.next().await? {
                output.data(&view, &line(&view))?;
                state = Some(view.state);
            }
            return Ok(if state == Some(RequestState::Committed) { Exit::Yes } else { Exit::No }.into());
        }
        RequestCommand::Follow(args) => {
            let mut events = args.node.client()?.follow_account(&args.account.to_string()).await?;
            while let Some(view) = events.next().await? {
                output.data(&view, &line(&view))?;
            }
        }
    }
    Ok(Exit::Yes.into())
}

/// One line of a list.
pub(super) fn line(view: &RequestView) -> String {
    let what = view.act.clone().unwrap_or_else(|| "trade".to_owned());
    let why = view.refusal.as_ref().map(|refusal| format!(" ({})", refusal.reason)).unwrap_or_default();
    format!("{} {:<9} {what}{why} {}\n", view.changed_ms, name(view.state), view.request)
}

fn shown(view: &RequestView) -> String {
    let mut rows = vec![("Request", view.request.clone()), ("Account", view.account.clone())];
    rows.extend(view.act.clone().map(|act| ("Act", act)));
    rows.push(("State", name(view.state).to_owned()));
    rows.extend(view.steps.iter().map(|step| (name(step.state), format!("{} ms", step.at_ms))));
    if let Some(refusal) = &view.refusal {
        rows.push(("Refused by", refusal.member.clone()));
        rows.extend(refusal_rows(refusal));
    }
    rows.extend(view.chain.clone().map(|chain| ("Entry", chain)));
    rows.extend(view.height.map(|height| ("Height", height.to_string())));
    rows.extend(view.outcome.clone().map(|outcome| ("Outcome", outcome)));
    if let Some(accepted) = &view.accepted {
        rows.extend(accepted.cut_off.clone().map(|cut_off| ("Cancel until", cut_off)));
        match &accepted.settled {
            Some(settled) => {
                let why = settled.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
                rows.push(("Settled", format!("{}{why} at height {}", settled.act, settled.height)));
                rows.extend(settled.settlement.clone().map(|settlement| ("Settlement", settlement)));
            }
            None => rows.push(("Settled", "no: it waits, or was cancelled or taken back".to_owned())),
        }
    }
    pairs(&rows)
}

const fn name(state: RequestState) -> &'static str {
    match state {
        RequestState::Received => "received",
        RequestState::Endorsed => "endorsed",
        RequestState::Sent => "sent",
        RequestState::Executed => "executed",
        RequestState::Committed => "committed",
        RequestState::Refused => "refused",
        RequestState::Expired => "expired",
        RequestState::Referred => "referred",
    }
}
