//! Bundles: one file that proves something offline, against the genesis file alone.
//!
//! An account bundle proves what an account holds at a certified block, and why: its whole lineage, every credit that it
//! absorbed with the entry that gave it, what became of its positions, and their and the account's leaves under the certified root. The numbered steps of
//! [`AccountBundle::verify`] are those of `spec/bundle.md`.

mod derive;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use minicbor::bytes::ByteVec;

use crate::account::AccountState;
use crate::cbor;
use crate::certificate::CertifiedHeader;
use crate::chain::{Chain, Entry};
use crate::endorsement::Credit;
use crate::error::{Rule, Violation, ensure, same};
use crate::execution::Posting;
use crate::genesis::GenesisFile;
use crate::hash::{AccountId, Digest, Link, NetworkId};
use crate::instrument::InstrumentId;
use crate::limits::BUNDLE_BYTES_MAX;
use crate::lineage::Listed;
use crate::merkle::SparseProof;
use crate::position::Position;
use crate::servicing::Act;
use crate::trust::{Trust, TrustStep};
use crate::validate::VerifiedEntry;
use read::Reader;

/// The version of the bundle's form.
pub const BUNDLE_VERSION: u32 = 2;

/// Everything that proves one account's holdings.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct AccountBundle {
    /// Version of this form; 2.
    #[n(0)]
    pub version: u32,
    /// The network.
    #[n(1)]
    pub network: NetworkId,
    /// The certified block under whose root the account stands.
    #[n(2)]
    pub checkpoint: CertifiedHeader,
    /// The account's leaf.
    #[n(3)]
    pub account: AccountState,
    /// The leaf's path to the checkpoint's root.
    #[n(4)]
    pub proof: SparseProof,
    /// The lineage: the opening record, then every chain and servicing record, in order.
    #[n(5)]
    pub lineage: Vec<ByteVec>,
    /// Every credit that the account ever received, in order.
    #[n(6)]
    pub credits: Vec<Credit>,
    /// The entries that gave the credits, each once, in the order of first use.
    #[n(7)]
    pub sources: Vec<ByteVec>,
    /// The listings that executions and settlements name and those of the cash that paid, each once, in the order of first use; of one
    /// entry, the instrument's first. A settlement comes right after the entry that it stands on.
    #[n(8)]
    pub listings: Vec<ByteVec>,
    /// Every settlement of the account's positions, in the order of the ledger; those that gave credits stand here and not among the
    /// sources.
    #[n(9)]
    pub settlements: Vec<ByteVec>,
    /// The positions that the account has at the checkpoint, in the order of their keys.
    #[n(10)]
    pub positions: Vec<HeldPosition>,
    /// How the registry came from the genesis' to that of the checkpoint: one step for each block before it that holds governance
    /// records.
    #[n(11)]
    pub trust: Vec<TrustStep>,
}

/// A position under the checkpoint's root.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct HeldPosition {
    /// Its key.
    #[n(0)]
    pub key: AccountId,
    /// Its leaf.
    #[n(1)]
    pub position: Position,
    /// The leaf's path to the checkpoint's root.
    #[n(2)]
    pub proof: SparseProof,
}

/// What a verified bundle proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The account's state at the checkpoint.
    pub account: AccountState,
    /// The credits that wait in its inbox there.
    pub waiting: Vec<Credit>,
    /// Its positions there, in the order of their keys.
    pub positions: Vec<Position>,
    /// Chains and servicing records in its lineage.
    pub chains: u64,
    /// Signatures that were checked.
    pub signatures: u64,
    /// The checkpoint's height.
    pub height: u64,
    /// The checkpoint's time in Unix milliseconds.
    pub time_ms: u64,
    /// The checkpoint's block.
    pub block: crate::hash::BlockId,
    /// The voting power that signed the checkpoint, and the total.
    pub power: (u64, u64),
    /// The listings of the instruments traded, for showing amounts.
    pub listings: Vec<Listed>,
}

/// The verdict on a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that it claims is proved.
    Verified(Box<Proved>),
    /// It can be read, but a step fails.
    Refuted(Violation),
    /// It is not a bundle, or not in its one encoding.
    Unreadable(Violation),
}

/// Reads and verifies a bundle against a genesis file.
pub fn verify(bytes: &[u8], genesis: &GenesisFile) -> Verdict {
    let bundle = match AccountBundle::decode(bytes) {
        Ok(bundle) => bundle,
        Err(violation) => return Verdict::Unreadable(violation),
    };
    match bundle.verify(genesis) {
        Ok(proved) => Verdict::Verified(Box::new(proved)),
        Err(violation) => Verdict::Refuted(violation),
    }
}

