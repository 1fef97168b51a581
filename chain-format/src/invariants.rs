//! What never breaks: the rules of money that every execution keeps. Each is enforced here and nowhere else.

use std::collections::BTreeMap;

use crate::amount::{Amount, Rounding};
use crate::chain::Chain;
use crate::endorsement::Endorsement;
use crate::error::{Rule, Violation, ensure};
use crate::execution::{Execution, Posting, PostingPurpose};
use crate::hash::AccountId;
use crate::instrument::InstrumentId;
use crate::listing::{Listing, Terms};
use crate::request::{Request, Side, Size, Trade};

/// Postings sum to zero for each instrument: nothing is made and nothing is lost.
///
/// # Errors
/// [`Rule::Balance`] naming the instrument.
pub fn postings_balance(postings: &[Posting]) -> Result<(), Violation> {
    let mut sums: BTreeMap<&InstrumentId, Amount> = BTreeMap::new();
    for Posting { instrument, amount, .. } in postings {
        let sum = sums.entry(instrument).or_default();
        *sum = sum
            .plus(*amount)
            .map_err(|e| Violation::new(Rule::Balance, "execution.postings", "sums of at most 2^96", e))?;
    }
    for (instrument, sum) in sums {
        let field = format!("execution.postings.{instrument}");
        ensure(sum.is_zero(), Rule::Balance, &field, "a sum of 0", sum)?;
    }
    Ok(())
}

/// Only the chain's account and the executing institution's own accounts are debited.
///
/// # Errors
/// [`Rule::Debit`] naming the account.
pub fn debits_are_own(
    postings: &[Posting],
    account: &AccountId,
    institution_accounts: &[AccountId],
) -> Result<(), Violation> {
    for posting in postings.iter().filter(|posting| posting.amount.is_negative()) {
        let own = posting.account == *account || institution_accounts.contains(&posting.account);
        let expected = "the chain's account or the institution's own";
        ensure(own, Rule::Debit, "execution.postings.account", expected, posting.account)?;
    }
    Ok(())
}

/// The account's target holdings are its endorsed holdings and its postings, and nothing falls below its credit line.
///
/// # Errors
/// [`Rule::Holdings`] or [`Rule::Overdraft`] naming the instrument.
pub fn holdings_follow(endorsement: &Endorsement, execution: &Execution) -> Result<(), Violation> {
    let mut holdings = endorsement.holdings.clone();
    let own = execution.postings.iter().filter(|posting| posting.account == execution.account);
    for posting in own {
        holdings.add(&posting.instrument, posting.amount)?;
    }
    holdings.must_equal(&execution.holdings, "execution.holdings")?;
    for (instrument, amount) in holdings.iter() {
        let floor = endorsement.credit.lines.get(instrument).negated();
        let field = format!("execution.holdings.{instrument}");
        // A line that was lowered since lets the account come nearer to it, never fall further.
        let holds = amount >= floor || amount >= endorsement.holdings.get(instrument);
        ensure(holds, Rule::Overdraft, &field, format!("at least {floor}"), amount)?;
    }
    Ok(())
}

/// What was executed is what was asked, on the listing's terms: its currency, status and bounds, limit, fee, quantity or amount,
/// and price times quantity.
///
/// The cost is `quantity × price` rounded half to even in smallest units of cash.
///
/// # Errors
/// [`Rule::Terms`] or [`Rule::Listing`] naming the field.
pub fn terms_are_met(chain: &Chain, listing: &Listing) -> Result<(), Violation> {
    let rule = Rule::Terms;
    let (request, execution) = (chain.request.record(), chain.execution.record());
    let Trade { side, instrument, size, cash, .. } = &request.trade;
    let Execution { quantity, price, fee, .. } = execution;
    let quoted_in = listing.quoted_in.as_deref().unwrap_or_default();
    ensure(quoted_in == cash.code(), rule, "request.trade.cash", format!("cash in {quoted_in}"), cash)?;
    limits_hold(&request.trade, execution)?;
    let cost = price
        .cost(*quantity, listing.decimals, Rounding::HalfEven)
        .map_err(|e| Violation::new(rule, "execution.quantity", "a cost of at most 2^96", e))?;
    let terms = listed_terms_hold(chain, listing, cost)?;
    let asked = match size {
        Size::Quantity(asked) => Ok(*asked),
        Size::Cash(asked) => terms.largest_quantity(*side, *asked, *price, listing.decimals),
    };
    let asked = asked.map_err(|e| Violation::new(rule, "request.trade.size", "a quantity of at most 2^96", e))?;
    ensure(*quantity == asked, rule, "execution.quantity", asked, quantity)?;
    let (units, money) = match side {
        Side::Buy => (*quantity, cost.negated()),
        Side::Sell => (quantity.negated(), cost),
    };
    let moved = |instrument: &InstrumentId, purpose| moved(execution, instrument, purpose);
    for (instrument, purpose, expected) in [
        (instrument, PostingPurpose::Trade, units),
        (cash, PostingPurpose::Trade, money),
        (cash, PostingPurpose::Fee, fee.negated()),
    ] {
        let found = moved(instrument, purpose)?;
        let field = format!("execution.postings.{instrument}");
        ensure(found == expected, rule, &field, expected, found)?;
    }
    only_the_trade_moves(request, execution)
}

