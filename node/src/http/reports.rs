//! An institution's reports for its operator, as JSON or CSV (RFC 4180). They are computed beside the node's thread, from the store.
//!
//! Bounds: at most two at a time. Trades, which are as many as they are, are streamed as they are read; the others are sums,
//! and made whole first. A report that cannot be ended breaks its connection: it is never cut without saying so.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::{Deserialize, Serialize};
use stemma_chain_format::member::{MemberId, Role};
use stemma_node_api::reports::{
    AsOf, Days, FeesReport, HEIGHT_HEADER, HoldingsReport, ReconciliationReport, Report, ReportHead, RewardsReport,
    TIME_HEADER, TradesReport,
};
use stemma_node_api::{ApiError, ErrorCode};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::operator::Operator;
use super::{Failure, Path, Query, Shared, malformed, not_found};
use crate::error::chain;
use crate::institution::reports::trades::{self, Trades};
use crate::institution::reports::{Period, ReportError, fees, holdings, reconciliation, rewards};
use crate::store::Store;

/// Reports that are made at once.
const REPORTS_MAX: usize = 2;
/// When to try again where so many are being made, in milliseconds.
const RETRY_MS: u64 = 1_000;
/// Bytes that are sent at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for a reader.
const PIECES_COUNT: usize = 4;
/// How long a reader may take for a piece; one that stands still must not keep others from their reports.
const PIECE_SECONDS_MAX: u64 = 60;

/// The turns to make a report.
pub fn turns() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(REPORTS_MAX))
}

#[derive(Deserialize)]
pub(super) struct Asked {
    format: Option<String>,
    table: Option<String>,
    #[serde(flatten)]
    days: Days,
}

/// How a report is written: whole as JSON, or one of its tables as CSV.
#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Csv(&'static str),
}

/// What a report is made of.
struct Source {
    store: Store,
    network: stemma_chain_format::hash::NetworkId,
    institution: MemberId,
    period: Period,
}

