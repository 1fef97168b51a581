//! Transcripts: each file in `tests/cmd` is run and compared. `TRYCMD=overwrite` writes them anew.
//! Standard output and standard error are interleaved there, as on a terminal.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use stemma_tools::cli::Cli;

#[test]
fn transcripts() {
    // Colours would show only in the transcripts of who has them.
    trycmd::TestCases::new().env("NO_COLOR", "1").case("tests/cmd/*.trycmd");
}

/// A command that is added gets a transcript, too.
#[test]
fn every_command_has_a_transcript() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let transcripts = files.filter(|path| path.extension().is_some_and(|extension| extension == "trycmd"));
    let text: String = transcripts.map(|path| fs::read_to_string(path).unwrap()).collect();
    let ran: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with("$ "))
        .filter_map(|line| line.split_once("stemma "))
        .map(|(_, rest)| rest.replace("--json ", ""))
        .collect();
    fn missing(command: &clap::Command, path: &str, ran: &[String], found: &mut Vec<String>) {
        let below: Vec<&clap::Command> = command.get_subcommands().collect();
        if below.is_empty() && !ran.iter().any(|line| line == path || line.starts_with(&format!("{path} "))) {
            found.push(path.to_owned());
        }
        for command in below {
            missing(command, format!("{path} {}", command.get_name()).trim_start(), ran, found);
        }
    }
    let mut found = Vec::new();
    missing(&Cli::command(), "", &ran, &mut found);
    assert!(found.is_empty(), "without a transcript: {found:?}");
}
