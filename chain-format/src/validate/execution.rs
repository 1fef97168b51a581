//! The third chain with the two before it.

use crate::endorsement::Endorsement;
use crate::error::{Rule, Violation, same};
use crate::execution::Execution;
use crate::hash::AccountId;
use crate::invariants;
use crate::member::Role;
use crate::position;
use crate::record::Signed;
use crate::registry::Registry;
use crate::request::Request;
use crate::validate::{belongs, reward};

/// It links to the endorsement, agrees with the request, is signed by the institution, and keeps the money rules.
pub(super) fn check(
    request: &Signed<Request>,
    endorsement: &Signed<Endorsement>,
    execution: &Signed<Execution>,
    registry: &Registry,
) -> Result<(), Violation> {
    belongs(execution, registry, "execution.network")?;
    let (asked, record) = (request.record(), execution.record());
    same(Rule::Link, "execution.endorsement", &endorsement.link(), &record.endorsement)?;
    same(Rule::Agreement, "execution.institution", &asked.institution, &record.institution)?;
    same(Rule::Agreement, "execution.account", &asked.account, &record.account)?;
    let institution = &record.institution;
    registry.require("execution.signer", institution, Role::Institution, &execution.signer())?;
    let place = "execution.postings";
    invariants::postings_balance(&record.postings, place)?;
    let may = |debited: &AccountId| {
        *debited == record.account
            || registry.owns(institution, debited)
            || position::debited_by(asked, &record.outcome) == Some(*debited)
    };
    invariants::debits_are_own(&record.postings, may, place)?;
    invariants::holdings_follow(endorsement.record(), record)?;
    reward::check(asked, endorsement.record(), record, registry)
}
