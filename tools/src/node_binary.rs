//! Finding the node's binary; building it where only the tool was built.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::error::CliError;
use crate::output::Output;

const NODE: &str = "stemma-node";

/// The node's binary: as given, else beside this executable, else built by cargo into the folder of this executable.
///
/// # Errors
/// There is none, and it can't be built.
pub async fn find(given: Option<&Path>, output: &Output) -> Result<PathBuf, CliError> {
    if let Some(path) = given {
        return if path.is_file() {
            Ok(path.to_owned())
        } else {
            Err(CliError::files(format!("{} is no file", path.display())).help("name the binary stemma-node"))
        };
    }
    let own = std::env::current_exe()
        .map_err(|error| CliError::files("cannot tell where this executable lies").caused_by(&error))?;
    let folder = own.parent().unwrap_or(Path::new("."));
    let beside = folder.join(format!("{NODE}{}", std::env::consts::EXE_SUFFIX));
    if beside.is_file() {
        return Ok(beside);
    }
    let Some(build) = Build::of(folder) else {
        return Err(CliError::files(format!("there is no {NODE} beside {}", own.display()))
            .help("install it there, or name it with --node-binary FILE"));
    };
    build.run(output).await?;
    if beside.is_file() {
        Ok(beside)
    } else {
        Err(CliError::files(format!("cargo built no {}", beside.display())).help("name it with --node-binary FILE"))
    }
}

/// How cargo builds into the folder that an executable lies in.
#[derive(Debug, PartialEq, Eq)]
struct Build {
    workspace: PathBuf,
    target: PathBuf,
    triple: Option<String>,
    profile: String,
}

impl Build {
    /// From a folder such as `target/release` or `target/x86_64-unknown-linux-gnu/debug`.
    fn of(folder: &Path) -> Option<Self> {
        // Cargo marks the target folders that it makes so (bford.info/cachedir), and leaves the second in all that it uses.
        let is_target =
            |folder: &&Path| ["CACHEDIR.TAG", ".rustc_info.json"].iter().any(|mark| folder.join(mark).is_file());
        let target = folder.ancestors().skip(1).take(2).find(is_target)?;
        let mut inner = folder.strip_prefix(target).ok()?.iter().map(|part| part.to_string_lossy().into_owned());
        let (first, second) = (inner.next()?, inner.next());
        let (triple, folder_name) = match second {
            Some(profile) => (Some(first), profile),
            None => (None, first),
        };
        let profile = if folder_name == "debug" { "dev".to_owned() } else { folder_name };
        // `cargo run` says where the package is, which helps where the target folder is elsewhere.
        let run_in = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let starts = [Some(target.to_owned()), run_in, std::env::current_dir().ok()];
        let mut candidates = starts.iter().flatten().flat_map(|start| start.ancestors());
        let workspace = candidates.find(|folder| is_workspace(folder))?.to_owned();
        Some(Self { workspace, target: target.to_owned(), triple, profile })
    }

    async fn run(&self, output: &Output) -> Result<(), CliError> {
        let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        output.note(&format!("There is no {NODE} yet: building it with cargo (profile {}).", self.profile));
        let mut command = Command::new(program);
        command.arg("build").args(["--package", NODE, "--bin", NODE, "--profile", &self.profile]);
        command.arg("--target-dir").arg(&self.target).current_dir(&self.workspace);
        if let Some(triple) = &self.triple {
            command.args(["--target", triple]);
        }
        // Cargo shows its progress on standard error, which is where ours goes.
        let status = command.stdin(std::process::Stdio::null()).kill_on_drop(true).status().await;
        let failed = || CliError::files(format!("cannot build {NODE}"));
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(failed().help(format!("cargo ended with {status}: mend what it says above"))),
            Err(error) => Err(failed().caused_by(&error).help("name a built one with --node-binary FILE")),
        }
    }
}

/// Whether a folder is the root of the workspace that has the node.
fn is_workspace(folder: &Path) -> bool {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    manifest.contains("[workspace]") && folder.join("node/Cargo.toml").is_file()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_profile_is_told_from_the_path() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("target");
        for folder in ["target/release", "target/debug", "target/some-triple/bench", "node", "elsewhere/bin"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let build = |folder: &str| Build::of(&root.path().join(folder)).map(|b| (b.workspace, b.triple, b.profile));
        assert_eq!(build("target/release"), None, "no mark of cargo");
        fs::write(target.join(".rustc_info.json"), "").unwrap();
        fs::write(root.path().join("Cargo.toml"), "[workspace]\n").unwrap();
        fs::write(root.path().join("node/Cargo.toml"), "").unwrap();
        let workspace = root.path().to_owned();
        assert_eq!(build("target/release"), Some((workspace.clone(), None, "release".to_owned())));
        assert_eq!(build("target/debug"), Some((workspace.clone(), None, "dev".to_owned())));
        let triple = Some("some-triple".to_owned());
        assert_eq!(build("target/some-triple/bench"), Some((workspace, triple, "bench".to_owned())));
        assert_eq!(build("elsewhere/bin"), None);
    }
}
