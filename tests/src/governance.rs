//! What the members of a test's network resolve, by the commands that their people type.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command::{Said, tool};
use crate::network::{MEMBERS, Network};
use crate::wait::until;

/// A key file with the file of its passphrase.
pub type KeyFile<'f> = (&'f Path, &'f Path);

/// A committed record.
#[derive(Debug)]
pub struct Resolved {
    /// The height from which on it holds.
    pub effective: u64,
    /// The signed record.
    pub record: PathBuf,
}

/// Four heights a second while nothing happens: what takes effect at a height does so soon.
pub const IDLE_MS: u64 = 250;

/// How often a record is proposed, each time for twice as many blocks later: signing it may take longer than it has.
const PROPOSALS_MAX: u32 = 4;
/// What is said of a record that is signed too late: when it is handed in, or when it just missed its last block.
const LATE: [&str; 2] = ["governance.effective", "was not committed within"];

/// Who signs: members with their member keys, and further keys with their passphrases.
pub type By<'b> = (&'b [&'b str], &'b [(&'b [&'b Path], &'b Path)]);

/// Runs `stemma gov propose` on the network as bank-a has it.
#[must_use]
pub fn propose(network: &Network, change: &[&str], blocks: u64, draft: &Path) -> Said {
    let (effective, node) = (format!("+{blocks}"), network.client("bank-a").url().to_owned());
    let mut arguments = vec!["gov", "propose", "--json", "--force", "--node", &node, "--effective", &effective];
    arguments.extend(change);
    let draft = draft.display().to_string();
    arguments.extend(["--out", &draft]);
    tool(&arguments)
}

/// Signs a draft with some keys into one file.
///
/// # Panics
/// It is refused.
pub fn sign(draft: &Path, (keys, passphrase): (&[&Path], &Path), out: &Path) {
    let mut arguments = vec!["gov".to_owned(), "sign".to_owned(), draft.display().to_string(), "--force".to_owned()];
    for key in keys {
        arguments.extend(["--key".to_owned(), key.display().to_string()]);
    }
    arguments.extend(["--passphrase-file".to_owned(), passphrase.display().to_string()]);
    arguments.extend(["--out".to_owned(), out.display().to_string()]);
    let said = tool(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(said.code, 0, "{said:?}");
}

/// Puts a draft with signatures to the network, by bank-a's node.
#[must_use]
pub fn submit(network: &Network, draft: &Path, signatures: &[PathBuf], out: &Path) -> Said {
    let token = network.home("bank-a").join("operator.token");
    let mut arguments = vec!["gov".to_owned(), "submit".to_owned(), draft.display().to_string(), "--json".to_owned()];
    for file in signatures {
        arguments.extend(["--signature".to_owned(), file.display().to_string()]);
    }
    arguments.extend(["--node".to_owned(), network.client("bank-a").url().to_owned()]);
    arguments.extend(["--operator-token-file".to_owned(), token.display().to_string()]);
    arguments.extend(["--force".to_owned(), "--out".to_owned(), out.display().to_string()]);
    tool(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Some members resolve changes that hold so many blocks later: proposed, signed by each with its member key and by further keys,
/// submitted. Waits until they hold at every validator; the auditor may be away.
///
/// # Panics
/// Any of it is refused.
pub async fn resolve(network: &Network, change: &[&str], by: By<'_>) -> Resolved {
    let resolved = resolve_ahead(network, change, 12, by);
    for member in MEMBERS.into_iter().filter(|member| *member != "auditor") {
        reached(network, member, resolved.effective).await;
    }
    resolved
}

/// The same, without waiting.
///
/// # Panics
/// Any of it is refused.
pub fn resolve_ahead(network: &Network, change: &[&str], blocks: u64, by: By<'_>) -> Resolved {
    let mut late = Vec::new();
    for doublings in 0..PROPOSALS_MAX {
        match put(network, change, blocks << doublings, by) {
            Ok(resolved) => return resolved,
            Err(said) => late.push(said),
        }
    }
    panic!("too late each time: {late:?}");
}

/// Once; what was said of it where it was too late.
fn put(network: &Network, change: &[&str], blocks: u64, (members, more): By<'_>) -> Result<Resolved, Said> {
    let file = |name: &str| network.scratch().join(name);
    let draft = file("draft.json");
    let said = propose(network, change, blocks, &draft);
    assert_eq!(said.code, 0, "{said:?}");
    let proposed = said.json();
    let number = proposed["number"].as_u64().unwrap();
    let mut signatures = Vec::new();
    for member in members {
        let (home, out) = (network.home(member), file(&format!("{member}.sig")));
        sign(&draft, (&[&home.join("keys/member.pem")], &home.join("passphrase")), &out);
        signatures.push(out);
    }
    for (index, keys) in more.iter().enumerate() {
        let out = file(&format!("more-{index}.sig"));
        sign(&draft, *keys, &out);
        signatures.push(out);
    }
    let record = file(&format!("record-{number}.stemma"));
    let said = submit(network, &draft, &signatures, &record);
    if said.code != 0 && LATE.iter().any(|word| said.err.contains(word)) {
        return Err(said);
    }
    assert_eq!(said.code, 0, "{said:?}");
    let effective = field(&said.json(), "effective");
    Ok(Resolved { effective, record })
}

fn field(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// Waits until a member's node has a height.
///
/// # Panics
/// It takes too long.
pub async fn reached(network: &Network, member: &str, height: u64) {
    until("the height", async || {
        let status = network.client(member).status().await.ok()?;
        (status.height >= height).then_some(())
    })
    .await;
}
