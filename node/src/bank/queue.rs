//! Who waits for whom. One line for each account, in the order of arrival: different accounts never wait for each other.
//! And one queue for each institution, in which second chains wait until fewer than a window of them are unanswered.
//!
//! In an institution's queue the order is by age and activity: a chain's rank is the time at which its order came, less an
//! advance that its account's activity earns, at most [`QueueConfig::advance_ms_max`]. Everything that waits ages alike, so
//! ranks never change; and whoever comes later than another by more than the greatest advance can never overtake, so
//! nobody waits for ever.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::member::MemberId;

use crate::store::TRADE_ACTIVITY;

/// With the activity of so many trades an account has half of the greatest advance.
const HALF_ADVANCE_TRADES: u64 = 10;

/// Every account's line.
#[derive(Debug, Default)]
pub(super) struct Lines(BTreeMap<AccountId, Line>);

#[derive(Debug, Default)]
struct Line {
    under_way: Option<Link>,
    waiting: VecDeque<Link>,
}

impl Lines {
    /// An order joins its account's line.
    pub(super) fn join(&mut self, account: AccountId, link: Link) {
        self.0.entry(account).or_default().waiting.push_back(link);
    }

    /// An operator's act goes before what waits; only what is under way is before it.
    pub(super) fn jump(&mut self, account: AccountId, link: Link) {
        self.0.entry(account).or_default().waiting.push_front(link);
    }

    /// An order that was under way before a restart is so again.
    pub(super) fn resume(&mut self, account: AccountId, link: Link) {
        self.0.entry(account).or_default().under_way = Some(link);
    }

    /// The account's next order, which is then under way; none while one is.
    pub(super) fn next(&mut self, account: &AccountId) -> Option<Link> {
        let line = self.0.get_mut(account)?;
        if line.under_way.is_some() {
            return None;
        }
        line.under_way = line.waiting.pop_front();
        line.under_way
    }

    /// An order leaves its line, wherever it stood.
    pub(super) fn release(&mut self, account: &AccountId, link: &Link) {
        let Some(line) = self.0.get_mut(account) else { return };
        if line.under_way == Some(*link) {
            line.under_way = None;
        } else {
            line.waiting.retain(|waiting| waiting != link);
        }
        if line.under_way.is_none() && line.waiting.is_empty() {
            self.0.remove(account);
        }
    }
}

/// What orders second chains, and how many are sent at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueConfig {
    /// Most second chains to one institution that are sent and not answered.
    pub window: usize,
    /// Greatest advance that activity earns, in milliseconds.
    pub advance_ms_max: u64,
}

/// A second chain's place: the smaller, the earlier it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// When the order came, less the advance, in milliseconds from an origin that all ranks share.
    pub at_ms: u64,
    /// The order's number, where the times are equal.
    pub number: u64,
}

impl QueueConfig {
    /// The rank of an order that came at a time from an account of some activity.
    pub fn rank(&self, number: u64, received_ms: u64, activity: u64) -> Rank {
        let advance_ms = self.advance_ms(activity);
        Rank { at_ms: received_ms.saturating_add(self.advance_ms_max).saturating_sub(advance_ms), number }
    }

    /// `advance_ms_max × a / (a + 10 trades)`: it grows with activity, ever more slowly, and never beyond its greatest.
    fn advance_ms(&self, activity: u64) -> u64 {
        let whole = u128::from(activity).saturating_add(u128::from(HALF_ADVANCE_TRADES.saturating_mul(TRADE_ACTIVITY)));
        let share = u128::from(self.advance_ms_max).saturating_mul(activity.into()).checked_div(whole);
        u64::try_from(share.unwrap_or(0)).unwrap_or(u64::MAX)
    }
}

/// Every institution's queue.
#[derive(Debug)]
pub(super) struct Queues {
    config: QueueConfig,
    queues: BTreeMap<MemberId, Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeSet<(Rank, Link)>,
    sent: BTreeSet<Link>,
}

/// What an operator sees of one institution's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueShown {
    /// The institution.
    pub institution: MemberId,
    /// Sent and not answered.
    pub sent: usize,
    /// Waiting, the next first, at most as many as were asked for.
    pub next: Vec<(Rank, Link)>,
    /// How many wait.
    pub waiting: usize,
}

impl Queues {
    pub(super) fn new(config: QueueConfig) -> Self {
        Self { config, queues: BTreeMap::new() }
    }

    pub(super) fn config(&self) -> QueueConfig {
        self.config
    }

    /// A second chain joins.
    pub(super) fn join(&mut self, institution: MemberId, rank: Rank, link: Link) {
        self.queues.entry(institution).or_default().waiting.insert((rank, link));
    }

