//! One account's entries, each following the one before: the one place where a lineage is extended.
//!
//! Validators call [`follow`] and [`serve`] when a block commits, banks before they sign, auditors for every entry of a bundle; so
//! derivation in one go equals derivation step by step.

use crate::account::{AccountState, AccountStatus};
use crate::amount::Amount;
use crate::chain::{Chain, Service};
use crate::endorsement::{Credit, Endorsement};
use crate::error::{Rule, Violation, ensure, same};
use crate::hash::{AccountId, Link};
use crate::holdings::Holdings;
use crate::instruction::Instruction;
use crate::invariants;
use crate::keys::PublicKey;
use crate::listing::Listing;
use crate::member::MemberId;
use crate::record::Signed;
use crate::servicing::{Act, Servicing};

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
/// `inbox` gives the credits that wait, the oldest first; `listed` is the listing in force.
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
    asked_by_the_holder(state, "request", chain.request.signer(), request.counter)?;
    endorsement_follows(state, chain.endorsement.record(), inbox)?;
    let instrument = &request.trade.instrument;
    same(Rule::Listing, "execution.listing", &listed.link, &execution.listing)?;
    same(Rule::Listing, "execution.listing.instrument", instrument, &listed.listing.instrument)?;
    invariants::terms_are_met(chain, &listed.listing)?;
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
    inbox: impl Iterator<Item = &'c Credit>,
) -> Result<(), Violation> {
    let Endorsement { bank, account, parent, sequence, absorbed, .. } = endorsement;
    let step = Step { record: "endorsement", bank, account, parent, sequence: *sequence, absorbed };
    let holdings = step.follows(state, inbox)?;
    holdings.must_equal(&endorsement.holdings, "endorsement.holdings")?;
    same(Rule::Status, "endorsement.account", &AccountStatus::Open, &state.status)?;
    same(Rule::Agreement, "endorsement.credit", &state.credit, &endorsement.credit)
}

/// The account's state after an act of servicing whose stages are verified.
///
/// # Errors
/// The first rule that it breaks; the state before it still stands.
pub fn serve<'c>(
    state: &AccountState,
    service: &Service,
    inbox: impl Iterator<Item = &'c Credit>,
) -> Result<AccountState, Violation> {
    let record = service.servicing.record();
    let Servicing { bank, account, parent, sequence, absorbed, act, .. } = record;
    let instruction = service.instruction.as_ref();
    if let Some(instruction) = instruction {
        let counter = instruction.record().counter;
        asked_by_the_holder(state, "instruction", instruction.signer(), counter)?;
    }
    let step = Step { record: "servicing", bank, account, parent, sequence: *sequence, absorbed };
    let holdings = step.follows(state, inbox)?;
    consent_is_given(state, act, instruction)?;
    let received = absorbed.len() as u64;
    let mut next = AccountState {
        sequence: *sequence,
        head: service.servicing.link(),
        counter: instruction.map_or(state.counter, |instruction| instruction.record().counter),
        credits_absorbed: state.credits_absorbed.saturating_add(received),
        holdings,
        ..state.clone()
    };
    perform(&mut next, act)?;
    next.holdings.must_equal(&record.holdings, "servicing.holdings")?;
    Ok(next)
}

/// What every record of a bank in an account's lineage says of its place there.
struct Step<'r> {
    record: &'static str,
    bank: &'r MemberId,
    account: &'r AccountId,
    parent: &'r Link,
    sequence: u64,
    absorbed: &'r [Credit],
}

