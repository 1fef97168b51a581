//! What can go wrong, one enum per operation. `Display` says this layer's part; the cause is in `source`.

use std::io;
use std::path::PathBuf;

use crate::foreign::Form;
use crate::{KEY_FILE_BYTES_MAX, Purpose, UnknownPurpose, passphrase::PASSPHRASE_BYTES_MAX};

/// A key could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct GenerateError(#[source] pub(crate) getrandom::Error);

/// A key could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// No salt could be drawn.
    #[error("the operating system gave no randomness")]
    Random(#[source] getrandom::Error),
    /// The encryption library refused: our fault.
    #[error("the key could not be encrypted")]
    Encrypt(#[source] pkcs8::Error),
    /// The text form could not be made: our fault.
    #[error("the key could not be written as PEM")]
    Pem(#[source] pkcs8::der::Error),
}

/// A text is not the key that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No PEM block.
    #[error("no PEM block was found")]
    NoPem,
    /// Text, or a second block, after the PEM block.
    #[error("something follows the PEM block: a key file holds one key")]
    TrailingText,
    /// One of our lines stands there twice.
    #[error("the line {name} stands there twice")]
    DuplicateLine {
        /// Name of the line.
        name: &'static str,
    },
    /// The public key line is not 64 lower-case hexadecimal digits.
    #[error("the line Public-Key is not 64 lower-case hexadecimal digits")]
    MalformedPublicKey,
    /// No purpose line: a key that was not made for Stemma.
    #[error(
        "the file names no purpose: put `Stemma-Purpose: {expected}` on a line before the PEM block if that is what the key is for"
    )]
    MissingPurpose {
        /// What the caller wanted.
        expected: Purpose,
    },
    /// A purpose that we don't know.
    #[error("the purpose is not known")]
    UnknownPurpose(#[source] UnknownPurpose),
    /// A key for something else.
    #[error("this is a key for the purpose {found}, and one for {expected} is needed")]
    WrongPurpose {
        /// What the caller wanted.
        expected: Purpose,
        /// What the file says.
        found: Purpose,
    },
    /// A PEM block that is no private key in PKCS#8.
    #[error("the PEM block is {label:?}, not a PKCS#8 private key")]
    NotAPrivateKey {
        /// Its label.
        label: String,
    },
    /// The PEM block is malformed.
    #[error("the PEM block is malformed")]
    Pem(#[source] pkcs8::der::Error),
    /// The structure inside is malformed.
    #[error("the structure inside the PEM block is malformed")]
    Structure(#[source] pkcs8::Error),
    /// Not encrypted, and the caller did not allow that.
    #[error("the private key is not encrypted, and only encrypted ones are accepted here")]
    NotEncrypted,
    /// Encrypted, and the caller has no passphrase.
    #[error("the private key is encrypted: a passphrase is needed")]
    PassphraseNeeded,
    /// Encrypted in another way than ours.
    #[error(
        "the encryption is not PBES2 with scrypt and AES-256-CBC: convert the key with `openssl pkcs8 -topk8 -scrypt`"
    )]
    UnsupportedEncryption,
    /// Encrypted in a way that is neither ours nor one that is imported.
    #[error(
        "the encryption is not PBES2 with scrypt or PBKDF2 (SHA-2) and AES-CBC: convert the key with `openssl pkcs8 -topk8 -scrypt`"
    )]
    WeakEncryption,
    /// PBKDF2 runs beyond the limit, or none.
    #[error("PBKDF2 is run {iterations} times: from 1 to {iterations_max} are accepted")]
    Pbkdf2Limit {
        /// What the file asks for.
        iterations: u32,
        /// The limit.
        iterations_max: u32,
    },
    /// scrypt settings beyond the limits.
    #[error("the scrypt settings are invalid or too costly (N={n}, r={r}, p={p})")]
    ScryptLimits {
        /// Cost.
        n: u64,
        /// Block size.
        r: u16,
        /// Passes.
        p: u16,
    },
    /// It did not decrypt to a key.
    #[error("wrong passphrase, or the file is damaged")]
    WrongPassphrase,
    /// A private key of another algorithm.
    #[error("the private key is not an Ed25519 key")]
    NotEd25519,
    /// The key is not the one that the file announces.
    #[error(
        "the private key does not belong to the public key that the file names: the file is damaged or was altered"
    )]
    KeyMismatch,
}

/// A key file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// There is a file already.
    #[error("{} exists and is not overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Its folder could not be made or synchronised.
    #[error("cannot prepare the folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Anybody may put another file in its place.
    #[error("everybody could replace {}: the folder {} has mode {mode:04o}; run `chmod 700 {}` or choose another", path.display(), folder.display(), folder.display())]
    FolderOpenToAll {
        /// The file.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
        /// The folder's permission bits.
        mode: u32,
    },
    /// It could not be written. Whatever was there before is still there.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key could not be encoded.
    #[error("cannot encode the key for {}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EncodeError,
    },
}

