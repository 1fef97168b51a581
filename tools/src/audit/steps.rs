//! The steps of a verification in words: what each element says, who signed it, and what the account holds after it.

use serde::Serialize;
use stemma_chain_format::amount::{Amount, Price};
use stemma_chain_format::bundle::{Claim, Head, Holding, Shown};
use stemma_chain_format::certificate::CertifiedHeader;
use stemma_chain_format::chain::{Chain, Entry, Service};
use stemma_chain_format::endorsement::Credit;
use stemma_chain_format::error::Violation;
use stemma_chain_format::execution::{Execution, Outcome, PostingPurpose};
use stemma_chain_format::holdings::Holdings;
use stemma_chain_format::instrument::InstrumentId;
use stemma_chain_format::record::{Record, Signed};
use stemma_chain_format::request::{Order, Request, Side, Size};
use stemma_chain_format::servicing::Act;
use stemma_chain_format::settlement::{Settlement, SettlementAct};
use stemma_chain_format::validate::VerifiedEntry;
use stemma_node_api::types::Amounts;

use super::Witness;
use crate::units::Units;

/// One step: what was looked at, and what it says.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Step {
    /// Its place in the bundle, as a refutation would name it.
    pub place: String,
    /// What it is, in a few words.
    pub what: String,
    /// The signed records in it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// What else it says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
    /// What the account holds after it, in smallest units, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<Amounts>,
}

/// A signed record.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    /// What kind it is.
    pub kind: &'static str,
    /// Its link.
    pub link: String,
    /// Who signed, as the record names it.
    pub signer: String,
    /// The public key that signed.
    pub key: String,
    /// What it says.
    pub facts: Vec<String>,
}

/// Who takes the steps, one by one, as they are found to hold.
pub trait Steps {
    /// A step holds.
    fn step(&mut self, step: Step, units: &Units);
}

/// Puts what a verification sees into words.
#[derive(Debug)]
pub struct Narrator<S> {
    /// Who takes the steps.
    pub to: S,
    /// The decimals of what was listed so far.
    pub units: Units,
    begun: Vec<Step>,
    looked: Vec<Step>,
    counts: Counts,
}

/// How many elements of each kind came.
#[derive(Debug, Default)]
struct Counts {
    listings: u64,
    sources: u64,
    lineage: u64,
    settlements: u64,
    waiting: u64,
    blocks: u64,
    /// Of the block, or of all.
    entries: u64,
    accounts: u64,
    positions: u64,
}

impl<S: Steps> Narrator<S> {
    /// Before the first step.
    pub fn new(to: S) -> Self {
        let (begun, looked) = (Vec::new(), Vec::new());
        Self { to, units: Units::default(), begun, looked, counts: Counts::default() }
    }

    fn tell(&mut self, steps: Vec<Step>, result: Result<(), &Violation>) {
        for step in steps {
            if result.is_err_and(|violation| is_at(&violation.field, &step.place)) {
                return;
            }
            self.to.step(step, &self.units);
        }
    }
}

impl<S: Steps> Witness for Narrator<S> {
    fn reads(&mut self, head: &Head) {
        self.begun = head_steps(head);
    }

    fn begun(&mut self, result: Result<(), &Violation>) {
        let steps = std::mem::take(&mut self.begun);
        self.tell(steps, result);
    }

    fn looks(&mut self, shown: Shown<'_>) {
        let place = self.counts.place(&shown);
        let step = self.units.step(place, shown);
        self.looked.push(step);
    }

    fn followed(&mut self, result: Result<(), &Violation>) {
        let steps = std::mem::take(&mut self.looked);
        self.tell(steps, result);
    }
}

