//! A collector of traces: takes OTLP over HTTP, as protobuf, and keeps the spans.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One span, as far as tests ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanSeen {
    /// The member that sent it (`service.instance.id`).
    pub member: String,
    /// Lowercase hexadecimal.
    pub trace: String,
    /// Lowercase hexadecimal.
    pub id: String,
    /// Lowercase hexadecimal; empty for a root.
    pub parent: String,
    /// What it is called.
    pub name: String,
    /// When it began and ended, in Unix nanoseconds.
    pub times: (u64, u64),
}

/// A collector on a port of its own, until the test ends.
#[derive(Debug)]
pub struct Collector {
    url: String,
    seen: Arc<Mutex<Vec<SpanSeen>>>,
}

impl Collector {
    /// Listens.
    ///
    /// # Panics
    /// It can't.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<SpanSeen>>> = Arc::default();
        let kept = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&kept)));
            }
        });
        Self { url, seen }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All spans so far.
    ///
    /// # Panics
    /// The collector panicked.
    #[must_use]
    pub fn spans(&self) -> Vec<SpanSeen> {
        self.seen.lock().unwrap().clone()
    }
}

/// Answers calls on one connection until it is closed.
async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<SpanSeen>>>) {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            assert!(head.starts_with("post /v1/traces "), "{head}");
            assert!(head.contains("content-type: application/x-protobuf"), "{head}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let (from, length) = (end + 4, length.trim().parse::<usize>().unwrap());
            if bytes.len() >= from + length {
                take(&bytes[from..from + length], &seen);
                bytes.drain(..from + length);
                let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
                continue;
            }
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Keeps the spans of an `ExportTraceServiceRequest`.
fn take(request: &[u8], seen: &Mutex<Vec<SpanSeen>>) {
    for of_resource in messages(request, 1) {
        let resource = messages(&of_resource, 1).concat();
        let attributes: BTreeMap<String, String> = messages(&resource, 1)
            .iter()
            .map(|pair| (text(&messages(pair, 1)), text(&messages(&messages(pair, 2).concat(), 1))))
            .collect();
        for span in messages(&of_resource, 2).iter().flat_map(|scope| messages(scope, 2)) {
            let hex = |field| hex(&messages(&span, field).concat());
            let time = |field| u64::from_le_bytes(messages(&span, field).concat().try_into().unwrap());
            seen.lock().unwrap().push(SpanSeen {
                member: attributes["service.instance.id"].clone(),
                trace: hex(1),
                id: hex(2),
                parent: hex(4),
                name: text(&messages(&span, 5)),
                times: (time(7), time(8)),
            });
        }
    }
}

fn text(pieces: &[Vec<u8>]) -> String {
    String::from_utf8(pieces.concat()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The contents of a message's fields of one number: bytes of a length, or eight bytes of a fixed number.
fn messages(mut bytes: &[u8], number: u64) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => {
                varint(&mut bytes);
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).unwrap(),
            5 => 4,
            other => panic!("a field of kind {other}"),
        };
        let (content, rest) = bytes.split_at(length);
        if tag >> 3 == number {
            found.push(content.to_vec());
        }
        bytes = rest;
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
