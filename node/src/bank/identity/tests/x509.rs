//! Certificates: chains, time, revocation, use, proof of the key.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, RevokedCertParams, SerialNumber, SignatureAlgorithm, SigningKey,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use stemma_node_api::x509::{challenge, evidence};
use time::{Duration, OffsetDateTime};

use super::super::settings::Finding;
use super::super::x509::X509;
use super::*;

const KIND: &str = "x509";
const DAY: i64 = 24 * 3600;

fn day(offset: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW_S as i64).unwrap() + Duration::days(offset)
}

/// A CA, or one below another.
struct Ca {
    params: CertificateParams,
    key: KeyPair,
    der: Vec<u8>,
}

impl Ca {
    fn root(name: &str, algorithm: &'static SignatureAlgorithm) -> Self {
        let (params, key) = Self::params(name, algorithm);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { params, key, der }
    }

    fn below(&self, name: &str) -> Self {
        let (params, key) = Self::params(name, &PKCS_ECDSA_P256_SHA256);
        let der = params.signed_by(&key, &self.issuer()).unwrap().der().to_vec();
        Self { params, key, der }
    }

    fn params(name: &str, algorithm: &'static SignatureAlgorithm) -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = day(-1000);
        params.not_after = day(1000);
        (params, KeyPair::generate_for(algorithm).unwrap())
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// A client's certificate, valid from yesterday for a year.
    fn leaf(&self, key: &KeyPair, serial: u64, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "a customer");
        params.serial_number = Some(SerialNumber::from(serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = day(-1);
        params.not_after = day(365);
        change(&mut params);
        params.signed_by(key, &self.issuer()).unwrap().der().to_vec()
    }

    /// A revocation list of 31 days, which ends so many days from now.
    fn crl(&self, revoked: &[u64], days: i64) -> Vec<u8> {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: day(-1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: day(days - 31),
            next_update: day(days),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer()).unwrap().der().to_vec()
    }
}

/// A bank with a CA, and a customer's key.
struct Scene {
    ca: Ca,
    key: KeyPair,
    settings: IdentitySettings,
}

impl Scene {
    fn new(of_ca: &'static SignatureAlgorithm, of_leaf: &'static SignatureAlgorithm) -> Self {
        Self::with_key(of_ca, KeyPair::generate_for(of_leaf).unwrap())
    }

    fn with_key(of_ca: &'static SignatureAlgorithm, key: KeyPair) -> Self {
        let ca = Ca::root("root", of_ca);
        let mut settings = settings();
        settings.cas.push(ca.der.clone());
        settings.crls.push(ca.crl(&[666], 30));
        Self { ca, key, settings }
    }

    fn usual() -> Self {
        Self::new(&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P256_SHA256)
    }

    fn context(&self) -> Context<'_> {
        context(&self.settings)
    }

    /// What the customer shows: a chain, signed for a context.
    fn shown(&self, chain: &[Vec<u8>], context: &Context<'_>) -> Vec<u8> {
        let message = challenge(&context.network, &context.account, context.counter);
        evidence(chain, Some(&self.key.sign(&message).unwrap()))
    }

    fn usual_leaf(&self) -> Vec<u8> {
        self.ca.leaf(&self.key, 1, |_| {})
    }

    fn enrolled(&self) -> Vec<u8> {
        enrol(KIND, &self.shown(&[self.usual_leaf()], &self.context()), &self.context()).unwrap().stored
    }

    /// Shows a leaf against the enrolled one, under other settings if need be.
    fn verdict(&self, stored: &[u8], chain: &[Vec<u8>], settings: &IdentitySettings) -> Result<(), IdentityError> {
        let context = context(settings);
        verify(KIND, &self.shown(chain, &context), Some(stored), &context).map(|_| ())
    }

    /// Why a chain is not enrolled.
    fn refusal(&self, chain: &[Vec<u8>], settings: &IdentitySettings) -> &'static str {
        match enrol(KIND, &evidence(chain, None), &context(settings)).unwrap_err() {
            EnrolError::Unfit { why, .. } => why,
            other => panic!("{other}"),
        }
    }
}

