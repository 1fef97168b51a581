//! Requests of one peer: each reaches the application once, however often and by whatever path it
//! comes, and is answered by the path that it came by last.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use libp2p::swarm::ConnectionId;

use super::frame::RequestId;

/// Requests with the application at once; more are refused.
const PENDING_MAX: usize = 1024;

/// Answers remembered.
const ANSWERS_MAX: usize = 1024;

/// Bytes of answers remembered.
const ANSWERS_BYTES_MAX: usize = 8 << 20;

/// What to do with a request that has arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Give it to the application.
    New,
    /// It is with the application already.
    Pending,
    /// It has been answered so.
    Answered(Arc<Vec<u8>>),
    /// There are too many.
    Refused,
}

#[derive(Debug, Default)]
pub(super) struct Incoming {
    pending: HashMap<RequestId, ConnectionId>,
    answers: HashMap<RequestId, Arc<Vec<u8>>>,
    order: VecDeque<RequestId>,
    bytes: usize,
}

impl Incoming {
    pub(super) fn on_request(&mut self, id: RequestId, connection: ConnectionId) -> Arrival {
        if let Some(answer) = self.answers.get(&id) {
            return Arrival::Answered(Arc::clone(answer));
        }
        if let Some(last) = self.pending.get_mut(&id) {
            *last = connection;
            return Arrival::Pending;
        }
        if self.pending.len() >= PENDING_MAX {
            return Arrival::Refused;
        }
        self.pending.insert(id, connection);
        Arrival::New
    }

    /// The application has answered, or (none) will not. Returns by which connection it was asked
    /// last.
    pub(super) fn on_answer(&mut self, id: RequestId, answer: Option<&Arc<Vec<u8>>>) -> Option<ConnectionId> {
        let connection = self.pending.remove(&id)?;
        if let Some(answer) = answer {
            self.remember(id, Arc::clone(answer));
        }
        Some(connection)
    }

    fn remember(&mut self, id: RequestId, answer: Arc<Vec<u8>>) {
        self.bytes = self.bytes.saturating_add(answer.len());
        self.answers.insert(id, answer);
        self.order.push_back(id);
        while self.order.len() > ANSWERS_MAX || self.bytes > ANSWERS_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            let length = self.answers.remove(&oldest).map_or(0, |answer| answer.len());
            self.bytes = self.bytes.saturating_sub(length);
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests may panic")]
mod tests {
    use super::*;

    fn id(n: usize) -> RequestId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        RequestId(id)
    }

    #[test]
    fn a_repeated_request_is_new_once_and_answered_where_it_came_last() {
        let mut incoming = Incoming::default();
        let [first, second] = [1, 2].map(ConnectionId::new_unchecked);
        assert_eq!(incoming.on_request(id(1), first), Arrival::New);
        assert_eq!(incoming.on_request(id(1), second), Arrival::Pending);
        let answer = Arc::new(vec![7]);
        assert_eq!(incoming.on_answer(id(1), Some(&answer)), Some(second));
        assert_eq!(incoming.on_answer(id(1), Some(&answer)), None);
        assert_eq!(incoming.on_request(id(1), first), Arrival::Answered(answer));
    }

    #[test]
    fn a_refused_request_may_be_asked_again() {
        let mut incoming = Incoming::default();
        let connection = ConnectionId::new_unchecked(1);
        assert_eq!(incoming.on_request(id(1), connection), Arrival::New);
        assert_eq!(incoming.on_answer(id(1), None), Some(connection));
        assert_eq!(incoming.on_request(id(1), connection), Arrival::New);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut incoming = Incoming::default();
        let connection = ConnectionId::new_unchecked(1);
        for n in 0..PENDING_MAX {
            assert_eq!(incoming.on_request(id(n), connection), Arrival::New);
        }
        assert_eq!(incoming.on_request(id(PENDING_MAX), connection), Arrival::Refused);
        let answer = Arc::new(vec![0; 256 << 10]);
        for n in 0..PENDING_MAX {
            incoming.on_answer(id(n), Some(&answer));
        }
        assert!(incoming.bytes <= ANSWERS_BYTES_MAX);
        assert_eq!((incoming.answers.len(), incoming.order.len()), (32, 32));
        assert_eq!(incoming.on_request(id(0), connection), Arrival::New);
        assert_eq!(incoming.on_request(id(PENDING_MAX - 1), connection), Arrival::Answered(answer));
    }
}
