//! Completions are tried by the shell itself, and the manual has a page for every command, each with its example.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use clap::CommandFactory;
use stemma_tools::cli::Cli;

fn stemma(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stemma"));
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("stemma.bash"), stemma(&["completions", "bash"])).unwrap();
    let complete = |words: &[&str]| -> BTreeSet<String> {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let at = words.len() - 1;
        let previous = words[at - 1];
        let script = format!(
            "source ./stemma.bash; COMP_WORDS=({}); COMP_CWORD={at}; _stemma stemma '{}' '{previous}'; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            quoted.join(" "),
            words[at]
        );
        let output = Command::new("bash").arg("-c").arg(script).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    assert!(complete(&["stemma", "test"]).contains("testnet"));
    let keys = complete(&["stemma", "key", ""]);
    for command in ["new", "list", "export", "import", "passwd", "sign", "verify", "backup", "restore"] {
        assert!(keys.contains(command), "{command}: {keys:?}");
    }
    assert!(complete(&["stemma", "key", "new", "--purp"]).contains("--purpose"));
    let purposes = complete(&["stemma", "key", "new", "--purpose", ""]);
    assert_eq!(purposes, ["account", "member", "network", "validator"].map(str::to_owned).into());
}

#[test]
fn each_shell_has_a_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = stemma(&["completions", shell]);
        assert!(script.contains("testnet") && script.contains("fingerprint"), "{shell}");
    }
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    stemma(&["man", "--out", folder.path().to_str().unwrap()]);
    fn names(command: &clap::Command, name: &str, found: &mut BTreeSet<String>) {
        found.insert(format!("{name}.1"));
        for below in command.get_subcommands() {
            names(below, &format!("{name}-{}", below.get_name()), found);
        }
    }
    let mut expected = BTreeSet::new();
    names(&Cli::command(), "stemma", &mut expected);
    let found = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(found.collect::<BTreeSet<_>>(), expected);
    for name in expected {
        let page = fs::read_to_string(folder.path().join(&name)).unwrap();
        for part in [".TH", ".SH NAME", ".SH SYNOPSIS", ".SH EXAMPLES\n.PP\n.nf\n  "] {
            assert!(page.contains(part), "{name} has no {part}");
        }
    }
}
