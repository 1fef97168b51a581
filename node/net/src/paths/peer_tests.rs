//! One peer's paths without connections: the time and what happens are made up.

#![allow(clippy::unwrap_used, clippy::panic, clippy::arithmetic_side_effects, reason = "tests may panic")]

use std::{sync::Arc, time::Duration};

use tokio::sync::oneshot;

use super::*;

type Answer = oneshot::Receiver<Result<Vec<u8>, RequestError>>;

const MAIN_CONNECTION: usize = 1;
const PATH_CONNECTION: usize = 2;

fn connection(n: usize) -> ConnectionId {
    ConnectionId::new_unchecked(n)
}

fn hello(is_path: bool, name: &str) -> Hello {
    Hello { is_path, name: name.into(), ..Hello::default() }
}

/// A peer with a main connection of 50 ms and a path of 10 ms that the peer dialled.
fn two(now: Instant) -> Peer {
    let mut peer = Peer::new(now);
    for (n, is_main, rtt) in [(MAIN_CONNECTION, true, 50), (PATH_CONNECTION, false, 10)] {
        peer.on_connected(connection(n), Multiaddr::empty(), is_main, now);
        assert!(peer.on_hello(connection(n), &hello(!is_main, "fast"), now));
        let later = now + Duration::from_secs(1);
        peer.on_confirmed(connection(n), None, Some(Sample::RoundTrip(Duration::from_millis(rtt))), later);
    }
    peer
}

fn ask(peer: &mut Peer, now: Instant) -> Answer {
    let (asker, answer) = oneshot::channel();
    peer.push(Outgoing { data: Arc::new(vec![1]), asker: Some(asker) }, 10, now);
    answer
}

/// The requests that are to be sent now, and by which connection.
fn sent(peer: &mut Peer) -> Vec<(RequestId, ConnectionId)> {
    peer.acts
        .drain(..)
        .filter_map(|act| match act {
            Act::Say(connection, Say::Frame(Frame::Request { id, .. })) => Some((id, connection)),
            _ => None,
        })
        .collect()
}

/// Lets time pass, while only the connections named answer pings.
fn pass(peer: &mut Peer, now: &mut Instant, time: Duration, answering: &[usize]) -> Vec<(RequestId, ConnectionId)> {
    let mut all = Vec::new();
    let end = *now + time;
    while *now < end {
        *now += Duration::from_millis(50);
        peer.tick(*now, &NetTimeouts::default(), true);
        peer.evaluate(*now);
        let acts: Vec<Act> = peer.acts.drain(..).collect();
        for act in acts {
            match act {
                Act::Say(to, Say::Frame(Frame::Ping(nonce))) if answering.iter().any(|n| connection(*n) == to) => {
                    peer.on_confirmed(to, Some(Awaited::Ping(nonce)), None, *now);
                }
                Act::Say(to, Say::Train { nonce, .. }) if answering.iter().any(|n| connection(*n) == to) => {
                    peer.on_confirmed(to, Some(Awaited::Train(nonce)), None, *now);
                }
                Act::Say(to, Say::Frame(Frame::Request { id, .. })) => all.push((id, to)),
                _ => {}
            }
        }
    }
    all
}

const BOTH: &[usize] = &[MAIN_CONNECTION, PATH_CONNECTION];

#[test]
fn a_request_goes_by_the_best_and_again_by_the_next_when_that_is_silent() {
    let mut now = Instant::now();
    let mut peer = two(now);
    pass(&mut peer, &mut now, Duration::from_secs(4), BOTH);
    let mut answer = ask(&mut peer, now);
    let first = sent(&mut peer);
    let [(id, by)] = first[..] else { panic!("{first:?}") };
    assert_eq!(by, connection(PATH_CONNECTION));
    // It arrives, but then the path dies before the answer.
    peer.on_confirmed(by, Some(Awaited::Request(id)), None, now);
    let cut = now;
    let again = pass(&mut peer, &mut now, Duration::from_secs(1), &[MAIN_CONNECTION]);
    assert_eq!(again, [(id, connection(MAIN_CONNECTION))], "once, by the other path, within the time-out");
    assert!(now - cut <= NetTimeouts::default().path);
    peer.finish(id, Ok(vec![2]), now);
    assert_eq!(answer.try_recv().unwrap().unwrap(), [2]);
    peer.finish(id, Ok(vec![3]), now);
    assert!(pass(&mut peer, &mut now, Duration::from_secs(5), BOTH).is_empty());
}

