//! `stemma key new`.

use std::process::ExitCode;

use stemma_keystore::{Purpose, generate};

use super::{OutArgs, purpose_parser};
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::passphrase::PassphraseArgs;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The passphrase is taken from --passphrase-file, --passphrase-fd, STEMMA_PASSPHRASE, or asked for \
    twice on the terminal.\n\n\
    Example:\n  stemma key new --purpose account --out account.pem --passphrase-file pass.txt"
)]
pub(super) struct Args {
    /// What the key is for; one key has one purpose
    #[arg(long, value_parser = purpose_parser())]
    purpose: Purpose,
    #[command(flatten)]
    out: OutArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    if args.out.plain && (args.passphrase.passphrase_file.is_some() || args.passphrase.passphrase_fd.is_some()) {
        return Err(CliError::usage("--plain makes a key without a passphrase, and one is given")
            .help("leave out --plain, or the passphrase"));
    }
    args.out.check()?;
    let key = generate(args.purpose).map_err(|error| CliError::from_error(Exit::Failure, &error))?;
    args.out.write(&key, || args.passphrase.for_new_key(output), output)?;
    Ok(Exit::Yes.into())
}
