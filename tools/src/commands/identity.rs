//! `stemma identity`: the identities that a bank verifies, enrolled and removed by its operator.

use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Subcommand;
use stemma_chain_format::hash::AccountId;
use stemma_node_api::types::{EnrolIdentity, EnrolmentView};
use stemma_node_api::x509;

use crate::error::{CliError, Exit};
use crate::files;
use crate::identity::{ask, read_evidence};
use crate::node::{NodeArgs, OperatorArgs, genesis_for};
use crate::output::{Output, pairs};

/// Arguments of `stemma identity`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma identity enrol 4be1… password --file new-password.txt \
    --node http://127.0.0.1:8101 --operator-token-file operator.token")]
pub struct Args {
    #[command(subcommand)]
    command: IdentityCommand,
}

#[derive(Debug, Subcommand)]
enum IdentityCommand {
    /// List an account's identities, and what the bank demands
    List(ListArgs),
    /// Enrol an identity, or replace the one of that type; it is kept only as a verifier
    Enrol(EnrolArgs),
    /// Remove an identity
    Remove(ChangeArgs),
    /// Forget the failed attempts at an identity, so that the customer need not wait
    Unlock(ChangeArgs),
    /// Show what was enrolled, replaced, removed and unlocked
    Log(LogArgs),
    /// Write what a certificate's key signs to prove itself for one order, as its holder
    Challenge(ChallengeArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma identity list 4be1… --node http://127.0.0.1:8101 \
    --operator-token-file operator.token")]
struct ListArgs {
    /// The account's id
    account: AccountId,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma identity enrol 4be1… national-id --file number.txt \
    --node http://127.0.0.1:8101 --operator-token-file operator.token")]
struct EnrolArgs {
    /// The account's id
    account: AccountId,
    /// The type: password, totp, national-id, x509, image, audio or video
    kind: String,
    /// The material: a line of text, a file, for x509 the certificates in PEM; `-` is standard input. Without it, text is
    /// asked for
    #[arg(long, value_name = "FILE")]
    file: Option<String>,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma identity remove 4be1… password --node http://127.0.0.1:8101 \
    --operator-token-file operator.token")]
struct ChangeArgs {
    /// The account's id
    account: AccountId,
    /// The type
    kind: String,
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma identity log --node http://127.0.0.1:8101 \
    --operator-token-file operator.token")]
struct LogArgs {
    #[command(flatten)]
    operator: OperatorArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma identity challenge 4be1… --counter 7 --out challenge.bin \
    --node http://127.0.0.1:8101\n  openssl pkeyutl -sign -rawin -inkey alice-x509.pem -in challenge.bin -out signature.bin\n  \
    stemma trade buy … --counter 7 --identity x509=alice-x509.crt --x509-signature signature.bin")]
struct ChallengeArgs {
    /// The account's id
    account: AccountId,
    /// The counter of the order that it is for: larger than any used before
    #[arg(long, value_name = "N")]
    counter: u64,
    /// Where to write it; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,
    /// Trust this genesis file and not the node's
    #[arg(long, value_name = "FILE", env = "STEMMA_GENESIS")]
    genesis: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
}

/// Runs `stemma identity`.
///
/// # Errors
/// The node can't be reached or refuses; [`CliError`] says what to do.
pub async fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        IdentityCommand::List(args) => list(&args, output).await?,
        IdentityCommand::Enrol(args) => enrol(&args, output).await?,
        IdentityCommand::Remove(args) => {
            let client = args.operator.client()?;
            changed(&client.remove_identity(&args.account.to_string(), &args.kind).await?, output)?;
        }
        IdentityCommand::Unlock(args) => {
            let client = args.operator.client()?;
            changed(&client.unlock_identity(&args.account.to_string(), &args.kind).await?, output)?;
        }
        IdentityCommand::Log(args) => log(&args, output).await?,
        IdentityCommand::Challenge(args) => {
            let genesis = genesis_for(&args.node.client()?, args.genesis.as_deref()).await?;
            let challenge = x509::challenge(&genesis.network(), &args.account, args.counter);
            files::write(&args.out, &challenge, files::MODE_PUBLIC, true)?;
        }
    }
    Ok(Exit::Yes.into())
}

async fn list(args: &ListArgs, output: &Output) -> Result<(), CliError> {
    let page = args.operator.client()?.identities(&args.account.to_string()).await?;
    let mut rows = vec![("account-key", "every account has it".to_owned())];
    rows.extend(page.identities.iter().map(|one| (one.kind.as_str(), format!("verifier {}", one.verifier))));
    let mut text = pairs(&rows);
    for demand in &page.demands {
        text.push_str(&format!("The bank demands {demand}.\n"));
    }
    output.note(&format!("This bank verifies: {}.", page.kinds.join(", ")));
    output.data(&page, &text)
}

async fn enrol(args: &EnrolArgs, output: &Output) -> Result<(), CliError> {
    let material = match &args.file {
        Some(file) => read_evidence(&args.kind, file)?,
        None => ask(&args.kind, "--file FILE")?,
    };
    let body = EnrolIdentity { material: BASE64_STANDARD.encode(&material), counter: 0 };
    changed(&args.operator.client()?.enrol(&args.account.to_string(), &args.kind, &body).await?, output)
}

fn changed(view: &EnrolmentView, output: &Output) -> Result<(), CliError> {
    let mut rows = vec![("Account", view.account.clone()), ("Identity", view.kind.clone()), ("Now", view.what.clone())];
    rows.extend(view.verifier.clone().map(|verifier| ("Verifier", verifier)));
    output.data(view, &pairs(&rows))
}

async fn log(args: &LogArgs, output: &Output) -> Result<(), CliError> {
    let page = args.operator.client()?.enrolments().await?;
    let line = |one: &EnrolmentView| format!("{} {} {} {}\n", one.at_ms, one.what, one.kind, one.account);
    let text: String = page.enrolments.iter().map(line).collect();
    output.data(&page, &text)
}
