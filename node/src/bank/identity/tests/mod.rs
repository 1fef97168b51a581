//! Tests that need more room than their modules have, and what they share.

#![allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

mod attempts;
mod image;
mod national_id;
mod policy;
mod secrecy;
mod totp;
mod verifiers;
mod x509;

use stemma_chain_format::hash::{AccountId, NetworkId};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::request::IdentityClaim;
use zeroize::Zeroizing;

use super::*;

/// 2026-01-01T00:00:00Z.
const NOW_S: u64 = 1_767_225_600;

fn settings() -> IdentitySettings {
    IdentitySettings::new(Zeroizing::new([9; 32]))
}

fn context(settings: &IdentitySettings) -> Context<'_> {
    Context {
        network: NetworkId([1; 32]),
        account: AccountId([2; 32]),
        account_key: PublicKey([3; 32]),
        counter: 7,
        now_s: NOW_S,
        settings,
    }
}

/// A claim on evidence, with the evidence.
fn claim(kind: &str, value: &[u8]) -> (IdentityClaim, Evidence) {
    let salt = [5; 32];
    let evidence = Evidence { kind: kind.to_owned(), salt, value: Zeroizing::new(value.to_vec()) };
    (IdentityClaim::commit(kind, &salt, value), evidence)
}

fn verify(kind: &str, value: &[u8], stored: Option<&[u8]>, context: &Context<'_>) -> Result<Verified, IdentityError> {
    let (claim, evidence) = claim(kind, value);
    Verifiers::standard().verify(&claim, &evidence, stored, context)
}

fn enrol(kind: &str, material: &[u8], context: &Context<'_>) -> Result<Enrolment, EnrolError> {
    Verifiers::standard().enrol(kind, material, context)
}
