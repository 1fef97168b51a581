//! Texts, and numbers.

use std::fmt::Display;
use std::str::FromStr;

use stemma_chain_format::amount::{Amount, Price, Rounding, decimal, parse_decimal};
use stemma_chain_format::cbor;
use stemma_chain_format::hash::{AccountId, BlockId, Digest, Link, NetworkId};
use stemma_chain_format::instrument::{InstrumentId, InstrumentKind};
use stemma_chain_format::isin::Isin;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::limits::{DECIMALS_MAX, PRICE_SCALE_MAX};
use stemma_chain_format::member::{KeyUse, MemberId, Role};
use stemma_chain_format::referral;
use stemma_chain_format::refusal::RefusalReason;

/// Ids, keys and names have one text; amounts and prices mean the same when they are written and read again.
///
/// # Panics
/// Where that does not hold.
pub fn text(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    only_text::<Link>(text);
    only_text::<NetworkId>(text);
    only_text::<AccountId>(text);
    only_text::<BlockId>(text);
    only_text::<Digest>(text);
    only_text::<PublicKey>(text);
    only_text::<MemberId>(text);
    only_text::<InstrumentId>(text);
    only_text::<InstrumentKind>(text);
    only_text::<Isin>(text);
    only_text::<Role>(text);
    only_text::<KeyUse>(text);
    only_text::<RefusalReason>(text);
    if let Ok(amount) = text.parse::<Amount>() {
        assert_eq!(text.parse(), Ok(amount.units()), "another number than the text says");
        assert_eq!(amount.to_string().parse(), Ok(amount));
    }
    for decimals in [0, 2, DECIMALS_MAX] {
        if let Ok(amount) = parse_decimal(text, decimals) {
            assert_eq!(parse_decimal(&decimal(amount.units(), decimals), decimals), Ok(amount));
        }
        if let Ok(price) = Price::parse(text, decimals) {
            assert_eq!(Price::parse(&price.display(decimals), decimals), Ok(price), "{price:?}, {decimals} decimals");
        }
    }
    if let Ok(bytes) = referral::from_text(text) {
        assert_eq!(referral::text(&bytes), text, "a second text of the same bytes");
    }
    true
}

fn only_text<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text, "read, but written otherwise");
    }
}

/// The next `N` bytes; zeros where they end.
fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (first, rest) = bytes.split_at(bytes.len().min(N));
    *bytes = rest;
    let mut taken = [0; N];
    taken.iter_mut().zip(first).for_each(|(to, from)| *to = *from);
    taken
}

/// Amounts are written and read as they are; costs are rounded as asked; cash pays for what it buys, and for no more.
///
/// # Panics
/// Where that does not hold.
pub fn amount(mut bytes: &[u8]) -> bool {
    let bytes = &mut bytes;
    let (first, second) = (i128::from_le_bytes(take(bytes)), i128::from_le_bytes(take(bytes)));
    let (mantissa, [scale, decimals, width]) = (u64::from_le_bytes(take(bytes)), take(bytes));
    let narrowed = |units: i128| Amount::new(units >> (width % 127));
    let (Ok(a), Ok(b)) = (narrowed(first), narrowed(second)) else { return false };
    assert_eq!(cbor::decode(&cbor::encode(&a), "amount", 32), Ok(a));
    assert_eq!(a.units().cmp(&b.units()), a.cmp(&b));
    if let Ok(sum) = a.plus(b) {
        assert_eq!((sum.minus(b), sum.minus(a)), (Ok(a), Ok(b)));
        assert_eq!(sum.negated(), a.negated().minus(b).unwrap());
    }
    let decimals = decimals % (DECIMALS_MAX + 1);
    assert_eq!(parse_decimal(&decimal(a.units(), decimals), decimals), Ok(a));
    let Ok(price) = Price::new(mantissa, scale % (PRICE_SCALE_MAX + 2)) else { return false };
    assert_eq!(price.is_well_formed(), mantissa > 0);
    let cost = |quantity, rounding| price.cost(quantity, decimals, rounding);
    if let (Ok(down), Ok(near), Ok(up)) = (cost(a, Rounding::Down), cost(a, Rounding::HalfEven), cost(a, Rounding::Up))
    {
        let [down, near, up] = [down, near, up].map(|cost| cost.units().abs());
        assert!(down <= near && near <= up && up - down <= 1, "{down} {near} {up}");
        let back = cost(a.negated(), Rounding::Down).map(Amount::negated);
        assert_eq!(back, cost(a, Rounding::Down), "a debit costs another amount than the credit");
    }
    if a.is_negative() || mantissa == 0 {
        return false;
    }
    if let Ok(bought) = price.quantity_for(a, decimals) {
        assert!(!bought.is_negative());
        assert!(cost(bought, Rounding::Up).is_ok_and(|cost| cost <= a), "{bought} costs more than {a}");
        let more = bought.plus(Amount::ONE).and_then(|more| cost(more, Rounding::Down));
        assert!(more.is_err() || more.is_ok_and(|more| more >= a), "{a} pays for more than {bought}");
    }
    true
}
