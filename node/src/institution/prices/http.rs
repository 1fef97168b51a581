//! A feed that is fetched: JSON over HTTP. Whatever it does, the node goes on; prices that it does not renew become stale.

use std::time::Duration;

use reqwest::redirect::Policy;
use stemma_node_api::prices::PushedPrice;
use tokio::sync::mpsc;

use super::quote::{QuotedError, read_all};
use super::{Quoted, Update};
use crate::error::chain;

/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Longest time for a whole answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest pause after failures, where the configured one is not longer.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Why a feed gave no prices. Errors of the HTTP client come without the address: it may hold a key.
#[derive(Debug, thiserror::Error)]
pub(super) enum FeedError {
    #[error("it cannot be reached, or broke off")]
    Http(#[source] reqwest::Error),
    #[error("it answered with HTTP status {0}")]
    Status(u16),
    #[error("its answer is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    #[error("its answer is not JSON of this form")]
    Json(#[source] serde_json::Error),
    #[error("it gave something that is no price")]
    Price(#[source] QuotedError),
}

/// What a feed answers; it may say more beside.
#[derive(serde::Deserialize)]
struct Answer {
    prices: Vec<Entry>,
}

#[derive(serde::Deserialize)]
struct Entry {
    symbol: String,
    price: String,
    time: String,
}

/// A feed.
pub(super) struct Feed {
    http: reqwest::Client,
    url: String,
}

impl Feed {
    pub(super) fn new(url: &str) -> Result<Self, FeedError> {
        let without_address = |e: reqwest::Error| FeedError::Http(e.without_url());
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .redirect(Policy::none())
            .no_proxy()
            .user_agent(concat!("stemma-node/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(without_address)?;
        // What is wrong with an address shows only where a call is made of it.
        http.get(url).build().map_err(without_address)?;
        Ok(Self { http, url: url.to_owned() })
    }

    /// Fetches for ever, or until nobody listens.
    pub(super) async fn follow(self, poll: Duration, updates: mpsc::Sender<Update>) {
        let mut failures = 0_u32;
        loop {
            match self.fetch().await {
                Ok(prices) => {
                    if failures > 0 {
                        tracing::info!(failures, "the price feed is back");
                    }
                    failures = 0;
                    if updates.send(Update::Part(prices)).await.is_err() {
                        return;
                    }
                }
                Err(e) => {
                    failures = failures.saturating_add(1);
                    let pause_s = pause(poll, failures).as_secs();
                    tracing::warn!(
                        failures,
                        pause_s,
                        "the price feed gave no prices, they stay as they are: {}",
                        chain(&e)
                    );
                }
            }
            tokio::time::sleep(pause(poll, failures)).await;
        }
    }

    async fn fetch(&self) -> Result<Vec<Quoted>, FeedError> {
        let broken = |e: reqwest::Error| FeedError::Http(e.without_url());
        let mut answer = self.http.get(&self.url).send().await.map_err(broken)?;
        if !answer.status().is_success() {
            return Err(FeedError::Status(answer.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            if bytes.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(FeedError::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        parse(&bytes)
    }
}

/// Twice as long after each further failure.
pub(super) fn pause(poll: Duration, failures: u32) -> Duration {
    let doubled = poll.saturating_mul(2_u32.saturating_pow(failures));
    doubled.min(PAUSE_MAX.max(poll))
}

pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Quoted>, FeedError> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(FeedError::Json)?;
    let price = |Entry { symbol, price, time }| PushedPrice { symbol, price, time };
    let list: Vec<PushedPrice> = answer.prices.into_iter().map(price).collect();
    read_all(&list).map_err(FeedError::Price)
}
