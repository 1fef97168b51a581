//! Random series of trades of every kind at two institutions, orders that wait, futures, settlements, issuances and acts of servicing: nothing is made, nothing is lost, and every road leads to the same state.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::dealing::fill;
use stemma_chain_format::endorsement::CreditTerms;
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::ledger::{Ledger, Parts};
use stemma_chain_format::member::OwnAccount;
use stemma_chain_format::position::{PositionState, waiting_key};
use stemma_chain_format::request::{Side, Size};
use stemma_chain_format::servicing::Act as Service;
use stemma_chain_format::settlement::{CloseReason, ReleaseReason, SettlementAct};

use crate::common::positions::{SettlePlan, accepted, cancelled, margin_paid};
use crate::common::{Customer, Order, Plan, ServicePlan, World, amount, cash_of, instrument_of, price};

const CUSTOMERS: [&str; 3] = ["alice", "bob", "carol"];
/// What is dealt in at once: a stock, a fund, a trust.
const SPOT: [(&str, &str); 3] = [("broker", "ACME"), ("fund-house", "GROWTH"), ("fund-house", "ESTATE")];

/// One act, in numbers that a world turns into an entry.
#[derive(Debug, Clone)]
enum Act {
    Trade {
        customer: usize,
        what: usize,
        sell: bool,
        by_cash: bool,
        size: i128,
        mantissa: u64,
        scale: u8,
        fee: i128,
        reward: Option<(usize, i128)>,
        absorb: usize,
    },
    Issue {
        bank_b: bool,
        to: Vec<(usize, i128)>,
    },
    Serve {
        customer: usize,
        act: usize,
        size: i128,
        instructed: bool,
        absorb: usize,
    },
    /// An order for the fund that is dealt in forward.
    Order {
        customer: usize,
        sell: bool,
        size: i128,
        limit: Option<u64>,
    },
    /// A trade of the future.
    Future {
        customer: usize,
        sell: bool,
        quantity: i128,
        mantissa: u64,
    },
    /// Something that is asked of one of a customer's positions: to cancel it, to pay into it or out of it, to take it back.
    Ask {
        customer: usize,
        which: usize,
        units: i128,
    },
    /// A position is settled at a price.
    Settle {
        which: usize,
        act: usize,
        mantissa: u64,
    },
    Wait {
        ms: u64,
    },
}

fn trade() -> impl Strategy<Value = Act> {
    let who = 0..CUSTOMERS.len();
    let what = (who.clone(), 0..SPOT.len(), any::<bool>(), any::<bool>());
    let terms = (1_i128..400_000, 1_u64..200_000, 0_u8..4, 0_i128..200);
    (what, terms, option::of((who.clone(), 1_i128..2_000)), 0_usize..4).prop_map(
        |((customer, what, sell, by_cash), (size, mantissa, scale, fee), reward, absorb)| Act::Trade {
            customer,
            what,
            sell,
            by_cash,
            size,
            mantissa,
            scale,
            fee,
            reward,
            absorb,
        },
    )
}

fn act() -> impl Strategy<Value = Act> {
    let who = 0..CUSTOMERS.len();
    let issue =
        (any::<bool>(), vec((0_usize..6, 1_i128..100_000), 1..5)).prop_map(|(bank_b, to)| Act::Issue { bank_b, to });
    let serve = (who, 0_usize..6, 0_i128..100_000, any::<bool>(), 0_usize..4)
        .prop_map(|(customer, act, size, instructed, absorb)| Act::Serve { customer, act, size, instructed, absorb });
    prop_oneof![6 => trade(), 1 => issue, 2 => serve, 8 => position_act()]
}

fn position_act() -> impl Strategy<Value = Act> {
    let who = 0..CUSTOMERS.len();
    let order = (who.clone(), any::<bool>(), 1_i128..300_000, option::of(500_u64..2_000))
        .prop_map(|(customer, sell, size, limit)| Act::Order { customer, sell, size, limit });
    let future = (who.clone(), any::<bool>(), 1_i128..200, 500_u64..2_000)
        .prop_map(|(customer, sell, quantity, mantissa)| Act::Future { customer, sell, quantity, mantissa });
    let ask = (who, 0_usize..8, -50_000_i128..50_000).prop_map(|(customer, which, units)| Act::Ask {
        customer,
        which,
        units,
    });
    let settle = (0_usize..8, 0_usize..5, 500_u64..2_000).prop_map(|(which, act, mantissa)| Act::Settle {
        which,
        act,
        mantissa,
    });
    let wait = (1_u64..100_000_000).prop_map(|ms| Act::Wait { ms });
    prop_oneof![3 => order, 3 => future, 2 => ask, 5 => settle, 1 => wait]
}

