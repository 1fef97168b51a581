//! Each source, and the board that they share.

use std::path::Path;

use stemma_node_api::prices::PushedPrice;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// 2026-11-26T09:30:00Z.
const NOW: u64 = 1_795_685_400_000;

fn price(code: &str, text: &str, time_ms: u64) -> Quoted {
    Quoted { code: code.to_owned(), quote: Quote { text: text.to_owned(), time_ms } }
}

fn config(source: PriceSource) -> PricesConfig {
    PricesConfig { source, ..PricesConfig::default() }
}

fn pushed(stored: Vec<PriceRow>) -> Prices {
    Prices::open(&config(PriceSource::Push), stored, NOW).unwrap()
}

fn text_of(prices: &Prices, code: &str) -> Option<String> {
    prices.quote(code).map(|quote| quote.text)
}

#[test]
fn a_price_has_a_code_a_decimal_and_a_time() {
    let read = |symbol, price, time| Quoted::read(symbol, price, time).map_err(|e| chain(&e));
    assert_eq!(read("AAPL", "189.10", "2026-11-26T09:30:00Z"), Ok(price("AAPL", "189.10", NOW)));
    assert_eq!(read("BRK.B-1", "1", "2026-11-26T10:30:00+01:00"), Ok(price("BRK.B-1", "1", NOW)));
    let long = "1".repeat(33);
    for (symbol, price, time, said) in [
        ("aapl", "1", "2026-11-26T09:30:00Z", "the symbol \"aapl\" is no instrument's code"),
        ("A/B", "1", "2026-11-26T09:30:00Z", "the symbol \"A/B\""),
        ("", "1", "2026-11-26T09:30:00Z", "the symbol \"\""),
        ("AAPL", "0.00", "2026-11-26T09:30:00Z", "AAPL: the price \"0.00\" is no decimal above 0"),
        ("AAPL", "-1", "2026-11-26T09:30:00Z", "AAPL: the price \"-1\""),
        ("AAPL", "1e3", "2026-11-26T09:30:00Z", "AAPL: the price \"1e3\""),
        ("AAPL", &long, "2026-11-26T09:30:00Z", "AAPL: the price \"111"),
        ("AAPL", "1", "2026-11-26", "AAPL: the time cannot be read: expected a time from 1970 on with its offset"),
    ] {
        let e = read(symbol, price, time).unwrap_err();
        assert!(e.starts_with(said), "{e}");
    }
    let entry = |symbol: &str| PushedPrice {
        symbol: symbol.to_owned(),
        price: "1".to_owned(),
        time: "2026-11-26T09:30:00Z".to_owned(),
    };
    assert_eq!(read_all(&[entry("A"), entry("B")]).unwrap().len(), 2);
    assert_eq!(read_all(&[entry("A"), entry("A")]), Err(QuotedError::Twice { symbol: "A".to_owned() }));
    assert_eq!(read_all(&vec![entry("A"); 10_001]), Err(QuotedError::TooMany));
}

#[test]
fn pushed_prices_never_go_back_and_never_run_ahead() {
    let mut prices = pushed(Vec::new());
    let first = vec![price("AAPL", "189.10", NOW), price("IBM", "100", NOW)];
    prices.judge(&first, NOW).unwrap();
    prices.take(first);
    let refused = |prices: &Prices, pushed: &[Quoted]| chain(&prices.judge(pushed, NOW).unwrap_err());
    // One that may not be taken keeps the others out.
    assert_eq!(
        refused(&prices, &[price("IBM", "101", NOW + 1), price("AAPL", "188", NOW - 1_000)]),
        "no price was taken: AAPL: the price of 2026-11-26T09:29:59Z is older than the price known, of 2026-11-26T09:30:00Z"
    );
    assert_eq!(
        refused(&prices, &[price("AAPL", "188", NOW + 60_001)]),
        "no price was taken: AAPL: the price of 2026-11-26T09:31:00.001Z is more than 60 s ahead of this node's clock, at \
         2026-11-26T09:30:00Z"
    );
    prices.judge(&[price("AAPL", "188", NOW + 60_000)], NOW).unwrap();
    // Another price of the same time corrects the one before.
    prices.judge(&[price("AAPL", "189.20", NOW)], NOW).unwrap();
    prices.take(vec![price("AAPL", "189.20", NOW)]);
    assert_eq!(text_of(&prices, "AAPL").as_deref(), Some("189.20"));
    assert_eq!(text_of(&prices, "MSFT"), None);
    assert_eq!(prices.missing("MSFT"), "a price for MSFT");
    assert!(matches!(prices.set_day("2000-01-01", NOW), Err(ReplayError::NoReplay { .. })));
}

#[test]
fn a_price_is_stale_when_it_is_older_than_configured() {
    let mut prices = pushed(Vec::new());
    prices.take(vec![price("AAPL", "189.10", NOW)]);
    let quote = prices.quote("AAPL").unwrap();
    assert_eq!(prices.stale_after_ms(), Some(900_000));
    assert!(!prices.is_stale(&quote, NOW + 900_000));
    assert!(prices.is_stale(&quote, NOW + 900_001));
    // A clock that is behind makes no price stale.
    assert!(!prices.is_stale(&quote, NOW - 1));
}

