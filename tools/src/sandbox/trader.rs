//! One customer's side of the replay: signing orders with the customer's own key and judging the answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::refusal::RefusalReason;
use stemma_chain_format::request::{Order as Asked, Size, Trade};
use stemma_keystore::{Purpose, SecretKey, generate};
use stemma_node_api::Client;
use stemma_node_api::types::{AccountView, RequestState, RequestView};

use super::orders::{Fault, Order};
use super::plan::CURRENCY;
use super::setup::account;
use super::state::Tally;
use crate::error::{CliError, Exit};
use crate::identity::Identity;
use crate::requests::{Prepared, Terms, prepare, random, until_final, verify_refusal};

/// How long one order may take, a node that is away for a while included.
const ORDER_LIMIT: Duration = Duration::from_secs(90);
/// Reasons that speak of the network's own state and not of the order: none is to be met in a sandbox.
const OWN_FAULTS: [RefusalReason; 5] = [
    RefusalReason::WrongAddressee,
    RefusalReason::BadEndorsement,
    RefusalReason::InstitutionUnreachable,
    RefusalReason::InstitutionOutOfCash,
    RefusalReason::Busy,
];

/// What all customers share.
#[derive(Debug)]
pub struct Shared {
    /// The genesis, against which refusals are verified.
    pub genesis: GenesisFile,
    /// When this run began, in Unix milliseconds: requests that a bank received before are of an earlier run.
    pub started_ms: u64,
}

/// A customer, or somebody whom no bank knows.
#[derive(Debug)]
pub struct Trader {
    client: Client,
    bank: String,
    account: AccountId,
    key: SecretKey,
    /// Whether a bank opened the account.
    is_known: bool,
    /// The last counter used for an order that is not wrong on purpose.
    pub counter: u64,
    /// The counter of the last committed request.
    pub accepted: u64,
}

impl Trader {
    /// A customer with an account.
    pub fn customer(client: Client, bank: &str, account: AccountId, key: SecretKey, counters: (u64, u64)) -> Self {
        let (counter, accepted) = counters;
        Self { client, bank: bank.to_owned(), account, key, is_known: true, counter, accepted }
    }

