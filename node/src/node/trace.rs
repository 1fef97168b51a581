//! What the node tells of trades to OpenTelemetry, where it is to: when each part began is kept until it ends.

use std::collections::BTreeMap;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use stemma_chain_format::chain::Entry;
use stemma_chain_format::hash::Link;
use stemma_chain_format::validate::VerifiedEntry;

use super::{Node, refusal_of};
use crate::store::{AnswerRow, OrderKind, OrderRow, OrderState};
use crate::telemetry::{Details, Traces, at};

/// Most parts whose begin is kept; beyond, a part is not told.
const KEPT_MAX: usize = 50_000;

/// Traces, and what of them has begun.
pub(super) struct Tracing {
    traces: Traces,
    /// When messages of questions came.
    messages: BTreeMap<u64, SystemTime>,
    /// By endorsement: the request, and when its judgement ended.
    judged: BTreeMap<Link, (Link, SystemTime)>,
    /// By entry: the request, and when it was put to the network or came from it.
    pooled: BTreeMap<Link, (Link, SystemTime)>,
}

impl Tracing {
    pub fn new(traces: Traces) -> Self {
        Self { traces, messages: BTreeMap::new(), judged: BTreeMap::new(), pooled: BTreeMap::new() }
    }

    /// The way to tell spans from elsewhere.
    pub fn traces(&self) -> Traces {
        self.traces.clone()
    }

    /// A part of a trade that began then and ends now.
    pub fn ended(&self, request: &Link, name: &'static str, from: SystemTime, details: Details) {
        self.traces.span(request, name, from, SystemTime::now(), details);
    }

    /// A message of questions came.
    pub fn message(&mut self, message: u64) {
        keep(&mut self.messages, message, SystemTime::now());
    }

    /// Its signatures were checked.
    pub fn verified(&mut self, message: u64) -> Option<SystemTime> {
        self.messages.remove(&message)
    }

    /// An institution has judged an order; what it answers is on its way.
    pub fn judged(&mut self, endorsement: Link, request: Link) {
        keep(&mut self.judged, endorsement, (request, SystemTime::now()));
    }

    /// An answer is signed and durable.
    pub fn answered(&mut self, row: &AnswerRow) {
        if let Some((request, from)) = self.judged.remove(&row.endorsement) {
            let outcome = if row.chain.is_some() { "executed" } else { "refused" };
            self.ended(&request, "sign", from, vec![KeyValue::new("outcome", outcome)]);
        }
    }

    /// A trade's chain is in this node's pool.
    pub fn pooled(&mut self, entry: &VerifiedEntry) {
        if let Some(request) = request_of(entry) {
            keep(&mut self.pooled, entry.id(), (request, SystemTime::now()));
        }
    }

    /// It is in a block.
    pub fn committed(&mut self, height: u64, entry: &VerifiedEntry) {
        if let Some(request) = request_of(entry) {
            // One that came with its block was never in the pool.
            let from = self.pooled.remove(&entry.id()).map_or_else(SystemTime::now, |(_, from)| from);
            self.ended(&request, "commit", from, vec![height_of(height)]);
        }
    }

    /// The parts that a bank's order went through, once it is final.
    fn order(&self, row: &OrderRow) {
        for pair in row.steps.windows(2) {
            let [from, to] = pair else { continue };
            let name = match from.state {
                OrderState::Received => "endorse",
                OrderState::Endorsed => "queue",
                OrderState::Sent => "send",
                OrderState::Executed => "settle",
                _ => continue,
            };
            self.traces.span(&row.link, name, at(from.at_ms), at(to.at_ms), Details::new());
        }
        let failure = match row.state {
            OrderState::Refused => refusal_of(row).map(|refusal| refusal.record().reason.to_string()),
            OrderState::Expired => Some("expired".to_owned()),
            _ => None,
        };
        let mut details = vec![KeyValue::new("stemma.request", row.link.to_string())];
        details.extend(row.institution.as_ref().map(|id| KeyValue::new("stemma.institution", id.to_string())));
        details.extend(row.height.map(height_of));
        let ended_ms = row.steps.last().map_or(0, |step| step.at_ms);
        self.traces.root(&row.link, at(row.received_ms()), at(ended_ms), details, failure);
    }
}

impl Node {
    /// Counts and traces what became of an order, once it is durable.
    pub(super) fn order_ended(&self, row: &OrderRow) {
        if !row.state.is_final() {
            return;
        }
        self.count_order(row);
        if let Some(tracing) = self.tracing.as_ref().filter(|_| row.kind == OrderKind::Trade) {
            tracing.order(row);
        }
    }
}

fn height_of(height: u64) -> KeyValue {
    KeyValue::new("stemma.height", i64::try_from(height).unwrap_or(i64::MAX))
}

/// The request of a trade.
pub(super) fn request_of(entry: &VerifiedEntry) -> Option<Link> {
    match entry.entry() {
        Entry::Chain(chain) => Some(chain.request.link()),
        _ => None,
    }
}

fn keep<K: Ord, V>(kept: &mut BTreeMap<K, V>, key: K, value: V) {
    if kept.len() < KEPT_MAX {
        kept.insert(key, value);
    }
}
