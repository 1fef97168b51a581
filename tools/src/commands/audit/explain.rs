//! The steps of a verification, told as they are taken, or kept for a page.

use std::io::{self, Write};

use crate::audit::steps::{Stage, Step, Steps, short};
use crate::units::Units;

/// Tells steps, or keeps the last of them.
#[derive(Debug)]
pub struct Explained {
    is_told: bool,
    kept_max: usize,
    kept: Vec<Step>,
    count: u64,
}

impl Explained {
    /// Tells each step on standard output or not, and keeps so many.
    pub fn new(is_told: bool, kept_max: usize) -> Self {
        Self { is_told, kept_max, kept: Vec::new(), count: 0 }
    }

    /// The last steps.
    pub fn kept(&self) -> &[Step] {
        let first = self.kept.len().saturating_sub(self.kept_max);
        self.kept.get(first..).unwrap_or_default()
    }

    /// How many steps came before those that are kept.
    pub fn left_out(&self) -> u64 {
        self.count.saturating_sub(self.kept().len() as u64)
    }
}

impl Steps for Explained {
    fn step(&mut self, step: Step, units: &Units) {
        self.count = self.count.saturating_add(1);
        if self.is_told {
            // Whoever reads it may have seen enough, as in `stemma … | head`.
            let _gone = io::stdout().lock().write_all(told(self.count, &step, units).as_bytes());
        }
        self.kept.push(step);
        // Twice as many before the older half goes: so each is moved once.
        if self.kept.len() > self.kept_max.saturating_mul(2) {
            let older = self.kept.len().saturating_sub(self.kept_max);
            self.kept.drain(..older);
        }
    }
}

fn told(number: u64, step: &Step, units: &Units) -> String {
    let mut text = format!("{number:>4}. {}: {}\n", step.place, step.what);
    for Stage { kind, link, signer, key, facts } in &step.stages {
        text.push_str(&format!("      {kind} {}, signed by {signer} with {}\n", short(link), short(key)));
        facts.iter().for_each(|fact| text.push_str(&format!("        {fact}\n")));
    }
    step.facts.iter().for_each(|fact| text.push_str(&format!("      {fact}\n")));
    if let Some(holds) = &step.holds {
        text.push_str(&format!("      holds {}\n", units.lines(holds).join(", ")));
    }
    text
}
