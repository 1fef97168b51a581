//! Bundles: one file that proves something offline, against the genesis file alone.
//!
//! An account bundle proves what an account holds at a certified block, and why: its whole lineage, every credit that it
//! absorbed with the entry that gave it, and the account's leaf under the certified root. The numbered steps of
//! [`AccountBundle::verify`] are those of `spec/bundle.md`.

use std::collections::{BTreeMap, BTreeSet};

use minicbor::bytes::ByteVec;

use crate::account::AccountState;
use crate::cbor;
use crate::certificate::CertifiedHeader;
use crate::chain::{Chain, Entry};
use crate::endorsement::Credit;
use crate::error::{Rule, Violation, ensure, same};
use crate::genesis::GenesisFile;
use crate::hash::{AccountId, Digest, Link, NetworkId};
use crate::instrument::InstrumentId;
use crate::limits::BUNDLE_BYTES_MAX;
use crate::lineage::{self, Listed};
use crate::merkle::SparseProof;
use crate::registry::Registry;
use crate::servicing::Act;
use crate::validate::{self, VerifiedEntry};

/// The version of the bundle's form.
pub const BUNDLE_VERSION: u32 = 1;

/// Everything that proves one account's holdings.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct AccountBundle {
    /// Version of this form; 1.
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
    /// The listings that executions name and those of the cash that paid, each once, in the order of first use; of one
    /// trade, the instrument's first.
    #[n(8)]
    pub listings: Vec<ByteVec>,
}

/// What a verified bundle proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The account's state at the checkpoint.
    pub account: AccountState,
    /// The credits that wait in its inbox there.
    pub waiting: Vec<Credit>,
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
        // 2. More than two thirds of the founders' voting power signed the checkpoint, and the registry has not changed.
        let registry = Registry::from_genesis(genesis);
        let validators = registry.validators();
        let power = self.checkpoint.verify(&validators).map_err(|v| v.within("checkpoint"))?;
        same(Rule::Certificate, "checkpoint.registry_root", &registry.root(), &header.registry_root)?;
        // 3. The account's leaf stands under the checkpoint's root.
        let leaf = cbor::encode(&self.account);
        self.proof.verify_present(&header.accounts_root, &self.account.account, &leaf)?;
        // 4. Every entry is well formed, keeps its rules, and is signed by whom it must be.
        let mut signatures = self.checkpoint.certificate.signatures.len() as u64;
        let mut verified = |entries, place| verified_entries(entries, place, &registry, &mut signatures);
        let chain = verified(&self.lineage, "lineage")?;
        let sources = verified(&self.sources, "sources")?;
        let listings = verified(&self.listings, "listings")?;
        // 5. Each credit is a posting of the entry that it names, and all of them give the leaf's digest.
        self.credits_hold(&sources)?;
        // 6. Each chain follows the one before, from the opening record to exactly the leaf's state.
        let listings = listed(&listings)?;
        let state = self.derive(&chain, &listings)?;
        state.holdings.must_equal(&self.account.holdings, "account.holdings")?;
        let equal = state == self.account;
        ensure(equal, Rule::Holdings, "account", describe(&state), describe(&self.account))?;
        let absorbed = usize::try_from(state.credits_absorbed).unwrap_or(usize::MAX);
        Ok(Proved {
            waiting: self.credits.get(absorbed..).unwrap_or_default().to_vec(),
            chains: state.sequence,
            account: state,
            signatures,
            height: header.height,
            time_ms: header.time_ms,
            block: header.id(),
            power: (power, validators.iter().fold(0, |sum, v| v.power.saturating_add(sum))),
            listings,
        })
    }

    fn credits_hold(&self, sources: &[VerifiedEntry]) -> Result<(), Violation> {
        let by_id: BTreeMap<Link, &VerifiedEntry> = sources.iter().map(|s| (s.id(), s)).collect();
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
            if used.insert(credit.source) {
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

    fn derive(&self, lineage: &[VerifiedEntry], listings: &[Listed]) -> Result<AccountState, Violation> {
        let wrong = |place: &str, expected: &str, found: &str| Violation::new(Rule::Sequence, place, expected, found);
        let (first, chains) = lineage.split_first().ok_or_else(|| wrong("lineage", "an opening record", "nothing"))?;
        let Entry::Opening(opening) = first.entry() else {
            return Err(wrong("lineage[0]", "an opening record", first.entry().kind().as_str()));
        };
        let account = AccountId::from(first.id());
        same(Rule::Account, "lineage[0]", &self.account.account, &account)?;
        let record = opening.record();
        let mut state = AccountState::opened(account, record.bank.clone(), record.key, record.credit.clone());
        // Which credits had arrived before which entry is the ledger's to say; that each was absorbed in order is checked.
        state.credits_received = self.account.credits_received;
        state.credits_digest = self.account.credits_digest;
        let by_link: BTreeMap<Link, &Listed> = listings.iter().map(|listed| (listed.link, listed)).collect();
        let by_instrument: BTreeMap<&InstrumentId, &Listed> =
            listings.iter().map(|listed| (&listed.listing.instrument, listed)).collect();
        let mut used = BTreeSet::new();
        let mut first_uses = Vec::with_capacity(listings.len());
        for (index, entry) in chains.iter().enumerate() {
            let place = format!("lineage[{}]", index.saturating_add(1));
            let find = |needed: NeededListing<'_>| {
                let (found, what) = match needed {
                    NeededListing::Named(link) => (by_link.get(&link).copied(), link.to_string()),
                    NeededListing::Of(instrument) => (by_instrument.get(instrument).copied(), instrument.to_string()),
                };
                found.ok_or_else(|| Violation::new(Rule::Listing, &place, "its listing in the bundle", what))
            };
            let absorbed = usize::try_from(state.credits_absorbed).unwrap_or(usize::MAX);
            let inbox = self.credits.iter().skip(absorbed);
            let listed = listings_needed(entry.entry()).into_iter().map(find).collect::<Result<Vec<_>, _>>()?;
            first_uses.extend(listed.iter().map(|listed| listed.link).filter(|link| used.insert(*link)));
            let next = match (entry.entry(), listed.first()) {
                (Entry::Chain(chain), Some(listed)) => lineage::follow(&state, chain, inbox, listed),
                (Entry::Servicing(service), _) => lineage::serve(&state, service, inbox),
                (other, _) => return Err(wrong(&place, "a chain or servicing", other.kind().as_str())),
            };
            state = next.map_err(|v| v.within(&place))?;
        }
        let in_order = first_uses.into_iter().eq(listings.iter().map(|listed| listed.link));
        let expected = "each listing that executions name, and the cash's, once, in the order of first use";
        ensure(in_order, Rule::Listing, "listings", expected, "others")?;
        Ok(state)
    }
}

