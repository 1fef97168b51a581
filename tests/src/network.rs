//! A network of five processes on loopback: the sandbox's members, keys, genesis and set-up, under a test's control.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::keys::PublicKey;
use stemma_node_api::Client;
use stemma_node_api::config::{NodeConfig, PriceSource};
use stemma_node_api::types::{IssueCash, MoveDay, OpenAccount, Status};
use stemma_tools::cli::Global;
use stemma_tools::output::Output;
use stemma_tools::requests::random;
use stemma_tools::sandbox::customers::{self, Customer as Opened};
use stemma_tools::sandbox::layout::Folder;
use stemma_tools::sandbox::plan::{BANKS, INSTITUTIONS, PARTS};
use stemma_tools::sandbox::prices::Prices;
use stemma_tools::sandbox::setup;
use stemma_tools::sandbox::state::State;
use tempfile::TempDir;

use crate::customer::Customer;
use crate::ports;
use crate::process::Process;
use crate::slot::Slot;
use crate::wait::until;

/// Every member of the network.
pub const MEMBERS: [&str; 5] = ["auditor", BANKS[0], BANKS[1], INSTITUTIONS[0], INSTITUTIONS[1]];
/// The trading day.
pub const DAY: &str = "2000-01-01";
/// Listed by broker-a.
pub const AAPL: &str = "broker-a/AAPL";
/// Listed by broker-b.
pub const IBM: &str = "broker-b/IBM";
/// What each customer begins with, in smallest units.
pub const CASH: i128 = 100_000_000;

const PRICES: &str = "date,symbol,close\n2000-01-01,AAPL,25.94\n2000-01-01,IBM,100.52\n2000-02-01,AAPL,28.66\n";
const CUSTOMERS: &str = "name,bank,cash\nalice,bank-a,1000000.00\nbruno,bank-a,1000000.00\n\
                         emeka,bank-b,1000000.00\nfarah,bank-b,1000000.00\n";
/// The customers' names.
pub const NAMES: [&str; 4] = ["alice", "bruno", "emeka", "farah"];

/// A network. Dropped, it is gone without a trace.
#[derive(Debug)]
pub struct Network {
    processes: BTreeMap<&'static str, Process>,
    folder: Folder,
    state: State,
    genesis: GenesisFile,
    root: TempDir,
    _slot: Slot,
}

