//! Entries: what a block orders. A trade's chain of three stages, or a record of one stage.

use minicbor::bytes::ByteSlice;

use crate::account::Opening;
use crate::canonical::Canonical;
use crate::cbor;
use crate::cosign::Cosigned;
use crate::endorsement::{Credit, Endorsement};
use crate::error::{Rule, Violation};
use crate::execution::Execution;
use crate::governance::Governance;
use crate::hash::Link;
use crate::instruction::Instruction;
use crate::issuance::Issuance;
use crate::keys::PublicKey;
use crate::limits::ENTRY_BYTES_MAX;
use crate::listing::Listing;
use crate::record::{Record, Signed};
use crate::request::Request;
use crate::servicing::Servicing;
use crate::settlement::Settlement;

/// One trade: request, endorsement and execution, each well formed; signatures and links not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// First chain.
    pub request: Signed<Request>,
    /// Second chain.
    pub endorsement: Signed<Endorsement>,
    /// Third chain.
    pub execution: Signed<Execution>,
}

/// An act of servicing with the customer's instruction, where it has one; signatures and links not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The customer's instruction.
    pub instruction: Option<Signed<Instruction>>,
    /// The bank's record.
    pub servicing: Signed<Servicing>,
}

/// What a block orders. Its id is the link of its last stage, which links to the stages before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A trade.
    Chain(Box<Chain>),
    /// An account opening.
    Opening(Box<Signed<Opening>>),
    /// Cash brought into being.
    Issuance(Box<Signed<Issuance>>),
    /// An instrument listed, or its listing changed.
    Listing(Box<Signed<Listing>>),
    /// An account serviced.
    Servicing(Box<Service>),
    /// A position settled.
    Settlement(Box<Signed<Settlement>>),
    /// The network changed.
    Governance(Box<Cosigned<Governance>>),
}

/// The wire and store form: the kind, and the stages' exact bytes.
#[derive(minicbor::Encode, minicbor::Decode, Canonical)]
struct RawEntry<'b> {
    #[n(0)]
    kind: EntryKind,
    #[b(1)]
    stages: Vec<&'b ByteSlice>,
}

/// What kind an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, minicbor::Encode, minicbor::Decode, Canonical)]
#[cbor(index_only)]
pub enum EntryKind {
    /// A trade.
    #[n(0)]
    Chain,
    /// An account opening.
    #[n(1)]
    Opening,
    /// Cash brought into being.
    #[n(2)]
    Issuance,
    /// An instrument listed.
    #[n(3)]
    Listing,
    /// An account serviced.
    #[n(4)]
    Servicing,
    /// A position settled.
    #[n(5)]
    Settlement,
    /// The network changed.
    #[n(6)]
    Governance,
}

impl EntryKind {
    /// The kind's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Opening => "opening",
            Self::Issuance => "issuance",
            Self::Listing => "listing",
            Self::Servicing => "servicing",
            Self::Settlement => "settlement",
            Self::Governance => "governance",
        }
    }
}

impl Entry {
    /// The entry's id.
    pub fn id(&self) -> Link {
        match self {
            Self::Chain(chain) => chain.execution.link(),
            Self::Opening(opening) => opening.link(),
            Self::Issuance(issuance) => issuance.link(),
            Self::Listing(listing) => listing.link(),
            Self::Servicing(service) => service.servicing.link(),
            Self::Settlement(settlement) => settlement.link(),
            Self::Governance(governance) => governance.link(),
        }
    }

    /// The entry's kind.
    pub fn kind(&self) -> EntryKind {
        match self {
            Self::Chain(_) => EntryKind::Chain,
            Self::Opening(_) => EntryKind::Opening,
            Self::Issuance(_) => EntryKind::Issuance,
            Self::Listing(_) => EntryKind::Listing,
            Self::Servicing(_) => EntryKind::Servicing,
            Self::Settlement(_) => EntryKind::Settlement,
            Self::Governance(_) => EntryKind::Governance,
        }
    }

    /// The credits that it absorbs; none where it stands in no account's lineage, or opens one.
    pub fn absorbed(&self) -> Option<&[Credit]> {
        match self {
            Self::Chain(chain) => Some(&chain.endorsement.record().absorbed),
            Self::Servicing(service) => Some(&service.servicing.record().absorbed),
            Self::Opening(_) | Self::Issuance(_) | Self::Listing(_) | Self::Settlement(_) | Self::Governance(_) => None,
        }
    }

