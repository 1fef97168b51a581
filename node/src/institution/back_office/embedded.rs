//! The node as its own back office, the default: what was judged is carried out by signing it, and the book is written with the
//! block. There is nothing to wait for, and nothing to release.

use stemma_chain_format::hash::Link;

use super::{Asked, BackOffice, Conclusion, Fill, Instruction, Ticket, Told, Verdict};

/// Says yes at once.
#[derive(Debug)]
pub(super) struct Embedded;

impl BackOffice for Embedded {
    fn execute(&mut self, instruction: &Instruction, _now_ms: u64) -> Asked {
        Asked::Decided(Verdict::Filled(Fill::of(instruction)))
    }

    fn conclude(&mut self, _key: Link, _conclusion: Conclusion, _now_ms: u64) -> Told {
        Told::Now
    }

    fn tell(&mut self, _settled: &Ticket, _now_ms: u64) -> Told {
        Told::Now
    }
}
