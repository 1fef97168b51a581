//! Networks of real processes for the tests of the whole system: started, disturbed, asked, stopped.
//!
//! | module | what it gives |
//! |---|---|
//! | [`network`] | two banks, two institutions and an auditor as processes, listed, opened and funded |
//! | [`process`] | one of them: killed, frozen, started again |
//! | [`customer`] | one customer's side: orders signed with the customer's own key |
//! | [`proxy`] | a link that is slow, narrow, lossy, cut and healed |
//! | [`load`] | customers who trade while something is done to the network |
//! | [`books`] | what accounts must hold, computed from what was executed |
//! | [`back_office`] | an institution's own system as a process, which fails, hangs, repeats itself and answers late |
//! | [`positions`] | the same network with a fund that is priced forward, and a future |
//! | [`collector`] | a collector of traces (OTLP over HTTP) |
//! | [`command`] | `stemma-node`'s commands, run as an operator runs them |
//! | [`governance`] | what members resolve, by the commands that their people type |
//! | [`proof`] | what nodes prove of accounts, verified by both implementations |
//! | [`liar`] | a node that shows a block of its own |
//! | [`keys`] | the members' keys |
//! | [`python`] | the second implementation, where this machine can run it |
//! | [`binaries`], [`slot`], [`ports`], [`wait`] | where programs lie, how many networks run at once, on which ports, and waiting |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

pub mod back_office;
pub mod binaries;
pub mod books;
pub mod collector;
pub mod command;
pub mod customer;
pub mod governance;
pub mod keys;
pub mod liar;
pub mod load;
pub mod network;
pub mod ports;
pub mod positions;
pub mod process;
pub mod proof;
pub mod proxy;
pub mod python;
pub mod slot;
pub mod wait;
