//! Promise: a bank measures every address that an institution announces, sends each chain by the best, moves to the next
//! when that dies, and comes back; nothing is lost and nothing executed twice.

use std::net::SocketAddr;
use std::time::Duration;

use stemma_node_api::config::{NodeConfig, PathConfig};
use stemma_node_api::types::{PathView, RequestState, RequestView};
use stemma_tests::books::{must_balance, must_follow};
use stemma_tests::customer::Customer;
use stemma_tests::network::{AAPL, Network};
use stemma_tests::ports;
use stemma_tests::proxy::{Link, Proxy};
use stemma_tests::wait::until;

/// Trades while the best path is cut, and the accounts that make them.
const TRADES: usize = 1_000;
const ACCOUNTS: usize = 20;
/// How long a path may be silent: a process of a slow machine that stands still for a moment is no dead path.
const PATH_TIMEOUT_MS: u64 = 4_000;
/// So often customers trade while the bank should stay with one path, at most.
const ROUNDS_MAX: usize = 5;
/// Of so many messages one may go by another path than the best.
const ASTRAY_OF: u64 = 100;

fn slow(delay_ms: u64) -> Link {
    Link { delay: Duration::from_millis(delay_ms), ..Link::default() }
}

/// Four further addresses of broker-a, each through a link of the test's own: TCP, QUIC, WebSocket, and by the auditor.
struct Links {
    tcp: Proxy,
    quic: Proxy,
    web: Proxy,
    relay: Proxy,
    /// Between bank-a and broker-a, for everything else: slower than any path.
    main: Proxy,
    configs: Vec<PathConfig>,
    relay_listen: String,
}

impl Links {
    async fn new(main_port: u16) -> Self {
        let ports = ports::free(&["tcp", "quic", "web", "relay"]);
        let [tcp, quic, web, relay] = ["tcp", "quic", "web", "relay"].map(|name| ports[name].network);
        let target = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let links = Self {
            tcp: Proxy::tcp(target(tcp), slow(4)).await.unwrap(),
            quic: Proxy::udp(target(quic), slow(30)).await.unwrap(),
            web: Proxy::tcp(target(web), slow(75)).await.unwrap(),
            relay: Proxy::tcp(target(relay), slow(50)).await.unwrap(),
            main: Proxy::tcp(target(main_port), slow(100)).await.unwrap(),
            configs: Vec::new(),
            relay_listen: format!("/ip4/127.0.0.1/tcp/{relay}"),
        };
        let path = |name: &str, listen: String, announce: String| PathConfig {
            name: name.to_owned(),
            listen,
            announce: Some(announce),
            relay: None,
        };
        let at = |proxy: &Proxy| proxy.address().port();
        let by_relay =
            path("by-auditor", links.relay_listen.clone(), format!("/ip4/127.0.0.1/tcp/{}", at(&links.relay)));
        let configs = vec![
            path("fibre", format!("/ip4/127.0.0.1/tcp/{tcp}"), format!("/ip4/127.0.0.1/tcp/{}", at(&links.tcp))),
            path(
                "radio",
                format!("/ip4/127.0.0.1/udp/{quic}/quic-v1"),
                format!("/ip4/127.0.0.1/udp/{}/quic-v1", at(&links.quic)),
            ),
            path("web", format!("/ip4/127.0.0.1/tcp/{web}/ws"), format!("/ip4/127.0.0.1/tcp/{}/ws", at(&links.web))),
            PathConfig { relay: Some("auditor".to_owned()), ..by_relay },
        ];
        Self { configs, ..links }
    }

    fn main_address(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.main.address().port())
    }

    /// broker-a announces its addresses, the auditor relays, and bank-a reaches broker-a's main address only slowly.
    fn apply(&self, config: &mut NodeConfig) {
        match config.member.as_str() {
            "broker-a" => {
                config.network.path_timeout_ms = PATH_TIMEOUT_MS;
                config.network.paths.clone_from(&self.configs);
                config.network.announce = vec![self.main_address()];
                config
                    .network
                    .peers
                    .iter_mut()
                    .filter(|peer| peer.member == "bank-a")
                    .for_each(|p| p.addresses.clear());
            }
            "auditor" => {
                config.network.relay = true;
                config.network.paths = vec![PathConfig {
                    name: "relay".to_owned(),
                    listen: self.relay_listen.clone(),
                    announce: None,
                    relay: None,
                }];
            }
            "bank-a" => {
                config.network.path_timeout_ms = PATH_TIMEOUT_MS;
                let peers = config.network.peers.iter_mut();
                peers
                    .filter(|peer| peer.member == "broker-a")
                    .for_each(|peer| peer.addresses = vec![self.main_address()]);
                // An address of no certain machine is not announced: broker-a cannot connect past the slow link.
                let listen = config.network.listen.iter_mut();
                listen.for_each(|address| *address = address.replace("127.0.0.1", "0.0.0.0"));
            }
            _ => {}
        }
    }
}

async fn paths(network: &Network) -> Vec<PathView> {
    let page = network.client("bank-a").paths().await.unwrap();
    page.paths.into_iter().filter(|path| path.member == "broker-a").collect()
}

