//! Promise: the house style holds, checked here as far as a program can.

use std::path::PathBuf;
use std::process::Command;

use stemma_tests::binaries::workspace;

/// Longest source file, in lines.
const LINES_MAX: usize = 600;
/// Ends of names of source files.
const SOURCES: [&str; 8] = [".rs", ".py", ".ts", ".js", ".css", ".html", ".sh", ".cddl"];

/// Which of our packages each may depend on, tests of its own included.
const DEPENDENCIES: [(&str, &[&str]); 8] = [
    ("chain-format/derive", &[]),
    ("chain-format", &["canonical-derive"]),
    ("consensus", &["chain-format"]),
    ("node/api", &["chain-format"]),
    ("node/keystore", &[]),
    ("node/net", &[]),
    ("node", &["chain-format", "consensus", "node-api", "keystore", "net"]),
    ("tools", &["chain-format", "node-api", "keystore"]),
];

/// Inside the node: what the sources of a folder, or a file, must not name.
const NODE_LAYERS: [(&str, &[&str]); 9] = [
    ("bank", &["crate::institution", "crate::http", "stemma_net"]),
    ("institution", &["crate::bank", "crate::http", "stemma_net"]),
    ("ledger", &["crate::bank", "crate::institution", "crate::http", "stemma_net"]),
    ("store", &["crate::bank", "crate::institution", "crate::ledger", "crate::http", "stemma_net", "crate::node"]),
    ("http", &["stemma_net"]),
    ("role.rs", &["crate::bank", "crate::institution", "crate::http", "stemma_net", "crate::node"]),
    ("config", &["crate::membership", "crate::role", "crate::store", "crate::ledger", "crate::node", "stemma_net"]),
    (
        "membership.rs",
        &["crate::bank", "crate::institution", "crate::ledger", "crate::http", "crate::node", "stemma_net"],
    ),
    ("clock.rs", &["crate::", "stemma_net"]),
];

/// Every file of the repository, tracked or about to be: its path within, and its text as far as it is text. Nothing
/// where this is no repository, such as an unpacked archive.
fn files() -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(workspace())
        .output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else { return Vec::new() };
    let names = String::from_utf8(listed.stdout).unwrap();
    let read = |name: &str| Some((name.to_owned(), std::fs::read(workspace().join(name)).ok()?));
    let found = names.split('\0').filter_map(read);
    found.map(|(name, bytes)| (name, String::from_utf8_lossy(&bytes).into_owned())).collect()
}

fn sources() -> impl Iterator<Item = (String, String)> {
    files().into_iter().filter(|(name, _)| SOURCES.iter().any(|end| name.ends_with(end)))
}

fn rust() -> impl Iterator<Item = (String, String)> {
    files().into_iter().filter(|(name, _)| name.ends_with(".rs"))
}

/// A word that this file itself must not contain.
fn word(parts: [&str; 2]) -> String {
    parts.concat()
}

fn none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn files_are_short() {
    let long = sources().filter(|(_, text)| text.lines().count() > LINES_MAX);
    none(&long.map(|(name, text)| format!("{name}: {} lines", text.lines().count())).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_to_be_done() {
    let words = [word(["to", "do!("]), word(["unimple", "mented!("]), word(["db", "g!("])];
    none(&lines_with(code(rust()), &words));
}

#[test]
fn every_source_says_what_it_is() {
    none(&rust().filter(|(_, text)| !text.starts_with("//! ")).map(|(name, _)| name).collect::<Vec<_>>());
}

#[test]
fn no_path_of_a_machine() {
    let words = [word(["/wo", "rk/"]), word(["/ro", "ot/"]), word(["/ho", "me/"]), word(["/tm", "p/"])];
    none(&lines_with(files().into_iter(), &words));
}

#[test]
fn the_core_has_no_io_and_no_clock() {
    let core = rust().filter(|(name, _)| name.starts_with("chain-format/src/") || name.starts_with("consensus/src/"));
    let banned = ["std::fs", "std::net", "std::env", "std::thread", "std::process", "Instant", "SystemTime", "tokio"];
    none(&lines_with(code(core), &banned.map(str::to_owned)));
}

#[test]
fn packages_depend_on_what_they_may() {
    let mut found = Vec::new();
    for (folder, allowed) in DEPENDENCIES {
        for dependency in dependencies(folder) {
            let Some(own) = dependency.strip_prefix("stemma-") else { continue };
            if !allowed.contains(&own) {
                found.push(format!("{folder} depends on {own}"));
            }
        }
    }
    let members = manifest("")["workspace"]["members"].as_array().unwrap().clone();
    for member in members {
        let member = member.as_str().unwrap().to_owned();
        if member != "tests" && DEPENDENCIES.iter().all(|(folder, _)| *folder != member) {
            found.push(format!("{member} has no rule in this test"));
        }
    }
    none(&found);
}

#[test]
fn the_tool_compiles_no_libp2p_and_no_database() {
    for folder in ["tools", "node/api", "chain-format", "consensus", "node/keystore"] {
        let found = dependencies(folder);
        assert!(!found.iter().any(|name| name.starts_with("libp2p") || name == "redb"), "{folder}: {found:?}");
    }
}

#[test]
fn layers_of_the_node_know_what_they_may() {
    let mut found = Vec::new();
    for (part, banned) in NODE_LAYERS {
        let place = format!("node/src/{part}");
        let of_part = rust().filter(|(name, _)| name.starts_with(&place));
        let banned: Vec<String> = banned.iter().map(|&word| word.to_owned()).collect();
        found.extend(lines_with(code(of_part), &banned));
    }
    none(&found);
}

fn manifest(folder: &str) -> toml::Table {
    std::fs::read_to_string(workspace().join(folder).join("Cargo.toml")).unwrap().parse().unwrap()
}

/// Names of everything that a package depends on, also for its tests and its build.
fn dependencies(folder: &str) -> Vec<String> {
    let manifest = manifest(folder);
    let tables = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = tables.iter().filter_map(|table| manifest.get(*table)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

/// Places of lines that contain one of the words.
fn lines_with(files: impl Iterator<Item = (String, String)>, words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in files {
        for (at, line) in text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
                found.push(format!("{name}:{}: {word}", at + 1));
            }
        }
    }
    found
}

/// The same sources without comments, which may say anything; a line stays where it was.
fn code(files: impl Iterator<Item = (String, String)>) -> impl Iterator<Item = (String, String)> {
    files.map(|(name, text)| {
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let lines: Vec<&str> = text.lines().map(|line| Some(line).filter(is_code).unwrap_or_default()).collect();
        (name, lines.join("\n"))
    })
}

/// The rules above are about files that exist.
#[test]
fn the_rules_name_what_is_there() {
    let node: PathBuf = workspace().join("node/src");
    for (part, _) in NODE_LAYERS {
        assert!(node.join(part).exists(), "{part}");
    }
}
