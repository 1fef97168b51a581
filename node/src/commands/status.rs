//! `status`: asks the running node.

use clap::Args;
use stemma_node_api::Client;
use stemma_node_api::types::Status;

use super::outcome::{Exit, pairs, print};
use super::{CommandError, Place, Printed};

/// Which node.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    printed: Printed,
}

/// Shows how the running node is; yes where it is ready.
///
/// # Errors
/// It does not answer.
pub fn run(args: &StatusArgs) -> Result<Exit, CommandError> {
    let config = args.place.configuration()?;
    let client = Client::new(format!("http://{}", config.http.listen)).map_err(|e| CommandError::of(&e))?;
    let status = super::wait(async { client.status().await.map_err(|e| CommandError::of(&e)) }).map_err(|e| {
        e.help("start it with `stemma-node start`; if it runs, `stemma-node doctor` looks what keeps it from answering")
    })?;
    print(&status, &shown(&status), args.printed.json)?;
    Ok(if status.not_ready.is_empty() { Exit::Yes } else { Exit::No })
}

fn shown(status: &Status) -> String {
    let moment = i64::try_from(status.time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let time = moment.filter(|_| status.height > 0).map_or("none yet".to_owned(), |moment| moment.to_string());
    let none_or = |texts: &[String]| if texts.is_empty() { "none".to_owned() } else { texts.join(", ") };
    let ready =
        if status.not_ready.is_empty() { "yes".to_owned() } else { format!("no: {}", status.not_ready.join("; ")) };
    let mut rows = vec![
        ("Member", format!("{} ({})", status.member, status.role)),
        ("Network", status.network.clone()),
        ("Version", status.version.clone()),
        ("Ready", ready),
        ("Height", status.height.to_string()),
        ("Last block", time),
        ("Head", status.head.clone()),
        ("Root", status.account_root.clone()),
        ("Peers", none_or(&status.peers)),
        ("Pool", status.pool.to_string()),
        ("Entries", status.entries.to_string()),
        ("Trades", status.trades.to_string()),
    ];
    if status.history_from > 1 {
        rows.push(("Kept", format!("blocks from {} on; lineages are proved from there", status.history_from)));
    }
    if let Some(vote) = &status.vote {
        let reason = vote.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let help = vote.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        rows.push(("Vote", format!("{}{reason}{help}", vote.state)));
    }
    if let Some(office) = &status.back_office {
        rows.push(("Back office", format!("{} errands, breaker {}", office.errands, office.breaker)));
    }
    pairs(&rows)
}
