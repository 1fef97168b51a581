//! `stemma genesis sign`.

use std::path::PathBuf;

use stemma_keystore::Purpose;

use super::{OutArgs, write_json};
use crate::error::CliError;
use crate::founding::{Draft, FounderSignature};
use crate::keys;
use crate::output::Output;
use crate::passphrase::PassphraseArgs;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Checks every entry of the draft, signs, and prints the BLAKE3 digest of what is signed: all founders must get the same. \
    With --digest nothing else is signed than what you compared.\n\n\
    Example:\n  stemma genesis show draft.json\n  stemma genesis sign draft.json --key member.pem --digest 4f1c… --out bank-a.sig"
)]
pub(super) struct Args {
    /// The draft
    draft: PathBuf,
    /// Key file of the founder's member key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Sign only if the digest is this one, on which the founders agreed
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    out: OutArgs,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let draft = Draft::read(&args.draft)?;
    let digest = draft.digest();
    if let Some(expected) = args.digest.as_ref().filter(|expected| expected.to_ascii_lowercase() != digest) {
        let message = format!("{} has the digest {digest}, not {expected}", args.draft.display());
        return Err(CliError::no(message).help("the founders compare their drafts with `stemma genesis show`"));
    }
    let key = keys::open(&args.key, Purpose::Member, &args.passphrase, output)?;
    let (founder, signed) = FounderSignature::sign(&draft, &key).ok_or_else(|| {
        CliError::usage(format!("the key in {} is no founder's member key in the draft", args.key.display()))
            .help("name the key file of a member key that stands in the draft")
    })?;
    output.note(&format!("Signed for {founder}."));
    write_json(&args.out, &signed, Some(digest), output)
}
