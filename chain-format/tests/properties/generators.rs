//! Generators of valid records.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample;
use stemma_chain_format::account::{AccountState, AccountStatus, Nonce, Opening};
use stemma_chain_format::amount::{Amount, Price};
use stemma_chain_format::certificate::{Vote, VoteKind};
use stemma_chain_format::dealing::{Dealing, MarginTerms};
use stemma_chain_format::endorsement::{Credit, CreditTerms, Endorsement};
use stemma_chain_format::execution::{Acceptance, Deal, Execution, Outcome, Posting, PostingPurpose, ReferralOutcome};
use stemma_chain_format::hash::{AccountId, BlockId, Digest, Link, NetworkId};
use stemma_chain_format::header::Header;
use stemma_chain_format::holdings::Holdings;
use stemma_chain_format::hours::{Session, TradingHours};
use stemma_chain_format::instruction::Instruction;
use stemma_chain_format::instrument::{InstrumentId, InstrumentKind};
use stemma_chain_format::isin::Isin;
use stemma_chain_format::issuance::{Issuance, IssuedCredit};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::listing::{FeeSchedule, Listing, ListingStatus, Terms};
use stemma_chain_format::member::MemberId;
use stemma_chain_format::position::{Margin, Position, PositionState, Waiting};
use stemma_chain_format::promotion::Promotion;
use stemma_chain_format::refusal::{Refusal, RefusalReason};
use stemma_chain_format::request::{Cancel, IdentityClaim, MarginPayment, Order, Request, Side, Size, Trade};
use stemma_chain_format::servicing::{Act, Consent, Servicing};
use stemma_chain_format::settlement::{CloseReason, ReleaseReason, Settlement, SettlementAct};

use crate::common::{amount, key, price};

/// Amounts of every width: a mantissa shifted by any number of bits within the range.
pub fn units() -> impl Strategy<Value = Amount> {
    let edge = prop_oneof![Just(0_i128), Just(1), Just(23), Just(24), Just(255), Just(256), Just((1 << 64) - 1)];
    let wide = (any::<u64>(), 0_u32..33).prop_map(|(mantissa, shift)| i128::from(mantissa) << shift);
    let magnitude = prop_oneof![edge, wide, Just(1_i128 << 96)].prop_map(|n| n.min(1 << 96));
    (magnitude, any::<bool>()).prop_map(|(n, negative)| amount(if negative { -n } else { n }))
}

pub fn positive() -> impl Strategy<Value = Amount> {
    units().prop_map(|a| amount(a.units().abs().max(1)))
}

fn prices() -> impl Strategy<Value = Price> {
    (1..=u64::MAX, 0_u8..=12).prop_map(|(mantissa, scale)| price(mantissa, scale))
}

pub fn member() -> impl Strategy<Value = MemberId> {
    "[a-z][a-z0-9-]{0,31}".prop_map(|text| text.parse().unwrap())
}

fn code() -> impl Strategy<Value = String> {
    "[A-Z0-9][A-Z0-9.-]{0,23}"
}

pub fn instrument_of(issuer: &MemberId) -> impl Strategy<Value = InstrumentId> + use<> {
    let issuer = issuer.clone();
    code().prop_map(move |code| InstrumentId::new(&issuer, &code).unwrap())
}

fn instrument() -> impl Strategy<Value = InstrumentId> {
    member().prop_flat_map(|issuer| instrument_of(&issuer))
}

fn bytes() -> impl Strategy<Value = [u8; 32]> {
    any::<[u8; 32]>()
}

fn digest() -> impl Strategy<Value = Digest> {
    bytes().prop_map(Digest)
}

fn public_key() -> impl Strategy<Value = PublicKey> {
    any::<u32>().prop_map(|n| PublicKey::of(&key(&format!("generated {n}"))))
}

fn holdings_of(pairs: Vec<(InstrumentId, Amount)>) -> Holdings {
    let mut holdings = Holdings::new();
    for (instrument, amount) in pairs {
        if holdings.get(&instrument).is_zero() {
            holdings.add(&instrument, amount).unwrap();
        }
    }
    holdings
}

pub fn holdings() -> impl Strategy<Value = Holdings> {
    vec((instrument(), units()), 0..8).prop_map(holdings_of)
}

fn lines(bank: &MemberId) -> impl Strategy<Value = Holdings> + use<> {
    vec((instrument_of(bank), positive()), 0..4).prop_map(holdings_of)
}

fn credit() -> impl Strategy<Value = Credit> {
    (bytes(), any::<u32>(), instrument(), positive()).prop_map(|(source, index, instrument, amount)| Credit {
        source: Link(source),
        index,
        instrument,
        amount,
    })
}