impl AccountBundle {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// Not the one encoding, or another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, Violation> {
        let bundle: Self = cbor::decode(bytes, "bundle", BUNDLE_BYTES_MAX)?;
        same(Rule::Encoding, "bundle.version", &BUNDLE_VERSION, &bundle.version)?;
        Ok(bundle)
    }

    /// Verifies every step.
    ///
    /// # Errors
    /// The first step that fails, with the place in the bundle.
    pub fn verify(&self, genesis: &GenesisFile) -> Result<Proved, Violation> {
        // 1. The bundle and its checkpoint are of the genesis' network.
        same(Rule::Network, "bundle.network", &genesis.network(), &self.network)?;
        let header = &self.checkpoint.header;
        same(Rule::Network, "checkpoint.network", &genesis.network(), &header.network)?;
        // 2. Each change of the registry up to the checkpoint was certified by the validators before it; those of the checkpoint's height
        //    certified the checkpoint.
        let trust = self.trusted(genesis)?;
        let power = trust.certify(&self.checkpoint).map_err(|v| v.within("checkpoint"))?;
        // 3. The account's leaf stands under the checkpoint's root.
        let leaf = cbor::encode(&self.account);
        self.proof.verify_present(&header.accounts_root, &self.account.account, &leaf)?;
        // 4. Every entry is well formed, keeps its rules, and is signed by whom it must be.
        let (registries, last) = (trust.up_to(header.height), trust.at(header.height));
        let mut reader = Reader { registries, last, signatures: self.certificate_signatures() };
        let chain = reader.entries(&self.lineage, "lineage", true)?;
        let sources = reader.entries(&self.sources, "sources", false)?;
        let listings = reader.entries(&self.listings, "listings", false)?;
        let settlements = reader.entries(&self.settlements, "settlements", true)?;
        let signatures = reader.signatures;
        // 5. Each credit is a posting of the entry that it names, and all of them give the leaf's digest.
        self.credits_hold(&sources, &settlements)?;
        // 6. Each entry follows the one before, each settlement the entry that it stands on, from the opening record to exactly the
        //    leaf's state and the positions under the root.
        let listings = listed(&listings)?;
        let (state, positions) = derive::derive(self, &chain, &settlements, &listings)?;
        self.positions_hold(&positions, &header.accounts_root)?;
        state.holdings.must_equal(&self.account.holdings, "account.holdings")?;
        let equal = state == self.account;
        ensure(equal, Rule::Holdings, "account", describe(&state), describe(&self.account))?;
        let absorbed = usize::try_from(state.credits_absorbed).unwrap_or(usize::MAX);
        Ok(Proved {
            waiting: self.credits.get(absorbed..).unwrap_or_default().to_vec(),
            positions: positions.into_values().collect(),
            chains: state.sequence,
            account: state,
            signatures,
            height: header.height,
            time_ms: header.time_ms,
            block: header.id(),
            power,
            listings,
        })
    }

    /// Follows the registry from the genesis to the checkpoint.
    fn trusted(&self, genesis: &GenesisFile) -> Result<Trust, Violation> {
        let mut trust = Trust::from_genesis(genesis);
        for (index, step) in self.trust.iter().enumerate() {
            let place = format!("trust[{index}]");
            let (last, found) = (self.checkpoint.header.height, step.header.header.height);
            let expected = format!("at most the checkpoint's, {last}");
            ensure(found <= last, Rule::Certificate, &format!("{place}.header.height"), expected, found)?;
            trust.follow(step).map_err(|v| v.within(&place))?;
        }
        Ok(trust)
    }

    /// The signatures of all certificates, and of the governance records that trust follows.
    fn certificate_signatures(&self) -> u64 {
        let certified = |header: &CertifiedHeader| header.certificate.signatures.len() as u64;
        let resolved = |step: &TrustStep| {
            let records = step.records.iter().filter_map(|bytes| Entry::decode(bytes).ok());
            records.fold(certified(&step.header), |sum, entry| sum.saturating_add(entry.signers().len() as u64))
        };
        self.trust.iter().map(resolved).fold(certified(&self.checkpoint), u64::saturating_add)
    }

    fn credits_hold(&self, sources: &[VerifiedEntry], settlements: &[VerifiedEntry]) -> Result<(), Violation> {
        let own: BTreeSet<Link> = settlements.iter().map(VerifiedEntry::id).collect();
        let by_id: BTreeMap<Link, &VerifiedEntry> = sources.iter().chain(settlements).map(|s| (s.id(), s)).collect();
        let mut used = BTreeSet::new();
        let mut first_uses = Vec::with_capacity(sources.len());
        let mut digest = Digest([0; 32]);
        for (index, credit) in self.credits.iter().enumerate() {
            let place = format!("credits[{index}]");
            let source = by_id
                .get(&credit.source)
                .ok_or_else(|| Violation::new(Rule::Credit, &place, "its source among the bundle's", credit.source))?;
            let given = given(source.entry(), credit.index, &self.account.account);
            let holds = given == Some((&credit.instrument, credit.amount));
            let expected = given.map_or("no such posting".to_owned(), |(i, a)| format!("{a} {i}"));
            let found = format!("{} {}", credit.amount, credit.instrument);
            ensure(holds, Rule::Credit, &place, expected, found)?;
            if !own.contains(&credit.source) && used.insert(credit.source) {
                first_uses.push(credit.source);
            }
            digest = credit.chained(&digest);
        }
        let in_order = first_uses.into_iter().eq(sources.iter().map(VerifiedEntry::id));
        ensure(in_order, Rule::Credit, "sources", "each credit's source once, in the order of first use", "others")?;
        same(Rule::Credit, "account.credits_digest", &self.account.credits_digest, &digest)?;
        let received = self.credits.len() as u64;
        same(Rule::Credit, "account.credits_received", &self.account.credits_received, &received)
    }

    /// The positions that the account is left with are just those that the bundle shows under the checkpoint's root.
    fn positions_hold(&self, derived: &BTreeMap<AccountId, Position>, root: &Digest) -> Result<(), Violation> {
        let (count, expected) = (self.positions.len(), derived.len());
        ensure(count == expected, Rule::Holdings, "positions", expected, count)?;
        for (index, (held, (key, position))) in self.positions.iter().zip(derived).enumerate() {
            let place = format!("positions[{index}]");
            same(Rule::Holdings, &format!("{place}.key"), key, &held.key)?;
            let equal = *position == held.position;
            let told = |position: &Position| format!("{:?} at {}", position.state, position.head);
            ensure(equal, Rule::Holdings, &format!("{place}.position"), told(position), told(&held.position))?;
            let leaf = cbor::encode(&held.position);
            held.proof.verify_present(root, key, &leaf).map_err(|v| v.within(&place))?;
        }
        Ok(())
    }
}

