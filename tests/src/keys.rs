//! The keys of a test's members, as their nodes open them.

use std::path::Path;

use ed25519_dalek::SigningKey;
use stemma_keystore::{Purpose, passphrase, read_key_file};

use crate::network::read_config;

/// A member's record-signing key.
///
/// # Panics
/// It can't be opened.
#[must_use]
pub fn member_key(home: &Path) -> SigningKey {
    opened(home, &read_config(home).keys.member, Purpose::Member)
}

/// A member's voting key.
///
/// # Panics
/// It has none, or it can't be opened.
#[must_use]
pub fn validator_key(home: &Path) -> SigningKey {
    opened(home, &read_config(home).keys.validator.unwrap(), Purpose::Validator)
}

fn opened(home: &Path, file: &Path, purpose: Purpose) -> SigningKey {
    let named = read_config(home).keys.passphrase_file.unwrap();
    let passphrase = passphrase::from_file(&home.join(named)).unwrap().passphrase;
    read_key_file(&home.join(file), &passphrase, purpose).unwrap().signing_key().clone()
}
