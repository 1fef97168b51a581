//! Promise: an institution trades at prices from a file, a feed or its operator, never at one that is too old, and no source
//! stops it or brings an older price in.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::{Value, json};
use stemma_node_api::config::{NodeConfig, PriceSource, PricesConfig};
use stemma_node_api::prices::{PricePage, PriceView, PushPrices, PushedPrice};
use stemma_node_api::types::{MoveDay, RequestState, RequestView};
use stemma_node_api::{Client, ClientError, ErrorCode, moment, routes};
use stemma_tests::binaries::binaries;
use stemma_tests::customer::Customer;
use stemma_tests::network::{AAPL, IBM, Network};
use stemma_tests::wait::until;
use stemma_tools::requests::now_ms;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How old a price may be in these tests, in seconds.
const STALE_AFTER_S: u64 = 40;

/// Gives broker-a another source; broker-b goes on with the replay.
fn source(config: &mut NodeConfig, prices: &PricesConfig) {
    if config.member == "broker-a" {
        config.institution.prices = prices.clone();
    }
}

fn price(symbol: &str, price: &str, time_ms: u64) -> PushedPrice {
    PushedPrice { symbol: symbol.to_owned(), price: price.to_owned(), time: moment::show(time_ms) }
}

async fn push(client: &Client, prices: Vec<PushedPrice>) -> Result<PricePage, ClientError> {
    client.push_prices(&PushPrices { prices }).await
}

/// What a refused call says.
fn said(result: Result<PricePage, ClientError>) -> (ErrorCode, String) {
    match result {
        Err(ClientError::Refused { source, .. }) => (source.error.code, source.error.message),
        other => panic!("a refused call: {other:?}"),
    }
}

async fn quoted(client: &Client, symbol: &str) -> Option<PriceView> {
    client.prices().await.unwrap().prices.into_iter().find(|view| view.symbol == symbol)
}

/// Waits until a symbol has this price.
async fn until_quoted(client: &Client, symbol: &str, price: &str) -> PriceView {
    let what = format!("{symbol} at {price}");
    until(&what, async || quoted(client, symbol).await.filter(|view| view.price == price)).await
}

async fn buys(customer: &mut Customer, instrument: &str) -> RequestView {
    let order = customer.buy(instrument, 1);
    customer.finish(&order).await
}

/// Buys one share, which must cost so many smallest units, the fee not counted.
async fn buys_at(customer: &mut Customer, cost: i128) {
    let cash = format!("{}/USD", customer.bank);
    let units = async |customer: &Customer| customer.view().await.total[&cash].parse::<i128>().unwrap();
    let before = units(customer).await;
    let view = buys(customer, AAPL).await;
    assert_eq!(view.state, RequestState::Committed, "{view:?}");
    // The fee is a thousandth, rounded up.
    assert_eq!(before - units(customer).await, cost + (cost + 999) / 1_000);
}

