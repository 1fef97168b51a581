//! An institution's prices come in: from the source that is looked at beside this thread, or from the operator.

use stemma_node_api::config::PricesConfig;
use stemma_node_api::prices::{PricePage, PriceView};
use stemma_node_api::{ApiError, moment};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::calls::{conflict, wrong_role};
use super::{Event, Node, NodeError};
use crate::clock::now_ms;
use crate::institution::Institution;
use crate::institution::prices::{self, PushError, Quote, Quoted, Update};
use crate::store::PriceRow;

/// Brings what a source finds to the node's thread.
pub(super) fn follow(config: &PricesConfig, runtime: &Handle, events: mpsc::Sender<Event>) {
    let Some(mut found) = prices::follow(config, runtime) else { return };
    runtime.spawn(async move {
        while let Some(update) = found.recv().await {
            if events.send(Event::Prices(update)).await.is_err() {
                return;
            }
        }
    });
}

impl Node {
    pub(super) fn on_prices(&mut self, update: Update) -> Result<(), NodeError> {
        let Some(institution) = &mut self.institution else { return Ok(()) };
        let news = institution.prices_mut().news(update, now_ms());
        self.take_prices(news)
    }

    /// Takes the operator's prices, all or none; they are durable when this returns.
    pub(super) fn push_prices(&mut self, pushed: Vec<Quoted>) -> Result<Result<PricePage, ApiError>, NodeError> {
        let Some(institution) = &self.institution else { return Ok(Err(wrong_role("institution"))) };
        if let Err(e) = institution.prices().judge(&pushed, now_ms()) {
            let refused = conflict(&e);
            return Ok(Err(match e {
                PushError::OtherSource { .. } => {
                    refused.help("Set source = \"push\" under [institution.prices] of the node's configuration.")
                }
                PushError::Refused(_) => refused,
            }));
        }
        self.take_prices(pushed)?;
        Ok(self.price_page())
    }

    fn take_prices(&mut self, news: Vec<Quoted>) -> Result<(), NodeError> {
        let Some(institution) = &mut self.institution else { return Ok(()) };
        if institution.prices().are_stored() {
            let rows: Vec<PriceRow> = news.iter().map(PriceRow::from).collect();
            self.store.put_prices(&rows)?;
        }
        institution.prices_mut().take(news);
        self.settle();
        Ok(())
    }

    /// Settles what can be settled at the prices that are known.
    pub(super) fn settle(&mut self) {
        if let Some(institution) = &mut self.institution {
            institution.settle(self.state.ledger(), now_ms(), &mut self.effects);
        }
    }

    pub(super) fn price_page(&self) -> Result<PricePage, ApiError> {
        self.institution.as_ref().map(page_of).ok_or_else(|| wrong_role("institution"))
    }
}

fn page_of(institution: &Institution) -> PricePage {
    let (prices, now_ms) = (institution.prices(), now_ms());
    let view = |(symbol, quote): (String, Quote)| PriceView {
        symbol,
        time: moment::show(quote.time_ms),
        stale: prices.is_stale(&quote, now_ms),
        price: quote.text,
    };
    let stale_after_ms = prices.stale_after_ms();
    PricePage {
        source: prices.source().to_string(),
        stale_after_ms,
        prices: prices.quotes().into_iter().map(view).collect(),
    }
}
