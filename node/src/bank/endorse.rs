//! The second chain: the bank vouches and signs. One account's chains are strictly sequential.

use stemma_chain_format::endorsement::{Credit, Endorsement};
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::limits::ABSORBED_MAX;
use stemma_chain_format::lineage::absorbed_into;
use stemma_chain_format::record::Signed;
use stemma_chain_format::request::Request;

use super::{Bank, TradeState};
use crate::role::RoleEffect;

impl Bank {
    /// Endorses an account's next waiting request, unless one is under way.
    pub(super) fn advance(&mut self, account: &AccountId, ledger: &Ledger, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        while let Some(link) = self.lines.next(account) {
            match self.endorse(&link, ledger, now_ms) {
                Ok(()) => {
                    self.send(&link, effects);
                    return;
                }
                Err(violation) => {
                    // Only an amount beyond the format's range or a request that expired while it waited leads here.
                    tracing::warn!(request = %link, %violation, "cannot endorse; the request is refused");
                    self.refuse_waiting(&link, &violation, now_ms, effects);
                }
            }
        }
    }

    fn endorse(&mut self, link: &Link, ledger: &Ledger, now_ms: u64) -> Result<(), Violation> {
        let unknown = || Violation::new(Rule::Account, "request", "an open request", link);
        let credit = self.credit_terms();
        let row = self.open.get_mut(link).ok_or_else(unknown)?;
        let request: Signed<Request> = Signed::decode(row.request.to_vec())?;
        let account = ledger.account(&row.account).ok_or_else(unknown)?;
        let absorbed: Vec<Credit> = account.inbox.iter().take(ABSORBED_MAX).cloned().collect();
        let height = ledger.head().height;
        let mut expires = height.saturating_add(self.config.expiry_blocks);
        if let Some(last) = request.record().expires {
            expires = expires.min(last);
        }
        if expires <= height {
            return Err(Violation::new(Rule::Expiry, "request.expires", format!("above {height}"), expires));
        }
        let endorsement = Endorsement {
            network: self.network,
            request: *link,
            bank: self.id.clone(),
            account: row.account,
            parent: account.state.head,
            sequence: account.state.sequence.saturating_add(1),
            holdings: absorbed_into(&account.state.holdings, &absorbed)?,
            absorbed,
            credit,
            verifier: row.verifier,
            expires,
        };
        let signed = Signed::sign(endorsement, &self.key)?;
        row.endorsement = Some(signed.bytes().to_vec().into());
        row.state = TradeState::Endorsed;
        row.changed_ms = now_ms;
        self.expiries.entry(expires).or_default().push(*link);
        Ok(())
    }

    fn refuse_waiting(&mut self, link: &Link, violation: &Violation, now_ms: u64, effects: &mut Vec<RoleEffect>) {
        use stemma_chain_format::refusal::RefusalReason as Why;
        let reason = if violation.rule == Rule::Expiry { Why::Expired } else { Why::QuantityOutOfRange };
        let refusal = self.refusal(*link, reason, &violation.expected, &violation.found, now_ms);
        if let (Some(row), Ok(refusal)) = (self.open.get_mut(link), &refusal) {
            row.refusal = Some(refusal.bytes().to_vec().into());
        }
        if let Some(row) = self.move_to(link, TradeState::Refused, now_ms) {
            effects.push(RoleEffect::StoreTrade(Box::new(row)));
            effects.push(RoleEffect::Changed(*link));
        }
    }
}
