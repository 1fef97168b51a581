//! Which path is used. No clock and no sockets: what is known of the paths and the time go in, the
//! choice comes out.
//!
//! A live best path is left only for one that was clearly better for a while. A dead one is left at
//! once, and may be chosen again only after it has been alive for a hold-down that doubles with each
//! death. When nothing else lives, the hold-down is ignored.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// A better path must be better by one part in so many of the best one's score.
const BETTER_PART: u32 = 5;

/// Two scores closer than this are equal: changing would gain nothing.
const GAIN_MIN: Duration = Duration::from_micros(500);

/// Better in so many evaluations in a row.
const BETTER_COUNT: u32 = 3;

/// Better for so long.
const BETTER_FOR: Duration = Duration::from_secs(2);

const HOLD_MIN: Duration = Duration::from_secs(1);
const HOLD_MAX: Duration = Duration::from_secs(60);

/// A path's deaths are forgotten when it has lived for so many hold-downs.
const FORGIVEN_AFTER: u32 = 10;

/// A path of one peer.
pub(super) type PathId = u32;

/// A live path and its predicted time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: PathId,
    pub(super) score: Duration,
}

#[derive(Debug, Default)]
struct Track {
    deaths: u32,
    alive_since: Option<Instant>,
    /// Since when and how often in a row it was better than the best.
    better: Option<(Instant, u32)>,
}

impl Track {
    fn hold(&self) -> Duration {
        match self.deaths.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => HOLD_MIN.saturating_mul(1_u32.checked_shl(doublings.min(16)).unwrap_or(1)).min(HOLD_MAX),
        }
    }

    fn is_held(&self, now: Instant) -> bool {
        self.alive_since.is_none_or(|since| now.saturating_duration_since(since) < self.hold())
    }

    fn forgive(&mut self, now: Instant) {
        let lived = self.alive_since.map(|since| now.saturating_duration_since(since));
        if self.deaths > 0 && lived.is_some_and(|lived| lived >= self.hold().saturating_mul(FORGIVEN_AFTER)) {
            self.deaths = 0;
        }
    }
}

/// Chooses among the paths of one peer.
#[derive(Debug, Default)]
pub(super) struct Selector {
    best: Option<PathId>,
    switches: u64,
    tracks: BTreeMap<PathId, Track>,
}

impl Selector {
    pub(super) fn best(&self) -> Option<PathId> {
        self.best
    }

    /// How often the choice went from one path to another.
    pub(super) fn switches(&self) -> u64 {
        self.switches
    }

    /// A path answers, for the first time or again.
    pub(super) fn on_alive(&mut self, id: PathId, now: Instant) {
        let track = self.tracks.entry(id).or_default();
        track.alive_since.get_or_insert(now);
    }

    /// A path answers no more. Call [`Self::choose`] next.
    pub(super) fn on_death(&mut self, id: PathId, now: Instant) {
        let track = self.tracks.entry(id).or_default();
        track.forgive(now);
        if track.alive_since.take().is_some() {
            track.deaths = track.deaths.saturating_add(1);
        }
        track.better = None;
    }

    /// A path is kept no more.
    pub(super) fn forget(&mut self, id: PathId) {
        self.tracks.remove(&id);
    }

    /// Finds a best path if the present one is not among the live ones; otherwise keeps it. Returns
    /// whether the choice changed.
    pub(super) fn choose(&mut self, now: Instant, live: &[Candidate]) -> bool {
        if self.best.is_some_and(|best| live.iter().any(|path| path.id == best)) {
            return false;
        }
        let free = live.iter().filter(|path| !self.is_held(path.id, now)).min_by_key(|path| (path.score, path.id));
        let next = free.or_else(|| live.iter().min_by_key(|path| (path.score, path.id)));
        self.switch_to(next.map(|path| path.id))
    }

    /// Compares the live paths; to be called regularly, say twice a second. Returns whether the
    /// choice changed.
    pub(super) fn evaluate(&mut self, now: Instant, live: &[Candidate]) -> bool {
        if self.choose(now, live) {
            return true;
        }
        let best = self.best.and_then(|best| live.iter().find(|path| path.id == best));
        let Some(best) = best.copied() else { return false };
        let gain = best.score.checked_div(BETTER_PART).unwrap_or_default().max(GAIN_MIN);
        let mut winner: Option<Candidate> = None;
        for (id, track) in &mut self.tracks {
            track.forgive(now);
            let path = live.iter().find(|path| path.id == *id && !track.is_held(now));
            let Some(path) = path.filter(|path| path.score.saturating_add(gain) <= best.score) else {
                track.better = None;
                continue;
            };
            let (since, count) = track.better.get_or_insert((now, 0));
            *count = count.saturating_add(1);
            let is_proven = *count >= BETTER_COUNT && now.saturating_duration_since(*since) >= BETTER_FOR;
            if is_proven && winner.is_none_or(|winner| path.score < winner.score) {
                winner = Some(*path);
            }
        }
        winner.is_some_and(|winner| self.switch_to(Some(winner.id)))
    }

    fn is_held(&self, id: PathId, now: Instant) -> bool {
        self.tracks.get(&id).is_none_or(|track| track.is_held(now))
    }

    /// While nothing lives the dead best is remembered, so that its return is no change.
    fn switch_to(&mut self, next: Option<PathId>) -> bool {
        if next.is_none() || next == self.best {
            return false;
        }
        // The first choice is no switch.
        if self.best.is_some() {
            self.switches = self.switches.saturating_add(1);
        }
        self.best = next;
        for track in self.tracks.values_mut() {
            track.better = None;
        }
        true
    }
}

#[cfg(test)]
#[path = "path_selector_tests.rs"]
mod tests;