fn verified_entries(
    raw: &[ByteVec],
    place: &str,
    registry: &Registry,
    signatures: &mut u64,
) -> Result<Vec<VerifiedEntry>, Violation> {
    let mut entries = Vec::with_capacity(raw.len());
    for (index, bytes) in raw.iter().enumerate() {
        let entry = Entry::decode(bytes).map_err(|v| v.within(format!("{place}[{index}]")))?;
        *signatures = signatures.saturating_add(entry.stages().len() as u64);
        entries.push(entry);
    }
    let verdicts = validate::verify_entries(entries, registry).into_iter().enumerate();
    verdicts.map(|(i, verdict)| verdict.map_err(|v| v.within(format!("{place}[{i}]")))).collect()
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
            vec![NeededListing::Named(execution.record().listing), NeededListing::Of(&request.record().trade.cash)]
        }
        Entry::Servicing(service) => match &service.servicing.record().act {
            Act::Withdraw(instrument, _) => vec![NeededListing::Of(instrument)],
            _ => Vec::new(),
        },
        Entry::Opening(_) | Entry::Issuance(_) | Entry::Listing(_) => Vec::new(),
    }
}

/// What an entry gives an account at an index.
fn given<'e>(entry: &'e Entry, index: u32, account: &AccountId) -> Option<(&'e InstrumentId, crate::amount::Amount)> {
    let index = usize::try_from(index).ok()?;
    match entry {
        Entry::Chain(chain) => {
            let posting = chain.execution.record().postings.get(index)?;
            let own = posting.account == *account && posting.amount.is_positive();
            own.then_some((&posting.instrument, posting.amount))
        }
        Entry::Issuance(issuance) => {
            let credit = issuance.record().credits.get(index)?;
            let own = credit.account == *account;
            own.then_some((&issuance.record().instrument, credit.amount))
        }
        Entry::Opening(_) | Entry::Listing(_) | Entry::Servicing(_) => None,
    }
}

fn describe(state: &AccountState) -> String {
    let AccountState { bank, key, sequence, head, counter, credits_absorbed, status, credit, .. } = state;
    let key = key.map_or("revoked".to_owned(), |key| key.to_string());
    format!(
        "bank {bank}, key {key}, sequence {sequence}, head {head}, counter {counter}, {credits_absorbed} credits absorbed, \
         {status}, credit {credit}"
    )
}
