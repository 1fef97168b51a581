//! `stemma key passwd`.

use std::path::PathBuf;
use std::process::ExitCode;

use stemma_keystore::{DecodeError, ReadError, ScryptCost, read_public, write_key_file, write_plain_key_file};

use super::report;
use crate::error::{CliError, Exit};
use crate::keys;
use crate::output::Output;
use crate::passphrase::{NewPassphraseArgs, PassphraseArgs};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The old passphrase is taken from --passphrase-file, --passphrase-fd, STEMMA_PASSPHRASE or asked for; the new one \
    from --new-passphrase-file, --new-passphrase-fd, STEMMA_NEW_PASSPHRASE or asked for twice. The file is replaced whole or \
    not at all. Copies of the old file still open with the old passphrase.\n\n\
    Example:\n  stemma key passwd account.pem\n  \
    stemma key passwd account.pem --passphrase-file old.txt --new-passphrase-file new.txt"
)]
pub(super) struct Args {
    /// The key file
    file: PathBuf,
    /// Write the key unencrypted
    #[arg(long, conflicts_with_all = ["new_passphrase_file", "new_passphrase_fd"])]
    plain: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    new: NewPassphraseArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    let public = read_public(&args.file)?;
    let purpose = public.purpose.ok_or_else(|| {
        CliError::files(format!("{} names no purpose", args.file.display()))
            .help("take it over with `stemma key import --purpose PURPOSE`")
    })?;
    let key = keys::open(&args.file, purpose, &args.passphrase, output)?;
    if args.plain {
        output.warn("the key is written unencrypted: who can read the file can sign with it");
        write_plain_key_file(&args.file, &key, true)?;
    } else {
        let passphrase = args.new.required(output)?;
        write_key_file(&args.file, &key, &passphrase, ScryptCost::Standard, true)?;
        // Opened once more, so that nobody finds out later that the file can't be.
        let read = stemma_keystore::read_key_file(&args.file, &passphrase, purpose)?;
        if read.public_key() != key.public_key() {
            let source = DecodeError::KeyMismatch;
            return Err(ReadError::Decode { path: args.file.clone(), source }.into());
        }
        output.note("Keep the new passphrase: without it the key is lost.");
    }
    report::made(&args.file, &key, output)?;
    Ok(Exit::Yes.into())
}