/// Whether a refutation is about a place, or something in it.
fn is_at(field: &str, place: &str) -> bool {
    field.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl Counts {
    fn place(&mut self, shown: &Shown<'_>) -> String {
        let in_ledger = self.blocks > 0;
        let (name, count) = match shown {
            Shown::Entry("listings", _) => ("listings", &mut self.listings),
            Shown::Entry("sources", _) => ("sources", &mut self.sources),
            Shown::Entry("settlements", _) => ("settlements", &mut self.settlements),
            Shown::Entry("entries", _) => ("entries", &mut self.entries),
            Shown::Entry(..) => ("lineage", &mut self.lineage),
            Shown::Waiting(_) => ("waiting", &mut self.waiting),
            Shown::Block(..) => ("blocks", &mut self.blocks),
            Shown::Account(_) => ("accounts", &mut self.accounts),
            Shown::Position(..) => ("positions", &mut self.positions),
        };
        let at = *count;
        *count = at.saturating_add(1);
        if name == "blocks" {
            self.entries = 0;
        }
        match name {
            "entries" if in_ledger => format!("blocks[{}].entries[{at}]", self.blocks.saturating_sub(1)),
            name => format!("{name}[{at}]"),
        }
    }
}

/// The first signs of an id or a key, by which people know it again.
pub fn short(id: &impl ToString) -> String {
    let text = id.to_string();
    let (first, rest) = text.split_at_checked(12).unwrap_or((&text, ""));
    if rest.is_empty() { first.to_owned() } else { format!("{first}…") }
}

fn head_steps(head: &Head) -> Vec<Step> {
    let step = |place: &str, what: String| Step { place: place.to_owned(), what, ..Step::default() };
    let mut steps = vec![step("bundle.network", format!("network {}, as in the genesis file", short(&head.network)))];
    for (index, trust) in head.trust.iter().enumerate() {
        let what = format!(
            "members change by {}, final in {}",
            counted(trust.records.len(), "governance record"),
            block(&trust.header)
        );
        steps.push(Step { facts: vec![signed_by(&trust.header)], ..step(&format!("trust[{index}]"), what) });
    }
    let what = format!("{} is final", block(&head.checkpoint));
    steps.push(Step { facts: vec![signed_by(&head.checkpoint)], ..step("checkpoint", what) });
    match &head.claim {
        Claim::Lineage(holding) | Claim::Holdings(holding) => steps.extend(held(holding, "")),
        Claim::LineageFrom(holding, anchor) => {
            steps.extend(held(holding, ""));
            let what = format!("an earlier {} is final", block(&anchor.header));
            steps.push(Step { facts: vec![signed_by(&anchor.header)], ..step("anchor.header", what) });
            steps.extend(held(&anchor.holding, "anchor."));
        }
        Claim::Absence(account, _) => steps.push(step("proof", format!("nothing stands under {account}"))),
        Claim::Entry(..) => {
            steps.push(step("entry", "the entry is valid by itself, all its signatures verify".to_owned()));
            steps.push(step("merkle.path", "its id leads to the block's root of entries".to_owned()));
        }
        Claim::Conflict(other) => {
            let what = format!("{} is final as well", block(other));
            steps.push(Step { facts: vec![signed_by(other)], ..step("other", what) });
        }
        Claim::Endorsements(..) | Claim::Executions(..) => {
            steps.push(step("first", "the first record is signed by the member".to_owned()));
            steps.push(step("second", "so is the second, which answers the same otherwise".to_owned()));
        }
        Claim::Block | Claim::Ledger => {}
    }
    steps
}

fn held(holding: &Holding, place: &str) -> Vec<Step> {
    let account = &holding.account;
    let what = format!("account {} of {} stands under the block's root", short(&account.account), account.bank);
    let facts = vec![format!("{} records since its opening, {} credits", account.sequence, account.credits_received)];
    let mut steps = vec![Step { place: format!("{place}proof"), what, facts, ..Step::default() }];
    for (index, held) in holding.positions.iter().enumerate() {
        let what = format!("so does its position in {}", held.position.instrument);
        steps.push(Step { place: format!("{place}positions[{index}]"), what, ..Step::default() });
    }
    steps
}

/// A number of things.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn block(certified: &CertifiedHeader) -> String {
    format!("block {} ({})", certified.header.height, short(&certified.header.id()))
}

fn signed_by(certified: &CertifiedHeader) -> String {
    let signers: Vec<String> = certified.certificate.signatures.iter().map(|s| s.validator.to_string()).collect();
    format!("signed by {}", signers.join(", "))
}

fn amounts(holdings: &Holdings) -> Amounts {
    holdings.iter().map(|(instrument, amount)| (instrument.to_string(), amount.to_string())).collect()
}

impl Units {
    /// An amount with its instrument.
    fn told(&self, amount: Amount, instrument: &InstrumentId) -> String {
        format!("{} {instrument}", self.show(&instrument.to_string(), &amount.to_string()))
    }

