//! Blocks, certificates, and the state that they lead to.

use std::sync::LazyLock;

use stemma_chain_format::account::AccountState;
use stemma_chain_format::bundle::{Bundle, Head};
use stemma_chain_format::cbor;
use stemma_chain_format::certificate::{Certificate, CertifiedHeader, Vote};
use stemma_chain_format::endorsement::Credit;
use stemma_chain_format::hash::{BlockId, Digest};
use stemma_chain_format::header::{Block, Header};
use stemma_chain_format::merkle::SparseProof;
use stemma_chain_format::position::Position;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::snapshot::{Assembly, Item, Manifest};
use stemma_chain_format::trust::TrustStep;

use crate::known::KNOWN;
use crate::{canonical, only};

/// Each has one encoding; a header's id is the hash of its bytes; only headers that validators signed are certified.
///
/// # Panics
/// Where that does not hold.
pub fn block(bytes: &[u8]) -> bool {
    let block = Block::decode(bytes);
    if let Ok(block) = &block {
        assert_eq!(cbor::encode(block), bytes);
        only(bytes, |bytes| Block::decode(bytes).is_ok());
    }
    let header = canonical::<Header>(bytes);
    if let Some(header) = &header {
        assert_eq!(header.id(), BlockId(Digest::of(bytes).0));
    }
    let certified = canonical::<CertifiedHeader>(bytes);
    if let Some(certified) = &certified {
        let genesis = Registry::from_genesis(&KNOWN.genesis);
        for registry in [&genesis, KNOWN.ledger().registry()] {
            if certified.verify(&registry.validators()).is_ok() {
                let id = certified.header.id();
                assert!(KNOWN.certified.contains_key(&id), "certified, but nobody signed {id}");
            }
        }
    }
    let others = [
        canonical::<Certificate>(bytes).is_some(),
        canonical::<Vote>(bytes).is_some(),
        canonical::<TrustStep>(bytes).is_some(),
    ];
    block.is_ok() || header.is_some() || certified.is_some() || others.contains(&true)
}

/// Each has one encoding, and no proof shows that an account is absent that is there, or holds what it does not.
///
/// # Panics
/// Where that does not hold.
pub fn leaf(bytes: &[u8]) -> bool {
    let state = AccountState::decode(bytes);
    if let Ok(state) = &state {
        assert_eq!(cbor::encode(state), bytes);
        only(bytes, |bytes| AccountState::decode(bytes).is_ok());
    }
    let position = Position::decode(bytes);
    if let Ok(position) = &position {
        assert_eq!(cbor::encode(position), bytes);
        only(bytes, |bytes| Position::decode(bytes).is_ok());
    }
    let credit = canonical::<Credit>(bytes);
    let Some(proof) = canonical::<SparseProof>(bytes) else {
        return state.is_ok() || position.is_ok() || credit.is_some();
    };
    let ledger = KNOWN.ledger();
    let root = ledger.root();
    for account in ledger.accounts() {
        let (key, value) = (account.state.account, cbor::encode(&account.state));
        assert!(proof.verify_absent(&root, &key).is_err(), "{key} is there");
        let is_proved = proof.verify_present(&root, &key, &value).is_ok();
        assert!(!is_proved || proof == ledger.prove(&key), "a second proof of {key}");
        let other = [value.as_slice(), &[0]].concat();
        assert!(proof.verify_present(&root, &key, &other).is_err(), "{key} has another leaf");
    }
    true
}

/// The head of a bundle at the last block: its certified header, and how trust comes there.
pub static LAST: LazyLock<Head> = LazyLock::new(|| {
    let bundles = KNOWN.of(|record| record == "bundle").filter_map(|bytes| Bundle::decode(bytes).ok());
    let last = KNOWN.ledger().head().block;
    bundles
        .map(|bundle| bundle.head)
        .find(|head| head.checkpoint.header.id() == last)
        .expect("a bundle at the last block")
});

/// Whoever sends a snapshot is not trusted: a part that completes the state under the certified root is the state.
///
/// # Panics
/// Where that does not hold.
pub fn snapshot(bytes: &[u8]) -> bool {
    if let Ok(manifest) = Manifest::decode(bytes) {
        assert_eq!(cbor::encode(&manifest), bytes);
        only(bytes, |bytes| Manifest::decode(bytes).is_ok());
    }
    if canonical::<Vec<Item>>(bytes).is_none() {
        return false;
    }
    let Head { checkpoint: head, trust, .. } = LAST.clone();
    let manifest = Manifest { head, trust, parts: vec![Digest::of(bytes)], bytes: bytes.len() as u64 };
    let mut assembly = Assembly::begin(manifest, &KNOWN.genesis).expect("the head is certified");
    let Ok(restored) = assembly.take(bytes).and_then(|()| assembly.finish()) else { return false };
    let (found, ledger) = (&restored.ledger, KNOWN.ledger());
    assert_eq!((found.root(), found.registry().root()), (ledger.root(), ledger.registry().root()));
    let inboxes = |ledger: &stemma_chain_format::ledger::Ledger| -> Vec<_> {
        ledger.accounts().map(|account| (account.state.clone(), account.inbox.clone())).collect()
    };
    // Own accounts that nothing moved need not be listed, and are there all the same.
    assert_eq!(inboxes(found), inboxes(ledger), "another state under the same root");
    assert!(found.positions().eq(ledger.positions()), "other positions under the same root");
    true
}
