//! What arrives from the network, sorted: gossip, votes, questions.

use std::sync::Arc;

use stemma_chain_format::cbor;
use stemma_chain_format::hash::Link;
use stemma_chain_format::limits::{ENDORSEMENT_BYTES_MAX, MEMBER_ID_CHARS_MAX, REQUEST_BYTES_MAX};
use stemma_chain_format::member::MemberId;
use stemma_chain_format::record::Signed;
use stemma_consensus::engine::Input;

use super::event::{Asked, Verified};
use super::{Node, NodeError};
use crate::bank::SendFailure;
use crate::clock::now_ms;
use crate::ledger::{SyncQuestion, decode_fetch, decode_gossip, serve_fetch};
use crate::role::{Answer, Question, QuestionSlot};
use stemma_net::{NetEvent, Protocol, ReplyHandle, Topic};

/// Most questions in one message.
pub(super) const QUESTIONS_MAX: usize = 64;

impl Node {
    pub(super) fn on_net(&mut self, event: NetEvent) -> Result<(), NodeError> {
        match event {
            NetEvent::Gossip { topic: Topic::Entries, data, from } => {
                match decode_gossip(&data) {
                    Ok(entries) => self.verifier.gossiped(entries),
                    Err(violation) => tracing::warn!(%from, %violation, "gossip that cannot be read"),
                }
                Ok(())
            }
            NetEvent::Gossip { topic: Topic::Heads, data, .. } => self.on_head(&data),
            NetEvent::Consensus { from, data } => match self.members.get(&from).cloned() {
                Some(from) => self.drive(Input::Message { from, bytes: data }),
                None => Ok(()),
            },
            NetEvent::Request { from, protocol, data, reply } => {
                let from = self.members.get(&from).cloned();
                if let Some(from) = from {
                    self.on_question(&from, protocol, &data, reply);
                }
                Ok(())
            }
            NetEvent::Connected { peer, address } => {
                tracing::info!(member = ?self.members.get(&peer), %address, "connected");
                self.publish_head();
                self.ask_addresses_of(peer);
                Ok(())
            }
            NetEvent::Announced { peer, data } => self.on_announced(peer, data),
            NetEvent::Disconnected { peer } => {
                tracing::info!(member = ?self.members.get(&peer), "disconnected");
                Ok(())
            }
        }
    }

    fn on_head(&mut self, data: &[u8]) -> Result<(), NodeError> {
        let bytes_max = MEMBER_ID_CHARS_MAX.saturating_add(32);
        match cbor::decode::<(MemberId, u64, u64)>(data, "head", bytes_max) {
            Ok((peer, ..)) if peer == self.settings.member.id => Ok(()),
            Ok((peer, height, their_ms)) => {
                self.meters.heard_time(peer.as_str(), their_ms, now_ms());
                self.heads.insert(peer.clone(), height);
                self.drive(Input::PeerHead { peer, height })
            }
            Err(e) => {
                tracing::warn!(error = %e, "a head that cannot be read");
                Ok(())
            }
        }
    }

    fn on_question(&mut self, from: &MemberId, protocol: Protocol, data: &[u8], reply: ReplyHandle) {
        let served = match protocol {
            Protocol::Trade => {
                self.on_trade_questions(from, data, reply);
                return;
            }
            Protocol::Sync => SyncQuestion::decode(data).map(|question| {
                let store = self.store.clone();
                let snapshots = Arc::clone(&self.snapshots);
                self.serve(reply, move || question.serve(&store, &snapshots));
            }),
            Protocol::Fetch => decode_fetch(data).map(|ids| {
                let pool = self.state.pool();
                let (here, others): (Vec<Link>, Vec<Link>) = ids.iter().partition(|id| pool.get(id).is_some());
                let pooled = here.iter().filter_map(|id| pool.get(id)).map(|e| e.entry().encode()).collect();
                let store = self.store.clone();
                self.serve(reply, move || serve_fetch(&store, pooled, &others));
            }),
        };
        if let Err(violation) = served {
            tracing::warn!(%from, %violation, "a question that cannot be read");
        }
    }

