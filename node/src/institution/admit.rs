//! A question comes in: known already, too early, or to be judged.

use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::lineage::endorsement_follows;
use stemma_chain_format::refusal::RefusalReason;
use stemma_chain_format::validate::VerifiedEndorsement;

use super::conditions::No;

/// What to do with a question.
pub(super) enum Admission {
    /// Judge it.
    Judge,
    /// The account's chain before is not here yet: wait for it.
    Wait,
    /// Refuse it.
    Refuse(No),
}

/// Checks bank and customer: the endorsement extends the account as this node's ledger knows it.
pub(super) fn admit(question: &VerifiedEndorsement, ledger: &Ledger) -> Admission {
    let refuse = |reason, expected: String, found: String| Admission::Refuse(No { reason, expected, found });
    let endorsement = question.endorsement().record();
    let next = ledger.head().height.saturating_add(1);
    if endorsement.expires < next {
        let found = endorsement.expires.to_string();
        return refuse(RefusalReason::Expired, format!("an expiry of at least {next}"), found);
    }
    let Some(account) = ledger.account(&endorsement.account) else { return Admission::Wait };
    let state = &account.state;
    if endorsement.sequence > state.sequence.saturating_add(1) {
        return Admission::Wait;
    }
    // Credits may have reached the bank a block earlier than this node.
    let known = account.inbox.len();
    if endorsement.absorbed.len() > known && endorsement.sequence > state.sequence {
        return Admission::Wait;
    }
    let signer = question.request().signer();
    if state.key != Some(signer) {
        let key = state.key.map_or("none, it is revoked".to_owned(), |key| key.to_string());
        let expected = format!("the account's key {key}");
        return refuse(RefusalReason::BadEndorsement, expected, signer.to_string());
    }
    let counter = question.request().record().counter;
    if counter <= state.counter {
        let expected = format!("a counter above {}", state.counter);
        return refuse(RefusalReason::RepeatedCounter, expected, counter.to_string());
    }
    match endorsement_follows(state, endorsement, account.inbox.iter()) {
        Ok(()) => Admission::Judge,
        Err(violation) => {
            let found = format!("{}: {}", violation.field, violation.found);
            refuse(RefusalReason::BadEndorsement, violation.expected, found)
        }
    }
}
