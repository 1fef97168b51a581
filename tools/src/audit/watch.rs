//! Watching a network: each block of each node is verified and compared with what the others have and what came before. What no honest
//! member signs becomes evidence that stands by itself.

use std::collections::{BTreeMap, VecDeque};

use minicbor::bytes::ByteVec;
use stemma_chain_format::bundle::{self, BUNDLE_VERSION, Bundle, Claim, Element, Head, Verdict};
use stemma_chain_format::certificate::CertifiedHeader;
use stemma_chain_format::chain::{Chain, Entry};
use stemma_chain_format::error::Violation;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::{BlockId, Link};
use stemma_chain_format::record::{Record, Signed};
use stemma_chain_format::trust::TrustStep;

/// Blocks that are remembered: nodes may be so far apart.
pub const BLOCKS_MAX: usize = 10_000;
/// Endorsements, and as many executions, that are remembered.
const ANSWERS_MAX: usize = 200_000;

/// What was found against somebody.
#[derive(Debug)]
pub struct Finding {
    /// What it is, in a few words.
    pub what: String,
    /// Whether two blocks conflict; else a member answered twice.
    pub is_conflict: bool,
    /// The name for its file, without a folder.
    pub file: String,
    /// The bundle that proves it.
    pub evidence: Bundle,
}

/// What came of a block that a node has.
#[derive(Debug)]
pub enum Taken {
    /// It is final and fits.
    Fits {
        /// How many entries it has.
        entries: usize,
        /// The voting power that signed it, and the whole.
        power: (u64, u64),
    },
    /// What the node gave is no proof of a block of that height.
    Refuted(Violation),
}

/// A block that is known to be final.
#[derive(Debug)]
struct Known {
    certified: CertifiedHeader,
    trust: Vec<TrustStep>,
    id: BlockId,
}

/// What is remembered of a network.
#[derive(Debug)]
pub struct Watch {
    genesis: GenesisFile,
    blocks: BTreeMap<u64, Known>,
    endorsements: Answers,
    executions: Answers,
}

/// Signed answers by what they answer, the newest.
#[derive(Debug, Default)]
struct Answers {
    by_parent: BTreeMap<Link, (Link, Vec<u8>)>,
    order: VecDeque<Link>,
}

impl Answers {
    /// Remembers an answer; gives another one to the same, where there is one.
    fn take<T: Record>(&mut self, parent: Link, signed: &Signed<T>) -> Option<(Link, Vec<u8>)> {
        if let Some(known) = self.by_parent.get(&parent) {
            return (known.0 != signed.link()).then(|| known.clone());
        }
        self.by_parent.insert(parent, (signed.link(), signed.bytes().to_vec()));
        self.order.push_back(parent);
        if self.order.len() > ANSWERS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_parent.remove(&oldest);
        }
        None
    }
}

impl Watch {
    /// Knows only the genesis.
    #[must_use]
    pub fn new(genesis: GenesisFile) -> Self {
        Self { genesis, blocks: BTreeMap::new(), endorsements: Answers::default(), executions: Answers::default() }
    }

    /// The block that is known to be final at a height.
    #[must_use]
    pub fn block(&self, height: u64) -> Option<BlockId> {
        self.blocks.get(&height).map(|known| known.id)
    }