#[test]
fn stored_prices_are_there_after_a_restart_where_they_were_pushed_or_fetched() {
    let row = PriceRow { code: "AAPL".to_owned(), text: "189.10".to_owned(), time_ms: NOW };
    for (source, is_there) in [(PriceSource::Push, true), (PriceSource::Http, true), (PriceSource::Replay, false)] {
        let prices = Prices::open(&config(source), vec![row.clone()], NOW).unwrap();
        assert_eq!(prices.quote("AAPL").is_some(), is_there, "{source}");
        assert_eq!(prices.are_stored(), is_there, "{source}");
    }
    assert_eq!(PriceRow::from(&quoted(row.clone())), row);
}

#[test]
fn of_an_update_only_what_is_new_and_not_older_is_taken() {
    let mut prices = Prices::open(&config(PriceSource::Http), Vec::new(), NOW).unwrap();
    let first = vec![price("AAPL", "189.10", NOW), price("IBM", "100", NOW)];
    let news = prices.news(Update::Part(first.clone()), NOW);
    assert_eq!(news, first);
    prices.take(news);
    let next = vec![
        price("AAPL", "1", NOW - 1),
        price("IBM", "100", NOW),
        price("MSFT", "30", NOW + 60_001),
        price("GOOG", "7", NOW),
    ];
    assert_eq!(prices.news(Update::Part(next), NOW), [price("GOOG", "7", NOW)]);
    assert_eq!(text_of(&prices, "AAPL").as_deref(), Some("189.10"));
    assert!(matches!(prices.judge(&[], NOW), Err(PushError::OtherSource { .. })));
    // What a whole list lacks is not quoted any more.
    let news = prices.news(Update::Whole(vec![price("AAPL", "190", NOW)]), NOW);
    prices.take(news);
    assert_eq!((text_of(&prices, "AAPL").as_deref(), text_of(&prices, "IBM")), (Some("190"), None));
}

#[test]
fn a_replay_is_of_the_time_at_which_its_day_was_set() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.csv");
    std::fs::write(&file, "date,symbol,close\n2000-01-01,AAPL,25.94\n2000-02-01,AAPL,28.66\n").unwrap();
    let replay = PricesConfig::replay(file.clone());
    let mut prices = Prices::open(&replay, Vec::new(), NOW).unwrap();
    assert_eq!((prices.day(), prices.quote("AAPL")), (None, None));
    assert_eq!(prices.missing("AAPL"), "a price for AAPL on the trading day none yet");
    prices.set_day("2000-02-01", NOW).unwrap();
    assert_eq!(prices.quote("AAPL"), Some(Quote { text: "28.66".to_owned(), time_ms: NOW }));
    assert_eq!(prices.missing("IBM"), "a price for IBM on the trading day 2000-02-01");
    assert_eq!(prices.stale_after_ms(), None);
    assert!(!prices.is_stale(&prices.quote("AAPL").unwrap(), u64::MAX));
    assert!(matches!(prices.set_day("1999-12-31", NOW), Err(ReplayError::NoSuchDay { .. })));
    // Its prices are not changed by what belongs to other sources.
    assert_eq!(prices.news(Update::Whole(vec![price("AAPL", "1", NOW)]), NOW), []);
    assert!(matches!(prices.judge(&[], NOW), Err(PushError::OtherSource { .. })));
    let configured = PricesConfig { stale_after_s: Some(10), ..replay };
    let mut prices = Prices::open(&configured, Vec::new(), NOW).unwrap();
    prices.set_day("2000-01-01", NOW).unwrap();
    assert!(prices.is_stale(&prices.quote("AAPL").unwrap(), NOW + 10_001));
    std::fs::write(&file, "date,symbol,close\n2000-01-01,AAPL,x\n").unwrap();
    let e = Prices::open(&configured, Vec::new(), NOW).unwrap_err();
    assert!(e.to_string().contains("line 2: close \"x\""), "{e}");
}

#[test]
fn a_bad_line_of_a_price_file_is_named() {
    let parse = |text: &str| csv::parse(text.as_bytes(), NOW).map_err(|e| chain(&e));
    let good = "symbol,price,time\nAAPL,189.10,2026-11-26T09:30:00Z\nIBM,100,2026-11-26T09:29:00Z\n";
    assert_eq!(parse(good), Ok(vec![price("AAPL", "189.10", NOW), price("IBM", "100", NOW - 60_000)]));
    // Other columns, and another order, do no harm.
    let wide = "time,venue,symbol,price\n2026-11-26T09:30:00Z,X,AAPL,189.10\n";
    assert_eq!(parse(wide), Ok(vec![price("AAPL", "189.10", NOW)]));
    for (line, said) in [
        ("MSFT,abc,2026-11-26T09:30:00Z", "line 4: MSFT: the price \"abc\""),
        ("MSFT,30,yesterday", "line 4: MSFT: the time cannot be read"),
        ("AAPL,30,2026-11-26T09:30:00Z", "line 4: AAPL: there are two prices"),
        ("MSFT,30,2026-11-26T09:31:01Z", "line 4: MSFT: the time 2026-11-26T09:31:01Z is more than 60 s ahead"),
        ("MSFT,30", "it is not CSV with the columns symbol, price, time: CSV error: record 3 (line: 4, byte: 80)"),
        ("MSFT,30,2026-11-26T09:3", "line 4: MSFT: the time cannot be read"),
    ] {
        let e = parse(&format!("{good}{line}\n")).unwrap_err();
        assert!(e.starts_with(said), "{e}");
    }
    assert!(parse("symbol,price\nAAPL,1\n").unwrap_err().contains("missing field `time`"));
    assert_eq!(parse("symbol,price,time\n"), Err("it has no prices".to_owned()));
    assert_eq!(parse(""), Err("it has no prices".to_owned()));
    let huge = good.repeat(90_000);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.csv");
    std::fs::write(&file, huge).unwrap();
    assert_eq!(csv::first(&file, NOW), []);
    assert_eq!(csv::first(Path::new("there is no such file"), NOW), []);
}

