//! The desk at which identities are verified: its rules, and the work itself, which may take long and is done beside the
//! node's thread.

use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use stemma_chain_format::hash::{AccountId, Digest, Link, NetworkId};
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::request::IdentityClaim;
use stemma_node_api::config::BankConfig;
use zeroize::Zeroizing;

use super::identity::account_key;
use super::identity::attempts::AttemptSettings;
use super::identity::policy::{Policy, PolicyError, Rule};
use super::identity::settings::ImageSettings;
use super::identity::{Context, EnrolError, Enrolment, Evidence, IdentityError, IdentitySettings, Verified, Verifiers};

/// What the key that seals identity verifiers is derived under.
const SEALING_CONTEXT: &str = "stemma 2026 key that seals identity verifiers";

/// A bank's file of identity rules (TOML). Everything has a default; unknown keys are refused.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdentityFile {
    /// Certificates of the CAs that customers' certificates may lead to: DER or PEM files, relative to this file.
    pub cas: Vec<PathBuf>,
    /// Their revocation lists: DER or PEM files.
    pub crls: Vec<PathBuf>,
    /// Accept a certificate whose CA has no revocation list here. Default false.
    pub crl_optional: bool,
    /// How images are compared.
    pub image: ImageSettings,
    /// How failures are answered.
    pub attempts: AttemptSettings,
    /// Which identities are demanded; see [`Policy`].
    pub rule: Vec<Rule>,
}

/// Why the rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML of this form.
    #[error("{path} is not a file of identity rules")]
    Toml {
        /// The file.
        path: PathBuf,
        /// The cause, with the line.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A PEM file without what it should hold.
    #[error("{path}: neither DER nor PEM")]
    Pem {
        /// The file.
        path: PathBuf,
    },
    /// A rule demands what there is not.
    #[error("{path}: the rules cannot be kept")]
    Policy {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: PolicyError,
    },
}

/// The desk.
pub struct Desk {
    verifiers: Verifiers,
    settings: IdentitySettings,
    policy: Policy,
    attempts: AttemptSettings,
}

impl std::fmt::Debug for Desk {
    /// Shows the rules alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Desk {
    /// A bank's desk. Stored verifiers are sealed with a key derived from the member's: without it, what a disk holds is of
    /// no use.
    ///
    /// # Errors
    /// [`DeskError`]: the file of rules cannot be used.
    pub fn of_bank(config: &BankConfig, member_key: &SigningKey) -> Result<Self, DeskError> {
        let sealing_key = sealing_key(member_key);
        match &config.identity {
            Some(path) => Self::read(path, sealing_key),
            None => Ok(Self::new(sealing_key)),
        }
    }

    /// A desk without rules of its own: any one enrolled identity will do.
    pub fn new(sealing_key: Zeroizing<[u8; 32]>) -> Self {
        Self {
            verifiers: Verifiers::standard(),
            settings: IdentitySettings::new(sealing_key),
            policy: Policy::default(),
            attempts: AttemptSettings::default(),
        }
    }

    /// A desk with the rules of a file.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn read(path: &Path, sealing_key: Zeroizing<[u8; 32]>) -> Result<Self, DeskError> {
        let read =
            |path: &Path| std::fs::read(path).map_err(|source| DeskError::Read { path: path.to_owned(), source });
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        let file: IdentityFile = toml::from_str(&text)
            .map_err(|source| DeskError::Toml { path: path.to_owned(), source: Box::new(source) })?;
        let folder = path.parent().unwrap_or_else(|| Path::new("."));
        let all = |paths: &[PathBuf]| -> Result<Vec<Vec<u8>>, DeskError> {
            let mut found = Vec::new();
            for name in paths {
                let path = folder.join(name);
                found.extend(der(&path, read(&path)?)?);
            }
            Ok(found)
        };
        let mut desk = Self::new(sealing_key);
        desk.settings.cas = all(&file.cas)?;
        desk.settings.crls = all(&file.crls)?;
        desk.settings.crl_required = !file.crl_optional;
        desk.settings.image = file.image;
        desk.attempts = file.attempts;
        desk.policy = Policy { rules: file.rule };
        let known: Vec<&str> = desk.verifiers.kinds().collect();
        desk.policy.check(&known).map_err(|source| DeskError::Policy { path: path.to_owned(), source })?;
        Ok(desk)
    }

    /// What is demanded of whom.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What an operator should mend.
    pub fn findings(&self, now_s: u64) -> Vec<String> {
        let none_used = self.settings.cas.is_empty() && self.settings.crls.is_empty();
        let findings = if none_used { Vec::new() } else { self.settings.findings(now_s) };
        findings.iter().map(ToString::to_string).collect()
    }

    /// How failures are answered.
    pub(super) fn attempts(&self) -> AttemptSettings {
        self.attempts.clone()
    }

    /// The identity types, in their order.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.verifiers.kinds().collect()
    }

    /// Enrols material for an account.
    ///
    /// # Errors
    /// [`EnrolError`]; it never contains the material.
    pub fn enrol(&self, holder: &Holder, kind: &str, material: &[u8]) -> Result<Enrolment, EnrolError> {
        self.verifiers.enrol(kind, material, &self.context(holder))
    }

    fn context(&self, holder: &Holder) -> Context<'_> {
        Context {
            network: holder.network,
            account: holder.account,
            account_key: holder.key,
            counter: holder.counter,
            now_s: holder.now_s,
            settings: &self.settings,
        }
    }
}

