//! The typed client that every tool uses.

mod bundles;

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::catalogue::{ChangeListing, DryRun, DryRunView, InstrumentView, ListInstrument};
use crate::error::ApiError;
use crate::events::OrderEvents;
use crate::prices::{PricePage, PushPrices};
use crate::reports::{Days, HEIGHT_HEADER, Report, TIME_HEADER};
use crate::routes;
use crate::types::{
    AccountPage, AccountView, BlockView, ChainView, Committed, EnrolIdentity, EnrolmentPage, EnrolmentView,
    IdentityPage, IssueCash, Market, MemberView, MoveDay, OpenAccount, PathPage, PromotionView, QueueView, RequestPage,
    RequestView, ServiceAct, Status, SubmitInstruction, SubmitPromotion, SubmitRequest,
};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The node could not be reached, or the connection broke.
    #[error("cannot reach the node at {url}")]
    Unreachable {
        /// The node's address.
        url: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// The node answered with an error.
    #[error("the node at {url} refused the call")]
    Refused {
        /// The node's address.
        url: String,
        /// HTTP status.
        status: u16,
        /// The error it gave.
        #[source]
        source: ApiError,
    },
    /// The node's answer is not what the API promises.
    #[error("the node at {url} gave an answer that is not of this API: {reason}")]
    Unexpected {
        /// The node's address.
        url: String,
        /// What was wrong.
        reason: String,
    },
}

/// A table of a report as CSV.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportCsv {
    /// The height that it is true at.
    pub height: u64,
    /// The time of that block (RFC 3339, UTC).
    pub time: String,
    /// The table, its header first.
    pub bytes: Vec<u8>,
}

/// A client of one node.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl std::fmt::Debug for Client {
    /// Leaves the token out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

/// Longest wait for an answer, in seconds; long waits for finality are asked for in shorter pieces.
const ANSWER_SECONDS_MAX: u64 = 60;

/// Longest time for a report, in seconds: it may be long.
const REPORT_SECONDS_MAX: u64 = 30 * 60;

/// Longest time for a backup, in seconds.
const BACKUP_SECONDS_MAX: u64 = 12 * 3_600;

/// Longest time for which events are followed in one call.
const FOLLOW_MAX: Duration = Duration::from_secs(24 * 3_600);

