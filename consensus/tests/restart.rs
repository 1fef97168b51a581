//! Restarts: what the log makes of itself, whole, cut short, damaged, or newer than the ledger.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests fail by panicking"
)]

mod sim;

use std::collections::BTreeMap;

use sim::app::TinyLedger;
use sim::genesis::{id, registry};
use sim::log::MemoryLog;
use sim::solo::{NOW_MS, Solo, chain, proposal, vote};
use sim::{Options, World};
use stemma_chain_format::certificate::VoteKind::{self, Precommit, Prevote};
use stemma_chain_format::hash::Digest;
use stemma_chain_format::registry::Registry;
use stemma_consensus::codec::{ConsensusMessage, SignedVote};
use stemma_consensus::config::Config;
use stemma_consensus::engine::{Effect, Input, TimerId};
use stemma_consensus::error::EngineError;
use stemma_consensus::guard::{SignedKind, SignedMark};
use stemma_consensus::ports::Application;
use stemma_consensus::recall::{Recall, Recalled};
use stemma_consensus::wal::{Entry, Step};

type Marks = BTreeMap<(u64, u32, SignedKind), Digest>;

fn marks(entries: &[(u64, Vec<u8>)]) -> Marks {
    let mark = |(_, bytes): &(u64, Vec<u8>)| match Entry::decode(bytes) {
        Ok(Entry::Signed(m)) => Some(((m.height, m.round, m.kind), m.digest)),
        _ => None,
    };
    entries.iter().filter_map(mark).collect()
}

fn assert_agrees(known: &Marks, signed: &[SignedMark], place: &str) {
    for m in signed {
        let earlier = known.get(&(m.height, m.round, m.kind));
        assert!(earlier.is_none_or(|e| *e == m.digest), "{place}: {m:?} contradicts the log");
    }
}

/// Logs and ledgers as they lie on disk in the middle of a troubled run.
fn snapshots() -> Vec<(usize, TinyLedger, MemoryLog)> {
    let options = Options { loss_percent: 25, delay_ms_max: 300, heal_ms: u64::MAX, ..Options::calm(4, 77) };
    let mut world = World::new(options);
    let mut snapshots = Vec::new();
    for turn in 0..4_000_usize {
        world.step();
        if turn % 61 == 0 {
            let node = (turn / 61) % 4;
            let n = &world.nodes[node];
            if n.log.durable.len() > 4 {
                snapshots.push((node, n.ledger.clone(), n.log.clone()));
            }
        }
    }
    assert!(snapshots.len() > 20);
    snapshots
}

#[test]
fn every_prefix_of_a_log_starts_and_contradicts_nothing() {
    let mut resent = 0;
    for (node, ledger, log) in snapshots() {
        for length in 0..=log.durable.len() {
            let durable = log.durable[..length].to_vec();
            let known = marks(&durable);
            let cut = MemoryLog::holding(durable);
            let (solo, effects) = Solo::start(ledger.clone(), cut, node);
            let signed = solo.signed(&effects);
            resent += signed.len();
            assert_agrees(&known, &signed, &format!("node {node}, {length} entries"));
            assert_eq!(solo.engine.core_faults(), 0);
        }
    }
    assert!(resent > 100, "a restarted validator sends its votes again: {resent}");
}

