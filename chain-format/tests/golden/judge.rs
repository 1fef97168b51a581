//! The verdict on a vector, from files alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use stemma_chain_format::account::AccountState;
use stemma_chain_format::bundle::{self, Bundle, ProvedClaim, Verdict};
use stemma_chain_format::cbor;
use stemma_chain_format::certificate::{CertifiedHeader, Vote};
use stemma_chain_format::chain::Entry;
use stemma_chain_format::cosign::Cosigned;
use stemma_chain_format::endorsement::Endorsement;
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::governance::Governance;
use stemma_chain_format::hash::Digest;
use stemma_chain_format::header::Block;
use stemma_chain_format::issuance::Issuance;
use stemma_chain_format::keys::{self, PublicKey, Signature};
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::merkle::{Blake3, SparseProof, verify_inclusion};
use stemma_chain_format::position::Position;
use stemma_chain_format::record::{Record, Signed};
use stemma_chain_format::referral;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::request::Request;
use stemma_chain_format::validate::{self, VerifiedEntry};

use crate::common::World;
use crate::common::members::{FOUNDERS, key};
use crate::vector::Vector;

/// What the steps need beside a vector: the genesis, and the ledger after the history.
pub struct Context {
    pub file: GenesisFile,
    pub registry: Registry,
    pub ledger: Ledger,
}

#[derive(Serialize, Deserialize)]
struct History {
    about: String,
    blocks: Vec<HistoryBlock>,
}

#[derive(Serialize, Deserialize)]
struct HistoryBlock {
    block: String,
    entries: Vec<String>,
}

/// `history.json`: the blocks that lead to the ledger that the step `apply` starts from.
pub fn history(world: &World) -> String {
    let blocks = world.blocks.iter().map(|(block, entries)| HistoryBlock {
        block: hex::encode(cbor::encode(block)),
        entries: entries.iter().map(|entry| hex::encode(entry.encode())).collect(),
    });
    let about = "The blocks after the genesis, each with its entries: the ledger that the step apply starts from.";
    let history = History { about: about.to_owned(), blocks: blocks.collect() };
    serde_json::to_string_pretty(&history).unwrap() + "\n"
}

/// `keys.json`: every key of the test network.
pub fn keys() -> String {
    let members =
        FOUNDERS.map(|(id, _, power)| (id, if power > 0 { "member network validator" } else { "member network" }));
    let members = members.iter().flat_map(|(id, uses)| uses.split(' ').map(move |one| format!("{id}/{one}")));
    let labels = members.chain(["alice", "bob", "carol", "frida", "gina", "hugo"].map(str::to_owned));
    let pair = |label: String| {
        let key = key(&label);
        let parts = [("seed", hex::encode(key.to_bytes())), ("public", PublicKey::of(&key).to_string())];
        (label, BTreeMap::from(parts))
    };
    let keys: BTreeMap<_, _> = labels.map(pair).collect();
    serde_json::to_string_pretty(&keys).unwrap() + "\n"
}

impl Context {
    pub fn from_files(folder: &Path) -> Self {
        let read = |path: &str| fs::read_to_string(folder.join(path)).unwrap();
        let file = Vector::parse("genesis", &read("accept/genesis.json"));
        let file = GenesisFile::decode(file.bytes()).unwrap();
        let registry = Registry::from_genesis(&file);
        let mut ledger = Ledger::genesis(registry, file.genesis().created_ms);
        let history: History = serde_json::from_str(&read("history.json")).unwrap();
        for HistoryBlock { block, entries } in &history.blocks {
            let block = Block::decode(&hex::decode(block).unwrap()).unwrap();
            let entries = entries.iter().map(|entry| Entry::decode(&hex::decode(entry).unwrap()).unwrap()).collect();
            let mut draft = ledger.draft(block.header.time_ms);
            for entry in validate::verify_entries(entries, &Registry::clone(ledger.registry())) {
                draft.apply(&entry.unwrap()).unwrap();
            }
            let changes = draft.finish();
            assert_eq!(changes.root(), block.header.accounts_root);
            assert_eq!(changes.registry.root(), block.header.registry_root);
            ledger.adopt(&block.header, changes);
        }
        let registry = Registry::clone(ledger.registry());
        Self { file, registry, ledger }
    }
}

