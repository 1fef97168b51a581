//! `stemma key verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::MemberId;
use stemma_keystore::Purpose;

use super::purpose_parser;
use super::sign::{beside, digest};
use crate::error::{CliError, Exit};
use crate::file_signature::FileSignature;
use crate::node::read_genesis;
use crate::output::{Output, pairs};
use crate::{files, keys};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Whose signature it must be is named by --key, or by --member and --genesis: a signature alone says only that \
    somebody signed. Exit codes: 0 verified, 1 refuted, 3 a file can't be read. With --json, `verdict` is verified or \
    refuted.\n\n\
    Example:\n  stemma key verify rules.pdf --key 19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1\n  \
    stemma key verify rules.pdf --member bank-a --genesis genesis.stemma"
)]
pub(super) struct Args {
    /// The signed file; `-` is standard input
    file: PathBuf,
    /// The signature [default: FILE.sig]
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// The signer: a public key in hexadecimal, or a key file, of which only the public part is read
    #[arg(long, value_name = "KEY", required_unless_present = "member")]
    key: Option<String>,
    /// The signer: this member of the network, with its member key
    #[arg(long, value_name = "ID", requires = "genesis", conflicts_with_all = ["key", "purpose"])]
    member: Option<MemberId>,
    /// The network's genesis file, for --member
    #[arg(long, value_name = "FILE", env = "STEMMA_GENESIS")]
    genesis: Option<PathBuf>,
    /// What the signer's key must be for [default: what the key file says, or any]
    #[arg(long, value_parser = purpose_parser())]
    purpose: Option<Purpose>,
}

#[derive(Serialize)]
struct Report {
    verdict: &'static str,
    file: String,
    signature: String,
    purpose: &'static str,
    public_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    const SIGNATURE_BYTES_MAX: u64 = 4_096;
    let (key, purpose) = signer(args)?;
    let path = args.signature.clone().unwrap_or_else(|| beside(&args.file));
    let text = files::read_up_to(&path, SIGNATURE_BYTES_MAX)?;
    let signed = FileSignature::parse(&String::from_utf8_lossy(&text)).map_err(|error| {
        CliError::files(format!("{} is not a signature of `stemma key sign`", path.display())).caused_by(&error)
    })?;
    let verdict = signed.verify(digest(&args.file)?, key, purpose);
    let report = Report {
        verdict: if verdict.is_ok() { "verified" } else { "refuted" },
        file: args.file.display().to_string(),
        signature: path.display().to_string(),
        purpose: signed.purpose.as_str(),
        public_key: signed.key.to_string(),
        reason: verdict.as_ref().err().map(ToString::to_string),
    };
    let mut rows = vec![("Verdict", report.verdict.to_owned())];
    rows.extend(report.reason.clone().map(|reason| ("Reason", reason)));
    rows.extend([
        ("File", report.file.clone()),
        ("Signature", report.signature.clone()),
        ("Signed as", report.purpose.to_owned()),
        ("Public key", report.public_key.clone()),
    ]);
    output.data(&report, &pairs(&rows))?;
    Ok(if verdict.is_ok() { Exit::Yes } else { Exit::No }.into())
}

fn signer(args: &Args) -> Result<(PublicKey, Option<Purpose>), CliError> {
    match (&args.key, &args.member, &args.genesis) {
        (Some(key), _, _) => {
            let (key, purpose) = keys::public_key(key)?;
            Ok((key, args.purpose.or(purpose)))
        }
        (None, Some(id), Some(path)) => {
            let genesis = read_genesis(path)?;
            let members = &genesis.genesis().members;
            let member = members.iter().find(|member| member.id == *id).ok_or_else(|| {
                let known: Vec<&str> = members.iter().map(|member| member.id.as_str()).collect();
                CliError::usage(format!("{id} is no member of the network of {}", path.display()))
                    .help(format!("name one of its members: {}", known.join(", ")))
            })?;
            Ok((member.member_key, Some(Purpose::Member)))
        }
        _ => Err(CliError::usage("nobody is named whose signature it must be")
            .help("name the signer with --key, or with --member and --genesis")),
    }
}
