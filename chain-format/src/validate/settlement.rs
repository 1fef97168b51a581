//! The settlement by itself.

use crate::error::{Rule, Violation, ensure};
use crate::hash::AccountId;
use crate::invariants;
use crate::member::Role;
use crate::record::Signed;
use crate::registry::Registry;
use crate::settlement::Settlement;
use crate::validate::belongs;

/// It is signed by the institution that it names, and keeps the money rules: it moves something between the position, its account and
/// the institution's own accounts alone, and takes nothing from the account.
pub(super) fn check(settlement: &Signed<Settlement>, registry: &Registry) -> Result<(), Violation> {
    belongs(settlement, registry, "settlement.network")?;
    let record = settlement.record();
    let institution = &record.institution;
    registry.require("settlement.signer", institution, Role::Institution, &settlement.signer())?;
    let place = "settlement.postings";
    invariants::postings_balance(&record.postings, place)?;
    let may: Vec<AccountId> = registry.own_accounts(institution).into_iter().chain([record.position]).collect();
    invariants::debits_are_own(&record.postings, |account| may.contains(account), place)?;
    for posting in record.postings.iter().filter(|posting| posting.amount.is_positive()) {
        let party = posting.account == record.account || may.contains(&posting.account);
        let expected = "the account, its position or the institution";
        ensure(party, Rule::Terms, "settlement.postings.account", expected, posting.account)?;
    }
    Ok(())
}
