//! What is known of one path: round trip, its variance and least, and throughput. No clock: the time
//! is an argument. Integers only; times are in microseconds and rates in bytes per second.

use std::time::Duration;

use tokio::time::Instant;

/// A chain as most are, by which paths are compared.
pub(super) const TYPICAL_BYTES: u64 = 4096;

/// The train of filler starts with this.
const TRAIN_BYTES_MIN: u64 = 16 << 10;

/// The train of filler grows up to this.
const TRAIN_BYTES_MAX: u64 = 256 << 10;

/// A train that takes longer than this besides the round trip says enough.
const CLEAR: Duration = Duration::from_millis(50);

/// At most one part in so many of a path's capacity is filler, on average.
const FILLER_SHARE: u64 = 100;

/// How long a least round trip is believed.
const LEAST_FOR: Duration = Duration::from_secs(60);

/// Two times closer than this are not told apart: it is the grain of schedulers.
const GRAIN_US: u64 = 1000;

/// The rate of a path that has not been measured yet, so that it is neither shunned nor preferred.
const RATE_GUESSED: u64 = 1 << 20;

/// The measurements of one path. They outlive its connections.
#[derive(Debug, Clone, Default)]
pub(super) struct Probe {
    srtt_us: Option<u64>,
    var_us: u64,
    /// The least round trip of this period and of the one before.
    least_us: (Option<u64>, Option<u64>),
    least_since: Option<Instant>,
    rate: Option<u64>,
    train_bytes: u64,
    train_at: Option<Instant>,
}

impl Probe {
    /// Takes a round trip of something small that was sent once (Karn's rule is the caller's).
    /// Smoothed as in RFC 6298.
    pub(super) fn on_round_trip(&mut self, sample: Duration, now: Instant) {
        let sample = micros(sample).max(1);
        match self.srtt_us {
            None => {
                self.srtt_us = Some(sample);
                self.var_us = sample / 2;
            }
            Some(srtt) => {
                self.var_us = blend(self.var_us, srtt.abs_diff(sample), 4);
                self.srtt_us = Some(blend(srtt, sample, 8));
            }
        }
        match self.least_since {
            Some(since) if now.saturating_duration_since(since) < LEAST_FOR => {}
            _ => {
                self.least_us = (None, self.least_us.0);
                self.least_since = Some(now);
            }
        }
        self.least_us.0 = Some(self.least_us.0.map_or(sample, |least| least.min(sample)));
    }

    /// Takes how long so many bytes took until they were confirmed, on an otherwise idle path.
    pub(super) fn on_transfer(&mut self, bytes: u64, took: Duration) {
        let Some(rate) = self.rate_of(bytes, took) else { return };
        self.rate = Some(self.rate.map_or(rate, |known| blend(known, rate, 4)));
    }

    /// Takes a train of filler. A longer one follows if this took hardly longer than the round trip,
    /// or if it was much slower than those before: a path that lets a first bucketful pass at once
    /// shows its rate only after that.
    pub(super) fn on_train(&mut self, bytes: u64, took: Duration) {
        let Some(rate) = self.rate_of(bytes, took) else { return };
        let is_slower = self.rate.is_some_and(|known| rate < known / 2);
        let is_clear = self.is_clear(took);
        self.rate = Some(match self.rate {
            Some(known) if is_clear && !is_slower && rate / 2 < known => blend(known, rate, 4),
            _ => rate,
        });
        if !is_clear || is_slower {
            self.train_bytes = self.next_train_bytes().saturating_mul(2).min(TRAIN_BYTES_MAX);
        }
    }

    /// Whether it is time for a train, and of how many bytes. `slow` is the time between trains, and
    /// `fast` while they still grow; either is stretched so that trains stay a small part of what
    /// the path could carry.
    pub(super) fn train_due(&mut self, now: Instant, fast: Duration, slow: Duration) -> Option<u64> {
        self.srtt_us?;
        if self.train_at.is_some_and(|at| now < at) {
            return None;
        }
        let bytes = self.next_train_bytes();
        let is_growing = self.rate.is_none() || (bytes > TRAIN_BYTES_MIN && bytes < TRAIN_BYTES_MAX);
        let rate = self.rate.unwrap_or(RATE_GUESSED).max(1);
        let fair = Duration::from_micros(transfer_us(bytes, rate).saturating_mul(FILLER_SHARE));
        let pause = fair.max(if is_growing { fast } else { slow });
        self.train_at = now.checked_add(pause);
        Some(bytes)
    }

    /// A new connection may run over other wires: trains start small again, soon.
    pub(super) fn on_connected(&mut self) {
        self.train_bytes = 0;
        self.train_at = None;
        self.least_us = (None, None);
        self.least_since = None;
    }

    /// How long so many bytes and the word of their arrival will take; none before the first round
    /// trip was measured.
    pub(super) fn predicted(&self, bytes: u64) -> Option<Duration> {
        let rate = self.rate.unwrap_or(RATE_GUESSED);
        let wait = self.srtt_us?.saturating_add(self.var_us.saturating_mul(4));
        Some(Duration::from_micros(wait.saturating_add(transfer_us(bytes, rate))))
    }

    /// How long silence is no sign of death: until the next word should have come, and twice that.
    pub(super) fn patience(&self, bytes: u64, most: Duration) -> Duration {
        let expected = self.predicted(bytes).map_or(most, |predicted| predicted.saturating_mul(3));
        expected.clamp(most.checked_div(2).unwrap_or(most), most)
    }

