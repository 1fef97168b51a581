//! An institution's book: every trade of its own that was committed, written in the transaction of the block.
//!
//! It follows from the ledger alone, and serves the rules that look back (lock-up, duplicates) and the reports.

use std::ops::Bound;

use redb::{ReadableTable, WriteTransaction};
use stemma_chain_format::amount::{Amount, Price, Rounding};
use stemma_chain_format::cbor;
use stemma_chain_format::chain::Chain;
use stemma_chain_format::execution::{Deal, PostingPurpose, ReferralOutcome};
use stemma_chain_format::hash::{AccountId, Digest, Link};
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::position::PositionState;
use stemma_chain_format::record::Signed;
use stemma_chain_format::referral::Referral;
use stemma_chain_format::request::{Side, Trade};
use stemma_chain_format::settlement::{Settlement, SettlementAct};
use stemma_consensus::state::CommittedBlock;
use stemma_node_api::moment;

use super::accounts::number_of;
use super::{Place, Store, StoreError, short, tables};

/// Largest encoding of a row, in bytes.
const ROW_BYTES_MAX: usize = 16 * 1024;

/// One committed trade: executed at once, at the next price, or to close a position out.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct BookRow {
    /// The chain's id, or the settlement's.
    #[n(0)]
    pub chain: Link,
    /// The agreed time of its block, in Unix milliseconds.
    #[n(1)]
    pub time_ms: u64,
    /// The account.
    #[n(2)]
    pub account: AccountId,
    /// Its bank.
    #[n(3)]
    pub bank: MemberId,
    /// Bought or sold.
    #[n(4)]
    pub side: Side,
    /// The instrument.
    #[n(5)]
    pub instrument: InstrumentId,
    /// Smallest units of it that changed hands.
    #[n(6)]
    pub quantity: Amount,
    /// The price.
    #[n(7)]
    pub price: Price,
    /// The cash that paid.
    #[n(8)]
    pub cash: InstrumentId,
    /// The cost, in smallest units of cash.
    #[n(9)]
    pub cost: Amount,
    /// The fee, in smallest units of cash.
    #[n(10)]
    pub fee: Amount,
    /// The rewards that the execution paid.
    #[n(11)]
    pub rewards: Vec<Rewarded>,
    /// The digest of what was asked, see [`asked`].
    #[n(12)]
    pub asked: Digest,
}

/// A reward that was paid.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Rewarded {
    /// To whom.
    #[n(0)]
    pub account: AccountId,
    /// In what.
    #[n(1)]
    pub instrument: InstrumentId,
    /// How much, above zero.
    #[n(2)]
    pub amount: Amount,
}

/// The digest of an order: two orders of an account that ask for the same have the same.
pub fn asked(trade: &Trade) -> Digest {
    Digest::of(&cbor::encode(trade))
}

/// What an instrument that was traded costs at a deal, by its listing: price times quantity, rounded half to even.
fn cost(deal: &Deal, instrument: &InstrumentId, committed: &CommittedBlock<'_>) -> Result<Amount, StoreError> {
    let changed = committed.changes.listings.get(instrument);
    let listed = changed.or_else(|| committed.before.listing(instrument));
    let decimals = listed.ok_or_else(|| StoreError::Damaged(format!("{instrument} is not listed")))?.listing.decimals;
    deal.price.cost(deal.quantity, decimals, Rounding::HalfEven).map_err(StoreError::damaged)
}

/// Writes a committed trade of this institution, by the account of this number; an order that only waits is none yet.
pub(super) fn write(
    txn: &WriteTransaction,
    chain: &Chain,
    (number, place): (u64, Place),
    committed: &CommittedBlock<'_>,
) -> Result<(), StoreError> {
    let (request, execution) = (chain.request.record(), chain.execution.record());
    let (Some(trade), Some(deal)) = (request.order.trade(), execution.outcome.deal()) else { return Ok(()) };
    let cost = cost(deal, &trade.instrument, committed)?;
    let paid = execution.postings.iter().filter(|p| p.purpose == PostingPurpose::Reward && p.amount.is_positive());
    let rewards = paid.map(|p| Rewarded { account: p.account, instrument: p.instrument.clone(), amount: p.amount });
    let row = BookRow {
        chain: chain.execution.link(),
        time_ms: committed.block.header.time_ms,
        account: request.account,
        bank: request.bank.clone(),
        side: trade.side,
        instrument: trade.instrument.clone(),
        quantity: deal.quantity,
        price: deal.price,
        cash: trade.cash.clone(),
        cost,
        fee: deal.fee,
        rewards: rewards.collect(),
        asked: asked(trade),
    };
    insert(txn, &row, (number, place))?;
    count_rewards(txn, &row)?;
    if execution.referral == Some(ReferralOutcome::Rewarded)
        && let Some(bytes) = &request.referral
    {
        let referral = Signed::<Referral>::decode(bytes.clone()).map_err(StoreError::damaged)?;
        let mut uses = txn.open_table(tables::REFERRAL_USES)?;
        let key = short(&use_of(referral.record()).0);
        let before = uses.get(key)?.map_or(0, |value| value.value());
        uses.insert(key, before.saturating_add(1))?;
    }
    Ok(())
}

