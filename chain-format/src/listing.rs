//! The record by which an issuer lists an instrument, and changes what it listed.

use crate::amount::{Amount, AmountError, Price, Rounding};
use crate::canonical::Canonical;
use crate::cose::ContentType;
use crate::dealing::Dealing;
use crate::error::{Rule, Violation, ensure};
use crate::hash::{Link, NetworkId};
use crate::hours::TradingHours;
use crate::instrument::{InstrumentId, InstrumentKind};
use crate::isin::Isin;
use crate::limits::{
    DECIMALS_MAX, FEE_BASIS_POINTS_MAX, INSTRUMENT_CODE_CHARS_MAX, LISTING_BYTES_MAX, LOCK_UP_DAYS_MAX, RISK_CLASS_MAX,
    TEXT_BYTES_MAX,
};
use crate::record::Record;
use crate::request::Side;

/// The record by which an issuer brings an instrument into being, or changes its terms; signed with its member key.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Listing {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The instrument; its issuer signs.
    #[n(1)]
    pub instrument: InstrumentId,
    /// What kind of thing it is. Never changes.
    #[n(2)]
    pub kind: InstrumentKind,
    /// Decimal places of one whole unit: `10^decimals` smallest units make one, at most 18. Never changes.
    #[n(3)]
    pub decimals: u8,
    /// The name people know it by, at most 256 bytes.
    #[n(4)]
    pub name: String,
    /// The code of the currency that its prices are quoted in; absent for a currency. Never changes.
    #[n(5)]
    pub quoted_in: Option<String>,
    /// Its number by ISO 6166, if it has one; never of a currency.
    #[n(6)]
    pub isin: Option<Isin>,
    /// Whether it is traded; a currency is always open.
    #[n(7)]
    pub status: ListingStatus,
    /// On what terms it is traded; absent for a currency.
    #[n(8)]
    pub terms: Option<Terms>,
    /// The link of the listing that this one takes the place of; absent in the first.
    #[n(9)]
    pub replaces: Option<Link>,
}

/// Whether an instrument is traded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(index_only)]
pub enum ListingStatus {
    /// It is bought and sold.
    #[n(0)]
    Open,
    /// It is neither bought nor sold until it is opened again.
    #[n(1)]
    Suspended,
    /// It is sold back and not bought any more.
    #[n(2)]
    Closed,
}

impl ListingStatus {
    /// The status' stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }

    /// Whether an instrument of this status may be traded on a side: whoever holds what is closed can still sell it.
    pub const fn admits(self, side: Side) -> bool {
        matches!((self, side), (Self::Open, _) | (Self::Closed, Side::Sell))
    }
}

impl std::fmt::Display for ListingStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// On what terms an instrument is traded. Quantities are in its smallest units.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Terms {
    /// A trade's quantity is a multiple of this, above zero; only a sale of all that is held need not be.
    #[n(0)]
    pub lot: Amount,
    /// The least quantity of a trade, above zero; only a sale of all that is held may be less.
    #[n(1)]
    pub quantity_min: Option<Amount>,
    /// The largest quantity of a trade, above zero.
    #[n(2)]
    pub quantity_max: Option<Amount>,
    /// The highest fees.
    #[n(3)]
    pub fees: FeeSchedule,
    /// When it is traded; absent: always.
    #[n(4)]
    pub hours: Option<TradingHours>,
    /// The lowest credit level that may buy it.
    #[n(5)]
    pub credit_level_min: u8,
    /// The product's class of risk, from 1, the lowest, to 7 (the scale of the summary risk indicator, Regulation (EU)
    /// 2017/653, annex II).
    #[n(6)]
    pub risk_class: u8,
    /// For so many days after a purchase what was bought is not sold, at most 3,660; 0: at once. The institution counts them.
    #[n(7)]
    pub lock_up_days: u16,
    /// How it is dealt in. Its kind never changes.
    #[n(8)]
    pub dealing: Dealing,
}

impl Default for Terms {
    /// Any quantity, at any time, by anyone, without a fee.
    fn default() -> Self {
        Self {
            lot: Amount::ONE,
            quantity_min: None,
            quantity_max: None,
            fees: FeeSchedule::default(),
            hours: None,
            credit_level_min: 0,
            risk_class: 1,
            lock_up_days: 0,
            dealing: Dealing::Spot,
        }
    }
}

