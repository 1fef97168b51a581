//! What verifying a lineage costs, as ratios: beyond its bare signatures on one core, on two cores against one, and from an anchor; and how
//! much memory a process needs for it. Times are the smallest of several runs, taken in turns. `cargo bench -p stemma-tools --bench audit -- 100 10000` chooses the lengths.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark prints and fails by panicking"
)]

#[path = "../../chain-format/tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::fs::File;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Order, World};
use stemma_chain_format::bundle::{
    self, Arrangement, BATCH_ELEMENTS, Bundle, Claim, Element, NeededListing, Records, Verdict,
};
use stemma_chain_format::certificate::Precommit;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::Violation;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::keys::{self, SignatureCheck};
use stemma_chain_format::registry::Registry;
use stemma_chain_format::request::Side;
use stemma_tools::audit::verify_stream;

const LENGTHS: [usize; 3] = [100, 10_000, 100_000];
/// At least so often is each measured; so many chains are verified in all where the bundles are short.
const RUNS: usize = 5;
const CHAINS_A_KIND: usize = 50_000;
/// The argument that makes this program the one whose memory is measured.
const MEMORY: &str = "--memory";

/// A world in which alice traded so often, and where she stood right before the last ten trades.
fn traded(chains: usize) -> (World, World) {
    let mut world = World::funded();
    let alice = world.customer("alice");
    let mut earlier = world.clone();
    for n in 0..chains {
        let side = if n % 2 == 0 { Side::Buy } else { Side::Sell };
        let entry = Order { fee: 0, ..Order::new(alice, "fund-house", side) }.chain(&world);
        world.commit(vec![entry]).unwrap();
        if n + 10 == chains {
            earlier = world.clone();
        }
    }
    (world, earlier)
}

/// What the lineage needs beside itself, found at once.
struct Found(BTreeMap<Link, Vec<u8>>, BTreeMap<String, Vec<u8>>);

impl Found {
    fn of(world: &World) -> Self {
        let by_id = world.history().map(|entry| (entry.id(), entry.encode())).collect();
        let listings = world.ledger.listings();
        let listed = listings.map(|l| (l.listing.instrument.to_string(), Vec::from(world.body(l.link)))).collect();
        Self(by_id, listed)
    }
}

impl Records for &Found {
    type Error = Violation;

    fn source(&self, id: &Link) -> Result<Vec<u8>, Violation> {
        Ok(self.0[id].clone())
    }

    fn listing(&self, needed: NeededListing<'_>) -> Result<Vec<u8>, Violation> {
        Ok(match needed {
            NeededListing::Named(link) => self.0[&link].clone(),
            NeededListing::Of(instrument) => self.1[&instrument.to_string()].clone(),
        })
    }

    fn settlement_on(&self, _head: &Link) -> Result<Option<Vec<u8>>, Violation> {
        Ok(None)
    }
}

fn lineage_of(world: &World, account: AccountId) -> Bundle {
    let found = Found::of(world);
    let mut elements = Vec::new();
    let take = |element: Element| {
        elements.push(element);
        Ok(())
    };
    let mut to = Arrangement::from_opening(account, &found, take);
    for entry in world.lineage(account) {
        to.entry(entry.encode()).unwrap();
    }
    drop(to);
    let holding = Box::new(world.holding(account));
    Bundle { head: world.head_of(Claim::Lineage(holding)), elements }
}