fn listed(entries: &[VerifiedEntry]) -> Result<Vec<Listed>, Violation> {
    let listings = entries.iter().map(|entry| {
        let Entry::Listing(listing) = entry.entry() else {
            let found = entry.entry().kind().as_str();
            return Err(Violation::new(Rule::Listing, "listings", "listing records", found));
        };
        Ok(Listed { link: entry.id(), listing: listing.record().clone() })
    });
    listings.collect()
}

/// A listing that an entry of a lineage needs to be read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NeededListing<'e> {
    /// The listing that an execution names.
    Named(Link),
    /// A listing of this cash, which has but one.
    Of(&'e InstrumentId),
}

/// The listings that an entry of a lineage needs, the traded instrument's first; the cash's so that a reader knows what a unit of it
/// is.
pub fn listings_needed(entry: &Entry) -> Vec<NeededListing<'_>> {
    match entry {
        Entry::Chain(chain) => {
            let Chain { request, execution, .. } = chain.as_ref();
            let (named, cash) = (execution.record().listing, request.record().order.cash());
            vec![NeededListing::Named(named), NeededListing::Of(cash)]
        }
        Entry::Settlement(settlement) => vec![NeededListing::Named(settlement.record().listing)],
        Entry::Servicing(service) => match &service.servicing.record().act {
            Act::Withdraw(instrument, _) => vec![NeededListing::Of(instrument)],
            _ => Vec::new(),
        },
        Entry::Opening(_) | Entry::Issuance(_) | Entry::Listing(_) | Entry::Governance(_) => Vec::new(),
    }
}

/// What an entry gives an account at an index.
fn given<'e>(entry: &'e Entry, index: u32, account: &AccountId) -> Option<(&'e InstrumentId, crate::amount::Amount)> {
    let index = usize::try_from(index).ok()?;
    match entry {
        Entry::Chain(chain) => posted(&chain.execution.record().postings, index, account),
        Entry::Settlement(settlement) => posted(&settlement.record().postings, index, account),
        Entry::Issuance(issuance) => {
            let credit = issuance.record().credits.get(index)?;
            let own = credit.account == *account;
            own.then_some((&issuance.record().instrument, credit.amount))
        }
        Entry::Opening(_) | Entry::Listing(_) | Entry::Servicing(_) | Entry::Governance(_) => None,
    }
}

fn posted<'e>(
    postings: &'e [Posting],
    index: usize,
    account: &AccountId,
) -> Option<(&'e InstrumentId, crate::amount::Amount)> {
    let posting = postings.get(index)?;
    let own = posting.account == *account && posting.amount.is_positive();
    own.then_some((&posting.instrument, posting.amount))
}

fn describe(state: &AccountState) -> String {
    let AccountState { bank, key, sequence, head, counter, credits_absorbed, status, credit, positions, .. } = state;
    let key = key.map_or("revoked".to_owned(), |key| key.to_string());
    format!(
        "bank {bank}, key {key}, sequence {sequence}, head {head}, counter {counter}, {credits_absorbed} credits absorbed, \
         {status}, credit {credit}, {positions} positions"
    )
}
