//! A bundle verified as it is read: little of it is kept, and signatures are checked on every core while more is read. Whoever wants to show
//! the steps is their witness.

pub mod page;
pub mod steps;
pub mod watch;

use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::thread::{self, Scope};

use stemma_chain_format::bundle::{
    Audit, BATCH_ELEMENTS, CheckedSignatures, DueSignatures, Head, Items, Shown, Verdict,
};
use stemma_chain_format::error::Violation;
use stemma_chain_format::genesis::GenesisFile;

/// What is read at once, in bytes.
const READ_BYTES: usize = 1024 * 1024;
/// Elements of each of the first batches of signatures for every thread: fewer than of the others, so that a short bundle too is spread over
/// the threads.
const FIRST_BATCH_ELEMENTS: usize = 26;
const FIRST_BATCHES_A_THREAD: usize = 2;

/// Batches that wait for each other thread, so that none is idle while this one checks a batch.
const BATCHES_BEFORE_A_THREAD: usize = 2;

/// Who sees the steps of a verification: first what is looked at, then whether it holds.
pub trait Witness {
    /// The head was read.
    fn reads(&mut self, _: &Head) {}
    /// What the head alone says was verified.
    fn begun(&mut self, _: Result<(), &Violation>) {}
    /// An element is about to be followed.
    fn looks(&mut self, _: Shown<'_>) {}
    /// All elements that were looked at hold, or those before the one that is refuted.
    fn followed(&mut self, _: Result<(), &Violation>) {}
}

/// Nobody.
impl Witness for () {}

/// Verifies a bundle against a genesis file while it is read, on all cores.
///
/// # Errors
/// It cannot be read.
pub fn verify_stream(from: impl Read, genesis: &GenesisFile) -> io::Result<Verdict> {
    let mut source = Source::new(from);
    let mut audit = match begin(&mut source, genesis, &mut ())? {
        Ok(audit) => audit,
        Err(verdict) => return Ok(verdict),
    };
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        let mut checkers = Checkers::start(scope, threads);
        let why = loop {
            let next = source.next(|item| audit.take(item, |_| {}))?;
            let goes_on = matches!(next, Next::Taken);
            if goes_on && audit.due() < checkers.batch_elements() {
                continue;
            }
            let all_hold = checkers.check(audit.hand_out());
            match next {
                Next::Taken if all_hold => {}
                Next::Taken | Next::End => break None,
                Next::Stopped(why) => break Some(why),
            }
        };
        Ok(match checkers.finish() {
            Ok(checked) => {
                audit.checked(checked);
                audit.conclude(why)
            }
            Err(violation) => Verdict::Refuted(violation),
        })
    })
}

/// The same before a witness, to whom nothing is shown as holding before its signatures are checked.
///
/// # Errors
/// It cannot be read.
pub fn verify_before(from: impl Read, genesis: &GenesisFile, witness: &mut impl Witness) -> io::Result<Verdict> {
    let mut source = Source::new(from);
    let mut audit = match begin(&mut source, genesis, witness)? {
        Ok(audit) => audit,
        Err(verdict) => return Ok(verdict),
    };
    let mut looked = 0_usize;
    loop {
        let next = source.next(|item| audit.take(item, |shown| witness.looks(shown)))?;
        looked = looked.saturating_add(1);
        if matches!(next, Next::Taken) && looked < BATCH_ELEMENTS {
            continue;
        }
        looked = 0;
        if let Err(violation) = audit.check_due() {
            witness.followed(Err(&violation));
            return Ok(Verdict::Refuted(violation));
        }
        witness.followed(match &next {
            Next::Stopped(Verdict::Refuted(violation)) => Err(violation),
            _ => Ok(()),
        });
        match next {
            Next::Taken => {}
            Next::End => return Ok(audit.conclude(None)),
            Next::Stopped(why) => return Ok(audit.conclude(Some(why))),
        }
    }
}

/// Reads the head, and verifies it.
fn begin(
    source: &mut Source<impl Read>,
    genesis: &GenesisFile,
    witness: &mut impl Witness,
) -> io::Result<Result<Audit, Verdict>> {
    let head = match source.head()? {
        Ok(head) => head,
        Err(violation) => return Ok(Err(Verdict::Unreadable(violation))),
    };
    witness.reads(&head);
    let begun = Audit::begin(head, genesis);
    witness.begun(begun.as_ref().map(|_| ()));
    Ok(begun.map_err(Verdict::Refuted))
}

/// The items of a file.
struct Source<R> {
    from: R,
    items: Items<'static>,
    piece: Vec<u8>,
    is_at_end: bool,
}

/// What became of the next item.
enum Next {
    /// It was taken.
    Taken,
    /// There is none.
    End,
    /// It was not taken, or can't be read.
    Stopped(Verdict),
}