async fn is_refused(customer: &mut Customer, reason: &str) -> (String, String) {
    let view = buys(customer, AAPL).await;
    assert_eq!(view.state, RequestState::Refused, "{view:?}");
    let refusal = view.refusal.unwrap();
    assert_eq!((refusal.reason.as_str(), refusal.member.as_str()), (reason, "broker-a"), "{refusal:?}");
    (refusal.expected, refusal.found)
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_prices_are_traded_at_until_they_are_stale_and_survive_a_kill() {
    let prices =
        PricesConfig { source: PriceSource::Push, stale_after_s: Some(STALE_AFTER_S), ..PricesConfig::default() };
    let mut network = Network::start_with(|config| source(config, &prices)).await;
    let client = network.client("broker-a").clone();
    let mut alice = network.customer("alice");

    let (expected, found) = is_refused(&mut alice, "no-price").await;
    assert_eq!((expected.as_str(), found.as_str()), ("a price for AAPL", "none"));
    let now = now_ms();
    let page = push(&client, vec![price("AAPL", "189.10", now), price("MSFT", "30", now)]).await.unwrap();
    let view = |symbol: &str, text: &str| PriceView {
        symbol: symbol.to_owned(),
        price: text.to_owned(),
        time: moment::show(now),
        stale: false,
    };
    let expected = [view("AAPL", "189.10"), view("MSFT", "30")];
    assert_eq!((page.source.as_str(), page.stale_after_ms), ("push", Some(STALE_AFTER_S * 1_000)));
    assert_eq!(page.prices, expected);
    buys_at(&mut alice, 18_910).await;

    wrong_pushes_change_nothing(&network, now).await;

    // What was acknowledged is there after a power cut, the next moment.
    let last = now_ms();
    push(&client, vec![price("AAPL", "190.00", last)]).await.unwrap();
    network.process_mut("broker-a").kill();
    network.process_mut("broker-a").run();
    network.connected().await;
    let kept = quoted(&client, "AAPL").await.unwrap();
    assert_eq!((kept.price.as_str(), kept.time.as_str()), ("190.00", moment::show(last).as_str()));
    let (code, message) = said(push(&client, vec![price("AAPL", "1", last - 1)]).await);
    assert_eq!(code, ErrorCode::Conflict, "{message}");

    until("a stale price", async || quoted(&client, "AAPL").await.filter(|view| view.stale)).await;
    let (expected, found) = is_refused(&mut alice, "stale-price").await;
    assert_eq!(expected, format!("a price for AAPL that is at most {STALE_AFTER_S} s old"));
    assert!(found.starts_with(&format!("190.00 of {}, at ", moment::show(last))), "{found}");
    // The other institution's replay is of any age.
    assert_eq!(buys(&mut alice, IBM).await.state, RequestState::Committed);
    let page = tool(&network, &["set-price", "AAPL=191.00"]);
    assert_eq!((page["source"].as_str(), page["prices"][0]["stale"].as_bool()), (Some("push"), Some(false)));
    buys_at(&mut alice, 19_100).await;
    assert_eq!(tool(&network, &["prices"])["prices"][0]["price"], "191.00");
}

/// Runs `stemma node …` as broker-a's operator.
fn tool(network: &Network, arguments: &[&str]) -> Value {
    let mut command = Command::new(&binaries().tool);
    command.arg("node").args(arguments).arg("--json");
    command.env("STEMMA_NODE", network.client("broker-a").url());
    command.env("STEMMA_OPERATOR_TOKEN_FILE", network.home("broker-a").join("operator.token"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn wrong_pushes_change_nothing(network: &Network, known: u64) {
    let client = network.client("broker-a");
    let before = client.prices().await.unwrap();
    let (code, message) =
        said(push(client, vec![price("MSFT", "31", now_ms()), price("AAPL", "1", known - 1_000)]).await);
    assert_eq!(code, ErrorCode::Conflict);
    let (older, newer) = (moment::show(known - 1_000), moment::show(known));
    assert!(
        message.contains(&format!("AAPL: the price of {older} is older than the price known, of {newer}")),
        "{message}"
    );
    let ahead = now_ms() + 90_000;
    let (code, message) = said(push(client, vec![price("AAPL", "1", ahead)]).await);
    assert_eq!(code, ErrorCode::Conflict);
    assert!(
        message.contains(&format!("AAPL: the price of {} is more than 60 s ahead", moment::show(ahead))),
        "{message}"
    );
    for wrong in [
        price("AAPL", "1,5", known),
        price("aapl", "1", known),
        PushedPrice { time: "now".to_owned(), ..price("AAPL", "1", known) },
    ] {
        assert_eq!(said(push(client, vec![wrong]).await).0, ErrorCode::Malformed);
    }
    // Without the token, at another source, at another role, and a day where there are none.
    let anyone = Client::new(client.url()).unwrap();
    assert_eq!(said(push(&anyone, vec![price("AAPL", "1", now_ms())]).await).0, ErrorCode::Unauthorized);
    let replay = network.client("broker-b");
    assert_eq!(said(push(replay, vec![price("IBM", "1", now_ms())]).await).0, ErrorCode::Conflict);
    assert_eq!(said(push(network.client("bank-a"), Vec::new()).await).0, ErrorCode::WrongRole);
    let page = replay.prices().await.unwrap();
    assert_eq!((page.source.as_str(), page.stale_after_ms, page.prices.len()), ("replay", None, 2));
    let moved = client.move_day(&MoveDay { day: "2000-02-01".to_owned() }).await.unwrap_err();
    assert_eq!(moved.status().unwrap().as_u16(), 409);
    // A number is no price: it would have been rounded on its way.
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let token = std::fs::read_to_string(network.home("broker-a").join("operator.token")).unwrap();
    let number = json!({ "prices": [{ "symbol": "AAPL", "price": 1.5, "time": moment::show(now_ms()) }] });
    let call = http.request(Method::PUT, format!("{}{}", client.url(), routes::PRICES)).bearer_auth(token.trim());
    assert_eq!(call.json(&number).send().await.unwrap().status().as_u16(), 400);
    assert_eq!(client.market().await.unwrap().prices["AAPL"], "189.10");
    assert_eq!(client.prices().await.unwrap(), before);
}

/// What the feed does with the next calls.
#[derive(Clone, Debug)]
enum Mood {
    Serve(String),
    Fail,
    Garble,
    Flood,
    Hang,
}

/// A price feed on loopback, with a mind of its own.
struct Feed {
    address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    calls: Arc<Mutex<u64>>,
}

impl Feed {
    async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mood, calls) = (Arc::new(Mutex::new(mood)), Arc::new(Mutex::new(0)));
        let (shown, counted) = (Arc::clone(&mood), Arc::clone(&calls));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Under one lock, as in `turn`: what is counted after a change is answered in the new mood.
                let mood = {
                    let mood = shown.lock().unwrap();
                    *counted.lock().unwrap() += 1;
                    mood.clone()
                };
                tokio::spawn(answer(stream, mood));
            }
        });
        Self { address, mood, calls }
    }

    /// Changes what it does, and waits until it has done so to a call.
    async fn turn(&self, mood: Mood) {
        let before = {
            let mut shown = self.mood.lock().unwrap();
            *shown = mood;
            *self.calls.lock().unwrap()
        };
        until("a call of the feed", async || (*self.calls.lock().unwrap() > before).then_some(())).await;
    }
}

