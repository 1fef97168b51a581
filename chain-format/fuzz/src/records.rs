//! Signed records, and the entries that they make up.

use std::fmt::Debug;

use minicbor::Encoder;
use minicbor::data::Tag;
use stemma_chain_format::account::Opening;
use stemma_chain_format::announcement::Announcement;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::cose::{self, ContentType};
use stemma_chain_format::cosign::{self, Cosigned};
use stemma_chain_format::endorsement::Endorsement;
use stemma_chain_format::execution::Execution;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::governance::Governance;
use stemma_chain_format::hash::{Link, NetworkId};
use stemma_chain_format::instruction::Instruction;
use stemma_chain_format::issuance::Issuance;
use stemma_chain_format::keys::{self, PublicKey};
use stemma_chain_format::listing::Listing;
use stemma_chain_format::promotion::Promotion;
use stemma_chain_format::record::{Record, Signed};
use stemma_chain_format::referral::{self, Referral};
use stemma_chain_format::refusal::Refusal;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::request::Request;
use stemma_chain_format::servicing::Servicing;
use stemma_chain_format::settlement::Settlement;
use stemma_chain_format::{cbor, validate};

use crate::known::KNOWN;
use crate::only;

/// An entry has one encoding; alone and among others it gets one verdict; a refused one leaves the ledger as it was.
///
/// # Panics
/// Where that does not hold.
pub fn entry(bytes: &[u8]) -> bool {
    let Ok(entry) = Entry::decode(bytes) else { return false };
    assert_eq!(entry.encode(), bytes, "read, but written otherwise");
    only(bytes, |bytes| Entry::decode(bytes).is_ok());
    let last = entry.stages().last().map(|stage| Link::of(stage));
    assert_eq!(Some(entry.id()), last, "an entry's id is the link of its last stage");
    let ledger = KNOWN.ledger();
    let registry = ledger.registry();
    let (_, others) = KNOWN.blocks.last().expect("there are blocks");
    let among = [others.as_slice(), std::slice::from_ref(&entry), others].concat();
    let among = validate::verify_entries(among, registry).swap_remove(others.len());
    let alone = validate::verify_entry(entry.clone(), registry);
    assert_eq!(alone, among, "alone another verdict than among others");
    let Ok(verified) = alone else { return false };
    assert_eq!((verified.id(), verified.entry()), (entry.id(), &entry), "verifying changed it");
    let mut draft = ledger.draft(ledger.head().time_ms + 1_000);
    let applied = draft.apply(&verified);
    let changes = draft.finish();
    let is_other = (changes.root(), changes.registry.root()) != (ledger.root(), registry.root());
    assert_eq!(applied.is_ok(), is_other, "applied {applied:?}, the state another: {is_other}");
    true
}

/// Bytes are a record of at most one kind, which has one envelope.
///
/// # Panics
/// Where that does not hold.
pub fn record(bytes: &[u8]) -> bool {
    let kinds = [
        one::<Opening>(bytes),
        one::<Request>(bytes),
        one::<Endorsement>(bytes),
        one::<Execution>(bytes),
        one::<Issuance>(bytes),
        one::<Listing>(bytes),
        one::<Instruction>(bytes),
        one::<Servicing>(bytes),
        one::<Settlement>(bytes),
        one::<Announcement>(bytes),
        one::<Promotion>(bytes),
        one::<Referral>(bytes),
        one::<Refusal>(bytes),
        governance(bytes),
    ];
    let count = kinds.into_iter().filter(|is| *is).count();
    assert!(count <= 1, "a record of two kinds");
    if let Ok(referral) = validate::read_referral(bytes, KNOWN.ledger().registry()) {
        assert_eq!(referral.bytes(), bytes);
        let text = referral::text(bytes);
        assert_eq!(referral::from_text(&text).as_deref(), Ok(bytes), "its text gives another");
    }
    count == 1
}

fn one<T: Record + PartialEq + Debug>(bytes: &[u8]) -> bool {
    let Ok(signed) = Signed::<T>::decode(bytes.to_vec()) else { return false };
    assert_eq!((signed.bytes(), signed.link()), (bytes, Link::of(bytes)));
    // The envelope written anew from what was read, by the page and not by the code that reads it.
    let payload = cbor::encode(signed.record());
    let protected = cose::protected_header(T::CONTENT, &signed.signer());
    let check = signed.signature_check();
    let mut written = Encoder::new(Vec::new());
    let parts = written.tag(Tag::new(18)).and_then(|e| e.array(4)).and_then(|e| e.bytes(&protected));
    let parts = parts.and_then(|e| e.map(0)).and_then(|e| e.bytes(&payload));
    parts.and_then(|e| e.bytes(&check.signature.0)).expect("writing into memory");
    assert_eq!(written.writer(), bytes, "read, but written otherwise");
    assert_eq!(check.message, cose::sig_structure(&protected, &payload), "other bytes are signed");
    only(bytes, |bytes| Signed::<T>::decode(bytes.to_vec()).is_ok());
    if let Some(key) = KNOWN.keys.get(&signed.signer()) {
        let again = Signed::sign(signed.record().clone_by_bytes(), key).expect("what is read can be signed");
        let holds = keys::verify(&check.key, &check.message, &check.signature).is_ok();
        // Ed25519 is deterministic, and one message may have other signatures that hold: only of their holder's making.
        assert!(!holds || again.signature_check().message == check.message, "signed anew, another record");
        assert_eq!(again.record(), signed.record());
    }
    true
}

/// A copy of a record that need not be `Clone`.
trait CloneByBytes {
    fn clone_by_bytes(&self) -> Self;
}

impl<T: Record> CloneByBytes for T {
    fn clone_by_bytes(&self) -> Self {
        cbor::decode(&cbor::encode(self), "copy", T::BYTES_MAX).expect("what is written can be read")
    }
}

fn governance(bytes: &[u8]) -> bool {
    let Ok(record) = Cosigned::<Governance>::decode(bytes.to_vec()) else { return false };
    assert_eq!((record.bytes(), record.link()), (bytes, Link::of(bytes)));
    let signatures: Vec<_> = record.signature_checks().iter().map(|check| (check.key, check.signature)).collect();
    let again = Cosigned::assemble(record.record(), &signatures);
    assert_eq!(again.as_ref(), Ok(&record), "put together anew, another record");
    only(bytes, |bytes| Cosigned::<Governance>::decode(bytes.to_vec()).is_ok());
    true
}

/// A genesis file names one network, and founds one registry. Whoever changes it needs every founder's signature.
///
/// # Panics
/// Where that does not hold.
pub fn genesis(bytes: &[u8]) -> bool {
    let Ok(file) = GenesisFile::decode(bytes.to_vec()) else { return false };
    assert_eq!(file.bytes(), bytes);
    assert_eq!(file.network(), NetworkId(Link::of(bytes).0));
    only(bytes, |bytes| GenesisFile::decode(bytes.to_vec()).is_ok());
    let payload = file.genesis().payload();
    let sign = |key: &PublicKey| KNOWN.keys.get(key).map(|key| cosign::cosign(ContentType::Genesis, &payload, key));
    let signatures: Option<Vec<_>> = file.genesis().members.iter().map(|member| sign(&member.member_key)).collect();
    let again = signatures.map(|signatures| GenesisFile::assemble(file.genesis(), &signatures));
    assert!(again.is_none_or(|again| again.as_ref() == Ok(&file)), "signed anew, another file");
    let registry = Registry::from_genesis(&file);
    let read = Registry::decode(&registry.encode()).expect("what is written can be read");
    assert_eq!((read.root(), read.encode()), (registry.root(), registry.encode()));
    true
}
