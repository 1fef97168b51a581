//! From a decision to the ledger.

use arc_malachitebft_core_consensus::MisbehaviorEvidence;

use crate::engine::turn::Turn;
use crate::engine::{Decided, Effect, Engine};
use crate::error::EngineError;
use crate::evidence::Evidence;
use crate::ports::{Application, Judgement, Log};

impl Engine {
    /// Commits a decision, or holds it until the block's entries are here.
    ///
    /// They can be missing only after a restart: the log says that the block was valid, but the pool is empty.
    pub(super) fn finish<A: Application, L: Log>(
        &mut self,
        mut decided: Decided,
        ask: bool,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let block = decided.value.block();
        let known = self.desk.here.contains(&decided.value.block_id());
        if !known && let Judgement::Missing(ids) = turn.app.judge(block, turn.now_ms) {
            if ask {
                let from = self.source(&block.header.proposer, decided.asked);
                self.fetch(ids, from, turn);
                decided.asked = decided.asked.saturating_add(1);
            }
            self.desk.held = Some(decided);
            return Ok(());
        }
        // Whatever else the judgement says, a quorum decided: the ledger commits it or this node stops.
        let height = block.header.height;
        let committed = turn.app.commit(block, &decided.certificate);
        committed.map_err(|violation| EngineError::Ledger { height, violation })?;
        accuse(decided.evidence, turn);
        turn.emit(Effect::Committed { block: block.clone(), certificate: decided.certificate, synced: false });
        turn.commits = turn.commits.saturating_add(1);
        self.enter_height(turn)
    }

    /// Takes the evidence out of a core that is about to be dropped undecided.
    pub(super) fn harvest<A: Application, L: Log>(&mut self, turn: &mut Turn<'_, A, L>) {
        if let Some(core) = self.core.as_mut() {
            let found = MisbehaviorEvidence {
                proposals: core.driver.take_proposal_evidence(),
                votes: core.driver.take_vote_evidence(),
            };
            accuse(Evidence::of(&found), turn);
        }
        if let Some(decided) = self.desk.held.take() {
            accuse(decided.evidence, turn);
        }
    }
}

fn accuse<A: Application, L: Log>(evidence: Vec<Evidence>, turn: &mut Turn<'_, A, L>) {
    for evidence in evidence {
        tracing::warn!(accused = %evidence.accused(), place = ?evidence.place(), "misbehaviour");
        turn.emit(Effect::Misbehaviour(evidence));
    }
}
