//! `init`: makes a node's home.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use stemma_chain_format::genesis::GenesisFile;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::member::{Member, MemberIdError};
use stemma_chain_format::registry::Registry;
use stemma_keystore::{
    Passphrase, Purpose, ReadError, ScryptCost, generate, passphrase, read_key_file, write_key_file,
};
use stemma_node_api::config::DEFAULT_FILE;

use super::config_text::{list, quoted, set};
use super::outcome::{Exit, pairs, print};
use super::{CommandError, Printed, files, of_config};
use crate::config::{self, ConfigError};
use crate::membership;

/// The genesis file in a home.
pub(super) const GENESIS_FILE: &str = "genesis.stemma";
/// The record that admits a joining member, in a home.
const JOIN_FILE: &str = "join.stemma";
/// The configuration in a home.
pub(super) const CONFIG_FILE: &str = "config.toml";
/// The operator's token in a home.
pub(super) const TOKEN_FILE: &str = "operator.token";

/// What a new home is made of.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// The folder to make
    #[arg(long, value_name = "DIR", required_unless_present = "print_config")]
    home: Option<PathBuf>,
    /// The member whose node it is, as the genesis names it
    #[arg(long, value_name = "ID", required_unless_present = "print_config")]
    member: Option<String>,
    /// The genesis file, which is copied. Without it, new keys are made for a genesis to come
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// The member's key file, which is copied; made where there is no genesis yet
    #[arg(long, value_name = "FILE")]
    member_key: Option<PathBuf>,
    /// The same for the network key
    #[arg(long, value_name = "FILE")]
    network_key: Option<PathBuf>,
    /// The same for the validator's key, for a member with a vote
    #[arg(long, value_name = "FILE")]
    validator_key: Option<PathBuf>,
    /// Make no validator's key: the member is to have no vote
    #[arg(long, conflicts_with = "validator_key")]
    without_vote: bool,
    /// File with the keys' passphrase, which the configuration will name; it is not copied. Else STEMMA_PASSPHRASE
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Where another member is, such as broker-a=/ip4/192.0.2.7/tcp/4001; again for more
    #[arg(long = "peer", value_name = "ID=MULTIADDRESS")]
    peers: Vec<String>,
    /// Multiaddress to listen on for members; again for more
    #[arg(long = "listen", value_name = "MULTIADDRESS")]
    listen: Vec<String>,
    /// Loopback address of the HTTP API
    #[arg(long, value_name = "ADDRESS")]
    http: Option<std::net::SocketAddr>,
    /// For a member that joins: the governance record that admits it, which is copied (`stemma gov submit --out`)
    #[arg(long, value_name = "FILE", requires = "genesis")]
    join: Option<PathBuf>,
    /// Replace the configuration and genesis of a home that is there. Keys, token and store stay
    #[arg(long)]
    force: bool,
    /// Print the commented default configuration, and make nothing
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    printed: Printed,
}

/// What was made.
#[derive(Serialize)]
struct Made {
    home: PathBuf,
    config: PathBuf,
    member: String,
    network: Option<String>,
    /// Public keys by purpose.
    keys: BTreeMap<String, String>,
    next: String,
}