    /// Reads the store beside the node's thread, and answers.
    fn serve<F, E>(&self, reply: ReplyHandle, read: F)
    where
        F: FnOnce() -> Result<Vec<u8>, E> + Send + 'static,
        E: std::error::Error,
    {
        self.runtime.spawn_blocking(move || match read() {
            Ok(answer) => {
                if let Err(e) = reply.send(answer) {
                    tracing::debug!(error = %e, "an answer found nobody waiting");
                }
            }
            Err(e) => tracing::error!(error = %crate::error::chain(&e), "the store cannot be read"),
        });
    }

    fn on_trade_questions(&mut self, from: &MemberId, data: &[u8], reply: ReplyHandle) {
        let bytes_max = REQUEST_BYTES_MAX.saturating_add(ENDORSEMENT_BYTES_MAX).saturating_mul(QUESTIONS_MAX);
        let questions = match cbor::decode::<Vec<Question>>(data, "questions", bytes_max) {
            Ok(questions) if self.institution.is_some() && questions.len() <= QUESTIONS_MAX => questions,
            Ok(_) => return,
            Err(e) => {
                tracing::warn!(%from, error = %e, "questions that cannot be read");
                return;
            }
        };
        let pairs: Result<Vec<_>, _> = questions
            .into_iter()
            .map(|q| Ok((Signed::decode(q.request.into())?, Signed::decode(q.endorsement.into())?)))
            .collect();
        let pairs: Vec<_> = match pairs {
            Ok(pairs) => pairs,
            Err(violation) => {
                let violation: stemma_chain_format::error::Violation = violation;
                tracing::warn!(%from, %violation, "a question that is no endorsed request");
                return;
            }
        };
        if pairs.is_empty() {
            return;
        }
        let message = self.next_message;
        self.next_message = self.next_message.saturating_add(1);
        let answers = pairs.iter().map(|_| None).collect();
        self.asked.insert(message, Asked { reply, answers, left: pairs.len() });
        if let Some(tracing) = &mut self.tracing {
            tracing.message(message);
        }
        self.verifier.questions(message, pairs);
    }

    pub(super) fn on_verified(&mut self, verified: Verified) -> Result<(), NodeError> {
        match verified {
            Verified::Entries(entries) => {
                let mut new = false;
                for entry in entries {
                    new |= self.pool(entry);
                }
                self.drive(Input::EntriesArrived)?;
                if new { self.drive(Input::WorkArrived) } else { Ok(()) }
            }
            Verified::Executed { link, verdict } => {
                if let Some(bank) = &mut self.bank {
                    bank.executed(&link, verdict, self.state.ledger(), now_ms(), &mut self.effects);
                }
                Ok(())
            }
            Verified::Questions { message, questions } => {
                let came = self.tracing.as_mut().and_then(|tracing| tracing.verified(message));
                for (index, question) in questions.into_iter().enumerate() {
                    let slot = QuestionSlot { message, index };
                    match (question, &mut self.institution) {
                        (Ok(question), Some(institution)) => {
                            let ledger = self.state.ledger();
                            let (request, endorsement) = (question.request().link(), question.endorsement().link());
                            let began = std::time::SystemTime::now();
                            institution.asked(slot, question, ledger, now_ms(), &mut self.effects)?;
                            if let (Some(tracing), Some(came)) = (&mut self.tracing, came) {
                                tracing.traces().span(&request, "verify", came, began, Vec::new());
                                tracing.ended(&request, "execute", began, Vec::new());
                                tracing.judged(endorsement, request);
                            }
                        }
                        (Err(violation), _) => {
                            tracing::warn!(%violation, "a question that does not hold");
                            self.answer_question(slot, Answer::NotYet);
                        }
                        (Ok(_), None) => {}
                    }
                }
                Ok(())
            }
        }
    }

    pub(super) fn on_answers(&mut self, links: &[Link], answers: Option<Vec<Answer>>) {
        let Some(bank) = &mut self.bank else { return };
        let now = now_ms();
        let answers = answers.filter(|answers| answers.len() == links.len());
        let Some(answers) = answers else {
            links.iter().for_each(|link| bank.unanswered(link, SendFailure::Unanswered, now));
            return;
        };
        for (link, answer) in links.iter().zip(answers) {
            bank.answered(link, answer, self.state.ledger(), now, &mut self.effects);
        }
    }
}
