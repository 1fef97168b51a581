//! `stemma gov propose`.

use std::path::PathBuf;

use serde::Serialize;
use stemma_chain_format::governance::{Change, Governance};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::{KeyUse, MemberId, Role};
use stemma_chain_format::registry::Registry;
use stemma_node_api::governance::{ChangeJson, GovernanceJson};

use super::draft::digest;
use crate::error::CliError;
use crate::files;
use crate::founding::parameters;
use crate::member_entry::MemberEntry;
use crate::node::NodeArgs;
use crate::output::{Output, pairs};

/// Arguments of `stemma gov propose`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The draft is tried on the network as the node knows it: what would break a rule, or leave the network unable to \
    decide, is refused before anybody signs. Changes are made in the order of the flags below.\n\n\
    Example:\n  stemma gov propose --rotate bank-a:validator=8c1d… --effective +100 --out draft.json\n  \
    stemma gov propose --admit bank-c.json --assign bank-a=bank:2 --effective 5000 --note \"Bank C joins\" --out draft.json"
)]
pub(super) struct Args {
    /// Withdraw a record that waits, by its number
    #[arg(long, value_name = "NUMBER")]
    withdraw: Vec<u64>,
    /// Revoke a key that others know: USE is member, network or validator
    #[arg(long, value_name = "MEMBER:USE=PUB", value_parser = keyed)]
    revoke: Vec<(MemberId, KeyUse, PublicKey)>,
    /// Admit a member by its signed entry (`stemma genesis member --network ID`)
    #[arg(long, value_name = "FILE")]
    admit: Vec<PathBuf>,
    /// Give a member another key, or its first validator key
    #[arg(long, value_name = "MEMBER:USE=PUB", value_parser = keyed)]
    rotate: Vec<(MemberId, KeyUse, PublicKey)>,
    /// Give a member another role or voting power
    #[arg(long, value_name = "MEMBER=ROLE:POWER", value_parser = assigned)]
    assign: Vec<(MemberId, Role, u64)>,
    /// Suspend a member
    #[arg(long, value_name = "MEMBER")]
    suspend: Vec<MemberId>,
    /// Reinstate a suspended member
    #[arg(long, value_name = "MEMBER")]
    reinstate: Vec<MemberId>,
    /// Remove a member for good
    #[arg(long, value_name = "MEMBER")]
    remove: Vec<MemberId>,
    /// Set a parameter, such as approval_percent=75; the others stay
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Raise the version of the protocol
    #[arg(long, value_name = "VERSION")]
    upgrade: Option<u32>,
    /// The height from which on the changes hold, or +N blocks from now
    #[arg(long, value_name = "HEIGHT", value_parser = effective)]
    effective: Effective,
    /// Why, for those who sign
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    node: NodeArgs,
    /// File to write; `-` is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

/// A height, or so many blocks from now.
#[derive(Debug, Clone, Copy)]
enum Effective {
    At(u64),
    After(u64),
}

fn effective(text: &str) -> Result<Effective, String> {
    let number = |text: &str| text.parse().map_err(|_| format!("a height such as 5000, or +200; found {text:?}"));
    match text.strip_prefix('+') {
        Some(blocks) => number(blocks).map(Effective::After),
        None => number(text).map(Effective::At),
    }
}

fn keyed(text: &str) -> Result<(MemberId, KeyUse, PublicKey), String> {
    let parts = text.split_once('=').and_then(|(left, key)| Some((left.split_once(':')?, key)));
    let ((member, used), key) = parts.ok_or("expected MEMBER:USE=PUB, such as bank-a:validator=8c1d…")?;
    let member = member.parse().map_err(|e: stemma_chain_format::member::MemberIdError| e.to_string())?;
    let key = key.parse().map_err(|e: stemma_chain_format::keys::KeyError| e.to_string())?;
    Ok((member, used.parse()?, key))
}

fn assigned(text: &str) -> Result<(MemberId, Role, u64), String> {
    let parts = text.split_once('=').and_then(|(member, right)| Some((member, right.split_once(':')?)));
    let (member, (role, power)) = parts.ok_or("expected MEMBER=ROLE:POWER, such as bank-a=bank:2")?;
    let member = member.parse().map_err(|e: stemma_chain_format::member::MemberIdError| e.to_string())?;
    let power = power.parse().map_err(|_| format!("the power is a number; found {power:?}"))?;
    Ok((member, role.parse()?, power))
}

#[derive(Serialize)]
struct Report {
    file: String,
    digest: String,
    number: u64,
    effective: u64,
    changes: Vec<ChangeJson>,
}

/// Drafts a record, tries it on the registry as the node knows it, and writes it.
pub(super) async fn run(args: Args, output: &Output) -> Result<(), CliError> {
    if !args.force && !files::is_stream(&args.out) && args.out.symlink_metadata().is_ok() {
        return Err(CliError::files(format!("{} exists and is not overwritten", args.out.display()))
            .help("choose another file, or replace this one for good with --force"));
    }
    let client = args.node.client()?;
    let view = client.registry().await?;
    let registry =
        view.registry().map_err(|e| CliError::network(format!("the registry of {}", client.url())).caused_by(&e))?;
    let height = view.height;
    let changes = changes(&args, &registry)?;
    if changes.is_empty() {
        return Err(CliError::usage("there is nothing to change").help("give at least one change; see --help"));
    }
    let effective = match args.effective {
        Effective::At(height) => height,
        Effective::After(blocks) => height.saturating_add(blocks),
    };
    let record = Governance {
        network: registry.network(),
        number: registry.number().saturating_add(1),
        parent: registry.head(),
        effective,
        changes,
        note: args.note,
    };
    registry
        .tries(&record, height.saturating_add(1))
        .map_err(|violation| CliError::no("the network would refuse this record").caused_by(&violation))?;
    let json = GovernanceJson::of(&record);
    files::write_json(&args.out, &json, args.force)?;
    if files::is_stream(&args.out) {
        return Ok(());
    }
    let report = Report {
        file: args.out.display().to_string(),
        digest: digest(&record),
        number: record.number,
        effective,
        changes: json.changes,
    };
    let mut rows = vec![
        ("File", report.file.clone()),
        ("Digest", report.digest.clone()),
        ("Number", report.number.to_string()),
        ("Effective", format!("from height {effective} on; the network is at {height}")),
    ];
    rows.extend(report.changes.iter().map(|change| ("Change", change.to_string())));
    output.data(&report, &pairs(&rows))?;
    output.note("Who signs compares the digest: stemma gov show, then stemma gov sign.");
    Ok(())
}

fn changes(args: &Args, registry: &Registry) -> Result<Vec<Change>, CliError> {
    let mut changes: Vec<Change> = args.withdraw.iter().map(|number| Change::Withdraw(*number)).collect();
    let keyed = |change: fn(MemberId, KeyUse, PublicKey) -> Change, all: &[(MemberId, KeyUse, PublicKey)]| {
        all.iter().map(|(member, used, key)| change(member.clone(), *used, *key)).collect::<Vec<_>>()
    };
    changes.extend(keyed(Change::Revoke, &args.revoke));
    for path in &args.admit {
        let entry = MemberEntry::read(path, &[&registry.network().to_string()])?;
        changes.push(Change::Admit(entry.member().clone()));
    }
    changes.extend(keyed(Change::Rotate, &args.rotate));
    let assigned = args.assign.iter().map(|(member, role, power)| Change::Assign(member.clone(), *role, *power));
    changes.extend(assigned);
    changes.extend(args.suspend.iter().cloned().map(Change::Suspend));
    changes.extend(args.reinstate.iter().cloned().map(Change::Reinstate));
    changes.extend(args.remove.iter().cloned().map(Change::Remove));
    if !args.set.is_empty() {
        changes.push(Change::Set(parameters::with_changes(registry.parameters().clone(), &args.set)?));
    }
    changes.extend(args.upgrade.map(Change::Upgrade));
    Ok(changes)
}
