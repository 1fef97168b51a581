//! The network between members, on real sockets of the loopback interface.

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

use std::{
    collections::BTreeSet,
    net::TcpListener,
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;
use stemma_net::{
    Multiaddr, NetConfig, NetError, NetEvent, NetHandle, PeerConfig, PeerId, Protocol, Recipient, ReplyError,
    RequestError, SendError, Topic,
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use zeroize::Zeroizing;

const PATIENCE: Duration = Duration::from_secs(30);
const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

struct Node {
    net: NetHandle,
    events: mpsc::Receiver<NetEvent>,
}

impl Node {
    async fn start(config: NetConfig) -> Self {
        let (net, events) = stemma_net::start(config).await.unwrap();
        Self { net, events }
    }

    fn id(&self) -> PeerId {
        self.net.local_peer_id()
    }

    async fn event(&mut self) -> NetEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("no event").expect("stopped")
    }

    /// Skips events until one fits.
    async fn until<T>(&mut self, mut fits: impl FnMut(NetEvent) -> Option<T>) -> T {
        loop {
            if let Some(found) = fits(self.event().await) {
                return found;
            }
        }
    }

    async fn connected_to(&mut self, count: usize) {
        while self.net.connected().len() < count {
            self.event().await;
        }
    }

    async fn gone(&mut self, peer: PeerId) {
        self.until(|event| match event {
            NetEvent::Disconnected { peer: gone } if gone == peer => Some(()),
            _ => None,
        })
        .await;
    }

    async fn gossip(&mut self) -> Vec<u8> {
        self.until(|event| match event {
            NetEvent::Gossip { data, .. } => Some(data),
            _ => None,
        })
        .await
    }

    /// Answers requests in the background: with as many bytes as the first eight say, or, shorter
    /// requests, with themselves.
    fn serve(mut self) -> (NetHandle, JoinHandle<()>) {
        let net = self.net.clone();
        let serve = async move {
            while let Some(event) = self.events.recv().await {
                if let NetEvent::Request { data, reply, .. } = event {
                    let answer = match data.first_chunk::<8>() {
                        Some(length) => vec![9; usize::from_be_bytes(*length)],
                        None => data,
                    };
                    let _ = reply.send(answer);
                }
            }
        };
        (net, tokio::spawn(serve))
    }
}

fn public_key(seed: u8) -> [u8; 32] {
    SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes()
}

fn peer(seed: u8, addresses: Vec<Multiaddr>) -> PeerConfig {
    PeerConfig { public_key: public_key(seed), addresses }
}

fn config(seed: u8, listen: &[&str], peers: Vec<PeerConfig>) -> NetConfig {
    let mut config = NetConfig::new(Zeroizing::new([seed; 32]), [7; 32]);
    config.listen = listen.iter().map(|address| address.parse().unwrap()).collect();
    config.peers = peers;
    config
}

/// Nodes with the seeds 1 to `count`, each of which dials each, all connected.
async fn mesh(count: u8, listen: &[&str], adjust: impl Fn(&mut NetConfig)) -> Vec<Node> {
    let mut nodes = Vec::new();
    for seed in 1..=count {
        let mut config = config(seed, listen, Vec::new());
        adjust(&mut config);
        nodes.push(Node::start(config).await);
    }
    let peers: Vec<PeerConfig> =
        (1..=count).zip(&nodes).map(|(seed, node)| peer(seed, node.net.listen_addresses())).collect();
    for node in &nodes {
        node.net.set_peers(&peers).await.unwrap();
    }
    for node in &mut nodes {
        node.connected_to(usize::from(count) - 1).await;
    }
    nodes
}

/// Waits until something becomes true that no event reports.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn asks_for(length: usize) -> Vec<u8> {
    length.to_be_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_from_one_of_four_reaches_the_others_exactly_once() {
    let mut nodes = mesh(4, &[TCP], |_| {}).await;
    let mut sent: Vec<Vec<u8>> = (0..200_u32).map(|n| n.to_be_bytes().repeat(256)).collect();
    // Several of the longest in a row: gossipsub's own limit would end the stream at the second.
    sent.extend((0..6).map(|n| vec![n; 1 << 20]));
    for data in &sent {
        nodes[0].net.publish(Topic::Entries, data.clone()).await.unwrap();
    }
    nodes[0].net.publish(Topic::Entries, sent[0].clone()).await.unwrap();
    nodes[0].net.publish(Topic::Heads, sent[0].clone()).await.unwrap();
    let over = nodes[0].net.publish(Topic::Entries, vec![0; (1 << 20) + 1]).await;
    assert_eq!(over, Err(SendError::TooLarge { size: (1 << 20) + 1, limit: 1 << 20 }));

    let ids: Vec<PeerId> = nodes.iter().map(Node::id).collect();
    let (first, others) = nodes.split_first_mut().unwrap();
    for node in others.iter_mut() {
        let mut seen = BTreeSet::new();
        while seen.len() < sent.len() + 1 {
            let (topic, data) = node
                .until(|event| match event {
                    NetEvent::Gossip { from, topic, data } => {
                        assert!(ids.contains(&from));
                        Some((topic, data))
                    }
                    _ => None,
                })
                .await;
            assert!(sent.contains(&data));
            assert!(seen.insert((topic, data)), "delivered twice");
        }
    }
    // What a neighbour says afterwards is the next thing heard: there were no late duplicates.
    others[0].net.publish(Topic::Heads, b"fence".to_vec()).await.unwrap();
    for node in [first].into_iter().chain(others.iter_mut().skip(1)) {
        assert_eq!(node.gossip().await, b"fence");
    }
    assert_eq!(nodes[3].net.stats().gossip_dropped_in, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_is_passed_on_where_a_link_is_missing() {
    let mut middle = Node::start(config(2, &[TCP], vec![peer(1, vec![]), peer(3, vec![])])).await;
    let at = middle.net.listen_addresses();
    let mut left = Node::start(config(1, &[], vec![peer(2, at.clone())])).await;
    let mut right = Node::start(config(3, &[], vec![peer(2, at)])).await;
    left.connected_to(1).await;
    right.connected_to(1).await;
    middle.connected_to(2).await;
    left.net.publish(Topic::Entries, b"far".to_vec()).await.unwrap();
    let from = right
        .until(|event| match event {
            NetEvent::Gossip { from, data, .. } => {
                assert_eq!(data, b"far");
                Some(from)
            }
            _ => None,
        })
        .await;
    assert_eq!(from, middle.id());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_protocol_carries_requests_and_answers_up_to_its_limits() {
    let mut nodes = mesh(2, &[TCP], |_| {}).await;
    let server_id = nodes[1].id();
    let (server, _task) = nodes.pop().unwrap().serve();
    let client = nodes.pop().unwrap();
    for protocol in Protocol::ALL {
        for length in [0, 7] {
            let answer = client.net.request(server_id, protocol, vec![3; length]).await.unwrap();
            assert_eq!(answer, vec![3; length]);
        }
        let limit = protocol.answer_bytes_max();
        let answer = client.net.request(server_id, protocol, asks_for(limit)).await.unwrap();
        assert_eq!(answer.len(), limit);
        let over = client.net.request(server_id, protocol, asks_for(limit + 1)).await;
        assert!(matches!(over, Err(RequestError::NoAnswer)), "{over:?}");

        let mut longest = vec![0; protocol.request_bytes_max()];
        let answer = client.net.request(server_id, protocol, longest.clone()).await.unwrap();
        assert_eq!(answer.len(), 0);
        longest.push(0);
        let over = client.net.request(server_id, protocol, longest).await;
        assert!(matches!(over, Err(RequestError::TooLarge { .. })), "{over:?}");
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_requests_than_the_window_are_all_answered() {
    let mut nodes = mesh(2, &[TCP], |_| {}).await;
    let server_id = nodes[1].id();
    let (_server, _task) = nodes.pop().unwrap().serve();
    let client = nodes.pop().unwrap();
    let requests = (0..200).map(|n: u8| client.net.request(server_id, Protocol::Trade, vec![n]));
    for (n, answer) in (0..).zip(futures::future::join_all(requests).await) {
        assert_eq!(answer.unwrap(), vec![n]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_cannot_be_answered_fail() {
    let quick = |config: &mut NetConfig| config.timeouts.trade = Duration::from_millis(300);
    let mut nodes = mesh(2, &[TCP], quick).await;
    let (mut silent, mut client) = (nodes.pop().unwrap(), nodes.pop().unwrap());
    let id = silent.id();

    let stranger = stemma_net::peer_id(&public_key(99)).unwrap();
    let unknown = client.net.request(stranger, Protocol::Sync, Vec::new()).await;
    assert!(matches!(unknown, Err(RequestError::NotConnected)), "{unknown:?}");

    let late = client.net.request(id, Protocol::Trade, Vec::new()).await;
    assert!(matches!(late, Err(RequestError::Timeout)), "{late:?}");

    // Dropping the means to answer is an answer.
    let net = client.net.clone();
    let refused = tokio::spawn(async move { net.request(id, Protocol::Sync, Vec::new()).await });
    let take = |event| match event {
        NetEvent::Request { protocol: Protocol::Sync, reply, .. } => Some(reply),
        _ => None,
    };
    drop(silent.until(take).await);
    let refused = refused.await.unwrap();
    assert!(matches!(refused, Err(RequestError::NoAnswer)), "{refused:?}");

    // The peer goes while it is asked.
    let net = client.net.clone();
    let cut = tokio::spawn(async move { net.request(id, Protocol::Sync, Vec::new()).await });
    let reply = silent.until(take).await;
    silent.net.shutdown().await;
    assert_eq!(reply.send(Vec::new()), Err(ReplyError::Stopped));
    let cut = cut.await.unwrap();
    assert!(cut.is_err(), "{cut:?}");
    client.gone(id).await;
    let dead = client.net.request(id, Protocol::Sync, Vec::new()).await;
    assert!(matches!(dead, Err(RequestError::NotConnected)), "{dead:?}");

    client.net.shutdown().await;
    let stopped = client.net.request(id, Protocol::Sync, Vec::new()).await;
    assert!(matches!(stopped, Err(RequestError::Stopped)), "{stopped:?}");
    assert_eq!(client.net.send(Recipient::All, Vec::new()), Err(SendError::Stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_refused() {
    for listen in [TCP, QUIC] {
        let mut member = Node::start(config(1, &[listen], vec![peer(2, vec![])])).await;
        let at = member.net.listen_addresses();
        let mut stranger = Node::start(config(66, &[], vec![peer(1, at)])).await;
        eventually("three refusals", || member.net.stats().strangers_refused >= 3).await;
        let asked = stranger.net.request(member.id(), Protocol::Fetch, Vec::new()).await;
        assert!(matches!(asked, Err(RequestError::NotConnected)), "{asked:?}");
        stranger.net.publish(Topic::Heads, b"hello".to_vec()).await.unwrap();
        stranger.net.send(Recipient::All, b"vote".to_vec()).unwrap();
        eventually("nobody hears", || stranger.net.stats().gossip_unheard == 1).await;
        assert!(member.net.connected().is_empty() && stranger.net.connected().is_empty());
        assert!(member.events.try_recv().is_err() && stranger.events.try_recv().is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_network_exchanges_nothing() {
    for listen in [TCP, QUIC] {
        let mut ours = Node::start(config(1, &[listen], vec![peer(2, vec![])])).await;
        let at = ours.net.listen_addresses();
        let mut foreign = config(2, &[], vec![peer(1, at)]);
        foreign.network_id = [8; 32];
        let mut foreign = Node::start(foreign).await;
        eventually("two refusals", || {
            let stats = ours.net.stats();
            stats.handshakes_failed + stats.foreign_refused >= 2
        })
        .await;
        let asked = foreign.net.request(ours.id(), Protocol::Fetch, Vec::new()).await;
        assert!(matches!(asked, Err(RequestError::NotConnected)), "{asked:?}");
        foreign.net.publish(Topic::Heads, b"hello".to_vec()).await.unwrap();
        eventually("nobody hears", || foreign.net.stats().gossip_unheard == 1).await;
        assert!(ours.net.connected().is_empty() && foreign.net.connected().is_empty());
        assert!(ours.events.try_recv().is_err() && foreign.events.try_recv().is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_node_is_connected_again() {
    for listen in [TCP, QUIC] {
        let mut nodes = mesh(2, &[listen], |_| {}).await;
        let (mut restarted, mut stays) = (nodes.pop().unwrap(), nodes.pop().unwrap());
        let id = restarted.id();
        let at = restarted.net.listen_addresses();
        for round in 0..3_u8 {
            restarted.net.shutdown().await;
            stays.gone(id).await;
            // Without addresses of its own: it must be dialled.
            let again = config(2, &[&at[0].to_string()], vec![peer(1, vec![])]);
            let start = Instant::now();
            restarted = loop {
                match stemma_net::start(again.clone()).await {
                    Ok((net, events)) => break Node { net, events },
                    // The system may hold the port for a moment.
                    Err(NetError::Listen { .. }) if start.elapsed() < PATIENCE => {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Err(error) => panic!("{error:?}"),
                }
            };
            stays.connected_to(1).await;
            restarted.connected_to(1).await;
            stays.net.publish(Topic::Heads, vec![round; 9]).await.unwrap();
            assert_eq!(restarted.gossip().await, [round; 9]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_alone_and_quic_alone_both_work() {
    for (listen, part) in [(TCP, "/tcp/"), (QUIC, "/quic-v1")] {
        let mut server = Node::start(config(1, &[listen], vec![peer(2, vec![])])).await;
        let at = server.net.listen_addresses();
        let mut client = Node::start(config(2, &[], vec![peer(1, at)])).await;
        let NetEvent::Connected { peer, address } = client.event().await else { panic!() };
        assert_eq!(peer, server.id());
        assert!(address.to_string().contains(part), "{address}");
        server.connected_to(1).await;
        server.net.publish(Topic::Entries, vec![1; 1 << 20]).await.unwrap();
        assert_eq!(client.gossip().await, vec![1; 1 << 20]);
        let (server, _task) = server.serve();
        let answer = client.net.request(server.local_peer_id(), Protocol::Sync, asks_for(16 << 20)).await;
        assert_eq!(answer.unwrap().len(), 16 << 20);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_does_not_answer_is_passed_over() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dead: Multiaddr = format!("/ip4/127.0.0.1/tcp/{unused}").parse().unwrap();
    let server = Node::start(config(1, &[QUIC], vec![peer(2, vec![])])).await;
    let at = vec![dead, server.net.listen_addresses()[0].clone()];
    let mut client = Node::start(config(2, &[], vec![peer(1, at)])).await;
    client.connected_to(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_dial_each_other_at_once_stay_connected() {
    // Without a shortest wait neither side lets the other go first.
    let at_once = |config: &mut NetConfig| config.timeouts.redial_min = Duration::ZERO;
    let mut nodes = mesh(4, &[TCP, QUIC], at_once).await;
    let ids: Vec<PeerId> = nodes.iter().map(Node::id).collect();
    let last = nodes.pop().unwrap();
    let mut tasks = Vec::new();
    for mut node in nodes {
        tasks.push(tokio::spawn(async move {
            while let Some(event) = node.events.recv().await {
                match event {
                    NetEvent::Request { data, reply, .. } => reply.send(data).unwrap(),
                    NetEvent::Disconnected { .. } => return Err(node),
                    NetEvent::Gossip { .. } => return Ok(node),
                    _ => {}
                }
            }
            Err(node)
        }));
    }
    for n in 0..100_u8 {
        for id in &ids[..3] {
            let answer = last.net.request(*id, Protocol::Trade, vec![n]).await.unwrap();
            assert_eq!(answer, [n]);
        }
    }
    last.net.publish(Topic::Heads, b"done".to_vec()).await.unwrap();
    // All are kept until the last has heard: one that ends is lost to those that have not.
    let ended = futures::future::join_all(tasks).await;
    assert!(ended.iter().all(|ended| ended.as_ref().unwrap().is_ok()), "a connection was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consensus_messages_reach_all_during_a_bulk_transfer() {
    const VOTES: usize = 100;
    for listen in [TCP, QUIC] {
        let mut nodes = mesh(4, &[listen], |_| {}).await;
        let first = nodes.remove(0);
        let ids: Vec<PeerId> = nodes.iter().map(Node::id).collect();
        let heard = Arc::new(AtomicUsize::new(0));
        // Kept: a network without a handle stops.
        let mut others = Vec::new();
        for Node { net, mut events } in nodes {
            others.push(net);
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                let mut seen = BTreeSet::new();
                while let Some(event) = events.recv().await {
                    match event {
                        NetEvent::Request { reply, .. } => reply.send(vec![5; 16 << 20]).unwrap(),
                        NetEvent::Consensus { data, .. } => {
                            assert!(seen.insert(data), "delivered twice");
                            heard.fetch_add(1, Ordering::Relaxed);
                        }
                        _ => {}
                    }
                }
            });
        }
        let stop = Arc::new(AtomicBool::new(false));
        let bulk_bytes = Arc::new(AtomicUsize::new(0));
        let mut bulk = Vec::new();
        for id in ids.iter().cycle().take(6).copied() {
            let (net, stop, bytes) = (first.net.clone(), Arc::clone(&stop), Arc::clone(&bulk_bytes));
            bulk.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = net.request(id, Protocol::Sync, Vec::new()).await.unwrap();
                    bytes.fetch_add(answer.len(), Ordering::Relaxed);
                }
            }));
        }
        eventually("bulk flows", || bulk_bytes.load(Ordering::Relaxed) > 0).await;
        let start = Instant::now();
        let mut slowest = Duration::ZERO;
        for n in 0..VOTES {
            let vote_start = Instant::now();
            first.net.send(Recipient::All, n.to_be_bytes().to_vec()).unwrap();
            eventually("a vote arrives", || heard.load(Ordering::Relaxed) == 3 * (n + 1)).await;
            slowest = slowest.max(vote_start.elapsed());
        }
        let elapsed = start.elapsed();
        stop.store(true, Ordering::Relaxed);
        futures::future::join_all(bulk).await;
        let mib = bulk_bytes.load(Ordering::Relaxed) >> 20;
        eprintln!("{listen}: {VOTES} votes to 3 in {elapsed:?}, slowest {slowest:?}; bulk {mib} MiB");
        assert_eq!(first.net.stats().consensus_lost_out, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_consensus_messages_and_a_large_one_arrive() {
    let mut nodes = mesh(3, &[TCP], |_| {}).await;
    for n in 0..500_u16 {
        nodes[0].net.send(Recipient::All, n.to_be_bytes().to_vec()).unwrap();
    }
    nodes[0].net.send(nodes[1].id(), vec![6; 4 << 20]).unwrap();
    assert!(nodes[0].net.send(Recipient::All, vec![6; (4 << 20) + 1]).is_err());
    for (node, expected) in [(1, 501), (2, 500)] {
        let mut seen = BTreeSet::new();
        while seen.len() < expected {
            if let NetEvent::Consensus { data, .. } = nodes[node].event().await {
                assert!(seen.insert(data));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_receiver_loses_gossip_only_and_blocks_nobody() {
    let small = |config: &mut NetConfig| {
        config.limits.event_channel_max = 2;
        config.limits.gossip_inbox_bytes_max = 64 << 10;
    };
    let mut nodes = mesh(2, &[TCP], small).await;
    let (mut slow, fast) = (nodes.pop().unwrap(), nodes.pop().unwrap());
    let id = slow.id();
    for n in 0..100_u32 {
        fast.net.publish(Topic::Entries, n.to_be_bytes().repeat(1024)).await.unwrap();
    }
    eventually("gossip is dropped", || slow.net.stats().gossip_dropped_in > 0).await;
    fast.net.send(id, b"vote".to_vec()).unwrap();
    let net = fast.net.clone();
    let asked = tokio::spawn(async move { net.request(id, Protocol::Sync, vec![4]).await });
    // The slow node itself can still ask and publish although it does not look at its events.
    let (fast, _task) = fast.serve();
    for n in 0..50_u8 {
        slow.net.publish(Topic::Heads, vec![n; 5]).await.unwrap();
        let answer = slow.net.request(fast.local_peer_id(), Protocol::Trade, vec![n]).await;
        assert_eq!(answer.unwrap(), [n]);
    }
    // What is urgent overtakes the gossip that waits outside the channel of two.
    let mut gossip_before_vote = 0;
    while !matches!(slow.event().await, NetEvent::Consensus { .. }) {
        gossip_before_vote += 1;
    }
    assert!(gossip_before_vote <= 4, "{gossip_before_vote}");
    let take = |event| match event {
        NetEvent::Request { data, reply, .. } => Some((data, reply)),
        _ => None,
    };
    let (data, reply) = slow.until(take).await;
    reply.send(data).unwrap();
    assert_eq!(asked.await.unwrap().unwrap(), [4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_peer_is_disconnected_and_refused() {
    let mut nodes = mesh(2, &[TCP], |_| {}).await;
    let (mut left, mut kept) = (nodes.pop().unwrap(), nodes.pop().unwrap());
    let id = left.id();
    kept.net.set_peers(&[]).await.unwrap();
    kept.gone(id).await;
    left.gone(kept.id()).await;
    eventually("a refusal", || kept.net.stats().strangers_refused > 0).await;
    assert!(kept.net.connected().is_empty());
    kept.net.set_peers(&[peer(2, left.net.listen_addresses())]).await.unwrap();
    kept.connected_to(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_address_is_named() {
    let taken = Node::start(config(1, &[TCP, QUIC], Vec::new())).await;
    for address in taken.net.listen_addresses() {
        let error = stemma_net::start(config(2, &[&address.to_string()], Vec::new())).await.unwrap_err();
        assert!(matches!(&error, NetError::Listen { address: named, .. } if *named == address));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_network_stops_with_its_last_handle_or_receiver() {
    let mut nodes = mesh(3, &[TCP], |_| {}).await;
    let (mut a, b, mut c) = (nodes.remove(0), nodes.remove(0), nodes.remove(0));
    let (b_id, c_id) = (b.id(), c.id());
    let Node { net, events } = b;
    drop(events);
    a.gone(b_id).await;
    net.shutdown().await;
    drop(c.net);
    while c.events.recv().await.is_some() {}
    a.gone(c_id).await;
}
