//! Rewards of an execution: only on a referral that its bank signed and that promotes this trade, only from the institution's
//! promotion account, only to the account that trades and to the promoter.

use crate::endorsement::Endorsement;
use crate::error::{Rule, Violation, ensure};
use crate::execution::{Execution, PostingPurpose, ReferralOutcome};
use crate::hash::AccountId;
use crate::member::OwnAccount;
use crate::registry::{Registry, own_account};
use crate::request::Request;
use crate::validate::read_referral;

/// The execution says what became of the request's referral, and pays rewards on nothing but a good one. It stays open as
/// long as the chain may commit; how often it was used, the institution knows.
pub(super) fn check(
    request: &Request,
    endorsement: &Endorsement,
    execution: &Execution,
    registry: &Registry,
) -> Result<(), Violation> {
    let given = |is: bool| if is { "an outcome" } else { "none" };
    let (asked, told) = (request.referral.is_some(), execution.referral.is_some());
    ensure(asked == told, Rule::Agreement, "execution.referral", given(asked), given(told))?;
    let pays = execution.postings.iter().any(|posting| posting.purpose == PostingPurpose::Reward);
    let is_rewarded = execution.referral == Some(ReferralOutcome::Rewarded);
    let found = execution.referral.map_or("no referral", ReferralOutcome::as_str);
    let expected = if pays { "rewarded, since rewards are paid" } else { "another, since no reward is paid" };
    ensure(pays == is_rewarded, Rule::Referral, "execution.referral", expected, found)?;
    let Some(bytes) = request.referral.as_ref().filter(|_| is_rewarded) else { return Ok(()) };
    let referral = read_referral(bytes, registry).map_err(|violation| {
        let found = format_args!("{}: {}", violation.field, violation.found);
        Violation::new(Rule::Referral, "request.referral", "a referral signed by its bank", found)
    })?;
    let missing = || Violation::new(Rule::Referral, "request.referral", "a trade", request.order.as_str());
    let (referral, trade) = (referral.record(), request.order.trade().ok_or_else(missing)?);
    let matches = referral.matches(trade.side, &trade.instrument);
    let expected = format_args!("a referral for this {} of {}", trade.side, trade.instrument);
    ensure(matches, Rule::Referral, "request.referral", expected, &referral.instrument)?;
    let own = referral.promoter == request.account;
    ensure(!own, Rule::Referral, "request.referral", "another promoter than the account", referral.promoter)?;
    let (last, until) = (referral.expires, endorsement.expires);
    let expected = format_args!("at least {until}, the endorsement's");
    ensure(referral.is_open_at(until), Rule::Referral, "request.referral.expires", expected, last)?;
    let payer = own_account(&registry.network(), &execution.institution, OwnAccount::Promotion);
    payments_hold(execution, payer, referral.promoter)
}

/// Rewards go from the promotion account to the account that trades and to the promoter.
fn payments_hold(execution: &Execution, payer: AccountId, promoter: AccountId) -> Result<(), Violation> {
    for posting in execution.postings.iter().filter(|posting| posting.purpose == PostingPurpose::Reward) {
        let holds = if posting.amount.is_negative() {
            posting.account == payer
        } else {
            [execution.account, promoter].contains(&posting.account)
        };
        let expected = "from the promotion account to the account or the promoter";
        ensure(holds, Rule::Referral, "execution.postings.reward", expected, posting.account)?;
    }
    Ok(())
}
