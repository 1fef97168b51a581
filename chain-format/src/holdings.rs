//! Holdings: what postings add up to. One map of instruments to amounts, without zeros.

use minicbor::decode::{Decoder, Error as CborError};
use minicbor::encode::{Encoder, Write};

use crate::amount::Amount;
use crate::canonical::{Canonical, Reader};
use crate::error::{Rule, Violation, ensure};
use crate::instrument::InstrumentId;
use crate::limits::HOLDINGS_MAX;

/// Amounts by instrument. An instrument with nothing in it is not in the map, so equal holdings have equal encodings:
/// a CBOR map of instrument text to amount.
///
/// In the order of the instruments: most accounts hold few, and a list of them is copied and compared faster than a tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings(Vec<(InstrumentId, Amount)>);

impl Holdings {
    /// Nothing held.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Where an instrument stands, or where it would.
    fn place(&self, instrument: &InstrumentId) -> Result<usize, usize> {
        self.0.binary_search_by(|(held, _)| held.cmp(instrument))
    }

    /// The amount held of an instrument, zero where there is none.
    pub fn get(&self, instrument: &InstrumentId) -> Amount {
        self.place(instrument).ok().and_then(|at| self.0.get(at)).map_or(Amount::ZERO, |(_, amount)| *amount)
    }

    /// Adds a signed amount.
    ///
    /// # Errors
    /// [`Rule::Range`] where the sum exceeds 2^96.
    pub fn add(&mut self, instrument: &InstrumentId, amount: Amount) -> Result<(), Violation> {
        let too_large = |e| Violation::new(Rule::Range, format!("holdings.{instrument}"), "at most 2^96", e);
        match self.place(instrument) {
            Ok(at) => {
                let Some((_, held)) = self.0.get_mut(at) else { return Ok(()) };
                *held = held.plus(amount).map_err(too_large)?;
                if held.is_zero() {
                    self.0.remove(at);
                }
            }
            Err(_) if amount.is_zero() => {}
            Err(at) => self.0.insert(at, (instrument.clone(), amount)),
        }
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
        if self == found {
            return Ok(());
        }
        for (instrument, _) in self.0.iter().chain(&found.0) {
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
        let mut holdings: Vec<(InstrumentId, Amount)> = Vec::with_capacity(usize::try_from(pairs).unwrap_or_default());
        for _ in 0..pairs {
            let instrument = InstrumentId::decode(d, ctx)?;
            if holdings.last().is_some_and(|(before, _)| *before >= instrument) {
                return Err(error("instruments out of order"));
            }
            let amount = Amount::decode(d, ctx)?;
            if amount.is_zero() {
                return Err(error("a holding of zero must be left out"));
            }
            holdings.push((instrument, amount));
        }
        Ok(Self(holdings))
    }
}

impl Canonical<'_> for Holdings {
    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let pairs = from.map()?;
        if pairs > HOLDINGS_MAX as u64 {
            return None;
        }
        let mut holdings: Vec<(InstrumentId, Amount)> = Vec::with_capacity(usize::try_from(pairs).ok()?);
        for _ in 0..pairs {
            let (instrument, amount) = (InstrumentId::read(from)?, Amount::read(from)?);
            if amount.is_zero() || holdings.last().is_some_and(|(before, _)| *before >= instrument) {
                return None;
            }
            holdings.push((instrument, amount));
        }
        Some(Self(holdings))
    }
}
