//! `stemma audit watch`: follows several nodes, and keeps what proves that somebody lied.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use stemma_chain_format::bundle::{self, Verdict};
use stemma_chain_format::genesis::GenesisFile;
use stemma_node_api::{Client, ClientError};

use crate::audit::watch::{BLOCKS_MAX, Finding, Taken, Watch};
use crate::error::{CliError, Exit};
use crate::files;
use crate::node::{is_absent, read_genesis};
use crate::output::Output;

/// Blocks of one node that are looked at before the next node's turn.
const BLOCKS_AT_ONCE: u64 = 256;

/// Arguments of `stemma audit watch`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each block of each node is verified with all its signatures, must stand on the block before, and be the one \
    that the other nodes have. Where two certificates conflict, or a member signed two endorsements for one head or two executions of one \
    endorsement, a file of evidence is written that `stemma audit verify` verifies. Ends with Ctrl-C, or at --until.\n\n\
    Exit codes: 0 nothing found, 1 something found, 3 a file failed. With --json, one object a line.\n\n\
    Example:\n  stemma audit watch --genesis genesis.stemma --evidence evidence \\\n    \
    --node http://127.0.0.1:8101 --node http://127.0.0.1:8102"
)]
pub struct WatchArgs {
    /// Address of a node's HTTP API; again for more
    #[arg(long = "node", value_name = "URL", required = true)]
    nodes: Vec<String>,
    /// The network's genesis file: all trust comes from it
    #[arg(long, value_name = "FILE", env = "STEMMA_GENESIS")]
    genesis: PathBuf,
    /// Folder for files of evidence; made where something is found
    #[arg(long, value_name = "DIR")]
    evidence: PathBuf,
    /// The first height to look at; by default the lowest head of all nodes
    #[arg(long, value_name = "HEIGHT")]
    from: Option<u64>,
    /// Stop once every node was looked at up to this height
    #[arg(long, value_name = "HEIGHT")]
    until: Option<u64>,
    /// How often nodes are asked, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(50..=3_600_000))]
    every: u64,
}

/// What is told of one node, or of all.
#[derive(Serialize)]
struct Event<'e> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    message: String,
}

/// A node that is watched.
struct Watched {
    url: String,
    client: Client,
    /// The next height to look at.
    next: u64,
    /// The highest head that it told.
    head: u64,
    /// What was last wrong with it, told once.
    trouble: Option<String>,
    /// Whether it has another block than others: then each of its later blocks is another one, too, and told of once.
    is_on_fork: bool,
}

struct Watching<'w> {
    watch: Watch,
    nodes: Vec<Watched>,
    genesis: GenesisFile,
    evidence: &'w Path,
    written: BTreeSet<String>,
    is_found: bool,
    output: &'w Output,
    /// The height up to which all nodes agree, as it was told last.
    agreed: u64,
    /// Entries in blocks that were verified since.
    entries: u64,
}

/// Runs `stemma audit watch`.
///
/// # Errors
/// The genesis can't be read, or evidence can't be written.
pub async fn watch(args: &WatchArgs, output: &Output) -> Result<ExitCode, CliError> {
    let genesis = read_genesis(&args.genesis)?;
    let mut nodes = Vec::new();
    for url in &args.nodes {
        let client = Client::new(url.clone())?;
        nodes.push(Watched { url: url.clone(), client, next: 0, head: 0, trouble: None, is_on_fork: false });
    }
    let mut watching = Watching {
        watch: Watch::new(genesis.clone()),
        nodes,
        genesis,
        evidence: &args.evidence,
        written: BTreeSet::new(),
        is_found: false,
        output,
        agreed: 0,
        entries: 0,
    };
    tokio::select! {
        ended = watching.follow(args) => ended?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.map_err(|e| CliError::files("cannot wait for Ctrl-C").caused_by(&e))?;
        }
    }
    Ok(if watching.is_found { Exit::No.into() } else { Exit::Yes.into() })
}

