//! The orders file: columns `date,customer,side,instrument,quantity,limit,fault`, one line for each order.
//!
//! | column | meaning |
//! |---|---|
//! | `date` | a trading day of the price file |
//! | `customer` | a name of the customers file; any other is somebody whom no bank knows |
//! | `side` | `buy` or `sell` |
//! | `instrument` | `broker-a/AAPL`, or the symbol alone |
//! | `quantity` | whole shares |
//! | `limit` | the highest price to buy at, or the lowest to sell at; may be empty |
//! | `fault` | empty, `forged-signature` or `repeated-counter` |
//!
//! One customer's orders of a day are sent in the order of the file, each after the one before is final; different
//! customers do not wait for each other.

use std::collections::BTreeMap;
use std::str::FromStr;

use stemma_chain_format::amount::{Amount, Price};
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::refusal::RefusalReason;
use stemma_chain_format::request::Side;

use super::plan::CASH_DECIMALS;
use super::prices::Prices;
use super::table::{self, Row, optional, required};
use crate::error::CliError;

/// An order of the file.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its line in the file.
    pub line: u64,
    /// The trading day.
    pub day: String,
    /// Who gives it.
    pub customer: String,
    /// Buy or sell.
    pub side: Side,
    /// The instrument; it need not exist.
    pub instrument: InstrumentId,
    /// So many shares.
    pub quantity: Amount,
    /// The worst price that is acceptable.
    pub limit: Option<Price>,
    /// What is made wrong with it on purpose.
    pub fault: Option<Fault>,
}

/// What is made wrong with an order on purpose; other mistakes are in the order itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Signed with a key that is not the account's.
    ForgedSignature,
    /// With the counter of the customer's last accepted request.
    RepeatedCounter,
}

impl Fault {
    /// The reason with which it must be refused.
    pub fn reason(self) -> RefusalReason {
        match self {
            Self::ForgedSignature => RefusalReason::BadSignature,
            Self::RepeatedCounter => RefusalReason::RepeatedCounter,
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "forged-signature" => Ok(Self::ForgedSignature),
            "repeated-counter" => Ok(Self::RepeatedCounter),
            _ => Err(format!("{text:?} is no fault; write forged-signature, repeated-counter or nothing")),
        }
    }
}

/// All orders, by trading day.
#[derive(Clone, Debug)]
pub struct Orders {
    days: BTreeMap<String, Vec<Order>>,
    count: u64,
}

impl Orders {
    /// Reads an orders file's text.
    ///
    /// # Errors
    /// Names the line that is wrong.
    pub fn parse(source: &str, text: &str, prices: &Prices) -> Result<Self, CliError> {
        let columns = [
            required("date"),
            required("customer"),
            required("side"),
            required("instrument"),
            required("quantity"),
            optional("limit"),
            optional("fault"),
        ];
        let mut days: BTreeMap<String, Vec<Order>> = BTreeMap::new();
        let mut count = 0_u64;
        for row in table::read(source, text, &columns)? {
            let order = parse_order(&row, prices)?;
            days.entry(order.day.clone()).or_default().push(order);
            count = count.saturating_add(1);
        }
        Ok(Self { days, count })
    }

    /// The orders of a day, in the order of the file.
    pub fn of_day(&self, day: &str) -> &[Order] {
        self.days.get(day).map_or(&[], Vec::as_slice)
    }

    /// How many orders there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The last day with orders.
    pub fn last_day(&self) -> Option<&str> {
        self.days.keys().next_back().map(String::as_str)
    }
}

