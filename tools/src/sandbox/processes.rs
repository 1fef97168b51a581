//! The nodes as operating-system processes: started, watched until they are ready, stopped cleanly.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use stemma_node_api::Client;
use stemma_node_api::types::Status;
use tokio::process::{Child, Command};
use tokio::signal::unix::{self, SignalKind};

use super::layout::Folder;
use super::plan::PARTS;
use super::state::Ports;
use crate::error::CliError;
use crate::files;
use crate::output::Output;

/// How long the nodes may take until all of them answer and see each other.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// How long a node may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(10);
const POLL_PAUSE: Duration = Duration::from_millis(50);
const WATCH_PAUSE: Duration = Duration::from_millis(500);
/// How much of a log's end is shown when its node fails.
const LOG_LINES_MAX: usize = 12;
const LOG_TAIL_BYTES: u64 = 16 * 1024;

/// All nodes of the sandbox.
#[derive(Debug)]
pub struct Nodes(Vec<Node>);

#[derive(Debug)]
struct Node {
    id: &'static str,
    child: Child,
    /// With the operator's token.
    client: Client,
    log: PathBuf,
    /// Where this run's part of the log begins.
    log_begin: u64,
    pid_file: PathBuf,
}

/// Clients of all nodes by member, with the operators' tokens.
pub type Clients = BTreeMap<String, Client>;

impl Nodes {
    /// Starts every node.
    ///
    /// # Errors
    /// The binary can't be run, or a log can't be written. What was started by then is killed.
    pub fn start(binary: &Path, folder: &Folder, ports: &BTreeMap<String, Ports>) -> Result<Self, CliError> {
        let mut nodes = Vec::new();
        for part in &PARTS {
            let http = ports.get(part.id).map_or(0, |ports| ports.http);
            nodes.push(Node::start(binary, folder, part.id, http)?);
        }
        Ok(Self(nodes))
    }

    /// Clients of all nodes.
    pub fn clients(&self) -> Clients {
        self.0.iter().map(|node| (node.id.to_owned(), node.client.clone())).collect()
    }

    /// Waits until every node answers and is connected to all others.
    ///
    /// # Errors
    /// A node ended or is late; its log's last lines say why.
    pub async fn ready(&mut self) -> Result<(), CliError> {
        let started = Instant::now();
        let others = self.0.len().saturating_sub(1);
        for at in 0..self.0.len() {
            loop {
                self.none_ended()?;
                let Some(node) = self.0.get(at) else { break };
                let status = node.client.status().await;
                if status.as_ref().is_ok_and(|status| status.peers.len() >= others) {
                    break;
                }
                if started.elapsed() > READY_LIMIT {
                    return Err(node.late(status.ok().as_ref()));
                }
                tokio::time::sleep(POLL_PAUSE).await;
            }
        }
        Ok(())
    }

    /// Requires that every node still runs.
    ///
    /// # Errors
    /// Names the one that ended, with its log's last lines.
    pub fn none_ended(&mut self) -> Result<(), CliError> {
        for node in &mut self.0 {
            if let Ok(Some(status)) = node.child.try_wait() {
                return Err(node.ended(status));
            }
        }
        Ok(())
    }

    /// Waits until a node ends by itself, and says which.
    pub async fn watch(&mut self) -> CliError {
        loop {
            if let Err(error) = self.none_ended() {
                return error;
            }
            tokio::time::sleep(WATCH_PAUSE).await;
        }
    }

    /// Asks every node to stop, waits, and kills those that do not.
    pub async fn stop(mut self, output: &Output) {
        for node in &self.0 {
            node.signal(Signal::TERM);
        }
        let started = Instant::now();
        for node in &mut self.0 {
            let left = STOP_LIMIT.saturating_sub(started.elapsed());
            match tokio::time::timeout(left, node.child.wait()).await {
                Ok(Ok(status)) if status.success() => {}
                Ok(Ok(status)) => output.warn(&format!("{} ended with {status}; see {}", node.id, node.log.display())),
                Ok(Err(error)) => output.warn(&format!("cannot tell whether {} ended: {error}", node.id)),
                Err(_) => {
                    let limit = STOP_LIMIT.as_secs();
                    output.warn(&format!("{} did not stop within {limit} s and is killed", node.id));
                    // Nothing is lost: what a node has said is on its disk before it says it.
                    if let Err(error) = node.child.kill().await {
                        output.warn(&format!("cannot kill {}: {error}", node.id));
                    }
                }
            }
            // A file that is left names a process that is gone, which the next start sees.
            let _ = fs::remove_file(&node.pid_file);
        }
    }
}

