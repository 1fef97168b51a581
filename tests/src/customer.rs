//! A customer's side: orders signed with the customer's own key, sent to the bank.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use stemma_chain_format::amount::Amount;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::{AccountId, NetworkId};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::request::{Order, Side, Size, Trade};
use stemma_chain_format::servicing::Act;
use stemma_node_api::Client;
use stemma_node_api::types::{AccountView, EnrolIdentity, RequestView};
use stemma_tools::identity::Identity;
use stemma_tools::promotion::{Promoted, prepare_promotion};
use stemma_tools::requests::{Prepared, Terms, Told, prepare, prepare_instruction, random};
use zeroize::Zeroizing;

use crate::wait::Deadline;

/// What a customer who promotes shows the bank.
const PASSWORD: &[u8] = b"correct horse battery staple, and then some";
/// How long one call waits for a final state.
const WAIT_MS: u64 = 5_000;

/// A customer.
#[derive(Clone, Debug)]
pub struct Customer {
    /// The bank's API; without a token, as for anybody.
    pub client: Client,
    /// The account.
    pub account: AccountId,
    /// The bank.
    pub bank: MemberId,
    /// The account's key.
    pub key: SigningKey,
    network: NetworkId,
    counter: u64,
}

/// The trade that terms ask for, to be changed before they are signed.
///
/// # Panics
/// They ask for something else.
pub fn trade_of(terms: &mut Terms) -> &mut Trade {
    let Order::Trade(trade) = &mut terms.order else { panic!("a trade") };
    trade
}

impl Customer {
    /// A customer of a bank.
    ///
    /// # Panics
    /// The HTTP client can't be made.
    #[must_use]
    pub fn new(client: &Client, genesis: &GenesisFile, bank: MemberId, account: AccountId, key: SigningKey) -> Self {
        let client = Client::new(client.url()).unwrap();
        Self { client, account, bank, key, network: genesis.network(), counter: 0 }
    }

    /// Goes on with counters above one that was used before.
    pub fn go_on_after(&mut self, counter: u64) {
        self.counter = self.counter.max(counter);
    }

    /// What an order for so many shares says, with the next counter.
    ///
    /// # Panics
    /// The instrument is no instrument.
    pub fn terms(&mut self, side: Side, instrument: &str, quantity: i128) -> Terms {
        self.counter += 1;
        let (issuer, _) = instrument.split_once('/').unwrap();
        let size = Size::Quantity(Amount::new(quantity).unwrap());
        let cash = format!("{}/USD", self.bank).parse().unwrap();
        Terms {
            network: self.network,
            account: self.account,
            bank: self.bank.clone(),
            institution: issuer.parse().unwrap(),
            counter: self.counter,
            order: Order::Trade(Trade {
                side,
                instrument: instrument.parse().unwrap(),
                size,
                cash,
                limit: None,
                fee_max: None,
            }),
            referral: None,
            expires: None,
        }
    }

    /// Signs terms.
    ///
    /// # Panics
    /// The terms break a rule.
    #[must_use]
    pub fn sign(&self, terms: Terms) -> Prepared {
        prepare(terms, &self.key, &[Identity::account_key(&PublicKey::of(&self.key))], &random().unwrap()).unwrap()
    }

    /// Signs an order to buy.
    ///
    /// # Panics
    /// The instrument is no instrument.
    pub fn buy(&mut self, instrument: &str, quantity: i128) -> Prepared {
        let terms = self.terms(Side::Buy, instrument, quantity);
        self.sign(terms)
    }

    /// Signs an order to sell.
    ///
    /// # Panics
    /// The instrument is no instrument.
    pub fn sell(&mut self, instrument: &str, quantity: i128) -> Prepared {
        let terms = self.terms(Side::Sell, instrument, quantity);
        self.sign(terms)
    }

    /// What a promotion of buying an instrument says, with the next counter.
    pub fn promoted(&mut self, instrument: &str, uses: u32, expires: u64) -> Promoted {
        let terms = self.terms(Side::Buy, instrument, 1);
        Promoted {
            network: terms.network,
            account: terms.account,
            bank: terms.bank,
            counter: terms.counter,
            side: Some(Side::Buy),
            instrument: terms.order.instrument().clone(),
            uses,
            expires,
        }
    }

    /// A referral for buying an instrument, as the bytes that a request carries: a password is enrolled by the bank's
    /// operator, and shown.
    ///
    /// # Panics
    /// The bank refuses.
    pub async fn referral(&mut self, operator: &Client, instrument: &str, uses: u32, expires: u64) -> Vec<u8> {
        let enrol = EnrolIdentity { material: BASE64_STANDARD.encode(PASSWORD), counter: 0 };
        operator.enrol(&self.account.to_string(), "password", &enrol).await.unwrap();
        let promoted = self.promoted(instrument, uses, expires);
        let password = Identity { kind: "password".to_owned(), evidence: Zeroizing::new(PASSWORD.to_vec()) };
        let prepared = prepare_promotion(promoted, &self.key, &[password], &random().unwrap()).unwrap();
        let view = self.client.promote(&prepared.body).await.unwrap();
        BASE64_STANDARD.decode(view.referral.unwrap_or_else(|| panic!("{:?}", view.refusal)).signed).unwrap()
    }

    /// Signs an instruction with the next counter, sends it, and waits until it is final.
    ///
    /// # Panics
    /// It breaks a rule, or takes too long.
    pub async fn instruct(&mut self, act: Act) -> RequestView {
        self.counter += 1;
        let (network, account, bank, counter) = (self.network, self.account, self.bank.clone(), self.counter);
        let identities = [Identity::account_key(&PublicKey::of(&self.key))];
        let told = Told { network, account, bank, counter, act };
        let told = prepare_instruction(told, &self.key, &identities, &random().unwrap()).unwrap();
        let deadline = Deadline::start();
        loop {
            match self.client.instruct(&told.body, WAIT_MS).await {
                Ok(view) if view.state.is_final() => return view,
                _ => deadline.pause(&format!("the end of instruction {}", told.link)).await,
            }
        }
    }

    /// Sends an order until it is answered, and waits until it is final; a bank that is away is waited for.
    ///
    /// # Panics
    /// It takes too long.
    pub async fn finish(&self, order: &Prepared) -> RequestView {
        let deadline = Deadline::start();
        loop {
            match self.client.submit(&order.body, WAIT_MS).await {
                Ok(view) if view.state.is_final() => return view,
                _ => deadline.pause(&format!("the end of request {}", order.link)).await,
            }
        }
    }

    /// The account, as the bank has it.
    ///
    /// # Panics
    /// The bank does not answer.
    pub async fn view(&self) -> AccountView {
        self.client.account(&self.account.to_string()).await.unwrap()
    }
}
