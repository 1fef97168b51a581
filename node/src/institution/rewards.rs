//! Promotion rewards: what a referral earns the customer and the promoter by the institution's policy
//! (`[institution.rewards]`), and why it earns nothing.

use stemma_chain_format::account::AccountStatus;
use stemma_chain_format::amount::{Amount, AmountError, parse_decimal};
use stemma_chain_format::execution::ReferralOutcome as Outcome;
use stemma_chain_format::hash::Digest;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::limits::DECIMALS_MAX;
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::referral::Referral;
use stemma_chain_format::refusal::RefusalReason as Why;
use stemma_chain_format::registry::own_account;
use stemma_chain_format::validate::read_referral;
use stemma_node_api::config::{InvalidReferral, RewardAmount, RewardPolicy, RewardRate};

use super::Institution;
use super::case::Case;
use super::conditions::{Deal, No, no, range, unreadable};
use crate::store::{Rewarded, StoreError, reward_day, use_of};

/// What a referral comes to.
#[derive(Debug, Clone, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub(super) struct Bonus {
    /// What the third chain says of it.
    #[n(0)]
    pub(super) outcome: Outcome,
    /// What is paid.
    #[n(1)]
    pub(super) payments: Vec<Rewarded>,
    /// Which referral is used, where something is paid.
    #[n(2)]
    pub(super) used: Option<Digest>,
}

/// Why no reward is paid.
enum Without {
    /// For this reason, told in the third chain.
    Outcome(Outcome),
    /// The store failed.
    Store(StoreError),
    /// An amount is out of range.
    Amount(AmountError),
}

