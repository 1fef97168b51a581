//! The institution's own system, over HTTP: which calls are to be made, and when. Of one key one call is made at a time, again and
//! again, each pause twice as long; a conclusion is said only after whatever was asked before has come to its end. Pure: calls
//! go out, answers and time come in.

use std::collections::{BTreeMap, BTreeSet};

use stemma_chain_format::hash::{Link, NetworkId};
use stemma_chain_format::member::MemberId;
use stemma_node_api::config::BackOfficeConfig;

use super::breaker::Breaker;
use super::client::Heard;
use super::wire::{Caller, Trouble, read_acknowledgement, read_execution, read_liveness};
use super::{Asked, BackOffice, Conclusion, Instruction, News, Standing, Ticket, Told};
use crate::error::chain;
use crate::role::{BackOfficeCall, CallStep};

/// Most calls at once.
const CALLS_MAX: usize = 64;

/// Calls by key, and the breaker that all of them go through.
#[derive(Debug)]
pub(super) struct Http {
    caller: Caller,
    retry_first_ms: u64,
    retry_max_ms: u64,
    breaker: Breaker,
    lines: BTreeMap<Link, Line>,
    /// Lines of which no call is under way: when each is due, in Unix milliseconds.
    waiting: BTreeSet<(u64, Link)>,
    /// How many calls are under way.
    calling: usize,
    /// Calls that failed since the node started.
    failures: u64,
}

/// What is to be said under one key.
#[derive(Debug)]
struct Line {
    task: Task,
    /// When it is due; nothing while a call is under way.
    due_ms: Option<u64>,
    /// How often in a row it failed.
    failures: u32,
}

#[derive(Debug)]
enum Task {
    Execute(Box<Instruction>),
    Conclude(Conclusion),
    Tell(Box<Ticket>),
}

impl Task {
    fn step(&self) -> CallStep {
        match self {
            Self::Execute(_) => CallStep::Execution,
            Self::Conclude(_) => CallStep::Conclusion,
            Self::Tell(_) => CallStep::Settlement,
        }
    }
}

impl Http {
    pub(super) fn new(config: &BackOfficeConfig, network: NetworkId, member: MemberId) -> Self {
        Self {
            caller: Caller { network, member },
            retry_first_ms: config.retry_first_ms,
            retry_max_ms: config.retry_max_ms,
            breaker: Breaker::new(config.breaker_failures, config.breaker_cooldown_s.saturating_mul(1_000)),
            lines: BTreeMap::new(),
            waiting: BTreeSet::new(),
            calling: 0,
            failures: 0,
        }
    }

    /// Gives a key another task; a call under way is let come to its end first.
    fn set(&mut self, key: Link, task: Task, now_ms: u64) {
        let due_ms = match self.lines.get(&key) {
            Some(Line { due_ms: None, .. }) => None,
            Some(Line { due_ms: Some(before), .. }) => {
                self.waiting.remove(&(*before, key));
                Some(now_ms)
            }
            None => Some(now_ms),
        };
        self.waiting.extend(due_ms.map(|due_ms| (due_ms, key)));
        self.lines.insert(key, Line { task, due_ms, failures: 0 });
    }

    fn note(&mut self, step: CallStep, key: &Link, trouble: &Trouble, again_ms: u64, now_ms: u64) {
        let opened = if trouble.is_sign_of_life() {
            self.breaker.succeeded();
            false
        } else {
            self.breaker.failed(now_ms)
        };
        if matches!(trouble, Trouble::Later(_)) {
            tracing::debug!(%key, %step, again_ms, "the back office takes its time: {trouble}");
            return;
        }
        self.failures = self.failures.saturating_add(1);
        tracing::warn!(%key, %step, again_ms, "a call of the back office failed: {}", chain(trouble));
        if opened {
            tracing::error!(
                "the back office failed too often in a row: its calls pause, and orders wait at their banks"
            );
        }
    }