impl<R: Read> Source<R> {
    fn new(from: R) -> Self {
        Self { from, items: Items::new(), piece: Vec::new(), is_at_end: false }
    }

    fn head(&mut self) -> io::Result<Result<Head, Violation>> {
        let mut head = None;
        let next = self.next(|item| {
            head = Some(Head::first(Some(item)));
            Ok(())
        })?;
        Ok(match (head, next) {
            (Some(head), _) => head,
            (None, Next::Stopped(Verdict::Unreadable(violation))) => Err(violation),
            (None, _) => Head::first(None),
        })
    }

    /// Gives the next item to whoever takes it.
    fn next(&mut self, take: impl FnOnce(&[u8]) -> Result<(), Verdict>) -> io::Result<Next> {
        loop {
            let item = if self.is_at_end { self.items.take_or_end() } else { self.items.take() };
            match item {
                Ok(Some(item)) => return Ok(take(item).map_or_else(Next::Stopped, |()| Next::Taken)),
                Ok(None) if self.is_at_end => return Ok(Next::End),
                Ok(None) => {}
                Err(violation) => return Ok(Next::Stopped(Verdict::Unreadable(violation))),
            }
            self.piece.clear();
            let read = self.from.by_ref().take(READ_BYTES as u64).read_to_end(&mut self.piece)?;
            self.is_at_end = read == 0;
            self.items.push(&self.piece);
        }
    }
}

/// Checks signatures on several threads, of which this is one: where all others have a batch before them, it is checked here.
struct Checkers {
    threads: usize,
    to_check: SyncSender<Numbered<DueSignatures>>,
    waiting: Arc<Mutex<Receiver<Numbered<DueSignatures>>>>,
    done: Receiver<Numbered<Result<CheckedSignatures, Violation>>>,
    sent: u64,
    checked: CheckedSignatures,
    /// The first batch of those that are done in which one does not verify.
    broken: Option<Numbered<Violation>>,
}

/// Something of a batch, with the batch's number.
type Numbered<T> = (u64, T);

impl Checkers {
    fn start<'s>(scope: &'s Scope<'s, '_>, threads: usize) -> Self {
        let others = threads.saturating_sub(1);
        let (to_check, waiting) = mpsc::sync_channel(others.saturating_mul(BATCHES_BEFORE_A_THREAD));
        let (result, done) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..others {
            let (waiting, result) = (Arc::clone(&waiting), result.clone());
            scope.spawn(move || check_batches(&waiting, &result));
        }
        Self { threads, to_check, waiting, done, sent: 0, checked: CheckedSignatures::default(), broken: None }
    }

    /// How many elements the next batch has.
    fn batch_elements(&self) -> usize {
        let is_first = self.threads > 1 && self.sent < self.threads.saturating_mul(FIRST_BATCHES_A_THREAD) as u64;
        if is_first { FIRST_BATCH_ELEMENTS } else { BATCH_ELEMENTS }
    }

    /// Has signatures checked; tells whether all verify of which it is known already.
    fn check(&mut self, due: DueSignatures) -> bool {
        let batch = (self.sent, due);
        self.sent = self.sent.saturating_add(1);
        if let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) = self.to_check.try_send(batch) {
            self.check_here(batch);
        }
        while let Ok(done) = self.done.try_recv() {
            self.take(done);
        }
        self.broken.is_none()
    }

    fn check_here(&mut self, (number, due): Numbered<DueSignatures>) {
        self.take((number, due.check()));
    }

    fn take(&mut self, (number, result): Numbered<Result<CheckedSignatures, Violation>>) {
        match result {
            Ok(checked) => self.checked = std::mem::take(&mut self.checked).and(checked),
            Err(violation) if self.broken.as_ref().is_none_or(|(first, _)| number < *first) => {
                self.broken = Some((number, violation));
            }
            Err(_) => {}
        }
    }

    /// Helps with what still waits, and waits for all of it.
    fn finish(mut self) -> Result<CheckedSignatures, Violation> {
        let (none, _) = mpsc::sync_channel(0);
        drop(std::mem::replace(&mut self.to_check, none));
        while let Some(batch) = next_batch(&self.waiting) {
            self.check_here(batch);
        }
        while let Ok(done) = self.done.recv() {
            self.take(done);
        }
        self.broken.map_or(Ok(self.checked), |(_, violation)| Err(violation))
    }
}

/// The batch that waits longest; none where no more comes.
fn next_batch(waiting: &Mutex<Receiver<Numbered<DueSignatures>>>) -> Option<Numbered<DueSignatures>> {
    waiting.lock().ok()?.recv().ok()
}

fn check_batches(
    waiting: &Mutex<Receiver<Numbered<DueSignatures>>>,
    done: &Sender<Numbered<Result<CheckedSignatures, Violation>>>,
) {
    while let Some((number, due)) = next_batch(waiting)
        && done.send((number, due.check())).is_ok()
    {}
}