/// Why a report was not written to its end.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("cannot make the report")]
    Report(#[from] ReportError),
    #[error("cannot write the report as JSON")]
    Json(#[from] serde_json::Error),
    #[error("cannot write the report as CSV")]
    Csv(#[from] csv::Error),
    #[error("cannot send the report")]
    Send(#[from] io::Error),
}

impl From<WriteError> for Failure {
    fn from(e: WriteError) -> Self {
        if let WriteError::Report(days @ ReportError::Days { .. }) = &e {
            return malformed(days.to_string());
        }
        tracing::error!(error = %chain(&e), "a report failed");
        ApiError::new(ErrorCode::Internal, "the node could not make the report").into()
    }
}

/// A report of this institution: `holdings` (by instrument and account), `trades` (each, and by day), `fees` (by day, cash and
/// instrument), `rewards` (by who got them), `reconciliation` (the book against the ledger: it must be empty). It says the height that
/// all of it is true at, in CSV as the last two columns and in headers. At most two are made at a time.
#[utoipa::path(get, path = "/v1/reports/{name}", tag = "operator", security(("operator" = [])),
    params(("name" = String, Path, description = "holdings, trades, fees, rewards or reconciliation"),
        ("format" = Option<String>, Query, description = "json (default) or csv"),
        ("table" = Option<String>, Query, description = "of CSV: of holdings accounts (default) or totals, of trades trades \
            (default) or days"),
        ("from" = Option<String>, Query, description = "the first day (UTC), such as 2026-11-26; of trades, fees and rewards"),
        ("to" = Option<String>, Query, description = "the last day (UTC); not of reconciliation")),
    responses((status = 200, body = HoldingsReport, description = "the report of this name, here holdings: HoldingsReport, TradesReport, \
            FeesReport, RewardsReport or ReconciliationReport; with format=csv, text/csv with a header"),
        (status = 400, body = ApiError), (status = 401, body = ApiError), (status = 404, body = ApiError),
        (status = 409, body = ApiError, description = "this node is no institution"),
        (status = 503, body = ApiError, description = "other reports are being made; Retry-After says when to try again")))]
pub(super) async fn report(
    _: Operator,
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(Asked { format, table, days }): Query<Asked>,
) -> Result<Response, Failure> {
    let (name, tables) = named(&name)?;
    let form = form(format.as_deref(), table.as_deref(), tables)?;
    let period = Period::read(&days).map_err(WriteError::from)?;
    let member = shared.status.borrow().member.clone();
    let registry = shared.registry();
    let own = registry.member_by_text(&member).filter(|member| member.role == Role::Institution);
    let institution = own.ok_or_else(|| ApiError::new(ErrorCode::WrongRole, "this node is no institution"))?.id.clone();
    let turn = Arc::clone(&shared.reports).try_acquire_owned().map_err(|_| {
        let mut error = ApiError::new(ErrorCode::Busy, format!("{REPORTS_MAX} reports are being made"));
        error.error.retry_after_ms = Some(RETRY_MS);
        error
    })?;
    let source = Source { store: shared.store.clone(), network: registry.network(), institution, period };
    if name == TradesReport::NAME {
        let opened = beside(move || Ok(trades::open(&source.store, &source.institution, &source.period)?)).await?;
        let head = opened.head().clone();
        return Ok(answer(&head, form, streamed(opened, form, turn)));
    }
    let (head, bytes) = beside(move || {
        let _turn = turn;
        whole(name, &source, form)
    })
    .await?;
    Ok(answer(&head, form, Body::from(bytes)))
}

/// The report of a name, and its tables.
fn named(name: &str) -> Result<(&'static str, &'static [&'static str]), Failure> {
    let known = [
        (HoldingsReport::NAME, HoldingsReport::TABLES),
        (TradesReport::NAME, TradesReport::TABLES),
        (FeesReport::NAME, FeesReport::TABLES),
        (RewardsReport::NAME, RewardsReport::TABLES),
        (ReconciliationReport::NAME, ReconciliationReport::TABLES),
    ];
    let found = known.into_iter().find(|(known, _)| *known == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        not_found(format!("there is no such report; there are {}", names.join(", ")))
    })
}

fn form(format: Option<&str>, table: Option<&str>, tables: &[&'static str]) -> Result<Form, Failure> {
    let table = match table {
        None => tables.first().copied(),
        Some(asked) => tables.iter().find(|known| **known == asked).copied(),
    };
    match (format, table) {
        (None | Some("json"), Some(_)) => Ok(Form::Json),
        (Some("csv"), Some(table)) => Ok(Form::Csv(table)),
        (_, None) => Err(malformed(format!("table: one of {}", tables.join(", ")))),
        (Some(_), _) => Err(malformed("format: json or csv".to_owned())),
    }
}

/// Runs what reads the store where it keeps nobody waiting.
async fn beside<T: Send + 'static>(
    make: impl FnOnce() -> Result<T, WriteError> + Send + 'static,
) -> Result<T, Failure> {
    let made = tokio::task::spawn_blocking(make).await;
    Ok(made.map_err(|e| ApiError::new(ErrorCode::Internal, e.to_string()))??)
}

/// Makes one of the reports that are sums.
fn whole(name: &str, source: &Source, form: Form) -> Result<(ReportHead, Vec<u8>), WriteError> {
    let Source { store, network, institution, period } = source;
    let mut out = Vec::new();
    let head = match name {
        HoldingsReport::NAME => {
            let report = holdings::report(store, institution, period)?;
            match form {
                Form::Json => serde_json::to_writer(&mut out, &report)?,
                Form::Csv("totals") => table(&mut out, &report.head, report.totals.into_iter().map(Ok))?,
                Form::Csv(_) => table(&mut out, &report.head, report.accounts.into_iter().map(Ok))?,
            }
            report.head
        }
        FeesReport::NAME => {
            let report = fees::report(store, institution, period)?;
            match form {
                Form::Json => serde_json::to_writer(&mut out, &report)?,
                Form::Csv(_) => table(&mut out, &report.head, report.fees.into_iter().map(Ok))?,
            }
            report.head
        }
        RewardsReport::NAME => {
            let report = rewards::report(store, institution, period)?;
            match form {
                Form::Json => serde_json::to_writer(&mut out, &report)?,
                Form::Csv(_) => table(&mut out, &report.head, report.rewards.into_iter().map(Ok))?,
            }
            report.head
        }
        _ => {
            let report = reconciliation::report(store, network, institution, period)?;
            match form {
                Form::Json => serde_json::to_writer(&mut out, &report)?,
                Form::Csv(_) => table(&mut out, &report.head, report.differences.into_iter().map(Ok))?,
            }
            report.head
        }
    };
    Ok((head, out))
}

/// Writes a table: its header, also where it has no rows, and each row with what it is true at.
fn table<R: Serialize + Default>(
    out: impl Write,
    head: &ReportHead,
    rows: impl Iterator<Item = Result<R, ReportError>>,
) -> Result<(), WriteError> {
    let as_of = AsOf { as_of_height: head.height, as_of_time: head.time.clone() };
    let builder = || {
        let mut builder = csv::WriterBuilder::new();
        builder.terminator(csv::Terminator::CRLF);
        builder
    };
    // The header of rows that are not there is that of one which is thrown away.
    let mut example = builder().from_writer(Vec::new());
    example.serialize((R::default(), &as_of))?;
    let example = example.into_inner().map_err(|e| WriteError::Send(e.into_error()))?;
    let mut out = builder().has_headers(false).from_writer(out);
    let mut header = csv::ReaderBuilder::new().from_reader(example.as_slice());
    out.write_record(header.headers()?)?;
    for row in rows {
        out.serialize((row?, &as_of))?;
    }
    Ok(out.flush()?)
}

fn answer(head: &ReportHead, form: Form, body: Body) -> Response {
    let height = head.height.to_string();
    let told = [(HEIGHT_HEADER, height.as_str()), (TIME_HEADER, head.time.as_str())];
    match form {
        Form::Json => (told, [(CONTENT_TYPE, "application/json")], body).into_response(),
        Form::Csv(table) => {
            let file = format!("attachment; filename=\"{}-{table}-{height}.csv\"", head.institution);
            let kind = (CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned());
            (told, [kind, (CONTENT_DISPOSITION, file)], body).into_response()
        }
    }
}

/// A piece of a streamed report.
enum Piece {
    Rows(Vec<u8>),
    /// Only this ends a report well.
    End,
}

/// Writes trades while they are read.
fn streamed(trades: Trades, form: Form, turn: OwnedSemaphorePermit) -> Body {
    let (sender, pieces) = mpsc::channel(PIECES_COUNT);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut out = Pieces { sender, runtime, buffer: Vec::with_capacity(PIECE_BYTES) };
        let written = match form {
            Form::Json => trades_json(trades, &mut out),
            Form::Csv(table) => trades_csv(trades, table, &mut out),
        };
        match written.and_then(|()| Ok(out.end()?)) {
            Ok(()) => {}
            // A reader who has gone is no failure of ours.
            Err(WriteError::Send(e)) => tracing::debug!(error = %e, "a report was not read to its end"),
            Err(e) => tracing::error!(error = %chain(&e), "a report broke off"),
        }
    });
    body_of(pieces)
}

