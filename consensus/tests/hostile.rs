//! Hostile peers: bytes, votes, certificates, blocks and claims that no honest member makes.
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

use proptest::prelude::*;
use sim::app::TinyLedger;
use sim::genesis::{id, registry, validator_key};
use sim::log::MemoryLog;
use sim::solo::{NOW_MS, Solo, certificate, chain, proposal, vote};
use stemma_chain_format::certificate::VoteKind::{Precommit, Prevote};
use stemma_chain_format::hash::{BlockId, NetworkId};
use stemma_chain_format::header::Block;
use stemma_chain_format::registry::Registry;
use stemma_consensus::codec::{
    ConsensusMessage, MessageError, PolkaCertificate, PolkaVote, ROUND_MAX, RoundCertificate, RoundReason, RoundVote,
    SignedVote,
};
use stemma_consensus::engine::{Effect, Input, TimerId};
use stemma_consensus::error::EngineError;
use stemma_consensus::evidence::Evidence;
use stemma_consensus::ports::Application;
use stemma_consensus::recall::{RECALLED_MAX, Recall, Recalled};
use stemma_consensus::sync::SyncedBlock;
use stemma_consensus::wal::Step;

fn block_of(registry: &Registry, leader: usize) -> Block {
    TinyLedger::new(registry.clone()).propose(&id(leader), NOW_MS)
}

fn polka(registry: &Registry, block: BlockId, by: &[usize]) -> ConsensusMessage {
    let votes = by.iter().map(|i| match vote(registry, *i, (1, 0), Prevote, Some(block)) {
        ConsensusMessage::Vote(v) => PolkaVote { validator: id(*i), signature: v.signature },
        _ => unreachable!(),
    });
    let (network, votes) = (registry.network(), votes.collect());
    ConsensusMessage::PolkaCertificate(PolkaCertificate { network, height: 1, round: 0, block, votes })
}

fn round(registry: &Registry, round: u32, reason: RoundReason, by: &[usize]) -> ConsensusMessage {
    let votes = by.iter().map(|i| match vote(registry, *i, (1, round), Precommit, None) {
        ConsensusMessage::Vote(v) => {
            RoundVote { kind: Precommit, block: None, validator: id(*i), signature: v.signature }
        }
        _ => unreachable!(),
    });
    let (network, votes) = (registry.network(), votes.collect());
    ConsensusMessage::RoundCertificate(RoundCertificate { network, height: 1, round, reason, votes })
}

/// An answer with so many votes, and a proposal.
fn recalled(registry: &Registry, block: &Block, votes: usize) -> ConsensusMessage {
    let (ConsensusMessage::Vote(signed), ConsensusMessage::Proposal(proposal, _)) =
        (vote(registry, 1, (1, 0), Prevote, None), proposal(registry, 1, 0, block))
    else {
        unreachable!()
    };
    let (network, votes, proposals) = (registry.network(), vec![signed; votes], vec![proposal]);
    ConsensusMessage::Recalled(Recalled { network, to: id(1), life: 5, head: 0, votes, proposals })
}

fn samples() -> (Registry, Vec<ConsensusMessage>) {
    let registry = registry(&[10, 10, 10, 10, 0]);
    let block = block_of(&registry, 1);
    let messages = vec![
        vote(&registry, 1, (1, 0), Prevote, None),
        vote(&registry, 1, (1, 3), Precommit, Some(block.id())),
        proposal(&registry, 1, 0, &block),
        polka(&registry, block.id(), &[0, 1, 2]),
        round(&registry, 2, RoundReason::Skip, &[0, 1, 2, 3]),
        ConsensusMessage::Recall(Recall { network: registry.network(), height: 1, life: 5 }),
        recalled(&registry, &block, 1),
    ];
    (registry, messages)
}

#[test]
fn messages_come_back_as_they_went() {
    let (registry, messages) = samples();
    for message in messages {
        let read = ConsensusMessage::decode(&message.encode(), &registry.network());
        assert_eq!(read, Ok(message));
    }
}

#[test]
fn an_answer_holds_so_many_signatures_and_no_more() {
    let registry = registry(&[10, 10, 10, 10, 0]);
    let block = block_of(&registry, 1);
    let read = |votes| ConsensusMessage::decode(&recalled(&registry, &block, votes).encode(), &registry.network());
    assert!(read(RECALLED_MAX).is_ok());
    assert_eq!(read(RECALLED_MAX + 1), Err(MessageError::Recalled(RECALLED_MAX + 1)));
}

