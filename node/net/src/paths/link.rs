//! One stream of a path: frames out by urgency, frames in, and the times between them.
//!
//! What keeps the other side informed is answered here, at once, without asking the rest: a request
//! is accepted, a ping is answered, and bytes that arrive are confirmed every so often. So a time
//! measured is the path's, not that of a busy node, and a slow transfer does not look like silence.

use std::{
    collections::{HashMap, VecDeque},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::frame::{Decoder, FILLER_BYTES_MAX, Frame, Hello, Malformed, RequestId};

/// Bytes received after which their number is said.
const HEARD_EVERY: u64 = 8 << 10;

/// With more of ours unconfirmed before it, a small frame measures our queue and not the path.
const LOADED_BYTES: u64 = 16 << 10;

/// Requests up to this length measure the round trip.
const SMALL_BYTES: u64 = 2 << 10;

/// Requests from this length on measure throughput.
const LARGE_BYTES: u64 = 16 << 10;

/// Frames encoded before they are written.
const WRITE_BYTES: usize = 16 << 10;

/// Control frames that may wait: an honest peer has never reason for as many.
const CONTROL_MAX: usize = 4096;

/// Answers that may wait for a peer that does not read them. More are dropped, to be asked for again.
const DATA_BYTES_MAX: usize = 72 << 20;

/// Things said that wait for the behaviour.
const SAID_MAX: usize = 64;

/// What the behaviour tells the handler.
#[derive(Debug)]
pub(crate) enum Say {
    /// Say it when the stream opens, and now if it is open.
    Hello(Hello),
    Frame(Frame),
    /// Filler of so many bytes.
    Train {
        nonce: u64,
        bytes: u64,
    },
}

impl From<Frame> for Say {
    fn from(frame: Frame) -> Self {
        Self::Frame(frame)
    }
}

/// What the handler tells the behaviour.
#[derive(Debug)]
pub(crate) enum Said {
    /// The peer's hello: the first makes the path usable.
    Hello(Hello),
    Request {
        id: RequestId,
        data: Arc<Vec<u8>>,
    },
    /// A request has arrived at the peer. With what that says of the path, if anything.
    Accepted {
        id: RequestId,
        sample: Option<Sample>,
    },
    Answer {
        id: RequestId,
        data: Arc<Vec<u8>>,
    },
    Refused {
        id: RequestId,
    },
    Pong {
        nonce: u64,
        sample: Option<Sample>,
    },
    Train {
        nonce: u64,
        sample: Option<Sample>,
    },
    /// The peer has received some of a long frame.
    Heard,
    /// The connection is of no more use as a path, and why.
    Failed(Failure),
}

/// Why a stream is of no more use.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The peer does not speak the protocol, on this connection.
    Unsupported,
    /// The peer said what cannot be.
    Malformed(Malformed),
    /// The stream broke.
    Io(io::Error),
}

/// What a frame and its confirmation say of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    RoundTrip(Duration),
    Transfer { bytes: u64, took: Duration },
}

/// Something sent whose confirmation is awaited.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    bytes: u64,
    is_loaded: bool,
    /// Bytes received until then.
    received: u64,
}

impl Sent {
    fn round_trip(self) -> Option<Sample> {
        (!self.is_loaded).then(|| Sample::RoundTrip(self.at.elapsed()))
    }

    fn sample(self) -> Option<Sample> {
        match self.bytes {
            ..SMALL_BYTES => self.round_trip(),
            LARGE_BYTES.. if !self.is_loaded => Some(Sample::Transfer { bytes: self.bytes, took: self.at.elapsed() }),
            _ => None,
        }
    }
}

/// The queues to one stream.
#[derive(Debug, Default)]
struct Queues {
    control: VecDeque<Frame>,
    data: VecDeque<Frame>,
    data_bytes: usize,
    filler: VecDeque<Frame>,
}

