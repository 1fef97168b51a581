//! X.509 certificates as identities: a chain to one of the bank's CAs, and a signature that proves the leaf's key.
//!
//! Evidence is deterministic CBOR, a map of
//! - 0: an array of 1 to 5 byte strings, the chain in DER, leaf first, the CA left out or not;
//! - 1: the leaf key's signature over [`challenge`], as a byte string: Ed25519, ECDSA P-256 with SHA-256 (DER), or RSA
//!   PKCS#1 v1.5 of 2048 bits and more with SHA-256. At an enrolment it may be `null`, since every use proves the key.
//!
//! A certificate is public, so the challenge names network, account and the request's counter: one request's evidence
//! is of no use for another request, nor to somebody else. Enrolled is the leaf's key (its SubjectPublicKeyInfo, hashed
//! under a salt): a renewed certificate for the same key goes on working, another key needs another enrolment. Stored
//! is CBOR, a map of 0: the salt, 1: `BLAKE3 keyed(salt, SubjectPublicKeyInfo in DER)`.

use std::time::Duration;

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use stemma_chain_format::cbor;
use stemma_node_api::x509::{Presented, challenge};
use subtle::ConstantTimeEq;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList, RevocationOptionsBuilder,
    UnknownStatusPolicy, ring as algorithms,
};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::{Context, IdentityType, Malformed, Match, Mismatch, Unfit, random};

/// Longest chain, in certificates.
const CHAIN_MAX: usize = 5;
/// Largest evidence, in bytes.
const EVIDENCE_BYTES_MAX: usize = 32 * 1024;
/// What is told of other bytes.
const EXPECTED: &str = "CBOR of a chain of 1 to 5 X.509 certificates, leaf first, and the leaf's signature";

/// What may sign certificates and revocation lists.
static ISSUERS: &[&dyn SignatureVerificationAlgorithm] = &[
    algorithms::ED25519,
    algorithms::ECDSA_P256_SHA256,
    algorithms::ECDSA_P384_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA256,
    algorithms::RSA_PKCS1_2048_8192_SHA384,
    algorithms::RSA_PKCS1_2048_8192_SHA512,
];
/// What may sign challenges: one algorithm for a kind of key.
static LEAVES: &[&dyn SignatureVerificationAlgorithm] =
    &[algorithms::ED25519, algorithms::ECDSA_P256_SHA256, algorithms::RSA_PKCS1_2048_8192_SHA256];

#[derive(minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
struct Stored {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    salt: [u8; 32],
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    key: [u8; 32],
}

impl Stored {
    fn of(salt: [u8; 32], key_info: &[u8]) -> Self {
        Self { salt, key: blake3::keyed_hash(&salt, key_info).into() }
    }
}

/// The type `x509`.
pub(super) struct X509;

impl IdentityType for X509 {
    fn kind(&self) -> &'static str {
        "x509"
    }

    fn evidence_bytes_max(&self) -> usize {
        EVIDENCE_BYTES_MAX
    }

    fn well_formed(&self, evidence: &[u8], _: &Context<'_>) -> Result<(), Malformed> {
        let presented = parse(evidence).filter(|presented| presented.signature.is_some());
        presented.map(|_| ()).ok_or(Malformed { expected: EXPECTED })
    }

    fn enrol(&self, material: &[u8], context: &Context<'_>) -> Result<Zeroizing<Vec<u8>>, Unfit> {
        let presented = parse(material).ok_or(Unfit::Material("no chain of 1 to 5 X.509 certificates"))?;
        let key_info = judge(&presented, context).map_err(Unfit::Material)?;
        Ok(Zeroizing::new(cbor::encode(&Stored::of(random()?, &key_info))))
    }

    fn verify(&self, stored: &[u8], evidence: &[u8], context: &Context<'_>) -> Result<Match, Mismatch> {
        let stored: Stored = cbor::decode(stored, "x509 verifier", 128).map_err(|_| Mismatch::Damaged)?;
        let presented = parse(evidence).filter(|p| p.signature.is_some()).ok_or(Mismatch::Differs)?;
        let key_info = judge(&presented, context).map_err(|_| Mismatch::Differs)?;
        let same: bool = Stored::of(stored.salt, &key_info).key.ct_eq(&stored.key).into();
        if same { Ok(Match::default()) } else { Err(Mismatch::Differs) }
    }

    fn dummy(&self, evidence: &[u8], context: &Context<'_>) {
        let nobody = cbor::encode(&Stored { salt: [0; 32], key: [0; 32] });
        let _never_matches = self.verify(&nobody, evidence, context);
    }
}

