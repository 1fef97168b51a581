//! Choices among made-up paths.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests may panic")]

use super::*;

const STEP: Duration = Duration::from_millis(500);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Live paths 0, 1, 2 … with these scores in milliseconds; zero is not live.
fn paths(scores: &[u64]) -> Vec<Candidate> {
    (0..).zip(scores).filter(|(_, score)| **score > 0).map(|(id, score)| Candidate { id, score: ms(*score) }).collect()
}

/// All of `count` paths alive, and the time.
fn alive(count: u32) -> (Selector, Instant) {
    let (mut selector, now) = (Selector::default(), Instant::now());
    for id in 0..count {
        selector.on_alive(id, now);
    }
    (selector, now)
}

/// For a source of noise that is the same in every run.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn the_fastest_is_chosen_first() {
    let (mut selector, now) = alive(4);
    assert!(selector.evaluate(now, &paths(&[80, 20, 10, 40])));
    assert_eq!((selector.best(), selector.switches()), (Some(2), 0));
    assert!(!selector.evaluate(now, &paths(&[80, 20, 10, 40])));
}

#[test]
fn a_better_path_is_taken_after_two_seconds_and_not_before() {
    let (mut selector, mut now) = alive(2);
    selector.evaluate(now, &paths(&[100, 0]));
    let start = now;
    while selector.best() == Some(0) {
        now += STEP;
        selector.evaluate(now, &paths(&[100, 80]));
    }
    // The first comparison is half a second after the start.
    assert_eq!(now - start, STEP + BETTER_FOR);
    assert_eq!(selector.switches(), 1);
}

#[test]
fn nineteen_percent_better_is_not_better() {
    let (mut selector, mut now) = alive(2);
    selector.evaluate(now, &paths(&[100, 0]));
    for _ in 0..1000 {
        now += STEP;
        selector.evaluate(now, &paths(&[100, 81]));
    }
    assert_eq!(selector.best(), Some(0));
}

#[test]
fn a_tenth_of_a_millisecond_is_nothing() {
    let (mut selector, mut now) = alive(2);
    let live = |first, second| {
        [(0, first), (1, second)].map(|(id, micros)| Candidate { id, score: Duration::from_micros(micros) })
    };
    selector.evaluate(now, &live(300, 1000));
    for _ in 0..100 {
        now += STEP;
        selector.evaluate(now, &live(300, 150));
    }
    assert_eq!(selector.best(), Some(0));
}

#[test]
fn noise_and_alternation_do_not_flap() {
    for seed in 0..200 {
        let mut noise = Noise(seed);
        let (mut selector, mut now) = alive(3);
        selector.evaluate(now, &paths(&[50, 50, 50]));
        for step in 0..2000_u64 {
            now += STEP;
            // Each is as good as the others on average, and one or the other is much better for a
            // second and a half, then it is the turn of the next.
            let mut scores = [0, 0, 0].map(|_: u64| 45 + noise.below(11));
            let turn = usize::try_from(step / 3 % 3).unwrap();
            *scores.get_mut(turn).unwrap() /= 2;
            selector.evaluate(now, &paths(&scores));
        }
        assert_eq!(selector.switches(), 0, "seed {seed}");
    }
}

#[test]
fn a_dead_path_is_left_at_once_for_the_next_best() {
    let (mut selector, now) = alive(3);
    selector.evaluate(now, &paths(&[10, 30, 20]));
    selector.on_death(0, now);
    assert!(selector.choose(now, &paths(&[0, 30, 20])));
    assert_eq!((selector.best(), selector.switches()), (Some(2), 1));
}

#[test]
fn it_returns_after_its_hold_down_which_doubles() {
    let (mut selector, mut now) = alive(2);
    selector.evaluate(now, &paths(&[10, 100]));
    for hold in [1, 2, 4, 8, 16, 32, 60, 60] {
        selector.on_death(0, now);
        assert!(selector.choose(now, &paths(&[0, 100])));
        selector.on_alive(0, now);
        let back = now;
        while selector.best() == Some(1) {
            now += STEP;
            selector.evaluate(now, &paths(&[10, 100]));
        }
        assert_eq!(now - back, Duration::from_secs(hold) + BETTER_FOR);
    }
}

#[test]
fn a_long_life_makes_good_for_deaths() {
    let (mut selector, mut now) = alive(2);
    for _ in 0..3 {
        selector.on_death(0, now);
        selector.on_alive(0, now);
    }
    now += Duration::from_secs(40);
    selector.on_death(0, now);
    selector.on_alive(0, now);
    assert!(selector.is_held(0, now + ms(999)));
    assert!(!selector.is_held(0, now + ms(1000)));
}

#[test]
fn the_hold_down_is_ignored_when_nothing_else_lives() {
    let (mut selector, now) = alive(2);
    selector.evaluate(now, &paths(&[10, 20]));
    selector.on_death(0, now);
    selector.on_death(1, now);
    selector.choose(now, &[]);
    selector.on_alive(1, now);
    assert!(selector.choose(now, &paths(&[0, 20])));
    assert_eq!(selector.best(), Some(1));
}

#[test]
fn whatever_happens_a_live_path_is_chosen_if_there_is_one() {
    for seed in 0..500 {
        let mut noise = Noise(seed);
        let (mut selector, mut now) = alive(4);
        let mut is_alive = [true; 4];
        for _ in 0..200 {
            now += ms(noise.below(800));
            let path = u32::try_from(noise.below(4)).unwrap();
            let state = is_alive.get_mut(usize::try_from(path).unwrap()).unwrap();
            *state = !*state;
            if *state {
                selector.on_alive(path, now)
            } else {
                selector.on_death(path, now)
            }
            let live: Vec<Candidate> = (0..)
                .zip(is_alive)
                .filter(|(_, is_alive)| *is_alive)
                .map(|(id, _)| Candidate { id, score: ms(10 + noise.below(90)) })
                .collect();
            selector.evaluate(now, &live);
            let is_good = live.is_empty() || live.iter().any(|path| Some(path.id) == selector.best());
            assert!(is_good, "seed {seed}");
        }
    }
}
