//! What roles ask the node to do. Roles never touch sockets, disk or clock: they return these, and `node.rs` performs them,
//! everything durable first.

use std::sync::Arc;

use stemma_chain_format::chain::Entry;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::member::MemberId;
use stemma_chain_format::validate::VerifiedEntry;

use crate::store::{AnswerRow, EnrolmentRow, ErrandRow, OrderRow, Place, ReferralRow, VerifierRow};

/// One thing to do.
#[derive(Debug)]
pub enum RoleEffect {
    /// Make an order's row durable.
    StoreOrder(Box<OrderRow>),
    /// Keep an order that was turned away, for the operator to see.
    KeepTurnedAway(Box<OrderRow>),
    /// Make an accepted counter durable.
    StoreCounter(AccountId, u64),
    /// Make an answer durable.
    StoreAnswer(Box<AnswerRow>),
    /// Make an errand at the back office durable.
    StoreErrand(Box<ErrandRow>),
    /// An errand of this number is done: forget it.
    RemoveErrand(u64),
    /// The back office knows of the settled trade at this place.
    ForgetUntold(Place),
    /// Call the institution's back office, once what was asked for before is durable.
    CallBackOffice(Box<BackOfficeCall>),
    /// Make a referral durable.
    StoreReferral(Box<ReferralRow>),
    /// Send a second chain, with its request, to an institution.
    SendEndorsed {
        /// The institution.
        institution: MemberId,
        /// The request's link, by which the answer is told.
        link: Link,
        /// What is sent.
        question: Question,
    },
    /// Verify a third chain that came back, with the two before it.
    VerifyExecuted {
        /// The request's link.
        link: Link,
        /// The chain.
        chain: Box<Entry>,
    },
    /// Put a verified entry to the network.
    Propose(Arc<VerifiedEntry>),
    /// Answer a bank's question.
    Answer {
        /// Which question.
        slot: QuestionSlot,
        /// The answer.
        answer: Answer,
    },
    /// An order has changed its state; whoever waits for it is told.
    Changed(Link),
    /// The bank has identities to verify, beside the node's thread.
    Identify,
    /// An order whose identity was verified is accepted, or refused; whoever handed it in is told.
    Admitted(Box<OrderRow>),
    /// A verification used something up, such as a one-time code: make the verifier's new form durable.
    UseUpVerifier {
        /// Whose.
        account: AccountId,
        /// Its type.
        kind: String,
        /// The new form.
        stored: Vec<u8>,
    },
    /// Make the failures of a subject durable, or forget them.
    StoreAttempts(String, Option<Vec<u8>>),
    /// Make an enrolled verifier durable.
    StoreVerifier(Box<VerifierRow>),
    /// Remove a verifier.
    RemoveVerifier(AccountId, String),
    /// Write a line into the log of enrolments.
    LogEnrolment(Box<EnrolmentRow>),
}

/// A question's place in the message that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuestionSlot {
    /// The message.
    pub message: u64,
    /// The question's index in it.
    pub index: usize,
}

/// A second chain with its request, as a bank sends it.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
pub struct Question {
    /// The first chain's bytes.
    #[n(0)]
    pub request: minicbor::bytes::ByteVec,
    /// The second chain's bytes.
    #[n(1)]
    pub endorsement: minicbor::bytes::ByteVec,
}

/// What an institution says to a second chain. The same second chain always gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(flat)]
pub enum Answer {
    /// The third chain's bytes.
    #[n(0)]
    Executed(#[n(0)] minicbor::bytes::ByteVec),
    /// The signed refusal's bytes.
    #[n(1)]
    Refused(#[n(0)] minicbor::bytes::ByteVec),
    /// Not decided: the institution has not yet seen the account's chain before. Ask again.
    #[n(2)]
    NotYet,
}

/// A call of an institution's own system, the same at every time that it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackOfficeCall {
    /// The instruction that it is about.
    pub key: Link,
    /// Which call it is.
    pub step: CallStep,
    /// Its path below the system's address.
    pub path: String,
    /// Its idempotency key.
    pub idempotency_key: String,
    /// The JSON that is posted.
    pub body: Vec<u8>,
}

/// The calls that one instruction, or one settled trade, leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallStep {
    /// It is to be carried out.
    Execution,
    /// What became of it at the ledger.
    Conclusion,
    /// The ledger settled a trade that was not asked for there.
    Settlement,
}

impl std::fmt::Display for CallStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Execution => "execution",
            Self::Conclusion => "conclusion",
            Self::Settlement => "settlement",
        })
    }
}

/// Cuts a text of a refusal to what the record holds, at a character's border.
pub(crate) fn shortened(mut text: String) -> String {
    let mut end = text.len().min(stemma_chain_format::limits::TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.truncate(end);
    text
}