/// The listing lets this account trade this quantity on this side, for a fee of its schedule.
fn listed_terms_hold<'l>(chain: &Chain, listing: &'l Listing, cost: Amount) -> Result<&'l Terms, Violation> {
    let trade = &chain.request.record().trade;
    let Endorsement { holdings, credit, .. } = chain.endorsement.record();
    let Execution { quantity, fee, .. } = chain.execution.record();
    let terms = listing.terms.as_ref().ok_or_else(|| {
        Violation::new(Rule::Listing, "request.trade.instrument", "an instrument with terms", &trade.instrument)
    })?;
    let admitted = listing.status.admits(trade.side);
    let expected = format!("an instrument open to {}", trade.side);
    ensure(admitted, Rule::Listing, "request.trade.instrument", expected, listing.status)?;
    let level_holds = trade.side == Side::Sell || credit.level >= terms.credit_level_min;
    let expected = format!("at least {}", terms.credit_level_min);
    ensure(level_holds, Rule::Terms, "endorsement.credit.level", expected, credit.level)?;
    if let Some(bound) = terms.bound_broken(trade.side, *quantity, holdings.get(&trade.instrument)) {
        return Err(Violation::new(Rule::Terms, "execution.quantity", bound, quantity));
    }
    let fee_max = terms
        .fees
        .fee(trade.side, cost)
        .map_err(|e| Violation::new(Rule::Terms, "execution.fee", "a fee of at most 2^96", e))?;
    ensure(*fee <= fee_max, Rule::Terms, "execution.fee", format!("at most {fee_max}"), fee)?;
    Ok(terms)
}

/// The price is within the customer's limit, the fee within the highest accepted.
fn limits_hold(trade: &Trade, execution: &Execution) -> Result<(), Violation> {
    let Execution { price, fee, .. } = execution;
    if let Some(limit) = &trade.limit {
        let (holds, bound) = match trade.side {
            Side::Buy => (price <= limit, "at most"),
            Side::Sell => (price >= limit, "at least"),
        };
        let expected = format!("{bound} {}", limit.display(0));
        ensure(holds, Rule::Terms, "execution.price", expected, price.display(0))?;
    }
    if let Some(fee_max) = &trade.fee_max {
        ensure(fee <= fee_max, Rule::Terms, "execution.fee", format!("at most {fee_max}"), fee)?;
    }
    Ok(())
}

/// What an execution moves on the chain's account in one instrument for one purpose.
fn moved(execution: &Execution, instrument: &InstrumentId, purpose: PostingPurpose) -> Result<Amount, Violation> {
    let matching = execution.postings.iter().filter(|posting| {
        posting.account == execution.account && posting.instrument == *instrument && posting.purpose == purpose
    });
    matching.map(|posting| posting.amount).try_fold(Amount::ZERO, |sum, amount| {
        sum.plus(amount).map_err(|e| Violation::new(Rule::Terms, "execution.postings", "sums of at most 2^96", e))
    })
}

/// Beyond trade and fee the account is only ever given something.
fn only_the_trade_moves(request: &Request, execution: &Execution) -> Result<(), Violation> {
    let Trade { instrument, cash, .. } = &request.trade;
    let own = execution.postings.iter().filter(|posting| posting.account == execution.account);
    for posting in own {
        let holds = match posting.purpose {
            PostingPurpose::Trade => [instrument, cash].contains(&&posting.instrument),
            PostingPurpose::Fee => posting.instrument == *cash,
            PostingPurpose::Reward => posting.amount.is_positive(),
        };
        let field = format!("execution.postings.{}", posting.instrument);
        let expected = "a movement that the request asks for, or a reward";
        ensure(holds, Rule::Terms, &field, expected, posting.amount)?;
    }
    Ok(())
}
