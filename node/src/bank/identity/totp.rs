//! One-time codes: RFC 6238 with steps of 30 s, SHA-1 or SHA-256, 6 or 8 digits.
//!
//! Enrolled is an `otpauth://totp/…` address, as authenticator apps read it (see [`provision`]); evidence is the code.
//! A code counts one step early and one late, and once: the verifier remembers the last step used. What is stored (and
//! sealed) is that step, 8 bytes big-endian, then CBOR of what was enrolled, a map of 0: 32 random bytes, 1: the
//! secret, 2: the algorithm (1 for SHA-1, 256 for SHA-256), 3: the number of digits.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater};
use zeroize::Zeroizing;

use super::{Context, IdentityType, Malformed, Match, Mismatch, Unfit, random};

/// Seconds of a step.
const STEP_S: u64 = 30;
/// RFC 4226 asks for 128 bits of secret at least; 64 bytes is a block of both hashes.
const SECRET_BYTES_MIN: usize = 16;
const SECRET_BYTES_MAX: usize = 64;

/// The type `totp`.
pub(super) struct Totp;

#[derive(minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
struct Enrolled<'b> {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    salt: [u8; 32],
    #[b(1)]
    #[cbor(with = "minicbor::bytes")]
    secret: &'b [u8],
    #[n(2)]
    algorithm: u16,
    #[n(3)]
    digits: u8,
}

impl IdentityType for Totp {
    fn kind(&self) -> &'static str {
        "totp"
    }

    fn evidence_bytes_max(&self) -> usize {
        1024
    }

    fn well_formed(&self, evidence: &[u8], _: &Context<'_>) -> Result<(), Malformed> {
        let holds = matches!(evidence.len(), 6 | 8) && evidence.iter().all(u8::is_ascii_digit);
        if holds { Ok(()) } else { Err(Malformed { expected: "a code of 6 or 8 digits" }) }
    }

    fn enrol(&self, material: &[u8], _: &Context<'_>) -> Result<Zeroizing<Vec<u8>>, Unfit> {
        let (secret, algorithm, digits) = parse(material).map_err(Unfit::Material)?;
        let enrolled = Enrolled { salt: random()?, secret: &secret, algorithm, digits };
        let mut stored = Zeroizing::new(Vec::with_capacity(256));
        stored.extend_from_slice(&0_u64.to_be_bytes());
        minicbor::encode(&enrolled, &mut *stored).map_err(|_| Unfit::Work)?;
        Ok(stored)
    }

    fn verify(&self, stored: &[u8], evidence: &[u8], context: &Context<'_>) -> Result<Match, Mismatch> {
        let (used, enrolled) = stored.split_first_chunk::<8>().ok_or(Mismatch::Damaged)?;
        let constant = enrolled;
        let enrolled: Enrolled<'_> = minicbor::decode(enrolled).map_err(|_| Mismatch::Damaged)?;
        let step = step_of(&enrolled, evidence, u64::from_be_bytes(*used), context.now_s).ok_or(Mismatch::Differs)?;
        let mut stored = Zeroizing::new(Vec::with_capacity(stored.len()));
        stored.extend_from_slice(&step.to_be_bytes());
        stored.extend_from_slice(constant);
        Ok(Match { stored: Some(stored) })
    }

    fn dummy(&self, evidence: &[u8], context: &Context<'_>) {
        let nobody = Enrolled { salt: [0; 32], secret: &[0; 20], algorithm: 1, digits: 6 };
        // A code may match this one; the result is not looked at.
        let _ignored = step_of(&nobody, evidence, 0, context.now_s);
    }

    fn constant<'s>(&self, stored: &'s [u8]) -> &'s [u8] {
        stored.get(8..).unwrap_or_default()
    }
}

/// The step that a code is of, among the three that count and after the last one used. All three are always computed.
fn step_of(enrolled: &Enrolled<'_>, code: &[u8], used: u64, now_s: u64) -> Option<u64> {
    let now = now_s / STEP_S;
    let mut found = 0_u64;
    for step in [now.saturating_sub(1), now, now.saturating_add(1)] {
        let expected = self::code(enrolled.secret, enrolled.algorithm, enrolled.digits, step);
        let fresh: Choice = step.ct_gt(&used);
        found.conditional_assign(&step, expected.as_bytes().ct_eq(code) & fresh);
    }
    // A step of 0 is never after the last used one.
    (found > 0).then_some(found)
}