impl Watching<'_> {
    async fn follow(&mut self, args: &WatchArgs) -> Result<(), CliError> {
        let pause = Duration::from_millis(args.every);
        loop {
            let mut is_behind = false;
            for at in 0..self.nodes.len() {
                is_behind |= self.look(at, args).await?;
            }
            self.tell_agreement()?;
            let done = |until: u64| self.nodes.iter().all(|node| node.next > until);
            if args.until.is_some_and(done) {
                return Ok(());
            }
            if !is_behind {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Looks at what is new at a node; whether there is more.
    async fn look(&mut self, at: usize, args: &WatchArgs) -> Result<bool, CliError> {
        let Some(node) = self.nodes.get(at) else { return Ok(false) };
        let (client, url, before) = (node.client.clone(), node.url.clone(), node.head);
        let head = match client.status().await {
            Ok(status) if status.network != self.genesis.network().to_string() => {
                let message = format!("is in another network, {}", status.network);
                return self.trouble(at, "refuted", message, true).map(|()| false);
            }
            Ok(status) => status.height,
            Err(e) => return self.unreachable(at, &e).map(|()| false),
        };
        if head < before {
            self.trouble(at, "went-back", format!("its head went back from height {before} to {head}"), true)?;
        }
        self.begin(args).await;
        let Some(node) = self.nodes.get_mut(at) else { return Ok(false) };
        node.head = head;
        if node.next == 0 {
            return Ok(false);
        }
        let last = args.until.map_or(head, |until| head.min(until));
        let (first, mut is_whole) = (node.next, true);
        for height in first..=last.min(first.saturating_add(BLOCKS_AT_ONCE.saturating_sub(1))) {
            if !self.block(at, &client, &url, height).await? {
                is_whole = false;
                break;
            }
            if let Some(node) = self.nodes.get_mut(at) {
                node.next = height.saturating_add(1);
            }
        }
        Ok(is_whole && self.nodes.get(at).is_some_and(|node| node.next <= last))
    }

    /// Says where to begin, once it is known: where it was asked for, else at the lowest head.
    async fn begin(&mut self, args: &WatchArgs) {
        if self.nodes.iter().any(|node| node.next > 0) {
            return;
        }
        let mut lowest = args.from;
        if lowest.is_none() {
            for node in &self.nodes {
                // One that can't be reached now is caught up with later.
                if let Ok(status) = node.client.status().await {
                    lowest = Some(lowest.map_or(status.height, |height| height.min(status.height)));
                }
            }
        }
        let first = lowest.unwrap_or(1).max(1);
        self.nodes.iter_mut().for_each(|node| node.next = first);
    }

    /// Verifies a node's block, or compares it with the one that is known; whether it could be looked at.
    async fn block(&mut self, at: usize, client: &Client, url: &str, height: u64) -> Result<bool, CliError> {
        if let Some(known) = self.watch.block(height) {
            match client.block(height).await {
                Ok(view) if view.block == known.to_string() => return Ok(true),
                Ok(_) => {}
                Err(e) => return self.unreachable(at, &e).map(|()| false),
            }
        }
        let bytes = match client.block_bundle(height).await {
            Ok(bytes) => bytes,
            Err(e) => return self.unreachable(at, &e).map(|()| is_absent(&e)),
        };
        let mut findings = Vec::new();
        match self.watch.take(height, &bytes, &mut findings) {
            Taken::Fits { entries, power: (signed, total) } => {
                self.entries = self.entries.saturating_add(entries as u64);
                self.output
                    .detail(1, &format!("{url}: block {height}, {entries} entries, {signed} of {total} voting power"));
                if let Some(node) = self.nodes.get_mut(at) {
                    node.trouble = None;
                }
            }
            Taken::Refuted(violation) => {
                self.trouble(at, "refuted", format!("its block {height} does not hold: {violation}"), true)?;
            }
        }
        for finding in findings {
            let node = self.nodes.get_mut(at).filter(|_| finding.is_conflict);
            let is_told = node.is_some_and(|node| std::mem::replace(&mut node.is_on_fork, true));
            if !is_told {
                self.keep(url, height, finding)?;
            }
        }
        Ok(true)
    }

    /// Writes evidence, which must hold, into a file of its own.
    fn keep(&mut self, url: &str, height: u64, finding: Finding) -> Result<(), CliError> {
        let Finding { what, file, evidence, .. } = finding;
        if !self.written.insert(file.clone()) {
            return Ok(());
        }
        let bytes = evidence.encode();
        if let Verdict::Refuted(violation) | Verdict::Unreadable(violation) = bundle::verify(&bytes, &self.genesis) {
            // Such as one record that was signed again.
            self.output.detail(1, &format!("{url}: block {height}: {what}, which proves nothing: {violation}"));
            return Ok(());
        }
        self.is_found = true;
        let failed =
            |e: std::io::Error| CliError::files(format!("cannot make {}", self.evidence.display())).caused_by(&e);
        std::fs::create_dir_all(self.evidence).map_err(failed)?;
        let path = self.evidence.join(&file);
        // What an earlier run wrote is as good.
        if path.symlink_metadata().is_err() {
            files::write(&path, &bytes, files::MODE_PUBLIC, false)?;
        }
        let message = format!("{what}; the evidence is in {}", path.display());
        let file = Some(path.display().to_string());
        self.tell(&Event { node: Some(url), height: Some(height), file, ..Event::of("evidence", message) })
    }

    fn unreachable(&mut self, at: usize, error: &ClientError) -> Result<(), CliError> {
        let error = CliError::from_error(Exit::Failure, error);
        let told = [&[error.message().to_owned()], error.causes()].concat();
        let message = told.join(": ");
        self.trouble(at, "unanswered", message, false)
    }

    /// Something is wrong with a node; told once until it is well again.
    fn trouble(&mut self, at: usize, event: &'static str, message: String, is_finding: bool) -> Result<(), CliError> {
        self.is_found |= is_finding;
        let Some(node) = self.nodes.get_mut(at) else { return Ok(()) };
        if node.trouble.as_ref() == Some(&message) {
            return Ok(());
        }
        node.trouble = Some(message.clone());
        let (url, height) = (node.url.clone(), node.next);
        self.tell(&Event { node: Some(&url), height: Some(height), ..Event::of(event, message) })
    }

    /// Tells how far all nodes agree, where that went on.
    fn tell_agreement(&mut self) -> Result<(), CliError> {
        let height = self.nodes.iter().map(|node| node.next).min().unwrap_or(0).saturating_sub(1);
        if height <= self.agreed {
            return Ok(());
        }
        self.agreed = height;
        let entries = std::mem::take(&mut self.entries);
        let count = self.nodes.len();
        let block = self.watch.block(height).map(|id| id.to_string());
        let shown = block.clone().unwrap_or_default();
        let message =
            format!("{count} nodes looked at up to height {height}, block {shown}; {entries} entries verified");
        self.tell(&Event { height: Some(height), block, entries: Some(entries), ..Event::of("looked", message) })
    }

    fn tell(&self, event: &Event<'_>) -> Result<(), CliError> {
        let node = event.node.map(|node| format!("{node}: ")).unwrap_or_default();
        self.output.data(event, &format!("{node}{}", event.message))
    }
}

impl Event<'_> {
    fn of(event: &'static str, message: String) -> Self {
        Self { event, node: None, height: None, block: None, entries: None, file: None, message }
    }
}

const _: () = assert!(BLOCKS_AT_ONCE < BLOCKS_MAX as u64, "what is looked at in one turn is remembered");
