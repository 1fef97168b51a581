//! The sandbox's folder: where everything lies, and making it the first time.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use stemma_chain_format::genesis::{FORMAT_VERSION, Genesis, GenesisFile, Parameters, sign_genesis};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::{Member, Role};
use stemma_keystore::{Passphrase, Purpose, ScryptCost, SecretKey, generate, read_key_file, write_key_file};
use stemma_node_api::config::{
    BankConfig, ConsensusConfig, HttpConfig, InstitutionConfig, KeyFiles, LogConfig, NetworkConfig, NodeConfig,
    PeerAddresses, PricesConfig, RewardAmount, RewardPolicy, RewardsConfig, TelemetryConfig,
};

use super::customers::Customer;
use super::plan::{CURRENCY, PARTS, Part};
use super::ports;
use super::state::{Ports, State};
use crate::error::{CliError, Exit};
use crate::files::{self, MODE_PUBLIC, MODE_SECRET};
use crate::node::broken;
use crate::requests::{now_ms, random};

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
        write_key(&self.customer_key(name), Purpose::Account, &passphrase)
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
            founders.push(self.make_member(part)?);
        }
        let genesis = make_genesis(&founders)?;
        files::write(&self.genesis(), genesis.bytes(), MODE_PUBLIC, true)?;
        let passphrase = self.make_passphrase(&self.customers_passphrase())?;
        for customer in customers {
            write_key(&self.customer_key(&customer.name), Purpose::Account, &passphrase)?;
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
            let config = toml::to_string(&node_config(part, ports)?)
                .map_err(|error| CliError::files("cannot encode a configuration").caused_by(&error))?;
            let text = format!("# Node of {} in a sandbox. Paths are relative to this file.\n{config}", part.name);
            files::write(&self.node(part.id).join("config.toml"), text.as_bytes(), MODE_PUBLIC, true)?;
        }
        Ok(())
    }

    fn make_member(&self, part: &Part) -> Result<(Member, SecretKey), CliError> {
        let folder = self.node(part.id);
        let passphrase = self.make_passphrase(&folder.join("passphrase"))?;
        let token = hex::encode(random::<32>()?);
        files::write(&self.token(part.id), format!("{token}\n").as_bytes(), MODE_SECRET, true)?;
        let key = |purpose: Purpose| write_key(&folder.join(format!("keys/{purpose}.pem")), purpose, &passphrase);
        let member_key = key(Purpose::Member)?;
        let validator = if part.power > 0 { Some(key(Purpose::Validator)?) } else { None };
        let member = Member {
            id: part.id.parse().map_err(|error| CliError::usage("no member id").caused_by(&error))?,
            role: part.role,
            name: part.name.to_owned(),
            member_key: PublicKey(member_key.public_key()),
            network_key: PublicKey(key(Purpose::Network)?.public_key()),
            validator_key: validator.map(|key| PublicKey(key.public_key())),
            power: part.power,
        };
        Ok((member, member_key))
    }

    fn make_passphrase(&self, path: &Path) -> Result<Passphrase, CliError> {
        let passphrase = hex::encode(random::<24>()?);
        files::write(path, format!("{passphrase}\n").as_bytes(), MODE_SECRET, true)?;
        Ok(Passphrase::new(passphrase)?)
    }
}

fn write_key(path: &Path, purpose: Purpose, passphrase: &Passphrase) -> Result<SecretKey, CliError> {
    let key = generate(purpose).map_err(|error| CliError::from_error(Exit::Failure, &error))?;
    write_key_file(path, &key, passphrase, ScryptCost::Trial, true)?;
    Ok(key)
}

fn make_genesis(founders: &[(Member, SecretKey)]) -> Result<GenesisFile, CliError> {
    let genesis = Genesis {
        format: FORMAT_VERSION,
        name: "Stemma sandbox".to_owned(),
        created_ms: now_ms(),
        members: founders.iter().map(|(member, _)| member.clone()).collect(),
        parameters: Parameters::default(),
    };
    let payload = genesis.payload();
    let signatures: Vec<_> = founders.iter().map(|(_, key)| sign_genesis(&payload, key.signing_key())).collect();
    GenesisFile::assemble(&genesis, &signatures).map_err(|violation| broken("cannot make a genesis", &violation))
}

fn node_config(part: &Part, ports: &BTreeMap<String, Ports>) -> Result<NodeConfig, CliError> {
    let port_of = |member: &str| {
        let ports = ports.get(member).copied();
        ports.ok_or_else(|| CliError::files(format!("the sandbox's state names no ports of {member}")))
    };
    let addresses =
        |port: u16| vec![format!("/ip4/127.0.0.1/tcp/{port}"), format!("/ip4/127.0.0.1/udp/{port}/quic-v1")];
    let own = port_of(part.id)?;
    let others = PARTS.iter().filter(|other| other.id != part.id);
    let peer = |other: &Part| {
        Ok(PeerAddresses { member: other.id.to_owned(), addresses: addresses(port_of(other.id)?.network) })
    };
    let peers = others.map(peer).collect::<Result<_, CliError>>()?;
    let is_institution = part.role == Role::Institution;
    let replay = is_institution.then(|| PricesConfig::replay(PathBuf::from("../../market.csv")));
    Ok(NodeConfig {
        member: part.id.to_owned(),
        genesis: PathBuf::from("../../genesis.stemma"),
        data: PathBuf::from("data"),
        keys: KeyFiles {
            member: PathBuf::from("keys/member.pem"),
            network: PathBuf::from("keys/network.pem"),
            validator: (part.power > 0).then(|| PathBuf::from("keys/validator.pem")),
            passphrase_file: Some(PathBuf::from("passphrase")),
        },
        http: HttpConfig {
            listen: ([127, 0, 0, 1], own.http).into(),
            operator_token_file: PathBuf::from("operator.token"),
        },
        network: NetworkConfig::new(addresses(own.network), peers),
        consensus: ConsensusConfig::default(),
        log: LogConfig::default(),
        telemetry: TelemetryConfig::default(),
        bank: BankConfig::default(),
        institution: InstitutionConfig {
            prices: replay.unwrap_or_default(),
            rewards: if is_institution { rewards() } else { RewardsConfig::default() },
            ..InstitutionConfig::default()
        },
    })
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
