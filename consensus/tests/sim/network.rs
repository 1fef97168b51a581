//! The network: nodes, links that lose, delay, reorder and repeat, machines that die.

use std::collections::BTreeMap;
use std::rc::Rc;

use stemma_chain_format::hash::Link;
use stemma_chain_format::member::MemberId;
use stemma_chain_format::registry::Registry;
use stemma_consensus::engine::{Effect, Engine, Input, TimerId};
use stemma_consensus::error::EngineError;
use stemma_consensus::ports::{Application, LogError, Signer};
use stemma_consensus::sync::SyncedBlock;

use super::app::TinyLedger;
use super::checks::Checks;
use super::genesis::{id, registry, validator_key};
use super::liar;
use super::log::MemoryLog;
use super::options::{Options, Role, Summary};
use super::rng::Rng;

const EPOCH_MS: u64 = 1_700_000_000_000;

#[derive(Debug)]
enum Event {
    Message { to: usize, from: usize, bytes: Rc<Vec<u8>> },
    Timer { node: usize, life: u32, id: TimerId, set: u64 },
    WantEntries { at: usize, by: usize, ids: Vec<Link> },
    Entries { to: usize, entries: Vec<Vec<u8>> },
    WantBlocks { at: usize, by: usize, from_height: u64, count: u64 },
    Blocks { to: usize, from: usize, blocks: Vec<SyncedBlock> },
    Head { to: usize, from: usize, height: u64 },
    TellHeads,
    NewEntry,
    Die { node: usize },
    Restart { node: usize },
}

pub struct Node {
    pub role: Role,
    pub id: MemberId,
    pub engine: Option<Engine>,
    pub ledger: TinyLedger,
    pub log: MemoryLog,
    life: u32,
    timers: BTreeMap<TimerId, u64>,
    skew_ms: u64,
    pub restarts: u32,
    faults: u64,
}

pub struct World {
    pub options: Options,
    pub nodes: Vec<Node>,
    pub registry: Registry,
    pub checks: Checks,
    pub now: u64,
    rng: Rng,
    events: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    trace: u64,
    entries: u64,
    pub messages: u64,
    pub synced: u64,
}

impl World {
    pub fn new(options: Options) -> Self {
        let total = options.validators + options.followers;
        let powers: Vec<u64> = (0..total).map(|i| if i < options.validators { 10 } else { 0 }).collect();
        let registry = registry(&powers);
        let mut rng = Rng(options.seed);
        let node = |index: usize| {
            let role = match index {
                _ if index >= options.validators => Role::Follower,
                _ if options.liar == Some(index) => Role::Liar,
                _ if options.silent == Some(index) => Role::Silent,
                _ => Role::Honest,
            };
            Node {
                role,
                id: id(index),
                engine: None,
                ledger: TinyLedger::new(registry.clone()),
                log: MemoryLog::default(),
                life: 0,
                timers: BTreeMap::new(),
                skew_ms: rng.range(0, 400),
                restarts: 0,
                faults: 0,
            }
        };
        let nodes = (0..total).map(node).collect();
        let mut world = Self {
            options,
            nodes,
            registry,
            checks: Checks::default(),
            now: 0,
            rng,
            events: BTreeMap::new(),
            sequence: 0,
            trace: 0xCBF2_9CE4_8422_2325,
            entries: 0,
            messages: 0,
            synced: 0,
        };
        for index in 0..total {
            world.at(1, Event::Restart { node: index });
        }
        world.at(50, Event::NewEntry);
        world.at(500, Event::TellHeads);
        if let Some(node) = world.options.crashing {
            let first = world.rng.range(100, 3_000);
            world.at(first, Event::Die { node });
        }
        world
    }

    /// Runs the faults, then requires that every honest node gets on. Panics where a promise is broken.
    pub fn run(mut self) -> Summary {
        while self.now < self.options.heal_ms {
            self.step();
        }
        let goal = self.lowest().max(self.highest()) + self.options.heights;
        let end = self.options.heal_ms + self.options.live_ms;
        while self.lowest() < goal {
            assert!(self.now < end, "no progress: {:?}, goal {goal}, {:?}", self.heights(), self.options);
            self.step();
        }
        let faults: u64 = self.nodes.iter().map(|n| n.faults).sum();
        assert_eq!(faults, 0, "the core reported faults: {:?}", self.options);
        Summary {
            trace: self.trace,
            height: self.lowest(),
            ended_ms: self.now,
            messages: self.messages,
            synced: self.synced,
            restarts: self.nodes.iter().map(|n| n.restarts).sum(),
            accusations: self.checks.accused.values().sum(),
            entries: self.nodes[0].ledger.entries_committed(),
        }
    }

