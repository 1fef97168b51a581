//! The second chain with the first.

use crate::endorsement::Endorsement;
use crate::error::{Rule, Violation, ensure, same};
use crate::member::Role;
use crate::record::Signed;
use crate::registry::Registry;
use crate::request::Request;
use crate::validate::belongs;

/// It links to the request, agrees with it, and is signed by the request's bank.
pub(super) fn check(
    request: &Signed<Request>,
    endorsement: &Signed<Endorsement>,
    registry: &Registry,
) -> Result<(), Violation> {
    belongs(endorsement, registry, "endorsement.network")?;
    let (asked, record) = (request.record(), endorsement.record());
    same(Rule::Link, "endorsement.request", &request.link(), &record.request)?;
    same(Rule::Agreement, "endorsement.bank", &asked.bank, &record.bank)?;
    same(Rule::Agreement, "endorsement.account", &asked.account, &record.account)?;
    registry.require("endorsement.signer", &record.bank, Role::Bank, &endorsement.signer())?;
    if let Some(last) = asked.expires {
        let holds = record.expires <= last;
        ensure(holds, Rule::Expiry, "endorsement.expires", format_args!("at most {last}"), record.expires)?;
    }
    Ok(())
}
