//! An account's state and positions, derived from a bundle's lineage and settlements.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{AccountBundle, NeededListing, listings_needed};
use crate::account::AccountState;
use crate::chain::Entry;
use crate::error::{Rule, Violation, ensure};
use crate::hash::{AccountId, Link};
use crate::instrument::InstrumentId;
use crate::lineage::{self, Followed, Listed};
use crate::position::{self, Position};
use crate::record::Signed;
use crate::settlement::Settlement;
use crate::validate::VerifiedEntry;

/// Follows the lineage from its opening record, and after each entry the settlements that stand on what it left.
pub(super) fn derive(
    bundle: &AccountBundle,
    lineage: &[VerifiedEntry],
    settlements: &[VerifiedEntry],
    listings: &[Listed],
) -> Result<(AccountState, BTreeMap<AccountId, Position>), Violation> {
    let wrong = |place: &str, expected: &str, found: &str| Violation::new(Rule::Sequence, place, expected, found);
    let (first, entries) = lineage.split_first().ok_or_else(|| wrong("lineage", "an opening record", "nothing"))?;
    let Entry::Opening(opening) = first.entry() else {
        return Err(wrong("lineage[0]", "an opening record", first.entry().kind().as_str()));
    };
    let account = AccountId::from(first.id());
    crate::error::same(Rule::Account, "lineage[0]", &bundle.account.account, &account)?;
    let record = opening.record();
    let mut state = AccountState::opened(account, record.bank.clone(), record.key, record.credit.clone());
    // Which credits had arrived before which entry is the ledger's to say; that each was absorbed in order is checked.
    state.credits_received = bundle.account.credits_received;
    state.credits_digest = bundle.account.credits_digest;
    let mut derivation = Derivation {
        bundle,
        state,
        positions: BTreeMap::new(),
        settlements: BTreeMap::new(),
        listings: Listings::of(listings),
    };
    for (index, entry) in settlements.iter().enumerate() {
        let Entry::Settlement(settlement) = entry.entry() else {
            return Err(wrong("settlements", "settlements", entry.entry().kind().as_str()));
        };
        let waiting = derivation.settlements.entry(settlement.record().position).or_default();
        waiting.push_back((index, settlement.as_ref()));
    }
    for (index, entry) in entries.iter().enumerate() {
        derivation.entry(&format!("lineage[{}]", index.saturating_add(1)), entry.entry())?;
    }
    if let Some((index, _)) = derivation.settlements.values().flatten().next() {
        let expected = "a settlement that stands on the head of one of the account's positions";
        return Err(wrong(&format!("settlements[{index}]"), expected, "another"));
    }
    derivation.listings.all_are_used()?;
    Ok((derivation.state, derivation.positions))
}

struct Derivation<'b> {
    bundle: &'b AccountBundle,
    state: AccountState,
    positions: BTreeMap<AccountId, Position>,
    /// The settlements that are not yet applied, by their positions, with their places.
    settlements: BTreeMap<AccountId, VecDeque<(usize, &'b Signed<Settlement>)>>,
    listings: Listings<'b>,
}

impl Derivation<'_> {
    fn entry(&mut self, place: &str, entry: &Entry) -> Result<(), Violation> {
        let listed = self.listings.needed(place, listings_needed(entry))?;
        let absorbed = usize::try_from(self.state.credits_absorbed).unwrap_or(usize::MAX);
        let inbox = self.bundle.credits.iter().skip(absorbed);
        let followed = match (entry, listed.first()) {
            (Entry::Chain(chain), Some(listed)) => {
                let position = lineage::position_of(chain, listed).and_then(|key| self.positions.get(&key));
                lineage::follow(&self.state, chain, inbox, listed, position)
            }
            (Entry::Servicing(service), _) => {
                let record = service.servicing.record();
                let key = position::touched_by_act(&record.network, &record.act);
                lineage::serve(&self.state, service, inbox, key.and_then(|key| self.positions.get(&key)))
            }
            (other, _) => {
                let found = other.kind().as_str();
                return Err(Violation::new(Rule::Sequence, place, "a chain or servicing", found));
            }
        };
        let touched = self.take(followed.map_err(|v| v.within(place))?);
        touched.map_or(Ok(()), |key| self.settle(key))
    }

    fn take(&mut self, followed: Followed) -> Option<AccountId> {
        self.state = followed.state;
        let (key, after) = followed.position?;
        match after {
            Some(position) => self.positions.insert(key, position),
            None => self.positions.remove(&key),
        };
        Some(key)
    }

    /// Applies the settlements that stand on a position's head, one on the other.
    fn settle(&mut self, key: AccountId) -> Result<(), Violation> {
        while let Some(position) = self.positions.get(&key) {
            let Some(waiting) = self.settlements.get_mut(&key) else { break };
            let next = waiting.front().filter(|(_, settlement)| settlement.record().parent == position.head);
            let Some((index, settlement)) = next.copied() else { break };
            waiting.pop_front();
            if waiting.is_empty() {
                self.settlements.remove(&key);
            }
            let place = format!("settlements[{index}]");
            let needed = vec![NeededListing::Named(settlement.record().listing)];
            let listed = self.listings.needed(&place, needed)?;
            let unlisted = || Violation::new(Rule::Listing, &place, "its listing in the bundle", "none");
            let listed = listed.first().ok_or_else(unlisted)?;
            let followed = lineage::settle(&self.state, settlement, listed, Some(position));
            self.take(followed.map_err(|v| v.within(&place))?);
        }
        Ok(())
    }
}

/// The bundle's listings, and which of them were used, in order.
struct Listings<'b> {
    all: &'b [Listed],
    by_link: BTreeMap<Link, &'b Listed>,
    by_instrument: BTreeMap<&'b InstrumentId, &'b Listed>,
    used: BTreeSet<Link>,
    first_uses: Vec<Link>,
}

impl<'b> Listings<'b> {
    fn of(all: &'b [Listed]) -> Self {
        Self {
            all,
            by_link: all.iter().map(|listed| (listed.link, listed)).collect(),
            by_instrument: all.iter().map(|listed| (&listed.listing.instrument, listed)).collect(),
            used: BTreeSet::new(),
            first_uses: Vec::with_capacity(all.len()),
        }
    }

    /// The listings that are needed at a place, in the same order.
    fn needed(&mut self, place: &str, needed: Vec<NeededListing<'_>>) -> Result<Vec<&'b Listed>, Violation> {
        let find = |needed: NeededListing<'_>| {
            let (found, what) = match needed {
                NeededListing::Named(link) => (self.by_link.get(&link).copied(), link.to_string()),
                NeededListing::Of(instrument) => (self.by_instrument.get(instrument).copied(), instrument.to_string()),
            };
            found.ok_or_else(|| Violation::new(Rule::Listing, place, "its listing in the bundle", what))
        };
        let listed = needed.into_iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let fresh = listed.iter().map(|listed| listed.link).filter(|link| self.used.insert(*link));
        self.first_uses.extend(fresh);
        Ok(listed)
    }

    fn all_are_used(&self) -> Result<(), Violation> {
        let in_order = self.first_uses.iter().eq(self.all.iter().map(|listed| &listed.link));
        let expected = "each listing that the entries name, and the cash's, once, in the order of first use";
        ensure(in_order, Rule::Listing, "listings", expected, "others")
    }
}
