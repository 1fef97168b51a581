//! The seed alone.

use zeroize::Zeroizing;

use crate::{ImportError, Purpose, SecretKey};

const SEED_BYTES: usize = 32;

/// Whether bytes are a seed: 32 bytes, or their 64 hexadecimal digits on a line.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    bytes.len() == SEED_BYTES || digits(bytes).is_some()
}

pub(super) fn import(bytes: &[u8], purpose: Purpose) -> Result<SecretKey, ImportError> {
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    if let Some(digits) = digits(bytes) {
        hex::decode_to_slice(digits, seed.as_mut()).map_err(|_| ImportError::RawLength { found: bytes.len() })?;
    } else if bytes.len() == SEED_BYTES {
        seed.copy_from_slice(bytes);
    } else {
        return Err(ImportError::RawLength { found: bytes.len() });
    }
    Ok(SecretKey::from_seed(&seed, purpose))
}

fn digits(bytes: &[u8]) -> Option<&[u8]> {
    let line = bytes.trim_ascii_end();
    (line.len() == 2 * SEED_BYTES && line.iter().all(u8::is_ascii_hexdigit)).then_some(line)
}
