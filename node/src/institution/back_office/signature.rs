//! Signed calls: HTTP Message Signatures (RFC 9421) with Ed25519, over method, address, idempotency key, body and time; the body
//! by its digest (RFC 9530).
//!
//! The member's key signs records as well. The two never meet: what is signed of a record is a CBOR array (its first byte is
//! above 0x80), what is signed of a call is text that begins with a quotation mark.

use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};
use stemma_chain_format::keys;

use crate::base64;

/// The name of the signature in its two headers.
const LABEL: &str = "stemma";

/// The two headers that carry a signature.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SignatureHeaders {
    /// `Signature-Input`.
    pub(super) input: String,
    /// `Signature`.
    pub(super) signature: String,
}

/// The `Content-Digest` of a body.
pub(super) fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", base64(&Sha256::digest(body)))
}

/// Signs components of a call, each a name with its value, at a time in Unix seconds.
pub(super) fn sign(key: &SigningKey, key_id: &str, created_s: u64, components: &[(&str, &str)]) -> SignatureHeaders {
    let parameters = format!(";created={created_s};keyid=\"{key_id}\";alg=\"ed25519\"");
    with_parameters(key, LABEL, &parameters, components)
}

fn with_parameters(key: &SigningKey, label: &str, parameters: &str, components: &[(&str, &str)]) -> SignatureHeaders {
    let names: Vec<String> = components.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let parameters = format!("({}){parameters}", names.join(" "));
    let mut base = String::new();
    for (name, value) in components {
        base.push_str(&format!("\"{name}\": {value}\n"));
    }
    base.push_str(&format!("\"@signature-params\": {parameters}"));
    let signature = keys::sign(key, base.as_bytes());
    SignatureHeaders {
        input: format!("{label}={parameters}"),
        signature: format!("{label}=:{}:", base64(&signature.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 9421, appendix B.2.6, with the key of B.1.4.
        let key = "9f8362f87a484a954e6e740c5b4c0e84229139a20aa8ab56ff66586f6a7d29c5";
        let key: [u8; 32] = hex::decode(key).unwrap().try_into().unwrap();
        let components = [
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("@method", "POST"),
            ("@path", "/foo"),
            ("@authority", "example.com"),
            ("content-type", "application/json"),
            ("content-length", "18"),
        ];
        let parameters = ";created=1618884473;keyid=\"test-key-ed25519\"";
        let signed = with_parameters(&SigningKey::from_bytes(&key), "sig-b26", parameters, &components);
        assert_eq!(
            signed.input,
            "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\")\
             ;created=1618884473;keyid=\"test-key-ed25519\""
        );
        assert_eq!(
            signed.signature,
            "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:"
        );
    }

    #[test]
    fn the_digest_of_the_rfc() {
        // RFC 9530, appendix D: the body of its examples.
        assert_eq!(content_digest(b"{\"hello\": \"world\"}"), "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
    }
}
