//! The instruction: what a customer tells the bank to do with the account, signed with the account's key.

use crate::canonical::Canonical;
use crate::cose::ContentType;
use crate::error::{Rule, Violation, ensure};
use crate::hash::{AccountId, NetworkId};
use crate::limits::INSTRUCTION_BYTES_MAX;
use crate::member::MemberId;
use crate::record::Record;
use crate::request::{IdentityClaim, identities_hold};
use crate::servicing::Act;

/// The record by which a customer consents to an act on the account. It counts once, like a request: both share the
/// account's counter.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(map)]
pub struct Instruction {
    /// The network.
    #[n(0)]
    pub network: NetworkId,
    /// The account; its key signs.
    #[n(1)]
    pub account: AccountId,
    /// Larger than in every committed request and instruction before.
    #[n(2)]
    pub counter: u64,
    /// The account's bank.
    #[n(3)]
    pub bank: MemberId,
    /// What is to be done.
    #[n(4)]
    pub act: Act,
    /// Who the customer claims to be: one claim for each type of identity, in the order of their types.
    #[n(5)]
    pub identities: Vec<IdentityClaim>,
    /// The last height at which it may commit, if the customer sets one.
    #[n(6)]
    pub expires: Option<u64>,
}

impl Record for Instruction {
    const CONTENT: ContentType = ContentType::Instruction;
    const BYTES_MAX: usize = INSTRUCTION_BYTES_MAX;

    fn network(&self) -> NetworkId {
        self.network
    }

    fn check(&self) -> Result<(), Violation> {
        let range = Rule::Range;
        ensure(self.counter > 0, range, "instruction.counter", "above 0", self.counter)?;
        let act = &self.act;
        let own = act.consent().is_allowed();
        ensure(own, range, "instruction.act", "an act that a customer may ask for", act.as_str())?;
        act.check(&self.bank, "instruction.act")?;
        identities_hold(&self.identities, "instruction.identities")
    }
}
