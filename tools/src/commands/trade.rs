//! `stemma trade`: a customer's order, signed on the customer's side and followed to its end.

use std::process::ExitCode;

use clap::{ArgGroup, Subcommand};
use serde::Serialize;
use stemma_chain_format::amount::Price;
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::request::{Side, Size, Trade};
use stemma_node_api::Client;
use stemma_node_api::catalogue::{DryRun, DryRunView, InstrumentView};
use stemma_node_api::types::{AccountView, Amounts, RequestState, RequestView};

use crate::customer::{CustomerArgs, TypedSide, member_id};
use crate::error::{CliError, Exit};
use crate::node::NodeArgs;
use crate::output::{Output, pairs};
use crate::referral;
use crate::requests::{Terms, prepare, random, refusal_rows};
use crate::units::{Units, parse_not_negative, parse_positive};

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

/// What is ordered.
#[derive(Debug, clap::Args)]
struct OrderTerms {
    /// The instrument, written issuer/CODE
    #[arg(long)]
    instrument: InstrumentId,
    /// So many whole units of the instrument
    #[arg(long, value_name = "N")]
    quantity: Option<String>,
    /// As much as this amount of cash buys or sells for
    #[arg(long, value_name = "AMOUNT")]
    cash: Option<String>,
    /// The highest price to buy at, or the lowest to sell at
    #[arg(long, value_name = "PRICE")]
    limit: Option<String>,
    /// The highest fee to accept, in cash; without it any fee is
    #[arg(long, value_name = "AMOUNT")]
    fee_max: Option<String>,
}

/// What happened.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    request: RequestView,
    /// After it, the credits that wait included; absent where nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    holdings: Option<Amounts>,
}

/// What the node knows that the order needs.
struct Market {
    units: Units,
    instrument: InstrumentView,
    /// The cash that pays, and its decimals.
    cash: InstrumentId,
    cash_decimals: u8,
}

/// Runs `stemma trade`.
///
/// # Errors
/// The order makes no sense, the key can't be opened, or the node fails; [`CliError`] says what to do.
pub async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    let (side, args) = match args.command {
        TradeCommand::Buy(args) => (Side::Buy, args),
        TradeCommand::Sell(args) => (Side::Sell, args),
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
    let terms = Terms {
        network: customer.genesis.network(),
        account: args.customer.account,
        bank: customer.bank.clone(),
        institution: member_id(args.order.instrument.issuer())?,
        counter: customer.counter,
        trade: market.trade(side, &args.order)?,
        referral,
        expires,
    };
    let prepared = prepare(terms, customer.key.signing_key(), &customer.identities, &random()?)
        .map_err(|violation| CliError::usage("the order is not valid").caused_by(&violation))?;
    output.detail(1, &format!("Request {}, {} bytes in base64.", prepared.link, prepared.body.request.len()));
    let view = customer.hand_in(&prepared).await?;
    finish(side, &args, &customer.client, &market, view, output).await
}

impl Market {
    async fn of(client: &Client, instrument: &InstrumentId, account: &AccountView) -> Result<Self, CliError> {
        let listed = client.instruments().await?;
        let units = Units::of_node(&listed);
        let name = instrument.to_string();
        let view = listed.into_iter().find(|view| view.instrument == name).ok_or_else(|| {
            CliError::no(format!("{name} is not listed"))
                .help(format!("choose an instrument that the node lists at {}/v1/instruments", client.url()))
        })?;
        let Some(currency) = &view.quoted_in else {
            return Err(CliError::no(format!("{name} is a currency and is not traded")));
        };
        let cash: InstrumentId = format!("{}/{currency}", account.bank)
            .parse()
            .map_err(|error| CliError::network("the node names no currency").caused_by(&error))?;
        let cash_decimals = units.decimals(&cash.to_string()).ok_or_else(|| {
            CliError::no(format!("{name} is paid in {currency}, and the account's bank has not listed {cash}"))
        })?;
        Ok(Self { units, instrument: view, cash, cash_decimals })
    }

