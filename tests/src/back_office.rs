//! An institution's own system in a process of its own, written in Python from the page of the protocol: what it is to do, and
//! all that it ever did.

use std::fs;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::SigningKey;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stemma_chain_format::keys::PublicKey;
use stemma_node_api::config::{BackOfficeConfig, BackOfficeKind};
use tempfile::TempDir;

use crate::binaries::workspace;
use crate::network::Network;
use crate::ports;
use crate::wait::until;

/// The system.
#[derive(Debug)]
pub struct BackOffice {
    python: String,
    port: u16,
    folder: TempDir,
    child: Option<Child>,
    http: reqwest::Client,
    /// Whose calls it takes: public key, network and member.
    caller: [String; 3],
}

/// One line of its file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// `executed`, `declined`, `concluded` or `settled`.
    pub event: String,
    /// The instruction.
    pub key: String,
    /// For an execution: the link of the customer's request.
    pub request: Option<String>,
    /// For an execution or a settlement: how much.
    pub quantity: Option<String>,
    /// For an execution or a settlement: at which price.
    pub price: Option<String>,
    /// For a conclusion: `committed` or `released`.
    pub outcome: Option<String>,
    /// For what was committed: the chain.
    pub chain: Option<String>,
    /// For a release and a decline: why.
    pub reason: Option<String>,
}

impl BackOffice {
    /// One that does not run yet, at an address of its own.
    ///
    /// # Panics
    /// There is no port or folder for it.
    #[must_use]
    pub fn new(python: String) -> Self {
        let port = ports::free(&["office"])["office"].http;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { python, port, folder, child: None, http, caller: Default::default() }
    }

    /// How a node is told to execute there, with short times.
    #[must_use]
    pub fn config(&self) -> BackOfficeConfig {
        BackOfficeConfig {
            kind: BackOfficeKind::Http,
            url: Some(self.url("/office")),
            timeout_ms: 600,
            retry_first_ms: 50,
            retry_max_ms: 400,
            breaker_failures: 5,
            breaker_cooldown_s: 1,
        }
    }

    /// An address of it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Starts it for an institution of a network.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn start(&mut self, network: &Network, member: &str) {
        let members = network.client(member).members().await.unwrap();
        let key = members.into_iter().find(|view| view.id == member).unwrap().member_key;
        self.caller = [key, network.genesis().network().to_string(), member.to_owned()];
        self.run().await;
    }

    /// Starts it again after it was killed.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn run(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let mut command = Command::new(&self.python);
        command.arg(workspace().join("tests/python/back_office.py"));
        command.arg(self.port.to_string()).arg(self.folder.path()).args(&self.caller);
        self.child = Some(command.stdin(Stdio::null()).spawn().unwrap());
        until("the back office", async || self.http.get(self.url("/")).send().await.ok()).await;
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Panics
    /// It does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Changes what it does with executions, and with conclusions; see `tests/python/back_office.py`.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn mood(&self, executions: &str, conclusions: &str) {
        self.put_mood(json!({ "executions": executions, "conclusions": conclusions })).await;
    }

    /// Changes what it does when it is told of what the ledger settled.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn mood_of_settlements(&self, mood: &str) {
        self.put_mood(json!({ "settlements": mood })).await;
    }

    async fn put_mood(&self, moods: Value) {
        let told = self.http.put(self.url("/mood")).json(&moods).send().await.unwrap();
        assert!(told.status().is_success());
    }

    /// How many calls with a signature that holds it had since it was started: `executions`,
    /// `conclusions` or `settlements`.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn calls(&self, kind: &str) -> u64 {
        let seen: Value = self.http.get(self.url("/")).send().await.unwrap().json().await.unwrap();
        let calls = seen["calls"].as_object().unwrap().iter().filter(|(call, _)| call.starts_with(kind));
        calls.map(|(_, count)| count.as_u64().unwrap()).sum()
    }

    /// Waits for so many further calls after a number of them.
    ///
    /// # Panics
    /// It takes too long.
    pub async fn called(&self, kind: &str, after: u64, more: u64) {
        let what = format!("{more} {kind} after {after}");
        until(&what, async || (self.calls(kind).await >= after + more).then_some(())).await;
    }

    /// All that it did, in order.
    ///
    /// # Panics
    /// Its file can't be read.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let text = fs::read_to_string(self.folder.path().join("ledger.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What it carried out of a request.
    ///
    /// # Panics
    /// It did so more than once.
    #[must_use]
    pub fn execution(&self, request: &str) -> Option<Entry> {
        let mut found = self.of("executed", |entry| entry.request.as_deref() == Some(request));
        assert!(found.len() <= 1, "executed twice: {found:?}");
        found.pop()
    }

    /// How an instruction ended there.
    ///
    /// # Panics
    /// It did so more than once.
    #[must_use]
    pub fn conclusion(&self, key: &str) -> Option<Entry> {
        let mut found = self.of("concluded", |entry| entry.key == key);
        assert!(found.len() <= 1, "concluded twice: {found:?}");
        found.pop()
    }

    /// All of one kind.
    ///
    /// # Panics
    /// Its file can't be read.
    pub fn of(&self, event: &str, is_wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        self.entries().into_iter().filter(|entry| entry.event == event && is_wanted(entry)).collect()
    }

    /// Waits until it has carried out a request.
    ///
    /// # Panics
    /// It takes too long.
    pub async fn executed(&self, request: &str) -> Entry {
        until(&format!("the execution of {request}"), async || self.execution(request)).await
    }

    /// Waits until nothing is open: neither there, nor at the institution.
    ///
    /// # Panics
    /// It takes too long.
    pub async fn settled(&self, network: &Network, member: &str) {
        let client = network.client(member);
        until("the end of all errands", async || {
            let status = client.status().await.ok()?;
            (status.back_office?.errands == 0).then_some(())
        })
        .await;
        for executed in self.of("executed", |_| true) {
            assert!(self.conclusion(&executed.key).is_some(), "open for ever: {executed:?}");
        }
    }

    /// Calls it as anybody may, signed by some key in the name of another (RFC 9421); returns the status and what is answered.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn call(&self, path: &str, named: &PublicKey, signer: &SigningKey, told: &Value) -> (u16, Value) {
        let (url, body) = (self.url(path), told.to_string());
        let key = told["key"].as_str().unwrap_or_default();
        let digest = BASE64_STANDARD.encode(Sha256::digest(&body));
        let digest = format!("sha-256=:{digest}:");
        let created = stemma_tools::requests::now_ms() / 1_000;
        let parameters = format!(
            "(\"@method\" \"@target-uri\" \"idempotency-key\" \"content-digest\");created={created};keyid=\"{named}\";alg=\"ed25519\""
        );
        let base = format!(
            "\"@method\": POST\n\"@target-uri\": {url}\n\"idempotency-key\": \"{key}\"\n\"content-digest\": {digest}\n\
             \"@signature-params\": {parameters}"
        );
        let signature = stemma_chain_format::keys::sign(signer, base.as_bytes());
        let signature = BASE64_STANDARD.encode(signature.0);
        let call = self.http.post(&url).body(body).header("idempotency-key", format!("\"{key}\""));
        let call = call.header("content-digest", digest).header("signature-input", format!("stemma={parameters}"));
        let answer = call.header("signature", format!("stemma=:{signature}:")).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

impl Drop for BackOffice {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
