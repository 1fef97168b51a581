//! The issuance by itself.

use crate::error::Violation;
use crate::issuance::Issuance;
use crate::member::Role;
use crate::record::Signed;
use crate::registry::Registry;
use crate::validate::belongs;

/// It is signed by the bank that it names.
pub(super) fn check(issuance: &Signed<Issuance>, registry: &Registry) -> Result<(), Violation> {
    belongs(issuance, registry, "issuance.network")?;
    let issuer = &issuance.record().issuer;
    registry.require("issuance.signer", issuer, Role::Bank, &issuance.signer()).map(|_| ())
}
