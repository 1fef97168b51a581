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
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < LIMIT, "not within {} s: {what}", LIMIT.as_secs());
        tokio::time::sleep(PAUSE).await;
    }
}
