//! Server-sent events of orders, read as they come.

use crate::client::ClientError;
use crate::types::RequestView;

/// Longest event, in bytes.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// The changes of one order, or of an account's.
pub struct OrderEvents {
    url: String,
    answer: reqwest::Response,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for OrderEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrderEvents").field("url", &self.url).finish_non_exhaustive()
    }
}

impl OrderEvents {
    pub(crate) fn new(url: String, answer: reqwest::Response) -> Self {
        Self { url, answer, buffer: Vec::new() }
    }

    /// The next change; none where the stream has ended.
    ///
    /// # Errors
    /// [`ClientError`]: the connection broke, or what came is no event of an order.
    pub async fn next(&mut self) -> Result<Option<RequestView>, ClientError> {
        loop {
            if let Some(event) = self.take_event() {
                match data_of(&event) {
                    Some(data) => return self.parse(&data).map(Some),
                    // A comment keeps the connection alive.
                    None => continue,
                }
            }
            let more = self.answer.chunk().await;
            match more.map_err(|source| ClientError::Unreachable { url: self.url.clone(), source })? {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => return Ok(None),
            }
            if self.buffer.len() > EVENT_BYTES_MAX {
                return Err(self.unexpected("an event without an end".to_owned()));
            }
        }
    }

    /// Takes what stands before an empty line out of the buffer.
    fn take_event(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let rest = self.buffer.split_off(end.saturating_add(2));
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    fn parse(&self, data: &str) -> Result<RequestView, ClientError> {
        serde_json::from_str(data).map_err(|e| self.unexpected(e.to_string()))
    }

    fn unexpected(&self, reason: String) -> ClientError {
        ClientError::Unexpected { url: self.url.clone(), reason }
    }
}

/// The data of an event, its lines joined.
fn data_of(event: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(event);
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
    if lines.is_empty() { None } else { Some(lines.join("\n")) }
}
