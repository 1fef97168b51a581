//! `stemma trade`: a customer's order, signed on the customer's side and followed to its end.

mod finish;
mod market;
mod position;

use std::process::ExitCode;

use clap::{ArgGroup, Subcommand};
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::request::{Order, Side, Size};
use stemma_node_api::catalogue::{DryRun, DryRunView};

use crate::customer::{Customer, CustomerArgs, TypedSide, member_id};
use crate::error::{CliError, Exit};
use crate::node::NodeArgs;
use crate::output::{Output, pairs};
use crate::referral;
use crate::requests::{Terms, prepare, random};
use finish::finish;
use market::{Market, OrderTerms};
use position::{CancelArgs, MarginArgs};

/// Arguments of `stemma trade`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 committed, 1 refused or expired, 2 wrong usage, 3 files or network.\n\n\
    Example:\n  stemma trade buy --node http://127.0.0.1:8101 --key alice.pem --account 4be1… \
--instrument broker-a/AAPL --quantity 10 --limit 26.00")]
pub struct Args {
    #[command(subcommand)]
    command: TradeCommand,
}

#[derive(Debug, Subcommand)]
enum TradeCommand {
    /// Pay cash, get an instrument
    #[command(after_help = "Example:\n  stemma trade buy --node http://127.0.0.1:8101 --key alice.pem \
--account 4be1… --instrument broker-a/AAPL --cash 1000.00")]
    Buy(OrderArgs),
    /// Give an instrument, get cash
    #[command(after_help = "Example:\n  stemma trade sell --node http://127.0.0.1:8101 --key alice.pem \
--account 4be1… --instrument broker-a/AAPL --quantity 10 --limit 25.00")]
    Sell(OrderArgs),
    /// Take back an order that waits for its price
    #[command(after_help = "Example:\n  stemma trade cancel 9f2c… --node http://127.0.0.1:8101 --key alice.pem \
--account 4be1…\n\n`stemma account show` lists the orders that wait.")]
    Cancel(CancelArgs),
    /// Pay into the margin of a futures position, or take out what is above its initial margin
    #[command(after_help = "Example:\n  stemma trade margin pay 500.00 --instrument broker-b/FUTURE \
--node http://127.0.0.1:8101 --key alice.pem --account 4be1…")]
    Margin(MarginArgs),
    /// Ask an institution how it would judge an order now; nothing is signed, sent on or kept
    #[command(after_help = "Example:\n  stemma trade dry-run buy --node http://127.0.0.1:8103 --account 4be1… \
--instrument broker-a/AAPL --quantity 10\n\nThe node is the institution's own.")]
    DryRun(DryRunArgs),
}

#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("size").required(true).args(["quantity", "cash"])))]
struct DryRunArgs {
    /// buy or sell
    side: TypedSide,
    /// Which node
    #[command(flatten)]
    node: NodeArgs,
    /// The account that would trade
    #[arg(long, value_name = "ID")]
    account: AccountId,
    #[command(flatten)]
    order: OrderTerms,
}

#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("size").required(true).args(["quantity", "cash"])))]
struct OrderArgs {
    #[command(flatten)]
    customer: CustomerArgs,
    #[command(flatten)]
    order: OrderTerms,
    /// A referral: the picture of its QR code (PNG or JPEG), a file with its text, or the text itself
    #[arg(long, value_name = "IMAGE|TEXT")]
    referral: Option<String>,
}