#[tokio::test]
async fn a_price_file_is_read_when_it_changes_and_a_bad_one_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.csv");
    let write = |text: &str| {
        let beside = folder.path().join("next");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &file).unwrap();
    };
    let (updates, mut found) = mpsc::channel(1);
    let following = tokio::spawn(csv::follow(file.clone(), Duration::from_millis(20), updates));
    write("symbol,price,time\nAAPL,189.10,2020-01-01T00:00:00Z\n");
    let Some(Update::Whole(first)) = found.recv().await else { panic!("a whole list") };
    assert_eq!(first[0].quote.text, "189.10");
    // Neither a bad file nor none at all nor the same again tells anything.
    write("symbol,price,time\nAAPL,x,2020-01-01T00:00:00Z\n");
    tokio::time::sleep(Duration::from_millis(500)).await;
    std::fs::remove_file(&file).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(found.try_recv().is_err());
    write("symbol,price,time\nIBM,7,2020-01-01T00:00:00Z\n");
    let Some(Update::Whole(next)) = found.recv().await else { panic!("a whole list") };
    assert_eq!((next.len(), next[0].code.as_str()), (1, "IBM"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(found.try_recv().is_err());
    following.abort();
}

#[test]
fn a_feed_is_json_with_prices_as_text() {
    let parse = |text: &str| http::parse(text.as_bytes()).map_err(|e| chain(&e));
    let good =
        r#"{"prices":[{"symbol":"AAPL","price":"189.10","time":"2026-11-26T09:30:00Z","venue":"X"}],"next":null}"#;
    assert_eq!(parse(good), Ok(vec![price("AAPL", "189.10", NOW)]));
    assert_eq!(parse(r#"{"prices":[]}"#), Ok(Vec::new()));
    for wrong in [
        "",
        "[]",
        "{}",
        "<html>",
        &good.replace("\"189.10\"", "189.10"),
        &good.replace("189.10", "0"),
        &good.replace("AAPL", "aapl"),
        &good.replace("Z\"", "\""),
    ] {
        parse(wrong).unwrap_err();
    }
}

#[test]
fn a_feed_that_fails_is_asked_less_often() {
    let seconds = |poll, failures| http::pause(Duration::from_secs(poll), failures).as_secs();
    assert_eq!([0, 1, 2, 3, 4, 5, u32::MAX].map(|failures| seconds(5, failures)), [5, 10, 20, 40, 60, 60, 60]);
    assert_eq!([0, 1, 2].map(|failures| seconds(600, failures)), [600, 600, 600]);
}

/// Answers every call with these bytes.
async fn serving(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prices?key=secret", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0_u8; 1024];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    url
}

async fn follow_once(answer: &[u8]) -> Option<Update> {
    let url = serving(answer.to_vec()).await;
    let (updates, mut found) = mpsc::channel(1);
    let feed = http::Feed::new(&url).unwrap();
    let following = tokio::spawn(feed.follow(Duration::from_secs(5), updates));
    let update = tokio::time::timeout(Duration::from_secs(1), found.recv()).await;
    following.abort();
    update.ok().flatten()
}

#[tokio::test]
async fn a_feed_is_fetched_and_its_failures_are_not_prices() {
    let body = r#"{"prices":[{"symbol":"AAPL","price":"189.10","time":"2026-11-26T09:30:00Z"}]}"#;
    let answer = |status: &str| format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}").into_bytes();
    assert_eq!(follow_once(&answer("200 OK")).await, Some(Update::Part(vec![price("AAPL", "189.10", NOW)])));
    let large = [answer("200 OK"), vec![b' '; 2 << 20]].concat();
    for wrong in [answer("500 Oh"), answer("302 Found\r\nlocation: /"), b"HTTP/1.1 200 OK\r\n\r\n{".to_vec(), large] {
        assert_eq!(follow_once(&wrong).await, None);
    }
}

#[test]
fn an_address_that_cannot_be_fetched_is_told_without_it() {
    let e = http::Feed::new("http://:key@/").map(|_| ()).unwrap_err();
    assert!(!chain(&e).contains("key"), "{}", chain(&e));
}
