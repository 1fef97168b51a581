//! Trades by several paths over real networks: the institution runs in a network namespace of its
//! own, and four links of different rates lead there. Links are taken down, silenced and healed.
//!
//! Needs root on Linux, `ip` and `tc`. Elsewhere the test says that it is skipped, and passes, unless
//! `STEMMA_TEST_NAMESPACES=1` demands that it runs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "tests may panic and print"
)]

#[path = "namespaces/network.rs"]
mod network;

use std::{
    collections::{BTreeMap, HashMap},
    env,
    io::{self, Write},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;
use futures::StreamExt;
use network::{Link, Network};
use stemma_net::{
    Multiaddr, NetConfig, NetEvent, NetHandle, PathAddress, PathReport, PathState, PeerConfig, PeerId, Protocol,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};
use zeroize::Zeroizing;

/// Demands that the test runs.
const DEMANDED: &str = "STEMMA_TEST_NAMESPACES";
/// Tells the institution where to listen.
const LISTEN: &str = "STEMMA_TEST_NAMESPACES_LISTEN";
/// Begins what the institution says, among what the test's frame says.
const MARK: &str = "institution: ";

const PATIENCE: Duration = Duration::from_secs(60);
const BANK: u8 = 1;
const INSTITUTION: u8 = 2;

/// Long enough that rates matter more than round trips.
const REQUEST_BYTES: usize = 24 << 10;
const AT_ONCE: usize = 16;

/// A failure costs one change to another path and one back. Two detours on top are forgiven: one round
/// trip that was measured late, because the machine was busy or the peer's filler was in its way, may
/// speak against a path for seconds.
const SWITCHES_PER_FAILURE: u64 = 6;

/// The links by what goes over them, fastest first.
const NAMES: [&str; 4] = ["tcp", "quic", "ws", "main"];
const RATES: [&str; 4] = ["40mbit", "10mbit", "4mbit", "2mbit"];
const TRANSPORTS: [&str; 4] = ["tcp/0", "udp/0/quic-v1", "tcp/0/ws", "tcp/0"];

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn peer(seed: u8, addresses: Vec<Multiaddr>) -> PeerConfig {
    PeerConfig { public_key: SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes(), addresses }
}

fn config(seed: u8, peers: Vec<PeerConfig>) -> NetConfig {
    let mut config = NetConfig::new(Zeroizing::new([seed; 32]), [7; 32]);
    config.peers = peers;
    config.timeouts.path_probe = ms(250);
    config.timeouts.path_bulk = Duration::from_secs(3);
    config
}

fn parse(addresses: &str) -> Vec<Multiaddr> {
    addresses.split_whitespace().map(|address| address.parse().unwrap()).collect()
}

/// What request so and so many asks, and what answers it.
fn request(number: u32) -> Vec<u8> {
    let mut data = number.to_be_bytes().to_vec();
    data.resize(REQUEST_BYTES, number.to_le_bytes()[0]);
    data
}

fn answer(request: &[u8]) -> Vec<u8> {
    blake3::hash(request).as_bytes()[..8].to_vec()
}

/// Waits until something becomes true that no event reports.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(ms(20)).await;
    }
}

/// The institution, in a process in the namespace; it ends with this, or when it can read no more.
struct Institution {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Institution {
    fn start(network: &Network) -> Self {
        let at = |(link, transport): (&Link, &str)| format!("/ip4/{}/{transport}", link.there);
        let addresses: Vec<String> = network.links.iter().zip(TRANSPORTS).map(at).collect();
        let mut command = Command::from(network.command(env::current_exe().unwrap().to_str().unwrap()));
        command.args(["--exact", "the_institution_in_the_namespace", "--ignored", "--nocapture"]);
        command.env(LISTEN, addresses.join(" ")).env_remove(DEMANDED);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts");
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _child: child, input, output: BufReader::new(output).lines() }
    }

    /// What the institution says next.
    async fn hear(&mut self) -> String {
        let said = async {
            loop {
                let line = self.output.next_line().await.unwrap().expect("the institution lives");
                if let Some((_, said)) = line.split_once(MARK) {
                    return said.to_owned();
                }
            }
        };
        timeout(PATIENCE, said).await.expect("the institution says something")
    }