fn posting() -> impl Strategy<Value = Posting> {
    let purpose = sample::select(vec![
        PostingPurpose::Trade,
        PostingPurpose::Fee,
        PostingPurpose::Reward,
        PostingPurpose::Reserve,
        PostingPurpose::Margin,
        PostingPurpose::Variation,
    ]);
    (bytes(), instrument(), positive(), any::<bool>(), purpose).prop_map(
        |(account, instrument, amount, debit, purpose)| Posting {
            account: AccountId(account),
            instrument,
            amount: if debit { amount.negated() } else { amount },
            purpose,
        },
    )
}

fn trade(bank: &MemberId, institution: &MemberId) -> impl Strategy<Value = Trade> + use<> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let size = prop_oneof![positive().prop_map(Size::Quantity), positive().prop_map(Size::Cash)];
    let limits = (option::of(prices()), option::of(0..1_000_000_i128));
    (side, instrument_of(institution), size, instrument_of(bank), limits).prop_map(
        |(side, instrument, size, cash, (limit, fee_max))| {
            let fee_max = fee_max.map(|fee| Amount::new(fee).unwrap());
            Trade { side, instrument, size, cash, limit, fee_max }
        },
    )
}

fn order(bank: &MemberId, institution: &MemberId) -> impl Strategy<Value = Order> + use<> {
    let parts = || (instrument_of(institution), instrument_of(bank));
    let cancel = (bytes(), parts())
        .prop_map(|(request, (instrument, cash))| Order::Cancel(Cancel { request: Link(request), instrument, cash }));
    let payment = (parts(), positive(), any::<bool>()).prop_map(|((instrument, cash), amount, out)| {
        Order::Margin(MarginPayment { instrument, cash, amount: if out { amount.negated() } else { amount } })
    });
    prop_oneof![4 => trade(bank, institution).prop_map(Order::Trade), 1 => cancel, 1 => payment]
}

pub fn request() -> impl Strategy<Value = Request> {
    let members = (member(), member());
    let parties = members.prop_flat_map(|(bank, institution)| {
        let order = order(&bank, &institution);
        (Just(bank), Just(institution), order)
    });
    let last = (identities(), option::of(any::<u64>()), option::of(vec(any::<u8>(), 0..=1024)));
    (bytes(), bytes(), 1..=u64::MAX, parties, last).prop_map(
        |(network, account, counter, (bank, institution, order), (identities, expires, referral))| Request {
            network: NetworkId(network),
            account: AccountId(account),
            counter,
            bank,
            institution,
            referral: referral.filter(|_| order.trade().is_some()),
            order,
            identities,
            expires,
        },
    )
}

fn identities() -> impl Strategy<Value = Vec<IdentityClaim>> {
    let claims = proptest::collection::btree_map("[a-z0-9-]{1,32}", digest(), 1..=4);
    claims.prop_map(|claims| claims.into_iter().map(|(kind, commitment)| IdentityClaim { kind, commitment }).collect())
}

fn terms(bank: &MemberId) -> impl Strategy<Value = CreditTerms> + use<> {
    (any::<u8>(), any::<u32>(), lines(bank)).prop_map(|(level, rules, lines)| CreditTerms { level, rules, lines })
}

fn act(bank: &MemberId) -> impl Strategy<Value = Act> + use<> {
    let plain = sample::select(vec![Act::Freeze, Act::Unfreeze, Act::Close, Act::RevokeKey]);
    let withdraw = (instrument_of(bank), positive()).prop_map(|(cash, amount)| Act::Withdraw(cash, amount));
    let reclaim =
        (bytes(), instrument(), positive()).prop_map(|(link, what, amount)| Act::Reclaim(Link(link), what, amount));
    prop_oneof![plain, withdraw, public_key().prop_map(Act::BindKey), terms(bank).prop_map(Act::SetCredit), reclaim]
}

pub fn instruction() -> impl Strategy<Value = Instruction> {
    let bank = member().prop_flat_map(|bank| {
        let asked = act(&bank).prop_filter("an act to ask for", |act| act.consent() != Consent::None);
        (Just(bank), asked)
    });
    (bytes(), bytes(), 1..=u64::MAX, bank, identities(), option::of(any::<u64>())).prop_map(
        |(network, account, counter, (bank, act), identities, expires)| Instruction {
            network: NetworkId(network),
            account: AccountId(account),
            counter,
            bank,
            act,
            identities,
            expires,
        },
    )
}

