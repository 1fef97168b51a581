//! Looks at the home: keys, permissions, files, store, disk.

use std::path::Path;

use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::Member;
use stemma_chain_format::registry::Registry;
use stemma_keystore::{Passphrase, Purpose, ReadError, read_key_file};
use stemma_node_api::config::NodeConfig;

use super::{Finding, Patient, network};
use crate::bank::Desk;
use crate::commands::files;
use crate::commands::manifest::verified;
use crate::commands::start::STORE_FILE;
use crate::config::{self, ConfigError};
use crate::error::chain;
use crate::membership::{self, Standing};
use crate::store::Store;

/// Below so much free space, a node may stop any day.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// Below so much, there is time to act.
const FREE_BYTES_LOW: u64 = 10 << 30;

/// The members as the network has them: by the store where nobody has it, else by the running node, at first by the genesis.
pub(super) fn registry(config: &NodeConfig, genesis: &GenesisFile, is_still: bool) -> Registry {
    let stored = || {
        let member = config.member.parse().ok()?;
        let store = Store::open_copy(&config.data.join(STORE_FILE), genesis.network(), &member).ok()?;
        store.registry(genesis).ok()
    };
    let known = if is_still { stored() } else { network::registry(config) };
    known.unwrap_or_else(|| Registry::from_genesis(genesis))
}

/// Who the node's member is, and how it stands.
pub(super) fn member(config: &NodeConfig, registry: &Registry, findings: &mut Vec<Finding>) -> Option<Member> {
    let help = "check `member`; who joins names the governance record that admits it under `join`";
    let stands = || {
        let id = config.member.parse().map_err(|_| ConfigError::NoMember {
            member: config.member.clone(),
            known: registry.members().map(|m| m.id.to_string()).collect::<Vec<_>>().join(", "),
        })?;
        membership::stand(registry, config.join.as_deref(), &id)
    };
    match stands() {
        Ok((member, standing)) => {
            let found = format!("{} ({}) is {}", member.id, member.role, standing.as_str());
            findings.push(match standing {
                Standing::Active => Finding::ok("member", found),
                Standing::Coming => Finding::warning("member", found, "the node follows until the record takes effect"),
                Standing::Suspended | Standing::Removed => {
                    Finding::warning("member", found, "the node follows; `stemma gov show` tells what was resolved")
                }
            });
            Some(member)
        }
        Err(e) => {
            findings.push(Finding::failed("member", chain(&e), help));
            None
        }
    }
}

/// Whether every key opens and is one that the network names.
pub(super) fn keys(patient: &Patient, findings: &mut Vec<Finding>) {
    let passphrase = match config::passphrase(&patient.config) {
        Ok(passphrase) => passphrase,
        Err(e) => {
            let help = "set keys.passphrase_file, or give the passphrase as the service has it: STEMMA_PASSPHRASE";
            findings.push(Finding::failed("keys", chain(&e), help));
            return;
        }
    };
    let (files, member) = (&patient.config.keys, &patient.member);
    let mut wanted = vec![
        (Purpose::Member, Some(&files.member), &files.next_member, Some(member.member_key)),
        (Purpose::Network, Some(&files.network), &files.next_network, Some(member.network_key)),
    ];
    if member.validator_key.is_some() || files.validator.is_some() {
        wanted.push((Purpose::Validator, files.validator.as_ref(), &files.next_validator, member.validator_key));
    }
    for (purpose, file, next, expected) in wanted {
        findings.push(match (file.or(next.as_ref()), expected) {
            (Some(file), Some(expected)) => key(file, next.as_deref(), &passphrase, purpose, expected),
            (Some(file), None) => Finding::warning(
                "keys",
                format!("{} is configured, but {} has no vote", file.display(), member.id),
                "take keys.validator out of the configuration",
            ),
            (None, _) => Finding::failed(
                "keys",
                format!("{} has a vote, and keys.validator names no file", member.id),
                "set keys.validator",
            ),
        });
    }
}

fn key(file: &Path, next: Option<&Path>, passphrase: &Passphrase, purpose: Purpose, expected: PublicKey) -> Finding {
    let help = |e: &ReadError| match e {
        ReadError::OpenToOthers { .. } => format!("chmod 600 {}", file.display()),
        _ => "check the file and the passphrase; `stemma key show FILE` tells what a key file is".to_owned(),
    };
    match read_key_file(file, passphrase, purpose) {
        Ok(key) if PublicKey(key.public_key()) == expected => {
            Finding::ok("keys", format!("{purpose}: {expected} in {}", file.display()))
        }
        // After a rotation the key to come is the one in use.
        Ok(_) if next.is_some_and(|next| next != file) => {
            key(next.unwrap_or(file), None, passphrase, purpose, expected)
        }
        Ok(key) => Finding::failed(
            "keys",
            format!("{} holds {}, and the network names {expected}", file.display(), PublicKey(key.public_key())),
            "put the member's own key there",
        ),
        Err(e) => Finding::failed("keys", chain(&e), help(&e)),
    }
}

