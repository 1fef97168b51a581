//! A bundle verified as it is read: little of it is kept, and signatures are checked on every core. Whoever wants to show the steps is
//! their witness.

pub mod page;
pub mod steps;
pub mod watch;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;

use stemma_chain_format::bundle::{Audit, BATCH_ELEMENTS, Batch, Head, Items, ReadBatch, Shown, Verdict};
use stemma_chain_format::error::Violation;
use stemma_chain_format::genesis::GenesisFile;

/// What is read at once, in bytes.
const READ_BYTES: usize = 1024 * 1024;
/// Batches on their way for each thread that checks signatures.
const BATCHES_A_THREAD: usize = 2;
/// Elements of each of the first batches: fewer than of the others, so that a short bundle too is spread over the threads.
const FIRST_BATCH_ELEMENTS: usize = 48;

/// Who sees the steps of a verification: first what is looked at, then whether it holds.
pub trait Witness {
    /// The head was read.
    fn reads(&mut self, _: &Head) {}
    /// What the head alone says was verified.
    fn begun(&mut self, _: Result<(), &Violation>) {}
    /// An element is about to be followed.
    fn looks(&mut self, _: Shown<'_>) {}
    /// All elements that were looked at were followed, or those before the one that is refuted.
    fn followed(&mut self, _: Result<(), &Violation>) {}
}

/// Nobody.
impl Witness for () {}

/// Verifies a bundle against a genesis file while it is read.
///
/// # Errors
/// It cannot be read.
pub fn verify_stream(from: impl Read, genesis: &GenesisFile) -> io::Result<Verdict> {
    verify_before(from, genesis, &mut ())
}

/// The same before a witness.
///
/// # Errors
/// It cannot be read.
pub fn verify_before(from: impl Read, genesis: &GenesisFile, witness: &mut impl Witness) -> io::Result<Verdict> {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    match verified(Source { from, items: Items::new(), is_at_end: false }, genesis, threads, witness) {
        Ok(verdict) | Err(Stopped::Verdict(verdict)) => Ok(verdict),
        Err(Stopped::Io(e)) => Err(e),
    }
}

/// Why nothing more is read.
enum Stopped {
    Verdict(Verdict),
    Io(io::Error),
}

fn refuted(violation: Violation) -> Stopped {
    Stopped::Verdict(Verdict::Refuted(violation))
}

fn unreadable(violation: Violation) -> Stopped {
    Stopped::Verdict(Verdict::Unreadable(violation))
}

/// The items of a file.
struct Source<R> {
    from: R,
    items: Items,
    is_at_end: bool,
}

impl<R: Read> Source<R> {
    fn next(&mut self) -> Result<Option<Vec<u8>>, Stopped> {
        loop {
            if self.is_at_end {
                return self.items.take_or_end().map_err(unreadable);
            }
            if let Some(item) = self.items.take().map_err(unreadable)? {
                return Ok(Some(item));
            }
            let mut bytes = Vec::new();
            let read = self.from.by_ref().take(READ_BYTES as u64).read_to_end(&mut bytes).map_err(Stopped::Io)?;
            self.is_at_end = read == 0;
            self.items.push(&bytes);
        }
    }

    /// The next items, fewer than asked for only at the end, and what keeps the one after them from being read.
    fn items(&mut self, count: usize) -> (Vec<Vec<u8>>, Option<Stopped>) {
        let mut items = Vec::with_capacity(count);
        while items.len() < count {
            match self.next() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(stopped) => return (items, Some(stopped)),
            }
        }
        (items, None)
    }
}

fn verified(
    mut source: Source<impl Read>,
    genesis: &GenesisFile,
    threads: usize,
    witness: &mut impl Witness,
) -> Result<Verdict, Stopped> {
    let head = Head::first(source.next()?).map_err(unreadable)?;
    witness.reads(&head);
    let begun = Audit::begin(head, genesis);
    witness.begun(begun.as_ref().map(|_| ()));
    let mut audit = begun.map_err(refuted)?;
    follow_side_by_side(&mut source, &mut audit, threads, witness)?;
    audit.finish().map(|proved| Verdict::Verified(Box::new(proved))).map_err(refuted)
}

/// Batches are read, and their signatures checked, on several threads; here they are judged and followed in their order.
fn follow_side_by_side(
    source: &mut Source<impl Read>,
    audit: &mut Audit,
    threads: usize,
    witness: &mut impl Witness,
) -> Result<(), Stopped> {
    let in_flight_max = threads.saturating_mul(BATCHES_A_THREAD).max(1);
    thread::scope(|scope| {
        let (to_check, waiting) = mpsc::sync_channel::<(u64, Batch)>(in_flight_max);
        let (done, checked) = mpsc::sync_channel::<(u64, ReadBatch)>(in_flight_max);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads {
            let (waiting, done) = (Arc::clone(&waiting), done.clone());
            scope.spawn(move || check_batches(&waiting, &done));
        }
        drop(done);
        let mut inbox = Inbox { checked, early: BTreeMap::new(), next: 0 };
        let (mut sent, mut stopped, mut is_at_end) = (0_u64, None, false);
        while !is_at_end || inbox.next < sent {
            let in_flight = usize::try_from(sent.saturating_sub(inbox.next)).unwrap_or(usize::MAX);
            if !is_at_end && in_flight < in_flight_max {
                let is_first = threads > 1 && sent < in_flight_max as u64;
                let count = if is_first { FIRST_BATCH_ELEMENTS } else { BATCH_ELEMENTS };
                let (items, why) = source.items(count);
                (is_at_end, stopped) = (items.len() < count, why);
                if to_check.send((sent, Batch::new(audit.elements(), items))).is_err() {
                    break;
                }
                sent = sent.saturating_add(1);
                continue;
            }
            let Some(batch) = inbox.take() else { break };
            let (checked, why) = audit.judge(batch);
            checked.shown().for_each(|shown| witness.looks(shown));
            let followed = audit.follow(checked);
            witness.followed(followed.as_ref().copied());
            followed.map_err(refuted)?;
            why.map_or(Ok(()), |violation| Err(unreadable(violation)))?;
        }
        stopped.map_or(Ok(()), Err)
    })
}

fn check_batches(waiting: &Mutex<Receiver<(u64, Batch)>>, done: &SyncSender<(u64, ReadBatch)>) {
    loop {
        let next = match waiting.lock() {
            Ok(waiting) => waiting.recv(),
            Err(_) => return,
        };
        let Ok((number, batch)) = next else { return };
        if done.send((number, batch.read())).is_err() {
            return;
        }
    }
}

/// Batches that were read, put in order again.
struct Inbox {
    checked: Receiver<(u64, ReadBatch)>,
    early: BTreeMap<u64, ReadBatch>,
    next: u64,
}

impl Inbox {
    fn take(&mut self) -> Option<ReadBatch> {
        loop {
            if let Some(batch) = self.early.remove(&self.next) {
                self.next = self.next.saturating_add(1);
                return Some(batch);
            }
            let (number, batch) = self.checked.recv().ok()?;
            self.early.insert(number, batch);
        }
    }
}
