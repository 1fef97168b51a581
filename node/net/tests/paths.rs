//! Trades by several paths between members, on real sockets of the loopback interface, through
//! links that are slow, cut and healed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stderr,
    missing_docs,
    reason = "tests may panic and print"
)]

#[path = "../../../tests/src/proxy.rs"]
#[allow(dead_code, reason = "not every test needs every means")]
mod proxy;
#[path = "paths/upkeep.rs"]
mod upkeep;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;
use proxy::{Link, Proxy};
use stemma_net::{
    Multiaddr, NetConfig, NetError, NetEvent, NetHandle, PathAddress, PathError, PathReport, PathState, PeerConfig,
    PeerId, Protocol, RequestError, SendError, Topic, Transport,
};
use tokio::{sync::mpsc, time::timeout};
use zeroize::Zeroizing;

const PATIENCE: Duration = Duration::from_secs(60);
const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
const WEBSOCKET: &str = "/ip4/127.0.0.1/tcp/0/ws";

const BANK: u8 = 1;
const INSTITUTION: u8 = 2;
const RELAY: u8 = 3;
const STRANGER: u8 = 66;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn peer(seed: u8, addresses: Vec<Multiaddr>) -> PeerConfig {
    PeerConfig { public_key: SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes(), addresses }
}

fn id(seed: u8) -> PeerId {
    stemma_net::peer_id(&peer(seed, vec![]).public_key).unwrap()
}

fn config(seed: u8, listen: &[&str], path_listen: &[&str], peers: Vec<PeerConfig>) -> NetConfig {
    let parse = |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
    let mut config = NetConfig::new(Zeroizing::new([seed; 32]), [7; 32]);
    config.listen = parse(listen);
    config.path_listen = parse(path_listen);
    config.peers = peers;
    config.timeouts.path_probe = ms(250);
    config.timeouts.path_bulk = Duration::from_secs(3);
    config
}

fn socket(address: &Multiaddr) -> SocketAddr {
    let text = address.to_string();
    let parts: Vec<&str> = text.split('/').collect();
    format!("{}:{}", parts[2], parts[4]).parse().unwrap()
}

/// The same address with the link's port instead.
fn by(link: &Proxy, address: &Multiaddr) -> Multiaddr {
    let text = address.to_string();
    let port = format!("/{}", socket(address).port());
    text.replacen(&port, &format!("/{}", link.address().port()), 1).parse().unwrap()
}

fn circuit(relay: &Multiaddr) -> Multiaddr {
    format!("{relay}/p2p/{}/p2p-circuit", id(RELAY)).parse().unwrap()
}

fn path(name: &str, address: Multiaddr) -> PathAddress {
    PathAddress { name: name.into(), address }
}

/// Waits until something becomes true that no event reports.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(ms(5)).await;
    }
}

type Seen = Arc<Mutex<HashMap<Vec<u8>, u32>>>;

/// Counts each request to this node, and answers it with itself after a while.
fn serve(net: &NetHandle, mut events: mpsc::Receiver<NetEvent>, work: Duration) -> Seen {
    let seen = Seen::default();
    let (counted, net) = (Arc::clone(&seen), net.clone());
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if let NetEvent::Request { data, reply, .. } = event {
                *counted.lock().unwrap().entry(data.clone()).or_default() += 1;
                tokio::spawn(async move {
                    tokio::time::sleep(work).await;
                    let _ = reply.send(data);
                });
            }
        }
        drop(net);
    });
    seen
}

/// Events that nobody waits for.
fn ignore(mut events: mpsc::Receiver<NetEvent>) {
    tokio::spawn(async move { while events.recv().await.is_some() {} });
}

fn reports(net: &NetHandle, of: PeerId) -> Vec<PathReport> {
    net.paths().into_iter().filter(|report| report.peer == of).collect()
}

fn report(net: &NetHandle, of: PeerId, name: &str) -> Option<PathReport> {
    reports(net, of).into_iter().find(|report| report.name == name)
}

fn best(net: &NetHandle, of: PeerId) -> String {
    reports(net, of).into_iter().find(|report| report.best).map(|report| report.name).unwrap_or_default()
}

fn switches(net: &NetHandle, of: PeerId) -> u64 {
    reports(net, of).iter().map(|report| report.switches).sum()
}

/// Prints what is known, for the record.
fn show(net: &NetHandle, of: PeerId) {
    for report in reports(net, of) {
        let PathReport { name, transport, state, rtt_smoothed, rtt_variance, throughput_bytes_per_s, .. } = &report;
        let measured = format!("rtt {rtt_smoothed:?} ± {rtt_variance:?}, {throughput_bytes_per_s:?} B/s");
        eprintln!(
            "{name} ({transport:?}, {state:?}): {measured}, score {:?}, sent {}, failed {}, resent {}, switches {}",
            report.score, report.sent, report.failed, report.resent, report.switches
        );
    }
}

