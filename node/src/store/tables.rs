//! Every table, in one place: what its key and value are.

use redb::{Key, TableDefinition, Value, WriteTransaction};

use super::StoreError;

/// Notes by name: `owner`, `trading-day`, `trading-day-ms`, `moved`, `silenced:` and a validator key.
pub(super) const META: TableDefinition<'static, &str, &str> = TableDefinition::new("meta");

/// Height → CBOR `[block, certificate, [entry bytes, …]]`, a whole block as one value.
pub(super) const BLOCKS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("blocks");
/// Half of an entry's id → (height, index in the block).
pub(super) const ENTRIES: TableDefinition<'static, u128, (u64, u32)> = TableDefinition::new("entries");
/// `entries` and `trades` → how many were committed.
pub(super) const COUNTS: TableDefinition<'static, &str, u64> = TableDefinition::new("counts");

/// Account id → its number, given in the order of opening.
pub(super) const NUMBERS: TableDefinition<'static, [u8; 32], u64> = TableDefinition::new("numbers");
/// Account number → CBOR account state. A cache: an audit derives it anew from the chains.
pub(super) const ACCOUNTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("accounts");
/// (account number, sequence) → (height, index) of that chain; sequence 0 is the opening record.
pub(super) const LINEAGES: TableDefinition<'static, (u64, u64), (u64, u32)> = TableDefinition::new("lineages");
/// (account number, n) → CBOR of the n-th credit that the account received, from 0.
pub(super) const CREDITS: TableDefinition<'static, (u64, u64), &[u8]> = TableDefinition::new("credits");
/// Account number → (how many credits came before those that are here, their running digest), where the history here does not begin with the genesis.
pub(super) const CREDIT_BASES: TableDefinition<'static, u64, (u64, [u8; 32])> = TableDefinition::new("credit_bases");
/// Half of an entry's id → its bytes, of listings whose blocks are not here.
pub(super) const ENTRIES_APART: TableDefinition<'static, u128, &[u8]> = TableDefinition::new("entries_apart");
/// (account id, position key) → CBOR position. A cache, like the accounts.
pub(super) const POSITIONS: TableDefinition<'static, ([u8; 32], [u8; 32]), &[u8]> = TableDefinition::new("positions");
/// (account number, half of a position key, height, index) → nothing: the settlements of an account's positions.
pub(super) const SETTLEMENTS: TableDefinition<'static, (u64, u128, u64, u32), ()> = TableDefinition::new("settlements");
/// Instrument → half of its listing's id.
pub(super) const LISTINGS: TableDefinition<'static, &str, u128> = TableDefinition::new("listings");

/// (height, account number) → CBOR `[holding, digest before what waits]`: what an account held at a block, with the proof, so that its lineage
/// can be proved from there on.
pub(super) const ANCHORS: TableDefinition<'static, (u64, u64), &[u8]> = TableDefinition::new("anchors");
/// Height of which all anchors are here → how many.
pub(super) const ANCHORED: TableDefinition<'static, u64, u64> = TableDefinition::new("anchored");
/// Height → CBOR `[header, certificate]` of a block whose entries are not kept.
pub(super) const HEADERS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("headers");

/// Height → CBOR member registry that is in force from there on. Its root stands in the header of the block before.
pub(super) const REGISTRIES: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("registries");
/// Height → CBOR `[[governance record, …], [header, certificate]]` of a block that holds governance records.
pub(super) const TRUST: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("trust");
/// Member → its last announcement of addresses, a signed envelope.
pub(super) const ANNOUNCEMENTS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("announcements");

/// Order of writing → (height, log entry) of consensus.
pub(super) const WAL: TableDefinition<'static, u64, (u64, &[u8])> = TableDefinition::new("wal");

/// Half of the BLAKE3 of a proof of misbehaviour → its bytes.
pub(super) const EVIDENCE: TableDefinition<'static, u128, &[u8]> = TableDefinition::new("evidence");

/// A bank's orders: number in the order of arrival → CBOR order row.
pub(super) const ORDERS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("orders");
/// Half of an order's link → its number.
pub(super) const ORDER_NUMBERS: TableDefinition<'static, u128, u64> = TableDefinition::new("order_numbers");
/// (half of an account id, order's number) → nothing: an account's orders in order.
pub(super) const ACCOUNT_ORDERS: TableDefinition<'static, (u128, u64), ()> = TableDefinition::new("account_orders");
/// (half of an account id, the client's own name for an order) → its number.
pub(super) const ORDER_KEYS: TableDefinition<'static, (u128, &str), u64> = TableDefinition::new("order_keys");
/// Numbers of the orders that are not final.
pub(super) const OPEN_ORDERS: TableDefinition<'static, u64, ()> = TableDefinition::new("open_orders");
/// Number of an account of this bank → (activity, in millionths of a trade; the block time in ms that it is true at).
/// A cache: it follows from the account's committed chains.
pub(super) const ACTIVITY: TableDefinition<'static, u64, (u64, u64)> = TableDefinition::new("activity");
/// (account id, identity type) → CBOR verifier row. Never evidence.
pub(super) const VERIFIERS: TableDefinition<'static, ([u8; 32], &str), &[u8]> = TableDefinition::new("verifiers");
/// Who failed to prove an identity → CBOR of how often, and until when it waits.
pub(super) const ATTEMPTS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("attempts");
/// Number in order → CBOR of an enrolment, replacement or removal of a verifier.
pub(super) const ENROLMENT_LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("enrolment_log");
/// Slot of a ring → CBOR order row: the last orders turned away because nobody proved to be the account's holder.
pub(super) const TURNED_AWAY: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("turned_away");
/// Half of a promotion's link → CBOR of the referral that answers it.
pub(super) const REFERRALS: TableDefinition<'static, u128, &[u8]> = TableDefinition::new("referrals");
/// Account id → the highest counter accepted at this bank.
pub(super) const COUNTERS: TableDefinition<'static, [u8; 32], u64> = TableDefinition::new("counters");

