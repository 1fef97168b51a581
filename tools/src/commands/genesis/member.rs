//! `stemma genesis member`.

use std::path::{Path, PathBuf};

use stemma_chain_format::member::{MemberId, Role};
use stemma_keystore::{Passphrase, Purpose, SecretKey, Unlock, read_key_file, read_public};

use super::{OutArgs, write_json};
use crate::error::CliError;
use crate::keys::no_core_dumps;
use crate::member_entry::{About, MemberEntry, MemberKeys};
use crate::output::Output;
use crate::passphrase::PassphraseArgs;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
--keys DIR stands for DIR/member.pem, DIR/network.pem and, where it is there, DIR/validator.pem. One passphrase opens all of them:
--passphrase-file, --passphrase-fd, STEMMA_PASSPHRASE, or it is asked for once.

Founders name the network by the name that it will have; whoever joins a network that runs, by its id (`stemma genesis show`).

Example:
  stemma key new --purpose member --out keys/member.pem
  stemma key new --purpose network --out keys/network.pem
  stemma key new --purpose validator --out keys/validator.pem
  stemma genesis member --network \"Example network\" --id bank-a --role bank --name \"Bank A\" --keys keys/ --out bank-a.json")]
pub(super) struct Args {
    /// The network that the entry is for: its name, or the id of one that runs
    #[arg(long, value_name = "NAME_OR_ID")]
    network: String,
    /// Short name: a lowercase letter, then lowercase letters, digits and hyphens
    #[arg(long)]
    id: MemberId,
    /// bank, institution or auditor
    #[arg(long)]
    role: Role,
    /// The organisation's name
    #[arg(long)]
    name: String,
    /// Folder with the key files
    #[arg(long, value_name = "DIR", conflicts_with_all = ["member_key", "network_key", "validator_key"],
        required_unless_present_all = ["member_key", "network_key"])]
    keys: Option<PathBuf>,
    /// Key file that signs the member's records
    #[arg(long, value_name = "FILE", requires = "network_key")]
    member_key: Option<PathBuf>,
    /// Key file of the node's connections
    #[arg(long, value_name = "FILE", requires = "member_key")]
    network_key: Option<PathBuf>,
    /// Key file that signs votes
    #[arg(long, value_name = "FILE", requires = "member_key")]
    validator_key: Option<PathBuf>,
    /// Voting power [default: 1 with a validator key, else 0]
    #[arg(long, value_name = "N")]
    power: Option<u64>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    out: OutArgs,
}

/// The key files.
struct Paths {
    member: PathBuf,
    network: PathBuf,
    validator: Option<PathBuf>,
}

pub(super) fn run(args: Args, output: &Output) -> Result<(), CliError> {
    no_core_dumps();
    let paths = args.paths();
    let default_power = u64::from(paths.validator.is_some());
    let power = args.power.unwrap_or(default_power);
    if power > 0 && paths.validator.is_none() {
        return Err(CliError::usage(format!("a voting power of {power} needs a validator key")).help(
            "make one with `stemma key new --purpose validator` and name it with --validator-key, or leave out --power",
        ));
    }
    let keys = open(&paths, &args.passphrase, output)?;
    let about = About { id: args.id, role: args.role, name: args.name, power };
    let entry = MemberEntry::sign(&args.network, about, &keys)
        .map_err(|error| CliError::usage("the entry is not valid").caused_by(error_source(&error)))?;
    write_json(&args.out, &entry.json(), None, output)
}

/// The rule itself, where one is broken: the message says the rest.
fn error_source(error: &crate::member_entry::EntryError) -> &dyn std::error::Error {
    std::error::Error::source(error).unwrap_or(error)
}

impl Args {
    fn paths(&self) -> Paths {
        if let (Some(member), Some(network)) = (&self.member_key, &self.network_key) {
            let validator = self.validator_key.clone();
            return Paths { member: member.clone(), network: network.clone(), validator };
        }
        let folder = self.keys.as_deref().unwrap_or(Path::new("."));
        let validator = folder.join("validator.pem");
        // An auditor has no vote, whatever lies in the folder.
        let votes = self.role != Role::Auditor && self.power != Some(0) && validator.exists();
        Paths {
            member: folder.join("member.pem"),
            network: folder.join("network.pem"),
            validator: votes.then_some(validator),
        }
    }
}

/// Opens all keys with one passphrase, which is asked for once.
fn open(paths: &Paths, passphrase: &PassphraseArgs, output: &Output) -> Result<MemberKeys, CliError> {
    let mut known: Option<Passphrase> = None;
    let mut key = |path: &Path, purpose: Purpose| -> Result<SecretKey, CliError> {
        let public = read_public(path)?;
        if public.is_encrypted && known.is_none() {
            known = Some(passphrase.for_key(path, output)?);
        }
        let unlock = match &known {
            Some(passphrase) if public.is_encrypted => Unlock::Passphrase(passphrase),
            _ => {
                output.warn(&format!("the key in {} is not encrypted", path.display()));
                Unlock::AllowPlain
            }
        };
        Ok(read_key_file(path, unlock, purpose)?)
    };
    let member = key(&paths.member, Purpose::Member)?;
    let network = key(&paths.network, Purpose::Network)?;
    let validator = paths.validator.as_deref().map(|path| key(path, Purpose::Validator)).transpose()?;
    Ok(MemberKeys { member, network, validator })
}
