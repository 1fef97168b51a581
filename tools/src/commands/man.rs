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
    let page =
        render(&man, command).map_err(|error| CliError::files("cannot make a page of the manual").caused_by(&error))?;
    pages.push((man.get_filename(), page));
    command.get_subcommands().try_for_each(|below| collect(below, pages))
}

/// What the library makes of a command, and our own words about it as they are written for `--help`.
fn render(man: &Man, command: &Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    let words = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (notes, examples) = words.split_once("Example:\n").unwrap_or((&words, ""));
    section(&mut page, "NOTES", notes);
    section(&mut page, "EXAMPLES", examples);
    Ok(page)
}

/// A section of paragraphs. Those that are laid out by hand, as examples and tables are, stay as they are; others are filled.
fn section(page: &mut Vec<u8>, name: &str, text: &str) {
    let paragraphs: Vec<&str> = text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()).collect();
    if paragraphs.is_empty() {
        return;
    }
    page.extend(format!(".SH {name}\n").bytes());
    for paragraph in paragraphs {
        let is_laid_out = paragraph.lines().any(|line| line.contains("  "));
        page.extend(if is_laid_out { b".PP\n.nf\n".iter() } else { b".PP\n".iter() });
        for line in paragraph.lines().filter(|line| !line.trim().is_empty()) {
            page.extend(format!("{}\n", escape(line)).bytes());
        }
        page.extend(if is_laid_out { b".fi\n".iter() } else { b"".iter() });
    }
}

/// A line that roff shows as it is.
fn escape(line: &str) -> String {
    let escaped = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
    if escaped.starts_with('.') { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_as_they_are() {
        let mut page = Vec::new();
        section(&mut page, "NOTES", "Two lines\nof prose.\n\nraw  32 bytes\njwk  \\o/\n\n.a 'b' `c-d`\n");
        let expected = ".SH NOTES\n.PP\nTwo lines\nof prose.\n.PP\n.nf\nraw  32 bytes\njwk  \\eo/\n.fi\n.PP\n\
                        \\&.a \\(aqb\\(aq \\(gac\\-d\\(ga\n";
        assert_eq!(String::from_utf8(page).unwrap(), expected);
    }
}
