//! The node's only store: one redb file. Each table is named in [`tables`], each kind of row has its file.
//!
//! Every write transaction is durable and committed in two phases, as redb's design asks of users with untrusted input.
//! Keys are sequential or small wherever a chain costs a row: redb pays for random keys with whole pages.

mod accounts;
mod activity;
mod blocks;
mod book;
mod copy;
mod errands;
mod history;
mod orders;
mod outbox;
mod positions;
mod prices;
mod referrals;
mod registry;
mod snapshot;
mod standing;
mod state;
mod tables;
mod verifiers;
mod wal;

use std::path::Path;
use std::sync::{Arc, Mutex};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};
use stemma_chain_format::hash::{Digest, NetworkId};
use stemma_chain_format::member::MemberId;

pub use activity::TRADE as TRADE_ACTIVITY;
pub use blocks::Place;
pub use book::{BookRow, Rewarded, asked, reward_day, use_of};
pub use errands::{ErrandRow, ErrandState, JudgedBytes};
pub use orders::{OrderKind, OrderRow, OrderState, Step};

pub use copy::Copied;
pub use outbox::{AnswerRow, Reserved, RoleWrites};
pub use prices::PriceRow;
pub use referrals::ReferralRow;
pub use snapshot::{BookReader, ReadAt, Snapshot};
pub use standing::{Silence, SilenceCause};
pub use state::StateReader;
pub use verifiers::{EnrolmentKind, EnrolmentRow, VerifierRow};
pub use wal::StoreLog;

/// Why the store failed. All of these are ours or the disk's fault; the node stops rather than go on without its store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened.
    #[error("cannot open the store {path}")]
    Open {
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: redb::DatabaseError,
    },
    /// Reading or writing failed.
    #[error("the store failed")]
    Redb(#[source] Box<redb::Error>),
    /// What is there is not what was written.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The store was made for another member, network or version.
    #[error("the store belongs to {found}, not to {expected}")]
    Foreign {
        /// Whose it should be.
        expected: String,
        /// Whose it is.
        found: String,
    },
}

macro_rules! from_redb {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for StoreError {
            /// All of redb's errors say the same to a node: its store failed; the cause is kept whole.
            fn from(e: redb::$error) -> Self {
                Self::Redb(Box::new(e.into()))
            }
        }
    )*};
}

from_redb!(TransactionError, TableError, StorageError, CommitError);

impl StoreError {
    pub(crate) fn damaged(e: impl std::fmt::Display) -> Self {
        Self::Damaged(e.to_string())
    }
}

/// The version of the tables' layout.
const LAYOUT_VERSION: u32 = 5;

/// The store. Clones share it; reads see the last committed transaction and never wait for a write.
#[derive(Clone)]
pub struct Store {
    db: Arc<Database>,
    owner: MemberId,
    /// Held by whoever makes anchors or forgets blocks: one at a time.
    history: Arc<Mutex<()>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or makes the store of a member in a network. redb locks the file: a second process is refused.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path, network: NetworkId, member: &MemberId) -> Result<Self, StoreError> {
        let db = Database::builder()
            .set_cache_size(256 << 20)
            .create(path)
            .map_err(|source| StoreError::Open { path: path.display().to_string(), source })?;
        let store = Self { db: Arc::new(db), owner: member.clone(), history: Arc::default() };
        let owner = owner_text(network, member);
        let txn = store.begin()?;
        {
            let mut meta = txn.open_table(tables::META)?;
            let found = meta.get("owner")?.map(|value| value.value().to_owned());
            match found {
                Some(found) if found == owner => {}
                Some(found) => return Err(StoreError::Foreign { expected: owner, found }),
                None => {
                    meta.insert("owner", owner.as_str())?;
                }
            }
        }
        tables::create_all(&txn)?;
        txn.commit()?;
        Ok(store)
    }

    /// Opens a store that is there, whoever's it is: for looking at a copy. It is never made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_copy(path: &Path, network: NetworkId, member: &MemberId) -> Result<Self, StoreError> {
        let db = Database::open(path);
        let db = db.map_err(|source| StoreError::Open { path: path.display().to_string(), source })?;
        let store = Self { db: Arc::new(db), owner: member.clone(), history: Arc::default() };
        let (expected, found) = (owner_text(network, member), store.note("owner")?);
        match found {
            Some(found) if found == expected => Ok(store),
            found => Err(StoreError::Foreign { expected, found: found.unwrap_or_else(|| "nobody".to_owned()) }),
        }
    }

    /// Begins a write: durable, in two phases.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let mut txn = self.db.begin_write()?;
        txn.set_two_phase_commit(true);
        Ok(txn)
    }

    /// Begins a read of the last committed state.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn read(&self) -> Result<ReadTransaction, StoreError> {
        Ok(self.db.begin_read()?)
    }

    /// A note under a name, such as an institution's trading day.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn note(&self, name: &str) -> Result<Option<String>, StoreError> {
        let meta = self.read()?.open_table(tables::META)?;
        Ok(meta.get(name)?.map(|value| value.value().to_owned()))
    }

    /// Keeps a proof that a validator contradicted itself; the same proof is kept once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_evidence(&self, proof: &[u8]) -> Result<(), StoreError> {
        let txn = self.begin()?;
        txn.open_table(tables::EVIDENCE)?.insert(short(&Digest::of(proof).0), proof)?;
        Ok(txn.commit()?)
    }

    /// A member's last announcement of its addresses, as it was stored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn announcements(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let announcements = self.read()?.open_table(tables::ANNOUNCEMENTS)?;
        announcements.iter()?.map(|row| Ok(row?.1.value().to_vec())).collect()
    }

    /// Stores a member's announcement of its addresses.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn keep_announcement(&self, member: &MemberId, envelope: &[u8]) -> Result<(), StoreError> {
        let txn = self.begin()?;
        txn.open_table(tables::ANNOUNCEMENTS)?.insert(member.as_str(), envelope)?;
        Ok(txn.commit()?)
    }

    /// Stores a note under a name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn set_note(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let txn = self.begin()?;
        txn.open_table(tables::META)?.insert(name, value)?;
        Ok(txn.commit()?)
    }
}

fn owner_text(network: NetworkId, member: &MemberId) -> String {
    format!("layout {LAYOUT_VERSION}, network {network}, member {member}")
}

/// The first half of an id: long enough that honest ids never meet, and half the key to store.
fn short(id: &[u8; 32]) -> u128 {
    let mut half = [0_u8; 16];
    half.iter_mut().zip(id).for_each(|(to, from)| *to = *from);
    u128::from_be_bytes(half)
}