impl Node {
    fn start(binary: &Path, folder: &Folder, id: &'static str, http: u16) -> Result<Self, CliError> {
        let home = folder.node(id);
        let log = home.join("node.log");
        let failed = |what: &str, error: &std::io::Error| CliError::files(what.to_owned()).caused_by(error);
        let file = File::options().create(true).append(true).open(&log);
        let (out, errors, log_begin) = file
            .and_then(|out| Ok((out.try_clone()?, out.metadata()?.len(), out)))
            .map(|(errors, begin, out)| (out, errors, begin))
            .map_err(|error| failed(&format!("cannot write {}", log.display()), &error))?;
        let child = Command::new(binary)
            .arg("--config")
            .arg(home.join("config.toml"))
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            .kill_on_drop(true)
            // Ctrl-C on the terminal reaches us alone; we stop the nodes in order.
            .process_group(0)
            .spawn()
            .map_err(|error| failed(&format!("cannot run {}", binary.display()), &error))?;
        let pid_file = home.join("node.pid");
        let pid = child.id().map(|pid| pid.to_string()).unwrap_or_default();
        files::write(&pid_file, pid.as_bytes(), files::MODE_PUBLIC, true)?;
        let token = files::read_token(&folder.token(id))?;
        let client = Client::new(format!("http://127.0.0.1:{http}"))?.with_token(token);
        Ok(Self { id, child, client, log, log_begin, pid_file })
    }

    fn signal(&self, signal: Signal) {
        // A process that has ended has no id any more, and needs no signal.
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, signal));
    }

    fn ended(&self, status: ExitStatus) -> CliError {
        self.failed(&format!("the node of {} ended with {status}", self.id))
    }

    fn late(&self, status: Option<&Status>) -> CliError {
        let limit = READY_LIMIT.as_secs();
        match status {
            None => self.failed(&format!("the node of {} does not answer after {limit} s", self.id)),
            Some(status) => {
                let peers = if status.peers.is_empty() { "nobody".to_owned() } else { status.peers.join(", ") };
                self.failed(&format!("the node of {} is connected to {peers} only after {limit} s", self.id))
            }
        }
    }

    fn failed(&self, what: &str) -> CliError {
        let failed = tail(&self.log, self.log_begin)
            .into_iter()
            .fold(CliError::network(what), |failed, line| failed.caused_by(&LogLine(line)));
        failed.help(format!("its log is {}", self.log.display()))
    }
}

/// A line of a node's log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct LogLine(String);

/// The last lines of a log, from a place on; nothing where it can't be read.
fn tail(path: &Path, begin: u64) -> Vec<String> {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES).max(begin)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES_MAX);
    lines.into_iter().skip(from).map(ToOwned::to_owned).collect()
}

/// Stops nodes of this folder that a sandbox which was killed left running: they hold the stores and the ports.
///
/// # Errors
/// One can't be stopped.
pub async fn stop_orphans(folder: &Folder, output: &Output) -> Result<(), CliError> {
    for part in &PARTS {
        let home = folder.node(part.id);
        let Some(pid) = running(&home) else { continue };
        output.note(&format!("Stopping the node of {} that an earlier sandbox left running.", part.id));
        let started = Instant::now();
        let mut signal = Signal::TERM;
        while running(&home) == Some(pid) {
            // It may have ended just now, which the next look tells.
            if let Err(error) = kill_process(pid, signal).or_else(ended_is_fine) {
                return Err(
                    CliError::files(format!("cannot stop the process {}", pid.as_raw_nonzero())).caused_by(&error)
                );
            }
            if started.elapsed() > STOP_LIMIT {
                signal = Signal::KILL;
            }
            tokio::time::sleep(POLL_PAUSE.saturating_mul(4)).await;
        }
    }
    Ok(())
}

fn ended_is_fine(error: Errno) -> Result<(), Errno> {
    if error == Errno::SRCH { Ok(()) } else { Err(error) }
}

/// The process that the file in a node's folder names, if it is that node: numbers of processes are given again.
fn running(home: &Path) -> Option<Pid> {
    let text = fs::read_to_string(home.join("node.pid")).ok()?;
    let number: i32 = text.trim().parse().ok()?;
    let command = fs::read(format!("/proc/{number}/cmdline")).ok()?;
    let mut arguments = command.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let config = fs::canonicalize(home.join("config.toml")).ok()?;
    let working = PathBuf::from(format!("/proc/{number}/cwd"));
    let is_ours =
        arguments.any(|argument| fs::canonicalize(working.join(argument.as_ref())).is_ok_and(|path| path == config));
    if is_ours { Pid::from_raw(number) } else { None }
}

/// Signals that ask the sandbox to end: Ctrl-C, SIGTERM, SIGHUP.
#[derive(Debug)]
pub struct Interrupt([unix::Signal; 3]);

impl Interrupt {
    /// From now on these signals end nothing by themselves.
    ///
    /// # Errors
    /// The operating system refuses the handlers.
    pub fn new() -> Result<Self, CliError> {
        let listen = |kind: SignalKind| {
            unix::signal(kind).map_err(|error| CliError::files("cannot handle signals").caused_by(&error))
        };
        Ok(Self([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]))
    }

    /// Waits for the next one.
    pub async fn wait(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
