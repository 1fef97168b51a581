//! `stemma genesis`: a network's first members agree on one file, which all of them sign.
//!
//! Each founder makes its entry (`member`); one of them puts the entries together (`draft`); each signs the draft on
//! its own machine (`sign`) after comparing the digest; anyone joins the signatures (`assemble`) and checks (`show`).

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde::{Deserialize, Serialize};
use stemma_chain_format::genesis::{FORMAT_VERSION, Genesis, GenesisFile, Parameters, sign_genesis};
use stemma_chain_format::keys::{PublicKey, Signature};
use stemma_chain_format::member::{Member, MemberId, Role};
use stemma_keystore::Purpose;

use crate::error::{CliError, Exit};
use crate::node::{broken, read_genesis};
use crate::output::{Output, pairs};
use crate::passphrase::PassphraseArgs;
use crate::requests::now_ms;
use crate::{files, keys};

/// Arguments of `stemma genesis`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    stemma genesis member --id bank-a --role bank --name \"Bank A\" --member-key 19bf… --network-key 5a07… \
--validator-key 8c1d… --power 1 --out bank-a.json\n  \
    stemma genesis draft --name \"Example network\" --member bank-a.json --member broker-a.json --out draft.json\n  \
    stemma genesis sign draft.json --key member.pem --out bank-a.sig\n  \
    stemma genesis assemble draft.json --signature bank-a.sig --signature broker-a.sig --out genesis.stemma\n  \
    stemma genesis show genesis.stemma")]
pub struct Args {
    #[command(subcommand)]
    command: GenesisCommand,
}

#[derive(Debug, Subcommand)]
enum GenesisCommand {
    /// Write one founder's entry
    Member(MemberArgs),
    /// Put the founders' entries into a draft that all of them sign
    Draft(DraftArgs),
    /// Sign a draft with a founder's member key
    Sign(SignArgs),
    /// Join a draft and all founders' signatures into the genesis file
    Assemble(AssembleArgs),
    /// Check a genesis file and show it
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma genesis member --id auditor --role auditor --name \"The auditor\" \
    --member-key 19bf… --network-key 5a07… --out auditor.json")]
struct MemberArgs {
    /// Short name: a lowercase letter, then lowercase letters, digits and hyphens
    #[arg(long)]
    id: MemberId,
    /// bank, institution or auditor
    #[arg(long)]
    role: Role,
    /// The organisation's name
    #[arg(long)]
    name: String,
    /// Public key that signs the member's records
    #[arg(long, value_name = "PUB")]
    member_key: PublicKey,
    /// Public key of the node's connections
    #[arg(long, value_name = "PUB")]
    network_key: PublicKey,
    /// Public key that signs votes
    #[arg(long, value_name = "PUB", requires = "power")]
    validator_key: Option<PublicKey>,
    /// Voting power
    #[arg(long, value_name = "N", requires = "validator_key")]
    power: Option<u64>,
    #[command(flatten)]
    out: OutArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma genesis draft --name \"Example network\" --member bank-a.json \
    --member broker-a.json --out draft.json")]
