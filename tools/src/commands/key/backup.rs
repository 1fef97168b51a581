//! `stemma key backup`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use stemma_keystore::paper::{Phrase, split};
use stemma_keystore::{SecretKey, read_public};
use zeroize::Zeroizing;

use super::export::write;
use crate::error::{CliError, Exit};
use crate::output::{Output, pairs};
use crate::passphrase::PassphraseArgs;
use crate::{files, keys};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without --shares, the key is written as 24 words (BIP39): who has them has the key, without any passphrase. With them, it is split
into shares of 35 words each, one file for each; any --threshold of them restore the key, fewer say nothing about it. Print the
files or copy them by hand, keep them apart, delete the files, and try `stemma key restore` before you rely on them.

Example:
  stemma key backup account.pem --out words.txt
  stemma key backup member.pem --threshold 2 --shares 3 --out shares/")]
pub(super) struct Args {
    /// The key file
    file: PathBuf,
    /// How many shares to make
    #[arg(long, value_name = "N", requires = "threshold")]
    shares: Option<u8>,
    /// How many of them restore the key
    #[arg(long, value_name = "M", requires = "shares")]
    threshold: Option<u8>,
    /// File for the words, or folder for the shares; `-` is standard output
    #[arg(long, value_name = "FILE_OR_DIR")]
    out: PathBuf,
    /// Replace files that exist
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

#[derive(Serialize)]
struct Report {
    files: Vec<String>,
    purpose: &'static str,
    public_key: String,
    fingerprint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    let purpose = read_public(&args.file)?.purpose.ok_or_else(|| {
        CliError::files(format!("{} names no purpose", args.file.display()))
            .help("take it over with `stemma key import --purpose PURPOSE`")
    })?;
    let key = keys::open(&args.file, purpose, &args.passphrase, output)?;
    match (args.threshold, args.shares) {
        (Some(threshold), Some(count)) => shares(args, &key, threshold, count, output)?,
        _ => words(args, &key, output)?,
    }
    Ok(Exit::Yes.into())
}

fn words(args: &Args, key: &SecretKey, output: &Output) -> Result<(), CliError> {
    let text = Phrase::of(key).text();
    write(&args.out, &Zeroizing::new(text.as_bytes().to_vec()), args.force)?;
    output.warn("the 24 words are the key itself, without a passphrase: keep them where nobody else comes");
    report(args, key, vec![args.out.display().to_string()], None, output)
}

fn shares(args: &Args, key: &SecretKey, threshold: u8, count: u8, output: &Output) -> Result<(), CliError> {
    let shares = split(key, threshold, count).map_err(|error| CliError::from_error(Exit::Usage, &error))?;
    let is_stream = files::is_stream(&args.out);
    let mut written = Vec::new();
    for share in &shares {
        let path = if is_stream { args.out.clone() } else { file_of(&args.out, share.index(), count) };
        if !args.force && !is_stream && path.symlink_metadata().is_ok() {
            return Err(stemma_keystore::WriteError::Exists { path }.into());
        }
        written.push(path);
    }
    for (share, path) in shares.iter().zip(&written) {
        let mut text = Zeroizing::new(share.text().as_bytes().to_vec());
        if is_stream {
            text.push(b'\n');
        }
        write(path, &text, args.force)?;
    }
    output.note(&format!("Keep the shares apart: any {threshold} of the {count} are the key, without a passphrase."));
    let set = shares.first().map(|share| (threshold, share.set()));
    report(args, key, written.iter().map(|path| path.display().to_string()).collect(), set, output)
}

fn file_of(folder: &Path, index: u8, count: u8) -> PathBuf {
    folder.join(format!("share-{index}-of-{count}.txt"))
}

fn report(
    args: &Args,
    key: &SecretKey,
    files: Vec<String>,
    set: Option<(u8, String)>,
    output: &Output,
) -> Result<(), CliError> {
    if files::is_stream(&args.out) {
        // Standard output holds the words themselves.
        return Ok(());
    }
    let public_key = key.public_key();
    let (threshold, set) = set.unzip();
    let report = Report {
        files,
        purpose: key.purpose().as_str(),
        public_key: hex::encode(public_key),
        fingerprint: keys::fingerprint(&public_key),
        threshold,
        set,
    };
    let mut rows: Vec<(&str, String)> = report.files.iter().map(|file| ("File", file.clone())).collect();
    rows.extend([
        ("Purpose", report.purpose.to_owned()),
        ("Public key", report.public_key.clone()),
        ("Fingerprint", report.fingerprint.clone()),
    ]);
    rows.extend(
        report.threshold.map(|threshold| ("Restored by", format!("any {threshold} of {}", report.files.len()))),
    );
    rows.extend(report.set.clone().map(|set| ("Set", set)));
    output.data(&report, &pairs(&rows))
}
