//! What is known to be so: the network of the golden vectors, and its ledger after each block.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ed25519_dalek::SigningKey;
use serde_json::Value;
use stemma_chain_format::account::AccountState;
use stemma_chain_format::bundle::{self, Bundle, Claim, Proved, ProvedBlock, ProvedClaim, Verdict};
use stemma_chain_format::chain::Entry;
use stemma_chain_format::endorsement::Credit;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::{AccountId, BlockId, Digest};
use stemma_chain_format::header::{Block, Header};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::ledger::Ledger;
use stemma_chain_format::position::Position;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::validate;

/// A golden vector that is to be accepted.
pub struct Vector {
    /// The file's name.
    pub name: String,
    /// What the bytes are.
    pub record: String,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What is given beside them.
    pub with: BTreeMap<String, String>,
}

/// The network of the vectors.
pub struct Known {
    /// Its genesis file.
    pub genesis: GenesisFile,
    /// Each block with its entries, the first of height 1.
    pub blocks: Vec<(Block, Vec<Entry>)>,
    /// The ledger after each of them.
    pub ledgers: Vec<Ledger>,
    /// Every credit that an account ever received.
    pub credits: BTreeMap<AccountId, Vec<Credit>>,
    /// Every header that validators signed.
    pub certified: BTreeMap<BlockId, Header>,
    /// The vectors to be accepted.
    pub vectors: Vec<Vector>,
    /// What the vectors' bundles prove.
    pub proved: Vec<Proved>,
    /// All keys.
    pub keys: BTreeMap<PublicKey, SigningKey>,
}

/// Read once.
pub static KNOWN: LazyLock<Known> = LazyLock::new(Known::read);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn vectors() -> Vec<Vector> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder().join("accept")).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    let vector = |path: &PathBuf| {
        let file = json(path);
        let with = file["with"].as_object().into_iter().flatten();
        Vector {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            record: file["record"].as_str().unwrap().to_owned(),
            bytes: bytes(&file["hex"]),
            with: with.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
        }
    };
    paths.iter().map(vector).collect()
}

fn keys() -> BTreeMap<PublicKey, SigningKey> {
    let key = |pair: &Value| SigningKey::from_bytes(&bytes(&pair["seed"]).try_into().unwrap());
    let file = json(&folder().join("keys.json"));
    let keys = file.as_object().unwrap().values().map(key);
    keys.map(|key| (PublicKey::of(&key), key)).collect()
}

impl Known {
    fn read() -> Self {
        let vectors = vectors();
        let genesis = vectors.iter().find(|vector| vector.name == "genesis").unwrap();
        let genesis = GenesisFile::decode(genesis.bytes.clone()).unwrap();
        let mut ledger = Ledger::genesis(Registry::from_genesis(&genesis), genesis.genesis().created_ms);
        let (mut blocks, mut ledgers, mut credits) = (Vec::new(), Vec::new(), BTreeMap::<_, Vec<Credit>>::new());
        for file in json(&folder().join("history.json"))["blocks"].as_array().unwrap() {
            let block = Block::decode(&bytes(&file["block"])).unwrap();
            let entries = file["entries"].as_array().unwrap().iter();
            let entries: Vec<Entry> = entries.map(|entry| Entry::decode(&bytes(entry)).unwrap()).collect();
            let mut draft = ledger.draft(block.header.time_ms);
            for entry in validate::verify_entries(entries.clone(), ledger.registry()) {
                draft.apply(&entry.unwrap()).unwrap();
            }
            let changes = draft.finish();
            for (account, touched) in &changes.accounts {
                credits.entry(*account).or_default().extend(touched.received.iter().cloned());
            }
            ledger.adopt(&block.header, changes);
            ledgers.push(ledger.clone());
            blocks.push((block, entries));
        }
        let bundles = vectors.iter().filter(|vector| vector.record == "bundle");
        let proved = bundles.map(|vector| match bundle::verify(&vector.bytes, &genesis) {
            Verdict::Verified(proved) => *proved,
            other => panic!("{}: {other:?}", vector.name),
        });
        let proved = proved.collect();
        let certified = certified(&blocks, &vectors);
        Self { genesis, blocks, ledgers, credits, certified, vectors, proved, keys: keys() }
    }

    /// The ledger after the last block.
    pub fn ledger(&self) -> &Ledger {
        self.ledgers.last().unwrap()
    }

    /// The bytes of the vectors of some records.
    pub fn of(&self, record: impl Fn(&str) -> bool) -> impl Iterator<Item = &[u8]> {
        self.vectors.iter().filter(move |vector| record(&vector.record)).map(|vector| vector.bytes.as_slice())
    }