    pub fn heights(&self) -> Vec<u64> {
        self.nodes.iter().map(|n| n.ledger.height()).collect()
    }

    fn lowest(&self) -> u64 {
        let counted = self.nodes.iter().filter(|n| n.role != Role::Liar);
        counted.map(|n| n.ledger.height()).min().unwrap()
    }

    fn highest(&self) -> u64 {
        self.heights().into_iter().max().unwrap()
    }

    fn at(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.events.insert((time, self.sequence), event);
    }

    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    fn healed(&self) -> bool {
        self.now >= self.options.heal_ms
    }

    /// Whether, and when, something sent now arrives. Twice where the link repeats it.
    fn arrivals(&mut self) -> Vec<u64> {
        let (loss, repeat, delay) = if self.healed() {
            (0, 0, self.options.delay_ms_max.min(50))
        } else {
            (self.options.loss_percent, self.options.repeat_percent, self.options.delay_ms_max)
        };
        let mut times = Vec::new();
        if !self.rng.chance(loss) {
            times.push(self.now + self.rng.range(1, delay + 1));
        }
        if self.rng.chance(repeat) {
            times.push(self.now + self.rng.range(1, 4 * delay + 1));
        }
        times
    }

    pub fn step(&mut self) {
        let ((time, sequence), event) = self.events.pop_first().expect("the network never ends");
        self.now = time;
        self.mix(&time.to_le_bytes());
        self.mix(&sequence.to_le_bytes());
        match event {
            Event::Message { to, from, bytes } => {
                self.messages += 1;
                self.mix(&bytes[bytes.len().saturating_sub(64)..]);
                let from = id(from);
                self.input(to, Input::Message { from, bytes: bytes.to_vec() });
            }
            Event::Timer { node, life, id, set } => {
                let n = &mut self.nodes[node];
                if n.life == life && n.timers.get(&id) == Some(&set) {
                    n.timers.remove(&id);
                    self.input(node, Input::TimerElapsed(id));
                }
            }
            Event::WantEntries { at, by, ids } => {
                let entries: Vec<_> = ids.iter().filter_map(|i| self.nodes[at].ledger.entry(i)).collect();
                self.transfer(Event::Entries { to: by, entries });
            }
            Event::Entries { to, entries } => {
                entries.into_iter().for_each(|e| self.nodes[to].ledger.add(e));
                self.input(to, Input::EntriesArrived);
            }
            Event::WantBlocks { at, by, from_height, count } => {
                let blocks = self.nodes[at].ledger.synced(from_height, count);
                self.transfer(Event::Blocks { to: by, from: at, blocks });
            }
            Event::Blocks { to, from, blocks } => {
                let blocks = blocks.iter().map(|b| SyncedBlock::decode(&b.encode()).unwrap()).collect();
                self.input(to, Input::Blocks { peer: id(from), blocks });
            }
            Event::Head { to, from, height } => {
                self.input(to, Input::PeerHead { peer: id(from), height });
            }
            Event::TellHeads => self.tell_heads(),
            Event::NewEntry => self.new_entry(),
            Event::Die { node } => {
                // It dies in the middle of what it does next: at one of the next operations of its log.
                let operations = self.rng.range(0, 12);
                self.nodes[node].log.dies_after = Some(u32::try_from(operations).unwrap());
            }
            Event::Restart { node } => self.restart(node),
        }
    }

    fn transfer(&mut self, event: Event) {
        if let Some(time) = self.arrivals().first() {
            self.at(*time, event);
        }
    }

    fn tell_heads(&mut self) {
        for from in 0..self.nodes.len() {
            let height = self.nodes[from].ledger.height();
            for to in (0..self.nodes.len()).filter(|to| *to != from) {
                self.transfer(Event::Head { to, from, height });
            }
        }
        self.at(self.now + 1_000, Event::TellHeads);
    }

    /// An entry reaches some nodes; the others learn of it from a block.
    fn new_entry(&mut self) {
        self.entries += 1;
        let entry = format!("entry {} of seed {}", self.entries, self.options.seed).into_bytes();
        for to in 0..self.nodes.len() {
            if self.rng.chance(20) {
                continue;
            }
            if let Some(time) = self.arrivals().first().copied() {
                self.at(time, Event::Entries { to, entries: vec![entry.clone()] });
            }
        }
        let pause = self.rng.range(1, 2 * self.options.entry_every_ms);
        self.at(self.now + pause, Event::NewEntry);
    }