struct DraftArgs {
    /// The network's name
    #[arg(long)]
    name: String,
    /// A founder's entry; once for each
    #[arg(long = "member", value_name = "FILE", required = true)]
    members: Vec<PathBuf>,
    /// When it is made, in Unix milliseconds [default: now]
    #[arg(long, value_name = "MS")]
    created_ms: Option<u64>,
    #[command(flatten)]
    out: OutArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Prints the BLAKE3 digest of what is signed: compare it with the other founders'.\n\n\
    Example:\n  stemma genesis sign draft.json --key member.pem --out bank-a.sig")]
struct SignArgs {
    /// The draft
    draft: PathBuf,
    /// Key file of the founder's member key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    out: OutArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma genesis assemble draft.json --signature bank-a.sig \
    --signature broker-a.sig --out genesis.stemma")]
struct AssembleArgs {
    /// The draft
    draft: PathBuf,
    /// A founder's signature; once for each
    #[arg(long = "signature", value_name = "FILE", required = true)]
    signatures: Vec<PathBuf>,
    #[command(flatten)]
    out: OutArgs,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma genesis show genesis.stemma")]
struct ShowArgs {
    /// The genesis file; `-` is standard input
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
struct OutArgs {
    /// File to write; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

/// A member's entry as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberJson {
    id: String,
    role: String,
    name: String,
    member_key: String,
    network_key: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    validator_key: Option<String>,
    #[serde(default)]
    power: u64,
}

/// A draft as JSON; what is signed is its CBOR form.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DraftJson {
    format: u32,
    name: String,
    created_ms: u64,
    members: Vec<MemberJson>,
    parameters: ParametersJson,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ParametersJson {
    block_entries_max: u32,
    clock_drift_ms_max: u64,
    expiry_blocks_max: u64,
    approval_percent: u8,
}

/// One founder's signature on a draft.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureJson {
    digest: String,
    key: String,
    signature: String,
}

/// What was written, and what people compare.
#[derive(Serialize)]
struct Written {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
}

/// Runs `stemma genesis`.
///
/// # Errors
/// A file can't be read or written, or what it holds breaks a rule, which is named.
pub fn run(args: Args, output: &Output) -> Result<ExitCode, CliError> {
    match args.command {
        GenesisCommand::Member(args) => member(args, output)?,
        GenesisCommand::Draft(args) => draft(&args, output)?,
        GenesisCommand::Sign(args) => sign(&args, output)?,
        GenesisCommand::Assemble(args) => assemble(&args, output)?,
        GenesisCommand::Show(args) => show(&args.file, output)?,
    }
    Ok(Exit::Yes.into())
}

fn member(args: MemberArgs, output: &Output) -> Result<(), CliError> {
    let MemberArgs { id, role, name, member_key, network_key, validator_key, power, out } = args;
    let member = Member { id, role, name, member_key, network_key, validator_key, power: power.unwrap_or(0) };
    member.check().map_err(|violation| CliError::usage("the entry is not valid").caused_by(&violation))?;
    let digest = None;
    write_json(&out, &MemberJson::of(&member), digest, output)
}

fn draft(args: &DraftArgs, output: &Output) -> Result<(), CliError> {
    let mut members = Vec::new();
    for path in &args.members {
        let entry: MemberJson = read_json(path, "a member's entry")?;
        members.push(entry.parse().map_err(|error| named(path, &error))?);
    }
    members.sort_by(|one: &Member, other| one.id.cmp(&other.id));
    let created_ms = args.created_ms.unwrap_or_else(now_ms);
    let parameters = Parameters::default();
    let genesis = Genesis { format: FORMAT_VERSION, name: args.name.clone(), created_ms, members, parameters };
    genesis.check().map_err(|violation| CliError::usage("the draft is not valid").caused_by(&violation))?;
    write_json(&args.out, &DraftJson::of(&genesis), Some(digest(&genesis)), output)
}

fn sign(args: &SignArgs, output: &Output) -> Result<(), CliError> {
    let genesis = read_draft(&args.draft)?;
    let key = keys::open(&args.key, Purpose::Member, &args.passphrase, output)?;
    let (public, signature) = sign_genesis(&genesis.payload(), key.signing_key());
    let founder = genesis.members.iter().find(|member| member.member_key == public).ok_or_else(|| {
        CliError::usage(format!("the key in {} is no founder's member key in the draft", args.key.display()))
            .help("name the key file of a member key that stands in the draft")
    })?;
    output.note(&format!("Signed for {} ({}).", founder.id, founder.name));
    let digest = digest(&genesis);
    let signed = SignatureJson { digest: digest.clone(), key: public.to_string(), signature: hex::encode(signature.0) };
    write_json(&args.out, &signed, Some(digest), output)
}

fn assemble(args: &AssembleArgs, output: &Output) -> Result<(), CliError> {
    let genesis = read_draft(&args.draft)?;
    let expected = digest(&genesis);
    let mut signatures = Vec::new();
    for path in &args.signatures {
        let signed: SignatureJson = read_json(path, "a founder's signature")?;
        if signed.digest != expected {
            let message = format!("{} signs another draft, with the digest {}", path.display(), signed.digest);
            return Err(CliError::usage(message).help(format!("sign this draft, whose digest is {expected}")));
        }
        let key: PublicKey = signed.key.parse().map_err(|error| named(path, &error))?;
        let mut bytes = [0; 64];
        hex::decode_to_slice(&signed.signature, &mut bytes).map_err(|error| named(path, &error))?;
        signatures.push((key, Signature(bytes)));
    }
    let is_missing = |member: &&Member| signatures.iter().all(|(key, _)| *key != member.member_key);
    let missing: Vec<&str> = genesis.members.iter().filter(is_missing).map(|member| member.id.as_str()).collect();
    if !missing.is_empty() {
        return Err(CliError::usage(format!("the signature of {} is missing", missing.join(", ")))
            .help("give --signature once for each founder"));
    }
    let file = GenesisFile::assemble(&genesis, &signatures)
        .map_err(|violation| broken("the signatures do not make a genesis file", &violation))?;
    files::write(&args.out.out, file.bytes(), files::MODE_PUBLIC, args.out.force)?;
    report(&args.out.out, None, Some(file.network().to_string()), output)
}

fn show(path: &Path, output: &Output) -> Result<(), CliError> {
    #[derive(Serialize)]
    struct Report {
        network: String,
        digest: String,
        signatures: usize,
        #[serde(flatten)]
        draft: DraftJson,
    }
    let file = read_genesis(path)?;
    let genesis = file.genesis();
    let draft = DraftJson::of(genesis);
    let power: u64 = genesis.members.iter().fold(0, |sum, member| sum.saturating_add(member.power));
    let parameters = &genesis.parameters;
    let count = genesis.members.len();
    let mut text = pairs(&[
        ("Network", file.network().to_string()),
        ("Name", genesis.name.clone()),
        ("Created", format!("{} ms since 1970", genesis.created_ms)),
        ("Signatures", format!("{count} of {count} founders, all verified")),
        ("Voting power", power.to_string()),
        ("Entries in a block", format!("at most {}", parameters.block_entries_max)),
        ("Clock drift", format!("at most {} ms", parameters.clock_drift_ms_max)),
        ("Expiry", format!("at most {} blocks ahead", parameters.expiry_blocks_max)),
        ("Approval", format!("{} percent of the voting power", parameters.approval_percent)),
    ]);
    for member in &genesis.members {
        let Member { id, role, name, member_key, power, .. } = member;
        text.push_str(&format!("\n{id}: {role}, {name}, power {power}\n  key {member_key}\n"));
    }
    let signatures = count;
    output.data(&Report { network: file.network().to_string(), digest: digest(genesis), signatures, draft }, &text)
}

impl MemberJson {
    fn of(member: &Member) -> Self {
        Self {
            id: member.id.to_string(),
            role: member.role.to_string(),
            name: member.name.clone(),
            member_key: member.member_key.to_string(),
            network_key: member.network_key.to_string(),
            validator_key: member.validator_key.map(|key| key.to_string()),
            power: member.power,
        }
    }

