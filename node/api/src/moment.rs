//! Moments as the API writes them: RFC 3339, such as `2026-11-26T09:30:00Z`; inside, Unix milliseconds.

use jiff::Timestamp;

/// A text that is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a time from 1970 on with its offset (RFC 3339), such as 2026-11-26T09:30:00Z, found {found:?}")]
pub struct MomentError {
    /// The text, its beginning where it is long.
    pub found: String,
}

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
}
