//! Failed attempts, counted per identity and per source: growing delays, then a lock-out.
//!
//! A pure state machine: the caller passes the time, asks [`check`](Attempts::check) before it verifies, reports the
//! outcome, and persists the rows that a report changed before it answers. The account's key has signed every request
//! that comes this far, so nobody locks somebody else's identity by failing in his name; keep that order.
//!
//! - From failure number `delay_from` on, the next attempt waits `delay_ms`, doubled with each further failure up
//!   to `lock_ms`.
//! - From failure number `lock_from` on it waits `lock_ms` instead, doubled with each further failure, up to
//!   `lock_ms_max`.
//! - Failures are forgotten `forget_ms` after the last one's wait; an identity's also when it succeeds. A source's are
//!   not: otherwise whoever owns one good identity could try others without end.
//! - At most `sources_max` sources are kept; the one whose last failure is longest ago goes first. Identities are
//!   bounded by the accounts that there are. A source is kept as the BLAKE3 of its name, so its rows have one size.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use stemma_chain_format::cbor::{self, DecodeError};
use stemma_chain_format::hash::{AccountId, Digest};

/// Largest row, in bytes.
pub const ROW_BYTES_MAX: usize = 256;

/// How failures are answered. A table that is given is given whole: what is left out has no second meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttemptSettings {
    /// Most sources kept.
    pub sources_max: usize,
    /// For one type of one account.
    pub identity: Limits,
    /// For one source, such as an address that many customers may share.
    pub source: Limits,
}

impl Default for AttemptSettings {
    /// An identity: 1 s from the third failure on, doubled; 15 min from the tenth on, doubled up to 24 h; forgotten
    /// after a day. A source is given ten times as many failures. 100,000 sources.
    fn default() -> Self {
        let (quarter_hour, day) = (15 * 60_000, 86_400_000);
        let identity = Limits {
            delay_from: 3,
            delay_ms: 1000,
            lock_from: 10,
            lock_ms: quarter_hour,
            lock_ms_max: day,
            forget_ms: day,
        };
        Self { sources_max: 100_000, identity, source: Limits { delay_from: 30, lock_from: 100, ..identity } }
    }
}

/// How the failures of one subject are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The first failure that is followed by a delay.
    pub delay_from: u32,
    /// That delay; each further failure doubles it, up to `lock_ms`.
    pub delay_ms: u64,
    /// The first failure that locks.
    pub lock_from: u32,
    /// That lock; each further failure doubles it.
    pub lock_ms: u64,
    /// The longest lock.
    pub lock_ms_max: u64,
    /// How long after the last failure's wait failures are forgotten.
    pub forget_ms: u64,
}

/// Who failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
#[cbor(flat)]
pub enum Subject {
    /// A type of an account.
    #[n(0)]
    Identity(#[n(0)] AccountId, #[n(1)] String),
    /// The BLAKE3 of a source's name.
    #[n(1)]
    Source(#[n(0)] Digest),
}

/// The failures of one subject, as the caller persists them.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct Row {
    /// Whose.
    #[n(0)]
    pub subject: Subject,
    /// How many since the last success or forgetting.
    #[n(1)]
    pub failures: u32,
    /// When the last one was, in milliseconds since 1970.
    #[n(2)]
    pub failed_ms: u64,
    /// Until when the next attempt waits.
    #[n(3)]
    pub until_ms: u64,
}

/// What the caller is to persist after a report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows to write under their subjects.
    pub put: Vec<Row>,
    /// Subjects whose rows go.
    pub gone: Vec<Subject>,
}

/// The next attempt has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} until {until_ms} ms after 1970", if *.locked { "locked" } else { "wait" })]
pub struct Wait {
    /// Until when, in milliseconds since 1970.
    pub until_ms: u64,
    /// Whether it is a lock-out rather than a delay.
    pub locked: bool,
}

/// All failures that count.
#[derive(Debug, Clone, Default)]
pub struct Attempts {
    settings: AttemptSettings,
    rows: BTreeMap<Subject, Row>,
    /// The sources among them by their last failure.
    sources: BTreeSet<(u64, Subject)>,
}

impl Row {
    /// The row as it is persisted.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads a persisted row.
    ///
    /// # Errors
    /// Not the one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        cbor::decode(bytes, "attempts", ROW_BYTES_MAX)
    }
}

impl Subject {
    /// One type of one account.
    pub fn identity(account: AccountId, kind: &str) -> Self {
        Self::Identity(account, kind.to_owned())
    }

