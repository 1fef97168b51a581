//! Where words go: data to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::cli::Global;
use crate::error::CliError;
use crate::progress::Progress;

/// Version of what `--json` prints.
pub const JSON_VERSION: u32 = 1;

/// How this run talks.
#[derive(Debug)]
pub struct Output {
    is_json: bool,
    is_quiet: bool,
    verbosity: u8,
    /// Whether standard error is a terminal.
    is_terminal: bool,
    /// Whether standard error takes colours.
    is_coloured: bool,
}

/// One printed object: the version first, then the fields.
#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    fields: &'a T,
}

#[derive(Serialize)]
struct Failure<'a> {
    error: &'a CliError,
}

impl Output {
    /// As the global flags and the environment say.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        let is_terminal = io::stderr().is_terminal();
        // no-color.org: set and not empty means none.
        let is_colour_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            is_json: global.json,
            is_quiet: global.quiet,
            verbosity: global.verbose,
            is_terminal,
            is_coloured: is_terminal && !is_colour_refused && !is_dumb,
        }
    }

    /// For failures before the flags were parsed.
    pub(crate) fn json_only() -> Self {
        Self { is_json: true, is_quiet: true, verbosity: 0, is_terminal: false, is_coloured: false }
    }

    /// Whether data is printed as JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.is_json
    }

    /// Prints the command's result: the text, or with `--json` the value, which must be a structure
    /// or map without a field `version`.
    ///
    /// # Errors
    /// Standard output can't be written.
    pub fn data(&self, value: &impl Serialize, text: &str) -> Result<(), CliError> {
        let printed = if self.is_json { to_json(value)? } else { text.to_owned() };
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(printed.as_bytes())
            .and_then(|()| if printed.ends_with('\n') { Ok(()) } else { stdout.write_all(b"\n") })
            .and_then(|()| stdout.flush());
        match written {
            // The reader has seen enough, as in `stemma … | head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(CliError::files("cannot write to standard output").caused_by(&error)),
            Ok(()) => Ok(()),
        }
    }

    /// Says something that is good to know. Silenced by `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.is_quiet {
            self.say(None, text);
        }
    }

    /// Says something for who asks with `-v` (level 1) or `-vv` (level 2).
    pub fn detail(&self, level: u8, text: &str) {
        if self.verbosity >= level {
            self.say(None, text);
        }
    }

    /// Warns. Not silenced: a warning is about a risk.
    pub fn warn(&self, text: &str) {
        self.say(Some(("warning", "\x1b[33m")), text);
    }

    /// Prints a failure: as lines, or with `--json` as one object, on standard error either way.
    pub fn error(&self, error: &CliError) {
        if self.is_json {
            if let Ok(printed) = to_json(&Failure { error }) {
                self.say(None, &printed);
            }
            return;
        }
        self.say(Some(("error", "\x1b[31m")), error.message());
        for cause in error.causes() {
            self.say(None, &format!("  caused by: {cause}"));
        }
        if let Some(help) = error.next_step() {
            self.say(Some(("help", "\x1b[36m")), help);
        }
    }

    /// Shows that a long act goes on. `total` is how many steps it has, when that is known.
    #[must_use]
    pub fn progress(&self, label: &str, total: Option<u64>) -> Progress {
        if self.is_quiet {
            Progress::silent(label)
        } else if self.is_terminal {
            Progress::drawn(label, total)
        } else {
            Progress::plain(label, total)
        }
    }

    fn say(&self, prefix: Option<(&str, &str)>, text: &str) {
        let line = match prefix {
            Some((word, colour)) if self.is_coloured => format!("{colour}{word}:\x1b[0m {text}\n"),
            Some((word, _)) => format!("{word}: {text}\n"),
            None => format!("{text}\n"),
        };
        // When standard error is gone there is nobody left to tell.
        let _ = io::stderr().lock().write_all(line.as_bytes());
    }
}

/// Lays out named values in two columns, for people.
#[must_use]
pub fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).saturating_add(1);
    rows.iter().map(|(name, value)| format!("{:<width$} {value}\n", format!("{name}:"))).collect()
}

fn to_json(value: &impl Serialize) -> Result<String, CliError> {
    let versioned = Versioned { version: JSON_VERSION, fields: value };
    serde_json::to_string(&versioned)
        .map_err(|error| CliError::files("cannot encode the result as JSON").caused_by(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_comes_first() {
        #[derive(Serialize)]
        struct Result {
            amount: i128,
        }
        let printed = to_json(&Result { amount: i128::MAX }).ok();
        let expected = format!(r#"{{"version":1,"amount":{}}}"#, i128::MAX);
        assert_eq!(printed, Some(expected));
    }

    #[test]
    fn pairs_are_aligned() {
        let text = pairs(&[("A", "1".to_owned()), ("Long", "2".to_owned())]);
        assert_eq!(text, "A:    1\nLong: 2\n");
    }
}