    /// How often each request has reached the application.
    async fn delivered(&mut self) -> BTreeMap<u32, u32> {
        self.input.write_all(b"delivered?\n").await.unwrap();
        let numbers: Vec<u32> = self.hear().await.split_whitespace().map(|number| number.parse().unwrap()).collect();
        numbers.chunks(2).map(|pair| (pair[0], pair[1])).collect()
    }
}

/// Not a test: the institution, which the test starts. It says where it listens, and then, for each
/// line that it reads, how often each request has reached the application.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other side of the test, which starts it"]
async fn the_institution_in_the_namespace() {
    let Ok(addresses) = env::var(LISTEN) else { return };
    let mut config = config(INSTITUTION, vec![peer(BANK, vec![])]);
    config.path_listen = parse(&addresses);
    config.listen.extend(config.path_listen.pop());
    let (net, mut events) = stemma_net::start(config).await.unwrap();
    let delivered = Arc::new(Mutex::new(BTreeMap::<u32, u32>::new()));
    let counted = Arc::clone(&delivered);
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let NetEvent::Request { data, reply, .. } = event {
                let number = u32::from_be_bytes(data[..4].try_into().unwrap());
                *counted.lock().unwrap().entry(number).or_default() += 1;
                let _ = reply.send(answer(&data));
            }
        }
    });
    let listening: Vec<String> =
        net.path_listen_addresses().iter().chain(&net.listen_addresses()).map(ToString::to_string).collect();
    println!("{MARK}{}", listening.join(" "));
    // This thread may wait: others do the work.
    for _ in io::stdin().lines().map_while(Result::ok) {
        let counts: Vec<String> = delivered.lock().unwrap().iter().map(|(id, times)| format!("{id} {times}")).collect();
        println!("{MARK}{}", counts.join(" "));
    }
}

type Break = fn(&Network, &Link) -> Result<(), String>;

/// The bank, in this process, and what it trades with. Dropped in this order.
struct Trade {
    bank: NetHandle,
    id: PeerId,
    institution: Institution,
    network: Network,
    answered: AtomicU32,
}

impl Trade {
    async fn over(network: Network) -> Self {
        let mut institution = Institution::start(&network);
        let at = parse(&institution.hear().await);
        let peer = peer(INSTITUTION, vec![at[3].clone()]);
        let id = stemma_net::peer_id(&peer.public_key).unwrap();
        let (bank, mut events) = stemma_net::start(config(BANK, vec![peer])).await.unwrap();
        tokio::spawn(async move { while events.recv().await.is_some() {} });
        let path = |(name, address): (&str, &Multiaddr)| PathAddress { name: name.into(), address: address.clone() };
        bank.set_paths(id, NAMES.into_iter().zip(&at).take(3).map(path).collect()).await.unwrap();
        Self { bank, id, institution, network, answered: AtomicU32::new(0) }
    }

    fn report(&self, name: &str) -> Option<PathReport> {
        self.bank.paths().into_iter().find(|report| report.name == name)
    }

    fn is_best(&self, name: &str) -> bool {
        self.report(name).is_some_and(|report| report.best && report.state == PathState::Up)
    }

    fn switches(&self) -> u64 {
        self.bank.paths().iter().map(|report| report.switches).sum()
    }

    fn sent(&self) -> HashMap<String, u64> {
        self.bank.paths().into_iter().map(|report| (report.name, report.sent)).collect()
    }

    /// The links are told apart: what goes over a faster one is known to be faster.
    fn is_measured(&self) -> bool {
        let rates = NAMES.map(|name| self.report(name).and_then(|report| report.throughput_bytes_per_s));
        rates.iter().all(Option::is_some) && rates.is_sorted_by(|faster, slower| faster > slower)
    }

    /// Waits until the fastest path is used and nothing speaks for another; next comes the second.
    async fn settles(&self) {
        eventually("the fastest is the best, and then the next", || {
            let scores = NAMES.map(|name| self.report(name).and_then(|report| report.score));
            let [fastest, next, rest @ ..] = &scores;
            self.is_best(NAMES[0]) && fastest.is_some() && fastest < next && rest.iter().all(|other| next < other)
        })
        .await;
    }

    /// Asks so many requests; every one is answered, and rightly.
    async fn ask(&self, from: u32, to: u32) {
        let start = Instant::now();
        let asked = (from..to).map(|number| async move {
            let (start, data) = (Instant::now(), request(number));
            let expected = answer(&data);
            let said = self.bank.request(self.id, Protocol::Trade, data).await;
            assert_eq!(said.expect("every request is answered"), expected);
            self.answered.fetch_add(1, Ordering::Relaxed);
            start.elapsed()
        });
        let mut took: Vec<Duration> = futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        took.sort();
        let (count, median, slowest) = (took.len(), took[took.len() / 2], took[took.len() - 1]);
        eprintln!("{count} answered in {:?}: median {median:?}, slowest {slowest:?}", start.elapsed());
    }