    fn price_in(&self, price: &Price, cash: Option<&InstrumentId>) -> String {
        let decimals = cash.and_then(|cash| self.decimals(&cash.to_string()));
        decimals.map_or_else(|| format!("{} smallest units", price.display(0)), |decimals| price.display(decimals))
    }

    fn step(&mut self, place: String, shown: Shown<'_>) -> Step {
        let step = Step { place, ..Step::default() };
        match shown {
            Shown::Entry("sources", entry) => {
                let known = self.entry(entry, step);
                Step { what: format!("source of credits: {}", known.what), holds: None, ..known }
            }
            Shown::Entry(_, entry) => self.entry(entry, step),
            Shown::Waiting(credit) => Step { what: format!("{} waits", self.credit(credit)), ..step },
            Shown::Block(header, count) => {
                let what = format!("block {} ({}), {count} entries", header.height, short(&header.id()));
                Step { what, facts: vec![format!("proposed by {}", header.proposer)], ..step }
            }
            Shown::Account(state) => {
                let what = format!("account {} of {} is what it was stated to be", short(&state.account), state.bank);
                Step { what, holds: Some(amounts(&state.holdings)), ..step }
            }
            Shown::Position(key, position) => {
                let what = format!("position {} in {} is what it was stated to be", short(key), position.instrument);
                Step { what, ..step }
            }
        }
    }

    fn credit(&self, credit: &Credit) -> String {
        let Credit { source, instrument, amount, .. } = credit;
        format!("{} from {}", self.told(*amount, instrument), short(source))
    }

    fn entry(&mut self, verified: &VerifiedEntry, step: Step) -> Step {
        match verified.entry() {
            Entry::Chain(chain) => self.chain(chain, step),
            Entry::Opening(opening) => {
                let record = opening.record();
                let facts = vec![format!("the customer signs with {}", short(&record.key))];
                let stages = vec![stage(opening, "opening", &record.bank, facts)];
                Step { what: format!("{} opens the account", record.bank), stages, holds: Some(Amounts::new()), ..step }
            }
            Entry::Issuance(issuance) => {
                let record = issuance.record();
                let total = record.total().map(|total| self.told(total, &record.instrument)).unwrap_or_default();
                let what = format!("{} issues {total} to {} accounts", record.issuer, record.credits.len());
                Step { what, stages: vec![stage(issuance, "issuance", &record.issuer, Vec::new())], ..step }
            }
            Entry::Listing(listing) => {
                let record = listing.record();
                self.learn(record);
                let issuer = record.instrument.issuer().to_owned();
                let what = format!(
                    "{issuer} lists {}, a {}, with {} decimals",
                    record.instrument, record.kind, record.decimals
                );
                Step { what, stages: vec![stage(listing, "listing", &issuer, Vec::new())], ..step }
            }
            Entry::Servicing(service) => self.servicing(service, step),
            Entry::Settlement(settlement) => self.settlement(settlement, step),
            Entry::Governance(governance) => {
                let record = governance.record();
                let what = format!(
                    "governance record {}: {} from height {} on",
                    record.number,
                    counted(record.changes.len(), "change"),
                    record.effective
                );
                let keys = governance.signers().map(|key| format!("signed with {}", short(key)));
                Step { what, facts: keys.collect(), ..step }
            }
        }
    }

    fn chain(&self, chain: &Chain, step: Step) -> Step {
        let (request, execution) = (chain.request.record(), chain.execution.record());
        let endorsement = chain.endorsement.record();
        let mut vouched: Vec<String> =
            endorsement.absorbed.iter().map(|credit| format!("absorbs {}", self.credit(credit))).collect();
        vouched.push(format!("credit {}", endorsement.credit));
        vouched.push(format!("may commit up to height {}", endorsement.expires));
        let stages = vec![
            stage(&chain.request, "request", &"the account", self.asked(request)),
            stage(&chain.endorsement, "endorsement", &endorsement.bank, vouched),
            stage(&chain.execution, "execution", &execution.institution, self.executed(request, execution)),
        ];
        let verb = match (&execution.outcome, &request.order) {
            (Outcome::Traded(_), Order::Trade(trade)) if trade.side == Side::Sell => "sells",
            (Outcome::Traded(_), _) => "buys",
            (Outcome::Accepted(_), _) => "has an order taken for",
            (Outcome::Done, Order::Cancel(_)) => "takes back an order for",
            (Outcome::Done, _) => "moves the margin of",
        };
        let quantity = execution.outcome.deal().map(|deal| deal.quantity);
        let subject = quantity.map_or_else(
            || request.order.instrument().to_string(),
            |quantity| self.told(quantity, request.order.instrument()),
        );
        let what = format!("the customer {verb} {subject} at {}", execution.institution);
        Step { what, stages, holds: Some(amounts(&execution.holdings)), ..step }
    }

