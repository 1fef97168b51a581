//! Builders of an act of servicing. Instruction and record can be changed, and signed by another key.

use ed25519_dalek::SigningKey;
use stemma_chain_format::chain::{Entry, EntryKind};
use stemma_chain_format::endorsement::{Credit, CreditTerms};
use stemma_chain_format::hash::Link;
use stemma_chain_format::holdings::Holdings;
use stemma_chain_format::instruction::Instruction;
use stemma_chain_format::lineage;
use stemma_chain_format::request::IdentityClaim;
use stemma_chain_format::servicing::{Act, Consent, Servicing};

use super::amount;
use super::members::{cash_of, id, member_key};
use super::trades::{View, entry_bytes, forge};
use super::world::{Customer, World};

type Hook<'w, T> = Box<dyn Fn(&mut T) + 'w>;

/// An act on its way to an entry, with changes to its stages.
pub struct ServicePlan<'w> {
    world: &'w World,
    customer: Customer,
    act: Act,
    view: View,
    /// How many waiting credits it absorbs, at most.
    pub absorb: usize,
    /// Whether there is an instruction.
    pub instructed: bool,
    /// Who signs instruction and record.
    pub signers: [SigningKey; 2],
    on_instruction: Hook<'w, Instruction>,
    on_servicing: Hook<'w, Servicing>,
}

impl<'w> ServicePlan<'w> {
    /// An act with an instruction exactly where it must have one.
    pub fn new(world: &'w World, customer: Customer, act: Act) -> Self {
        Self {
            world,
            customer,
            view: View::of(world, &customer.account),
            absorb: 0,
            instructed: matches!(act.consent(), Consent::Required | Consent::WhileKeyed),
            act,
            signers: [customer.key(), member_key(customer.bank)],
            on_instruction: Box::new(|_| ()),
            on_servicing: Box::new(|_| ()),
        }
    }

    /// With an instruction or without.
    pub fn instructed(mut self, instructed: bool) -> Self {
        self.instructed = instructed;
        self
    }

    /// Absorbs so many of the credits that wait.
    pub fn absorb(mut self, count: usize) -> Self {
        self.absorb = count;
        self
    }

    /// Puts the act on top of another state than the ledger's.
    pub fn on_top_of(mut self, view: View) -> Self {
        self.view = view;
        self
    }

    /// Changes the instruction before it is signed.
    pub fn instruction(mut self, change: impl Fn(&mut Instruction) + 'w) -> Self {
        self.on_instruction = Box::new(change);
        self
    }

    /// Changes the record before it is signed.
    pub fn servicing(mut self, change: impl Fn(&mut Servicing) + 'w) -> Self {
        self.on_servicing = Box::new(change);
        self
    }

    /// Has one stage (0 or 1) signed by another key.
    pub fn signer(mut self, stage: usize, key: SigningKey) -> Self {
        self.signers[stage] = key;
        self
    }

    /// The stages' bytes, the instruction first where there is one.
    pub fn stages(&self) -> Vec<Vec<u8>> {
        let mut stages = Vec::new();
        let mut link = None;
        if self.instructed {
            let mut instruction = self.instruction_record();
            (self.on_instruction)(&mut instruction);
            let bytes = forge(&instruction, &self.signers[0]);
            link = Some(Link::of(&bytes));
            stages.push(bytes);
        }
        let mut servicing = self.servicing_record(link);
        (self.on_servicing)(&mut servicing);
        stages.push(forge(&servicing, &self.signers[1]));
        stages
    }

    /// The entry as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        entry_bytes(EntryKind::Servicing, &self.stages())
    }

    /// The entry; its records must keep their own rules.
    pub fn entry(&self) -> Entry {
        Entry::decode(&self.bytes()).unwrap()
    }

    fn instruction_record(&self) -> Instruction {
        Instruction {
            network: self.world.network(),
            account: self.customer.account,
            counter: self.view.state.counter + 1,
            bank: id(self.customer.bank),
            act: self.act.clone(),
            identities: vec![IdentityClaim::commit("account-key", &[7; 32], self.customer.name.as_bytes())],
            expires: None,
        }
    }

    fn servicing_record(&self, instruction: Option<Link>) -> Servicing {
        let View { state, inbox } = &self.view;
        let absorbed: Vec<Credit> = inbox.iter().take(self.absorb).cloned().collect();
        let mut holdings = lineage::absorbed_into(&state.holdings, &absorbed).unwrap();
        if let Act::Withdraw(instrument, amount) = &self.act {
            let _beyond_range = holdings.add(instrument, amount.negated());
        }
        if let Act::Reclaim(_, instrument, amount) = &self.act {
            let _beyond_range = holdings.add(instrument, *amount);
        }
        Servicing {
            network: self.world.network(),
            bank: id(self.customer.bank),
            account: self.customer.account,
            instruction,
            parent: state.head,
            sequence: state.sequence + 1,
            absorbed,
            act: self.act.clone(),
            holdings,
        }
    }
}

/// Credit terms of a bank with one line in its cash.
pub fn terms(bank: &str, level: u8, rules: u32, line: i128) -> CreditTerms {
    let mut lines = Holdings::new();
    lines.add(&cash_of(bank), amount(line)).unwrap();
    CreditTerms { level, rules, lines }
}
