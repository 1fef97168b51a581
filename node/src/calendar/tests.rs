//! Changes of the clock, holidays, edges of sessions, zones east and west.

use super::*;

fn ms(text: &str) -> u64 {
    u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
}

fn hours(zone: &str, sessions: &[&str], holidays: &[&str]) -> TradingHours {
    TradingHours {
        zone: zone.to_owned(),
        sessions: parse_sessions(sessions.iter().copied()).unwrap(),
        holidays: parse_holidays(holidays.iter().copied()).unwrap(),
    }
}

/// What is said at a moment: `open`, or the next opening.
fn at(hours: &TradingHours, moment: &str) -> String {
    match is_open(hours, ms(moment)) {
        Ok(()) => "open".to_owned(),
        Err(Closed::Outside { opens, .. }) => opens.unwrap_or("never".to_owned()),
        Err(Closed::Zone(e)) => e.to_string(),
    }
}

#[test]
fn a_session_has_its_opening_and_not_its_closing() {
    let zurich = hours("Europe/Zurich", &["mon-fri 09:30-16:00"], &[]);
    let next = "Fri 2026-11-27 09:30 Europe/Zurich";
    assert_eq!(at(&zurich, "2026-11-26T08:29:59.999Z"), "Thu 2026-11-26 09:30 Europe/Zurich");
    assert_eq!(at(&zurich, "2026-11-26T08:30:00Z"), "open");
    assert_eq!(at(&zurich, "2026-11-26T14:59:59.999Z"), "open");
    assert_eq!(at(&zurich, "2026-11-26T15:00:00Z"), next);
}

#[test]
fn a_session_ends_at_its_closing() {
    let zurich = hours("Europe/Zurich", &["mon-fri 09:30-16:00", "sat 18:00-24:00"], &["2026-11-27"]);
    let end = |moment: &str| session_end(&zurich, ms(moment));
    assert_eq!(end("2026-11-26T08:30:00Z"), Some(ms("2026-11-26T15:00:00Z")));
    assert_eq!(end("2026-11-26T14:59:59.999Z"), Some(ms("2026-11-26T15:00:00Z")));
    assert_eq!(end("2026-11-28T20:00:00Z"), Some(ms("2026-11-28T23:00:00Z")));
    for outside in ["2026-11-26T15:00:00Z", "2026-11-27T10:00:00Z", "2026-11-29T10:00:00Z"] {
        assert_eq!(end(outside), None, "{outside}");
    }
    // The clock is set back while the session runs: it ends at the second 02:30.
    let night = hours("Europe/Zurich", &["sun 01:00-03:30"], &[]);
    assert_eq!(session_end(&night, ms("2026-10-24T23:30:00Z")), Some(ms("2026-10-25T02:30:00Z")));
}

#[test]
fn closed_tells_the_local_time_and_the_next_opening() {
    let zurich = hours("Europe/Zurich", &["mon-fri 09:30-16:00"], &[]);
    let closed = is_open(&zurich, ms("2026-11-28T09:05:00Z")).unwrap_err();
    assert_eq!(
        closed.to_string(),
        "it is Sat 2026-11-28 10:05 Europe/Zurich; trading opens Mon 2026-11-30 09:30 Europe/Zurich"
    );
}

#[test]
fn holidays_are_local_days() {
    // Christmas 2026 is a Friday.
    let hours = |zone| hours(zone, &["mon-fri 09:00-17:00", "sun 00:00-24:00"], &["2026-12-25"]);
    assert_eq!(at(&hours("Europe/Zurich"), "2026-12-25T12:00:00Z"), "Sun 2026-12-27 00:00 Europe/Zurich");
    // In Auckland it is already over, in Honolulu it has not begun.
    assert_eq!(at(&hours("Pacific/Auckland"), "2026-12-24T20:00:00Z"), "Sun 2026-12-27 00:00 Pacific/Auckland");
    assert_eq!(at(&hours("Pacific/Auckland"), "2026-12-23T20:00:00Z"), "open");
    assert_eq!(at(&hours("Pacific/Honolulu"), "2026-12-25T02:00:00Z"), "open");
    assert_eq!(at(&hours("Pacific/Honolulu"), "2026-12-25T20:00:00Z"), "Sun 2026-12-27 00:00 Pacific/Honolulu");
}

#[test]
fn sessions_follow_the_clock_through_the_year() {
    let york = hours("America/New_York", &["mon-fri 09:30-16:00"], &[]);
    // Standard time until 8 March 2026, daylight saving until 1 November.
    assert_eq!(at(&york, "2026-03-06T14:29:59Z"), "Fri 2026-03-06 09:30 America/New_York");
    assert_eq!(at(&york, "2026-03-06T14:30:00Z"), "open");
    assert_eq!(at(&york, "2026-03-09T13:30:00Z"), "open");
    assert_eq!(at(&york, "2026-03-09T20:00:00Z"), "Tue 2026-03-10 09:30 America/New_York");
    assert_eq!(at(&york, "2026-10-30T13:30:00Z"), "open");
    assert_eq!(at(&york, "2026-11-02T13:30:00Z"), "Mon 2026-11-02 09:30 America/New_York");
    assert_eq!(at(&york, "2026-11-02T14:30:00Z"), "open");
    // The southern half goes the other way.
    let sydney = hours("Australia/Sydney", &["mon-fri 10:00-16:00"], &[]);
    assert_eq!(at(&sydney, "2026-01-04T23:00:00Z"), "open");
    assert_eq!(at(&sydney, "2026-06-30T23:00:00Z"), "Wed 2026-07-01 10:00 Australia/Sydney");
    assert_eq!(at(&sydney, "2026-07-01T00:00:00Z"), "open");
}