impl Client {
    /// A client of the node at an address such as `http://127.0.0.1:8101`.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] where the HTTP client cannot be made.
    pub fn new(base: impl Into<String>) -> Result<Self, ClientError> {
        let base = base.into().trim_end_matches('/').to_owned();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(ANSWER_SECONDS_MAX))
            .no_proxy()
            .build()
            .map_err(|source| ClientError::Unreachable { url: base.clone(), source })?;
        Ok(Self { http, base, token: None })
    }

    /// The same client with the operator's token.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The node's address.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// State of the node.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get(routes::STATUS).await
    }

    /// A copy of the node's store, written piece by piece as it comes (operator). Returns the height that it is of.
    ///
    /// # Errors
    /// [`ClientError`]; what could not be written is [`ClientError::Unexpected`].
    pub async fn backup(&self, to: &mut impl std::io::Write) -> Result<u64, ClientError> {
        let call = self.http.post(format!("{}{}", self.base, routes::BACKUP));
        let mut answer = self.accepted(call.timeout(Duration::from_secs(BACKUP_SECONDS_MAX))).await?;
        let height = answer.headers().get(HEIGHT_HEADER).and_then(|height| height.to_str().ok()?.parse().ok());
        let height = height.ok_or_else(|| self.unexpected("a backup that does not say its height".to_owned()))?;
        self.write_all(&mut answer, to).await?;
        Ok(height)
    }

    /// Writes an answer as it comes.
    async fn write_all(&self, answer: &mut reqwest::Response, to: &mut impl std::io::Write) -> Result<(), ClientError> {
        while let Some(piece) =
            answer.chunk().await.map_err(|source| ClientError::Unreachable { url: self.base.clone(), source })?
        {
            to.write_all(&piece).map_err(|e| self.unexpected(format!("the answer cannot be written: {e}")))?;
        }
        Ok(())
    }

    /// The genesis file's bytes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn genesis(&self) -> Result<Vec<u8>, ClientError> {
        self.bytes(routes::GENESIS).await
    }

    /// The members.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn members(&self) -> Result<Vec<MemberView>, ClientError> {
        self.get(routes::MEMBERS).await
    }

    /// The listed instruments.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn instruments(&self) -> Result<Vec<InstrumentView>, ClientError> {
        self.get(routes::INSTRUMENTS).await
    }

    /// A block.
    ///
    /// # Errors
    /// [`ClientError`]; `not-found` above the node's height.
    pub async fn block(&self, height: u64) -> Result<BlockView, ClientError> {
        self.get(&routes::BLOCK.replace("{height}", &height.to_string())).await
    }

    /// A committed entry.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn chain(&self, id: &str) -> Result<ChainView, ClientError> {
        self.get(&routes::CHAIN.replace("{id}", id)).await
    }

    /// A page of accounts, from the one after `after` on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn accounts(&self, after: Option<&str>) -> Result<AccountPage, ClientError> {
        let query = after.map(|id| format!("?after={id}")).unwrap_or_default();
        self.get(&format!("{}{query}", routes::ACCOUNTS)).await
    }

    /// An account.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn account(&self, id: &str) -> Result<AccountView, ClientError> {
        self.get(&routes::ACCOUNT.replace("{id}", id)).await
    }

    /// An account's requests at its bank.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn account_requests(&self, id: &str) -> Result<RequestPage, ClientError> {
        self.get(&routes::ACCOUNT_REQUESTS.replace("{id}", id)).await
    }

    /// Sends a request to the account's bank; returns where it stands after at most `wait_ms`.
    ///
    /// # Errors
    /// [`ClientError`]. A refusal is no error: it is a state of the request.
    pub async fn submit(&self, body: &SubmitRequest, wait_ms: u64) -> Result<RequestView, ClientError> {
        self.send(Method::POST, &format!("{}?wait_ms={wait_ms}", routes::REQUESTS), body).await
    }

    /// Where a request stands, after at most `wait_ms` or as soon as it is final.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn request(&self, id: &str, wait_ms: u64) -> Result<RequestView, ClientError> {
        self.get(&format!("{}?wait_ms={wait_ms}", routes::REQUEST.replace("{id}", id))).await
    }

    /// Sends an instruction to the account's bank; returns where it stands after at most `wait_ms`.
    ///
    /// # Errors
    /// [`ClientError`]. A refusal is no error: it is a state of the instruction.
    pub async fn instruct(&self, body: &SubmitInstruction, wait_ms: u64) -> Result<RequestView, ClientError> {
        self.send(Method::POST, &format!("{}?wait_ms={wait_ms}", routes::INSTRUCTIONS), body).await
    }

    /// Asks the account's bank for a referral; returns it, or why it was refused.
    ///
    /// # Errors
    /// [`ClientError`]. A refusal is no error: it is a state of the promotion.
    pub async fn promote(&self, body: &SubmitPromotion) -> Result<PromotionView, ClientError> {
        self.send(Method::POST, routes::PROMOTIONS, body).await
    }

    /// A promotion with its referral.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn promotion(&self, id: &str) -> Result<PromotionView, ClientError> {
        self.get(&routes::PROMOTION.replace("{id}", id)).await
    }

    /// The QR code of a promotion's referral; `code` is `code.png`, `code.svg` or `code.txt`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn promotion_code(&self, id: &str, code: &str) -> Result<Vec<u8>, ClientError> {
        self.bytes(&routes::PROMOTION_CODE.replace("{id}", id).replace("{code}", code)).await
    }

    /// Does an act of servicing (operator of a bank); returns it committed or refused.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn act(&self, account: &str, body: &ServiceAct) -> Result<RequestView, ClientError> {
        self.send(Method::POST, &routes::ACCOUNT_ACTS.replace("{id}", account), body).await
    }

    /// The identities of an account (operator of a bank).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn identities(&self, account: &str) -> Result<IdentityPage, ClientError> {
        self.get(&routes::IDENTITIES.replace("{id}", account)).await
    }

    /// Enrols or replaces an identity (operator of a bank).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn enrol(&self, account: &str, kind: &str, body: &EnrolIdentity) -> Result<EnrolmentView, ClientError> {
        self.send(Method::PUT, &identity(routes::IDENTITY, account, kind), body).await
    }

    /// Removes an identity (operator of a bank).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn remove_identity(&self, account: &str, kind: &str) -> Result<EnrolmentView, ClientError> {
        self.delete(&identity(routes::IDENTITY, account, kind)).await
    }

    /// Forgets the failed attempts at an identity (operator of a bank).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn unlock_identity(&self, account: &str, kind: &str) -> Result<EnrolmentView, ClientError> {
        self.delete(&identity(routes::IDENTITY_FAILURES, account, kind)).await
    }

    /// The log of enrolments (operator of a bank).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn enrolments(&self) -> Result<EnrolmentPage, ClientError> {
        self.get(routes::ENROLMENTS).await
    }

    /// What waits at a bank (operator).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn queue(&self) -> Result<QueueView, ClientError> {
        self.get(routes::QUEUE).await
    }

    /// The paths of a node to others, with what was measured (operator).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn paths(&self) -> Result<PathPage, ClientError> {
        self.get(routes::PATHS).await
    }

    /// Metrics in Prometheus' text format.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn metrics(&self) -> Result<String, ClientError> {
        Ok(String::from_utf8_lossy(&self.bytes(routes::METRICS).await?).into_owned())
    }

    /// The last refusals of a bank (operator).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn refusals(&self) -> Result<RequestPage, ClientError> {
        self.get(routes::REFUSALS).await
    }

    /// Follows one order until it is final.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn follow_request(&self, id: &str) -> Result<OrderEvents, ClientError> {
        self.follow(&routes::REQUEST_EVENTS.replace("{id}", id)).await
    }

    /// Follows all orders of an account.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn follow_account(&self, id: &str) -> Result<OrderEvents, ClientError> {
        self.follow(&routes::ACCOUNT_EVENTS.replace("{id}", id)).await
    }

    /// Opens an account (operator of a bank).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn open_account(&self, body: &OpenAccount) -> Result<Committed, ClientError> {
        self.send(Method::POST, routes::ACCOUNTS, body).await
    }

    /// Lists an instrument (operator of its issuer).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_instrument(&self, body: &ListInstrument) -> Result<Committed, ClientError> {
        self.send(Method::POST, routes::LISTINGS, body).await
    }

    /// Changes a listed instrument (operator of its issuer).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn change_listing(&self, code: &str, body: &ChangeListing) -> Result<Committed, ClientError> {
        self.send(Method::PUT, &routes::LISTING.replace("{code}", code), body).await
    }

    /// Asks an institution how it would judge an order now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn dry_run(&self, body: &DryRun) -> Result<DryRunView, ClientError> {
        self.send(Method::POST, routes::DRY_RUN, body).await
    }

    /// Credits accounts with cash (operator of a bank).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn issue(&self, body: &IssueCash) -> Result<Committed, ClientError> {
        self.send(Method::POST, routes::ISSUANCES, body).await
    }

    /// An institution's trading day and prices.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn market(&self) -> Result<Market, ClientError> {
        self.get(routes::MARKET).await
    }

    /// Moves an institution's trading day (operator).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn move_day(&self, body: &MoveDay) -> Result<Market, ClientError> {
        self.send(Method::PUT, routes::MARKET, body).await
    }

    /// What an institution quotes now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn prices(&self) -> Result<PricePage, ClientError> {
        self.get(routes::PRICES).await
    }

    /// Gives an institution prices (operator); returns what it quotes then.
    ///
    /// # Errors
    /// [`ClientError`]; `conflict` for a price that is older than the one known, or of the future.
    pub async fn push_prices(&self, body: &PushPrices) -> Result<PricePage, ClientError> {
        self.send(Method::PUT, routes::PRICES, body).await
    }

    /// A report of an institution (operator), whole in memory.
    ///
    /// # Errors
    /// [`ClientError`]; `malformed` for days that make no sense, `wrong-role` where the node is no institution.
    pub async fn report<R: Report>(&self, days: &Days) -> Result<R, ClientError> {
        self.parsed(self.report_call(R::NAME, days, &[])).await
    }

    /// A table of an institution's report as CSV (operator), whole in memory.
    ///
    /// # Errors
    /// As [`Self::report`].
    pub async fn report_csv(&self, name: &str, table: &str, days: &Days) -> Result<ReportCsv, ClientError> {
        let answer = self.accepted(self.report_call(name, days, &[("format", "csv"), ("table", table)])).await?;
        let header = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
        let height = header(HEIGHT_HEADER).and_then(|height| height.parse().ok());
        let told = height.zip(header(TIME_HEADER));
        let (height, time) = told.ok_or_else(|| self.unexpected("a report that does not say its height".to_owned()))?;
        let unreachable = |source| ClientError::Unreachable { url: self.base.clone(), source };
        Ok(ReportCsv { height, time, bytes: answer.bytes().await.map_err(unreachable)?.into() })
    }

    fn report_call(&self, name: &str, days: &Days, more: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let given = [("from", &days.from), ("to", &days.to)];
        let given = given.iter().filter_map(|(name, day)| Some((*name, day.as_deref()?)));
        let query: Vec<String> =
            given.chain(more.iter().copied()).map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let path = format!("{}{mark}{}", routes::REPORT.replace("{name}", name), query.join("&"));
        self.http.get(format!("{}{path}", self.base)).timeout(Duration::from_secs(REPORT_SECONDS_MAX))
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.parsed(self.http.get(format!("{}{path}", self.base))).await
    }

    pub(crate) async fn send<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.parsed(self.http.request(method, format!("{}{path}", self.base)).json(body)).await
    }

    async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.parsed(self.http.delete(format!("{}{path}", self.base))).await
    }

    async fn follow(&self, path: &str) -> Result<OrderEvents, ClientError> {
        let call = self.http.get(format!("{}{path}", self.base)).timeout(FOLLOW_MAX);
        Ok(OrderEvents::new(self.base.clone(), self.accepted(call).await?))
    }

    async fn bytes(&self, path: &str) -> Result<Vec<u8>, ClientError> {
        self.answer(self.http.get(format!("{}{path}", self.base))).await
    }

    async fn parsed<T: DeserializeOwned>(&self, call: reqwest::RequestBuilder) -> Result<T, ClientError> {
        let bytes = self.answer(call).await?;
        serde_json::from_slice(&bytes).map_err(|e| self.unexpected(e.to_string()))
    }

    async fn answer(&self, call: reqwest::RequestBuilder) -> Result<Vec<u8>, ClientError> {
        let unreachable = |source| ClientError::Unreachable { url: self.base.clone(), source };
        Ok(self.accepted(call).await?.bytes().await.map_err(unreachable)?.into())
    }

    /// An answer that is a success; its body is not read yet.
    async fn accepted(&self, call: reqwest::RequestBuilder) -> Result<reqwest::Response, ClientError> {
        let unreachable = |source| ClientError::Unreachable { url: self.base.clone(), source };
        let call = match &self.token {
            Some(token) => call.bearer_auth(token),
            None => call,
        };
        let answer = call.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let bytes = answer.bytes().await.map_err(unreachable)?;
        match serde_json::from_slice::<ApiError>(&bytes) {
            Ok(source) => Err(ClientError::Refused { url: self.base.clone(), status: status.as_u16(), source }),
            Err(_) => Err(self.unexpected(format!("{status} without a typed error"))),
        }
    }

    fn unexpected(&self, reason: String) -> ClientError {
        ClientError::Unexpected { url: self.base.clone(), reason }
    }
}

fn identity(route: &str, account: &str, kind: &str) -> String {
    route.replace("{id}", account).replace("{kind}", kind)
}

impl ClientError {
    /// The HTTP status, where the node answered.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => StatusCode::from_u16(*status).ok(),
            _ => None,
        }
    }
}
