//! Agreement and liveness of the very engine, under faults, by seed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests fail by panicking"
)]

mod sim;

use sim::rng::Rng;
use sim::{Options, Summary, World};

/// The faults that a seed stands for.
fn options(seed: u64) -> Options {
    let mut rng = Rng(seed ^ 0x5EED);
    let validators = [4, 4, 7, 4, 10, 4, 7, 16][usize::try_from(seed % 8).unwrap()];
    let faulty = (validators - 1) / 3;
    let mut any = || usize::try_from(rng.range(0, validators as u64)).unwrap();
    let (liar, other, crashing) = (any(), any(), any());
    let lies = seed % 3 != 2;
    let silent = (!lies || faulty > 1) && !seed.is_multiple_of(4);
    let heal_ms = if validators > 9 { 8_000 } else { 20_000 };
    Options {
        followers: usize::from(seed.is_multiple_of(5)),
        liar: lies.then_some(liar),
        silent: (silent && other != liar).then_some(other),
        crashing: (seed.is_multiple_of(2) && crashing != liar).then_some(crashing),
        loss_percent: rng.range(0, 31),
        repeat_percent: rng.range(0, 51),
        delay_ms_max: rng.range(5, 400),
        heal_ms,
        heights: 3,
        live_ms: 120_000,
        entry_every_ms: rng.range(20, 1_000),
        ..Options::calm(validators, seed)
    }
}

fn run(seed: u64) -> Summary {
    World::new(options(seed)).run()
}

#[test]
fn calm_networks_make_blocks() {
    for validators in [1, 2, 3, 4, 7] {
        let summary = World::new(Options::calm(validators, 1)).run();
        assert!(summary.entries > 0, "{summary:?}");
    }
}

/// One seed, one trace; set `STEMMA_SEEDS=from..to` for others than the default.
#[test]
fn seeds_agree_and_go_on() {
    let (from, to) = seeds();
    let (mut accusations, mut restarts, mut synced, mut height) = (0, 0, 0, 0);
    for seed in from..to {
        let summary = run(seed);
        accusations += summary.accusations;
        restarts += summary.restarts;
        synced += summary.synced;
        height += summary.height;
    }
    println!(
        "seeds {from}..{to}: {height} heights, {accusations} accusations, {restarts} restarts, {synced} blocks synced"
    );
    assert!(accusations > 0 && restarts > 0 && synced > 0, "the faults must happen");
}

fn seeds() -> (u64, u64) {
    let asked = std::env::var("STEMMA_SEEDS").ok();
    let parse = |text: String| {
        let (from, to) = text.split_once("..")?;
        Some((from.parse().ok()?, to.parse().ok()?))
    };
    asked.and_then(parse).unwrap_or((0, 100))
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [2, 5, 6] {
        assert_eq!(run(seed), run(seed));
    }
    assert_ne!(run(2).trace, run(10).trace);
}
