//! What the `stemma-node` binary does: each command has its file.

mod backup;
mod config_text;
mod doctor;
mod export;
mod files;
mod init;
mod manifest;
mod outcome;
mod restore;
mod start;
mod status;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use stemma_node_api::config::NodeConfig;

pub use outcome::{CommandError, Exit};

use crate::config::{self, ConfigError, Override};

/// A node of a Stemma consortium: a bank, an institution or an auditor.
#[derive(Debug, Parser)]
#[command(
    name = "stemma-node",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Without a command, the node is started.\n\n\
                  Exit codes: 0 yes or done; 1 the check said no; 2 wrong usage; 3 files or network failed.\n\n\
                  Example:\n  stemma-node start --home nodes/bank-a"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Starts the node, as `start` does.
    #[command(flatten)]
    start: start::StartArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the node until it is stopped by Ctrl-C or SIGTERM
    #[command(after_help = "Example:\n  stemma-node start --home nodes/bank-a --set http.listen=127.0.0.1:8200")]
    Start(start::StartArgs),
    /// Make a node's folder: configuration, genesis, keys, operator's token
    #[command(
        after_help = "Example:\n  stemma-node init --home nodes/bank-a --member bank-a --genesis genesis.stemma \\\n    \
                            --member-key member.pem --network-key network.pem --validator-key validator.pem \\\n    \
                            --passphrase-file passphrase --peer broker-a=/ip4/192.0.2.7/tcp/4001"
    )]
    Init(Box<init::InitArgs>),
    /// Ask the running node how it is; exit code 1 where it is not ready
    #[command(after_help = "Example:\n  stemma-node status --home nodes/bank-a")]
    Status(status::StatusArgs),
    /// Look at keys, permissions, store, ports, peers, clock, disk and versions, and say what to do
    #[command(after_help = "Works with the node running and stopped; exit code 1 where something fails.\n\n\
                            Example:\n  stemma-node doctor --home nodes/bank-a")]
    Doctor(doctor::DoctorArgs),
    /// Copy a home at one height, while the node runs or stands still
    #[command(after_help = "A restored node does not vote with the same key, unless the backup is --final.\n\n\
                            Example:\n  stemma-node backup --home nodes/bank-a --to backup-2026-11-26")]
    Backup(backup::BackupArgs),
    /// Make a home of a backup
    #[command(after_help = "Example:\n  stemma-node restore --from backup-2026-11-26 --home nodes/bank-a")]
    Restore(restore::RestoreArgs),
    /// Write an audit bundle from the store of a node that stands still; `stemma audit export` asks one that runs
    #[command(after_help = "Example:\n  stemma-node export --home nodes/bank-a --account 4be1… --out alice.bundle\n  \
                            stemma-node export --home nodes/bank-a --ledger --out ledger.bundle")]
    Export(export::ExportArgs),
}

/// Which node, and what is given beside its file.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// The node's folder; its configuration is `config.toml` there
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// The configuration file, where --home is not given
    #[arg(long, value_name = "FILE", env = "STEMMA_CONFIG")]
    config: Option<PathBuf>,
    /// Gives a setting otherwise than the file, such as http.listen=127.0.0.1:8200; again for more. STEMMA_NODE__HTTP__LISTEN
    /// in the environment does the same, and comes after flags
    #[arg(long = "set", value_name = "NAME=VALUE")]
    overrides: Vec<String>,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct Printed {
    /// Print the result, or the error, as one JSON object
    #[arg(long)]
    json: bool,
}

impl Place {
    /// The configuration file.
    fn file(&self) -> Result<PathBuf, CommandError> {
        match (&self.config, &self.home) {
            // The file may come from the environment, the folder is a flag.
            (_, Some(home)) => Ok(home.join("config.toml")),
            (Some(file), None) => Ok(file.clone()),
            (None, None) => Err(CommandError::usage("which node? neither --home nor --config was given")
                .help("name the node's folder with --home DIR, or its file with --config FILE")),
        }
    }

    /// The folder that the configuration lies in.
    fn folder(&self) -> Result<PathBuf, CommandError> {
        let file = self.file()?;
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        Ok(folder.unwrap_or(Path::new(".")).to_owned())
    }

    /// The configuration, with what is given by flags and variables.
    fn configuration(&self) -> Result<NodeConfig, CommandError> {
        let file = self.file()?;
        let mut overrides = Override::of_variables(std::env::vars());
        for text in &self.overrides {
            overrides.push(Override::of_flag(text).map_err(|e| CommandError::usage(e.to_string()))?);
        }
        config::read(&file, &overrides).map_err(|e| of_config(&e))
    }
}

/// Waits for something on the network.
fn wait<T>(what: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| CommandError::failure("cannot start the runtime").caused_by(&e))?.block_on(what)
}

fn of_config(error: &ConfigError) -> CommandError {
    let failed = CommandError::of(error);
    match error {
        ConfigError::Read { path, .. } if path.ends_with("config.toml") => {
            failed.help("`stemma-node init` makes a node's folder; --home or --config names it")
        }
        ConfigError::Layers { .. } => failed.help("`stemma-node init --print-config` shows every setting there is"),
        ConfigError::Key { .. } | ConfigError::Passphrase(_) => {
            failed.help("`stemma-node doctor` looks at every key and its file")
        }
        _ => failed,
    }
}

/// Runs a command line, prints what came of it, and gives the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let is_json = arguments.iter().any(|argument| argument == "--json");
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(e) if is_json && e.use_stderr() => {
            let text = e.render().to_string();
            let message = text.split("\n\n").next().unwrap_or_default();
            CommandError::usage(message.strip_prefix("error: ").unwrap_or(message)).print(true);
            return Exit::Usage.into();
        }
        Err(e) => e.exit(),
    };
    let done = match parsed.command {
        None => start::run(&parsed.start),
        Some(Command::Start(args)) => start::run(&args),
        Some(Command::Init(args)) => init::run(&args),
        Some(Command::Status(args)) => status::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Backup(args)) => backup::run(&args),
        Some(Command::Restore(args)) => restore::run(&args),
        Some(Command::Export(args)) => export::run(&args),
    };
    match done {
        Ok(exit) => exit.into(),
        Err(e) => {
            e.print(is_json);
            e.exit().into()
        }
    }
}