/// Makes a home.
///
/// # Errors
/// There is one already, a key is not the genesis', or a file cannot be written.
pub fn run(args: &InitArgs) -> Result<Exit, CommandError> {
    if args.print_config {
        #[derive(Serialize)]
        struct Config {
            config: &'static str,
        }
        print(&Config { config: DEFAULT_FILE }, DEFAULT_FILE, args.printed.json)?;
        return Ok(Exit::Yes);
    }
    let (Some(home), Some(id)) = (&args.home, &args.member) else {
        return Err(CommandError::usage("--home and --member are needed"));
    };
    let config = home.join(CONFIG_FILE);
    if config.exists() && !args.force {
        return Err(CommandError::failure(format!("{} is there and is not overwritten", config.display()))
            .help("choose another --home, or replace configuration and genesis for good with --force"));
    }
    let genesis = args.genesis.as_deref().map(|path| read_genesis(path).map(|genesis| (path, genesis))).transpose()?;
    let member =
        genesis.as_ref().map(|(path, genesis)| member_of(path, genesis, args.join.as_deref(), id)).transpose()?;
    let has_vote = match &member {
        Some(member) => member.validator_key.is_some(),
        None => !args.without_vote,
    };
    // All is known before anything is written.
    let text = config_text(args, id, has_vote)?;
    files::make_folder(home)?;
    let keys = place_keys(args, home, member.as_ref(), has_vote)?;
    if let Some((_, genesis)) = &genesis {
        files::write(&home.join(GENESIS_FILE), genesis.bytes(), files::FILE_MODE)?;
    }
    if let Some(record) = &args.join {
        files::write(&home.join(JOIN_FILE), &files::read(record)?, files::FILE_MODE)?;
    }
    let token = home.join(TOKEN_FILE);
    if !token.exists() {
        files::write(&token, files::token()?.as_bytes(), files::SECRET_MODE)?;
    }
    files::write(&config, text.as_bytes(), files::FILE_MODE)?;
    let next = if genesis.is_some() {
        format!("stemma-node doctor --home {0}, then stemma-node start --home {0}", home.display())
    } else {
        format!(
            "give the public keys to `stemma genesis member`; put the genesis at {}",
            home.join(GENESIS_FILE).display()
        )
    };
    let network = genesis.map(|(_, genesis)| genesis.network().to_string());
    let made = Made { home: home.clone(), config, member: id.clone(), network, keys, next };
    let mut rows = vec![("Home", home.display().to_string()), ("Configuration", made.config.display().to_string())];
    rows.extend(made.keys.iter().map(|(purpose, key)| (purpose.as_str(), key.clone())));
    rows.push(("Next", made.next.clone()));
    print(&made, &pairs(&rows), args.printed.json)?;
    Ok(Exit::Yes)
}

pub(super) fn read_genesis(path: &Path) -> Result<GenesisFile, CommandError> {
    GenesisFile::decode(files::read(path)?)
        .map_err(|e| CommandError::failure(format!("{} is no valid genesis file", path.display())).caused_by(&e))
}

fn member_of(path: &Path, genesis: &GenesisFile, join: Option<&Path>, id: &str) -> Result<Member, CommandError> {
    let registry = Registry::from_genesis(genesis);
    let id = id.parse().map_err(|e: MemberIdError| CommandError::usage("--member").caused_by(&e))?;
    match membership::stand(&registry, join, &id) {
        Ok((member, _)) => Ok(member),
        Err(ConfigError::NoMember { known, .. }) => {
            let by = if join.is_some() { ", nor does the record admit it" } else { "" };
            Err(CommandError::usage(format!("{} names no member {id}{by}", path.display())).help(format!(
                "its members are {known}; who joins gives the governance record that admits it with --join"
            )))
        }
        Err(e) => Err(of_config(&e)),
    }
}

/// The default file with what was given, held to the rules that the node holds it to.
fn config_text(args: &InitArgs, id: &str, has_vote: bool) -> Result<String, CommandError> {
    let mut text = DEFAULT_FILE.to_owned();
    set(&mut text, "", "member", &quoted(id));
    if has_vote {
        set(&mut text, "keys", "validator", &quoted("keys/validator.pem"));
    }
    if let Some(file) = &args.passphrase_file {
        let file = std::path::absolute(file).map_err(|e| CommandError::file("find", file, &e))?;
        set(&mut text, "keys", "passphrase_file", &quoted(file.display().to_string()));
    }
    if args.join.is_some() {
        set(&mut text, "", "join", &quoted(JOIN_FILE));
    }
    if let Some(http) = args.http {
        set(&mut text, "http", "listen", &quoted(http.to_string()));
    }
    if !args.listen.is_empty() {
        set(&mut text, "network", "listen", &list(&args.listen));
    }
    let mut peers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for peer in &args.peers {
        let (member, address) = peer.split_once('=').ok_or_else(|| {
            CommandError::usage(format!(
                "--peer {peer:?} is not ID=MULTIADDRESS, such as broker-a=/ip4/192.0.2.7/tcp/4001"
            ))
        })?;
        peers.entry(member).or_default().push(address.to_owned());
    }
    let tables: String = peers
        .iter()
        .map(|(member, addresses)| {
            format!("\n[[network.peers]]\nmember = {}\naddresses = {}\n", quoted(*member), list(addresses))
        })
        .collect();
    let example = "\n# Further addresses at which this member takes trades";
    let text = text.replacen(example, &format!("{tables}{example}"), 1);
    config::check_text(&text).map_err(|e| CommandError::usage("this makes no configuration").caused_by(&e))?;
    Ok(text)
}