    /// No pause is longer than the longest, also where the clock went back meanwhile; and the one call that tells whether an open
    /// breaker may close does not wait out its own.
    fn is_due(&self, due_ms: u64, now_ms: u64) -> bool {
        due_ms <= now_ms || due_ms.saturating_sub(now_ms) > self.retry_max_ms || !self.breaker.is_closed()
    }

    fn pause_ms(&self, failures: u32) -> u64 {
        let doublings = failures.saturating_sub(1);
        self.retry_first_ms.saturating_mul(2_u64.saturating_pow(doublings)).min(self.retry_max_ms)
    }
}

impl BackOffice for Http {
    /// While the breaker is not closed, one order is enough to find out whether it may be.
    fn takes_orders(&self, now_ms: u64) -> bool {
        self.breaker.is_closed() || (self.breaker.would_admit(now_ms) && self.lines.is_empty())
    }

    fn execute(&mut self, instruction: &Instruction, now_ms: u64) -> Asked {
        self.set(instruction.ticket.key, Task::Execute(Box::new(instruction.clone())), now_ms);
        Asked::Later
    }

    fn conclude(&mut self, key: Link, conclusion: Conclusion, now_ms: u64) -> Told {
        self.set(key, Task::Conclude(conclusion), now_ms);
        Told::Later
    }

    fn tell(&mut self, settled: &Ticket, now_ms: u64) -> Told {
        self.set(settled.key, Task::Tell(Box::new(settled.clone())), now_ms);
        Told::Later
    }

    fn due(&mut self, now_ms: u64) -> Vec<BackOfficeCall> {
        let mut calls = Vec::new();
        while self.calling < CALLS_MAX
            && let Some((due_ms, key)) = self.waiting.first().copied()
            && self.is_due(due_ms, now_ms)
            && self.breaker.admits(now_ms)
        {
            self.waiting.remove(&(due_ms, key));
            let Some(line) = self.lines.get_mut(&key) else { continue };
            line.due_ms = None;
            self.calling = self.calling.saturating_add(1);
            calls.push(match &line.task {
                Task::Execute(instruction) => self.caller.execution(instruction),
                Task::Conclude(conclusion) => self.caller.conclusion(key, *conclusion),
                Task::Tell(ticket) => self.caller.settlement(ticket),
            });
        }
        calls
    }

    fn heard(&mut self, heard: Heard, now_ms: u64) -> Option<News> {
        let (key, step) = (heard.key, heard.step);
        let Line { task, failures, .. } = self.lines.remove(&key)?;
        self.calling = self.calling.saturating_sub(1);
        let is_void = task.step() != step;
        let failures = if is_void { 0 } else { failures.saturating_add(1) };
        let judged = match &task {
            // The instruction is void since: whatever it was answered, what comes next is its release.
            Task::Conclude(_) if is_void => read_liveness(heard.answer).map(|()| None),
            Task::Execute(instruction) => {
                read_execution(heard.answer, instruction).map(|verdict| Some(News::Decided(key, verdict)))
            }
            Task::Conclude(_) | Task::Tell(_) => {
                read_acknowledgement(heard.answer, &key, step).map(|()| Some(News::Concluded(key)))
            }
        };
        let pause_ms = if is_void { 0 } else { self.pause_ms(failures) };
        match judged {
            Ok(Some(news)) => {
                self.breaker.succeeded();
                return Some(news);
            }
            Ok(None) => self.breaker.succeeded(),
            Err(trouble) => self.note(step, &key, &trouble, pause_ms, now_ms),
        }
        let due_ms = now_ms.saturating_add(pause_ms);
        self.waiting.insert((due_ms, key));
        self.lines.insert(key, Line { task, due_ms: Some(due_ms), failures });
        None
    }

    fn standing(&self) -> Option<Standing> {
        Some(Standing { failures: self.failures, breaker: self.breaker.as_str() })
    }
}

#[cfg(test)]
mod tests;
