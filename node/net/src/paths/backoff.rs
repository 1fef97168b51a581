//! When to try again: ever later, with jitter, and soon again after success that lasted.

use std::time::Duration;

use tokio::time::Instant;

use super::super::config::NetTimeouts;

/// Even a configuration without a wait does not try in a tight loop.
const WAIT_FLOOR: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    at: Option<Instant>,
    failures: u32,
    up_since: Option<Instant>,
}

impl Backoff {
    /// Whether it may be tried now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.at.is_none_or(|at| now >= at)
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn on_success(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    pub(super) fn on_failure(&mut self, now: Instant, timeouts: &NetTimeouts, random: u32) {
        let lasted = self.up_since.take().map(|since| now.saturating_duration_since(since));
        if lasted.is_some_and(|lasted| lasted >= timeouts.stable) {
            self.failures = 0;
        }
        let doubled = 1_u32.checked_shl(self.failures.min(16)).unwrap_or(1);
        let wait = timeouts.redial_min.saturating_mul(doubled).min(timeouts.redial_max).max(WAIT_FLOOR);
        // Up to a quarter.
        let jitter = wait.saturating_mul(random & 0xff).checked_div(1024).unwrap_or_default();
        self.failures = self.failures.saturating_add(1);
        self.at = now.checked_add(wait.saturating_add(jitter));
    }
}
