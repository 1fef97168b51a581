//! Addresses: what this member announces of its own, and what others announce of theirs, or hand on.

use minicbor::bytes::ByteVec;
use stemma_chain_format::announcement::{AnnouncedPath, Announcement};
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::limits::MEMBERS_MAX;
use stemma_chain_format::member::{MemberId, Role};
use stemma_chain_format::record::Signed;
use stemma_chain_format::validate;
use stemma_net::{PathAddress, PeerId, Protocol};

use super::{Event, Node, NodeError};
use crate::clock::now_ms;
use crate::error::chain;
use crate::ledger::{SyncQuestion, told_announcements};
use crate::membership::Standing;
use crate::network::{announced, announced_addresses};

impl Node {
    /// Says at which addresses this member is reached: where every member connects, and where it takes trades besides.
    pub(super) fn announce(&self) {
        if self.settings.standing != Standing::Active {
            return;
        }
        let read = || -> anyhow::Result<_> { Ok((announced(&self.settings)?, announced_addresses(&self.settings)?)) };
        let (paths, addresses) = match read() {
            Ok((paths, addresses)) if paths.is_empty() && addresses.is_empty() => return,
            Ok(told) => told,
            Err(e) => {
                tracing::error!("the addresses cannot be announced: {e:#}");
                return;
            }
        };
        let record = Announcement {
            network: self.settings.genesis.network(),
            member: self.settings.member.id.clone(),
            // The clock goes on from one start to the next; a set-back clock only delays what it announces.
            serial: now_ms(),
            paths,
            addresses,
        };
        let signed = match Signed::sign(record, &self.settings.member_key) {
            Ok(signed) => signed,
            Err(violation) => {
                tracing::error!(%violation, "the addresses cannot be announced");
                return;
            }
        };
        if let Err(e) = self.store.keep_announcement(&self.settings.member.id, signed.bytes()) {
            tracing::error!(error = %chain(&e), "the own announcement is not kept");
        }
        let (net, bytes) = (self.net.clone(), signed.bytes().to_vec());
        self.runtime.spawn(async move {
            if let Err(e) = net.set_announcement(bytes).await {
                tracing::warn!(error = %chain(&e), "the announcement was not made");
            }
        });
    }

    /// A member announced its addresses itself.
    pub(super) fn on_announced(&mut self, peer: PeerId, data: Vec<u8>) -> Result<(), NodeError> {
        match self.members.get(&peer).cloned() {
            Some(member) => self.take_announcement(data, Some(&member)),
            None => Ok(()),
        }
    }

    /// A member told what others announced.
    pub(super) fn on_announcements(&mut self, announcements: Vec<ByteVec>) -> Result<(), NodeError> {
        announcements.into_iter().take(MEMBERS_MAX).try_for_each(|data| self.take_announcement(data.into(), None))
    }

    /// Takes over an announcement that is newer than the one known: the network dials the member there, and a bank keeps a path to each
    /// of an institution's addresses.
    fn take_announcement(&mut self, data: Vec<u8>, by: Option<&MemberId>) -> Result<(), NodeError> {
        let signed = match self.read_announcement(data, by) {
            Ok(signed) => signed,
            // One that was handed on may be signed by a key that is not known here yet; it is asked for again.
            Err(violation) if by.is_none() => {
                tracing::debug!(%violation, "an announcement that does not hold here");
                return Ok(());
            }
            Err(violation) => {
                tracing::warn!(member = ?by, %violation, "an announcement that does not hold");
                return Ok(());
            }
        };
        let announcement = signed.record().clone();
        let member = announcement.member.clone();
        let known = self.announced.get(&member).map_or(0, |known| known.serial);
        if announcement.serial <= known || member == self.settings.member.id {
            return Ok(());
        }
        tracing::info!(
            %member, paths = announcement.paths.len(), addresses = announcement.addresses.len(), "announced its addresses"
        );
        self.store.keep_announcement(&member, signed.bytes())?;
        self.announced.insert(member.clone(), announcement);
        self.set_peers();
        self.set_paths(&member);
        Ok(())
    }

    /// A bank keeps a path to each of the addresses that an institution announced.
    pub(super) fn set_paths(&self, member: &MemberId) {
        let role = self.state.ledger().registry().member(member).map(|member| member.role);
        let (Some(announcement), Some(peer)) = (self.announced.get(member), self.peers.get(member).copied()) else {
            return;
        };
        if self.bank.is_none() || role != Some(Role::Institution) {
            return;
        }
        let parse = |path: &AnnouncedPath| match path.address.parse() {
            Ok(address) => Some(PathAddress { name: path.name.clone(), address }),
            Err(e) => {
                tracing::warn!(%member, path = %path.name, error = %chain(&e), "an address that cannot be read");
                None
            }
        };
        let paths: Vec<PathAddress> = announcement.paths.iter().filter_map(parse).collect();
        let (net, member) = (self.net.clone(), member.clone());
        self.runtime.spawn(async move {
            if let Err(e) = net.set_paths(peer, paths).await {
                tracing::warn!(%member, error = %chain(&e), "its paths cannot be used");
            }
        });
    }

    /// Asks the connected peers in turn where the others are.
    pub(super) fn ask_addresses(&mut self) {
        let connected = self.net.connected();
        self.asked_peers = self.asked_peers.wrapping_add(1);
        let turn = self.asked_peers.checked_rem(connected.len()).unwrap_or(0);
        if let Some(peer) = connected.get(turn) {
            self.ask_addresses_of(*peer);
        }
    }

    pub(super) fn ask_addresses_of(&self, peer: PeerId) {
        let (net, events) = (self.net.clone(), self.events.clone());
        self.runtime.spawn(async move {
            let answer = net.request(peer, Protocol::Sync, SyncQuestion::Announcements.encode()).await;
            let told =
                answer.map_err(|e| chain(&e)).and_then(|bytes| told_announcements(&bytes).map_err(|e| chain(&e)));
            match told {
                Ok(announcements) => drop(events.send(Event::Announcements(announcements)).await),
                Err(error) => tracing::debug!(%peer, %error, "a peer did not tell where others are"),
            }
        });
    }

    fn read_announcement(&self, data: Vec<u8>, by: Option<&MemberId>) -> Result<Signed<Announcement>, Violation> {
        let signed: Signed<Announcement> = Signed::decode(data)?;
        validate::verify_announcement(&signed, self.state.ledger().registry())?;
        match by {
            Some(by) if signed.record().member != *by => {
                Err(Violation::new(Rule::Signer, "announcement.member", by, &signed.record().member))
            }
            _ => Ok(signed),
        }
    }
}
