//! What can be said of an entry by itself, with the member registry: roles, links, agreement of the stages, the money
//! rules of [`crate::invariants`], and every signature. What needs the account's lineage is [`crate::lineage`], what needs
//! the whole ledger is [`crate::ledger`].
//!
//! Only this module makes a [`VerifiedEntry`], so whoever holds one need not check its signatures again. A bundle's verification presumes
//! them for a while: it follows entries while their signatures are checked elsewhere, and concludes nothing before.

mod endorsement;
mod execution;
mod governance;
mod issuance;
mod listing;
mod opening;
mod referral;
mod request;
mod reward;
mod servicing;
mod settlement;

use std::fmt;

use crate::announcement::Announcement;
use crate::chain::{Chain, Entry, Service};
use crate::endorsement::Endorsement;
use crate::error::{Rule, Violation, ensure, same};
use crate::hash::Link;
use crate::instruction::Instruction;
use crate::keys::{self, PublicKey, SignatureBatch, SignatureCheck};
use crate::member::Role;
use crate::promotion::Promotion;
use crate::record::{Record, Signed};
use crate::registry::Registry;
use crate::request::Request;
pub use referral::read_referral;

/// An entry whose signatures, links, roles and money rules hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEntry {
    entry: Entry,
    id: Link,
    epoch: u64,
}

impl VerifiedEntry {
    /// The entry.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Its id.
    pub fn id(&self) -> Link {
        self.id
    }

    /// Requires that the entry holds under a registry that may be another than the one under which it was verified. Its signatures do
    /// whatever the registry; who may sign does not.
    ///
    /// # Errors
    /// The first broken rule.
    pub fn holds_under(&self, registry: &Registry) -> Result<(), Violation> {
        if self.epoch == registry.epoch() { Ok(()) } else { rules_hold(&self.entry, registry) }
    }
}

/// Verifies entries, all their signatures in one batch. The verdicts stand in the order of the entries.
///
/// The verdict on an entry does not depend on the others of its batch.
pub fn verify_entries(entries: Vec<Entry>, registry: &Registry) -> Vec<Result<VerifiedEntry, Violation>> {
    verify_each(entries.into_iter().map(|entry| (entry, registry)).collect())
}

/// The same, each entry under a registry of its own. The signatures of an entry that breaks another rule are not checked.
pub fn verify_each(entries: Vec<(Entry, &Registry)>) -> Vec<Result<VerifiedEntry, Violation>> {
    let judge = |(entry, registry): (Entry, &Registry)| {
        rules_hold(&entry, registry)?;
        Ok((entry, registry.epoch()))
    };
    let judged: Vec<Result<(Entry, u64), Violation>> = entries.into_iter().map(judge).collect();
    let mut batch = SignatureBatch::default();
    judged.iter().flatten().for_each(|(entry, _)| add_signatures(entry, &mut batch));
    let mut verdicts = batch.verify().into_iter();
    let verified = judged.into_iter().map(|judged| {
        let (entry, epoch) = judged?;
        signatures_hold(&Stages::of(&entry), &mut verdicts)?;
        Ok(VerifiedEntry { id: entry.id(), entry, epoch })
    });
    verified.collect()
}

/// Requires every rule of an entry but its signatures. Whoever presumes that they verify tells nothing that follows from the entry before
/// they are checked, see [`EntrySignatures`].
pub(crate) fn presume(entry: Entry, registry: &Registry) -> Result<VerifiedEntry, Violation> {
    rules_hold(&entry, registry)?;
    Ok(VerifiedEntry { id: entry.id(), entry, epoch: registry.epoch() })
}

/// The same by the first of several registries, from a place on, under which the rules hold, with its place; where there is none, by the
/// last, which then says why.
pub(crate) fn presume_by_first(
    entry: Entry,
    registries: &[Registry],
    since: usize,
) -> (Result<VerifiedEntry, Violation>, usize) {
    let mut broken = None;
    let last = registries.len().saturating_sub(1);
    for (at, registry) in registries.iter().enumerate().skip(since.min(last)) {
        match rules_hold(&entry, registry) {
            Ok(()) => return (Ok(VerifiedEntry { id: entry.id(), entry, epoch: registry.epoch() }), at),
            Err(violation) => broken = Some(violation),
        }
    }
    let none = || Violation::new(Rule::Member, "registry", "one that was in force", "none");
    (Err(broken.unwrap_or_else(none)), last)
}

/// The signatures of entries that come one after the other, to be checked in one batch.
#[derive(Debug, Default)]
pub(crate) struct EntrySignatures {
    entries: Vec<Stages>,
    batch: SignatureBatch,
}

impl EntrySignatures {
    /// Before the first of about so many entries, most of them chains.
    pub(crate) fn of(entries: usize) -> Self {
        Self { entries: Vec::with_capacity(entries), batch: SignatureBatch::of(entries.saturating_mul(3)) }
    }

