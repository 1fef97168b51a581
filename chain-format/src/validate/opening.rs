//! The opening by itself.

use crate::account::Opening;
use crate::error::Violation;
use crate::member::Role;
use crate::record::Signed;
use crate::registry::Registry;
use crate::validate::belongs;

/// It is signed by the bank that it names.
pub(super) fn check(opening: &Signed<Opening>, registry: &Registry) -> Result<(), Violation> {
    belongs(opening, registry, "opening.network")?;
    let bank = &opening.record().bank;
    registry.require("opening.signer", bank, Role::Bank, &opening.signer()).map(|_| ())
}
