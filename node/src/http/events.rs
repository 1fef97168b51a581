//! Changes of orders as server-sent events: first where each stands, then every change.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::stream;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_node_api::ApiError;
use stemma_node_api::types::RequestView;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::orders::view;
use super::{Failure, Path, Shared, id, not_found};
use crate::store::{OrderRow, Store};

/// Orders of an account that are told of at the beginning.
const FIRST_COUNT: usize = 100;

/// Whose changes are told.
#[derive(Debug, Clone, Copy)]
enum Followed {
    Order(Link),
    Account(AccountId),
}

impl Followed {
    fn includes(self, row: &OrderRow) -> bool {
        match self {
            Self::Order(link) => row.link == link,
            Self::Account(account) => row.account == account,
        }
    }

    /// Where everything stands, the oldest first.
    fn stands(self, store: &Store) -> Result<VecDeque<OrderRow>, Failure> {
        Ok(match self {
            Self::Order(link) => store.order(&link)?.into_iter().collect(),
            Self::Account(account) => store.account_orders(&account, FIRST_COUNT)?.into_iter().rev().collect(),
        })
    }
}

/// Follows one request, instruction or act until it is final.
#[utoipa::path(get, path = "/v1/requests/{id}/events", tag = "requests", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", body = RequestView,
        description = "events named `order`, each with the order as JSON; the stream ends with the final state"),
        (status = 404, body = ApiError)))]
pub(super) async fn order(
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let link: Link = id("id", &text)?;
    let ready = Followed::Order(link).stands(&shared.store)?;
    if ready.is_empty() {
        return Err(not_found(format!("this bank knows no request {link}")));
    }
    follow(&shared, Followed::Order(link))
}

/// Follows all orders of an account.
#[utoipa::path(get, path = "/v1/accounts/{id}/events", tag = "accounts", params(("id" = String, Path)),
    responses((status = 200, content_type = "text/event-stream", body = RequestView,
        description = "events named `order`, each with one order as JSON, beginning with the last hundred"),
        (status = 404, body = ApiError)))]
pub(super) async fn account(
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let account: AccountId = id("id", &text)?;
    if shared.store.account(&account)?.is_none() {
        return Err(not_found(format!("there is no account {account}")));
    }
    follow(&shared, Followed::Account(account))
}

struct Following {
    store: Store,
    followed: Followed,
    changes: Receiver<Arc<OrderRow>>,
    /// What is told before the next change.
    ready: VecDeque<OrderRow>,
    ended: bool,
}

fn follow(
    shared: &Shared,
    followed: Followed,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>, Failure> {
    // Listening begins before looking, so that no change falls between.
    let changes = shared.changes.subscribe();
    let ready = followed.stands(&shared.store)?;
    let following = Following { store: shared.store.clone(), followed, changes, ready, ended: false };
    let events = stream::unfold(following, |mut following| async move {
        let row = following.next().await?;
        let event = Event::default().event("order").json_data(view(&row));
        Some((Ok(event.unwrap_or_default()), following))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

impl Following {
    async fn next(&mut self) -> Option<OrderRow> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(row) = self.ready.pop_front() {
                self.ended = matches!(self.followed, Followed::Order(_)) && row.state.is_final();
                return Some(row);
            }
            match self.changes.recv().await {
                Ok(row) if self.followed.includes(&row) => self.ready.push_back(row.as_ref().clone()),
                Ok(_) => {}
                // Too slow a reader misses changes, never where things stand in the end.
                Err(RecvError::Lagged(_)) => self.ready = self.followed.stands(&self.store).ok()?,
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
