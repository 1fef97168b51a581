//! Promise: a customer who shows the bank authentication material gets a referral as QR code; decoders that are not its maker
//! read it through noise, scaling and rotation; it verifies offline; a trade carries it. The same promotion always gets
//! the same one, also from a bank that was killed, and the material is nowhere.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use image::GrayImage;
use serde_json::Value;
use stemma_chain_format::hash::Link;
use stemma_chain_format::record::Signed;
use stemma_chain_format::registry::Registry;
use stemma_chain_format::request::{Request, Side};
use stemma_chain_format::validate::read_referral;
use stemma_keystore::{Purpose, SecretKey, write_plain_key_file};
use stemma_node_api::types::{EnrolIdentity, PromotionView, RequestState};
use stemma_tests::binaries::{binaries, workspace};
use stemma_tests::customer::Customer;
use stemma_tests::network::{AAPL, IBM, MEMBERS, Network};
use stemma_tests::python;
use stemma_tools::identity::Identity;
use stemma_tools::promotion::{PreparedPromotion, prepare_promotion};
use stemma_tools::referral;
use stemma_tools::requests::{prepare, random};
use zeroize::Zeroizing;

const PASSWORD: &[u8] = b"correct horse battery staple, and then some";
/// Valid by GB 11643; nobody's.
const NATIONAL_ID: &[u8] = b"11010519491231002X";

