//! One account's entries, each following the one before: the one place where a lineage is extended.
//!
//! Validators call [`follow`], [`serve`] and [`settle`] when a block commits, banks before they sign, auditors for every entry of a
//! bundle; so derivation in one go equals derivation step by step.

use std::borrow::Cow;

use crate::account::{AccountState, AccountStatus};
use crate::amount::Amount;
use crate::chain::{Chain, Service};
use crate::dealing::{self, Parties};
use crate::endorsement::{Credit, Endorsement};
use crate::error::{Rule, Violation, ensure, same};
use crate::hash::{AccountId, Link};
use crate::holdings::Holdings;
use crate::instruction::Instruction;
use crate::instrument::InstrumentId;
use crate::keys::PublicKey;
use crate::listing::Listing;
use crate::member::{MemberId, OwnAccount};
use crate::position::{self, Position, PositionState};
use crate::record::Signed;
use crate::registry::own_account_by_text;
use crate::servicing::{Act, Servicing};
use crate::settlement::Settlement;

/// A listed instrument: its record and the record's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The link of the listing record.
    pub link: Link,
    /// The record.
    pub listing: Listing,
    /// The issuer's accounts for settlement and for fees, kept since each is a hash.
    issuer: (AccountId, AccountId),
}

impl Listed {
    /// An instrument as a signed record lists it.
    pub fn of(listing: &Signed<Listing>) -> Self {
        Self::new(listing.link(), listing.record().clone())
    }

    /// An instrument as a record with such a link lists it.
    pub(crate) fn new(link: Link, listing: Listing) -> Self {
        let own = |purpose| own_account_by_text(&listing.network, listing.instrument.issuer(), purpose);
        let issuer = (own(OwnAccount::Settlement), own(OwnAccount::Fees));
        Self { link, listing, issuer }
    }

    /// An account and the issuer, between whom dealings in the instrument move something.
    fn parties(&self, account: AccountId) -> Parties {
        let (settlement, fees) = self.issuer;
        Parties { network: self.listing.network, account, settlement, fees }
    }
}

/// What follows from an entry: the account's state, and what becomes of the position that it touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The account's state after it.
    pub state: AccountState,
    /// The position's key, and the position after it; none where it ended.
    pub position: Option<(AccountId, Option<Position>)>,
}

/// The position that a chain touches, under the listing that it trades by.
pub fn position_of(chain: &Chain, listed: &Listed) -> Option<AccountId> {
    let request = chain.request.record();
    let dealing = &listed.listing.terms.as_ref()?.dealing;
    position::touched_by_order(&request.network, &request.account, &chain.request.link(), &request.order, dealing)
}

/// What follows from a chain whose stages are verified.
///
/// `inbox` gives the credits that wait, the oldest first; `listed` is the listing in force, `position` what [`position_of`] names.
///
/// # Errors
/// The first rule that the chain breaks; the state before it still stands.
pub fn follow<'c>(
    state: &AccountState,
    chain: &Chain,
    inbox: impl Iterator<Item = &'c Credit>,
    listed: &Listed,
    position: Option<&Position>,
) -> Result<Followed, Violation> {
    let request = chain.request.record();
    let execution = chain.execution.record();
    asked_by_the_holder(state, "request", chain.request.signer(), request.counter)?;
    endorsement_follows(state, chain.endorsement.record(), inbox)?;
    let order = &request.order;
    same(Rule::Listing, "execution.listing", &listed.link, &execution.listing)?;
    same(Rule::Listing, "execution.listing.instrument", order.instrument(), &listed.listing.instrument)?;
    let change = dealing::terms_are_met(chain, &listed.parties(request.account), &listed.listing, position)?;
    let absorbed = chain.endorsement.record().absorbed.len() as u64;
    let head = chain.execution.link();
    let mut next = AccountState {
        sequence: chain.endorsement.record().sequence,
        head,
        counter: request.counter,
        credits_absorbed: state.credits_absorbed.saturating_add(absorbed),
        ..state.holding(execution.holdings.clone())
    };
    let position = change.map(|change| {
        let after = change.after.map(|state| Position {
            account: request.account,
            instrument: order.instrument().clone(),
            cash: order.cash().clone(),
            head,
            state,
        });
        position::counted(&mut next, position.is_some(), after.is_some());
        (change.key, after)
    });
    Ok(Followed { state: next, position })
}

