//! What is printed about a key file.

use std::path::Path;

use serde::Serialize;
use stemma_keystore::{PublicPart, Purpose, SecretKey, read_public};

use crate::error::CliError;
use crate::keys::fingerprint;
use crate::output::{Output, pairs};

/// A key file.
#[derive(Serialize)]
pub(super) struct Report {
    purpose: Option<&'static str>,
    public_key: Option<String>,
    fingerprint: Option<String>,
    file: String,
    mode: String,
    encrypted: bool,
    /// Whether the public key is known to be that of the key inside.
    verified: bool,
}

/// Reports a key that was just written.
pub(super) fn made(path: &Path, key: &SecretKey, output: &Output) -> Result<(), CliError> {
    // Read back, so that what is reported is what the disk holds.
    let public = read_public(path)?;
    let report = Report::new(path, &public, Some(key.purpose()), Some(key.public_key()), true);
    output.data(&report, &report.text())
}

impl Report {
    pub(super) fn new(
        file: &Path,
        public: &PublicPart,
        purpose: Option<Purpose>,
        public_key: Option<[u8; 32]>,
        verified: bool,
    ) -> Self {
        Self {
            purpose: purpose.map(Purpose::as_str),
            public_key: public_key.map(hex::encode),
            fingerprint: public_key.as_ref().map(fingerprint),
            file: file.display().to_string(),
            mode: format!("{:04o}", public.mode),
            encrypted: public.is_encrypted,
            verified,
        }
    }

    pub(super) fn text(&self) -> String {
        let or_unknown = |value: Option<&str>| value.unwrap_or("(the file does not say)").to_owned();
        let yes_or_no = |value: bool| if value { "yes" } else { "no" }.to_owned();
        pairs(&[
            ("Purpose", or_unknown(self.purpose)),
            ("Public key", or_unknown(self.public_key.as_deref())),
            ("Fingerprint", or_unknown(self.fingerprint.as_deref())),
            ("File", self.file.clone()),
            ("Mode", self.mode.clone()),
            ("Encrypted", yes_or_no(self.encrypted)),
            ("Verified", yes_or_no(self.verified)),
        ])
    }
}
