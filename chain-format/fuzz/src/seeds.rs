//! What a target starts from: made from the golden vectors when it is started.

use std::fs;
use std::path::Path;

use stemma_chain_format::cbor;
use stemma_chain_format::certificate::{CertifiedHeader, Vote};
use stemma_chain_format::hash::Digest;
use stemma_chain_format::keys::Signature;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::snapshot::{Item, Manifest};
use stemma_consensus::codec::{ConsensusMessage, SignedProposal, SignedVote};
use stemma_consensus::evidence::Evidence;
use stemma_consensus::proposal::Proposal;
use stemma_consensus::sync::{EntryBytes, SyncedBlock};
use stemma_consensus::wal;

use crate::blocks::LAST;
use crate::known::{KNOWN, Known};
use crate::mutate;

/// Writes a target's seeds into its corpus, which is where `cargo fuzz` and `run` look; one of them at least must come to all that is
/// checked, else a target would check nothing and nobody notice.
///
/// # Panics
/// Where files cannot be written, or no seed is good.
pub fn write(target: &str, check: fn(&[u8]) -> bool) {
    mutate::check();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder for the corpus");
    let seeds = of(target);
    assert!(seeds.iter().any(|seed| check(seed)), "no seed of {target} is read");
    for seed in seeds {
        fs::write(folder.join(format!("seed-{}", Digest::of(&seed))), seed).expect("a file in the corpus");
    }
}

/// A target's seeds.
///
/// # Panics
/// Where there is no such target.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let known = &*KNOWN;
    let vectors = |records: &[&str]| -> Vec<Vec<u8>> {
        known.of(|record| records.contains(&record)).map(<[u8]>::to_vec).collect()
    };
    let entries = || known.blocks.iter().flat_map(|(_, entries)| entries);
    match target {
        "entry" => [vectors(&["entry"]), entries().map(|entry| entry.encode()).collect()].concat(),
        "record" => {
            let others =
                ["entry", "genesis", "bundle", "block", "certified-header", "vote", "account-state", "position"];
            let signed = known.of(|record| !others.contains(&record) && !record.ends_with("-proof"));
            let stages = entries().flat_map(|entry| entry.stages().into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
            signed.map(<[u8]>::to_vec).chain(stages).collect()
        }
        "genesis" => vectors(&["genesis"]),
        "block" => {
            let headers = known.blocks.iter().map(|(block, _)| cbor::encode(&block.header));
            [vectors(&["block", "certified-header", "vote"]), headers.collect()].concat()
        }
        "bundle" | "form" => vectors(&["bundle"]),
        "leaf" => vectors(&["account-state", "position", "sparse-proof"]),
        "snapshot" => snapshots(known),
        "message" => messages(known),
        "text" => texts(known),
        "amount" => vec![vec![0; 43], (0..43).collect(), vec![0xff; 43]],
        other => panic!("no target {other}"),
    }
}

/// The whole state in one part, and the manifest that names it.
fn snapshots(known: &Known) -> Vec<Vec<u8>> {
    let ledger = known.ledger();
    let accounts = ledger.accounts().map(|account| {
        let before = known.digest_before_waiting(&account.state.account);
        Item::Account(account.state.clone(), before, account.inbox.iter().cloned().collect())
    });
    let positions = ledger.positions().map(|(key, position)| Item::Position(*key, position.clone()));
    let entry = |link| known.blocks.iter().flat_map(|(_, entries)| entries).find(|entry| entry.id() == link);
    let listings = ledger.listings().filter_map(|listed| entry(listed.link));
    let listings = listings.map(|entry| Item::Listing(entry.encode().into()));
    let items: Vec<Item> = accounts.chain(positions).chain(listings).collect();
    let part = cbor::encode(&items);
    let head = LAST.clone();
    let manifest =
        Manifest { head: head.checkpoint, trust: head.trust, parts: vec![Digest::of(&part)], bytes: part.len() as u64 };
    let alone = items.into_iter().map(|item| cbor::encode(&vec![item]));
    alone.chain([part, cbor::encode(&manifest)]).collect()
}

fn messages(known: &Known) -> Vec<Vec<u8>> {
    let votes = known.vectors.iter().filter(|vector| vector.record == "vote").map(|vector| {
        let vote: Vote = cbor::decode(&vector.bytes, "vote", 4096).unwrap();
        let signature = hex::decode(&vector.with["signature"]).unwrap();
        SignedVote { vote, signature: Signature(signature.try_into().unwrap()) }
    });
    let votes: Vec<SignedVote> = votes.collect();
    let headers = known.of(|record| record == "certified-header");
    let certified =
        headers.map(|bytes| cbor::decode::<CertifiedHeader>(bytes, "header", 1 << 20).unwrap()).next().unwrap();
    let id = certified.header.id();
    let (block, entries) = known.blocks.iter().find(|(block, _)| block.id() == id).unwrap();
    let header = &block.header;
    let proposal = Proposal {
        network: header.network,
        height: header.height,
        round: 0,
        pol_round: None,
        block: id,
        proposer: header.proposer.clone(),
    };
    let validators = Registry::from_genesis(&known.genesis).validators();
    let key = validators.iter().find(|validator| validator.id == proposal.proposer).unwrap().key;
    let signature = proposal.sign(&known.keys[&key]);
    let proposal = SignedProposal { proposal, signature };
    let entries = entries.iter().map(|entry| EntryBytes(entry.encode())).collect();
    let synced = SyncedBlock { block: block.clone(), certificate: certified.certificate, entries };
    let mut seeds: Vec<Vec<u8>> = votes
        .iter()
        .flat_map(|vote| [ConsensusMessage::Vote(vote.clone()).encode(), wal::Entry::Vote(vote.clone()).encode()])
        .collect();
    seeds.extend([
        ConsensusMessage::Proposal(proposal.clone(), block.clone()).encode(),
        wal::Entry::Block(block.clone()).encode(),
        wal::Entry::Proposal(proposal.clone()).encode(),
        wal::Entry::Timeout(wal::Step::Prevote, 3).encode(),
        Evidence::votes(votes[0].clone(), votes[1].clone()).encode(),
        Evidence::proposals(proposal.clone(), proposal).encode(),
        synced.encode(),
    ]);
    seeds
}

fn texts(known: &Known) -> Vec<Vec<u8>> {
    let referrals = known.vectors.iter().filter_map(|vector| vector.with.get("text").cloned());
    let members = known.genesis.genesis().members.iter().map(|member| member.id.to_string());
    let instruments = known.ledger().listings().map(|listed| listed.listing.instrument.to_string());
    let keys = known.keys.keys().map(ToString::to_string);
    let others = [
        "-1250",
        "0",
        "79228162514264337593543950336",
        "12.34",
        "-0.01",
        "25.94",
        "0.000000000001",
        "US0378331005",
        "bank",
        "institution",
        "auditor",
        "validator",
        "currency",
        "future",
        "price-outside-limit",
    ];
    let others = others.map(str::to_owned);
    referrals.chain(members).chain(instruments).chain(keys).chain(others).map(String::into_bytes).collect()
}
