//! Trading hours: weekly sessions of local time in a named time zone, and the days on which there are none.
//!
//! The format states them; whether a moment lies within them is for who keeps a clock and the time zone database.

use crate::canonical::Canonical;
use crate::error::{Rule, Violation, ensure};
use crate::limits::{HOLIDAYS_MAX, SESSIONS_MAX, ZONE_CHARS_MAX};

/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;

/// When an instrument is traded.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct TradingHours {
    /// The time zone's name in the IANA time zone database, such as `Europe/Zurich`, at most 40 characters.
    #[n(0)]
    pub zone: String,
    /// The sessions of a week, in order, none overlapping, at most 28.
    #[n(1)]
    pub sessions: Vec<Session>,
    /// Local days without a session, as days since 1970-01-01, ascending, at most 128.
    #[n(2)]
    pub holidays: Vec<u32>,
}

/// One session of a week. It lies within one day; a session over midnight is two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode, Canonical)]
pub struct Session {
    /// The day of the week, 0 for Monday to 6 for Sunday.
    #[n(0)]
    pub weekday: u8,
    /// The first minute of the day that belongs to it, from 0.
    #[n(1)]
    pub opens: u16,
    /// The first minute that does not any more, at most 1,440.
    #[n(2)]
    pub closes: u16,
}

impl TradingHours {
    /// The hours' own rules.
    pub(crate) fn check(&self, place: &str) -> Result<(), Violation> {
        let range = Rule::Range;
        let field = |name: &str| format!("{place}.{name}");
        let zone_holds = (1..=ZONE_CHARS_MAX).contains(&self.zone.len())
            && self.zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b));
        ensure(zone_holds, range, field("zone"), "a time zone's name, such as Europe/Zurich", &self.zone)?;
        let count = self.sessions.len();
        ensure((1..=SESSIONS_MAX).contains(&count), range, field("sessions"), "1 to 28 sessions", count)?;
        for (index, session) in self.sessions.iter().enumerate() {
            let Session { weekday, opens, closes } = *session;
            let holds = weekday < 7 && opens < closes && closes <= DAY_MINUTES;
            let found = format!("day {weekday}, {opens} to {closes}");
            let expected = "a day from 0 to 6, minutes from 0 to 1440, the opening first";
            ensure(holds, range, format_args!("{place}.sessions[{index}]"), expected, found)?;
        }
        let follows = |(before, after): (&Session, &Session)| {
            (before.weekday, before.closes) <= (after.weekday, after.opens) && before.weekday <= after.weekday
        };
        let in_order = self.sessions.iter().zip(self.sessions.iter().skip(1)).all(follows);
        ensure(in_order, range, field("sessions"), "sessions in order, none overlapping", "another order")?;
        let days = self.holidays.len();
        ensure(days <= HOLIDAYS_MAX, range, field("holidays"), "at most 128 days", days)?;
        let ascending = self.holidays.iter().zip(self.holidays.iter().skip(1)).all(|(before, after)| before < after);
        ensure(ascending, range, field("holidays"), "each day once, ascending", "another order")
    }
}
