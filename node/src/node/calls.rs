//! What HTTP asks of the node's thread.

use std::sync::Arc;

use stemma_chain_format::hash::Link;
use stemma_chain_format::validate::VerifiedEntry;
use stemma_node_api::catalogue::{ChangeListing, DryRun, DryRunView, ListInstrument};
use stemma_node_api::types::{Committed, Market};
use stemma_node_api::{ApiError, ErrorCode};

use super::event::Issue;
use super::{Call, CallReply, DAY_MS_NOTE, DAY_NOTE, Node, NodeError};
use crate::clock::now_ms;
use crate::error::chain;
use crate::institution::Institution;
use crate::institution::prices::ReplayError;
use crate::ledger::{self, ListingError};
use crate::membership::Settings;
use crate::role::RoleEffect;
use crate::store::OrderRow;

pub(super) fn wrong_role(needed: &str) -> ApiError {
    ApiError::new(ErrorCode::WrongRole, format!("this node is no {needed}"))
        .help(format!("Ask a node whose role is {needed}; GET /v1/members lists them."))
}

pub(super) fn conflict(e: &dyn std::error::Error) -> ApiError {
    ApiError::new(ErrorCode::Conflict, chain(e))
}

pub(super) fn failed(e: &dyn std::error::Error) -> ApiError {
    ApiError::new(ErrorCode::Internal, chain(e))
}

fn answer<T>(reply: CallReply<T>, found: Result<T, ApiError>) -> Result<(), NodeError> {
    let _gone = reply.send(found);
    Ok(())
}

impl Node {
    pub(super) fn on_call(&mut self, call: Call) -> Result<(), NodeError> {
        match call {
            Call::Submit { handed_in, reply } => self.take_in(handed_in, reply),
            Call::Act { account, act, reply } => {
                self.act(account, act, reply);
                Ok(())
            }
            Call::Enrol { account, kind, material, counter, reply } => {
                self.enrol(account, kind, material, counter, reply);
                Ok(())
            }
            Call::ChangeVerifier { account, kind, what, reply } => self.change_verifier(account, kind, what, reply),
            Call::Queues { count, reply } => {
                let queues = self.bank.as_ref().map(|bank| (bank.queues(count), bank.open_count()));
                let _gone = reply.send(queues.ok_or_else(|| wrong_role("bank")));
                Ok(())
            }
            Call::Await { link, reply } => self.on_await(link, reply),
            Call::OpenAccount { key, nonce, reply } => {
                let made = match &self.bank {
                    Some(bank) => bank.open_account(key, nonce, self.state.ledger()).map_err(|e| conflict(&e)),
                    None => Err(wrong_role("bank")),
                };
                self.submit(made, reply);
                Ok(())
            }
            Call::Issue(issue) => {
                self.issues.push_back(issue);
                self.issue_next();
                Ok(())
            }
            Call::List { record, reply } => {
                let made = self.make_listing(record);
                self.submit(made, reply);
                Ok(())
            }
            Call::ChangeListing { code, change, reply } => {
                let made = self.change_listing(&code, change);
                self.submit(made, reply);
                Ok(())
            }
            Call::DryRun { asked, reply } => answer(reply, self.try_out(&asked)),
            Call::Market { reply } => answer(reply, self.market()),
            Call::MoveDay { day, reply } => {
                let moved = self.move_day(&day)?;
                let _gone = reply.send(moved);
                Ok(())
            }
            Call::Prices { reply } => answer(reply, self.price_page()),
            Call::PushPrices { prices, reply } => {
                let pushed = self.push_prices(prices)?;
                let _gone = reply.send(pushed);
                Ok(())
            }
            Call::Govern { record, reply } => {
                self.govern(&record, reply);
                Ok(())
            }
            Call::Prove { account, reply } => answer(reply, Ok(ledger::look(self.state.ledger(), &account))),
        }
    }

