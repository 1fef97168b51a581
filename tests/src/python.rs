//! The second implementation, in Python, where this machine can run it.

use std::path::Path;
use std::process::Command;

use crate::binaries::workspace;

/// The interpreter, as `STEMMA_TEST_PYTHON` names it, else `python3`; with the packages of
/// `tests/python/requirements.txt`. None where they are missing, which CI may not do.
///
/// # Panics
/// They are missing in CI.
#[must_use]
#[allow(clippy::print_stderr, reason = "what is skipped is said")]
pub fn find() -> Option<String> {
    let program = std::env::var("STEMMA_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let run = Command::new(&program).args(["-c", "import blake3, cbor2, cryptography, zxingcpp, PIL"]).output();
    let reason = match run {
        Ok(run) if run.status.success() => return Some(program),
        Ok(run) => String::from_utf8_lossy(&run.stderr).trim().lines().last().unwrap_or_default().to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(std::env::var_os("CI").is_none(), "{program} is needed here: {reason}");
    eprintln!("skipped the second implementation in Python: {program}: {reason}; see tests/python/README.md");
    None
}

/// The second implementation's exit code for a bundle: 0 verified, 1 refuted, 3 unreadable.
///
/// # Panics
/// It ends otherwise.
#[must_use]
pub fn verify(program: &str, bundle: &Path, genesis: &Path) -> i32 {
    let script = workspace().join("tests/python/stemma_verify.py");
    let run = Command::new(program).arg(script).arg(genesis).arg(bundle).output().unwrap();
    let code = run.status.code().unwrap();
    assert!([0, 1, 3].contains(&code), "{}", String::from_utf8_lossy(&run.stderr));
    code
}