    fn trade(&self, side: Side, args: &OrderTerms) -> Result<Trade, CliError> {
        let size = match (&args.quantity, &args.cash) {
            (Some(quantity), _) => Size::Quantity(parse_positive(quantity, self.instrument.decimals, "the quantity")?),
            (None, cash) => {
                let cash = cash.as_deref().unwrap_or_default();
                Size::Cash(parse_positive(cash, self.cash_decimals, "the amount of cash")?)
            }
        };
        let parse = |text: &String| {
            Price::parse(text, self.cash_decimals).ok().filter(Price::is_well_formed).ok_or_else(|| {
                CliError::usage(format!("the limit {text:?} is no price")).help("write it as quoted, such as 25.94")
            })
        };
        let limit = args.limit.as_ref().map(parse).transpose()?;
        let fee_max = args.fee_max.as_ref();
        let fee_max =
            fee_max.map(|text| parse_not_negative(text, self.cash_decimals, "the highest fee")).transpose()?;
        Ok(Trade { side, instrument: args.instrument.clone(), size, cash: self.cash.clone(), limit, fee_max })
    }

    /// An amount of the cash that pays.
    fn money(&self, amount: &str) -> String {
        format!("{} {}", self.units.show(&self.cash.to_string(), amount), self.cash.code())
    }
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
    let verdict = if view.would_execute { "would be executed" } else { "would be refused" };
    let mut rows = vec![("Dry run", format!("{side} of {name} {verdict} now"))];
    rows.extend(view.quantity.as_ref().map(|quantity| ("Quantity", market.units.show(name, quantity))));
    rows.extend(view.price.clone().map(|price| ("Price", format!("{price} {}", market.cash.code()))));
    rows.extend(view.cost.as_ref().map(|cost| ("Cost", market.money(cost))));
    rows.extend(view.fee.as_ref().map(|fee| ("Fee", market.money(fee))));
    let rules = view.rules.iter().map(|rule| {
        let mark = if rule.holds { "holds" } else { "BROKEN" };
        format!("  {mark:<6}  {}: asks for {}, found {}\n", rule.rule, rule.expected, rule.found)
    });
    pairs(&rows) + &rules.collect::<String>()
}

async fn finish(
    side: Side,
    args: &OrderArgs,
    client: &Client,
    market: &Market,
    view: RequestView,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let is_committed = view.state == RequestState::Committed;
    let holdings = if is_committed { Some(client.account(&view.account).await?.total) } else { None };
    let name = &market.instrument.instrument;
    let mut rows = vec![("Request", view.request.clone())];
    match (&view.executed, &view.refusal, view.state) {
        (Some(executed), _, RequestState::Committed) => {
            let quantity = market.units.show(name, &executed.quantity);
            rows.insert(0, ("Committed", format!("{side} of {quantity} {name}")));
            rows.push(("Price", market.money(&executed.price)));
            rows.push(("Fee", market.money(&executed.fee)));
            rows.extend(executed.referral.clone().map(|outcome| ("Referral", outcome)));
            for reward in &executed.rewards {
                let amount = market.units.show(&reward.instrument, &reward.amount);
                rows.push(("Reward", format!("{amount} {} to {}", reward.instrument, reward.account)));
            }
        }
        (_, Some(refusal), _) => {
            rows.insert(0, ("Refused", format!("{side} of {name}, by {}", refusal.member)));
            rows.extend(refusal_rows(refusal));
            rows.push(("Signature", "verified".to_owned()));
        }
        (_, None, RequestState::Expired) => {
            rows.insert(0, ("Expired", format!("{side} of {name}: nothing has changed")));
            rows.push(("Advice", "Sign a new order.".to_owned()));
        }
        (_, None, state) => rows.insert(0, ("State", format!("{state:?}"))),
    }
    rows.extend(view.chain.clone().map(|chain| ("Chain", chain)));
    rows.extend(view.height.map(|height| ("Height", height.to_string())));
    let lines = holdings.iter().flat_map(|holdings| market.units.lines(holdings));
    rows.extend(lines.map(|line| ("Holds", line)));
    if args.customer.genesis.is_none() {
        output.detail(1, "The members' keys are the node's word: give --genesis FILE to check it.");
    }
    output.data(&Report { request: view, holdings }, &pairs(&rows))?;
    Ok(if is_committed { Exit::Yes } else { Exit::No }.into())
}
