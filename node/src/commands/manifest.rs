//! What is in a backup: a list of its files with their hashes, and what it is a backup of. Written last.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::member::{MemberId, MemberIdError};

use super::init::{CONFIG_FILE, GENESIS_FILE};
use super::start::STORE_FILE;
use super::{CommandError, Exit, files};
use crate::error::chain;
use crate::store::Store;

/// The manifest's name.
pub(super) const MANIFEST_FILE: &str = "manifest.json";
/// The version of the form.
const FORMAT: u32 = 1;
/// Where keys lie in a backup, as in a home.
pub(super) const KEYS_FOLDER: &str = "keys";

/// What a backup is of, and its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// The version of this form.
    pub format: u32,
    /// The network.
    pub network: String,
    /// The member.
    pub member: String,
    /// The last block's height.
    pub height: u64,
    /// Its id.
    pub head: String,
    /// The root of the state tree after it.
    pub account_root: String,
    /// When the backup was made, in Unix milliseconds.
    pub created_ms: u64,
    /// Whether its source signs nothing any more, so that what is restored from it may vote at once.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// The member's validator key, by the genesis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validator_key: Option<String>,
    /// The version of the node that made it.
    pub node_version: String,
    /// Its files.
    pub files: Vec<FileEntry>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    /// Its path within.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its hash.
    pub blake3: String,
}

impl FileEntry {
    /// A file of a folder as it is now.
    pub fn of(folder: &Path, name: &str) -> Result<Self, CommandError> {
        let (bytes, blake3) = files::digest(&folder.join(name))?;
        Ok(Self { name: name.to_owned(), bytes, blake3 })
    }
}

/// What a store holds, found out by deriving it anew.
pub(super) struct Held {
    pub height: u64,
    pub head: String,
    pub account_root: String,
    /// The member's validator key by the registry that the store holds.
    pub validator_key: Option<String>,
}

impl Manifest {
    pub fn new(genesis: &GenesisFile, member: &str, held: Held, files: Vec<FileEntry>) -> Self {
        Self {
            format: FORMAT,
            network: genesis.network().to_string(),
            member: member.to_owned(),
            height: held.height,
            head: held.head,
            account_root: held.account_root,
            created_ms: crate::clock::now_ms(),
            is_final: false,
            validator_key: held.validator_key,
            node_version: env!("CARGO_PKG_VERSION").to_owned(),
            files,
        }
    }

    /// Reads a backup's manifest, and requires that its files are what it says.
    pub fn checked(folder: &Path) -> Result<Self, CommandError> {
        let path = folder.join(MANIFEST_FILE);
        let no_manifest = |e: CommandError| e.help("a backup has its manifest once it is whole: make it anew");
        let bytes = files::read(&path).map_err(no_manifest)?;
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|e| {
            CommandError::failure(format!("{} is no manifest of a backup", path.display())).caused_by(&e)
        })?;
        if manifest.format != FORMAT {
            let message = format!("the backup is of form {}, and this version reads form {FORMAT}", manifest.format);
            return Err(CommandError::failure(message).help("restore it with the version that made it"));
        }
        for needed in [STORE_FILE, GENESIS_FILE, CONFIG_FILE] {
            if !manifest.files.iter().any(|file| file.name == needed) {
                return Err(damaged(folder, format!("its manifest names no {needed}")));
            }
        }
        for file in &manifest.files {
            if !is_plain(&file.name) {
                return Err(damaged(
                    folder,
                    format!("its manifest names {:?}, which is no file of a backup", file.name),
                ));
            }
            let found = FileEntry::of(folder, &file.name)?;
            if found != *file {
                let FileEntry { name, bytes, blake3 } = file;
                let found = format!("{} bytes with the hash {}", found.bytes, found.blake3);
                let what = format!("{name} should be {bytes} bytes with the hash {blake3}, and is {found}");
                return Err(damaged(folder, what));
            }
        }
        Ok(manifest)
    }

    /// Whether keys are in it.
    pub fn has_keys(&self) -> bool {
        self.files.iter().any(|file| file.name.starts_with(KEYS_FOLDER))
    }
}

fn damaged(folder: &Path, what: String) -> CommandError {
    CommandError::new(Exit::No, format!("the backup in {} is damaged: {what}", folder.display()))
        .help("use another backup; nothing was restored from this one")
}

/// A file of the folder itself or of its keys: a manifest is data from elsewhere, and must not lead out.
fn is_plain(name: &str) -> bool {
    let parts: Vec<Component<'_>> = Path::new(name).components().collect();
    match parts.as_slice() {
        [Component::Normal(_)] => [STORE_FILE, GENESIS_FILE, CONFIG_FILE].contains(&name),
        [Component::Normal(folder), Component::Normal(file)] => {
            *folder == KEYS_FOLDER && Path::new(file).extension().is_some_and(|end| end == "pem")
        }
        _ => false,
    }
}

/// Opens a store that is there and derives its state anew: its balances must give the root that its last block certifies.
pub(super) fn verified(path: &Path, genesis: &GenesisFile, member: &str) -> Result<(Store, Held), CommandError> {
    let failed = |e: &dyn std::error::Error| {
        CommandError::new(Exit::No, format!("the store in {} does not hold: {}", path.display(), chain(e)))
    };
    let id: MemberId =
        member.parse().map_err(|e: MemberIdError| CommandError::usage("the member's name").caused_by(&e))?;
    let store = Store::open_copy(path, genesis.network(), &id).map_err(|e| failed(&e))?;
    let ledger = store.load_ledger(genesis).map_err(|e| failed(&e))?;
    let head = ledger.head();
    let key = ledger.registry().registration(&id).and_then(|known| known.member.validator_key);
    let held = Held {
        height: head.height,
        head: head.block.to_string(),
        account_root: ledger.root().to_string(),
        validator_key: key.map(|key| key.to_string()),
    };
    Ok((store, held))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_leads_nowhere_else() {
        for good in ["stemma.redb", "genesis.stemma", "config.toml", "keys/validator.pem"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in
            ["", ".", "..", "../config.toml", "/etc/passwd", "keys/../x.pem", "keys/x", "keys/a/b.pem", "other", "keys"]
        {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}
