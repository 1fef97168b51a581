//! Positions are settled when their price is there: orders that wait are filled or released, futures marked each day, and closed out
//! where a margin call is not met, the margin is used up or the contract has ended.
//!
//! Nothing is kept of what is on its way: a settlement stands on the position's head, so that of two at most one commits.

use std::collections::BTreeSet;
use std::sync::Arc;

use stemma_chain_format::amount::{Amount, AmountError, Price};
use stemma_chain_format::chain::Entry;
use stemma_chain_format::dealing::{Dealing, MarginTerms, Parties, fill, requirement, settlement_movements};
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::limits::SETTLEMENT_AGE_MS_MAX;
use stemma_chain_format::lineage::Listed;
use stemma_chain_format::listing::ListingStatus;
use stemma_chain_format::position::{Margin, Position, PositionState, Waiting};
use stemma_chain_format::record::Signed;
use stemma_chain_format::settlement::{CloseReason, Settlement, SettlementAct};
use stemma_chain_format::validate::{self, VerifiedEntry};

use super::Institution;
use super::prices::Quote;
use crate::role::RoleEffect;

/// Most settlements signed in one turn; the others follow with the next.
const SETTLED_COUNT_MAX: usize = 2_000;

/// A position whose price is there.
struct Due<'d> {
    key: AccountId,
    position: &'d Position,
    listed: &'d Listed,
    quote: &'d Quote,
    price: Price,
}

impl Institution {
    /// Settles what can be settled at the prices that are known: when some come, and once a second for what time makes due.
    pub fn settle(&mut self, ledger: &Ledger, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        self.settling.retain(|_, settled_ms| settled_ms.saturating_add(SETTLEMENT_AGE_MS_MAX) > now_ms);
        let mut room = SETTLED_COUNT_MAX;
        let executed = self.open.values().filter_map(|row| row.position);
        let touched: BTreeSet<AccountId> = executed.chain(self.errands.positions()).collect();
        let own = ledger.listings().filter(|listed| listed.listing.instrument.is_issued_by(&self.id));
        for listed in own.filter(|listed| has_positions(listed)) {
            let instrument = &listed.listing.instrument;
            let Some(quote) = self.prices.quote(instrument.code()) else { continue };
            if self.prices.is_stale(&quote, now_ms) {
                continue;
            }
            for (key, position) in ledger.positions_in(instrument) {
                let cash = ledger.listing(&position.cash).map_or(0, |cash| cash.listing.decimals);
                let price = Price::parse(&quote.text, cash).ok().filter(Price::is_well_formed);
                let is_under_way = touched.contains(key) || self.settling.contains_key(key);
                let (Some(price), false) = (price, is_under_way) else { continue };
                let due = Due { key: *key, position, listed, quote: &quote, price };
                let Some(entry) = self.settlement(&due, ledger, now_ms) else { continue };
                self.settling.insert(*key, now_ms);
                effects.push(RoleEffect::Propose(Arc::new(entry)));
                room = room.saturating_sub(1);
                if room == 0 {
                    return;
                }
            }
        }
    }

    /// Whether a chain or a settlement that touches a position waits for a block.
    pub(super) fn is_under_way(&self, key: &AccountId) -> bool {
        let executed = self.open.values().any(|row| row.position == Some(*key));
        executed || self.settling.contains_key(key) || self.errands.positions().any(|touched| touched == *key)
    }

    /// What became of positions is known.
    pub(super) fn settled(&mut self, entry: &VerifiedEntry) {
        if let Entry::Settlement(settlement) = entry.entry() {
            self.settling.remove(&settlement.record().position);
        }
    }