async fn is_up(net: &NetHandle, of: PeerId, names: &[&str]) {
    eventually(&format!("{names:?} are up"), || {
        names.iter().all(|name| {
            report(net, of, name).is_some_and(|report| report.state == PathState::Up && report.rtt_smoothed.is_some())
        })
    })
    .await;
}

/// A bank and an institution with four paths and a main connection between them, each over a link
/// of its own.
struct Four {
    bank: NetHandle,
    institution: NetHandle,
    seen: Seen,
    main: Proxy,
    tcp: Proxy,
    quic: Proxy,
    websocket: Proxy,
    /// Between the bank and the relay.
    relayed: Proxy,
    _relay: NetHandle,
}

/// How slow each link is: main, TCP, QUIC, WebSocket, relay, in milliseconds each way.
async fn four(delays: [u64; 5], work: Duration) -> Four {
    let link = |delay: u64| Link { delay: ms(delay), bytes_per_s: Some(4 << 20), ..Link::default() };
    let mut relay = config(RELAY, &[TCP], &[TCP], vec![peer(BANK, vec![]), peer(INSTITUTION, vec![])]);
    relay.relay = true;
    let (relay, relay_events) = stemma_net::start(relay).await.unwrap();
    ignore(relay_events);
    let (relay_main, relay_path) = (relay.listen_addresses(), relay.path_listen_addresses()[0].clone());

    let reserved = circuit(&relay_path).to_string();
    let members = vec![peer(BANK, vec![]), peer(RELAY, relay_main.clone())];
    let institution = config(INSTITUTION, &[TCP], &[TCP, QUIC, WEBSOCKET, &reserved], members);
    let (institution, events) = stemma_net::start(institution).await.unwrap();
    let seen = serve(&institution, events, work);
    let at = institution.path_listen_addresses();

    let main_at = institution.listen_addresses()[0].clone();
    let main = Proxy::tcp(socket(&main_at), link(delays[0])).await.unwrap();
    let tcp = Proxy::tcp(socket(&at[0]), link(delays[1])).await.unwrap();
    let quic = Proxy::udp(socket(&at[1]), link(delays[2])).await.unwrap();
    let websocket = Proxy::tcp(socket(&at[2]), link(delays[3])).await.unwrap();
    let relayed = Proxy::tcp(socket(&relay_path), link(delays[4])).await.unwrap();

    let members = vec![peer(INSTITUTION, vec![by(&main, &main_at)]), peer(RELAY, relay_main)];
    let (bank, events) = stemma_net::start(config(BANK, &[], &[], members)).await.unwrap();
    ignore(events);
    let paths = vec![
        path("tcp", by(&tcp, &at[0])),
        path("quic", by(&quic, &at[1])),
        path("ws", by(&websocket, &at[2])),
        path("relay", circuit(&by(&relayed, &relay_path))),
    ];
    bank.set_paths(institution.local_peer_id(), paths).await.unwrap();
    is_up(&bank, institution.local_peer_id(), &["main", "tcp", "quic", "ws", "relay"]).await;
    Four { bank, institution, seen, main, tcp, quic, websocket, relayed, _relay: relay }
}

impl Four {
    fn id(&self) -> PeerId {
        self.institution.local_peer_id()
    }

    /// Asks requests `from..to` and returns how long each took; `at_once` are under way together.
    async fn ask(&self, from: u32, to: u32, at_once: usize, length: usize) -> Vec<Duration> {
        use futures::StreamExt;
        let id = self.id();
        let asked = (from..to).map(|n| async move {
            let start = Instant::now();
            let mut data = n.to_be_bytes().to_vec();
            data.resize(length.max(4), 5);
            let answer = self.bank.request(id, Protocol::Trade, data.clone()).await;
            assert_eq!(answer.expect("every request is answered"), data);
            start.elapsed()
        });
        futures::stream::iter(asked).buffer_unordered(at_once).collect().await
    }

    fn sent(&self) -> HashMap<String, u64> {
        reports(&self.bank, self.id()).into_iter().map(|report| (report.name, report.sent)).collect()
    }