/// The highest fees of a trade: basis points of its cost, rounded up, and at least some amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct FeeSchedule {
    /// Basis points of the cost of a purchase or subscription, at most 10,000.
    #[n(0)]
    pub buy_basis_points: u16,
    /// Basis points of the proceeds of a sale or redemption, at most 10,000.
    #[n(1)]
    pub sell_basis_points: u16,
    /// The least fee of a trade, in smallest units of the cash it is paid in; 0 or above.
    #[n(2)]
    pub least: Amount,
}

impl FeeSchedule {
    /// The fee of a trade: basis points of its cost, rounded up to smallest units of cash, and not less than the least.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`].
    pub fn fee(&self, side: Side, cost: Amount) -> Result<Amount, AmountError> {
        let points = match side {
            Side::Buy => self.buy_basis_points,
            Side::Sell => self.sell_basis_points,
        };
        let scaled = cost.units().checked_mul(i128::from(points)).ok_or(AmountError::TooLarge)?;
        let up = scaled.checked_add(9_999).and_then(|n| n.checked_div(10_000)).ok_or(AmountError::TooLarge)?;
        Amount::new(up).map(|fee| fee.max(self.least))
    }
}

impl Terms {
    /// The largest quantity, in whole lots, that an amount of cash pays for with the fee (to buy), or that is sold for at most
    /// that amount (to sell); at most the largest quantity of a trade. Zero where it pays for none.
    ///
    /// # Errors
    /// [`AmountError::TooLarge`].
    pub fn largest_quantity(
        &self,
        side: Side,
        cash: Amount,
        price: Price,
        decimals: u8,
    ) -> Result<Amount, AmountError> {
        let lot = self.lot.units();
        let fits = |lots: i128| -> Result<bool, AmountError> {
            let quantity = lots.checked_mul(lot).ok_or(AmountError::TooLarge).and_then(Amount::new)?;
            let cost = price.cost(quantity, decimals, Rounding::HalfEven)?;
            let spent = if side == Side::Buy { cost.plus(self.fees.fee(side, cost)?)? } else { cost };
            Ok(spent <= cash)
        };
        // What half a smallest unit of cash more would pay for is a bound, since the cost rounds to the nearest.
        let mut bound = price.quantity_for(cash.plus(Amount::ONE)?, decimals)?;
        if let Some(most) = self.quantity_max {
            bound = bound.min(most);
        }
        let (mut low, mut high) = (0_i128, bound.units().checked_div(lot).ok_or(AmountError::TooLarge)?);
        while low < high {
            // The middle, rounded up; both are at most 2^96.
            let middle = low.saturating_add(high).saturating_add(1) / 2;
            if fits(middle)? { low = middle } else { high = middle.saturating_sub(1) }
        }
        low.checked_mul(lot).ok_or(AmountError::TooLarge).and_then(Amount::new)
    }

    /// The bound that a quantity breaks, in words; none where it is a multiple of the lot within least and largest. A sale of all
    /// that is held is bound by neither lot nor least.
    pub fn bound_broken(&self, side: Side, quantity: Amount, held: Amount) -> Option<String> {
        let all = side == Side::Sell && quantity == held;
        let in_lots = quantity.units().checked_rem(self.lot.units()) == Some(0);
        if !all && !in_lots {
            return Some(format!("a multiple of {}", self.lot));
        }
        if let Some(least) = self.quantity_min.filter(|least| !all && quantity < *least) {
            return Some(format!("at least {least}"));
        }
        let most = self.quantity_max.filter(|most| quantity > *most)?;
        Some(format!("at most {most}"))
    }