#[test]
fn every_kind_of_key_and_a_renewed_certificate() {
    // No library here makes RSA keys; openssl does, in PKCS#8 where it writes PEM.
    let options = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let made = std::process::Command::new("openssl").args(options).output().unwrap();
    let rsa = PrivatePkcs8KeyDer::from_pem_slice(&made.stdout).unwrap();
    let rsa = KeyPair::from_pkcs8_der_and_sign_algo(&rsa, &PKCS_RSA_SHA256).unwrap();
    for scene in [
        Scene::usual(),
        Scene::new(&PKCS_ED25519, &PKCS_ED25519),
        Scene::new(&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519),
        Scene::with_key(&PKCS_ED25519, rsa),
    ] {
        let stored = scene.enrolled();
        scene.verdict(&stored, &[scene.usual_leaf()], &scene.settings).unwrap();
        scene.verdict(&stored, &[scene.usual_leaf(), scene.ca.der.clone()], &scene.settings).unwrap();
        let renewed = scene.ca.leaf(&scene.key, 2, |params| params.not_after = day(730));
        scene.verdict(&stored, &[renewed], &scene.settings).unwrap();
        let another = Scene { key: KeyPair::generate_for(&PKCS_ED25519).unwrap(), ..scene };
        let of_another_key = another.ca.leaf(&another.key, 1, |_| {});
        let verdict = another.verdict(&stored, &[of_another_key], &another.settings);
        assert_eq!(verdict, Err(IdentityError::Mismatch));
    }
}

#[test]
fn the_signature_is_for_this_request_alone() {
    let scene = Scene::usual();
    let stored = scene.enrolled();
    let context = scene.context();
    let right = scene.shown(&[scene.usual_leaf()], &context);
    assert!(verify(KIND, &right, Some(&stored), &context).is_ok());
    for other in [
        Context { counter: 8, ..context },
        Context { account: AccountId([4; 32]), ..context },
        Context { network: NetworkId([4; 32]), ..context },
    ] {
        let shown = scene.shown(&[scene.usual_leaf()], &other);
        assert_eq!(verify(KIND, &shown, Some(&stored), &context), Err(IdentityError::Mismatch));
    }
    let thief = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let message = challenge(&context.network, &context.account, context.counter);
    for signature in [thief.sign(&message).unwrap(), Vec::new(), vec![0; 64]] {
        let shown = evidence(&[scene.usual_leaf()], Some(&signature));
        assert_eq!(verify(KIND, &shown, Some(&stored), &context), Err(IdentityError::Mismatch));
        assert!(enrol(KIND, &shown, &context).is_err());
    }
    let unsigned = evidence(&[scene.usual_leaf()], None);
    let error = verify(KIND, &unsigned, Some(&stored), &context).unwrap_err();
    assert!(matches!(error, IdentityError::Malformed { .. }));
    assert!(enrol(KIND, &unsigned, &context).is_ok(), "at the bank's desk the certificate is enough");
    let content = seal::open(KIND, &stored, &context).unwrap();
    assert_eq!(X509.verify(&content, &unsigned, &context).err(), Some(Mismatch::Differs), "not by form alone");
}