impl From<StoreError> for Without {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

impl From<AmountError> for Without {
    fn from(e: AmountError) -> Self {
        Self::Amount(e)
    }
}

impl Bonus {
    /// Nothing, for a reason.
    pub(super) const fn without(outcome: Outcome) -> Self {
        Self { outcome, payments: Vec::new(), used: None }
    }
}

impl Institution {
    /// Judges a request's referral for a trade that is to be executed; the chain may commit up to a height.
    ///
    /// # Errors
    /// The policy refuses a trade with a bad referral, or the store fails.
    pub(super) fn bonus(
        &self,
        referral: Option<&Vec<u8>>,
        (case, deal): (&Case<'_>, &Deal),
        until: u64,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<Option<Bonus>, No> {
        let Some(bytes) = referral else { return Ok(None) };
        let outcome = match self.earned(bytes, (case, deal), until, ledger, now_ms) {
            Ok(bonus) => return Ok(Some(bonus)),
            Err(Without::Outcome(outcome)) => outcome,
            Err(Without::Store(e)) => return Err(unreadable(&e)),
            Err(Without::Amount(e)) => return Err(range(e)),
        };
        if outcome.is_bad_referral() && self.config.rewards.invalid_referral == InvalidReferral::Refuse {
            return Err(no(Why::ReferralRejected, "a referral that holds for this trade, or none", outcome));
        }
        Ok(Some(Bonus::without(outcome)))
    }

    fn earned(
        &self,
        bytes: &[u8],
        (case, deal): (&Case<'_>, &Deal),
        until: u64,
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<Bonus, Without> {
        let without = |outcome| Err(Without::Outcome(outcome));
        let Ok(signed) = read_referral(bytes, ledger.registry()) else { return without(Outcome::Invalid) };
        let referral = signed.record();
        if !referral.matches(case.trade.side, &case.trade.instrument) {
            return without(Outcome::OtherTrade);
        }
        if referral.promoter == case.account {
            return without(Outcome::OwnReferral);
        }
        if !referral.is_open_at(until) {
            return without(Outcome::Expired);
        }
        let payable = ledger.account(&referral.promoter).is_some_and(|promoter| {
            promoter.state.status != AccountStatus::Closed && promoter.state.bank == referral.bank
        });
        if !payable || ledger.own_account_of(&referral.promoter).is_some() {
            return without(Outcome::Invalid);
        }
        let used = use_of(referral);
        let uses = self.store.referral_uses(&used)?.saturating_add(self.uses_in_flight(&used));
        if uses >= u64::from(referral.uses) {
            return without(Outcome::Exhausted);
        }
        if self.config.rewards.first_trade_only && self.store.has_traded(&case.account)? {
            return without(Outcome::NotFirstTrade);
        }
        let payments = self.payments(referral, case, deal, ledger)?;
        if payments.is_empty() {
            return without(Outcome::NoPolicy);
        }
        if !self.limits_allow(referral, case, &payments, ledger, now_ms)? {
            return without(Outcome::LimitReached);
        }
        if !self.is_funded(&payments, ledger)? {
            return without(Outcome::Unfunded);
        }
        Ok(Bonus { outcome: Outcome::Rewarded, payments, used: Some(used) })
    }

    /// What the first policy that fits pays: the customer in the cash that paid, the promoter in cash of its own bank.
    fn payments(
        &self,
        referral: &Referral,
        case: &Case<'_>,
        deal: &Deal,
        ledger: &Ledger,
    ) -> Result<Vec<Rewarded>, Without> {
        let fits = |policy: &&RewardPolicy| {
            let code = case.trade.instrument.code();
            (policy.instruments.is_empty() || policy.instruments.iter().any(|listed| listed == code))
                && policy.side.as_ref().is_none_or(|side| *side == case.trade.side.to_string())
        };
        let Some(policy) = self.config.rewards.policies.iter().find(fits) else { return Ok(Vec::new()) };
        let mut payments = Vec::with_capacity(2);
        let cash = &case.trade.cash;
        let to_customer = rate(policy.customer.as_ref(), deal.cost, case.cash_decimals)?;
        if to_customer.is_positive() {
            payments.push(Rewarded { account: case.account, instrument: cash.clone(), amount: to_customer });
        }
        let promoters = InstrumentId::new(&referral.bank, cash.code()).ok();
        let listed = promoters.and_then(|instrument| ledger.listing(&instrument));
        if let Some(listed) = listed {
            let decimals = listed.listing.decimals;
            let cost = rescaled(deal.cost, case.cash_decimals, decimals)?;
            let amount = rate(policy.promoter.as_ref(), cost, decimals)?;
            if amount.is_positive() {
                let instrument = listed.listing.instrument.clone();
                payments.push(Rewarded { account: referral.promoter, instrument, amount });
            }
        }
        Ok(payments)
    }

    /// Budget, and the promoter's caps in all and for the day, with what is in flight.
    fn limits_allow(
        &self,
        referral: &Referral,
        case: &Case<'_>,
        payments: &[Rewarded],
        ledger: &Ledger,
        now_ms: u64,
    ) -> Result<bool, Without> {
        let code = case.trade.cash.code();
        let rewards = &self.config.rewards;
        let promoter = referral.promoter;
        let limits = [
            (rewards.budget.get(code), None, None),
            (rewards.promoter_max.get(code), Some(promoter), None),
            (rewards.promoter_day_max.get(code), Some(promoter), Some(reward_day(now_ms))),
        ];
        for (limit, of, day) in limits {
            let Some(limit) = limit else { continue };
            let limit = parse_decimal(limit, DECIMALS_MAX)?;
            let counts =
                |paid: &&Rewarded| paid.instrument.code() == code && of.is_none_or(|promoter| paid.account == promoter);
            let in_flight = self.promised_rewards().filter(counts);
            let mut sum = Amount::ZERO;
            for paid in in_flight.chain(payments.iter().filter(counts)) {
                let decimals = ledger.listing(&paid.instrument).map_or(0, |listed| listed.listing.decimals);
                sum = sum.plus(rescaled(paid.amount, decimals, DECIMALS_MAX)?)?;
            }
            for listed in ledger.listings().filter(|listed| listed.listing.instrument.code() == code) {
                let paid = self.store.rewards_paid(&listed.listing.instrument, of.as_ref(), day)?;
                sum = sum.plus(rescaled(paid, listed.listing.decimals, DECIMALS_MAX)?)?;
            }
            if sum > limit {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The promotion account has what is to be paid, beside what is promised already.
    fn is_funded(&self, payments: &[Rewarded], ledger: &Ledger) -> Result<bool, Without> {
        let account = own_account(&self.network, &self.id, OwnAccount::Promotion);
        for payment in payments {
            let held = ledger.account(&account).map_or(Amount::ZERO, |a| a.state.holdings.get(&payment.instrument));
            let of_cash = |paid: &&Rewarded| paid.instrument == payment.instrument;
            let promised = self.promised_rewards().filter(of_cash);
            let mut needed = Amount::ZERO;
            for paid in promised.chain(payments.iter().filter(of_cash)) {
                needed = needed.plus(paid.amount)?;
            }
            if held < needed {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// A reward on a cost: a fixed amount and basis points of the cost, rounded down, by the highest tier that the cost reaches.
fn rate(amount: Option<&RewardAmount>, cost: Amount, decimals: u8) -> Result<Amount, AmountError> {
    let Some(RewardAmount { base, tiers }) = amount else { return Ok(Amount::ZERO) };
    let mut best: (Amount, &RewardRate) = (Amount::ZERO, base);
    for tier in tiers {
        let from = parse_decimal(&tier.from, decimals)?;
        if cost >= from && from >= best.0 {
            best = (from, &tier.rate);
        }
    }
    let RewardRate { fixed, basis_points } = best.1;
    let fixed = fixed.as_deref().map(|fixed| parse_decimal(fixed, decimals)).transpose()?.unwrap_or_default();
    let share = cost.units().checked_mul(i128::from(*basis_points)).and_then(|scaled| scaled.checked_div(10_000));
    fixed.plus(share.ok_or(AmountError::TooLarge).and_then(Amount::new)?)
}

/// An amount of a currency with so many decimals in units of one with others, rounded down.
fn rescaled(amount: Amount, from: u8, to: u8) -> Result<Amount, AmountError> {
    let factor = |places: u8| 10_i128.checked_pow(u32::from(places)).ok_or(AmountError::TooLarge);
    let units = match to.checked_sub(from) {
        Some(more) => amount.units().checked_mul(factor(more)?),
        None => amount.units().checked_div(factor(from.saturating_sub(to))?),
    };
    units.ok_or(AmountError::TooLarge).and_then(Amount::new)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use stemma_node_api::config::RewardTier;

    fn rate_of(fixed: Option<&str>, basis_points: u16) -> RewardRate {
        RewardRate { fixed: fixed.map(str::to_owned), basis_points }
    }

    #[test]
    fn the_highest_tier_that_a_cost_reaches_decides() {
        let tier = |from: &str, rate| RewardTier { from: from.to_owned(), rate };
        let amount = RewardAmount {
            base: rate_of(Some("1.00"), 0),
            tiers: vec![tier("1000.00", rate_of(None, 50)), tier("5000.00", rate_of(Some("10.00"), 50))],
        };
        let paid = |cost| rate(Some(&amount), Amount::new(cost).unwrap(), 2).unwrap().units();
        assert_eq!([paid(1), paid(99_999), paid(100_000), paid(499_999), paid(500_000)], [100, 100, 500, 2_499, 3_500]);
        assert_eq!(rate(None, Amount::ONE, 2), Ok(Amount::ZERO));
    }

    #[test]
    fn amounts_change_their_scale_and_never_grow_by_it() {
        let amount = |units| Amount::new(units).unwrap();
        assert_eq!(rescaled(amount(1_999), 2, 0), Ok(amount(19)));
        assert_eq!(rescaled(amount(19), 0, 2), Ok(amount(1_900)));
        assert!(rescaled(amount(1 << 90), 0, 18).is_err());
    }
}
