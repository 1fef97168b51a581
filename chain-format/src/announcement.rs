//! The announcement: at which addresses a member is reached. It is said between members and never stands on the ledger.

use std::collections::BTreeSet;

use crate::canonical::Canonical;
use crate::cose::ContentType;
use crate::error::{Rule, Violation, ensure};
use crate::hash::NetworkId;
use crate::limits::{ADDRESS_BYTES_MAX, ANNOUNCED_PATHS_MAX, ANNOUNCEMENT_BYTES_MAX, PATH_NAME_CHARS_MAX};
use crate::member::MemberId;
use crate::record::Record;
use crate::request::is_label;

/// The addresses of a member; a later serial replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Announcement {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The member; it signs.
    #[n(1)]
    pub member: MemberId,
    /// Larger than in every announcement of the member before.
    #[n(2)]
    pub serial: u64,
    /// The addresses for trades, beside those at which every member is connected; at most 8.
    #[n(3)]
    pub paths: Vec<AnnouncedPath>,
    /// Where every member connects: multiaddrs in text, each at most 256 bytes, the preferred first; at most 8.
    #[n(4)]
    pub addresses: Vec<String>,
}

/// One address.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
pub struct AnnouncedPath {
    /// What the member calls it: lowercase letters, digits and hyphens, at most 32.
    #[n(0)]
    pub name: String,
    /// The address, a multiaddr in text, at most 256 bytes.
    #[n(1)]
    pub address: String,
}

impl Record for Announcement {
    const CONTENT: ContentType = ContentType::Announcement;
    const BYTES_MAX: usize = ANNOUNCEMENT_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        let range = Rule::Range;
        let count = self.paths.len();
        ensure(count <= ANNOUNCED_PATHS_MAX, range, "announcement.paths", "at most 8", count)?;
        let mut names = BTreeSet::new();
        for AnnouncedPath { name, address } in &self.paths {
            let holds = is_label(name, PATH_NAME_CHARS_MAX);
            ensure(holds, range, "announcement.paths.name", "lowercase letters, digits, hyphens", name)?;
            ensure(names.insert(name), range, "announcement.paths.name", "each name once", name)?;
            is_sized("announcement.paths.address", address)?;
        }
        let count = self.addresses.len();
        ensure(count <= ANNOUNCED_PATHS_MAX, range, "announcement.addresses", "at most 8", count)?;
        self.addresses.iter().try_for_each(|address| is_sized("announcement.addresses", address))
    }
}

fn is_sized(field: &str, address: &str) -> Result<(), Violation> {
    let bytes = address.len();
    ensure((1..=ADDRESS_BYTES_MAX).contains(&bytes), Rule::Range, field, "1 to 256 bytes", bytes)
}
