//! What never breaks: the rules of money that every execution and every settlement keeps. Each is enforced here and nowhere else; what
//! a trade may be on its listing's terms is [`crate::dealing`].

use std::collections::BTreeMap;

use crate::amount::Amount;
use crate::endorsement::Endorsement;
use crate::error::{Rule, Violation, ensure};
use crate::execution::{Execution, Posting};
use crate::hash::AccountId;
use crate::instrument::InstrumentId;

/// Postings sum to zero for each instrument: nothing is made and nothing is lost.
///
/// # Errors
/// [`Rule::Balance`] naming the instrument.
pub fn postings_balance(postings: &[Posting], place: &str) -> Result<(), Violation> {
    let mut sums: BTreeMap<&InstrumentId, Amount> = BTreeMap::new();
    for Posting { instrument, amount, .. } in postings {
        let sum = sums.entry(instrument).or_default();
        *sum = sum.plus(*amount).map_err(|e| Violation::new(Rule::Balance, place, "sums of at most 2^96", e))?;
    }
    for (instrument, sum) in sums {
        let field = format_args!("{place}.{instrument}");
        ensure(sum.is_zero(), Rule::Balance, field, "a sum of 0", sum)?;
    }
    Ok(())
}

/// Only those are debited who may be: of a chain its account, the executing institution's own accounts and the position that its order is
/// about; of a settlement its position and those own accounts.
///
/// # Errors
/// [`Rule::Debit`] naming the account.
pub fn debits_are_own(postings: &[Posting], may: impl Fn(&AccountId) -> bool, place: &str) -> Result<(), Violation> {
    for posting in postings.iter().filter(|posting| posting.amount.is_negative()) {
        let own = may(&posting.account);
        let expected = "an account that the record may debit";
        ensure(own, Rule::Debit, format_args!("{place}.account"), expected, posting.account)?;
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
        let field = format_args!("execution.holdings.{instrument}");
        // A line that was lowered since lets the account come nearer to it, never fall further.
        let holds = amount >= floor || amount >= endorsement.holdings.get(instrument);
        ensure(holds, Rule::Overdraft, field, format_args!("at least {floor}"), amount)?;
    }
    Ok(())
}
