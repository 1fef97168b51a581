//! A log in memory that keeps what is durable apart from what is only written, and can fail at any operation.

use std::collections::BTreeMap;

use stemma_chain_format::hash::Digest;
use stemma_chain_format::keys::PublicKey;
use stemma_consensus::guard::{SignedKind, SignedMark};
use stemma_consensus::ports::{Log, LogError};
use stemma_consensus::wal::Entry;

use super::rng::Rng;

#[derive(Default, Clone)]
pub struct MemoryLog {
    pub durable: Vec<(u64, Vec<u8>)>,
    written: Vec<(u64, Vec<u8>)>,
    below: u64,
    below_written: u64,
    /// Operations left before the machine dies, if it is to die.
    pub dies_after: Option<u32>,
    /// Every mark that was ever made durable, over all lives: the checker's memory.
    pub signed: BTreeMap<(u64, u32, SignedKind), Digest>,
    pub silenced: Option<SignedMark>,
    pub flushes: u64,
    pub appends: u64,
}

impl MemoryLog {
    pub fn holding(durable: Vec<(u64, Vec<u8>)>) -> Self {
        Self { durable, ..Self::default() }
    }

    fn step(&mut self) -> Result<(), LogError> {
        match &mut self.dies_after {
            Some(0) => Err(LogError::Io("the machine died".into())),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Dies: of what was written and not flushed, some prefix may be on the disk.
    pub fn crash(&mut self, rng: &mut Rng) {
        let kept = rng.range(0, self.written.len() as u64 + 1);
        self.written.truncate(usize::try_from(kept).unwrap());
        if rng.chance(50) {
            self.below_written = self.below;
        }
        self.keep();
        self.dies_after = None;
    }

    fn keep(&mut self) {
        for (_, bytes) in &self.written {
            if let Ok(Entry::Signed(mark)) = Entry::decode(bytes) {
                let key = (mark.height, mark.round, mark.kind);
                let earlier = self.signed.insert(key, mark.digest);
                let same = earlier.is_none_or(|e| e == mark.digest);
                assert!(same, "the log holds two different signatures for {key:?}");
            }
        }
        self.durable.append(&mut self.written);
        let below = self.below_written;
        self.durable.retain(|(height, _)| *height >= below);
        self.below = below;
    }
}

impl Log for MemoryLog {
    fn append(&mut self, height: u64, entry: &[u8]) -> Result<(), LogError> {
        self.step()?;
        self.appends += 1;
        self.written.push((height, entry.to_vec()));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), LogError> {
        self.step()?;
        self.flushes += 1;
        self.keep();
        Ok(())
    }

    fn reset(&mut self, height: u64) -> Result<(), LogError> {
        self.step()?;
        self.below_written = height;
        Ok(())
    }

    fn silence(&mut self, _: &PublicKey, mark: &SignedMark) -> Result<(), LogError> {
        self.step()?;
        self.silenced.get_or_insert_with(|| mark.clone());
        Ok(())
    }

    fn is_silenced(&self, _: &PublicKey) -> Result<bool, LogError> {
        Ok(self.silenced.is_some())
    }

    fn replay(&self) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        let all = self.durable.iter().chain(&self.written);
        Ok(all.filter(|(h, _)| *h >= self.below_written).cloned().collect())
    }
}
