//! Request and answer: protocol names, limits, and the frames on the wire.
//!
//! A frame is its length as four bytes, big-endian, and then that many bytes. A length over the
//! protocol's limit ends the stream before memory is taken for it, and memory grows only with the
//! bytes that have arrived.

use std::{io, sync::Arc, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{
    StreamProtocol,
    request_response::{Behaviour, Codec, Config, ProtocolSupport},
};

use super::{config::NetTimeouts, error::NetError};

const KIB: usize = 1024;
const MIB: usize = 1024 * 1024;

/// Memory taken for a frame before its bytes arrive.
const FIRST_CHUNK_BYTES: usize = 16 * KIB;

/// The protocols by which a node asks another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// A bank hands a trade to an institution. Up to 256 KiB each way.
    Trade,
    /// Catching up with blocks. Requests up to 1 MiB, answers up to 16 MiB.
    Sync,
    /// Entries by their ids. Requests up to 1 MiB, answers up to 16 MiB.
    Fetch,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Self; 3] = [Self::Trade, Self::Sync, Self::Fetch];

    /// Longest request in bytes.
    pub const fn request_bytes_max(self) -> usize {
        match self {
            Self::Trade => 256 * KIB,
            Self::Sync | Self::Fetch => MIB,
        }
    }

    /// Longest answer in bytes.
    pub const fn answer_bytes_max(self) -> usize {
        match self {
            Self::Trade => 256 * KIB,
            Self::Sync | Self::Fetch => 16 * MIB,
        }
    }

    pub(super) const fn timeout(self, timeouts: &NetTimeouts) -> Duration {
        match self {
            Self::Trade => timeouts.trade,
            Self::Sync => timeouts.sync,
            Self::Fetch => timeouts.fetch,
        }
    }
}

/// A protocol with a stream for each request: those for requests except trades, which have paths,
/// and the one for consensus messages, whose answers are empty and only say that the message has
/// been handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Lane {
    Sync,
    Fetch,
    Consensus,
}

impl Lane {
    pub(super) const ALL: [Self; 3] = [Self::Sync, Self::Fetch, Self::Consensus];

    /// The lane of a protocol; none for trades.
    pub(super) const fn of(protocol: Protocol) -> Option<Self> {
        match protocol {
            Protocol::Trade => None,
            Protocol::Sync => Some(Self::Sync),
            Protocol::Fetch => Some(Self::Fetch),
        }
    }

    /// The protocol that the node knows this lane by; none for consensus.
    pub(super) const fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Sync => Some(Protocol::Sync),
            Self::Fetch => Some(Protocol::Fetch),
            Self::Consensus => None,
        }
    }

    pub(super) const fn request_bytes_max(self) -> usize {
        match self.protocol() {
            Some(protocol) => protocol.request_bytes_max(),
            None => 4 * MIB,
        }
    }

    pub(super) const fn answer_bytes_max(self) -> usize {
        match self.protocol() {
            Some(protocol) => protocol.answer_bytes_max(),
            None => 0,
        }
    }

    /// Requests to one peer that are on their way at once; others wait here.
    pub(super) const fn window(self) -> usize {
        match self {
            Self::Consensus => 32,
            Self::Sync => 4,
            Self::Fetch => 8,
        }
    }

    pub(super) const fn timeout(self, timeouts: &NetTimeouts) -> Duration {
        match self.protocol() {
            Some(protocol) => protocol.timeout(timeouts),
            None => timeouts.consensus,
        }
    }

    /// Streams open on one connection: both windows, and half as much again for streams that one
    /// side has closed and the other not yet.
    const fn streams_max(self) -> usize {
        self.window().saturating_mul(3)
    }

    fn wire_name(self, network_tag: &str) -> Result<StreamProtocol, NetError> {
        let name = match self {
            Self::Sync => "sync",
            Self::Fetch => "fetch",
            Self::Consensus => "consensus",
        };
        StreamProtocol::try_from_owned(format!("/stemma/{network_tag}/{name}/1"))
            .map_err(|error| NetError::Build(error.to_string()))
    }
}

