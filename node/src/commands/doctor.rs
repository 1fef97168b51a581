//! `doctor`: looks at everything that a node rests on, and says what to do about what it finds.

mod home;
mod network;

use clap::Args;
use serde::Serialize;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::member::Member;
use stemma_node_api::config::NodeConfig;
use stemma_node_api::types::Status;

use super::init::read_genesis;
use super::outcome::{Exit, print};
use super::{CommandError, Place, Printed};
use crate::lock::{HomeLock, LockError};

/// Which node.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    place: Place,
    /// API of another member's node, whose clock and version are compared too; again for more
    #[arg(long = "compare", value_name = "URL")]
    compared: Vec<String>,
    #[command(flatten)]
    printed: Printed,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// Not wrong yet.
    Warning,
    /// Wrong.
    Failed,
    /// It could not be looked at.
    Skipped,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    /// What was looked at.
    check: &'static str,
    verdict: Verdict,
    /// What was found.
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, found: found.into(), help: None }
    }

    fn warning(check: &'static str, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, found: found.into(), help: Some(help.into()) }
    }

    fn failed(check: &'static str, found: impl Into<String>, help: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Failed, found: found.into(), help: Some(help.into()) }
    }

    fn skipped(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Skipped, found: found.into(), help: None }
    }
}

/// What all looks are given.
struct Patient {
    home: std::path::PathBuf,
    config: NodeConfig,
    genesis: GenesisFile,
    member: Member,
    /// The state of the node, where it runs and answers.
    status: Option<Status>,
    /// Kept as long as the looks last, where the node stands still.
    lock: Option<HomeLock>,
    /// Whether a node runs on the home.
    runs: bool,
}

#[derive(Serialize)]
struct Report {
    member: Option<String>,
    running: bool,
    healthy: bool,
    findings: Vec<Finding>,
}

/// Looks at everything; no where something is wrong.
///
/// # Errors
/// The result cannot be printed.
pub fn run(args: &DoctorArgs) -> Result<Exit, CommandError> {
    let mut findings = Vec::new();
    let mut running = false;
    let patient = patient(args, &mut findings)?;
    let member = patient.as_ref().map(|patient| patient.member.id.to_string());
    if let Some(patient) = &patient {
        running = patient.runs;
        home::keys(patient, &mut findings);
        home::permissions(patient, &mut findings);
        home::files_named(patient, &mut findings);
        home::store(patient, &mut findings);
        home::disk(patient, &mut findings);
        network::ports(patient, &mut findings);
        super::wait(async {
            network::peers(patient, &mut findings).await;
            network::clock(patient, &args.compared, &mut findings).await;
            Ok(())
        })?;
        network::versions(patient, &mut findings);
        network::vote(patient, &mut findings);
    }
    let healthy = findings.iter().all(|finding| finding.verdict != Verdict::Failed);
    let text = shown(&findings, healthy);
    print(&Report { member, running, healthy, findings }, &text, args.printed.json)?;
    Ok(if healthy { Exit::Yes } else { Exit::No })
}

/// Who is looked at, where configuration and genesis say so.
fn patient(args: &DoctorArgs, findings: &mut Vec<Finding>) -> Result<Option<Patient>, CommandError> {
    // Which node to look at must be said; what is wrong with it is a finding.
    let (file, home) = (args.place.file()?, args.place.folder()?);
    let config = match args.place.configuration() {
        Ok(config) => config,
        Err(e) => {
            let help = "correct it; `stemma-node init --print-config` shows every setting";
            findings.push(Finding::failed("configuration", e.line(), help));
            return Ok(None);
        }
    };
    findings.push(Finding::ok("configuration", file.display().to_string()));
    let genesis = match read_genesis(&config.genesis) {
        Ok(genesis) => genesis,
        Err(e) => {
            findings.push(Finding::failed("genesis", e.line(), "get the network's genesis file from another member"));
            return Ok(None);
        }
    };
    findings.push(Finding::ok("genesis", format!("network {}", genesis.network())));
    let (lock, runs) = match HomeLock::take(&home) {
        Ok(lock) => (Some(lock), false),
        Err(LockError::Taken { .. }) => (None, true),
        Err(e) => {
            let help = "the node's user must be able to write in its home: run doctor as that user";
            findings.push(Finding::failed("lock", crate::error::chain(&e), help));
            (None, false)
        }
    };
    let status = if runs { network::status(&config, findings) } else { None };
    if !runs {
        findings.push(Finding::skipped("node", "it stands still"));
    }
    let registry = home::registry(&config, &genesis, lock.is_some());
    let Some(member) = home::member(&config, &registry, findings) else { return Ok(None) };
    Ok(Some(Patient { home, config, genesis, member, status, lock, runs }))
}

fn shown(findings: &[Finding], healthy: bool) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let line = |finding: &Finding| {
        let verdict = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "-",
        };
        let help = finding.help.as_ref().map(|help| format!("{:>1$} {help}\n", "->", width.saturating_add(11)));
        format!("{verdict:<7} {:<width$}  {}\n{}", finding.check, finding.found, help.unwrap_or_default())
    };
    let lines: String = findings.iter().map(line).collect();
    let end = if healthy { "Nothing is wrong." } else { "Something is wrong: see FAILED above." };
    format!("{lines}{end}\n")
}