pub fn promotion() -> impl Strategy<Value = Promotion> {
    let side = option::of(prop_oneof![Just(Side::Buy), Just(Side::Sell)]);
    let target = (side, member().prop_flat_map(|issuer| instrument_of(&issuer)));
    let last = (1..=1_000_000_u32, any::<u64>(), identities());
    (bytes(), bytes(), 1..=u64::MAX, member(), target, last).prop_map(
        |(network, account, counter, bank, (side, instrument), (uses, expires, identities))| Promotion {
            network: NetworkId(network),
            account: AccountId(account),
            counter,
            bank,
            side,
            instrument,
            uses,
            expires,
            identities,
        },
    )
}

pub fn servicing() -> impl Strategy<Value = Servicing> {
    let bank = member().prop_flat_map(|bank| {
        let act = act(&bank);
        (Just(bank), act)
    });
    let links = (bytes(), bytes(), option::of(bytes()), bytes());
    (links, bank, 1..=u64::MAX, vec(credit(), 0..6), holdings()).prop_map(
        |((network, account, instruction, parent), (bank, act), sequence, absorbed, holdings)| Servicing {
            network: NetworkId(network),
            bank,
            account: AccountId(account),
            instruction: instruction.map(Link),
            parent: Link(parent),
            sequence,
            absorbed,
            act,
            holdings,
        },
    )
}

pub fn endorsement() -> impl Strategy<Value = Endorsement> {
    let bank = member().prop_flat_map(|bank| {
        let lines = lines(&bank);
        (Just(bank), lines)
    });
    let terms = (any::<u8>(), any::<u32>(), digest(), any::<u64>());
    let links = (bytes(), bytes(), bytes(), bytes());
    (links, bank, 1..=u64::MAX, vec(credit(), 0..6), holdings(), terms).prop_map(
        |((network, request, account, parent), (bank, lines), sequence, absorbed, holdings, terms)| Endorsement {
            network: NetworkId(network),
            request: Link(request),
            bank,
            account: AccountId(account),
            parent: Link(parent),
            sequence,
            absorbed,
            holdings,
            credit: CreditTerms { level: terms.0, rules: terms.1, lines },
            verifier: terms.2,
            expires: terms.3,
        },
    )
}

fn deal() -> impl Strategy<Value = Deal> {
    let fee = units().prop_map(|a| amount(a.units().abs()));
    (positive(), prices(), fee).prop_map(|(quantity, price, fee)| Deal { quantity, price, fee })
}

/// An outcome with the time that it is of.
fn outcome() -> impl Strategy<Value = (Outcome, u64)> {
    let traded = (deal(), any::<u64>()).prop_map(|(deal, at)| (Outcome::Traded(deal), at));
    let accepted = (0..1_u64 << 60, option::of(0_u64..1_000), 1_000_u64..100_000).prop_map(|(at, cut_off, reclaim)| {
        let cut_off_ms = cut_off.map(|ms| at + ms);
        (Outcome::Accepted(Acceptance { cut_off_ms, reclaim_ms: at + reclaim }), at)
    });
    prop_oneof![4 => traded, 2 => accepted, 1 => any::<u64>().prop_map(|at| (Outcome::Done, at))]
}

pub fn settlement() -> impl Strategy<Value = Settlement> {
    let releases =
        vec![ReleaseReason::PriceOutsideLimit, ReleaseReason::QuantityOutsideTerms, ReleaseReason::NotExecuted];
    let closes = vec![CloseReason::Called, CloseReason::Exhausted, CloseReason::Expired];
    let act = prop_oneof![
        (deal(), any::<u32>()).prop_map(|(deal, at)| SettlementAct::Fill { deal, priced_ms: at.into() }),
        sample::select(releases).prop_map(SettlementAct::Release),
        (prices(), any::<u32>()).prop_map(|(price, at)| SettlementAct::Mark { price, priced_ms: at.into() }),
        (prices(), any::<u32>(), sample::select(closes)).prop_map(|(price, at, reason)| SettlementAct::Close {
            price,
            priced_ms: at.into(),
            reason,
        }),
    ];
    let links = (bytes(), bytes(), bytes(), bytes(), bytes());
    (links, member(), act, vec(posting(), 0..8), 1_u64 << 32..=u64::MAX).prop_map(
        |((network, position, account, parent, listing), institution, act, postings, settled_ms)| Settlement {
            network: NetworkId(network),
            institution,
            position: AccountId(position),
            account: AccountId(account),
            parent: Link(parent),
            listing: Link(listing),
            act,
            postings,
            settled_ms,
        },
    )
}

