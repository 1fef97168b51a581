//! Promise: every call of the API is answered as documented, a wrong one with a typed error, and a request counts once.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use stemma_chain_format::amount::Amount;
use stemma_chain_format::request::{Side, Size};
use stemma_node_api::types::{RequestState, RequestView, SubmitRequest};
use stemma_node_api::{ApiError, ErrorCode, routes};
use stemma_tests::books::must_follow;
use stemma_tests::customer::{Customer, trade_of};
use stemma_tests::network::{AAPL, Network};
use stemma_tools::requests::verify_refusal;

/// An id that nothing has.
const NOTHING: &str = "00000000000000000000000000000000000000000000000000000000000000ff";
/// How long a call waits for a final state.
const WAIT_MS: u64 = 30_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_as_documented() {
    let network = Network::start().await;
    // A connection for each call: after a body that is too large the node closes it.
    let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let caller = Caller { network: &network, http };
    operators_calls_need_the_token(&caller).await;
    what_is_malformed_is_said_to_be(&caller).await;
    what_is_not_there_is_not_found(&caller).await;
    calls_to_the_wrong_role_are_told_so(&caller).await;
    the_document_describes_every_route(&caller).await;
    other_evidence_is_refused(&network).await;
    a_request_counts_once(&network).await;
}

struct Caller<'n> {
    network: &'n Network,
    http: reqwest::Client,
}

impl Caller<'_> {
    fn call(&self, method: Method, member: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.network.client(member).url()))
    }

    /// Makes a call that must fail: with a body that is a typed error of this kind, and its status.
    async fn must_fail(&self, call: reqwest::RequestBuilder, code: ErrorCode) {
        let answer = call.send().await.unwrap();
        let (url, status) = (answer.url().clone(), answer.status().as_u16());
        let text = answer.text().await.unwrap();
        let error: ApiError = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{url} answered {status} without a typed error: {error}: {text:?}"));
        assert_eq!(error.error.code, code, "{url}: {text}");
        assert_eq!(status, code.http_status(), "{url}: {text}");
        assert!(!error.error.message.is_empty(), "{url}: {text}");
    }

    /// The operator's token, as it stands in its file.
    fn token(&self, member: &str) -> String {
        std::fs::read_to_string(self.network.home(member).join("operator.token")).unwrap().trim().to_owned()
    }
}

async fn operators_calls_need_the_token(caller: &Caller<'_>) {
    let calls = [
        (Method::POST, "bank-a", routes::ACCOUNTS, json!({ "key": NOTHING })),
        (Method::POST, "bank-a", routes::ISSUANCES, json!({ "code": "USD", "credits": {} })),
        (
            Method::POST,
            "bank-a",
            routes::LISTINGS,
            json!({ "code": "X", "kind": "currency", "decimals": 2, "name": "X" }),
        ),
        (Method::PUT, "broker-a", routes::MARKET, json!({ "day": "2000-02-01" })),
    ];
    let before = caller.network.client("broker-a").market().await.unwrap();
    for (method, member, path, body) in calls {
        let call = || caller.call(method.clone(), member, path).json(&body);
        caller.must_fail(call(), ErrorCode::Unauthorized).await;
        caller.must_fail(call().bearer_auth("0".repeat(64)), ErrorCode::Unauthorized).await;
        caller.must_fail(call().bearer_auth(&caller.token(member)[1..]), ErrorCode::Unauthorized).await;
        caller.must_fail(call().basic_auth("operator", Some(caller.token(member))), ErrorCode::Unauthorized).await;
    }
    assert_eq!(caller.network.client("broker-a").market().await.unwrap(), before);
}