/// An open stream.
pub(super) struct Link<S> {
    stream: S,
    queues: Queues,
    /// The rest of a payload whose frame has begun.
    payload: Option<(Arc<Vec<u8>>, usize, usize)>,
    out: Vec<u8>,
    out_start: usize,
    needs_flush: bool,
    decoder: Decoder,
    is_greeted: bool,
    received: u64,
    received_said: u64,
    written: u64,
    confirmed: u64,
    pings: HashMap<u64, Sent>,
    requests: HashMap<RequestId, Sent>,
    train: Option<(u64, Sent, bool)>,
    said: VecDeque<Said>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(super) fn new(stream: S, hello: Hello) -> Self {
        let mut link = Self {
            stream,
            queues: Queues::default(),
            payload: None,
            out: Vec::new(),
            out_start: 0,
            needs_flush: false,
            decoder: Decoder::default(),
            is_greeted: false,
            received: 0,
            received_said: 0,
            written: 0,
            confirmed: 0,
            pings: HashMap::new(),
            requests: HashMap::new(),
            train: None,
            said: VecDeque::new(),
        };
        link.queues.control.push_back(Frame::Hello(hello));
        link
    }

    /// Queues what the behaviour wants said.
    pub(super) fn say(&mut self, say: Say) {
        match say {
            Say::Hello(hello) => self.queues.control.push_back(Frame::Hello(hello)),
            Say::Frame(frame) => match &frame {
                Frame::Request { data, .. } => {
                    self.queues.data_bytes = self.queues.data_bytes.saturating_add(data.len());
                    self.queues.data.push_back(frame);
                }
                Frame::Answer { data, .. } => {
                    let total = self.queues.data_bytes.saturating_add(data.len());
                    if total <= DATA_BYTES_MAX {
                        self.queues.data_bytes = total;
                        self.queues.data.push_back(frame);
                    }
                }
                _ => self.queues.control.push_back(frame),
            },
            Say::Train { nonce, bytes } => {
                let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
                while left > 0 {
                    let length = left.min(FILLER_BYTES_MAX);
                    left = left.saturating_sub(length);
                    self.queues.filler.push_back(Frame::Bulk { nonce, is_last: left == 0, length });
                }
            }
        }
    }

