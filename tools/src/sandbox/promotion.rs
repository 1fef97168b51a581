//! A promotion, shown whole: a customer of one bank promotes an instrument and gets a QR code on disk; a newcomer at the other
//! bank buys by it, with the referral read from the picture; the institution rewards both in the same execution.
//!
//! Both have accounts of their own, so that what the orders' customers hold is what their orders made.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use stemma_chain_format::amount::Amount;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::AccountId;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::request::{Side, Size, Trade};
use stemma_keystore::SecretKey;
use stemma_node_api::Client;
use stemma_node_api::qr::Code;
use stemma_node_api::types::{EnrolIdentity, ExecutedView, IssueCash, RequestState, RewardView};
use zeroize::Zeroizing;

use super::layout::Folder;
use super::plan::{BANKS, CURRENCY};
use super::prices::Prices;
use super::processes::Clients;
use super::setup;
use super::state::State;
use crate::error::CliError;
use crate::files::{self, MODE_PUBLIC};
use crate::identity::Identity;
use crate::promotion::{Promoted, prepare_promotion, until_answered, verify_referral};
use crate::referral;
use crate::requests::{Terms, fresh_counter, prepare, random, until_final};

/// The names under which their keys are kept.
const PROMOTER: &str = "promotion-promoter";
const NEWCOMER: &str = "promotion-newcomer";
/// What the promoter shows the bank.
const MATERIAL: &[u8] = b"the sandbox promoter's password, which is no secret";
/// What the newcomer begins with, in smallest units: 10,000.00.
const CASH: u64 = 1_000_000;
/// How many trades may carry the referral, and for how many blocks.
const USES: u32 = 10;
const BLOCKS: u64 = 100_000;
/// How long a step may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What was promoted and paid; part of the report and of what the sandbox remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// The QR code's picture.
    pub qr: PathBuf,
    /// What it holds.
    pub text: String,
    /// The instrument that is promoted.
    pub instrument: String,
    /// The promoter's account.
    pub promoter: String,
    /// Its bank.
    pub promoter_bank: String,
    /// The account that traded by it.
    pub customer: String,
    /// Its bank.
    pub customer_bank: String,
    /// The trade's chain.
    pub chain: String,
    /// `rewarded`, or why nothing was paid.
    pub outcome: String,
    /// What was paid, in smallest units.
    pub rewards: Vec<RewardView>,
}

/// Shows a promotion, unless it was shown before.
///
/// # Errors
/// A node refuses a step or can't be reached, or a file can't be written.
pub async fn run(
    clients: &Clients,
    folder: &Folder,
    state: &mut State,
    prices: &Prices,
    genesis: &GenesisFile,
) -> Result<(), CliError> {
    if state.promotion.is_some() {
        return Ok(());
    }
    let Some(instrument) = quoted(clients, prices).await? else { return Ok(()) };
    let [promoters_bank, newcomers_bank] = BANKS;
    let promoter = Party::ready(clients, folder, PROMOTER, promoters_bank).await?;
    let newcomer = Party::ready(clients, folder, NEWCOMER, newcomers_bank).await?;
    newcomer.fund().await?;
    let (picture, text) = promoter.promote(folder, &instrument, genesis).await?;
    let (chain, executed) = newcomer.trade(&instrument, &picture, genesis).await?;
    state.promotion = Some(Shown {
        qr: picture,
        text,
        instrument: instrument.to_string(),
        promoter: promoter.account.to_string(),
        promoter_bank: promoters_bank.to_owned(),
        customer: newcomer.account.to_string(),
        customer_bank: newcomers_bank.to_owned(),
        chain,
        outcome: executed.referral.unwrap_or_default(),
        rewards: executed.rewards,
    });
    state.save(&folder.state())
}

/// The first instrument that has a price now.
async fn quoted(clients: &Clients, prices: &Prices) -> Result<Option<InstrumentId>, CliError> {
    for instrument in prices.instruments() {
        let market = setup::client(clients, instrument.issuer())?.market().await?;
        if market.prices.contains_key(instrument.code()) {
            return Ok(Some(instrument.clone()));
        }
    }
    Ok(None)
}

/// One of the two, with an account at a bank.
struct Party<'c> {
    bank: &'static str,
    client: &'c Client,
    key: SecretKey,
    account: AccountId,
}

impl<'c> Party<'c> {
    async fn ready(clients: &'c Clients, folder: &Folder, name: &str, bank: &'static str) -> Result<Self, CliError> {
        let client = setup::client(clients, bank)?;
        let key = folder.customer_key_or_new(name)?;
        let id = setup::open(client, &hex::encode(key.public_key())).await?;
        let account = id.parse().map_err(|error| CliError::network("the node names no account").caused_by(&error))?;
        Ok(Self { bank, client, key, account })
    }