/// An institution's answers: number in the order of answering → CBOR answer row.
pub(super) const ANSWERS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("answers");
/// Half of an endorsement's link → its answer's number.
pub(super) const ANSWER_NUMBERS: TableDefinition<'static, u128, u64> = TableDefinition::new("answer_numbers");
/// Numbers of the answers that reserve something: executed, not yet committed or expired.
pub(super) const OPEN_ANSWERS: TableDefinition<'static, u64, ()> = TableDefinition::new("open_answers");
/// Errands at an institution's back office: number in the order of asking → CBOR errand row; gone once all is acknowledged.
pub(super) const ERRANDS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("errands");

/// (height, index) → nothing: the settlements in an institution's book of which its back office has yet to be told.
pub(super) const UNTOLD: TableDefinition<'static, (u64, u32), ()> = TableDefinition::new("untold");

/// An institution's committed trades: (height, index) → CBOR book row. A cache: it follows from the chains.
pub(super) const BOOK: TableDefinition<'static, (u64, u32), &[u8]> = TableDefinition::new("book");
/// (account number, instrument, height, index) → nothing: an account's trades of an instrument in order.
pub(super) const BOOK_ACCOUNTS: TableDefinition<'static, (u64, &str, u64, u32), ()> =
    TableDefinition::new("book_accounts");

/// An institution's instrument code → (its last price as quoted, the price's time in Unix ms), of prices that were pushed or fetched.
pub(super) const PRICES: TableDefinition<'static, &str, (&str, u64)> = TableDefinition::new("prices");
/// Half of what a referral says → how many committed trades it was rewarded on.
pub(super) const REFERRAL_USES: TableDefinition<'static, u128, u64> = TableDefinition::new("referral_uses");
/// (cash, half of a promoter's id or 0 for all, day from 1970-01-01 or 0 for all) → the sum of rewards paid, in smallest units.
pub(super) const REWARDS: TableDefinition<'static, (&str, u128, u64), u128> = TableDefinition::new("rewards");

/// Does the same with every table.
pub(super) trait Visitor {
    /// Does it with one.
    fn visit<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<(), StoreError>;
}

/// Shows a visitor every table there is.
pub(super) fn visit_all(visitor: &mut impl Visitor) -> Result<(), StoreError> {
    visitor.visit(META)?;
    visitor.visit(BLOCKS)?;
    visitor.visit(ENTRIES)?;
    visitor.visit(COUNTS)?;
    visitor.visit(NUMBERS)?;
    visitor.visit(ACCOUNTS)?;
    visitor.visit(LINEAGES)?;
    visitor.visit(CREDITS)?;
    visitor.visit(CREDIT_BASES)?;
    visitor.visit(ENTRIES_APART)?;
    visitor.visit(POSITIONS)?;
    visitor.visit(SETTLEMENTS)?;
    visitor.visit(LISTINGS)?;
    visitor.visit(ANCHORS)?;
    visitor.visit(ANCHORED)?;
    visitor.visit(HEADERS)?;
    visitor.visit(REGISTRIES)?;
    visitor.visit(TRUST)?;
    visitor.visit(ANNOUNCEMENTS)?;
    visitor.visit(WAL)?;
    visitor.visit(EVIDENCE)?;
    visitor.visit(ORDERS)?;
    visitor.visit(ORDER_NUMBERS)?;
    visitor.visit(ACCOUNT_ORDERS)?;
    visitor.visit(ORDER_KEYS)?;
    visitor.visit(OPEN_ORDERS)?;
    visitor.visit(ACTIVITY)?;
    visitor.visit(TURNED_AWAY)?;
    visitor.visit(VERIFIERS)?;
    visitor.visit(ATTEMPTS)?;
    visitor.visit(ENROLMENT_LOG)?;
    visitor.visit(REFERRALS)?;
    visitor.visit(COUNTERS)?;
    visitor.visit(ANSWERS)?;
    visitor.visit(ANSWER_NUMBERS)?;
    visitor.visit(OPEN_ANSWERS)?;
    visitor.visit(ERRANDS)?;
    visitor.visit(UNTOLD)?;
    visitor.visit(BOOK)?;
    visitor.visit(BOOK_ACCOUNTS)?;
    visitor.visit(REFERRAL_USES)?;
    visitor.visit(REWARDS)?;
    visitor.visit(PRICES)?;
    Ok(())
}

/// Opens every table once, so that later reads find them.
pub(super) fn create_all(txn: &WriteTransaction) -> Result<(), StoreError> {
    struct Open<'t>(&'t WriteTransaction);
    impl Visitor for Open<'_> {
        fn visit<K: Key + 'static, V: Value + 'static>(
            &mut self,
            table: TableDefinition<'static, K, V>,
        ) -> Result<(), StoreError> {
            self.0.open_table(table)?;
            Ok(())
        }
    }
    visit_all(&mut Open(txn))
}
