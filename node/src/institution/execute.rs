//! The third chain: what becomes of the order, its postings and target holdings, signed.

use stemma_chain_format::dealing::{Decided, Parties, movements};
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::execution::{Execution, Posting, PostingPurpose};
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::record::Signed;
use stemma_chain_format::registry::own_account;
use stemma_chain_format::validate::VerifiedEndorsement;

use super::Institution;
use super::decide::Decision;
use crate::store::Rewarded;

impl Institution {
    /// Executes a decision: the postings and the holdings that follow from them.
    pub(super) fn execute(
        &self,
        question: &VerifiedEndorsement,
        decision: &Decision,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<Signed<Execution>, Violation> {
        let request = question.request();
        let order = &request.record().order;
        let endorsement = question.endorsement().record();
        let account = endorsement.account;
        let unlisted =
            || Violation::new(Rule::Listing, order.place("instrument"), "a listed instrument", order.instrument());
        let listed = ledger.listing(order.instrument()).ok_or_else(unlisted)?;
        let position = decision.position.and_then(|key| ledger.position(&key));
        let decided = Decided { request: request.link(), order, outcome: &decision.outcome, executed_ms: now_ms };
        let parties = Parties::of(self.network, account, &self.id);
        let mut postings = movements(&decided, &parties, &listed.listing, position)?.postings;
        let promotion = own_account(&self.network, &self.id, OwnAccount::Promotion);
        for Rewarded { account, instrument, amount } in decision.bonus.iter().flat_map(|bonus| &bonus.payments) {
            let between = (*account, promotion);
            postings.extend(Posting::transfer(between, instrument, *amount, PostingPurpose::Reward));
        }
        let mut holdings = endorsement.holdings.clone();
        for posting in postings.iter().filter(|posting| posting.account == account) {
            holdings.add(&posting.instrument, posting.amount)?;
        }
        let execution = Execution {
            network: self.network,
            endorsement: question.endorsement().link(),
            institution: self.id.clone(),
            account,
            listing: decision.listing,
            outcome: decision.outcome.clone(),
            postings,
            holdings,
            executed_ms: now_ms,
            referral: decision.bonus.as_ref().map(|bonus| bonus.outcome),
        };
        Signed::sign(execution, &self.key)
    }
}
