//! The second chain: the bank vouches and signs. One account's chains are strictly sequential.

use stemma_chain_format::endorsement::{Credit, Endorsement};
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::hash::Link;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::limits::ABSORBED_MAX;
use stemma_chain_format::lineage::absorbed_into;
use stemma_chain_format::record::Signed;
use stemma_chain_format::refusal::RefusalReason as Why;
use stemma_chain_format::request::Request;

use super::intake::{institution_holds, is_open};
use super::{Bank, No, OrderState, no};
use crate::role::RoleEffect;

impl Bank {
    /// Endorses an account's order to trade, and puts it into its institution's queue.
    pub(super) fn endorse(
        &mut self,
        link: &Link,
        ledger: &Ledger,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<(), No> {
        let (signed, expires) = self.endorsement(link, ledger)?;
        let Some(row) = self.open.get_mut(link) else { return Ok(()) };
        row.endorsement = Some(signed.bytes().to_vec().into());
        row.move_to(OrderState::Endorsed, now_ms);
        let row = row.clone();
        self.expiries.entry(expires).or_default().push(*link);
        self.enqueue(&row, ledger.head().time_ms)
            .map_err(|_| no(Why::Busy, "the bank's store", "a failure; try again later"))?;
        let institution = row.institution.clone();
        effects.push(RoleEffect::StoreOrder(Box::new(row)));
        effects.push(RoleEffect::Changed(*link));
        if let Some(institution) = institution {
            self.dispatch(&institution, now_ms, effects);
        }
        Ok(())
    }

    fn endorsement(&self, link: &Link, ledger: &Ledger) -> Result<(Signed<Endorsement>, u64), No> {
        let unknown = || no(Why::UnknownAccount, "an open account", link);
        let row = self.open.get(link).ok_or_else(unknown)?;
        let request: Signed<Request> = Signed::decode(row.request.to_vec()).map_err(beyond)?;
        let account = ledger.account(&row.account).ok_or_else(unknown)?;
        let state = &account.state;
        // What held when it came may have changed while it waited.
        is_open(state, true)?;
        let key = state.key.ok_or_else(|| no(Why::KeyRevoked, "an account with a key", "a revoked key"))?;
        if request.signer() != key {
            return Err(no(Why::BadSignature, format!("the account's key {key}"), request.signer()));
        }
        institution_holds(request.record(), ledger)?;
        let height = ledger.head().height;
        let last = request.record().expires.unwrap_or(u64::MAX);
        let expires = height.saturating_add(self.config.expiry_blocks).min(last);
        if expires <= height {
            return Err(no(Why::Expired, format!("an expiry above {height}"), expires));
        }
        let absorbed: Vec<Credit> = account.inbox.iter().take(ABSORBED_MAX).cloned().collect();
        let endorsement = Endorsement {
            network: self.network,
            request: *link,
            bank: self.id.clone(),
            account: row.account,
            parent: state.head,
            sequence: state.sequence.saturating_add(1),
            holdings: absorbed_into(&state.holdings, &absorbed).map_err(beyond)?,
            absorbed,
            credit: state.credit.clone(),
            verifier: row.verifier,
            expires,
        };
        Ok((Signed::sign(endorsement, &self.key).map_err(beyond)?, expires))
    }
}

/// Only an amount beyond the format's range leads here.
pub(super) fn beyond(violation: Violation) -> No {
    let reason = match violation.rule {
        Rule::Expiry => Why::Expired,
        _ => Why::QuantityOutOfRange,
    };
    no(reason, violation.expected, format!("{}: {}", violation.field, violation.found))
}