/// Whether what is secret is closed to others.
pub(super) fn permissions(patient: &Patient, findings: &mut Vec<Finding>) {
    let config = &patient.config;
    let secrets = [Some(&config.http.operator_token_file), config.keys.passphrase_file.as_ref()];
    let folders = [Some(&patient.home), Some(&config.data).filter(|data| data.exists())];
    let before = findings.len();
    for file in secrets.into_iter().flatten() {
        match files::open_to_others(file) {
            Ok(None) => {}
            Ok(Some(mode)) => findings.push(Finding::failed(
                "permissions",
                format!("{} has mode {mode:03o}: others can read a secret", file.display()),
                format!("chmod 600 {}", file.display()),
            )),
            Err(e) => findings.push(Finding::failed(
                "permissions",
                format!("{}: {e}", file.display()),
                "the file must be there and readable for the node's user",
            )),
        }
    }
    for folder in folders.into_iter().flatten() {
        if let Ok(Some(mode)) = files::open_to_others(folder) {
            findings.push(Finding::warning(
                "permissions",
                format!("{} has mode {mode:03o}", folder.display()),
                format!("chmod 700 {}", folder.display()),
            ));
        }
    }
    if findings.len() == before {
        findings.push(Finding::ok("permissions", "home, data, token and passphrase are closed to others"));
    }
}

/// Whether files that the configuration names beside the keys can be used.
pub(super) fn files_named(patient: &Patient, findings: &mut Vec<Finding>) {
    let prices = patient.config.institution.prices.file.as_ref();
    if let Some(file) = prices.filter(|file| !file.is_file()) {
        let found = format!("institution.prices.file: there is no {}", file.display());
        findings.push(Finding::failed("files", found, "put it there, or name another one"));
    }
    if let Some(rules) = &patient.config.bank.identity {
        // Any key will do: nothing is sealed.
        let read = Desk::read(rules, zeroize::Zeroizing::new([0; 32]));
        findings.push(match read {
            Ok(_) => Finding::ok("files", format!("bank.identity: {}", rules.display())),
            Err(e) => Finding::failed("files", format!("bank.identity: {}", chain(&e)), "correct the rules"),
        });
    }
}

/// Whether the store is this node's, and gives the certified state.
pub(super) fn store(patient: &Patient, findings: &mut Vec<Finding>) {
    let file = patient.config.data.join(STORE_FILE);
    if patient.lock.is_none() {
        findings.push(Finding::skipped("store", "the running node has it; it was verified when that started"));
        return;
    }
    if !file.exists() {
        findings.push(Finding::ok("store", "none yet: the node makes it and fetches all blocks from the others"));
        return;
    }
    match verified(&file, &patient.genesis, &patient.config.member) {
        Ok((store, held)) => {
            let root = &held.account_root;
            findings
                .push(Finding::ok("store", format!("height {}; balances give the certified root {root}", held.height)));
            if let Ok(Some(_)) = store.moved_ms() {
                let found = "this home was moved by `backup --final`";
                findings.push(Finding::failed(
                    "store",
                    found,
                    "start the home restored from that backup; this one never starts again",
                ));
            }
            let silence = patient.member.validator_key.map(|key| store.silence_of(&key));
            if let Some(Ok(Some(silence))) = silence {
                findings.push(silenced(&silence.cause.to_string()));
            }
        }
        Err(e) => {
            let help = "check genesis, member and data in the configuration; a damaged store is replaced by a backup, or \
                        by an empty data folder";
            findings.push(Finding::failed("store", e.line(), help));
        }
    }
}

/// That the validator's key signs nothing here any more.
pub(super) fn silenced(cause: &str) -> Finding {
    Finding::warning(
        "vote",
        format!("the validator's key signs nothing in this home any more: {cause}"),
        "the node follows; to vote again, have the key rotated by a governance record and start with the new key",
    )
}

/// Whether there is room.
pub(super) fn disk(patient: &Patient, findings: &mut Vec<Finding>) {
    let place = [&patient.config.data, &patient.home].into_iter().find(|place| place.exists());
    let Some(place) = place else { return };
    findings.push(match rustix::fs::statvfs(place.as_path()) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!("{} MiB free at {}", free >> 20, place.display());
            if free < FREE_BYTES_MIN {
                Finding::failed("disk", found, "make room now: a node stops when its store cannot be written")
            } else if free < FREE_BYTES_LOW {
                Finding::warning("disk", found, "make room, or move `data` to a larger disk")
            } else {
                Finding::ok("disk", found)
            }
        }
        Err(e) => Finding::failed(
            "disk",
            format!("{}: {e}", place.display()),
            "the data folder must be on a disk that answers",
        ),
    });
}
