//! The format of Stemma: records, their encoding and signatures, and what makes them valid.
//!
//! A trade is three signed, hash-linked stages: a customer's [`request`], the bank's [`endorsement`], the institution's
//! [`execution`]. A block orders such chains and the records around them ([`chain`]); its [`header`] commits to them and to the
//! state after it, and a [`certificate`] makes it final. Holdings are never stored as truth: they are what validating an
//! account's [`lineage`] gives. A [`bundle`] proves all that offline, against the genesis file alone.
//!
//! Properties: one value has one encoding ([`cbor`]); one signature has one verdict, alone or in a batch ([`keys`]); each money
//! rule is enforced in one place ([`invariants`]); nothing here does I/O, reads a clock or draws random numbers, so nodes,
//! tools and simulations run the very same code.
//!
//! The specification stands in `spec/`, the records as CDDL in `spec/stemma.cddl` and `spec/bundle.cddl`.

pub mod limits;

pub mod canonical;
pub mod cbor;
pub mod cose;
pub mod cosign;
pub mod hash;
pub mod keys;

pub mod amount;
pub mod holdings;
pub mod hours;
pub mod isin;

pub mod genesis;
pub mod governance;
pub mod member;
pub mod registry;
pub mod trust;

pub mod account;
pub mod announcement;
pub mod dealing;
pub mod endorsement;
pub mod execution;
pub mod instruction;
pub mod instrument;
pub mod issuance;
pub mod listing;
pub mod position;
pub mod promotion;
pub mod record;
pub mod referral;
pub mod refusal;
pub mod request;
pub mod servicing;
pub mod settlement;

pub mod chain;
pub mod invariants;
pub mod ledger;
pub mod lineage;
pub mod validate;

pub mod certificate;
pub mod header;
pub mod merkle;

pub mod bundle;
pub mod snapshot;

pub mod error;
