//! Customers beside those of the orders, who show what the sandbox's orders do not: they have accounts and keys of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::request::{Order as Asked, Side, Size, Trade};
use stemma_keystore::SecretKey;
use stemma_node_api::Client;
use stemma_node_api::types::{IssueCash, RequestView};

use super::layout::Folder;
use super::plan::CURRENCY;
use super::processes::Clients;
use super::setup;
use crate::error::CliError;
use crate::identity::Identity;
use crate::requests::{Terms, fresh_counter, prepare, random, until_final};

/// The name under which the key of who trades is kept.
pub const NEWCOMER: &str = "promotion-newcomer";
/// How long a step may take.
pub const LIMIT: Duration = Duration::from_secs(60);
/// What a party begins with, in smallest units: 10,000.00.
const CASH: u64 = 1_000_000;

/// A customer with an account at a bank.
pub struct Party<'c> {
    /// The bank's API, as its operator.
    pub client: &'c Client,
    /// The bank.
    pub bank: &'static str,
    /// The account.
    pub account: AccountId,
    /// Its key.
    pub key: SecretKey,
}

/// What a party orders.
pub struct Order {
    /// Buy or sell.
    pub side: Side,
    /// What.
    pub instrument: InstrumentId,
    /// How much.
    pub size: Size,
    /// A referral with the last height at which it holds.
    pub referral: Option<(Vec<u8>, u64)>,
}

impl<'c> Party<'c> {
    /// A party with its key and account, made now where they are missing.
    ///
    /// # Errors
    /// The bank refuses or can't be reached, or the key can't be read or written.
    pub async fn ready(
        clients: &'c Clients,
        folder: &Folder,
        name: &str,
        bank: &'static str,
    ) -> Result<Self, CliError> {
        let client = setup::client(clients, bank)?;
        let key = folder.customer_key_or_new(name)?;
        let id = setup::open(client, &hex::encode(key.public_key())).await?;
        let account = id.parse().map_err(|error| CliError::network("the node names no account").caused_by(&error))?;
        Ok(Self { client, bank, account, key })
    }

    /// Gives it its first cash, once.
    ///
    /// # Errors
    /// The bank refuses or can't be reached.
    pub async fn fund(&self) -> Result<(), CliError> {
        let id = self.account.to_string();
        let view = self.client.account(&id).await?;
        if view.sequence == 0 && view.total.is_empty() {
            let credits = BTreeMap::from([(id, CASH.to_string())]);
            self.client.issue(&IssueCash { code: CURRENCY.to_owned(), credits }).await?;
        }
        Ok(())
    }

    /// A counter that was not used before.
    ///
    /// # Errors
    /// The bank can't be reached.
    pub async fn counter(&self) -> Result<u64, CliError> {
        Ok(fresh_counter(self.client.account(&self.account.to_string()).await?.counter))
    }

    /// Signs an order, sends it, and waits for its end.
    ///
    /// # Errors
    /// The order makes no sense, or the bank can't be reached; a refusal is none.
    pub async fn order(&self, order: Order, genesis: &GenesisFile) -> Result<RequestView, CliError> {
        let Order { side, instrument, size, referral } = order;
        let trade = Trade { side, instrument, size, cash: self.cash()?, limit: None, fee_max: None };
        self.ask(Asked::Trade(trade), referral, genesis).await
    }

    /// The cash of its bank.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn cash(&self) -> Result<InstrumentId, CliError> {
        format!("{}/{CURRENCY}", self.bank).parse().map_err(|error| invalid(&error))
    }

    /// Signs what is asked for, sends it, and waits for its end.
    ///
    /// # Errors
    /// It makes no sense, or the bank can't be reached; a refusal is none.
    pub async fn ask(
        &self,
        asked: Asked,
        referral: Option<(Vec<u8>, u64)>,
        genesis: &GenesisFile,
    ) -> Result<RequestView, CliError> {
        let (referral, expires) = referral.unzip();
        let terms = Terms {
            network: genesis.network(),
            account: self.account,
            bank: self.bank.parse().map_err(|error| invalid(&error))?,
            institution: asked.instrument().issuer().parse().map_err(|error| invalid(&error))?,
            counter: self.counter().await?,
            order: asked,
            referral,
            expires,
        };
        let own = [Identity::account_key(&PublicKey::of(self.key.signing_key()))];
        let prepared = prepare(terms, self.key.signing_key(), &own, &random()?).map_err(|e| invalid(&e))?;
        until_final(self.client, &prepared, LIMIT).await
    }
}

fn invalid(error: &dyn std::error::Error) -> CliError {
    CliError::usage("the order is not valid").caused_by(error)
}
