//! `restore`: makes a home of a backup. It must never sign again what its source signed after the backup was made: unless
//! the backup was the source's last word, the validator's key is silenced in the restored store before it has its name.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::keys::PublicKey;
use stemma_node_api::config::NodeConfig;

use super::config_text::{quoted, set};
use super::init::{CONFIG_FILE, GENESIS_FILE, TOKEN_FILE, read_genesis};
use super::manifest::{KEYS_FOLDER, Manifest, verified};
use super::outcome::{Exit, pairs, print};
use super::start::{STORE_FILE, of_store};
use super::{CommandError, Printed, files};
use crate::clock::now_ms;
use crate::store::{Silence, SilenceCause};

/// What is restored, and where to.
#[derive(Clone, Debug, Args)]
pub struct RestoreArgs {
    /// The folder of the backup
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The home to make; it must be missing or empty
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    #[command(flatten)]
    printed: Printed,
}

/// What was made.
#[derive(Serialize)]
struct Made {
    home: PathBuf,
    member: String,
    height: u64,
    /// Whether the restored node may vote with the validator's key of the backup.
    may_vote: bool,
    /// What to do before it is started.
    missing: Vec<String>,
}

/// Makes a home.
///
/// # Errors
/// The backup is damaged, or the home is not empty.
pub fn run(args: &RestoreArgs) -> Result<Exit, CommandError> {
    if !files::is_empty(&args.home)? {
        return Err(CommandError::failure(format!("{} is not empty", args.home.display()))
            .help("restore into a folder that is missing or empty: nothing is overwritten"));
    }
    let manifest = Manifest::checked(&args.from)?;
    let genesis = read_genesis(&args.from.join(GENESIS_FILE))?;
    let (text, config) = adapted(&args.from.join(CONFIG_FILE))?;
    if genesis.network().to_string() != manifest.network || config.member != manifest.member {
        let message = format!("the backup's files are not of {} in {}", manifest.member, manifest.network);
        return Err(CommandError::new(Exit::No, message).help("use another backup"));
    }
    files::make_folder(&args.home)?;
    restore_store(args, &manifest, &genesis)?;
    files::write(&args.home.join(GENESIS_FILE), genesis.bytes(), files::FILE_MODE)?;
    for file in manifest.files.iter().filter(|file| file.name.starts_with(KEYS_FOLDER)) {
        files::make_folder(&args.home.join(KEYS_FOLDER))?;
        files::write(&args.home.join(&file.name), &files::read(&args.from.join(&file.name))?, files::SECRET_MODE)?;
    }
    files::write(&args.home.join(TOKEN_FILE), files::token()?.as_bytes(), files::SECRET_MODE)?;
    // Last, so that no node starts on half a home.
    files::write(&args.home.join(CONFIG_FILE), text.as_bytes(), files::FILE_MODE)?;
    tell(args, &manifest, missing(&args.home, &manifest, &config))
}

fn restore_store(args: &RestoreArgs, manifest: &Manifest, genesis: &GenesisFile) -> Result<(), CommandError> {
    let data = args.home.join("data");
    files::make_folder(&data)?;
    let (file, part) = (data.join(STORE_FILE), data.join(format!("{STORE_FILE}.part")));
    std::fs::copy(args.from.join(STORE_FILE), &part).map_err(|e| CommandError::file("write", &part, &e))?;
    let (store, held) = verified(&part, genesis, &manifest.member)?;
    if (held.height, &held.head, &held.account_root) != (manifest.height, &manifest.head, &manifest.account_root) {
        let message = format!("the store is at height {}, the manifest says {}", held.height, manifest.height);
        return Err(CommandError::new(Exit::No, message).help("use another backup"));
    }
    if let Some(key) = manifest.validator_key.as_ref().filter(|_| !manifest.is_final) {
        let key: PublicKey =
            key.parse().map_err(|e| CommandError::failure("the manifest's validator key is none").caused_by(&e))?;
        let silence = Silence { cause: SilenceCause::Restored, since_ms: now_ms(), height: held.height };
        store.silence(&key, &silence).map_err(|e| of_store(&e))?;
    }
    drop(store);
    let synced = std::fs::File::open(&part).and_then(|part| part.sync_all());
    synced.and_then(|()| files::put_in_place(&part, &file)).map_err(|e| CommandError::file("write", &file, &e))
}

