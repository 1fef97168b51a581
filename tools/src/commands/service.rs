//! Servicing accounts: acts of a bank's operator, and instructions that a customer signs.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Subcommand;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::servicing::Act;
use stemma_keystore::read_public;
use stemma_node_api::types::{CreditView, RequestState, RequestView, ServiceAct};

use crate::customer::CustomerArgs;
use crate::error::{CliError, Exit};
use crate::node::OperatorArgs;
use crate::output::{Output, pairs};
use crate::requests::{Told, prepare_instruction, random, refusal_rows};
use crate::units::{Units, parse_positive};

/// The commands under `stemma account` that change an account.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Stop everything that would leave the account, as the bank's operator
    #[command(after_help = "Example:\n  stemma account freeze 4be1… --node http://127.0.0.1:8101 \
--operator-token-file operator.token")]
    Freeze(OperatorAct),
    /// Open a frozen account again, as the bank's operator
    #[command(after_help = "Example:\n  stemma account unfreeze 4be1… --node http://127.0.0.1:8101 \
--operator-token-file operator.token")]
    Unfreeze(OperatorAct),
    /// Close an account that holds nothing, as the bank's operator
    #[command(after_help = "Example:\n  stemma account close 4be1… --node http://127.0.0.1:8101 \
--operator-token-file operator.token")]
    Close(OperatorAct),
    /// Revoke the account's key, as the bank's operator; what it signed before stays valid
    #[command(after_help = "Example:\n  stemma account revoke-key 4be1… --node http://127.0.0.1:8101 \
--operator-token-file operator.token")]
    RevokeKey(OperatorAct),
    /// Bind a new key to an account whose key is revoked, as the bank's operator
    BindKey(BindKeyArgs),
    /// Change level and lines of credit, as the bank's operator
    SetCredit(SetCreditArgs),
    /// Take back what an order reserves that waits for its price too long, as the bank's operator
    Reclaim(ReclaimArgs),
    /// Have the bank pay cash out, as the customer
    Withdraw(WithdrawArgs),
    /// Bind another key in place of the account's, as the customer
    RotateKey(RotateKeyArgs),
}