    pub(super) fn srtt(&self) -> Option<Duration> {
        self.srtt_us.map(Duration::from_micros)
    }

    pub(super) fn variance(&self) -> Option<Duration> {
        self.srtt_us.map(|_| Duration::from_micros(self.var_us))
    }

    pub(super) fn least(&self) -> Option<Duration> {
        let (this, last) = self.least_us;
        this.into_iter().chain(last).min().map(Duration::from_micros)
    }

    pub(super) fn rate(&self) -> Option<u64> {
        self.rate
    }

    fn next_train_bytes(&self) -> u64 {
        // Not over a second's worth, behind which a request that comes meanwhile would wait.
        let most = self.rate.unwrap_or(u64::MAX).max(TRAIN_BYTES_MIN);
        self.train_bytes.clamp(TRAIN_BYTES_MIN, most)
    }

    fn least_or_zero_us(&self) -> u64 {
        self.least().map_or(0, micros)
    }

    fn is_clear(&self, took: Duration) -> bool {
        let least = self.least_or_zero_us();
        let besides = micros(took).saturating_sub(least);
        besides >= least.max(micros(CLEAR))
    }

    fn rate_of(&self, bytes: u64, took: Duration) -> Option<u64> {
        let besides = micros(took).saturating_sub(self.least_or_zero_us()).max(GRAIN_US);
        bytes.checked_mul(1_000_000)?.checked_div(besides)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Moves `known` towards `sample` by one part in `parts`.
fn blend(known: u64, sample: u64, parts: u64) -> u64 {
    let step = known.abs_diff(sample).checked_div(parts).unwrap_or(0);
    if sample > known { known.saturating_add(step) } else { known.saturating_sub(step) }
}

fn transfer_us(bytes: u64, rate: u64) -> u64 {
    bytes.saturating_mul(1_000_000).checked_div(rate.max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// A path with this round trip and rate, and a bucket that passes at once.
    fn train(bytes: u64, rtt: Duration, rate: u64, bucket: u64) -> Duration {
        rtt + Duration::from_micros(transfer_us(bytes.saturating_sub(bucket), rate))
    }

    #[test]
    fn round_trips_are_smoothed_as_in_rfc_6298() {
        let (mut probe, now) = (Probe::default(), Instant::now());
        probe.on_round_trip(ms(100), now);
        assert_eq!((probe.srtt(), probe.variance()), (Some(ms(100)), Some(ms(50))));
        probe.on_round_trip(ms(180), now);
        // 7/8 × 100 + 1/8 × 180, and 3/4 × 50 + 1/4 × 80.
        assert_eq!((probe.srtt(), probe.variance()), (Some(ms(110)), Some(Duration::from_micros(57_500))));
        assert_eq!(probe.least(), Some(ms(100)));
    }

    #[test]
    fn an_old_least_round_trip_is_forgotten() {
        let (mut probe, now) = (Probe::default(), Instant::now());
        probe.on_round_trip(ms(10), now);
        for seconds in 1..=121_u32 {
            probe.on_round_trip(ms(50), now + SECOND * seconds);
        }
        assert_eq!(probe.least(), Some(ms(50)));
    }

    #[test]
    fn the_rate_is_found_and_filler_stays_a_hundredth() {
        for (rtt, rate, bucket) in [(1, 100_000, 0), (80, 1_000_000, 0), (20, 100_000_000, 0), (20, 300_000, 100_000)] {
            let (mut probe, start) = (Probe::default(), Instant::now());
            let (mut now, mut filler) = (start, 0);
            while now < start + 300 * SECOND {
                now += ms(100);
                probe.on_round_trip(ms(rtt), now);
                if let Some(bytes) = probe.train_due(now, SECOND, 10 * SECOND) {
                    filler += bytes;
                    probe.on_train(bytes, train(bytes, ms(rtt), rate, bucket));
                }
            }
            // What passes at once can be deducted only as far as trains may grow, and a hundredth of
            // what is found is spent.
            let most = if bucket > 0 { rate * 2 } else { rate * 11 / 10 };
            let found = probe.rate().unwrap();
            assert!(found <= most && (found >= rate * 9 / 10), "{rate}: {found}");
            assert!(filler <= most * 300 / 80 + (1 << 19), "{rate}: {filler} of filler");
        }
    }

    #[test]
    fn a_bucket_deceives_short_trains_only() {
        let mut probe = Probe::default();
        probe.on_round_trip(ms(20), Instant::now());
        probe.on_train(16 << 10, train(16 << 10, ms(20), 100_000, 60_000));
        assert!(probe.rate().unwrap() > 10_000_000);
        let mut bytes = 16 << 10;
        for _ in 0..5 {
            probe.on_train(bytes, train(bytes, ms(20), 100_000, 60_000));
            bytes = probe.next_train_bytes();
        }
        assert!(probe.rate().unwrap() < 200_000, "{:?}", probe.rate());
    }

    #[test]
    fn patience_follows_the_path_within_bounds() {
        let (mut probe, now) = (Probe::default(), Instant::now());
        assert_eq!(probe.patience(0, SECOND), SECOND);
        for _ in 0..50 {
            probe.on_round_trip(ms(5), now);
        }
        assert_eq!(probe.patience(0, SECOND), ms(500));
        for _ in 0..50 {
            probe.on_round_trip(ms(250), now);
        }
        let patience = probe.patience(0, SECOND);
        assert!(patience > ms(700) && patience <= SECOND, "{patience:?}");
    }
}