/// The code of a step (RFC 4226 §5.3 over RFC 6238's counter), with leading zeros.
fn code(secret: &[u8], algorithm: u16, digits: u8, step: u64) -> Zeroizing<String> {
    let tag = match algorithm {
        256 => tag::<Hmac<Sha256>>(secret, step),
        _ => tag::<Hmac<Sha1>>(secret, step),
    };
    let at = usize::from(tag.last().copied().unwrap_or_default() & 0xf);
    let word = tag.get(at..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
    let value = u32::from_be_bytes(word) & 0x7fff_ffff;
    Zeroizing::new(match digits {
        8 => format!("{:08}", value % 100_000_000),
        _ => format!("{:06}", value % 1_000_000),
    })
}

fn tag<M: Mac + KeyInit>(secret: &[u8], step: u64) -> Zeroizing<Vec<u8>> {
    // A key of any length is taken; the empty tag of the other case is a code that nobody is given.
    let mac = <M as KeyInit>::new_from_slice(secret).map(|mac| mac.chain_update(step.to_be_bytes()));
    Zeroizing::new(mac.map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default())
}

/// A fresh secret as the address that an authenticator app reads, often from a QR code: 20 random bytes, SHA-1, 6
/// digits, which every app knows. It is a secret: show it to the customer, pass it to the enrolment, keep it nowhere.
///
/// # Errors
/// The operating system gave no randomness.
pub fn provision(issuer: &str, label: &str) -> Result<Zeroizing<String>, getrandom::Error> {
    let mut secret = Zeroizing::new([0_u8; 20]);
    getrandom::fill(secret.as_mut_slice())?;
    let plain = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
    };
    let (issuer, label) = (plain(issuer), plain(label));
    let mut address = Zeroizing::new(String::with_capacity(512));
    address.push_str(&["otpauth://totp/", &issuer, ":", &label, "?secret="].concat());
    base32(&*secret, &mut address);
    address.push_str(&["&issuer=", &issuer, "&algorithm=SHA1&digits=6&period=30"].concat());
    Ok(address)
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// RFC 4648 base32 without padding, of a multiple of five bytes.
fn base32(bytes: &[u8], text: &mut String) {
    for chunk in bytes.as_chunks::<5>().0 {
        let value = chunk.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
        for at in (0..8_u32).rev() {
            let five = (value >> at.saturating_mul(5)) & 31;
            text.extend(BASE32.get(five as usize).map(|letter| char::from(*letter)));
        }
    }
}

fn unbase32(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let (mut value, mut bits) = (0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let five = BASE32.iter().position(|known| *known == letter.to_ascii_uppercase())?;
        value = (value << 5 | u32::try_from(five).ok()?) & 0xffff;
        bits = bits.saturating_add(5);
        if bits >= 8 {
            bits = bits.saturating_sub(8);
            bytes.push(u8::try_from(value >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// Secret, algorithm and digits of an `otpauth` address; what is left out has the usual value.
fn parse(material: &[u8]) -> Result<(Zeroizing<Vec<u8>>, u16, u8), &'static str> {
    let text = std::str::from_utf8(material).map_err(|_| "not an otpauth://totp/ address")?;
    let rest = text.strip_prefix("otpauth://totp/").ok_or("not an otpauth://totp/ address")?;
    let (_, query) = rest.split_once('?').ok_or("no secret in the address")?;
    let (mut secret, mut algorithm, mut digits) = (None, 1, 6);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        match (name, value) {
            ("secret", value) => secret = Some(unbase32(value).ok_or("the secret is not base32")?),
            ("algorithm", "SHA1") => algorithm = 1,
            ("algorithm", "SHA256") => algorithm = 256,
            ("algorithm", _) => return Err("the algorithm is SHA1 or SHA256"),
            ("digits", "6") => digits = 6,
            ("digits", "8") => digits = 8,
            ("digits", _) => return Err("a code has 6 or 8 digits"),
            ("period", "30") => {}
            ("period", _) => return Err("a step has 30 s"),
            _ => {}
        }
    }
    let secret = secret.ok_or("no secret in the address")?;
    if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&secret.len()) {
        return Err("the secret has 16 to 64 bytes");
    }
    Ok((secret, algorithm, digits))
}
