//! `stemma key fingerprint`.

use std::process::ExitCode;

use serde::Serialize;
use stemma_keystore::{Purpose, foreign::ssh_fingerprint};

use crate::error::{CliError, Exit};
use crate::keys;
use crate::output::Output;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The fingerprint is the BLAKE3 of the public key's 32 bytes: `stemma key export --public --format raw` and b3sum \
    give the same. --ssh prints what `ssh-keygen -l` prints.\n\n\
    Example:\n  stemma key fingerprint account.pem\n  \
    stemma key fingerprint 19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
)]
pub(super) struct Args {
    /// A key file, or a public key in hexadecimal
    #[arg(value_name = "FILE_OR_KEY")]
    key: String,
    /// Print the fingerprint of OpenSSH (SHA256:…)
    #[arg(long)]
    ssh: bool,
}

#[derive(Serialize)]
struct Report {
    fingerprint: String,
    ssh_fingerprint: String,
    public_key: String,
    purpose: Option<&'static str>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    let (key, purpose) = keys::public_key(&args.key)?;
    let report = Report {
        fingerprint: keys::fingerprint(&key.0),
        ssh_fingerprint: ssh_fingerprint(&key.0),
        public_key: key.to_string(),
        purpose: purpose.map(Purpose::as_str),
    };
    let shown = if args.ssh { &report.ssh_fingerprint } else { &report.fingerprint };
    output.data(&report, &format!("{shown}  {}\n", args.key))?;
    Ok(Exit::Yes.into())
}
