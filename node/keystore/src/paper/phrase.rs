//! A key as 24 words.

use std::fmt;

use bip39::{Language, Mnemonic};
use zeroize::{Zeroize, Zeroizing};

use super::{WordError, field, rows, words};
use crate::{Purpose, SecretKey, UnknownPurpose};

const WORDS: usize = 24;

/// What can't be read as a key in 24 words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Not 24 words of the list.
    #[error("the words can't be read")]
    Words(#[source] WordError),
    /// The checksum does not hold.
    #[error("all 24 words are in the list, but they don't belong together: one is wrong, or two were exchanged")]
    Checksum,
    /// The field `Stemma-Purpose` names none that we know.
    #[error("the purpose is not known")]
    UnknownPurpose(#[source] UnknownPurpose),
    /// The field `Stemma-Purpose` names another.
    #[error("these are the words of a key for the purpose {found}, not for {expected}")]
    WrongPurpose {
        /// What the caller wanted.
        expected: Purpose,
        /// What stands beside the words.
        found: Purpose,
    },
    /// The field is missing, and the caller does not know either.
    #[error("nothing says what the key is for")]
    MissingPurpose,
    /// The words give another key than the field `Public-Key` names.
    #[error("the words give the public key {found}, and the line Public-Key names another")]
    KeyMismatch {
        /// The public key of the words.
        found: String,
    },
}

/// A key's 24 words, with what it is for.
pub struct Phrase {
    seed: Zeroizing<[u8; 32]>,
    purpose: Option<Purpose>,
    public_key: Option<String>,
}

impl Phrase {
    /// The words of a key.
    #[must_use]
    pub fn of(key: &SecretKey) -> Self {
        Self {
            seed: Zeroizing::new(*key.seed()),
            purpose: Some(key.purpose()),
            public_key: Some(hex::encode(key.public_key())),
        }
    }

    /// Reads words, with or without the fields beside them.
    ///
    /// # Errors
    /// Names the word's place, or the field.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        let numbers = words::numbers(text, WORDS).map_err(PhraseError::Words)?;
        let mut joined = Zeroizing::new(String::with_capacity(WORDS.saturating_mul(9)));
        for number in numbers.iter() {
            joined.push_str(words::word(*number));
            joined.push(' ');
        }
        let mut mnemonic =
            Mnemonic::parse_in_normalized(Language::English, joined.trim_end()).map_err(|_| PhraseError::Checksum)?;
        let (mut entropy, _) = mnemonic.to_entropy_array();
        mnemonic.zeroize();
        let mut seed = Zeroizing::new([0; 32]);
        seed.iter_mut().zip(&entropy).for_each(|(to, from)| *to = *from);
        entropy.zeroize();
        let purpose = field(text, "Stemma-Purpose").map(str::parse).transpose().map_err(PhraseError::UnknownPurpose)?;
        Ok(Self { seed, purpose, public_key: field(text, "Public-Key").map(str::to_owned) })
    }

    /// What stands beside the words.
    #[must_use]
    pub fn purpose(&self) -> Option<Purpose> {
        self.purpose
    }

    /// The key, for the purpose that stands beside the words, or else for this one.
    ///
    /// # Errors
    /// Another purpose or public key stands there, or no purpose at all.
    pub fn restore(&self, purpose: Option<Purpose>) -> Result<SecretKey, PhraseError> {
        let purpose = match (purpose, self.purpose) {
            (Some(expected), Some(found)) if expected != found => {
                return Err(PhraseError::WrongPurpose { expected, found });
            }
            (expected, found) => found.or(expected).ok_or(PhraseError::MissingPurpose)?,
        };
        let key = SecretKey::from_seed(&self.seed, purpose);
        let found = hex::encode(key.public_key());
        match &self.public_key {
            Some(named) if *named != found => Err(PhraseError::KeyMismatch { found }),
            _ => Ok(key),
        }
    }

    /// The words in rows, under lines that say what they are.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut numbers = Zeroizing::new(Vec::with_capacity(WORDS));
        if let Ok(mut mnemonic) = Mnemonic::from_entropy_in(Language::English, self.seed.as_slice()) {
            numbers.extend(mnemonic.word_indices().filter_map(|number| u16::try_from(number).ok()));
            mnemonic.zeroize();
        }
        let rows = rows(&numbers);
        let mut heading = String::from("Stemma-Words: all 24, in this order, are the key\n");
        if let Some(purpose) = self.purpose {
            heading.push_str(&format!("Stemma-Purpose: {purpose}\n"));
        }
        if let Some(public_key) = &self.public_key {
            heading.push_str(&format!("Public-Key: {public_key}\n"));
        }
        let mut text = Zeroizing::new(String::with_capacity(heading.len().saturating_add(rows.len())));
        text.push_str(&heading);
        text.push_str(&rows);
        text
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Phrase").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}