/// The backup's configuration with the restored home's own paths.
fn adapted(path: &Path) -> Result<(String, NodeConfig), CommandError> {
    let failed = |e: &dyn std::error::Error| {
        CommandError::failure(format!("{} is no configuration", path.display())).caused_by(e)
    };
    let mut text = String::from_utf8(files::read(path)?).map_err(|e| failed(&e))?;
    let mut wanted: NodeConfig = toml::from_str(&text).map_err(|e| failed(&e))?;
    wanted.genesis = PathBuf::from(GENESIS_FILE);
    wanted.data = PathBuf::from("data");
    // The store knows the member by now.
    wanted.join = None;
    wanted.http.operator_token_file = PathBuf::from(TOKEN_FILE);
    set(&mut text, "", "genesis", &quoted(GENESIS_FILE));
    set(&mut text, "", "data", &quoted("data"));
    for (field, file) in wanted.keys.named_mut() {
        let place = format!("{KEYS_FOLDER}/{field}.pem");
        *file = PathBuf::from(&place);
        set(&mut text, "keys", field, &quoted(place));
    }
    set(&mut text, "http", "operator_token_file", &quoted(TOKEN_FILE));
    // A text in which the lines are not found, such as one with tables in one line, is written anew.
    if toml::from_str::<NodeConfig>(&text).ok().as_ref() != Some(&wanted) {
        text = toml::to_string(&wanted).map_err(|e| failed(&e))?;
    }
    Ok((text, wanted))
}

/// What a restored home lacks, since no backup has it.
fn missing(home: &Path, manifest: &Manifest, config: &NodeConfig) -> Vec<String> {
    let mut missing = Vec::new();
    if !manifest.has_keys() {
        missing.push(format!("put the member's key files into {}", home.join(KEYS_FOLDER).display()));
    }
    let others = [
        ("the passphrase file", config.keys.passphrase_file.as_ref()),
        ("the identity rules", config.bank.identity.as_ref()),
        ("the price file", config.institution.prices.file.as_ref()),
    ];
    for (what, file) in others {
        if let Some(file) = file.map(|file| home.join(file)).filter(|file| !file.exists()) {
            missing.push(format!("put {what} to {}", file.display()));
        }
    }
    missing
}

fn tell(args: &RestoreArgs, manifest: &Manifest, missing: Vec<String>) -> Result<Exit, CommandError> {
    let may_vote = manifest.is_final && manifest.validator_key.is_some();
    let vote = match (&manifest.validator_key, manifest.is_final) {
        (None, _) => "the member has no vote".to_owned(),
        (Some(_), true) => "yes: its source was moved and never starts again. Restore it once only".to_owned(),
        (Some(key), false) => format!(
            "no: the source may have signed more since. The node follows; to vote again, have the validator key {key} \
             rotated by a governance record"
        ),
    };
    let mut rows = vec![
        ("Home", args.home.display().to_string()),
        ("Height", manifest.height.to_string()),
        ("May vote", vote),
        ("Token", format!("a new one, in {}", args.home.join(TOKEN_FILE).display())),
    ];
    rows.extend(missing.iter().map(|step| ("To do", step.clone())));
    rows.push((
        "Next",
        format!("stemma-node doctor --home {0}, then stemma-node start --home {0}", args.home.display()),
    ));
    let made =
        Made { home: args.home.clone(), member: manifest.member.clone(), height: manifest.height, may_vote, missing };
    print(&made, &pairs(&rows), args.printed.json)?;
    Ok(Exit::Yes)
}
