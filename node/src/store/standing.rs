//! What a home may do: whether its validator's key may still sign here, and whether it was moved elsewhere.
//!
//! Marks are never taken away, but that of a move out of the copy that goes on. That a key is silenced is said of the key, so that another key, once the registry names it,
//! votes in the same home.

use serde::{Deserialize, Serialize};
use stemma_chain_format::keys::PublicKey;

use super::{Store, StoreError, tables};

/// The name of the note that says that a home was moved, and when (Unix milliseconds).
const MOVED: &str = "moved";

/// Why a key does not sign in a home any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Why.
    pub cause: SilenceCause,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
    /// The height at which it was silenced.
    pub height: u64,
}

/// Why a key was silenced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum SilenceCause {
    /// The home was restored from a backup that was not its source's last word.
    Restored,
    /// Others have a signature by the key that this home does not know of.
    UnknownSignature {
        /// `proposal`, `prevote` or `precommit`.
        signed: String,
        /// Its height.
        height: u64,
        /// Its round.
        round: u32,
    },
}

impl std::fmt::Display for SilenceCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Restored => {
                f.write_str("this home was restored from a backup after which its source may have signed more")
            }
            Self::UnknownSignature { signed, height, round } => write!(
                f,
                "others have a {signed} of height {height}, round {round} by its validator key that this home did not \
                 sign: it is an older copy, or the key is used elsewhere"
            ),
        }
    }
}

fn note_of(key: &PublicKey) -> String {
    format!("silenced:{key}")
}

impl Store {
    /// Why a validator's key does not sign here any more; nothing where it may.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn silence_of(&self, key: &PublicKey) -> Result<Option<Silence>, StoreError> {
        self.note(&note_of(key))?.map(|text| serde_json::from_str(&text).map_err(StoreError::damaged)).transpose()
    }

    /// Silences a validator's key here for ever; durable when this returns. The first reason stays.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn silence(&self, key: &PublicKey, silence: &Silence) -> Result<(), StoreError> {
        if self.silence_of(key)?.is_some() {
            return Ok(());
        }
        let text = serde_json::to_string(silence).map_err(StoreError::damaged)?;
        self.set_note(&note_of(key), &text)
    }

    /// When this home was moved, in Unix milliseconds; nothing where it was not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn moved_ms(&self) -> Result<Option<u64>, StoreError> {
        self.note(MOVED)?.map(|text| text.parse().map_err(StoreError::damaged)).transpose()
    }

    /// Takes the mark out of a copy that is to go on in the moved home's place.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_move(&self) -> Result<(), StoreError> {
        let txn = self.begin()?;
        txn.open_table(tables::META)?.remove(MOVED)?;
        Ok(txn.commit()?)
    }

    /// Marks this home as moved, for ever: a copy of it elsewhere signs from now on. Durable when this returns.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn mark_moved(&self, now_ms: u64) -> Result<(), StoreError> {
        if self.moved_ms()?.is_some() {
            return Ok(());
        }
        self.set_note(MOVED, &now_ms.to_string())
    }
}

#[cfg(test)]
mod tests {
    use stemma_chain_format::hash::NetworkId;

    use super::*;

    #[test]
    fn marks_stay_and_are_of_one_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb");
        let (key, other) = (PublicKey([1; 32]), PublicKey([2; 32]));
        let restored = Silence { cause: SilenceCause::Restored, since_ms: 5, height: 9 };
        let open = || Store::open(&path, NetworkId([7; 32]), &"bank-a".parse().unwrap()).unwrap();
        {
            let store = open();
            assert_eq!((store.silence_of(&key).unwrap(), store.moved_ms().unwrap()), (None, None));
            store.silence(&key, &restored).unwrap();
            let cause = SilenceCause::UnknownSignature { signed: "prevote".to_owned(), height: 3, round: 1 };
            store.silence(&key, &Silence { cause, since_ms: 6, height: 10 }).unwrap();
            store.mark_moved(7).unwrap();
            store.mark_moved(8).unwrap();
        }
        let store = open();
        assert_eq!(store.silence_of(&key).unwrap(), Some(restored));
        assert_eq!(store.silence_of(&other).unwrap(), None);
        assert_eq!(store.moved_ms().unwrap(), Some(7));
    }
}
