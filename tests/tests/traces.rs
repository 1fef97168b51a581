//! Promise: one trade is one trace, whose spans come from every member that had to do with it; nothing is told unless it is
//! configured, and the log can be read by machines.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stemma_node_api::config::LogFormat;
use stemma_node_api::types::RequestState;
use stemma_tests::collector::{Collector, SpanSeen};
use stemma_tests::network::{AAPL, MEMBERS, Network};
use stemma_tests::wait::until;

#[tokio::test(flavor = "multi_thread")]
async fn one_trade_is_one_trace_over_all_members() {
    let collector = Collector::start().await;
    let url = collector.url().to_owned();
    let network = Network::start_with(|config| {
        config.telemetry.otlp = Some(url.clone());
        config.log.format = LogFormat::Json;
    })
    .await;
    let mut customer = network.customer("alice");
    customer.go_on_after(customer.view().await.counter);
    let order = customer.buy(AAPL, 1);
    let view = customer.finish(&order).await;
    assert_eq!(view.state, RequestState::Committed);
    let trace = view.request[..32].to_owned();
    let wanted: [(&str, &[&str]); 5] = [
        ("bank-a", &["trade", "intake", "identity", "endorse", "queue", "send", "settle", "propose", "commit"]),
        ("broker-a", &["verify", "execute", "sign", "commit"]),
        ("bank-b", &["commit"]),
        ("broker-b", &["commit"]),
        ("auditor", &["commit"]),
    ];
    let of_trade = || collector.spans().into_iter().filter(|span| span.trace == trace).collect::<Vec<SpanSeen>>();
    let spans = until("all spans of the trade", async || {
        let spans = of_trade();
        let mut names: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        spans.iter().for_each(|span| {
            names.entry(span.member.as_str()).or_default().insert(span.name.as_str());
        });
        let has = |(member, expected): &(&str, &[&str])| {
            names.get(member).is_some_and(|found| expected.iter().all(|name| found.contains(name)))
        };
        wanted.iter().all(has).then(|| spans.clone())
    })
    .await;
    let roots: Vec<&SpanSeen> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    assert_eq!(roots.len(), 1, "{roots:?}");
    assert_eq!((roots[0].name.as_str(), roots[0].id.as_str()), ("trade", &view.request[32..48]));
    for span in &spans {
        assert!(span.parent.is_empty() || span.parent == roots[0].id, "{span:?}");
        assert!(span.times.0 > 0 && span.times.0 <= span.times.1, "{span:?}");
    }
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "two spans have one id");

    for member in MEMBERS {
        let log = network.process(member).log();
        for line in log.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{member}: {e}: {line}"));
            assert!(line["level"].is_string() && line["timestamp"].is_string(), "{line}");
        }
        assert!(log.contains("\"message\":\"started\""), "{log}");
    }
}
