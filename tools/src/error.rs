//! How a command fails: an exit code, what happened, why, and the next step.

use std::error::Error;
use std::process::ExitCode;

use serde::Serialize;
use stemma_keystore::{DecodeError, PassphraseError, ReadError, WriteError};

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

/// Why a command failed. It is printed as `error:`, one `caused by:` for each cause, and `help:`.
#[derive(Debug, Serialize)]
pub struct CliError {
    message: String,
    causes: Vec<String>,
    help: Option<String>,
    #[serde(rename = "exit_code", serialize_with = "as_number")]
    exit: Exit,
}

impl CliError {
    /// A check that can't say more than no. One that has data prints it and returns [`Exit::No`].
    #[must_use]
    pub fn no(message: impl Into<String>) -> Self {
        Self::new(Exit::No, message)
    }

    /// Wrong usage.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A file, or something else of this machine, failed.
    #[must_use]
    pub fn files(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, message)
    }

    /// The network, or who answers there, failed.
    #[must_use]
    pub fn network(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, message)
    }

    /// Takes an error's text as the message, and its sources as the causes.
    #[must_use]
    pub fn from_error(exit: Exit, error: &dyn Error) -> Self {
        let failed = Self::new(exit, error.to_string());
        match error.source() {
            Some(source) => failed.caused_by(source),
            None => failed,
        }
    }

    /// What clap says, without its usage lines, for `--json`.
    #[must_use]
    pub fn from_clap(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let message = text.split("\n\n").next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let words: Vec<&str> = message.split_whitespace().collect();
        Self::usage(words.join(" ")).help("run the command with --help")
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

    /// What happened.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Why, the nearest cause first.
    #[must_use]
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// The next step.
    #[must_use]
    pub fn next_step(&self) -> Option<&str> {
        self.help.as_deref()
    }

    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), causes: Vec::new(), help: None, exit }
    }
}

impl From<ReadError> for CliError {
    fn from(error: ReadError) -> Self {
        let failed = Self::from_error(Exit::Failure, &error);
        match error {
            ReadError::Decode { source: DecodeError::WrongPurpose { .. }, .. } => {
                failed.help("name the key file of the purpose that is needed: `stemma key show FILE` tells")
            }
            ReadError::Decode { source: DecodeError::WrongPassphrase, .. } => failed
                .help("check where the passphrase comes from: --passphrase-file, --passphrase-fd, STEMMA_PASSPHRASE"),
            _ => failed,
        }
    }
}

impl From<WriteError> for CliError {
    fn from(error: WriteError) -> Self {
        let failed = Self::from_error(Exit::Failure, &error);
        match error {
            WriteError::Exists { .. } => failed.help("choose another file, or replace this one for good with --force"),
            _ => failed,
        }
    }
}

impl From<PassphraseError> for CliError {
    fn from(error: PassphraseError) -> Self {
        let exit = match error {
            PassphraseError::Read { .. } => Exit::Failure,
            PassphraseError::Empty | PassphraseError::TooLong => Exit::Usage,
        };
        Self::from_error(exit, &error)
    }
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn as_number<S: serde::Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(*exit as u8)
}
