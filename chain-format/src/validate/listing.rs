//! The listing by itself.

use crate::error::{Rule, Violation, ensure};
use crate::instrument::InstrumentKind;
use crate::listing::Listing;
use crate::member::Role;
use crate::record::Signed;
use crate::registry::Registry;
use crate::validate::belongs;

/// It is signed by the instrument's issuer: a bank for a currency, an institution for anything else.
pub(super) fn check(listing: &Signed<Listing>, registry: &Registry) -> Result<(), Violation> {
    belongs(listing, registry, "listing.network")?;
    let record = listing.record();
    let issuer = record.instrument.issuer();
    let member = registry
        .member_by_text(issuer)
        .ok_or_else(|| Violation::new(Rule::Signer, "listing.instrument", "a member of this network", issuer))?;
    let role = if record.kind == InstrumentKind::Currency { Role::Bank } else { Role::Institution };
    let expected = format_args!("an issuer with the role {role} for a {}", record.kind);
    ensure(member.role == role, Rule::Signer, "listing.instrument", expected, member.role)?;
    registry.signs("listing.signer", member, &listing.signer())
}
