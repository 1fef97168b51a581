//! Delays, locks, forgetting, bounds.

use super::super::attempts::{AttemptSettings, Attempts, Row, Subject, Wait};
use super::*;

const ALICE: AccountId = AccountId([2; 32]);
const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

/// Fails as soon as it may, so many times; the waits in between.
fn waits(attempts: &mut Attempts, times: usize, now_ms: &mut u64) -> Vec<(u64, bool)> {
    let mut waits = Vec::new();
    for _ in 0..times {
        attempts.failed(ALICE, "totp", &format!("source {now_ms}"), *now_ms);
        match attempts.check(ALICE, "totp", "elsewhere", *now_ms) {
            Ok(()) => waits.push((0, false)),
            Err(wait) => {
                waits.push((wait.until_ms - *now_ms, wait.locked));
                *now_ms = wait.until_ms;
            }
        }
    }
    waits
}

#[test]
fn delays_grow_then_it_locks_up_to_a_day() {
    let mut attempts = Attempts::default();
    let mut now_ms = 1_000_000;
    let mut expected = vec![(0, false), (0, false)];
    expected.extend([1, 2, 4, 8, 16, 32, 64].map(|s| (s * 1000, false)));
    expected.extend([15, 30, 60, 120, 240, 480, 960, 1440, 1440].map(|m| (m * MINUTE, true)));
    assert_eq!(waits(&mut attempts, 18, &mut now_ms), expected);
}

#[test]
fn a_wait_ends_when_it_says_so_and_is_for_that_type_alone() {
    let mut attempts = Attempts::default();
    for _ in 0..3 {
        attempts.failed(ALICE, "totp", "a", 5000);
    }
    assert_eq!(attempts.check(ALICE, "totp", "b", 5999), Err(Wait { until_ms: 6000, locked: false }));
    assert_eq!(attempts.check(ALICE, "totp", "b", 6000), Ok(()));
    assert_eq!(attempts.check(ALICE, "password", "b", 5000), Ok(()));
    assert_eq!(attempts.check(AccountId([3; 32]), "totp", "b", 5000), Ok(()));
}

#[test]
fn success_and_time_forget_an_identity_but_success_no_source() {
    let mut attempts = Attempts::default();
    for _ in 0..100 {
        attempts.failed(ALICE, "totp", "a", 5000);
    }
    let gone = attempts.succeeded(ALICE, "totp").gone;
    assert_eq!(gone, [Subject::identity(ALICE, "totp")]);
    assert_eq!(attempts.check(ALICE, "totp", "b", 5000), Ok(()));
    assert!(attempts.check(ALICE, "totp", "a", 5000).unwrap_err().locked, "its source stays locked");
    let later = 5000 + 15 * MINUTE + DAY;
    assert_eq!(attempts.clone().forget(later - 1).gone, []);
    assert_eq!(attempts.forget(later).gone, [Subject::source("a")]);
    assert_eq!(attempts.rows().count(), 0);
}

#[test]
fn failures_long_ago_count_no_more() {
    let mut attempts = Attempts::default();
    for _ in 0..9 {
        attempts.failed(ALICE, "totp", "a", 0);
    }
    let row = &attempts.failed(ALICE, "totp", "a", 3 * DAY).put[0];
    assert_eq!((row.failures, row.until_ms), (1, 3 * DAY));
}

#[test]
fn rows_survive_a_restart() {
    let mut attempts = Attempts::default();
    let mut rows = std::collections::BTreeMap::new();
    for at in 0..12 {
        for row in attempts.failed(ALICE, "totp", "a", at).put {
            rows.insert(row.subject.clone(), row.encode());
        }
    }
    let rows = rows.values().map(|bytes| Row::decode(bytes).unwrap());
    let restarted = Attempts::new(AttemptSettings::default(), rows);
    let wait = attempts.check(ALICE, "totp", "a", 12).unwrap_err();
    assert!(wait.locked);
    assert_eq!(restarted.check(ALICE, "totp", "a", 12), Err(wait));
    assert!(Row::decode(b"\xa0").is_err());
}

#[test]
fn a_clock_set_back_opens_no_lock() {
    let mut attempts = Attempts::default();
    for _ in 0..10 {
        attempts.failed(ALICE, "totp", "a", DAY);
    }
    let locked = attempts.check(ALICE, "totp", "b", DAY).unwrap_err();
    attempts.failed(ALICE, "totp", "a", 0);
    let still = attempts.check(ALICE, "totp", "b", DAY).unwrap_err();
    assert!(still.until_ms >= locked.until_ms);
    assert!(attempts.check(ALICE, "totp", "b", 0).is_err());
}

#[test]
fn sources_are_bounded_and_the_oldest_goes_first() {
    let settings = AttemptSettings { sources_max: 3, ..AttemptSettings::default() };
    let mut attempts = Attempts::new(settings, []);
    for (at, source) in ["a", "b", "c", "a", "d"].into_iter().enumerate() {
        let changes = attempts.failed(ALICE, "totp", source, at as u64);
        let gone: &[Subject] = if source == "d" { &[Subject::source("b")] } else { &[] };
        assert_eq!(changes.gone, gone, "{source}");
    }
    assert_eq!(attempts.rows().count(), 4);
}

#[test]
fn the_default_bound_holds_under_a_flood() {
    let mut attempts = Attempts::default();
    for at in 0..100_500_u64 {
        attempts.failed(ALICE, "totp", &at.to_string(), at);
    }
    assert_eq!(attempts.rows().count(), 100_001);
}

#[test]
fn settings_are_data() {
    let settings: AttemptSettings = toml::from_str("sources_max = 10").unwrap();
    assert_eq!(settings, AttemptSettings { sources_max: 10, ..AttemptSettings::default() });
    assert_eq!(toml::from_str::<AttemptSettings>(&toml::to_string(&settings).unwrap()).unwrap(), settings);
    assert!(toml::from_str::<AttemptSettings>("[identity]\nlock_from = 5").is_err(), "a table is whole");
    assert!(toml::from_str::<AttemptSettings>("source_max = 10").is_err());
}