fn customer(world: &World, at: usize) -> Customer {
    world.customer(CUSTOMERS[at])
}

/// The act's entry; `None` where it comes to nothing (a size too small for one unit).
fn entry(world: &World, act: &Act) -> Option<Entry> {
    match act {
        Act::Trade { customer: at, what, sell, by_cash, size, mantissa, scale, fee, reward, absorb } => {
            let (size, (institution, code)) = (amount(*size), SPOT[*what]);
            let order = Order {
                customer: customer(world, *at),
                institution,
                code: Some(code),
                side: if *sell { Side::Sell } else { Side::Buy },
                size: if *by_cash { Size::Cash(size) } else { Size::Quantity(size) },
                limit: None,
                price: price(*mantissa, *scale),
                fee: *fee,
                reward: reward.map(|(promoter, units)| (customer(world, promoter), units)),
                absorb: *absorb,
            };
            Entry::decode(&Plan::new(world, order).bytes()).ok()
        }
        Act::Issue { bank_b, to } => {
            let bank = if *bank_b { "bank-b" } else { "bank-a" };
            let credits: BTreeMap<AccountId, i128> =
                to.iter().map(|(at, units)| (receiver(world, *at), *units)).collect();
            Some(world.issued(bank, &credits.into_iter().collect::<Vec<_>>()))
        }
        Act::Serve { customer: at, act, size, instructed, absorb } => {
            let customer = customer(world, *at);
            let act = match act {
                0 => Service::Freeze,
                1 => Service::Unfreeze,
                2 => Service::Close,
                3 => Service::SetCredit(CreditTerms { level: 1, ..CreditTerms::default() }),
                _ => Service::Withdraw(cash_of(customer.bank), amount(*size)),
            };
            let plan = ServicePlan::new(world, customer, act).instructed(*instructed).absorb(*absorb);
            Entry::decode(&plan.bytes()).ok()
        }
        Act::Order { customer: at, sell, size, limit } => {
            let (side, size) = match sell {
                true => (Side::Sell, Size::Quantity(amount(*size))),
                false => (Side::Buy, Size::Cash(amount(*size))),
            };
            let limit = limit.map(|limit| price(limit, 0));
            let order = Order::new(customer(world, *at), "fund-house", side);
            let order = Order { code: Some("NEXT"), size, limit, ..order };
            Entry::decode(&accepted(world, order, None).bytes()).ok()
        }
        Act::Future { customer: at, sell, quantity, mantissa } => {
            let order = Order {
                code: Some("FUT"),
                size: Size::Quantity(amount(*quantity)),
                price: price(*mantissa, 0),
                fee: 250,
                ..Order::new(customer(world, *at), "broker", if *sell { Side::Sell } else { Side::Buy })
            };
            Entry::decode(&Plan::new(world, order).bytes()).ok()
        }
        Act::Ask { customer: at, which, units } => asked(world, customer(world, *at), *which, *units),
        Act::Settle { which, act, mantissa } => settled(world, *which, *act, *mantissa),
        Act::Wait { .. } => None,
    }
}

fn asked(world: &World, customer: Customer, which: usize, units: i128) -> Option<Entry> {
    let mine: Vec<_> = world.ledger.positions_of(&customer.account).collect();
    let (_, position) = *mine.get(which % mine.len().max(1))?;
    let plan = match (&position.state, which % 2) {
        (PositionState::Margin(_), _) => margin_paid(world, customer, "broker", &position.instrument, units),
        (PositionState::Waiting(waiting), 0) => {
            let (instrument, _) = position.holdings().next().unwrap();
            let act = Service::Reclaim(waiting.request, instrument.clone(), waiting.reserved);
            return Entry::decode(&ServicePlan::new(world, customer, act).bytes()).ok();
        }
        (PositionState::Waiting(waiting), _) => {
            let order = Order { code: Some("NEXT"), ..Order::new(customer, "fund-house", Side::Buy) };
            cancelled(world, &order, waiting.request)
        }
    };
    Entry::decode(&plan.bytes()).ok()
}

