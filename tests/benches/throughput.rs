//! A network of real processes under load: committed trades per second, finality, processor time and disk per trade, each beside
//! its floor (bare signature checks, bare record bytes), measured in one go on the same machine.
//!
//! `cargo bench -p stemma-tests --bench throughput -- [accounts per bank] [trades per account]`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints, and fails by panicking"
)]

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use stemma_chain_format::chain::{Chain, Entry};
use stemma_chain_format::keys::{self, PublicKey};
use stemma_chain_format::member::MemberId;
use stemma_chain_format::record::Signed;
use stemma_node_api::types::{IssueCash, OpenAccount, RequestState};
use stemma_tests::customer::Customer;
use stemma_tests::network::{AAPL, IBM, MEMBERS, Network};

const BANKS: [&str; 2] = ["bank-a", "bank-b"];
const LOW_LOAD_TRADES: usize = 200;
/// The kernel counts processor time in hundredths of a second (`getconf CLK_TCK` on Linux).
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    let arguments: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let accounts = arguments.first().copied().unwrap_or(300);
    let trades = arguments.get(1).copied().unwrap_or(10);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(measure(accounts, trades));
}

async fn measure(accounts: usize, trades: usize) {
    let mut network = Network::start().await;
    network.connected().await;
    let (p50, p99) = low_load(&mut network).await;
    println!("finality, one trade at a time     p50 {p50:.1} ms, p99 {p99:.1} ms ({LOW_LOAD_TRADES} trades)");

    let mut customers = Vec::new();
    for bank in BANKS {
        customers.extend(open(&network, bank, accounts).await);
    }
    let before: Vec<Usage> = MEMBERS.iter().map(|m| Usage::of(&network, m)).collect();
    let started = Instant::now();
    let ends = tokio::task::LocalSet::new();
    let chains = ends.run_until(load(customers, trades)).await;
    let seconds = started.elapsed().as_secs_f64();
    let count = chains.len() as f64;
    println!(
        "committed under load              {:.0} trades/s ({count} trades of {} accounts)",
        count / seconds,
        2 * accounts
    );

    network.agreed().await;
    let (floor_us, record_bytes) = floor(&network, &chains).await;
    println!("bare batch check of 3 signatures  {floor_us:.0} µs of one core per trade");
    println!("bare bytes of the three records   {record_bytes:.0} B per trade");
    for (member, before) in MEMBERS.iter().zip(before) {
        let after = Usage::of(&network, member);
        let cpu_us = (after.cpu_seconds - before.cpu_seconds) * 1e6 / count;
        let disk = (after.disk_bytes - before.disk_bytes) / count;
        println!(
            "{member:10} processor {cpu_us:>5.0} µs per trade ({:.1} × the signatures)   disk {disk:>6.0} B per trade ({:.1} × the records)",
            cpu_us / floor_us,
            disk / record_bytes,
        );
    }
    println!("This program, the client, ran on the same cores.");
}

/// One customer, one trade at a time.
async fn low_load(network: &mut Network) -> (f64, f64) {
    let mut alice = network.customer("alice");
    let mut times = Vec::new();
    for _ in 0..LOW_LOAD_TRADES {
        let order = alice.buy(AAPL, 1);
        let started = Instant::now();
        assert_eq!(alice.finish(&order).await.state, RequestState::Committed);
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 99 / 100])
}

/// Opens and funds accounts at a bank.
async fn open(network: &Network, bank: &str, count: usize) -> Vec<Customer> {
    let token = std::fs::read_to_string(network.home(bank).join("operator.token")).unwrap();
    let client = network.client(bank).clone().with_token(token.trim());
    let id: MemberId = bank.parse().unwrap();
    let mut opening = tokio::task::JoinSet::new();
    for n in 0..count {
        let client = client.clone();
        let mut seed = [0_u8; 32];
        seed[..8].copy_from_slice(&(n as u64).to_le_bytes());
        seed[8..8 + bank.len()].copy_from_slice(bank.as_bytes());
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        opening.spawn(async move {
            let opened = client.open_account(&OpenAccount { key: PublicKey::of(&key).to_string() }).await.unwrap();
            (opened.id, key)
        });
    }
    let opened = opening.join_all().await;
    for part in opened.chunks(1_000) {
        let credits = part.iter().map(|(account, _)| (account.clone(), "100000000".to_owned())).collect();
        client.issue(&IssueCash { code: "USD".to_owned(), credits }).await.unwrap();
    }
    let customer = |(account, key): (String, _)| {
        Customer::new(network.client(bank), network.genesis(), id.clone(), account.parse().unwrap(), key)
    };
    opened.into_iter().map(customer).collect()
}

/// Every account trades in sequence, all accounts at once; the ids of the committed chains.
async fn load(customers: Vec<Customer>, trades: usize) -> Vec<String> {
    let mut running = tokio::task::JoinSet::new();
    for (at, mut customer) in customers.into_iter().enumerate() {
        running.spawn_local(async move {
            let mut chains = Vec::new();
            for n in 0..trades {
                let order = customer.buy(if (at + n) % 2 == 0 { AAPL } else { IBM }, 1);
                let view = customer.finish(&order).await;
                assert_eq!(view.state, RequestState::Committed, "{view:?}");
                chains.push(view.chain.unwrap());
            }
            chains
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}

/// What cannot be spared: checking the signatures of these very chains in batches, and the bytes of their records.
async fn floor(network: &Network, chains: &[String]) -> (f64, f64) {
    let mut checks = Vec::new();
    let mut bytes = 0;
    for id in chains.iter().take(512) {
        let view = network.client("auditor").chain(id).await.unwrap();
        let stages: Vec<Vec<u8>> = view.stages.iter().map(|stage| BASE64.decode(stage).unwrap()).collect();
        let chain = Chain {
            request: Signed::decode(stages[0].clone()).unwrap(),
            endorsement: Signed::decode(stages[1].clone()).unwrap(),
            execution: Signed::decode(stages[2].clone()).unwrap(),
        };
        checks.extend([chain.request.signature_check(), chain.endorsement.signature_check()]);
        checks.push(chain.execution.signature_check());
        bytes += Entry::Chain(Box::new(chain)).stage_bytes();
    }
    let count = checks.len() as f64 / 3.0;
    let fastest = (0..5).map(|_| {
        let started = Instant::now();
        for batch in checks.chunks(256) {
            assert!(keys::verify_batch(batch).iter().all(Result::is_ok));
        }
        started.elapsed()
    });
    let fastest: Duration = fastest.min().unwrap();
    (fastest.as_secs_f64() * 1e6 / count, bytes as f64 / count)
}

/// What a node has used since it started.
struct Usage {
    cpu_seconds: f64,
    disk_bytes: f64,
}

impl Usage {
    fn of(network: &Network, member: &str) -> Self {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", network.process(member).pid())).unwrap();
        // The name in parentheses may hold spaces; user and system time are the 14th and 15th fields.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum();
        let file = network.home(member).join("data/stemma.redb");
        let disk_bytes = std::fs::metadata(file).unwrap().len() as f64;
        Self { cpu_seconds: ticks / TICKS_PER_SECOND, disk_bytes }
    }
}
