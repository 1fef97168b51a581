//! Which calls are made, and when.

use super::super::Verdict;
use super::super::client::{ClientError, HttpAnswer};
use super::super::wire::tests::{answer, filled, instruction, ticket};
use super::super::{Fill, Release};
use super::*;

type Answer = Result<HttpAnswer, ClientError>;

fn office() -> Http {
    let config = BackOfficeConfig {
        retry_first_ms: 100,
        retry_max_ms: 400,
        breaker_failures: 3,
        breaker_cooldown_s: 1,
        ..BackOfficeConfig::default()
    };
    Http::new(&config, NetworkId([7; 32]), "broker-a".parse().unwrap())
}

fn called(office: &mut Http, now_ms: u64) -> Vec<(Link, CallStep)> {
    office.due(now_ms).into_iter().map(|call| (call.key, call.step)).collect()
}

fn execution(key: u8) -> (Link, CallStep) {
    (Link([key; 32]), CallStep::Execution)
}

fn conclusion(key: u8) -> (Link, CallStep) {
    (Link([key; 32]), CallStep::Conclusion)
}

fn hears(office: &mut Http, (key, step): (Link, CallStep), answer: Answer, now_ms: u64) -> Option<News> {
    office.heard(Heard { key, step, answer }, now_ms)
}

