//! The end of a turn: what roles asked for is made durable in one transaction, then performed.

use std::collections::BTreeMap;
use std::sync::Arc;

use stemma_chain_format::cbor;
use stemma_chain_format::hash::{AccountId, Link};
use stemma_chain_format::member::MemberId;
use stemma_consensus::engine::Input;
use stemma_consensus::ports::Application;
use stemma_node_api::types::Status;

use super::exchange::QUESTIONS_MAX;
use super::{Event, Node, NodeError};
use crate::ledger::gossip_batches;
use crate::role::{Answer, Question, RoleEffect};
use crate::store::{OrderRow, RoleWrites, VerifierRow};
use stemma_net::{Protocol, Topic};

/// Questions to one institution, with the links of the requests that they are about.
type Questions = Vec<(Link, Question)>;
/// A message of questions holds so many bytes, leaving room for its framing.
const QUESTIONS_BYTES: usize = 192 * 1024;

impl Node {
    pub(super) fn finish_turn(&mut self) -> Result<(), NodeError> {
        // Proposing may commit a block at once, which may make roles ask for more.
        while !self.effects.is_empty() {
            let effects = std::mem::take(&mut self.effects);
            self.make_durable(&effects)?;
            self.tell_ended(&effects);
            if let Some(bank) = &mut self.bank {
                bank.stored();
            }
            if let Some(institution) = &mut self.institution {
                institution.stored();
            }
            self.perform(effects)?;
        }
        for (reply, row) in std::mem::take(&mut self.enrolled) {
            let _gone = reply.send(Ok(row));
        }
        for (reply, row) in std::mem::take(&mut self.replies) {
            let _gone = reply.send(Ok(row));
        }
        for message in gossip_batches(std::mem::take(&mut self.outgoing)) {
            let net = self.net.clone();
            self.runtime.spawn(async move {
                if let Err(e) = net.publish(Topic::Entries, message).await {
                    tracing::warn!(error = %e, "entries were not gossiped");
                }
            });
        }
        self.show_status()
    }

    fn make_durable(&self, effects: &[RoleEffect]) -> Result<(), NodeError> {
        let mut writes = RoleWrites::default();
        // Of one order's rows in a turn, the last is what counts.
        let mut orders: BTreeMap<u64, &OrderRow> = BTreeMap::new();
        let mut used_up = Vec::new();
        for effect in effects {
            match effect {
                RoleEffect::StoreOrder(row) => {
                    orders.insert(row.number, row);
                }
                RoleEffect::StoreCounter(account, counter) => writes.counters.push((*account, *counter)),
                RoleEffect::StoreAnswer(row) => writes.answers.push(row),
                RoleEffect::StoreErrand(row) => {
                    writes.errands.insert(row.number, Some(row));
                }
                RoleEffect::RemoveErrand(number) => {
                    writes.errands.insert(*number, None);
                }
                RoleEffect::ForgetUntold(place) => writes.told.push(*place),
                RoleEffect::StoreReferral(row) => writes.referrals.push(row),
                RoleEffect::KeepTurnedAway(row) => writes.turned_away.push(row),
                RoleEffect::UseUpVerifier { account, kind, stored } => used_up.push((*account, kind.as_str(), stored)),
                RoleEffect::StoreVerifier(row) => writes.identities.put.push(row),
                RoleEffect::RemoveVerifier(account, kind) => writes.identities.removed.push((*account, kind.as_str())),
                RoleEffect::LogEnrolment(row) => writes.identities.log.push(row),
                RoleEffect::StoreAttempts(subject, row) => {
                    writes.identities.attempts.push((subject.as_str(), row.as_deref()));
                }
                _ => {}
            }
        }
        let used_up = self.used_up(&used_up)?;
        writes.identities.put.extend(&used_up);
        writes.orders = orders.into_values().collect();
        if writes.is_empty() { Ok(()) } else { Ok(self.store.write_roles(&writes)?) }
    }

    /// Counts and traces what has come to its end, now that it is durable.
    fn tell_ended(&mut self, effects: &[RoleEffect]) {
        for effect in effects {
            match effect {
                RoleEffect::StoreOrder(row) => self.order_ended(row),
                RoleEffect::StoreAnswer(row) => {
                    if let Some(tracing) = &mut self.tracing {
                        tracing.answered(row);
                    }
                }
                _ => {}
            }
        }
    }

    /// Verifiers in their new forms, with the rest of their rows as it was.
    fn used_up(&self, used_up: &[(AccountId, &str, &Vec<u8>)]) -> Result<Vec<VerifierRow>, NodeError> {
        let mut rows = Vec::with_capacity(used_up.len());
        for (account, kind, stored) in used_up {
            // Removed meanwhile: then there is nothing to keep.
            if let Some(row) = self.store.verifier(account, kind)? {
                rows.push(VerifierRow { stored: stored.to_vec().into(), ..row });
            }
        }
        Ok(rows)
    }

