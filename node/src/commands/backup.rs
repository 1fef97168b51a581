//! `backup`: a copy of a home at one height, made while the node runs or stands still, and checked.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use stemma_chain_format::genesis::GenesisFile;
use stemma_node_api::Client;
use stemma_node_api::config::NodeConfig;

use super::init::{CONFIG_FILE, GENESIS_FILE, read_genesis};
use super::manifest::{FileEntry, KEYS_FOLDER, MANIFEST_FILE, Manifest, verified};
use super::outcome::{Exit, pairs, print};
use super::start::{STORE_FILE, of_lock, of_store};
use super::{CommandError, Place, Printed, files};
use crate::clock::now_ms;
use crate::lock::{HomeLock, LockError};
use crate::store::Store;

/// What is backed up, and where to.
#[derive(Clone, Debug, Args)]
pub struct BackupArgs {
    #[command(flatten)]
    place: Place,
    /// The folder that takes the backup; made, or empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Include the key files, which stay encrypted. The passphrase and the operator's token are never included
    #[arg(long)]
    with_keys: bool,
    /// Move the node: the home must stand still and never starts again, so that the restored one may vote at once
    #[arg(long = "final")]
    is_final: bool,
    #[command(flatten)]
    printed: Printed,
}

/// What was made.
#[derive(Serialize)]
struct Made<'m> {
    folder: &'m Path,
    running: bool,
    manifest: &'m Manifest,
}

/// Makes a backup.
///
/// # Errors
/// The store cannot be copied, or the copy does not hold.
pub fn run(args: &BackupArgs) -> Result<Exit, CommandError> {
    let config = args.place.configuration()?;
    let genesis = read_genesis(&config.genesis)?;
    if !files::is_empty(&args.to)? {
        return Err(CommandError::failure(format!("{} is not empty", args.to.display()))
            .help("a backup has a folder of its own: name another one with --to"));
    }
    let lock = match HomeLock::take(&args.place.folder()?) {
        Ok(lock) => Some(lock),
        Err(e @ LockError::Taken { .. }) if args.is_final => {
            return Err(of_lock(&e).help("a final backup is made of a node that stands still: stop it first"));
        }
        Err(LockError::Taken { .. }) => None,
        Err(e) => return Err(of_lock(&e)),
    };
    let keys = if args.with_keys { key_files(&config)? } else { Vec::new() };
    files::make_folder(&args.to)?;
    let source = match &lock {
        Some(_) => Some(copy_of_still(&config, &genesis, &args.to)?),
        None => {
            copy_of_running(&config, &args.to)?;
            None
        }
    };
    let manifest = complete(args, &config, &genesis, &keys, source.as_ref())?;
    let vote = if args.is_final { "the restored node may vote at once" } else { "the restored node follows only" };
    let rows = [
        ("Backup", args.to.display().to_string()),
        ("Height", manifest.height.to_string()),
        ("Root", manifest.account_root.clone()),
        ("Files", manifest.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>().join(", ")),
        ("Final", format!("{}: {vote}", if manifest.is_final { "yes" } else { "no" })),
        ("Checked", "the copy gives the certified root; every file has the hash in the manifest".to_owned()),
    ];
    print(&Made { folder: &args.to, running: lock.is_none(), manifest: &manifest }, &pairs(&rows), args.printed.json)?;
    Ok(Exit::Yes)
}