/// Every signature that the bundle holds: those of its entries, and of the certificate.
fn signatures(bundle: &Bundle, genesis: &GenesisFile) -> Vec<SignatureCheck> {
    let certificate = &bundle.head.checkpoint.certificate;
    let validators = Registry::from_genesis(genesis).validators();
    let precommits = certificate.signatures.iter().map(|Precommit { validator, signature }| {
        let key = validators.iter().find(|known| known.id == *validator).unwrap().key;
        certificate.precommit(genesis.network(), validator).signature_check(key, *signature)
    });
    let entries = bundle.elements.iter().filter_map(|element| match element {
        Element::Listing(bytes) | Element::Source(bytes) | Element::Entry(bytes) => Some(Entry::decode(bytes).unwrap()),
        _ => None,
    });
    let of_entries = entries.flat_map(|entry| match entry {
        Entry::Chain(c) => {
            vec![c.request.signature_check(), c.endorsement.signature_check(), c.execution.signature_check()]
        }
        Entry::Opening(opening) => vec![opening.signature_check()],
        Entry::Issuance(issuance) => vec![issuance.signature_check()],
        Entry::Listing(listing) => vec![listing.signature_check()],
        other => panic!("a {} in the lineage", other.kind().as_str()),
    });
    precommits.chain(of_entries).collect()
}

/// The smallest time of each of several, which take turns: what else the machine does then meets them all.
fn smallest<const N: usize>(runs: usize, each: [&dyn Fn(); N]) -> [Duration; N] {
    let mut smallest = [Duration::MAX; N];
    for _ in 0..runs {
        for (least, run) in smallest.iter_mut().zip(each) {
            let start = Instant::now();
            run();
            *least = start.elapsed().min(*least);
        }
    }
    smallest
}

/// The most memory that a process of its own ever has while it verifies a file, in KiB.
fn memory(bytes: &[u8], genesis: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let files = ["bundle", "genesis"].map(|name| folder.path().join(name));
    std::fs::write(&files[0], bytes).unwrap();
    std::fs::write(&files[1], genesis).unwrap();
    let run = Command::new(std::env::current_exe().unwrap()).arg(MEMORY).args(&files).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap().trim().to_owned()
}

/// That process.
fn verify_alone(bundle: &str, genesis: &str) {
    let genesis = GenesisFile::decode(std::fs::read(genesis).unwrap()).unwrap();
    let verdict = verify_stream(File::open(bundle).unwrap(), &genesis).unwrap();
    assert!(matches!(verdict, Verdict::Verified(_)), "{verdict:?}");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{}", peak.trim().trim_end_matches(" kB"));
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, bundle, genesis] = arguments.as_slice()
        && mode == MEMORY
    {
        return verify_alone(bundle, genesis);
    }
    let asked: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let lengths = if asked.is_empty() { LENGTHS.to_vec() } else { asked };
    for chains in lengths {
        let (world, earlier) = traded(chains);
        let account = world.customer("alice").account;
        let bundle = lineage_of(&world, account);
        let (bytes, checks) = (bundle.encode(), signatures(&bundle, &world.file));
        let batches: Vec<&[SignatureCheck]> = checks.chunks(BATCH_ELEMENTS * 3).collect();
        let since = world.bundle_from(account, &earlier).encode();
        let verified = |verdict: Verdict| assert!(matches!(verdict, Verdict::Verified(_)), "{verdict:?}");
        let [bare, one, all, anchored] = smallest(
            RUNS.max(CHAINS_A_KIND / chains),
            [
                &|| assert!(batches.iter().flat_map(|batch| keys::verify_batch(black_box(batch))).all(|v| v.is_ok())),
                &|| verified(bundle::verify(black_box(&bytes), &world.file)),
                &|| verified(verify_stream(black_box(bytes.as_slice()), &world.file).unwrap()),
                &|| verified(bundle::verify(black_box(&since), &world.file)),
            ],
        );
        println!("{chains} chains, {} signatures, {} bytes:", checks.len(), bytes.len());
        let report = |what: &str, time: Duration, to: Duration| {
            println!("  {what:<48} {:>8.2} x   {time:>10.1?}", time.as_secs_f64() / to.as_secs_f64());
        };
        report("signatures alone, in batches", bare, bare);
        report("the bundle on one core, to its signatures", one, bare);
        report("on all cores, to one core", all, one);
        println!("  {:<48} {:>8}     {anchored:>10.1?}", "its last ten chains, from an anchor", "");
        println!(
            "  {:<48} {:>8} KiB",
            "memory of a process that verifies its file",
            memory(&bytes, world.file.bytes())
        );
    }
}
