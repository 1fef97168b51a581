//! The frames of a path: their form on the wire and their limits.
//!
//! A frame is the length of what follows as four bytes, big-endian, a byte for its kind, and a body.
//! A length that does not fit the kind ends the connection before memory is taken for it.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use super::super::exchange::Protocol;

/// Longest announcement in bytes.
pub(crate) const ANNOUNCEMENT_BYTES_MAX: usize = 4096;

/// Longest name of a path in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 64;

/// Filler in one frame: more would make a request that comes meanwhile wait.
pub(super) const FILLER_BYTES_MAX: usize = 16 << 10;

const HEADER_BYTES: usize = 5;
const ID_BYTES: usize = 16;

static FILLER: LazyLock<Arc<Vec<u8>>> = LazyLock::new(|| Arc::new(vec![0; FILLER_BYTES_MAX]));

/// A request's name, random: the same on every path that it is sent on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestId(pub(super) [u8; ID_BYTES]);

impl RequestId {
    /// A new one; none if the system has no random numbers.
    pub(super) fn random() -> Option<Self> {
        let mut id = [0; ID_BYTES];
        getrandom::fill(&mut id).ok()?;
        Some(Self(id))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// What each side says first, and on a main connection again when its announcement has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hello {
    /// Whether this is a path connection, which both sides must agree on.
    pub(super) is_path: bool,
    /// The path's name as its dialler calls it.
    pub(super) name: String,
    pub(super) announcement: Vec<u8>,
}

/// One frame. Payloads are shared, so that sending one again is no copy.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Hello(Hello),
    Request {
        id: RequestId,
        data: Arc<Vec<u8>>,
    },
    Accepted(RequestId),
    Answer {
        id: RequestId,
        data: Arc<Vec<u8>>,
    },
    Refused(RequestId),
    Ping(u64),
    Pong(u64),
    Bulk {
        nonce: u64,
        is_last: bool,
        length: usize,
    },
    BulkAck(u64),
    /// How many bytes have been received on this stream, said now and then while they arrive.
    Heard(u64),
}

/// Why a frame cannot be: the peer's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a frame of unknown kind {0}")]
    Kind(u8),
    #[error("a frame of kind {kind} has {length} bytes")]
    Length { kind: u8, length: usize },
    #[error("a hello that cannot be read")]
    Hello,
    #[error("something else came before the hello")]
    Early,
    #[error("more control frames than an honest peer has reason for")]
    Flood,
}

impl Frame {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => 1,
            Self::Request { .. } => 2,
            Self::Accepted(_) => 3,
            Self::Answer { .. } => 4,
            Self::Refused(_) => 5,
            Self::Ping(_) => 6,
            Self::Pong(_) => 7,
            Self::Bulk { .. } => 8,
            Self::BulkAck(_) => 9,
            Self::Heard(_) => 10,
        }
    }

    /// Appends the frame up to its payload, and returns the payload with the bytes of it to send.
    pub(super) fn encode(&self, out: &mut Vec<u8>) -> Option<(Arc<Vec<u8>>, usize)> {
        let mut body = Vec::with_capacity(32);
        let payload = match self {
            Self::Hello(hello) => {
                body.push(u8::from(hello.is_path));
                let name: Vec<u8> = hello.name.bytes().take(NAME_BYTES_MAX).collect();
                body.push(u8::try_from(name.len()).unwrap_or(0));
                body.extend_from_slice(&name);
                body.extend(hello.announcement.iter().take(ANNOUNCEMENT_BYTES_MAX));
                None
            }
            Self::Request { id, data } | Self::Answer { id, data } => {
                body.extend_from_slice(&id.0);
                Some((Arc::clone(data), data.len()))
            }
            Self::Accepted(id) | Self::Refused(id) => {
                body.extend_from_slice(&id.0);
                None
            }
            Self::Ping(number) | Self::Pong(number) | Self::BulkAck(number) | Self::Heard(number) => {
                body.extend_from_slice(&number.to_be_bytes());
                None
            }
            Self::Bulk { nonce, is_last, length } => {
                body.extend_from_slice(&nonce.to_be_bytes());
                body.push(u8::from(*is_last));
                Some((Arc::clone(&FILLER), (*length).min(FILLER_BYTES_MAX)))
            }
        };
        let length = body.len().saturating_add(payload.as_ref().map_or(0, |(_, length)| *length)).saturating_add(1);
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        out.push(self.kind());
        out.extend_from_slice(&body);
        payload
    }

    fn decode(kind: u8, body: &[u8]) -> Result<Self, Malformed> {
        let length = Malformed::Length { kind, length: body.len() };
        let number = || body.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)).ok_or(length);
        let id = || body.first_chunk().map(|bytes| RequestId(*bytes)).ok_or(length);
        let data = || Arc::new(body.get(ID_BYTES..).unwrap_or_default().to_vec());
        Ok(match kind {
            1 => Self::Hello(decode_hello(body).ok_or(Malformed::Hello)?),
            2 => Self::Request { id: id()?, data: data() },
            3 => Self::Accepted(id()?),
            4 => Self::Answer { id: id()?, data: data() },
            5 => Self::Refused(id()?),
            6 => Self::Ping(number()?),
            7 => Self::Pong(number()?),
            8 => {
                let is_last = body.get(8) == Some(&1);
                Self::Bulk { nonce: number()?, is_last, length: body.len().saturating_sub(9) }
            }
            9 => Self::BulkAck(number()?),
            10 => Self::Heard(number()?),
            _ => return Err(Malformed::Kind(kind)),
        })
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { id, data } => write!(f, "Request({id:?}, {} bytes)", data.len()),
            Self::Answer { id, data } => write!(f, "Answer({id:?}, {} bytes)", data.len()),
            Self::Hello(hello) => write!(f, "{hello:?}"),
            other => write!(f, "frame of kind {}", other.kind()),
        }
    }
}