/// The key that verifiers are sealed with.
pub(super) fn sealing_key(member_key: &SigningKey) -> Zeroizing<[u8; 32]> {
    let seed = Zeroizing::new(member_key.to_bytes());
    Zeroizing::new(blake3::derive_key(SEALING_CONTEXT, &seed[..]))
}

/// Whose identity it is.
#[derive(Debug, Clone, Copy)]
pub struct Holder {
    /// The network.
    pub network: NetworkId,
    /// The account.
    pub account: AccountId,
    /// The account's key.
    pub key: PublicKey,
    /// The request's counter.
    pub counter: u64,
    /// Seconds since 1970.
    pub now_s: u64,
}

/// One claim with what is shown for it and what it is compared with.
pub struct Shown {
    pub(super) claim: IdentityClaim,
    pub(super) evidence: Option<Evidence>,
    pub(super) stored: Option<Vec<u8>>,
}

/// All identities of one order, to be verified together.
pub struct IdentityJob {
    pub(super) link: Link,
    pub(super) holder: Holder,
    pub(super) shown: Vec<Shown>,
}

impl std::fmt::Debug for IdentityJob {
    /// Shows whose it is, and no evidence.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentityJob").field("link", &self.link).finish_non_exhaustive()
    }
}

/// What became of it: of each claim its type and the verdict.
#[derive(Debug)]
pub struct IdentityOutcome {
    /// The order.
    pub link: Link,
    /// The account.
    pub account: AccountId,
    /// The verdicts, in the order of the claims.
    pub verdicts: Vec<(String, Result<Verified, IdentityError>)>,
}

impl IdentityJob {
    /// Whether the work is small enough for the node's thread.
    pub(super) fn is_small(&self) -> bool {
        self.shown.iter().all(|shown| shown.claim.kind == account_key::KIND)
    }

    /// What is told where the work cannot be done.
    pub fn given_up(&self) -> IdentityOutcome {
        let given_up = |shown: &Shown| (shown.claim.kind.clone(), Err(IdentityError::Damaged { kind: "any" }));
        let verdicts = self.shown.iter().map(given_up).collect();
        IdentityOutcome { link: self.link, account: self.holder.account, verdicts }
    }

    /// Does the work. All claims are looked at, whatever the first gives.
    pub fn run(self, desk: &Desk) -> IdentityOutcome {
        let context = desk.context(&self.holder);
        let verdict = |shown: Shown| {
            let Shown { claim, evidence, stored } = shown;
            let verdict = match evidence {
                Some(evidence) => desk.verifiers.verify(&claim, &evidence, stored.as_deref(), &context),
                None => Err(IdentityError::Mismatch),
            };
            (claim.kind, verdict)
        };
        let verdicts = self.shown.into_iter().map(verdict).collect();
        IdentityOutcome { link: self.link, account: self.holder.account, verdicts }
    }
}

/// The digest that an endorsement states: of one verifier its own, of several the BLAKE3 of theirs in the order of types.
pub(super) fn verifier_digest(verified: &[Verified]) -> Digest {
    match verified {
        [one] => one.verifier,
        several => {
            let mut hasher = blake3::Hasher::new_derive_key("stemma 2026 several identity verifiers");
            several.iter().for_each(|one| {
                hasher.update(&one.verifier.0);
            });
            Digest(hasher.finalize().into())
        }
    }
}

/// The DER of a file that holds DER or PEM.
fn der(path: &Path, bytes: Vec<u8>) -> Result<Vec<Vec<u8>>, DeskError> {
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
    if !bytes.starts_with(b"-----BEGIN") {
        return Ok(vec![bytes]);
    }
    let certificates = CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok).map(|der| der.to_vec());
    let lists = CertificateRevocationListDer::pem_slice_iter(&bytes).filter_map(Result::ok).map(|der| der.to_vec());
    let found: Vec<Vec<u8>> = certificates.chain(lists).collect();
    if found.is_empty() { Err(DeskError::Pem { path: path.to_owned() }) } else { Ok(found) }
}
