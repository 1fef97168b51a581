//! Holdings: what postings add up to. One map of instruments to amounts, without zeros.

use std::collections::BTreeMap;

use minicbor::decode::{Decoder, Error as CborError};
use minicbor::encode::{Encoder, Write};

use crate::amount::Amount;
use crate::error::{Rule, Violation, ensure};
use crate::instrument::InstrumentId;
use crate::limits::HOLDINGS_MAX;

/// Amounts by instrument. An instrument with nothing in it is not in the map, so equal holdings have equal encodings:
/// a CBOR map of instrument text to amount.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings(BTreeMap<InstrumentId, Amount>);

impl Holdings {
    /// Nothing held.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The amount held of an instrument, zero where there is none.
    pub fn get(&self, instrument: &InstrumentId) -> Amount {
        self.0.get(instrument).copied().unwrap_or(Amount::ZERO)
    }

    /// Adds a signed amount.
    ///
    /// # Errors
    /// [`Rule::Range`] where the sum exceeds 2^96.
    pub fn add(&mut self, instrument: &InstrumentId, amount: Amount) -> Result<(), Violation> {
        let sum = self
            .get(instrument)
            .plus(amount)
            .map_err(|e| Violation::new(Rule::Range, format!("holdings.{instrument}"), "at most 2^96", e))?;
        if sum.is_zero() {
            self.0.remove(instrument);
            return Ok(());
        }
        self.0.insert(instrument.clone(), sum);
        let count = self.0.len();
        ensure(count <= HOLDINGS_MAX, Rule::Range, "holdings", "at most 512 instruments", count)
    }

    /// The instruments held and their amounts, in the order of their encoding.
    pub fn iter(&self) -> impl Iterator<Item = (&InstrumentId, Amount)> {
        self.0.iter().map(|(instrument, amount)| (instrument, *amount))
    }

    /// How many instruments are held.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where and how two holdings differ, for a refusal that says so.
    pub(crate) fn must_equal(&self, found: &Self, field: &str) -> Result<(), Violation> {
        for instrument in self.0.keys().chain(found.0.keys()) {
            let (expected, found) = (self.get(instrument), found.get(instrument));
            if expected != found {
                let field = format_args!("{field}.{instrument}");
                return Err(Violation::new(Rule::Holdings, field, expected, found));
            }
        }
        Ok(())
    }
}

impl<C> minicbor::Encode<C> for Holdings {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.map(self.0.len() as u64)?;
        for (instrument, amount) in &self.0 {
            e.encode_with(instrument, ctx)?.encode_with(amount, ctx)?;
        }
        Ok(())
    }
}

impl<'b, C> minicbor::Decode<'b, C> for Holdings {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, CborError> {
        let at = d.position();
        let error = |text: &str| CborError::message(text).at(at);
        let pairs = d.map()?.ok_or_else(|| error("indefinite length"))?;
        if pairs > HOLDINGS_MAX as u64 {
            return Err(error("more than 512 instruments"));
        }
        let mut holdings = BTreeMap::new();
        for _ in 0..pairs {
            let instrument = InstrumentId::decode(d, ctx)?;
            let amount = Amount::decode(d, ctx)?;
            if amount.is_zero() {
                return Err(error("a holding of zero must be left out"));
            }
            holdings.insert(instrument, amount);
        }
        Ok(Self(holdings))
    }
}