    /// The settlement of a position, if one is due and the institution can pay it.
    fn settlement(&self, due: &Due<'_>, ledger: &Ledger, now_ms: u64) -> Option<VerifiedEntry> {
        let act = match &due.position.state {
            PositionState::Waiting(waiting) => self.filled(waiting, due, now_ms),
            PositionState::Margin(margin) => self.margin_act(margin, due, now_ms),
        };
        let (instrument, key) = (&due.position.instrument, due.key);
        let act = act.inspect_err(|e| tracing::error!(%instrument, position = %key, error = %e, "no settlement"));
        let made = self.signed(act.ok()??, due, ledger, now_ms);
        let made = made.and_then(|entry| ledger.admits(&entry, now_ms).map(|()| entry));
        match made {
            Ok(entry) => Some(entry),
            Err(violation) if violation.rule == Rule::Overdraft => {
                tracing::warn!(%instrument, position = %key, %violation, "a settlement waits until the institution has the cash for it");
                None
            }
            Err(violation) => {
                tracing::error!(%instrument, position = %key, %violation, "a settlement does not hold");
                None
            }
        }
    }

    fn filled(&self, waiting: &Waiting, due: &Due<'_>, now_ms: u64) -> Result<Option<SettlementAct>, AmountError> {
        let after_ms = waiting.cut_off_ms.unwrap_or(waiting.accepted_ms);
        let priced_ms = due.quote.time_ms;
        // A price that a clock ahead of this one gave is waited for.
        if priced_ms <= after_ms || priced_ms > now_ms || due.listed.listing.status == ListingStatus::Suspended {
            return Ok(None);
        }
        Ok(Some(match fill(waiting, due.price, &due.listed.listing)? {
            Ok(deal) => SettlementAct::Fill { deal, priced_ms },
            Err(reason) => SettlementAct::Release(reason),
        }))
    }

    fn margin_act(&self, margin: &Margin, due: &Due<'_>, now_ms: u64) -> Result<Option<SettlementAct>, AmountError> {
        let Some(Dealing::Margin(terms)) = due.listed.listing.terms.as_ref().map(|terms| terms.dealing) else {
            return Ok(None);
        };
        let (price, priced_ms) = (due.price, due.quote.time_ms.min(now_ms));
        let close = |reason| Ok(Some(SettlementAct::Close { price, priced_ms, reason }));
        let decimals = due.listed.listing.decimals;
        let marked = margin.margin.plus(margin.gain(price, decimals)?)?;
        if due.listed.listing.status == ListingStatus::Closed {
            return close(CloseReason::Expired);
        }
        if !marked.is_positive() {
            return close(CloseReason::Exhausted);
        }
        if is_call_over(margin, &terms, (price, decimals), marked, now_ms)? {
            return close(CloseReason::Called);
        }
        let is_due = self.prices.settles(due.quote, margin.marked_ms) && price != margin.mark;
        Ok(is_due.then_some(SettlementAct::Mark { price, priced_ms }))
    }

    fn signed(
        &self,
        act: SettlementAct,
        due: &Due<'_>,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<VerifiedEntry, Violation> {
        let (account, subject) = (due.position.account, (due.key, due.position));
        let parties = Parties::of(self.network, account, &self.id);
        let postings = settlement_movements(&act, now_ms, subject, &parties, &due.listed.listing)?.postings;
        let record = Settlement {
            network: self.network,
            institution: self.id.clone(),
            position: due.key,
            account,
            parent: due.position.head,
            listing: due.listed.link,
            act,
            postings,
            settled_ms: now_ms,
        };
        let signed = Signed::sign(record, &self.key)?;
        validate::verify_entry(Entry::Settlement(Box::new(signed)), ledger.registry())
    }
}

/// Whether an instrument is dealt in so that accounts have positions in it.
fn has_positions(listed: &Listed) -> bool {
    let dealing = listed.listing.terms.as_ref().map(|terms| terms.dealing);
    matches!(dealing, Some(Dealing::Forward | Dealing::Margin(_)))
}

/// Whether a margin call has stood as long as it may, and the margin is still not restored at a price.
fn is_call_over(
    margin: &Margin,
    terms: &MarginTerms,
    (price, decimals): (Price, u8),
    marked: Amount,
    now_ms: u64,
) -> Result<bool, AmountError> {
    let Some(called_ms) = margin.called_ms else { return Ok(false) };
    let last_ms = called_ms.saturating_add(u64::from(terms.call_s).saturating_mul(1_000));
    Ok(now_ms >= last_ms && marked < requirement(terms, margin.quantity, price, decimals)?.initial)
}
