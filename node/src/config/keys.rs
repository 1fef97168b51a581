//! The configured keys, opened. Which of them are in use, the registry says.

use std::path::PathBuf;

use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::Member;
use stemma_keystore::{Passphrase, Purpose, SecretKey, read_key_file};
use stemma_node_api::config::KeyFiles;

use super::ConfigError;

/// The opened keys of each use: the one in use, and the one to come.
pub struct Keys {
    /// Sign the member's records.
    pub member: Vec<SecretKey>,
    /// Identify the node to its peers.
    pub network: Vec<SecretKey>,
    /// Sign votes; none for a member without a vote.
    pub validator: Vec<SecretKey>,
}

impl Keys {
    /// Opens the configured key files.
    ///
    /// # Errors
    /// [`ConfigError::Key`].
    pub fn open(files: &KeyFiles, passphrase: &Passphrase) -> Result<Self, ConfigError> {
        let open = |paths: [Option<&PathBuf>; 2], purpose| -> Result<Vec<SecretKey>, ConfigError> {
            let open = |path| read_key_file(path, passphrase, purpose);
            let opened = paths.into_iter().flatten().map(|path| open(path)).collect::<Result<_, _>>();
            opened.map_err(|source| ConfigError::Key { purpose, source })
        };
        Ok(Self {
            member: open([Some(&files.member), files.next_member.as_ref()], Purpose::Member)?,
            network: open([Some(&files.network), files.next_network.as_ref()], Purpose::Network)?,
            validator: open([files.validator.as_ref(), files.next_validator.as_ref()], Purpose::Validator)?,
        })
    }

    /// The key that the registry names, among those that are configured.
    ///
    /// # Errors
    /// [`ConfigError::OtherKey`] where it is not among them.
    pub fn chosen(&self, purpose: Purpose, expected: &PublicKey, member: &Member) -> Result<&SecretKey, ConfigError> {
        let keys = match purpose {
            Purpose::Network => &self.network,
            Purpose::Validator => &self.validator,
            Purpose::Member | Purpose::Account => &self.member,
        };
        keys.iter().find(|key| key.public_key() == expected.0).ok_or_else(|| {
            let found: Vec<String> = keys.iter().map(|key| PublicKey(key.public_key()).to_string()).collect();
            let found = if found.is_empty() { "not configured".to_owned() } else { found.join(" or ") };
            let (member, expected) = (member.id.to_string(), expected.to_string());
            ConfigError::OtherKey { purpose, member, expected, found }
        })
    }
}
