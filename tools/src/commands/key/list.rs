//! `stemma key list`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;
use stemma_keystore::{Purpose, read_public};

use crate::error::{CliError, Exit};
use crate::keys::fingerprint;
use crate::output::Output;

/// How many characters of a fingerprint are shown in the table.
const SHORT_CHARS: usize = 16;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Lists files that end with .pem. What is listed are the files' own words: `stemma key show` with the \
    passphrase verifies one.\n\n\
    Example:\n  stemma key list\n  stemma key list nodes/bank-a/keys --json"
)]
pub(super) struct Args {
    /// Folders with key files
    #[arg(value_name = "DIR", default_value = ".")]
    folders: Vec<PathBuf>,
}

#[derive(Serialize)]
struct List {
    keys: Vec<Row>,
}

/// One file: a key, or why it is none.
#[derive(Serialize)]
struct Row {
    file: String,
    purpose: Option<&'static str>,
    public_key: Option<String>,
    fingerprint: Option<String>,
    encrypted: Option<bool>,
    mode: Option<String>,
    /// Why no program would use it.
    problem: Option<String>,
}

pub(super) fn run(args: &Args, output: &Output) -> Result<ExitCode, CliError> {
    let mut keys = Vec::new();
    for folder in &args.folders {
        keys.extend(files_of(folder)?.iter().map(|file| Row::of(file)));
    }
    if keys.is_empty() {
        let folders: Vec<String> = args.folders.iter().map(|folder| folder.display().to_string()).collect();
        output.note(&format!("There are no key files (*.pem) in {}.", folders.join(", ")));
    }
    let list = List { keys };
    output.data(&list, &table(&list.keys))?;
    Ok(Exit::Yes.into())
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let failed = |error: &std::io::Error| {
        CliError::files(format!("cannot read the folder {}", folder.display())).caused_by(error)
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| failed(&error))? {
        let path = entry.map_err(|error| failed(&error))?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            // As `ls` shows them: without the dot where the folder is this one.
            files.push(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path));
        }
    }
    files.sort();
    Ok(files)
}

impl Row {
    fn of(file: &Path) -> Self {
        let name = file.display().to_string();
        match read_public(file) {
            Err(error) => {
                let failed = CliError::from(error);
                let problem = failed.causes().last().cloned().unwrap_or_else(|| failed.message().to_owned());
                let (purpose, public_key, fingerprint, encrypted, mode) = (None, None, None, None, None);
                Self { file: name, purpose, public_key, fingerprint, encrypted, mode, problem: Some(problem) }
            }
            Ok(public) => {
                let is_open = public.mode & 0o077 != 0;
                let problem = match public.purpose {
                    _ if is_open => Some(format!("open to others: run `chmod 600 {name}`")),
                    None => Some("names no purpose".to_owned()),
                    Some(_) => None,
                };
                Self {
                    file: name,
                    purpose: public.purpose.map(Purpose::as_str),
                    public_key: public.public_key.map(hex::encode),
                    fingerprint: public.public_key.as_ref().map(fingerprint),
                    encrypted: Some(public.is_encrypted),
                    mode: Some(format!("{:04o}", public.mode)),
                    problem,
                }
            }
        }
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["file", "purpose", "fingerprint", "encrypted", "mode", "problem"]);
    for row in rows {
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let short = row.fingerprint.as_deref().and_then(|digits| digits.get(..SHORT_CHARS));
        table.add_row([
            row.file.clone(),
            or_dash(row.purpose),
            short.map_or("-".to_owned(), |digits| format!("{digits}…")),
            or_dash(row.encrypted.map(|encrypted| if encrypted { "yes" } else { "no" })),
            or_dash(row.mode.as_deref()),
            row.problem.clone().unwrap_or_default(),
        ]);
    }
    if rows.is_empty() { String::new() } else { format!("{table}\n") }
}
