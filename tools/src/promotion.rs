//! Promotions on the customer's side: signed here, sent with the material, and the bank's referral checked.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use stemma_chain_format::error::{Rule, Violation};
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::hash::{AccountId, Link, NetworkId};
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::promotion::Promotion;
use stemma_chain_format::record::Signed;
use stemma_chain_format::referral;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::request::Side;
use stemma_chain_format::validate::read_referral;
use stemma_node_api::Client;
use stemma_node_api::types::{PromotionView, ReferralView, SubmitPromotion};

use crate::error::CliError;
use crate::identity::Identity;
use crate::node::is_passing;
use crate::requests::{RETRY_PAUSE, claims, retry_after};

/// What a customer promotes, before it is signed.
#[derive(Clone, Debug)]
pub struct Promoted {
    /// The network.
    pub network: NetworkId,
    /// The account that promotes.
    pub account: AccountId,
    /// The account's bank.
    pub bank: MemberId,
    /// Larger than in everything that the bank accepted before.
    pub counter: u64,
    /// Buying or selling; both, where it is absent.
    pub side: Option<Side>,
    /// The instrument.
    pub instrument: InstrumentId,
    /// How many trades may carry the referral.
    pub uses: u32,
    /// The last height at which one may commit.
    pub expires: u64,
}

/// A signed promotion, ready to be sent as often as need be.
#[derive(Clone, Debug)]
pub struct PreparedPromotion {
    /// The promotion's link, which is its id at the bank.
    pub link: Link,
    /// The body of the call.
    pub body: SubmitPromotion,
    record: Promotion,
}

/// Signs a promotion. `identities` are the material; `salt` hides it.
///
/// # Errors
/// It breaks a rule of the format.
pub fn prepare_promotion(
    promoted: Promoted,
    signer: &SigningKey,
    identities: &[Identity],
    salt: &[u8; 32],
) -> Result<PreparedPromotion, Violation> {
    let Promoted { network, account, bank, counter, side, instrument, uses, expires } = promoted;
    let (identities, evidence) = claims(identities, salt);
    let record = Promotion { network, account, counter, bank, side, instrument, uses, expires, identities };
    let signed = Signed::sign(record.clone(), signer)?;
    let body = SubmitPromotion { promotion: BASE64_STANDARD.encode(signed.bytes()), evidence };
    Ok(PreparedPromotion { link: signed.link(), body, record })
}

/// Sends a promotion until it is answered. A node that can't be reached for a moment is sent the same bytes again, which
/// is safe: the bank answers a promotion once.
///
/// # Errors
/// The node refuses the call itself, answers about another promotion, or the limit passes first.
pub async fn until_answered(
    client: &Client,
    prepared: &PreparedPromotion,
    limit: Duration,
) -> Result<PromotionView, CliError> {
    let started = Instant::now();
    let id = prepared.link.to_string();
    loop {
        match client.promote(&prepared.body).await {
            Ok(view) if view.promotion == id => return Ok(view),
            Ok(view) => {
                let message = format!("the node at {} answered about {}, not {id}", client.url(), view.promotion);
                return Err(CliError::network(message));
            }
            Err(error) if is_passing(&error) && started.elapsed() <= limit => {
                tokio::time::sleep(retry_after(&error).unwrap_or(RETRY_PAUSE).min(limit)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Checks that a referral is signed by the promotion's bank and says what the promotion asks for. Returns its text.
///
/// # Errors
/// It is not, or does not.
pub fn verify_referral(
    view: &ReferralView,
    prepared: &PreparedPromotion,
    genesis: &GenesisFile,
) -> Result<String, CliError> {
    let read = || -> Result<String, Violation> {
        let bytes = referral::from_text(&view.text)?;
        let signed = read_referral(&bytes, &Registry::from_genesis(genesis))?;
        if *signed.record() == prepared.record.referral() {
            Ok(view.text.clone())
        } else {
            Err(Violation::new(Rule::Agreement, "referral", "what the promotion asks for", "something else"))
        }
    };
    read().map_err(|violation| {
        CliError::network("the referral is not genuine")
            .caused_by(&violation)
            .help("trust no answer of this node; name the bank's own node")
    })
}
