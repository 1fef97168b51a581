//! What a bank sets for its identity types.

use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use zeroize::Zeroizing;

/// How early an operator is told that a CA or a revocation list ends.
const WARNING_S: i64 = 14 * 24 * 3600;

/// What a bank sets. `Debug` does not show the sealing key.
pub struct IdentitySettings {
    /// Certificates of the CAs that customers' certificates may lead to, DER.
    pub cas: Vec<Vec<u8>>,
    /// Their revocation lists and those of the CAs below them, DER; of each CA the newest one alone.
    pub crls: Vec<Vec<u8>>,
    /// Whether a certificate whose CA has no revocation list here is refused; on unless a bank turns it off.
    pub crl_required: bool,
    /// How images are compared.
    pub image: ImageSettings,
    /// Seals stored verifiers.
    pub sealing_key: Zeroizing<[u8; 32]>,
}

/// How images are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageSettings {
    /// Whether an image that looks the same matches as well, not only the very file. Off: then nothing of what an image
    /// looks like is stored. It counts for images enrolled while it is on.
    pub perceptual: bool,
    /// How many of 256 bits of two images' hashes may differ. Other encodings and sizes of one picture differ in few
    /// (up to 8 in the tests), different pictures in about half (110 and more).
    pub distance_max: u32,
    /// Most pixels of an image, which bounds the work and memory of decoding it.
    pub pixels_max: u64,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self { perceptual: false, distance_max: 26, pixels_max: 25_000_000 }
    }
}

/// Something an operator should mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// No certificate at all, so nobody's certificate is accepted.
    #[error("no CA is configured: every x509 identity is refused")]
    NoCa,
    /// Not a certificate.
    #[error("CA {index}: not an X.509 certificate in DER")]
    CaUnreadable {
        /// Which one, from 0.
        index: usize,
    },
    /// Certificates below it will be, or are, refused.
    #[error("CA {index} ends within 14 days or has ended: {subject}")]
    CaEnds {
        /// Which one, from 0.
        index: usize,
        /// Whose.
        subject: String,
    },
    /// Not a revocation list.
    #[error("revocation list {index}: not a CRL in DER")]
    CrlUnreadable {
        /// Which one, from 0.
        index: usize,
    },
    /// Without it, or once it has ended, certificates of its CA are refused.
    #[error("revocation list {index} has ended, ends within 14 days or names no end: {issuer}")]
    CrlEnds {
        /// Which one, from 0.
        index: usize,
        /// Whose.
        issuer: String,
    },
}

impl IdentitySettings {
    /// Settings without CAs; images compared by their bytes.
    pub fn new(sealing_key: Zeroizing<[u8; 32]>) -> Self {
        Self { cas: Vec::new(), crls: Vec::new(), crl_required: true, image: ImageSettings::default(), sealing_key }
    }

    /// What an operator should mend, at start and from time to time: an expired list refuses customers.
    pub fn findings(&self, now_s: u64) -> Vec<Finding> {
        let soon = i64::try_from(now_s).unwrap_or(i64::MAX).saturating_add(WARNING_S);
        let cas = self.cas.iter().enumerate().filter_map(|(index, der)| match X509Certificate::from_der(der) {
            Ok((_, ca)) if ca.validity().not_after.timestamp() > soon => None,
            Ok((_, ca)) => Some(Finding::CaEnds { index, subject: ca.subject().to_string() }),
            Err(_) => Some(Finding::CaUnreadable { index }),
        });
        let crls = self.crls.iter().enumerate().filter_map(|(index, der)| {
            let Ok((_, crl)) = CertificateRevocationList::from_der(der) else {
                return Some(Finding::CrlUnreadable { index });
            };
            let lasts = crl.next_update().is_some_and(|end| end.timestamp() > soon);
            (!lasts).then(|| Finding::CrlEnds { index, issuer: crl.issuer().to_string() })
        });
        let none = self.cas.is_empty().then_some(Finding::NoCa);
        none.into_iter().chain(cas).chain(crls).collect()
    }
}

impl std::fmt::Debug for IdentitySettings {
    /// Counts certificates and lists; the key is not shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentitySettings")
            .field("cas", &self.cas.len())
            .field("crls", &self.crls.len())
            .field("crl_required", &self.crl_required)
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}
