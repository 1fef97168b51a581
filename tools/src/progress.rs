//! Showing that a long act goes on: a bar on a terminal, plain lines elsewhere.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const TICK: Duration = Duration::from_millis(120);

/// A running act. Made by [`crate::output::Output::progress`]; always on standard error.
#[derive(Debug)]
pub struct Progress {
    label: String,
    shape: Shape,
    done: u64,
}

#[derive(Debug)]
enum Shape {
    Silent,
    Plain { total: Option<u64> },
    Drawn(ProgressBar),
}

impl Progress {
    pub(crate) fn silent(label: &str) -> Self {
        Self::new(label, Shape::Silent)
    }

    pub(crate) fn plain(label: &str, total: Option<u64>) -> Self {
        let progress = Self::new(label, Shape::Plain { total });
        progress.say("…");
        progress
    }

    pub(crate) fn drawn(label: &str, total: Option<u64>) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let template = match total {
            Some(_) => "{msg} [{bar:30}] {pos}/{len} {eta}",
            None => "{spinner} {msg} {pos} {elapsed}",
        };
        // indicatif honours NO_COLOR itself, and the template asks for no colours.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(label.to_owned());
        bar.enable_steady_tick(TICK);
        Self::new(label, Shape::Drawn(bar))
    }

    /// Counts steps that were done.
    pub fn advance(&mut self, steps: u64) {
        let before = self.done;
        self.done = self.done.saturating_add(steps);
        match &self.shape {
            Shape::Silent | Shape::Plain { total: None } => {}
            Shape::Drawn(bar) => bar.set_position(self.done),
            // A line for each tenth: enough to see that it moves, few enough for a log.
            Shape::Plain { total: Some(total) } => {
                let percent = |done: u64| done.saturating_mul(100).checked_div(*total).unwrap_or(100);
                if percent(self.done) / 10 > percent(before) / 10 {
                    self.say(&format!("{}/{total} ({} %)", self.done, percent(self.done)));
                }
            }
        }
    }

    /// Ends the act that went well. One that is dropped instead just disappears.
    pub fn finish(self) {
        match &self.shape {
            Shape::Silent => {}
            Shape::Drawn(bar) => bar.finish_and_clear(),
            Shape::Plain { .. } if self.done == 0 => self.say("done"),
            Shape::Plain { .. } => self.say(&format!("done ({})", self.done)),
        }
    }

    fn new(label: &str, shape: Shape) -> Self {
        Self { label: label.to_owned(), shape, done: 0 }
    }

    fn say(&self, text: &str) {
        // When standard error is gone there is nobody left to tell.
        let _ = io::stderr().lock().write_all(format!("{}: {text}\n", self.label).as_bytes());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shape::Drawn(bar) = &self.shape {
            bar.finish_and_clear();
        }
    }
}
