//! Amounts and prices: checked integers, rounding stated per operation, never floating point.

use std::fmt;
use std::str::FromStr;

use minicbor::data::{Tag, Type};
use minicbor::decode::{Decoder, Error as CborError};
use minicbor::encode::{Encoder, Write};

use crate::canonical::{Canonical, Reader};
use crate::limits::{AMOUNT_MAGNITUDE_MAX, DECIMALS_MAX, PRICE_SCALE_MAX};

/// A signed amount in an instrument's smallest unit. Its magnitude in records is at most 2^96.
///
/// CBOR: a plain integer where it fits 64 bits, else a big integer (tag 2 or 3, RFC 8949 §3.4.3), as the preferred
/// serialisation asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i128);

/// Why an amount or a price was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Beyond the magnitude a record may hold.
    #[error("the amount exceeds 2^96 smallest units")]
    TooLarge,
    /// Not an optional minus sign and decimal digits.
    #[error("an amount is written as decimal digits, with a minus sign where it is negative")]
    Text,
    /// Not digits with at most one decimal point.
    #[error("a price is written as digits with an optional decimal point, up to {PRICE_SCALE_MAX} places")]
    PriceText,
}

/// How a quotient becomes an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Toward zero.
    Down,
    /// Away from zero.
    Up,
    /// To the nearest, ties to the even neighbour.
    HalfEven,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// One smallest unit.
    pub const ONE: Self = Self(1);

    /// An amount of so many smallest units.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`] beyond 2^96.
    pub const fn new(units: i128) -> Result<Self, AmountError> {
        if units > AMOUNT_MAGNITUDE_MAX || units < -AMOUNT_MAGNITUDE_MAX {
            return Err(AmountError::TooLarge);
        }
        Ok(Self(units))
    }

    /// The number of smallest units.
    pub const fn units(self) -> i128 {
        self.0
    }

    /// The sum, or `TooLarge`.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`] beyond 2^96.
    pub fn plus(self, other: Self) -> Result<Self, AmountError> {
        self.0.checked_add(other.0).ok_or(AmountError::TooLarge).and_then(Self::new)
    }

    /// The difference, or `TooLarge`.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`] beyond 2^96.
    pub fn minus(self, other: Self) -> Result<Self, AmountError> {
        self.0.checked_sub(other.0).ok_or(AmountError::TooLarge).and_then(Self::new)
    }

    /// The same magnitude with the other sign; the range is symmetric, so this always holds.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self(self.0.saturating_neg())
    }

    /// Whether the amount is below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Whether the amount is above zero.
    pub const fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// Whether the amount is zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// A price: smallest units of cash for one whole unit of the instrument, as `mantissa × 10^-scale`.
///
/// One value has one form: the mantissa is not a multiple of ten unless the scale is zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, minicbor::Encode, minicbor::Decode, Canonical)]
pub struct Price {
    #[n(0)]
    mantissa: u64,
    #[n(1)]
    scale: u8,
}

impl Price {
    /// The price `mantissa × 10^-scale`, brought to its one form.
    ///
    /// # Errors
    /// [`AmountError::PriceText`] where the scale exceeds [`PRICE_SCALE_MAX`].
    pub fn new(mantissa: u64, scale: u8) -> Result<Self, AmountError> {
        let mut price = Self { mantissa, scale };
        while price.scale > 0 && price.mantissa.is_multiple_of(10) {
            price.mantissa /= 10;
            price.scale = price.scale.saturating_sub(1);
        }
        if price.scale > PRICE_SCALE_MAX {
            return Err(AmountError::PriceText);
        }
        Ok(price)
    }

    /// Whether a decoded price is in its one form and above zero.
    pub fn is_well_formed(&self) -> bool {
        self.mantissa > 0 && self.scale <= PRICE_SCALE_MAX && (self.scale == 0 || !self.mantissa.is_multiple_of(10))
    }

