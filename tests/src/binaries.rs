//! Where the programs under test lie; built once where they are missing or older than their sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

/// Names a folder of ready programs, which are then taken as they are.
const FOLDER_VARIABLE: &str = "STEMMA_TEST_BINARIES";
/// What the programs are made of.
const SOURCES: [&str; 6] = ["Cargo.lock", "chain-format/src", "consensus/src", "node", "tools/src", "tests/data"];

/// The programs, and a folder for the locks that all tests of one target folder share.
#[derive(Debug)]
pub struct Binaries {
    /// `stemma-node`.
    pub node: PathBuf,
    /// `stemma`.
    pub tool: PathBuf,
    /// Locks.
    pub locks: PathBuf,
}

/// The programs.
///
/// # Panics
/// They can't be found or built.
pub fn binaries() -> &'static Binaries {
    static FOUND: OnceLock<Binaries> = OnceLock::new();
    FOUND.get_or_init(find)
}

/// The root of the workspace.
///
/// # Panics
/// This package lies nowhere.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn find() -> Binaries {
    let own = std::env::current_exe().unwrap();
    // Tests lie in target/<profile>/deps, programs a folder above.
    let profile = own.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).unwrap();
    let given = std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from);
    let folder = given.clone().unwrap_or_else(|| profile.to_owned());
    let program = |name: &str| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let found = Binaries { node: program("stemma-node"), tool: program("stemma"), locks: profile.join("stemma-tests") };
    let is_ready = [&found.node, &found.tool].into_iter().all(|path| is_current(path, given.is_some()));
    if !is_ready {
        assert!(given.is_none(), "{FOLDER_VARIABLE} names {}, which lacks a program", folder.display());
        build(profile);
    }
    found
}

fn is_current(program: &Path, is_taken_as_it_is: bool) -> bool {
    let built = fs::metadata(program).and_then(|file| file.modified());
    built.is_ok_and(|built| {
        is_taken_as_it_is || SOURCES.iter().all(|source| newest(&workspace().join(source)) <= Some(built))
    })
}

/// When a file, or the newest file below a folder, was changed.
fn newest(path: &Path) -> Option<SystemTime> {
    let metadata = fs::metadata(path).ok()?;
    if metadata.is_file() {
        return metadata.modified().ok();
    }
    fs::read_dir(path).ok()?.filter_map(|entry| newest(&entry.ok()?.path())).max()
}

fn build(profile: &Path) {
    let name = profile.file_name().unwrap().to_str().unwrap();
    let name = if name == "debug" { "dev" } else { name };
    eprintln!("building stemma-node and stemma (profile {name})");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--package",
            "stemma-node",
            "--package",
            "stemma-tools",
            "--bins",
            "--profile",
            name,
        ])
        .arg("--target-dir")
        .arg(profile.parent().unwrap())
        .current_dir(workspace())
        .stdin(Stdio::null())
        .status();
    assert!(built.is_ok_and(|status| status.success()), "the programs under test can't be built");
}