#[test]
fn time_and_trust() {
    let scene = Scene::usual();
    let stored = scene.enrolled();
    let stranger = Ca::root("root", &PKCS_ECDSA_P256_SHA256);
    let leaf = |change: fn(&mut CertificateParams)| scene.ca.leaf(&scene.key, 1, change);
    for (chain, why) in [
        (leaf(|p| p.not_after = day(0) - Duration::seconds(1)), "a certificate of the chain has expired"),
        (leaf(|p| p.not_before = day(1)), "a certificate of the chain is not valid yet"),
        (
            leaf(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            "the certificate is not made for client authentication",
        ),
        (
            leaf(|p| p.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
            "the leaf's key usage does not allow signatures",
        ),
        (leaf(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), "the leaf is a CA's certificate"),
        (stranger.leaf(&scene.key, 1, |_| {}), "the chain does not hold"),
    ] {
        assert_eq!(
            scene.verdict(&stored, std::slice::from_ref(&chain), &scene.settings),
            Err(IdentityError::Mismatch),
            "{why}"
        );
        let found = scene.refusal(&[chain], &scene.settings);
        assert!(found == why || (why == "the chain does not hold" && found.contains("chain")), "{found}, not {why}");
    }
    scene.verdict(&stored, &[leaf(|p| p.extended_key_usages = Vec::new())], &scene.settings).unwrap();
    let without = IdentitySettings { cas: Vec::new(), crls: vec![scene.ca.crl(&[], 30)], ..settings() };
    assert_eq!(scene.refusal(&[scene.usual_leaf()], &without), "the chain does not lead to a CA that the bank trusts");
    let other = Ca::root("another", &PKCS_ED25519).leaf(&scene.key, 1, |_| {});
    assert_eq!(scene.refusal(&[other], &scene.settings), "the chain does not lead to a CA that the bank trusts");
}

#[test]
fn revocation() {
    let scene = Scene::usual();
    let stored = scene.enrolled();
    let with = |crls: Vec<Vec<u8>>, crl_required| IdentitySettings {
        cas: scene.settings.cas.clone(),
        crls,
        crl_required,
        ..settings()
    };
    let stranger = Ca::root("another", &PKCS_ED25519);
    let forged =
        Ca { params: scene.ca.params.clone(), key: KeyPair::generate_for(&PKCS_ED25519).unwrap(), der: Vec::new() };
    for (crls, required, why) in [
        (vec![scene.ca.crl(&[5, 1], 30)], true, Some("a certificate of the chain is revoked")),
        (vec![scene.ca.crl(&[5, 1], 30)], false, Some("a certificate of the chain is revoked")),
        (vec![scene.ca.crl(&[], -1)], true, Some("a revocation list of the bank's has expired")),
        (vec![scene.ca.crl(&[], -1)], false, Some("a revocation list of the bank's has expired")),
        (
            vec![stranger.crl(&[], 30)],
            true,
            Some("the bank has no revocation list of the CA that issued the certificate"),
        ),
        (vec![stranger.crl(&[], 30)], false, None),
        (vec![forged.crl(&[], 30)], true, Some("the chain does not hold")),
        (vec![b"no list".to_vec()], false, Some("a revocation list of the bank's is unreadable")),
        (vec![], true, Some("the bank has no revocation list, and demands one")),
        (vec![], false, None),
        (vec![scene.ca.crl(&[5], 30)], true, None),
    ] {
        let settings = with(crls, required);
        let verdict = scene.verdict(&stored, &[scene.usual_leaf()], &settings);
        assert_eq!(verdict.is_ok(), why.is_none(), "{why:?}");
        if let Some(why) = why {
            assert_eq!(verdict, Err(IdentityError::Mismatch));
            assert_eq!(scene.refusal(&[scene.usual_leaf()], &settings), why);
        }
    }
}

#[test]
fn a_ca_below_the_banks_and_its_own_revocation() {
    let mut scene = Scene::usual();
    let below = scene.ca.below("below");
    let leaf = below.leaf(&scene.key, 1, |_| {});
    let chain = [leaf.clone(), below.der.clone()];
    assert!(scene.refusal(&chain, &scene.settings).contains("no revocation list of the CA"));
    scene.settings.crls.push(below.crl(&[], 30));
    let stored = enrol(KIND, &evidence(&chain, None), &scene.context()).unwrap().stored;
    scene.verdict(&stored, &chain, &scene.settings).unwrap();
    assert!(scene.refusal(&[leaf], &scene.settings).contains("does not lead to a CA"));
    scene.settings.crls[1] = below.crl(&[1], 30);
    assert_eq!(scene.verdict(&stored, &chain, &scene.settings), Err(IdentityError::Mismatch));
}

#[test]
fn other_bytes_are_no_evidence() {
    let scene = Scene::usual();
    let context = scene.context();
    let stored = scene.enrolled();
    let leaf = scene.usual_leaf();
    let right = scene.shown(std::slice::from_ref(&leaf), &context);
    let long = vec![leaf.clone(); 6];
    for wrong in [Vec::new(), b"nonsense".to_vec(), leaf, scene.shown(&long, &context), scene.shown(&[], &context)] {
        let error = verify(KIND, &wrong, Some(&stored), &context).unwrap_err();
        assert!(matches!(error, IdentityError::Malformed { .. }), "{error}");
    }
    for at in 0..right.len() {
        let mut changed = right.clone();
        changed[at] ^= 1;
        assert!(verify(KIND, &changed, Some(&stored), &context).is_err(), "byte {at}");
    }
}

#[test]
fn what_an_operator_should_mend() {
    let mut scene = Scene::usual();
    assert_eq!(scene.settings.findings(NOW_S), []);
    let (soon, later) = (NOW_S + 17 * DAY as u64, NOW_S + 990 * DAY as u64);
    assert!(matches!(scene.settings.findings(soon)[..], [Finding::CrlEnds { index: 0, .. }]));
    assert!(matches!(scene.settings.findings(later)[..], [Finding::CaEnds { .. }, Finding::CrlEnds { .. }]));
    scene.settings.cas = vec![b"x".to_vec()];
    scene.settings.crls = vec![b"x".to_vec()];
    let findings = scene.settings.findings(NOW_S);
    assert_eq!(findings, [Finding::CaUnreadable { index: 0 }, Finding::CrlUnreadable { index: 0 }]);
    assert_eq!(settings().findings(NOW_S), [Finding::NoCa]);
}
