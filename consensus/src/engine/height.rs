//! From one height to the next.

use arc_malachitebft_core_consensus::{Input as CoreInput, Params, State, ThresholdParams};
use arc_malachitebft_core_types::{ValuePayload, VoteExtensionPolicy};

use stemma_chain_format::registry::Registry;

use crate::context::{Address, Height, StemmaContext};
use crate::engine::turn::Turn;
use crate::engine::{Effect, Engine, Phase, TimerId};
use crate::error::EngineError;
use crate::ports::{Application, Log};
use crate::validators::ValidatorSet;

/// Most heights begun in one call; the next one begins with a timer of no delay. It matters where one validator alone
/// is a quorum and work never ends.
const HEIGHTS_PER_CALL_MAX: u32 = 4;

impl Engine {
    /// Turns to the height after the last committed one.
    pub(super) fn enter_height<A: Application, L: Log>(
        &mut self,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let next = turn.next_height();
        self.leave_height(turn);
        self.guard.enter(next);
        self.knows_protocol(next, turn.app.registry())?;
        let validators = ValidatorSet::of(turn.app.registry()).map_err(EngineError::Validators)?;
        self.end_recall(&validators, turn);
        let votes = self.has_vote(next, &validators);
        self.validators = Some(validators.clone());
        if next > self.log_height {
            turn.reset_log(next)?;
            (self.log_height, self.log_begun) = (next, true);
        }
        if !votes {
            self.phase = Phase::Following;
        } else if next == self.log_height && !self.log_begun {
            self.log_begun = true;
            self.replay(next, validators, turn)?;
        } else {
            self.phase = Phase::Waiting;
            let busy = turn.app.has_work() || self.early.has(next);
            if busy && turn.commits < HEIGHTS_PER_CALL_MAX {
                self.begin_height(turn)?;
            } else {
                let id = TimerId::Idle { height: next };
                self.desk.timers.insert(id);
                turn.set_timer(id, if busy { 0 } else { self.setup.config.idle_ms });
            }
        }
        self.catch_up(turn);
        Ok(())
    }

    /// A node stops before the first height whose rules it does not know: what it would sign there might be wrong.
    fn knows_protocol(&self, next: u64, registry: &Registry) -> Result<(), EngineError> {
        let (needed, known) = (registry.version(), self.setup.config.protocol_max);
        if needed > known { Err(EngineError::Version { height: next, needed, known }) } else { Ok(()) }
    }

    /// Drops the core and all that belongs to its height.
    fn leave_height<A: Application, L: Log>(&mut self, turn: &mut Turn<'_, A, L>) {
        let desk = std::mem::take(&mut self.desk);
        for id in desk.timers {
            turn.emit(Effect::CancelTimer(id));
        }
        self.core = None;
    }

    /// A node votes at a height when the registry names its signer's key, when no log of a later height says that it
    /// voted there already, from the height that its configuration names, and not before the others were asked what they hold
    /// of its signatures.
    fn has_vote(&self, next: u64, validators: &ValidatorSet) -> bool {
        let key = self.setup.signer.as_ref().map(|s| s.public_key());
        let listed = validators.get(&self.setup.me).is_some_and(|v| Some(v.key()) == key);
        let may_sign = self.asking.is_none() && !self.silenced;
        listed && may_sign && next >= self.log_height && next >= self.setup.config.vote_from_height
    }

    /// Begins to decide the height that waited.
    pub(super) fn begin_height<A: Application, L: Log>(
        &mut self,
        turn: &mut Turn<'_, A, L>,
    ) -> Result<(), EngineError> {
        let next = turn.next_height();
        let Some(validators) = self.validators.clone() else {
            return Ok(());
        };
        let idle = TimerId::Idle { height: next };
        if self.desk.timers.remove(&idle) {
            turn.emit(Effect::CancelTimer(idle));
        }
        self.make_core(next, &validators);
        let start = start_input(next, validators, false);
        self.drive(start, turn)?;
        for message in self.early.take(next) {
            if turn.next_height() != next {
                break;
            }
            self.feed(message, turn)?;
        }
        Ok(())
    }

    pub(super) fn make_core(&mut self, next: u64, validators: &ValidatorSet) {
        let params = Params {
            address: Address(self.setup.me.clone()),
            threshold_params: ThresholdParams::default(),
            // Not `ProposalOnly`: under that the core takes every proposal for valid the moment it arrives. Under this
            // it waits for our verdict, which is what a block of ids needs. Blocks still travel inside proposals.
            value_payload: ValuePayload::ProposalAndParts,
            enabled: true,
        };
        let context = StemmaContext { network: self.setup.network };
        // The core's own queue for later heights stays unused: `early` keeps such messages, by signer.
        let core = State::new(context, Height(next), validators.clone(), params, 1, 1);
        self.core = Some(core);
        self.phase = Phase::Running;
    }

    /// Work arrived: a height that waits begins.
    pub(super) fn on_work<A: Application, L: Log>(&mut self, turn: &mut Turn<'_, A, L>) -> Result<(), EngineError> {
        if self.phase == Phase::Waiting && turn.app.has_work() {
            self.begin_height(turn)?;
        }
        Ok(())
    }
}

/// The core's input that starts a height.
pub(super) fn start_input(height: u64, validators: ValidatorSet, restart: bool) -> CoreInput<StemmaContext> {
    let policy = VoteExtensionPolicy::Disabled;
    CoreInput::StartHeight(Height(height), validators, restart, None, policy)
}