/// Material of each of the five forms.
fn material() -> [(&'static str, Vec<u8>); 5] {
    let picture = GrayImage::from_fn(200, 200, |x, y| image::Luma([(x ^ y) as u8]));
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    [
        ("image", png.into_inner()),
        ("audio", [b"fLaC".as_slice(), &[7; 50_000]].concat()),
        ("video", [b"\x1a\x45\xdf\xa3".as_slice(), &[9; 300_000]].concat()),
        ("national-id", NATIONAL_ID.to_vec()),
        ("password", PASSWORD.to_vec()),
    ]
}

fn identity(kind: &str, evidence: &[u8]) -> Identity {
    Identity { kind: kind.to_owned(), evidence: Zeroizing::new(evidence.to_vec()) }
}

async fn enrol(network: &Network, customer: &Customer, kind: &str, material: &[u8]) {
    let body = EnrolIdentity { material: BASE64_STANDARD.encode(material), counter: 0 };
    network.client(customer.bank.as_str()).enrol(&customer.account.to_string(), kind, &body).await.unwrap();
}

/// A promotion of buying shares, with the customer's next counter.
fn promotion(customer: &mut Customer, expires: u64, identities: &[Identity]) -> PreparedPromotion {
    let promoted = customer.promoted(AAPL, 3, expires);
    prepare_promotion(promoted, &customer.key, identities, &random().unwrap()).unwrap()
}

async fn promote(customer: &mut Customer, identities: &[Identity]) -> PromotionView {
    let prepared = promotion(customer, 100_000, identities);
    let view = customer.client.promote(&prepared.body).await.unwrap();
    assert_eq!(view.promotion, prepared.link.to_string());
    view
}

#[track_caller]
fn must_refuse(view: &PromotionView, reason: &str) {
    let found = view.refusal.as_ref().map(|refusal| refusal.reason.as_str());
    assert_eq!((view.state, found), (RequestState::Refused, Some(reason)), "{view:?}");
    assert!(view.referral.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn from_material_to_a_trade() {
    let mut network = Network::start().await;
    let mut alice = network.customer("alice");
    for (kind, right) in material() {
        must_refuse(&promote(&mut alice, &[identity(kind, &right)]).await, "identity-mismatch");
        enrol(&network, &alice, kind, &right).await;
        let view = promote(&mut alice, &[identity(kind, &right)]).await;
        let referral = view.referral.unwrap_or_else(|| panic!("{kind}: {:?}", view.refusal));
        assert_eq!((referral.promoter, referral.uses), (alice.account.to_string(), 3));
    }
    what_is_refused(&mut alice).await;
    let prepared = the_same_promotion(&mut network, &mut alice).await;
    let view = alice.client.promotion(&prepared.link.to_string()).await.unwrap();
    let picture = alice.client.promotion_code(&view.promotion, "code.png").await.unwrap();
    decoded_by_others(&network, &view, &picture);
    carried_by_a_trade(&network, &view).await;
    material_is_nowhere(&network, &alice, &view).await;
}

async fn what_is_refused(alice: &mut Customer) {
    let password = [identity("password", PASSWORD)];
    must_refuse(&promote(alice, &[identity("password", b"wrong")]).await, "identity-mismatch");
    // A key is public: it is no material.
    let key = Identity::account_key(&stemma_chain_format::keys::PublicKey::of(&alice.key));
    must_refuse(&promote(alice, &[key]).await, "identity-required");
    for expires in [1, u64::MAX] {
        let prepared = promotion(alice, expires, &password);
        must_refuse(&alice.client.promote(&prepared.body).await.unwrap(), "expired");
    }
    // What was answered is answered the same; a counter used once is used up for another.
    let mut again = alice.clone();
    assert!(promote(alice, &password).await.referral.is_some());
    must_refuse(&promote(&mut again, &password).await, "repeated-counter");
    let trade = alice.buy(AAPL, 1);
    assert_eq!(alice.finish(&trade).await.state, RequestState::Committed);
}

/// Asked twice at once, and again of a bank that was killed: one referral.
async fn the_same_promotion(network: &mut Network, alice: &mut Customer) -> PreparedPromotion {
    let prepared = promotion(alice, 100_000, &[identity("password", PASSWORD)]);
    let [one, two] = [alice.client.promote(&prepared.body), alice.client.promote(&prepared.body)];
    let (one, two) = tokio::join!(one, two);
    let first = one.unwrap();
    assert!(first.referral.is_some(), "{first:?}");
    assert_eq!(two.unwrap(), first);
    let id = prepared.link.to_string();
    let picture = alice.client.promotion_code(&id, "code.png").await.unwrap();

    network.process_mut("bank-a").kill();
    network.process_mut("bank-a").run();
    network.connected().await;
    assert_eq!(alice.client.promote(&prepared.body).await.unwrap(), first);
    assert_eq!(alice.client.promotion(&id).await.unwrap(), first);
    assert_eq!(alice.client.promotion_code(&id, "code.png").await.unwrap(), picture);
    for (form, start) in [("code.svg", "<svg "), ("code.txt", "█")] {
        let bytes = alice.client.promotion_code(&id, form).await.unwrap();
        assert!(String::from_utf8(bytes).unwrap().starts_with(start), "{form}");
    }
    for (id, form) in [(&id, "code.gif"), (&Link([7; 32]).to_string(), "code.png")] {
        let refused = alice.client.promotion_code(id, form).await.unwrap_err();
        assert_eq!(refused.status().unwrap(), 404, "{refused}");
    }
    let order = alice.client.request(&id, 0).await.unwrap();
    assert_eq!((order.state, order.refusal), (RequestState::Referred, None));
    prepared
}

/// How a picture of a code is spoiled: noise of so many grey levels either way, scaled, turned by degrees.
const SPOILED: [(i32, f64, f64); 7] =
    [(0, 1.0, 0.0), (90, 1.0, 0.0), (40, 0.5, 0.0), (60, 1.7, 7.0), (50, 0.8, 90.0), (40, 0.9, 33.0), (40, 1.3, 201.0)];

fn spoiled(picture: &GrayImage, (noise, scale, degrees): (i32, f64, f64)) -> GrayImage {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let half = f64::from(picture.width()) / 2.0;
    let side = (f64::from(picture.width()) * scale * (sin.abs() + cos.abs())).ceil() as u32 + 20;
    let middle = f64::from(side) / 2.0;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    GrayImage::from_fn(side, side, |x, y| {
        let (x, y) = ((f64::from(x) + 0.5 - middle) / scale, (f64::from(y) + 0.5 - middle) / scale);
        let light = bilinear(picture, x * cos + y * sin + half, y * cos - x * sin + half);
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = (state >> 33) as i32 % (2 * noise + 1) - noise;
        image::Luma([(light as i32 + random).clamp(0, 255) as u8])
    })
}

/// The light at a place between pixels; around the picture it is grey, as a table is.
fn bilinear(picture: &GrayImage, x: f64, y: f64) -> f64 {
    let at = |x: f64, y: f64| {
        let inside = x >= 0.0 && y >= 0.0 && x < f64::from(picture.width()) && y < f64::from(picture.height());
        if inside { f64::from(picture.get_pixel(x as u32, y as u32).0[0]) } else { 190.0 }
    };
    let (left, top) = ((x - 0.5).floor(), (y - 0.5).floor());
    let (right, down) = (x - 0.5 - left, y - 0.5 - top);
    let upper = at(left, top) * (1.0 - right) + at(left + 1.0, top) * right;
    let lower = at(left, top + 1.0) * (1.0 - right) + at(left + 1.0, top + 1.0) * right;
    upper * (1.0 - down) + lower * down
}

/// Two decoders, neither of them the maker: rqrr, with which the tool reads, and zxing-cpp, where Python is there.
fn decoded_by_others(network: &Network, view: &PromotionView, picture: &[u8]) {
    let shown = view.referral.as_ref().unwrap();
    let signed = BASE64_STANDARD.decode(&shown.signed).unwrap();
    let picture = image::load_from_memory(picture).unwrap().into_luma8();
    let python = python::find();
    let registry = Registry::from_genesis(network.genesis());
    for (number, how) in SPOILED.into_iter().enumerate() {
        let file = network.scratch().join(format!("code-{number}.png"));
        spoiled(&picture, how).save(&file).unwrap();
        let read = referral::read(file.to_str().unwrap()).unwrap_or_else(|e| panic!("{how:?}: {e:?}"));
        assert_eq!(read, signed, "{how:?}");
        if let Some(python) = &python {
            let said = second_implementation(python, &network.genesis_file(), &file);
            assert_eq!(
                (&said["text"], &said["promoter"]),
                (&shown.text.clone().into(), &shown.promoter.clone().into())
            );
            assert_eq!((&said["uses"], &said["material"]), (&3.into(), &shown.material.clone().into()));
        }
    }
    // It fits what phones scan, and needs nothing but the genesis.
    assert!(shown.text.len() <= stemma_chain_format::referral::TEXT_CHARS_MAX);
    let read = read_referral(&signed, &registry).unwrap();
    let record = read.record();
    let [aapl, ibm] = [AAPL, IBM].map(|name| name.parse().unwrap());
    assert!(record.matches(Side::Buy, &aapl) && !record.matches(Side::Sell, &aapl) && !record.matches(Side::Buy, &ibm));
    assert!(record.is_open_at(100_000) && !record.is_open_at(100_001));
    let mut forged = signed;
    *forged.last_mut().unwrap() ^= 1;
    assert!(read_referral(&forged, &registry).is_err());
}

fn second_implementation(python: &str, genesis: &Path, picture: &Path) -> Value {
    let script = workspace().join("tests/python/read_referral.py");
    let run = Command::new(python).arg(script).args([genesis, picture]).output().unwrap();
    assert!(run.status.success(), "{}: {}", picture.display(), String::from_utf8_lossy(&run.stderr));
    serde_json::from_slice(&run.stdout).unwrap()
}

/// A customer of another bank trades by it; the chain on the ledger holds the referral's very bytes.
async fn carried_by_a_trade(network: &Network, view: &PromotionView) {
    let signed = BASE64_STANDARD.decode(&view.referral.as_ref().unwrap().signed).unwrap();
    let mut emeka = network.customer("emeka");
    let mut terms = emeka.terms(Side::Buy, AAPL, 2);
    terms.referral = Some(referral::read(&view.referral.as_ref().unwrap().text).unwrap());
    let own = [Identity::account_key(&stemma_chain_format::keys::PublicKey::of(&emeka.key))];
    let order = prepare(terms, &emeka.key, &own, &random().unwrap()).unwrap();
    let traded = emeka.finish(&order).await;
    assert_eq!(traded.state, RequestState::Committed, "{traded:?}");
    let chain = emeka.client.chain(&traded.chain.unwrap()).await.unwrap();
    let request = Signed::<Request>::decode(BASE64_STANDARD.decode(&chain.stages[0]).unwrap()).unwrap();
    assert_eq!(request.record().referral.as_deref(), Some(signed.as_slice()));
}

/// All files of all nodes, and what the API shows.
async fn material_is_nowhere(network: &Network, alice: &Customer, view: &PromotionView) {
    network.agreed().await;
    let mut haystacks = vec![
        ("the promotion".to_owned(), serde_json::to_vec(view).unwrap()),
        (
            "the account's orders".to_owned(),
            serde_json::to_vec(&alice.client.account_requests(&alice.account.to_string()).await.unwrap()).unwrap(),
        ),
    ];
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
    for (kind, secret) in material() {
        let part = &secret[secret.len() - secret.len().min(300)..];
        let needles = [part.to_vec(), BASE64_STANDARD.encode(part).into_bytes(), hex::encode(part).into_bytes()];
        for (name, bytes) in &haystacks {
            let found =
                needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle.as_slice()));
            assert!(!found, "{kind} in {name}");
        }
    }
}

fn stemma(arguments: &[&str]) -> Output {
    Command::new(&binaries().tool).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// The tool from end to end: files written, read again, and what is wrong with a bad one said clearly.
#[tokio::test(flavor = "multi_thread")]
async fn by_the_tool() {
    let network = Network::start().await;
    let files = network.scratch();
    let path = |name: &str| files.join(name).to_str().unwrap().to_owned();
    fs::write(path("password.txt"), PASSWORD).unwrap();
    let (alice, emeka) = (network.customer("alice"), network.customer("emeka"));
    enrol(&network, &alice, "password", PASSWORD).await;
    let key_of = |name: &str, customer: &Customer| {
        let file = path(&format!("{name}.pem"));
        let key = SecretKey::from_seed(&customer.key.to_bytes(), Purpose::Account);
        write_plain_key_file(file.as_ref(), &key, false).unwrap();
        file
    };
    let (alices, emekas) = (key_of("alice", &alice), key_of("emeka", &emeka));
    let genesis = network.genesis_file();
    let common = |customer: &Customer, key: &str| -> Vec<String> {
        let (node, account) = (customer.client.url().to_owned(), customer.account.to_string());
        ["--node", &node, "--key", key, "--account", &account, "--genesis", genesis.to_str().unwrap(), "--json"]
            .map(str::to_owned)
            .into()
    };
    let run = |words: &str, more: &[String], customer: &Customer, key: &str| {
        let given = common(customer, key);
        let words: Vec<&str> = words.split(' ').chain(more.iter().chain(&given).map(String::as_str)).collect();
        stemma(&words)
    };
    let material = format!("password={}", path("password.txt"));
    let out = format!("{}/", path("out"));
    let asked = ["--identity".to_owned(), material, "--out".to_owned(), out];
    let made = run("promote --instrument broker-a/AAPL --side buy --uses 2 --blocks 5000", &asked, &alice, &alices);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert!(made["qr_version"].as_u64().unwrap() <= 15 && made["files"].as_array().unwrap().len() == 3, "{made}");

    let by = |file: String| ["--referral".to_owned(), file];
    let text = made["referral"]["text"].as_str().unwrap().to_owned();
    for given in [path("out/referral.png"), path("out/referral.txt"), text.clone()] {
        let traded = run("trade buy --instrument broker-a/AAPL --quantity 1", &by(given), &emeka, &emekas);
        assert!(traded.status.success(), "{}", String::from_utf8_lossy(&traded.stderr));
    }
    // A letter of the signature, none of whose bits is filling.
    let at = text.len() - 3;
    let forged = format!("{}{}{}", &text[..at], if &text[at..=at] == "A" { "B" } else { "A" }, &text[at + 1..]);
    for (given, instrument, code, said) in [
        (path("out/referral.svg"), "broker-a/AAPL", 2, "a drawing"),
        (path("out/referral.png"), "broker-b/IBM", 1, "not to buy broker-b/IBM"),
        (forged, "broker-a/AAPL", 1, "not genuine"),
        // 96 letters are whole bytes: what is cut off there, only the envelope tells.
        (text[..104].to_owned(), "broker-a/AAPL", 1, "not genuine"),
        (text.to_lowercase().replace("stemma1", "STEMMA1"), "broker-a/AAPL", 2, "damaged"),
    ] {
        let words = format!("trade buy --instrument {instrument} --quantity 1");
        let refused = run(&words, &by(given.clone()), &emeka, &emekas);
        let stderr = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(code), "{given}: {stderr}");
        assert!(stderr.contains(said) && refused.stdout.is_empty(), "{given}: {stderr}");
    }
}
