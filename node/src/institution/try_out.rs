//! A dry run: how an order would be judged now. Nothing is signed or kept.

use stemma_chain_format::amount::{Amount, Price, parse_decimal};
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::lineage::absorbed_into;
use stemma_chain_format::request::{Side, Size, Trade};
use stemma_node_api::catalogue::{DryRun, DryRunView, RuleView};
use stemma_node_api::{ApiError, ErrorCode};

use super::Institution;
use super::case::Case;
use super::conditions::{Finding, Judge, Judged, No};

impl Institution {
    /// Judges an order by every rule, on what the account holds now with the credits that wait.
    ///
    /// # Errors
    /// Something that is asked for cannot be read, or the account is not known.
    pub fn try_out(&self, asked: &DryRun, ledger: &Ledger, now_ms: u64) -> Result<DryRunView, ApiError> {
        let id: AccountId = parse("account", &asked.account)?;
        let missing = || ApiError::new(ErrorCode::NotFound, format!("there is no account {id}"));
        let account = ledger.account(&id).ok_or_else(missing)?;
        let trade = trade_of(asked, account.state.bank.as_str(), ledger)?;
        let waiting: Vec<_> = account.inbox.iter().cloned().collect();
        let holdings = absorbed_into(&account.state.holdings, &waiting)
            .map_err(|violation| ApiError::new(ErrorCode::Conflict, violation.to_string()))?;
        let mut judge = Judge::of_dry_run();
        let mut cash_decimals = 0;
        let judged = Case::new(id, &trade, &holdings, &account.state.credit, ledger, &self.id).and_then(|case| {
            cash_decimals = case.cash_decimals;
            self.judge(&case, ledger, now_ms, &mut judge)
        });
        let (outcome, deal, ended) = match judged {
            Ok(Judged::Traded(deal)) => (Some("traded"), Some(deal), None),
            Ok(Judged::Accepted(_)) => (Some("accepted"), None, None),
            Err(no) => (None, None, Some(no)),
        };
        let mut findings = judge.findings();
        findings.extend(ended.map(|told| Finding { holds: false, told }));
        Ok(DryRunView {
            would_execute: findings.iter().all(|finding| finding.holds),
            outcome: outcome.map(str::to_owned),
            quantity: deal.as_ref().map(|deal| deal.quantity.to_string()),
            price: deal.as_ref().map(|deal| deal.price.display(cash_decimals)),
            cost: deal.as_ref().map(|deal| deal.cost.to_string()),
            fee: deal.as_ref().map(|deal| deal.fee.to_string()),
            margin: deal.as_ref().and_then(|deal| deal.margin).map(|margin| margin.to_string()),
            cash: outcome.is_some().then(|| trade.cash.to_string()),
            rules: findings.into_iter().map(view).collect(),
        })
    }
}

fn view(Finding { holds, told: No { reason, expected, found } }: Finding) -> RuleView {
    RuleView { rule: reason.to_string(), holds, expected, found }
}

/// The trade that a dry run asks about, paid in the account's bank's cash.
fn trade_of(asked: &DryRun, bank: &str, ledger: &Ledger) -> Result<Trade, ApiError> {
    let instrument: InstrumentId = parse("instrument", &asked.instrument)?;
    let listed = ledger.listing(&instrument);
    let unlisted = || ApiError::new(ErrorCode::NotFound, format!("{instrument} is not listed"));
    let currency = listed.and_then(|listed| listed.listing.quoted_in.as_deref()).ok_or_else(unlisted)?;
    let cash: InstrumentId = parse("cash", &format!("{bank}/{currency}"))?;
    let cash_decimals = ledger.listing(&cash).map_or(0, |listed| listed.listing.decimals);
    let side = match asked.side.as_str() {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        other => return Err(malformed(format!("side: buy or sell, found {other:?}"))),
    };
    let size = match (&asked.quantity, &asked.amount) {
        (Some(quantity), None) => Size::Quantity(positive("quantity", quantity)?),
        (None, Some(amount)) => Size::Cash(positive("amount", amount)?),
        _ => return Err(malformed("one of quantity and amount is needed".to_owned())),
    };
    let limit = asked.limit.as_deref().map(|text| {
        let price = Price::parse(text, cash_decimals).map_err(|e| malformed(format!("limit: {e}")))?;
        if price.is_well_formed() { Ok(price) } else { Err(malformed(format!("limit: a price above 0, found {text}"))) }
    });
    let fee_max = asked.fee_max.as_deref().map(|text| parse::<Amount>("fee_max", text));
    Ok(Trade { side, instrument, size, cash, limit: limit.transpose()?, fee_max: fee_max.transpose()? })
}

fn positive(name: &str, text: &str) -> Result<Amount, ApiError> {
    match parse_decimal(text, 0) {
        Ok(amount) if amount.is_positive() => Ok(amount),
        Ok(_) => Err(malformed(format!("{name}: above 0, found {text}"))),
        Err(e) => Err(malformed(format!("{name}: {e}, found {text:?}"))),
    }
}

fn parse<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, ApiError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e: T::Err| malformed(format!("{name}: {e}")))
}

fn malformed(message: String) -> ApiError {
    ApiError::new(ErrorCode::Malformed, message)
}
