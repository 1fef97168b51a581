//! A promotion, shown whole: a customer of one bank promotes an instrument and gets a QR code on disk; a newcomer at the other
//! bank buys by it, with the referral read from the picture; the institution rewards both in the same execution.
//!
//! Both have accounts of their own, so that what the orders' customers hold is what their orders made.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use stemma_chain_format::amount::Amount;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::request::{Side, Size};
use stemma_node_api::qr::Code;
use stemma_node_api::types::{EnrolIdentity, ExecutedView, RequestState, RewardView};
use zeroize::Zeroizing;

use super::layout::Folder;
use super::party::{LIMIT, NEWCOMER, Order, Party};
use super::plan::BANKS;
use super::prices::Prices;
use super::processes::Clients;
use super::setup;
use super::state::State;
use crate::error::CliError;
use crate::files::{self, MODE_PUBLIC};
use crate::identity::Identity;
use crate::promotion::{Promoted, prepare_promotion, until_answered, verify_referral};
use crate::referral;
use crate::requests::random;

/// The name under which the promoter's key is kept.
const PROMOTER: &str = "promotion-promoter";
/// What the promoter shows the bank.
const MATERIAL: &[u8] = b"the sandbox promoter's password, which is no secret";
/// How many trades may carry the referral, and for how many blocks.
const USES: u32 = 10;
const BLOCKS: u64 = 100_000;

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
    let (picture, text) = promote(&promoter, folder, &instrument, genesis).await?;
    let (chain, executed) = trade(&newcomer, &instrument, &picture, genesis).await?;
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

/// Enrols the material, asks for the referral, writes the code as picture and text.
async fn promote(
    promoter: &Party<'_>,
    folder: &Folder,
    instrument: &InstrumentId,
    genesis: &GenesisFile,
) -> Result<(PathBuf, String), CliError> {
    let Party { client, bank, account, key } = promoter;
    let enrol = EnrolIdentity { material: BASE64_STANDARD.encode(MATERIAL), counter: 0 };
    client.enrol(&account.to_string(), "password", &enrol).await?;
    let promoted = Promoted {
        network: genesis.network(),
        account: *account,
        bank: bank.parse().map_err(|error| CliError::usage("no member id").caused_by(&error))?,
        counter: promoter.counter().await?,
        side: Some(Side::Buy),
        instrument: instrument.clone(),
        uses: USES,
        expires: client.status().await?.height.saturating_add(BLOCKS),
    };
    let material = Identity { kind: "password".to_owned(), evidence: Zeroizing::new(MATERIAL.to_vec()) };
    let prepared = prepare_promotion(promoted, key.signing_key(), &[material], &random()?)
        .map_err(|violation| CliError::usage("the promotion is not valid").caused_by(&violation))?;
    let view = until_answered(client, &prepared, LIMIT).await?;
    let Some(given) = &view.referral else {
        let reason = view.refusal.map_or("no answer".to_owned(), |refusal| refusal.reason);
        return Err(CliError::network(format!("{bank} refused the promotion: {reason}")));
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
    newcomer: &Party<'_>,
    instrument: &InstrumentId,
    picture: &Path,
    genesis: &GenesisFile,
) -> Result<(String, ExecutedView), CliError> {
    let bytes = referral::read(&picture.display().to_string())?;
    let height = newcomer.client.status().await?.height;
    let promoted = referral::must_hold(&bytes, genesis, Side::Buy, instrument, height)?;
    let order = Order {
        side: Side::Buy,
        instrument: instrument.clone(),
        size: Size::Quantity(Amount::ONE),
        referral: Some((bytes, promoted.expires)),
    };
    let view = newcomer.order(order, genesis).await?;
    match (view.state, view.chain, view.executed) {
        (RequestState::Committed, Some(chain), Some(executed)) => Ok((chain, executed)),
        (state, ..) => {
            let reason = view.refusal.map_or(format!("{state:?}"), |refusal| refusal.reason);
            Err(CliError::network(format!("the trade by a referral was not committed: {reason}")))
        }
    }
}
