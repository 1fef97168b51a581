//! Promise: a bank verifies identities of every type, demands what its rules say, counts failures, and keeps evidence out
//! of ledger, gossip, logs, answers and its own store.

#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use stemma_chain_format::request::Side;
use stemma_node_api::types::{EnrolIdentity, RequestState, RequestView};
use stemma_node_api::x509;
use stemma_tests::customer::{Customer, trade_of};
use stemma_tests::network::{AAPL, MEMBERS, Network};
use stemma_tools::identity::Identity;
use stemma_tools::requests::{prepare, random};
use zeroize::Zeroizing;

const PASSWORD: &[u8] = b"correct horse battery staple, and then some";
/// Valid by GB 11643; nobody's.
const NATIONAL_ID: &[u8] = b"11010519491231002X";
/// RFC 6238's secret, 12345678901234567890, in base32.
const TOTP_ADDRESS: &[u8] = b"otpauth://totp/Bank:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=6&period=30";
const TOTP_SECRET: &[u8] = b"12345678901234567890";

fn identity(kind: &str, evidence: &[u8]) -> Identity {
    Identity { kind: kind.to_owned(), evidence: Zeroizing::new(evidence.to_vec()) }
}

async fn enrol(network: &Network, customer: &Customer, kind: &str, material: &[u8]) {
    let body = EnrolIdentity { material: BASE64_STANDARD.encode(material), counter: 0 };
    let bank = network.client(customer.bank.as_str());
    bank.enrol(&customer.account.to_string(), kind, &body).await.unwrap();
}

/// One share, proved by these identities.
async fn buy(customer: &mut Customer, shares: i128, identities: &[Identity]) -> RequestView {
    let terms = customer.terms(Side::Buy, AAPL, shares);
    let order = prepare(terms, &customer.key, identities, &random().unwrap()).unwrap();
    customer.finish(&order).await
}

#[track_caller]
fn must_commit(view: &RequestView) {
    assert_eq!(view.state, RequestState::Committed, "{view:?}");
}

#[track_caller]
fn must_refuse(view: &RequestView, reason: &str) {
    let found = view.refusal.as_ref().map(|refusal| refusal.reason.as_str());
    assert_eq!((view.state, found), (RequestState::Refused, Some(reason)), "{view:?}");
}

fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(folder).stdin(Stdio::null());
    let run = command.output().unwrap();
    assert!(run.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&run.stderr));
}

/// A CA with an empty revocation list and a customer's certificate, made by openssl as a bank would.
fn certificates(folder: &Path) {
    openssl(folder, "genpkey -algorithm ed25519 -out ca.key");
    openssl(
        folder,
        "req -x509 -new -key ca.key -subj /CN=CA -days 30 -out ca.crt -addext keyUsage=keyCertSign,cRLSign",
    );
    fs::write(folder.join("ca.cnf"), CA_CONFIG).unwrap();
    fs::write(folder.join("index.txt"), "").unwrap();
    fs::write(folder.join("crlnumber"), "01\n").unwrap();
    openssl(folder, "ca -config ca.cnf -gencrl -out ca.crl");
    openssl(folder, "genpkey -algorithm ed25519 -out alice.key");
    openssl(folder, "req -new -key alice.key -subj /CN=alice -out alice.csr");
    fs::write(folder.join("leaf.cnf"), "extendedKeyUsage=clientAuth\nkeyUsage=digitalSignature\n").unwrap();
    openssl(folder, "x509 -req -in alice.csr -CA ca.crt -CAkey ca.key -days 30 -extfile leaf.cnf -out alice.crt");
    openssl(folder, "x509 -in alice.crt -outform DER -out alice.der");
}

const CA_CONFIG: &str = "[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\ncrlnumber=crlnumber\ncertificate=ca.crt\n\
                         private_key=ca.key\ndefault_md=default\ndefault_crl_days=20\n";

#[tokio::test(flavor = "multi_thread")]
async fn every_type_with_real_material() {
    let rules = tempfile::tempdir().unwrap();
    certificates(rules.path());
    let file = rules.path().join("identity.toml");
    fs::write(&file, "cas = [\"ca.crt\"]\ncrls = [\"ca.crl\"]\n[image]\nperceptual = true\n").unwrap();
    let network = Network::start_with(|config| config.bank.identity = Some(file.clone())).await;
    let mut alice = network.customer("alice");

    texts(&network, &mut alice).await;
    one_time_codes(&network, &mut alice).await;
    files(&network, &mut alice).await;
    a_certificate(&network, &mut alice, rules.path()).await;
    network.agreed().await;

    let log = network.client("bank-a").enrolments().await.unwrap().enrolments;
    assert!(log.len() >= 7 && log.iter().all(|line| line.what == "enrolled"), "{log:?}");
    let account = alice.account.to_string();
    network.client("bank-a").remove_identity(&account, "password").await.unwrap();
    must_refuse(&buy(&mut alice, 1, &[identity("password", PASSWORD)]).await, "identity-mismatch");
    evidence_is_nowhere(&network, &alice).await;
}