/// One protocol's behaviour.
pub(super) type Exchange = Behaviour<FrameCodec>;

/// Builds the behaviour of one lane.
pub(super) fn build(lane: Lane, network_tag: &str, timeouts: &NetTimeouts) -> Result<Exchange, NetError> {
    let config =
        Config::default().with_request_timeout(lane.timeout(timeouts)).with_max_concurrent_streams(lane.streams_max());
    let names = [(lane.wire_name(network_tag)?, ProtocolSupport::Full)];
    Ok(Behaviour::with_codec(FrameCodec { lane }, names, config))
}

/// Reads and writes the frames of one lane.
#[derive(Debug, Clone)]
pub(super) struct FrameCodec {
    lane: Lane,
}

impl Codec for FrameCodec {
    type Protocol = StreamProtocol;
    /// Shared, so that one consensus message to many peers is one copy.
    type Request = Arc<Vec<u8>>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Self::Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_frame(io, self.lane.request_bytes_max()).await.map(Arc::new)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_frame(io, self.lane.answer_bytes_max()).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Self::Request) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &request, self.lane.request_bytes_max()).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &response, self.lane.answer_bytes_max()).await
    }
}

async fn read_frame<T>(io: &mut T, limit: usize) -> io::Result<Vec<u8>>
where
    T: AsyncRead + Unpin + Send,
{
    let mut prefix = [0; 4];
    io.read_exact(&mut prefix).await?;
    let announced = u32::from_be_bytes(prefix);
    let length = usize::try_from(announced).unwrap_or(usize::MAX);
    if length > limit {
        return Err(over_limit(length, limit));
    }
    let mut frame = Vec::with_capacity(length.min(FIRST_CHUNK_BYTES));
    io.take(u64::from(announced)).read_to_end(&mut frame).await?;
    if frame.len() == length { Ok(frame) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

async fn write_frame<T>(io: &mut T, frame: &[u8], limit: usize) -> io::Result<()>
where
    T: AsyncWrite + Unpin + Send,
{
    let announced = match u32::try_from(frame.len()) {
        Ok(announced) if frame.len() <= limit => announced,
        _ => return Err(over_limit(frame.len(), limit)),
    };
    io.write_all(&announced.to_be_bytes()).await?;
    io.write_all(frame).await?;
    io.flush().await
}

/// The only source of this kind of error in this file: [`io::ErrorKind::InvalidData`].
fn over_limit(length: usize, limit: usize) -> io::Error {
    let text = format!("a frame of {length} bytes is over the limit of {limit}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests {
    use futures::io::Cursor;

    use super::*;

    async fn read(bytes: &[u8], limit: usize) -> io::Result<Vec<u8>> {
        read_frame(&mut Cursor::new(bytes), limit).await
    }

    #[tokio::test]
    async fn frames_come_back_up_to_the_limit() {
        for length in [0, 1, 999, 1000] {
            let frame = vec![7; length];
            let mut wire = Cursor::new(Vec::new());
            write_frame(&mut wire, &frame, 1000).await.unwrap();
            assert_eq!(read(wire.get_ref(), 1000).await.unwrap(), frame);
            assert!(length == 0 || read(wire.get_ref(), length - 1).await.is_err());
        }
        let mut wire = Cursor::new(Vec::new());
        assert!(write_frame(&mut wire, &[7; 1001], 1000).await.is_err());
        assert!(wire.get_ref().is_empty());
    }

    #[tokio::test]
    async fn a_length_over_the_limit_is_refused_before_its_bytes() {
        let error = read(&u32::MAX.to_be_bytes(), 16 * MIB).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_cut_frame_is_refused() {
        for bytes in [&b""[..], &[0, 0, 0], &[0, 0, 0, 2, 1]] {
            let error = read(bytes, 10).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
