//! What is judged: an order, with all that its account states and the ledger lists.

use stemma_chain_format::amount::{Amount, decimal};
use stemma_chain_format::dealing::reserved_by;
use stemma_chain_format::endorsement::CreditTerms;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::holdings::Holdings;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::lineage::Listed;
use stemma_chain_format::listing::Terms;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::position::{Position, Waiting};
use stemma_chain_format::refusal::RefusalReason as Why;
use stemma_chain_format::request::Trade;
use stemma_chain_format::validate::VerifiedEndorsement;

use super::conditions::{No, no};

/// An order to be judged.
#[derive(Debug)]
pub(super) struct Case<'c> {
    /// Who trades.
    pub(super) account: AccountId,
    /// What is asked for.
    pub(super) trade: &'c Trade,
    /// What the account holds.
    pub(super) holdings: &'c Holdings,
    /// How far its bank trusts the customer.
    pub(super) credit: &'c CreditTerms,
    /// The listing in force.
    pub(super) listed: &'c Listed,
    /// Its terms.
    pub(super) terms: &'c Terms,
    /// Decimals of the cash.
    pub(super) cash_decimals: u8,
}

impl<'c> Case<'c> {
    /// The case that a second chain makes, as its bank states it.
    pub(super) fn of(
        question: &'c VerifiedEndorsement,
        trade: &'c Trade,
        ledger: &'c Ledger,
        own: &MemberId,
    ) -> Result<Self, No> {
        let endorsement = question.endorsement().record();
        Self::new(endorsement.account, trade, &endorsement.holdings, &endorsement.credit, ledger, own)
    }

    /// A case from its parts: the instrument is this institution's and listed, and so is the cash, in the right currency.
    pub(super) fn new(
        account: AccountId,
        trade: &'c Trade,
        holdings: &'c Holdings,
        credit: &'c CreditTerms,
        ledger: &'c Ledger,
        own: &MemberId,
    ) -> Result<Self, No> {
        let unknown = || no(Why::UnknownInstrument, format!("an instrument that {own} lists"), &trade.instrument);
        let listed = ledger.listing(&trade.instrument).filter(|_| trade.instrument.is_issued_by(own));
        let listed = listed.ok_or_else(unknown)?;
        let terms = listed.listing.terms.as_ref().ok_or_else(unknown)?;
        let cash = ledger
            .listing(&trade.cash)
            .ok_or_else(|| no(Why::UnknownInstrument, "cash that its bank lists", &trade.cash))?;
        let quoted_in = listed.listing.quoted_in.as_deref().unwrap_or_default();
        if quoted_in != trade.cash.code() {
            return Err(no(Why::NoPrice, format!("cash in {quoted_in}"), &trade.cash));
        }
        let cash_decimals = cash.listing.decimals;
        Ok(Self { account, trade, holdings, credit, listed, terms, cash_decimals })
    }

    /// Decimals of the instrument.
    pub(super) fn decimals(&self) -> u8 {
        self.listed.listing.decimals
    }

    /// Units of the instrument held.
    pub(super) fn held(&self) -> Amount {
        self.holdings.get(&self.trade.instrument)
    }

    /// The request of an order of the account for the very same that was taken since a time and waits for its price.
    pub(super) fn repeated(&self, ledger: &Ledger, since_ms: u64) -> Option<Link> {
        let (_, reserved) = reserved_by(self.trade).ok()?;
        let Trade { side, limit, fee_max, .. } = self.trade;
        let own = ledger.positions_of(&self.account).map(|(_, position)| position);
        let mut waits =
            own.filter(|position| position.instrument == self.trade.instrument).filter_map(Position::waiting);
        let is_same = |waiting: &&Waiting| {
            waiting.accepted_ms >= since_ms
                && (&waiting.side, waiting.reserved, &waiting.limit, &waiting.fee_max)
                    == (side, reserved, limit, fee_max)
        };
        waits.find(is_same).map(|waiting| waiting.request)
    }

    /// An amount of the cash, for people.
    pub(super) fn money(&self, amount: Amount) -> String {
        format!("{} {}", decimal(amount.units(), self.cash_decimals), self.trade.cash)
    }

    /// A quantity of the instrument, for people.
    pub(super) fn units(&self, quantity: Amount) -> String {
        format!("{} {}", decimal(quantity.units(), self.decimals()), self.trade.instrument)
    }
}
