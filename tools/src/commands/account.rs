//! `stemma account`: show and list accounts anywhere; open, fund and service them, see [`super::service`].

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::keys::PublicKey;
use stemma_node_api::types::{IssueCash, OpenAccount};

use super::service::{self, ServiceCommand};
use crate::error::{CliError, Exit};
use crate::node::{NodeArgs, OperatorArgs};
use crate::output::{Output, pairs};
use crate::units::{Units, parse_positive, position_line};

/// Arguments of `stemma account`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma account list --node http://127.0.0.1:8101\n  \
    stemma account show 4be1… --node http://127.0.0.1:8101")]
pub struct Args {
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Show what an account holds
    Show(ShowArgs),
    /// List the ids of all accounts
    List(ListArgs),
    /// Open an account for a customer's key, as the bank's operator
    Open(OpenArgs),
    /// Deposit cash into an account, as the operator of the bank that issues it
    #[command(visible_alias = "deposit")]
    Fund(FundArgs),
    #[command(flatten)]
    Service(ServiceCommand),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma account show 4be1… --node http://127.0.0.1:8101 --json")]
struct ShowArgs {
    /// The account's id
    id: AccountId,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma account list --node http://127.0.0.1:8101")]
struct ListArgs {
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma account open --node http://127.0.0.1:8101 --key 19bf… \
    --operator-token-file operator.token")]
struct OpenArgs {
    /// The customer's public key, 64 hexadecimal digits
    #[arg(long, value_name = "PUB")]
    key: PublicKey,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma account fund --node http://127.0.0.1:8101 --account 4be1… \
    --currency USD --amount 100.00 --operator-token-file operator.token")]
struct FundArgs {
    /// The account's id
    #[arg(long, value_name = "ID")]
    account: AccountId,
    /// Code of a currency that the bank has listed
    #[arg(long, value_name = "CODE")]
    currency: String,
    /// How much, in whole units such as 100.00
    #[arg(long)]
    amount: String,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// Runs `stemma account`.
///
/// # Errors
/// The node can't be reached or refuses; [`CliError`] says what to do.
pub async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        AccountCommand::Show(args) => show(&args, output).await?,
        AccountCommand::List(args) => list(&args, output).await?,
        AccountCommand::Open(args) => open(&args, output).await?,
        AccountCommand::Fund(args) => fund(&args, output).await?,
        AccountCommand::Service(command) => return service::run(command, output).await,
    }
    Ok(Exit::Yes.into())
}

async fn show(args: &ShowArgs, output: &Output) -> Result<(), CliError> {
    let client = args.node.client()?;
    let account = client.account(&args.id.to_string()).await?;
    let units = Units::of_node(&client.instruments().await?);
    let mut rows = vec![
        ("Account", account.account.clone()),
        ("Bank", account.bank.clone()),
        ("Status", account.status.clone()),
        ("Key", account.key.clone().unwrap_or_else(|| "revoked".to_owned())),
        ("Credit", format!("level {} by rules {}", account.credit.level, account.credit.rules)),
        ("Entries", account.sequence.to_string()),
        ("Head", account.head.clone()),
        ("Counter", account.counter.to_string()),
        ("At height", account.height.to_string()),
    ];
    rows.extend(units.lines(&account.credit.lines).into_iter().map(|line| ("Credit line", line)));
    rows.extend(units.lines(&account.total).into_iter().map(|line| ("Holds", line)));
    if !account.waiting.is_empty() {
        rows.extend(units.lines(&account.waiting).into_iter().map(|line| ("Of it waiting", line)));
    }
    rows.extend(account.positions.iter().map(|position| ("Position", position_line(position, &units))));
    output.data(&account, &pairs(&rows))
}

async fn list(args: &ListArgs, output: &Output) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Report {
        accounts: Vec<String>,
    }
    let client = args.node.client()?;
    let mut accounts = Vec::new();
    let mut after = None;
    loop {
        let page = client.accounts(after.as_deref()).await?;
        accounts.extend(page.accounts);
        if page.next.is_none() {
            break;
        }
        after = page.next;
    }
    let text: String = accounts.iter().map(|id| format!("{id}\n")).collect();
    output.note(&format!("{} accounts.", accounts.len()));
    output.data(&Report { accounts }, &text)
}

/// An account that was opened.
#[derive(Serialize)]
struct Opened {
    account: String,
    key: String,
    height: u64,
}

async fn open(args: &OpenArgs, output: &Output) -> Result<(), CliError> {
    args.key.admit().map_err(|error| CliError::usage("the key can't open an account").caused_by(&error))?;
    let opened = args.operator.client()?.open_account(&OpenAccount { key: args.key.to_string() }).await?;
    let opened = Opened { account: opened.id, key: args.key.to_string(), height: opened.height };
    let rows =
        [("Account", opened.account.clone()), ("Key", opened.key.clone()), ("Height", opened.height.to_string())];
    output.data(&opened, &pairs(&rows))
}

async fn fund(args: &FundArgs, output: &Output) -> Result<(), CliError> {
    let client = args.operator.client()?;
    let bank = client.status().await?.member;
    let instrument = format!("{bank}/{}", args.currency);
    let units = Units::of_node(&client.instruments().await?);
    let amount = parse_positive(&args.amount, units.listed_decimals(&instrument)?, "the amount")?;
    let credits = BTreeMap::from([(args.account.to_string(), amount.to_string())]);
    let issued = client.issue(&IssueCash { code: args.currency.clone(), credits }).await?;
    let rows = [
        ("Account", args.account.to_string()),
        ("Credited", format!("{} {instrument}", units.show(&instrument, &amount.to_string()))),
        ("Issuance", issued.id.clone()),
        ("Height", issued.height.to_string()),
    ];
    output.data(&issued, &pairs(&rows))
}
