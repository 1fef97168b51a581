//! The sandbox's folder: where everything lies, and making it the first time.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use stemma_chain_format::genesis::Parameters;
use stemma_chain_format::member::Role;
use stemma_keystore::{Purpose, SecretKey, read_key_file};
use stemma_node_api::config::{NodeConfig, PricesConfig, RewardAmount, RewardPolicy, RewardsConfig};

use super::customers::Customer;
use super::plan::{CURRENCY, PARTS, Part};
use super::ports;
use super::state::{Ports, State};
use crate::error::CliError;
use crate::files::{self, MODE_PUBLIC};
use crate::founding::home::{self, Plan};

/// The network's name.
const NETWORK: &str = "Stemma sandbox";

/// The sandbox's folder, locked for this process.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// Held as long as the sandbox runs; the operating system lets go of it whatever happens.
    _lock: File,
}

impl Folder {
    /// Opens the folder, making it if need be, and locks it.
    ///
    /// # Errors
    /// It can't be made, is another's, or another sandbox runs in it.
    pub fn open(root: &Path) -> Result<Self, CliError> {
        let failed = |error: &std::io::Error| {
            CliError::files(format!("cannot use the folder {}", root.display())).caused_by(error)
        };
        fs::create_dir_all(root).map_err(|error| failed(&error))?;
        let path = root.join("sandbox.lock");
        let is_new = !path.exists();
        if is_new && fs::read_dir(root).map_err(|error| failed(&error))?.next().is_some() {
            return Err(CliError::files(format!("{} is not empty, and no sandbox", root.display()))
                .help("choose an empty folder, or one that does not exist, with --dir"));
        }
        let lock = File::options().create(true).append(true).open(&path).map_err(|error| failed(&error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root: root.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(CliError::files(format!("another sandbox runs in {}", root.display()))
                    .help("stop it with Ctrl-C, or choose another folder with --dir"))
            }
            Err(TryLockError::Error(error)) => Err(failed(&error)),
        }
    }

    /// What the sandbox remembers.
    pub fn state(&self) -> PathBuf {
        self.root.join("sandbox.json")
    }

    /// The genesis file.
    pub fn genesis(&self) -> PathBuf {
        self.root.join("genesis.stemma")
    }

    /// The price file.
    pub fn prices(&self) -> PathBuf {
        self.root.join("prices.csv")
    }

    /// The prices that the institutions read: those of the price file, and what follows from them.
    pub fn market(&self) -> PathBuf {
        self.root.join("market.csv")
    }

    /// The customers that accounts are opened for.
    pub fn customers(&self) -> PathBuf {
        self.root.join("customers.csv")
    }

    /// The orders that are replayed.
    pub fn orders(&self) -> PathBuf {
        self.root.join("orders.csv")
    }

    /// The folder of a member's node.
    pub fn node(&self, member: &str) -> PathBuf {
        self.root.join("nodes").join(member)
    }

    /// The token of a node's operator.
    pub fn token(&self, member: &str) -> PathBuf {
        self.node(member).join("operator.token")
    }

    /// The passphrase of all customers' keys.
    pub fn customers_passphrase(&self) -> PathBuf {
        self.root.join("customers").join("passphrase")
    }

    /// A customer's key.
    pub fn customer_key(&self, name: &str) -> PathBuf {
        self.root.join("customers").join(format!("{name}.pem"))
    }

    /// A customer's account, for people and programs.
    pub fn customer_card(&self, name: &str) -> PathBuf {
        self.root.join("customers").join(format!("{name}.json"))
    }

    /// The referral's code, as a picture (`png`, `svg`) or text (`txt`).
    pub fn promotion(&self, ending: &str) -> PathBuf {
        self.root.join("promotion").join(format!("referral.{ending}"))
    }

    /// A customer's audit bundle.
    pub fn bundle(&self, name: &str) -> PathBuf {
        self.root.join("bundles").join(format!("{name}.bundle"))
    }

    /// Opens a customer's key.
    ///
    /// # Errors
    /// The key or its passphrase can't be read.
    pub fn open_customer_key(&self, name: &str) -> Result<SecretKey, CliError> {
        let passphrase = stemma_keystore::passphrase::from_file(&self.customers_passphrase())?.passphrase;
        Ok(read_key_file(&self.customer_key(name), &passphrase, Purpose::Account)?)
    }

    /// Opens a customer's key, made now if there is none.
    ///
    /// # Errors
    /// The key or its passphrase can't be read, or the key can't be written.
    pub fn customer_key_or_new(&self, name: &str) -> Result<SecretKey, CliError> {
        if self.customer_key(name).exists() {
            return self.open_customer_key(name);
        }
        let passphrase = stemma_keystore::passphrase::from_file(&self.customers_passphrase())?.passphrase;
        home::make_key(&self.customer_key(name), Purpose::Account, &passphrase)
    }

