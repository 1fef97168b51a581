//! `stemma genesis show`: an entry, a draft or a genesis file.

use std::path::{Path, PathBuf};

use serde::Serialize;
use stemma_chain_format::genesis::{Genesis, GenesisFile};
use stemma_chain_format::member::Member;
use stemma_node_api::governance::MemberJson;

use crate::error::CliError;
use crate::files;
use crate::founding::{Draft, PARAMETERS, ParametersJson, digest};
use crate::member_entry::MemberEntry;
use crate::node::broken;
use crate::output::{Output, pairs};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Every entry and signature is checked before anything is shown. Of a draft, the digest is what the founders compare and \
    sign; of a genesis file, the network's id is what `b3sum` prints for it.\n\n\
    Example:\n  stemma genesis show draft.json\n  stemma genesis show genesis.stemma"
)]
pub(super) struct Args {
    /// The entry, draft or genesis file; `-` is standard input
    file: PathBuf,
}

/// What is printed of both.
#[derive(Serialize)]
struct Report {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<String>,
    digest: String,
    signatures: usize,
    format: u32,
    name: String,
    created_ms: u64,
    members: Vec<MemberJson>,
    parameters: ParametersJson,
}

/// What is printed of one entry.
#[derive(Serialize)]
struct EntryReport {
    kind: &'static str,
    network: String,
    #[serde(flatten)]
    member: MemberJson,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let bytes = files::read(&args.file)?;
    if is_entry(&bytes) {
        return entry(&args.file, &bytes, output);
    }
    // A genesis file is CBOR and begins with a tag; a draft is JSON.
    if bytes.trim_ascii_start().starts_with(b"{") {
        draft(&args.file, &bytes, output)
    } else {
        genesis(&args.file, bytes, output)
    }
}

/// Whether this is the JSON of an entry, not of a draft: an entry has keys of its own.
fn is_entry(bytes: &[u8]) -> bool {
    let json: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    json.is_some_and(|json| json.get("member_key").is_some())
}

fn entry(path: &Path, bytes: &[u8], output: &Output) -> Result<(), CliError> {
    let entry = MemberEntry::parse(bytes).map_err(|error| {
        CliError::no(format!("{} is not a valid entry of a member", path.display())).caused_by(&error)
    })?;
    let report =
        EntryReport { kind: "entry", network: entry.network().to_owned(), member: MemberJson::of(entry.member()) };
    let mut text =
        pairs(&[("Entry", "signed by all of its keys, all verified".to_owned()), ("For", entry.network().to_owned())]);
    text.push_str(&member_text(entry.member()));
    output.data(&report, &text)
}

fn draft(path: &Path, bytes: &[u8], output: &Output) -> Result<(), CliError> {
    let draft = Draft::parse(bytes, &path.display().to_string())?;
    let genesis = draft.genesis();
    let report = Report::of(genesis, "draft", None, 0);
    let count = genesis.members.len();
    let heading = [
        ("Draft", "not signed yet: compare the digest with the other founders', then sign it".to_owned()),
        ("Digest", report.digest.clone()),
        ("Entries", format!("{count}, each signed by all of its keys, all verified")),
    ];
    output.data(&report, &text(&heading, genesis))
}

fn genesis(path: &Path, bytes: Vec<u8>, output: &Output) -> Result<(), CliError> {
    let file = GenesisFile::decode(bytes)
        .map_err(|violation| broken(&format!("{} is no valid genesis file", path.display()), &violation))?;
    let genesis = file.genesis();
    let count = genesis.members.len();
    let report = Report::of(genesis, "genesis", Some(file.network().to_string()), count);
    let heading = [
        ("Network", file.network().to_string()),
        ("Digest", report.digest.clone()),
        ("Signatures", format!("{count} of {count} founders, all verified")),
    ];
    output.data(&report, &text(&heading, genesis))
}

fn text(heading: &[(&'static str, String)], genesis: &Genesis) -> String {
    let power: u64 = genesis.members.iter().fold(0, |sum, member| sum.saturating_add(member.power));
    let mut rows = heading.to_vec();
    rows.extend([
        ("Name", genesis.name.clone()),
        ("Created", format!("{} ms since 1970", genesis.created_ms)),
        ("Voting power", power.to_string()),
    ]);
    let mut text = pairs(&rows);
    text.push_str("\nParameters\n");
    for known in &PARAMETERS {
        text.push_str(&format!("  {:<19} {} ({})\n", known.name, known.value(&genesis.parameters), known.meaning));
    }
    for member in &genesis.members {
        text.push_str(&member_text(member));
    }
    text
}

fn member_text(member: &Member) -> String {
    let Member { id, role, name, member_key, network_key, validator_key, power } = member;
    let mut text =
        format!("\n{id}: {role}, {name}, power {power}\n  member    {member_key}\n  network   {network_key}\n");
    if let Some(key) = validator_key {
        text.push_str(&format!("  validator {key}\n"));
    }
    text
}

impl Report {
    fn of(genesis: &Genesis, kind: &'static str, network: Option<String>, signatures: usize) -> Self {
        Self {
            kind,
            network,
            digest: digest(genesis),
            signatures,
            format: genesis.format,
            name: genesis.name.clone(),
            created_ms: genesis.created_ms,
            members: genesis.members.iter().map(MemberJson::of).collect(),
            parameters: ParametersJson::of(&genesis.parameters),
        }
    }
}
