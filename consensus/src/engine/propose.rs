//! Blocks before the vote: proposing, judging, and fetching what a judgement lacks.

use arc_malachitebft_core_consensus::{Input as CoreInput, LocallyProposedValue, ProposedValue};
use arc_malachitebft_core_types::{Round, Validity, ValueOrigin};
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::hash::Link;
use stemma_chain_format::member::MemberId;

use crate::context::{Address, BlockValue, Height};
use crate::engine::turn::Turn;
use crate::engine::{Effect, Engine, Pending, TimerId};
use crate::error::EngineError;
use crate::ports::{Application, Judgement, Log};
use crate::sync::follows;

impl Engine {
    /// Answers the core's wish for a block: with the one that the log holds for this round, or a new one.
    pub(super) fn propose<A: Application, L: Log>(
        &mut self,
        round: u32,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let height = Height(turn.next_height());
        let (me, number) = (Address(self.setup.me.clone()), Round::new(round));
        let waits = self.core.as_ref().is_some_and(|core| {
            let made = core.full_proposal_at_round_and_proposer(&height, number, &me);
            core.round() == number && core.driver.step_is_propose() && made.is_none()
        });
        if !waits {
            return Ok(());
        }
        let value = if let Some(value) = self.desk.offers.get(&round) {
            value.clone()
        } else {
            let value = BlockValue::new(turn.app.propose(&self.setup.me, turn.now_ms));
            self.desk.here.insert(value.block_id());
            value
        };
        self.run_core(CoreInput::Propose(LocallyProposedValue::new(height, number, value)), turn)
    }

    /// Judges a proposed block and tells the core. Where entries are missing they are fetched, and it is judged again.
    pub(super) fn judge<A: Application, L: Log>(
        &mut self,
        mut pending: Pending,
        ask: bool,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let id = pending.value.block_id();
        if self.desk.verdicts.contains_key(&id) {
            return Ok(());
        }
        let validity = match self.verdict(&pending.value, turn) {
            Judgement::Valid => Validity::Valid,
            Judgement::Invalid(violation) => {
                tracing::info!(block = %id, %violation, "a proposed block is refused");
                Validity::Invalid
            }
            Judgement::Missing(ids) => {
                if ask {
                    let from = self.source(&pending.proposer, pending.asked);
                    self.fetch(ids, from, turn);
                    pending.asked = pending.asked.saturating_add(1);
                }
                self.desk.pending.insert(id, pending);
                return Ok(());
            }
        };
        let value = ProposedValue {
            height: Height(turn.next_height()),
            round: Round::new(pending.round),
            valid_round: Round::from(pending.valid_round),
            proposer: Address(pending.proposer),
            value: pending.value,
            validity,
        };
        self.run_core(CoreInput::ProposedValue(value, ValueOrigin::Consensus), turn)
    }

    fn verdict<A: Application, L: Log>(&mut self, value: &BlockValue, turn: &mut Turn<'_, A, L>) -> Judgement {
        let (block, next, parent) = (value.block(), turn.next_height(), turn.app.head());
        if let Err(violation) = follows(block, &self.setup.network, next, &parent) {
            return Judgement::Invalid(violation);
        }
        let proposer = &block.header.proposer;
        if self.validators.as_ref().is_none_or(|v| v.get(proposer).is_none()) {
            let (rule, field) = (Rule::Block, "header.proposer");
            return Judgement::Invalid(Violation::new(rule, field, "a validator", proposer));
        }
        let judgement = turn.app.judge(block, turn.now_ms);
        if judgement == Judgement::Valid {
            self.desk.here.insert(value.block_id());
        }
        judgement
    }

    pub(super) fn fetch<A: Application, L: Log>(&mut self, ids: Vec<Link>, from: MemberId, turn: &mut Turn<'_, A, L>) {
        turn.emit(Effect::FetchEntries { ids, from });
        let id = TimerId::Fetch { height: turn.next_height() };
        self.desk.timers.insert(id);
        turn.set_timer(id, self.setup.config.fetch_retry_ms);
    }

    /// Whom to ask for a block's entries: its proposer first, then every validator in turn.
    pub(super) fn source(&self, proposer: &MemberId, asked: usize) -> MemberId {
        let others = self.validators.as_ref().map(|v| v.all()).unwrap_or_default();
        let others = others.iter().map(|v| v.id());
        let others = others.filter(|id| **id != self.setup.me && *id != proposer);
        let mine = *proposer == self.setup.me;
        let in_turn: Vec<&MemberId> = (!mine).then_some(proposer).into_iter().chain(others).collect();
        let at = asked.checked_rem(in_turn.len()).unwrap_or(0);
        in_turn.get(at).map_or_else(|| proposer.clone(), |id| (*id).clone())
    }

    /// Entries may be here now.
    pub(super) fn on_entries<A: Application, L: Log>(&mut self, turn: &mut Turn<'_, A, L>) -> Result<(), EngineError> {
        self.judge_pending(false, turn)
    }

    /// Judges again what lacked entries, and asks another validator for what still is missing.
    pub(super) fn judge_pending<A: Application, L: Log>(
        &mut self,
        ask: bool,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        if let Some(decided) = self.desk.held.take() {
            return self.finish(decided, ask, turn);
        }
        for (_, pending) in std::mem::take(&mut self.desk.pending) {
            self.judge(pending, ask, turn)?;
        }
        self.settle(turn)
    }
}
