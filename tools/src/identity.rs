//! Identities on the customer's side: what is shown to the bank, and where it comes from.

use std::path::PathBuf;

use clap::Args;
use stemma_chain_format::keys::PublicKey;
use stemma_node_api::x509;
use zeroize::Zeroizing;

use crate::error::CliError;
use crate::files;

/// The type by which a customer proves to hold the account's key.
const ACCOUNT_KEY: &str = "account-key";
/// Types whose evidence is a line of text.
const TEXTS: [&str; 3] = ["password", "totp", "national-id"];
/// Longest evidence, in bytes.
const EVIDENCE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A type, and the evidence for it. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct Identity {
    /// The type.
    pub kind: String,
    /// The evidence.
    pub evidence: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Identity {
    /// Shows the type alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Identity {
    /// The account's own key, which every account has as an identity.
    #[must_use]
    pub fn account_key(key: &PublicKey) -> Self {
        Self { kind: ACCOUNT_KEY.to_owned(), evidence: Zeroizing::new(key.0.to_vec()) }
    }
}

/// The flags of every command that proves who the customer is.
#[derive(Clone, Debug, Default, Args)]
pub struct IdentityArgs {
    /// Prove an identity: `password`, `totp` or `national-id` asks for it, KIND=FILE reads it. May be given again;
    /// without it, the account's key is the proof
    #[arg(long = "identity", value_name = "KIND[=FILE]")]
    identities: Vec<String>,
    /// For `--identity x509=CHAIN`: the certificate key's signature over `stemma identity challenge`
    #[arg(long, value_name = "FILE")]
    x509_signature: Option<PathBuf>,
    /// The order's counter, where a challenge was signed for it
    #[arg(long, value_name = "N")]
    pub counter: Option<u64>,
}

impl IdentityArgs {
    /// Whether anything but the account's own key is shown.
    #[must_use]
    pub fn has_material(&self) -> bool {
        self.identities.iter().any(|text| text != ACCOUNT_KEY)
    }

    /// The identities, with their evidence.
    ///
    /// # Errors
    /// A file can't be read, or there is nobody to ask.
    pub fn read(&self, key: &PublicKey) -> Result<Vec<Identity>, CliError> {
        if self.identities.is_empty() {
            return Ok(vec![Identity::account_key(key)]);
        }
        self.identities.iter().map(|text| self.one(text, key)).collect()
    }

    fn one(&self, text: &str, key: &PublicKey) -> Result<Identity, CliError> {
        let (kind, file) = text.split_once('=').map_or((text, None), |(kind, file)| (kind, Some(file)));
        let evidence = match (kind, file) {
            (ACCOUNT_KEY, None) => return Ok(Identity::account_key(key)),
            ("x509", Some(file)) => self.x509(file)?,
            (kind, Some(file)) => read_evidence(kind, file)?,
            (kind, None) if TEXTS.contains(&kind) => ask(kind, &format!("--identity {kind}=FILE"))?,
            (kind, None) => {
                let message = format!("--identity {kind} names no file");
                return Err(CliError::usage(message).help(format!("write --identity {kind}=FILE")));
            }
        };
        Ok(Identity { kind: kind.to_owned(), evidence })
    }

    /// The chain and the signature as the bank takes them.
    fn x509(&self, file: &str) -> Result<Zeroizing<Vec<u8>>, CliError> {
        let path = self.x509_signature.as_ref().ok_or_else(|| {
            let help = "sign what `stemma identity challenge` prints with the certificate's key, and name the file";
            CliError::usage("--identity x509 needs --x509-signature").help(help)
        })?;
        Ok(Zeroizing::new(x509::evidence(&certificates(file)?, Some(&files::read(path)?))))
    }
}

/// Material or evidence from a file: of text types its first line, of others all of it.
///
/// # Errors
/// The file can't be read.
pub fn read_evidence(kind: &str, file: &str) -> Result<Zeroizing<Vec<u8>>, CliError> {
    if kind == "x509" {
        return Ok(Zeroizing::new(x509::evidence(&certificates(file)?, None)));
    }
    let bytes = Zeroizing::new(files::read_up_to(file.as_ref(), EVIDENCE_BYTES_MAX)?);
    if !TEXTS.contains(&kind) {
        return Ok(bytes);
    }
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(Zeroizing::new(line.strip_suffix(b"\r").unwrap_or(line).to_vec()))
}

/// Asks for a text on the terminal, without echo; `flag` says how to give it otherwise.
///
/// # Errors
/// There is no terminal.
pub fn ask(kind: &str, flag: &str) -> Result<Zeroizing<Vec<u8>>, CliError> {
    use std::io::IsTerminal;
    if !std::io::stdin().is_terminal() {
        let message = format!("there is nobody to ask for the {kind}");
        return Err(CliError::usage(message).help(format!("write {flag}")));
    }
    let answer = rpassword::prompt_password(format!("{kind}: "));
    let answer = answer.map_err(|error| CliError::files(format!("cannot ask for the {kind}")).caused_by(&error))?;
    Ok(Zeroizing::new(answer.into_bytes()))
}

/// The certificates of a PEM file, or the one of a DER file.
fn certificates(file: &str) -> Result<Vec<Vec<u8>>, CliError> {
    use base64::Engine;
    let bytes = files::read(file.as_ref())?;
    let text = String::from_utf8_lossy(&bytes);
    if !text.contains("-----BEGIN") {
        return Ok(vec![bytes.clone()]);
    }
    let wrong = || CliError::usage(format!("{file} holds no certificate")).help("give a PEM or DER file");
    let blocks = text.split("-----BEGIN CERTIFICATE-----").skip(1);
    let decode = |block: &str| {
        let body = block.split("-----END CERTIFICATE-----").next().unwrap_or_default();
        let body: String = body.split_whitespace().collect();
        base64::prelude::BASE64_STANDARD.decode(body).map_err(|_| wrong())
    };
    let chain = blocks.map(decode).collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() { Err(wrong()) } else { Ok(chain) }
}
