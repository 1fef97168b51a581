//! `stemma key show`.

use std::path::PathBuf;
use std::process::ExitCode;

use stemma_keystore::{Unlock, read_key_file, read_public};

use super::report::Report;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::passphrase::PassphraseArgs;

#[derive(Debug, clap::Args)]
#[command(after_help = "Without a passphrase the file's own words are shown, which anyone who may write the \
                        file can change. With one (--passphrase-file, --passphrase-fd or \
                        STEMMA_PASSPHRASE) the key is decrypted and the public key verified.\n\n\
                        Example:\n  stemma key show account.pem")]
pub(super) struct Args {
    /// The key file
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    let public = read_public(&args.file)?;
    let passphrase = if public.is_encrypted { args.passphrase.given(output)? } else { None };
    let is_open_to_others = public.mode & 0o077 != 0;
    let unlock = match &passphrase {
        Some(passphrase) => Some(Unlock::Passphrase(passphrase)),
        None if public.is_encrypted || is_open_to_others => None,
        None => Some(Unlock::AllowPlain),
    };
    let verified = match (unlock, public.purpose) {
        (Some(unlock), Some(purpose)) => Some(read_key_file(&args.file, unlock, purpose)?.public_key()),
        _ => None,
    };
    if !public.is_encrypted {
        output.warn("the key is not encrypted");
    }
    if is_open_to_others {
        output.warn(&format!(
            "the file is open to others and no program will use it: run `chmod 600 {}`",
            args.file.display()
        ));
    }
    if verified.is_none() {
        output.note("Not verified: these are the file's own words.");
    }
    let public_key = verified.or(public.public_key);
    let report = Report::new(&args.file, &public, public.purpose, public_key, verified.is_some());
    output.data(&report, &report.text())?;
    Ok(Exit::Yes.into())
}