async fn answer(mut stream: TcpStream, mood: Mood) {
    let mut asked = [0_u8; 2048];
    let _ = stream.read(&mut asked).await;
    let (status, body) = match mood {
        Mood::Serve(body) => ("200 OK", body),
        Mood::Fail => ("503 Not now", String::new()),
        Mood::Garble => ("200 OK", "<html>under maintenance</html>".to_owned()),
        Mood::Flood => ("200 OK", " ".repeat(3 << 20)),
        Mood::Hang => {
            // Held open, and never answered.
            tokio::time::sleep(std::time::Duration::from_secs(3_600)).await;
            return;
        }
    };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn feed_of(prices: &[PushedPrice]) -> Mood {
    Mood::Serve(json!({ "prices": prices }).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_may_serve_fail_hang_and_go_back_in_time() {
    let first = now_ms();
    let feed = Feed::start(feed_of(&[price("AAPL", "100.00", first)])).await;
    let prices = PricesConfig {
        source: PriceSource::Http,
        url: Some(format!("http://{}/prices?key=secret", feed.address)),
        poll_s: 1,
        ..PricesConfig::default()
    };
    let mut network = Network::start_with(|config| source(config, &prices)).await;
    let client = network.client("broker-a").clone();
    let mut alice = network.customer("alice");
    until_quoted(&client, "AAPL", "100.00").await;
    buys_at(&mut alice, 10_000).await;

    for mood in [Mood::Fail, Mood::Garble, Mood::Flood] {
        feed.turn(mood).await;
    }
    // The price stands, the node trades at it and answers as ever.
    buys_at(&mut alice, 10_000).await;
    // Back in time, and far ahead: neither is taken; what comes beside them is.
    let odd =
        [price("AAPL", "1.00", first - 1_000), price("MSFT", "2.00", now_ms() + 600_000), price("IBM", "3.00", first)];
    feed.turn(feed_of(&odd)).await;
    until_quoted(&client, "IBM", "3.00").await;
    assert_eq!(quoted(&client, "AAPL").await.unwrap().price, "100.00");
    assert_eq!(quoted(&client, "MSFT").await, None);
    feed.turn(Mood::Hang).await;
    buys_at(&mut alice, 10_000).await;
    feed.turn(feed_of(&[price("AAPL", "101.00", first + 1)])).await;
    until_quoted(&client, "AAPL", "101.00").await;
    buys_at(&mut alice, 10_100).await;

    // Killed while the feed is away, it knows what it knew.
    *feed.mood.lock().unwrap() = Mood::Fail;
    network.process_mut("broker-a").kill();
    network.process_mut("broker-a").run();
    network.connected().await;
    assert_eq!(quoted(&client, "AAPL").await.unwrap().price, "101.00");
    let log = network.process("broker-a").log();
    for word in
        ["HTTP status 503", "not JSON of this form", "larger than 1048576 bytes", "cannot be reached", "is older than"]
    {
        assert!(log.contains(word), "the log lacks {word:?}");
    }
    assert!(!log.contains("secret"), "the log shows the feed's address");
}

/// Replaces a file as a whole.
fn replace(file: &Path, text: &str) {
    let beside = file.with_extension("next");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_file_is_replaced_while_the_node_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.csv");
    let time = moment::show(now_ms());
    replace(&file, &format!("symbol,price,time\nAAPL,50.00,{time}\nMSFT,30,{time}\n"));
    let prices =
        PricesConfig { source: PriceSource::Csv, file: Some(file.clone()), poll_s: 1, ..PricesConfig::default() };
    let network = Network::start_with(|config| source(config, &prices)).await;
    let client = network.client("broker-a");
    let mut alice = network.customer("alice");
    buys_at(&mut alice, 5_000).await;

    // A bad file changes nothing, and its line is named.
    replace(&file, &format!("symbol,price,time\nAAPL,51.00,{time}\nMSFT,thirty,{time}\n"));
    let log = || network.process("broker-a").log();
    until("the bad line in the log", async || log().contains("line 3: MSFT: the price \"thirty\"").then_some(())).await;
    buys_at(&mut alice, 5_000).await;

    replace(&file, &format!("symbol,price,time\nAAPL,52.00,{}\n", moment::show(now_ms())));
    until_quoted(client, "AAPL", "52.00").await;
    assert_eq!(quoted(client, "MSFT").await, None);
    buys_at(&mut alice, 5_200).await;
    // An hour ago: older than what is known.
    replace(&file, &format!("symbol,price,time\nAAPL,1.00,{}\nGOOG,7,{time}\n", moment::show(now_ms() - 3_600_000)));
    until_quoted(client, "GOOG", "7").await;
    assert_eq!(quoted(client, "AAPL").await.unwrap().price, "52.00");
    buys_at(&mut alice, 5_200).await;
}
