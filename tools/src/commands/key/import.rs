//! `stemma key import`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use stemma_keystore::{Form, ImportError, Passphrase, Purpose, foreign, read_bounded, read_secret};
use zeroize::Zeroizing;

use super::{OutArgs, form_parser, purpose_parser};
use crate::error::{CliError, Exit};
use crate::files;
use crate::output::Output;
use crate::passphrase::{PassphraseArgs, SourcePassphraseArgs};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads PKCS#8 (PEM, encrypted by scrypt or PBKDF2, or plain), OpenSSH, JWK (RFC 8037), and raw seeds (32 bytes, or 64
hexadecimal digits). Only Ed25519 keys are of use. A file that says what its key is for is imported for that purpose alone.

The passphrase of the new key file is taken from --passphrase-file, --passphrase-fd, STEMMA_PASSPHRASE or asked for twice; that
of the imported file from --source-passphrase-file, --source-passphrase-fd or asked for; off a terminal, it is that of the new.

Example:
  ssh-keygen -t ed25519 -f id_account
  stemma key import id_account --purpose account --out account.pem
  openssl genpkey -algorithm ed25519 -aes256 -out theirs.pem
  stemma key import theirs.pem --purpose member --out member.pem --passphrase-file pass.txt")]
pub(super) struct Args {
    /// The file to take over; `-` is standard input
    file: PathBuf,
    /// What the key is for [default: what the file says]
    #[arg(long, value_parser = purpose_parser())]
    purpose: Option<Purpose>,
    /// Form of the file [default: what it looks like]
    #[arg(long, value_parser = form_parser())]
    format: Option<Form>,
    #[command(flatten)]
    out: OutArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    source: SourcePassphraseArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    args.out.check()?;
    let bytes = read(&args.file, output)?;
    let named = |error: ImportError| failed(&args.file, &error);
    let form = args.format.map_or_else(|| Form::of(&bytes), Ok).map_err(named)?;
    let about = foreign::look_at(&bytes, form).map_err(named)?;
    let purpose = args.purpose.or(about.purpose).ok_or_else(|| {
        CliError::usage(format!("{} does not say what the key is for", args.file.display()))
            .help("say it with --purpose: validator, member, network or account")
    })?;
    if let Some(found) = about.purpose.filter(|found| *found != purpose) {
        return Err(named(ImportError::WrongPurpose { expected: purpose, found }));
    }
    let source = if about.is_encrypted { args.source.given_or_asked(&args.file, output)? } else { None };
    let mut new = if args.out.plain && !about.is_encrypted { None } else { args.passphrase.given(output)? };
    let unlock = source.as_ref().or(new.as_ref());
    let key = foreign::import(&bytes, form, unlock, purpose).map_err(named)?;
    let for_new = || new.take().map_or_else(|| args.passphrase.for_new_key(output), Ok::<Passphrase, CliError>);
    args.out.write(&key, for_new, output)?;
    Ok(Exit::Yes.into())
}

/// Reads what holds a key; warns where others may have read it, too.
pub(super) fn read(path: &Path, output: &Output) -> Result<Zeroizing<Vec<u8>>, CliError> {
    if files::is_stream(path) {
        return Ok(read_bounded(std::io::stdin().lock(), path)?);
    }
    let (bytes, mode) = read_secret(path)?;
    if mode & 0o077 != 0 {
        output.warn(&format!("{} has mode {mode:04o}: others may have read it", path.display()));
    }
    Ok(bytes)
}

fn failed(path: &Path, error: &ImportError) -> CliError {
    let failed = CliError::files(format!("cannot import {}", path.display())).caused_by(error);
    match error {
        ImportError::UnknownForm => failed.help("say what it is with --format: pkcs8, openssh, raw or jwk"),
        ImportError::PassphraseNeeded => failed.help("pass --source-passphrase-file FILE or --source-passphrase-fd N"),
        ImportError::WrongPassphrase => failed
            .help("check where its passphrase comes from: --source-passphrase-file, --source-passphrase-fd, or that of the new key"),
        ImportError::WrongPurpose { found, .. } => {
            failed.help(format!("import it with --purpose {found}, and make a key of its own for each other purpose"))
        }
        ImportError::JwkPublic => failed.help("export the private key, or name the public one where it is needed"),
        _ => failed,
    }
}
