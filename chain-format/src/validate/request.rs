//! The first chain by itself.

use crate::error::{Rule, Violation, ensure};
use crate::member::Role;
use crate::record::Signed;
use crate::registry::Registry;
use crate::request::Request;
use crate::validate::belongs;

/// It names a bank and an institution of this network. Whether its key is the account's, the lineage tells.
pub(super) fn check(request: &Signed<Request>, registry: &Registry) -> Result<(), Violation> {
    belongs(request, registry, "request.network")?;
    let Request { bank, institution, .. } = request.record();
    for (field, id, role) in
        [("request.bank", bank, Role::Bank), ("request.institution", institution, Role::Institution)]
    {
        let found = registry.member(id).map(|member| member.role);
        let expected = format_args!("a member with the role {role}");
        ensure(found == Some(role), Rule::Agreement, field, expected, id)?;
    }
    Ok(())
}