    fn asked(&self, request: &Request) -> Vec<String> {
        let mut facts = Vec::new();
        match &request.order {
            Order::Trade(trade) => {
                let side = if trade.side == Side::Buy { "buy" } else { "sell" };
                let size = match trade.size {
                    Size::Quantity(quantity) => self.told(quantity, &trade.instrument),
                    Size::Cash(cash) => format!("{} for {}", trade.instrument, self.told(cash, &trade.cash)),
                };
                facts.push(format!("{side} {size}"));
                facts.extend(
                    trade.limit.as_ref().map(|limit| format!("limit {}", self.price_in(limit, Some(&trade.cash)))),
                );
            }
            Order::Cancel(cancel) => facts.push(format!("take back {}", short(&cancel.request))),
            Order::Margin(payment) => facts.push(format!("margin {}", self.told(payment.amount, &payment.cash))),
        }
        facts.push(format!("counter {}", request.counter));
        facts
    }

    fn executed(&self, request: &Request, execution: &Execution) -> Vec<String> {
        let cash = request.order.cash();
        let mut facts = vec![execution.outcome.as_str().to_owned()];
        if let Some(deal) = execution.outcome.deal() {
            facts.push(format!("price {}, fee {}", self.price_in(&deal.price, Some(cash)), self.told(deal.fee, cash)));
        }
        let rewards =
            execution.postings.iter().filter(|p| p.purpose == PostingPurpose::Reward && p.amount.is_positive());
        facts
            .extend(rewards.map(|p| format!("reward {} to {}", self.told(p.amount, &p.instrument), short(&p.account))));
        facts.push(format!("{}, in sum zero", counted(execution.postings.len(), "posting")));
        facts
    }

    fn servicing(&self, service: &Service, step: Step) -> Step {
        let record = service.servicing.record();
        let mut facts: Vec<String> =
            record.absorbed.iter().map(|credit| format!("absorbs {}", self.credit(credit))).collect();
        match &record.act {
            Act::Withdraw(instrument, amount) => facts.push(format!("pays out {}", self.told(*amount, instrument))),
            Act::BindKey(key) => facts.push(format!("the customer signs with {}", short(key))),
            Act::SetCredit(terms) => facts.push(format!("credit {terms}")),
            Act::Reclaim(_, instrument, amount) => facts.push(format!("gives back {}", self.told(*amount, instrument))),
            Act::Freeze | Act::Unfreeze | Act::Close | Act::RevokeKey => {}
        }
        let asked = service.instruction.as_ref().map(|asked| stage(asked, "instruction", &"the account", Vec::new()));
        let served = stage(&service.servicing, "servicing", &record.bank, facts);
        let what = format!("{} does: {}", record.bank, record.act.as_str());
        let holds = Some(amounts(&record.holdings));
        Step { what, stages: asked.into_iter().chain([served]).collect(), holds, ..step }
    }

    fn settlement(&self, settlement: &Signed<Settlement>, step: Step) -> Step {
        let record = settlement.record();
        let facts = match &record.act {
            SettlementAct::Fill { deal, .. } => vec![format!("price {}", self.price_in(&deal.price, None))],
            SettlementAct::Mark { price, .. } | SettlementAct::Close { price, .. } => {
                vec![format!("price {}", self.price_in(price, None))]
            }
            SettlementAct::Release(reason) => vec![reason.as_str().to_owned()],
        };
        let what =
            format!("{} settles position {}: {}", record.institution, short(&record.position), record.act.as_str());
        Step { what, stages: vec![stage(settlement, "settlement", &record.institution, facts)], ..step }
    }
}

fn stage<T: Record>(signed: &Signed<T>, kind: &'static str, signer: &impl ToString, facts: Vec<String>) -> Stage {
    let (link, key) = (signed.link().to_string(), signed.signer().to_string());
    Stage { kind, link, signer: signer.to_string(), key, facts }
}
