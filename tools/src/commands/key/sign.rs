//! `stemma key sign`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use stemma_keystore::read_public;

use crate::error::{CliError, Exit};
use crate::file_signature::{Digest, FileSignature};
use crate::output::{Output, pairs};
use crate::passphrase::PassphraseArgs;
use crate::{files, keys};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The signature is a text of six lines beside the file: FILE.sig unless --out names another. It names the key's \
    purpose, and is good for nothing but this file: no record, vote or handshake (tools/FORMATS.md).\n\n\
    Example:\n  stemma key sign rules.pdf --key member.pem\n  stemma key verify rules.pdf --key 19bf…"
)]
pub(super) struct Args {
    /// The file to sign; `-` is standard input
    file: PathBuf,
    /// Key file; of any purpose
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File to write, or `-` for standard output [default: FILE.sig]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the signature file if it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

#[derive(Serialize)]
struct Report {
    file: String,
    signature: String,
    purpose: &'static str,
    public_key: String,
    size: u64,
    blake3: String,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    let out = match &args.out {
        Some(out) => out.clone(),
        None if files::is_stream(&args.file) => PathBuf::from("-"),
        None => beside(&args.file),
    };
    let purpose = read_public(&args.key)?.purpose.ok_or_else(|| {
        CliError::files(format!("{} names no purpose", args.key.display()))
            .help("take it over with `stemma key import --purpose PURPOSE`")
    })?;
    let digest = digest(&args.file)?;
    let key = keys::open(&args.key, purpose, &args.passphrase, output)?;
    let signed = FileSignature::sign(&key, digest);
    files::write(&out, signed.text().as_bytes(), files::MODE_PUBLIC, args.force)?;
    if !files::is_stream(&out) {
        let report = Report {
            file: args.file.display().to_string(),
            signature: out.display().to_string(),
            purpose: purpose.as_str(),
            public_key: signed.key.to_string(),
            size: digest.size,
            blake3: hex::encode(digest.blake3),
        };
        let text = pairs(&[
            ("File", report.file.clone()),
            ("Signature", report.signature.clone()),
            ("Signed as", report.purpose.to_owned()),
            ("Public key", report.public_key.clone()),
            ("BLAKE3", report.blake3.clone()),
        ]);
        output.data(&report, &text)?;
    }
    Ok(Exit::Yes.into())
}

/// The signature file of a file: its name with `.sig`.
pub(super) fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

/// The digest of a file of any size, or of standard input.
pub(super) fn digest(path: &Path) -> Result<Digest, CliError> {
    let read = if files::is_stream(path) {
        Digest::of(std::io::stdin().lock())
    } else {
        File::open(path).and_then(Digest::of)
    };
    read.map_err(|error| CliError::files(format!("cannot read {}", path.display())).caused_by(&error))
}
