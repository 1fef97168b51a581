//! Paths: what this member announces of its addresses, and what others announce of theirs.

use stemma_chain_format::announcement::{AnnouncedPath, Announcement};
use stemma_chain_format::error::Violation;
use stemma_chain_format::member::{MemberId, Role};
use stemma_chain_format::record::Signed;
use stemma_chain_format::validate;
use stemma_net::{PathAddress, PeerId};

use super::Node;
use crate::clock::now_ms;
use crate::error::chain;
use crate::network::announced;

impl Node {
    /// Says at which addresses this member is reached, beside the one at which it is connected.
    pub(super) fn announce(&self) {
        let paths = match announced(&self.settings) {
            Ok(paths) if paths.is_empty() => return,
            Ok(paths) => paths,
            Err(e) => {
                tracing::error!("network.paths cannot be announced: {e:#}");
                return;
            }
        };
        let record = Announcement {
            network: self.settings.genesis.network(),
            member: self.settings.member.id.clone(),
            // The clock goes on from one start to the next; a set-back clock only delays what it announces.
            serial: now_ms(),
            paths,
        };
        let signed = match Signed::sign(record, &self.settings.member_key) {
            Ok(signed) => signed,
            Err(violation) => {
                tracing::error!(%violation, "network.paths cannot be announced");
                return;
            }
        };
        let (net, bytes) = (self.net.clone(), signed.bytes().to_vec());
        self.runtime.spawn(async move {
            if let Err(e) = net.set_announcement(bytes).await {
                tracing::warn!(error = %chain(&e), "the announcement was not made");
            }
        });
    }

    /// A member announced its addresses: a bank keeps a path to each of an institution's.
    pub(super) fn on_announced(&mut self, peer: PeerId, data: Vec<u8>) {
        let Some(member) = self.members.get(&peer).cloned() else { return };
        let announcement = match self.read_announcement(&member, data) {
            Ok(announcement) => announcement,
            Err(violation) => {
                tracing::warn!(%member, %violation, "an announcement that does not hold");
                return;
            }
        };
        let known = self.announced.get(&member).copied().unwrap_or(0);
        if announcement.serial <= known {
            return;
        }
        self.announced.insert(member.clone(), announcement.serial);
        let role = self.settings.registry.member(&member).map(|member| member.role);
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
        tracing::info!(%member, paths = paths.len(), "announced its addresses");
        let net = self.net.clone();
        self.runtime.spawn(async move {
            if let Err(e) = net.set_paths(peer, paths).await {
                tracing::warn!(%member, error = %chain(&e), "its paths cannot be used");
            }
        });
    }

    fn read_announcement(&self, member: &MemberId, data: Vec<u8>) -> Result<Announcement, Violation> {
        let signed: Signed<Announcement> = Signed::decode(data)?;
        validate::verify_announcement(&signed, &self.settings.registry)?;
        let record = signed.record();
        if record.member != *member {
            let rule = stemma_chain_format::error::Rule::Signer;
            return Err(Violation::new(rule, "announcement.member", member, &record.member));
        }
        Ok(record.clone())
    }
}
