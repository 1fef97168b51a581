//! What a run is asked to do, and what came of it.

use stemma_consensus::config::Config;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Honest,
    /// Hears everything and says nothing.
    Silent,
    /// Signs two of everything.
    Liar,
    /// Has no vote.
    Follower,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub seed: u64,
    pub validators: usize,
    pub followers: usize,
    pub silent: Option<usize>,
    pub liar: Option<usize>,
    /// Dies and comes back, again and again, until the faults stop.
    pub crashing: Option<usize>,
    pub loss_percent: u64,
    pub repeat_percent: u64,
    pub delay_ms_max: u64,
    /// When the faults stop.
    pub heal_ms: u64,
    /// How long the network has, after that, to make `heights` more blocks everywhere.
    pub live_ms: u64,
    pub heights: u64,
    pub entry_every_ms: u64,
    pub config: Config,
}

impl Options {
    pub fn calm(validators: usize, seed: u64) -> Self {
        Self {
            seed,
            validators,
            followers: 0,
            silent: None,
            liar: None,
            crashing: None,
            loss_percent: 0,
            repeat_percent: 0,
            delay_ms_max: 20,
            heal_ms: 0,
            live_ms: 60_000,
            heights: 10,
            entry_every_ms: 100,
            config: Config { recall_ms: 500, ..Config::default() },
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    pub trace: u64,
    pub height: u64,
    pub ended_ms: u64,
    pub messages: u64,
    pub synced: u64,
    pub restarts: u32,
    pub accusations: u64,
    pub entries: usize,
}