fn decode_hello(body: &[u8]) -> Option<Hello> {
    let (role, rest) = body.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (name, announcement) = rest.split_at_checked(usize::from(*length))?;
    if *role > 1 || name.len() > NAME_BYTES_MAX || announcement.len() > ANNOUNCEMENT_BYTES_MAX {
        return None;
    }
    let name = String::from_utf8(name.to_vec()).ok()?;
    Some(Hello { is_path: *role == 1, name, announcement: announcement.to_vec() })
}

/// Fewest and most bytes of a body of this kind.
fn body_bytes(kind: u8) -> Option<(usize, usize)> {
    let data = |most: usize| (ID_BYTES, most.saturating_add(ID_BYTES));
    Some(match kind {
        1 => (2, ANNOUNCEMENT_BYTES_MAX.saturating_add(NAME_BYTES_MAX).saturating_add(2)),
        2 => data(Protocol::Trade.request_bytes_max()),
        4 => data(Protocol::Trade.answer_bytes_max()),
        3 | 5 => (ID_BYTES, ID_BYTES),
        6 | 7 | 9 | 10 => (8, 8),
        8 => (9, FILLER_BYTES_MAX.saturating_add(9)),
        _ => return None,
    })
}

/// Cuts what arrives into frames. Holds at most one frame and what came with its end.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// Takes bytes that have arrived; call [`Self::next`] until it has none.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start.min(self.buffer.len()));
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    pub(super) fn next(&mut self) -> Result<Option<Frame>, Malformed> {
        let pending = self.buffer.get(self.start..).unwrap_or_default();
        let Some(([a, b, c, d, kind], rest)) = pending.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let announced = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        let length = announced.saturating_sub(1);
        let (least, most) = body_bytes(*kind).ok_or(Malformed::Kind(*kind))?;
        if announced == 0 || length < least || length > most {
            return Err(Malformed::Length { kind: *kind, length });
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let frame = Frame::decode(*kind, body)?;
        self.start = self.start.saturating_add(HEADER_BYTES).saturating_add(length);
        Ok(Some(frame))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "tests may panic")]
mod tests {
    use super::*;

    fn bytes(frame: &Frame) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some((payload, length)) = frame.encode(&mut out) {
            out.extend_from_slice(&payload[..length]);
        }
        out
    }

    fn frames() -> Vec<Frame> {
        let id = RequestId([7; 16]);
        let hello = Hello { is_path: true, name: "fast".into(), announcement: vec![1; ANNOUNCEMENT_BYTES_MAX] };
        vec![
            Frame::Hello(hello),
            Frame::Hello(Hello::default()),
            Frame::Request { id, data: Arc::new(vec![3; Protocol::Trade.request_bytes_max()]) },
            Frame::Request { id, data: Arc::default() },
            Frame::Accepted(id),
            Frame::Answer { id, data: Arc::new(vec![4; 5]) },
            Frame::Refused(id),
            Frame::Ping(1),
            Frame::Pong(u64::MAX),
            Frame::Bulk { nonce: 3, is_last: false, length: FILLER_BYTES_MAX },
            Frame::Bulk { nonce: 3, is_last: true, length: 1 },
            Frame::BulkAck(3),
            Frame::Heard(8),
        ]
    }

    #[test]
    fn frames_come_back_however_they_are_cut() {
        let wire: Vec<u8> = frames().iter().flat_map(bytes).collect();
        for chunk in [1, 7, 16 << 10, wire.len()] {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for piece in wire.chunks(chunk) {
                decoder.push(piece);
                while let Some(frame) = decoder.next().unwrap() {
                    seen.push(frame);
                }
            }
            assert_eq!(seen, frames());
        }
    }

    #[test]
    fn what_is_too_long_or_short_is_refused_by_its_header() {
        for frame in frames() {
            let kind = frame.kind();
            let (least, most) = body_bytes(kind).unwrap();
            for body in [least.checked_sub(1), Some(most + 1), Some(u32::MAX as usize - 1)].into_iter().flatten() {
                let mut decoder = Decoder::default();
                decoder.push(&u32::try_from(body + 1).unwrap().to_be_bytes());
                decoder.push(&[kind]);
                assert_eq!(decoder.next(), Err(Malformed::Length { kind, length: body }));
            }
        }
        let mut decoder = Decoder::default();
        decoder.push(&[0, 0, 0, 1, 99]);
        assert_eq!(decoder.next(), Err(Malformed::Kind(99)));
    }

    #[test]
    fn a_hello_that_is_cut_or_not_text_is_refused() {
        for body in [&[0, 3, b'a'][..], &[2, 0], &[0, 1, 0xff], &[1, 65]] {
            let mut decoder = Decoder::default();
            decoder.push(&u32::try_from(body.len() + 1).unwrap().to_be_bytes());
            decoder.push(&[1]);
            decoder.push(body);
            assert_eq!(decoder.next(), Err(Malformed::Hello));
        }
    }
}
