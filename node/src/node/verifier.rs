//! The thread that checks signatures: whatever waits is checked in one batch, so the busier the node, the cheaper a check.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc as blocking;

use minicbor::bytes::ByteVec;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::endorsement::Endorsement;
use stemma_chain_format::hash::Link;
use stemma_chain_format::record::Signed;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::request::Request;
use stemma_chain_format::validate::{verify_endorsements, verify_entries};
use tokio::sync::{mpsc, watch};

use super::event::{Event, Verified};

/// One thing to check.
enum Job {
    Entries { entries: Vec<ByteVec>, asked_for: bool },
    Questions { message: u64, pairs: Vec<(Signed<Request>, Signed<Endorsement>)> },
    Executed { link: Link, chain: Entry },
}

/// Most jobs taken into one batch.
const BATCH_JOBS_MAX: usize = 256;
/// How many ids of verified entries are remembered, so that what comes again is not checked again.
const SEEN_MAX: usize = 100_000;

/// The way to the verifying thread. Dropped, it ends the thread.
pub(super) struct Verifier(blocking::Sender<Job>);

impl Verifier {
    /// Checks entries that were gossiped, unless they were checked before; those that do not hold are dropped with a word
    /// in the log.
    pub(super) fn gossiped(&self, entries: Vec<ByteVec>) {
        self.give(Job::Entries { entries, asked_for: false });
    }

    /// Checks entries that a block needs, also those that were checked before and did not stay in the pool.
    pub(super) fn fetched(&self, entries: Vec<ByteVec>) {
        self.give(Job::Entries { entries, asked_for: true });
    }

    /// Checks a bank's questions.
    pub(super) fn questions(&self, message: u64, pairs: Vec<(Signed<Request>, Signed<Endorsement>)>) {
        self.give(Job::Questions { message, pairs });
    }

    /// Checks a chain that came back.
    pub(super) fn executed(&self, link: Link, chain: Entry) {
        self.give(Job::Executed { link, chain });
    }

    fn give(&self, job: Job) {
        // The thread ends only when this end is dropped.
        if self.0.send(job).is_err() {
            tracing::error!("the verifying thread has ended");
        }
    }
}

/// Starts the thread.
pub(super) fn start(
    registry: watch::Receiver<Arc<Registry>>,
    events: mpsc::Sender<Event>,
) -> Result<Verifier, std::io::Error> {
    let (jobs, waiting) = blocking::channel();
    std::thread::Builder::new().name("verify".into()).spawn(move || run(&registry, &waiting, &events))?;
    Ok(Verifier(jobs))
}

fn run(registry: &watch::Receiver<Arc<Registry>>, waiting: &blocking::Receiver<Job>, events: &mpsc::Sender<Event>) {
    let mut seen = Seen::default();
    while let Ok(first) = waiting.recv() {
        let mut jobs = vec![first];
        while jobs.len() < BATCH_JOBS_MAX
            && let Ok(job) = waiting.try_recv()
        {
            jobs.push(job);
        }
        let registry = Arc::clone(&registry.borrow());
        for verified in check(jobs, &registry, &mut seen) {
            if events.blocking_send(Event::Verified(verified)).is_err() {
                return;
            }
        }
    }
}

/// Checks all entries of some jobs in one batch, and all questions in another.
fn check(jobs: Vec<Job>, registry: &Registry, seen: &mut Seen) -> Vec<Verified> {
    let mut entries = Vec::new();
    let mut executed = Vec::new();
    let mut pairs = Vec::new();
    let mut messages = Vec::new();
    for job in jobs {
        match job {
            Job::Entries { entries: raw, asked_for } => {
                let wanted = |entry: &Entry| asked_for || !seen.contains(&entry.id());
                entries.extend(raw.iter().filter_map(|bytes| decoded(bytes)).filter(wanted));
            }
            Job::Questions { message, pairs: own } => {
                messages.push((message, own.len()));
                pairs.extend(own);
            }
            Job::Executed { link, chain } => executed.push((link, chain)),
        }
    }
    let (links, chains): (Vec<Link>, Vec<Entry>) = executed.into_iter().unzip();
    let gossiped = entries.len();
    entries.extend(chains);
    let mut verdicts = verify_entries(entries, registry).into_iter();
    let mut found = Vec::new();
    let held: Vec<_> = verdicts
        .by_ref()
        .take(gossiped)
        .filter_map(|verdict| match verdict {
            Ok(entry) => {
                seen.insert(entry.id());
                Some(Arc::new(entry))
            }
            Err(violation) => {
                tracing::warn!(%violation, "dropped an entry from the network");
                None
            }
        })
        .collect();
    if !held.is_empty() {
        found.push(Verified::Entries(held));
    }
    for (link, verdict) in links.into_iter().zip(verdicts) {
        found.push(Verified::Executed { link, verdict: verdict.map(Arc::new) });
    }
    let mut verdicts = verify_endorsements(pairs, registry).into_iter();
    for (message, count) in messages {
        let questions = verdicts.by_ref().take(count).collect();
        found.push(Verified::Questions { message, questions });
    }
    found
}

fn decoded(bytes: &[u8]) -> Option<Entry> {
    match Entry::decode(bytes) {
        Ok(entry) => Some(entry),
        Err(violation) => {
            tracing::warn!(%violation, "dropped bytes that are no entry");
            None
        }
    }
}

/// The ids of the last so many verified entries, in two generations.
#[derive(Default)]
struct Seen {
    young: HashSet<Link>,
    old: HashSet<Link>,
}

impl Seen {
    fn contains(&self, id: &Link) -> bool {
        self.young.contains(id) || self.old.contains(id)
    }

    fn insert(&mut self, id: Link) {
        if self.young.len() >= SEEN_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id);
    }
}
