//! Waiting on a condition, with a deadline that fails the test.

use std::time::{Duration, Instant};

/// How long anything may take. Generous: it says nothing about speed, only that a test ends.
pub const LIMIT: Duration = Duration::from_secs(90);
/// How long to wait between two questions.
const PAUSE: Duration = Duration::from_millis(25);

/// Asks until there is an answer.
///
/// # Panics
/// There is none by the deadline.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Deadline::start();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        deadline.pause(what).await;
    }
}

/// When something must have happened.
#[derive(Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now on.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Pauses before the next question.
    ///
    /// # Panics
    /// The deadline has passed.
    pub async fn pause(&self, what: &str) {
        assert!(self.0.elapsed() < LIMIT, "not within {} s: {what}", LIMIT.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
}
