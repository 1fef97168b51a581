//! What validating chains costs beyond their bare signatures, as ratios. Each time is the smallest of several runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints and fails by panicking"
)]
#![allow(clippy::disallowed_types, reason = "a benchmark reads the clock; the format does not")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use common::{Order, Plan, World};
use stemma_chain_format::chain::Entry;
use stemma_chain_format::keys::{self, SignatureCheck};
use stemma_chain_format::request::Side;
use stemma_chain_format::validate::verify_entries;

const CHAINS: usize = 1_000;
const RUNS: usize = 7;

/// The smallest time of several runs, each on fresh input.
fn smallest<T>(prepare: impl Fn() -> T, run: impl Fn(T)) -> Duration {
    let timed = |()| {
        let input = prepare();
        let start = Instant::now();
        run(input);
        start.elapsed()
    };
    std::iter::repeat_n((), RUNS).map(timed).min().unwrap()
}

fn chains(world: &World) -> Vec<Entry> {
    let names = ["alice", "bob", "carol"];
    let chain = |n: usize| {
        let order = Order::new(world.customer(names[n % 3]), "fund-house", Side::Buy);
        Plan::new(world, order).request(move |request| request.counter += n as u64).entry()
    };
    (0..CHAINS).map(chain).collect()
}

fn signatures(entries: &[Entry]) -> Vec<SignatureCheck> {
    let checks = |entry: &Entry| match entry {
        Entry::Chain(chain) => {
            [chain.request.signature_check(), chain.endorsement.signature_check(), chain.execution.signature_check()]
        }
        _ => panic!("a chain"),
    };
    entries.iter().flat_map(checks).collect()
}

fn main() {
    let world = World::traded();
    let entries = chains(&world);
    let encoded: Vec<Vec<u8>> = entries.iter().map(Entry::encode).collect();
    let checks = signatures(&entries);
    let bare = smallest(|| (), |()| assert!(keys::verify_batch(black_box(&checks)).iter().all(Result::is_ok)));
    let single = smallest(
        || (),
        |()| {
            let verdicts = black_box(&checks).iter().map(|c| keys::verify(&c.key, &c.message, &c.signature));
            assert!(verdicts.into_iter().all(|verdict| verdict.is_ok()));
        },
    );
    let verified = smallest(
        || entries.clone(),
        |entries| assert!(verify_entries(black_box(entries), &world.registry).iter().all(Result::is_ok)),
    );
    let decoded = smallest(
        || (),
        |()| {
            let entries = black_box(&encoded).iter().map(|bytes| Entry::decode(bytes).unwrap()).collect();
            assert!(verify_entries(entries, &world.registry).iter().all(Result::is_ok));
        },
    );
    let report = |what: &str, time: Duration| {
        let ratio = time.as_secs_f64() / bare.as_secs_f64();
        let per_chain = time / u32::try_from(CHAINS).unwrap();
        println!("{what:<46} {ratio:>6.2} x   {per_chain:>9.1?} a chain");
    };
    println!("{CHAINS} chains, {} signatures, against their bare batch:", checks.len());
    report("keys::verify_batch", bare);
    report("keys::verify, one by one", single);
    report("validate::verify_entries", verified);
    report("Entry::decode and validate::verify_entries", decoded);
}
