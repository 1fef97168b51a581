//! The first input: what the log knows of an earlier life is taken in before anything is signed.
//!
//! The log may be at three heights. Below the ledger's next height it is of no use, since the ledger is past it. At that
//! height it is replayed: the core comes to the very votes it had cast, which are taken from the log and sent again.
//! Above it the ledger is an older copy than the log; then the node follows until it has caught up with the log, since
//! voting below would contradict what it may have voted there.

use std::collections::BTreeSet;

use stemma_chain_format::hash::Digest;

use crate::engine::Engine;
use crate::engine::height::start_input;
use crate::engine::turn::Turn;
use crate::error::EngineError;
use crate::ports::{Application, Log};
use crate::validators::ValidatorSet;
use crate::wal::Replay;

impl Engine {
    pub(super) fn on_start<A: Application, L: Log>(&mut self, turn: &mut Turn<'_, A, L>) -> Result<(), EngineError> {
        self.started = true;
        let entries = turn.read_log()?;
        self.log_height = entries.iter().map(|(height, _)| *height).max().unwrap_or(0);
        self.log_begun = false;
        self.begin_recall(&entries, turn)?;
        self.enter_height(turn)
    }

    /// Brings the core to where the log left it.
    pub(super) fn replay<A: Application, L: Log>(
        &mut self,
        next: u64,
        validators: ValidatorSet,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let entries = turn.read_log()?;
        let entries: Vec<&[u8]> =
            entries.iter().filter(|(height, _)| *height == next).map(|(_, bytes)| bytes.as_slice()).collect();
        let replay = Replay::read(next, entries.iter().copied()).map_err(EngineError::Log)?;
        for mark in &replay.marks {
            self.guard.record(mark).map_err(EngineError::Contradiction)?;
        }
        let digests: BTreeSet<Digest> = entries.iter().map(|bytes| Digest::of(bytes)).collect();
        self.desk.replaying = Some(digests);
        self.desk.logged = replay.blocks.keys().copied().collect();
        tracing::info!(height = next, entries = entries.len(), "replaying the consensus log");

        self.make_core(next, &validators);
        if let Some(core) = self.core.as_mut() {
            core.index_wal_entries(&replay.inputs);
        }
        self.run_core(start_input(next, validators, true), turn)?;
        for input in replay.inputs {
            self.run_core(input, turn)?;
            if self.desk.decided.is_some() {
                break;
            }
        }
        if let Some(core) = self.core.as_mut() {
            core.reset_entries_index();
        }
        self.desk.replaying = None;
        self.settle(turn)
    }
}
