//! `stemma man`: the manual, one page for each command.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use serde::Serialize;

use crate::cli::Cli;
use crate::error::{CliError, Exit};
use crate::files::{self, MODE_PUBLIC};
use crate::output::Output;

/// Arguments of `stemma man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  stemma man --out ~/.local/share/man/man1\n  man stemma-key-new")]
pub struct Args {
    /// Folder to write the pages to, such as …/man/man1
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace pages that exist
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Report {
    files: Vec<String>,
}

/// Runs `stemma man`.
///
/// # Errors
/// A page can't be written.
pub fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    let mut command = Cli::command().disable_help_subcommand(true);
    // What is global reaches the commands below only when the whole is built.
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages)?;
    for (name, page) in &pages {
        files::write(&args.out.join(name), page, MODE_PUBLIC, args.force)?;
    }
    let report = Report { files: pages.iter().map(|(name, _)| shown(&args.out, name)).collect() };
    output.data(&report, &format!("{}\n", report.files.join("\n")))?;
    Ok(Exit::Yes.into())
}

fn shown(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// The page of a command, and those of all below.
fn collect(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), CliError> {
    let source = format!("Stemma {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(source).manual("Stemma");
    let mut page = Vec::new();
    man.render(&mut page).map_err(|error| CliError::files("cannot make a page of the manual").caused_by(&error))?;
    pages.push((man.get_filename(), page));
    command.get_subcommands().try_for_each(|below| collect(below, pages))
}