    fn on_await(&mut self, link: Link, reply: CallReply<OrderRow>) -> Result<(), NodeError> {
        let Some(bank) = &self.bank else {
            let _gone = reply.send(Err(wrong_role("bank")));
            return Ok(());
        };
        match bank.order(&link)? {
            Some(row) if !row.state.is_final() => {
                let waiting = self.waiting.entry(link).or_default();
                // Whoever stopped waiting makes room.
                waiting.retain(|reply| !reply.is_closed());
                waiting.push(reply);
            }
            Some(row) => {
                let _gone = reply.send(Ok(row));
            }
            None => {
                let missing = ApiError::new(ErrorCode::NotFound, format!("this bank knows no order {link}"));
                let _gone = reply.send(Err(missing));
            }
        }
        Ok(())
    }

    /// Puts an operator's entry to the network, and answers once it is committed.
    fn submit(&mut self, made: Result<VerifiedEntry, ApiError>, reply: CallReply<Committed>) -> Option<Link> {
        match made {
            Ok(entry) => {
                let id = entry.id();
                self.submitted.entry(id).or_default().push(reply);
                self.effects.push(RoleEffect::Propose(Arc::new(entry)));
                Some(id)
            }
            Err(e) => {
                let _gone = reply.send(Err(e));
                None
            }
        }
    }

    /// Issuances of one bank follow each other: the next is made when the one before is committed.
    pub(super) fn issue_next(&mut self) {
        while self.issuing.is_none() {
            let Some(Issue { instrument, credits, reply }) = self.issues.pop_front() else { return };
            let made = match &self.bank {
                Some(bank) => bank.issue(instrument, credits, self.state.ledger()).map_err(|e| conflict(&e)),
                None => Err(wrong_role("bank")),
            };
            self.issuing = self.submit(made, reply);
        }
    }

    fn make_listing(&self, asked: ListInstrument) -> Result<VerifiedEntry, ApiError> {
        let Settings { member, member_key, .. } = &self.settings;
        ledger::list(asked, &member.id, member_key, self.state.ledger()).map_err(|e| listing_refused(&e))
    }

    fn change_listing(&self, code: &str, change: ChangeListing) -> Result<VerifiedEntry, ApiError> {
        let Settings { member, member_key, .. } = &self.settings;
        ledger::change(code, change, &member.id, member_key, self.state.ledger()).map_err(|e| listing_refused(&e))
    }

    fn try_out(&self, asked: &DryRun) -> Result<DryRunView, ApiError> {
        let institution = self.institution.as_ref().ok_or_else(|| wrong_role("institution"))?;
        institution.try_out(asked, self.state.ledger(), now_ms())
    }

    fn market(&self) -> Result<Market, ApiError> {
        self.institution.as_ref().map(market_of).ok_or_else(|| wrong_role("institution"))
    }

    fn move_day(&mut self, day: &str) -> Result<Result<Market, ApiError>, NodeError> {
        let Some(institution) = &mut self.institution else { return Ok(Err(wrong_role("institution"))) };
        // Setting the same day again publishes nothing anew.
        if institution.prices().day() == Some(day) {
            return Ok(self.market());
        }
        let now_ms = now_ms();
        match institution.prices_mut().set_day(day, now_ms) {
            Ok(()) => {}
            Err(e @ ReplayError::NoReplay { .. }) => return Ok(Err(conflict(&e))),
            Err(e) => return Ok(Err(ApiError::new(ErrorCode::NotFound, chain(&e)))),
        }
        self.store.set_note(DAY_NOTE, day)?;
        self.store.set_note(DAY_MS_NOTE, &now_ms.to_string())?;
        self.settle();
        Ok(self.market())
    }
}

fn listing_refused(e: &ListingError) -> ApiError {
    match e {
        ListingError::Malformed { .. } => ApiError::new(ErrorCode::Malformed, chain(e)),
        ListingError::Unlisted(_) => ApiError::new(ErrorCode::NotFound, chain(e)),
        ListingError::Violation(_) => conflict(e),
    }
}

fn market_of(institution: &Institution) -> Market {
    let prices = institution.prices();
    let quoted = prices.quotes().into_iter().map(|(code, quote)| (code, quote.text)).collect();
    Market { day: prices.day().map(str::to_owned), prices: quoted }
}