    /// Makes keys, genesis, configurations and customers; `market` is the price file as the institutions read it. What an interrupted run left behind is replaced: nothing
    /// was ever started with it.
    ///
    /// # Errors
    /// A file can't be written, or the operating system gives no random bytes or ports.
    pub fn make(
        &self,
        (prices, market): (&str, &str),
        customers: &[Customer],
        customers_text: &str,
    ) -> Result<State, CliError> {
        files::write(&self.prices(), prices.as_bytes(), MODE_PUBLIC, true)?;
        files::write(&self.market(), market.as_bytes(), MODE_PUBLIC, true)?;
        files::write(&self.customers(), customers_text.as_bytes(), MODE_PUBLIC, true)?;
        let mut founders = Vec::new();
        for part in &PARTS {
            founders.push(home::make_founder(&self.node(part.id), &plan(part), NETWORK)?);
        }
        let genesis = home::make_genesis(NETWORK, &founders, Parameters::default())?;
        files::write(&self.genesis(), genesis.bytes(), MODE_PUBLIC, true)?;
        let passphrase = home::make_passphrase(&self.customers_passphrase())?;
        for customer in customers {
            home::make_key(&self.customer_key(&customer.name), Purpose::Account, &passphrase)?;
        }
        let ports = ports::free(&PARTS.map(|part| part.id))?;
        self.write_configs(&ports)?;
        let digest = blake3::hash(prices.as_bytes()).to_hex().to_string();
        let state = State::new(genesis.network().to_string(), ports, digest, customers);
        state.save(&self.state())?;
        Ok(state)
    }

    /// Writes every node's configuration.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn write_configs(&self, ports: &BTreeMap<String, Ports>) -> Result<(), CliError> {
        for part in &PARTS {
            let comment = format!("Node of {} in a sandbox.", part.name);
            home::write_config(&self.node(part.id), &node_config(part, ports)?, &comment)?;
        }
        Ok(())
    }
}

fn plan(part: &Part) -> Plan {
    let Part { id, role, name, power } = *part;
    Plan { id: id.to_owned(), role, name: name.to_owned(), power }
}

fn node_config(part: &Part, ports: &BTreeMap<String, Ports>) -> Result<NodeConfig, CliError> {
    let mut config = home::config(&plan(part), &PARTS.each_ref().map(plan), ports)?;
    if part.role == Role::Institution {
        config.institution.prices = PricesConfig::replay(PathBuf::from("../../market.csv"));
        config.institution.rewards = rewards();
    }
    Ok(config)
}

/// Five for the customer, one percent for the promoter, at most a hundred a day.
fn rewards() -> RewardsConfig {
    let policy = RewardPolicy {
        side: Some("buy".to_owned()),
        customer: Some(RewardAmount::flat(Some("5.00"), 0)),
        promoter: Some(RewardAmount::flat(None, 100)),
        ..RewardPolicy::default()
    };
    RewardsConfig {
        promoter_day_max: BTreeMap::from([(CURRENCY.to_owned(), "100.00".to_owned())]),
        policies: vec![policy],
        ..RewardsConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use stemma_chain_format::genesis::GenesisFile;

    use super::*;

    #[test]
    fn a_made_folder_can_be_opened_again_and_by_one_only() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path().join("sandbox");
        let folder = Folder::open(&root).unwrap();
        let customers = super::super::customers::parse("c", "name,bank,cash\nalice,bank-a,1.00\n").unwrap();
        let state = folder.make(("date,symbol,close\n", ""), &customers, "").unwrap();
        assert!(Folder::open(&root).unwrap_err().message().contains("another sandbox runs"));
        let genesis = GenesisFile::decode(fs::read(folder.genesis()).unwrap()).unwrap();
        assert_eq!(State::load(&folder.state()).unwrap().network, genesis.network().to_string());
        folder.open_customer_key("alice").unwrap();
        for part in &PARTS {
            let config: NodeConfig =
                toml::from_str(&fs::read_to_string(folder.node(part.id).join("config.toml")).unwrap()).unwrap();
            assert_eq!(config.http.listen.port(), state.ports[part.id].http);
            assert_eq!(config.network.peers.len(), 4);
            assert_eq!(config.keys.validator.is_some(), part.power > 0);
        }
        drop(folder);
        Folder::open(&root).unwrap();
        assert!(Folder::open(temporary.path()).unwrap_err().message().contains("is not empty, and no sandbox"));
    }
}
