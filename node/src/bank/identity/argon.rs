//! Argon2id, for identities that can be guessed: passwords and national numbers.
//!
//! The stored form is a PHC string, which names its parameters: raising them here leaves what is enrolled readable and
//! counts from the next enrolment on. (It is not rehashed when used: the ledger's digest covers it.)

use argon2::password_hash::Error;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use zeroize::Zeroizing;

use super::{Match, Mismatch, Unfit, random};

/// 19 MiB, 2 passes, 1 lane: OWASP's first choice.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// What a stored string may ask of this machine at most.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 16;
/// A verifier of the same cost that nothing matches; salt and hash are zeros.
pub(super) const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$\
     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes a secret under a fresh salt of 32 bytes, which also keeps the ledger's digest from being guessed.
pub(super) fn hash(secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unfit> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| Unfit::Work)?;
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hashed = argon.hash_password_with_salt(secret, &random::<32>()?).map_err(|_| Unfit::Work)?;
    Ok(Zeroizing::new(hashed.to_string().into_bytes()))
}

/// Compares a secret with a stored string, in constant time.
pub(super) fn verify(stored: &[u8], secret: &[u8]) -> Result<Match, Mismatch> {
    let text = std::str::from_utf8(stored).map_err(|_| Mismatch::Damaged)?;
    let hash = PasswordHash::new(text).map_err(|_| Mismatch::Damaged)?;
    let params = Params::try_from(&hash).map_err(|_| Mismatch::Damaged)?;
    let bearable = params.m_cost() <= MEMORY_KIB_MAX && params.t_cost() <= PASSES_MAX;
    if !bearable || hash.algorithm.as_str() != Algorithm::Argon2id.as_str() || hash.hash.is_none() {
        return Err(Mismatch::Damaged);
    }
    #[cfg(test)]
    tests::RUNS.with(|runs| runs.borrow_mut().push((params.m_cost(), params.t_cost(), params.p_cost())));
    Argon2::default().verify_password(secret, &hash).map(|()| Match::default()).map_err(|error| match error {
        Error::PasswordInvalid => Mismatch::Differs,
        _ => Mismatch::Damaged,
    })
}

/// The work of [`verify`] where nothing is enrolled.
pub(super) fn dummy(secret: &[u8]) {
    let _never_matches = verify(DECOY.as_bytes(), secret);
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        /// The cost of every verification on this thread, in order.
        pub(in super::super) static RUNS: RefCell<Vec<(u32, u32, u32)>> = const { RefCell::new(Vec::new()) };
    }

    #[test]
    fn stored_is_a_phc_string_that_names_its_cost() {
        let (one, two) = (hash(b"secret").unwrap(), hash(b"secret").unwrap());
        assert!(one.starts_with(b"$argon2id$v=19$m=19456,t=2,p=1$"), "{:?}", std::str::from_utf8(&one));
        assert_ne!(one, two, "each enrolment has its own salt");
        assert!(verify(&one, b"secret").is_ok());
        assert_eq!(verify(&one, b"Secret").err(), Some(Mismatch::Differs));
        assert_eq!(verify(DECOY.as_bytes(), b"secret").err(), Some(Mismatch::Differs), "a decoy is well formed");
    }

    #[test]
    fn what_was_enrolled_at_another_cost_stays_readable_and_what_is_unbearable_does_not() {
        let argon = |m| Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(m, 3, 2, None).unwrap());
        let costlier = argon(32 * 1024).hash_password_with_salt(b"secret", &[7; 32]).unwrap().to_string();
        assert!(verify(costlier.as_bytes(), b"secret").is_ok());
        for unbearable in [costlier.replace("m=32768", "m=262145"), costlier.replace("t=3", "t=17")] {
            assert_eq!(verify(unbearable.as_bytes(), b"secret").err(), Some(Mismatch::Damaged));
        }
        let other = costlier.replace("argon2id", "argon2i");
        assert_eq!(verify(other.as_bytes(), b"secret").err(), Some(Mismatch::Damaged));
        assert_eq!(verify(b"no string", b"secret").err(), Some(Mismatch::Damaged));
    }
}