fn settled(world: &World, which: usize, act: usize, mantissa: u64) -> Option<Entry> {
    let all: Vec<_> = world.ledger.positions().collect();
    let (key, position) = *all.get(which % all.len().max(1))?;
    let (price, priced_ms) = (price(mantissa, 0), world.ledger.head().time_ms + 400);
    let act = match (&position.state, act) {
        (PositionState::Waiting(_), 0) => SettlementAct::Release(ReleaseReason::NotExecuted),
        (PositionState::Waiting(waiting), _) => {
            let listing = &world.ledger.listing(&position.instrument).unwrap().listing;
            match fill(waiting, price, listing).unwrap() {
                Ok(deal) => SettlementAct::Fill { deal, priced_ms },
                Err(reason) => SettlementAct::Release(reason),
            }
        }
        (PositionState::Margin(_), 0 | 1) => SettlementAct::Mark { price, priced_ms },
        (PositionState::Margin(_), act) => {
            let reason = [CloseReason::Called, CloseReason::Exhausted, CloseReason::Expired][act - 2];
            SettlementAct::Close { price, priced_ms, reason }
        }
    };
    Entry::decode(&SettlePlan::new(world, *key, act).bytes()).ok()
}

fn receiver(world: &World, at: usize) -> AccountId {
    match at {
        0..=2 => customer(world, at).account,
        3 => world.own("fund-house", OwnAccount::Settlement),
        4 => world.own("broker", OwnAccount::Promotion),
        _ => world.own("bank-a", OwnAccount::Fees),
    }
}

/// What every account has by plain addition over all that was committed, inboxes included.
fn added_up(world: &World) -> BTreeMap<(AccountId, InstrumentId), i128> {
    let mut sums = BTreeMap::new();
    let mut add = |account: AccountId, instrument: &InstrumentId, units: i128| {
        *sums.entry((account, instrument.clone())).or_insert(0) += units;
    };
    for entry in world.history() {
        match entry {
            Entry::Chain(chain) => {
                for posting in &chain.execution.record().postings {
                    add(posting.account, &posting.instrument, posting.amount.units());
                }
            }
            Entry::Issuance(issuance) => {
                let record = issuance.record();
                let settlement = world.own(record.issuer.as_str(), OwnAccount::Settlement);
                for credit in &record.credits {
                    add(credit.account, &record.instrument, credit.amount.units());
                    add(settlement, &record.instrument, -credit.amount.units());
                }
            }
            Entry::Servicing(service) => {
                let record = service.servicing.record();
                match &record.act {
                    Service::Withdraw(cash, amount) => {
                        add(record.account, cash, -amount.units());
                        add(world.own(record.bank.as_str(), OwnAccount::Settlement), cash, amount.units());
                    }
                    Service::Reclaim(request, instrument, amount) => {
                        add(record.account, instrument, amount.units());
                        add(waiting_key(&world.network(), request), instrument, -amount.units());
                    }
                    _ => {}
                }
            }
            Entry::Settlement(settlement) => {
                for posting in &settlement.record().postings {
                    add(posting.account, &posting.instrument, posting.amount.units());
                }
            }
            Entry::Opening(_) | Entry::Listing(_) | Entry::Governance(_) => {}
        }
    }
    sums.retain(|_, units| *units != 0);
    sums
}

/// What every account and every position has by the ledger, with what waits for it.
fn held(world: &World) -> BTreeMap<(AccountId, InstrumentId), i128> {
    let mut sums = BTreeMap::new();
    for account in world.ledger.accounts() {
        let id = account.state.account;
        let waiting = account.inbox.iter().map(|credit| (&credit.instrument, credit.amount));
        for (instrument, amount) in account.state.holdings.iter().chain(waiting) {
            *sums.entry((id, instrument.clone())).or_insert(0) += amount.units();
        }
    }
    for (key, position) in world.ledger.positions() {
        for (instrument, amount) in position.holdings() {
            *sums.entry((*key, instrument.clone())).or_insert(0) += amount.units();
        }
    }
    sums.retain(|_, units| *units != 0);
    sums
}