/// An act that needs nothing but the account.
#[derive(Debug, clap::Args)]
pub struct OperatorAct {
    /// The account's id
    id: AccountId,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// Arguments of `stemma account bind-key`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma account bind-key 4be1… --key 19bf… --node http://127.0.0.1:8101 \
    --operator-token-file operator.token")]
pub struct BindKeyArgs {
    /// The account's id
    id: AccountId,
    /// The new public key, 64 hexadecimal digits
    #[arg(long, value_name = "PUB")]
    key: PublicKey,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// Arguments of `stemma account set-credit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma account set-credit 4be1… --level 3 --rules 2 --line USD=1000.00 \
    --node http://127.0.0.1:8101 --operator-token-file operator.token")]
pub struct SetCreditArgs {
    /// The account's id
    id: AccountId,
    /// The level, 0 the lowest
    #[arg(long)]
    level: u8,
    /// The version of the bank's rules that gave the level
    #[arg(long)]
    rules: u32,
    /// How far below zero the account may go in a currency of the bank; may be given again
    #[arg(long = "line", value_name = "CODE=AMOUNT")]
    lines: Vec<String>,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// Arguments of `stemma account reclaim`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma account reclaim 4be1… --request 9f2c… --node http://127.0.0.1:8101 \
    --operator-token-file operator.token\n\nUntil when the institution may still execute it, `stemma account show` tells.")]
pub struct ReclaimArgs {
    /// The account's id
    id: AccountId,
    /// The order's request
    #[arg(long)]
    request: Link,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// Arguments of `stemma account withdraw`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma account withdraw --node http://127.0.0.1:8101 --key alice.pem \
    --account 4be1… --currency USD --amount 100.00")]
pub struct WithdrawArgs {
    #[command(flatten)]
    customer: CustomerArgs,
    /// Code of the bank's currency
    #[arg(long, value_name = "CODE")]
    currency: String,
    /// How much, in whole units such as 100.00
    #[arg(long)]
    amount: String,
}

/// Arguments of `stemma account rotate-key`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma account rotate-key --node http://127.0.0.1:8101 --key alice.pem \
    --account 4be1… --new-key alice-2.pem")]
pub struct RotateKeyArgs {
    #[command(flatten)]
    customer: CustomerArgs,
    /// The new public key, or its key file, which need not be opened
    #[arg(long, value_name = "PUB|FILE")]
    new_key: String,
}

/// Runs one of them.
///
/// # Errors
/// The node can't be reached or refuses the call; [`CliError`] says what to do.
pub async fn run(command: ServiceCommand, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        ServiceCommand::Freeze(args) => act(&args.id, &args.operator, &ServiceAct::Freeze, output).await,
        ServiceCommand::Unfreeze(args) => act(&args.id, &args.operator, &ServiceAct::Unfreeze, output).await,
        ServiceCommand::Close(args) => act(&args.id, &args.operator, &ServiceAct::Close, output).await,
        ServiceCommand::RevokeKey(args) => act(&args.id, &args.operator, &ServiceAct::RevokeKey, output).await,
        ServiceCommand::BindKey(args) => {
            let bind = ServiceAct::BindKey { key: args.key.to_string() };
            act(&args.id, &args.operator, &bind, output).await
        }
        ServiceCommand::SetCredit(args) => {
            let terms = credit(&args).await?;
            act(&args.id, &args.operator, &ServiceAct::SetCredit(terms), output).await
        }
        ServiceCommand::Reclaim(args) => {
            let reclaim = ServiceAct::Reclaim { request: args.request.to_string() };
            act(&args.id, &args.operator, &reclaim, output).await
        }
        ServiceCommand::Withdraw(args) => withdraw(&args, output).await,
        ServiceCommand::RotateKey(args) => {
            let new_key = public_key(&args.new_key)?;
            instruct(&args.customer, Act::BindKey(new_key), output).await
        }
    }
}

fn public_key(text: &str) -> Result<PublicKey, CliError> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let shown = read_public(text.as_ref())?.public_key;
    shown.map(PublicKey).ok_or_else(|| {
        let message = format!("the key file {text} does not show its public key");
        CliError::usage(message).help("give the public key itself: `stemma key show FILE` tells it")
    })
}

async fn act(
    account: &AccountId,
    operator: &OperatorArgs,
    act: &ServiceAct,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let view = operator.client()?.act(&account.to_string(), act).await?;
    finish(&view, output)
}

async fn credit(args: &SetCreditArgs) -> Result<CreditView, CliError> {
    let client = args.operator.client()?;
    let bank = client.status().await?.member;
    let units = Units::of_node(&client.instruments().await?);
    let mut lines = BTreeMap::new();
    for line in &args.lines {
        let wrong = || CliError::usage(format!("--line {line:?} is no line")).help("write it as USD=1000.00");
        let (code, amount) = line.split_once('=').ok_or_else(wrong)?;
        let instrument = format!("{bank}/{code}");
        let amount = parse_positive(amount, units.listed_decimals(&instrument)?, "the line")?;
        lines.insert(instrument, amount.to_string());
    }
    Ok(CreditView { level: args.level, rules: args.rules, lines })
}

async fn withdraw(args: &WithdrawArgs, output: &Output) -> Result<ExitCode, CliError> {
    let client = args.customer.node.client()?;
    let bank = client.account(&args.customer.account.to_string()).await?.bank;
    let units = Units::of_node(&client.instruments().await?);
    let name = format!("{bank}/{}", args.currency);
    let amount = parse_positive(&args.amount, units.listed_decimals(&name)?, "the amount")?;
    let instrument: InstrumentId =
        name.parse().map_err(|error| CliError::usage(format!("{name} is no currency")).caused_by(&error))?;
    instruct(&args.customer, Act::Withdraw(instrument, amount), output).await
}

async fn instruct(args: &CustomerArgs, act: Act, output: &Output) -> Result<ExitCode, CliError> {
    let customer = args.ready(output).await?;
    let (network, account, bank) = (customer.genesis.network(), args.account, customer.bank.clone());
    let told = Told { network, account, bank, counter: customer.counter, act };
    let prepared = prepare_instruction(told, customer.key.signing_key(), &customer.identities, &random()?)
        .map_err(|violation| CliError::usage("the instruction is not valid").caused_by(&violation))?;
    finish(&customer.hand_in(&prepared).await?, output)
}

fn finish(view: &RequestView, output: &Output) -> Result<ExitCode, CliError> {
    let act = view.act.clone().unwrap_or_default();
    let is_committed = view.state == RequestState::Committed;
    let mut rows = match (&view.refusal, view.state) {
        (_, RequestState::Committed) => vec![("Committed", act)],
        (Some(refusal), _) => {
            let first = ("Refused", format!("{act}, by {}", refusal.member));
            std::iter::once(first).chain(refusal_rows(refusal)).collect()
        }
        (None, RequestState::Expired) => vec![("Expired", format!("{act}: nothing has changed"))],
        (None, state) => vec![("State", format!("{state:?}"))],
    };
    rows.push(("Account", view.account.clone()));
    rows.push(("Request", view.request.clone()));
    rows.extend(view.chain.clone().map(|chain| ("Entry", chain)));
    rows.extend(view.height.map(|height| ("Height", height.to_string())));
    output.data(view, &pairs(&rows))?;
    Ok(if is_committed { Exit::Yes } else { Exit::No }.into())
}
