//! `stemma testnet`: a network for trials in one go.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use stemma_chain_format::genesis::{GenesisFile, Parameters};
use stemma_chain_format::limits::MEMBERS_MAX;
use stemma_chain_format::member::Role;
use stemma_node_api::config::{NodeConfig, PriceSource, PricesConfig};

use crate::error::{CliError, Exit};
use crate::files::{self, MODE_PUBLIC};
use crate::founding::home::{self, Plan, Ports};
use crate::founding::parameters;
use crate::output::{Output, pairs};

/// Where ports are looked for, below those that the operating system gives to clients.
const FIRST_PORTS: std::ops::Range<u16> = 21_000..32_000;
/// How far the search goes on after a port that is taken.
const PORTS_STEP: usize = 100;

const HELP: &str = "\
Makes members with a vote each, by turns a bank and an institution: of 4, bank-1, broker-1, bank-2 and broker-2; --auditors adds
members without a vote. Four of them agree while one is away. Each gets a folder with keys, their passphrase, the operator's token and
a configuration on loopback; the genesis is made as by `stemma genesis`. Institutions take prices from their operator
(`stemma node set-price`). All keys are made on one machine and are cheap to open: for trials, never for value.

Example:
  stemma testnet 4 --out testnet
  stemma-node --config testnet/nodes/bank-1/config.toml";

/// Arguments of `stemma testnet`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// How many members with a vote
    #[arg(value_name = "N")]
    members: u16,
    /// Folder of the network; it must be empty, or not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many auditors beside them
    #[arg(long, value_name = "N", default_value_t = 0)]
    auditors: u16,
    /// The network's name
    #[arg(long, default_value = "Stemma testnet")]
    name: String,
    /// First of the ports, two for each node [default: ones that are free, from 21000 on]
    #[arg(long, value_name = "PORT")]
    first_port: Option<u16>,
    /// Set a parameter, as of `stemma genesis draft`; once for each
    #[arg(long = "set", value_name = "NAME=NUMBER")]
    parameters: Vec<String>,
}

#[derive(Serialize)]
struct Report {
    network: String,
    name: String,
    genesis: String,
    nodes: Vec<NodeReport>,
}

#[derive(Serialize)]
struct NodeReport {
    member: String,
    role: String,
    power: u64,
    config: String,
    operator_token: String,
    http: String,
}

/// Runs `stemma testnet`.
///
/// # Errors
/// The folder is not empty, a file can't be written, or there are no free ports.
pub fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    let parameters = parameters::with_changes(Parameters::default(), &args.parameters)?;
    let plans = plans(args.members, args.auditors)?;
    check_empty(&args.out)?;
    let ports = ports(&plans, args.first_port)?;
    let node = |plan: &Plan| args.out.join("nodes").join(&plan.id);
    let mut progress = output.progress("Making keys", Some(u64::try_from(plans.len()).unwrap_or(u64::MAX)));
    let mut founders = Vec::new();
    for plan in &plans {
        founders.push(home::make_founder(&node(plan), plan, &args.name)?);
        progress.advance(1);
    }
    progress.finish();
    let genesis = home::make_genesis(&args.name, &founders, parameters)?;
    for plan in &plans {
        let comment = format!("Node of {} in {}.", plan.name, args.name);
        home::write_config(&node(plan), &config(plan, &plans, &ports)?, &comment)?;
    }
    // Last, so that a network that is there is whole.
    files::write(&args.out.join("genesis.stemma"), genesis.bytes(), MODE_PUBLIC, false)?;
    report(args, &plans, &ports, &genesis, output)?;
    Ok(Exit::Yes.into())
}

/// Banks and institutions by turns, then auditors.
fn plans(members: u16, auditors: u16) -> Result<Vec<Plan>, CliError> {
    let count = usize::from(members).saturating_add(auditors.into());
    if members == 0 || count > MEMBERS_MAX {
        return Err(CliError::usage(format!("{members} members with a vote and {auditors} without are not possible"))
            .help(format!("at least 1 with a vote, and at most {MEMBERS_MAX} in all")));
    }
    let voter = |at: u16| {
        let number = (at / 2).saturating_add(1);
        let (id, role, name) = if at.is_multiple_of(2) {
            (format!("bank-{number}"), Role::Bank, format!("Bank {number}"))
        } else {
            (format!("broker-{number}"), Role::Institution, format!("Broker {number}"))
        };
        Plan { id, role, name, power: 1 }
    };
    let auditor = |number: u16| {
        let (id, name) = (format!("auditor-{number}"), format!("Auditor {number}"));
        Plan { id, role: Role::Auditor, name, power: 0 }
    };
    Ok((0..members).map(voter).chain((1..=auditors).map(auditor)).collect())
}

fn config(plan: &Plan, plans: &[Plan], ports: &BTreeMap<String, Ports>) -> Result<NodeConfig, CliError> {
    let mut config = home::config(plan, plans, ports)?;
    if plan.role == Role::Institution {
        config.institution.prices = PricesConfig { source: PriceSource::Push, ..PricesConfig::default() };
    }
    Ok(config)
}

