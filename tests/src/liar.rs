//! A node that lies: it answers what an honest one answers, but for one block, of which it shows another that most validators signed.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use stemma_chain_format::bundle::{Bundle, Element};
use stemma_chain_format::certificate::{Certificate, Precommit};
use stemma_chain_format::chain::{Chain, Entry};
use stemma_chain_format::hash::Link;
use stemma_chain_format::header::entries_root;
use stemma_chain_format::record::Signed;
use tokio::runtime::Handle;

use crate::keys::{member_key, validator_key};
use crate::network::Network;

/// A lying node.
#[derive(Debug)]
pub struct Liar {
    /// Its address.
    pub url: String,
}

/// What it shows instead of a block.
struct Lie {
    honest: String,
    height: u64,
    block: String,
    bundle: Vec<u8>,
}

/// Another block than the one that a bundle proves: later by a moment, one chain executed otherwise by the institution itself, and all
/// of it signed by some validators.
///
/// # Panics
/// The bundle proves no block with a chain in it.
#[must_use]
pub fn forged(network: &Network, honest: &[u8], signers: &[&str]) -> Bundle {
    let mut bundle = Bundle::decode(honest).unwrap();
    let mut entries: Vec<Entry> = bundle.elements.iter().map(entry).collect();
    let chain = entries.iter_mut().find_map(|entry| if let Entry::Chain(chain) = entry { Some(chain) } else { None });
    executed_again(network, chain.unwrap());
    bundle.elements = entries.iter().map(|entry| Element::InBlock(entry.encode().into())).collect();
    let checkpoint = &mut bundle.head.checkpoint;
    checkpoint.header.time_ms += 1;
    checkpoint.header.entries_root = entries_root(&entries.iter().map(Entry::id).collect::<Vec<Link>>());
    let (height, block) = (checkpoint.header.height, checkpoint.header.id());
    let mut certificate = Certificate { height, round: 0, block, signatures: Vec::new() };
    for signer in signers {
        let validator = signer.parse().unwrap();
        let vote = certificate.precommit(checkpoint.header.network, &validator);
        let signature = vote.sign(&validator_key(&network.home(signer)));
        certificate.signatures.push(Precommit { validator, signature });
    }
    checkpoint.certificate = certificate;
    bundle
}

fn entry(element: &Element) -> Entry {
    let Element::InBlock(bytes) = element else { panic!("{element:?}") };
    Entry::decode(bytes).unwrap()
}

fn executed_again(network: &Network, chain: &mut Chain) {
    let mut record = chain.execution.record().clone();
    record.executed_ms += 1;
    let key = member_key(&network.home(record.institution.as_str()));
    chain.execution = Signed::sign(record, &key).unwrap();
}

impl Liar {
    /// Begins to lie about one block, and answers all else as the honest node does.
    ///
    /// # Panics
    /// There is no port.
    #[must_use]
    pub fn start(honest: &str, forged: &Bundle) -> Self {
        let header = &forged.head.checkpoint.header;
        let lie = Lie {
            honest: honest.to_owned(),
            height: header.height,
            block: header.id().to_string(),
            bundle: forged.encode(),
        };
        let (lie, listener) = (Arc::new(lie), TcpListener::bind("127.0.0.1:0").unwrap());
        let url = format!("http://{}", listener.local_addr().unwrap());
        let runtime = Handle::current();
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (lie, runtime) = (Arc::clone(&lie), runtime.clone());
                thread::spawn(move || answer(&lie, &runtime, stream));
            }
        });
        Self { url }
    }
}

/// Answers one call; whoever called may be gone.
fn answer(lie: &Lie, runtime: &Handle, mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
    let path = first.split(' ').nth(1).unwrap_or("/").to_owned();
    let about = format!("/v1/blocks/{}", lie.height);
    let (status, body) = if path == format!("{about}/bundle") {
        (200, lie.bundle.clone())
    } else {
        let (status, body) = runtime.block_on(async {
            let answer = reqwest::get(format!("{}{path}", lie.honest)).await.unwrap();
            (answer.status().as_u16(), answer.bytes().await.unwrap().to_vec())
        });
        if path == about {
            let mut view: serde_json::Value = serde_json::from_slice(&body).unwrap();
            view["block"] = lie.block.clone().into();
            (status, view.to_string().into_bytes())
        } else {
            (status, body)
        }
    };
    let head = format!("HTTP/1.1 {status} told\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _gone = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}