/// A body that ends well only after the last piece says so, whatever became of who writes it.
fn body_of(pieces: mpsc::Receiver<Piece>) -> Body {
    Body::from_stream(stream::unfold(Some(pieces), |pieces| async move {
        let mut pieces: mpsc::Receiver<Piece> = pieces?;
        match pieces.recv().await {
            Some(Piece::Rows(bytes)) => Some((Ok(bytes), Some(pieces))),
            Some(Piece::End) => None,
            None => Some((Err(io::Error::other("the report broke off")), None)),
        }
    }))
}

fn trades_csv(mut trades: Trades, name: &str, out: &mut impl Write) -> Result<(), WriteError> {
    let head = trades.head().clone();
    if name == "days" {
        trades.by_ref().try_for_each(|row| row.map(drop))?;
        return table(out, &head, trades.days()?.into_iter().map(Ok));
    }
    table(out, &head, trades)
}

fn trades_json(mut trades: Trades, out: &mut impl Write) -> Result<(), WriteError> {
    let head = serde_json::to_string(trades.head())?;
    write!(out, "{},\"trades\":[", head.strip_suffix('}').unwrap_or(&head))?;
    let mut separator = "";
    for row in trades.by_ref() {
        write!(out, "{separator}")?;
        serde_json::to_writer(&mut *out, &row?)?;
        separator = ",";
    }
    write!(out, "],\"days\":")?;
    serde_json::to_writer(&mut *out, &trades.days()?)?;
    Ok(write!(out, "}}")?)
}

