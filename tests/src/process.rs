//! One node as a process: killed, frozen, thawed, started again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use stemma_node_api::Client;
use stemma_node_api::types::Status;
use stemma_tools::files::read_token;

use crate::binaries::binaries;
use crate::wait::until;

/// How many of a log's last lines are shown where a test fails.
const LOG_LINES: usize = 25;

/// A node.
#[derive(Debug)]
pub struct Process {
    member: String,
    /// The folder with its `config.toml`.
    home: PathBuf,
    client: Client,
    child: Option<Child>,
}

impl Process {
    /// Starts the node whose configuration lies in `home`.
    ///
    /// # Panics
    /// The program can't be run.
    #[must_use]
    pub fn start(member: &str, home: &Path, http: u16) -> Self {
        let token = read_token(&home.join("operator.token")).unwrap();
        let client = Client::new(format!("http://127.0.0.1:{http}")).unwrap().with_token(token);
        let mut process = Self { member: member.to_owned(), home: home.to_owned(), client, child: None };
        process.run();
        process
    }

    /// Starts it again after it was killed.
    ///
    /// # Panics
    /// It runs already, or the program can't be run.
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.member);
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = Command::new(&binaries().node);
        command.arg("--config").arg(self.home.join("config.toml"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// Ends it at once, as a power cut would (SIGKILL). What it has not made durable is lost.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// It does not run, or ends otherwise than cleanly.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        let code = until("the end of a node that was asked to stop", async || self.ended()).await;
        assert_eq!(code, 0, "{}", self.log());
        self.child = None;
    }

    /// Whether it ended by itself, and with which exit code.
    ///
    /// # Panics
    /// It was killed.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.as_mut().expect("it was not killed").try_wait().unwrap().and_then(|status| status.code())
    }

    /// Stops its clock: it neither reads nor answers until it is thawed (SIGSTOP).
    ///
    /// # Panics
    /// It does not run.
    pub async fn freeze(&self) {
        self.signal(Signal::STOP);
        let stat = format!("/proc/{}/stat", self.child.as_ref().expect("it runs").id());
        until("a frozen process", async || {
            let stat = fs::read_to_string(&stat).unwrap();
            // The state stands behind the name, which is in parentheses.
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')).then_some(())
        })
        .await;
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Panics
    /// It does not run.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.child.as_ref().expect("it runs")), signal).unwrap();
    }

    /// The process' number.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Its API, with the operator's token.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The folder with its configuration.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Waits until it answers.
    ///
    /// # Panics
    /// It does not, or it ended.
    pub async fn answering(&mut self) -> Status {
        let client = self.client.clone();
        until(&format!("an answer of {}", self.member), async || {
            assert_eq!(self.ended(), None, "{} ended", self.member);
            client.status().await.ok()
        })
        .await
    }

    /// All that it has logged.
    ///
    /// # Panics
    /// The log can't be read.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap()).into_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.home.join("node.log")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = fs::read(self.log_file()).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- log of {}", self.member);
            lines.iter().skip(lines.len().saturating_sub(LOG_LINES)).for_each(|line| eprintln!("{line}"));
        }
    }
}