/// Keys are never overwritten here: a folder with anything in it is left alone.
fn check_empty(folder: &Path) -> Result<(), CliError> {
    let is_empty = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => {
            return Err(CliError::files(format!("cannot use the folder {}", folder.display())).caused_by(&error));
        }
    };
    if is_empty {
        return Ok(());
    }
    Err(CliError::files(format!("{} is not empty", folder.display()))
        .help("choose an empty folder, or one that does not exist, with --out"))
}

/// Two ports in a row for each node, from a given one on, or where all of them are free.
fn ports(plans: &[Plan], first: Option<u16>) -> Result<BTreeMap<String, Ports>, CliError> {
    let from = |first: u16| -> Option<Vec<Ports>> {
        let pair = |at: usize| {
            let http = first.checked_add(u16::try_from(at.checked_mul(2)?).ok()?)?;
            Some(Ports { http, network: http.checked_add(1)? })
        };
        (0..plans.len()).map(pair).collect()
    };
    let found = match first {
        Some(first) => {
            let all = from(first).filter(|_| first > 0).ok_or_else(|| {
                CliError::usage(format!("there are no {} ports from {first} on", plans.len().saturating_mul(2)))
            })?;
            if let Some(taken) = all.iter().find_map(taken) {
                return Err(CliError::usage(format!("port {taken} is taken"))
                    .help("choose another --first-port, or leave it out"));
            }
            all
        }
        None => {
            let mut starts = FIRST_PORTS.step_by(PORTS_STEP).filter_map(from);
            starts.find(|all| all.iter().all(|ports| taken(ports).is_none())).ok_or_else(|| {
                CliError::files("there are not enough free ports on loopback").help("name the first with --first-port")
            })?
        }
    };
    Ok(plans.iter().map(|plan| plan.id.clone()).zip(found).collect())
}

/// A port of a node that can't be listened on.
fn taken(ports: &Ports) -> Option<u16> {
    let tcp = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let udp = |port: u16| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    if !tcp(ports.http) {
        return Some(ports.http);
    }
    (!tcp(ports.network) || !udp(ports.network)).then_some(ports.network)
}

fn report(
    args: &Args,
    plans: &[Plan],
    ports: &BTreeMap<String, Ports>,
    genesis: &GenesisFile,
    output: &Output,
) -> Result<(), CliError> {
    let path = |plan: &Plan, file: &str| args.out.join("nodes").join(&plan.id).join(file).display().to_string();
    let http = |plan: &Plan| ports.get(&plan.id).map(|ports| format!("http://127.0.0.1:{}", ports.http));
    let nodes = plans.iter().map(|plan| NodeReport {
        member: plan.id.clone(),
        role: plan.role.to_string(),
        power: plan.power,
        config: path(plan, "config.toml"),
        operator_token: path(plan, "operator.token"),
        http: http(plan).unwrap_or_default(),
    });
    let report = Report {
        network: genesis.network().to_string(),
        name: args.name.clone(),
        genesis: args.out.join("genesis.stemma").display().to_string(),
        nodes: nodes.collect(),
    };
    let mut text = pairs(&[
        ("Network", report.network.clone()),
        ("Name", report.name.clone()),
        ("Genesis", report.genesis.clone()),
    ]);
    text.push_str("\nStart the nodes, each in a terminal of its own:\n");
    for node in &report.nodes {
        text.push_str(&format!("  stemma-node --config {}\n", node.config));
    }
    text.push_str("\nThen ask one how it is:\n");
    if let Some(node) = report.nodes.first() {
        text.push_str(&format!("  stemma node status --node {}\n", node.http));
    }
    text.push_str("\nTheir operators' addresses and tokens:\n");
    for node in &report.nodes {
        text.push_str(&format!("  {:<11} {:<11} {}  {}\n", node.member, node.role, node.http, node.operator_token));
    }
    output.data(&report, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banks_and_institutions_take_turns() {
        let ids = |members, auditors| -> Vec<String> {
            plans(members, auditors).unwrap().into_iter().map(|plan| plan.id).collect()
        };
        assert_eq!(ids(4, 0), ["bank-1", "broker-1", "bank-2", "broker-2"]);
        assert_eq!(ids(1, 2), ["bank-1", "auditor-1", "auditor-2"]);
        assert_eq!(ids(256, 0).len(), 256);
        for (members, auditors) in [(0, 1), (257, 0), (256, 1), (u16::MAX, u16::MAX)] {
            assert!(plans(members, auditors).is_err(), "{members} {auditors}");
        }
    }

    #[test]
    fn ports_are_consecutive_and_a_taken_one_is_named() {
        let plans = plans(3, 0).unwrap();
        let found = ports(&plans, None).unwrap();
        let first = found["bank-1"].http;
        assert_eq!(found["bank-2"], Ports { http: first + 4, network: first + 5 });
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = held.local_addr().unwrap().port();
        assert!(ports(&plans, Some(port)).unwrap_err().message().contains(&port.to_string()));
        assert!(ports(&plans, Some(65_533)).is_err() && ports(&plans, Some(0)).is_err());
    }
}
