//! What must hold in the end: one ledger on five nodes, and a proof of every account.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use stemma_node_api::types::{AccountView, Amounts, Status};
use tokio::process::Command;

use super::layout::Folder;
use super::processes::Clients;
use super::setup::client;
use super::state::State;
use crate::error::CliError;
use crate::files;
use crate::node::is_passing;

/// How long the nodes may take to be at one height.
const AGREE_LIMIT: Duration = Duration::from_secs(30);
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// One audited account.
#[derive(Debug, Serialize)]
pub struct Bundle {
    /// The customer.
    pub name: String,
    /// The account.
    pub account: String,
    /// The bundle's file.
    pub file: String,
    /// verified, refuted or unreadable.
    pub verdict: String,
    /// What the child process said where the verdict is another, or the holdings differ from the bank's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What `stemma audit verify --json` prints, as far as it is needed.
#[derive(Deserialize)]
struct Verdict {
    verdict: String,
    #[serde(default)]
    total: Amounts,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

/// The state of every node, once all have the same head and account root at one height; else the last state seen.
///
/// # Errors
/// A node can't be reached.
pub async fn agreed(clients: &Clients) -> Result<(Vec<Status>, bool), CliError> {
    let started = Instant::now();
    loop {
        let mut statuses = Vec::new();
        for client in clients.values() {
            match client.status().await {
                Ok(status) => statuses.push(status),
                Err(error) if is_passing(&error) && started.elapsed() < AGREE_LIMIT => break,
                Err(error) => return Err(error.into()),
            }
        }
        let is_complete = statuses.len() == clients.len();
        let first = statuses.first();
        let is_equal = is_complete
            && statuses.iter().all(|status| {
                first.is_some_and(|first| {
                    (first.height, &first.head, &first.account_root)
                        == (status.height, &status.head, &status.account_root)
                })
            });
        if is_equal || (is_complete && started.elapsed() > AGREE_LIMIT) {
            return Ok((statuses, is_equal));
        }
        tokio::time::sleep(POLL_PAUSE).await;
    }
}

/// Every customer's account, as its bank has it.
///
/// # Errors
/// A node can't be reached or refuses.
pub async fn accounts(clients: &Clients, state: &State) -> Result<Vec<(String, AccountView)>, CliError> {
    let mut accounts = Vec::new();
    for (name, customer) in &state.customers {
        let id = customer.account.as_deref().unwrap_or_default();
        accounts.push((name.clone(), client(clients, &customer.bank)?.account(id).await?));
    }
    Ok(accounts)
}

/// Exports one account's bundle from its bank, and has it verified by a process of its own that gets the bundle and
/// the genesis file alone.
///
/// # Errors
/// The node refuses, the file can't be written, or this executable can't be run.
pub async fn audit(
    clients: &Clients,
    folder: &Folder,
    (name, account): (&str, &AccountView),
) -> Result<Bundle, CliError> {
    let path = folder.bundle(name);
    let bytes = client(clients, &account.bank)?.account_bundle(&account.account).await?;
    files::write(&path, &bytes, files::MODE_PUBLIC, true)?;
    let (verdict, problem) = match verify(&path, &folder.genesis()).await? {
        Ok(said) if said.verdict == "verified" && said.total == account.total => (said.verdict, None),
        Ok(said) if said.verdict == "verified" => {
            let problem = "it proves other holdings than the bank shows".to_owned();
            (said.verdict, Some(problem))
        }
        Ok(said) => (said.verdict, serde_json::to_string(&said.rest).ok()),
        Err(said) => ("unreadable".to_owned(), Some(said)),
    };
    Ok(Bundle {
        name: name.to_owned(),
        account: account.account.clone(),
        file: path.display().to_string(),
        verdict,
        problem,
    })
}

/// What the child says, or what it prints where that is no verdict.
async fn verify(bundle: &Path, genesis: &Path) -> Result<Result<Verdict, String>, CliError> {
    let failed = |error| CliError::files("cannot run `stemma audit verify`").caused_by(&error);
    let own = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(own);
    command.args(["audit", "verify"]).arg(bundle).arg("--genesis").arg(genesis).arg("--json");
    let run = command.stdin(std::process::Stdio::null()).kill_on_drop(true).output().await.map_err(failed)?;
    let said = serde_json::from_slice::<Verdict>(&run.stdout);
    Ok(said.map_err(|_| String::from_utf8_lossy(&run.stderr).trim().to_owned()).and_then(|said| {
        let is_consistent = (said.verdict == "verified") == run.status.success();
        if is_consistent { Ok(said) } else { Err(format!("verdict {}, but {}", said.verdict, run.status)) }
    }))
}