    /// Those of the next entry.
    pub(crate) fn add(&mut self, entry: &VerifiedEntry) {
        add_signatures(&entry.entry, &mut self.batch);
        self.entries.push(Stages::of(&entry.entry));
    }

    /// Checks them, and tells how many they are.
    ///
    /// # Errors
    /// The first entry with one that does not verify, by its index.
    pub(crate) fn check(self) -> Result<u64, (usize, Violation)> {
        let mut verdicts = self.batch.verify().into_iter();
        for (at, stages) in self.entries.iter().enumerate() {
            signatures_hold(stages, &mut verdicts).map_err(|violation| (at, violation))?;
        }
        Ok(self.batch.len() as u64)
    }
}

/// Verifies one entry.
///
/// # Errors
/// The first broken rule.
pub fn verify_entry(entry: Entry, registry: &Registry) -> Result<VerifiedEntry, Violation> {
    let unreachable = || Violation::new(Rule::Signature, "entry", "one verdict", "none");
    verify_entries(vec![entry], registry).pop().unwrap_or_else(|| Err(unreachable()))
}

/// Verifies a first chain by itself, as the bank does when it comes in.
///
/// # Errors
/// The first broken rule.
pub fn verify_request(stage: &Signed<Request>, registry: &Registry) -> Result<(), Violation> {
    request::check(stage, registry)?;
    stage_signature_holds(stage, "request.signature")
}

/// Verifies a customer's instruction by itself, as the bank does when it comes in.
///
/// # Errors
/// The first broken rule.
pub fn verify_instruction(stage: &Signed<Instruction>, registry: &Registry) -> Result<(), Violation> {
    belongs(stage, registry, "instruction.network")?;
    let bank = &stage.record().bank;
    let found = registry.member(bank).map(|member| member.role);
    let expected = "a member with the role bank";
    ensure(found == Some(Role::Bank), Rule::Agreement, "instruction.bank", expected, bank)?;
    stage_signature_holds(stage, "instruction.signature")
}

/// Verifies a customer's promotion by itself, as the bank does when it comes in.
///
/// # Errors
/// The first broken rule.
pub fn verify_promotion(stage: &Signed<Promotion>, registry: &Registry) -> Result<(), Violation> {
    belongs(stage, registry, "promotion.network")?;
    let bank = &stage.record().bank;
    let found = registry.member(bank).map(|member| member.role);
    let expected = "a member with the role bank";
    ensure(found == Some(Role::Bank), Rule::Agreement, "promotion.bank", expected, bank)?;
    stage_signature_holds(stage, "promotion.signature")
}

/// Verifies a member's announcement of its addresses.
///
/// # Errors
/// The first broken rule.
pub fn verify_announcement(stage: &Signed<Announcement>, registry: &Registry) -> Result<(), Violation> {
    belongs(stage, registry, "announcement.network")?;
    let member = registry.acting("announcement.member", &stage.record().member)?;
    registry.signs("announcement.signer", member, &stage.signer())?;
    stage_signature_holds(stage, "announcement.signature")
}

/// A second chain with its request, whose signatures, links and roles hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEndorsement {
    request: Signed<Request>,
    endorsement: Signed<Endorsement>,
}

impl VerifiedEndorsement {
    /// The first chain.
    pub fn request(&self) -> &Signed<Request> {
        &self.request
    }

    /// The second chain.
    pub fn endorsement(&self) -> &Signed<Endorsement> {
        &self.endorsement
    }
}

/// Verifies second chains with their requests, as the institution does when they come in; all signatures in one batch.
pub fn verify_endorsements(
    pairs: Vec<(Signed<Request>, Signed<Endorsement>)>,
    registry: &Registry,
) -> Vec<Result<VerifiedEndorsement, Violation>> {
    let checks: Vec<SignatureCheck> = pairs
        .iter()
        .flat_map(|(request, endorsement)| [request.signature_check(), endorsement.signature_check()])
        .collect();
    let verdicts = keys::verify_batch(&checks);
    let verified = pairs.into_iter().zip(verdicts.chunks(2)).map(|((request, endorsement), own)| {
        request::check(&request, registry)?;
        endorsement::check(&request, &endorsement, registry)?;
        for (stage, verdict) in ["request", "endorsement"].iter().zip(own) {
            signature_holds(stage, *verdict)?;
        }
        Ok(VerifiedEndorsement { request, endorsement })
    });
    verified.collect()
}