    /// The running digest of an account's credits before those that wait; own accounts have none that do.
    pub fn digest_before_waiting(&self, account: &AccountId) -> Digest {
        let ledger = self.ledger();
        let state = &ledger.account(account).unwrap().state;
        let absorbed = usize::try_from(state.credits_absorbed).unwrap();
        let is_own = ledger.own_account_of(account).is_some();
        let credits = self.credits.get(account).into_iter().flatten().take(if is_own { 0 } else { absorbed });
        credits.fold(Digest([0; 32]), |digest, credit| credit.chained(&digest))
    }

    /// Whether what a bundle proves is so: a vector's bundle proves it, or the ledger after that block has it.
    ///
    /// Free are the signatures shown, as long as they are a quorum's: the counts may differ from any vector's.
    pub fn is_so(&self, proved: &Proved) -> bool {
        let Some(header) = self.header(&proved.checkpoint) else { return false };
        let same_block = |other: &Proved| {
            other.checkpoint.block == proved.checkpoint.block && other.trust_steps == proved.trust_steps
        };
        if self.proved.iter().any(|other| same_block(other) && other.claim == proved.claim) {
            return true;
        }
        let ledger = self.ledgers.iter().find(|ledger| ledger.root() == header.accounts_root);
        let block = self.blocks.iter().find(|(block, _)| block.header.entries_root == header.entries_root);
        let holds = |account: &AccountState, positions: &[Position]| {
            ledger.is_some_and(|ledger| {
                let found = ledger.account(&account.account).map(|found| &found.state);
                found == Some(account) && ledger.positions_of(&account.account).map(|(_, p)| p).eq(positions)
            })
        };
        match &proved.claim {
            ProvedClaim::Lineage(derived, from) => {
                let waiting = ledger.and_then(|ledger| ledger.account(&derived.account.account));
                waiting.is_some_and(|account| account.inbox == derived.waiting)
                    && from.as_ref().is_none_or(|from| self.header(from).is_some())
                    && holds(&derived.account, &derived.positions)
            }
            ProvedClaim::Holdings(account, positions) => holds(account, positions),
            ProvedClaim::Absence(account) => ledger.is_some_and(|ledger| ledger.account(account).is_none()),
            ProvedClaim::Entry(entry) => block.is_some_and(|(block, _)| block.entries.contains(&entry.id())),
            ProvedClaim::Block(count) => block.is_some_and(|(block, _)| block.entries.len() as u64 == *count),
            ProvedClaim::Ledger(replayed) => ledger.is_some_and(|ledger| {
                let counts = (ledger.accounts().count() as u64, ledger.positions().count() as u64);
                (replayed.blocks, replayed.accounts, replayed.positions) == (header.height, counts.0, counts.1)
            }),
            ProvedClaim::Conflict(conflict) => self.header(&conflict.other).is_some_and(|other| {
                let is_above = other.height == header.height + 1 && other.parent != header.id();
                is_above || (other.height == header.height && other.id() != header.id())
            }),
            // Whoever has a member's key can sign for it, and here all keys are known.
            ProvedClaim::Endorsements(two) | ProvedClaim::Executions(two) => {
                let member = self.ledger().registry().member(&two.member);
                two.records[0] < two.records[1]
                    && member.is_some_and(|member| self.keys.contains_key(&member.member_key))
            }
        }
    }

    /// The header of a block that is proved: nobody signed any but the history's, and those that vectors show.
    fn header(&self, block: &ProvedBlock) -> Option<&Header> {
        let header = self.certified.get(&block.block)?;
        ((header.height, header.time_ms) == (block.height, block.time_ms)).then_some(header)
    }
}

/// Every header that validators signed: those of the history, and those that bundles show.
fn certified(blocks: &[(Block, Vec<Entry>)], vectors: &[Vector]) -> BTreeMap<BlockId, Header> {
    let bundles = vectors.iter().filter(|vector| vector.record == "bundle");
    let heads = bundles.map(|vector| Bundle::decode(&vector.bytes).unwrap().head);
    let shown = heads.flat_map(|head| {
        let other = match head.claim {
            Claim::Conflict(other) => Some(other.header),
            Claim::LineageFrom(_, anchor) => Some(anchor.header.header),
            _ => None,
        };
        let trusted = head.trust.into_iter().map(|step| step.header.header);
        trusted.chain(other).chain([head.checkpoint.header])
    });
    let all = blocks.iter().map(|(block, _)| block.header.clone()).chain(shown);
    all.map(|header| (header.id(), header)).collect()
}
