//! The register of types: what is asked of each of them alike.

use stemma_chain_format::hash::Digest;
use stemma_chain_format::request::{IdentityClaim, commitment};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::media::Media;
use super::{
    Context, EnrolError, Evidence, IdentityError, IdentitySettings, IdentityType, Mismatch, Unfit, account_key, image,
    national_id, password, seal, totp, x509,
};

/// What opening a verifier costs is spent on this where none is stored.
const NO_VERIFIER: [u8; 160] = [1; 160];

/// The identity types of a bank.
pub struct Verifiers(Vec<Box<dyn IdentityType>>);

/// An identity that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The digest of the verifier, for the ledger.
    pub verifier: Digest,
    /// What to store in place of the verifier, before the request is answered: otherwise a one-time code counts twice.
    pub stored: Option<Vec<u8>>,
}

/// An identity that was enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// What to store for the account and the type.
    pub stored: Vec<u8>,
    /// The digest that the ledger will show when it is used.
    pub verifier: Digest,
}

impl Verifiers {
    /// The types that this version knows.
    pub fn standard() -> Self {
        Self(vec![
            Box::new(account_key::AccountKey),
            Box::new(x509::X509),
            Box::new(national_id::NationalId),
            Box::new(password::Password),
            Box::new(totp::Totp),
            Box::new(image::Image),
            Box::new(Media::audio()),
            Box::new(Media::video()),
        ])
    }

    /// The names of the types.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|identity| identity.kind())
    }

    /// The most evidence that a type takes, in bytes; nothing for a type that is not known.
    pub fn evidence_bytes_max(&self, kind: &str) -> Option<usize> {
        self.find(kind).map(IdentityType::evidence_bytes_max)
    }

    /// Enrols material as an identity of the context's account.
    ///
    /// # Errors
    /// [`EnrolError`]; it never contains the material.
    pub fn enrol(&self, kind: &str, material: &[u8], context: &Context<'_>) -> Result<Enrolment, EnrolError> {
        let identity = self.find(kind).ok_or_else(|| {
            let known = self.known();
            EnrolError::UnknownType { kind: kind.to_owned(), known }
        })?;
        let kind = identity.kind();
        if identity.implied(context).is_some() {
            return Err(EnrolError::Implied { kind });
        }
        let (bytes, bytes_max) = (material.len(), identity.evidence_bytes_max());
        if bytes > bytes_max {
            return Err(EnrolError::TooLarge { kind, bytes, bytes_max });
        }
        let content = identity.enrol(material, context).map_err(|unfit| match unfit {
            Unfit::Material(why) => EnrolError::Unfit { kind, why },
            Unfit::Random(e) => EnrolError::Random(e),
            Unfit::Work => EnrolError::Work { kind },
        })?;
        let stored = seal::seal(kind, &content, context).map_err(|_| EnrolError::Work { kind })?;
        Ok(Enrolment { stored, verifier: digest(identity, &content) })
    }

    /// Verifies a claim with its evidence against the verifier stored for the account and the claim's type; `None`
    /// where none is, which takes as long and is answered in the same way as wrong evidence.
    ///
    /// # Errors
    /// [`IdentityError`]; it never contains the evidence.
    pub fn verify(
        &self,
        claim: &IdentityClaim,
        evidence: &Evidence,
        stored: Option<&[u8]>,
        context: &Context<'_>,
    ) -> Result<Verified, IdentityError> {
        let identity = self.find(&claim.kind).ok_or_else(|| {
            let known = self.known();
            IdentityError::UnknownType { kind: claim.kind.clone(), known }
        })?;
        let kind = identity.kind();
        let (bytes, bytes_max) = (evidence.value.len(), identity.evidence_bytes_max());
        if bytes > bytes_max {
            return Err(IdentityError::TooLarge { kind, bytes, bytes_max });
        }
        // What follows up to the verifier depends on the caller's own bytes alone, so an early end tells nothing.
        let committed = commitment(&evidence.salt, &evidence.value);
        let same_commitment: bool = committed.0.ct_eq(&claim.commitment.0).into();
        if evidence.kind != kind || !same_commitment {
            return Err(IdentityError::Mismatch);
        }
        identity
            .well_formed(&evidence.value, context)
            .map_err(|malformed| IdentityError::Malformed { kind, expected: malformed.expected })?;
        let Some(content) = content(identity, stored, context)? else {
            identity.dummy(&evidence.value, context);
            return Err(IdentityError::Mismatch);
        };
        let matched = identity.verify(&content, &evidence.value, context).map_err(|mismatch| match mismatch {
            Mismatch::Differs => IdentityError::Mismatch,
            Mismatch::Damaged => IdentityError::Damaged { kind },
        })?;
        let reseal = |content: Zeroizing<Vec<u8>>| seal::seal(kind, &content, context);
        let stored = matched.stored.map(reseal).transpose().map_err(|_| IdentityError::Damaged { kind })?;
        Ok(Verified { verifier: digest(identity, &content), stored })
    }

    /// A stored verifier sealed anew under other settings' key: a change of key needs no evidence, and leaves the
    /// ledger's digest as it is.
    ///
    /// # Errors
    /// [`IdentityError::UnknownType`] or [`IdentityError::Damaged`].
    pub fn reseal(
        &self,
        kind: &str,
        stored: &[u8],
        context: &Context<'_>,
        settings: &IdentitySettings,
    ) -> Result<Vec<u8>, IdentityError> {
        let known = || self.known();
        let identity = self.find(kind);
        let kind = identity
            .ok_or_else(|| IdentityError::UnknownType { kind: kind.to_owned(), known: known() })
            .map(IdentityType::kind)?;
        let content = seal::open(kind, stored, context);
        let other = Context { settings, ..*context };
        content
            .and_then(|content| seal::seal(kind, &content, &other))
            .map_err(|seal::Closed| IdentityError::Damaged { kind })
    }

    fn find(&self, kind: &str) -> Option<&dyn IdentityType> {
        self.0.iter().find(|identity| identity.kind() == kind).map(AsRef::as_ref)
    }

    fn known(&self) -> String {
        self.kinds().collect::<Vec<_>>().join(", ")
    }
}

/// The verifier in the clear; none where none is enrolled.
fn content(
    identity: &dyn IdentityType,
    stored: Option<&[u8]>,
    context: &Context<'_>,
) -> Result<Option<Zeroizing<Vec<u8>>>, IdentityError> {
    let kind = identity.kind();
    if let Some(implied) = identity.implied(context) {
        return Ok(Some(implied));
    }
    let opened = seal::open(kind, stored.unwrap_or(&NO_VERIFIER), context);
    match stored {
        Some(_) => opened.map(Some).map_err(|seal::Closed| IdentityError::Damaged { kind }),
        None => Ok(None),
    }
}

fn digest(identity: &dyn IdentityType, content: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(identity.kind().as_bytes());
    hasher.update(&[0]);
    hasher.update(identity.constant(content));
    Digest(hasher.finalize().into())
}