#[test]
fn a_damaged_entry_is_refused_or_harmless() {
    let (mut refused, mut went_on) = (0, 0);
    for (node, ledger, log) in snapshots().into_iter().step_by(6) {
        let known = marks(&log.durable);
        for at in 0..log.durable.len() {
            for byte in (0..log.durable[at].1.len()).step_by(7) {
                let mut durable = log.durable.clone();
                durable[at].1[byte] ^= 1 << (byte % 8);
                let damaged = MemoryLog::holding(durable);
                let (solo, started) = Solo::try_start(ledger.clone(), damaged, node, Config::default());
                match started {
                    Ok(effects) => {
                        went_on += 1;
                        let place = format!("node {node}, entry {at}, byte {byte}");
                        assert_agrees(&known, &solo.signed(&effects), &place);
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(refused > 0 && went_on > 0, "{refused} refused, {went_on} went on");
}

#[test]
fn a_second_restart_finds_what_the_first_one_signed() {
    for (node, ledger, log) in snapshots() {
        let (first, sent) = Solo::start(ledger.clone(), log, node);
        let (second, again) = Solo::start(ledger, first.log.clone(), node);
        assert_eq!(first.signed(&sent), second.signed(&again));
    }
}

/// Height 1 of four validators, led by node 1; node 0 has everything but one precommit.
fn nearly_decided() -> (Solo, stemma_chain_format::header::Block) {
    let mut solo = Solo::fresh(0);
    let registry = solo.ledger.registry().clone();
    let entry = b"an entry".to_vec();
    let mut leader = TinyLedger::new(registry.clone());
    leader.add(entry.clone());
    let block = leader.propose(&id(1), NOW_MS);
    let at = (1, 0);
    let effects = solo.hear(1, &proposal(&registry, 1, 0, &block));
    let asks = Effect::FetchEntries { ids: block.entries.clone(), from: id(1) };
    assert!(effects.contains(&asks), "{effects:?}");
    assert_eq!(solo.votes(&effects), [], "no vote on a block whose entries are not here");
    solo.ledger.add(entry);
    let effects = solo.input(Input::EntriesArrived);
    assert_eq!(solo.votes(&effects), [(Prevote, Some(block.id()))]);
    for by in [1, 2] {
        solo.hear(by, &vote(&registry, by, at, Prevote, Some(block.id())));
    }
    solo.hear(1, &vote(&registry, 1, at, Precommit, Some(block.id())));
    assert_eq!(solo.ledger.height(), 0);
    (solo, block)
}

#[test]
fn a_decision_waits_for_the_entries_that_a_crash_lost() {
    let (solo, block) = nearly_decided();
    let registry = solo.ledger.registry().clone();
    let (mut solo, effects) = solo.restart();
    let expected = [(Prevote, Some(block.id())), (Precommit, Some(block.id()))];
    assert_eq!(solo.votes(&effects), expected, "the votes are sent again");

    let effects = solo.hear(2, &vote(&registry, 2, (1, 0), Precommit, Some(block.id())));
    assert!(effects.contains(&Effect::FetchEntries { ids: block.entries.clone(), from: id(1) }));
    assert_eq!(solo.ledger.height(), 0);
    let effects = solo.input(Input::TimerElapsed(TimerId::Fetch { height: 1 }));
    assert!(effects.contains(&Effect::FetchEntries { ids: block.entries.clone(), from: id(2) }));
    solo.ledger.add(b"an entry".to_vec());
    let effects = solo.input(Input::EntriesArrived);
    assert!(effects.iter().any(|e| matches!(e, Effect::Committed { synced: false, .. })));
    assert_eq!(solo.ledger.height(), 1);
}

#[test]
fn an_older_ledger_does_not_vote_before_it_has_caught_up_with_the_log() {
    let registry = registry(&[10, 10, 10, 10, 0]);
    let blocks = chain(&registry, 3);
    let mut ledger = TinyLedger::new(registry.clone());
    for b in &blocks[..2] {
        let entries = b.entries.iter().map(|e| e.0.clone()).collect();
        ledger.commit_synced(&b.block, &b.certificate, entries).unwrap();
    }
    // Height 3: it prevotes nil after a time-out, and the log says so.
    let (mut solo, _) = Solo::start(ledger, MemoryLog::default(), 0);
    solo.input(Input::TimerElapsed(TimerId::Idle { height: 3 }));
    let propose = TimerId::Step { height: 3, round: 0, step: Step::Propose };
    let effects = solo.input(Input::TimerElapsed(propose));
    assert_eq!(solo.votes(&effects), [(Prevote, None)]);
    let said = solo.signed(&effects);

    let (mut ledger, log) = (solo.ledger.clone(), solo.log.clone());
    ledger.truncate(1);
    let (mut solo, effects) = Solo::start(ledger, log, 0);
    assert!(!solo.engine.votes() && solo.sent(&effects).is_empty());
    let effects = solo.input(Input::PeerHead { peer: id(2), height: 2 });
    let asks = Effect::RequestBlocks { peer: id(2), from_height: 2, count: 1 };
    assert!(effects.contains(&asks), "{effects:?}");
    let effects = solo.input(Input::Blocks { peer: id(2), blocks: blocks[1..2].to_vec() });
    assert!(solo.engine.votes());
    assert_eq!(solo.signed(&effects), said, "the log is replayed at its height");
}

#[test]
fn a_rejoining_validator_follows_until_its_height() {
    let registry = registry(&[10, 10, 10, 10, 0]);
    let blocks = chain(&registry, 3);
    let config = Config { vote_from_height: 3, ..Config::default() };
    let ledger = TinyLedger::new(registry);
    let (mut solo, effects) = Solo::try_start(ledger, MemoryLog::default(), 0, config);
    assert_eq!(effects, Ok(vec![]));
    solo.input(Input::PeerHead { peer: id(4), height: 3 });
    solo.input(Input::Blocks { peer: id(4), blocks: blocks[..1].to_vec() });
    assert!(!solo.engine.votes());
    solo.input(Input::Blocks { peer: id(4), blocks: blocks[1..].to_vec() });
    assert!(solo.engine.votes() && solo.ledger.height() == 3);
}

#[test]
fn a_log_that_fails_stops_the_engine_and_withholds_its_effects() {
    let (mut solo, block) = nearly_decided();
    let registry = solo.ledger.registry().clone();
    solo.log.dies_after = Some(0);
    let last = vote(&registry, 2, (1, 0), Precommit, None);
    let heard = Input::Message { from: id(2), bytes: last.encode() };
    assert!(matches!(solo.try_input(heard.clone()), Err(EngineError::Log(_))), "{block:?}");
    solo.log.dies_after = None;
    assert_eq!(solo.try_input(heard), Err(EngineError::Stopped));
}

/// What validators answer who were asked in a life that began at `NOW_MS`.
fn recalled(registry: &Registry, head: u64, votes: Vec<SignedVote>) -> ConsensusMessage {
    let proposals = Vec::new();
    ConsensusMessage::Recalled(Recalled {
        network: registry.network(),
        to: id(0),
        life: NOW_MS,
        head,
        votes,
        proposals,
    })
}

fn signed_vote(registry: &Registry, by: usize, at: (u64, u32), kind: VoteKind) -> SignedVote {
    match vote(registry, by, at, kind, None) {
        ConsensusMessage::Vote(signed) => signed,
        other => panic!("{other:?}"),
    }
}

/// Node 0 of four, which asks before it votes.
fn asking(ledger: TinyLedger, log: MemoryLog) -> (Solo, Vec<Effect>) {
    let config = Config { recall_ms: 500, ..Config::default() };
    let (solo, effects) = Solo::try_start(ledger, log, 0, config);
    (solo, effects.unwrap())
}

fn silenced(effects: &[Effect]) -> Option<&SignedMark> {
    effects.iter().find_map(|e| if let Effect::Silenced(mark) = e { Some(mark) } else { None })
}

#[test]
fn no_vote_before_a_quorum_has_answered() {
    let ledger = TinyLedger::new(registry(&[10, 10, 10, 10, 0]));
    let registry = ledger.registry().clone();
    let (mut solo, effects) = asking(ledger, MemoryLog::default());
    assert!(matches!(&solo.sent(&effects)[..], [ConsensusMessage::Recall(r)] if (r.height, r.life) == (1, NOW_MS)));
    let again = solo.input(Input::TimerElapsed(TimerId::Recall));
    assert_eq!(solo.sent(&again), solo.sent(&effects), "it asks again");
    solo.hear(1, &recalled(&registry, 0, vec![]));
    assert!(!solo.engine.votes() && solo.engine.is_asking());
    solo.hear(1, &recalled(&registry, 0, vec![]));
    assert!(!solo.engine.votes(), "one validator is one, however often it answers");
    // A vote that node 1 does not have is node 2's: nothing that node 0 must know of.
    solo.hear(2, &recalled(&registry, 0, vec![signed_vote(&registry, 2, (1, 0), Prevote)]));
    assert!(solo.engine.votes() && !solo.engine.is_asking());
    assert_eq!(solo.log.silenced, None);
}

#[test]
fn a_vote_that_the_log_forgot_silences_the_key_for_ever() {
    let ledger = TinyLedger::new(registry(&[10, 10, 10, 10, 0]));
    let registry = ledger.registry().clone();
    let (mut solo, _) = asking(ledger, MemoryLog::default());
    solo.hear(1, &recalled(&registry, 0, vec![]));
    let mut forged = signed_vote(&registry, 0, (1, 0), Prevote);
    forged.signature = signed_vote(&registry, 3, (1, 0), Prevote).signature;
    solo.hear(3, &recalled(&registry, 0, vec![forged]));
    assert!(solo.engine.votes(), "a forged signature silences nobody");

    let (mut solo, _) = asking(solo.ledger, MemoryLog::default());
    solo.hear(1, &recalled(&registry, 0, vec![]));
    let effects = solo.hear(2, &recalled(&registry, 0, vec![signed_vote(&registry, 0, (1, 3), Precommit)]));
    let found = silenced(&effects).expect("the signature is found");
    assert_eq!((found.kind, found.height, found.round), (SignedKind::Precommit, 1, 3));
    assert_eq!(solo.log.silenced.as_ref(), Some(found));
    solo.hear(3, &recalled(&registry, 0, vec![]));
    solo.input(Input::TimerElapsed(TimerId::Recall));
    assert!(!solo.engine.votes());
    // Also in its next life, whatever the others say.
    let (mut solo, effects) = asking(solo.ledger, solo.log);
    assert!(solo.sent(&effects).is_empty() && !solo.engine.is_asking());
    for by in 1..4 {
        solo.hear(by, &recalled(&registry, 0, vec![]));
    }
    assert!(!solo.engine.votes());
}

#[test]
fn a_certificate_with_a_signature_that_the_log_forgot_is_taken_and_silences() {
    let registry = registry(&[10, 10, 10, 10, 0]);
    // All of these certificates have node 0's signature.
    let blocks = chain(&registry, 3);
    let (mut solo, _) = asking(TinyLedger::new(registry.clone()), MemoryLog::default());
    solo.hear(1, &recalled(&registry, 3, vec![]));
    let effects = solo.hear(2, &recalled(&registry, 3, vec![]));
    assert!(!solo.engine.votes(), "two of three others are ahead: it catches up first, {effects:?}");
    let effects = solo.input(Input::Blocks { peer: id(1), blocks });
    assert_eq!(silenced(&effects).map(|mark| (mark.kind, mark.height)), Some((SignedKind::Precommit, 1)));
    assert_eq!(solo.ledger.height(), 3, "it goes on to follow");
    assert!(!solo.engine.votes() && solo.log.silenced.is_some());
}

#[test]
fn a_running_validator_finds_its_key_used_elsewhere() {
    let ledger = TinyLedger::new(registry(&[10, 10, 10, 10, 0]));
    let registry = ledger.registry().clone();
    let (mut solo, _) = asking(ledger, MemoryLog::default());
    for by in [1, 2] {
        solo.hear(by, &recalled(&registry, 0, vec![]));
    }
    solo.input(Input::TimerElapsed(TimerId::Idle { height: 1 }));
    let propose = TimerId::Step { height: 1, round: 0, step: Step::Propose };
    let effects = solo.input(Input::TimerElapsed(propose));
    assert_eq!(solo.votes(&effects), [(Prevote, None)]);
    // Its own vote, come back: known.
    let effects = solo.hear(2, &vote(&registry, 0, (1, 0), Prevote, None));
    assert!(effects.is_empty() && solo.engine.votes(), "{effects:?}");
    let other = vote(&registry, 0, (1, 0), Prevote, Some(stemma_chain_format::hash::BlockId([9; 32])));
    let effects = solo.hear(2, &other);
    assert!(silenced(&effects).is_some() && !solo.engine.votes());
    assert!(solo.input(Input::TimerElapsed(propose)).iter().all(|e| !matches!(e, Effect::Broadcast(_))));
}

#[test]
fn what_a_validator_holds_of_anothers_signatures_it_tells() {
    let mut solo = Solo::fresh(1);
    let registry = solo.ledger.registry().clone();
    solo.hear(0, &vote(&registry, 0, (1, 0), Prevote, None));
    solo.hear(0, &vote(&registry, 0, (2, 1), Precommit, None));
    solo.hear(2, &vote(&registry, 2, (1, 0), Prevote, None));
    let ask = |height| ConsensusMessage::Recall(Recall { network: registry.network(), height, life: 7 });
    let told = |solo: &Solo, effects: &[Effect]| match &solo.sent(effects)[..] {
        [ConsensusMessage::Recalled(r)] => {
            assert_eq!((r.to.clone(), r.life, r.head), (id(0), 7, 0));
            r.votes.iter().map(|m| (m.vote.height, m.vote.round, m.vote.kind)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let effects = solo.hear(0, &ask(1));
    assert_eq!(told(&solo, &effects), [(1, 0, Prevote), (2, 1, Precommit)]);
    assert!(solo.hear(0, &ask(1)).is_empty(), "asked at once again, it does not read its log again");
    // Also after a restart, before it votes itself.
    let (mut solo, _) = solo.restart();
    let effects = solo.hear(0, &ask(1));
    assert_eq!(told(&solo, &effects)[0], (1, 0, Prevote));
}