/// Puts every key into the home: one that is there, one that was given, or a new one. Returns the public keys.
fn place_keys(
    args: &InitArgs,
    home: &Path,
    member: Option<&Member>,
    has_vote: bool,
) -> Result<BTreeMap<String, String>, CommandError> {
    let passphrase = passphrase_of(args.passphrase_file.as_deref())?;
    let mut wanted = vec![
        (Purpose::Member, &args.member_key, member.map(|m| m.member_key)),
        (Purpose::Network, &args.network_key, member.map(|m| m.network_key)),
    ];
    if has_vote {
        wanted.push((Purpose::Validator, &args.validator_key, member.and_then(|m| m.validator_key)));
    }
    let mut keys = BTreeMap::new();
    for (purpose, given, expected) in wanted {
        let place = home.join(format!("keys/{purpose}.pem"));
        let found = match given {
            Some(file) => {
                let key = open(file, &passphrase, purpose)?;
                matches_genesis(purpose, file, key, expected)?;
                if place.exists() && open(&place, &passphrase, purpose)? != key {
                    let message = format!("{} is there and holds another key", place.display());
                    return Err(CommandError::failure(message).help("keys are never replaced: move it away first"));
                }
                files::make_folder(&home.join("keys"))?;
                files::write(&place, &files::read(file)?, files::SECRET_MODE)?;
                key
            }
            None if place.exists() => {
                let key = open(&place, &passphrase, purpose)?;
                matches_genesis(purpose, &place, key, expected)?;
                key
            }
            None => made(&place, &passphrase, purpose, expected)?,
        };
        keys.insert(purpose.to_string(), found.to_string());
    }
    Ok(keys)
}

fn made(
    place: &Path,
    passphrase: &Passphrase,
    purpose: Purpose,
    expected: Option<PublicKey>,
) -> Result<PublicKey, CommandError> {
    if let Some(expected) = expected {
        return Err(CommandError::usage(format!(
            "the genesis names the {purpose} key {expected}, and no file was given for it"
        ))
        .help(format!("name it with --{purpose}-key FILE, or put it at {}", place.display())));
    }
    let key = generate(purpose).map_err(|e| CommandError::of(&e))?;
    write_key_file(place, &key, passphrase, ScryptCost::Standard, false).map_err(|e| CommandError::of(&e))?;
    Ok(PublicKey(key.public_key()))
}

fn passphrase_of(file: Option<&Path>) -> Result<Passphrase, CommandError> {
    let given = match file {
        Some(file) => Some(passphrase::from_file(file).map_err(|e| CommandError::of(&e))?.passphrase),
        None => passphrase::from_environment().map_err(|e| CommandError::of(&e))?,
    };
    given.ok_or_else(|| {
        CommandError::usage("the keys' passphrase is not known")
            .help("give --passphrase-file FILE, or set STEMMA_PASSPHRASE")
    })
}

fn open(file: &Path, passphrase: &Passphrase, purpose: Purpose) -> Result<PublicKey, CommandError> {
    let key = read_key_file(file, passphrase, purpose).map_err(|e| {
        let failed = CommandError::of(&e);
        match e {
            ReadError::OpenToOthers { .. } => failed.help(format!("chmod 600 {}", file.display())),
            _ => failed,
        }
    })?;
    Ok(PublicKey(key.public_key()))
}

fn matches_genesis(
    purpose: Purpose,
    file: &Path,
    found: PublicKey,
    expected: Option<PublicKey>,
) -> Result<(), CommandError> {
    match expected {
        Some(expected) if expected != found => Err(CommandError::failure(format!(
            "the {purpose} key in {} is {found}, but the genesis names {expected}",
            file.display()
        ))
        .help("name the key file that the genesis was made with")),
        _ => Ok(()),
    }
}