/// Runs `stemma trade`.
///
/// # Errors
/// The order makes no sense, the key can't be opened, or the node fails; [`CliError`] says what to do.
pub async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    let (side, args) = match args.command {
        TradeCommand::Buy(args) => (Side::Buy, args),
        TradeCommand::Sell(args) => (Side::Sell, args),
        TradeCommand::Cancel(args) => return position::cancel(&args, output).await,
        TradeCommand::Margin(args) => return position::pay(&args, output).await,
        TradeCommand::DryRun(args) => return dry_run(&args, output).await,
    };
    let referral = args.referral.as_deref().map(referral::read).transpose()?;
    let customer = args.customer.ready(output).await?;
    let mut expires = None;
    if let Some(bytes) = &referral {
        let height = customer.client.status().await?.height;
        let promoted = referral::must_hold(bytes, &customer.genesis, side, &args.order.instrument, height)?;
        output.detail(1, &format!("The referral is of account {}, by {}.", promoted.promoter, promoted.bank));
        // A reward is paid only while the referral holds, so the order ends with it.
        expires = Some(promoted.expires);
    }
    let market = Market::of(&customer.client, &args.order.instrument, &customer.account).await?;
    let order = Order::Trade(market.trade(side, &args.order)?);
    let said = format!("{side} of {}", args.order.instrument);
    ask(&said, &customer, &market, order, (referral, expires), output).await
}

/// Signs what is asked for, sends it, and tells what became of it.
async fn ask(
    said: &str,
    customer: &Customer,
    market: &Market,
    order: Order,
    (referral, expires): (Option<Vec<u8>>, Option<u64>),
    output: &Output,
) -> Result<ExitCode, CliError> {
    let terms = Terms {
        network: customer.genesis.network(),
        account: customer.id()?,
        bank: customer.bank.clone(),
        institution: member_id(order.instrument().issuer())?,
        counter: customer.counter,
        order,
        referral,
        expires,
    };
    let prepared = prepare(terms, customer.key.signing_key(), &customer.identities, &random()?)
        .map_err(|violation| CliError::usage("the order is not valid").caused_by(&violation))?;
    output.detail(1, &format!("Request {}, {} bytes in base64.", prepared.link, prepared.body.request.len()));
    if !customer.genesis_is_given {
        output.detail(1, "The members' keys are the node's word: give --genesis FILE to check it.");
    }
    let view = customer.hand_in(&prepared).await?;
    finish(said, customer, market, view, output).await
}

async fn dry_run(args: &DryRunArgs, output: &Output) -> Result<ExitCode, CliError> {
    let client = args.node.client()?;
    let account = client.account(&args.account.to_string()).await?;
    let market = Market::of(&client, &args.order.instrument, &account).await?;
    let side = Side::from(args.side);
    let trade = market.trade(side, &args.order)?;
    let (quantity, amount) = match trade.size {
        Size::Quantity(quantity) => (Some(quantity.to_string()), None),
        Size::Cash(amount) => (None, Some(amount.to_string())),
    };
    let asked = DryRun {
        account: args.account.to_string(),
        side: side.to_string(),
        instrument: trade.instrument.to_string(),
        quantity,
        amount,
        limit: args.order.limit.clone(),
        fee_max: trade.fee_max.map(|fee| fee.to_string()),
    };
    let view = client.dry_run(&asked).await?;
    output.data(&view, &dry_run_text(side, &market, &view))?;
    Ok(if view.would_execute { Exit::Yes } else { Exit::No }.into())
}

fn dry_run_text(side: Side, market: &Market, view: &DryRunView) -> String {
    let name = &market.instrument.instrument;
    let verdict = match (view.would_execute, view.outcome.as_deref()) {
        (true, Some("accepted")) => "would be taken",
        (true, _) => "would be executed",
        (false, _) => "would be refused",
    };
    let mut rows = vec![("Dry run", format!("{side} of {name} {verdict} now"))];
    rows.extend(view.quantity.as_ref().map(|quantity| ("Quantity", market.units.show(name, quantity))));
    rows.extend(view.price.clone().map(|price| ("Price", format!("{price} {}", market.cash.code()))));
    rows.extend(view.cost.as_ref().map(|cost| ("Cost", market.money(cost))));
    rows.extend(view.fee.as_ref().map(|fee| ("Fee", market.money(fee))));
    rows.extend(view.margin.as_ref().map(|margin| ("Into the margin", market.money(margin))));
    let rules = view.rules.iter().map(|rule| {
        let mark = if rule.holds { "holds" } else { "BROKEN" };
        format!("  {mark:<6}  {}: asks for {}, found {}\n", rule.rule, rule.expected, rule.found)
    });
    pairs(&rows) + &rules.collect::<String>()
}
