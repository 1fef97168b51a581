//! `stemma key`: make and show keys.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use stemma_keystore::{
    Purpose, ScryptCost, Unlock, generate, read_key_file, read_public, write_key_file, write_plain_key_file,
};

use crate::error::{CliError, Exit};
use crate::keys::fingerprint;
use crate::output::{Output, pairs};
use crate::passphrase::PassphraseArgs;

/// Arguments of `stemma key`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma key new --purpose account --out account.pem\n  stemma key show account.pem")]
pub struct Args {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key and write it to a file
    New(NewArgs),
    /// Show a key file's purpose and public key
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "The passphrase is taken from --passphrase-file, --passphrase-fd, \
                        STEMMA_PASSPHRASE, or asked for on the terminal.\n\n\
                        Example:\n  stemma key new --purpose account --out account.pem --passphrase-file pass.txt")]
struct NewArgs {
    /// What the key is for; one key has one purpose
    #[arg(long, value_parser = purpose_parser())]
    purpose: Purpose,
    /// File to write; its folder is made if need be
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists; the old key is lost
    #[arg(long)]
    force: bool,
    /// Do not encrypt the key: for trials, or a disk that is encrypted itself
    #[arg(long, conflicts_with_all = ["passphrase_file", "passphrase_fd"])]
    plain: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Without a passphrase the file's own words are shown, which anyone who may write the \
                        file can change. With one (--passphrase-file, --passphrase-fd or \
                        STEMMA_PASSPHRASE) the key is decrypted and the public key verified.\n\n\
                        Example:\n  stemma key show account.pem")]
struct ShowArgs {
    /// The key file
    file: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// What both commands print.
#[derive(Serialize)]
struct Report {
    purpose: Option<&'static str>,
    public_key: Option<String>,
    fingerprint: Option<String>,
    file: String,
    mode: String,
    encrypted: bool,
    /// Whether the public key is known to be that of the key inside.
    verified: bool,
}

/// Runs `stemma key`.
///
/// # Errors
/// The passphrase, the key or the file can't be had; [`CliError`] says what to do.
pub fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        KeyCommand::New(args) => new(&args, output)?,
        KeyCommand::Show(args) => show(&args, output)?,
    }
    Ok(Exit::Yes.into())
}

fn new(args: &NewArgs, output: &Output) -> Result<(), CliError> {
    if !args.force && args.out.symlink_metadata().is_ok() {
        // Told before anybody thinks of a passphrase.
        return Err(stemma_keystore::WriteError::Exists { path: args.out.clone() }.into());
    }
    let key = generate(args.purpose).map_err(|error| CliError::from_error(Exit::Failure, &error))?;
    if args.plain {
        output.warn("the key is written unencrypted: who can read the file can sign with it");
        write_plain_key_file(&args.out, &key, args.force)?;
    } else {
        let passphrase = args.passphrase.for_new_key(output)?;
        write_key_file(&args.out, &key, &passphrase, ScryptCost::Standard, args.force)?;
        output.note("Keep the passphrase: without it the key is lost.");
    }
    // Read back, so that what is reported is what the disk holds.
    let mode = read_public(&args.out)?.mode;
    let report = Report::new(&args.out, mode, !args.plain, Some(args.purpose), Some(key.public_key()), true);
    output.data(&report, &report.text())
}

fn show(args: &ShowArgs, output: &Output) -> Result<(), CliError> {
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
    let report = Report::new(
        &args.file,
        public.mode,
        public.is_encrypted,
        public.purpose,
        verified.or(public.public_key),
        verified.is_some(),
    );
    output.data(&report, &report.text())
}

impl Report {
    fn new(
        file: &Path,
        mode: u32,
        encrypted: bool,
        purpose: Option<Purpose>,
        public_key: Option<[u8; 32]>,
        verified: bool,
    ) -> Self {
        Self {
            purpose: purpose.map(Purpose::as_str),
            public_key: public_key.map(hex::encode),
            fingerprint: public_key.as_ref().map(fingerprint),
            file: file.display().to_string(),
            mode: format!("{mode:04o}"),
            encrypted,
            verified,
        }
    }

    fn text(&self) -> String {
        let or_unknown = |value: Option<&str>| value.unwrap_or("(the file does not say)").to_owned();
        let yes_or_no = |value: bool| if value { "yes" } else { "no" }.to_owned();
        pairs(&[
            ("Purpose", or_unknown(self.purpose)),
            ("Public key", or_unknown(self.public_key.as_deref())),
            ("Fingerprint", or_unknown(self.fingerprint.as_deref())),
            ("File", self.file.clone()),
            ("Mode", self.mode.clone()),
            ("Encrypted", yes_or_no(self.encrypted)),
            ("Verified", yes_or_no(self.verified)),
        ])
    }
}

fn purpose_parser() -> impl TypedValueParser<Value = Purpose> {
    PossibleValuesParser::new(Purpose::ALL.map(Purpose::as_str)).try_map(|name| name.parse::<Purpose>())
}