/// Verifies a refusal: its signer is the member that it names.
///
/// # Errors
/// The first broken rule.
pub fn verify_refusal(stage: &Signed<crate::refusal::Refusal>, registry: &Registry) -> Result<(), Violation> {
    belongs(stage, registry, "refusal.network")?;
    let member = registry.acting("refusal.member", &stage.record().member)?;
    let may_refuse = member.role != Role::Auditor;
    ensure(may_refuse, Rule::Signer, "refusal.member", "a bank or an institution", member.role)?;
    registry.signs("refusal.signer", member, &stage.signer())?;
    stage_signature_holds(stage, "refusal.signature")
}

/// Requires that a stage is signed with the key that it names.
pub(crate) fn stage_signature_holds<T: Record>(stage: &Signed<T>, field: impl fmt::Display) -> Result<(), Violation> {
    let check = stage.signature_check();
    keys::verify(&check.key, &check.message, &check.signature)
        .map_err(|e| Violation::new(Rule::Signature, field, format!("a signature by {}", check.key), e))
}

/// Requires every rule of an entry by itself but its signatures.
///
/// # Errors
/// The first broken rule.
pub fn rules_hold(entry: &Entry, registry: &Registry) -> Result<(), Violation> {
    match entry {
        Entry::Chain(chain) => {
            let Chain { request, endorsement, execution } = chain.as_ref();
            request::check(request, registry)?;
            endorsement::check(request, endorsement, registry)?;
            execution::check(request, endorsement, execution, registry)
        }
        Entry::Opening(opening) => opening::check(opening, registry),
        Entry::Issuance(issuance) => issuance::check(issuance, registry),
        Entry::Listing(listing) => listing::check(listing, registry),
        Entry::Servicing(service) => servicing::check(service, registry),
        Entry::Settlement(settlement) => settlement::check(settlement, registry),
        Entry::Governance(governance) => governance::check(governance, registry),
    }
}

fn add_signatures(entry: &Entry, batch: &mut SignatureBatch) {
    match entry {
        Entry::Chain(chain) => {
            let Chain { request, endorsement, execution } = chain.as_ref();
            request.add_signature(batch);
            endorsement.add_signature(batch);
            execution.add_signature(batch);
        }
        Entry::Opening(opening) => opening.add_signature(batch),
        Entry::Issuance(issuance) => issuance.add_signature(batch),
        Entry::Listing(listing) => listing.add_signature(batch),
        Entry::Servicing(service) => {
            let Service { instruction, servicing } = service.as_ref();
            instruction.iter().for_each(|instruction| instruction.add_signature(batch));
            servicing.add_signature(batch);
        }
        Entry::Settlement(settlement) => settlement.add_signature(batch),
        Entry::Governance(governance) => governance.signature_checks().iter().for_each(|check| batch.add(check)),
    }
}

/// What of an entry is signed, in the order of the signatures.
#[derive(Debug)]
enum Stages {
    /// Stages, by their names.
    Named(&'static [&'static str]),
    /// A governance record, by the keys that signed it.
    Governance(Vec<PublicKey>),
}

impl Stages {
    fn of(entry: &Entry) -> Self {
        Self::Named(match entry {
            Entry::Chain(_) => &["request", "endorsement", "execution"],
            Entry::Opening(_) => &["opening"],
            Entry::Issuance(_) => &["issuance"],
            Entry::Listing(_) => &["listing"],
            Entry::Servicing(service) if service.instruction.is_some() => &["instruction", "servicing"],
            Entry::Servicing(_) => &["servicing"],
            Entry::Settlement(_) => &["settlement"],
            Entry::Governance(governance) => return Self::Governance(governance.signers().copied().collect()),
        })
    }
}

/// Takes the verdicts on an entry's signatures from those on a batch; all of them hold.
fn signatures_hold(
    stages: &Stages,
    verdicts: &mut impl Iterator<Item = Result<(), keys::KeyError>>,
) -> Result<(), Violation> {
    let mut held = Ok(());
    let mut next = |stage: fmt::Arguments<'_>| {
        let verdict = verdicts.next().unwrap_or(Err(keys::KeyError::BadSignature));
        if held.is_ok() {
            held = signature_holds(stage, verdict);
        }
    };
    match stages {
        Stages::Named(names) => names.iter().for_each(|name| next(format_args!("{name}"))),
        Stages::Governance(keys) => keys.iter().for_each(|key| next(format_args!("governance.{key}"))),
    }
    held
}

fn signature_holds(stage: impl fmt::Display, verdict: Result<(), keys::KeyError>) -> Result<(), Violation> {
    verdict.map_err(|e| {
        let field = format_args!("{stage}.signature");
        Violation::new(Rule::Signature, field, "a signature by the named key", e)
    })
}

/// Requires that a stage belongs to the registry's network.
fn belongs<T: Record>(stage: &Signed<T>, registry: &Registry, field: &str) -> Result<(), Violation> {
    same(Rule::Network, field, &registry.network(), &stage.record().network())
}
