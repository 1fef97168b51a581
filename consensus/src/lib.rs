//! Agreement on blocks, and catching up: what every node of a network does the same, given the same inputs.
//!
//! # Protocol
//! Blocks are decided one height at a time by the Tendermint algorithm (<https://arxiv.org/abs/1807.04938>), as
//! Malachite's core implements it; [`engine::Engine`] drives that core over the traits in [`ports`]. Inputs go in, effects
//! come out: the crate has no I/O, no clock, no task and no randomness, so a seeded simulation runs the very code that
//! nodes run. The caller owns sockets, disk, time and keys.
//!
//! A height goes like this. The validator whose turn it is ([`validators::ValidatorSet::proposer`]) asks the ledger for a
//! block and sends it whole inside a signed [`proposal::Proposal`]: ids of entries, not their bodies. Every validator
//! asks its ledger to judge it, fetches entries that it lacks, and prevotes for it or for nothing. A quorum of prevotes
//! leads to precommits, a quorum of precommits to the [`Certificate`](stemma_chain_format::certificate::Certificate)
//! that anyone verifies with chain-format alone. Time-outs move a height through rounds. The next height begins when
//! entries wait, when a validator begins it, or after [`config::Config::idle_ms`].
//!
//! A node that lags, or has no vote, takes certified blocks from peers ([`sync`]), one request at a time.
//!
//! # Properties
//! - Agreement: no two blocks become final at one height while less than a third of the voting power is faulty.
//! - Nothing is signed twice: every signature is preceded by a mark in the log ([`guard`]), flushed before any effect is
//!   handed out, and a contradicting one is refused, across restarts too. A restart replays the log to the votes it cast
//!   and sends these again ([`wal`]). A ledger older than its log does not vote before it has caught up.
//! - A log put back from an older copy is found out: a validator that starts asks the others for its own signatures, votes
//!   once a quorum answered, and never again with a key of which others hold a signature that its log lacks ([`recall`]).
//! - Liveness: once messages arrive within the time-outs, heights go on. Votes and round certificates are sent again until
//!   they do.
//! - Nothing is voted for unjudged: a block without all its entries, or refused by the ledger, gets no prevote.
//! - Hostile peers cost little: only validators are heard, signatures are checked before anything is kept or written,
//!   messages for later heights are few ([`engine::Input::Message`]), claimed heights are only compared.
//! - Contradictions are kept as [`evidence`] that proves itself.
//!
//! # Deviations
//! - The core runs with `ValuePayload::ProposalAndParts` although proposals carry their block: under `ProposalOnly` it
//!   takes a proposal for valid when it arrives, before the ledger has judged it.
//! - Certified blocks from peers are committed directly and the core is begun anew at the next height; they never enter the
//!   core, whose log does not hold them (Malachite issue 1445).
//! - Rounds go from a height's leader through the validators one by one, whatever their power.
//! - No vote extensions, no target time.

pub mod block;
pub mod codec;
pub mod config;
pub mod context;
mod early;
pub mod engine;
pub mod error;
pub mod evidence;
pub mod guard;
pub mod pool;
pub mod ports;
pub mod proposal;
pub mod recall;
pub mod state;
pub mod sync;
pub mod validators;
pub mod wal;