    fn restart(&mut self, node: usize) {
        let n = &mut self.nodes[node];
        n.life += 1;
        n.restarts += u32::from(n.life > 1);
        n.timers.clear();
        let votes = n.role != Role::Follower;
        let signer = votes.then(|| Box::new(validator_key(node)) as Box<dyn Signer + Send>);
        let mut config = self.options.config.clone();
        if n.role == Role::Liar {
            // Its key signs behind its engine's back, which the engine would find out.
            config.recall_ms = 0;
        }
        n.engine = Some(Engine::new(config, self.registry.network(), id(node), signer));
        self.input(node, Input::Start);
    }

    fn die(&mut self, node: usize) {
        let n = &mut self.nodes[node];
        n.engine = None;
        n.ledger.crash();
        n.log.crash(&mut self.rng);
        let pause = self.rng.range(10, 4_000);
        self.at(self.now + pause, Event::Restart { node });
        let next = self.now + pause + self.rng.range(50, 4_000);
        if next < self.options.heal_ms {
            self.at(next, Event::Die { node });
        }
    }

    pub fn input(&mut self, node: usize, input: Input) {
        let n = &mut self.nodes[node];
        let Some(engine) = n.engine.as_mut() else {
            return;
        };
        let work = matches!(input, Input::EntriesArrived);
        let now = EPOCH_MS + self.now + n.skew_ms;
        let mut done = engine.handle(input, now, &mut n.ledger, &mut n.log);
        if work && done.is_ok() {
            let more = engine.handle(Input::WorkArrived, now, &mut n.ledger, &mut n.log);
            done = done.and_then(|first| more.map(|more| [first, more].concat()));
        }
        n.faults = n.faults.max(engine.core_faults());
        match done {
            Ok(effects) => {
                for effect in effects {
                    self.effect(node, effect);
                }
            }
            Err(EngineError::Log(LogError::Io(_))) => self.die(node),
            Err(e) => panic!("{}: {e:?} ({:?})", id(node), self.options),
        }
    }

    fn effect(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Broadcast(bytes) => self.broadcast(node, bytes),
            Effect::SetTimer { id, after_ms } => {
                self.at(self.now + after_ms, Event::Timer { node, life: self.nodes[node].life, id, set: 0 });
                let set = self.sequence;
                if let Some(Event::Timer { set: s, .. }) = self.events.get_mut(&(self.now + after_ms, set)) {
                    *s = set;
                }
                self.nodes[node].timers.insert(id, set);
            }
            Effect::CancelTimer(id) => {
                self.nodes[node].timers.remove(&id);
            }
            Effect::Committed { block, certificate, synced } => {
                self.synced += u64::from(synced);
                self.mix(block.id().as_bytes());
                self.checks.committed(&self.registry, &block, &certificate);
            }
            Effect::FetchEntries { ids, from } => {
                let at = self.index(&from);
                self.transfer(Event::WantEntries { at, by: node, ids });
            }
            Effect::RequestBlocks { peer, from_height, count } => {
                let at = self.index(&peer);
                self.transfer(Event::WantBlocks { at, by: node, from_height, count });
            }
            Effect::Misbehaviour(evidence) => {
                let liar = self.options.liar.map(id);
                self.checks.misbehaviour(&evidence, &self.registry, liar.as_ref());
            }
            Effect::Silenced(mark) => panic!("{} found a signature that it forgot: {mark:?}", id(node)),
            Effect::Refused { peer, reason } => panic!("{} refused {peer}: {reason}", id(node)),
        }
    }

    fn index(&self, member: &MemberId) -> usize {
        self.nodes.iter().position(|n| n.id == *member).unwrap()
    }

    fn broadcast(&mut self, node: usize, bytes: Vec<u8>) {
        let (role, me) = (self.nodes[node].role, id(node));
        if role == Role::Silent {
            return;
        }
        let mut twin = None;
        if role == Role::Liar {
            let network = self.registry.network();
            twin = liar::twin(&bytes, &network, &me, &validator_key(node), &mut self.rng).map(Rc::new);
        } else {
            self.checks.sent(&me, &bytes, &self.registry);
        }
        let bytes = Rc::new(bytes);
        for to in (0..self.nodes.len()).filter(|to| *to != node) {
            let mut copies = vec![bytes.clone()];
            if let Some(twin) = &twin {
                match self.rng.range(0, 3) {
                    0 => copies.push(twin.clone()),
                    1 => copies = vec![twin.clone()],
                    _ => {}
                }
            }
            for copy in copies {
                for time in self.arrivals() {
                    self.at(time, Event::Message { to, from: node, bytes: copy.clone() });
                }
            }
        }
    }
}
