//! A network of engines in one thread: one map of (time, sequence) → event, one seeded generator, checkers after each
//! step. The engines are the very ones that nodes run.
#![allow(dead_code, missing_docs)]

pub mod app;
pub mod checks;
pub mod genesis;
pub mod liar;
pub mod log;
pub mod network;
pub mod options;
pub mod rng;
pub mod solo;

#[allow(unused_imports)]
pub use self::{
    network::World,
    options::{Options, Summary},
};