/// In Zurich, on 29 March 2026, 02:00 is followed by 03:00.
#[test]
fn a_skipped_hour_has_no_session() {
    let opens_within = hours("Europe/Zurich", &["sun 02:30-05:00"], &[]);
    assert_eq!(at(&opens_within, "2026-03-29T00:59:59Z"), "Sun 2026-03-29 03:00 Europe/Zurich");
    assert_eq!(at(&opens_within, "2026-03-29T01:00:00Z"), "open");
    let lies_within = hours("Europe/Zurich", &["sun 02:15-02:45"], &[]);
    assert_eq!(at(&lies_within, "2026-03-29T00:59:59Z"), "Sun 2026-04-05 02:15 Europe/Zurich");
    assert_eq!(at(&lies_within, "2026-03-29T01:20:00Z"), "Sun 2026-04-05 02:15 Europe/Zurich");
}

/// In Zurich, on 25 October 2026, 03:00 is followed by 02:00.
#[test]
fn a_repeated_hour_has_its_session_twice() {
    let hours = hours("Europe/Zurich", &["sun 02:15-02:45"], &[]);
    let again = "Sun 2026-10-25 02:15 Europe/Zurich";
    assert_eq!(at(&hours, "2026-10-25T00:14:00Z"), again);
    assert_eq!(at(&hours, "2026-10-25T00:15:00Z"), "open");
    assert_eq!(at(&hours, "2026-10-25T00:45:00Z"), again);
    assert_eq!(at(&hours, "2026-10-25T01:15:00Z"), "open");
    assert_eq!(at(&hours, "2026-10-25T01:45:00Z"), "Sun 2026-11-01 02:15 Europe/Zurich");
}

#[test]
fn a_clock_set_back_may_lead_into_a_session() {
    let hours = hours("Europe/Zurich", &["sun 01:00-02:30"], &[]);
    assert_eq!(at(&hours, "2026-10-25T00:29:00Z"), "open");
    // 02:30 the first time: over, until the clock comes back to 02:00.
    assert_eq!(at(&hours, "2026-10-25T00:30:00Z"), "Sun 2026-10-25 02:00 Europe/Zurich");
    assert_eq!(at(&hours, "2026-10-25T01:00:00Z"), "open");
    assert_eq!(at(&hours, "2026-10-25T01:30:00Z"), "Sun 2026-11-01 01:00 Europe/Zurich");
}

#[test]
fn a_session_over_midnight_is_two() {
    let chicago = hours("America/Chicago", &["sun-thu 17:00-24:00", "mon-fri 00:00-16:00"], &[]);
    assert_eq!(at(&chicago, "2026-11-29T22:59:00Z"), "Sun 2026-11-29 17:00 America/Chicago");
    for open in ["2026-11-29T23:00:00Z", "2026-11-30T05:59:59.999Z", "2026-11-30T06:00:00Z", "2026-11-30T21:59:00Z"] {
        assert_eq!(at(&chicago, open), "open", "{open}");
    }
    assert_eq!(at(&chicago, "2026-11-30T22:00:00Z"), "Mon 2026-11-30 17:00 America/Chicago");
}

#[test]
fn a_week_of_holidays_is_passed_over_and_all_of_them_leave_none() {
    let mut hours = hours("Asia/Tokyo", &["mon 09:00-15:00"], &["2026-11-30", "2026-12-07"]);
    assert_eq!(at(&hours, "2026-11-30T01:00:00Z"), "Mon 2026-12-14 09:00 Asia/Tokyo");
    // As many as a record may state: the last Monday of them is followed by an open one.
    let first = local_day("Asia/Tokyo", ms("2026-11-30T01:00:00Z")).unwrap();
    hours.holidays = (0..u32::try_from(HOLIDAYS_MAX).unwrap()).map(|week| first + 7 * week).collect();
    assert_eq!(at(&hours, "2026-11-30T01:00:00Z"), "Mon 2029-05-14 09:00 Asia/Tokyo");
    hours.sessions.clear();
    assert_eq!(at(&hours, "2026-11-30T01:00:00Z"), "never");
}

