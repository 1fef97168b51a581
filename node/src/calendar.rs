//! The trading calendar: whether a moment lies within an instrument's trading hours, and when they begin again.
//!
//! Sessions are read on the local clock of their time zone, daylight saving by the time zone database that is compiled in:
//! an hour that the clock skips has no session, one that it repeats has its session twice.

mod text;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use stemma_chain_format::hours::{Session, TradingHours};
use stemma_chain_format::limits::HOLIDAYS_MAX;

pub use text::{TextError, parse_holidays, parse_sessions, show_holidays, show_sessions};

/// The day that days are counted from.
const EPOCH: Date = jiff::civil::date(1970, 1, 1);
/// How many days a search for the next opening covers: every holiday may fall on the one session of a week.
const SEARCH_DAYS: usize = HOLIDAYS_MAX.saturating_add(2).saturating_mul(7);
/// How many changes of a zone's clock such a search looks at; no zone has had more than four a year.
const SEARCH_CHANGES: usize = 16;

/// The time zone database has no zone of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the time zone database knows no {name:?}; names are written such as Europe/Zurich")]
pub struct ZoneUnknown {
    /// The name.
    pub name: String,
}

/// Why an instrument is not traded now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// Its hours name a zone that is not known here.
    #[error("trading hours in an unknown time zone")]
    Zone(#[source] ZoneUnknown),
    /// There is no session at this time.
    #[error("it is {now}; {}", opens.as_ref().map_or("no session follows".to_owned(), |at| format!("trading opens {at}")))]
    Outside {
        /// The local time, such as `Sat 2026-11-28 10:00 Europe/Zurich`.
        now: String,
        /// The next opening in the same form; absent where holidays leave none.
        opens: Option<String>,
    },
}

/// Whether the time zone database has a zone of this name, written exactly so.
#[must_use]
pub fn zone_exists(name: &str) -> bool {
    zone(name).is_ok()
}

/// Whether a moment lies within trading hours.
///
/// # Errors
/// [`Closed`] with the local time and the next opening.
pub fn is_open(hours: &TradingHours, now_ms: u64) -> Result<(), Closed> {
    let zone = zone(&hours.zone).map_err(Closed::Zone)?;
    let now = moment(now_ms);
    if is_within(hours, &zone, now) {
        return Ok(());
    }
    let show = |at: Timestamp| format!("{} {}", zone.to_datetime(at).strftime("%a %Y-%m-%d %H:%M"), hours.zone);
    Err(Closed::Outside { now: show(now), opens: next_opening(hours, &zone, now).map(show) })
}

/// When the session ends that a moment lies in, in Unix milliseconds; nothing outside of all.
#[must_use]
pub fn session_end(hours: &TradingHours, now_ms: u64) -> Option<u64> {
    let zone = zone(&hours.zone).ok()?;
    let now = moment(now_ms);
    let local = zone.to_datetime(now);
    let minute = i32::from(local.hour()).saturating_mul(60).saturating_add(i32::from(local.minute()));
    let within = |session: &&Session| (i32::from(session.opens)..i32::from(session.closes)).contains(&minute);
    let closes = sessions_on(hours, local.date()).find(within)?.closes;
    // A session that ends with the day ends where the next one begins.
    let midnight = local.date().to_datetime(jiff::civil::Time::midnight());
    let end = midnight.checked_add(jiff::SignedDuration::from_mins(i64::from(closes))).ok()?;
    let end = zone.to_ambiguous_timestamp(end);
    let ends = [end.earlier(), end.later()].into_iter().flatten();
    let end = ends.filter(|end| *end > now).min()?;
    u64::try_from(end.as_millisecond()).ok()
}

/// The local day of a moment in a zone, as days since 1970-01-01.
///
/// # Errors
/// [`ZoneUnknown`].
pub fn local_day(zone_name: &str, now_ms: u64) -> Result<u32, ZoneUnknown> {
    let date = zone(zone_name)?.to_datetime(moment(now_ms)).date();
    // West of Greenwich, 1970 begins on the day before.
    Ok(day_number(date).unwrap_or(0))
}

fn zone(name: &str) -> Result<TimeZone, ZoneUnknown> {
    // The database ignores case, and reads `Etc/Unknown` as a zone without a name. A record has one form.
    let found = TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name));
    found.ok_or_else(|| ZoneUnknown { name: name.to_owned() })
}

fn moment(ms: u64) -> Timestamp {
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
}

/// Days since 1970-01-01; nothing for days before.
fn day_number(date: Date) -> Option<u32> {
    u32::try_from(date.duration_since(EPOCH).as_hours().checked_div(24)?).ok()
}

fn date_of(day: u32) -> Option<Date> {
    EPOCH.checked_add(jiff::SignedDuration::from_hours(i64::from(day).checked_mul(24)?)).ok()
}

/// The sessions of a local day: none on holidays.
fn sessions_on(hours: &TradingHours, date: Date) -> impl Iterator<Item = &Session> {
    let is_holiday = day_number(date).is_some_and(|day| hours.holidays.contains(&day));
    let weekday = date.weekday().to_monday_zero_offset();
    hours.sessions.iter().filter(move |session| !is_holiday && i8::try_from(session.weekday) == Ok(weekday))
}

fn is_within(hours: &TradingHours, zone: &TimeZone, at: Timestamp) -> bool {
    let local = zone.to_datetime(at);
    let minute = i32::from(local.hour()).saturating_mul(60).saturating_add(i32::from(local.minute()));
    sessions_on(hours, local.date())
        .any(|session| (i32::from(session.opens)..i32::from(session.closes)).contains(&minute))
}

/// The first moment after `now`, which is outside, that is within: the opening of a session, or a change of the clock that
/// leads into one.
fn next_opening(hours: &TradingHours, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    // A clock set back over midnight makes yesterday follow today.
    let first = zone.to_datetime(now).date().yesterday().ok()?;
    let days = std::iter::successors(Some(first), |date| date.tomorrow().ok()).take(SEARCH_DAYS);
    let of_day = |date: Date| {
        let openings = sessions_on(hours, date).filter_map(|session| opening(date, session));
        let moments = openings.flat_map(|local| {
            let local = zone.to_ambiguous_timestamp(local);
            [local.earlier(), local.later()].into_iter().flatten()
        });
        moments.filter(|at| *at > now && is_within(hours, zone, *at)).min()
    };
    let by_session = days.into_iter().find_map(of_day);
    let mut changes = zone.following(now).take(SEARCH_CHANGES).map(|change| change.timestamp());
    let by_change = changes.find(|at| is_within(hours, zone, *at));
    by_session.into_iter().chain(by_change).min()
}

fn opening(date: Date, session: &Session) -> Option<DateTime> {
    let hour = i8::try_from(session.opens.checked_div(60)?).ok()?;
    let minute = i8::try_from(session.opens.checked_rem(60)?).ok()?;
    Some(DateTime::from_parts(date, jiff::civil::Time::new(hour, minute, 0, 0).ok()?))
}

#[cfg(test)]
mod tests;
