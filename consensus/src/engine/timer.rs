//! Timers that elapsed. A timer that was cancelled, or whose height is past, says nothing.

use arc_malachitebft_core_consensus::Input as CoreInput;

use crate::engine::turn::Turn;
use crate::engine::{Engine, Phase, TimerId};
use crate::error::EngineError;
use crate::ports::{Application, Log};

impl Engine {
    pub(super) fn on_timer<A: Application, L: Log>(
        &mut self,
        id: TimerId,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let next = turn.next_height();
        match id {
            TimerId::Step { round, step, .. } => {
                if self.phase == Phase::Running && self.desk.timers.remove(&id) {
                    self.drive(CoreInput::TimeoutElapsed(step.timeout(round)), turn)?;
                }
            }
            TimerId::Idle { .. } => {
                if self.phase == Phase::Waiting && self.desk.timers.remove(&id) {
                    self.begin_height(turn)?;
                }
            }
            TimerId::Fetch { .. } => {
                if self.desk.timers.remove(&id) {
                    self.judge_pending(true, turn)?;
                }
            }
            TimerId::SyncGrace { height } => {
                if height == next {
                    self.sync.end_grace(height);
                    self.catch_up(turn);
                }
            }
            TimerId::Recall => self.ask(turn),
            TimerId::SyncRequest { number } => {
                let late = self.sync.outstanding().filter(|r| r.number == number);
                if let Some(peer) = late.map(|r| r.peer.clone()) {
                    self.sync.failed(&peer);
                    self.catch_up(turn);
                }
            }
        }
        Ok(())
    }
}
