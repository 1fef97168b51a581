//! `stemma gov show`.

use std::path::{Path, PathBuf};

use serde::Serialize;
use stemma_chain_format::certificate::total_power;
use stemma_chain_format::governance::{Change, Governance};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::registry::Registry;
use stemma_node_api::Client;
use stemma_node_api::governance::{ChangeJson, GovernanceJson, RegistryView};

use super::draft::{Signatures, digest, read};
use crate::error::CliError;
use crate::output::{Output, pairs};

/// Arguments of `stemma gov show`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "With a draft: what it changes, the digest to compare, and, with a node, whose signatures are missing. Without: the \
    members, parameters and version in force, and what waits.\n\n\
    Example:\n  stemma gov show draft.json --signature bank-a.sig --node http://127.0.0.1:8101\n  stemma gov show"
)]
pub(super) struct Args {
    /// The draft
    draft: Option<PathBuf>,
    /// Signatures on it; once for each file
    #[arg(long = "signature", value_name = "FILE", requires = "draft")]
    signatures: Vec<PathBuf>,
    /// Address of a node's HTTP API
    #[arg(long, value_name = "URL", env = "STEMMA_NODE", required_unless_present = "draft")]
    node: Option<String>,
}

/// Shows a draft, or what is in force.
pub(super) async fn run(args: &Args, output: &Output) -> Result<(), CliError> {
    let view = match &args.node {
        Some(url) => Some(Client::new(url.clone())?.registry().await?),
        None => None,
    };
    match (&args.draft, view) {
        (Some(draft), view) => show_draft(draft, &args.signatures, view.as_ref(), output),
        (None, Some(view)) => output.data(&view, &registry_text(&view)),
        (None, None) => Err(CliError::usage("name a draft, or a node with --node")),
    }
}

/// A draft, and how far it is.
#[derive(Serialize)]
struct Report {
    digest: String,
    record: GovernanceJson,
    signed: Vec<Signer>,
    /// Keys that the draft brings and that have not signed.
    keys_missing: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<Approval>,
}

#[derive(Serialize)]
struct Signer {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<String>,
}

#[derive(Serialize)]
struct Approval {
    power_signed: u64,
    power_total: u64,
    percent_needed: u8,
    by_itself: bool,
    enough: bool,
    waiting_for: Vec<String>,
}

fn show_draft(
    path: &Path,
    signatures: &[PathBuf],
    view: Option<&RegistryView>,
    output: &Output,
) -> Result<(), CliError> {
    let record = read(path)?;
    let signed: Vec<PublicKey> = Signatures::read_all(signatures, &record)?.into_iter().map(|(key, _)| key).collect();
    let registry = view.map(RegistryView::registry).transpose();
    let registry = registry.map_err(|e| CliError::network("the node's registry").caused_by(&e))?;
    let brought: Vec<PublicKey> = record.changes.iter().flat_map(Change::new_keys).collect();
    let missing = brought.iter().filter(|key| !signed.contains(key));
    let name = |key: &PublicKey| {
        let registry = registry.as_ref()?;
        let found = registry.members().find(|member| member.member_key == *key);
        found.map(|member| member.id.to_string())
    };
    let report = Report {
        digest: digest(&record),
        record: GovernanceJson::of(&record),
        signed: signed.iter().map(|key| Signer { key: key.to_string(), member: name(key) }).collect(),
        keys_missing: missing.map(ToString::to_string).collect(),
        approval: registry.as_ref().map(|registry| approval(registry, &record, &signed)),
    };
    output.data(&report, &report.text())
}

fn approval(registry: &Registry, record: &Governance, signed: &[PublicKey]) -> Approval {
    let validators = registry.validators();
    let has_signed = |id: &_| registry.member(id).is_some_and(|member| signed.contains(&member.member_key));
    let (approving, waiting): (Vec<_>, Vec<_>) = validators.iter().partition(|validator| has_signed(&validator.id));
    let power_signed = total_power(approving);
    let by_itself = record.rotates_keys_of().is_some_and(has_signed);
    Approval {
        power_signed,
        power_total: registry.total_power(),
        percent_needed: registry.parameters().approval_percent,
        by_itself,
        enough: by_itself || registry.is_enough(power_signed),
        waiting_for: waiting.iter().map(|validator| validator.id.to_string()).collect(),
    }
}

impl Report {
    fn text(&self) -> String {
        let GovernanceJson { network, number, parent, effective, changes, note } = &self.record;
        let mut rows = vec![
            ("Digest", self.digest.clone()),
            ("Network", network.clone()),
            ("Number", format!("{number}, after {parent}")),
            ("Effective", format!("from height {effective} on")),
        ];
        if !note.is_empty() {
            rows.push(("Note", note.clone()));
        }
        rows.extend(changes.iter().map(|change| ("Change", change.to_string())));
        for signer in &self.signed {
            let of = signer.member.as_ref().map(|member| format!(" of {member}")).unwrap_or_default();
            rows.push(("Signed", format!("{}{of}", signer.key)));
        }
        rows.extend(self.keys_missing.iter().map(|key| ("Missing", format!("the signature of the new key {key}"))));
        if let Some(approval) = &self.approval {
            let Approval { power_signed, power_total, percent_needed, by_itself, enough, waiting_for } = approval;
            let said = match (by_itself, enough) {
                (true, _) => "the member signed for its own keys".to_owned(),
                (false, true) => format!("{power_signed} of {power_total} voting power: enough"),
                (false, false) => format!(
                    "{power_signed} of {power_total} voting power, {percent_needed} percent needed; {} may sign",
                    waiting_for.join(", ")
                ),
            };
            rows.push(("Approval", said));
        }
        pairs(&rows)
    }
}

fn registry_text(view: &RegistryView) -> String {
    let p = &view.parameters;
    let mut rows = vec![
        ("Network", view.network.clone()),
        ("Height", view.height.to_string()),
        ("Protocol", format!("version {}", view.version)),
        ("Resolved", format!("{} records, {} of them took effect", view.number, view.epoch)),
        ("Parameters", ChangeJson::Set(p.clone()).to_string().replacen("parameters: ", "", 1)),
    ];
    for waiting in &view.scheduled {
        for change in &waiting.changes {
            rows.push(("Waits", format!("record {}, from height {} on: {change}", waiting.number, waiting.effective)));
        }
    }
    let mut text = pairs(&rows);
    for registration in &view.members {
        let m = &registration.member;
        text.push_str(&format!("\n{}: {}, {}, power {}, {}\n", m.id, m.role, m.name, m.power, registration.status));
        text.push_str(&format!("  member key    {}\n  network key   {}\n", m.member_key, m.network_key));
        if let Some(key) = &m.validator_key {
            text.push_str(&format!("  validator key {key}\n"));
        }
    }
    for key in &view.retired {
        let why = if key.revoked { "revoked" } else { "retired" };
        text.push_str(&format!(
            "\n{why} from height {} on: the {} key {} of {}\n",
            key.from, key.used, key.key, key.member
        ));
    }
    text
}
