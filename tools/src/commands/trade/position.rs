//! What a customer asks of a position: to cancel an order that waits, to pay into a margin or out of it.

use std::process::ExitCode;

use clap::ValueEnum;
use stemma_chain_format::hash::Link;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::request::{Cancel, MarginPayment, Order};
use stemma_node_api::positions::PositionStateView;

use super::ask;
use super::market::Market;
use crate::customer::CustomerArgs;
use crate::error::CliError;
use crate::output::Output;
use crate::units::parse_positive;

#[derive(Debug, clap::Args)]
pub(super) struct CancelArgs {
    /// The order's request, as `stemma trade` and `stemma account show` tell it
    #[arg(value_name = "REQUEST")]
    request: Link,
    #[command(flatten)]
    customer: CustomerArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct MarginArgs {
    /// pay or withdraw
    direction: Direction,
    /// How much, in whole units of cash such as 500.00
    amount: String,
    /// The futures contract, written issuer/CODE
    #[arg(long)]
    instrument: InstrumentId,
    #[command(flatten)]
    customer: CustomerArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Direction {
    /// Into the margin
    Pay,
    /// Out of the margin
    Withdraw,
}

/// Runs `stemma trade cancel`.
pub(super) async fn cancel(args: &CancelArgs, output: &Output) -> Result<ExitCode, CliError> {
    let customer = args.customer.ready(output).await?;
    let wanted = args.request.to_string();
    let waits = customer.account.positions.iter().find(|position| match &position.state {
        PositionStateView::Waiting { request, .. } => *request == wanted,
        PositionStateView::Margin { .. } => false,
    });
    let position = waits.ok_or_else(|| {
        CliError::no(format!("no order of the account waits that request {wanted} asked for"))
            .help("`stemma account show` lists those that wait; it may have been executed already")
    })?;
    let named =
        |text: &str| text.parse().map_err(|error| CliError::network("the node names no instrument").caused_by(&error));
    let (instrument, cash): (InstrumentId, InstrumentId) = (named(&position.instrument)?, named(&position.cash)?);
    let market = Market::of(&customer.client, &instrument, &customer.account).await?;
    let said = format!("cancellation of the order for {instrument}");
    let order = Order::Cancel(Cancel { request: args.request, instrument, cash });
    ask(&said, &customer, &market, order, (None, None), output).await
}

/// Runs `stemma trade margin`.
pub(super) async fn pay(args: &MarginArgs, output: &Output) -> Result<ExitCode, CliError> {
    let customer = args.customer.ready(output).await?;
    let market = Market::of(&customer.client, &args.instrument, &customer.account).await?;
    let amount = parse_positive(&args.amount, market.cash_decimals, "the amount")?;
    let (amount, said) = match args.direction {
        Direction::Pay => (amount, "payment into"),
        Direction::Withdraw => (amount.negated(), "payment out of"),
    };
    let said = format!("{said} the margin of {}", args.instrument);
    let (instrument, cash) = (args.instrument.clone(), market.cash.clone());
    let order = Order::Margin(MarginPayment { instrument, cash, amount });
    ask(&said, &customer, &market, order, (None, None), output).await
}