fn instruments() -> Vec<InstrumentId> {
    let others = ["fund-house/NEXT", "fund-house/ESTATE", "broker/FUT"].map(|text| text.parse().unwrap());
    let usual = [cash_of("bank-a"), cash_of("bank-b"), instrument_of("broker"), instrument_of("fund-house")];
    usual.into_iter().chain(others).collect()
}

/// Only issuers are below zero, and no customer is: nobody is given a credit line.
fn nobody_owes(world: &World) {
    for account in world.ledger.accounts() {
        for (instrument, amount) in account.state.holdings.iter() {
            let issuer = world.ledger.own_account_of(&account.state.account);
            let may = issuer.is_some_and(|member| instrument.is_issued_by(member));
            assert!(may || !amount.is_negative(), "{} {instrument} {amount}", account.state.account);
        }
        let open = world.ledger.positions_of(&account.state.account).count();
        assert_eq!(account.state.positions, open as u64);
    }
    for (key, position) in world.ledger.positions() {
        let put_up = position.amount_of(&position.cash);
        assert!(!put_up.is_negative(), "{key} {put_up}");
    }
}

/// The ledger rebuilt from its parts, as a node does when it starts, stands at the same root.
fn rebuilt_equals(world: &World) {
    let parts = Parts {
        accounts: world.ledger.accounts().cloned().collect(),
        listings: world.ledger.listings().cloned().collect(),
        positions: world.ledger.positions().map(|(key, position)| (*key, position.clone())).collect(),
    };
    let rebuilt = Ledger::from_parts(world.registry.clone(), parts, world.ledger.head());
    assert_eq!(rebuilt.root(), world.ledger.root());
}

/// Derivation in one go, from each customer's bundle, gives what the ledger derived step by step; from an earlier block on as well.
fn bundles_prove_the_ledger(world: &World, earlier: &World) {
    for name in CUSTOMERS {
        let account = world.customer(name).account;
        let stored = world.ledger.account(&account).unwrap();
        for bundle in [world.bundle(account), world.bundle_from(account, earlier)] {
            let derived = world.derived(&bundle);
            assert_eq!(derived.account, stored.state);
            assert!(derived.positions.iter().eq(world.ledger.positions_of(&account).map(|(_, position)| position)));
            assert!(derived.waiting.iter().eq(&stored.inbox));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_made_and_nothing_is_lost(acts in vec(act(), 1..24)) {
        let mut world = World::with_positions();
        let mut earlier = world.clone();
        for (at, act) in acts.iter().enumerate() {
            if at == acts.len() / 2 {
                earlier = world.clone();
            }
            if let Act::Wait { ms } = act {
                world.later(*ms);
            }
            let Some(entry) = entry(&world, act) else { continue };
            let before = world.ledger.root();
            if world.commit(vec![entry]).is_err() {
                prop_assert_eq!(world.ledger.root(), before);
            }
            nobody_owes(&world);
        }
        for instrument in instruments() {
            prop_assert_eq!(world.total(&instrument), 0, "{}", instrument);
        }
        prop_assert_eq!(held(&world), added_up(&world));
        rebuilt_equals(&world);
        bundles_prove_the_ledger(&world, &earlier);
    }

    /// Trades of different accounts commute: in one block or in many, and in either order, they leave the same holdings.
    #[test]
    fn accounts_do_not_wait_for_each_other(first in trade(), second in trade()) {
        let world = World::with_positions();
        let trades = |act: &Act| matches!(act, Act::Trade { customer, .. } if *customer == 0);
        prop_assume!(trades(&first) && !trades(&second));
        let (Some(first), Some(second)) = (entry(&world, &first), entry(&world, &second)) else { return Ok(()) };
        let (mut there, mut back) = (world.clone(), world.clone());
        if there.commit(vec![first.clone(), second.clone()]).is_err() {
            return Ok(());
        }
        // What the first pays an institution may be what the second is paid from, so the other order may lack cash.
        if back.commit(vec![second]).and_then(|_| back.commit(vec![first])).is_ok() {
            prop_assert_eq!(held(&there), held(&back));
        }
    }
}
