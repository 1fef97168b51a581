//! What the ledger settled by its own rules: orders that waited and were filled, positions closed out. Nobody asks the back office
//! for these, for nobody may decline them; it is told of each until it acknowledges. What it does not know yet is written in the
//! transaction of the block that commits it, so that no kill loses one.

use std::collections::BTreeMap;

use stemma_chain_format::chain::Entry;
use stemma_chain_format::hash::Link;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::validate::VerifiedEntry;

use super::Institution;
use super::back_office::{Ticket, Told};
use crate::role::RoleEffect;
use crate::store::{BookRow, Place, StoreError};

/// Settled trades of which the back office is being told.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// Settlement → where it stands on the ledger.
    by_key: BTreeMap<Link, Place>,
    /// The last of them.
    last: Option<Place>,
}

impl Telling {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// The place of a settlement of which the back office was told, once.
    pub(super) fn acknowledged(&mut self, key: &Link) -> Option<Place> {
        self.by_key.remove(key)
    }
}

impl Institution {
    /// Whether an entry is a settlement of this institution's.
    pub(super) fn has_settled(&self, entry: &VerifiedEntry) -> bool {
        matches!(entry.entry(), Entry::Settlement(settlement) if settlement.record().institution == self.id)
    }

    /// Tells the back office of the trades that were settled since this was last done; after a start, of all that it has not
    /// acknowledged.
    pub(super) fn tell_settled(
        &mut self,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<(), StoreError> {
        for (place, row) in self.store.untold(self.telling.last)? {
            self.telling.last = Some(place);
            let ticket = ticket(row, ledger);
            match self.back_office.tell(&ticket, now_ms) {
                Told::Now => effects.push(RoleEffect::ForgetUntold(place)),
                Told::Later => {
                    self.telling.by_key.insert(ticket.key, place);
                }
            }
        }
        Ok(())
    }
}

fn ticket(row: BookRow, ledger: &Ledger) -> Ticket {
    // Whatever was traded is listed: the decimals of a listing never change.
    let with_decimals = |instrument: InstrumentId| {
        let decimals = ledger.listing(&instrument).map_or(0, |listed| listed.listing.decimals);
        (instrument, decimals)
    };
    Ticket {
        key: row.chain,
        account: row.account,
        bank: row.bank,
        side: row.side,
        instrument: with_decimals(row.instrument),
        cash: with_decimals(row.cash),
        quantity: row.quantity,
        price: row.price,
        cost: row.cost,
        fee: row.fee,
    }
}