impl Step<'_> {
    /// It stands on the account's head and absorbs the credits that wait; returns the holdings with them.
    fn follows<'c>(
        &self,
        state: &AccountState,
        mut inbox: impl Iterator<Item = &'c Credit>,
    ) -> Result<Holdings, Violation> {
        let field = |name: &str| format!("{}.{name}", self.record);
        same(Rule::Account, &field("account"), &state.account, self.account)?;
        same(Rule::Account, &field("bank"), &state.bank, self.bank)?;
        same(Rule::Sequence, &field("parent"), &state.head, self.parent)?;
        let next = state.sequence.saturating_add(1);
        same(Rule::Sequence, &field("sequence"), &next, &self.sequence)?;
        for (index, credit) in self.absorbed.iter().enumerate() {
            let waiting = inbox.next();
            let expected = waiting.map_or("no more credits".to_owned(), describe);
            let field = field(&format!("absorbed[{index}]"));
            ensure(waiting == Some(credit), Rule::Credit, &field, expected, describe(credit))?;
        }
        absorbed_into(&state.holdings, self.absorbed)
    }
}

/// What a customer signed is signed by the account's key, and counts once.
fn asked_by_the_holder(state: &AccountState, record: &str, signer: PublicKey, counter: u64) -> Result<(), Violation> {
    let revoked = || Violation::new(Rule::Status, format!("{record}.signer"), "an account with a key", "a revoked key");
    let key = state.key.ok_or_else(revoked)?;
    same(Rule::Signer, &format!("{record}.signer"), &key, &signer)?;
    let expected = format!("above {}", state.counter);
    ensure(counter > state.counter, Rule::Counter, &format!("{record}.counter"), expected, counter)
}

/// The customer's instruction is there where the act needs one, and not where it may have none.
fn consent_is_given(
    state: &AccountState,
    act: &Act,
    instruction: Option<&Signed<Instruction>>,
) -> Result<(), Violation> {
    let (needed, allowed) = (act.consent().is_required(state.key.is_some()), act.consent().is_allowed());
    let given = instruction.is_some();
    let holds = if given { allowed } else { !needed };
    let expected = if needed { "the customer's instruction" } else { "no instruction" };
    let found = if given { "an instruction" } else { "none" };
    ensure(holds, Rule::Signer, "servicing.instruction", expected, found)
}

/// Does an act to an account whose credits are absorbed.
fn perform(state: &mut AccountState, act: &Act) -> Result<(), Violation> {
    let status = |state: &AccountState, allowed: &[AccountStatus], expected: &str| {
        ensure(allowed.contains(&state.status), Rule::Status, "servicing.act", expected, state.status)
    };
    status(state, &[AccountStatus::Open, AccountStatus::Frozen], "an account that is not closed")?;
    match act {
        Act::Freeze => {
            status(state, &[AccountStatus::Open], "an open account")?;
            state.status = AccountStatus::Frozen;
        }
        Act::Unfreeze => {
            status(state, &[AccountStatus::Frozen], "a frozen account")?;
            state.status = AccountStatus::Open;
        }
        Act::Close => {
            let waiting = state.credits_received.saturating_sub(state.credits_absorbed);
            let empty = state.holdings.is_empty() && waiting == 0;
            let found = format!("{} instruments held, {waiting} credits waiting", state.holdings.len());
            ensure(empty, Rule::Status, "servicing.act", "an account that holds nothing", found)?;
            state.status = AccountStatus::Closed;
        }
        Act::Withdraw(instrument, amount) => {
            status(state, &[AccountStatus::Open], "an open account")?;
            state.holdings.add(instrument, amount.negated())?;
            let left = state.holdings.get(instrument);
            let field = format!("servicing.holdings.{instrument}");
            ensure(left >= Amount::ZERO, Rule::Overdraft, &field, "at least 0", left)?;
        }
        Act::BindKey(key) => {
            let fresh = state.key != Some(*key);
            ensure(fresh, Rule::Status, "servicing.act", "another key than before", key)?;
            state.key = Some(*key);
        }
        Act::RevokeKey => {
            ensure(state.key.is_some(), Rule::Status, "servicing.act", "an account with a key", "a revoked key")?;
            state.key = None;
        }
        Act::SetCredit(terms) => state.credit = terms.clone(),
    }
    Ok(())
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