/// Where a report is written to while it is sent.
struct Pieces {
    sender: mpsc::Sender<Piece>,
    runtime: Handle,
    buffer: Vec<u8>,
}

impl Pieces {
    fn send(&self, piece: Piece) -> io::Result<()> {
        let patience = Duration::from_secs(PIECE_SECONDS_MAX);
        let sent = self.runtime.block_on(async { tokio::time::timeout(patience, self.sender.send(piece)).await });
        sent.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn send_buffer(&mut self) -> io::Result<()> {
        let rows = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
        self.send(Piece::Rows(rows))
    }

    fn end(&mut self) -> io::Result<()> {
        self.send_buffer()?;
        self.send(Piece::End)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES {
            self.send_buffer()?;
        }
        Ok(bytes.len())
    }

    /// What is left goes with the end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use stemma_node_api::reports::FeeRow;

    use super::*;

    async fn body(sent: Vec<Piece>) -> Result<Vec<u8>, axum::Error> {
        let (sender, pieces) = mpsc::channel(PIECES_COUNT);
        for piece in sent {
            assert!(sender.send(piece).await.is_ok());
        }
        drop(sender);
        to_bytes(body_of(pieces), usize::MAX).await.map(Vec::from)
    }

    #[tokio::test]
    async fn a_report_that_breaks_off_is_no_shorter_report() {
        let rows = || Piece::Rows(b"a,b\r\n".to_vec());
        assert_eq!(body(vec![rows(), rows(), Piece::End]).await.unwrap(), b"a,b\r\na,b\r\n");
        assert!(body(vec![rows(), rows()]).await.is_err());
        assert!(body(Vec::new()).await.is_err());
    }

    #[test]
    fn a_table_has_its_header_also_without_rows() {
        let head = ReportHead {
            report: "fees".to_owned(),
            institution: "broker-a".to_owned(),
            height: 7,
            time: "2026-11-26T09:30:00Z".to_owned(),
            from: None,
            to: None,
        };
        let written = |rows: Vec<FeeRow>| {
            let mut out = Vec::new();
            table(&mut out, &head, rows.into_iter().map(Ok)).unwrap();
            String::from_utf8(out).unwrap()
        };
        let header = "day,cash,instrument,trades,fee,decimals,as_of_height,as_of_time\r\n";
        assert_eq!(written(Vec::new()), header);
        let row = FeeRow { day: "a \"day\", quoted".to_owned(), fee: "12".to_owned(), ..FeeRow::default() };
        let expected = format!("{header}\"a \"\"day\"\", quoted\",,,0,12,0,7,2026-11-26T09:30:00Z\r\n");
        assert_eq!(written(vec![row]), expected);
    }

    #[test]
    fn forms_are_json_or_a_table_as_csv() {
        let tables = TradesReport::TABLES;
        assert!(matches!(form(None, None, tables), Ok(Form::Json)));
        assert!(matches!(form(Some("csv"), None, tables), Ok(Form::Csv("trades"))));
        assert!(matches!(form(Some("csv"), Some("days"), tables), Ok(Form::Csv("days"))));
        assert!(form(Some("xml"), None, tables).is_err() && form(Some("csv"), Some("fees"), tables).is_err());
    }
}
