//! Listings between what operators write and what the ledger holds: made, changed, shown.

use ed25519_dalek::SigningKey;
use stemma_chain_format::amount::Amount;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::dealing::{Dealing, MarginTerms};
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::NetworkId;
use stemma_chain_format::hours::TradingHours;
use stemma_chain_format::instrument::{InstrumentId, InstrumentKind};
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::lineage::Listed;
use stemma_chain_format::listing::{FeeSchedule, Listing, ListingStatus, Terms};
use stemma_chain_format::member::MemberId;
use stemma_chain_format::record::Signed;
use stemma_chain_format::validate::{self, VerifiedEntry};
use stemma_node_api::catalogue::{ChangeListing, HoursView, InstrumentView, ListInstrument, MarginView, TermsView};

use crate::calendar;

/// Why a listing was not made.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// A field cannot be read.
    #[error("{field}: {reason}")]
    Malformed {
        /// The field.
        field: &'static str,
        /// What it must be.
        reason: String,
    },
    /// There is nothing to change.
    #[error("{0} is not listed")]
    Unlisted(InstrumentId),
    /// The ledger would refuse it.
    #[error("the ledger would refuse it")]
    Violation(#[source] Violation),
}

/// Makes the record that lists an instrument, tried on the ledger as it stands.
///
/// # Errors
/// What cannot be read, or the rule that it would break.
pub fn list(
    asked: ListInstrument,
    own: &MemberId,
    key: &SigningKey,
    ledger: &Ledger,
) -> Result<VerifiedEntry, ListingError> {
    let kind = read("kind", &asked.kind)?;
    let terms = match (kind, asked.terms) {
        (InstrumentKind::Currency, None) => None,
        (_, terms) => Some(terms_of(&terms.unwrap_or_default())?),
    };
    let record = Listing {
        network: network(ledger),
        instrument: instrument(own, &asked.code)?,
        kind,
        decimals: asked.decimals,
        name: asked.name,
        quoted_in: asked.quoted_in,
        isin: asked.isin.as_deref().map(|isin| read("isin", isin)).transpose()?,
        status: ListingStatus::Open,
        terms,
        replaces: None,
    };
    signed(record, key, ledger)
}

/// Makes the record that changes what is listed, tried on the ledger as it stands.
///
/// # Errors
/// What cannot be read, nothing is listed under the code, or the rule that it would break.
pub fn change(
    code: &str,
    asked: ChangeListing,
    own: &MemberId,
    key: &SigningKey,
    ledger: &Ledger,
) -> Result<VerifiedEntry, ListingError> {
    let instrument = instrument(own, code)?;
    let before = ledger.listing(&instrument).ok_or(ListingError::Unlisted(instrument))?;
    let mut record = Listing { replaces: Some(before.link), ..before.listing.clone() };
    record.name = asked.name.unwrap_or(record.name);
    if let Some(isin) = &asked.isin {
        record.isin = Some(read("isin", isin)?);
    }
    if let Some(status) = &asked.status {
        record.status = status_of(status)?;
    }
    if let Some(terms) = &asked.terms {
        record.terms = Some(terms_of(terms)?);
    }
    signed(record, key, ledger)
}

/// What is listed, for people and programs.
pub fn view(listed: &Listed) -> InstrumentView {
    let Listed { link, listing, .. } = listed;
    InstrumentView {
        instrument: listing.instrument.to_string(),
        kind: listing.kind.to_string(),
        decimals: listing.decimals,
        name: listing.name.clone(),
        quoted_in: listing.quoted_in.clone(),
        isin: listing.isin.as_ref().map(ToString::to_string),
        status: listing.status.to_string(),
        terms: listing.terms.as_ref().map(terms_view),
        listing: link.to_string(),
    }
}

fn signed(record: Listing, key: &SigningKey, ledger: &Ledger) -> Result<VerifiedEntry, ListingError> {
    let made = || {
        let signed = Signed::sign(record, key)?;
        let entry = validate::verify_entry(Entry::Listing(Box::new(signed)), ledger.registry())?;
        ledger.admits(&entry, 0)?;
        Ok(entry)
    };
    made().map_err(ListingError::Violation)
}

fn network(ledger: &Ledger) -> NetworkId {
    ledger.registry().network()
}

fn instrument(own: &MemberId, code: &str) -> Result<InstrumentId, ListingError> {
    InstrumentId::new(own, code).map_err(|e| ListingError::Malformed { field: "code", reason: e.to_string() })
}

