//! What reaches the node's thread.

use std::sync::Arc;

use minicbor::bytes::ByteVec;
use stemma_chain_format::amount::Amount;
use stemma_chain_format::error::Violation;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::servicing::Act;
use stemma_chain_format::validate::{VerifiedEndorsement, VerifiedEntry};
use stemma_consensus::engine::TimerId;
use stemma_consensus::sync::SyncedBlock;
use stemma_node_api::ApiError;
use stemma_node_api::catalogue::{ChangeListing, DryRun, DryRunView, ListInstrument};
use stemma_node_api::prices::PricePage;
use stemma_node_api::types::{Committed, Market};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::bank::QueueShown;
use crate::bank::identity::{EnrolError, Enrolment};
use crate::bank::{HandedIn, IdentityOutcome};
use crate::institution::back_office::Heard;
use crate::institution::prices::{Quoted, Update};
use crate::ledger::Looked;
use crate::role::Answer;
use crate::store::{EnrolmentKind, EnrolmentRow, OrderRow};
use stemma_net::{NetEvent, ReplyHandle};

/// Takes the answer to a call.
pub type CallReply<T> = oneshot::Sender<Result<T, ApiError>>;

/// Something that happened outside the node's thread.
pub enum Event {
    /// From the network.
    Net(NetEvent),
    /// A timer of consensus elapsed.
    Timer(TimerId),
    /// Time goes on.
    Tick,
    /// From HTTP.
    Call(Box<Call>),
    /// Signatures were checked.
    Verified(Verified),
    /// An institution answered some questions, or none of them.
    Answered {
        /// The requests asked about.
        links: Vec<Link>,
        /// Its answers in the same order.
        answers: Option<Vec<Answer>>,
    },
    /// A peer sent blocks, or none.
    Blocks {
        /// The peer.
        peer: MemberId,
        /// The blocks.
        blocks: Option<Vec<SyncedBlock>>,
    },
    /// A peer told what members announced of their addresses.
    Announcements(Vec<ByteVec>),
    /// An order's identities were verified.
    Identified(IdentityOutcome),
    /// Material was enrolled, or not.
    Enrolled(Enrolled),
    /// A source of prices found some.
    Prices(Update),
    /// A call of the institution's own system came to its end.
    BackOffice(Heard),
    /// A peer sent entries that were missing, or none.
    Fetched(Option<Vec<ByteVec>>),
    /// Stop after what is under way.
    Stop,
}

/// What HTTP asks of the node's thread.
pub enum Call {
    /// A client's request or instruction.
    Submit {
        /// What was handed in.
        handed_in: HandedIn,
        /// Takes where it stands.
        reply: CallReply<OrderRow>,
    },
    /// An operator's act of servicing; answered when it is final.
    Act {
        /// The account.
        account: AccountId,
        /// What to do.
        act: Act,
        /// Takes where it stands then.
        reply: CallReply<OrderRow>,
    },
    /// Enrol material as an account's identity.
    Enrol {
        /// The account.
        account: AccountId,
        /// The type.
        kind: String,
        /// The material.
        material: Zeroizing<Vec<u8>>,
        /// The number that the customer was asked to sign, for types that sign one.
        counter: u64,
        /// Takes the verifier.
        reply: CallReply<EnrolmentRow>,
    },
    /// Remove a verifier, or forget the failed attempts at it.
    ChangeVerifier {
        /// The account.
        account: AccountId,
        /// The type.
        kind: String,
        /// What to do.
        what: EnrolmentKind,
        /// Takes what was done.
        reply: CallReply<EnrolmentRow>,
    },
    /// The queues of second chains.
    Queues {
        /// How many of each.
        count: usize,
        /// Takes them, with the number of orders that are not final.
        reply: CallReply<(Vec<QueueShown>, usize)>,
    },
    /// Tell when an order is final.
    Await {
        /// The order.
        link: Link,
        /// Takes where it stands then.
        reply: CallReply<OrderRow>,
    },
    /// Open an account.
    OpenAccount {
        /// The customer's key.
        key: PublicKey,
        /// Random bytes of its own.
        nonce: [u8; 16],
        /// Takes the account.
        reply: CallReply<Committed>,
    },
    /// Issue cash.
    Issue(Issue),
    /// List an instrument.
    List {
        /// What to list.
        record: ListInstrument,
        /// Takes the listing.
        reply: CallReply<Committed>,
    },
    /// Change what is listed.
    ChangeListing {
        /// The instrument's code.
        code: String,
        /// What changes.
        change: ChangeListing,
        /// Takes the new listing.
        reply: CallReply<Committed>,
    },
    /// Judge an order without executing it.
    DryRun {
        /// The order.
        asked: DryRun,
        /// Takes the verdict.
        reply: CallReply<DryRunView>,
    },
    /// The trading day.
    Market {
        /// Takes it.
        reply: CallReply<Market>,
    },
    /// Move the trading day.
    MoveDay {
        /// The day.
        day: String,
        /// Takes it.
        reply: CallReply<Market>,
    },
    /// What is quoted.
    Prices {
        /// Takes it.
        reply: CallReply<PricePage>,
    },
    /// Take the operator's prices.
    PushPrices {
        /// The prices.
        prices: Vec<Quoted>,
        /// Takes what is quoted then, once it is durable.
        reply: CallReply<PricePage>,
    },
    /// Put a governance record to the network.
    Govern {
        /// The entry's bytes.
        record: Vec<u8>,
        /// Takes its id.
        reply: CallReply<Committed>,
    },
    /// An account's state and positions with their proofs, or the proof that there is none.
    Prove {
        /// The account.
        account: AccountId,
        /// Takes them.
        reply: CallReply<Looked>,
    },
}

/// Material on its way to becoming a verifier.
pub struct Enrolled {
    /// Whose.
    pub account: AccountId,
    /// Its type.
    pub kind: String,
    /// The verifier.
    pub result: Result<Enrolment, EnrolError>,
    /// Takes what was done.
    pub reply: CallReply<EnrolmentRow>,
}

/// An issuance that an operator asked for.
pub struct Issue {
    /// The cash.
    pub instrument: InstrumentId,
    /// Who gets how much.
    pub credits: Vec<(AccountId, Amount)>,
    /// Takes its id.
    pub reply: CallReply<Committed>,
}

/// What the verifying thread found.
pub enum Verified {
    /// Entries from the network that hold.
    Entries(Vec<Arc<VerifiedEntry>>),
    /// A bank's questions, in order.
    Questions {
        /// The message that brought them.
        message: u64,
        /// The verdicts.
        questions: Vec<Result<VerifiedEndorsement, Violation>>,
    },
    /// A third chain that this bank's request came back with.
    Executed {
        /// The request.
        link: Link,
        /// The verdict.
        verdict: Result<Arc<VerifiedEntry>, Violation>,
    },
}

/// A bank's message of which some questions wait.
pub struct Asked {
    /// Takes all answers at once.
    pub reply: ReplyHandle,
    /// The answers so far.
    pub answers: Vec<Option<Answer>>,
    /// How many are missing.
    pub left: usize,
}
