//! `stemma key restore`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use stemma_keystore::paper::{CombineError, Phrase, PhraseError, Share, combine};
use stemma_keystore::{Purpose, SecretKey};
use zeroize::Zeroizing;

use super::import::read;
use super::{OutArgs, purpose_parser};
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::passphrase::PassphraseArgs;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads what `stemma key backup` wrote, or what was typed from it: words in either case, numbered or not, on any number of lines;
four letters of each will do. Shares know what the key is for; 24 words know it where the line Stemma-Purpose stands beside them.
The restored key is the same byte for byte, and its public key is compared with the one that the backup names.

Example:
  stemma key restore --words words.txt --out account.pem
  stemma key restore --share share-1-of-3.txt --share share-3-of-3.txt --out member.pem")]
pub(super) struct Args {
    /// File with the 24 words; `-` is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "shares")]
    words: Option<PathBuf>,
    /// File with a share; once for each
    #[arg(long = "share", value_name = "FILE", conflicts_with = "words")]
    shares: Vec<PathBuf>,
    /// What the key is for [default: what the backup says]
    #[arg(long, value_parser = purpose_parser())]
    purpose: Option<Purpose>,
    #[command(flatten)]
    out: OutArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    args.out.check()?;
    let key = match &args.words {
        Some(path) => from_words(path, args.purpose, output)?,
        None => from_shares(&args.shares, args.purpose, output)?,
    };
    args.out.write(&key, || args.passphrase.for_new_key(output), output)?;
    Ok(Exit::Yes.into())
}

fn from_words(path: &Path, purpose: Option<Purpose>, output: &Output) -> Result<SecretKey, CliError> {
    let failed = |error: PhraseError| {
        let failed = CliError::files(format!("cannot restore the key from {}", path.display())).caused_by(&error);
        match error {
            PhraseError::MissingPurpose => failed.help("say it with --purpose: validator, member, network or account"),
            PhraseError::WrongPurpose { found, .. } => failed.help(format!("restore it with --purpose {found}")),
            PhraseError::Words(_) | PhraseError::Checksum => {
                failed.help("compare the words with the paper, one by one")
            }
            _ => failed,
        }
    };
    let text = text(path, output)?;
    Phrase::parse(&text).and_then(|phrase| phrase.restore(purpose)).map_err(failed)
}

fn from_shares(paths: &[PathBuf], purpose: Option<Purpose>, output: &Output) -> Result<SecretKey, CliError> {
    let mut shares = Vec::new();
    for path in paths {
        let text = text(path, output)?;
        let share = Share::parse(&text).map_err(|error| {
            CliError::files(format!("{} can't be read as a share", path.display()))
                .caused_by(&error)
                .help("compare the words with the paper, one by one")
        })?;
        shares.push(share);
    }
    let key = combine(&shares).map_err(|error| not_together(paths, &shares, &error))?;
    match purpose {
        Some(expected) if expected != key.purpose() => {
            let found = key.purpose();
            let message = format!("these are shares of a key for the purpose {found}, not for {expected}");
            Err(CliError::usage(message).help(format!("leave out --purpose, or say --purpose {found}")))
        }
        _ => Ok(key),
    }
}

fn not_together(paths: &[PathBuf], shares: &[Share], error: &CombineError) -> CliError {
    let file = |place: usize| paths.get(place).map(|path| path.display().to_string()).unwrap_or_default();
    let failed = |message: String| CliError::files(message).caused_by(error);
    let indices = || shares.iter().map(|share| share.index().to_string()).collect::<Vec<_>>().join(", ");
    match error {
        CombineError::OtherKey { place, .. } => {
            failed(format!("{} is a share of another key than {}", file(*place), file(0)))
                .help("the lines Key-Id tell which shares belong together")
        }
        CombineError::OtherSet { place, .. } => {
            failed(format!("{} is from another backup than {}", file(*place), file(0)))
                .help("the lines Set tell which shares belong together")
        }
        CombineError::Twice { place, .. } => {
            failed(format!("{} is a share that is given already", file(*place))).help("give each share once")
        }
        CombineError::TooFew { threshold, found } => {
            let missing = usize::from(*threshold).saturating_sub(*found);
            failed("too few shares".to_owned())
                .help(format!("add {missing} more of this set; given so far: share {}", indices()))
        }
        CombineError::None | CombineError::KeyMismatch => failed("the shares don't restore the key".to_owned())
            .help("try other shares of the set: one that was made up can't be told from the others"),
    }
}

fn text(path: &Path, output: &Output) -> Result<Zeroizing<String>, CliError> {
    let mut bytes = read(path, output)?;
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        CliError::files(format!("{} is not text", path.display()))
    })
}