pub fn position() -> impl Strategy<Value = Position> {
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let limits = (option::of(prices()), option::of(positive()), option::of(any::<u64>()));
    let waiting = ((bytes(), side), positive(), limits, any::<u64>(), any::<u64>()).prop_map(
        |((request, side), reserved, (limit, fee_max, cut_off_ms), accepted_ms, reclaim_ms)| {
            let request = Link(request);
            PositionState::Waiting(Waiting {
                request,
                side,
                reserved,
                limit,
                fee_max,
                accepted_ms,
                cut_off_ms,
                reclaim_ms,
            })
        },
    );
    let margin = (units(), prices(), positive(), any::<u64>(), option::of(any::<u64>())).prop_map(
        |(quantity, mark, margin, marked_ms, called_ms)| {
            PositionState::Margin(Margin { quantity, mark, margin, marked_ms, called_ms })
        },
    );
    let state = prop_oneof![waiting, margin];
    (bytes(), instrument(), instrument(), bytes(), state).prop_map(|(account, instrument, cash, head, state)| {
        Position { account: AccountId(account), instrument, cash, head: Link(head), state }
    })
}

pub fn execution() -> impl Strategy<Value = Execution> {
    let links = (bytes(), bytes(), bytes(), bytes());
    let referral = option::of(sample::select(vec![
        ReferralOutcome::Rewarded,
        ReferralOutcome::Invalid,
        ReferralOutcome::LimitReached,
        ReferralOutcome::Unfunded,
    ]));
    let last = (holdings(), referral);
    (links, member(), outcome(), vec(posting(), 1..8), last).prop_map(
        |((network, endorsement, account, listing), institution, outcome, postings, (holdings, referral))| {
            let (outcome, executed_ms) = outcome;
            Execution {
                network: NetworkId(network),
                endorsement: Link(endorsement),
                institution,
                account: AccountId(account),
                listing: Link(listing),
                outcome,
                postings,
                holdings,
                executed_ms,
                referral,
            }
        },
    )
}

pub fn opening() -> impl Strategy<Value = Opening> {
    let bank = member().prop_flat_map(|bank| {
        let terms = terms(&bank);
        (Just(bank), terms)
    });
    (bytes(), bank, public_key(), any::<[u8; 16]>()).prop_map(|(network, (bank, credit), key, nonce)| Opening {
        network: NetworkId(network),
        bank,
        key,
        nonce: Nonce(nonce),
        credit,
    })
}

pub fn issuance() -> impl Strategy<Value = Issuance> {
    let issuer = member().prop_flat_map(|issuer| {
        let instrument = instrument_of(&issuer);
        (Just(issuer), instrument)
    });
    let small = (1_i128..1 << 80).prop_map(amount);
    let credits = proptest::collection::btree_map(bytes(), small, 1..20);
    (bytes(), issuer, bytes(), 1..=u64::MAX, credits).prop_map(
        |(network, (issuer, instrument), parent, sequence, credits)| Issuance {
            network: NetworkId(network),
            issuer,
            parent: Link(parent),
            sequence,
            instrument,
            credits: credits
                .into_iter()
                .map(|(account, amount)| IssuedCredit { account: AccountId(account), amount })
                .collect(),
        },
    )
}

pub fn listing() -> impl Strategy<Value = Listing> {
    let kinds = [InstrumentKind::Fund, InstrumentKind::Stock, InstrumentKind::Future, InstrumentKind::Trust];
    let status = sample::select(vec![ListingStatus::Open, ListingStatus::Suspended, ListingStatus::Closed]);
    let change = (option::of(isin()), status, trade_terms(), option::of(bytes()));
    let other = (sample::select(kinds.to_vec()), "[A-Z0-9]{1,24}", change);
    (bytes(), instrument(), option::of(other), 0_u8..=18, "\\PC{1,64}").prop_map(
        |(network, instrument, other, decimals, name)| {
            let currency = Listing {
                network: NetworkId(network),
                instrument,
                kind: InstrumentKind::Currency,
                decimals,
                name,
                quoted_in: None,
                isin: None,
                status: ListingStatus::Open,
                terms: None,
                replaces: None,
            };
            let Some((kind, quoted_in, (isin, status, terms, replaces))) = other else { return currency };
            let margin =
                Dealing::Margin(MarginTerms { initial_basis_points: 1_200, maintenance_basis_points: 900, call_s: 60 });
            let dealing = match kind {
                InstrumentKind::Future => margin,
                InstrumentKind::Fund | InstrumentKind::Trust if decimals % 2 == 0 => Dealing::Forward,
                _ => Dealing::Spot,
            };
            let (quoted_in, terms, replaces) = (Some(quoted_in), Some(Terms { dealing, ..terms }), replaces.map(Link));
            Listing { kind, quoted_in, isin, status, terms, replaces, ..currency }
        },
    )
}