    fn perform(&mut self, effects: Vec<RoleEffect>) -> Result<(), NodeError> {
        let mut questions: BTreeMap<MemberId, Questions> = BTreeMap::new();
        let mut new = false;
        for effect in effects {
            match effect {
                RoleEffect::StoreOrder(_)
                | RoleEffect::KeepTurnedAway(_)
                | RoleEffect::StoreCounter(..)
                | RoleEffect::StoreAnswer(_)
                | RoleEffect::StoreErrand(_)
                | RoleEffect::RemoveErrand(_)
                | RoleEffect::ForgetUntold(_)
                | RoleEffect::StoreReferral(_)
                | RoleEffect::UseUpVerifier { .. }
                | RoleEffect::StoreAttempts(..)
                | RoleEffect::StoreVerifier(_)
                | RoleEffect::RemoveVerifier(..)
                | RoleEffect::LogEnrolment(_) => {}
                RoleEffect::Identify => self.identify(),
                RoleEffect::Admitted(row) => {
                    for reply in self.identifying.remove(&row.link).into_iter().flatten() {
                        self.replies.push((reply, row.as_ref().clone()));
                    }
                }
                RoleEffect::SendEndorsed { institution, link, question } => {
                    questions.entry(institution).or_default().push((link, question));
                }
                RoleEffect::VerifyExecuted { link, chain } => self.verifier.executed(link, *chain),
                RoleEffect::Propose(entry) => new |= self.propose(entry),
                RoleEffect::CallBackOffice(call) => self.call_back_office(*call),
                RoleEffect::Answer { slot, answer } => self.answer_question(slot, answer),
                RoleEffect::Changed(link) => self.tell_waiting(&link)?,
            }
        }
        for (institution, questions) in questions {
            self.send_questions(&institution, questions);
        }
        if new { self.drive(Input::WorkArrived) } else { Ok(()) }
    }

    /// Puts an entry to the network; whether it is new here.
    fn propose(&mut self, entry: Arc<stemma_chain_format::validate::VerifiedEntry>) -> bool {
        let began = std::time::SystemTime::now();
        self.outgoing.push(entry.entry().encode());
        let request = super::trace::request_of(&entry);
        let is_new = self.pool(entry);
        if let (Some(tracing), Some(request)) = (&self.tracing, request) {
            tracing.ended(&request, "propose", began, Vec::new());
        }
        is_new
    }

    /// Sends questions in as few messages as their sizes allow.
    fn send_questions(&self, institution: &MemberId, questions: Questions) {
        let mut batch = Questions::new();
        let mut bytes = 0_usize;
        for (link, question) in questions {
            let size = question.request.len().saturating_add(question.endorsement.len());
            if batch.len() >= QUESTIONS_MAX || (bytes.saturating_add(size) > QUESTIONS_BYTES && !batch.is_empty()) {
                self.send_batch(institution, std::mem::take(&mut batch));
                bytes = 0;
            }
            bytes = bytes.saturating_add(size);
            batch.push((link, question));
        }
        self.send_batch(institution, batch);
    }

    fn send_batch(&self, institution: &MemberId, batch: Questions) {
        let (links, questions): (Vec<Link>, Vec<Question>) = batch.into_iter().unzip();
        let (net, events) = (self.net.clone(), self.events.clone());
        let peer = self.peers.get(institution).copied();
        let institution = institution.clone();
        self.runtime.spawn(async move {
            let answers = match peer {
                Some(peer) => match net.request(peer, Protocol::Trade, cbor::encode(&questions)).await {
                    Ok(bytes) => cbor::decode::<Vec<Answer>>(&bytes, "answers", bytes.len())
                        .inspect_err(|e| tracing::warn!(%institution, error = %e, "answers that cannot be read"))
                        .ok(),
                    Err(e) => {
                        tracing::debug!(%institution, error = %e, "questions were not answered");
                        None
                    }
                },
                None => None,
            };
            let _stopping = events.send(Event::Answered { links, answers }).await;
        });
    }

    /// Tells whoever follows the order, and, once it is final, whoever waits for it.
    fn tell_waiting(&mut self, link: &Link) -> Result<(), NodeError> {
        let followed = self.changes.receiver_count() > 0;
        if !followed && !self.waiting.contains_key(link) {
            return Ok(());
        }
        let Some(bank) = &self.bank else { return Ok(()) };
        let Some(row) = bank.order(link)? else { return Ok(()) };
        if followed {
            let _nobody = self.changes.send(Arc::new(row.clone()));
        }
        if !row.state.is_final() {
            return Ok(());
        }
        for reply in self.waiting.remove(link).into_iter().flatten() {
            let _gone = reply.send(Ok(row.clone()));
        }
        Ok(())
    }

    fn show_status(&self) -> Result<(), NodeError> {
        let ledger = self.state.ledger();
        let head = ledger.head();
        let connected = self.net.connected();
        let peers = connected.iter().filter_map(|peer| self.members.get(peer));
        let peers: Vec<String> = peers.map(ToString::to_string).collect();
        let pool = self.state.pool().len() as u64;
        let back_office = self.institution.as_ref().and_then(|institution| institution.back_office());
        let vote = self.vote_view();
        let not_ready = self.unready(vote.as_ref());
        let shown = self.status.borrow().clone();
        let is_told = shown.height == self.state.height()
            && (shown.pool, &shown.peers, &shown.vote, &shown.not_ready) == (pool, &peers, &vote, &not_ready);
        if is_told && shown.back_office == back_office && !shown.head.is_empty() {
            return Ok(());
        }
        let (entries, trades) = self.store.counts()?;
        let history_from = self.store.history_from()?;
        self.status.send_replace(Status {
            height: head.height,
            head: head.block.to_string(),
            account_root: ledger.root().to_string(),
            time_ms: head.time_ms,
            peers,
            history_from,
            pool,
            entries,
            trades,
            back_office,
            vote,
            not_ready,
            ..shown
        });
        Ok(())
    }
}