fn insert(txn: &WriteTransaction, row: &BookRow, (number, place): (u64, Place)) -> Result<(), StoreError> {
    let Place { height, index } = place;
    txn.open_table(tables::BOOK)?.insert((height, index), cbor::encode(row).as_slice())?;
    let instrument = row.instrument.to_string();
    let key = (number, instrument.as_str(), height, index);
    txn.open_table(tables::BOOK_ACCOUNTS)?.insert(key, ())?;
    Ok(())
}

/// Writes the trade that a settlement of this institution was: an order that waited and was filled, a position closed out.
pub(super) fn write_settled(
    txn: &WriteTransaction,
    settlement: &Signed<Settlement>,
    (number, place): (u64, Place),
    committed: &CommittedBlock<'_>,
) -> Result<(), StoreError> {
    let record = settlement.record();
    let Some((side, deal, instrument, cash)) = traded(record, committed) else { return Ok(()) };
    let bank = committed.changes.accounts.get(&record.account).map(|touched| touched.state.bank.clone());
    let unknown = || StoreError::Damaged(format!("a settlement of the unknown account {}", record.account));
    let row = BookRow {
        chain: settlement.link(),
        time_ms: committed.block.header.time_ms,
        account: record.account,
        bank: bank.ok_or_else(unknown)?,
        side,
        quantity: deal.quantity,
        price: deal.price,
        cost: cost(&deal, &instrument, committed)?,
        instrument,
        cash,
        fee: deal.fee,
        rewards: Vec::new(),
        // Nothing was asked anew: what was is in the chain that opened the position.
        asked: Digest(settlement.link().0),
    };
    txn.open_table(tables::UNTOLD)?.insert((place.height, place.index), ())?;
    insert(txn, &row, (number, place))
}

/// The back office knows of the settlements at these places.
pub(super) fn forget_untold(txn: &WriteTransaction, told: &[Place]) -> Result<(), StoreError> {
    let mut untold = txn.open_table(tables::UNTOLD)?;
    for Place { height, index } in told {
        untold.remove((*height, *index))?;
    }
    Ok(())
}

/// Side, deal, instrument and cash of the trade that a settlement was, if it was one.
fn traded(record: &Settlement, committed: &CommittedBlock<'_>) -> Option<(Side, Deal, InstrumentId, InstrumentId)> {
    let before = committed.before.position(&record.position)?;
    let (instrument, cash) = (before.instrument.clone(), before.cash.clone());
    match (&record.act, &before.state) {
        (SettlementAct::Fill { deal, .. }, PositionState::Waiting(waiting)) => {
            Some((waiting.side, *deal, instrument, cash))
        }
        (SettlementAct::Close { price, .. }, PositionState::Margin(margin)) => {
            // A long position is closed by selling it, a short one by buying it back.
            let (side, quantity) = match margin.quantity.is_negative() {
                true => (Side::Buy, margin.quantity.negated()),
                false => (Side::Sell, margin.quantity),
            };
            Some((side, Deal { quantity, price: *price, fee: Amount::ZERO }, instrument, cash))
        }
        _ => None,
    }
}

/// Adds a trade's rewards to the sums: of all, of each promoter, of each promoter's day.
fn count_rewards(txn: &WriteTransaction, row: &BookRow) -> Result<(), StoreError> {
    let mut sums = txn.open_table(tables::REWARDS)?;
    for Rewarded { account, instrument, amount } in &row.rewards {
        let cash = instrument.to_string();
        let promoter = short(&account.0);
        let mut keys = vec![(0, 0)];
        if *account != row.account {
            keys.extend([(promoter, 0), (promoter, reward_day(row.time_ms))]);
        }
        for (promoter, day) in keys {
            let key = (cash.as_str(), promoter, day);
            let before = sums.get(key)?.map_or(0, |value| value.value());
            sums.insert(key, before.saturating_add(amount.units().unsigned_abs()))?;
        }
    }
    Ok(())
}

