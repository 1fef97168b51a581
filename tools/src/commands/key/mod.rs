//! `stemma key`: make keys, show them, move them, keep copies of them, sign files with them.

mod backup;
mod export;
mod fingerprint;
mod import;
mod list;
mod new;
mod passwd;
mod report;
mod restore;
mod show;
mod sign;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use stemma_keystore::{Form, Purpose, ScryptCost, SecretKey, WriteError, write_key_file, write_plain_key_file};

use crate::error::CliError;
use crate::keys::no_core_dumps;
use crate::output::Output;

const HELP: &str = "\
A key has one purpose, which every program asks for: validator (votes), member (a member's records), network (a node's
connections), account (a customer's requests). Key files are PKCS#8, encrypted under a passphrase, mode 0600.

Example:
  stemma key new --purpose account --out account.pem
  stemma key show account.pem
  stemma key backup account.pem --threshold 2 --shares 3 --out safe/";

/// Arguments of `stemma key`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key and write it to a file
    New(new::Args),
    /// List the key files of folders
    List(list::Args),
    /// Show a key file's purpose and public key
    Show(show::Args),
    /// Print the fingerprint of a key, for people to compare
    Fingerprint(fingerprint::Args),
    /// Write a key, or its public part, for another program
    Export(export::Args),
    /// Take a key over from another program
    Import(import::Args),
    /// Change the passphrase of a key
    Passwd(passwd::Args),
    /// Sign a file
    Sign(sign::Args),
    /// Check the signature on a file
    Verify(verify::Args),
    /// Write a copy for a safe: 24 words, or shares of which some restore the key
    Backup(backup::Args),
    /// Make a key file again from 24 words, or from shares
    Restore(restore::Args),
}

/// Runs `stemma key`.
///
/// # Errors
/// The passphrase, the key or a file can't be had; [`CliError`] says what to do.
pub fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    no_core_dumps();
    match args.command {
        KeyCommand::New(args) => new::run(&args, output),
        KeyCommand::List(args) => list::run(&args, output),
        KeyCommand::Show(args) => show::run(&args, output),
        KeyCommand::Fingerprint(args) => fingerprint::run(&args, output),
        KeyCommand::Export(args) => export::run(&args, output),
        KeyCommand::Import(args) => import::run(&args, output),
        KeyCommand::Passwd(args) => passwd::run(&args, output),
        KeyCommand::Sign(args) => sign::run(&args, output),
        KeyCommand::Verify(args) => verify::run(&args, output),
        KeyCommand::Backup(args) => backup::run(&args, output),
        KeyCommand::Restore(args) => restore::run(&args, output),
    }
}

/// Where a key is written, and how.
#[derive(Debug, clap::Args)]
struct OutArgs {
    /// File to write; its folder is made if need be
    #[arg(long, value_name = "FILE")]
    out: std::path::PathBuf,
    /// Replace the file if it exists; what it held is lost
    #[arg(long)]
    force: bool,
    /// Do not encrypt the key: for trials, or a disk that is encrypted itself
    #[arg(long)]
    plain: bool,
}

impl OutArgs {
    /// Refuses early what would be refused late: before anybody thinks of a passphrase.
    fn check(&self) -> Result<(), CliError> {
        if !self.force && self.out.symlink_metadata().is_ok() {
            return Err(WriteError::Exists { path: self.out.clone() }.into());
        }
        Ok(())
    }

    /// Writes the key, encrypted unless it is to be plain.
    fn write(
        &self,
        key: &SecretKey,
        passphrase: impl FnOnce() -> Result<stemma_keystore::Passphrase, CliError>,
        output: &Output,
    ) -> Result<(), CliError> {
        if self.plain {
            output.warn("the key is written unencrypted: who can read the file can sign with it");
            write_plain_key_file(&self.out, key, self.force)?;
        } else {
            write_key_file(&self.out, key, &passphrase()?, ScryptCost::Standard, self.force)?;
            output.note("Keep the passphrase: without it the key is lost.");
        }
        warn_of_folder(&self.out, output);
        report::made(&self.out, key, output)
    }
}

/// Warns where the group may write the file's folder: its members could put another file there.
fn warn_of_folder(path: &std::path::Path, output: &Output) {
    use std::os::unix::fs::PermissionsExt;
    const GROUP_WRITE: u32 = 0o020;
    const STICKY: u32 = 0o1000;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let mode = folder.metadata().map(|folder| folder.permissions().mode()).unwrap_or_default();
    if mode & GROUP_WRITE != 0 && mode & STICKY == 0 {
        output.note(&format!(
            "The group may write the folder {}, and so replace the file: `chmod 700` it where that is not meant.",
            folder.display()
        ));
    }
}

fn purpose_parser() -> impl TypedValueParser<Value = Purpose> {
    PossibleValuesParser::new(Purpose::ALL.map(Purpose::as_str)).try_map(|name| name.parse::<Purpose>())
}

fn form_parser() -> impl TypedValueParser<Value = Form> {
    PossibleValuesParser::new(Form::ALL.map(Form::as_str)).try_map(|name| name.parse::<Form>())
}