#[test]
fn a_closed_connection_is_left_at_once() {
    let mut now = Instant::now();
    let mut peer = two(now);
    pass(&mut peer, &mut now, Duration::from_secs(4), BOTH);
    let _answer = ask(&mut peer, now);
    let (id, by) = sent(&mut peer)[0];
    peer.on_closed(by, now, &NetTimeouts::default(), 0);
    assert_eq!(sent(&mut peer), [(id, connection(MAIN_CONNECTION))]);
    assert_eq!(peer.way_back(by), Some(connection(MAIN_CONNECTION)));
}

#[test]
fn a_slow_answer_keeps_its_path() {
    let mut now = Instant::now();
    let mut peer = two(now);
    pass(&mut peer, &mut now, Duration::from_secs(4), BOTH);
    let _answer = ask(&mut peer, now);
    let (id, by) = sent(&mut peer)[0];
    peer.on_confirmed(by, Some(Awaited::Request(id)), None, now);
    assert!(pass(&mut peer, &mut now, Duration::from_secs(9), BOTH).is_empty());
}

#[test]
fn without_another_path_a_request_stays_where_it_is_and_is_not_repeated() {
    let mut now = Instant::now();
    let mut peer = Peer::new(now);
    peer.on_connected(connection(1), Multiaddr::empty(), true, now);
    let _answer = ask(&mut peer, now);
    assert!(sent(&mut peer).is_empty(), "the peer has not said hello");
    peer.on_hello(connection(1), &hello(false, MAIN), now);
    let (id, by) = sent(&mut peer)[0];
    assert!(pass(&mut peer, &mut now, Duration::from_secs(3), &[]).is_empty());
    assert_eq!(peer.slots[0].state(), PathState::Suspect);
    // A connection that comes to help takes it over.
    peer.on_connected(connection(2), Multiaddr::empty(), false, now);
    peer.on_hello(connection(2), &hello(true, "new"), now);
    assert_eq!(sent(&mut peer), [(id, connection(2))]);
    peer.on_confirmed(by, Some(Awaited::Request(id)), None, now);
    assert_eq!(peer.slots[0].state(), PathState::Up);
}

#[test]
fn a_second_main_connection_takes_over_from_the_first() {
    let now = Instant::now();
    let mut peer = Peer::new(now);
    for n in [1, 2] {
        peer.on_connected(connection(n), Multiaddr::empty(), true, now);
        peer.on_hello(connection(n), &hello(false, MAIN), now);
    }
    let _answer = ask(&mut peer, now);
    let (id, by) = sent(&mut peer)[0];
    assert_eq!(by, connection(1));
    peer.on_closed(by, now, &NetTimeouts::default(), 0);
    assert_eq!(sent(&mut peer), [(id, connection(2))]);
    assert_eq!(peer.slots[0].state(), PathState::Up);
}

#[test]
fn the_window_and_the_queue_are_bounded() {
    let now = Instant::now();
    let mut peer = two(now);
    let mut answers: Vec<Answer> = (0..WINDOW + 10).map(|_| ask(&mut peer, now)).collect();
    let first = sent(&mut peer);
    assert_eq!(first.len(), WINDOW);
    let mut busy = ask(&mut peer, now);
    assert!(matches!(busy.try_recv(), Ok(Err(RequestError::Busy))));
    // An answer, and one who lost patience, make room.
    peer.finish(first[0].0, Ok(Vec::new()), now);
    assert_eq!(sent(&mut peer).len(), 1);
    answers.truncate(WINDOW - 5);
    peer.tick(now, &NetTimeouts::default(), true);
    assert!(sent(&mut peer).is_empty(), "nobody wants those that waited");
    let _answer = ask(&mut peer, now);
    assert_eq!(sent(&mut peer).len(), 1);
}

#[test]
fn without_any_connection_nothing_is_taken() {
    let now = Instant::now();
    let mut peer = Peer::new(now);
    let mut answer = ask(&mut peer, now);
    assert!(matches!(answer.try_recv(), Ok(Err(RequestError::NotConnected))));
}

#[test]
fn a_peer_may_keep_only_so_many_paths_to_us() {
    let now = Instant::now();
    let mut peer = Peer::new(now);
    for n in 0..PATHS_MAX + 1 {
        peer.on_connected(connection(n), Multiaddr::empty(), false, now);
        assert_eq!(peer.on_hello(connection(n), &hello(true, &n.to_string()), now), n < PATHS_MAX);
    }
    assert!(matches!(peer.acts.pop_front(), Some(Act::Close(closed)) if closed == connection(PATHS_MAX)));
    // One under a name that is known replaces the one that it was.
    peer.on_connected(connection(100), Multiaddr::empty(), false, now);
    assert!(peer.on_hello(connection(100), &hello(true, "3"), now));
    assert!(matches!(peer.acts.pop_front(), Some(Act::Close(closed)) if closed == connection(3)));
}
