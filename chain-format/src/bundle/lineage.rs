//! An account's state and positions, derived from a bundle's elements one after the other.

use std::collections::BTreeMap;
use std::fmt;

use super::credits::Credits;
use super::form::{Anchor, HeldPosition, Holding};
use super::listings::Listings;
use super::read::{DueSignatures, Part, Place, Step};
use crate::account::AccountState;
use crate::chain::Entry;
use crate::endorsement::Credit;
use crate::error::{Rule, Violation, ensure, same};
use crate::hash::AccountId;
use crate::lineage::{self, Followed, Listed};
use crate::position::{self, Position};
use crate::validate::VerifiedEntry;

/// What a lineage came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// The account's state.
    pub account: AccountState,
    /// The credits that wait in its inbox.
    pub waiting: Vec<Credit>,
    /// Its positions, in the order of their keys.
    pub positions: Vec<Position>,
    /// Chains and servicing records that the bundle shows.
    pub chains: u64,
    /// The listings of the instruments traded, for showing amounts.
    pub listings: Vec<Listed>,
}

/// Follows a lineage from its opening, or from an anchor, to what is claimed of it.
#[derive(Debug)]
pub(super) struct Derivation {
    claimed: Holding,
    /// The sequence where the bundle begins.
    since: u64,
    /// The state so far; none before the opening.
    state: Option<AccountState>,
    positions: BTreeMap<AccountId, Position>,
    listings: Listings,
    credits: Credits,
    /// The position whose settlements may come.
    settling: Option<AccountId>,
    /// From an anchor, before the first lineage entry: settlements of any of its positions may come, in the order of their keys.
    at_anchor: bool,
    waiting: Vec<Credit>,
    counts: Counts,
}

/// How many elements of each kind came.
#[derive(Debug, Default)]
struct Counts {
    listings: u64,
    sources: u64,
    entries: u64,
    settlements: u64,
}

impl Counts {
    /// Counts one more, and returns its place.
    fn next(&mut self, part: Part) -> Place {
        let count = match part {
            Part::Listing => &mut self.listings,
            Part::Source => &mut self.sources,
            Part::Settlement => &mut self.settlements,
            Part::Entry | Part::InBlock => &mut self.entries,
        };
        let index = *count;
        *count = count.saturating_add(1);
        Place { block: None, part, index }
    }
}

fn wrong(place: impl fmt::Display, expected: &str, found: impl fmt::Display) -> Violation {
    Violation::new(Rule::Sequence, place, expected, found)
}

