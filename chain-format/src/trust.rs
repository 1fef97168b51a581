//! Trust from the genesis to any height: which registry was in force when, followed through certified headers, one for each block
//! that holds governance records and none between.
//!
//! What a step proves: the validators of its height, known from the steps before, certified a header; that header commits to the
//! registry that follows from the records of its block. So every change of the validators is one that the validators before it
//! certified.

use minicbor::bytes::ByteVec;

use crate::certificate::{CertifiedHeader, total_power};
use crate::chain::Entry;
use crate::error::{Rule, Violation, ensure, same};
use crate::genesis::GenesisFile;
use crate::registry::Registry;
use crate::validate;

/// One block with governance records, as far as trust needs it.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct TrustStep {
    /// The block's governance records as entries, in order.
    #[n(0)]
    pub records: Vec<ByteVec>,
    /// Its header and certificate.
    #[n(1)]
    pub header: CertifiedHeader,
}

/// The registries in force from the genesis on, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Each with the height from which on it is in force, the genesis' first, at 0.
    registries: Vec<(u64, Registry)>,
    genesis: Registry,
    /// The last height that a step came to.
    followed: u64,
}

impl Trust {
    /// What the genesis alone gives.
    pub fn from_genesis(file: &GenesisFile) -> Self {
        let genesis = Registry::from_genesis(file);
        Self { registries: vec![(0, genesis.clone())], genesis, followed: 0 }
    }

    /// The registry in force at a height: that by which the block there is made and certified.
    pub fn at(&self, height: u64) -> &Registry {
        let after = self.registries.partition_point(|(from, _)| *from <= height);
        after.checked_sub(1).and_then(|at| self.registries.get(at)).map_or(&self.genesis, |(_, registry)| registry)
    }

    /// The registries in force up to a height, each with the height from which on it is, the genesis' first.
    pub fn up_to(&self, height: u64) -> &[(u64, Registry)] {
        let after = self.registries.partition_point(|(from, _)| *from <= height);
        self.registries.get(..after).unwrap_or_default()
    }

    /// Requires that a certified header is final by the registry of its height, and that it commits to the registry that is known to
    /// follow. Returns the voting power that signed, and the whole.
    ///
    /// # Errors
    /// [`Rule::Network`], [`Rule::Certificate`].
    pub fn certify(&self, certified: &CertifiedHeader) -> Result<(u64, u64), Violation> {
        let power = self.is_final(certified)?;
        let header = &certified.header;
        let next = self.at(header.height.saturating_add(1)).root();
        same(Rule::Certificate, "registry_root", &next, &header.registry_root)?;
        Ok(power)
    }

    /// Requires that a certified header is final by the registry of its height. Returns the voting power that signed, and the whole.
    ///
    /// # Errors
    /// [`Rule::Network`], [`Rule::Certificate`].
    pub fn is_final(&self, certified: &CertifiedHeader) -> Result<(u64, u64), Violation> {
        let header = &certified.header;
        same(Rule::Network, "network", &self.genesis.network(), &header.network)?;
        let validators = self.at(header.height).validators();
        let power = certified.verify(&validators)?;
        Ok((power, total_power(&validators)))
    }

    /// Follows the registry through one block.
    ///
    /// # Errors
    /// The step does not come after the one before, holds no governance record or another entry, its header is not final by the registry of
    /// its height, or the registry that it commits to is another than that which follows.
    pub fn follow(&mut self, step: &TrustStep) -> Result<(), Violation> {
        let header = &step.header.header;
        let after = format!("above {}", self.followed);
        ensure(header.height > self.followed, Rule::Certificate, "header.height", after, header.height)?;
        self.is_final(&step.header).map_err(|violation| violation.within("header"))?;
        ensure(!step.records.is_empty(), Rule::Governance, "records", "governance records", "none")?;
        let mut next = self.at(header.height).clone();
        for (index, bytes) in step.records.iter().enumerate() {
            let followed = governed(&next, bytes, header.height);
            next = followed.map_err(|violation| violation.within(format!("records[{index}]")))?;
        }
        self.adopt(&next, header.height);
        let root = self.at(header.height.saturating_add(1)).root();
        same(Rule::Certificate, "header.registry_root", &root, &header.registry_root)
    }

    /// Takes over a registry as a block at a height leaves it, with all that is going to follow from it.
    fn adopt(&mut self, planned: &Registry, height: u64) {
        self.followed = height;
        let next = height.saturating_add(1);
        self.registries.retain(|(from, _)| *from < next);
        let mut registry = planned.clone().at(next);
        self.registries.push((next, registry.clone()));
        while let Some(effective) = registry.scheduled().first().map(|first| first.effective) {
            registry = registry.at(effective);
            self.registries.push((effective, registry.clone()));
        }
    }
}

/// A registry with one more governance record, whose signatures are checked here.
fn governed(registry: &Registry, bytes: &[u8], height: u64) -> Result<Registry, Violation> {
    let entry = validate::verify_entry(Entry::decode(bytes)?, registry)?;
    match entry.entry() {
        Entry::Governance(signed) => registry.plan(signed, height),
        other => Err(Violation::new(Rule::Governance, "kind", "a governance record", other.kind().as_str())),
    }
}
