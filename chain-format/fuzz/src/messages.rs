//! Messages of the agreement on blocks, and its log.

use stemma_chain_format::registry::Registry;
use stemma_consensus::codec::ConsensusMessage;
use stemma_consensus::evidence::Evidence;
use stemma_consensus::sync::SyncedBlock;
use stemma_consensus::wal::Entry;

use crate::known::KNOWN;
use crate::only;

/// Each has one encoding, and no evidence is made without the accused validator's key.
///
/// # Panics
/// Where that does not hold.
pub fn message(bytes: &[u8]) -> bool {
    let network = KNOWN.genesis.network();
    let message = ConsensusMessage::decode(bytes, &network);
    if let Ok(message) = &message {
        assert_eq!(message.encode(), bytes);
        only(bytes, |bytes| ConsensusMessage::decode(bytes, &network).is_ok());
    }
    let evidence = Evidence::decode(bytes);
    if let Ok(evidence) = &evidence {
        assert_eq!(evidence.encode(), bytes);
        only(bytes, |bytes| Evidence::decode(bytes).is_ok());
        let validators = Registry::from_genesis(&KNOWN.genesis).validators();
        assert!(evidence.verify(&network, &validators).is_err(), "nobody contradicted itself");
    }
    let entry = Entry::decode(bytes);
    if let Ok(entry) = &entry {
        assert_eq!(entry.encode(), bytes);
        only(bytes, |bytes| Entry::decode(bytes).is_ok());
    }
    let synced = SyncedBlock::decode(bytes);
    if let Ok(synced) = &synced {
        assert_eq!(synced.encode(), bytes);
        only(bytes, |bytes| SyncedBlock::decode(bytes).is_ok());
        let header = &synced.block.header;
        let registry = Registry::from_genesis(&KNOWN.genesis);
        if synced.verify(&network, header.height, &header.parent, &registry).is_ok() {
            let id = header.id();
            assert!(KNOWN.certified.contains_key(&id), "certified, but nobody signed {id}");
        }
    }
    message.is_ok() || evidence.is_ok() || entry.is_ok() || synced.is_ok()
}
