//! What never breaks: the rules of money that every execution keeps. Each is enforced here and nowhere else.

use std::collections::BTreeMap;

use crate::amount::{Amount, Rounding};
use crate::endorsement::Endorsement;
use crate::error::{Rule, Violation, ensure};
use crate::execution::{Execution, Posting, PostingPurpose};
use crate::hash::AccountId;
use crate::instrument::{InstrumentId, Listing};
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

/// What was executed is what was asked: the listing's currency, limit, highest fee, quantity or amount, and price times
/// quantity.
///
/// The cost is `quantity × price` rounded half to even in smallest units of cash.
///
/// # Errors
/// [`Rule::Terms`] naming the field.
pub fn terms_are_met(request: &Request, execution: &Execution, listing: &Listing) -> Result<(), Violation> {
    let rule = Rule::Terms;
    let Trade { side, instrument, size, cash, .. } = &request.trade;
    let Execution { quantity, price, fee, .. } = execution;
    let quoted_in = listing.quoted_in.as_deref().unwrap_or_default();
    ensure(quoted_in == cash.code(), rule, "request.trade.cash", format!("cash in {quoted_in}"), cash)?;
    limits_hold(&request.trade, execution)?;
    let cost = price
        .cost(*quantity, listing.decimals, Rounding::HalfEven)
        .map_err(|e| Violation::new(rule, "execution.quantity", "a cost of at most 2^96", e))?;
    match size {
        Size::Quantity(asked) => {
            ensure(quantity == asked, rule, "execution.quantity", asked, quantity)?;
        }
        Size::Cash(asked) => {
            let spent = if *side == Side::Buy { cost.plus(*fee) } else { Ok(cost) };
            let holds = spent.is_ok_and(|spent| spent <= *asked);
            ensure(holds, rule, "execution.quantity", format!("a cost of at most {asked}"), cost)?;
        }
    }
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
