//! The promotion: a customer asks the bank for a referral, signed with the account's key. It goes to the bank alone and
//! never stands on the ledger.

use crate::canonical::Canonical;
use crate::cbor;
use crate::cose::ContentType;
use crate::error::{Rule, Violation, ensure};
use crate::hash::{AccountId, Digest, NetworkId};
use crate::instrument::InstrumentId;
use crate::limits::{PROMOTION_BYTES_MAX, REFERRAL_USES_MAX};
use crate::member::MemberId;
use crate::record::Record;
use crate::referral::Referral;
use crate::request::{IdentityClaim, Side, identities_hold};

/// Derivation context of [`Promotion::material`].
const MATERIAL_CONTEXT: &str = "stemma 2026 referral material";

/// The record by which a customer asks for a referral. It counts once: it shares the account's counter with requests and
/// instructions.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Promotion {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The account that promotes; its key signs.
    #[n(1)]
    pub account: AccountId,
    /// Larger than in every request, instruction and promotion that the bank accepted before.
    #[n(2)]
    pub counter: u64,
    /// The account's bank.
    #[n(3)]
    pub bank: MemberId,
    /// Whether buying or selling is promoted; both, where it is absent.
    #[n(4)]
    pub side: Option<Side>,
    /// The instrument that is promoted.
    #[n(5)]
    pub instrument: InstrumentId,
    /// How many trades may carry the referral, from 1 to 1,000,000.
    #[n(6)]
    pub uses: u32,
    /// The last height at which a trade that carries the referral may commit.
    #[n(7)]
    pub expires: u64,
    /// The authentication material: one claim for each type of identity, in the order of their types.
    #[n(8)]
    pub identities: Vec<IdentityClaim>,
}

impl Promotion {
    /// The commitment to the material: `BLAKE3 derive_key` over the encoding of the claims. Each claim hides its evidence
    /// under a random salt, so nobody can guess the material from it.
    pub fn material(&self) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key(MATERIAL_CONTEXT);
        hasher.update(&cbor::encode(&self.identities));
        Digest(hasher.finalize().into())
    }

    /// The referral that answers it. It follows from the promotion alone, so the same promotion always gets the same one.
    pub fn referral(&self) -> Referral {
        Referral {
            network: self.network,
            bank: self.bank.clone(),
            promoter: self.account,
            side: self.side,
            instrument: self.instrument.clone(),
            expires: self.expires,
            uses: self.uses,
            material: self.material(),
        }
    }
}

impl Record for Promotion {
    const CONTENT: ContentType = ContentType::Promotion;
    const BYTES_MAX: usize = PROMOTION_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        ensure(self.counter > 0, Rule::Range, "promotion.counter", "above 0", self.counter)?;
        uses_hold(self.uses, "promotion.uses")?;
        identities_hold(&self.identities, "promotion.identities")
    }
}

/// The bounds of a number of uses, in promotion and referral alike.
pub(crate) fn uses_hold(uses: u32, field: &str) -> Result<(), Violation> {
    ensure((1..=REFERRAL_USES_MAX).contains(&uses), Rule::Range, field, "1 to 1000000", uses)
}