    fn parse(&self) -> Result<Member, anyhow::Error> {
        let member = Member {
            id: self.id.parse()?,
            role: self.role.parse().map_err(anyhow::Error::msg)?,
            name: self.name.clone(),
            member_key: self.member_key.parse()?,
            network_key: self.network_key.parse()?,
            validator_key: self.validator_key.as_deref().map(str::parse).transpose()?,
            power: self.power,
        };
        member.check()?;
        Ok(member)
    }
}

impl DraftJson {
    fn of(genesis: &Genesis) -> Self {
        let Parameters { block_entries_max, clock_drift_ms_max, expiry_blocks_max, approval_percent } =
            genesis.parameters;
        Self {
            format: genesis.format,
            name: genesis.name.clone(),
            created_ms: genesis.created_ms,
            members: genesis.members.iter().map(MemberJson::of).collect(),
            parameters: ParametersJson { block_entries_max, clock_drift_ms_max, expiry_blocks_max, approval_percent },
        }
    }
}

fn read_draft(path: &Path) -> Result<Genesis, CliError> {
    let draft: DraftJson = read_json(path, "a genesis draft")?;
    let ParametersJson { block_entries_max, clock_drift_ms_max, expiry_blocks_max, approval_percent } =
        draft.parameters;
    let members: Result<Vec<_>, _> = draft.members.iter().map(MemberJson::parse).collect();
    let genesis = Genesis {
        format: draft.format,
        name: draft.name,
        created_ms: draft.created_ms,
        members: members.map_err(|error| named(path, &error))?,
        parameters: Parameters { block_entries_max, clock_drift_ms_max, expiry_blocks_max, approval_percent },
    };
    genesis.check().map_err(|violation| broken(&format!("{} is not a valid draft", path.display()), &violation))?;
    Ok(genesis)
}

/// BLAKE3 of the bytes that founders sign.
fn digest(genesis: &Genesis) -> String {
    blake3::hash(&genesis.payload()).to_hex().to_string()
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path, what: &str) -> Result<T, CliError> {
    serde_json::from_slice(&files::read(path)?)
        .map_err(|error| CliError::files(format!("{} is not {what}", path.display())).caused_by(&error))
}

fn write_json(out: &OutArgs, value: &impl Serialize, digest: Option<String>, output: &Output) -> Result<(), CliError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::files("cannot encode as JSON").caused_by(&error))?;
    text.push('\n');
    files::write(&out.out, text.as_bytes(), files::MODE_PUBLIC, out.force)?;
    report(&out.out, digest, None, output)
}

fn report(file: &Path, digest: Option<String>, network: Option<String>, output: &Output) -> Result<(), CliError> {
    if files::is_stream(file) {
        // Standard output holds the file itself.
        return Ok(());
    }
    let mut rows = vec![("File", file.display().to_string())];
    rows.extend(digest.clone().map(|digest| ("Digest", digest)));
    rows.extend(network.clone().map(|network| ("Network", network)));
    output.data(&Written { file: file.display().to_string(), digest, network }, &pairs(&rows))
}

fn named(path: &Path, error: &dyn std::fmt::Display) -> CliError {
    CliError::files(format!("{}: {error}", path.display()))
}