fn concluded(key: u8) -> Answer {
    answer(200, &format!(r#"{{"key":"{}","status":"concluded"}}"#, Link([key; 32])))
}

#[test]
fn a_call_is_repeated_at_doubling_pauses_until_it_is_answered() {
    let mut office = office();
    let asked = instruction(1);
    assert_eq!(office.execute(&asked, 0), Asked::Later);
    let mut now_ms = 0;
    // Signs of life, so that the breaker has no say in it.
    for pause_ms in [100, 200, 400, 400, 400] {
        assert_eq!(called(&mut office, now_ms), [execution(1)]);
        assert_eq!(called(&mut office, now_ms), [], "one call at a time");
        assert_eq!(hears(&mut office, execution(1), answer(409, ""), now_ms), None);
        assert_eq!(called(&mut office, now_ms + pause_ms - 1), []);
        now_ms += pause_ms;
    }
    assert_eq!(called(&mut office, now_ms), [execution(1)]);
    let verdict = Verdict::Filled(Fill::of(&asked));
    let news = hears(&mut office, execution(1), filled(1, "10", "25.94"), now_ms);
    assert_eq!(news, Some(News::Decided(asked.ticket.key, verdict)));
    assert_eq!(called(&mut office, u64::MAX), []);
}

#[test]
fn what_was_settled_is_told_until_it_is_acknowledged() {
    let mut office = office();
    assert_eq!(office.tell(&ticket(1), 0), Told::Later);
    let settlement = (Link([1; 32]), CallStep::Settlement);
    let settled = || answer(200, &format!(r#"{{"key":"{}","status":"settled"}}"#, Link([1; 32])));
    let mut now_ms = 0;
    for (trouble, pause_ms) in [(answer(404, ""), 100), (concluded(1), 200)] {
        assert_eq!(called(&mut office, now_ms), [settlement]);
        assert_eq!(hears(&mut office, settlement, trouble, now_ms), None);
        now_ms += pause_ms;
    }
    assert_eq!(called(&mut office, now_ms), [settlement]);
    assert_eq!(hears(&mut office, settlement, settled(), now_ms), Some(News::Concluded(Link([1; 32]))));
    assert_eq!(called(&mut office, u64::MAX), []);
}

#[test]
fn a_release_waits_for_the_call_under_way() {
    let mut office = office();
    office.execute(&instruction(1), 0);
    assert_eq!(called(&mut office, 0), [execution(1)]);
    office.conclude(Link([1; 32]), Conclusion::Released(Release::Expired), 10);
    assert_eq!(called(&mut office, 20), [], "its fate is not known");
    assert_eq!(hears(&mut office, execution(1), filled(1, "10", "25.94"), 30), None, "too late to be a verdict");
    assert_eq!(called(&mut office, 30), [conclusion(1)]);
    assert_eq!(hears(&mut office, conclusion(1), answer(404, ""), 40), None, "nothing turns a release away");
    assert_eq!(called(&mut office, 140), [conclusion(1)]);
    assert_eq!(hears(&mut office, conclusion(1), concluded(1), 150), Some(News::Concluded(Link([1; 32]))));
    assert_eq!(called(&mut office, u64::MAX), []);
}

#[test]
fn a_release_takes_the_place_of_a_call_that_waits() {
    let mut office = office();
    office.execute(&instruction(1), 0);
    assert_eq!(called(&mut office, 0), [execution(1)]);
    hears(&mut office, execution(1), answer(500, ""), 0);
    office.conclude(Link([1; 32]), Conclusion::Released(Release::Expired), 10);
    assert_eq!(called(&mut office, 10), [conclusion(1)]);
    assert_eq!(called(&mut office, u64::MAX), [], "it is never executed again");
}

#[test]
fn an_open_breaker_holds_calls_and_orders_until_one_call_holds() {
    let mut office = office();
    for key in 1..=5 {
        office.execute(&instruction(key), 0);
    }
    assert_eq!(called(&mut office, 0).len(), 5);
    assert!(office.takes_orders(0));
    for key in 1..=5 {
        hears(&mut office, execution(key), answer(503, ""), 0);
    }
    assert_eq!(office.standing(), Some(Standing { failures: 5, breaker: "open" }));
    assert_eq!((called(&mut office, 999), office.takes_orders(999)), (vec![], false));
    assert_eq!(called(&mut office, 1_000), [execution(1)], "one call tells");
    hears(&mut office, execution(1), Err(ClientError::TooLarge), 1_000);
    assert_eq!(called(&mut office, 1_999), []);
    assert_eq!(called(&mut office, 2_000), [execution(2)]);
    assert!(hears(&mut office, execution(2), filled(2, "10", "25.94"), 2_000).is_some());
    assert_eq!(called(&mut office, 2_000), [execution(3), execution(4), execution(5), execution(1)]);
    assert!(office.takes_orders(2_000));
}

#[test]
fn after_the_cooldown_an_order_may_be_the_one_call() {
    let mut office = office();
    office.execute(&instruction(1), 0);
    for now_ms in [0, 1_000, 2_000] {
        assert_eq!(called(&mut office, now_ms), [execution(1)]);
        hears(&mut office, execution(1), answer(500, ""), now_ms);
    }
    assert_eq!(office.standing().unwrap().breaker, "open");
    assert!(!office.takes_orders(10_000), "what waits goes first");
    assert_eq!(called(&mut office, 10_000), [execution(1)]);
    // Turned away for good: a sign of life, and the end of it.
    assert!(hears(&mut office, execution(1), answer(422, ""), 10_000).is_some());
    assert!(office.takes_orders(10_000));
}

#[test]
fn a_long_pause_does_not_make_the_cooldown_longer() {
    let mut office = office();
    (office.retry_first_ms, office.retry_max_ms) = (30_000, 30_000);
    for key in 1..=3 {
        office.execute(&instruction(key), 0);
    }
    assert_eq!(called(&mut office, 0).len(), 3);
    for key in 1..=3 {
        hears(&mut office, execution(key), answer(503, ""), 0);
    }
    assert_eq!((called(&mut office, 999), called(&mut office, 1_000)), (vec![], vec![execution(1)]));
    assert!(hears(&mut office, execution(1), filled(1, "10", "25.94"), 1_000).is_some());
    assert_eq!(called(&mut office, 29_999), [], "the others wait as long as they would have");
    assert_eq!(called(&mut office, 30_000), [execution(2), execution(3)]);
}

#[test]
fn a_clock_that_went_back_makes_no_pause_longer() {
    let mut office = office();
    office.execute(&instruction(1), 600_000);
    assert_eq!(called(&mut office, 0), [execution(1)]);
    hears(&mut office, execution(1), answer(500, ""), 600_000);
    assert_eq!(called(&mut office, 599_999), []);
    assert_eq!(called(&mut office, 0), [execution(1)]);
}

#[test]
fn calls_at_once_are_bounded() {
    let mut office = office();
    for key in 0..200 {
        office.execute(&instruction(key), 0);
    }
    assert_eq!(called(&mut office, 0).len(), CALLS_MAX);
    hears(&mut office, execution(0), answer(409, ""), 0);
    assert_eq!(called(&mut office, 0), [execution(u8::try_from(CALLS_MAX).unwrap())]);
}