async fn what_is_malformed_is_said_to_be(caller: &Caller<'_>) {
    let requests = || caller.call(Method::POST, "bank-a", routes::REQUESTS);
    let json = |text: &'static str| requests().header("content-type", "application/json").body(text);
    let evidence = json!([{ "kind": "account-key", "salt": NOTHING, "value": "" }]);
    let with = |request: &str| requests().json(&json!({ "request": request, "evidence": evidence }));
    let malformed = [
        json("{"),
        json("[]"),
        json("{}"),
        requests().body("{}"),
        with("not base64!"),
        with("AAAA"),
        with(""),
        requests().json(&json!({ "request": "AAAA", "evidence": evidence, "more": 1 })),
        requests().json(&json!({ "request": "AAAA", "evidence": [{ "kind": "x", "salt": "00", "value": "" }] })),
        requests().json(&json!({ "request": "AAAA", "evidence": [{ "kind": "x", "salt": NOTHING, "value": "*" }] })),
        caller.call(Method::GET, "bank-a", "/v1/accounts/xyz"),
        caller.call(Method::GET, "bank-a", "/v1/accounts?after=xyz"),
        caller.call(Method::GET, "bank-a", &format!("/v1/accounts/{NOTHING}/bundle?claim=everything")),
        caller.call(Method::GET, "bank-a", "/v1/blocks/xyz"),
        caller.call(Method::GET, "bank-a", "/v1/blocks/-1"),
        caller.call(Method::GET, "bank-a", "/v1/chains/00"),
        caller.call(Method::GET, "bank-a", &format!("/v1/requests/{NOTHING}?wait_ms=soon")),
        caller
            .call(Method::POST, "bank-a", routes::ACCOUNTS)
            .bearer_auth(caller.token("bank-a"))
            .json(&json!({ "key": "00" })),
    ];
    for call in malformed {
        caller.must_fail(call, ErrorCode::Malformed).await;
    }
    let large = requests().json(&json!({ "request": "A".repeat(46 << 20), "evidence": evidence }));
    caller.must_fail(large, ErrorCode::TooLarge).await;
}

async fn what_is_not_there_is_not_found(caller: &Caller<'_>) {
    let paths = [
        format!("/v1/accounts/{NOTHING}"),
        format!("/v1/accounts/{NOTHING}/bundle"),
        format!("/v1/accounts/{NOTHING}/requests"),
        format!("/v1/requests/{NOTHING}"),
        format!("/v1/requests/{NOTHING}?wait_ms=10"),
        format!("/v1/chains/{NOTHING}"),
        format!("/v1/chains/{NOTHING}/bundle"),
        "/v1/blocks/0".to_owned(),
        "/v1/blocks/18446744073709551615".to_owned(),
        "/v1/nothing".to_owned(),
        "/".to_owned(),
    ];
    for path in paths {
        caller.must_fail(caller.call(Method::GET, "bank-a", &path), ErrorCode::NotFound).await;
    }
    let day = caller.call(Method::PUT, "broker-a", routes::MARKET).bearer_auth(caller.token("broker-a"));
    caller.must_fail(day.json(&json!({ "day": "1999-12-31" })), ErrorCode::NotFound).await;
    // There is no such call, though there is one with another method.
    caller.must_fail(caller.call(Method::GET, "bank-a", routes::REQUESTS), ErrorCode::NotFound).await;
    caller.must_fail(caller.call(Method::DELETE, "bank-a", routes::STATUS), ErrorCode::NotFound).await;
}

async fn calls_to_the_wrong_role_are_told_so(caller: &Caller<'_>) {
    let alice = caller.network.customer("alice").buy(AAPL, 1);
    for member in ["broker-a", "auditor"] {
        let requests = caller.call(Method::POST, member, routes::REQUESTS).json(&alice.body);
        caller.must_fail(requests, ErrorCode::WrongRole).await;
        let key = caller.network.client("bank-a").members().await.unwrap()[1].member_key.clone();
        let open = caller.call(Method::POST, member, routes::ACCOUNTS).bearer_auth(caller.token(member));
        caller.must_fail(open.json(&json!({ "key": key })), ErrorCode::WrongRole).await;
    }
    for member in ["bank-a", "auditor"] {
        caller.must_fail(caller.call(Method::GET, member, routes::MARKET), ErrorCode::WrongRole).await;
    }
}

