//! How a command ends: data on standard output, everything else on standard error, and an exit code.

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

/// Version of what `--json` prints.
pub const JSON_VERSION: u32 = 1;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or the check said yes.
    Yes = 0,
    /// The check said no.
    No = 1,
    /// The command line, or what it names, makes no sense.
    Usage = 2,
    /// Files or network failed.
    Failure = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed, told as `error:`, one `caused by:` for each cause, and `help:`.
#[derive(Debug, Serialize)]
pub struct CommandError {
    message: String,
    causes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    exit_code: u8,
    #[serde(skip)]
    exit: Exit,
}

impl CommandError {
    /// A failure of this kind.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), help: None, exit_code: exit as u8, exit }
    }

    /// A file, or something else of this machine, or the network failed.
    #[must_use]
    pub fn failure(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, message)
    }

    /// What was asked for makes no sense.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// An error of files or network, with its causes.
    #[must_use]
    pub fn of(error: &dyn Error) -> Self {
        let failed = Self::failure(error.to_string());
        match error.source() {
            Some(source) => failed.caused_by(source),
            None => failed,
        }
    }

    /// A file that cannot be read or written.
    #[must_use]
    pub fn file(verb: &str, path: &Path, error: &dyn Error) -> Self {
        Self::failure(format!("cannot {verb} {}", path.display())).caused_by(error)
    }

    /// Adds a cause and the causes of that.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            self.causes.push(cause.to_string());
            next = cause.source();
        }
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The exit code.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What happened, why, and the next step, in one line for a log.
    #[must_use]
    pub fn line(&self) -> String {
        let causes: String = self.causes.iter().map(|cause| format!(": {cause}")).collect();
        let help = self.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
        format!("{}{causes}{help}", self.message)
    }

    /// What happened.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Prints it on standard error.
    pub fn print(&self, is_json: bool) {
        let mut text = String::new();
        if is_json {
            let shown = Versioned { version: JSON_VERSION, fields: &Failure { error: self } };
            text = serde_json::to_string(&shown).unwrap_or_default() + "\n";
        } else {
            text.push_str(&format!("error: {}\n", self.message));
            self.causes.iter().for_each(|cause| text.push_str(&format!("  caused by: {cause}\n")));
            if let Some(help) = &self.help {
                text.push_str(&format!("help: {help}\n"));
            }
        }
        say(&text);
    }
}

/// Why the causes of an error are known already.
impl From<anyhow::Error> for CommandError {
    fn from(error: anyhow::Error) -> Self {
        let error: &(dyn Error + 'static) = error.as_ref();
        Self::of(error)
    }
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    fields: &'a T,
}

#[derive(Serialize)]
struct Failure<'a> {
    error: &'a CommandError,
}

/// Prints a result on standard output: the text, or with `--json` the value, a structure without a field `version`.
///
/// # Errors
/// It cannot be written.
pub fn print(value: &impl Serialize, text: &str, is_json: bool) -> Result<(), CommandError> {
    let shown = if is_json {
        serde_json::to_string(&Versioned { version: JSON_VERSION, fields: value })
            .map_err(|e| CommandError::failure("cannot encode the result as JSON").caused_by(&e))?
    } else {
        text.to_owned()
    };
    let mut out = io::stdout().lock();
    let end = if shown.ends_with('\n') { "" } else { "\n" };
    match out.write_all(shown.as_bytes()).and_then(|()| out.write_all(end.as_bytes())).and_then(|()| out.flush()) {
        // The reader has seen enough, as in `stemma-node status | head`.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(e) => Err(CommandError::failure("cannot write to standard output").caused_by(&e)),
        Ok(()) => Ok(()),
    }
}

/// Says something that is no data.
pub fn say(text: &str) {
    // When standard error is gone there is nobody left to tell.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Lays out named values in two columns, for people.
#[must_use]
pub fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).saturating_add(1);
    rows.iter().map(|(name, value)| format!("{:<width$} {value}\n", format!("{name}:"))).collect()
}
