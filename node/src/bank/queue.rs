//! Who waits for whom: one line for each account, in the order of arrival. Different accounts never wait for each other.

use std::collections::{BTreeMap, VecDeque};

use stemma_chain_format::hash::{AccountId, Link};

/// Every account's line.
#[derive(Debug, Default)]
pub(super) struct Lines(BTreeMap<AccountId, Line>);

#[derive(Debug, Default)]
struct Line {
    under_way: Option<Link>,
    waiting: VecDeque<Link>,
}

impl Lines {
    /// A request joins its account's line.
    pub(super) fn join(&mut self, account: AccountId, link: Link) {
        self.0.entry(account).or_default().waiting.push_back(link);
    }

    /// A request that was under way before a restart is so again.
    pub(super) fn resume(&mut self, account: AccountId, link: Link) {
        self.0.entry(account).or_default().under_way = Some(link);
    }

    /// The account's next request, which is then under way; none while one is.
    pub(super) fn next(&mut self, account: &AccountId) -> Option<Link> {
        let line = self.0.get_mut(account)?;
        if line.under_way.is_some() {
            return None;
        }
        line.under_way = line.waiting.pop_front();
        line.under_way
    }

    /// A request leaves its line, wherever it stood.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_in_order_and_accounts_apart() {
        let (a, b) = (AccountId([1; 32]), AccountId([2; 32]));
        let link = |n| Link([n; 32]);
        let mut lines = Lines::default();
        lines.join(a, link(1));
        lines.join(a, link(2));
        lines.join(b, link(3));
        assert_eq!(lines.next(&a), Some(link(1)));
        assert_eq!(lines.next(&a), None);
        assert_eq!(lines.next(&b), Some(link(3)));
        lines.release(&a, &link(1));
        assert_eq!(lines.next(&a), Some(link(2)));
    }
}