    /// Somebody with a fresh key, for an account that was never opened.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn stranger(client: Client, bank: &str) -> Result<Self, CliError> {
        let key = generate(Purpose::Account).map_err(|error| CliError::from_error(Exit::Failure, &error))?;
        let account = AccountId(random()?);
        Ok(Self { client, bank: bank.to_owned(), account, key, is_known: false, counter: 0, accepted: 0 })
    }

    /// Gives one order, follows it to its end, and counts what happened.
    ///
    /// # Errors
    /// The node fails, or answers what is not true.
    pub async fn give(&mut self, order: &Order, shared: &Arc<Shared>, tally: &mut Tally) -> Result<(), CliError> {
        let prepared = self.sign(order, shared)?;
        let before = account(&self.client, &self.account.to_string()).await?;
        let sent = Instant::now();
        let view = until_final(&self.client, &prepared, ORDER_LIMIT).await?;
        let finality = sent.elapsed();
        // An order that an interrupted run gave already: the answer is the same, its time is not this run's.
        let is_repeated = view.received_ms < shared.started_ms;
        match view.state {
            RequestState::Committed => {
                tally.committed = tally.committed.saturating_add(1);
                if order.fault.is_none() {
                    self.accepted = self.counter;
                }
                if !is_repeated {
                    tally.finality_us.push(u64::try_from(finality.as_micros()).unwrap_or(u64::MAX));
                }
            }
            _ => {
                let reason = view.refusal.as_ref().map_or("expired", |refusal| refusal.reason.as_str());
                tally.refuse(reason);
                if let Some(refusal) = &view.refusal {
                    verify_refusal(refusal, &prepared.link, &self.bank, &shared.genesis)?;
                }
                if !is_repeated {
                    self.must_be_unchanged(order, before, tally).await?;
                }
            }
        }
        if let Some(unexpected) = self.unexpected(order, &view) {
            tally.unexpected.push(format!("line {}: {unexpected}", order.line));
        }
        Ok(())
    }

    /// The same order always gives the same bytes, so that an interrupted day can be replayed without executing
    /// anything twice.
    fn sign(&mut self, order: &Order, shared: &Shared) -> Result<Prepared, CliError> {
        let own = [Identity::account_key(&PublicKey::of(self.key.signing_key()))];
        let counter = match order.fault {
            // Before the first accepted request, the last one: its counter was used as well, if it came to the bank.
            Some(Fault::RepeatedCounter) if self.accepted == 0 => self.counter,
            Some(Fault::RepeatedCounter) => self.accepted,
            Some(Fault::ForgedSignature) => self.counter.saturating_add(1),
            None => {
                self.counter = self.counter.saturating_add(1);
                self.counter
            }
        };
        let invalid = |error: &dyn std::error::Error| {
            CliError::usage(format!("the order in line {} can't be signed", order.line)).caused_by(error)
        };
        let cash: InstrumentId = format!("{}/{CURRENCY}", self.bank).parse().map_err(|error| invalid(&error))?;
        let terms = Terms {
            network: shared.genesis.network(),
            account: self.account,
            bank: self.bank.parse().map_err(|error| invalid(&error))?,
            institution: order.instrument.issuer().parse().map_err(|error| invalid(&error))?,
            counter,
            order: Asked::Trade(Trade {
                side: order.side,
                instrument: order.instrument.clone(),
                size: Size::Quantity(order.quantity),
                cash,
                limit: order.limit,
                fee_max: None,
            }),
            referral: None,
            expires: None,
        };
        // Nobody but the customer can compute the salt, yet it is the same when an order is given again.
        let mut salt = blake3::Hasher::new_derive_key("stemma 2026 sandbox identity salt");
        salt.update(self.key.signing_key().as_bytes());
        salt.update(&order.line.to_le_bytes());
        salt.update(&counter.to_le_bytes());
        let salt = salt.finalize().into();
        let signed = if order.fault == Some(Fault::ForgedSignature) {
            let forger = generate(Purpose::Account).map_err(|error| CliError::from_error(Exit::Failure, &error))?;
            prepare(terms, forger.signing_key(), &own, &salt)
        } else {
            prepare(terms, self.key.signing_key(), &own, &salt)
        };
        signed.map_err(|violation| invalid(&violation))
    }

    /// What is wrong with an answer, for orders whose answer is known beforehand.
    fn unexpected(&self, order: &Order, view: &RequestView) -> Option<String> {
        let found = view.refusal.as_ref().map(|refusal| refusal.reason.as_str());
        let expected = match order.fault {
            _ if !self.is_known => Some(RefusalReason::UnknownAccount),
            fault => fault.map(Fault::reason),
        };
        match (expected, found) {
            (Some(expected), found) if found != Some(expected.as_str()) => {
                let found = found.map_or_else(|| format!("{:?}", view.state), ToOwned::to_owned);
                Some(format!("expected the refusal {expected}, found {found}"))
            }
            (None, Some(reason)) if OWN_FAULTS.iter().any(|own| own.as_str() == reason) => {
                Some(format!("refused for {reason}, which is the network's fault"))
            }
            (None, None) if view.state == RequestState::Expired => Some("expired before it was committed".to_owned()),
            _ => None,
        }
    }

    /// A refusal changes nothing. The account's own orders are given one after the other, so nobody else does either.
    async fn must_be_unchanged(
        &self,
        order: &Order,
        before: Option<AccountView>,
        tally: &mut Tally,
    ) -> Result<(), CliError> {
        let after = account(&self.client, &self.account.to_string()).await?;
        let state = |view: Option<AccountView>| view.map(|view| (view.sequence, view.head, view.counter, view.total));
        if state(before) != state(after) {
            tally.unexpected.push(format!("line {}: the order was refused, yet the account changed", order.line));
        }
        Ok(())
    }
}