fn parse_order(row: &Row, prices: &Prices) -> Result<Order, CliError> {
    let day = row.day(0)?;
    if !prices.days().contains(&day) {
        return Err(row.mistake(format!("{day} is no trading day of the price file")));
    }
    let customer = row.field(1).to_owned();
    if customer.is_empty() {
        return Err(row.mistake("the customer is missing"));
    }
    let side = match row.field(2) {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        other => return Err(row.mistake(format!("{other:?} is no side; write buy or sell"))),
    };
    let instrument = prices.instrument(row.field(3)).map_err(|error| row.mistake(error.message()))?;
    let quantity = row.field(4).parse::<Amount>().ok().filter(|quantity| quantity.is_positive());
    let quantity =
        quantity.ok_or_else(|| row.mistake(format!("{:?} is no whole quantity above zero", row.field(4))))?;
    let limit = match row.field(5) {
        "" => None,
        text => {
            let limit = Price::parse(text, CASH_DECIMALS).ok().filter(Price::is_well_formed);
            Some(limit.ok_or_else(|| row.mistake(format!("{text:?} is no limit above zero, such as 25.94")))?)
        }
    };
    let fault = match row.field(6) {
        "" => None,
        text => Some(text.parse().map_err(|error: String| row.mistake(error))?),
    };
    Ok(Order { line: row.line(), day, customer, side, instrument, quantity, limit, fault })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        Prices::parse("p", "date,symbol,close\n2000-01-01,AAPL,25.94\n2000-02-01,AAPL,28.66\n").unwrap()
    }

    #[test]
    fn reads_orders_by_day() {
        let text = "date,customer,side,instrument,quantity,limit,fault\n\
                    2000-02-01,alice,sell,broker-a/AAPL,5,28.00,\n\
                    2000-01-01,bruno,buy,AAPL,10,,forged-signature\n";
        let orders = Orders::parse("o", text, &prices()).unwrap();
        assert_eq!((orders.count(), orders.last_day()), (2, Some("2000-02-01")));
        let first = &orders.of_day("2000-01-01")[0];
        assert_eq!((first.line, first.side, first.fault), (3, Side::Buy, Some(Fault::ForgedSignature)));
        assert_eq!(first.instrument.to_string(), "broker-a/AAPL");
        assert_eq!(orders.of_day("2000-02-01")[0].limit, Some(Price::new(2800, 0).unwrap()));
        assert!(orders.of_day("2000-03-01").is_empty());
    }

    #[test]
    fn bad_lines_are_named() {
        for (line, expected) in [
            ("2001-01-01,alice,buy,AAPL,1,,", "2001-01-01 is no trading day"),
            ("2000-01-01,,buy,AAPL,1,,", "the customer is missing"),
            ("2000-01-01,alice,short,AAPL,1,,", "\"short\" is no side"),
            ("2000-01-01,alice,buy,a a,1,,", "\"a a\" is no symbol"),
            ("2000-01-01,alice,buy,Broker/AAPL,1,,", "an instrument is written issuer/CODE"),
            ("2000-01-01,alice,buy,AAPL,1.5,,", "\"1.5\" is no whole quantity above zero"),
            ("2000-01-01,alice,buy,AAPL,0,,", "\"0\" is no whole quantity above zero"),
            ("2000-01-01,alice,buy,AAPL,1,cheap,", "\"cheap\" is no limit"),
            ("2000-01-01,alice,buy,AAPL,1,,late", "\"late\" is no fault"),
            ("2000-01-01,alice,buy,AAPL,1,", "6 fields, but 7 columns"),
        ] {
            let text = format!("date,customer,side,instrument,quantity,limit,fault\n{line}\n");
            let error = Orders::parse("orders.csv", &text, &prices()).unwrap_err();
            assert!(error.message().starts_with("orders.csv, line 2: "), "{}", error.message());
            assert!(error.message().contains(expected), "{}", error.message());
        }
    }

    #[test]
    fn the_default_files_are_sound() {
        let prices = Prices::parse("prices.csv", include_str!("../../../tests/data/prices.csv")).unwrap();
        let orders = Orders::parse("orders.csv", include_str!("../../../tests/data/orders.csv"), &prices).unwrap();
        assert!(orders.count() >= 500, "{}", orders.count());
        let customers = include_str!("../../../tests/data/customers.csv");
        assert_eq!(super::super::customers::parse("customers.csv", customers).unwrap().len(), 8);
    }
}