/// A key file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system refused.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder, pipe or device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Others may read or write it.
    #[error("{} has mode {mode:04o} and is open to others: run `chmod 600 {}`", path.display(), path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Anybody may put another file in its place.
    #[error("everybody may replace {}: the folder {} has mode {mode:04o}; run `chmod 700 {}`", path.display(), folder.display(), folder.display())]
    FolderOpenToAll {
        /// The file.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
        /// The folder's permission bits.
        mode: u32,
    },
    /// Larger than any key file.
    #[error("{} is larger than {KEY_FILE_BYTES_MAX} bytes: not a key file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not UTF-8, so not PEM.
    #[error("{} is not text: a key file is PEM", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Not the key that was asked for.
    #[error("cannot use the key in {}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DecodeError,
    },
}

/// A passphrase could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// Nothing there, or an empty first line.
    #[error("the passphrase is empty")]
    Empty,
    /// Longer than OpenSSL takes.
    #[error("the passphrase is longer than {PASSPHRASE_BYTES_MAX} bytes")]
    TooLong,
    /// It could not be read.
    #[error("cannot read the passphrase from {}", path.display())]
    Read {
        /// Where from.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A key in another program's form could not be taken over. No text here repeats what was found: it may be secret.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Looks like no form that we know.
    #[error("this is no private key in a form that is known: PKCS#8 (PEM), OpenSSH, JWK, or the 32 bytes of a raw one")]
    UnknownForm,
    /// Not UTF-8.
    #[error("this is not text")]
    NotText,
    /// A raw key of another length.
    #[error("a raw key is 32 bytes, or 64 hexadecimal digits; found {found} bytes")]
    RawLength {
        /// What was found.
        found: usize,
    },
    /// Not PKCS#8, or not decrypted.
    #[error("the PKCS#8 file can't be used")]
    Pkcs8(#[source] DecodeError),
    /// Not OpenSSH's form. The library's error is no `std::error::Error` here, and so no source.
    #[error("the OpenSSH file can't be used: {0}")]
    OpenSsh(ssh_key::Error),
    /// bcrypt runs beyond the limit.
    #[error("bcrypt is run {rounds} times: at most {rounds_max} are accepted")]
    BcryptLimit {
        /// What the file asks for.
        rounds: u32,
        /// The limit.
        rounds_max: u32,
    },
    /// Not the JSON of a key.
    #[error("this is not the JSON of a key with kty, crv, x and d (line {line}, column {column})")]
    Json {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// A member of a JWK is malformed.
    #[error("the member {member:?} of the JWK is not 32 bytes in base64url without padding")]
    JwkMember {
        /// Its name.
        member: &'static str,
    },
    /// A JWK without `d`.
    #[error("the JWK holds a public key alone: the member \"d\" is missing")]
    JwkPublic,
    /// Encrypted, and there is no passphrase.
    #[error("the key is encrypted: a passphrase is needed")]
    PassphraseNeeded,
    /// It did not decrypt.
    #[error("wrong passphrase, or the file is damaged")]
    WrongPassphrase,
    /// A key of another algorithm.
    #[error("the key is not an Ed25519 key")]
    NotEd25519,
    /// The private and the public part are of two keys.
    #[error("the private key does not belong to the public key beside it: the file is damaged or was altered")]
    KeyMismatch,
    /// A key for something else.
    #[error("this is a key for the purpose {found}, and can't become one for {expected}")]
    WrongPurpose {
        /// What the caller wanted.
        expected: Purpose,
        /// What the file says.
        found: Purpose,
    },
    /// It says a purpose that we don't know.
    #[error("the purpose is not known")]
    UnknownPurpose(#[source] UnknownPurpose),
}

/// A key could not be written in another program's form.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The form knows no encryption.
    #[error("a key in the form {form} can't be encrypted")]
    CannotEncrypt {
        /// The form.
        form: Form,
    },
    /// No salt could be drawn.
    #[error("the operating system gave no randomness")]
    Random(#[source] getrandom::Error),
    /// PKCS#8 could not be made: our fault.
    #[error("the key could not be written as PKCS#8")]
    Pkcs8(#[source] EncodeError),
    /// PEM could not be made: our fault.
    #[error("the key could not be written as PEM")]
    Der(#[source] pkcs8::der::Error),
    /// OpenSSH's form could not be made: our fault.
    #[error("the key could not be written in the form of OpenSSH: {0}")]
    OpenSsh(ssh_key::Error),
}
