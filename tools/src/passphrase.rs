//! Where a passphrase comes from: flags, then the environment, then a question on the terminal.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use stemma_keystore::{Passphrase, passphrase};
use zeroize::Zeroizing;

use crate::error::CliError;
use crate::output::Output;

/// The environment variable that may hold a new passphrase, where there is an old one, too.
const NEW_VARIABLE: &str = "STEMMA_NEW_PASSPHRASE";
/// Below this many characters a new passphrase draws advice.
const ADVISED_LENGTH_MIN: usize = 12;
/// Below this many different characters, too.
const ADVISED_VARIETY_MIN: usize = 6;

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

/// The same for the passphrase that a key gets, where it has one already.
#[derive(Clone, Debug, Default, Args)]
pub struct NewPassphraseArgs {
    /// Take the new passphrase from this file's first line
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
    /// Take the new passphrase from this open file descriptor's first line
    #[arg(long, value_name = "N", conflicts_with = "new_passphrase_file")]
    pub new_passphrase_fd: Option<u32>,
}

/// The same for the passphrase of a file that comes from elsewhere.
#[derive(Clone, Debug, Default, Args)]
pub struct SourcePassphraseArgs {
    /// Take the passphrase of the imported file from this file's first line
    #[arg(long, value_name = "FILE")]
    pub source_passphrase_file: Option<PathBuf>,
    /// Take the passphrase of the imported file from this open file descriptor's first line
    #[arg(long, value_name = "N", conflicts_with = "source_passphrase_file")]
    pub source_passphrase_fd: Option<u32>,
}

impl PassphraseArgs {
    /// The passphrase for a new key: asked twice if it has to be asked.
    ///
    /// # Errors
    /// There is none, it can't be read, or the two answers differ.
    pub fn for_new_key(&self, output: &Output) -> Result<Passphrase, CliError> {
        let passphrase = match self.given(output)? {
            Some(passphrase) => passphrase,
            None => ask_twice("Passphrase for the new key: ")?,
        };
        advise(&passphrase, output);
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
        match from_flags(self.passphrase_file.as_deref(), self.passphrase_fd, output)? {
            Some(passphrase) => Ok(Some(passphrase)),
            None => from_variable(passphrase::PASSPHRASE_VARIABLE),
        }
    }
}

impl NewPassphraseArgs {
    /// What flags or the environment give, without asking.
    ///
    /// # Errors
    /// They name something that can't be read or is empty.
    pub fn given(&self, output: &Output) -> Result<Option<Passphrase>, CliError> {
        let given = match from_flags(self.new_passphrase_file.as_deref(), self.new_passphrase_fd, output)? {
            Some(passphrase) => Some(passphrase),
            None => from_variable(NEW_VARIABLE)?,
        };
        if let Some(passphrase) = &given {
            advise(passphrase, output);
        }
        Ok(given)
    }

    /// The new passphrase: asked twice if it has to be asked.
    ///
    /// # Errors
    /// There is none, it can't be read, or the two answers differ.
    pub fn required(&self, output: &Output) -> Result<Passphrase, CliError> {
        if let Some(passphrase) = self.given(output)? {
            return Ok(passphrase);
        }
        if !can_ask() {
            return Err(CliError::usage("a new passphrase is needed, and there is no terminal to ask on")
                .help("pass --new-passphrase-file FILE or --new-passphrase-fd N, or set STEMMA_NEW_PASSPHRASE"));
        }
        let passphrase = ask_twice("New passphrase: ")?;
        advise(&passphrase, output);
        Ok(passphrase)
    }
}

impl SourcePassphraseArgs {
    /// What the flags give; asked for on a terminal.
    ///
    /// # Errors
    /// They name something that can't be read or is empty.
    pub fn given_or_asked(&self, path: &Path, output: &Output) -> Result<Option<Passphrase>, CliError> {
        match from_flags(self.source_passphrase_file.as_deref(), self.source_passphrase_fd, output)? {
            Some(passphrase) => Ok(Some(passphrase)),
            None if can_ask() => ask(&format!("Passphrase of {}: ", path.display())).map(Some),
            None => Ok(None),
        }
    }
}

