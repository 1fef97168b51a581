//! Amounts as people write them: whole units, by the decimals that each instrument's listing gives.

use std::collections::BTreeMap;

use stemma_chain_format::amount::{Amount, Price, decimal, parse_decimal};
use stemma_chain_format::lineage::Listed;
use stemma_chain_format::listing::Listing;
use stemma_node_api::catalogue::InstrumentView;
use stemma_node_api::positions::{PositionStateView, PositionView};
use stemma_node_api::types::Amounts;

use crate::error::CliError;

/// Decimals by instrument, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct Units(BTreeMap<String, u8>);

impl Units {
    /// What a node lists.
    #[must_use]
    pub fn of_node(listed: &[InstrumentView]) -> Self {
        Self(listed.iter().map(|view| (view.instrument.clone(), view.decimals)).collect())
    }

    /// What verified listing records say.
    #[must_use]
    pub fn of_listings(listings: &[Listed]) -> Self {
        Self(listings.iter().map(|listed| (listed.listing.instrument.to_string(), listed.listing.decimals)).collect())
    }

    /// One more verified listing record.
    pub fn learn(&mut self, listing: &Listing) {
        self.0.insert(listing.instrument.to_string(), listing.decimals);
    }

    /// Decimals of an instrument, where its listing is known.
    #[must_use]
    pub fn decimals(&self, instrument: &str) -> Option<u8> {
        self.0.get(instrument).copied()
    }

    /// Decimals of a bank's currency that somebody named.
    ///
    /// # Errors
    /// It is not listed.
    pub fn listed_decimals(&self, instrument: &str) -> Result<u8, CliError> {
        self.decimals(instrument).ok_or_else(|| {
            CliError::usage(format!("{instrument} is not listed")).help("name a currency that this bank has listed")
        })
    }

    /// So many smallest units, in whole units where the decimals are known.
    #[must_use]
    pub fn show(&self, instrument: &str, amount: &str) -> String {
        match (self.decimals(instrument), amount.parse::<Amount>()) {
            (Some(decimals), Ok(amount)) => decimal(amount.units(), decimals),
            _ => format!("{amount} smallest units"),
        }
    }

    /// A price in smallest units of a cash, in whole units where its decimals are known.
    #[must_use]
    pub fn price(&self, cash: &str, price: &str) -> String {
        match (self.decimals(cash), Price::parse(price, 0)) {
            (Some(decimals), Ok(price)) => price.display(decimals),
            _ => format!("{price} smallest units"),
        }
    }

    /// One line for each instrument held: the amount, then the instrument.
    #[must_use]
    pub fn lines(&self, amounts: &Amounts) -> Vec<String> {
        if amounts.is_empty() {
            return vec!["nothing".to_owned()];
        }
        amounts.iter().map(|(instrument, amount)| format!("{} {instrument}", self.show(instrument, amount))).collect()
    }
}

/// A position in one line.
#[must_use]
pub fn position_line(position: &PositionView, units: &Units) -> String {
    let PositionView { instrument, cash, state, .. } = position;
    let show = |instrument: &str, amount: &str| format!("{} {instrument}", units.show(instrument, amount));
    match state {
        PositionStateView::Waiting { request, side, reserved, cut_off, .. } => {
            let reserved = show(if side == "buy" { cash } else { instrument }, reserved);
            let until = cut_off.as_ref().map_or(String::new(), |cut_off| format!(", cancelled until {cut_off}"));
            format!("order to {side} {instrument} waits with {reserved} reserved{until}, request {request}")
        }
        PositionStateView::Margin { quantity, mark, margin, called, .. } => {
            let called = called.as_ref().map_or(String::new(), |since| format!(", more is called for since {since}"));
            let (margin, mark) = (show(cash, margin), units.price(cash, mark));
            format!("{} marked at {mark}, margin {margin}{called}", show(instrument, quantity))
        }
    }
}

/// Reads an amount that was typed in whole units.
///
/// # Errors
/// It is no positive number, or has more places than the instrument.
pub fn parse_positive(text: &str, decimals: u8, what: &str) -> Result<Amount, CliError> {
    let amount = parse_not_negative(text, decimals, what)?;
    if amount.is_positive() {
        return Ok(amount);
    }
    Err(CliError::usage(format!("{what} must be above zero, found {text}")))
}

/// Reads an amount in whole units that may be zero.
///
/// # Errors
/// [`CliError`] of wrong usage: no such amount, or below zero.
pub fn parse_not_negative(text: &str, decimals: u8, what: &str) -> Result<Amount, CliError> {
    match parse_decimal(text, decimals) {
        Ok(amount) if !amount.is_negative() => Ok(amount),
        Ok(_) => Err(CliError::usage(format!("{what} must not be below zero, found {text}"))),
        Err(error) => {
            let places = format!("write digits, with at most {decimals} after a decimal point");
            Err(CliError::usage(format!("{what} {text:?} is no amount")).caused_by(&error).help(places))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_units_where_the_decimals_are_known() {
        let units = Units(BTreeMap::from([("bank-a/USD".to_owned(), 2)]));
        assert_eq!(units.show("bank-a/USD", "-1234"), "-12.34");
        assert_eq!(units.show("bank-b/USD", "5"), "5 smallest units");
        assert_eq!(units.lines(&Amounts::new()), ["nothing"]);
        let price = |cash: &str, price: &str| units.price(cash, price);
        assert_eq!([price("bank-a/USD", "21327.6"), price("bank-a/USD", "1200")], ["213.276", "12.00"]);
        assert_eq!(price("bank-b/USD", "5.5"), "5.5 smallest units");
    }

    #[test]
    fn typed_amounts_are_judged() {
        assert_eq!(parse_positive("12.5", 2, "the amount").unwrap(), Amount::new(1250).unwrap());
        for bad in ["0", "-1", "1.234", "x", ""] {
            assert!(parse_positive(bad, 2, "the amount").is_err(), "{bad}");
        }
    }
}
