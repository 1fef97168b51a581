//! A CSV file with the columns `symbol,price,time` that others write. It is looked at again and again; a bad one changes
//! nothing, and what is wrong with it is logged once.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stemma_node_api::moment;
use tokio::sync::mpsc;

use super::board::AHEAD_MS_MAX;
use super::quote::QUOTES_MAX;
use super::{Quoted, QuotedError, Update};
use crate::clock::now_ms;
use crate::error::chain;

/// Largest price file, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// How long a changed file must stay the same before it is read: it may be in the middle of being written.
const SETTLE: Duration = Duration::from_millis(200);

/// Why a price file was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum CsvError {
    #[error("it cannot be read")]
    Read(#[source] std::io::Error),
    #[error("it is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    #[error("it is not CSV with the columns symbol, price, time")]
    Csv(#[source] ::csv::Error),
    #[error("line {line}")]
    Row {
        line: u64,
        #[source]
        source: QuotedError,
    },
    #[error("line {line}: {symbol}: the time {time} is more than 60 s ahead of this node's clock")]
    Ahead { line: u64, symbol: String, time: String },
    #[error("it has no prices")]
    Empty,
    #[error("it has more than {QUOTES_MAX} prices")]
    TooMany,
}

#[derive(serde::Deserialize)]
struct Row {
    symbol: String,
    price: String,
    time: String,
}

/// The prices that there are when the node starts.
pub(super) fn first(path: &Path, now_ms: u64) -> Vec<Quoted> {
    let read = read(path).and_then(|bytes| parse(&bytes, now_ms));
    read.inspect_err(|e| log(path, e)).unwrap_or_default()
}

/// Looks at the file for ever, or until nobody listens.
pub(super) async fn follow(path: PathBuf, poll: Duration, updates: mpsc::Sender<Update>) {
    // The file that was taken or found bad.
    let mut judged = None;
    let mut complaint = String::new();
    loop {
        tokio::time::sleep(poll).await;
        let found = settled(&path, judged).await;
        let parsed = match found {
            Ok(None) => continue,
            Ok(Some((digest, bytes))) => parse(&bytes, now_ms()).map(|prices| (digest, prices)).map_err(|e| {
                // A price that is ahead of the clock will not be for ever.
                judged = Some(digest).filter(|_| !matches!(e, CsvError::Ahead { .. }));
                e
            }),
            Err(e) => Err(e),
        };
        match parsed {
            Ok((digest, prices)) => {
                judged = Some(digest);
                complaint.clear();
                if updates.send(Update::Whole(prices)).await.is_err() {
                    return;
                }
            }
            Err(e) => {
                let said = chain(&e);
                if said != complaint {
                    log(&path, &e);
                    complaint = said;
                }
            }
        }
    }
}

fn log(path: &Path, e: &CsvError) {
    tracing::warn!(file = %path.display(), "the price file was not taken, prices stay as they are: {}", chain(e));
}

/// The file, where it is another than was judged and is not changing just now.
async fn settled(path: &Path, judged: Option<blake3::Hash>) -> Result<Option<(blake3::Hash, Vec<u8>)>, CsvError> {
    let once = read_beside(path).await?;
    let digest = blake3::hash(&once);
    if judged == Some(digest) {
        return Ok(None);
    }
    tokio::time::sleep(SETTLE).await;
    let again = read_beside(path).await?;
    Ok((once == again).then_some((digest, again)))
}

/// Reads where blocking harms nobody.
async fn read_beside(path: &Path) -> Result<Vec<u8>, CsvError> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read(&path)).await;
    read.unwrap_or_else(|stopped| Err(CsvError::Read(std::io::Error::other(stopped))))
}

fn read(path: &Path) -> Result<Vec<u8>, CsvError> {
    let file = std::fs::File::open(path).map_err(CsvError::Read)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).map_err(CsvError::Read)?;
    if bytes.len() as u64 > FILE_BYTES_MAX { Err(CsvError::TooLarge) } else { Ok(bytes) }
}

/// Reads a whole file; one bad line spoils it.
pub(super) fn parse(bytes: &[u8], now_ms: u64) -> Result<Vec<Quoted>, CsvError> {
    let mut reader = ::csv::Reader::from_reader(bytes);
    let header = reader.headers().map_err(CsvError::Csv)?.clone();
    let (mut prices, mut known) = (Vec::new(), BTreeSet::new());
    let mut record = ::csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(CsvError::Csv)? {
        let line = record.position().map_or(0, ::csv::Position::line);
        let row: Row = record.deserialize(Some(&header)).map_err(CsvError::Csv)?;
        let wrong = |source| CsvError::Row { line, source };
        let quoted = Quoted::read(&row.symbol, &row.price, &row.time).map_err(wrong)?;
        if quoted.quote.time_ms > now_ms.saturating_add(AHEAD_MS_MAX) {
            let time = moment::show(quoted.quote.time_ms);
            return Err(CsvError::Ahead { line, symbol: row.symbol, time });
        }
        if !known.insert(row.symbol.clone()) {
            return Err(wrong(QuotedError::Twice { symbol: row.symbol }));
        }
        prices.push(quoted);
        if prices.len() > QUOTES_MAX {
            return Err(CsvError::TooMany);
        }
    }
    // A file cut off before it was written is no reason to stop quoting everything.
    if prices.is_empty() { Err(CsvError::Empty) } else { Ok(prices) }
}