impl Network {
    /// Starts one with the default configuration: instruments listed, customers' accounts opened and funded.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts one whose nodes are configured otherwise.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn start_with(change: impl Fn(&mut NodeConfig)) -> Self {
        let slot = Slot::take().await;
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(&root.path().join("network")).unwrap();
        let opened: Vec<Opened> = customers::parse("customers", CUSTOMERS).unwrap();
        let mut state = folder.make((PRICES, PRICES), &opened, CUSTOMERS).unwrap();
        state.ports = ports::free(&PARTS.map(|part| part.id));
        folder.write_configs(&state.ports).unwrap();
        for member in MEMBERS {
            change_config(&folder.node(member), &change);
        }
        let genesis = GenesisFile::decode(fs::read(folder.genesis()).unwrap()).unwrap();
        let start = |member| (member, Process::start(member, &folder.node(member), state.ports[member].http));
        let processes = MEMBERS.into_iter().map(start).collect();
        let mut network = Self { processes, folder, state, genesis, root, _slot: slot };
        network.connected().await;
        network.set_up().await;
        network
    }

    async fn set_up(&mut self) {
        let clients = MEMBERS.map(|member| (member.to_owned(), self.client(member).clone())).into();
        let prices = Prices::parse("prices", PRICES).unwrap();
        let quiet = Output::new(&Global { quiet: true, ..Global::default() });
        let mut progress = quiet.progress("", None);
        setup::run(&clients, &self.folder, &mut self.state, &prices, &mut progress).await.unwrap();
        let is_replay =
            |member: &&str| read_config(&self.folder.node(member)).institution.prices.source == PriceSource::Replay;
        for institution in INSTITUTIONS.into_iter().filter(is_replay) {
            self.client(institution).move_day(&MoveDay { day: DAY.to_owned() }).await.unwrap();
        }
        self.agreed().await;
    }

    /// Waits until every node is connected to all others.
    ///
    /// # Panics
    /// It takes too long.
    pub async fn connected(&mut self) {
        for process in self.processes.values_mut() {
            process.answering().await;
            let client = process.client().clone();
            until("all connections", async || {
                let status = client.status().await.ok()?;
                (status.peers.len() == MEMBERS.len() - 1).then_some(())
            })
            .await;
        }
    }

    /// A member's process.
    #[must_use]
    pub fn process(&self, member: &str) -> &Process {
        &self.processes[member]
    }

    /// A member's process, to kill it or start it again.
    ///
    /// # Panics
    /// There is no such member.
    pub fn process_mut(&mut self, member: &str) -> &mut Process {
        self.processes.get_mut(member).unwrap()
    }

    /// A member's API, with the operator's token.
    #[must_use]
    pub fn client(&self, member: &str) -> &Client {
        self.process(member).client()
    }

    /// A customer with the key to trade.
    ///
    /// # Panics
    /// There is none of this name.
    #[must_use]
    pub fn customer(&self, name: &str) -> Customer {
        let known = &self.state.customers[name];
        let account = known.account.as_deref().unwrap().parse().unwrap();
        let key = self.folder.open_customer_key(name).unwrap();
        let bank = known.bank.parse().unwrap();
        Customer::new(self.client(&known.bank), &self.genesis, bank, account, key.signing_key().clone())
    }

    /// Opens and funds another account at a bank.
    ///
    /// # Panics
    /// The bank refuses.
    pub async fn open_customer(&self, bank: &str) -> Customer {
        let key = SigningKey::from_bytes(&random().unwrap());
        let client = self.client(bank);
        let opened = client.open_account(&OpenAccount { key: PublicKey::of(&key).to_string() }).await.unwrap();
        let credits = BTreeMap::from([(opened.id.clone(), CASH.to_string())]);
        client.issue(&IssueCash { code: "USD".to_owned(), credits }).await.unwrap();
        Customer::new(client, &self.genesis, bank.parse().unwrap(), opened.id.parse().unwrap(), key)
    }

    /// All customers.
    #[must_use]
    pub fn customers(&self) -> Vec<Customer> {
        NAMES.map(|name| self.customer(name)).into()
    }

    /// The genesis.
    #[must_use]
    pub fn genesis(&self) -> &GenesisFile {
        &self.genesis
    }

    /// The genesis file.
    #[must_use]
    pub fn genesis_file(&self) -> PathBuf {
        self.folder.genesis()
    }

    /// A member's folder.
    #[must_use]
    pub fn home(&self, member: &str) -> PathBuf {
        self.folder.node(member)
    }

    /// A folder for the test's own files.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.root.path()
    }

    /// Waits until all nodes that run have the same head and account root at the same height, and returns it.
    ///
    /// # Panics
    /// It takes too long.
    pub async fn agreed(&self) -> Status {
        until("one head and account root on all nodes", async || {
            let mut found: Option<Status> = None;
            for member in MEMBERS {
                let status = self.client(member).status().await.ok()?;
                let same = |other: &Status| {
                    (other.height, &other.head, &other.account_root)
                        == (status.height, &status.head, &status.account_root)
                };
                if !found.as_ref().is_none_or(same) {
                    return None;
                }
                found = Some(status);
            }
            found
        })
        .await
    }

    /// Requires that every node has the same block, and so the same root, at every height up to this one.
    ///
    /// # Panics
    /// Two nodes differ, or one lacks a block.
    pub async fn same_blocks(&self, height: u64) {
        for height in 1..=height {
            let first = self.client(MEMBERS[0]).block(height).await.unwrap();
            for member in MEMBERS {
                // Rounds and signers may differ between nodes: each holds a certificate, not the same one.
                let block = self.client(member).block(height).await.unwrap();
                assert_eq!((&block.block, &block.account_root), (&first.block, &first.account_root), "{member}");
            }
        }
    }
}

/// Rewrites a node's configuration.
///
/// # Panics
/// It can't be read or written.
pub fn change_config(home: &Path, change: impl Fn(&mut NodeConfig)) {
    let mut config = read_config(home);
    change(&mut config);
    fs::write(home.join("config.toml"), toml::to_string(&config).unwrap()).unwrap();
}

/// Reads a node's configuration.
///
/// # Panics
/// It can't be read.
#[must_use]
pub fn read_config(home: &Path) -> NodeConfig {
    toml::from_str(&fs::read_to_string(home.join("config.toml")).unwrap()).unwrap()
}