/// The day of a time (UTC), counted from 1970-01-01 as day 1: 0 stands for all days.
pub fn reward_day(time_ms: u64) -> u64 {
    time_ms.div_euclid(moment::DAY_MS).saturating_add(1)
}

/// What uses of a referral are counted by: all that it says, whatever its signature's bytes.
pub fn use_of(referral: &Referral) -> Digest {
    Digest::of(&cbor::encode(referral))
}

fn beyond(place: Option<Place>) -> Bound<(u64, u32)> {
    place.map_or(Bound::Unbounded, |Place { height, index }| Bound::Excluded((height, index)))
}

impl Store {
    /// The book from a place on, the oldest first, at most so many rows, each with its place.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn book(&self, after: Option<Place>, count: usize) -> Result<Vec<(Place, BookRow)>, StoreError> {
        let book = self.read()?.open_table(tables::BOOK)?;
        let rows = book.range::<(u64, u32)>((beyond(after), Bound::Unbounded))?.take(count).map(|row| {
            let (place, value) = row?;
            let (height, index) = place.value();
            Ok((Place { height, index }, decode(value.value())?))
        });
        rows.collect()
    }

    /// The settled trades, after a place, of which the back office has yet to be told, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn untold(&self, after: Option<Place>) -> Result<Vec<(Place, BookRow)>, StoreError> {
        let txn = self.read()?;
        let (untold, book) = (txn.open_table(tables::UNTOLD)?, txn.open_table(tables::BOOK)?);
        let rows = untold.range::<(u64, u32)>((beyond(after), Bound::Unbounded))?.map(|key| {
            let place = key?.0.value();
            let missing = || StoreError::Damaged(format!("there is no book row of the settlement at {place:?}"));
            let row = book.get(place)?.ok_or_else(missing)?;
            Ok((Place { height: place.0, index: place.1 }, decode(row.value())?))
        });
        rows.collect()
    }

    /// How many committed trades a referral was rewarded on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn referral_uses(&self, used: &Digest) -> Result<u64, StoreError> {
        let uses = self.read()?.open_table(tables::REFERRAL_USES)?;
        Ok(uses.get(short(&used.0))?.map_or(0, |value| value.value()))
    }

    /// The rewards paid in a cash: to all or to one promoter, on all days or on one ([`reward_day`]).
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn rewards_paid(
        &self,
        cash: &InstrumentId,
        promoter: Option<&AccountId>,
        day: Option<u64>,
    ) -> Result<Amount, StoreError> {
        let sums = self.read()?.open_table(tables::REWARDS)?;
        let key = (cash.to_string(), promoter.map_or(0, |id| short(&id.0)), day.unwrap_or(0));
        let sum = sums.get((key.0.as_str(), key.1, key.2))?.map_or(0, |value| value.value());
        i128::try_from(sum)
            .ok()
            .and_then(|units| Amount::new(units).ok())
            .ok_or_else(|| StoreError::Damaged(format!("the rewards in {cash} sum to {sum}, beyond 2^96")))
    }

    /// Whether an account has traded at this institution.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn has_traded(&self, account: &AccountId) -> Result<bool, StoreError> {
        let txn = self.read()?;
        let Some(number) = number_of(&txn, account)? else { return Ok(false) };
        let index = txn.open_table(tables::BOOK_ACCOUNTS)?;
        let first = index.range((number, "", 0, 0)..)?.next().transpose()?;
        Ok(first.is_some_and(|(key, _)| key.value().0 == number))
    }

    /// An account's trades of an instrument since a time, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn book_of(
        &self,
        account: &AccountId,
        instrument: &InstrumentId,
        since_ms: u64,
    ) -> Result<Vec<BookRow>, StoreError> {
        let txn = self.read()?;
        let index = txn.open_table(tables::BOOK_ACCOUNTS)?;
        let book = txn.open_table(tables::BOOK)?;
        let Some(number) = number_of(&txn, account)? else { return Ok(Vec::new()) };
        let code = instrument.to_string();
        let mut rows = Vec::new();
        for key in index.range((number, code.as_str(), 0, 0)..=(number, code.as_str(), u64::MAX, u32::MAX))?.rev() {
            let (_, _, height, at) = key?.0.value();
            let value = book.get((height, at))?;
            let value = value.ok_or_else(|| StoreError::Damaged(format!("the book has no row {height}, {at}")))?;
            let row = decode(value.value())?;
            if row.time_ms < since_ms {
                break;
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<BookRow, StoreError> {
    cbor::decode(bytes, "book row", ROW_BYTES_MAX).map_err(StoreError::damaged)
}