impl Derivation {
    /// Before the opening.
    pub(super) fn from_opening(claimed: Holding) -> Self {
        let credits = Credits::from_none(claimed.account.account);
        Self {
            claimed,
            since: 0,
            state: None,
            positions: BTreeMap::new(),
            listings: Listings::default(),
            credits,
            settling: None,
            at_anchor: false,
            waiting: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// After an anchor whose holding stands under its root.
    ///
    /// # Errors
    /// [`Rule::Credit`].
    pub(super) fn from_anchor(claimed: Holding, anchor: &Anchor) -> Result<Self, Violation> {
        let Anchor { holding, before_waiting, .. } = anchor;
        let credits = Credits::from_anchor(&holding.account, *before_waiting)?;
        let positions = holding.positions.iter().map(|held| (held.key, held.position.clone())).collect();
        let state = Some(with_credits_of(&holding.account, &claimed.account));
        let since = holding.account.sequence;
        Ok(Self { since, state, positions, credits, at_anchor: true, ..Self::from_opening(claimed) })
    }

    /// Follows the next element. The signatures of an entry are due from where it is used on.
    ///
    /// # Errors
    /// The first step that fails, with its place.
    pub(super) fn follow(&mut self, step: Step, due: &mut DueSignatures) -> Result<(), Violation> {
        match step {
            Step::Waiting(credit) => self.wait(credit),
            Step::Entry(part, judged) => {
                let place = self.counts.next(part);
                let entry = due.add(place, judged)?;
                match part {
                    Part::Listing => {
                        self.credits.sources_are_used()?;
                        self.listings.offer(place.index, &entry)
                    }
                    Part::Source => {
                        self.credits.offer(place.index, entry);
                        Ok(())
                    }
                    Part::Entry => self.entry(format_args!("{place}"), &entry),
                    Part::Settlement => self.settle(format_args!("{place}"), &entry),
                    // A lineage has no such elements.
                    Part::InBlock => Ok(()),
                }
            }
            Step::Block(..) | Step::Account(_) | Step::Position(..) => Ok(()),
        }
    }

    fn entry(&mut self, place: fmt::Arguments<'_>, verified: &VerifiedEntry) -> Result<(), Violation> {
        self.nothing_waits(place)?;
        let Some(state) = &self.state else { return self.open(place, verified) };
        let entry = verified.entry();
        let misplaced = || wrong(place, "a chain or a servicing record", entry.kind().as_str());
        let absorbed = entry.absorbed().ok_or_else(misplaced)?;
        let listed = self.listings.needed(place, entry)?;
        for (index, credit) in absorbed.iter().enumerate() {
            self.credits.receive(credit, format_args!("{place}.absorbed[{index}]"))?;
        }
        self.credits.sources_are_used()?;
        let followed = match (entry, listed.first()) {
            (Entry::Chain(chain), Some(listed)) => {
                let position = lineage::position_of(chain, listed).and_then(|key| self.positions.get(&key));
                lineage::follow(state, chain, absorbed.iter(), listed, position)
            }
            (Entry::Servicing(service), _) => {
                let record = service.servicing.record();
                let key = position::touched_by_act(&record.network, &record.act);
                lineage::serve(state, service, absorbed.iter(), key.and_then(|key| self.positions.get(&key)))
            }
            _ => return Err(misplaced()),
        };
        self.take(followed.map_err(|v| v.within(place))?);
        self.at_anchor = false;
        Ok(())
    }

    fn nothing_waits(&self, place: fmt::Arguments<'_>) -> Result<(), Violation> {
        let none = self.waiting.is_empty();
        ensure(none, Rule::Sequence, place, "an element before the credits that wait", "one after them")
    }

    fn open(&mut self, place: fmt::Arguments<'_>, verified: &VerifiedEntry) -> Result<(), Violation> {
        let Entry::Opening(opening) = verified.entry() else {
            return Err(wrong(place, "an opening record", verified.entry().kind().as_str()));
        };
        let account = AccountId::from(verified.id());
        same(Rule::Account, place, &self.claimed.account.account, &account)?;
        self.listings.all_are_used()?;
        self.credits.sources_are_used()?;
        let record = opening.record();
        let opened = AccountState::opened(account, record.bank.clone(), record.key, record.credit.clone());
        self.state = Some(with_credits_of(&opened, &self.claimed.account));
        Ok(())
    }

    fn settle(&mut self, place: fmt::Arguments<'_>, verified: &VerifiedEntry) -> Result<(), Violation> {
        let Entry::Settlement(settlement) = verified.entry() else {
            return Err(wrong(place, "a settlement", verified.entry().kind().as_str()));
        };
        self.nothing_waits(place)?;
        let record = settlement.record();
        let key = record.position;
        let goes_on = self.settling == Some(key);
        let begins = self.at_anchor && self.settling.is_none_or(|before| before < key);
        let position = self.positions.get(&key).filter(|_| goes_on || begins);
        let expected = "a settlement of the position that the element before it left";
        let position = position.ok_or_else(|| wrong(place, expected, key))?;
        same(Rule::Sequence, format_args!("{place}.settlement.parent"), &position.head, &record.parent)?;
        let listed = self.listings.needed(place, verified.entry())?;
        self.credits.sources_are_used()?;
        let unlisted = || Violation::new(Rule::Listing, place, "its listing in the bundle", "none");
        let (listed, state) = (listed.first().ok_or_else(unlisted)?, self.state.as_ref());
        let state = state.ok_or_else(|| wrong(place, "an opening record before it", "none"))?;
        let followed = lineage::settle(state, settlement, listed, Some(position));
        self.credits.settle(verified.id(), record);
        self.take(followed.map_err(|v| v.within(place))?);
        self.settling = Some(key);
        Ok(())
    }

    fn take(&mut self, followed: Followed) {
        self.state = Some(followed.state);
        self.settling = None;
        if let Some((key, after)) = followed.position {
            self.settling = Some(key);
            match after {
                Some(position) => self.positions.insert(key, position),
                None => self.positions.remove(&key),
            };
        }
    }

    fn wait(&mut self, credit: Credit) -> Result<(), Violation> {
        self.listings.all_are_used()?;
        self.credits.receive(&credit, format_args!("waiting[{}]", self.waiting.len()))?;
        self.credits.sources_are_used()?;
        self.waiting.push(credit);
        Ok(())
    }

    /// The lineage ends: it came to what is claimed, in every field.
    ///
    /// # Errors
    /// The first step that fails.
    pub(super) fn finish(self) -> Result<Derived, Violation> {
        let state = self.state.ok_or_else(|| wrong("lineage", "an opening record", "nothing"))?;
        self.listings.all_are_used()?;
        self.credits.are_those_of(&self.claimed.account)?;
        positions_are(&self.positions, &self.claimed.positions)?;
        let claimed = self.claimed.account;
        same_account(&state, &claimed, "account")?;
        Ok(Derived {
            chains: state.sequence.saturating_sub(self.since),
            account: state,
            waiting: self.waiting,
            positions: self.positions.into_values().collect(),
            listings: self.listings.into_known(),
        })
    }
}

/// A state as if all credits of a later leaf were received at once: which had arrived before which entry is the ledger's to say; that each
/// was absorbed in order is checked.
fn with_credits_of(state: &AccountState, leaf: &AccountState) -> AccountState {
    AccountState { credits_received: leaf.credits_received, credits_digest: leaf.credits_digest, ..state.clone() }
}

/// The positions that the account is left with are just those that the bundle shows under the checkpoint's root.
fn positions_are(derived: &BTreeMap<AccountId, Position>, claimed: &[HeldPosition]) -> Result<(), Violation> {
    let (count, expected) = (claimed.len(), derived.len());
    ensure(count == expected, Rule::Holdings, "positions", expected, count)?;
    for (index, (held, (key, position))) in claimed.iter().zip(derived).enumerate() {
        let place = format!("positions[{index}]");
        same(Rule::Holdings, format_args!("{place}.key"), key, &held.key)?;
        let (expected, found) = (position.told(), held.position.told());
        ensure(*position == held.position, Rule::Holdings, format_args!("{place}.position"), expected, found)?;
    }
    Ok(())
}

/// What was derived is what is stated, in every field.
pub(super) fn same_account(derived: &AccountState, stated: &AccountState, place: &str) -> Result<(), Violation> {
    derived.holdings.must_equal(&stated.holdings, &format!("{place}.holdings"))?;
    ensure(derived == stated, Rule::Holdings, place, describe(derived), describe(stated))
}

fn describe(state: &AccountState) -> String {
    let AccountState { bank, key, sequence, head, counter, credits_absorbed, status, credit, positions, .. } = state;
    let key = key.map_or("revoked".to_owned(), |key| key.to_string());
    format!(
        "bank {bank}, key {key}, sequence {sequence}, head {head}, counter {counter}, {credits_absorbed} credits absorbed, \
         {status}, credit {credit}, {positions} positions"
    )
}
