//! One account's chains, each following the one before: the one place where a lineage is extended.
//!
//! Validators call [`follow`] when a block commits, banks before they sign, auditors for every chain of a bundle; so
//! derivation in one go equals derivation step by step.

use crate::account::AccountState;
use crate::chain::Chain;
use crate::endorsement::{Credit, Endorsement};
use crate::error::{Rule, Violation, ensure, same};
use crate::hash::Link;
use crate::holdings::Holdings;
use crate::instrument::Listing;
use crate::invariants;

/// A listed instrument: its record and the record's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The link of the listing record.
    pub link: Link,
    /// The record.
    pub listing: Listing,
}

/// The account's state after a chain whose stages are verified.
///
/// `inbox` gives the credits that wait, the oldest first; `listed` is the listing that the execution names.
///
/// # Errors
/// The first rule that the chain breaks; the state before it still stands.
pub fn follow<'c>(
    state: &AccountState,
    chain: &Chain,
    inbox: impl Iterator<Item = &'c Credit>,
    listed: &Listed,
) -> Result<AccountState, Violation> {
    let request = chain.request.record();
    let execution = chain.execution.record();
    same(Rule::Signer, "request.signer", &state.key, &chain.request.signer())?;
    let counter_holds = request.counter > state.counter;
    let expected = format!("above {}", state.counter);
    ensure(counter_holds, Rule::Counter, "request.counter", expected, request.counter)?;
    endorsement_follows(state, chain.endorsement.record(), inbox)?;
    let instrument = &request.trade.instrument;
    same(Rule::Listing, "execution.listing", &listed.link, &execution.listing)?;
    same(Rule::Listing, "execution.listing.instrument", instrument, &listed.listing.instrument)?;
    invariants::terms_are_met(request, execution, &listed.listing)?;
    let absorbed = chain.endorsement.record().absorbed.len() as u64;
    Ok(AccountState {
        sequence: chain.endorsement.record().sequence,
        head: chain.execution.link(),
        counter: request.counter,
        holdings: execution.holdings.clone(),
        credits_absorbed: state.credits_absorbed.saturating_add(absorbed),
        ..state.clone()
    })
}

/// Checks an endorsement against the account it extends.
///
/// # Errors
/// The first rule that it breaks.
pub fn endorsement_follows<'c>(
    state: &AccountState,
    endorsement: &Endorsement,
    mut inbox: impl Iterator<Item = &'c Credit>,
) -> Result<(), Violation> {
    same(Rule::Account, "endorsement.account", &state.account, &endorsement.account)?;
    same(Rule::Account, "endorsement.bank", &state.bank, &endorsement.bank)?;
    same(Rule::Sequence, "endorsement.parent", &state.head, &endorsement.parent)?;
    let next = state.sequence.saturating_add(1);
    same(Rule::Sequence, "endorsement.sequence", &next, &endorsement.sequence)?;
    for (index, credit) in endorsement.absorbed.iter().enumerate() {
        let waiting = inbox.next();
        let field = format!("endorsement.absorbed[{index}]");
        let expected = waiting.map_or("no more credits".to_owned(), describe);
        ensure(waiting == Some(credit), Rule::Credit, &field, expected, describe(credit))?;
    }
    let holdings = absorbed_into(&state.holdings, &endorsement.absorbed)?;
    holdings.must_equal(&endorsement.holdings, "endorsement.holdings")
}

/// Holdings once some credits are absorbed.
///
/// # Errors
/// [`Rule::Range`] where a sum exceeds 2^96 or there are too many instruments.
pub fn absorbed_into(holdings: &Holdings, credits: &[Credit]) -> Result<Holdings, Violation> {
    let mut holdings = holdings.clone();
    for credit in credits {
        holdings.add(&credit.instrument, credit.amount)?;
    }
    Ok(holdings)
}

/// Puts a credit into an account's books: counted, and part of the running digest.
///
/// # Errors
/// [`Rule::Range`] where the count overflows.
pub fn receive(state: &mut AccountState, credit: &Credit) -> Result<(), Violation> {
    state.credits_received = state
        .credits_received
        .checked_add(1)
        .ok_or_else(|| Violation::new(Rule::Range, "account.credits_received", "at most 2^64 - 1", "more"))?;
    state.credits_digest = credit.chained(&state.credits_digest);
    Ok(())
}

fn describe(credit: &Credit) -> String {
    let Credit { source, index, instrument, amount } = credit;
    format!("{amount} {instrument} from {source}[{index}]")
}
