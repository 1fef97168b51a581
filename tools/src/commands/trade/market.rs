//! What a node knows that an order needs: the instrument, the cash that pays, and what a unit of each is.

use stemma_chain_format::amount::Price;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::request::{Side, Size, Trade};
use stemma_node_api::Client;
use stemma_node_api::catalogue::InstrumentView;
use stemma_node_api::types::AccountView;

use crate::error::CliError;
use crate::units::{Units, parse_not_negative, parse_positive};

/// What is ordered.
#[derive(Debug, clap::Args)]
pub(super) struct OrderTerms {
    /// The instrument, written issuer/CODE
    #[arg(long)]
    pub(super) instrument: InstrumentId,
    /// So many whole units of the instrument
    #[arg(long, value_name = "N")]
    quantity: Option<String>,
    /// As much as this amount of cash buys or sells for
    #[arg(long, value_name = "AMOUNT")]
    cash: Option<String>,
    /// The highest price to buy at, or the lowest to sell at
    #[arg(long, value_name = "PRICE")]
    pub(super) limit: Option<String>,
    /// The highest fee to accept, in cash; without it any fee is
    #[arg(long, value_name = "AMOUNT")]
    fee_max: Option<String>,
}

/// What the node knows that the order needs.
pub(super) struct Market {
    pub(super) units: Units,
    pub(super) instrument: InstrumentView,
    /// The cash that pays, and its decimals.
    pub(super) cash: InstrumentId,
    pub(super) cash_decimals: u8,
}

impl Market {
    pub(super) async fn of(
        client: &Client,
        instrument: &InstrumentId,
        account: &AccountView,
    ) -> Result<Self, CliError> {
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

    pub(super) fn trade(&self, side: Side, args: &OrderTerms) -> Result<Trade, CliError> {
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

    /// A price in the cash that pays.
    pub(super) fn price(&self, price: &str) -> String {
        format!("{} {}", self.units.price(&self.cash.to_string(), price), self.cash.code())
    }

    /// An amount of the cash that pays.
    pub(super) fn money(&self, amount: &str) -> String {
        format!("{} {}", self.units.show(&self.cash.to_string(), amount), self.cash.code())
    }
}