    /// Reads a price quoted in whole units of a currency, such as `25.94`, for cash with so many decimals.
    ///
    /// # Errors
    /// [`AmountError::PriceText`] or [`AmountError::TooLarge`].
    pub fn parse(text: &str, cash_decimals: u8) -> Result<Self, AmountError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}");
        let plain = !whole.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if !plain || (fraction.is_empty() && text.contains('.')) {
            return Err(AmountError::PriceText);
        }
        let scale = u8::try_from(fraction.len()).map_err(|_| AmountError::PriceText)?;
        let mantissa: u64 = digits.parse().map_err(|_| AmountError::TooLarge)?;
        if scale >= cash_decimals {
            return Self::new(mantissa, scale.saturating_sub(cash_decimals));
        }
        let factor = ten_to(cash_decimals.saturating_sub(scale));
        let factor = u64::try_from(factor).map_err(|_| AmountError::TooLarge)?;
        Self::new(mantissa.checked_mul(factor).ok_or(AmountError::TooLarge)?, 0)
    }

    /// The price in whole units of a currency with so many decimals, such as `25.94`.
    pub fn display(&self, cash_decimals: u8) -> String {
        decimal(i128::from(self.mantissa), self.scale.saturating_add(cash_decimals))
    }

    /// What a quantity costs: `quantity × price`, in smallest units of cash.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`].
    pub fn cost(&self, quantity: Amount, decimals: u8, rounding: Rounding) -> Result<Amount, AmountError> {
        let product = quantity.units().checked_mul(i128::from(self.mantissa)).ok_or(AmountError::TooLarge)?;
        let divisor = ten_to(self.scale.saturating_add(decimals));
        divide(product, divisor, rounding).and_then(Amount::new)
    }

    /// The largest quantity that an amount of cash pays for, rounded down.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`].
    pub fn quantity_for(&self, cash: Amount, decimals: u8) -> Result<Amount, AmountError> {
        let scaled =
            cash.units().checked_mul(ten_to(self.scale.saturating_add(decimals))).ok_or(AmountError::TooLarge)?;
        divide(scaled, i128::from(self.mantissa), Rounding::Down).and_then(Amount::new)
    }
}

impl PartialOrd for Price {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Price {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // A mantissa of 64 bits times 10^12 fits 128 bits.
        let level = |p: &Self, q: &Self| i128::from(p.mantissa).saturating_mul(ten_to(q.scale.saturating_sub(p.scale)));
        level(self, other).cmp(&level(other, self))
    }
}

/// `10^exponent`, for exponents up to 36.
fn ten_to(exponent: u8) -> i128 {
    10_i128.checked_pow(u32::from(exponent)).unwrap_or(i128::MAX)
}

fn divide(numerator: i128, divisor: i128, rounding: Rounding) -> Result<i128, AmountError> {
    let quotient = numerator.checked_div(divisor).ok_or(AmountError::TooLarge)?;
    let remainder = numerator.checked_rem(divisor).ok_or(AmountError::TooLarge)?;
    if remainder == 0 {
        return Ok(quotient);
    }
    let away = match rounding {
        Rounding::Down => false,
        Rounding::Up => true,
        Rounding::HalfEven => {
            let twice = remainder.unsigned_abs().saturating_mul(2);
            let odd = quotient & 1 != 0;
            twice > divisor.unsigned_abs() || (twice == divisor.unsigned_abs() && odd)
        }
    };
    let step = if !away {
        0
    } else if (numerator < 0) == (divisor < 0) {
        1
    } else {
        -1
    };
    quotient.checked_add(step).ok_or(AmountError::TooLarge)
}

/// Writes smallest units as a decimal number of whole units, such as `-12.34`.
pub fn decimal(units: i128, decimals: u8) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let width = usize::from(decimals).saturating_add(1);
    let digits = format!("{:0width$}", units.unsigned_abs());
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(usize::from(decimals)));
    if decimals == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Reads a decimal number of whole units, such as `12.34`, as smallest units.
///
/// # Errors
/// [`AmountError::Text`] for anything else, or more places than the instrument has.
pub fn parse_decimal(text: &str, decimals: u8) -> Result<Amount, AmountError> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let padding = usize::from(decimals.min(DECIMALS_MAX)).checked_sub(fraction.len()).ok_or(AmountError::Text)?;
    let digits = format!("{whole}{fraction}{}", "0".repeat(padding));
    let plain = !whole.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !plain || (fraction.is_empty() && unsigned.contains('.')) {
        return Err(AmountError::Text);
    }
    let units: i128 = digits.parse().map_err(|_| AmountError::TooLarge)?;
    Amount::new(if negative { units.saturating_neg() } else { units })
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    fn from_str(text: &str) -> Result<Self, AmountError> {
        parse_decimal(text, 0)
    }
}

