//! The third chain: price, fee, postings and target holdings, signed.

use stemma_chain_format::amount::Amount;
use stemma_chain_format::error::Violation;
use stemma_chain_format::execution::{Execution, Posting, PostingPurpose};
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::record::Signed;
use stemma_chain_format::registry::own_account;
use stemma_chain_format::request::Side;
use stemma_chain_format::validate::VerifiedEndorsement;

use super::Institution;
use super::conditions::Deal;
use super::rewards::Bonus;
use crate::store::Rewarded;

impl Institution {
    /// Executes a deal: the postings and the holdings that follow from them.
    pub(super) fn execute(
        &self,
        question: &VerifiedEndorsement,
        deal: &Deal,
        bonus: Option<&Bonus>,
        now_ms: u64,
    ) -> Result<Signed<Execution>, Violation> {
        let trade = &question.request().record().trade;
        let endorsement = question.endorsement().record();
        let account = endorsement.account;
        let settlement = own_account(&self.network, &self.id, OwnAccount::Settlement);
        let fees = own_account(&self.network, &self.id, OwnAccount::Fees);
        let (units, money) = match trade.side {
            Side::Buy => (deal.quantity, deal.cost.negated()),
            Side::Sell => (deal.quantity.negated(), deal.cost),
        };
        let mut postings = Vec::with_capacity(6);
        let mut transfer = |to: AccountId, from: AccountId, instrument: &InstrumentId, amount: Amount, purpose| {
            for (account, amount) in [(to, amount), (from, amount.negated())] {
                postings.push(Posting { account, instrument: instrument.clone(), amount, purpose });
            }
        };
        transfer(account, settlement, &trade.instrument, units, PostingPurpose::Trade);
        transfer(account, settlement, &trade.cash, money, PostingPurpose::Trade);
        if deal.fee.is_positive() {
            transfer(account, fees, &trade.cash, deal.fee.negated(), PostingPurpose::Fee);
        }
        let promotion = own_account(&self.network, &self.id, OwnAccount::Promotion);
        for Rewarded { account, instrument, amount } in bonus.iter().flat_map(|bonus| &bonus.payments) {
            transfer(*account, promotion, instrument, *amount, PostingPurpose::Reward);
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
            listing: deal.listing,
            quantity: deal.quantity,
            price: deal.price,
            fee: deal.fee,
            postings,
            holdings,
            executed_ms: now_ms,
            referral: bonus.map(|bonus| bonus.outcome),
        };
        Signed::sign(execution, &self.key)
    }
}