    /// Reads and writes as far as possible; what was said comes out one at a time.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Said, Failure>> {
        loop {
            if let Some(said) = self.said.pop_front() {
                return Poll::Ready(Ok(said));
            }
            let has_read = self.poll_read(context)?;
            self.poll_write(context).map_err(Failure::Io)?;
            if !has_read && self.said.is_empty() {
                return Poll::Pending;
            }
        }
    }

    /// Returns whether something was read, so that there may be more.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Result<bool, Failure> {
        let mut chunk = [0; 16 << 10];
        let count = match Pin::new(&mut self.stream).poll_read(context, &mut chunk) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(0)) => return Err(Failure::Io(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => return Err(Failure::Io(error)),
        };
        self.received = self.received.saturating_add(u64::try_from(count).unwrap_or(0));
        self.decoder.push(chunk.get(..count).unwrap_or_default());
        while let Some(frame) = self.decoder.next().map_err(Failure::Malformed)? {
            if let Some(said) = self.on_frame(frame).map_err(Failure::Malformed)? {
                self.said.push_back(said);
            }
        }
        if self.received.saturating_sub(self.received_said) >= HEARD_EVERY {
            self.received_said = self.received;
            // Only the latest number counts.
            self.queues.control.retain(|frame| !matches!(frame, Frame::Heard(_)));
            self.queues.control.push_back(Frame::Heard(self.received));
        }
        if self.queues.control.len() > CONTROL_MAX {
            return Err(Failure::Malformed(Malformed::Flood));
        }
        Ok(self.said.len() < SAID_MAX)
    }

    fn on_frame(&mut self, frame: Frame) -> Result<Option<Said>, Malformed> {
        if !self.is_greeted && !matches!(frame, Frame::Hello(_)) {
            return Err(Malformed::Early);
        }
        Ok(Some(match frame {
            Frame::Hello(hello) => {
                self.is_greeted = true;
                Said::Hello(hello)
            }
            Frame::Request { id, data } => {
                self.queues.control.push_back(Frame::Accepted(id));
                Said::Request { id, data }
            }
            Frame::Accepted(id) => {
                let sample = self.requests.remove(&id).and_then(Sent::sample);
                Said::Accepted { id, sample }
            }
            Frame::Answer { id, data } => {
                self.requests.remove(&id);
                Said::Answer { id, data }
            }
            Frame::Refused(id) => {
                self.requests.remove(&id);
                Said::Refused { id }
            }
            Frame::Ping(nonce) => {
                self.queues.control.push_back(Frame::Pong(nonce));
                return Ok(None);
            }
            Frame::Pong(nonce) => {
                // Behind much of the peer's it measures the peer's queue.
                let sample = self
                    .pings
                    .remove(&nonce)
                    .filter(|sent| self.received.saturating_sub(sent.received) < HEARD_EVERY)
                    .and_then(Sent::round_trip);
                Said::Pong { nonce, sample }
            }
            Frame::Bulk { nonce, is_last, .. } => {
                if is_last {
                    self.queues.control.push_back(Frame::BulkAck(nonce));
                }
                return Ok(None);
            }
            Frame::BulkAck(nonce) => {
                let train = self.train.take_if(|(awaited, ..)| *awaited == nonce);
                let sample = train
                    .filter(|(_, sent, is_mixed)| !is_mixed && !sent.is_loaded)
                    .map(|(_, sent, _)| Sample::Transfer { bytes: sent.bytes, took: sent.at.elapsed() });
                Said::Train { nonce, sample }
            }
            Frame::Heard(total) => {
                self.confirmed = self.confirmed.max(total.min(self.written));
                Said::Heard
            }
        }))
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        loop {
            self.fill();
            let pending = self.out.get(self.out_start..).unwrap_or_default();
            if pending.is_empty() {
                break;
            }
            match Pin::new(&mut self.stream).poll_write(context, pending) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.out_start = self.out_start.saturating_add(count);
                    self.needs_flush = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        if self.needs_flush && Pin::new(&mut self.stream).poll_flush(context)?.is_ready() {
            self.needs_flush = false;
        }
        Ok(())
    }

    /// Encodes the most urgent frames, if all that was encoded has been written.
    fn fill(&mut self) {
        if self.out_start < self.out.len() {
            return;
        }
        self.out.clear();
        self.out_start = 0;
        while self.out.len() < WRITE_BYTES {
            if let Some((payload, start, end)) = self.payload.take() {
                let stop = end.min(start.saturating_add(WRITE_BYTES));
                self.out.extend_from_slice(payload.get(start..stop).unwrap_or_default());
                if stop < end {
                    self.payload = Some((payload, stop, end));
                }
                continue;
            }
            let Some(frame) = self.next_frame() else { break };
            self.note_sent(&frame);
            let before = self.out.len();
            let payload = frame.encode(&mut self.out);
            let head = self.out.len().saturating_sub(before);
            let length = payload.as_ref().map_or(0, |(_, length)| *length);
            let total = u64::try_from(head.saturating_add(length)).unwrap_or(u64::MAX);
            self.written = self.written.saturating_add(total);
            self.payload = payload.filter(|_| length > 0).map(|(payload, length)| (payload, 0, length));
        }
    }

    fn next_frame(&mut self) -> Option<Frame> {
        if let Some(frame) = self.queues.control.pop_front() {
            return Some(frame);
        }
        if let Some(frame) = self.queues.data.pop_front() {
            if let Frame::Request { data, .. } | Frame::Answer { data, .. } = &frame {
                self.queues.data_bytes = self.queues.data_bytes.saturating_sub(data.len());
            }
            // A train that shares the path with data measures nothing.
            if let Some((_, _, is_mixed)) = &mut self.train {
                *is_mixed = true;
            }
            return Some(frame);
        }
        self.queues.filler.pop_front()
    }

    /// Starts the clock of what will be confirmed.
    fn note_sent(&mut self, frame: &Frame) {
        let is_loaded = self.written.saturating_sub(self.confirmed) >= LOADED_BYTES;
        let received = self.received;
        let sent =
            |bytes: usize| Sent { at: Instant::now(), bytes: u64::try_from(bytes).unwrap_or(0), is_loaded, received };
        match frame {
            Frame::Ping(nonce) => {
                self.pings.insert(*nonce, sent(0));
            }
            Frame::Request { id, data } => {
                self.requests.insert(*id, sent(data.len()));
            }
            Frame::Bulk { nonce, length, .. } => match &mut self.train {
                Some((running, train, _)) if running == nonce => {
                    train.bytes = train.bytes.saturating_add(u64::try_from(*length).unwrap_or(0));
                }
                _ => self.train = Some((*nonce, sent(*length), false)),
            },
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