    /// A chain that was sent before a restart is unanswered again.
    pub(super) fn resume(&mut self, institution: MemberId, link: Link) {
        self.queues.entry(institution).or_default().sent.insert(link);
    }

    /// The institution's next second chain, which is then sent; none while the window is full.
    pub(super) fn next(&mut self, institution: &MemberId) -> Option<Link> {
        let queue = self.queues.get_mut(institution)?;
        if queue.sent.len() >= self.config.window {
            return None;
        }
        let (_, link) = queue.waiting.pop_first()?;
        queue.sent.insert(link);
        Some(link)
    }

    /// A chain leaves, answered or past its expiry.
    pub(super) fn release(&mut self, institution: &MemberId, link: &Link) {
        let Some(queue) = self.queues.get_mut(institution) else { return };
        if !queue.sent.remove(link) {
            queue.waiting.retain(|(_, waiting)| waiting != link);
        }
        if queue.sent.is_empty() && queue.waiting.is_empty() {
            self.queues.remove(institution);
        }
    }

    /// What operators see: of each institution the next `count` that wait.
    pub(super) fn shown(&self, count: usize) -> Vec<QueueShown> {
        let show = |(institution, queue): (&MemberId, &Queue)| QueueShown {
            institution: institution.clone(),
            sent: queue.sent.len(),
            next: queue.waiting.iter().take(count).copied().collect(),
            waiting: queue.waiting.len(),
        };
        self.queues.iter().map(show).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests {
    use super::*;

    const CONFIG: QueueConfig = QueueConfig { window: 2, advance_ms_max: 10_000 };

    fn link(n: u8) -> Link {
        Link([n; 32])
    }

    fn broker() -> MemberId {
        "broker".parse().unwrap()
    }

    #[test]
    fn one_at_a_time_in_order_and_accounts_apart() {
        let (a, b) = (AccountId([1; 32]), AccountId([2; 32]));
        let mut lines = Lines::default();
        lines.join(a, link(1));
        lines.join(a, link(2));
        lines.join(b, link(3));
        assert_eq!(lines.next(&a), Some(link(1)));
        assert_eq!(lines.next(&a), None);
        assert_eq!(lines.next(&b), Some(link(3)));
        lines.jump(a, link(4));
        lines.release(&a, &link(1));
        assert_eq!(lines.next(&a), Some(link(4)));
        lines.release(&a, &link(4));
        assert_eq!(lines.next(&a), Some(link(2)));
    }

    #[test]
    fn activity_goes_first_within_its_advance() {
        let mut queues = Queues::new(CONFIG);
        let trades = |n: u64| n * TRADE_ACTIVITY;
        queues.join(broker(), CONFIG.rank(1, 1_000, 0), link(1));
        queues.join(broker(), CONFIG.rank(2, 1_100, trades(1)), link(2));
        queues.join(broker(), CONFIG.rank(3, 1_200, trades(100)), link(3));
        let order: Vec<Link> = std::iter::from_fn(|| {
            let next = queues.next(&broker())?;
            queues.release(&broker(), &next);
            Some(next)
        })
        .collect();
        assert_eq!(order, [link(3), link(2), link(1)]);
    }

    /// However active all others are, whoever waits is sent after at most the greatest advance.
    #[test]
    fn nobody_waits_for_ever() {
        let mut queues = Queues::new(CONFIG);
        queues.join(broker(), CONFIG.rank(0, 0, 0), link(255));
        let mut now_ms = 0;
        for number in 1.. {
            now_ms += 100;
            let came = Link([u8::try_from(number % 200).unwrap(); 32]);
            queues.join(broker(), CONFIG.rank(number, now_ms, u64::MAX), came);
            let next = queues.next(&broker()).unwrap();
            queues.release(&broker(), &next);
            if next == link(255) {
                break;
            }
        }
        assert!((CONFIG.advance_ms_max..=CONFIG.advance_ms_max + 200).contains(&now_ms), "{now_ms}");
    }

    #[test]
    fn the_window_bounds_what_is_sent() {
        let mut queues = Queues::new(CONFIG);
        for n in 1..=4 {
            queues.join(broker(), CONFIG.rank(n.into(), 0, 0), link(n));
        }
        assert_eq!([queues.next(&broker()), queues.next(&broker())], [Some(link(1)), Some(link(2))]);
        assert_eq!(queues.next(&broker()), None);
        queues.release(&broker(), &link(3));
        queues.release(&broker(), &link(1));
        assert_eq!(queues.next(&broker()), Some(link(4)));
        let shown = queues.shown(10);
        assert_eq!((shown.len(), shown.first().map(|queue| (queue.sent, queue.waiting))), (1, Some((2, 0))));
    }
}