/// The id that a vector's step gives, or the rule that it breaks.
pub fn judge(vector: &Vector, context: &Context) -> Result<String, Violation> {
    match vector.step.as_str() {
        "decode" => decode(vector),
        "verify" => verify(vector, context),
        "apply" => apply(vector, context),
        "include" => include(vector),
        "present" | "absent" => sparse(vector),
        step => panic!("no step {step}"),
    }
}

fn signed<T: Record>(bytes: Vec<u8>) -> Result<Signed<T>, Violation> {
    let stage = Signed::<T>::decode(bytes.clone())?;
    assert_eq!(stage.bytes(), bytes);
    Ok(stage)
}

fn link<T: Record>(bytes: Vec<u8>) -> Result<String, Violation> {
    signed::<T>(bytes).map(|stage| stage.link().to_string())
}

fn decode(vector: &Vector) -> Result<String, Violation> {
    use stemma_chain_format::{
        account, announcement, execution, instruction, listing, promotion, refusal, servicing, settlement,
    };
    let bytes = vector.bytes();
    let digest = Digest::of(&bytes).to_string();
    match vector.record.as_str() {
        "genesis" => GenesisFile::decode(bytes).map(|file| file.network().to_string()),
        "opening" => link::<account::Opening>(bytes),
        "request" => link::<Request>(bytes),
        "endorsement" => link::<Endorsement>(bytes),
        "execution" => link::<execution::Execution>(bytes),
        "issuance" => link::<Issuance>(bytes),
        "listing" => link::<listing::Listing>(bytes),
        "instruction" => link::<instruction::Instruction>(bytes),
        "servicing" => link::<servicing::Servicing>(bytes),
        "announcement" => link::<announcement::Announcement>(bytes),
        "promotion" => link::<promotion::Promotion>(bytes),
        "referral" => link::<referral::Referral>(bytes),
        "refusal" => link::<refusal::Refusal>(bytes),
        "entry" => {
            let entry = Entry::decode(&bytes)?;
            assert_eq!(entry.encode(), bytes);
            Ok(entry.id().to_string())
        }
        "governance" => {
            let record = Cosigned::<Governance>::decode(bytes.clone())?;
            assert_eq!(record.bytes(), bytes);
            Ok(record.link().to_string())
        }
        "block" => Block::decode(&bytes).map(|block| block.id().to_string()),
        "settlement" => link::<settlement::Settlement>(bytes),
        "position" => Ok(Position::decode(&bytes).map(|_| digest)?),
        "account-state" => Ok(AccountState::decode(&bytes).map(|_| digest)?),
        "certified-header" => Ok(header(&bytes)?.header.id().to_string()),
        "vote" => Ok(cbor::decode::<Vote>(&bytes, "vote", 4096).map(|_| digest)?),
        "bundle" => Bundle::decode(&bytes).map(|_| digest),
        record => panic!("no record {record}"),
    }
}

fn header(bytes: &[u8]) -> Result<CertifiedHeader, Violation> {
    Ok(cbor::decode(bytes, "certified header", 1 << 20)?)
}

fn verify(vector: &Vector, context: &Context) -> Result<String, Violation> {
    let (bytes, registry) = (vector.bytes(), &context.registry);
    let id = decode(vector)?;
    match vector.record.as_str() {
        "request" => validate::verify_request(&signed(bytes)?, registry)?,
        "endorsement" => {
            let request = signed(hex::decode(&vector.with["request"]).unwrap())?;
            let pairs = vec![(request, signed(bytes)?)];
            validate::verify_endorsements(pairs, registry).remove(0)?;
        }
        "instruction" => validate::verify_instruction(&signed(bytes)?, registry)?,
        "announcement" => validate::verify_announcement(&signed(bytes)?, registry)?,
        "promotion" => validate::verify_promotion(&signed(bytes)?, registry)?,
        "referral" => read_referral(vector, registry)?,
        "refusal" => validate::verify_refusal(&signed(bytes)?, registry)?,
        "entry" => {
            verified(vector, context)?;
        }
        "vote" => vote(vector)?,
        "certified-header" => {
            header(&bytes)?.verify(&registry.validators())?;
        }
        "bundle" => match bundle::verify(&bytes, &context.file) {
            Verdict::Verified(proved) => assert_eq!(subject(&proved.claim), vector.with["account"]),
            Verdict::Refuted(violation) | Verdict::Unreadable(violation) => return Err(violation),
        },
        record => panic!("no verification of {record}"),
    }
    Ok(id)
}

