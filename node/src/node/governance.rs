//! What the node does when the registry changes: it lets in and dials others, verifies by other keys, and, where its own member changes,
//! ends to begin anew as what it has become.

use std::sync::Arc;

use stemma_chain_format::chain::Entry;
use stemma_chain_format::error::Violation;
use stemma_chain_format::governance::{Change, PROTOCOL_VERSION_MAX};
use stemma_chain_format::member::KeyUse;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::validate;
use stemma_net::{NetHandle, PeerConfig};
use stemma_node_api::types::Committed;
use stemma_node_api::{ApiError, ErrorCode};
use tokio::sync::watch;

use super::calls::conflict;
use super::{CallReply, Node, NodeEnd, NodeError};
use crate::clock::now_ms;
use crate::error::chain;
use crate::membership::{coming_key, differs};
use crate::network;
use crate::role::RoleEffect;

/// Sets the peers as they are wanted, one list after the other: a later one never comes before an earlier.
pub(super) async fn keep_peers(net: NetHandle, mut wanted: watch::Receiver<Vec<PeerConfig>>) {
    while wanted.changed().await.is_ok() {
        let peers = wanted.borrow_and_update().clone();
        if let Err(e) = net.set_peers(&peers).await {
            tracing::error!(error = %chain(&e), "the peers cannot be set");
        }
    }
}

impl Node {
    /// Takes over a registry that a block has changed.
    pub(super) fn follow_registry(&mut self) -> Result<(), NodeError> {
        let registry = Arc::clone(self.state.ledger().registry());
        let before = Arc::clone(&self.registry.borrow());
        if Arc::ptr_eq(&registry, &before) {
            return Ok(());
        }
        let own = &self.settings.member.id;
        tracing::info!(number = registry.number(), epoch = registry.epoch(), "the registry of members changed");
        if differs(&before, &registry, own) {
            tracing::info!("it says something else of this member: the node takes that up now");
            self.ended = Some(NodeEnd::Changed);
        }
        self.members = network::members(&registry, own);
        self.peers = network::peer_ids(&registry, own);
        self.warn_ahead(&registry);
        // What a key announced that does not count any more is forgotten.
        self.announced = network::stored_announcements(&self.store, &registry)?;
        self.registry.send_replace(registry);
        self.set_peers();
        Ok(())
    }

    /// Tells the network layer whom to let in, and where they are.
    pub(super) fn set_peers(&self) {
        let registry = self.state.ledger().registry();
        let peers = match network::peers(&self.settings, registry, &self.announced) {
            Ok(peers) => peers,
            Err(e) => {
                tracing::error!("the peers cannot be set: {e:#}");
                return;
            }
        };
        self.peers_wanted.send_replace(peers);
    }

    /// Says long before the height what an operator has to see to.
    pub(super) fn warn_ahead(&self, registry: &Registry) {
        let known = self.settings.config.consensus.protocol_max.unwrap_or(PROTOCOL_VERSION_MAX);
        for scheduled in registry.scheduled() {
            for change in &scheduled.changes {
                if let Change::Upgrade(version) = change
                    && *version > known
                {
                    let height = scheduled.effective;
                    tracing::warn!(
                        height,
                        version,
                        known,
                        "this node stops before that height: install a newer one by then"
                    );
                }
            }
        }
        let keys = &self.settings.config.keys;
        let coming = [
            (KeyUse::Member, keys.next_member.is_some()),
            (KeyUse::Network, keys.next_network.is_some()),
            (KeyUse::Validator, keys.next_validator.is_some() || keys.validator.is_some()),
        ];
        for (used, is_configured) in coming {
            let key = coming_key(registry, &self.settings.member.id, used);
            if let Some(key) = key.filter(|_| !is_configured) {
                tracing::warn!(%used, %key, "this key is to come: name its file under keys.next_{used}, or the node stops then");
            }
        }
    }

    /// Takes a governance record that an operator hands in; answered once it is committed.
    pub(super) fn govern(&mut self, bytes: &[u8], reply: CallReply<Committed>) {
        let made = || -> Result<_, Violation> {
            let ledger = self.state.ledger();
            let entry = validate::verify_entry(Entry::decode(bytes)?, ledger.registry())?;
            ledger.admits(&entry, now_ms())?;
            Ok(entry)
        };
        match made() {
            Ok(entry) if matches!(entry.entry(), Entry::Governance(_)) => {
                self.submitted.entry(entry.id()).or_default().push(reply);
                self.effects.push(RoleEffect::Propose(Arc::new(entry)));
            }
            Ok(entry) => {
                let found = entry.entry().kind().as_str();
                let message = format!("expected a governance record, found a record of the kind {found}");
                let _gone = reply.send(Err(ApiError::new(ErrorCode::Malformed, message)));
            }
            Err(violation) => {
                let _gone = reply.send(Err(conflict(&violation)));
            }
        }
    }
}