fn parse(evidence: &[u8]) -> Option<Presented> {
    let presented: Presented = cbor::decode(evidence, "x509 evidence", EVIDENCE_BYTES_MAX).ok()?;
    let leaf: CertificateDer<'_> = presented.chain.first()?.as_slice().into();
    let parses = EndEntityCert::try_from(&leaf).is_ok();
    (parses && presented.chain.len() <= CHAIN_MAX).then_some(presented)
}

/// The leaf's SubjectPublicKeyInfo, once chain and signature hold. The reasons are for whoever enrols.
fn judge(presented: &Presented, context: &Context<'_>) -> Result<Vec<u8>, &'static str> {
    let (leaf, rest) = presented.chain.split_first().ok_or("no certificate")?;
    let leaf: CertificateDer<'_> = leaf.as_slice().into();
    let rest: Vec<CertificateDer<'_>> = rest.iter().map(|der| der.as_slice().into()).collect();
    let end = EndEntityCert::try_from(&leaf).map_err(|_| "the leaf is no X.509 certificate that can be read")?;
    trusted(&end, &rest, context)?;
    let (_, parsed) = X509Certificate::from_der(&leaf).map_err(|_| "the leaf is no X.509 certificate")?;
    let usage = parsed.key_usage().map_err(|_| "the leaf's key usage cannot be read")?;
    if usage.is_some_and(|usage| !usage.value.digital_signature()) {
        return Err("the leaf's key usage does not allow signatures");
    }
    if let Some(signature) = &presented.signature {
        let message = challenge(&context.network, &context.account, context.counter);
        let holds = LEAVES.iter().any(|algorithm| end.verify_signature(*algorithm, &message, signature).is_ok());
        if !holds {
            return Err("the signature over the challenge does not verify with the leaf's key");
        }
    }
    Ok(end.subject_public_key_info().to_vec())
}

/// Whether the chain leads to a CA of the bank's, is valid now, made for clients, and not revoked.
fn trusted(
    end: &EndEntityCert<'_>,
    intermediates: &[CertificateDer<'_>],
    context: &Context<'_>,
) -> Result<(), &'static str> {
    let settings = context.settings;
    let cas: Vec<CertificateDer<'_>> = settings.cas.iter().map(|der| der.as_slice().into()).collect();
    let anchors: Vec<_> = cas.iter().filter_map(|ca| webpki::anchor_from_trusted_cert(ca).ok()).collect();
    let mut crls = Vec::with_capacity(settings.crls.len());
    for der in &settings.crls {
        let crl =
            OwnedCertRevocationList::from_der(der).map_err(|_| "a revocation list of the bank's is unreadable")?;
        crls.push(CertRevocationList::from(crl));
    }
    let crls: Vec<&CertRevocationList<'_>> = crls.iter().collect();
    let unknown = if settings.crl_required { UnknownStatusPolicy::Deny } else { UnknownStatusPolicy::Allow };
    let revocation = RevocationOptionsBuilder::new(&crls)
        .ok()
        .map(|options| options.with_status_policy(unknown).with_expiration_policy(ExpirationPolicy::Enforce).build());
    if revocation.is_none() && settings.crl_required {
        return Err("the bank has no revocation list, and demands one");
    }
    let now = UnixTime::since_unix_epoch(Duration::from_secs(context.now_s));
    end.verify_for_usage(ISSUERS, &anchors, intermediates, now, KeyUsage::client_auth(), revocation, None)
        .map(|_| ())
        .map_err(|error| reason(&error))
}

/// The same words for everybody: a library's error may quote the certificate.
fn reason(error: &webpki::Error) -> &'static str {
    use webpki::Error;
    match error {
        Error::CertExpired { .. } => "a certificate of the chain has expired",
        Error::CertNotValidYet { .. } => "a certificate of the chain is not valid yet",
        Error::CertRevoked => "a certificate of the chain is revoked",
        Error::CrlExpired { .. } => "a revocation list of the bank's has expired",
        Error::UnknownRevocationStatus => "the bank has no revocation list of the CA that issued the certificate",
        Error::UnknownIssuer => "the chain does not lead to a CA that the bank trusts",
        Error::RequiredEkuNotFoundContext(_) => "the certificate is not made for client authentication",
        Error::CaUsedAsEndEntity => "the leaf is a CA's certificate",
        _ => "the chain does not hold",
    }
}