async fn texts(network: &Network, alice: &mut Customer) {
    for (kind, right, wrong) in
        [("password", PASSWORD, &b"correct horse"[..]), ("national-id", NATIONAL_ID, b"110105194912310038")]
    {
        // Before it is enrolled it is as wrong as a wrong one.
        must_refuse(&buy(alice, 1, &[identity(kind, right)]).await, "identity-mismatch");
        enrol(network, alice, kind, right).await;
        must_commit(&buy(alice, 1, &[identity(kind, right)]).await);
        must_refuse(&buy(alice, 1, &[identity(kind, wrong)]).await, "identity-mismatch");
    }
    let bad = EnrolIdentity { material: BASE64_STANDARD.encode(b"110105194912310021"), counter: 0 };
    let account = alice.account.to_string();
    let refused = network.client("bank-a").enrol(&account, "national-id", &bad).await.unwrap_err();
    assert_eq!(refused.status().unwrap(), 400, "{refused}");
    must_refuse(&buy(alice, 1, &[identity("passport", b"x")]).await, "unknown-identity-type");
}

/// RFC 6238 with HMAC-SHA-1, six digits, computed by openssl.
fn code(step: u64) -> Vec<u8> {
    use std::io::Write as _;
    let mut command = Command::new("openssl");
    let key = format!("hexkey:{}", hex::encode(TOTP_SECRET));
    command.args(["dgst", "-sha1", "-mac", "HMAC", "-macopt", &key, "-binary"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&step.to_be_bytes()).unwrap();
    let mac = child.wait_with_output().unwrap().stdout;
    let at = usize::from(mac[19] & 15);
    let number = u32::from_be_bytes(mac[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000).into_bytes()
}

async fn one_time_codes(network: &Network, alice: &mut Customer) {
    enrol(network, alice, "totp", TOTP_ADDRESS).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let once = identity("totp", &code(now / 30));
    must_commit(&buy(alice, 1, std::slice::from_ref(&once)).await);
    must_refuse(&buy(alice, 1, std::slice::from_ref(&once)).await, "identity-mismatch");
    // Two orders at once with one code: only the first counts.
    let next = identity("totp", &code(now / 30 + 1));
    let orders = [(); 2].map(|()| {
        let terms = alice.terms(Side::Buy, AAPL, 1);
        prepare(terms, &alice.key, std::slice::from_ref(&next), &random().unwrap()).unwrap()
    });
    let (first, second) = tokio::join!(alice.finish(&orders[0]), alice.finish(&orders[1]));
    let committed = [&first, &second].into_iter().filter(|view| view.state == RequestState::Committed).count();
    assert_eq!(committed, 1, "{first:?} {second:?}");
}

/// A picture of some size: a light disc and a dark bar before a slope.
fn picture(size: u32, format: image::ImageFormat) -> Vec<u8> {
    let place = |at: u32| f64::from(at) / f64::from(size);
    let picture = image::RgbImage::from_fn(size, size, |x, y| {
        let (x, y) = (place(x), place(y));
        let disc = (x - 0.35).hypot(y - 0.4) < 0.2;
        let bar = (0.6..0.8).contains(&x) && y > 0.3;
        let light = if disc {
            230.0
        } else if bar {
            20.0
        } else {
            60.0 + 120.0 * y
        };
        image::Rgb([light as u8, (light * 0.9) as u8, (light * 0.7) as u8])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

async fn files(network: &Network, alice: &mut Customer) {
    let picture = picture(320, image::ImageFormat::Png);
    let mut film = b"\x1a\x45\xdf\xa3".to_vec();
    film.extend((0..3_000_000_u32).flat_map(u32::to_le_bytes).take(6_000_000));
    let sound = [b"fLaC".as_slice(), &[7; 50_000]].concat();
    for (kind, material) in [("image", picture.as_slice()), ("audio", &sound), ("video", &film)] {
        enrol(network, alice, kind, material).await;
        must_commit(&buy(alice, 1, &[identity(kind, material)]).await);
    }
    let mut other = sound.clone();
    other[40_000] ^= 1;
    must_refuse(&buy(alice, 1, &[identity("audio", &other)]).await, "identity-mismatch");
    must_refuse(&buy(alice, 1, &[identity("image", b"\x89PNG, and then nothing")]).await, "identity-mismatch");
    // The same picture, encoded anew, is not the same file; it looks the same.
    let again = self::picture(200, image::ImageFormat::Jpeg);
    must_commit(&buy(alice, 1, &[identity("image", &again)]).await);
}

async fn a_certificate(network: &Network, alice: &mut Customer, folder: &Path) {
    let chain = vec![fs::read(folder.join("alice.der")).unwrap()];
    enrol(network, alice, "x509", &x509::evidence(&chain, None)).await;
    let signed = |counter: u64| {
        let challenge = x509::challenge(&network.genesis().network(), &alice.account, counter);
        fs::write(folder.join("challenge"), challenge).unwrap();
        openssl(folder, "pkeyutl -sign -rawin -inkey alice.key -in challenge -out signature");
        identity("x509", &x509::evidence(&chain, Some(&fs::read(folder.join("signature")).unwrap())))
    };
    let terms = alice.clone().terms(Side::Buy, AAPL, 1);
    let proof = signed(terms.counter);
    must_commit(&buy(alice, 1, std::slice::from_ref(&proof)).await);
    // A certificate is public: what was signed for one order is of no use for the next.
    must_refuse(&buy(alice, 1, &[proof]).await, "identity-mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn demands_by_amount_and_lock_out() {
    let rules = tempfile::tempdir().unwrap();
    let file = rules.path().join("identity.toml");
    fs::write(
        &file,
        "[[rule]]\namount_from = \"100000\"\nall_of = [\"account-key\", \"password\"]\n\n\
         [attempts.identity]\ndelay_from = 2\ndelay_ms = 600000\nlock_from = 4\nlock_ms = 600000\n\
         lock_ms_max = 600000\nforget_ms = 600000\n",
    )
    .unwrap();
    let mut network = Network::start_with(|config| config.bank.identity = Some(file.clone())).await;
    let mut alice = network.customer("alice");
    enrol(&network, &alice, "password", PASSWORD).await;
    let key = Identity::account_key(&stemma_chain_format::keys::PublicKey::of(&alice.key));
    let password = identity("password", PASSWORD);

    let mut small = alice.terms(Side::Buy, AAPL, 1);
    trade_of(&mut small).limit = Some(stemma_chain_format::amount::Price::parse("26.00", 2).unwrap());
    let small = prepare(small, &alice.key, std::slice::from_ref(&key), &random().unwrap()).unwrap();
    must_commit(&alice.finish(&small).await);
    let view = buy(&mut alice, 1_000, std::slice::from_ref(&key)).await;
    must_refuse(&view, "identity-required");
    assert!(view.refusal.unwrap().expected.contains("password"), "it says what is demanded");
    must_commit(&buy(&mut alice, 1_000, &[key.clone(), password.clone()]).await);

    let wrong = identity("password", b"not this");
    for _ in 0..2 {
        must_refuse(&buy(&mut alice, 1_000, &[key.clone(), wrong.clone()]).await, "identity-mismatch");
    }
    // The right one has to wait as well, also when the bank was killed in between.
    must_refuse(&buy(&mut alice, 1_000, &[key.clone(), password.clone()]).await, "identity-locked");
    network.process_mut("bank-a").kill();
    network.process_mut("bank-a").run();
    network.connected().await;
    must_refuse(&buy(&mut alice, 1_000, &[key.clone(), password.clone()]).await, "identity-locked");
    network.client("bank-a").unlock_identity(&alice.account.to_string(), "password").await.unwrap();
    must_commit(&buy(&mut alice, 1_000, &[key, password]).await);
    let refused = network.client("bank-a").refusals().await.unwrap().requests;
    assert!(refused.len() >= 5 && refused.iter().all(|view| view.refusal.is_some()), "{refused:?}");
}

/// All files of all nodes, stores and logs, and what the API shows.
async fn evidence_is_nowhere(network: &Network, alice: &Customer) {
    let number = hex::encode(NATIONAL_ID);
    let needles: Vec<Vec<u8>> = [PASSWORD, NATIONAL_ID, TOTP_SECRET, b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", b"CN=alice"]
        .into_iter()
        .flat_map(|secret| [secret.to_vec(), BASE64_STANDARD.encode(secret).into_bytes(), hex::encode(secret).into()])
        .chain([number.into_bytes(), vec![7; 1_000]])
        .collect();
    let mut haystacks: Vec<(String, Vec<u8>)> = Vec::new();
    for member in MEMBERS {
        let mut folders = vec![network.home(member)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path: PathBuf = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    haystacks.push((path.display().to_string(), fs::read(&path).unwrap()));
                }
            }
        }
    }
    assert!(haystacks.iter().any(|(name, bytes)| name.ends_with("stemma.redb") && bytes.len() > 100_000));
    assert!(haystacks.iter().any(|(name, bytes)| name.ends_with("node.log") && !bytes.is_empty()));
    let account = alice.account.to_string();
    let bank = network.client("bank-a");
    let shown = serde_json::to_vec(&bank.account_requests(&account).await.unwrap()).unwrap();
    haystacks.push(("the account's requests".to_owned(), shown));
    haystacks.push(("refusals".to_owned(), serde_json::to_vec(&bank.refusals().await.unwrap()).unwrap()));
    haystacks.push(("identities".to_owned(), serde_json::to_vec(&bank.identities(&account).await.unwrap()).unwrap()));
    for (name, bytes) in &haystacks {
        for needle in &needles {
            let found = bytes.windows(needle.len()).any(|window| window == needle.as_slice());
            assert!(!found, "{} in {name}", String::from_utf8_lossy(needle));
        }
    }
}