/// Adds the other files, checks the copy, and writes the manifest; with `--final` once the source is marked.
fn complete(
    args: &BackupArgs,
    config: &NodeConfig,
    genesis: &GenesisFile,
    keys: &[(PathBuf, &'static str)],
    source: Option<&Store>,
) -> Result<Manifest, CommandError> {
    let to = &args.to;
    files::write(&to.join(GENESIS_FILE), genesis.bytes(), files::FILE_MODE)?;
    files::write(&to.join(CONFIG_FILE), &files::read(&args.place.file()?)?, files::FILE_MODE)?;
    let mut names = vec![STORE_FILE.to_owned(), GENESIS_FILE.to_owned(), CONFIG_FILE.to_owned()];
    for (file, purpose) in keys {
        let name = format!("{KEYS_FOLDER}/{purpose}.pem");
        files::make_folder(&to.join(KEYS_FOLDER))?;
        files::write(&to.join(&name), &files::read(file)?, files::SECRET_MODE)?;
        names.push(name);
    }
    let (store, held) = verified(&to.join(STORE_FILE), genesis, &config.member)?;
    if args.is_final {
        // Of a home whose final backup was begun before and not ended.
        store.forget_move().map_err(|e| of_store(&e))?;
    }
    // Its file is as it will be only once it is closed.
    drop(store);
    let listed = names.iter().map(|name| FileEntry::of(to, name)).collect::<Result<_, _>>()?;
    let mut manifest = Manifest::new(genesis, &config.member, held, listed);
    if let Some(source) = source.filter(|_| args.is_final) {
        source.mark_moved(now_ms()).map_err(|e| of_store(&e))?;
        manifest.is_final = true;
    }
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|e| CommandError::failure("cannot encode the manifest").caused_by(&e))?;
    files::write(&to.join(MANIFEST_FILE), text.as_bytes(), files::FILE_MODE)?;
    Manifest::checked(to)
}

/// Copies the store of a node that stands still.
fn copy_of_still(config: &NodeConfig, genesis: &GenesisFile, to: &Path) -> Result<Store, CommandError> {
    let (source, _) = verified(&config.data.join(STORE_FILE), genesis, &config.member)?;
    let (file, part) = (to.join(STORE_FILE), files::part_of(&to.join(STORE_FILE)));
    source.copy_to(&part).map_err(|e| of_store(&e))?;
    finish(&part, &file)?;
    Ok(source)
}

/// Fetches a copy of the store from the running node.
fn copy_of_running(config: &NodeConfig, to: &Path) -> Result<(), CommandError> {
    let token = files::read(&config.http.operator_token_file)?;
    let token = zeroize::Zeroizing::new(String::from_utf8_lossy(&zeroize::Zeroizing::new(token)).trim().to_owned());
    let client = Client::new(format!("http://{}", config.http.listen)).map_err(|e| CommandError::of(&e))?;
    let client = client.with_token(token.as_str());
    let (file, part) = (to.join(STORE_FILE), files::part_of(&to.join(STORE_FILE)));
    let mut written = File::create(&part).map_err(|e| CommandError::file("write", &part, &e))?;
    super::wait(async { client.backup(&mut written).await.map_err(|e| CommandError::of(&e)) })
        .map_err(|e| e.help("the node runs: its log says why it could not copy its store"))?;
    written.sync_all().map_err(|e| CommandError::file("write", &part, &e))?;
    finish(&part, &file)
}

/// Closes a finished file to others and gives it its name.
fn finish(part: &Path, file: &Path) -> Result<(), CommandError> {
    let closed = std::fs::set_permissions(part, std::fs::Permissions::from_mode(files::SECRET_MODE));
    closed.and_then(|()| files::put_in_place(part, file)).map_err(|e| CommandError::file("write", file, &e))
}

/// The key files, each of which must be encrypted.
fn key_files(config: &NodeConfig) -> Result<Vec<(PathBuf, &'static str)>, CommandError> {
    let found: Vec<_> = config.keys.named().map(|(field, file)| (file.clone(), field)).collect();
    for (file, purpose) in &found {
        let public = stemma_keystore::read_public(file).map_err(|e| CommandError::of(&e))?;
        if !public.is_encrypted {
            let message = format!("the {purpose} key in {} is not encrypted and is not copied", file.display());
            return Err(CommandError::failure(message).help("encrypt it first, or make the backup without --with-keys"));
        }
    }
    Ok(found)
}
