//! The circuit breaker: after so many failures in a row nothing is tried for a while, then one call tells whether it is over.
//! Pure: time comes in.

/// Whether calls may be made.
#[derive(Debug)]
pub(super) struct Breaker {
    failures_max: u32,
    cooldown_ms: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls are made; so many failed in a row.
    Closed { failures: u32 },
    /// No call is made before this time, in Unix milliseconds.
    Open { until_ms: u64 },
    /// One call is under way, and nothing beside it.
    Probing,
}

impl Breaker {
    /// A closed breaker that opens after so many failures in a row, each time for so long.
    pub(super) fn new(failures_max: u32, cooldown_ms: u64) -> Self {
        Self { failures_max, cooldown_ms, state: State::Closed { failures: 0 } }
    }

    /// Whether a call might be made now.
    pub(super) fn would_admit(&self, now_ms: u64) -> bool {
        match self.state {
            State::Closed { .. } => true,
            // A clock that went back must not make it longer.
            State::Open { until_ms } => now_ms >= until_ms || until_ms.saturating_sub(now_ms) > self.cooldown_ms,
            State::Probing => false,
        }
    }

    /// Whether a call may be made now; if so, it counts as made, and its end must be told.
    pub(super) fn admits(&mut self, now_ms: u64) -> bool {
        let admits = self.would_admit(now_ms);
        if admits && matches!(self.state, State::Open { .. }) {
            self.state = State::Probing;
        }
        admits
    }

    /// A call was answered: the other side is there.
    pub(super) fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// A call failed. Returns whether the breaker opened by it.
    pub(super) fn failed(&mut self, now_ms: u64) -> bool {
        let failures = match self.state {
            State::Closed { failures } => failures.saturating_add(1),
            State::Probing => self.failures_max,
            // A call that was made before it opened; it says nothing new.
            State::Open { .. } => return false,
        };
        let opens = failures >= self.failures_max;
        self.state = if opens {
            State::Open { until_ms: now_ms.saturating_add(self.cooldown_ms) }
        } else {
            State::Closed { failures }
        };
        opens
    }

    /// Whether all calls are made.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Its state, for the operator.
    pub(super) fn as_str(&self) -> &'static str {
        match self.state {
            State::Closed { .. } => "closed",
            State::Open { .. } => "open",
            State::Probing => "probing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(3, 1_000);
        assert_eq!([breaker.failed(0), breaker.failed(1), breaker.failed(2)], [false, false, true]);
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_alone() {
        let mut breaker = Breaker::new(3, 1_000);
        for _ in 0..5 {
            assert!(!breaker.failed(0) && !breaker.failed(0));
            breaker.succeeded();
        }
        assert!(breaker.admits(0) && breaker.is_closed());
        assert_eq!([breaker.failed(0), breaker.failed(0), breaker.failed(0)], [false, false, true]);
        assert!(!breaker.admits(999) && !breaker.is_closed());
    }

    #[test]
    fn after_the_cooldown_one_call_decides() {
        let mut breaker = opened();
        assert_eq!((breaker.admits(1_001), breaker.as_str()), (false, "open"));
        assert!(breaker.would_admit(1_002) && breaker.would_admit(1_002), "asking whether admits nothing");
        assert!(breaker.admits(1_002));
        assert_eq!((breaker.admits(1_002), breaker.as_str()), (false, "probing"));
        assert!(breaker.failed(1_500), "the probe failed: as long again, from then on");
        assert!(!breaker.admits(2_499) && breaker.admits(2_500));
        breaker.succeeded();
        assert!(breaker.admits(2_500) && breaker.is_closed());
        assert!(!breaker.failed(2_500), "counting begins anew");
    }

    #[test]
    fn a_clock_that_went_back_shortens_the_cooldown_and_never_lengthens_it() {
        let mut breaker = Breaker::new(1, 1_000);
        assert!(breaker.failed(600_000));
        assert!(!breaker.would_admit(599_999 + 1) && breaker.admits(0));
    }

    #[test]
    fn calls_of_before_neither_keep_it_open_nor_shut() {
        let mut breaker = opened();
        assert!(!breaker.failed(900));
        assert!(breaker.admits(1_002), "a late failure does not make the cooldown longer");
        let mut breaker = opened();
        breaker.succeeded();
        assert!(breaker.is_closed(), "a late answer is a sign of life");
    }
}