async fn until_best(network: &Network, name: &str) -> Vec<PathView> {
    until(&format!("{name} the best path"), async || {
        let paths = paths(network).await;
        paths.iter().any(|path| path.best && path.name == name).then_some(paths)
    })
    .await
}

fn sent(paths: &[PathView], name: &str) -> u64 {
    paths.iter().filter(|path| path.name == name).map(|path| path.sent).sum()
}

fn switches(paths: &[PathView]) -> u64 {
    paths.iter().map(|path| path.switches).sum()
}

/// Each customer gives so many orders, one after the other; all customers at once.
async fn trade(customers: &[Customer], orders: usize) -> Vec<(Customer, Vec<RequestView>)> {
    let each = customers.iter().cloned().map(|mut customer| {
        tokio::spawn(async move {
            let mut views = Vec::with_capacity(orders);
            for _ in 0..orders {
                let order = customer.buy(AAPL, 1);
                views.push(customer.finish(&order).await);
            }
            (customer, views)
        })
    });
    let tasks: Vec<_> = each.collect();
    let mut done = Vec::with_capacity(tasks.len());
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
}

/// Customers trade, all that they have so far with them, until the bank went by one path meanwhile: what it sent went by that.
/// Returns the paths as they are then.
async fn by_the_best(network: &Network, traded: &mut [(Customer, Vec<RequestView>)]) -> Vec<PathView> {
    for _ in 0..ROUNDS_MAX {
        let before = until_best(network, "fibre").await;
        let customers: Vec<Customer> = traded.iter().map(|(customer, _)| customer.clone()).collect();
        for ((customer, views), (after, more)) in traded.iter_mut().zip(trade(&customers, 5).await) {
            *customer = after;
            views.extend(more);
        }
        let after = paths(network).await;
        if switches(&after) > switches(&before) {
            continue;
        }
        let by_best = sent(&after, "fibre") - sent(&before, "fibre");
        let all = |paths: &[PathView]| paths.iter().map(|path| path.sent).sum::<u64>();
        let by_all = all(&after) - all(&before);
        assert!((by_all - by_best) * ASTRAY_OF <= by_all, "{by_best} of {by_all} by the best: {after:?}");
        return after;
    }
    panic!("the best path changed in each of {ROUNDS_MAX} rounds");
}

/// Waits until traffic goes by the radio, and the fibre is known to be dead.
async fn until_left(network: &Network) {
    until("radio the best path, and fibre a dead one", async || {
        let paths = paths(network).await;
        let is_left = paths.iter().any(|path| path.best && path.name == "radio");
        let is_dead = paths.iter().any(|path| path.name == "fibre" && path.state != "up");
        (is_left && is_dead).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_path_carries_chains_and_another_when_it_dies() {
    let main = ports::free(&["main"])["main"].network;
    let links = Links::new(main).await;
    let network = Network::start_with(|config| {
        if config.member == "broker-a" {
            config.network.listen = vec![format!("/ip4/127.0.0.1/tcp/{main}")];
        } else {
            let peers = config.network.peers.iter_mut();
            let address = format!("/ip4/127.0.0.1/tcp/{main}");
            peers.filter(|peer| peer.member == "broker-a").for_each(|peer| peer.addresses = vec![address.clone()]);
        }
        links.apply(config);
    })
    .await;
    let warm = until("every path up and measured", async || {
        let paths = paths(&network).await;
        let ready = paths.iter().filter(|path| path.state == "up" && path.score_us.is_some()).count();
        (ready == 5).then_some(paths)
    })
    .await;
    let transports: Vec<&str> = warm.iter().map(|path| path.transport.as_str()).collect();
    for transport in ["tcp", "quic", "websocket", "relay"] {
        assert!(transports.contains(&transport), "{warm:?}");
    }
    let mut warmed = Vec::new();
    for _ in 0..ACCOUNTS {
        warmed.push((network.open_customer("bank-a").await, Vec::new()));
    }
    let after = by_the_best(&network, &mut warmed).await;

    // Cut amid a thousand trades.
    let traders: Vec<Customer> = warmed.iter().map(|(customer, _)| customer.clone()).collect();
    let cutting = async {
        until("the load under way", async || {
            let now = sent(&paths(&network).await, "fibre");
            (now > sent(&after, "fibre") + 20).then_some(())
        })
        .await;
        links.tcp.cut();
        until_left(&network).await;
    };
    let (traded, ()) = tokio::join!(trade(&traders, TRADES / ACCOUNTS), cutting);
    let radio = "stemma_path_best{member=\"broker-a\",path=\"radio\",transport=\"quic\"} 1";
    until("radio the best path by the metrics", async || {
        network.client("bank-a").metrics().await.ok().filter(|metrics| metrics.contains(radio))
    })
    .await;

    for ((customer, views), (_, first)) in traded.iter().zip(&warmed) {
        assert!(views.iter().all(|view| view.state == RequestState::Committed), "{views:?}");
        must_follow(customer, &[first.clone(), views.clone()].concat()).await;
    }
    links.tcp.heal();
    let healed = until_best(&network, "fibre").await;
    assert!(switches(&healed) - switches(&after) <= 6, "it flaps: {healed:?}");
    network.agreed().await;
    must_balance(network.client("auditor")).await;
}
