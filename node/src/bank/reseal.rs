//! Seals the stored verifiers anew when the member signs with another key: what seals them is derived from it.

use ed25519_dalek::SigningKey;
use stemma_chain_format::hash::NetworkId;
use stemma_chain_format::keys::PublicKey;

use super::desk::sealing_key;
use super::identity::{Context, IdentityError, IdentitySettings, Verifiers};
use crate::store::{Store, StoreError};

/// The name of the note that holds the public member key whose sealing key is in use.
const SEALED_BY_NOTE: &str = "sealed-by";

/// Why verifiers were not sealed anew; all are as they were.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// The key that they are sealed by is not at hand.
    #[error(
        "the stored verifiers of identities are sealed by the member key {0}: name its file under keys.member, and the present key's \
         under keys.next_member, until they are sealed anew"
    )]
    NoKey(String),
    /// A verifier does not open.
    #[error("a stored verifier cannot be sealed anew")]
    Verifier(#[source] IdentityError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] StoreError),
}

/// Sees to it that all verifiers are sealed by a key derived from `present`, one of the member keys at hand. Says how many were
/// sealed anew.
///
/// # Errors
/// [`ResealError`].
pub fn reseal(
    store: &Store,
    network: NetworkId,
    present: &SigningKey,
    at_hand: &[SigningKey],
) -> Result<usize, ResealError> {
    let present_name = PublicKey::of(present).to_string();
    let sealed_by = store.note(SEALED_BY_NOTE).map_err(ResealError::Store)?;
    let before = match sealed_by {
        Some(name) if name == present_name => return Ok(0),
        Some(name) => {
            at_hand.iter().find(|key| PublicKey::of(key).to_string() == name).ok_or(ResealError::NoKey(name))?
        }
        // Nothing was ever sealed, or by a version that knew of one key alone.
        None => present,
    };
    let settings = |key: &SigningKey| -> IdentitySettings { IdentitySettings::new(sealing_key(key)) };
    let (old, new) = (settings(before), settings(present));
    let verifiers = Verifiers::standard();
    let mut rows = store.all_verifiers().map_err(ResealError::Store)?;
    for row in &mut rows {
        // A seal knows of network, account and type alone.
        let (account, account_key) = (row.account, PublicKey([0; 32]));
        let context = Context { network, account, account_key, counter: 0, now_s: 0, settings: &old };
        let stored = verifiers.reseal(&row.kind, &row.stored, &context, &new).map_err(ResealError::Verifier)?;
        row.stored = stored.into();
    }
    store.reseal(&rows, SEALED_BY_NOTE, &present_name).map_err(ResealError::Store)?;
    Ok(if PublicKey::of(before) == PublicKey::of(present) { 0 } else { rows.len() })
}
