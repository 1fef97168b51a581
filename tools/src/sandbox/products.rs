//! Other kinds than stocks: a fund, subscribed by amount and redeemed by units; a trust with a minimum and a lock-up; a fund that is
//! priced forward and a future (`positions.rs`). Their prices follow from the day's closes: the funds' net asset value and the future's
//! price are their mean, the trust's price the highest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stemma_chain_format::amount::{Amount, decimal, parse_decimal};
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::request::{Side, Size};
use stemma_node_api::catalogue::{ListInstrument, MarginView, TermsView};
use stemma_node_api::types::{RequestState, RequestView};

use super::layout::Folder;
use super::party::{NEWCOMER, Order, Party};
use super::plan::{BANKS, CASH_DECIMALS, CURRENCY, INSTITUTIONS};
use super::positions;
use super::prices::Prices;
use super::processes::Clients;
use super::setup;
use super::state::State;
use crate::error::CliError;

/// The fund, of the first institution.
const FUND: &str = "INDEX";
/// The trust, of the second.
const TRUST: &str = "ESTATE";
/// The fund that is priced forward, of the first institution.
const FORWARD: &str = "NEXT";
/// The future, of the second.
const FUTURE: &str = "FUTURE";
/// Decimals of fund and trust, and of their prices.
const FUND_DECIMALS: u8 = 4;
const TRUST_DECIMALS: u8 = 2;
const PRICE_DECIMALS: u8 = 4;
/// What the fund is subscribed for: 1,000.00.
const SUBSCRIBED: &str = "1000.00";
/// How many units of the trust are bought: its minimum.
const TRUST_UNITS: &str = "5.00";

/// One order and what came of it; part of the report and of what the sandbox remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProductRow {
    /// The instrument.
    pub instrument: String,
    /// Its kind.
    pub kind: String,
    /// What was ordered.
    pub order: String,
    /// `committed`, `accepted`, `cancelled`, `fill`, `settled`, or why it was refused.
    pub outcome: String,
    /// The quantity that changed hands, in smallest units.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quantity: Option<String>,
    /// The gain that was paid into a future's margin, in smallest units of cash; below zero a loss.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gain: Option<String>,
}

/// The price file with the prices of all four; unchanged where it has symbols of their names, or other columns first.
pub fn market(prices: &str) -> String {
    if prices.lines().next().map(str::trim) != Some("date,symbol,close") {
        return prices.to_owned();
    }
    let mut days: BTreeMap<&str, Vec<Amount>> = BTreeMap::new();
    for line in prices.lines().skip(1) {
        let mut fields = line.split(',');
        let (Some(date), Some(symbol), Some(close)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if [FUND, TRUST, FORWARD, FUTURE].contains(&symbol) {
            return prices.to_owned();
        }
        days.entry(date).or_default().extend(parse_decimal(close.trim(), PRICE_DECIMALS).ok());
    }
    let mut text = prices.trim_end().to_owned();
    text.push('\n');
    for (date, closes) in days {
        let count = i128::try_from(closes.len()).unwrap_or(i128::MAX);
        let sum = closes.iter().fold(0_i128, |sum, close| sum.saturating_add(close.units()));
        let (Some(mean), Some(highest)) = (sum.checked_div(count), closes.iter().max()) else { continue };
        let [mean, highest] = [mean, highest.units()].map(|price| decimal(price, PRICE_DECIMALS));
        text.push_str(&format!("{date},{FUND},{mean}\n{date},{TRUST},{highest}\n"));
        text.push_str(&format!("{date},{FORWARD},{mean}\n{date},{FUTURE},{mean}\n"));
    }
    text
}

/// Lists them and trades them, unless that was done before.
///
/// # Errors
/// A node refuses a listing or can't be reached.
pub async fn run(
    clients: &Clients,
    folder: &Folder,
    state: &mut State,
    prices: &Prices,
    genesis: &GenesisFile,
) -> Result<(), CliError> {
    if state.products.is_some() {
        return Ok(());
    }
    let [fund_house, trustee] = INSTITUTIONS;
    if !is_quoted(clients, fund_house, FUND).await? {
        return Ok(());
    }
    for (institution, listing) in listings(fund_house, trustee) {
        setup::list(setup::client(clients, institution)?, institution, &listing).await?;
    }
    let [_, bank] = BANKS;
    let party = Party::ready(clients, folder, NEWCOMER, bank).await?;
    party.fund().await?;
    let (fund, trust) = (named(fund_house, FUND)?, named(trustee, TRUST)?);
    let amount = |text: &str, decimals| {
        parse_decimal(text, decimals).map_err(|error| CliError::usage("no amount").caused_by(&error))
    };
    let subscribe = Size::Cash(amount(SUBSCRIBED, CASH_DECIMALS)?);
    let units = Size::Quantity(amount(TRUST_UNITS, TRUST_DECIMALS)?);
    let show = Showing { party: &party, genesis };
    let mut rows = vec![show.order(("fund", &fund), Side::Buy, subscribe, &format!("for {SUBSCRIBED}")).await?];
    let half = rows.first().and_then(|row| row.quantity.as_ref()?.parse::<i128>().ok()).unwrap_or_default() / 2;
    if let Ok(half) = Amount::new(half).map(Size::Quantity)
        && half != Size::Quantity(Amount::ZERO)
    {
        rows.push(show.order(("fund", &fund), Side::Sell, half, "half of it").await?);
    }
    rows.push(show.order(("trust", &trust), Side::Buy, units, TRUST_UNITS).await?);
    rows.push(show.order(("trust", &trust), Side::Sell, units, TRUST_UNITS).await?);
    if let Some(days) = last_two(prices, state) {
        let named = (named(fund_house, FORWARD)?, named(trustee, FUTURE)?);
        rows.extend(positions::run(clients, &show, named, days).await?);
    }
    state.products = Some(rows);
    state.save(&folder.state())
}

/// The last day of the orders and the one before: a price that comes next is shown by going back to that, and forth again.
fn last_two<'p>(prices: &'p Prices, state: &State) -> Option<[&'p str; 2]> {
    let last = state.replay.day.as_deref()?;
    let mut days = prices.days().iter().map(String::as_str).filter(|day| *day <= last).rev();
    let (last, before) = (days.next()?, days.next()?);
    Some([before, last])
}

