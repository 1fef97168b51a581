//! One call of the engine: what it may use, and what it has gathered for its caller.

use stemma_chain_format::keys::PublicKey;

use crate::engine::{Effect, TimerId};
use crate::error::EngineError;
use crate::guard::SignedMark;
use crate::ports::{Application, Log};

/// The ports lent for one call, and the effects so far.
pub(crate) struct Turn<'t, A, L> {
    pub now_ms: u64,
    pub app: &'t mut A,
    log: &'t mut L,
    effects: Vec<Effect>,
    unflushed: bool,
    /// Heights committed in this call.
    pub commits: u32,
}

impl<'t, A: Application, L: Log> Turn<'t, A, L> {
    pub fn new(now_ms: u64, app: &'t mut A, log: &'t mut L) -> Self {
        Self { now_ms, app, log, effects: Vec::new(), unflushed: false, commits: 0 }
    }

    pub fn emit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub fn set_timer(&mut self, id: TimerId, after_ms: u64) {
        self.emit(Effect::SetTimer { id, after_ms });
    }

    pub fn append(&mut self, height: u64, entry: &[u8]) -> Result<(), EngineError> {
        self.unflushed = true;
        self.log.append(height, entry).map_err(EngineError::Log)
    }

    pub fn reset_log(&mut self, height: u64) -> Result<(), EngineError> {
        self.log.reset(height).map_err(EngineError::Log)
    }

    pub fn silence(&mut self, key: &PublicKey, mark: &SignedMark) -> Result<(), EngineError> {
        self.log.silence(key, mark).map_err(EngineError::Log)
    }

    pub fn is_silenced(&self, key: &PublicKey) -> Result<bool, EngineError> {
        self.log.is_silenced(key).map_err(EngineError::Log)
    }

    pub fn read_log(&self) -> Result<Vec<(u64, Vec<u8>)>, EngineError> {
        self.log.replay().map_err(EngineError::Log)
    }

    /// The height after the last committed one.
    pub fn next_height(&self) -> u64 {
        self.app.height().saturating_add(1)
    }

    /// Makes durable what was appended, and only then hands the effects out.
    pub fn finish(self) -> Result<Vec<Effect>, EngineError> {
        if self.unflushed {
            self.log.flush().map_err(EngineError::Log)?;
        }
        Ok(self.effects)
    }
}