    /// The sum of its stages' sizes, in bytes.
    pub fn stage_bytes(&self) -> usize {
        self.stages().iter().fold(0, |sum, stage| stage.len().saturating_add(sum))
    }

    /// The exact bytes of its stages, in order.
    pub fn stages(&self) -> Vec<&[u8]> {
        match self {
            Self::Chain(c) => vec![c.request.bytes(), c.endorsement.bytes(), c.execution.bytes()],
            Self::Opening(opening) => vec![opening.bytes()],
            Self::Issuance(issuance) => vec![issuance.bytes()],
            Self::Listing(listing) => vec![listing.bytes()],
            Self::Servicing(s) => s.instruction.iter().map(Signed::bytes).chain([s.servicing.bytes()]).collect(),
            Self::Settlement(settlement) => vec![settlement.bytes()],
            Self::Governance(governance) => vec![governance.bytes()],
        }
    }

    /// Who signed each stage, in order; of a governance record, everybody who did.
    pub fn signers(&self) -> Vec<PublicKey> {
        match self {
            Self::Chain(c) => vec![c.request.signer(), c.endorsement.signer(), c.execution.signer()],
            Self::Opening(opening) => vec![opening.signer()],
            Self::Issuance(issuance) => vec![issuance.signer()],
            Self::Listing(listing) => vec![listing.signer()],
            Self::Servicing(s) => s.instruction.iter().map(Signed::signer).chain([s.servicing.signer()]).collect(),
            Self::Settlement(settlement) => vec![settlement.signer()],
            Self::Governance(governance) => governance.signers().copied().collect(),
        }
    }

    /// The entry in its wire and store form: CBOR `[kind, [stage bytes, …]]`.
    pub fn encode(&self) -> Vec<u8> {
        let stages = self.stages().into_iter().map(Into::into).collect();
        cbor::encode(&RawEntry { kind: self.kind(), stages })
    }

    /// Reads an entry; every stage must be well formed.
    ///
    /// # Errors
    /// Names the stage and the reason.
    pub fn decode(bytes: &[u8]) -> Result<Self, Violation> {
        let raw: RawEntry<'_> = cbor::decode_record(bytes, "entry", ENTRY_BYTES_MAX)?;
        let mut stages = raw.stages.into_iter();
        let found = stages.len();
        let (least, most) = match raw.kind {
            EntryKind::Chain => (3, 3),
            EntryKind::Servicing => (1, 2),
            EntryKind::Opening
            | EntryKind::Issuance
            | EntryKind::Listing
            | EntryKind::Settlement
            | EntryKind::Governance => (1, 1),
        };
        if !(least..=most).contains(&found) {
            let expected = if least == most { least.to_string() } else { format!("{least} or {most}") };
            return Err(Violation::new(Rule::Encoding, "entry.stages", expected, found));
        }
        let mut next = || stages.next().map(|bytes| bytes.to_vec()).unwrap_or_default();
        Ok(match raw.kind {
            EntryKind::Chain => Self::Chain(Box::new(Chain {
                request: stage("request", next())?,
                endorsement: stage("endorsement", next())?,
                execution: stage("execution", next())?,
            })),
            EntryKind::Opening => Self::Opening(Box::new(stage("opening", next())?)),
            EntryKind::Issuance => Self::Issuance(Box::new(stage("issuance", next())?)),
            EntryKind::Listing => Self::Listing(Box::new(stage("listing", next())?)),
            EntryKind::Servicing => Self::Servicing(Box::new(Service {
                instruction: if found == most { Some(stage("instruction", next())?) } else { None },
                servicing: stage("servicing", next())?,
            })),
            EntryKind::Settlement => Self::Settlement(Box::new(stage("settlement", next())?)),
            EntryKind::Governance => {
                let governance = Cosigned::decode(next());
                Self::Governance(Box::new(governance.map_err(|violation| violation.within("governance"))?))
            }
        })
    }
}

fn stage<T: Record>(name: &str, bytes: Vec<u8>) -> Result<Signed<T>, Violation> {
    Signed::decode(bytes).map_err(|violation| violation.within(name))
}