    /// Asks so many requests, of which all but one in a hundred must go by the fastest path.
    async fn ask_by_fastest(&self, from: u32, to: u32) {
        let (before, count) = (self.sent(), u64::from(to - from));
        self.ask(from, to).await;
        let mut gone = HashMap::new();
        eventually("all are counted", || {
            gone = self.sent().into_iter().map(|(name, sent)| (name.clone(), sent - before[&name])).collect();
            gone.values().sum::<u64>() >= count
        })
        .await;
        eprintln!("requests by path: {gone:?}");
        assert!(gone[NAMES[0]] * 100 >= count * 99, "{gone:?}");
    }

    /// Asks so many requests, and breaks the fastest link when a third is answered.
    async fn ask_amid(&self, from: u32, to: u32, break_link: Break) {
        let broken = async {
            let third = self.answered.load(Ordering::Relaxed) + (to - from) / 3;
            eventually("a third is answered", || self.answered.load(Ordering::Relaxed) >= third).await;
            break_link(&self.network, &self.network.links[0]).unwrap();
            let start = Instant::now();
            eventually("it is left", || !self.is_best(NAMES[0])).await;
            let left = start.elapsed();
            eventually("the next fastest is taken", || self.is_best(NAMES[1])).await;
            eprintln!("left after {left:?}, the next fastest taken after {:?}", start.elapsed());
        };
        tokio::join!(self.ask(from, to), broken);
    }

    /// Each request so far has reached the application, once.
    async fn assert_each_delivered_once(&mut self, count: u32) {
        assert_eq!(self.institution.delivered().await, (0..count).map(|number| (number, 1)).collect());
    }

    fn show(&self, when: &str) {
        eprintln!("{when}, after {} switches:", self.switches());
        for report in self.bank.paths() {
            let PathReport { name, state, rtt_smoothed, rtt_variance, throughput_bytes_per_s: rate, .. } = &report;
            eprintln!(
                "  {name} ({state:?}): rtt {rtt_smoothed:?} ± {rtt_variance:?}, {rate:?} B/s, score {:?}, sent {}, failed {}, resent {}",
                report.score, report.sent, report.failed, report.resent
            );
        }
    }
}

/// A network, if it can be had here.
fn network() -> Option<Network> {
    match Network::new(&RATES) {
        Ok(network) => Some(network),
        Err(reason) => {
            let reason = format!("network namespaces are not available here: {reason}");
            assert!(env::var(DEMANDED).as_deref() != Ok("1"), "{DEMANDED} is 1, but {reason}");
            // Not by a macro, so that it is shown even if what tests print is not.
            let _ = writeln!(io::stderr(), "skipped: {reason}");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fastest_of_four_networks_is_used_and_its_failure_loses_nothing() {
    let Some(network) = network() else { return };
    let mut trade = Trade::over(network).await;
    let start = Instant::now();
    eventually("every link is measured", || trade.is_measured()).await;
    trade.settles().await;
    trade.show(&format!("warm after {:?}", start.elapsed()));
    trade.ask_by_fastest(0, 300).await;
    trade.assert_each_delivered_once(300).await;

    let mut asked = 300;
    let breaks: [(&str, Break); 2] = [("taken down", Network::take_down), ("silenced", Network::silence)];
    for (how, break_link) in breaks {
        trade.settles().await;
        let before = trade.switches();
        trade.ask_amid(asked, asked + 1000, break_link).await;
        asked += 1000;
        trade.assert_each_delivered_once(asked).await;
        trade.show(how);

        let start = Instant::now();
        trade.network.heal(&trade.network.links[0]).unwrap();
        eventually("the fastest is the best again", || trade.is_best(NAMES[0])).await;
        eprintln!("the best again after {:?}", start.elapsed());
        trade.settles().await;
        trade.ask_by_fastest(asked, asked + 300).await;
        asked += 300;
        trade.assert_each_delivered_once(asked).await;
        trade.show("healed");
        let switched = trade.switches() - before;
        assert!(switched <= SWITCHES_PER_FAILURE, "{switched} switches for one failure");
    }
}