    fn assert_each_delivered_once(&self, count: usize) {
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), count);
        assert!(seen.values().all(|times| *times == 1), "a request reached the application twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_on_the_best_of_four_paths() {
    // Main, TCP, QUIC, WebSocket, relay.
    let net = four([60, 40, 5, 25, 80], Duration::ZERO).await;
    eventually("QUIC is the best", || best(&net.bank, net.id()) == "quic").await;
    let before = net.sent();
    net.ask(0, 1000, 16, 1024).await;
    let mut gone = HashMap::new();
    eventually("all are counted", || {
        gone = net.sent().into_iter().map(|(name, sent)| (name.clone(), sent - before[&name])).collect();
        gone.values().sum::<u64>() >= 1000
    })
    .await;
    show(&net.bank, net.id());
    assert!(gone["quic"] >= 990, "{gone:?}");
    net.assert_each_delivered_once(1000);
    let transports: Vec<Transport> =
        ["main", "tcp", "quic", "ws", "relay"].map(|name| report(&net.bank, net.id(), name).unwrap().transport).into();
    let expected = [Transport::Tcp, Transport::Tcp, Transport::Quic, Transport::WebSocket, Transport::Relay];
    assert_eq!(transports, expected);
    // The order of round trips is the order of the links.
    let rtt = |name: &str| report(&net.bank, net.id(), name).unwrap().rtt_min.unwrap();
    assert!(
        rtt("quic") < rtt("ws") && rtt("ws") < rtt("tcp") && rtt("tcp") < rtt("main") && rtt("main") < rtt("relay")
    );
    for (name, delay) in [("quic", 5), ("ws", 25), ("tcp", 40), ("main", 60), ("relay", 80)] {
        assert!(rtt(name) >= ms(2 * delay), "{name}: {:?}", rtt(name));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_path_is_left_within_the_time_out_and_taken_again() {
    let net = four([60, 5, 30, 40, 80], ms(20)).await;
    eventually("TCP is the best", || best(&net.bank, net.id()) == "tcp").await;
    let switches_before = switches(&net.bank, net.id());
    let (first, cut) = tokio::join!(net.ask(0, 1000, 32, 1024), async {
        eventually("a third is done", || net.seen.lock().unwrap().len() > 333).await;
        net.tcp.cut();
        let cut = Instant::now();
        eventually("another is taken", || best(&net.bank, net.id()) != "tcp").await;
        cut.elapsed()
    });
    let slowest = first.iter().max().unwrap();
    eprintln!("left after {cut:?}; the slowest of 1000 took {slowest:?}");
    show(&net.bank, net.id());
    net.assert_each_delivered_once(1000);
    assert_eq!(best(&net.bank, net.id()), "quic");
    // The time-out, a round trip of the next path and the work; as much again for a busy machine.
    let most = NetConfig::new(Zeroizing::new([0; 32]), [0; 32]).timeouts.path + ms(60) + ms(20);
    assert!(*slowest <= most * 2, "{slowest:?}");
    let resent = report(&net.bank, net.id(), "tcp").unwrap().resent;
    assert!((1..=64).contains(&resent), "{resent} were sent again");

    net.tcp.heal();
    eventually("TCP is the best again", || best(&net.bank, net.id()) == "tcp").await;
    net.ask(1000, 1500, 32, 1024).await;
    net.assert_each_delivered_once(1500);
    let switched = switches(&net.bank, net.id()) - switches_before;
    show(&net.bank, net.id());
    assert!(switched <= 3, "{switched} switches for one failure");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_can_carry_alone_the_main_one_included() {
    let net = four([10, 10, 10, 10, 10], Duration::ZERO).await;
    let links =
        [("main", &net.main), ("tcp", &net.tcp), ("quic", &net.quic), ("ws", &net.websocket), ("relay", &net.relayed)];
    for (number, (alone, _)) in (0..).zip(&links) {
        for (name, link) in &links {
            if name == alone { link.heal() } else { link.cut() }
        }
        eventually(&format!("only {alone} is left"), || {
            reports(&net.bank, net.id()).iter().all(|report| (report.state == PathState::Up) == (report.name == *alone))
                && best(&net.bank, net.id()) == *alone
        })
        .await;
        net.ask(number * 100, number * 100 + 100, 8, 2048).await;
        eprintln!("{alone} carried alone");
    }
    assert_eq!(net.seen.lock().unwrap().len(), 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_path_is_left_at_once_and_dialled_again() {
    let net = four([60, 5, 30, 40, 80], ms(20)).await;
    eventually("TCP is the best", || best(&net.bank, net.id()) == "tcp").await;
    let (took, ()) = tokio::join!(net.ask(0, 400, 32, 1024), async {
        eventually("some are done", || net.seen.lock().unwrap().len() > 100).await;
        net.tcp.reset();
    });
    let slowest = took.iter().max().unwrap();
    eprintln!("the slowest took {slowest:?}");
    net.assert_each_delivered_once(400);
    eventually("TCP is counted as failed", || report(&net.bank, net.id(), "tcp").unwrap().failed == 1).await;
    eventually("TCP is the best again", || best(&net.bank, net.id()) == "tcp").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrow_path_is_told_from_a_wide_one() {
    let (institution, events) =
        stemma_net::start(config(INSTITUTION, &[TCP], &[TCP, TCP], vec![peer(BANK, vec![])])).await.unwrap();
    let _seen = serve(&institution, events, Duration::ZERO);
    let at = institution.path_listen_addresses();
    let link = |delay, rate| Link { delay: ms(delay), bytes_per_s: Some(rate), ..Link::default() };
    // Nearer, but a typical chain of 4 KiB takes 40 ms more.
    let narrow = Proxy::tcp(socket(&at[0]), link(5, 100_000)).await.unwrap();
    let wide = Proxy::tcp(socket(&at[1]), link(12, 10_000_000)).await.unwrap();
    let main_at = &institution.listen_addresses()[0];
    let main = Proxy::tcp(socket(main_at), link(200, 10_000_000)).await.unwrap();
    let members = vec![peer(INSTITUTION, vec![by(&main, main_at)])];
    let (bank, events) = stemma_net::start(config(BANK, &[], &[], members)).await.unwrap();
    ignore(events);
    let id = institution.local_peer_id();
    bank.set_paths(id, vec![path("narrow", by(&narrow, &at[0])), path("wide", by(&wide, &at[1]))]).await.unwrap();
    eventually("the wide one is the best", || best(&bank, id) == "wide").await;
    eventually("the narrow one is measured", || {
        let rate = report(&bank, id, "narrow").and_then(|report| report.throughput_bytes_per_s);
        rate.is_some_and(|rate| (50_000..200_000).contains(&rate))
    })
    .await;
    show(&bank, id);
    // Measuring costs little: a hundredth on average, of which a train may fall into these seconds.
    let (before, start) = (narrow.bytes(), Instant::now());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let rate = (narrow.bytes() - before) as f64 / start.elapsed().as_secs_f64();
    eprintln!("measuring costs {rate:.0} B/s on the narrow path");
    assert!(rate < 30_000.0, "{rate}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_requests_survive_a_cut() {
    let net = four([60, 5, 30, 40, 80], Duration::ZERO).await;
    eventually("TCP is the best", || best(&net.bank, net.id()) == "tcp").await;
    let (took, ()) = tokio::join!(net.ask(0, 40, 4, 256 << 10), async {
        eventually("some are done", || net.seen.lock().unwrap().len() > 10).await;
        net.tcp.cut();
    });
    eprintln!("the slowest of 40 of 256 KiB took {:?}", took.iter().max().unwrap());
    show(&net.bank, net.id());
    net.assert_each_delivered_once(40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_again_while_it_is_worked_on_is_delivered_once() {
    let net = four([60, 5, 30, 40, 80], Duration::from_secs(3)).await;
    eventually("TCP is the best", || best(&net.bank, net.id()) == "tcp").await;
    let (took, ()) = tokio::join!(net.ask(0, 20, 20, 1024), async {
        eventually("all are with the application", || net.seen.lock().unwrap().len() == 20).await;
        net.tcp.cut();
    });
    // Answered by the path that they came by last, although the first one heals only later.
    assert!(took.iter().all(|took| *took < Duration::from_secs(5)), "{took:?}");
    eventually("all were sent again", || report(&net.bank, net.id(), "tcp").unwrap().resent == 20).await;
    net.tcp.heal();
    eventually("TCP is up", || report(&net.bank, net.id(), "tcp").unwrap().state == PathState::Up).await;
    net.assert_each_delivered_once(20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_loses_datagrams_loses_no_requests() {
    let net = four([60, 60, 5, 60, 60], Duration::ZERO).await;
    eventually("QUIC is the best", || best(&net.bank, net.id()) == "quic").await;
    net.quic.set(Link { delay: ms(5), loss_permille: 30, ..Link::default() });
    net.ask(0, 500, 16, 1024).await;
    net.assert_each_delivered_once(500);
    eventually("the lossy path is reported", || report(&net.bank, net.id(), "quic").unwrap().sent > 0).await;
    show(&net.bank, net.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_answer_is_not_a_dead_path() {
    let net = four([60, 5, 30, 40, 80], Duration::from_secs(3)).await;
    eventually("TCP is the best", || best(&net.bank, net.id()) == "tcp").await;
    net.ask(0, 50, 50, 1024).await;
    net.assert_each_delivered_once(50);
    let tcp = report(&net.bank, net.id(), "tcp").unwrap();
    assert_eq!((tcp.failed, tcp.resent), (0, 0), "{tcp:?}");
}
