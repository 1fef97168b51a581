//! Where a passphrase comes from: flags, then the environment, then a question on the terminal.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use stemma_keystore::{Passphrase, passphrase};
use zeroize::Zeroizing;

use crate::error::CliError;
use crate::output::Output;

/// Below this many characters a new passphrase draws advice.
const ADVISED_LENGTH_MIN: usize = 12;

/// The flags of every command that opens or makes a key. A passphrase itself is never an argument:
/// others could see it in the list of processes.
#[derive(Clone, Debug, Default, Args)]
pub struct PassphraseArgs {
    /// Take the passphrase from this file's first line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Take the passphrase from this open file descriptor's first line
    #[arg(long, value_name = "N", conflicts_with = "passphrase_file")]
    pub passphrase_fd: Option<u32>,
}

impl PassphraseArgs {
    /// The passphrase for a new key: asked twice if it has to be asked.
    ///
    /// # Errors
    /// There is none, it can't be read, or the two answers differ.
    pub fn for_new_key(&self, output: &Output) -> Result<Passphrase, CliError> {
        let passphrase = match self.given(output)? {
            Some(passphrase) => passphrase,
            None => {
                let first = ask("Passphrase for the new key: ")?;
                let second = ask("The same again: ")?;
                if first.as_bytes() != second.as_bytes() {
                    return Err(CliError::usage("the two passphrases differ").help("try again"));
                }
                first
            }
        };
        if passphrase.length() < ADVISED_LENGTH_MIN {
            output.note(&format!(
                "The passphrase has fewer than {ADVISED_LENGTH_MIN} characters: who steals the file may \
                 guess it. Five random words are better."
            ));
        }
        Ok(passphrase)
    }

    /// The passphrase of an existing key.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn for_key(&self, path: &Path, output: &Output) -> Result<Passphrase, CliError> {
        match self.given(output)? {
            Some(passphrase) => Ok(passphrase),
            None => ask(&format!("Passphrase of {}: ", path.display())),
        }
    }

    /// What flags or the environment give, without asking.
    ///
    /// # Errors
    /// They name something that can't be read or is empty.
    pub fn given(&self, output: &Output) -> Result<Option<Passphrase>, CliError> {
        if let Some(descriptor) = self.passphrase_fd {
            return Ok(Some(passphrase::from_descriptor(descriptor)?));
        }
        let Some(path) = &self.passphrase_file else {
            return passphrase::from_environment()
                .map_err(|error| CliError::from(error).help("correct or unset STEMMA_PASSPHRASE"));
        };
        if path.as_os_str() == "-" {
            return Ok(Some(passphrase::from_reader(&mut io::stdin().lock(), path)?));
        }
        let read = passphrase::from_file(path)?;
        if let Some(mode) = read.mode_open_to_others {
            output.warn(&format!("the passphrase file {} has mode {mode:04o} and is open to others", path.display()));
        }
        Ok(Some(read.passphrase))
    }
}

/// Asks on the terminal, without echo.
fn ask(question: &str) -> Result<Passphrase, CliError> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(CliError::usage("a passphrase is needed, and there is no terminal to ask on")
            .help("pass --passphrase-file FILE or --passphrase-fd N, or set STEMMA_PASSPHRASE"));
    }
    let answer = rpassword::prompt_password(question)
        .map(Zeroizing::new)
        .map_err(|error| CliError::files("cannot ask for the passphrase").caused_by(&error))?;
    Ok(Passphrase::new(answer.as_bytes())?)
}
