//! A key as shares, of which some restore it.

use std::collections::BTreeSet;
use std::fmt;

use vsss_rs::Gf256;
use zeroize::{Zeroize, Zeroizing};

use super::{WordError, field, rows, words};
use crate::random::SystemRandom;
use crate::{Purpose, SecretKey, fingerprint};

/// The most shares of one key.
pub const COUNT_MAX: u8 = 32;

const VERSION: u8 = 1;
const WORDS: usize = 35;
const BYTES: usize = 48;
const CHECKED_BYTES: usize = 44;
const CHECKSUM_CONTEXT: &str = "stemma 2026 key share checksum";

/// A key can't be split so.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// No such numbers.
    #[error(
        "{threshold} of {count} is not possible: at least 2 shares restore a key, and there are at most {COUNT_MAX}"
    )]
    Numbers {
        /// How many restore.
        threshold: u8,
        /// How many there are.
        count: u8,
    },
    /// No randomness.
    #[error("the operating system gave no randomness")]
    Random(#[source] getrandom::Error),
    /// The library refused: our fault.
    #[error("the key could not be split: {0}")]
    Library(String),
}

/// What can't be read as a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// Not 35 words of the list.
    #[error("the words can't be read")]
    Words(#[source] WordError),
    /// The checksum does not hold.
    #[error("the share is damaged: all words are in the list, but one is wrong, or two were exchanged")]
    Checksum,
    /// The checksum holds, and what it covers is of no version that we know.
    #[error("the share is of a version that this program does not know, or its numbers make no sense")]
    Unknown,
}

/// Shares that don't restore a key. Each is named by its place among those given, from 0.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CombineError {
    /// None at all.
    #[error("there is no share")]
    None,
    /// A share of another key.
    #[error("one share is of the key {one}, another of the key {other}")]
    OtherKey {
        /// Key id of the first.
        one: String,
        /// Key id of the other.
        other: String,
        /// The other's place.
        place: usize,
    },
    /// A share of the same key from another splitting.
    #[error(
        "one share is of the set {one}, another of the set {other}: they were made by two backups of the key {key}"
    )]
    OtherSet {
        /// The key.
        key: String,
        /// Set of the first.
        one: String,
        /// Set of the other.
        other: String,
        /// The other's place.
        place: usize,
    },
    /// The same share twice.
    #[error("share {index} is given twice")]
    Twice {
        /// Its number.
        index: u8,
        /// The second's place.
        place: usize,
    },
    /// Fewer than the threshold.
    #[error("{threshold} shares are needed, and {found} are here")]
    TooFew {
        /// How many are needed.
        threshold: u8,
        /// How many there are.
        found: usize,
    },
    /// All checks of the shares hold, and yet the key is another: a share was made up.
    #[error("the shares belong together, but give another key than they name: one of them was forged")]
    KeyMismatch,
}

/// One share of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Share {
    purpose: Purpose,
    threshold: u8,
    count: u8,
    index: u8,
    set: [u8; 4],
    key_id: [u8; 4],
    value: Zeroizing<[u8; 32]>,
    /// From the line beside the words, where there is one.
    public_key: Option<String>,
}

/// Splits a key into `count` shares, of which any `threshold` restore it.
///
/// # Errors
/// See [`SplitError`].
pub fn split(key: &SecretKey, threshold: u8, count: u8) -> Result<Vec<Share>, SplitError> {
    if !(2..=count).contains(&threshold) || count > COUNT_MAX {
        return Err(SplitError::Numbers { threshold, count });
    }
    let mut random = SystemRandom::default();
    let parts = Gf256::split_bytes(threshold.into(), count.into(), key.seed(), &mut random);
    // Asked first: what was made without randomness must not leave this function.
    random.result().map_err(SplitError::Random)?;
    let mut set = [0; 4];
    getrandom::fill(&mut set).map_err(SplitError::Random)?;
    let mut shares = Vec::with_capacity(count.into());
    for part in parts.map_err(|error| SplitError::Library(error.to_string()))? {
        let part = Zeroizing::new(part);
        let Some((index, bytes)) = part.split_first() else { continue };
        let mut value = Zeroizing::new([0; 32]);
        value.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        shares.push(Share {
            purpose: key.purpose(),
            threshold,
            count,
            index: *index,
            set,
            key_id: key_id(key),
            value,
            public_key: Some(hex::encode(key.public_key())),
        });
    }
    Ok(shares)
}

