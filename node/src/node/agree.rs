//! Between consensus and the world: drives the engine, performs its effects, tells the roles what was committed.

use minicbor::bytes::ByteVec;
use stemma_chain_format::cbor;
use stemma_chain_format::hash::Link;
use stemma_chain_format::member::MemberId;
use stemma_consensus::engine::{Effect, Input, TimerId};
use stemma_consensus::ports::Application;
use stemma_consensus::sync::SyncedBlock;
use stemma_node_api::types::Committed;

use super::{Event, Node, NodeError};
use crate::clock::now_ms;
use crate::ledger::{SyncQuestion, encode_fetch, synced_blocks};
use stemma_net::{Protocol, Recipient, Topic};

impl Node {
    /// Gives the engine an input and performs what it asks for.
    pub(super) fn drive(&mut self, input: Input) -> Result<(), NodeError> {
        let effects = self.engine.handle(input, now_ms(), &mut self.state, &mut self.log).map_err(NodeError::Engine)?;
        let mut proposer_is_here = false;
        for effect in effects {
            match effect {
                Effect::Broadcast(bytes) => {
                    if let Err(e) = self.net.send(Recipient::All, bytes) {
                        tracing::debug!(error = %e, "a consensus message was not sent; it will be sent again");
                    }
                }
                Effect::SetTimer { id, after_ms } => self.set_timer(id, after_ms),
                Effect::CancelTimer(id) => {
                    if let Some(timer) = self.timers.remove(&id) {
                        timer.abort();
                    }
                }
                Effect::Committed { block, certificate, synced } => {
                    let header = &block.header;
                    tracing::debug!(
                        height = header.height,
                        entries = block.entries.len(),
                        round = certificate.round,
                        synced,
                        "committed"
                    );
                    self.count_block(&block, &certificate);
                    proposer_is_here |= !synced && header.proposer == self.settings.member.id;
                }
                Effect::FetchEntries { ids, from } => self.fetch_entries(&ids, &from),
                Effect::RequestBlocks { peer, from_height, count } => self.request_blocks(peer, from_height, count),
                Effect::Misbehaviour(evidence) => {
                    self.meters.misbehaviour.inc();
                    tracing::error!(?evidence, "a validator contradicted itself; the proof is kept");
                    self.store.keep_evidence(&evidence.encode())?;
                }
                Effect::Silenced(mark) => self.tell_silence(&mark),
                Effect::Refused { peer, reason } => tracing::warn!(%peer, reason, "refused what a member sent"),
            }
        }
        self.tell_committed()?;
        if proposer_is_here {
            self.publish_head();
        }
        Ok(())
    }

    /// Tells roles and waiting operators what was committed.
    fn tell_committed(&mut self) -> Result<(), NodeError> {
        let entries = self.state.sink_mut().take_committed();
        let ledger = self.state.ledger();
        if ledger.head().height == self.told_height {
            return Ok(());
        }
        self.told_height = ledger.head().height;
        self.follow_registry()?;
        let ledger = self.state.ledger();
        let now = now_ms();
        if let Some(bank) = &mut self.bank {
            bank.committed(&entries, ledger, now, &mut self.effects);
        }
        if let Some(institution) = &mut self.institution {
            institution.committed(&entries, ledger, now, &mut self.effects)?;
        }
        for (height, entry) in &entries {
            let id = entry.id();
            if let Some(tracing) = &mut self.tracing {
                tracing.committed(*height, entry);
            }
            for reply in self.submitted.remove(&id).into_iter().flatten() {
                let _gone = reply.send(Ok(Committed { id: id.to_string(), height: *height }));
            }
            if self.issuing == Some(id) {
                self.issuing = None;
            }
        }
        self.issue_next();
        Ok(())
    }

    fn set_timer(&mut self, id: TimerId, after_ms: u64) {
        let events = self.events.clone();
        let timer = self.runtime.spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(after_ms)).await;
            let _stopping = events.send(Event::Timer(id)).await;
        });
        if let Some(before) = self.timers.insert(id, timer) {
            before.abort();
        }
    }

    fn fetch_entries(&mut self, ids: &[Link], from: &MemberId) {
        let Some(peer) = self.peers.get(from).copied() else { return };
        let (net, events, question) = (self.net.clone(), self.events.clone(), encode_fetch(ids));
        self.runtime.spawn(async move {
            let answer = net.request(peer, Protocol::Fetch, question).await;
            let entries = match answer {
                Ok(bytes) => cbor::decode::<Vec<ByteVec>>(&bytes, "fetch answer", bytes.len()).ok(),
                Err(e) => {
                    tracing::debug!(error = %e, "missing entries were not fetched");
                    None
                }
            };
            let _stopping = events.send(Event::Fetched(entries)).await;
        });
    }

    fn request_blocks(&mut self, peer: MemberId, from_height: u64, count: u64) {
        let Some(id) = self.peers.get(&peer).copied() else { return };
        let (net, events) = (self.net.clone(), self.events.clone());
        self.runtime.spawn(async move {
            let answer = net.request(id, Protocol::Sync, SyncQuestion::Blocks(from_height, count).encode()).await;
            let blocks = match answer {
                Ok(bytes) => synced_blocks(&bytes)
                    .inspect_err(|violation| tracing::warn!(%peer, %violation, "blocks that cannot be read"))
                    .inspect(|blocks| tell_of_none(&peer, from_height, blocks))
                    .ok(),
                Err(e) => {
                    tracing::debug!(%peer, error = %e, "blocks were not sent");
                    None
                }
            };
            let _stopping = events.send(Event::Blocks { peer, blocks }).await;
        });
    }

    pub(super) fn on_blocks(&mut self, peer: MemberId, blocks: Option<Vec<SyncedBlock>>) -> Result<(), NodeError> {
        self.drive(match blocks {
            Some(blocks) => Input::Blocks { peer, blocks },
            None => Input::FetchFailed { peer },
        })
    }

    /// Says which height is committed here, so that whoever lags can ask.
    pub(super) fn publish_head(&mut self) {
        // With the time in it, saying the same height again is a new message, which gossip carries.
        let head = cbor::encode(&(self.settings.member.id.clone(), self.state.height(), now_ms()));
        let net = self.net.clone();
        self.runtime.spawn(async move {
            if let Err(e) = net.publish(Topic::Heads, head).await {
                tracing::debug!(error = %e, "the head was not published");
            }
        });
    }
}

/// A peer that has a higher head and not the next block keeps only later ones.
fn tell_of_none(peer: &MemberId, from_height: u64, blocks: &[SyncedBlock]) {
    if blocks.is_empty() {
        tracing::info!(
            %peer,
            from_height,
            "this peer does not keep the block any more; where no peer does, begin with an empty data folder and sync.begin = \"snapshot\""
        );
    }
}