fn isin() -> impl Strategy<Value = Isin> {
    // One of ten check digits is the right one.
    "[A-Z]{2}[A-Z0-9]{9}".prop_map(|body| (0..10).find_map(|digit| format!("{body}{digit}").parse().ok()).unwrap())
}

pub fn fee_schedule() -> impl Strategy<Value = FeeSchedule> {
    (0_u16..=10_000, 0_u16..=10_000, 0_i128..1_000).prop_map(|(buy_basis_points, sell_basis_points, least)| {
        FeeSchedule { buy_basis_points, sell_basis_points, least: amount(least) }
    })
}

fn trade_terms() -> impl Strategy<Value = Terms> {
    let bounds = (positive(), option::of(positive()), option::of(positive()));
    let rest = (0_u8..=255, 1_u8..=7, 0_u16..=3_660);
    (bounds, fee_schedule(), option::of(hours()), rest).prop_map(
        |((lot, quantity_min, most), fees, hours, (credit_level_min, risk_class, lock_up_days))| Terms {
            lot,
            quantity_min,
            quantity_max: most.map(|most| most.max(quantity_min.unwrap_or(most))),
            fees,
            hours,
            credit_level_min,
            risk_class,
            lock_up_days,
            dealing: Dealing::Spot,
        },
    )
}

fn hours() -> impl Strategy<Value = TradingHours> {
    let minutes = proptest::collection::btree_set(0_u16..=1_440, 2..5);
    let days = proptest::collection::btree_map(0_u8..7, minutes, 1..7);
    let holidays = proptest::collection::btree_set(any::<u32>(), 0..128);
    ("[A-Z][A-Za-z/_+-]{0,39}", days, holidays).prop_map(|(zone, days, holidays)| TradingHours {
        zone,
        sessions: days
            .into_iter()
            .flat_map(|(weekday, minutes)| {
                let minutes: Vec<u16> = minutes.into_iter().collect();
                let pairs: Vec<_> = minutes.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
                pairs.into_iter().map(move |(opens, closes)| Session { weekday, opens, closes })
            })
            .collect(),
        holidays: holidays.into_iter().collect(),
    })
}

pub fn refusal() -> impl Strategy<Value = Refusal> {
    let reason = sample::select(RefusalReason::ALL.to_vec());
    (bytes(), member(), bytes(), reason, "\\PC{0,64}", "\\PC{0,64}", any::<u64>()).prop_map(
        |(network, member, refused, reason, expected, found, refused_ms)| Refusal {
            network: NetworkId(network),
            member,
            refused: Link(refused),
            reason,
            expected,
            found,
            refused_ms,
        },
    )
}

pub fn vote() -> impl Strategy<Value = Vote> {
    let kind = prop_oneof![Just(VoteKind::Prevote), Just(VoteKind::Precommit)];
    (bytes(), kind, any::<u64>(), any::<u32>(), option::of(bytes()), member()).prop_map(
        |(network, kind, height, round, block, validator)| Vote {
            network: NetworkId(network),
            kind,
            height,
            round,
            block: block.map(BlockId),
            validator,
        },
    )
}

pub fn header() -> impl Strategy<Value = Header> {
    (bytes(), any::<u64>(), bytes(), any::<u64>(), member(), (digest(), digest(), digest())).prop_map(
        |(network, height, parent, time_ms, proposer, (entries_root, accounts_root, registry_root))| Header {
            network: NetworkId(network),
            height,
            parent: BlockId(parent),
            time_ms,
            proposer,
            entries_root,
            accounts_root,
            registry_root,
        },
    )
}

pub fn account_state() -> impl Strategy<Value = AccountState> {
    let counts = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    let bank = member().prop_flat_map(|bank| {
        let terms = terms(&bank);
        (Just(bank), terms)
    });
    let statuses = vec![AccountStatus::Open, AccountStatus::Frozen, AccountStatus::Closed];
    let last = (digest(), sample::select(statuses), any::<u64>());
    (bytes(), bank, option::of(public_key()), bytes(), counts, holdings(), last).prop_map(
        |(account, (bank, credit), key, head, (sequence, counter, received, absorbed), holdings, last)| AccountState {
            account: AccountId(account),
            bank,
            key,
            sequence,
            head: Link(head),
            counter,
            holdings,
            credits_received: received,
            credits_absorbed: absorbed,
            credits_digest: last.0,
            status: last.1,
            credit,
            positions: last.2,
        },
    )
}