/// Restores a key from its shares, at least as many as needed.
///
/// # Errors
/// See [`CombineError`]: each mistake is named.
pub fn combine(shares: &[Share]) -> Result<SecretKey, CombineError> {
    let first = shares.first().ok_or(CombineError::None)?;
    let mut indices = BTreeSet::new();
    for (place, share) in shares.iter().enumerate() {
        if share.key_id != first.key_id {
            return Err(CombineError::OtherKey { one: first.key_id(), other: share.key_id(), place });
        }
        if !share.is_of_the_set_of(first) {
            let (key, one, other) = (first.key_id(), first.set(), share.set());
            return Err(CombineError::OtherSet { key, one, other, place });
        }
        if !indices.insert(share.index) {
            return Err(CombineError::Twice { index: share.index, place });
        }
    }
    if shares.len() < first.threshold.into() {
        return Err(CombineError::TooFew { threshold: first.threshold, found: shares.len() });
    }
    let mut parts: Vec<Vec<u8>> = shares.iter().map(Share::part).collect();
    let combined = Gf256::combine_bytes(&parts).map(Zeroizing::new);
    parts.iter_mut().for_each(Zeroize::zeroize);
    let combined = combined.map_err(|_| CombineError::KeyMismatch)?;
    let mut seed = Zeroizing::new([0; 32]);
    seed.iter_mut().zip(combined.iter()).for_each(|(to, from)| *to = *from);
    let key = SecretKey::from_seed(&seed, first.purpose);
    let public_key = hex::encode(key.public_key());
    let is_named = |named: &String| *named == public_key;
    if key_id(&key) != first.key_id || !shares.iter().filter_map(|share| share.public_key.as_ref()).all(is_named) {
        return Err(CombineError::KeyMismatch);
    }
    Ok(key)
}

impl Share {
    /// What the key is for.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// How many shares restore the key.
    #[must_use]
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u8 {
        self.count
    }

    /// Which one this is, from 1.
    #[must_use]
    pub fn index(&self) -> u8 {
        self.index
    }

    /// The beginning of the key's fingerprint, in hexadecimal.
    #[must_use]
    pub fn key_id(&self) -> String {
        hex::encode(self.key_id)
    }

    /// What all shares of one splitting have in common, in hexadecimal.
    #[must_use]
    pub fn set(&self) -> String {
        hex::encode(self.set)
    }

    /// The words in rows, under lines that say what they are.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let Self { purpose, threshold, count, index, .. } = self;
        let numbers = words::pack(self.encode().as_slice());
        let rows = rows(&numbers);
        let mut heading = format!(
            "Stemma-Share: {index} of {count}, any {threshold} of them restore the key\n\
             Stemma-Purpose: {purpose}\nKey-Id: {}\nSet: {}\n",
            self.key_id(),
            self.set()
        );
        if let Some(public_key) = &self.public_key {
            heading.push_str(&format!("Public-Key: {public_key}\n"));
        }
        let mut text = Zeroizing::new(String::with_capacity(heading.len().saturating_add(rows.len())));
        text.push_str(&heading);
        text.push_str(&rows);
        text
    }

    /// Reads a share's words. Of the lines beside them only `Public-Key` is looked at: everything else is in the words.
    ///
    /// # Errors
    /// Names the word's place, or says that the checksum does not hold.
    pub fn parse(text: &str) -> Result<Self, ShareError> {
        let numbers = words::numbers(text, WORDS).map_err(ShareError::Words)?;
        let bytes = words::unpack::<BYTES>(&numbers).ok_or(ShareError::Checksum)?;
        let (checked, sum) = bytes.split_at_checked(CHECKED_BYTES).ok_or(ShareError::Checksum)?;
        if checksum(checked).as_slice() != sum {
            return Err(ShareError::Checksum);
        }
        let [kind, threshold, count, index, rest @ ..] = checked else { return Err(ShareError::Unknown) };
        let (set, rest) = rest.split_first_chunk().ok_or(ShareError::Unknown)?;
        let (key_id, rest) = rest.split_first_chunk().ok_or(ShareError::Unknown)?;
        let value: [u8; 32] = rest.try_into().map_err(|_| ShareError::Unknown)?;
        let purpose = Purpose::ALL.get(usize::from(kind & 0x0f)).filter(|_| kind >> 4 == VERSION);
        let makes_sense = (2..=*count).contains(threshold) && (1..=*count).contains(index) && *count <= COUNT_MAX;
        Ok(Self {
            purpose: *purpose.filter(|_| makes_sense).ok_or(ShareError::Unknown)?,
            threshold: *threshold,
            count: *count,
            index: *index,
            set: *set,
            key_id: *key_id,
            value: Zeroizing::new(value),
            public_key: field(text, "Public-Key").map(str::to_owned),
        })
    }

    fn is_of_the_set_of(&self, other: &Self) -> bool {
        let common = |share: &Self| (share.set, share.purpose, share.threshold, share.count);
        common(self) == common(other)
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let place = Purpose::ALL.iter().position(|purpose| *purpose == self.purpose).unwrap_or_default();
        let kind = VERSION << 4 | u8::try_from(place).unwrap_or_default();
        let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES));
        bytes.extend_from_slice(&[kind, self.threshold, self.count, self.index]);
        bytes.extend_from_slice(&self.set);
        bytes.extend_from_slice(&self.key_id);
        bytes.extend_from_slice(self.value.as_slice());
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }

    /// As the library takes it: the index, then the value.
    fn part(&self) -> Vec<u8> {
        let mut part = Vec::with_capacity(33);
        part.push(self.index);
        part.extend_from_slice(self.value.as_slice());
        part
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Share");
        shown.field("index", &self.index).field("threshold", &self.threshold).field("key_id", &self.key_id());
        shown.finish_non_exhaustive()
    }
}

fn key_id(key: &SecretKey) -> [u8; 4] {
    fingerprint(&key.public_key()).first_chunk().copied().unwrap_or_default()
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    blake3::derive_key(CHECKSUM_CONTEXT, bytes).first_chunk().copied().unwrap_or_default()
}