fn listings<'i>(fund_house: &'i str, trustee: &'i str) -> [(&'i str, ListInstrument); 4] {
    let listing = |code: &str, kind: &str, name: &str, decimals, terms| ListInstrument {
        code: code.to_owned(),
        kind: kind.to_owned(),
        decimals,
        name: name.to_owned(),
        quoted_in: Some(CURRENCY.to_owned()),
        isin: None,
        terms: Some(terms),
    };
    let of_fund =
        TermsView { fee_buy_basis_points: 100, fee_sell_basis_points: 50, risk_class: 2, ..TermsView::default() };
    let of_trust = TermsView {
        lot: "100".to_owned(),
        quantity_min: Some("500".to_owned()),
        risk_class: 3,
        lock_up_days: 90,
        ..TermsView::default()
    };
    let forward = TermsView { dealing: "forward".to_owned(), ..of_fund.clone() };
    let of_future = TermsView {
        fee_least: "250".to_owned(),
        risk_class: 3,
        dealing: "margin".to_owned(),
        margin: Some(MarginView { initial_basis_points: 5_000, maintenance_basis_points: 3_000, call_s: 86_400 }),
        ..TermsView::default()
    };
    [
        (fund_house, listing(FUND, "fund", "Index fund over all that is traded", FUND_DECIMALS, of_fund)),
        (trustee, listing(TRUST, "trust", "Estate trust", TRUST_DECIMALS, of_trust)),
        (fund_house, listing(FORWARD, "fund", "Fund priced forward", FUND_DECIMALS, forward)),
        (trustee, listing(FUTURE, "future", "Index future", 0, of_future)),
    ]
}

async fn is_quoted(clients: &Clients, institution: &str, code: &str) -> Result<bool, CliError> {
    Ok(setup::client(clients, institution)?.market().await?.prices.contains_key(code))
}

fn named(institution: &str, code: &str) -> Result<InstrumentId, CliError> {
    format!("{institution}/{code}").parse().map_err(|error| CliError::usage("no instrument").caused_by(&error))
}

/// Who shows it, on which network.
pub struct Showing<'s> {
    pub party: &'s Party<'s>,
    pub genesis: &'s GenesisFile,
}

impl Showing<'_> {
    /// One order and what came of it.
    pub async fn order(
        &self,
        (kind, instrument): (&str, &InstrumentId),
        side: Side,
        size: Size,
        said: &str,
    ) -> Result<ProductRow, CliError> {
        let order = Order { side, instrument: instrument.clone(), size, referral: None };
        let view = self.party.order(order, self.genesis).await?;
        Ok(ProductRow {
            instrument: instrument.to_string(),
            kind: kind.to_owned(),
            order: format!("{side} {said}"),
            outcome: outcome(&view),
            quantity: view.executed.map(|executed| executed.quantity),
            gain: None,
        })
    }
}

/// What came of an order, in a word.
pub fn outcome(view: &RequestView) -> String {
    match (view.state, &view.refusal, view.outcome.as_deref()) {
        (RequestState::Committed, _, Some(outcome)) if outcome != "traded" => outcome.to_owned(),
        (RequestState::Committed, ..) => "committed".to_owned(),
        (_, Some(refusal), _) => refusal.reason.clone(),
        (state, None, _) => format!("{state:?}").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_follow_from_the_closes() {
        let closes = "date,symbol,close\n2000-01-01,A,10.00\n2000-01-01,B,20.01\n2000-02-01,A,7\n";
        let expected = "2000-01-01,INDEX,15.0050\n2000-01-01,ESTATE,20.0100\n\
                        2000-01-01,NEXT,15.0050\n2000-01-01,FUTURE,15.0050\n\
                        2000-02-01,INDEX,7.0000\n2000-02-01,ESTATE,7.0000\n\
                        2000-02-01,NEXT,7.0000\n2000-02-01,FUTURE,7.0000\n";
        assert_eq!(market(closes), format!("{closes}{expected}"));
        let own = "date,symbol,close\n2000-01-01,INDEX,1\n";
        assert_eq!(market(own), own);
    }
}
