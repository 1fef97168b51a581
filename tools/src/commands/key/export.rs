//! `stemma key export`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use stemma_keystore::{Form, Passphrase, foreign, read_public, write_secret};
use zeroize::Zeroizing;

use super::form_parser;
use crate::error::{CliError, Exit};
use crate::output::{Output, pairs};
use crate::passphrase::{NewPassphraseArgs, PassphraseArgs};
use crate::{files, keys};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
pkcs8    PEM (RFC 8410), for openssl and most libraries
openssh  for ssh-keygen, ssh-add and git; with --public a line of authorized_keys
raw      32 bytes: the seed, or with --public the public key
jwk      JSON Web Key (RFC 8037)

A private key is written encrypted (pkcs8, openssh), under the new passphrase where one is given and else under that of
the key file. raw and jwk know no encryption: they need --plain.

Example:
  stemma key export account.pem --format openssh --out id_account
  stemma key export account.pem --format jwk --public --out -")]
pub(super) struct Args {
    /// The key file
    file: PathBuf,
    /// Form to write
    #[arg(long, value_parser = form_parser())]
    format: Form,
    /// Write the public key alone; no passphrase is needed
    #[arg(long)]
    public: bool,
    /// Write the private key unencrypted
    #[arg(long, conflicts_with_all = ["public", "new_passphrase_file", "new_passphrase_fd"])]
    plain: bool,
    /// File to write; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    new: NewPassphraseArgs,
}

#[derive(Serialize)]
struct Report {
    file: String,
    format: &'static str,
    public_key: String,
    fingerprint: String,
    private: bool,
    encrypted: bool,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    if args.public { public(args, output) } else { private(args, output) }?;
    Ok(Exit::Yes.into())
}

fn public(args: &Args, output: &Output) -> Result<(), CliError> {
    let file = args.file.display().to_string();
    let (key, purpose) = keys::public_key(&file)?;
    let written = foreign::export_public(&key.0, args.format, purpose)
        .map_err(|error| CliError::from_error(Exit::Failure, &error))?;
    files::write(&args.out, &written, files::MODE_PUBLIC, args.force)?;
    args.report(&key.0, false, output)
}

fn private(args: &Args, output: &Output) -> Result<(), CliError> {
    if !args.plain && !args.format.can_encrypt() {
        return Err(CliError::usage(format!("a key in the form {} can't be encrypted", args.format))
            .help("add --plain if that is meant, or choose pkcs8 or openssh"));
    }
    let public = read_public(&args.file)?;
    let purpose = public.purpose.ok_or_else(|| {
        CliError::files(format!("{} names no purpose", args.file.display()))
            .help("take it over with `stemma key import --purpose PURPOSE`")
    })?;
    let given = if public.is_encrypted { Some(args.passphrase.for_key(&args.file, output)?) } else { None };
    let key = match &given {
        Some(passphrase) => stemma_keystore::read_key_file(&args.file, passphrase, purpose)?,
        None => keys::open(&args.file, purpose, &args.passphrase, output)?,
    };
    let passphrase = new_passphrase(args, given, output)?;
    let written = foreign::export(&key, args.format, passphrase.as_ref())
        .map_err(|error| CliError::from_error(Exit::Failure, &error))?;
    if passphrase.is_none() {
        output.warn("the key is written unencrypted: who can read it can sign with it");
    }
    write(&args.out, &written, args.force)?;
    args.report(&key.public_key(), true, output)
}

/// What the export is encrypted under: a new passphrase where there is one, or else the key file's own.
fn new_passphrase(args: &Args, old: Option<Passphrase>, output: &Output) -> Result<Option<Passphrase>, CliError> {
    if args.plain {
        return Ok(None);
    }
    match (args.new.given(output)?, old) {
        (Some(new), _) => Ok(Some(new)),
        (None, Some(old)) => Ok(Some(old)),
        (None, None) => args.new.required(output).map(Some),
    }
}

/// Writes what is secret: to a file of mode 0600, or to standard output.
pub(super) fn write(path: &Path, bytes: &Zeroizing<Vec<u8>>, force: bool) -> Result<(), CliError> {
    if !files::is_stream(path) {
        return Ok(write_secret(path, bytes, force)?);
    }
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(bytes)
        .and_then(|()| stdout.flush())
        .map_err(|error| CliError::files("cannot write to standard output").caused_by(&error))
}

impl Args {
    fn report(&self, public_key: &[u8; 32], private: bool, output: &Output) -> Result<(), CliError> {
        if files::is_stream(&self.out) {
            // Standard output holds the key itself.
            return Ok(());
        }
        let report = Report {
            file: self.out.display().to_string(),
            format: self.format.as_str(),
            public_key: hex::encode(public_key),
            fingerprint: keys::fingerprint(public_key),
            private,
            encrypted: private && !self.plain,
        };
        let holds = match (private, report.encrypted) {
            (false, _) => "the public key",
            (true, true) => "the private key, encrypted",
            (true, false) => "the private key, not encrypted",
        };
        let text = pairs(&[
            ("File", report.file.clone()),
            ("Holds", holds.to_owned()),
            ("Format", report.format.to_owned()),
            ("Public key", report.public_key.clone()),
            ("Fingerprint", report.fingerprint.clone()),
        ]);
        output.data(&report, &text)
    }
}
