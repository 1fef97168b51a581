//! A promotion is answered: the bank, which has authenticated the customer, signs a referral for the trade promoted. It is
//! stored in the transaction that accepts the promotion, before it is answered.

use stemma_chain_format::hash::Link;
use stemma_chain_format::instrument::InstrumentKind;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::member::Role;
use stemma_chain_format::promotion::Promotion;
use stemma_chain_format::record::Signed;
use stemma_chain_format::refusal::RefusalReason as Why;

use super::intake::IntakeError;
use super::{Bank, No, OrderRow, OrderState, no};
use crate::role::RoleEffect;
use crate::store::ReferralRow;

/// The types of identity that are authentication material: a picture, a sound, a film, a number, a string. An account's key
/// or a certificate is public, so a commitment to it would say nothing that the signature does not.
const MATERIAL: [&str; 6] = ["audio", "image", "national-id", "password", "totp", "video"];

impl Bank {
    /// What can be said of a promotion before its material is looked at: it has some, what is promoted is traded, and the
    /// referral would not hold for too long.
    pub(super) fn promotion_holds(&self, promotion: &Promotion, ledger: &Ledger) -> Result<(), No> {
        let Promotion { instrument, identities, expires, .. } = promotion;
        if !identities.iter().any(|claim| MATERIAL.contains(&claim.kind.as_str())) {
            let offered: Vec<&str> = identities.iter().map(|claim| claim.kind.as_str()).collect();
            return Err(no(Why::IdentityRequired, format!("one of {}", MATERIAL.join(", ")), offered.join(", ")));
        }
        let listed = ledger.listing(instrument);
        if listed.is_none_or(|listed| listed.listing.kind == InstrumentKind::Currency) {
            return Err(no(Why::UnknownInstrument, "a listed instrument that is traded", instrument));
        }
        let issuer = ledger.registry().member_by_text(instrument.issuer());
        if issuer.is_none_or(|issuer| issuer.role != Role::Institution) {
            return Err(no(Why::UnknownInstitution, "an institution of this network", instrument.issuer()));
        }
        let last = ledger.head().height.saturating_add(self.config.referral_blocks_max);
        if *expires > last {
            return Err(no(Why::Expired, format!("an expiry of at most {last}"), expires));
        }
        Ok(())
    }

    /// Signs the referral that answers an authenticated promotion.
    pub(super) fn refer(
        &mut self,
        link: Link,
        promotion: &Promotion,
        mut row: OrderRow,
        now_ms: u64,
        effects: &mut Vec<RoleEffect>,
    ) -> Result<OrderRow, IntakeError> {
        let referral = Signed::sign(promotion.referral(), &self.key).map_err(IntakeError::Sign)?;
        row.move_to(OrderState::Referred, now_ms);
        let stored = ReferralRow { promotion: link, referral: referral.bytes().to_vec().into() };
        effects.push(RoleEffect::StoreReferral(Box::new(stored)));
        effects.push(RoleEffect::StoreOrder(Box::new(row.clone())));
        effects.push(RoleEffect::Changed(link));
        self.fresh_referred.insert(link, row.clone());
        Ok(row)
    }
}