impl<C> minicbor::Encode<C> for Amount {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        if let Ok(small) = u64::try_from(self.0) {
            return e.u64(small)?.ok();
        }
        if let Ok(small) = i64::try_from(self.0) {
            return e.i64(small)?.ok();
        }
        // CBOR's negative integers hold -1 - n, and n may need all 64 bits.
        let (tag, magnitude) =
            if self.0 < 0 { (3, self.0.saturating_add(1).unsigned_abs()) } else { (2, self.0.unsigned_abs()) };
        if let (3, Ok(n)) = (tag, u64::try_from(magnitude)) {
            let int = minicbor::data::Int::try_from((-1_i128).saturating_sub(i128::from(n)));
            return match int {
                Ok(int) => e.int(int)?.ok(),
                Err(_) => Err(minicbor::encode::Error::message("integer out of range")),
            };
        }
        let bytes = magnitude.to_be_bytes();
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        e.tag(Tag::new(tag))?.bytes(bytes.get(zeros..).unwrap_or_default())?.ok()
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Amount {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, CborError> {
        let at = d.position();
        let units = match d.datatype()? {
            Type::Tag => {
                let tag = d.tag()?.as_u64();
                let magnitude =
                    d.bytes()?.iter().try_fold(0_i128, |n, b| n.checked_mul(256)?.checked_add(i128::from(*b)));
                match (tag, magnitude) {
                    (2, Some(n)) => n,
                    (3, Some(n)) => n.saturating_neg().saturating_sub(1),
                    _ => return Err(CborError::message("not an amount").at(at)),
                }
            }
            _ => i128::from(d.int()?),
        };
        Self::new(units).map_err(|e| CborError::message(e.to_string()).at(at))
    }
}

impl Canonical<'_> for Amount {
    #[inline]
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        from.integer().and_then(|units| Self::new(units).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cbor;

    #[test]
    fn every_width_of_amount_round_trips_in_its_shortest_form() {
        let edges = [0, 1, 23, 24, 255, 256, i128::from(u64::MAX), AMOUNT_MAGNITUDE_MAX];
        for edge in edges {
            for delta in [-2, -1, 0, 1, 2] {
                for units in [edge + delta, -(edge + delta)] {
                    let Ok(amount) = Amount::new(units) else { continue };
                    let bytes = cbor::encode(&amount);
                    assert_eq!(cbor::decode::<Amount>(&bytes, "amount", 32), Ok(amount), "{units}");
                }
            }
        }
    }

    #[test]
    fn rounding_is_as_named() {
        let cases = [(5, 2, 2, 3, 2), (7, 2, 3, 4, 4), (-5, 2, -2, -3, -2), (-7, 2, -3, -4, -4)];
        for (n, d, down, up, even) in cases {
            assert_eq!(divide(n, d, Rounding::Down), Ok(down));
            assert_eq!(divide(n, d, Rounding::Up), Ok(up));
            assert_eq!(divide(n, d, Rounding::HalfEven), Ok(even));
        }
    }

    #[test]
    fn prices_read_as_quoted() {
        let price = Price::parse("25.94", 2).unwrap();
        assert_eq!(price, Price::new(2594, 0).unwrap());
        assert_eq!(price.display(2), "25.94");
        let nav = Price::parse("1.23450", 2).unwrap();
        assert_eq!(nav, Price::new(12345, 2).unwrap());
        assert_eq!(nav.cost(Amount(1000), 0, Rounding::HalfEven), Ok(Amount(123_450)));
        assert!(Price::parse("1.2345", 2).unwrap() < price);
        for bad in ["", ".", "1.", ".5", "-1", "1e3", "1,5"] {
            assert!(Price::parse(bad, 2).is_err(), "{bad}");
        }
    }

    #[test]
    fn decimals_read_and_write() {
        assert_eq!(decimal(-1234, 2), "-12.34");
        assert_eq!(decimal(5, 2), "0.05");
        assert_eq!(parse_decimal("-12.3", 2), Ok(Amount(-1230)));
        assert!(parse_decimal("1.234", 2).is_err());
    }
}