    /// A source by its name, such as an address.
    pub fn source(name: &str) -> Self {
        Self::Source(Digest::of(name.as_bytes()))
    }
}

impl Attempts {
    /// Starts from what was persisted.
    pub fn new(settings: AttemptSettings, rows: impl IntoIterator<Item = Row>) -> Self {
        let mut attempts = Self { settings, ..Self::default() };
        for row in rows {
            attempts.put(row);
        }
        attempts
    }

    /// Whether an attempt may be made now; the longer wait of identity and source.
    ///
    /// # Errors
    /// [`Wait`] says until when not.
    pub fn check(&self, account: AccountId, kind: &str, source: &str, now_ms: u64) -> Result<(), Wait> {
        let subjects = [Subject::identity(account, kind), Subject::source(source)];
        let waits = subjects.iter().filter_map(|subject| self.rows.get(subject)).filter(|row| row.until_ms > now_ms);
        let longest = waits.max_by_key(|row| row.until_ms);
        longest.map_or(Ok(()), |row| {
            let locked = row.failures >= self.limits(&row.subject).lock_from;
            Err(Wait { until_ms: row.until_ms, locked })
        })
    }

    /// An attempt failed, of an account that there is and a type that is known: nothing else bounds these rows.
    pub fn failed(&mut self, account: AccountId, kind: &str, source: &str, now_ms: u64) -> Changes {
        let mut changes = Changes::default();
        for subject in [Subject::identity(account, kind), Subject::source(source)] {
            let limits = self.limits(&subject);
            let known = self.rows.get(&subject).filter(|row| !is_forgotten(row, limits, now_ms));
            let failures = known.map_or(0, |row| row.failures).saturating_add(1);
            let until_ms = now_ms.saturating_add(limits.wait_ms(failures));
            // A clock set back shortens no wait.
            let until_ms = until_ms.max(known.map_or(0, |row| row.until_ms));
            let row = Row { subject, failures, failed_ms: now_ms, until_ms };
            changes.put.push(row.clone());
            self.put(row);
        }
        while self.sources.len() > self.settings.sources_max {
            let Some((_, subject)) = self.sources.pop_first() else { break };
            self.rows.remove(&subject);
            changes.put.retain(|row| row.subject != subject);
            changes.gone.push(subject);
        }
        changes
    }

    /// An attempt succeeded: the identity's failures are forgotten, the source's are not.
    pub fn succeeded(&mut self, account: AccountId, kind: &str) -> Changes {
        let subject = Subject::identity(account, kind);
        let gone = self.rows.remove(&subject).map(|row| row.subject);
        Changes { put: Vec::new(), gone: gone.into_iter().collect() }
    }

    /// Drops what is forgotten; to be called from time to time.
    pub fn forget(&mut self, now_ms: u64) -> Changes {
        let rows = self.rows.values();
        let old = rows.filter(|row| is_forgotten(row, self.limits(&row.subject), now_ms)).cloned();
        let old: Vec<Row> = old.collect();
        for row in &old {
            self.rows.remove(&row.subject);
            self.sources.remove(&(row.failed_ms, row.subject.clone()));
        }
        Changes { put: Vec::new(), gone: old.into_iter().map(|row| row.subject).collect() }
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    fn put(&mut self, row: Row) {
        let is_source = matches!(row.subject, Subject::Source(_));
        let place = (row.failed_ms, row.subject.clone());
        if let Some(before) = self.rows.insert(row.subject.clone(), row) {
            self.sources.remove(&(before.failed_ms, before.subject));
        }
        if is_source {
            self.sources.insert(place);
        }
    }

    fn limits(&self, subject: &Subject) -> &Limits {
        match subject {
            Subject::Identity(..) => &self.settings.identity,
            Subject::Source(_) => &self.settings.source,
        }
    }
}

impl Limits {
    fn wait_ms(&self, failures: u32) -> u64 {
        let doubled = |ms: u64, times: u32| ms.saturating_mul(1_u64.checked_shl(times).unwrap_or(u64::MAX));
        if let Some(times) = failures.checked_sub(self.lock_from) {
            return doubled(self.lock_ms, times).min(self.lock_ms_max);
        }
        let delay = failures.checked_sub(self.delay_from).map_or(0, |times| doubled(self.delay_ms, times));
        delay.min(self.lock_ms)
    }
}

fn is_forgotten(row: &Row, limits: &Limits, now_ms: u64) -> bool {
    row.until_ms.saturating_add(limits.forget_ms) <= now_ms
}
