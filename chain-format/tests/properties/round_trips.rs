//! What is written is read back the same, and no other bytes mean the same.

use std::fmt::Debug;

use minicbor::{Decode, Encode};
use proptest::prelude::*;
use stemma_chain_format::account::AccountState;
use stemma_chain_format::amount::{Amount, Price, Rounding};
use stemma_chain_format::canonical::{self, Canonical};
use stemma_chain_format::cbor;
use stemma_chain_format::certificate::Vote;
use stemma_chain_format::chain::{Chain, Entry, Service};
use stemma_chain_format::hash::Link;
use stemma_chain_format::header::Header;
use stemma_chain_format::holdings::Holdings;
use stemma_chain_format::keys;
use stemma_chain_format::listing::Terms;
use stemma_chain_format::position::Position;
use stemma_chain_format::record::{Record, Signed};
use stemma_chain_format::referral;
use stemma_chain_format::request::Side;

use crate::common::{amount, key, price};
use crate::generators as any_;

/// Signs, reads back, and checks link, signer and signature.
fn signed<T: Record + Clone + PartialEq + Debug>(record: &T) -> Signed<T> {
    plain(record);
    in_one_pass(record);
    let signer = key("signer");
    let stage = Signed::sign(record.clone(), &signer).unwrap();
    let read = Signed::<T>::decode(stage.bytes().to_vec()).unwrap();
    assert_eq!((read.record(), &read), (record, &stage));
    assert_eq!(stage.link(), Link::of(stage.bytes()));
    let check = read.signature_check();
    keys::verify(&check.key, &check.message, &check.signature).unwrap();
    keys::verify_strict(&check.key, &check.message, &check.signature).unwrap();
    stage
}

fn plain<T: Encode<()> + for<'b> Decode<'b, ()> + PartialEq + Debug>(value: &T) {
    let bytes = cbor::encode(value);
    assert_eq!(cbor::decode::<T>(&bytes, "value", 1 << 20).unwrap(), *value);
    assert!(cbor::decode::<T>(&[bytes.as_slice(), &[0]].concat(), "value", 1 << 20).is_err());
}

/// What is read in one pass is what is read the long way, of a value's encoding and of what small changes make of it.
fn in_one_pass<T>(value: &T)
where
    T: Encode<()> + for<'b> Decode<'b, ()> + for<'b> Canonical<'b> + PartialEq + Debug,
{
    let bytes = cbor::encode(value);
    assert_eq!(canonical::read::<T>(&bytes).as_ref(), Some(value));
    let agree = |bytes: &[u8]| {
        let (one_pass, slow) = (canonical::read::<T>(bytes), cbor::decode::<T>(bytes, "value", 1 << 20).ok());
        assert_eq!(one_pass, slow, "{}", hex::encode(bytes));
    };
    for at in (0..bytes.len()).step_by(1 + bytes.len() / 48) {
        let (before, after) = bytes.split_at(at);
        for change in [1, 2, 0x20, 0x80, bytes[at], bytes[at] ^ 0xf6] {
            agree(&[before, &[bytes[at] ^ change], &after[1..]].concat());
        }
        for more in [&[0x00][..], &[0x18], &[0x00, 0xf6], &[0xf6], &after[..1]] {
            agree(&[before, more, after].concat());
        }
        agree(before);
        agree(&[before, &after[1..]].concat());
    }
}

