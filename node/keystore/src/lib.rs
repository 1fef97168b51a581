//! The only code that reads or writes private keys.
//!
//! # The file
//!
//! A key file is PEM (RFC 7468) with two lines of explanatory text before it:
//!
//! ```text
//! Stemma-Purpose: validator
//! Public-Key: 19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1
//! -----BEGIN ENCRYPTED PRIVATE KEY-----
//! …
//! -----END ENCRYPTED PRIVATE KEY-----
//! ```
//!
//! Inside is PKCS#8 version 1 (RFC 8410), encrypted by PBES2 with scrypt and AES-256-CBC. OpenSSL 3
//! skips the two lines and reads the rest: `openssl pkey -in FILE -text`. Other lines before the PEM
//! are allowed and ignored, as RFC 7468 asks; nothing may follow it.
//!
//! # What it promises, and what not
//!
//! - Seeds come from the operating system's randomness, and are wiped from memory when dropped.
//! - Files are mode 0600, written whole or not at all, and never replaced unless asked to; a file
//!   that others may read is refused.
//! - A file in a folder in which everybody may replace it is neither written nor used. Folders that are made here are 0700.
//! - The purpose keeps honest programs from mixing keys up. **It is not authenticated**: who may
//!   write the file may change that line. What a key may sign is decided by the ledger's registry,
//!   and what a signature means by its domain, never by this line.
//! - The public key line is not authenticated either, until the key is decrypted: then the two are
//!   compared. PBES2 has no authentication tag, so this comparison is also what finds a damaged
//!   seed. A file without the line (one made by OpenSSL) is read without that comparison.
//! - A wrong passphrase and a damaged file can't be told apart in every case; the error says so.
//!
//! # Other forms
//!
//! [`foreign`] takes keys over from other programs and hands them to these; [`paper`] writes them as words for a safe, whole or as
//! shares.
//!
//! # The cost of a guess
//!
//! [`ScryptCost::Standard`] is N = 2^14, r = 8, p = 5: of OWASP's equivalent settings, the one that
//! fits the 32 MiB to which OpenSSL 3 limits scrypt. N = 2^15 with r = 8 does not: OpenSSL stops with
//! "memory limit exceeded". [`ScryptCost::Trial`] is N = 2^12, p = 1, so that a sandbox with a
//! hundred keys starts at once; it is for keys that protect nothing.
//!
//! Reading accepts other scrypt settings up to a limit, so that a hostile file can neither
//! exhaust memory nor hold a program up for minutes.

mod decode;
mod encode;
mod envelope;
mod error;
mod file;
pub mod foreign;
pub mod paper;
pub mod passphrase;
mod purpose;
mod random;
mod scrypt;
mod secret;

pub use decode::{Unlock, decode_pem};
pub use encode::{encode_encrypted_pem, encode_plain_pem};
pub use error::{
    DecodeError, EncodeError, ExportError, GenerateError, ImportError, PassphraseError, ReadError, WriteError,
};
pub use file::{
    KEY_FILE_BYTES_MAX, PublicPart, read_bounded, read_key_file, read_public, read_secret, write_key_file,
    write_plain_key_file, write_secret,
};
pub use foreign::Form;
pub use passphrase::Passphrase;
pub use purpose::{Purpose, UnknownPurpose};
pub use scrypt::ScryptCost;
pub use secret::{SecretKey, fingerprint, generate};