/// What a claim is about: the account, the entry, how many entries or blocks, the other block, what two records stand on.
fn subject(claim: &ProvedClaim) -> String {
    match claim {
        ProvedClaim::Lineage(derived, _) => derived.account.account.to_string(),
        ProvedClaim::Holdings(account, _) => account.account.to_string(),
        ProvedClaim::Absence(account) => account.to_string(),
        ProvedClaim::Entry(entry) => entry.id().to_string(),
        ProvedClaim::Block(entries) => entries.to_string(),
        ProvedClaim::Ledger(replayed) => replayed.blocks.to_string(),
        ProvedClaim::Conflict(conflict) => conflict.other.block.to_string(),
        ProvedClaim::Endorsements(two) | ProvedClaim::Executions(two) => two.parent.to_string(),
    }
}

/// A referral that is accepted is so from its text as well.
fn read_referral(vector: &Vector, registry: &Registry) -> Result<(), Violation> {
    let bytes = vector.bytes();
    let read = validate::read_referral(&bytes, registry)?;
    assert_eq!(read.bytes(), bytes);
    let text = referral::text(&bytes);
    assert_eq!(text, vector.with["text"]);
    assert_eq!(referral::from_text(&text).unwrap(), bytes);
    Ok(())
}

fn vote(vector: &Vector) -> Result<(), Violation> {
    let vote: Vote = cbor::decode(&vector.bytes(), "vote", 4096)?;
    let signature = Signature(hex::decode(&vector.with["signature"]).unwrap().try_into().unwrap());
    let check = vote.signature_check(vector.with["key"].parse().unwrap(), signature);
    keys::verify(&check.key, &check.message, &check.signature)
        .map_err(|e| Violation::new(Rule::Signature, "vote.signature", "a signature by the key", e))
}

fn verified(vector: &Vector, context: &Context) -> Result<VerifiedEntry, Violation> {
    let entry = validate::verify_entry(Entry::decode(&vector.bytes())?, &context.registry)?;
    assert_eq!(entry.id(), entry.entry().id());
    Ok(entry)
}

/// Applies an entry to the ledger after the history; a refusal must leave no trace.
fn apply(vector: &Vector, context: &Context) -> Result<String, Violation> {
    let entry = verified(vector, context)?;
    let mut draft = context.ledger.draft(context.ledger.head().time_ms + 1_000);
    let verdict = draft.apply(&entry);
    let changes = draft.finish();
    let before = (context.ledger.root(), context.registry.root());
    assert_eq!(verdict.is_ok(), (changes.root(), changes.registry.root()) != before, "{}", vector.name);
    verdict.map(|()| entry.id().to_string())
}

fn include(vector: &Vector) -> Result<String, Violation> {
    let digest = |name: &str| -> Digest { vector.with[name].parse().unwrap() };
    let number = |name: &str| -> u64 { vector.with[name].parse().unwrap() };
    let path: Vec<Digest> = vector.bytes().chunks(32).map(|chunk| Digest(chunk.try_into().unwrap())).collect();
    let (leaf, root) = (digest("leaf"), digest("root"));
    verify_inclusion::<Blake3>(&leaf, number("index"), number("size"), &path, &root)?;
    Ok(root.to_string())
}

fn sparse(vector: &Vector) -> Result<String, Violation> {
    let proof: SparseProof = cbor::decode(&vector.bytes(), "sparse proof", 1 << 16)?;
    let (root, key) = (vector.with["root"].parse().unwrap(), vector.with["key"].parse().unwrap());
    match vector.with.get("value") {
        Some(value) => proof.verify_present(&root, &key, &hex::decode(value).unwrap())?,
        None => proof.verify_absent(&root, &key)?,
    }
    Ok(root.to_string())
}