fn status_of(text: &str) -> Result<ListingStatus, ListingError> {
    let known = [ListingStatus::Open, ListingStatus::Suspended, ListingStatus::Closed];
    known.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
        let reason = format!("open, suspended or closed; found {text:?}");
        ListingError::Malformed { field: "status", reason }
    })
}

fn terms_of(view: &TermsView) -> Result<Terms, ListingError> {
    let optional = |field, text: &Option<String>| text.as_deref().map(|text| read(field, text)).transpose();
    Ok(Terms {
        lot: read("terms.lot", &view.lot)?,
        quantity_min: optional("terms.quantity_min", &view.quantity_min)?,
        quantity_max: optional("terms.quantity_max", &view.quantity_max)?,
        fees: FeeSchedule {
            buy_basis_points: view.fee_buy_basis_points,
            sell_basis_points: view.fee_sell_basis_points,
            least: read("terms.fee_least", &view.fee_least)?,
        },
        hours: view.hours.as_ref().map(hours_of).transpose()?,
        credit_level_min: view.credit_level_min,
        risk_class: view.risk_class,
        lock_up_days: view.lock_up_days,
        dealing: dealing_of(view)?,
    })
}

fn dealing_of(view: &TermsView) -> Result<Dealing, ListingError> {
    let malformed = |field, reason: String| Err(ListingError::Malformed { field, reason });
    match (view.dealing.as_str(), &view.margin) {
        ("spot", None) => Ok(Dealing::Spot),
        ("forward", None) => Ok(Dealing::Forward),
        ("margin", Some(margin)) => Ok(Dealing::Margin(MarginTerms {
            initial_basis_points: margin.initial_basis_points,
            maintenance_basis_points: margin.maintenance_basis_points,
            call_s: margin.call_s,
        })),
        ("margin", None) => malformed("terms.margin", "a futures contract says what must be put up".to_owned()),
        ("spot" | "forward", Some(_)) => malformed("terms.margin", "none but for the dealing margin".to_owned()),
        (other, _) => malformed("terms.dealing", format!("spot, forward or margin; found {other:?}")),
    }
}

fn hours_of(view: &HoursView) -> Result<TradingHours, ListingError> {
    let malformed = |field, reason: String| ListingError::Malformed { field, reason };
    if !calendar::zone_exists(&view.zone) {
        let reason =
            format!("the time zone database knows no {:?}; names are written such as Europe/Zurich", view.zone);
        return Err(malformed("terms.hours.zone", reason));
    }
    let sessions = calendar::parse_sessions(view.sessions.iter().map(String::as_str));
    let holidays = calendar::parse_holidays(view.holidays.iter().map(String::as_str));
    Ok(TradingHours {
        zone: view.zone.clone(),
        sessions: sessions.map_err(|e| malformed("terms.hours.sessions", e.to_string()))?,
        holidays: holidays.map_err(|e| malformed("terms.hours.holidays", e.to_string()))?,
    })
}

fn terms_view(terms: &Terms) -> TermsView {
    let shown = |amount: Option<Amount>| amount.map(|amount| amount.to_string());
    TermsView {
        lot: terms.lot.to_string(),
        quantity_min: shown(terms.quantity_min),
        quantity_max: shown(terms.quantity_max),
        fee_buy_basis_points: terms.fees.buy_basis_points,
        fee_sell_basis_points: terms.fees.sell_basis_points,
        fee_least: terms.fees.least.to_string(),
        hours: terms.hours.as_ref().map(|hours| HoursView {
            zone: hours.zone.clone(),
            sessions: calendar::show_sessions(&hours.sessions),
            holidays: calendar::show_holidays(&hours.holidays),
        }),
        credit_level_min: terms.credit_level_min,
        risk_class: terms.risk_class,
        lock_up_days: terms.lock_up_days,
        dealing: terms.dealing.as_str().to_owned(),
        margin: match terms.dealing {
            Dealing::Margin(margin) => Some(MarginView {
                initial_basis_points: margin.initial_basis_points,
                maintenance_basis_points: margin.maintenance_basis_points,
                call_s: margin.call_s,
            }),
            Dealing::Spot | Dealing::Forward => None,
        },
    }
}

fn read<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T, ListingError>
where
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|e: T::Err| ListingError::Malformed { field, reason: e.to_string() })
}
