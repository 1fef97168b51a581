//! The commands of `stemma-node` and `stemma`, run as people run them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::binaries::binaries;

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// What it printed, as JSON.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Runs a command of `stemma-node` to its end.
///
/// # Panics
/// It can't be run.
#[must_use]
pub fn node(arguments: &[&str]) -> Said {
    node_with(arguments, &[])
}

/// Runs a command of `stemma` to its end.
///
/// # Panics
/// It can't be run.
#[must_use]
pub fn tool(arguments: &[&str]) -> Said {
    said(Command::new(&binaries().tool).args(arguments))
}

fn said(command: &mut Command) -> Said {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

/// [`node`] with variables.
///
/// # Panics
/// It can't be run.
#[must_use]
pub fn node_with(arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    said(Command::new(&binaries().node).args(arguments).envs(variables.iter().copied()))
}

/// Copies a folder with all that is in it, as `cp -r` would.
///
/// # Panics
/// It can't.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).unwrap();
        }
    }
}
