//! Moments as the API writes them: RFC 3339, such as `2026-11-26T09:30:00Z`; inside, Unix milliseconds.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A text that is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a time from 1970 on with its offset (RFC 3339), such as 2026-11-26T09:30:00Z, found {found:?}")]
pub struct MomentError {
    /// The text, its beginning where it is long.
    pub found: String,
}

/// A text that is no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a day from 1970 on, such as 2026-11-26, found {found:?}")]
pub struct DayError {
    /// The text, its beginning where it is long.
    pub found: String,
}

/// The day that days are counted from.
const EPOCH: Date = jiff::civil::date(1970, 1, 1);
/// How long a day (UTC) is, in milliseconds.
pub const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Longest text of a moment, in bytes.
const TEXT_BYTES_MAX: usize = 64;

/// Reads a moment as Unix milliseconds; what is finer is cut off.
///
/// # Errors
/// [`MomentError`]: another form, no offset, or before 1970.
pub fn parse(text: &str) -> Result<u64, MomentError> {
    let wrong = || MomentError { found: text.chars().take(TEXT_BYTES_MAX).collect() };
    if text.len() > TEXT_BYTES_MAX {
        return Err(wrong());
    }
    let moment: Timestamp = text.parse().map_err(|_| wrong())?;
    u64::try_from(moment.as_millisecond()).map_err(|_| wrong())
}

/// Writes Unix milliseconds as a moment, in UTC.
#[must_use]
pub fn show(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    moment.unwrap_or(Timestamp::MAX).to_string()
}

/// Reads a day, written `2026-11-26`, as the Unix milliseconds that it begins with in UTC.
///
/// # Errors
/// [`DayError`]: another form, no such day, or before 1970.
pub fn parse_day(text: &str) -> Result<u64, DayError> {
    let wrong = || DayError { found: text.chars().take(TEXT_BYTES_MAX).collect() };
    let day: Date = text.parse().map_err(|_| wrong())?;
    // Other forms of ISO 8601 are read too, and a day has one form.
    if day.to_string() != text {
        return Err(wrong());
    }
    u64::try_from(day.duration_since(EPOCH).as_millis()).map_err(|_| wrong())
}

/// The day (UTC) of Unix milliseconds.
#[must_use]
pub fn show_day(ms: u64) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    TimeZone::UTC.to_datetime(moment.unwrap_or(Timestamp::MAX)).date().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written() {
        for (text, shown) in [
            ("2026-11-26T09:30:00Z", "2026-11-26T09:30:00Z"),
            ("2026-11-26T09:30:00.1239Z", "2026-11-26T09:30:00.123Z"),
            ("2026-11-26T09:30:00+01:00", "2026-11-26T08:30:00Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(show(parse(text).unwrap()), shown);
        }
        for wrong in ["", "now", "2026-11-26", "2026-11-26T09:30:00", "1969-12-31T23:59:59Z", "2026-13-01T00:00:00Z"] {
            assert_eq!(parse(wrong), Err(MomentError { found: wrong.to_owned() }));
        }
        assert_eq!(parse(&"9".repeat(1_000)).unwrap_err().found.len(), TEXT_BYTES_MAX);
        assert!(show(u64::MAX).starts_with("9999-12-30"));
    }

    #[test]
    fn days_are_read_and_written() {
        for (text, begins) in [("1970-01-01", 0), ("1970-01-02", DAY_MS), ("2026-11-26", 1_795_651_200_000)] {
            assert_eq!(parse_day(text), Ok(begins));
            assert_eq!((show_day(begins), show_day(begins + DAY_MS - 1)), (text.to_owned(), text.to_owned()));
        }
        for wrong in ["", "today", "20261126", "2026-11-26T00:00:00", "2026-02-30", "1969-12-31", "+002026-11-26"] {
            assert_eq!(parse_day(wrong), Err(DayError { found: wrong.to_owned() }));
        }
        assert_eq!(show_day(u64::MAX), "9999-12-30");
    }
}
