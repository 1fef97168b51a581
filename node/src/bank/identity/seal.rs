//! Stored verifiers are sealed at rest.
//!
//! A sealed verifier is `1 ‖ nonce (24 bytes) ‖ XChaCha20-Poly1305 ciphertext ‖ tag (16 bytes)`, with the place it is
//! for as associated data: a label, network, account and type. The nonce is a keyed BLAKE3 of place and content under a key
//! of its own, both keys being derived from the bank's sealing key: sealing needs no randomness, and two different
//! contents never share a nonce.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::Context;

/// The one form there is.
const VERSION: u8 = 1;
/// Bytes of a nonce.
const NONCE_BYTES: usize = 24;
/// What the associated data starts with.
const LABEL: &[u8] = b"stemma identity verifier v1\0";
/// Derives the key that encrypts.
const ENCRYPT: &str = "stemma 2026 identity verifier: encryption";
/// Derives the key that makes nonces.
const NONCE: &str = "stemma 2026 identity verifier: nonces";

/// Does not open: another key, another place, or damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closed;

/// Seals the verifier of a type for a context's account.
pub(super) fn seal(kind: &str, content: &[u8], context: &Context<'_>) -> Result<Vec<u8>, Closed> {
    let place = place(kind, context);
    let key = &context.settings.sealing_key;
    let nonce = nonce(key, &place, content);
    let sealed = cipher(key).encrypt(&XNonce::from(nonce), Payload { msg: content, aad: &place });
    Ok([&[VERSION], nonce.as_slice(), sealed.map_err(|_| Closed)?.as_slice()].concat())
}

/// Opens it again.
pub(super) fn open(kind: &str, sealed: &[u8], context: &Context<'_>) -> Result<Zeroizing<Vec<u8>>, Closed> {
    let (version, rest) = sealed.split_first().ok_or(Closed)?;
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Closed)?;
    if *version != VERSION {
        return Err(Closed);
    }
    let payload = Payload { msg: ciphertext, aad: &place(kind, context) };
    let content = cipher(&context.settings.sealing_key).decrypt(&XNonce::from(*nonce), payload);
    content.map(Zeroizing::new).map_err(|_| Closed)
}

fn place(kind: &str, context: &Context<'_>) -> Vec<u8> {
    [LABEL, context.network.as_bytes(), context.account.as_bytes(), kind.as_bytes()].concat()
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    let derived = Zeroizing::new(blake3::derive_key(ENCRYPT, key));
    XChaCha20Poly1305::new(&(*derived).into())
}

fn nonce(key: &[u8; 32], place: &[u8], content: &[u8]) -> [u8; NONCE_BYTES] {
    let derived = Zeroizing::new(blake3::derive_key(NONCE, key));
    let mut hasher = blake3::Hasher::new_keyed(&derived);
    // The length keeps place and content apart.
    hasher.update(&(place.len() as u64).to_be_bytes()).update(place).update(content);
    let mut nonce = [0_u8; NONCE_BYTES];
    hasher.finalize_xof().fill(&mut nonce);
    nonce
}
