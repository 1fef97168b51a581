//! Running the core, and doing what it left to be done.

use arc_malachitebft_core_consensus::{Error as CoreError, Input as CoreInput, process};

use crate::context::StemmaContext;
use crate::engine::core_effect::Host;
use crate::engine::turn::Turn;
use crate::engine::{Decided, Engine, Phase};
use crate::error::EngineError;
use crate::ports::{Application, Log};

impl Engine {
    /// Feeds the core and does everything that follows.
    pub(super) fn drive<A: Application, L: Log>(
        &mut self,
        input: CoreInput<StemmaContext>,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        self.run_core(input, turn)?;
        self.settle(turn)
    }

    /// Feeds the core one input; what it asks for beyond its effects stays on the desk.
    pub(super) fn run_core<A: Application, L: Log>(
        &mut self,
        input: CoreInput<StemmaContext>,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let height = turn.next_height();
        let Some(core) = self.core.as_mut() else {
            return Ok(());
        };
        let mut host = Host { setup: &self.setup, guard: &mut self.guard, desk: &mut self.desk, turn, height };
        let ran: Result<(), CoreError<StemmaContext>> = process!(
            input: input,
            state: core,
            metrics: &(),
            with: effect => host.answer(effect)
        );
        if let Some(failure) = self.desk.failure.take() {
            return Err(failure);
        }
        match ran {
            Ok(()) => {}
            // These lose a message or a round, never safety; Malachite's own engine goes on as well.
            Err(e @ (CoreError::MissingPolkaCertificate(..) | CoreError::DriverProcess(_))) => {
                tracing::warn!(height, error = %e, "the consensus core reported a fault");
                self.core_faults = self.core_faults.saturating_add(1);
            }
            Err(e) => return Err(EngineError::Core(e.to_string())),
        }
        if let Some((certificate, evidence)) = self.desk.finalized.take() {
            let core = self.core.as_ref();
            let (_, value) = core
                .and_then(|c| c.decided_value())
                .ok_or_else(|| EngineError::Core("a height was finalised without a decision".into()))?;
            self.desk.decided = Some(Decided { value, certificate, evidence, asked: 0 });
        }
        Ok(())
    }

    /// Judges, proposes and commits until nothing is left on the desk.
    pub(super) fn settle<A: Application, L: Log>(&mut self, turn: &mut Turn<'_, A, L>) -> Result<(), EngineError> {
        while self.phase == Phase::Running {
            if let Some(decided) = self.desk.decided.take() {
                return self.finish(decided, true, turn);
            }
            if let Some(pending) = self.desk.unjudged.pop_front() {
                self.judge(pending, true, turn)?;
            } else if let Some(round) = self.desk.wanted.take() {
                self.propose(round, turn)?;
            } else {
                break;
            }
        }
        Ok(())
    }
}
