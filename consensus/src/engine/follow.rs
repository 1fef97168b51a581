//! Catching up with peers, for a validator that lags and for a node without a vote alike.

use stemma_chain_format::error::Violation;
use stemma_chain_format::member::MemberId;

use crate::engine::turn::Turn;
use crate::engine::{Effect, Engine, TimerId};
use crate::error::EngineError;
use crate::ports::{Application, Log};
use crate::sync::{Plan, SyncedBlock};

impl Engine {
    pub(super) fn on_peer_head<A: Application, L: Log>(
        &mut self,
        peer: MemberId,
        height: u64,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        // Members only: so no stranger costs memory, and no claim costs more than one number.
        if peer != self.setup.me && turn.app.registry().member(&peer).is_some() {
            self.sync.claim(peer, height);
            self.catch_up(turn);
        }
        Ok(())
    }

    pub(super) fn on_blocks<A: Application, L: Log>(
        &mut self,
        peer: MemberId,
        blocks: Vec<SyncedBlock>,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let Some(request) = self.sync.answered(&peer) else {
            return Ok(());
        };
        turn.emit(Effect::CancelTimer(TimerId::SyncRequest { number: request.number }));
        let before = turn.app.height();
        let most = usize::try_from(request.count).unwrap_or(usize::MAX);
        for synced in blocks.into_iter().take(most) {
            // Consensus may have been faster.
            if synced.block.header.height <= turn.app.height() {
                continue;
            }
            if let Err(violation) = self.take_block(synced, turn)? {
                turn.emit(Effect::Refused { peer: peer.clone(), reason: violation.to_string() });
                self.sync.failed(&peer);
                break;
            }
        }
        if turn.app.height() > before {
            self.harvest(turn);
            return self.enter_height(turn);
        }
        self.sync.failed(&peer);
        self.catch_up(turn);
        Ok(())
    }

    /// Commits a block where it proves itself; the violation is the peer's, an error ours.
    fn take_block<A: Application, L: Log>(
        &mut self,
        synced: SyncedBlock,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<Result<(), Violation>, EngineError> {
        let (next, parent) = (turn.next_height(), turn.app.head());
        if let Err(violation) = synced.verify(&self.setup.network, next, &parent, turn.app.registry()) {
            return Ok(Err(violation));
        }
        // Before the block is durable: it would not be looked at again.
        if let Some(mark) = self.unknown_in_certificate(&synced.certificate, turn) {
            self.silence(&mark, turn)?;
        }
        let SyncedBlock { block, certificate, entries } = synced;
        let entries = entries.into_iter().map(|e| e.0).collect();
        let committed = turn.app.commit_synced(&block, &certificate, entries);
        if committed.is_ok() {
            turn.emit(Effect::Committed { block, certificate, synced: true });
        }
        Ok(committed)
    }

    pub(super) fn on_fetch_failed<A: Application, L: Log>(
        &mut self,
        peer: &MemberId,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let number = self.sync.outstanding().filter(|r| r.peer == *peer).map(|r| r.number);
        if let Some(number) = number {
            turn.emit(Effect::CancelTimer(TimerId::SyncRequest { number }));
            self.sync.failed(peer);
            self.catch_up(turn);
        }
        Ok(())
    }

    /// Asks a peer for blocks where one is ahead; a validator one block behind waits a little first.
    pub(super) fn catch_up<A: Application, L: Log>(&mut self, turn: &mut Turn<'_, A, L>) {
        let config = &self.setup.config;
        let patient = self.votes();
        match self.sync.plan(turn.app.height(), patient, config.sync_blocks_max) {
            Plan::Nothing => {}
            Plan::Wait => {
                let id = TimerId::SyncGrace { height: turn.next_height() };
                turn.set_timer(id, config.sync_grace_ms);
            }
            Plan::Ask(request) => {
                let id = TimerId::SyncRequest { number: request.number };
                turn.set_timer(id, config.sync_request_ms);
                turn.emit(Effect::RequestBlocks {
                    peer: request.peer,
                    from_height: request.from_height,
                    count: request.count,
                });
            }
        }
    }
}