    /// Takes the bundle of a block that a node has at a height. Findings are added to those given.
    pub fn take(&mut self, height: u64, bytes: &[u8], findings: &mut Vec<Finding>) -> Taken {
        let power = match bundle::verify(bytes, &self.genesis) {
            Verdict::Verified(proved) => proved.checkpoint.power,
            Verdict::Refuted(violation) | Verdict::Unreadable(violation) => return Taken::Refuted(violation),
        };
        let Bundle { head: Head { trust, checkpoint, claim, .. }, elements } = match Bundle::decode(bytes) {
            Ok(bundle) => bundle,
            Err(violation) => return Taken::Refuted(violation),
        };
        let found = format!("{} at height {}", claim.as_str(), checkpoint.header.height);
        if claim != Claim::Block || checkpoint.header.height != height {
            let rule = stemma_chain_format::error::Rule::Block;
            return Taken::Refuted(Violation::new(rule, "claim", format!("block at height {height}"), found));
        }
        findings.extend(self.conflict(&checkpoint));
        for element in &elements {
            if let Element::InBlock(bytes) = element
                && let Ok(Entry::Chain(chain)) = Entry::decode(bytes)
            {
                findings.extend(self.two_answers(&chain, &checkpoint, &trust));
            }
        }
        let id = checkpoint.header.id();
        self.blocks.entry(height).or_insert(Known { certified: checkpoint, trust, id });
        while self.blocks.len() > BLOCKS_MAX {
            self.blocks.pop_first();
        }
        Taken::Fits { entries: elements.len(), power }
    }

    /// A final block against the one known at its height, and against the one below it and above it.
    fn conflict(&self, found: &CertifiedHeader) -> Option<Finding> {
        let height = found.header.height;
        let id = found.header.id();
        let beside = self.blocks.get(&height).filter(|known| known.id != id);
        let below = height.checked_sub(1).and_then(|below| self.blocks.get(&below));
        let below = below.filter(|known| known.id != found.header.parent);
        let known = beside.or(below)?;
        let (what, at) = match beside {
            Some(_) => ("two blocks are final at height", height),
            None => ("a final block does not stand on the final block of height", known.certified.header.height),
        };
        let claim = Claim::Conflict(Box::new(found.clone()));
        let head = self.head(&known.certified, &known.trust, claim);
        let file = format!("conflict-{height}-{}.bundle", short(&id.to_string()));
        Some(Finding {
            what: format!("{what} {at}"),
            is_conflict: true,
            file,
            evidence: Bundle { head, elements: Vec::new() },
        })
    }

    fn two_answers(&mut self, chain: &Chain, at: &CertifiedHeader, trust: &[TrustStep]) -> Vec<Finding> {
        let (endorsement, execution) = (&chain.endorsement, &chain.execution);
        let (head, answered) = (endorsement.record().parent, execution.record().endorsement);
        let endorsed = self.endorsements.take(head, endorsement);
        let executed = self.executions.take(answered, execution);
        let finding = |what: String, file: String, claim: Claim| {
            let evidence = Bundle { head: self.head(at, trust, claim), elements: Vec::new() };
            Finding { what, is_conflict: false, file, evidence }
        };
        let endorsed = endorsed.map(|other| {
            let (first, second) = in_order(other, (endorsement.link(), endorsement.bytes().to_vec()));
            let what = format!("{} signed two endorsements for one head", endorsement.record().bank);
            let file = format!("endorsements-{}.bundle", short(&head.to_string()));
            finding(what, file, Claim::Endorsements(first, second))
        });
        let executed = executed.map(|other| {
            let (first, second) = in_order(other, (execution.link(), execution.bytes().to_vec()));
            let what = format!("{} signed two executions of one endorsement", execution.record().institution);
            let file = format!("executions-{}.bundle", short(&answered.to_string()));
            finding(what, file, Claim::Executions(first, second))
        });
        endorsed.into_iter().chain(executed).collect()
    }

    fn head(&self, checkpoint: &CertifiedHeader, trust: &[TrustStep], claim: Claim) -> Head {
        let network = self.genesis.network();
        Head { version: BUNDLE_VERSION, network, trust: trust.to_vec(), checkpoint: checkpoint.clone(), claim }
    }
}

/// The record with the lower link first.
fn in_order(one: (Link, Vec<u8>), other: (Link, Vec<u8>)) -> (ByteVec, ByteVec) {
    let (first, second) = if one.0 < other.0 { (one, other) } else { (other, one) };
    (first.1.into(), second.1.into())
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