#[test]
fn every_changed_bit_is_refused_or_another_message() {
    let (registry, messages) = samples();
    for message in messages {
        let bytes = message.encode();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bad = bytes.clone();
                bad[at] ^= 1 << bit;
                let read = ConsensusMessage::decode(&bad, &registry.network());
                assert_ne!(read.as_ref(), Ok(&message), "byte {at} bit {bit}");
            }
        }
        for length in 0..bytes.len() {
            assert!(ConsensusMessage::decode(&bytes[..length], &registry.network()).is_err());
        }
    }
}

#[test]
fn what_no_honest_validator_says_is_named() {
    let (registry, messages) = samples();
    let network = registry.network();
    let other = NetworkId([9; 32]);
    let read = ConsensusMessage::decode(&messages[0].encode(), &other);
    assert_eq!(read, Err(MessageError::Network));
    let far = vote(&registry, 1, (1, ROUND_MAX + 1), Prevote, None);
    let read = ConsensusMessage::decode(&far.encode(), &network);
    assert_eq!(read, Err(MessageError::Round(ROUND_MAX + 1)));
    let ConsensusMessage::Proposal(signed, mut block) = messages[2].clone() else { unreachable!() };
    block.header.time_ms += 1;
    let read = ConsensusMessage::decode(&ConsensusMessage::Proposal(signed, block).encode(), &network);
    assert_eq!(read, Err(MessageError::OtherBlock));
    let many = polka(&registry, BlockId([1; 32]), &[0; 257]);
    let read = ConsensusMessage::decode(&many.encode(), &network);
    assert_eq!(read, Err(MessageError::Votes(257)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_give_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(ConsensusMessage::decode(&bytes, &NetworkId([0; 32])).is_err());
        let _ = SyncedBlock::decode(&bytes);
        let _ = Evidence::decode(&bytes);
        let _ = stemma_consensus::wal::Entry::decode(&bytes);
    }

    #[test]
    fn an_engine_survives_mutants(which in 0_usize..5, at in any::<usize>(), byte in any::<u8>()) {
        let (_, messages) = samples();
        let mut bytes = messages[which].encode();
        let place = at % bytes.len();
        bytes[place] = byte;
        let mut solo = Solo::fresh(0);
        let _ = solo.input(Input::Message { from: id(1), bytes });
    }
}

/// A node that decides height 1, in which node 1 leads.
fn running() -> (Solo, Registry) {
    let mut solo = Solo::fresh(0);
    let registry = solo.ledger.registry().clone();
    solo.input(Input::TimerElapsed(TimerId::Idle { height: 1 }));
    assert_eq!(solo.engine.round(), Some(0));
    (solo, registry)
}

#[test]
fn only_validators_are_heard_and_only_under_their_own_keys() {
    let (mut solo, registry) = running();
    let before = solo.log.appends;
    let good = vote(&registry, 2, (1, 0), Prevote, None);
    for stranger in [4, 9, 0] {
        assert_eq!(solo.hear(stranger, &good), []);
    }
    let ConsensusMessage::Vote(SignedVote { vote: v, .. }) = good.clone() else { unreachable!() };
    let forged = ConsensusMessage::Vote(SignedVote { signature: v.sign(&validator_key(3)), vote: v });
    assert_eq!(solo.hear(2, &forged), []);
    let out_of_turn = proposal(&registry, 2, 0, &block_of(&registry, 2));
    assert_eq!(solo.hear(2, &out_of_turn), []);
    assert_eq!(solo.hear(2, &vote(&registry, 2, (0, 0), Prevote, None)), []);
    assert_eq!(solo.log.appends, before, "nothing of it cost a write");
    solo.hear(2, &good);
    assert!(solo.log.appends > before);
}

#[test]
fn garbage_is_refused_by_name() {
    let (mut solo, _) = running();
    let effects = solo.input(Input::Message { from: id(3), bytes: vec![0xFF; 100] });
    assert!(matches!(&effects[..], [Effect::Refused { peer, .. }] if *peer == id(3)), "{effects:?}");
}

#[test]
fn certificates_count_each_validator_once_and_every_signature() {
    let (mut solo, registry) = running();
    let before = solo.log.appends;
    let block = block_of(&registry, 1).id();
    let mut forged = polka(&registry, block, &[0, 1, 2, 3]);
    if let ConsensusMessage::PolkaCertificate(c) = &mut forged {
        c.votes[3].signature = c.votes[0].signature;
    }
    let too_weak = [
        polka(&registry, block, &[1, 2]),
        polka(&registry, block, &[1, 1, 2, 2, 3]),
        polka(&registry, block, &[1, 2, 3, 4]),
        forged,
        round(&registry, 5, RoundReason::Skip, &[1]),
        round(&registry, 5, RoundReason::Skip, &[1, 1]),
        round(&registry, 0, RoundReason::Precommit, &[1, 2]),
    ];
    for message in too_weak {
        solo.hear(3, &message);
        assert_eq!((solo.log.appends, solo.engine.round()), (before, Some(0)), "{message:?}");
    }
    solo.hear(3, &round(&registry, 5, RoundReason::Skip, &[1, 2]));
    assert_eq!(solo.engine.round(), Some(5));
    solo.hear(3, &polka(&registry, block, &[1, 2, 3]));
    assert_eq!(solo.engine.core_faults(), 0);
}

#[test]
fn a_block_that_the_ledger_refuses_gets_a_prevote_for_nothing() {
    for change in 0..4 {
        let (mut solo, registry) = running();
        let mut block = block_of(&registry, 1);
        match change {
            0 => block.header.parent = BlockId([7; 32]),
            1 => block.header.time_ms += 60_000,
            2 => block.header.proposer = id(4),
            _ => block.header.accounts_root.0[0] ^= 1,
        }
        let effects = solo.hear(1, &proposal(&registry, 1, 0, &block));
        assert_eq!(solo.votes(&effects), [(Prevote, None)], "change {change}");
    }
}

#[test]
fn a_network_at_rest_waits_and_work_ends_the_wait() {
    let mut solo = Solo::fresh(1);
    assert_eq!((solo.engine.votes(), solo.engine.round()), (true, None));
    assert_eq!(solo.input(Input::WorkArrived), []);
    solo.ledger.add(b"work".to_vec());
    let effects = solo.input(Input::WorkArrived);
    let proposes = |m: &ConsensusMessage| matches!(m, ConsensusMessage::Proposal(..));
    assert!(solo.sent(&effects).iter().any(proposes));
    // Another node begins because the leader did.
    let (mut other, registry) = (Solo::fresh(2), solo.ledger.registry().clone());
    let vote_nil = vote(&registry, 3, (1, 0), Prevote, None);
    let effects = other.hear(3, &vote_nil);
    let begun = TimerId::Step { height: 1, round: 0, step: Step::Propose };
    let sets = |e: &Effect| matches!(e, Effect::SetTimer { id, .. } if *id == begun);
    assert!(effects.iter().any(sets) && effects.contains(&Effect::CancelTimer(TimerId::Idle { height: 1 })));
}

#[test]
fn messages_of_the_next_height_wait_their_turn() {
    let (mut solo, registry) = running();
    let block = block_of(&registry, 1);
    let next = vote(&registry, 2, (2, 0), Prevote, None);
    assert!(solo.hear(2, &next).iter().all(|e| matches!(e, Effect::SetTimer { id: TimerId::SyncGrace { .. }, .. })));
    solo.hear(1, &proposal(&registry, 1, 0, &block));
    for kind in [Prevote, Precommit] {
        for by in [1, 2, 3] {
            solo.hear(by, &vote(&registry, by, (1, 0), kind, Some(block.id())));
        }
    }
    assert_eq!((solo.ledger.height(), solo.engine.round()), (1, Some(0)), "it began height 2 at once");
}

#[test]
fn a_peer_is_asked_again_only_when_it_delivers() {
    let registry = registry(&[10, 10, 10, 10, 0]);
    let blocks = chain(&registry, 4);
    let (mut solo, _) = Solo::start(TinyLedger::new(registry), MemoryLog::default(), 4);
    assert!(!solo.engine.votes());
    assert_eq!(solo.input(Input::Blocks { peer: id(1), blocks: blocks.clone() }), [], "unasked");
    assert_eq!(solo.input(Input::PeerHead { peer: id(9), height: 5 }), [], "a stranger");

    let asks = |effects: &[Effect]| {
        effects.iter().find_map(|e| match e {
            Effect::RequestBlocks { peer, from_height, count } => Some((peer.clone(), *from_height, *count)),
            _ => None,
        })
    };
    let effects = solo.input(Input::PeerHead { peer: id(1), height: u64::MAX });
    assert_eq!(asks(&effects), Some((id(1), 1, 32)), "however high the claim, a bounded request");
    assert_eq!(asks(&solo.input(Input::PeerHead { peer: id(2), height: 4 })), None, "one at a time");
    assert_eq!(asks(&solo.input(Input::PeerHead { peer: id(3), height: 4 })), None);

    let mut bad = blocks.clone();
    bad[0].certificate.signatures.truncate(2);
    let effects = solo.input(Input::Blocks { peer: id(1), blocks: bad });
    assert!(matches!(&effects[1], Effect::Refused { peer, .. } if *peer == id(1)), "{effects:?}");
    assert_eq!(asks(&effects), Some((id(2), 1, 4)));
    let late = TimerId::SyncRequest { number: 1 };
    assert_eq!(solo.input(Input::TimerElapsed(late)), [], "the timer of a request that is over");
    let effects = solo.input(Input::TimerElapsed(TimerId::SyncRequest { number: 2 }));
    assert_eq!(asks(&effects), Some((id(3), 1, 4)));
    let effects = solo.input(Input::FetchFailed { peer: id(3) });
    assert_eq!(asks(&effects), None, "nobody is left");
    solo.input(Input::PeerHead { peer: id(2), height: 4 });
    solo.input(Input::Blocks { peer: id(2), blocks });
    assert_eq!(solo.ledger.height(), 4);
}

#[test]
fn synced_blocks_prove_themselves() {
    let registry = registry(&[10, 10, 10, 10, 0]);
    let good = chain(&registry, 2);
    let changes: Vec<(&str, Vec<SyncedBlock>)> = vec![
        ("skipped", vec![good[1].clone()]),
        ("entry missing", vec![SyncedBlock { entries: vec![], ..good[0].clone() }]),
        ("other entry", vec![SyncedBlock { entries: good[1].entries.clone(), ..good[0].clone() }]),
        ("other certificate", vec![SyncedBlock { certificate: good[1].certificate.clone(), ..good[0].clone() }]),
        ("other height", {
            let mut block = good[0].clone();
            block.block.header.height = 2;
            block.certificate = certificate(&registry, &block.block, &[0, 1, 2]);
            vec![block]
        }),
        ("entries not the header's", {
            let mut block = good[0].clone();
            block.block.entries = good[1].block.entries.clone();
            vec![block]
        }),
        ("nothing", vec![]),
    ];
    for (name, blocks) in changes {
        let (mut solo, _) = Solo::start(TinyLedger::new(registry.clone()), MemoryLog::default(), 4);
        solo.input(Input::PeerHead { peer: id(1), height: 2 });
        solo.input(Input::Blocks { peer: id(1), blocks });
        assert_eq!(solo.ledger.height(), 0, "{name}");
    }
}

#[test]
fn evidence_proves_a_contradiction_and_nothing_less() {
    let registry = registry(&[10, 10, 10, 10, 0]);
    let (network, validators) = (registry.network(), registry.validators());
    let signed = |by, at, kind, block| match vote(&registry, by, at, kind, block) {
        ConsensusMessage::Vote(v) => v,
        _ => unreachable!(),
    };
    let a = signed(2, (3, 0), Prevote, None);
    let b = signed(2, (3, 0), Prevote, Some(BlockId([1; 32])));
    let evidence = Evidence::votes(a.clone(), b.clone());
    assert_eq!(evidence, Evidence::votes(b.clone(), a.clone()));
    assert_eq!(Evidence::decode(&evidence.encode()), Ok(evidence.clone()));
    evidence.verify(&network, &validators).unwrap();
    assert_eq!((evidence.accused(), evidence.place()), (&id(2), (3, 0)));
    assert!(evidence.verify(&NetworkId([1; 32]), &validators).is_err());
    let harmless = [
        Evidence::votes(a.clone(), a.clone()),
        Evidence::votes(a.clone(), signed(2, (3, 1), Prevote, None)),
        Evidence::votes(a.clone(), signed(2, (3, 0), Precommit, None)),
        Evidence::votes(a.clone(), signed(1, (3, 0), Prevote, Some(BlockId([1; 32])))),
        Evidence::votes(a.clone(), SignedVote { signature: a.signature, ..b }),
    ];
    for evidence in harmless {
        assert!(evidence.verify(&network, &validators).is_err(), "{evidence:?}");
    }
}

#[test]
fn start_comes_first_and_once() {
    let mut solo = Solo::fresh(0);
    assert_eq!(solo.try_input(Input::Start), Err(EngineError::Order));
}