/// What follows from a settlement whose stage is verified: it stands on the position's head, under the listing in force.
///
/// # Errors
/// The first rule that it breaks; what was before it still stands.
pub fn settle(
    state: &AccountState,
    settlement: &Signed<Settlement>,
    listed: &Listed,
    position: Option<&Position>,
) -> Result<Followed, Violation> {
    let record = settlement.record();
    let missing = || Violation::new(Rule::Sequence, "settlement.position", "a position there is", record.position);
    let before = position.ok_or_else(missing)?;
    same(Rule::Account, "settlement.account", &before.account, &record.account)?;
    same(Rule::Account, "settlement.account", &state.account, &record.account)?;
    let issued = before.instrument.is_issued_by(&record.institution);
    let expected = format_args!("the issuer of {}", before.instrument);
    ensure(issued, Rule::Signer, "settlement.institution", expected, &record.institution)?;
    same(Rule::Sequence, "settlement.parent", &before.head, &record.parent)?;
    same(Rule::Listing, "settlement.listing", &listed.link, &record.listing)?;
    same(Rule::Listing, "settlement.listing.instrument", &before.instrument, &listed.listing.instrument)?;
    let after = dealing::settlement_holds(record, before, &listed.parties(record.account), &listed.listing)?;
    let after = after.map(|state| Position { head: settlement.link(), state, ..before.clone() });
    let mut next = state.clone();
    position::counted(&mut next, true, after.is_some());
    Ok(Followed { state: next, position: Some((record.position, after)) })
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

/// What follows from an act of servicing whose stages are verified; `position` is what [`position::touched_by_act`] names.
///
/// # Errors
/// The first rule that it breaks; the state before it still stands.
pub fn serve<'c>(
    state: &AccountState,
    service: &Service,
    inbox: impl Iterator<Item = &'c Credit>,
    position: Option<&Position>,
) -> Result<Followed, Violation> {
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
        ..state.holding(holdings.into_owned())
    };
    perform(&mut next, act)?;
    let position = match act {
        Act::Reclaim(_, instrument, amount) => {
            reclaim(&mut next, (instrument, *amount), position)?;
            position::touched_by_act(&record.network, act).map(|key| (key, None))
        }
        _ => None,
    };
    next.holdings.must_equal(&record.holdings, "servicing.holdings")?;
    Ok(Followed { state: next, position })
}

/// What an order reserves that waits too long comes back to the account. Whether it waits too long, the ledger tells by the block's time.
fn reclaim(
    state: &mut AccountState,
    (instrument, amount): (&InstrumentId, Amount),
    position: Option<&Position>,
) -> Result<(), Violation> {
    let place = "servicing.act.reclaim";
    let waiting = position.filter(|position| position.account == state.account);
    let waiting = waiting.filter(|position| matches!(position.state, PositionState::Waiting(_)));
    let missing = || Violation::new(Rule::Status, place, "an order of this account that waits", "none");
    let reserved = waiting.ok_or_else(missing)?.amount_of(instrument);
    ensure(reserved == amount, Rule::Status, place, format_args!("{reserved} {instrument}"), amount)?;
    state.holdings.add(instrument, amount)?;
    position::counted(state, true, false);
    Ok(())
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
    fn follows<'c, 's>(
        &self,
        state: &'s AccountState,
        mut inbox: impl Iterator<Item = &'c Credit>,
    ) -> Result<Cow<'s, Holdings>, Violation> {
        let record = self.record;
        same(Rule::Account, format_args!("{record}.account"), &state.account, self.account)?;
        same(Rule::Account, format_args!("{record}.bank"), &state.bank, self.bank)?;
        same(Rule::Sequence, format_args!("{record}.parent"), &state.head, self.parent)?;
        let next = state.sequence.saturating_add(1);
        same(Rule::Sequence, format_args!("{record}.sequence"), &next, &self.sequence)?;
        for (index, credit) in self.absorbed.iter().enumerate() {
            let waiting = inbox.next();
            if waiting != Some(credit) {
                let expected = waiting.map_or("no more credits".to_owned(), describe);
                let field = format_args!("{record}.absorbed[{index}]");
                return Err(Violation::new(Rule::Credit, field, expected, describe(credit)));
            }
        }
        if self.absorbed.is_empty() {
            return Ok(Cow::Borrowed(&state.holdings));
        }
        absorbed_into(&state.holdings, self.absorbed).map(Cow::Owned)
    }
}

/// What a customer signed is signed by the account's key, and counts once.
fn asked_by_the_holder(state: &AccountState, record: &str, signer: PublicKey, counter: u64) -> Result<(), Violation> {
    let revoked = || Violation::new(Rule::Status, format!("{record}.signer"), "an account with a key", "a revoked key");
    let key = state.key.ok_or_else(revoked)?;
    same(Rule::Signer, format_args!("{record}.signer"), &key, &signer)?;
    let expected = format_args!("above {}", state.counter);
    ensure(counter > state.counter, Rule::Counter, format_args!("{record}.counter"), expected, counter)
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
            let empty = state.holdings.is_empty() && waiting == 0 && state.positions == 0;
            let (held, positions) = (state.holdings.len(), state.positions);
            let found = format_args!("{held} instruments held, {waiting} credits waiting, {positions} positions");
            ensure(empty, Rule::Status, "servicing.act", "an account that holds nothing", found)?;
            state.status = AccountStatus::Closed;
        }
        Act::Withdraw(instrument, amount) => {
            status(state, &[AccountStatus::Open], "an open account")?;
            state.holdings.add(instrument, amount.negated())?;
            let left = state.holdings.get(instrument);
            let field = format_args!("servicing.holdings.{instrument}");
            ensure(left >= Amount::ZERO, Rule::Overdraft, field, "at least 0", left)?;
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
        // What it does needs the position too: see `reclaim`.
        Act::Reclaim(..) => {}
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
