//! The referral by itself. It comes from strangers, through a camera or a request, and is read as hostile.

use crate::error::Violation;
use crate::member::Role;
use crate::record::Signed;
use crate::referral::Referral;
use crate::registry::Registry;
use crate::validate::{belongs, stage_signature_holds};

/// Reads a referral from its envelope and verifies it: it is of this network, and signed by the bank that it names.
/// Whether it is open at a height and matches a trade, [`Referral`] tells; how often it was used, the institution knows.
///
/// # Errors
/// The first broken rule.
pub fn read_referral(bytes: &[u8], registry: &Registry) -> Result<Signed<Referral>, Violation> {
    let referral: Signed<Referral> = Signed::decode(bytes.to_vec())?;
    belongs(&referral, registry, "referral.network")?;
    let bank = &referral.record().bank;
    registry.require("referral.signer", bank, Role::Bank, &referral.signer())?;
    stage_signature_holds(&referral, "referral.signature")?;
    Ok(referral)
}
