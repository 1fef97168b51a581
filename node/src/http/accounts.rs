//! Accounts: holdings and requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use stemma_chain_format::endorsement::Credit;
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::holdings::Holdings;
use stemma_chain_format::ledger::Account;
use stemma_node_api::types::{AccountPage, AccountView, Amounts, CreditView, RequestPage};
use stemma_node_api::{ApiError, ErrorCode};

use super::orders::view_settled;
use super::positions::position;
use super::{Failure, Json, Path, Query, Shared, id, not_found};
use crate::error::chain;

/// Accounts in one page.
const PAGE_COUNT: usize = 100;
/// Requests shown of one account.
const REQUESTS_COUNT: usize = 100;

#[derive(Deserialize)]
pub(super) struct After {
    after: Option<String>,
}

/// Account ids in ascending order, a page at a time.
#[utoipa::path(get, path = "/v1/accounts", tag = "accounts",
    params(("after" = Option<String>, Query, description = "the last id of the page before")),
    responses((status = 200, body = AccountPage)))]
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(After { after }): Query<After>,
) -> Result<Json<AccountPage>, Failure> {
    let after: Option<AccountId> = after.map(|text| id("after", &text)).transpose()?;
    let ids = shared.store.account_ids(after, PAGE_COUNT)?;
    let next = if ids.len() == PAGE_COUNT { ids.last().map(ToString::to_string) } else { None };
    Ok(Json(AccountPage { accounts: ids.iter().map(ToString::to_string).collect(), next }))
}

/// An account as the last committed block left it.
#[utoipa::path(get, path = "/v1/accounts/{id}", tag = "accounts", params(("id" = String, Path)),
    responses((status = 200, body = AccountView), (status = 404, body = ApiError)))]
pub(super) async fn account(
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
) -> Result<Json<AccountView>, Failure> {
    let account: AccountId = id("id", &text)?;
    let found = shared.store.account(&account)?;
    let (Account { state, inbox }, height) = found.ok_or_else(|| unknown(&account))?;
    let waiting = summed(&inbox)?;
    let mut total = state.holdings.clone();
    for (instrument, amount) in waiting.iter() {
        total.add(instrument, amount).map_err(|e| Failure::from(ApiError::new(ErrorCode::Internal, chain(&e))))?;
    }
    Ok(Json(AccountView {
        account: account.to_string(),
        bank: state.bank.to_string(),
        status: state.status.to_string(),
        key: state.key.map(|key| key.to_string()),
        credit: CreditView {
            level: state.credit.level,
            rules: state.credit.rules,
            lines: amounts(&state.credit.lines),
        },
        sequence: state.sequence,
        head: state.head.to_string(),
        counter: state.counter,
        holdings: amounts(&state.holdings),
        waiting: amounts(&waiting),
        total: amounts(&total),
        positions: shared.store.positions_of(&account)?.iter().map(position).collect(),
        height,
    }))
}

/// The account's last hundred requests, instructions and acts at this bank, the newest first.
#[utoipa::path(get, path = "/v1/accounts/{id}/requests", tag = "accounts", params(("id" = String, Path)),
    responses((status = 200, body = RequestPage), (status = 404, body = ApiError)))]
pub(super) async fn requests(
    State(shared): State<Arc<Shared>>,
    Path(text): Path<String>,
) -> Result<Json<RequestPage>, Failure> {
    let account: AccountId = id("id", &text)?;
    let rows = shared.store.account_orders(&account, REQUESTS_COUNT)?;
    if rows.is_empty() && shared.store.account(&account)?.is_none() {
        return Err(unknown(&account));
    }
    let requests = rows.iter().map(|row| view_settled(&shared.store, row)).collect::<Result<_, _>>()?;
    Ok(Json(RequestPage { requests }))
}

pub(super) fn unknown(account: &AccountId) -> Failure {
    not_found(format!("there is no account {account}"))
}

fn amounts(holdings: &Holdings) -> Amounts {
    let shown: BTreeMap<String, String> =
        holdings.iter().map(|(instrument, amount)| (instrument.to_string(), amount.to_string())).collect();
    shown
}

fn summed<'c>(credits: impl IntoIterator<Item = &'c Credit>) -> Result<Holdings, Failure> {
    let mut sum = Holdings::new();
    for credit in credits {
        sum.add(&credit.instrument, credit.amount)
            .map_err(|e| Failure::from(ApiError::new(ErrorCode::Internal, chain(&e))))?;
    }
    Ok(sum)
}
