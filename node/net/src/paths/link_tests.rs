//! One stream's two ends over a pipe in memory.

#![allow(clippy::unwrap_used, clippy::panic, clippy::arithmetic_side_effects, reason = "tests may panic")]

use std::sync::Mutex;

use futures::future::poll_fn;

use super::*;

/// One direction of a pipe that takes so many bytes before they are read.
#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    room: usize,
}

/// One end of a pipe in memory. Nothing wakes: tests poll.
struct End {
    incoming: Arc<Mutex<Way>>,
    outgoing: Arc<Mutex<Way>>,
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut way = self.incoming.lock().unwrap();
        if way.bytes.is_empty() {
            return Poll::Pending;
        }
        let count = buffer.len().min(way.bytes.len());
        for (place, byte) in buffer.iter_mut().zip(way.bytes.drain(..count)) {
            *place = byte;
        }
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut way = self.outgoing.lock().unwrap();
        let count = data.len().min(way.room.saturating_sub(way.bytes.len()));
        if count == 0 {
            return Poll::Pending;
        }
        way.bytes.extend(data.iter().take(count));
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Two links that talk to each other over a pipe with so much room each way.
fn pair(room: usize) -> (Link<End>, Link<End>) {
    let way = || Arc::new(Mutex::new(Way { bytes: VecDeque::new(), room }));
    let (there, back) = (way(), way());
    let near = End { incoming: Arc::clone(&back), outgoing: Arc::clone(&there) };
    let far = End { incoming: there, outgoing: back };
    let hello = |name: &str| Hello { name: name.into(), ..Hello::default() };
    (Link::new(near, hello("near")), Link::new(far, hello("far")))
}

/// What a link says until it has nothing more to say, and how it failed.
async fn poll(link: &mut Link<End>, said: &mut Vec<Said>) -> Option<Failure> {
    poll_fn(|context| {
        loop {
            match link.poll(context) {
                Poll::Pending => return Poll::Ready(None),
                Poll::Ready(Ok(one)) => said.push(one),
                Poll::Ready(Err(failure)) => return Poll::Ready(Some(failure)),
            }
        }
    })
    .await
}

/// Lets both talk until all is said; returns what each was told.
async fn talk(near: &mut Link<End>, far: &mut Link<End>) -> (Vec<Said>, Vec<Said>) {
    let (mut to_near, mut to_far) = (Vec::new(), Vec::new());
    for _ in 0..1000 {
        assert!(poll(far, &mut to_far).await.is_none());
        assert!(poll(near, &mut to_near).await.is_none());
    }
    (to_near, to_far)
}

fn request(n: u8, length: usize) -> Say {
    Frame::Request { id: RequestId([n; 16]), data: Arc::new(vec![n; length]) }.into()
}

#[tokio::test]
async fn a_request_is_accepted_at_once_and_measures_the_round_trip() {
    let (mut near, mut far) = pair(1 << 20);
    near.say(request(1, 100));
    let (to_near, to_far) = talk(&mut near, &mut far).await;
    let [Said::Hello(hello), Said::Request { data, .. }] = &to_far[..] else { panic!("{to_far:?}") };
    assert_eq!((hello.name.as_str(), data.len()), ("near", 100));
    let [Said::Hello(_), Said::Accepted { sample, .. }] = &to_near[..] else { panic!("{to_near:?}") };
    assert!(matches!(sample, Some(Sample::RoundTrip(_))), "{sample:?}");
}

#[tokio::test]
async fn a_ping_overtakes_what_waits_and_does_not_measure_our_queue() {
    // The pipe holds one and a half: the rest waits here.
    let (mut near, mut far) = pair(300 << 10);
    for n in 0..3 {
        near.say(request(n, 200 << 10));
    }
    let mut told = Vec::new();
    poll(&mut near, &mut told).await;
    near.say(Frame::Ping(7).into());
    let (to_near, _) = talk(&mut near, &mut far).await;
    let place = |wanted: fn(&Said) -> bool| to_near.iter().position(wanted).unwrap();
    // The second request had begun; the ping goes before the third.
    let pong = place(|said| matches!(said, Said::Pong { .. }));
    let third = place(|said| matches!(said, Said::Accepted { id, .. } if id.0 == [2; 16]));
    assert!(pong < third);
    assert!(matches!(&to_near[pong], Said::Pong { nonce: 7, sample: None }), "a ping behind 200 KiB measures those");
    // What waited behind others measures nothing either.
    let samples = to_near.iter().filter(|said| matches!(said, Said::Accepted { sample: Some(_), .. })).count();
    assert_eq!(samples, 1);
    near.say(Frame::Ping(8).into());
    let (to_near, _) = talk(&mut near, &mut far).await;
    assert!(matches!(&to_near[..], [Said::Pong { nonce: 8, sample: Some(Sample::RoundTrip(_)) }]), "{to_near:?}");
}

#[tokio::test]
async fn a_pong_behind_the_peers_own_train_measures_nothing() {
    let (mut near, mut far) = pair(1 << 20);
    talk(&mut near, &mut far).await;
    // The peer measures at the same time: its filler is under way when our ping comes.
    far.say(Say::Train { nonce: 5, bytes: 100_000 });
    poll(&mut far, &mut Vec::new()).await;
    near.say(Frame::Ping(7).into());
    let mut context = Context::from_waker(std::task::Waker::noop());
    near.poll_write(&mut context).unwrap();
    let (to_near, _) = talk(&mut near, &mut far).await;
    let pong = to_near.iter().find(|said| matches!(said, Said::Pong { .. }));
    assert!(matches!(pong, Some(Said::Pong { nonce: 7, sample: None })), "{to_near:?}");
    near.say(Frame::Ping(8).into());
    let (to_near, _) = talk(&mut near, &mut far).await;
    assert!(matches!(&to_near[..], [Said::Pong { nonce: 8, sample: Some(Sample::RoundTrip(_)) }]), "{to_near:?}");
}

#[tokio::test]
async fn a_long_transfer_is_confirmed_on_the_way() {
    let (mut near, mut far) = pair(1 << 10);
    near.say(request(1, 256 << 10));
    let (to_near, _) = talk(&mut near, &mut far).await;
    let heard = to_near.iter().filter(|said| matches!(said, Said::Heard)).count();
    assert!(heard >= (256 >> 3) - 1, "{heard}");
}

#[tokio::test]
async fn a_train_measures_alone_and_not_among_requests() {
    for among in [false, true] {
        let (mut near, mut far) = pair(4 << 10);
        talk(&mut near, &mut far).await;
        near.say(Say::Train { nonce: 5, bytes: 100_000 });
        poll(&mut near, &mut Vec::new()).await;
        if among {
            near.say(request(1, 10));
        }
        let (to_near, to_far) = talk(&mut near, &mut far).await;
        let sample = to_near.iter().find_map(|said| match said {
            Said::Train { nonce: 5, sample } => Some(*sample),
            _ => None,
        });
        match sample.unwrap() {
            Some(Sample::Transfer { bytes, .. }) => assert_eq!((bytes, among), (100_000, false)),
            other => assert!(other.is_none() && among, "{other:?}"),
        }
        assert_eq!(to_far.len(), usize::from(among), "filler is not passed on: {to_far:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_ends_the_link() {
    // A frame that announces more than any may have, and one before the hello.
    for bytes in [&[0xff, 0xff, 0xff, 0xff, 2][..], &[0, 0, 0, 9, 6, 0, 0, 0, 0, 0, 0, 0, 1]] {
        let (near, mut far) = pair(1 << 10);
        near.stream.outgoing.lock().unwrap().bytes.extend(bytes);
        let failure = poll(&mut far, &mut Vec::new()).await;
        assert!(matches!(failure, Some(Failure::Malformed(_))), "{failure:?}");
    }
}

#[tokio::test]
async fn a_flood_of_pings_ends_the_link() {
    // Nothing that the far side says is read.
    let (mut near, mut far) = pair(1 << 10);
    let mut failure = None;
    for n in 0..2 * CONTROL_MAX {
        near.say(Frame::Ping(u64::try_from(n).unwrap()).into());
        let mut context = Context::from_waker(std::task::Waker::noop());
        near.poll_write(&mut context).unwrap();
        failure = poll(&mut far, &mut Vec::new()).await.or(failure);
        if failure.is_some() {
            break;
        }
    }
    assert!(matches!(failure, Some(Failure::Malformed(Malformed::Flood))), "{failure:?}");
}