    async fn fund(&self) -> Result<(), CliError> {
        let id = self.account.to_string();
        let view = self.client.account(&id).await?;
        if view.sequence == 0 && view.total.is_empty() {
            let credits = BTreeMap::from([(id, CASH.to_string())]);
            self.client.issue(&IssueCash { code: CURRENCY.to_owned(), credits }).await?;
        }
        Ok(())
    }

    async fn counter(&self) -> Result<u64, CliError> {
        Ok(fresh_counter(self.client.account(&self.account.to_string()).await?.counter))
    }

    /// Enrols the material, asks for the referral, writes the code as picture and text.
    async fn promote(
        &self,
        folder: &Folder,
        instrument: &InstrumentId,
        genesis: &GenesisFile,
    ) -> Result<(PathBuf, String), CliError> {
        let enrol = EnrolIdentity { material: BASE64_STANDARD.encode(MATERIAL), counter: 0 };
        self.client.enrol(&self.account.to_string(), "password", &enrol).await?;
        let promoted = Promoted {
            network: genesis.network(),
            account: self.account,
            bank: self.bank.parse().map_err(|error| CliError::usage("no member id").caused_by(&error))?,
            counter: self.counter().await?,
            side: Some(Side::Buy),
            instrument: instrument.clone(),
            uses: USES,
            expires: self.client.status().await?.height.saturating_add(BLOCKS),
        };
        let material = Identity { kind: "password".to_owned(), evidence: Zeroizing::new(MATERIAL.to_vec()) };
        let prepared = prepare_promotion(promoted, self.key.signing_key(), &[material], &random()?)
            .map_err(|violation| CliError::usage("the promotion is not valid").caused_by(&violation))?;
        let view = until_answered(self.client, &prepared, LIMIT).await?;
        let Some(given) = &view.referral else {
            let reason = view.refusal.map_or("no answer".to_owned(), |refusal| refusal.reason);
            return Err(CliError::network(format!("{} refused the promotion: {reason}", self.bank)));
        };
        let text = verify_referral(given, &prepared, genesis)?;
        let code = Code::of(&text).map_err(|error| CliError::network("the referral fits no code").caused_by(&error))?;
        let png = code.png().map_err(|error| CliError::files("the code cannot be drawn").caused_by(&error))?;
        let picture = folder.promotion("png");
        files::write(&picture, &png, MODE_PUBLIC, true)?;
        files::write(&folder.promotion("svg"), code.svg().as_bytes(), MODE_PUBLIC, true)?;
        let drawn = format!("{}\n{text}\n", code.terminal());
        files::write(&folder.promotion("txt"), drawn.as_bytes(), MODE_PUBLIC, true)?;
        Ok((picture, text))
    }

    /// Buys one unit by the referral that the picture holds.
    async fn trade(
        &self,
        instrument: &InstrumentId,
        picture: &std::path::Path,
        genesis: &GenesisFile,
    ) -> Result<(String, ExecutedView), CliError> {
        let invalid = |error: &dyn std::error::Error| CliError::usage("the order is not valid").caused_by(error);
        let bytes = referral::read(&picture.display().to_string())?;
        let height = self.client.status().await?.height;
        let promoted = referral::must_hold(&bytes, genesis, Side::Buy, instrument, height)?;
        let terms = Terms {
            network: genesis.network(),
            account: self.account,
            bank: self.bank.parse().map_err(|error| invalid(&error))?,
            institution: instrument.issuer().parse().map_err(|error| invalid(&error))?,
            counter: self.counter().await?,
            trade: Trade {
                side: Side::Buy,
                instrument: instrument.clone(),
                size: Size::Quantity(Amount::ONE),
                cash: format!("{}/{CURRENCY}", self.bank).parse().map_err(|error| invalid(&error))?,
                limit: None,
                fee_max: None,
            },
            referral: Some(bytes),
            expires: Some(promoted.expires),
        };
        let own = [Identity::account_key(&PublicKey::of(self.key.signing_key()))];
        let prepared = prepare(terms, self.key.signing_key(), &own, &random()?).map_err(|e| invalid(&e))?;
        let view = until_final(self.client, &prepared, LIMIT).await?;
        match (view.state, view.chain, view.executed) {
            (RequestState::Committed, Some(chain), Some(executed)) => Ok((chain, executed)),
            (state, ..) => {
                let reason = view.refusal.map_or(format!("{state:?}"), |refusal| refusal.reason);
                Err(CliError::network(format!("the trade by a referral was not committed: {reason}")))
            }
        }
    }
}
