//! Forming a network: organisations that do not trust one machine agree on one genesis.
//!
//! 1. Each makes its keys and a signed entry ([`crate::member_entry`]).
//! 2. One puts the entries into a [`Draft`], with the parameters. A draft holds the entries as they were signed, so everybody checks all of
//!    them, and who wrote the draft is trusted with nothing.
//! 3. Each looks at the draft, compares the digest with the others over another channel, and signs it ([`FounderSignature`]).
//! 4. Anyone joins the signatures ([`assemble`]). The genesis is valid with those of all founders alone.
//!
//! [`home`] makes the folders of nodes, for networks that are made in one go: the sandbox, and `stemma testnet`.

pub mod home;
pub mod parameters;

mod draft;
mod signature;

pub use self::draft::{Draft, DraftJson, digest};
pub use self::parameters::{PARAMETERS, Parameter, ParametersJson};
pub use self::signature::{FounderSignature, assemble};

use std::path::Path;

use serde::Deserialize;

use crate::error::CliError;
use crate::files;

/// The largest file of this kind that is read: 256 entries, and room.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads a file of JSON, which must be what it is taken for.
fn read_json<T: for<'de> Deserialize<'de>>(path: &Path, what: &str) -> Result<T, CliError> {
    files::read_json(path, BYTES_MAX, what)
}
