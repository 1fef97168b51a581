//! Trading hours as operators write and read them: `mon-fri 09:30-16:00`, `2026-12-25`.

use std::collections::BTreeMap;

use jiff::civil::Date;
use stemma_chain_format::hours::{DAY_MINUTES, Session};

use super::{date_of, day_number};

const WEEKDAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A text that states no trading hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A session in another form.
    #[error(
        "{found:?} is no session; write days and times such as `mon 09:30-16:00` or `mon-fri 09:30-24:00`, one over \
         midnight as two"
    )]
    Session {
        /// The text.
        found: String,
    },
    /// Two sessions have time in common.
    #[error("the sessions `{first}` and `{second}` overlap")]
    Overlap {
        /// The one that opens first.
        first: String,
        /// The other.
        second: String,
    },
    /// A holiday in another form.
    #[error("{found:?} is no day from 1970 on; write it such as `2026-12-25`")]
    Holiday {
        /// The text.
        found: String,
    },
    /// A holiday that is given twice.
    #[error("the holiday {day} is given twice")]
    Twice {
        /// The day.
        day: String,
    },
}

/// Reads sessions, each written such as `mon 09:30-16:00` or, for several days alike, `mon-fri 09:30-16:00`, also over the
/// end of the week (`sun-thu`); a day may close at `24:00`. They come back in the order of a week.
///
/// # Errors
/// [`TextError`] names the text that is none, or the two that overlap.
pub fn parse_sessions<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Vec<Session>, TextError> {
    let mut sessions = Vec::new();
    for text in texts {
        let parsed = parse_session(text).ok_or_else(|| TextError::Session { found: text.to_owned() })?;
        sessions.extend(parsed);
    }
    sessions.sort();
    let mut pairs = sessions.iter().zip(sessions.iter().skip(1));
    match pairs.find(|(first, second)| first.weekday == second.weekday && second.opens < first.closes) {
        Some((first, second)) => Err(TextError::Overlap { first: show(first), second: show(second) }),
        None => Ok(sessions),
    }
}

/// Writes sessions as [`parse_sessions`] reads them, days that follow each other with equal times as one.
#[must_use]
pub fn show_sessions(sessions: &[Session]) -> Vec<String> {
    let mut days: BTreeMap<(u16, u16), Vec<u8>> = BTreeMap::new();
    for session in sessions {
        days.entry((session.opens, session.closes)).or_default().push(session.weekday);
    }
    let mut runs: Vec<(Session, u8)> = Vec::new();
    for ((opens, closes), mut weekdays) in days {
        weekdays.sort_unstable();
        let mut run: Option<(Session, u8)> = None;
        for weekday in weekdays {
            run = match run {
                Some((first, last)) if last.checked_add(1) == Some(weekday) => Some((first, weekday)),
                before => {
                    runs.extend(before);
                    Some((Session { weekday, opens, closes }, weekday))
                }
            };
        }
        runs.extend(run);
    }
    runs.sort_unstable();
    runs.iter().map(|(first, last)| show_run(first, *last)).collect()
}

/// Reads holidays, each written such as `2026-12-25`. They come back ascending, as days since 1970-01-01.
///
/// # Errors
/// [`TextError`] names the text that is no day, or a day that is given twice.
pub fn parse_holidays<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Vec<u32>, TextError> {
    let mut days = Vec::new();
    for text in texts {
        let day = parse_day(text).ok_or_else(|| TextError::Holiday { found: text.to_owned() })?;
        days.push(day);
    }
    days.sort_unstable();
    match days.iter().zip(days.iter().skip(1)).find(|(day, next)| day == next) {
        Some((day, _)) => Err(TextError::Twice { day: show_day(*day) }),
        None => Ok(days),
    }
}

/// Writes holidays as [`parse_holidays`] reads them.
#[must_use]
pub fn show_holidays(days: &[u32]) -> Vec<String> {
    days.iter().copied().map(show_day).collect()
}

fn parse_day(text: &str) -> Option<u32> {
    let date: Date = text.parse().ok()?;
    // The date's own form only: the library reads others, such as times of a day.
    day_number(date).filter(|day| show_day(*day) == text)
}

fn show_day(day: u32) -> String {
    // Days beyond the year 9999 stand as numbers.
    date_of(day).map_or_else(|| day.to_string(), |date| date.to_string())
}

fn parse_session(text: &str) -> Option<Vec<Session>> {
    let mut words = text.split_ascii_whitespace();
    let (days, times) = (words.next()?.to_ascii_lowercase(), words.next()?);
    if words.next().is_some() {
        return None;
    }
    let (first, last) = days.split_once('-').unwrap_or((&days, &days));
    let (first, last) = (parse_weekday(first)?, parse_weekday(last)?);
    let (opens, closes) = times.split_once('-')?;
    let (opens, closes) = (parse_minute(opens)?, parse_minute(closes)?);
    // `sun-thu` goes on from Sunday to Monday.
    let is_in = |weekday: &u8| {
        if first <= last { (first..=last).contains(weekday) } else { *weekday >= first || *weekday <= last }
    };
    (opens < closes).then(|| (0..7).filter(is_in).map(|weekday| Session { weekday, opens, closes }).collect())
}

fn parse_weekday(text: &str) -> Option<u8> {
    u8::try_from(WEEKDAYS.iter().position(|name| *name == text)?).ok()
}

/// Minutes since midnight of a time such as `09:30`; `24:00` is the day's end.
fn parse_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !two_digits(hour) || !two_digits(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let minutes = hour.checked_mul(60)?.checked_add(minute)?;
    (minute < 60 && minutes <= DAY_MINUTES).then_some(minutes)
}

fn show(session: &Session) -> String {
    show_run(session, session.weekday)
}

fn show_run(first: &Session, last: u8) -> String {
    let day = |weekday: u8| WEEKDAYS.get(usize::from(weekday)).copied().unwrap_or("?");
    let minute = |minutes: u16| {
        let (hour, minute) = (minutes.checked_div(60).unwrap_or(0), minutes.checked_rem(60).unwrap_or(0));
        format!("{hour:02}:{minute:02}")
    };
    let days =
        if last == first.weekday { day(last).to_owned() } else { format!("{}-{}", day(first.weekday), day(last)) };
    format!("{days} {}-{}", minute(first.opens), minute(first.closes))
}
