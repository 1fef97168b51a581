//! A customer's side of a command: which node, which account, which key, and how the customer is proved.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::request::Side;
use stemma_keystore::{Purpose, SecretKey};
use stemma_node_api::Client;
use stemma_node_api::types::{AccountView, RequestView};

use crate::error::CliError;
use crate::identity::{Identity, IdentityArgs};
use crate::keys;
use crate::node::{NodeArgs, genesis_for};
use crate::output::Output;
use crate::passphrase::PassphraseArgs;
use crate::requests::{Handover, fresh_counter, until_final, verify_refusal};

/// A side, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TypedSide {
    Buy,
    Sell,
}

impl From<TypedSide> for Side {
    fn from(side: TypedSide) -> Self {
        match side {
            TypedSide::Buy => Self::Buy,
            TypedSide::Sell => Self::Sell,
        }
    }
}

/// The flags of every command that a customer signs.
#[derive(Debug, Args)]
pub struct CustomerArgs {
    /// Which node
    #[command(flatten)]
    pub node: NodeArgs,
    /// Key file of the account's key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The account's id
    #[arg(long, value_name = "ID")]
    pub account: AccountId,
    /// Trust this genesis file and not the node's
    #[arg(long, value_name = "FILE", env = "STEMMA_GENESIS")]
    pub genesis: Option<PathBuf>,
    /// Stop waiting after so many seconds; what was sent may still commit
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub timeout: u64,
    /// Who the customer is
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// Where the key's passphrase comes from
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// A customer ready to sign.
pub struct Customer {
    /// The bank's node.
    pub client: Client,
    /// The genesis that is trusted.
    pub genesis: GenesisFile,
    /// The account as the node has it.
    pub account: AccountView,
    /// The account's bank.
    pub bank: MemberId,
    /// The account's key.
    pub key: SecretKey,
    /// Who the customer claims to be.
    pub identities: Vec<Identity>,
    /// The next counter.
    pub counter: u64,
    /// How long to wait for an answer.
    pub limit: Duration,
    /// Whether the genesis came from a file, and not from the node.
    pub genesis_is_given: bool,
}

impl CustomerArgs {
    /// Asks the node for the account, opens the key, and reads the identities.
    ///
    /// # Errors
    /// The node fails, the key can't be opened or is not the account's, an identity can't be read.
    pub async fn ready(&self, output: &Output) -> Result<Customer, CliError> {
        let client = self.node.client()?;
        let genesis = genesis_for(&client, self.genesis.as_deref()).await?;
        let account = client.account(&self.account.to_string()).await?;
        let key = keys::open(&self.key, Purpose::Account, &self.passphrase, output)?;
        let public = PublicKey::of(key.signing_key());
        must_be_the_accounts(&public, &self.key, &account)?;
        let bank = member_id(&account.bank)?;
        let identities = self.identity.read(&public)?;
        let counter = self.identity.counter.unwrap_or_else(|| fresh_counter(account.counter));
        let limit = Duration::from_secs(self.timeout);
        let genesis_is_given = self.genesis.is_some();
        Ok(Customer { client, genesis, account, bank, key, identities, counter, limit, genesis_is_given })
    }
}

impl Customer {
    /// The account's id.
    ///
    /// # Errors
    /// The node gives none.
    pub fn id(&self) -> Result<AccountId, CliError> {
        let account = &self.account.account;
        account.parse().map_err(|error| CliError::network("the node names no account").caused_by(&error))
    }

    /// Hands a signed record in and waits for its end; a refusal's signature is checked.
    ///
    /// # Errors
    /// The node fails, the time passes, or a refusal is not genuine.
    pub async fn hand_in(&self, prepared: &impl Handover) -> Result<RequestView, CliError> {
        let view = until_final(&self.client, prepared, self.limit).await?;
        if let Some(refusal) = &view.refusal {
            verify_refusal(refusal, &prepared.link(), &self.account.bank, &self.genesis)?;
        }
        Ok(view)
    }
}

fn must_be_the_accounts(key: &PublicKey, path: &Path, account: &AccountView) -> Result<(), CliError> {
    let Some(own) = &account.key else {
        return Err(CliError::no("the account's key is revoked").help("ask the bank to bind a new key"));
    };
    if *own == key.to_string() {
        return Ok(());
    }
    let message = format!("the key in {} is not the account's, which is {own}", path.display());
    Err(CliError::usage(message).help("name the key file that signs for the account"))
}

/// A member's id as a node gives it.
///
/// # Errors
/// It is none.
pub fn member_id(text: &str) -> Result<MemberId, CliError> {
    text.parse().map_err(|error| CliError::network("the node names no member").caused_by(&error))
}