fn from_flags(file: Option<&Path>, descriptor: Option<u32>, output: &Output) -> Result<Option<Passphrase>, CliError> {
    if let Some(descriptor) = descriptor {
        return Ok(Some(passphrase::from_descriptor(descriptor)?));
    }
    let Some(path) = file else { return Ok(None) };
    if path.as_os_str() == "-" {
        return Ok(Some(passphrase::from_reader(&mut io::stdin().lock(), path)?));
    }
    let read = passphrase::from_file(path)?;
    if let Some(mode) = read.mode_open_to_others {
        output.warn(&format!("the passphrase file {} has mode {mode:04o} and is open to others", path.display()));
    }
    Ok(Some(read.passphrase))
}

fn from_variable(name: &str) -> Result<Option<Passphrase>, CliError> {
    passphrase::from_variable(name).map_err(|error| CliError::from(error).help(format!("correct or unset {name}")))
}

/// Says how a new passphrase could be better.
fn advise(passphrase: &Passphrase, output: &Output) {
    if let Some(advice) = advice(passphrase) {
        output.note(&format!("{advice}: who steals the file may guess it. Five random words are better."));
    }
}

/// What is weak about a passphrase. It is a rule of thumb, not a measure: a phrase that stands in a book passes.
fn advice(passphrase: &Passphrase) -> Option<String> {
    let text = Zeroizing::new(String::from_utf8_lossy(passphrase.as_bytes()).into_owned());
    let length = passphrase.length();
    if length < ADVISED_LENGTH_MIN {
        return Some(format!("The passphrase has fewer than {ADVISED_LENGTH_MIN} characters"));
    }
    let different = text.char_indices().filter(|(at, c)| text.find(*c) == Some(*at)).count();
    if different < ADVISED_VARIETY_MIN {
        return Some(format!("The passphrase has only {different} different characters"));
    }
    // 80 bits in digits alone are 24 of them.
    if length < 24 && text.chars().all(|c| c.is_ascii_digit()) {
        return Some("The passphrase is a number of fewer than 24 digits".to_owned());
    }
    let follows = |(one, next): (char, char)| u32::from(one).abs_diff(u32::from(next)) <= 1;
    let steps = text.chars().zip(text.chars().skip(1)).filter(|pair| follows(*pair)).count();
    if steps.saturating_mul(4) > length.saturating_mul(3) {
        return Some("The passphrase is a sequence, such as abcd or 1234".to_owned());
    }
    None
}

fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn ask_twice(question: &str) -> Result<Passphrase, CliError> {
    let first = ask(question)?;
    let second = ask("The same again: ")?;
    if first.as_bytes() != second.as_bytes() {
        return Err(CliError::usage("the two passphrases differ").help("try again"));
    }
    Ok(first)
}

/// Asks on the terminal, without echo.
fn ask(question: &str) -> Result<Passphrase, CliError> {
    if !can_ask() {
        return Err(CliError::usage("a passphrase is needed, and there is no terminal to ask on")
            .help("pass --passphrase-file FILE or --passphrase-fd N, or set STEMMA_PASSPHRASE"));
    }
    let answer = rpassword::prompt_password(question)
        .map(Zeroizing::new)
        .map_err(|error| CliError::files("cannot ask for the passphrase").caused_by(&error))?;
    Ok(Passphrase::new(answer.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passphrases_draw_advice() {
        let advice = |text: &str| advice(&Passphrase::new(text).unwrap());
        for (weak, said) in [
            ("short", "fewer than 12 characters"),
            ("aaaaaaaaaaaaaaaaaaaa", "only 1 different"),
            ("abababcabababcabab", "only 3 different"),
            ("27182818284590452353", "a number"),
            ("abcdefghijklmnop", "a sequence"),
            ("98765432109876543210987654", "a sequence"),
        ] {
            let found = advice(weak).unwrap_or_default();
            assert!(found.contains(said), "{weak}: {found}");
        }
        for strong in ["correct horse battery staple", "q7Zr-xW2m.Lk0v", "ふるいけやかわずとびこむみずのおと"]
        {
            assert_eq!(advice(strong), None, "{strong}");
        }
    }
}