fn entry(entry: &Entry) {
    let bytes = entry.encode();
    assert_eq!(Entry::decode(&bytes).unwrap(), *entry);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chains(request in any_::request(), endorsement in any_::endorsement(), execution in any_::execution()) {
        let chain = Chain {
            request: signed(&request),
            endorsement: signed(&endorsement),
            execution: signed(&execution),
        };
        entry(&Entry::Chain(Box::new(chain)));
    }

    #[test]
    fn openings(record in any_::opening()) {
        entry(&Entry::Opening(Box::new(signed(&record))));
    }

    #[test]
    fn settlements(record in any_::settlement()) {
        entry(&Entry::Settlement(Box::new(signed(&record))));
    }

    #[test]
    fn positions(position in any_::position()) {
        plain(&position);
        in_one_pass(&position);
        assert!(cbor::encode(&position).len() <= Position::BYTES_MAX);
    }

    #[test]
    fn issuances(record in any_::issuance()) {
        entry(&Entry::Issuance(Box::new(signed(&record))));
    }

    #[test]
    fn listings(record in any_::listing()) {
        entry(&Entry::Listing(Box::new(signed(&record))));
    }

    #[test]
    fn servicings(instruction in proptest::option::of(any_::instruction()), record in any_::servicing()) {
        let service = Service { instruction: instruction.as_ref().map(signed), servicing: signed(&record) };
        entry(&Entry::Servicing(Box::new(service)));
    }

    /// Whatever is promoted: the referral fits its bound, and its text gives the same bytes again.
    #[test]
    fn promotions_and_referrals(record in any_::promotion()) {
        signed(&record);
        let bytes = signed(&record.referral()).bytes().to_vec();
        let text = referral::text(&bytes);
        prop_assert!(text.len() <= referral::TEXT_CHARS_MAX);
        prop_assert_eq!(referral::from_text(&text).unwrap(), bytes);
    }

    /// Any text at all: refused, or exactly what writing gives again.
    #[test]
    fn any_referral_text(letters in "[A-Z2-7]{0,24}") {
        let text = format!("{}{letters}", referral::TEXT_PREFIX);
        if let Ok(bytes) = referral::from_text(&text) {
            prop_assert_eq!(referral::text(&bytes), text);
        }
    }

    #[test]
    fn refusals(record in any_::refusal()) {
        signed(&record);
    }

    #[test]
    fn votes_headers_and_states(vote in any_::vote(), header in any_::header(), state in any_::account_state()) {
        plain::<Vote>(&vote);
        plain::<Header>(&header);
        plain::<AccountState>(&state);
        in_one_pass(&header);
        in_one_pass(&state);
    }

    #[test]
    fn holdings_and_amounts(holdings in any_::holdings(), amount in any_::units()) {
        plain::<Holdings>(&holdings);
        plain::<Amount>(&amount);
        in_one_pass(&holdings);
        in_one_pass(&amount);
        prop_assert_eq!(amount.to_string().parse::<Amount>().unwrap(), amount);
    }

    #[test]
    fn prices_in_text(mantissa in 1_u64..1 << 50, scale in 0_u8..=10, decimals in 0_u8..=2) {
        let one = price(mantissa, scale);
        plain::<Price>(&one);
        in_one_pass(&one);
        prop_assert_eq!(Price::parse(&one.display(decimals), decimals).unwrap(), one);
    }

    /// The quantity that cash pays for costs no more than the cash, and one unit more would.
    #[test]
    fn cash_pays_for_its_quantity(cash in 1_i128..1 << 60, mantissa in 1_u64..1 << 40, scale in 0_u8..=6, decimals in 0_u8..=6) {
        let (one, cash) = (price(mantissa, scale), Amount::new(cash).unwrap());
        let quantity = one.quantity_for(cash, decimals).unwrap();
        prop_assert!(one.cost(quantity, decimals, Rounding::Up).unwrap() <= cash);
        let more = quantity.plus(Amount::new(1).unwrap()).unwrap();
        prop_assert!(one.cost(more, decimals, Rounding::Up).unwrap() > cash);
    }

    /// An amount buys as many whole lots as cost, with the fee, no more than it, and one lot more would cost more.
    #[test]
    fn an_amount_is_used_to_the_last_lot(
        cash in 1_i128..1 << 50,
        (mantissa, scale) in (1_u64..1 << 30, 0_u8..=4),
        (lot, most) in (1_i128..10_000, proptest::option::of(1_i128..1 << 40)),
        (fees, sell) in (any_::fee_schedule(), any::<bool>()),
    ) {
        let (price, cash) = (price(mantissa, scale), amount(cash));
        let side = if sell { Side::Sell } else { Side::Buy };
        let terms = Terms { lot: amount(lot), quantity_max: most.map(amount), fees, ..Terms::default() };
        let quantity = terms.largest_quantity(side, cash, price, 2).unwrap();
        let spent = |quantity: i128| {
            let cost = price.cost(amount(quantity), 2, Rounding::HalfEven).unwrap();
            if sell { cost } else { cost.plus(fees.fee(side, cost).unwrap()).unwrap() }
        };
        let units = quantity.units();
        prop_assert_eq!(units % lot, 0);
        prop_assert!(units == 0 || spent(units) <= cash);
        prop_assert!(spent(units + lot) > cash || most.is_some_and(|most| units + lot > most));
        prop_assert!(terms.bound_broken(side, quantity, amount(0)).is_none());
    }

    /// Prices compare as the numbers that they are.
    #[test]
    fn prices_in_order(a in 1_u64.., b in 1_u64.., p in 0_u8..=12, q in 0_u8..=12) {
        let value = |mantissa: u64, scale: u8| u128::from(mantissa) * 10_u128.pow(u32::from(12 - scale));
        prop_assert_eq!(price(a, p).cmp(&price(b, q)), value(a, p).cmp(&value(b, q)));
    }

    /// Any bytes at all: refused, or exactly what encoding gives again.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(state) = AccountState::decode(&bytes) {
            prop_assert_eq!(cbor::encode(&state), bytes.clone());
        }
        prop_assert!(Entry::decode(&bytes).is_err());
    }
}