#[test]
fn days_are_local() {
    let day = |zone, moment| local_day(zone, ms(moment)).unwrap();
    assert_eq!(day("UTC", "1970-01-01T00:00:00Z"), 0);
    assert_eq!(day("UTC", "2026-11-26T00:00:00Z"), 20_783);
    assert_eq!(day("America/New_York", "2026-11-26T04:59:59Z"), 20_782);
    assert_eq!(day("Pacific/Kiritimati", "2026-11-26T10:00:00Z"), 20_784);
    assert_eq!(day("America/New_York", "1970-01-01T00:00:00Z"), 0);
}

#[test]
fn zones_have_one_name() {
    for known in ["UTC", "Europe/Zurich", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "US/Eastern"] {
        assert!(zone_exists(known), "{known}");
    }
    for unknown in ["", "Mars/Phobos", "europe/zurich", "Etc/Unknown", "+01:00", "CEST"] {
        assert!(!zone_exists(unknown), "{unknown}");
    }
    let hours = hours("Mars/Phobos", &["mon 09:00-15:00"], &[]);
    let closed = is_open(&hours, ms("2026-11-30T01:00:00Z")).unwrap_err();
    assert_eq!(closed, Closed::Zone(ZoneUnknown { name: "Mars/Phobos".to_owned() }));
    assert_eq!(local_day("Mars/Phobos", 0), Err(ZoneUnknown { name: "Mars/Phobos".to_owned() }));
}

#[test]
fn any_moment_has_an_answer() {
    let hours = hours("America/New_York", &["mon-fri 09:30-16:00"], &[]);
    for moment in [0, 1, u64::MAX / 2, u64::MAX] {
        let _either = is_open(&hours, moment);
    }
    // Hours that no record may state are never open, and nothing fails on them.
    let session = Session { weekday: 9, opens: 60_000, closes: 61_000 };
    let odd = TradingHours { sessions: vec![session, Session { weekday: 0, ..session }], ..hours };
    assert_eq!(at(&odd, "2026-11-30T01:00:00Z"), "never");
    assert_eq!(show_sessions(&odd.sessions).len(), 2);
}

#[test]
fn sessions_are_read_and_written() {
    let read = |texts: &[&str]| parse_sessions(texts.iter().copied());
    let sessions = read(&["mon-fri 13:30-17:00", "MON-fri  09:00-12:30", "sun 00:00-24:00"]).unwrap();
    assert_eq!(sessions.len(), 11);
    assert_eq!(sessions[0], Session { weekday: 0, opens: 540, closes: 750 });
    assert_eq!(sessions[10], Session { weekday: 6, opens: 0, closes: 1440 });
    let shown = show_sessions(&sessions);
    assert_eq!(shown, ["mon-fri 09:00-12:30", "mon-fri 13:30-17:00", "sun 00:00-24:00"]);
    assert_eq!(parse_sessions(shown.iter().map(String::as_str)).unwrap(), sessions);
    let shown = show_sessions(&read(&["sat-mon 17:00-24:00"]).unwrap());
    assert_eq!(shown, ["mon 17:00-24:00", "sat-sun 17:00-24:00"]);
    // Days with a gap are two texts.
    let shown = show_sessions(&read(&["mon-tue 09:00-10:00", "thu 09:00-10:00"]).unwrap());
    assert_eq!(shown, ["mon-tue 09:00-10:00", "thu 09:00-10:00"]);
    for wrong in [
        "",
        "mon",
        "09:00-10:00",
        "mon 09:00",
        "mon 9:00-10:00",
        "mon 09:00-09:00",
        "mon 10:00-09:00",
        "mon 09:00-24:01",
        "mon 24:00-24:00",
        "mon 09:60-10:00",
        "monday 09:00-10:00",
        "mon 09:00-10:00 x",
        "mon 09:00–10:00",
        "mon +9:00-10:00",
    ] {
        assert_eq!(read(&[wrong]), Err(TextError::Session { found: wrong.to_owned() }));
    }
    let overlap = read(&["mon-fri 09:00-12:00", "wed 11:59-13:00"]).unwrap_err();
    assert_eq!(overlap.to_string(), "the sessions `wed 09:00-12:00` and `wed 11:59-13:00` overlap");
    read(&["mon 09:00-12:00", "mon 12:00-13:00"]).unwrap();
}

#[test]
fn holidays_are_read_and_written() {
    let days = parse_holidays(["2026-12-25", "1970-01-01", "2028-02-29"]).unwrap();
    assert_eq!(days, [0, 20_812, 21_243]);
    assert_eq!(show_holidays(&days), ["1970-01-01", "2026-12-25", "2028-02-29"]);
    for wrong in ["", "2026-12-32", "2027-02-29", "1969-12-31", "25.12.2026", "20261225", "2026-12-25T00:00"] {
        assert_eq!(parse_holidays([wrong]), Err(TextError::Holiday { found: wrong.to_owned() }));
    }
    let twice = parse_holidays(["2026-12-25", "2026-12-26", "2026-12-25"]).unwrap_err();
    assert_eq!(twice, TextError::Twice { day: "2026-12-25".to_owned() });
    assert_eq!(show_holidays(&[u32::MAX]), [u32::MAX.to_string()]);
}
