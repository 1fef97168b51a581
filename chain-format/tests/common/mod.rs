//! A small deterministic world: two banks, two institutions, an auditor, three customers. Fixed seeds, no clock.

#![allow(dead_code, reason = "each test crate uses a part of the world")]
#![allow(unused_imports, reason = "each test crate uses a part of the world")]

pub mod governed;
pub mod members;
pub mod positions;
pub mod proofs;
pub mod services;
pub mod trades;
pub mod world;

pub use members::{cash_of, founded, id, instrument_of, key, member_key, validator_key};
pub use proofs::certify;
pub use services::{ServicePlan, terms};
pub use trades::{Order, Plan, View, deal_of, entry_bytes, forge, trade_of};
pub use world::{Customer, World};

use stemma_chain_format::amount::{Amount, Price};

/// An amount of so many smallest units.
pub fn amount(units: i128) -> Amount {
    Amount::new(units).unwrap()
}

/// A price of `mantissa × 10^-scale` smallest units of cash.
pub fn price(mantissa: u64, scale: u8) -> Price {
    Price::new(mantissa, scale).unwrap()
}