async fn the_document_describes_every_route(caller: &Caller<'_>) {
    let answer = caller.call(Method::GET, "auditor", routes::OPENAPI).send().await.unwrap();
    let document: Value = answer.json().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let described: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let source = include_str!("../../node/api/src/routes.rs");
    let listed: BTreeSet<&str> = source
        .lines()
        .filter(|line| line.starts_with("pub const"))
        .map(|line| line.split('"').nth(1).unwrap())
        .collect();
    assert!(listed.len() >= 16 && listed.contains(routes::STATUS));
    // The document is the only thing that needs no description.
    let missing: Vec<_> = listed.difference(&described).filter(|path| **path != routes::OPENAPI).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(described.difference(&listed).next(), None, "a call without a route");
    every_reference_leads_somewhere(&document, &document);
}

fn every_reference_leads_somewhere(part: &Value, document: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                let place = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(place).is_some(), "{reference} leads nowhere");
            }
            fields.values().for_each(|field| every_reference_leads_somewhere(field, document));
        }
        Value::Array(items) => items.iter().for_each(|item| every_reference_leads_somewhere(item, document)),
        _ => {}
    }
}

async fn other_evidence_is_refused(network: &Network) {
    let mut bruno = network.customer("bruno");
    let other = BASE64_STANDARD.encode([7; 32]);
    let changes: [&dyn Fn(&mut SubmitRequest); 4] = [
        &|body| body.evidence[0].value.clone_from(&other),
        &|body| body.evidence[0].salt = NOTHING.to_owned(),
        &|body| body.evidence[0].value = String::new(),
        &|body| body.evidence[0].kind = "passport".to_owned(),
    ];
    for change in changes {
        let mut order = bruno.buy(AAPL, 1);
        let genuine = order.body.clone();
        change(&mut order.body);
        let refused = bruno.client.submit(&order.body, WAIT_MS).await.unwrap();
        must_be_refused(network, &refused, &bruno, "identity-mismatch");
        // The refusal stands: it is of the request, whatever comes with it.
        assert_eq!(bruno.client.submit(&genuine, WAIT_MS).await.unwrap(), refused);
        // Failures are counted, and would make the next one wait.
        network.client("bank-a").unlock_identity(&bruno.account.to_string(), "account-key").await.unwrap();
    }
    must_follow(&bruno, &[]).await;
}

fn must_be_refused(network: &Network, view: &RequestView, customer: &Customer, reason: &str) {
    assert_eq!(view.state, RequestState::Refused, "{view:?}");
    let refusal = view.refusal.as_ref().unwrap();
    assert_eq!(refusal.reason, reason, "{refusal:?}");
    let link = view.request.parse().unwrap();
    verify_refusal(refusal, &link, customer.bank.as_str(), network.genesis()).unwrap();
}

async fn a_request_counts_once(network: &Network) {
    let mut alice = network.customer("alice");
    let order = alice.buy(AAPL, 2);
    let (one, two, three) = tokio::join!(alice.finish(&order), alice.finish(&order), alice.finish(&order));
    assert!(one == two && two == three, "{one:?}\n{two:?}\n{three:?}");
    assert_eq!(one.state, RequestState::Committed, "{one:?}");
    assert_eq!(alice.client.submit(&order.body, 0).await.unwrap(), one);
    assert_eq!(alice.client.request(&one.request, 0).await.unwrap(), one);
    must_follow(&alice, std::slice::from_ref(&one)).await;

    // Two orders with one counter at the same time: one counts. Both could be executed.
    let terms = alice.terms(Side::Buy, AAPL, 3);
    let mut others = terms.clone();
    trade_of(&mut others).side = Side::Sell;
    trade_of(&mut others).size = Size::Quantity(Amount::new(1).unwrap());
    let (buy, sell) = (alice.sign(terms), alice.sign(others));
    let (buy, sell) = tokio::join!(alice.finish(&buy), alice.finish(&sell));
    let (committed, refused) = if buy.state == RequestState::Committed { (buy, sell) } else { (sell, buy) };
    must_be_refused(network, &refused, &alice, "repeated-counter");
    must_follow(&alice, &[one, committed]).await;
}