    fn check(&self) -> Result<(), Violation> {
        let range = Rule::Range;
        let place = |name: &str| format!("listing.terms.{name}");
        ensure(self.lot.is_positive(), range, place("lot"), "above 0", self.lot)?;
        for (name, bound) in [("quantity_min", self.quantity_min), ("quantity_max", self.quantity_max)] {
            let holds = bound.is_none_or(Amount::is_positive);
            ensure(holds, range, place(name), "above 0", bound.unwrap_or_default())?;
        }
        if let (Some(least), Some(most)) = (self.quantity_min, self.quantity_max) {
            ensure(least <= most, range, place("quantity_max"), format_args!("at least {least}"), most)?;
        }
        let FeeSchedule { buy_basis_points, sell_basis_points, least } = self.fees;
        for (name, points) in [("buy", buy_basis_points), ("sell", sell_basis_points)] {
            let place = place(&format!("fees.{name}_basis_points"));
            ensure(points <= FEE_BASIS_POINTS_MAX, range, &place, "at most 10000", points)?;
        }
        ensure(!least.is_negative(), range, place("fees.least"), "0 or above", least)?;
        let risk_holds = (1..=RISK_CLASS_MAX).contains(&self.risk_class);
        ensure(risk_holds, range, place("risk_class"), "1 to 7", self.risk_class)?;
        let days = self.lock_up_days;
        ensure(days <= LOCK_UP_DAYS_MAX, range, place("lock_up_days"), "at most 3660", days)?;
        self.dealing.check(&place("dealing"))?;
        self.hours.as_ref().map_or(Ok(()), |hours| hours.check(&place("hours")))
    }
}

impl Listing {
    /// Whether this listing may take the place of another: it names it, and what never changes is the same.
    ///
    /// # Errors
    /// [`Rule::Link`] or [`Rule::Agreement`] naming the field.
    pub fn follows(&self, before: &Self, link: &Link) -> Result<(), Violation> {
        let found = self.replaces.map_or("nothing".to_owned(), |link| link.to_string());
        ensure(self.replaces == Some(*link), Rule::Link, "listing.replaces", link, found)?;
        let agree = Rule::Agreement;
        ensure(self.kind == before.kind, agree, "listing.kind", before.kind, self.kind)?;
        ensure(self.decimals == before.decimals, agree, "listing.decimals", before.decimals, self.decimals)?;
        let quoted = |listing: &Self| listing.quoted_in.clone().unwrap_or_default();
        ensure(self.quoted_in == before.quoted_in, agree, "listing.quoted_in", quoted(before), quoted(self))?;
        let dealt = |listing: &Self| listing.terms.as_ref().map_or("", |terms| terms.dealing.as_str());
        ensure(dealt(self) == dealt(before), agree, "listing.terms.dealing", dealt(before), dealt(self))
    }

    /// A currency has no terms, anything else has them.
    fn terms_hold(&self) -> Result<(), Violation> {
        let currency = self.kind == InstrumentKind::Currency;
        let fit = |holds: bool, name: &str, expected: &str, found: &str| {
            ensure(holds, Rule::Range, format_args!("listing.{name}"), expected, found)
        };
        let given = |is: bool| if is { "some" } else { "none" };
        let terms = self.terms.is_some();
        fit(terms != currency, "terms", "terms, none for a currency", given(terms))?;
        let open = self.status == ListingStatus::Open;
        fit(!currency || open, "status", "open for a currency", self.status.as_str())?;
        fit(!currency || self.isin.is_none(), "isin", "none for a currency", given(self.isin.is_some()))?;
        let replaces = self.replaces.is_some();
        fit(!currency || !replaces, "replaces", "none for a currency", given(replaces))?;
        let Some(terms) = &self.terms else { return Ok(()) };
        terms.check()?;
        let dealt = terms.dealing.suits(self.kind);
        fit(dealt, "terms.dealing", "a dealing that suits the kind", terms.dealing.as_str())
    }
}

impl Record for Listing {
    const CONTENT: ContentType = ContentType::Listing;
    const BYTES_MAX: usize = LISTING_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        let range = Rule::Range;
        let decimals = self.decimals;
        ensure(decimals <= DECIMALS_MAX, range, "listing.decimals", "at most 18", decimals)?;
        let name_bytes = self.name.len();
        let name_holds = (1..=TEXT_BYTES_MAX).contains(&name_bytes);
        ensure(name_holds, range, "listing.name", "1 to 256 bytes", name_bytes)?;
        let currency = self.kind == InstrumentKind::Currency;
        let quoted = self.quoted_in.as_ref().is_some_and(|c| {
            (1..=INSTRUMENT_CODE_CHARS_MAX).contains(&c.len())
                && c.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        });
        let holds = if currency { self.quoted_in.is_none() } else { quoted };
        let found = self.quoted_in.as_deref().unwrap_or("nothing");
        let expected = "a currency code, absent for a currency itself";
        ensure(holds, range, "listing.quoted_in", expected, found)?;
        self.terms_hold()
    }
}
